//! The ways into the kernel and into other modes.

use crate::case::Case;
use hostile::child::end_of;
use hostile::code::{run, run_with};
use hostile::memory::{PAGE, protect};
use hostile::sys;
use libc::{MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_EXEC, PROT_READ, PROT_WRITE};

/// Where the lower half ends for programs: one page is left out (Linux, `TASK_SIZE_MAX`).
const END: u64 = 0x7fff_ffff_f000;

/// Returns the code of a far return to `selector`, to the instruction behind it: lea rcx, [rip + 6]; push selector;
/// push rcx; retfq.
fn far_return(selector: u8) -> Vec<u8> {
    vec![
        0x48, 0x8d, 0x0d, 5, 0, 0, 0, 0x6a, selector, 0x51, 0x48, 0xcb,
    ]
}

/// Returns the code of an interrupt return to the instruction behind it, with these selectors and flags: mov rdx, rsp;
/// push ss; push rdx; push flags; push cs; lea rcx, [rip + 3]; push rcx; iretq.
fn interrupt_return(code: u8, stack: u8, flags: u32) -> Vec<u8> {
    let mut bytes = vec![0x48, 0x89, 0xe2, 0x6a, stack, 0x52, 0x68];
    bytes.extend(flags.to_le_bytes());
    bytes.extend([0x6a, code, 0x48, 0x8d, 0x0d, 3, 0, 0, 0, 0x51, 0x48, 0xcf]);
    bytes
}

/// Tries code made from every selector of both tables' first entries, with every privilege level; returns those that did
/// not end the child.
fn passing(code: impl Fn(u8) -> Vec<u8>) -> String {
    let passing: Vec<String> = (0..0x70)
        .map(|selector| (selector, end_of(|| run(&code(selector)))))
        .filter(|(_, end)| end != "SIGSEGV")
        .map(|(selector, end)| format!("{selector:#x} {end}"))
        .collect();
    passing.join(", ")
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::own("int 0x80", "SIGSEGV", || run(&[0xcd, 0x80])),
        Case::own("sysenter", "SIGSEGV or SIGILL", || run(&[0x0f, 0x34])),
        // Only one code segment is for programs, and it has 64 bits.
        Case::own("a far return to every selector", "0x23 done", || {
            passing(far_return)
        }),
        Case::own("an interrupt return to every selector", "0x23 done", || {
            passing(|code| interrupt_return(code, 0x1b, 0x202))
        }),
        Case::own(
            "an interrupt return to every stack selector",
            "0x1b done",
            || passing(|stack| interrupt_return(0x23, stack, 0x202)),
        ),
        Case::new("an interrupt return to ring 0", "SIGSEGV", || {
            run(&interrupt_return(0x10, 0x18, 0x202))
        }),
        Case::own(
            "an interrupt return with every flag that gives rights",
            "done",
            || run(&interrupt_return(0x23, 0x1b, 0x1b_3202)),
        ),
        Case::own(
            "an interrupt return with input and output rights, and using them",
            "SIGSEGV",
            || {
                let mut code = interrupt_return(0x23, 0x1b, 0x3202);
                code.push(0xfa);
                run(&code)
            },
        ),
        Case::new("a far call through memory to the kernel", "SIGSEGV", || {
            // push 0x10; push 0; call far [rsp]
            run(&[0x6a, 0x10, 0x6a, 0, 0x48, 0xff, 0x1c, 0x24])
        }),
        Case::new("a call at the end of the lower half", "SIGSEGV", || {
            let at = (END - PAGE as u64) as *mut u8;
            let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
            let mapped = sys!(SYS_mmap, at, PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
            if mapped.is_err() {
                return format!("{mapped:?}");
            }
            let last = at.wrapping_add(PAGE - 2);
            // syscall
            for (nth, byte) in [0x0f_u8, 0x05].into_iter().enumerate() {
                // SAFETY: the page was mapped above.
                unsafe { last.wrapping_add(nth).write(byte) };
            }
            protect(at, 1, PROT_READ | PROT_EXEC);
            // getpid, and back to an address that is canonical and never mapped.
            let _ = hostile::code::call(last as u64, libc::SYS_getpid as u64);
            "done".to_owned()
        }),
        Case::new("the page behind the end cannot be had", "ENOMEM", || {
            let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
            hostile::call::words(sys!(SYS_mmap, END, PAGE, PROT_READ, flags, -1, 0))
        }),
        Case::new(
            "a call number with an upper half is cut to its lower one",
            "done",
            || {
                // mov rcx, rax; shl rcx, 32; or rax, rcx; syscall
                let code = [
                    0x48, 0x89, 0xc1, 0x48, 0xc1, 0xe1, 0x20, 0x48, 0x09, 0xc8, 0x0f, 0x05,
                ];
                let found = run_with(&code, libc::SYS_getpid as u64);
                if found == u64::from(std::process::id()) {
                    "done".to_owned()
                } else {
                    format!("{found:#x}")
                }
            },
        ),
        Case::new("call numbers that nobody has", "ENOSYS", || {
            let answers = [512, 1000, 0x4000_0000, 0x4000_0027, 0x7fff_ffff, -1].map(|number| {
                // SAFETY: there is no such call.
                hostile::call::words(unsafe { hostile::call::call(number, [0; 6]) })
            });
            if answers.iter().all(|answer| answer == "ENOSYS") {
                "ENOSYS".to_owned()
            } else {
                answers.join(" ")
            }
        }),
    ]
}
