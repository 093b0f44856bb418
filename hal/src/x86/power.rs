//! Ending the machine. What the firmware's tables say is tried first; every machine has some way left after that.

use super::exclusive::Exclusive;
use super::port::Port;
use core::arch::asm;

/// What `isa-debug-exit` is told after an orderly power-off: QEMU ends with status 33 (0x10 << 1 | 1).
const ORDERLY: u8 = 0x10;

/// I/O port of `isa-debug-exit`, as everybody configures it.
const DEBUG_EXIT_PORT: u16 = 0xf4;

/// How this platform ends the machine.
pub trait Platform: Send {
    /// Powers off, or resets where that cannot be done or has no effect. It may return when neither had.
    fn end(&mut self);
}

struct Ways {
    platform: Option<&'static mut dyn Platform>,
    debug_exit: bool,
}

static WAYS: Exclusive<Ways> = Exclusive::new(Ways {
    platform: None,
    debug_exit: false,
});

/// Tells how the platform ends the machine.
pub fn set_platform(platform: &'static mut dyn Platform) {
    // Not borrowed: nothing is ending yet.
    let _ = WAYS.with(|ways| ways.platform = Some(platform));
}

/// Lets an orderly power-off end QEMU with status 33 through `isa-debug-exit`, which a test can tell from a crash.
pub fn use_debug_exit() {
    // Not borrowed: nothing is ending yet.
    let _ = WAYS.with(|ways| ways.debug_exit = true);
}

/// Powers off in order.
pub fn off() -> ! {
    WAYS.with(|ways| {
        if ways.debug_exit {
            debug_exit(ORDERLY);
        }
    });
    end()
}

/// Ends the machine after a failure: `isa-debug-exit` with `status` where there is one, else power off. A reset would
/// start us again and again on some VMMs, so it comes last.
pub fn fail(status: u8) -> ! {
    debug_exit(status);
    end()
}

fn end() -> ! {
    WAYS.with(|ways| {
        if let Some(platform) = &mut ways.platform {
            platform.end();
        }
    });
    reset_somehow()
}

/// Ends QEMU with status `value << 1 | 1`. Without the device it does nothing.
fn debug_exit(value: u8) {
    // SAFETY: nothing but `isa-debug-exit` is known to live at this port, and that has no effect on memory.
    unsafe { Port::new(DEBUG_EXIT_PORT) }.write_u32(u32::from(value));
}

/// Firecracker ends on the keyboard controller's reset line; whoever ignores that resets on a triple fault.
fn reset_somehow() -> ! {
    // SAFETY: the keyboard controller's command port has no effect on memory; 0xfe pulses the reset line.
    unsafe { Port::new(0x64) }.write_u8(0xfe);
    let nothing = [0_u64; 2];
    // SAFETY: an empty descriptor table and an exception: the processor shuts down, which resets the machine.
    unsafe {
        asm!("lidt [{0}]", "int3", "2: hlt", "jmp 2b", in(reg) &raw const nothing, options(noreturn))
    }
}
