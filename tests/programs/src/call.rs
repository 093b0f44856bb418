//! System calls: the instruction, and a safe function for each call that the programs make.
//!
//! Numbers: Linux `arch/x86/entry/syscalls/syscall_64.tbl`.

use crate::vdso::Time;
use core::arch::asm;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use core::ptr;

/// A Linux error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub u16);

/// Errors that the programs name.
impl Errno {
    /// No such file or directory.
    pub const ENOENT: Self = Self(2);
    /// Broken at the other end.
    pub const EIO: Self = Self(5);
    /// Not a descriptor.
    pub const EBADF: Self = Self(9);
    /// Not now, without waiting.
    pub const EAGAIN: Self = Self(11);
    /// Out of memory.
    pub const ENOMEM: Self = Self(12);
    /// Not an address of ours.
    pub const EFAULT: Self = Self(14);
    /// Not a value that this call takes.
    pub const EINVAL: Self = Self(22);
    /// Not a terminal.
    pub const ENOTTY: Self = Self(25);
    /// Not a call of this kernel.
    pub const ENOSYS: Self = Self(38);
}

/// A descriptor.
pub type Descriptor = u32;

/// The directory that relative paths begin at (`AT_FDCWD`, `include/uapi/linux/fcntl.h`).
const CURRENT_DIRECTORY: u64 = -100_i64 as u64;

const READ: u64 = 0;
const WRITE: u64 = 1;
const CLOSE: u64 = 3;
const LSEEK: u64 = 8;
const MMAP: u64 = 9;
const MUNMAP: u64 = 11;
const BRK: u64 = 12;
const IOCTL: u64 = 16;
const SETITIMER: u64 = 38;
const GETPID: u64 = 39;
const KILL: u64 = 62;
const FTRUNCATE: u64 = 77;
const UMASK: u64 = 95;
const GETUID: u64 = 102;
const GETPPID: u64 = 110;
const GETDENTS64: u64 = 217;
const CLOCK_GETTIME: u64 = 228;
const CLOCK_GETRES: u64 = 229;
const CLOCK_NANOSLEEP: u64 = 230;
const EXIT_GROUP: u64 = 231;
const OPENAT: u64 = 257;
const MKDIRAT: u64 = 258;
const UNLINKAT: u64 = 263;

/// The first number that no Linux of the next years will use.
const UNKNOWN: u64 = 1000;

/// One system call.
///
/// # Safety
///
/// The call with these arguments must not touch memory that Rust believes to own, except as the caller's types allow.
#[inline]
pub(crate) unsafe fn system_call(number: u64, arguments: [u64; 6]) -> Result<u64, Errno> {
    let result: u64;
    // SAFETY: the kernel keeps all registers but rax, rcx and r11; what it does to memory is the caller's obligation.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            in("r8") arguments[4],
            in("r9") arguments[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    match result as i64 {
        error @ -4095..=-1 => Err(Errno(error.unsigned_abs() as u16)),
        _ => Ok(result),
    }
}

/// Ends the program.
pub fn exit(code: u8) -> ! {
    // SAFETY: ending the process takes nothing from under anybody.
    let _ = unsafe { system_call(EXIT_GROUP, [code.into(), 0, 0, 0, 0, 0]) };
    // No kernel returns from this; if ours did, looping would hide it.
    crate::instruction::undefined()
}

/// Writes what the kernel takes of `bytes`.
pub fn write(descriptor: Descriptor, bytes: &[u8]) -> Result<usize, Errno> {
    write_from(descriptor, bytes.as_ptr() as u64, bytes.len())
}

/// Writes from any address: the kernel reads it or refuses.
pub fn write_from(descriptor: Descriptor, address: u64, bytes: usize) -> Result<usize, Errno> {
    // SAFETY: the call only reads our memory.
    unsafe { system_call(WRITE, [descriptor.into(), address, bytes as u64, 0, 0, 0]) }
        .map(|count| count as usize)
}

/// Writes all of `bytes`.
pub fn write_all(descriptor: Descriptor, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let taken = write(descriptor, bytes)?;
        // A kernel that says it took more than there is has taken all; `files` and `writer` would notice.
        bytes = bytes.get(taken..).unwrap_or_default();
    }
    Ok(())
}

/// Reads into `bytes`; 0 at the end.
pub fn read(descriptor: Descriptor, bytes: &mut [u8]) -> Result<usize, Errno> {
    let arguments = [
        descriptor.into(),
        bytes.as_mut_ptr() as u64,
        bytes.len() as u64,
        0,
        0,
        0,
    ];
    // SAFETY: the call writes into `bytes` alone, which is borrowed mutably.
    unsafe { system_call(READ, arguments) }.map(|count| count as usize)
}

/// Reads to an address that cannot be ours: in the kernel's half or in the first page, which is never mapped.
pub fn read_to_forbidden(
    descriptor: Descriptor,
    address: u64,
    bytes: usize,
) -> Result<usize, Errno> {
    assert!(
        !(4096..1 << 47).contains(&address),
        "only for addresses outside of a program's memory"
    );
    // SAFETY: no memory of ours is there (checked above); where the range ran on into ours, the kernel refuses at its
    // first byte.
    unsafe { system_call(READ, [descriptor.into(), address, bytes as u64, 0, 0, 0]) }
        .map(|count| count as usize)
}

/// How a file is opened (`include/uapi/asm-generic/fcntl.h`).
#[derive(Clone, Copy)]
pub struct Open(u64);

impl Open {
    /// For reading.
    pub const READ: Self = Self(0);
    /// For writing and reading a device that is not to become the terminal of the session (O_NOCTTY).
    pub const BOTH: Self = Self(0o2 | 0o400);
    /// For writing and reading, created when it is not there, emptied when it is.
    pub const CREATE: Self = Self(0o2 | 0o100 | 0o1000);
    /// A directory, for listing.
    pub const DIRECTORY: Self = Self(0o200_000);
}

/// Opens `path`.
pub fn open(path: &CStr, how: Open) -> Result<Descriptor, Errno> {
    // SAFETY: the call reads the string, which ends in a zero.
    unsafe {
        system_call(
            OPENAT,
            [CURRENT_DIRECTORY, path.as_ptr() as u64, how.0, 0o644, 0, 0],
        )
    }
    .map(|found| found as u32)
}

/// Opens a path that stands at any address: the kernel reads it or refuses.
pub fn open_from(address: u64) -> Result<Descriptor, Errno> {
    // SAFETY: the call only reads our memory.
    unsafe { system_call(OPENAT, [CURRENT_DIRECTORY, address, 0, 0, 0, 0]) }
        .map(|found| found as u32)
}

/// Closes a descriptor.
pub fn close(descriptor: Descriptor) -> Result<(), Errno> {
    // SAFETY: descriptors own no memory.
    unsafe { system_call(CLOSE, [descriptor.into(), 0, 0, 0, 0, 0]) }.map(drop)
}

/// Moves a file's position to `offset` from its beginning.
pub fn seek(descriptor: Descriptor, offset: u64) -> Result<u64, Errno> {
    // SAFETY: touches no memory.
    unsafe { system_call(LSEEK, [descriptor.into(), offset, 0, 0, 0, 0]) }
}

/// Cuts or extends a file.
pub fn truncate(descriptor: Descriptor, bytes: u64) -> Result<(), Errno> {
    // SAFETY: touches no memory of ours: no file is mapped.
    unsafe { system_call(FTRUNCATE, [descriptor.into(), bytes, 0, 0, 0, 0]) }.map(drop)
}

/// Makes a directory.
pub fn make_directory(path: &CStr) -> Result<(), Errno> {
    // SAFETY: the call reads the string, which ends in a zero.
    unsafe {
        system_call(
            MKDIRAT,
            [CURRENT_DIRECTORY, path.as_ptr() as u64, 0o755, 0, 0, 0],
        )
    }
    .map(drop)
}

/// Removes a file's name.
pub fn unlink(path: &CStr) -> Result<(), Errno> {
    // SAFETY: the call reads the string, which ends in a zero.
    unsafe {
        system_call(
            UNLINKAT,
            [CURRENT_DIRECTORY, path.as_ptr() as u64, 0, 0, 0, 0],
        )
    }
    .map(drop)
}

/// Removes an empty directory.
pub fn remove_directory(path: &CStr) -> Result<(), Errno> {
    const REMOVEDIR: u64 = 0x200;
    // SAFETY: the call reads the string, which ends in a zero.
    unsafe {
        system_call(
            UNLINKAT,
            [CURRENT_DIRECTORY, path.as_ptr() as u64, REMOVEDIR, 0, 0, 0],
        )
    }
    .map(drop)
}

/// Lists some entries of a directory as `linux_dirent64` records; 0 at the end.
pub fn list(descriptor: Descriptor, records: &mut [u8]) -> Result<usize, Errno> {
    let arguments = [
        descriptor.into(),
        records.as_mut_ptr() as u64,
        records.len() as u64,
        0,
        0,
        0,
    ];
    // SAFETY: the call writes into `records` alone, which is borrowed mutably.
    unsafe { system_call(GETDENTS64, arguments) }.map(|count| count as usize)
}

/// Maps `bytes` of fresh memory and lends them for ever.
pub fn map(bytes: usize) -> Result<&'static mut [u8], Errno> {
    const READ_WRITE: u64 = 3;
    const PRIVATE_ANONYMOUS: u64 = 0x22;
    let nowhere = -1_i64 as u64;
    // SAFETY: without MAP_FIXED the kernel chooses addresses that hold nothing yet.
    let address = unsafe {
        system_call(
            MMAP,
            [0, bytes as u64, READ_WRITE, PRIVATE_ANONYMOUS, nowhere, 0],
        )
    }?;
    // SAFETY: the pages are fresh, readable, writable and zero, and nobody else was given them.
    Ok(unsafe {
        core::slice::from_raw_parts_mut(ptr::with_exposed_provenance_mut(address as usize), bytes)
    })
}

/// Asks a terminal something that takes a small number.
pub fn control(descriptor: Descriptor, request: u32, number: u8) -> Result<u64, Errno> {
    // SAFETY: taken for an address, the number is one where nothing is mapped.
    unsafe {
        system_call(
            IOCTL,
            [descriptor.into(), request.into(), number.into(), 0, 0, 0],
        )
    }
}

/// Asks a terminal something that reads or writes memory: at most as many bytes as `bytes` has.
pub fn control_bytes(descriptor: Descriptor, request: u32, bytes: &mut [u8]) -> Result<u64, Errno> {
    /// More than any structure of `ioctl_tty(2)` has.
    const MOST: usize = 256;
    let mut buffer = [0; MOST];
    buffer[..bytes.len()].copy_from_slice(bytes);
    let address = buffer.as_mut_ptr() as u64;
    // SAFETY: the call reads and writes a structure at the beginning of the buffer, which is longer than any.
    let result =
        unsafe { system_call(IOCTL, [descriptor.into(), request.into(), address, 0, 0, 0]) };
    bytes.copy_from_slice(&buffer[..bytes.len()]);
    result
}

/// Gives back memory that [`map`] lent.
pub fn unmap(memory: &'static mut [u8]) -> Result<(), Errno> {
    // SAFETY: the memory came from a mapping of its own, and its only borrow ends here.
    unsafe {
        system_call(
            MUNMAP,
            [memory.as_ptr() as u64, memory.len() as u64, 0, 0, 0, 0],
        )
    }
    .map(drop)
}

/// Moves the end of the data segment up by `bytes` and lends the new memory; `None` when the kernel leaves it in place.
pub fn grow_break(bytes: usize) -> Option<&'static mut [u8]> {
    // SAFETY: asking for address 0 changes nothing and returns the current end.
    let end = unsafe { system_call(BRK, [0; 6]) }.ok()?;
    // SAFETY: the end only moves up, so no memory is taken away.
    let moved = unsafe { system_call(BRK, [end + bytes as u64, 0, 0, 0, 0, 0]) }.ok()?;
    if moved != end + bytes as u64 {
        return None;
    }
    // SAFETY: nothing else in these programs moves the break, so the pages between are ours alone, and zero.
    Some(unsafe {
        core::slice::from_raw_parts_mut(ptr::with_exposed_provenance_mut(end as usize), bytes)
    })
}

/// This process's id.
pub fn process_id() -> u64 {
    // SAFETY: touches no memory.
    unsafe { system_call(GETPID, [0; 6]) }.unwrap_or(0)
}

/// The id of the process that made this one; 0 when that is outside.
pub fn parent_id() -> u64 {
    // SAFETY: touches no memory.
    unsafe { system_call(GETPPID, [0; 6]) }.unwrap_or(u64::MAX)
}

/// Sets which rights new files do not get, and returns which these were. No call that reaches its handler has less to do.
pub fn umask(mask: u64) -> u64 {
    // SAFETY: touches no memory.
    unsafe { system_call(UMASK, [mask, 0, 0, 0, 0, 0]) }.unwrap_or(u64::MAX)
}

/// The user this process acts for.
pub fn user_id() -> u64 {
    // SAFETY: touches no memory.
    unsafe { system_call(GETUID, [0; 6]) }.unwrap_or(u64::MAX)
}

/// Has SIGALRM sent once, so many microseconds from now.
pub fn alarm_in(microseconds: u32) -> Result<(), Errno> {
    const REAL: u64 = 0;
    // The interval, which is none, and the first time: seconds and microseconds each.
    let times = [0, 0, 0, u64::from(microseconds)];
    // SAFETY: the call reads the four numbers.
    unsafe { system_call(SETITIMER, [REAL, times.as_ptr() as u64, 0, 0, 0, 0]) }.map(drop)
}

/// Sends `signal` to `process`.
pub fn kill(process: u64, signal: u8) -> Result<(), Errno> {
    // SAFETY: touches no memory.
    unsafe { system_call(KILL, [process, signal.into(), 0, 0, 0, 0]) }.map(drop)
}

/// A call that no kernel knows, `beyond` numbers above the known ones.
pub fn unknown(beyond: u32) -> Result<u64, Errno> {
    // SAFETY: a call that does not exist does nothing.
    unsafe { system_call(UNKNOWN + u64::from(beyond), [u64::MAX; 6]) }
}

/// A span of time as the kernel counts it.
#[repr(C)]
struct TimeSpec {
    seconds: i64,
    nanoseconds: i64,
}

/// The monotonic clock (`CLOCK_MONOTONIC`).
const MONOTONIC: u64 = 1;

/// Nanoseconds since some moment in the past, never going back.
pub fn nanoseconds() -> u64 {
    let mut now = MaybeUninit::<TimeSpec>::zeroed();
    // SAFETY: the call writes one `TimeSpec` at the given address.
    let result = unsafe {
        system_call(
            CLOCK_GETTIME,
            [MONOTONIC, now.as_mut_ptr() as u64, 0, 0, 0, 0],
        )
    };
    assert!(result.is_ok(), "clock_gettime: {result:?}");
    // SAFETY: zeroed above, and zero is a time.
    let now = unsafe { now.assume_init() };
    now.seconds as u64 * 1_000_000_000 + now.nanoseconds as u64
}

/// The time of a clock (clock_gettime(2)), by the system call.
pub fn read_clock(clock: i32) -> Result<Time, Errno> {
    ask_clock(CLOCK_GETTIME, clock)
}

/// The resolution of a clock (clock_getres(2)), by the system call.
pub fn resolution(clock: i32) -> Result<Time, Errno> {
    ask_clock(CLOCK_GETRES, clock)
}

fn ask_clock(number: u64, clock: i32) -> Result<Time, Errno> {
    let mut time = Time::default();
    let address = &raw mut time as u64;
    // SAFETY: both calls write one `Time` at the given address.
    unsafe { system_call(number, [clock as u64, address, 0, 0, 0, 0]) }?;
    Ok(time)
}

/// Sleeps.
pub fn sleep(milliseconds: u64) -> Result<(), Errno> {
    let span = TimeSpec {
        seconds: (milliseconds / 1000) as i64,
        nanoseconds: (milliseconds % 1000 * 1_000_000) as i64,
    };
    // SAFETY: the call reads one `TimeSpec`; no remainder is asked for.
    unsafe {
        system_call(
            CLOCK_NANOSLEEP,
            [MONOTONIC, 0, &raw const span as u64, 0, 0, 0],
        )
    }
    .map(drop)
}

/// A system call made without a stack: `rsp` is 0 while the kernel is entered and left.
///
/// Returns what `getuid` gave. A kernel that touches the caller's stack faults here.
pub fn user_id_without_stack() -> u64 {
    let result: u64;
    // SAFETY: rsp is put aside in a register that the kernel keeps and is back before anything uses the stack. No
    // signal handler is installed that would need it between.
    unsafe {
        asm!(
            "mov {kept}, rsp",
            "xor esp, esp",
            "syscall",
            "mov rsp, {kept}",
            kept = out(reg) _,
            inlateout("rax") GETUID => result,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// A system call made with the direction flag set, under which string instructions run backwards.
///
/// Returns what `write` of `bytes` gave. A kernel that does not clear the flag copies the wrong bytes.
pub fn write_backwards(descriptor: Descriptor, bytes: &[u8]) -> Result<usize, Errno> {
    let result: u64;
    // SAFETY: as `write`; the flag is clear again before compiled code runs.
    unsafe {
        asm!(
            "std",
            "syscall",
            "cld",
            inlateout("rax") WRITE => result,
            in("rdi") u64::from(descriptor),
            in("rsi") bytes.as_ptr(),
            in("rdx") bytes.len(),
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    match result as i64 {
        error @ -4095..=-1 => Err(Errno(error.unsigned_abs() as u16)),
        count => Ok(count as usize),
    }
}
