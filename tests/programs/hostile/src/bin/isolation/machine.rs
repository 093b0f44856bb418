//! What a program may learn of the machine, and must not.

use crate::case::Case;
use hostile::code::{run, run_with};
use hostile::{call, sys};

/// `ARCH_SET_GS`, `ARCH_SET_FS` (asm/prctl.h).
const SET_GS: i32 = 0x1001;
const SET_FS: i32 = 0x1002;

const KERNEL: u64 = 0xffff_ffff_8010_0000;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("rdtsc", "done", || run(&[0x0f, 0x31])),
        // xor ecx, ecx; cpuid, with rbx put back
        Case::new("cpuid", "done", || {
            run(&[0x53, 0x31, 0xc9, 0x0f, 0xa2, 0x5b])
        }),
        // Instructions that Linux answers with lies, where the processor lets it.
        Case::own(
            "sgdt tells nothing where it can be kept",
            "SIGSEGV or done",
            || run(&[0x50, 0x50, 0x0f, 0x01, 0x04, 0x24, 0x59, 0x59]),
        ),
        Case::own(
            "sidt tells nothing where it can be kept",
            "SIGSEGV or done",
            || run(&[0x50, 0x50, 0x0f, 0x01, 0x0c, 0x24, 0x59, 0x59]),
        ),
        Case::own("sldt", "SIGSEGV or done", || run(&[0x0f, 0x00, 0xc0])),
        Case::own("str", "SIGSEGV or done", || run(&[0x0f, 0x00, 0xc8])),
        Case::own("smsw", "SIGSEGV or done", || run(&[0x0f, 0x01, 0xe0])),
        Case::new("lar and lsl of every selector", "done", || {
            // lar ecx, eax; lsl ecx, eax
            for selector in 0..256 {
                let _ = run_with(&[0x0f, 0x02, 0xc8, 0x0f, 0x03, 0xc8], selector);
            }
            "done".to_owned()
        }),
        // mov rax, KERNEL; prefetcht0 [rax]
        Case::new("prefetch of the kernel", "done", || {
            run_with(&[0x0f, 0x18, 0x08], KERNEL);
            "done".to_owned()
        }),
        // clflush [rax]
        Case::new("clflush of the kernel", "SIGSEGV", || {
            run_with(&[0x0f, 0xae, 0x38], KERNEL);
            "done".to_owned()
        }),
        Case::new("a base of gs in the kernel", "EPERM", || {
            call::words(sys!(SYS_arch_prctl, SET_GS, KERNEL))
        }),
        Case::new("a base of fs in the kernel", "EPERM", || {
            call::words(sys!(SYS_arch_prctl, SET_FS, KERNEL))
        }),
        Case::new("a base of gs that is not canonical", "EPERM", || {
            call::words(sys!(SYS_arch_prctl, SET_GS, 1_u64 << 63))
        }),
        // wrgsbase rax; mov eax, 39; syscall: where the instruction is there, the base is the program's own business.
        Case::own(
            "wrgsbase of the kernel, and a call",
            "done or SIGILL",
            || {
                run_with(
                    &[0xf3, 0x48, 0x0f, 0xae, 0xd8, 0xb8, 39, 0, 0, 0, 0x0f, 0x05],
                    KERNEL,
                );
                "done".to_owned()
            },
        ),
        Case::own(
            "wrgsbase of no canonical address",
            "SIGSEGV or SIGILL",
            || {
                run_with(&[0xf3, 0x48, 0x0f, 0xae, 0xd8], 1 << 63);
                "done".to_owned()
            },
        ),
        // xor eax, eax; mov gs, eax; mov fs would take the thread's own memory away
        Case::new("no selector in gs, ds and es", "done", || {
            run(&[0x31, 0xc0, 0x8e, 0xe8, 0x8e, 0xd8, 0x8e, 0xc0])
        }),
        Case::own("segments of its own", "ENOSYS", || {
            call::words(sys!(SYS_modify_ldt, 1, 1_i64, 16))
        }),
        Case::own("input and output rights", "EPERM", || {
            call::words(sys!(SYS_iopl, 4))
        }),
    ]
}
