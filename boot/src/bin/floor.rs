//! The smallest image a VMM boots: its entry ends the machine at once. What starting this takes is the floor under
//! every start-up time that is measured for mote.
#![no_std]
#![no_main]

use core::arch::global_asm;

global_asm!(
    r#"
.section .text.entry, "ax"
.code32
.global mote_start
mote_start:
    mov eax, 0x10                       // isa-debug-exit: the VMM ends with status (0x10 << 1) | 1 = 33
    out 0xf4, eax
2:  hlt
    jmp 2b
"#
);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Named by the precompiled `core`, which was built for unwinding; never called.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
