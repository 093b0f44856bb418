//! Processes, threads, signals, pipes and waiting: the calls after which a program is not alone with itself.

use crate::call::{Descriptor, Errno, system_call};
use core::arch::{asm, global_asm};
use core::ffi::CStr;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

const POLL: u64 = 7;
const RT_SIGACTION: u64 = 13;
const RT_SIGRETURN: u64 = 15;
const PREAD64: u64 = 17;
const CLONE: u64 = 56;
const FORK: u64 = 57;
const EXECVE: u64 = 59;
const EXIT: u64 = 60;
const WAIT4: u64 = 61;
const FUTEX: u64 = 202;
const PIPE2: u64 = 293;

/// Which side of a [`fork`] this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The process that called; it has a child of this id.
    Parent(u64),
    /// The new one.
    Child,
}

/// Makes a copy of this process.
pub fn fork() -> Result<Side, Errno> {
    // SAFETY: the child has its own copy of all memory, this stack included.
    match unsafe { system_call(FORK, [0; 6]) }? {
        0 => Ok(Side::Child),
        child => Ok(Side::Parent(child)),
    }
}

/// Runs the program at `path` in place of this one, with at most three arguments and no environment. Returns only the
/// error.
pub fn execute(path: &CStr, arguments: &[&CStr]) -> Errno {
    let mut pointers = [0; 4];
    for (pointer, argument) in pointers[..3].iter_mut().zip(arguments) {
        *pointer = argument.as_ptr() as u64;
    }
    let end = 0_u64;
    let vectors = [
        path.as_ptr() as u64,
        pointers.as_ptr() as u64,
        &raw const end as u64,
        0,
        0,
        0,
    ];
    // SAFETY: the call reads the strings and the two vectors, each of which ends in a zero.
    match unsafe { system_call(EXECVE, vectors) } {
        Err(errno) => errno,
        Ok(_) => crate::instruction::undefined(),
    }
}

/// Waits for the end of a child and returns its status as wait(2) has it.
pub fn wait_for(child: u64) -> Result<u32, Errno> {
    let mut status = 0_u32;
    // SAFETY: the call writes one number at the given address.
    unsafe { system_call(WAIT4, [child, &raw mut status as u64, 0, 0, 0, 0]) }?;
    Ok(status)
}

/// The id of the thread that runs, 0 once it has ended: the kernel writes both (set_tid_address(2)).
static THREAD: AtomicU32 = AtomicU32::new(0);

/// Runs `work` on a thread of its own, on this stack, and waits for its end. One at a time.
pub fn on_a_thread(stack: &mut [u8], work: extern "C" fn()) -> Result<(), Errno> {
    /// VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, PARENT_SETTID, CHILD_CLEARTID (`include/uapi/linux/sched.h`).
    const FLAGS: u64 = 0x100 | 0x200 | 0x400 | 0x800 | 0x1_0000 | 0x4_0000 | 0x10_0000 | 0x20_0000;
    let top = stack.as_mut_ptr_range().end.addr() & !15;
    let word = THREAD.as_ptr().expose_provenance() as u64;
    let result: i64;
    // SAFETY: the new thread runs on its own stack, which this function borrows until the thread has ended, and leaves it
    // by ending: it never returns into what is this thread's. The kernel writes the thread's id into `THREAD` alone.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "call r12",
            "xor edi, edi",
            "mov eax, {exit}",
            "syscall",
            "ud2",
            "2:",
            in("r12") work,
            exit = const EXIT,
            inlateout("rax") CLONE => result,
            in("rdi") FLAGS,
            in("rsi") top,
            in("rdx") word,
            in("r10") word,
            in("r8") 0,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    if result < 0 {
        return Err(Errno(result.unsigned_abs() as u16));
    }
    loop {
        match THREAD.load(Ordering::Acquire) {
            0 => return Ok(()),
            // SAFETY: the call reads the word and waits while it holds the id.
            id => drop(unsafe { system_call(FUTEX, [word, 0, id.into(), 0, 0, 0]) }),
        }
    }
}

/// Makes a pipe: the end that is read, the end that is written.
pub fn pipe() -> Result<(Descriptor, Descriptor), Errno> {
    let mut ends = [0_u32; 2];
    // SAFETY: the call writes two numbers at the given address.
    unsafe { system_call(PIPE2, [ends.as_mut_ptr() as u64, 0, 0, 0, 0, 0]) }?;
    Ok((ends[0], ends[1]))
}

/// Reads from a place of a file.
pub fn read_at(descriptor: Descriptor, bytes: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let arguments = [
        descriptor.into(),
        bytes.as_mut_ptr() as u64,
        bytes.len() as u64,
        offset,
        0,
        0,
    ];
    // SAFETY: the call writes into `bytes` alone, which is borrowed mutably.
    unsafe { system_call(PREAD64, arguments) }.map(|count| count as usize)
}

/// What is asked of one descriptor, and the answer (poll(2)).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Poll {
    descriptor: Descriptor,
    events: u16,
    answer: u16,
}

impl Poll {
    /// Asks whether a read would not wait.
    pub const fn readable(descriptor: Descriptor) -> Self {
        Self {
            descriptor,
            events: 1,
            answer: 0,
        }
    }
}

/// Counts the descriptors that are ready, without waiting.
pub fn count_ready(polls: &mut [Poll]) -> Result<u64, Errno> {
    let arguments = [polls.as_mut_ptr() as u64, polls.len() as u64, 0, 0, 0, 0];
    // SAFETY: the call reads and writes the borrowed records alone.
    unsafe { system_call(POLL, arguments) }
}

/// The structure of rt_sigaction(2) on x86-64.
#[repr(C)]
struct Action {
    function: u64,
    flags: u64,
    restorer: u64,
    mask: u64,
}

global_asm!(
    ".section .text.restorer, \"ax\", @progbits",
    "programs_restorer:",
    "mov eax, {number}",
    "syscall",
    "ud2",
    ".text",
    number = const RT_SIGRETURN,
);

unsafe extern "C" {
    fn programs_restorer();
}

/// Has `function` run whenever `signal` comes. It may run between any two instructions, and so touches atomics alone.
pub fn on_signal(signal: u8, function: extern "C" fn(i32)) -> Result<(), Errno> {
    const SA_RESTORER: u64 = 0x0400_0000;
    let action = Action {
        function: function as *const () as u64,
        flags: SA_RESTORER,
        restorer: programs_restorer as *const () as u64,
        mask: 0,
    };
    let address = &raw const action as u64;
    // SAFETY: the call reads one structure; the function returns to the restorer, which goes back to what was interrupted.
    unsafe { system_call(RT_SIGACTION, [signal.into(), address, 0, 8, 0, 0]) }.map(drop)
}

/// Touches the first byte of every page.
pub fn touch_pages(memory: &mut [u8]) {
    for byte in memory.iter_mut().step_by(4096) {
        // SAFETY: the byte is borrowed mutably; volatile, so that it happens though nobody reads it.
        unsafe { ptr::write_volatile(byte, 1) };
    }
}
