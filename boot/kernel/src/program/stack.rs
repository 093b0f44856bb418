//! The initial stack of a program (System V ABI AMD64, 3.4.1): strings at the top, pointers to them below.
//!
//! ```text
//! top ─► 8 zero bytes
//!        user and working directory, for the loader only; after execve the name the program was called by
//!        environment strings, argument strings
//!        16 random bytes, platform name
//!        auxiliary vector, environment pointers, argument pointers, argument count  ◄─ rsp
//! ```
//!
//! The strings are copied when the program is spawned, which is all that is kept of the request, or by execve from the
//! caller's memory (`exec`); the rest is written when the program is known.

use super::{Image, Load};
use crate::errno::Errno;
use crate::identity::Identity;
use crate::limits::{ARGUMENT_BYTES, MAX_ARGUMENTS, PATH_BYTES, USER_NAME_BYTES};
use crate::space::SpaceId;
use crate::system::System;
use crate::user_memory::{Access, UserAddr};
use crate::wait::{Stall, Why};
use agent::kernel::Program;
use hal::block::Block;
use hal::limits::PAGE_BYTES;

/// Where the strings lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Strings {
    /// First argument.
    pub(super) arguments: UserAddr,
    /// How many arguments.
    pub(super) argument_count: u32,
    /// How many environment strings. The first one is right behind the last argument.
    pub(super) environment_count: u32,
    /// Path of the working directory; an empty string means `/`. Of execve, the path it was called with.
    pub(super) directory: UserAddr,
    /// The user the host named; an empty string means none. It means nothing after execve.
    pub(super) user: UserAddr,
    /// The path the program was called by, when that is not the first argument.
    pub(super) name: Option<UserAddr>,
    /// Value of `PATH`, `None` when the environment has none.
    pub(super) path: Option<UserAddr>,
}

impl Strings {
    /// Returns where the path the program was called by lies.
    pub(super) fn called_by(&self) -> UserAddr {
        self.name.unwrap_or(self.arguments)
    }

    /// Returns where the random bytes and the platform's name go, below the arguments.
    const fn below(&self) -> (UserAddr, UserAddr) {
        let random = (self.arguments.0 - RANDOM_BYTES) & !15;
        (UserAddr(random), UserAddr(random - PLATFORM.len() as u64))
    }
}

/// `AT_PLATFORM` of the architecture (arch/x86/include/asm/elf.h).
const PLATFORM: &[u8] = b"x86_64\0";

/// Bytes of `AT_RANDOM`.
const RANDOM_BYTES: u64 = 16;

/// Zeroes above the strings, as Linux leaves.
pub(super) const END_BYTES: u64 = 8;

/// Clock ticks per second that times(2) speaks of (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

/// Returns how many clock ticks a time in nanoseconds is.
pub(crate) const fn ticks(nanos: u64) -> u64 {
    nanos / (1_000_000_000 / TICKS_PER_SECOND)
}

/// Pairs of the auxiliary vector, its end included.
const AUXILIARY_PAIRS: usize = 21;

/// How often copying a spawn's strings asks for memory that may come back: a spawn is answered at once.
const MOST_TRIES: usize = 64;

/// Pointers that are written at once.
const POINTERS: usize = 64;

impl<B: Block> System<B> {
    /// Copies a program's strings to the top of its stack.
    ///
    /// # Errors
    ///
    /// E2BIG over the limits, ENOMEM.
    pub(crate) fn copy_strings(
        &mut self,
        space: SpaceId,
        top: u64,
        program: &Program<'_>,
    ) -> Result<Strings, Errno> {
        let (args, env) = (program.args, program.env);
        let (cwd, user) = (program.cwd.as_bytes(), program.user.as_bytes());
        let (arguments, environment) = (args.as_packed(), env.as_packed());
        let counts = (args.iter().count(), env.iter().count());
        if arguments.len() + environment.len() > ARGUMENT_BYTES
            || counts.0 + counts.1 > MAX_ARGUMENTS
        {
            return Err(Errno::E2BIG);
        }
        if cwd.len() >= PATH_BYTES {
            return Err(Errno::ENAMETOOLONG);
        }
        if user.len() >= USER_NAME_BYTES {
            return Err(Errno::EOVERFLOW);
        }
        let user_at = top - END_BYTES - user.len() as u64 - 1;
        let directory = user_at - cwd.len() as u64 - 1;
        let environment_at = directory - environment.len() as u64;
        let arguments_at = environment_at - arguments.len() as u64;
        let mut write = |at: u64, bytes: &[u8]| {
            for _ in 0..MOST_TRIES {
                let stored = self.store(space, UserAddr(at), bytes, Access::Load);
                match stored.map_err(Stall::why) {
                    // Memory is short, but some is on its way back.
                    Err(Why::Again) => self.take_down(),
                    Err(Why::Error(Errno::EFAULT) | Why::Wait(_)) => return Err(Errno::ENOMEM),
                    Err(Why::Error(errno)) => return Err(errno),
                    Ok(()) => return Ok(()),
                };
            }
            Err(Errno::ENOMEM)
        };
        write(user_at, user)?;
        write(directory, cwd)?;
        write(environment_at, environment)?;
        write(arguments_at, arguments)?;
        let before = |string: &[u8]| string.as_ptr().addr() - environment.as_ptr().addr();
        let path = env
            .iter()
            .find(|string| string.starts_with(b"PATH="))
            .map(|string| UserAddr(environment_at + before(string) as u64 + 5));
        Ok(Strings {
            arguments: UserAddr(arguments_at),
            argument_count: counts.0 as u32,
            environment_count: counts.1 as u32,
            directory: UserAddr(directory),
            user: UserAddr(user_at),
            name: None,
            path,
        })
    }

    /// Writes what belongs below the strings; returns the program's first stack pointer.
    ///
    /// # Errors
    ///
    /// ENOMEM. The strings' pages are there, so there is nothing to wait for.
    pub(super) fn finish_stack(
        &mut self,
        load: &Load,
        image: &Image,
        identity: &Identity,
        clock: Option<u64>,
    ) -> Result<u64, Stall> {
        let strings = load.strings;
        let (random_at, platform_at) = strings.below();
        let mut random = [0; RANDOM_BYTES as usize];
        self.random.fill(&mut random);
        self.store(load.space, random_at, &random, Access::Load)?;
        self.store(load.space, platform_at, PLATFORM, Access::Load)?;
        let pointers = u64::from(strings.argument_count) + u64::from(strings.environment_count) + 3;
        let size = 8 * (pointers + 2 * AUXILIARY_PAIRS as u64);
        let start = (platform_at.0 - size) & !15;
        let count = u64::from(strings.argument_count).to_le_bytes();
        self.store(load.space, UserAddr(start), &count, Access::Load)?;
        let mut list = PointerList::new(start + 8);
        let last =
            self.write_pointers(load, strings.argument_count, strings.arguments, &mut list)?;
        let end = self.write_pointers(load, strings.environment_count, last, &mut list)?;
        self.space_mut(load.space)?.strings = [strings.arguments.0, last.0, end.0];
        self.flush(load, &mut list)?;
        let vector = auxiliary(&strings, image, identity, clock);
        let mut bytes = [0; 16 * AUXILIARY_PAIRS];
        for (pair, (kind, value)) in bytes.chunks_exact_mut(16).zip(vector) {
            pair[..8].copy_from_slice(&kind.to_le_bytes());
            pair[8..].copy_from_slice(&value.to_le_bytes());
        }
        self.store(load.space, UserAddr(list.at), &bytes, Access::Load)?;
        Ok(start)
    }

    /// Writes pointers to `count` strings from `first` on and a null pointer; returns the end of the strings.
    fn write_pointers(
        &mut self,
        load: &Load,
        count: u32,
        first: UserAddr,
        list: &mut PointerList,
    ) -> Result<UserAddr, Stall> {
        let mut string = first;
        for _ in 0..count {
            if list.push(string.0) {
                self.flush(load, list)?;
            }
            string = self.end_of_string(load.space, string)?;
        }
        if list.push(0) {
            self.flush(load, list)?;
        }
        Ok(string)
    }

    fn flush(&mut self, load: &Load, list: &mut PointerList) -> Result<(), Stall> {
        let bytes = &list.bytes[..list.used];
        self.store(load.space, UserAddr(list.at), bytes, Access::Load)?;
        list.at += list.used as u64;
        list.used = 0;
        Ok(())
    }

    /// Returns the address behind a string's NUL.
    pub(super) fn end_of_string(
        &mut self,
        space: SpaceId,
        start: UserAddr,
    ) -> Result<UserAddr, Stall> {
        let mut at = start;
        loop {
            let span = self.span(space, at, PAGE_BYTES, Access::Read)?;
            let frame = span.frame(self.space(space)?, &self.pool)?;
            let bytes = &self.pool.bytes(frame)[span.range()];
            match bytes.iter().position(|&byte| byte == 0) {
                Some(length) => return Ok(at.offset(length as u64 + 1)?),
                None => at = at.offset(span.len as u64)?,
            }
        }
    }
}

/// Pointers on their way to the stack.
struct PointerList {
    /// Where the first one goes.
    at: u64,
    bytes: [u8; 8 * POINTERS],
    used: usize,
}

impl PointerList {
    const fn new(at: u64) -> Self {
        Self {
            at,
            bytes: [0; 8 * POINTERS],
            used: 0,
        }
    }

    /// Adds a pointer; returns whether the list is full now.
    fn push(&mut self, pointer: u64) -> bool {
        self.bytes[self.used..self.used + 8].copy_from_slice(&pointer.to_le_bytes());
        self.used += 8;
        self.used == self.bytes.len()
    }
}

/// The auxiliary vector (getauxval(3), uapi/linux/auxvec.h), with what the C libraries and Rust's std read.
fn auxiliary(
    strings: &Strings,
    image: &Image,
    identity: &Identity,
    clock: Option<u64>,
) -> [(u64, u64); AUXILIARY_PAIRS] {
    let (user, group) = (identity.user, identity.group);
    [
        (3, image.headers),
        (4, super::elf::PROGRAM_HEADER_BYTES as u64),
        (5, image.header_count),
        (6, PAGE_BYTES as u64),
        // AT_BASE: where the dynamic linker lies.
        (7, image.base),
        (8, 0),
        (9, image.entry),
        (11, u64::from(user.real)),
        (12, u64::from(user.effective)),
        (13, u64::from(group.real)),
        (14, u64::from(group.effective)),
        // AT_HWCAP is CPUID leaf 1's EDX; programs ask CPUID themselves, so only what every x86-64 has is told.
        (16, BASE_FEATURES),
        (26, 0),
        (17, TICKS_PER_SECOND),
        // AT_SECURE
        (23, u64::from(identity.is_secure())),
        (25, strings.below().0.0),
        (31, strings.called_by().0),
        (15, strings.below().1.0),
        // AT_MINSIGSTKSZ: what a signal frame needs.
        (51, crate::signal::MINIMUM_STACK_BYTES),
        // AT_SYSINFO_EHDR, or AT_IGNORE.
        clock.map_or((1, 0), |address| (33, address)),
        (0, 0),
    ]
}

/// Features of the x86-64 baseline in CPUID.1:EDX: FPU, TSC, MSR, PAE, CX8, SEP, PGE, CMOV, PAT, CLFSH, MMX, FXSR, SSE,
/// SSE2 (Intel SDM vol. 2, CPUID).
const BASE_FEATURES: u64 = 1
    | 1 << 4
    | 1 << 5
    | 1 << 6
    | 1 << 8
    | 1 << 11
    | 1 << 13
    | 1 << 15
    | 1 << 16
    | 1 << 19
    | 1 << 23
    | 1 << 24
    | 1 << 25
    | 1 << 26;
