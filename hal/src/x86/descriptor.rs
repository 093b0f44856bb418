//! Segments, the task state segment and the interrupt descriptor table (Intel SDM vol. 3, 3.4, 7.7, 6.14).
//!
//! Every gate switches to a stack of its own kind, because compiled kernel code uses the 128 bytes below its stack
//! pointer (the red zone) and an exception on the same stack would overwrite them.

use super::exclusive::Exclusive;
use super::trap;
use crate::limits::PAGE_BYTES;
use core::arch::asm;
use core::cell::UnsafeCell;

/// Kernel code.
pub(crate) const KERNEL_CODE: u16 = 0x08;
/// Kernel data; `syscall` takes it as the selector behind [`KERNEL_CODE`].
pub(crate) const KERNEL_DATA: u16 = 0x10;
/// User data, as `sysret` computes it: `STAR[63:48] + 8`, privilege 3.
pub(crate) const USER_DATA: u16 = 0x18 | 3;
/// User code, as `sysret` computes it: `STAR[63:48] + 16`, privilege 3.
pub(crate) const USER_CODE: u16 = 0x20 | 3;
/// The task state segment.
const TASK_STATE: u16 = 0x28;

/// A stack above a page that is never mapped. Only the processor ever writes to it.
#[repr(C, align(4096))]
struct Guarded<const N: usize>(UnsafeCell<[u8; PAGE_BYTES]>, UnsafeCell<[u8; N]>);

// SAFETY: Rust never forms a reference to the content.
unsafe impl<const N: usize> Sync for Guarded<N> {}

impl<const N: usize> Guarded<N> {
    const fn new() -> Self {
        Self(UnsafeCell::new([0; PAGE_BYTES]), UnsafeCell::new([0; N]))
    }

    fn guard(&self) -> u64 {
        self.0.get().expose_provenance() as u64
    }

    fn top(&self) -> u64 {
        self.1.get().expose_provenance() as u64 + N as u64
    }
}

/// Where the last words of a kernel fault are formed.
static EXCEPTION_STACK: Guarded<8192> = Guarded::new();
/// Interrupt stubs push a handful of words.
static INTERRUPT_STACK: Guarded<4096> = Guarded::new();
/// May arrive at any instruction, also on the other stacks.
static NMI_STACK: Guarded<4096> = Guarded::new();
/// The last resort: the other stacks may be what is broken.
static DOUBLE_FAULT_STACK: Guarded<8192> = Guarded::new();

/// Numbers of the stacks in the task state segment (IST1 to IST4).
#[derive(Clone, Copy)]
enum Stack {
    Exception = 1,
    Interrupt = 2,
    Nmi = 3,
    DoubleFault = 4,
}

#[repr(C, align(16))]
struct Tables {
    segments: [u64; 7],
    /// 104 bytes, of which we use the stack pointers (offset 36 for IST1) and the I/O map base (offset 102).
    task_state: [u32; 26],
}

/// The gates; apart from the rest, because they are all zeros in the image.
static GATES: Exclusive<[[u64; 2]; 256]> = Exclusive::new([[0; 2]; 256]);

static TABLES: Exclusive<Tables> = Exclusive::new(Tables {
    segments: [
        0,
        0x00af_9b00_0000_ffff,
        0x00cf_9300_0000_ffff,
        0x00cf_f300_0000_ffff,
        0x00af_fb00_0000_ffff,
        0,
        0,
    ],
    task_state: [0; 26],
});

/// Returns the virtual addresses of the pages that must not be mapped.
#[must_use]
pub fn guard_pages() -> [u64; 4] {
    [
        EXCEPTION_STACK.guard(),
        INTERRUPT_STACK.guard(),
        NMI_STACK.guard(),
        DOUBLE_FAULT_STACK.guard(),
    ]
}

/// Makes segments, task state and gates ours.
///
/// # Safety
///
/// Runs once, in ring 0, in the image of `boot`; interrupts are off.
pub unsafe fn install() {
    let segments = TABLES.with(|tables| {
        let stacks = [
            EXCEPTION_STACK.top(),
            INTERRUPT_STACK.top(),
            NMI_STACK.top(),
            DOUBLE_FAULT_STACK.top(),
        ];
        for (slot, top) in stacks.into_iter().enumerate() {
            tables.task_state[9 + 2 * slot] = top as u32;
            tables.task_state[10 + 2 * slot] = (top >> 32) as u32;
        }
        // The I/O map lies behind the limit: user mode has no ports.
        tables.task_state[25] = (size_of_val(&tables.task_state) as u32) << 16;
        let base = tables.task_state.as_ptr().expose_provenance() as u64;
        let limit = size_of_val(&tables.task_state) as u64 - 1;
        // Present, 64-bit available task state segment, split base.
        tables.segments[5] =
            limit | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56;
        tables.segments[6] = base >> 32;
        pointer(&tables.segments)
    });
    let gates = GATES.with(|gates| {
        for (vector, gate) in (0..=u8::MAX).zip(gates.iter_mut()) {
            *gate = gate_of(vector);
        }
        pointer(gates)
    });
    let (Some(segments), Some(gates)) = (segments, gates) else {
        unreachable!("nothing else borrows the tables");
    };
    // SAFETY: the table is static and holds the same kernel code and data at the same selectors as the entry code's.
    unsafe { asm!("lgdt [{}]", in(reg) &raw const segments, options(nostack, preserves_flags)) };
    // SAFETY: the selector is kernel code of the table just loaded; the far return lands on the next instruction.
    unsafe {
        asm!(
            "push {code}",
            "lea {scratch}, [rip + 2f]",
            "push {scratch}",
            "retfq",
            "2:",
            code = const KERNEL_CODE as i32,
            scratch = out(reg) _,
        );
    }
    // SAFETY: the selector is kernel data of the table just loaded.
    unsafe { asm!("mov ss, {0:x}", in(reg) KERNEL_DATA, options(nostack, preserves_flags)) };
    // SAFETY: the selector names the task state segment written above.
    unsafe { asm!("ltr {0:x}", in(reg) TASK_STATE, options(nostack, preserves_flags)) };
    // Without this the processor's first one stays: 64 KiB of descriptors at address 0, where a program has memory.
    // SAFETY: no selector of the kernel names the local table, which there is none of now.
    unsafe { asm!("lldt {0:x}", in(reg) 0_u16, options(nostack, preserves_flags)) };
    // SAFETY: every gate points to a stub that keeps its contract.
    unsafe { asm!("lidt [{}]", in(reg) &raw const gates, options(nostack, preserves_flags)) };
}

/// The operand of `lgdt` and `lidt`.
#[repr(C, packed)]
struct TablePointer {
    limit: u16,
    base: u64,
}

fn pointer<T>(table: &T) -> TablePointer {
    TablePointer {
        limit: size_of::<T>() as u16 - 1,
        base: core::ptr::from_ref(table).expose_provenance() as u64,
    }
}

/// Makes a gate: interrupts off, on the stack of its kind, callable from user mode only for INT3.
fn gate_of(vector: u8) -> [u64; 2] {
    let stack = match vector {
        trap::NMI => Stack::Nmi,
        trap::DOUBLE_FAULT | trap::MACHINE_CHECK => Stack::DoubleFault,
        0..trap::FIRST_INTERRUPT => Stack::Exception,
        _ => Stack::Interrupt,
    };
    let privilege = if vector == trap::BREAKPOINT { 3 } else { 0 };
    let entry = trap::stub(vector);
    let low = entry & 0xffff
        | u64::from(KERNEL_CODE) << 16
        | (stack as u64) << 32
        | (0x8e | privilege << 5) << 40
        | (entry >> 16 & 0xffff) << 48;
    [low, entry >> 32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_breakpoint_may_be_raised_by_a_program() {
        for vector in 0..=255 {
            let privilege = gate_of(vector)[0] >> 45 & 3;
            assert_eq!(privilege == 3, vector == trap::BREAKPOINT, "{vector}");
        }
    }

    #[test]
    fn every_gate_is_present_and_changes_the_stack() {
        for vector in 0..=255 {
            let gate = gate_of(vector)[0];
            assert_eq!(gate >> 40 & 0x9f, 0x8e, "{vector}");
            assert_ne!(gate >> 32 & 7, 0, "{vector}");
        }
    }

    #[test]
    fn nmi_and_double_fault_have_stacks_of_their_own() {
        let stack = |vector| gate_of(vector)[0] >> 32 & 7;
        let page_fault = stack(14);
        assert_eq!(stack(trap::NMI), Stack::Nmi as u64);
        assert_eq!(stack(trap::DOUBLE_FAULT), Stack::DoubleFault as u64);
        assert_eq!(page_fault, Stack::Exception as u64);
        assert_eq!(stack(trap::TIMER), Stack::Interrupt as u64);
    }
}
