//! What is said when the machine cannot go on: straight to the serial port, then to a witness, then the end.
//!
//! Nothing here allocates, takes a borrow that may be taken, or trusts more than the stack it runs on. Dying while
//! dying, in the witness too, skips the words.

use super::console::Serial;
use super::exclusive::Exclusive;
use super::power;
use crate::console::Console;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

/// Why the machine cannot go on; also what `isa-debug-exit` is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    /// Start-up found something it cannot work with.
    StartUp = 0x18,
    /// A panic.
    Panic = 0x19,
    /// An exception in the kernel.
    KernelFault = 0x1a,
}

impl Cause {
    const fn text(self) -> &'static str {
        match self {
            Self::StartUp => "cannot start",
            Self::Panic => "panic",
            Self::KernelFault => "fatal",
        }
    }
}

/// Where [`fault`] reads.
const TRIED_ADDRESS: u64 = 0x123;

static DYING: AtomicBool = AtomicBool::new(false);

static WITNESS: Exclusive<Option<fn(fmt::Arguments<'_>)>> = Exclusive::new(None);

/// Has the last words told to `witness` as well, behind the serial port.
pub fn set_witness(witness: fn(fmt::Arguments<'_>)) {
    // Not lent: nobody is dying.
    let _ = WITNESS.with(|place| *place = Some(witness));
}

/// Says why, and ends the machine: `isa-debug-exit` gives the cause as exit status, otherwise it powers off.
pub fn die(cause: Cause, words: fmt::Arguments<'_>) -> ! {
    if !DYING.swap(true, Ordering::Relaxed) {
        let mut out = Out(Serial::com1());
        // `Out` never fails; a failing `Display` only cuts the words short.
        let _ = fmt::write(
            &mut out,
            format_args!("\nmote: {}: {words}\n", cause.text()),
        );
        if let Some(witness) = WITNESS.with(|place| *place).flatten() {
            witness(format_args!("{}: {words}", cause.text()));
        }
    }
    power::fail(cause as u8)
}

/// Reads where nothing is mapped, so that the kernel faults: how its last words can be tried.
pub fn fault() -> ! {
    // SAFETY: nothing is ever mapped in the first page, so the read has no effect but the fault, which ends the machine.
    unsafe {
        core::arch::asm!("mov rax, [{}]", "ud2", in(reg) TRIED_ADDRESS, options(noreturn));
    }
}

struct Out(Serial);

impl fmt::Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}
