//! Instructions given as bytes, executed.

use crate::memory::{PAGE, pages, protect};
use core::arch::asm;
use libc::{PROT_EXEC, PROT_READ};

/// The near return.
const RETURN: u8 = 0xc3;

/// Maps a page of code that ends with a return; returns its address.
///
/// # Panics
///
/// When it is longer than a page.
#[must_use]
pub fn page(bytes: &[u8]) -> *mut u8 {
    assert!(bytes.len() < PAGE, "a page of code");
    let at = pages(1);
    for (nth, &byte) in bytes.iter().chain(&[RETURN]).enumerate() {
        // SAFETY: the page is ours, and the index is below its length.
        unsafe { at.wrapping_add(nth).write(byte) };
    }
    protect(at, 1, PROT_READ | PROT_EXEC);
    at
}

/// Executes bytes as instructions, with `value` in rax, rcx, rdx and rsi; returns rax.
///
/// They may spoil every general register but rbx, rbp and rsp, which they put back, and the vector registers.
pub fn run_with(bytes: &[u8], value: u64) -> u64 {
    call(page(bytes) as u64, value)
}

/// Executes bytes as instructions and says that the program is still there.
pub fn run(bytes: &[u8]) -> String {
    let _ = run_with(bytes, 0);
    "done".to_owned()
}

/// Calls an address, whatever is there.
pub fn call(address: u64, value: u64) -> u64 {
    let result;
    // SAFETY: what is called returns with the registers that C keeps, or ends the process, which is what callers are for.
    unsafe {
        asm!(
            "call {address}",
            // Code may leave the direction or the alignment check on.
            "push 2",
            "popfq",
            address = in(reg) address,
            inlateout("rax") value => result,
            inlateout("rcx") value => _,
            inlateout("rdx") value => _,
            inlateout("rsi") value => _,
            clobber_abi("C"),
        );
    }
    result
}

/// Reads a byte.
pub fn load(address: u64) {
    // SAFETY: where the address is mapped this changes nothing; where it is not, the process ends.
    unsafe {
        asm!("mov {scratch:l}, [{address}]", scratch = out(reg) _, address = in(reg) address, options(nostack))
    };
}

/// Writes a byte.
pub fn store(address: u64) {
    // SAFETY: callers name addresses that a program cannot write, so the process ends.
    unsafe { asm!("mov byte ptr [{address}], 0", address = in(reg) address, options(nostack)) };
}
