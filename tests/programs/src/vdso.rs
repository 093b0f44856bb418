//! Functions of the kernel's that run in the program (vdso(7)), found as a C library finds them: by the symbol table's hash
//! section, by name and by version.

use crate::Arguments;
use crate::call::{Descriptor, Errno, system_call};
use core::ffi::CStr;
use core::ptr;

const AT_SYSINFO_EHDR: u64 = 33;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_VERSYM: u64 = 0x6fff_fff0;
const DT_VERDEF: u64 = 0x6fff_fffc;

/// `struct timespec` and, with microseconds, `struct timeval`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct Time {
    /// Whole seconds.
    pub seconds: i64,
    /// The rest, in the unit of the function.
    pub rest: i64,
}

/// The object the kernel mapped.
#[derive(Clone, Copy, Debug)]
pub struct Vdso {
    start: u64,
    bias: u64,
    hash: u64,
    strings: u64,
    symbols: u64,
    versions: u64,
    definitions: u64,
}

/// Reads what the kernel says is there.
fn read<T: Copy>(address: u64) -> T {
    let at = ptr::with_exposed_provenance::<T>(address as usize);
    // SAFETY: all addresses in this file follow from the object at AT_SYSINFO_EHDR, which is readable and never changes;
    // numbers of it are read as they are aligned there, or bytewise.
    unsafe { at.read_unaligned() }
}

fn text(address: u64) -> &'static CStr {
    let at = ptr::with_exposed_provenance(address as usize);
    // SAFETY: as for `read`: the strings of the object end in zeroes.
    unsafe { CStr::from_ptr(at) }
}

impl Vdso {
    /// Returns the object of which the auxiliary vector tells.
    pub fn find(arguments: &Arguments) -> Option<Self> {
        let start = arguments.auxiliary_value(AT_SYSINFO_EHDR)?;
        if read::<[u8; 4]>(start) != *b"\x7fELF" {
            return None;
        }
        let headers = start + read::<u64>(start + 32);
        let count = u64::from(read::<u16>(start + 56));
        let header = |wanted| {
            (0..count)
                .map(|nth| headers + 56 * nth)
                .find(|&header| read::<u32>(header) == wanted)
        };
        let load = header(PT_LOAD)?;
        let bias = start + read::<u64>(load + 8) - read::<u64>(load + 16);
        let dynamic = start + read::<u64>(header(PT_DYNAMIC)? + 8);
        let entry = |wanted| {
            (0..)
                .map(|nth| dynamic + 16 * nth)
                .take_while(|&at| read::<u64>(at) != 0)
                .find(|&at| read::<u64>(at) == wanted)
                .map(|at| bias + read::<u64>(at + 8))
        };
        Some(Self {
            start,
            bias,
            hash: entry(DT_HASH)?,
            strings: entry(DT_STRTAB)?,
            symbols: entry(DT_SYMTAB)?,
            versions: entry(DT_VERSYM)?,
            definitions: entry(DT_VERDEF)?,
        })
    }

    /// Has the kernel write zeroes over the object's beginning, from a device that gives them: refused at first, done once
    /// the page was made writable, and in this program alone.
    pub fn spoil(&self, zeroes: Descriptor) -> Result<(Errno, usize), Errno> {
        const MPROTECT: u64 = 10;
        const READ: u64 = 0;
        const READ_WRITE: u64 = 3;
        const BYTES: u64 = 64;
        let read = || {
            // SAFETY: nothing of Rust's lies in the object, and nothing of it is used afterwards.
            unsafe { system_call(READ, [zeroes.into(), self.start, BYTES, 0, 0, 0]) }
        };
        let Err(refusal) = read() else {
            return Err(Errno::EIO);
        };
        // SAFETY: only the rights of a page that Rust knows nothing of change.
        unsafe { system_call(MPROTECT, [self.start, BYTES, READ_WRITE, 0, 0, 0]) }?;
        Ok((refusal, read()? as usize))
    }

    /// Returns the address of a function of version `LINUX_2.6`.
    fn function(&self, name: &CStr) -> Option<u64> {
        let buckets = u64::from(read::<u32>(self.hash));
        let bucket = u64::from(hash(name)) % buckets;
        let mut index = u64::from(read::<u32>(self.hash + 8 + 4 * bucket));
        while index != 0 {
            let symbol = self.symbols + 24 * index;
            let found = text(self.strings + u64::from(read::<u32>(symbol)));
            let version = read::<u16>(self.versions + 2 * index) & 0x7fff;
            if found == name && self.is_linux_2_6(version) {
                return Some(self.bias + read::<u64>(symbol + 8));
            }
            index = u64::from(read::<u32>(self.hash + 8 + 4 * (buckets + index)));
        }
        None
    }

    fn is_linux_2_6(&self, version: u16) -> bool {
        let mut at = self.definitions;
        loop {
            let next = u64::from(read::<u32>(at + 16));
            if read::<u16>(at + 4) == version && read::<u16>(at + 2) & 1 == 0 {
                let name = at + u64::from(read::<u32>(at + 12));
                let name = text(self.strings + u64::from(read::<u32>(name)));
                return name == c"LINUX_2.6" && read::<u32>(at + 8) == hash(name);
            }
            if next == 0 {
                return false;
            }
            at += next;
        }
    }

    /// clock_gettime(2) or clock_getres(2): what it returned, and what it wrote.
    pub fn clock(&self, name: &CStr, clock: i32) -> Option<(i32, Time)> {
        let mut time = Time::default();
        // SAFETY: the function of this name takes a number and where to write a `Time`.
        let function: extern "C" fn(i32, *mut Time) -> i32 =
            unsafe { core::mem::transmute(self.function(name)?) };
        Some((function(clock, &raw mut time), time))
    }

    /// gettimeofday(2), without a time zone.
    pub fn time_of_day(&self) -> Option<Time> {
        let mut time = Time::default();
        // SAFETY: the function of this name takes two places to write to, of which the second may be absent.
        let function: extern "C" fn(*mut Time, *mut u64) -> i32 =
            unsafe { core::mem::transmute(self.function(c"__vdso_gettimeofday")?) };
        (function(&raw mut time, ptr::null_mut()) == 0).then_some(time)
    }

    /// time(2), both answers of which are the same.
    pub fn time(&self) -> Option<i64> {
        let mut told = 0;
        // SAFETY: the function of this name takes a place to write to.
        let function: extern "C" fn(*mut i64) -> i64 =
            unsafe { core::mem::transmute(self.function(c"__vdso_time")?) };
        (function(&raw mut told) == told).then_some(told)
    }

    /// getcpu(2): processor and node.
    pub fn processor(&self) -> Option<(u32, u32)> {
        let (mut processor, mut node) = (u32::MAX, u32::MAX);
        // SAFETY: the function of this name takes two places to write to, and one that is not used.
        let function: extern "C" fn(*mut u32, *mut u32, u64) -> i32 =
            unsafe { core::mem::transmute(self.function(c"__vdso_getcpu")?) };
        let result = function(&raw mut processor, &raw mut node, 0);
        (result == 0).then_some((processor, node))
    }
}

/// The hash of the ELF specification (System V ABI, 5.2 "Hash Table").
fn hash(name: &CStr) -> u32 {
    name.to_bytes().iter().fold(0_u32, |hash, &byte| {
        let hash = (hash << 4) + u32::from(byte);
        let top = hash & 0xf000_0000;
        (hash ^ top >> 24) & !top
    })
}
