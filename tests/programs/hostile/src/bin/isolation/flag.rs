//! Flags at system calls and at signals.

use crate::case::Case;
use hostile::code::{call, page, run};
use std::sync::atomic::{AtomicU64, Ordering};

const TRAP: u32 = 1 << 8;
const DIRECTION: u32 = 1 << 10;
const PRIVILEGE: u32 = 3 << 12;
const NESTED: u32 = 1 << 14;
const RESUME: u32 = 1 << 16;
const VIRTUAL: u32 = 1 << 17;
const ALIGNMENT: u32 = 1 << 18;
const IDENTIFICATION: u32 = 1 << 21;
const INTERRUPTS: u32 = 1 << 9;

/// Those whose fate is told.
const TOLD: u32 = TRAP
    | DIRECTION
    | PRIVILEGE
    | NESTED
    | RESUME
    | VIRTUAL
    | ALIGNMENT
    | IDENTIFICATION
    | INTERRUPTS;

/// Code that sets flags, makes a call by number, one that is not answered where it enters, and returns the flags found
/// behind it: push flags; popfq; mov eax, number; syscall; pushfq; pop rax.
fn flags_over(number: u32, flags: u32) -> Vec<u8> {
    let mut code = vec![0x68];
    code.extend((flags | 2).to_le_bytes());
    code.extend([0x9d, 0xb8]);
    code.extend(number.to_le_bytes());
    code.extend([0x0f, 0x05, 0x9c, 0x58]);
    code
}

fn told(flags: u64) -> String {
    format!("{:#x}", flags as u32 & TOLD)
}

fn over_call(flags: u32) -> String {
    let code = flags_over(libc::SYS_getuid as u32, flags);
    told(call(page(&code) as u64, 0))
}

static FOUND: AtomicU64 = AtomicU64::new(0);

extern "C" fn note_flags(_: i32) {
    let flags: u64;
    // SAFETY: reading the flags has no effect.
    unsafe { core::arch::asm!("pushfq", "pop {}", out(reg) flags) };
    FOUND.store(flags, Ordering::Relaxed);
}

/// Sets flags, lets a signal come, and tells the handler's flags.
fn in_handler(flags: u32) -> String {
    let handler = note_flags as extern "C" fn(i32) as usize;
    // SAFETY: the handler does nothing but store a number.
    unsafe { libc::signal(libc::SIGUSR1, handler) };
    // push flags; popfq; mov eax, kill; syscall; push 2; popfq
    let mut code = vec![0xbf];
    code.extend(std::process::id().to_le_bytes());
    code.push(0xbe);
    code.extend(libc::SIGUSR1.to_le_bytes());
    code.push(0x68);
    code.extend((flags | 2).to_le_bytes());
    code.extend([0x9d, 0xb8]);
    code.extend((libc::SYS_kill as u32).to_le_bytes());
    code.extend([0x0f, 0x05, 0x6a, 2, 0x9d]);
    let _ = call(page(&code) as u64, 0);
    told(FOUND.load(Ordering::Relaxed))
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("no flag over a call", "0x200", || over_call(0)),
        Case::new("direction over a call", "0x600", || over_call(DIRECTION)),
        Case::new("alignment check over a call", "0x40200", || {
            over_call(ALIGNMENT)
        }),
        Case::new("identification over a call", "0x200200", || {
            over_call(IDENTIFICATION)
        }),
        // Flags that no program needs are taken away, unless the call is answered at once.
        Case::own("nested task over a call", "0x200 or 0x4200", || {
            over_call(NESTED)
        }),
        Case::new("rights over a call", "0x200", || {
            over_call(PRIVILEGE | RESUME | VIRTUAL)
        }),
        Case::new("single step over a call", "SIGTRAP", || over_call(TRAP)),
        Case::new("nested task, and an interrupt return", "SIGSEGV", || {
            // push 1 << 14; popfq; iretq
            run(&[0x68, 0, 0x40, 0, 0, 0x9d, 0x48, 0xcf])
        }),
        Case::new("no flag in a handler", "0x200", || in_handler(0)),
        Case::new("direction in a handler", "0x200", || in_handler(DIRECTION)),
        Case::new("identification in a handler", "0x200200", || {
            in_handler(IDENTIFICATION)
        }),
        Case::own("nested task in a handler", "0x200", || in_handler(NESTED)),
        Case::own("alignment check in a handler", "0x200", || {
            in_handler(ALIGNMENT)
        }),
        Case::new(
            "direction and alignment check over an interrupt",
            "done",
            || {
                // pushfq; or dword ptr [rsp], 1 << 18 | 1 << 10; popfq; mov ecx, 1 << 26; dec ecx; jnz -4; pushfq; pop rax
                let code = [
                    0x9c, 0x81, 0x0c, 0x24, 0, 4, 4, 0, 0x9d, 0xb9, 0, 0, 0, 4, 0xff, 0xc9, 0x75,
                    0xfc, 0x9c, 0x58,
                ];
                let flags = call(page(&code) as u64, 0) as u32;
                if flags & (DIRECTION | ALIGNMENT) == DIRECTION | ALIGNMENT {
                    "done".to_owned()
                } else {
                    format!("{flags:#x}")
                }
            },
        ),
    ]
}
