//! What is said of an exception in the kernel itself, which ends the machine: what it was, where, and all registers.

use super::last_words::{self, Cause};
use super::processor::fault_address;
use core::fmt;

/// What the exception stub leaves on its stack: ours first, then what the processor pushed.
#[derive(Debug)]
#[repr(C)]
pub(super) struct KernelFault {
    /// rax, rbx, rcx, rdx, rsi, rdi, rbp, r8 to r15.
    registers: [u64; 15],
    vector: u64,
    code: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

/// Ends the machine: an exception in kernel mode is our own mistake. Called by the exception stub alone.
pub(super) extern "sysv64" fn on_kernel_fault(fault: &KernelFault) -> ! {
    let address = fault_address();
    last_words::die(Cause::KernelFault, format_args!("{}", Dump(fault, address)))
}

/// A fault with the address that a page fault is about.
struct Dump<'a>(&'a KernelFault, u64);

impl fmt::Display for Dump<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 15] = [
            "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10", "r11", "r12",
            "r13", "r14", "r15",
        ];
        let Self(fault, address) = self;
        write!(
            f,
            "{} in the kernel, code {:#x}",
            name(fault.vector),
            fault.code
        )?;
        write!(
            f,
            "\n  rip={:016x} rsp={:016x} flags={:08x} cs={:x} ss={:x} cr2={address:016x}",
            fault.rip, fault.rsp, fault.rflags, fault.cs, fault.ss,
        )?;
        for (at, (name, value)) in NAMES.iter().zip(fault.registers).enumerate() {
            let start = if at % 4 == 0 { "\n" } else { "" };
            write!(f, "{start}  {name:>3}={value:016x}")?;
        }
        Ok(())
    }
}

/// Returns an exception's name (Intel SDM vol. 3, table 6-1).
fn name(vector: u64) -> &'static str {
    match vector {
        0 => "divide error",
        1 => "debug exception",
        3 => "breakpoint",
        4 => "overflow",
        5 => "bound range exceeded",
        6 => "invalid opcode",
        7 => "device not available",
        8 => "double fault",
        10 => "invalid task state segment",
        11 => "segment not present",
        12 => "stack-segment fault",
        13 => "general protection fault",
        14 => "page fault",
        16 => "x87 floating-point error",
        17 => "alignment check",
        18 => "machine check",
        19 => "SIMD floating-point exception",
        21 => "control protection exception",
        _ => "unknown exception",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_dump_names_vector_and_registers() {
        let fault = KernelFault {
            registers: core::array::from_fn(|at| at as u64),
            vector: 13,
            code: 0x18,
            rip: 0xffff_ffff_8010_0000,
            cs: 8,
            rflags: 2,
            rsp: 1,
            ss: 0,
        };
        let text = std::format!("{}", Dump(&fault, 0xdead_0000));
        assert!(text.starts_with("general protection fault in the kernel, code 0x18\n"));
        assert!(text.contains("rip=ffffffff80100000"));
        assert!(text.contains("cr2=00000000dead0000"));
        assert!(text.ends_with("r15=000000000000000e"));
    }
}
