//! What the compiler asks of a program without a standard library.

use core::panic::PanicInfo;
use hal::x86::last_words::{self, Cause};

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    last_words::die(Cause::Panic, format_args!("{info}"))
}

/// Named by the precompiled `core`, which was built for unwinding; never called.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// As `rust_eh_personality`, in unoptimised builds.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    last_words::die(Cause::Panic, format_args!("unwinding"))
}
