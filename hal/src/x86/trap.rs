//! The way into user mode and every way back, in assembly.
//!
//! ```text
//!                   user mode ──who am I?──────► answer from the context, back
//! enter(context) ──► user mode ──syscall───────► save ─┐
//!                              ──exception─────► save ─┼─► leave: vector registers, kernel stack ──► returns to enter's
//!                              ──interrupt─────► save ─┘                                          caller with the vector
//! kernel, idle in hlt ──interrupt──► count, acknowledge, back
//! kernel, anywhere    ──exception──► last words (`fault`)
//! kernel or user      ──NMI────────► count, back
//! ```
//!
//! Interrupts are enabled in two places only: in user mode, and between the `sti; hlt` and `cli` of the idle wait. So
//! the stubs need no stack discipline, and those that return to the kernel stay in assembly: Rust would use SSE
//! registers, which nobody saved.

use super::descriptor::{USER_CODE, USER_DATA};
use super::exclusive::Exclusive;
use super::fault;
use crate::user::{Context, Identity, LEGACY_MXCSR, LEGACY_XMM, Registers};
use core::arch::{global_asm, naked_asm};
use core::cell::UnsafeCell;
use core::mem::offset_of;

/// The breakpoint vector, which `int3` raises (Intel SDM vol. 3, table 6-1).
pub(crate) const BREAKPOINT: u8 = 3;
/// The non-maskable interrupt.
pub(crate) const NMI: u8 = 2;
/// An exception while an exception was delivered.
pub(crate) const DOUBLE_FAULT: u8 = 8;
/// A hardware error.
pub(crate) const MACHINE_CHECK: u8 = 18;
/// Exceptions with an error code, a bit each (Intel SDM vol. 3, table 6-1; AMD's 29 and 30).
const WITH_CODE: u32 = 0x6022_7d00;
/// Vectors below are exceptions.
pub(crate) const FIRST_INTERRUPT: u8 = 32;

/// The local timer's vector.
pub(crate) const TIMER: u8 = 0x40;
/// The vector that all devices share: it says "look", and the loop looks at every ring anyway.
pub const DEVICE: u8 = 0x50;
/// The spurious vector, which is not acknowledged (Intel SDM vol. 3, 10.9).
pub(crate) const SPURIOUS: u8 = 0xff;
/// What `enter` returns for a system call: no vector.
pub(crate) const SYSCALL: u64 = 256;

/// What the stubs share with Rust. Rust touches it only while no stub can run.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Scratch {
    /// Where registers go; set by `enter`.
    context: *mut Context,
    /// The kernel's stack pointer while user mode runs.
    kernel_stack: u64,
    /// The user's stack pointer while a stub sorts its registers.
    user_stack: u64,
    /// Why user mode ended: a vector, or [`SYSCALL`].
    vector: u64,
    /// Error code of the exception that ended it.
    pub(crate) code: u64,
    /// The acknowledge register of the local interrupt controller; null where it is a model-specific register.
    pub(crate) acknowledge: *mut u32,
    /// Timer interrupts that came in kernel mode.
    pub(crate) timer_count: u64,
    /// Device interrupts; those that ended user mode are added by Rust.
    pub(crate) device_count: u64,
    /// Interrupts nobody asked for.
    pub(crate) stray_count: u64,
    /// Non-maskable interrupts.
    pub(crate) nmi_count: u64,
    /// Components to XSAVE and XRSTOR; 0 means FXSAVE and FXRSTOR.
    pub(crate) components: u64,
}

/// A cell that stubs reach by name.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct ScratchCell(UnsafeCell<Scratch>);

// SAFETY: there is one processor, and its kernel is not interrupted while it uses the scratch (module doc).
unsafe impl Sync for ScratchCell {}

static SCRATCH: ScratchCell = ScratchCell(UnsafeCell::new(Scratch {
    context: core::ptr::null_mut(),
    kernel_stack: 0,
    user_stack: 0,
    vector: 0,
    code: 0,
    acknowledge: core::ptr::null_mut(),
    timer_count: 0,
    device_count: 0,
    stray_count: 0,
    nmi_count: 0,
    components: 0,
}));

/// Returns what `read` makes of the scratch.
pub(crate) fn scratch<R>(read: impl FnOnce(&Scratch) -> R) -> R {
    // SAFETY: no stub runs while kernel code does, except those that only count; the reference ends with `read`.
    read(unsafe { &*SCRATCH.0.get() })
}

/// Lends the scratch for changing.
///
/// # Safety
///
/// `change` keeps `acknowledge` null or pointing to the acknowledge register, and `components` a subset of XCR0 (or 0).
pub(crate) unsafe fn configure(change: impl FnOnce(&mut Scratch)) {
    // SAFETY: as in `scratch`; interrupts are off, and `enter` is not running.
    change(unsafe { &mut *SCRATCH.0.get() });
}

const fn register(offset: usize) -> usize {
    offset_of!(Context, registers) + offset
}

const fn identity(offset: usize) -> usize {
    offset_of!(Context, identity) + offset
}

/// Runs user mode until it traps; returns the vector, or [`SYSCALL`].
///
/// # Safety
///
/// The loaded page tables are the program's. `context` is valid, its `rip` and bases are canonical, its `rflags` allow
/// interrupts and no privilege, and its extended state is on loan (see [`super::extended`]).
///
/// Leaves by `sysret` exactly when that loses nothing: it sets `rip` from `rcx` and the flags from `r11`, which is what
/// a context holds after a system call, because `syscall` put them there. Otherwise by `iretq`.
#[unsafe(naked)]
pub(crate) unsafe extern "sysv64" fn enter(context: *mut Context) -> u64 {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rip + {scratch} + {kernel_stack}], rsp",
        "mov [rip + {scratch} + {context}], rdi",
        // By halves: for a load of a whole register QEMU's translator takes three times as long as for these two.
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "movq xmm\\n, [rdi + {xmm} + 16 * \\n]",
        "movhps xmm\\n, [rdi + {xmm} + 16 * \\n + 8]",
        ".endr",
        "ldmxcsr [rdi + {mxcsr}]",
        "mov rcx, [rdi + {rip}]",
        "mov r11, [rdi + {rflags}]",
        "mov rax, [rdi + {rax}]",
        "mov rbx, [rdi + {rbx}]",
        "mov rdx, [rdi + {rdx}]",
        "mov rsi, [rdi + {rsi}]",
        "mov rbp, [rdi + {rbp}]",
        "mov r8,  [rdi + {r8}]",
        "mov r9,  [rdi + {r9}]",
        "mov r10, [rdi + {r10}]",
        "mov r12, [rdi + {r12}]",
        "mov r13, [rdi + {r13}]",
        "mov r14, [rdi + {r14}]",
        "mov r15, [rdi + {r15}]",
        "cmp rcx, [rdi + {rcx}]",
        "jne 4f",
        "cmp r11, [rdi + {r11}]",
        "jne 4f",
        "bt r11d, 8", // single-step: only iretq starts it after exactly one instruction
        "jc 4f",
        "mov rsp, [rdi + {rsp}]",
        "mov rdi, [rdi + {rdi}]",
        "sysretq",
        "4:",
        "push {user_data}",
        "push [rdi + {rsp}]",
        "push r11",
        "push {user_code}",
        "push rcx",
        "mov rcx, [rdi + {rcx}]",
        "mov r11, [rdi + {r11}]",
        "mov rdi, [rdi + {rdi}]",
        "iretq",
        scratch = sym SCRATCH,
        kernel_stack = const offset_of!(Scratch, kernel_stack),
        context = const offset_of!(Scratch, context),
        xmm = const offset_of!(Context, extended) + LEGACY_XMM,
        mxcsr = const offset_of!(Context, extended) + LEGACY_MXCSR,
        user_data = const USER_DATA as i32,
        user_code = const USER_CODE as i32,
        rax = const register(offset_of!(Registers, rax)),
        rbx = const register(offset_of!(Registers, rbx)),
        rcx = const register(offset_of!(Registers, rcx)),
        rdx = const register(offset_of!(Registers, rdx)),
        rsi = const register(offset_of!(Registers, rsi)),
        rdi = const register(offset_of!(Registers, rdi)),
        rbp = const register(offset_of!(Registers, rbp)),
        rsp = const register(offset_of!(Registers, rsp)),
        r8 = const register(offset_of!(Registers, r8)),
        r9 = const register(offset_of!(Registers, r9)),
        r10 = const register(offset_of!(Registers, r10)),
        r11 = const register(offset_of!(Registers, r11)),
        r12 = const register(offset_of!(Registers, r12)),
        r13 = const register(offset_of!(Registers, r13)),
        r14 = const register(offset_of!(Registers, r14)),
        r15 = const register(offset_of!(Registers, r15)),
        rip = const register(offset_of!(Registers, rip)),
        rflags = const register(offset_of!(Registers, rflags)),
    )
}

global_asm!(
    r#"
// The target of `syscall`: rcx = rip, r11 = flags, everything else as the program had it, rsp too. SFMASK has cleared
// the flags that matter to us.
//
// Who a program is does not change while it runs: the calls that ask for it are answered here, with nothing touched but
// rax. Under single-step they take the long way, for the reason that `enter` has.
.section .text.trap, "ax"
.balign 16
mote_trap_syscall:
    cmp eax, {last}
    ja 4f
    bt dword ptr [rip + mote_identity_numbers], eax
    jc 5f
4:  mov [rip + {scratch} + {user_stack}], rsp
    mov rsp, [rip + {scratch} + {context}]
    mov [rsp + {rax}], rax
    mov [rsp + {rdi}], rdi
    mov [rsp + {rip}], rcx
    mov [rsp + {rflags}], r11
    mov rdi, rsp
    mov rax, [rip + {scratch} + {user_stack}]
    mov [rdi + {rsp}], rax
    mov qword ptr [rip + {scratch} + {vector}], {syscall}
    jmp mote_trap_leave

5:  bt r11d, 8
    jc 4b
.macro mote_identity number, answer
    cmp eax, \number
    jne 6f
    mov rax, [rip + {scratch} + {context}]
    mov rax, [rax + \answer]
    sysretq
6:
.endm
    mote_identity {getpid}, {process}
    mote_identity {gettid}, {thread}
    mote_identity {getuid}, {user}
    mote_identity {geteuid}, {effective_user}
    mote_identity {getgid}, {group}
    mote_identity {getegid}, {effective_group}
    mote_identity {getppid}, {parent}
    jmp 4b

.balign 8
mote_identity_numbers:
    .quad {numbers_0}, {numbers_1}, {numbers_2}

// An exception or interrupt from user mode. On the stack: vector, code, rip, cs, flags, rsp, ss.
.balign 16
mote_trap_from_user:
    push rdi
    mov rdi, [rip + {scratch} + {context}]
    mov [rdi + {rax}], rax
    pop rax
    mov [rdi + {rdi}], rax
    pop rax
    mov [rip + {scratch} + {vector}], rax
    pop rax
    mov [rip + {scratch} + {code}], rax
    pop rax
    mov [rdi + {rip}], rax
    pop rax
    pop rax
    mov [rdi + {rflags}], rax
    pop rax
    mov [rdi + {rsp}], rax
    // The program's flags are still on: alignment check would switch SMAP off, direction would break copies.
    push 2
    popfq

// rdi = context; rax, rdi, rip, rflags and rsp are saved, and vector (and code) set.
mote_trap_leave:
    mov [rdi + {rbx}], rbx
    mov [rdi + {rcx}], rcx
    mov [rdi + {rdx}], rdx
    mov [rdi + {rsi}], rsi
    mov [rdi + {rbp}], rbp
    mov [rdi + {r8}], r8
    mov [rdi + {r9}], r9
    mov [rdi + {r10}], r10
    mov [rdi + {r11}], r11
    mov [rdi + {r12}], r12
    mov [rdi + {r13}], r13
    mov [rdi + {r14}], r14
    mov [rdi + {r15}], r15
    mov rsp, [rip + {scratch} + {kernel_stack}]
.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movaps [rdi + {xmm} + 16 * \n], xmm\n
.endr
    stmxcsr [rdi + {mxcsr}]
    push 0x1f80                         // all SSE exceptions masked, round to nearest
    ldmxcsr [rsp]
    pop rax
    mov rax, [rip + {scratch} + {vector}]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

// Interrupts: from user mode they end it; in the idle wait they are counted and acknowledged.
.macro mote_interrupt name, vector, count
.balign 16
\name:
    test byte ptr [rsp + 8], 3
    jz 2f
    push 0
    push \vector
    jmp mote_trap_from_user
2:  inc qword ptr [rip + {scratch} + \count]
    jmp mote_trap_acknowledge
.endm

mote_interrupt mote_trap_timer, {timer_vector}, {timer_count}
mote_interrupt mote_trap_device, {device_vector}, {device_count}

.balign 16
mote_trap_stray:                        // a vector nobody uses
    inc qword ptr [rip + {scratch} + {stray_count}]

mote_trap_acknowledge:
    push rax
    mov rax, [rip + {scratch} + {acknowledge}]
    test rax, rax
    jz 2f
    mov dword ptr [rax], 0
    pop rax
    iretq
2:  push rcx
    push rdx
    mov ecx, 0x80b                      // x2APIC end of interrupt
    xor eax, eax
    xor edx, edx
    wrmsr
    pop rdx
    pop rcx
    pop rax
    iretq

.balign 16
mote_trap_spurious:
    inc qword ptr [rip + {scratch} + {stray_count}]
    iretq

.balign 16
mote_trap_nmi:
    inc qword ptr [rip + {scratch} + {nmi_count}]
    iretq

// Exceptions 0 to 31, one stub of 16 bytes each. Those without an error code push 0 in its place.
.balign 16
mote_trap_exceptions:
.set vector, 0
.rept 32
    .balign 16
    .if !(({with_code} >> vector) & 1)
    push 0
    .endif
    push vector
    jmp mote_trap_exception
    .set vector, vector + 1
.endr

.balign 16
mote_trap_exception:
    test byte ptr [rsp + 24], 3
    jnz mote_trap_from_user
    push r15
    push r14
    push r13
    push r12
    push r11
    push r10
    push r9
    push r8
    push rbp
    push rdi
    push rsi
    push rdx
    push rcx
    push rbx
    push rax
    cld
    mov rdi, rsp
    and rsp, -16
    call {fault}
    ud2
"#,
    scratch = sym SCRATCH,
    fault = sym fault::on_kernel_fault,
    with_code = const WITH_CODE,
    last = const Identity::LAST,
    numbers_0 = const Identity::NUMBERS[0],
    numbers_1 = const Identity::NUMBERS[1],
    numbers_2 = const Identity::NUMBERS[2],
    getpid = const Identity::PROCESS,
    gettid = const Identity::THREAD,
    getuid = const Identity::USER,
    geteuid = const Identity::EFFECTIVE_USER,
    getgid = const Identity::GROUP,
    getegid = const Identity::EFFECTIVE_GROUP,
    getppid = const Identity::PARENT,
    process = const identity(offset_of!(Identity, process)),
    thread = const identity(offset_of!(Identity, thread)),
    user = const identity(offset_of!(Identity, user)),
    effective_user = const identity(offset_of!(Identity, effective_user)),
    group = const identity(offset_of!(Identity, group)),
    effective_group = const identity(offset_of!(Identity, effective_group)),
    parent = const identity(offset_of!(Identity, parent)),
    syscall = const SYSCALL,
    timer_vector = const TIMER as i32,
    device_vector = const DEVICE as i32,
    kernel_stack = const offset_of!(Scratch, kernel_stack),
    user_stack = const offset_of!(Scratch, user_stack),
    context = const offset_of!(Scratch, context),
    vector = const offset_of!(Scratch, vector),
    code = const offset_of!(Scratch, code),
    acknowledge = const offset_of!(Scratch, acknowledge),
    timer_count = const offset_of!(Scratch, timer_count),
    device_count = const offset_of!(Scratch, device_count),
    stray_count = const offset_of!(Scratch, stray_count),
    nmi_count = const offset_of!(Scratch, nmi_count),
    xmm = const offset_of!(Context, extended) + LEGACY_XMM,
    mxcsr = const offset_of!(Context, extended) + LEGACY_MXCSR,
    rax = const register(offset_of!(Registers, rax)),
    rbx = const register(offset_of!(Registers, rbx)),
    rcx = const register(offset_of!(Registers, rcx)),
    rdx = const register(offset_of!(Registers, rdx)),
    rsi = const register(offset_of!(Registers, rsi)),
    rdi = const register(offset_of!(Registers, rdi)),
    rbp = const register(offset_of!(Registers, rbp)),
    rsp = const register(offset_of!(Registers, rsp)),
    r8 = const register(offset_of!(Registers, r8)),
    r9 = const register(offset_of!(Registers, r9)),
    r10 = const register(offset_of!(Registers, r10)),
    r11 = const register(offset_of!(Registers, r11)),
    r12 = const register(offset_of!(Registers, r12)),
    r13 = const register(offset_of!(Registers, r13)),
    r14 = const register(offset_of!(Registers, r14)),
    r15 = const register(offset_of!(Registers, r15)),
    rip = const register(offset_of!(Registers, rip)),
    rflags = const register(offset_of!(Registers, rflags)),
);

unsafe extern "C" {
    fn mote_trap_syscall();
    fn mote_trap_timer();
    fn mote_trap_device();
    fn mote_trap_stray();
    fn mote_trap_spurious();
    fn mote_trap_nmi();
    fn mote_trap_exceptions();
}

/// Returns the address of a vector's stub.
pub(crate) fn stub(vector: u8) -> u64 {
    let address = |stub: unsafe extern "C" fn()| stub as usize as u64;
    match vector {
        NMI => address(mote_trap_nmi),
        0..FIRST_INTERRUPT => address(mote_trap_exceptions) + 16 * u64::from(vector),
        TIMER => address(mote_trap_timer),
        DEVICE => address(mote_trap_device),
        SPURIOUS => address(mote_trap_spurious),
        _ => address(mote_trap_stray),
    }
}

/// Returns the address that `syscall` jumps to.
pub(crate) fn syscall_stub() -> u64 {
    mote_trap_syscall as *const () as usize as u64
}

/// Returns how many interrupts devices have made.
#[must_use]
pub fn device_interrupts() -> u64 {
    scratch(|scratch| scratch.device_count)
}

/// Non-maskable interrupts that were reported already.
static REPORTED_NMIS: Exclusive<u64> = Exclusive::new(0);

/// Logs non-maskable interrupts that came since the last call: only a VMM sends them, usually because somebody asks
/// whether we are alive.
pub fn report_nmis() {
    let count = scratch(|scratch| scratch.nmi_count);
    let news = REPORTED_NMIS.with(|known| core::mem::replace(known, count) != count);
    if news == Some(true) {
        log::warn!("non-maskable interrupt (number {count})");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_with_an_error_code_are_those_of_the_manual() {
        let with_code: u32 = [8, 10, 11, 12, 13, 14, 17, 21, 29, 30]
            .iter()
            .map(|vector| 1 << vector)
            .sum();
        assert_eq!(with_code, WITH_CODE);
    }
}
