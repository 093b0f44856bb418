//! Instructions that end a program, and those that fill and read its whole register file.

use core::arch::asm;
use core::hint::black_box;

/// An address in the kernel's half, where mote has its own text.
const KERNEL: u64 = 0xffff_ffff_8010_0000;
/// An address that no page table can map: bits 63 to 47 are not all the same.
const NON_CANONICAL: u64 = 0x8000_0000_0000_0000;

/// A way to break, and the signal that Linux ends the program by.
pub struct Fault {
    /// What it is called on the command line.
    pub name: &'static str,
    /// The number of the signal.
    pub signal: u8,
    /// Does it.
    pub commit: fn(),
}

const SIGILL: u8 = 4;
const SIGTRAP: u8 = 5;
const SIGBUS: u8 = 7;
const SIGFPE: u8 = 8;
const SIGSEGV: u8 = 11;

/// Every way to break that we know of.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "read-null",
        signal: SIGSEGV,
        commit: || load(0),
    },
    Fault {
        name: "write-null",
        signal: SIGSEGV,
        commit: || store(0),
    },
    Fault {
        name: "jump-null",
        signal: SIGSEGV,
        commit: || jump(0),
    },
    Fault {
        name: "read-kernel",
        signal: SIGSEGV,
        commit: || load(KERNEL),
    },
    Fault {
        name: "write-kernel",
        signal: SIGSEGV,
        commit: || store(KERNEL),
    },
    Fault {
        name: "jump-kernel",
        signal: SIGSEGV,
        commit: || jump(KERNEL),
    },
    Fault {
        name: "read-non-canonical",
        signal: SIGSEGV,
        commit: || load(NON_CANONICAL),
    },
    Fault {
        name: "write-non-canonical",
        signal: SIGSEGV,
        commit: || store(NON_CANONICAL),
    },
    Fault {
        name: "jump-non-canonical",
        signal: SIGSEGV,
        commit: || jump(NON_CANONICAL),
    },
    Fault {
        name: "push-non-canonical",
        signal: SIGBUS,
        commit: push_non_canonical,
    },
    Fault {
        name: "write-text",
        signal: SIGSEGV,
        commit: || store(load as *const () as u64),
    },
    Fault {
        name: "run-stack",
        signal: SIGSEGV,
        commit: run_stack,
    },
    Fault {
        name: "overflow-stack",
        signal: SIGSEGV,
        commit: overflow_stack,
    },
    Fault {
        name: "undefined",
        signal: SIGILL,
        commit: || undefined(),
    },
    Fault {
        name: "breakpoint",
        signal: SIGTRAP,
        commit: breakpoint,
    },
    Fault {
        name: "single-step",
        signal: SIGTRAP,
        commit: single_step,
    },
    Fault {
        name: "divide-by-zero",
        signal: SIGFPE,
        commit: divide_by_zero,
    },
    Fault {
        name: "divide-overflow",
        signal: SIGFPE,
        commit: divide_overflow,
    },
    Fault {
        name: "sse-divide",
        signal: SIGFPE,
        commit: sse_divide,
    },
    Fault {
        name: "x87-divide",
        signal: SIGFPE,
        commit: x87_divide,
    },
    Fault {
        name: "halt",
        signal: SIGSEGV,
        commit: halt,
    },
    Fault {
        name: "interrupts-off",
        signal: SIGSEGV,
        commit: interrupts_off,
    },
    Fault {
        name: "port",
        signal: SIGSEGV,
        commit: port,
    },
    Fault {
        name: "model-register",
        signal: SIGSEGV,
        commit: model_register,
    },
    Fault {
        name: "control-register",
        signal: SIGSEGV,
        commit: control_register,
    },
    Fault {
        name: "device-interrupt",
        signal: SIGSEGV,
        commit: device_interrupt,
    },
];

fn load(address: u64) {
    // SAFETY: where the address is mapped, reading a byte into a scratch register harms nothing; where it is not, the
    // process ends, which is what this is for.
    unsafe {
        asm!("mov {scratch:l}, [{address}]", scratch = out(reg) _, address = in(reg) address, options(nostack))
    };
}

fn store(address: u64) {
    // SAFETY: callers name addresses that a program cannot write, so the process ends.
    unsafe { asm!("mov byte ptr [{address}], 0", address = in(reg) address, options(nostack)) };
}

fn jump(address: u64) {
    // SAFETY: callers name addresses that a program cannot execute, so the process ends.
    unsafe { asm!("call {address}", address = in(reg) address, clobber_abi("C")) };
}

fn push_non_canonical() {
    // SAFETY: the process ends at the push, before the lost stack pointer matters.
    unsafe {
        asm!("mov rsp, {address}", "push rax", "ud2", address = in(reg) NON_CANONICAL + 8, options(noreturn))
    };
}

fn run_stack() {
    const RETURN: u8 = 0xc3;
    let code = black_box([RETURN; 16]);
    jump(black_box(&code).as_ptr() as u64);
}

fn overflow_stack() {
    black_box(deepen(u64::MAX));
}

/// Uses about 1 KiB of stack for every level.
pub fn deepen(levels: u64) -> u64 {
    let frame = black_box([levels as u8; 1024]);
    if levels == 0 {
        return frame[0].into();
    }
    deepen(levels - 1) + u64::from(black_box(&frame)[levels as usize % frame.len()])
}

/// The instruction that is defined to be undefined.
pub fn undefined() -> ! {
    // SAFETY: the process ends.
    unsafe { asm!("ud2", options(noreturn, nomem, nostack)) }
}

fn breakpoint() {
    // SAFETY: the process ends, or a debugger goes on behind it.
    unsafe { asm!("int3", options(nomem, nostack)) };
}

fn single_step() {
    // SAFETY: the trap flag ends the process behind the next instruction.
    unsafe { asm!("pushfq", "or dword ptr [rsp], 0x100", "popfq", "nop") };
}

fn divide_by_zero() {
    // SAFETY: the process ends.
    unsafe {
        asm!("div ecx", inout("eax") 1_u32 => _, inout("edx") 0_u32 => _, in("ecx") 0_u32, options(nostack))
    };
}

fn divide_overflow() {
    // SAFETY: the process ends: the quotient does not fit.
    unsafe {
        asm!("idiv ecx", inout("eax") i32::MIN => _, inout("edx") -1_i32 => _, in("ecx") -1_i32, options(nostack));
    }
}

fn sse_divide() {
    // All exceptions masked is 0x1f80; bit 9 is the mask of "divide by zero" (Intel SDM vol. 1, 10.2.3).
    let control = 0x1f80_u32 & !(1 << 9);
    // SAFETY: the process ends at the division; no other code sees the control word.
    unsafe {
        asm!(
            "ldmxcsr [{control}]",
            "xorps xmm1, xmm1",
            "cvtsi2ss xmm0, {one:e}",
            "divss xmm0, xmm1",
            control = in(reg) &raw const control,
            one = in(reg) 1,
            out("xmm0") _,
            out("xmm1") _,
            options(nostack),
        );
    }
}

fn x87_divide() {
    // All exceptions masked is 0x37f; bit 2 is the mask of "zero divide" (Intel SDM vol. 1, 8.1.5).
    let control = 0x37f_u16 & !(1 << 2);
    // SAFETY: the process ends at `fwait`; no other code sees the control word.
    unsafe {
        asm!(
            "fldcw [{control}]",
            "fldz",
            "fld1",
            "fdivrp",
            "fwait",
            control = in(reg) &raw const control,
            out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
            options(nostack),
        );
    }
}

fn halt() {
    // SAFETY: privileged; the process ends.
    unsafe { asm!("hlt", options(nomem, nostack)) };
}

fn interrupts_off() {
    // SAFETY: privileged; the process ends.
    unsafe { asm!("cli", options(nomem, nostack)) };
}

fn port() {
    // The debug exit of the test machines: if a program could write it, the whole VM would end.
    // SAFETY: privileged; the process ends.
    unsafe { asm!("out dx, eax", in("dx") 0xf4_u16, in("eax") 0_u32, options(nomem, nostack)) };
}

fn model_register() {
    // SAFETY: privileged; the process ends.
    unsafe {
        asm!("rdmsr", in("ecx") 0xc000_0080_u32, out("eax") _, out("edx") _, options(nomem, nostack))
    };
}

fn control_register() {
    // SAFETY: privileged; the process ends.
    unsafe { asm!("mov {scratch}, cr3", scratch = out(reg) _, options(nomem, nostack)) };
}

fn device_interrupt() {
    // SAFETY: only the kernel may enter this gate; the process ends.
    unsafe { asm!("int 0x20", options(nomem, nostack)) };
}

/// The vector registers: sixteen of 32 bytes. Without AVX only the first half of each is used.
#[repr(C, align(32))]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Vectors(pub [[u64; 4]; 16]);

/// Which vector registers the kernel lets programs use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VectorKind {
    /// 16 bytes each.
    Sse,
    /// 32 bytes each.
    Avx,
}

impl VectorKind {
    /// Asks the processor, as programs do: AVX counts only where the kernel switched it on (Intel SDM vol. 1, 14.3).
    pub fn of_this_machine() -> Self {
        const OSXSAVE_AVX: u32 = 1 << 27 | 1 << 28;
        const SSE_AVX_STATE: u32 = 0b110;
        let features = core::arch::x86_64::__cpuid(1).ecx;
        if features & OSXSAVE_AVX != OSXSAVE_AVX {
            return Self::Sse;
        }
        let enabled: u32;
        // SAFETY: the instruction exists where OSXSAVE is set, checked above.
        unsafe {
            asm!("xgetbv", in("ecx") 0, out("eax") enabled, out("edx") _, options(nomem, nostack))
        };
        if enabled & SSE_AVX_STATE == SSE_AVX_STATE {
            Self::Avx
        } else {
            Self::Sse
        }
    }
}

/// What happens between filling the registers and reading them back.
#[derive(Clone, Copy)]
pub struct Interlude {
    /// Turns of an empty loop: long enough to be preempted.
    pub spins: u64,
    /// `getpid` calls.
    pub calls: u64,
}

macro_rules! keep {
    ($load:literal, $register:literal, $pattern:expr, $interlude:expr) => {{
        let mut found = Vectors([[0; 4]; 16]);
        // SAFETY: sixteen loads and stores inside of the two aligned arrays; all registers touched are declared.
        unsafe {
            asm!(
                concat!($load, " ", $register, "0, [{from} + 0x000]"),
                concat!($load, " ", $register, "1, [{from} + 0x020]"),
                concat!($load, " ", $register, "2, [{from} + 0x040]"),
                concat!($load, " ", $register, "3, [{from} + 0x060]"),
                concat!($load, " ", $register, "4, [{from} + 0x080]"),
                concat!($load, " ", $register, "5, [{from} + 0x0a0]"),
                concat!($load, " ", $register, "6, [{from} + 0x0c0]"),
                concat!($load, " ", $register, "7, [{from} + 0x0e0]"),
                concat!($load, " ", $register, "8, [{from} + 0x100]"),
                concat!($load, " ", $register, "9, [{from} + 0x120]"),
                concat!($load, " ", $register, "10, [{from} + 0x140]"),
                concat!($load, " ", $register, "11, [{from} + 0x160]"),
                concat!($load, " ", $register, "12, [{from} + 0x180]"),
                concat!($load, " ", $register, "13, [{from} + 0x1a0]"),
                concat!($load, " ", $register, "14, [{from} + 0x1c0]"),
                concat!($load, " ", $register, "15, [{from} + 0x1e0]"),
                "2:",
                "sub {spins}, 1",
                "jns 2b",
                "3:",
                "sub {calls}, 1",
                "js 4f",
                "mov eax, 39", // getpid
                "syscall",
                "jmp 3b",
                "4:",
                concat!($load, " [{to} + 0x000], ", $register, "0"),
                concat!($load, " [{to} + 0x020], ", $register, "1"),
                concat!($load, " [{to} + 0x040], ", $register, "2"),
                concat!($load, " [{to} + 0x060], ", $register, "3"),
                concat!($load, " [{to} + 0x080], ", $register, "4"),
                concat!($load, " [{to} + 0x0a0], ", $register, "5"),
                concat!($load, " [{to} + 0x0c0], ", $register, "6"),
                concat!($load, " [{to} + 0x0e0], ", $register, "7"),
                concat!($load, " [{to} + 0x100], ", $register, "8"),
                concat!($load, " [{to} + 0x120], ", $register, "9"),
                concat!($load, " [{to} + 0x140], ", $register, "10"),
                concat!($load, " [{to} + 0x160], ", $register, "11"),
                concat!($load, " [{to} + 0x180], ", $register, "12"),
                concat!($load, " [{to} + 0x1a0], ", $register, "13"),
                concat!($load, " [{to} + 0x1c0], ", $register, "14"),
                concat!($load, " [{to} + 0x1e0], ", $register, "15"),
                from = in(reg) $pattern,
                to = in(reg) &mut found,
                spins = inout(reg) $interlude.spins => _,
                calls = inout(reg) $interlude.calls => _,
                out("rax") _, out("rcx") _, out("r11") _,
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                options(nostack),
            );
        }
        found
    }};
}

/// Fills the vector registers with `pattern`, passes the interlude, and returns what they hold then.
pub fn keep_vectors(kind: VectorKind, pattern: &Vectors, interlude: Interlude) -> Vectors {
    match kind {
        VectorKind::Sse => keep!("movdqu", "xmm", pattern, interlude),
        VectorKind::Avx => keep!("vmovdqu", "ymm", pattern, interlude),
    }
}

/// Sets the control words of SSE and x87, passes the interlude, and returns what they hold then; both are put back.
pub fn keep_controls(mxcsr: u32, x87: u16, interlude: Interlude) -> (u32, u16) {
    let mut saved = (0_u32, 0_u16);
    let mut found = (mxcsr, x87);
    // SAFETY: the pointers are to live variables; both control words are as before when the block ends.
    unsafe {
        asm!(
            "stmxcsr [{saved_mxcsr}]",
            "fnstcw [{saved_x87}]",
            "ldmxcsr [{mxcsr}]",
            "fldcw [{x87}]",
            "2:",
            "sub {spins}, 1",
            "jns 2b",
            "mov eax, 39", // getpid
            "syscall",
            "stmxcsr [{mxcsr}]",
            "fnstcw [{x87}]",
            "ldmxcsr [{saved_mxcsr}]",
            "fldcw [{saved_x87}]",
            saved_mxcsr = in(reg) &raw mut saved.0,
            saved_x87 = in(reg) &raw mut saved.1,
            mxcsr = in(reg) &raw mut found.0,
            x87 = in(reg) &raw mut found.1,
            spins = inout(reg) interlude.spins => _,
            out("rax") _, out("rcx") _, out("r11") _,
            options(nostack),
        );
    }
    found
}

/// Sets the control words of SSE and x87 and leaves them so; returns what they were.
///
/// Only for a signal handler, whose end puts back what the program had.
pub fn leave_controls(mxcsr: u32, x87: u16) -> (u32, u16) {
    let (mut new, mut old) = ((mxcsr, x87), (0_u32, 0_u16));
    // SAFETY: the pointers are to live variables. What compiled code expects of the control words holds again where the
    // handler has returned to.
    unsafe {
        asm!(
            "stmxcsr [{old_mxcsr}]",
            "fnstcw [{old_x87}]",
            "ldmxcsr [{new_mxcsr}]",
            "fldcw [{new_x87}]",
            old_mxcsr = in(reg) &raw mut old.0,
            old_x87 = in(reg) &raw mut old.1,
            new_mxcsr = in(reg) &raw mut new.0,
            new_x87 = in(reg) &raw mut new.1,
            options(nostack),
        );
    }
    old
}

/// The address of the program's first instruction.
pub fn entry_address() -> u64 {
    let address: u64;
    // SAFETY: computes an address.
    unsafe {
        asm!("lea {address}, [rip + _start]", address = out(reg) address, options(nomem, nostack, pure))
    };
    address
}

/// The processor's counter of time.
pub fn time_stamp() -> u64 {
    // SAFETY: every x86-64 processor has it, and reading it has no effect.
    unsafe { core::arch::x86_64::_rdtsc() }
}
