//! Entering user mode is a call that returns a reason.

use crate::clock::Instant;
use crate::frame::FramePool;
use crate::page_table::{KernelHalf, PageTable};
use crate::x86::extended;

/// Bytes of the extended state kept for each task: the legacy area, the XSAVE header and the AVX halves
/// (Intel SDM vol. 1, 13.4). `XCR0` is limited to x87, SSE and AVX, so a wider machine needs no more.
pub const EXTENDED_STATE_BYTES: usize = 832;

/// The general registers of a program, as a system call or a fault left them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[expect(missing_docs, reason = "the names are the architecture's")]
pub struct Registers {
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub rsp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rip: u64,
    pub rflags: u64,
    pub fs_base: u64,
    pub gs_base: u64,
}

/// Where MXCSR and the XMM registers stand in the legacy area (Intel SDM vol. 1, table 10-2).
pub(crate) const LEGACY_MXCSR: usize = 24;
pub(crate) const LEGACY_XMM: usize = 160;

/// x87, SSE and AVX state in the layout of XSAVE (or FXSAVE on a machine without it).
///
/// While the state is on loan to the processor, only MXCSR and the XMM registers in the bytes are current. Whoever runs
/// another program settles the loan of the one that ran before; everything that reads the bytes does so by itself.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct ExtendedState(
    [u8; EXTENDED_STATE_BYTES],
    /// The loan's number; 0 when all bytes are current.
    u64,
);

impl Clone for ExtendedState {
    /// Returns a settled copy; a loan stays with the original.
    fn clone(&self) -> Self {
        let mut copy = Self(self.0, 0);
        if extended::is_lent(self) {
            extended::complete(&mut copy);
        }
        copy
    }
}

impl ExtendedState {
    /// Returns the state a new program starts with: x87 and SSE exceptions masked, everything else zero
    /// (System V ABI AMD64, 3.4.1).
    #[must_use]
    pub const fn new() -> Self {
        let mut bytes = [0; EXTENDED_STATE_BYTES];
        // FCW = 0x037f, MXCSR = 0x1f80 (Intel SDM vol. 1, 10.5.1); XSTATE_BV bits 0 and 1 make XRSTOR load them.
        bytes[0] = 0x7f;
        bytes[1] = 0x03;
        bytes[24] = 0x80;
        bytes[25] = 0x1f;
        bytes[512] = 0x03;
        Self(bytes, 0)
    }

    /// Makes all bytes current and ends the loan: before another program runs.
    #[inline(never)]
    pub fn settle(&mut self) {
        if extended::is_lent(self) {
            extended::complete(self);
            self.1 = 0;
        }
    }

    pub(crate) const fn loan(&self) -> u64 {
        self.1
    }

    pub(crate) const fn set_loan(&mut self, loan: u64) {
        self.1 = loan;
    }

    pub(crate) const fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    /// Forgets components that this processor does not have: XRSTOR would refuse them.
    pub(crate) const fn limit_components(&mut self, components: u64) {
        if components != 0 {
            self.0[512] &= components as u8;
        }
    }

    /// Takes over a state that a program kept in its memory (a signal frame). What the processor would refuse is
    /// cleared: unknown features, the compacted form, reserved bits of MXCSR (Intel SDM vol. 1, 13.4.2, 10.2.3).
    pub fn restore(&mut self, bytes: &[u8; EXTENDED_STATE_BYTES]) {
        self.1 = 0;
        self.0.copy_from_slice(bytes);
        self.0[26..28].fill(0);
        self.0[512] &= 0x07;
        self.0[513..576].fill(0);
    }

    /// Returns the raw bytes, all of them current.
    #[must_use]
    pub fn as_bytes(&mut self) -> &[u8; EXTENDED_STATE_BYTES] {
        self.settle();
        &self.0
    }
}

impl Default for ExtendedState {
    fn default() -> Self {
        Self::new()
    }
}

/// What a program is told of itself at once: calls that ask who it is are answered where they enter, without leaving user
/// mode for its caller. Their answers cannot change while the program runs, because nothing else does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Identity {
    /// For getpid(2).
    pub process: u64,
    /// For gettid(2).
    pub thread: u64,
    /// For getppid(2).
    pub parent: u64,
    /// For getuid(2).
    pub user: u64,
    /// For geteuid(2).
    pub effective_user: u64,
    /// For getgid(2).
    pub group: u64,
    /// For getegid(2).
    pub effective_group: u64,
}

/// The numbers of those calls (Linux arch/x86/entry/syscalls/syscall_64.tbl).
impl Identity {
    pub(crate) const PROCESS: u32 = 39;
    pub(crate) const USER: u32 = 102;
    pub(crate) const GROUP: u32 = 104;
    pub(crate) const EFFECTIVE_USER: u32 = 107;
    pub(crate) const EFFECTIVE_GROUP: u32 = 108;
    pub(crate) const PARENT: u32 = 110;
    pub(crate) const THREAD: u32 = 186;
    /// The highest of them.
    pub(crate) const LAST: u32 = Self::THREAD;

    /// A bit for each.
    pub(crate) const NUMBERS: [u64; 3] = {
        let numbers = [
            Self::PROCESS,
            Self::USER,
            Self::GROUP,
            Self::EFFECTIVE_USER,
            Self::EFFECTIVE_GROUP,
            Self::PARENT,
            Self::THREAD,
        ];
        let mut bits = [0; 3];
        let mut at = 0;
        while at < numbers.len() {
            bits[numbers[at] as usize / 64] |= 1 << (numbers[at] % 64);
            at += 1;
        }
        bits
    };

    /// Returns the answer to a call with this number; `None` for all others, which reach the kernel.
    #[must_use]
    pub const fn answer(&self, number: u64) -> Option<u64> {
        Some(match number as u32 {
            Self::PROCESS => self.process,
            Self::THREAD => self.thread,
            Self::PARENT => self.parent,
            Self::USER => self.user,
            Self::EFFECTIVE_USER => self.effective_user,
            Self::GROUP => self.group,
            Self::EFFECTIVE_GROUP => self.effective_group,
            _ => return None,
        })
    }
}

/// Everything of a task that lives in the processor while it runs.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub struct Context {
    /// General registers, instruction pointer, flags and segment bases. Whatever stands in `rflags`, the program runs
    /// with interrupts on and without privileges; a non-canonical `rip` is a fault of the program.
    pub registers: Registers,
    /// Who it is, set by the kernel before it runs.
    pub identity: Identity,
    /// Floating point and vector state.
    pub extended: ExtendedState,
}

/// An exception a program caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The exception's vector (Intel SDM vol. 3, table 6-1).
    pub vector: u8,
    /// The error code, 0 for a vector that has none.
    pub code: u32,
    /// The address that faulted, for vector 14 (page fault); otherwise 0.
    pub address: u64,
}

impl Fault {
    /// The page fault vector.
    pub const PAGE: u8 = 14;

    /// Returns whether a page fault happened on a write (Intel SDM vol. 3, 4.7).
    #[must_use]
    pub const fn is_write(&self) -> bool {
        self.code & 2 != 0
    }

    /// Returns whether a page fault happened on an access of the processor's own, as to a descriptor.
    #[must_use]
    pub const fn is_implicit(&self) -> bool {
        self.code & 4 == 0
    }

    /// Returns whether a page fault happened on an instruction fetch.
    #[must_use]
    pub const fn is_fetch(&self) -> bool {
        self.code & 16 != 0
    }
}

/// Why a program is not running any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// It asked for a system call: number in `rax`, arguments in `rdi rsi rdx r10 r8 r9`; the result goes to `rax`.
    Syscall,
    /// It caused an exception.
    Fault(Fault),
    /// A device wants attention; nothing happened to the program.
    Interrupt,
    /// Its time is up.
    Deadline,
}

/// What happened to a processor, for who looks into a machine from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Waits in which the processor was halted.
    pub halts: u64,
    /// Interrupts that devices made.
    pub device_interrupts: u64,
}

/// The processor's user mode.
pub trait User {
    /// Returns the upper half that every page table of this machine has in common.
    fn kernel_half(&self) -> KernelHalf;

    /// Returns what the processor has counted since it was set up.
    fn counts(&self) -> Counts;

    /// Runs the program described by `context` on `space` until it traps, a device interrupts, or `deadline` comes.
    ///
    /// Afterwards `context.extended` may be on loan ([`ExtendedState::settle`]): it is settled before another one runs.
    ///
    /// `pool` is the memory the program runs on; borrowing it exclusively proves that no slice of it is alive.
    fn run(
        &mut self,
        pool: &mut FramePool,
        space: &mut PageTable,
        context: &mut Context,
        deadline: Instant,
    ) -> Trap;
}
