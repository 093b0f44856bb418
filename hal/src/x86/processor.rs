//! The processor: its features, its page table root, and user mode.

use super::apic::Timer;
use super::descriptor::{KERNEL_CODE, KERNEL_DATA};
use super::extended;
use super::memory::read_entry;
use super::trap::{self, SYSCALL};
use super::tsc::Tsc;
use crate::clock::{Clock, Instant};
use crate::frame::FramePool;
use crate::page_table::{KernelHalf, Page, PageTable, Stale};
use crate::user::{Context, Counts, Fault, Trap, User};
use core::arch::asm;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::sync::atomic::{AtomicU64, Ordering};

/// Model-specific registers (Intel SDM vol. 4).
mod msr {
    pub(super) const EFER: u32 = 0xc000_0080;
    pub(super) const STAR: u32 = 0xc000_0081;
    pub(super) const LSTAR: u32 = 0xc000_0082;
    pub(super) const SFMASK: u32 = 0xc000_0084;
    pub(super) const FS_BASE: u32 = 0xc000_0100;
    pub(super) const GS_BASE: u32 = 0xc000_0101;
}

/// Flags that `syscall` clears: trap, interrupt, direction, privilege level, nested task, alignment check.
const SYSCALL_MASK: u64 = 0x4_7700;

/// Flags a program may have: carry, parity, adjust, zero, sign, trap, direction, overflow, alignment check, id.
const USER_FLAGS: u64 = 0x24_0dd5;

/// Flags every program has: interrupts on, and the bit that is always 1.
const FIXED_FLAGS: u64 = 0x202;

/// XCR0: x87, SSE and AVX. More would not fit [`crate::user::EXTENDED_STATE_BYTES`].
const COMPONENTS: u64 = 7;

/// How often RDRAND is asked before it counts as broken (Intel SDM vol. 1, 7.3.17.1).
const RDRAND_TRIES: u32 = 10;

/// The root that CR3 holds.
static LOADED_ROOT: AtomicU64 = AtomicU64::new(0);

/// The kernel's own root; 0 until the final tables are loaded.
static KERNEL_ROOT: AtomicU64 = AtomicU64::new(0);

/// What CPUID says of the processor, as far as it matters to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// XSAVE and XCR0.
    pub xsave: bool,
    /// AVX.
    pub avx: bool,
    /// Reading and writing the segment bases without privilege.
    pub fsgsbase: bool,
    /// The kernel cannot execute a program's pages.
    pub smep: bool,
    /// The kernel cannot touch a program's pages.
    pub smap: bool,
    /// A program cannot read the descriptor tables' addresses.
    pub umip: bool,
    /// RDRAND.
    pub rdrand: bool,
}

impl Features {
    /// Asks the processor.
    #[must_use]
    pub fn read() -> Self {
        let one = __cpuid(1);
        // A leaf behind the highest one reads as something else.
        let seven = if __cpuid(0).eax >= 7 {
            let leaf = __cpuid_count(7, 0);
            [leaf.ebx, leaf.ecx]
        } else {
            [0; 2]
        };
        Self::from_registers(one.ecx, seven[0], seven[1])
    }

    /// Asks the processor and switches on what it has.
    ///
    /// This comes first of all: a translator like QEMU's keeps code by the processor's mode, and what ran before this is
    /// translated again when it runs after it.
    ///
    /// # Safety
    ///
    /// Runs once, in ring 0.
    #[must_use]
    pub unsafe fn switch_on() -> Self {
        let features = Self::read();
        let control: u64;
        // SAFETY: reading CR4 has no effect.
        unsafe { asm!("mov {}, cr4", out(reg) control, options(nomem, nostack, preserves_flags)) };
        let control = control | features.control_bits();
        // SAFETY: the processor has the features; the kernel neither executes nor touches user pages (SMEP, SMAP).
        unsafe { asm!("mov cr4, {}", in(reg) control, options(nostack, preserves_flags)) };
        if features.xsave {
            // SAFETY: OSXSAVE is set above; the components exist and include x87.
            unsafe {
                asm!("xsetbv", in("ecx") 0, in("eax") features.components() as u32, in("edx") 0, options(nomem, nostack));
            }
        }
        features
    }

    /// Reads leaf 1 ECX and leaf 7 EBX and ECX (Intel SDM vol. 2, CPUID).
    const fn from_registers(one_ecx: u32, seven_ebx: u32, seven_ecx: u32) -> Self {
        let xsave = one_ecx & 1 << 26 != 0;
        Self {
            xsave,
            avx: xsave && one_ecx & 1 << 28 != 0,
            fsgsbase: seven_ebx & 1 != 0,
            smep: seven_ebx & 1 << 7 != 0,
            smap: seven_ebx & 1 << 20 != 0,
            umip: seven_ecx & 1 << 2 != 0,
            rdrand: one_ecx & 1 << 30 != 0,
        }
    }

    /// Bits of CR4 on top of what the entry code set (Intel SDM vol. 3, 2.5).
    const fn control_bits(self) -> u64 {
        (self.umip as u64) << 11
            | (self.fsgsbase as u64) << 16
            | (self.xsave as u64) << 18
            | (self.smep as u64) << 20
            | (self.smap as u64) << 21
    }
}

/// User mode on this processor.
#[derive(Debug)]
pub struct Processor {
    features: Features,
    kernel_half: KernelHalf,
    clock: Tsc,
    timer: Timer,
    /// Waits in which the processor was halted.
    halts: u64,
    /// The segment bases that the processor holds, FS and GS; they are loaded when others are wanted.
    bases: [u64; 2],
}

impl Processor {
    /// Sets up the processor for user mode.
    ///
    /// # Safety
    ///
    /// Runs once, in ring 0, after [`super::descriptor::install`], `load_kernel_root` and the first use of the MMIO
    /// window (which puts the window's entry into the root that is copied here). `features` were switched on.
    #[must_use]
    pub unsafe fn new(features: Features, clock: Tsc, timer: Timer) -> Self {
        // SAFETY: the components are those of XCR0.
        unsafe { trap::configure(|scratch| scratch.components = features.components()) };
        let star = u64::from(KERNEL_CODE) << 32 | u64::from(KERNEL_DATA) << 48;
        // SAFETY: these selectors are where `syscall` and `sysret` compute theirs from (see `descriptor`).
        unsafe { write_msr(msr::STAR, star) };
        // SAFETY: the stub is the entry for system calls.
        unsafe { write_msr(msr::LSTAR, trap::syscall_stub()) };
        // SAFETY: the mask keeps interrupts and single-stepping out of the stub.
        unsafe { write_msr(msr::SFMASK, SYSCALL_MASK) };
        debug_assert!(
            read_msr(msr::EFER) & 1 != 0,
            "the entry code enables syscall"
        );
        let root = KERNEL_ROOT.load(Ordering::Relaxed);
        Self {
            features,
            kernel_half: KernelHalf(core::array::from_fn(|slot| read_entry(root, 256 + slot))),
            clock,
            timer,
            halts: 0,
            bases: [read_msr(msr::FS_BASE), read_msr(msr::GS_BASE)],
        }
    }

    /// Returns what the processor can do.
    #[must_use]
    pub const fn features(&self) -> Features {
        self.features
    }

    /// Returns random bytes of the processor; `None` when it has no generator, or that fails.
    #[must_use]
    pub fn random_seed(&self) -> Option<[u8; 32]> {
        if !self.features.rdrand {
            return None;
        }
        let mut seed = [0; 32];
        for word in seed.chunks_exact_mut(8) {
            let value = (0..RDRAND_TRIES).find_map(|_| rdrand())?;
            word.copy_from_slice(&value.to_le_bytes());
        }
        Some(seed)
    }

    /// Counts one more halt.
    pub(crate) const fn on_halt(&mut self) {
        self.halts += 1;
    }

    /// Returns the local timer, for the idle wait.
    pub(crate) const fn timer_mut(&mut self) -> &mut Timer {
        &mut self.timer
    }

    /// Makes `space` the loaded table, and the processor forget what it remembers wrongly of it.
    fn switch(&mut self, space: &mut PageTable) {
        let root = space.root();
        let stale = space.take_stale();
        if LOADED_ROOT.load(Ordering::Relaxed) != root || stale == Stale::Everything {
            // SAFETY: a program's table has the kernel half in common with the one it replaces.
            unsafe { load_root(root) };
        } else if let Stale::One(page) = stale {
            // SAFETY: forgetting a translation has no effect but time.
            unsafe {
                asm!("invlpg [{}]", in(reg) page.address(), options(nostack, preserves_flags))
            };
        }
    }

    /// Gives the processor the segment bases of a context; returns whether it takes them.
    #[inline(always)]
    fn load_bases(&mut self, context: &Context) -> bool {
        let wanted = [context.registers.fs_base, context.registers.gs_base];
        // Without FSGSBASE a program that loads a selector changes a base unseen. QEMU's translator lets a program set bases
        // that no processor takes.
        let is_low = (wanted[0] | wanted[1]) >> 47 == 0;
        if self.features.fsgsbase && is_low && self.bases == wanted {
            return true;
        }
        self.change_bases(wanted)
    }

    #[inline(never)]
    fn change_bases(&mut self, wanted: [u64; 2]) -> bool {
        let [fs, gs] = wanted;
        if !is_canonical(fs) || !is_canonical(gs) {
            return false;
        }
        if self.features.fsgsbase {
            // SAFETY: CR4.FSGSBASE is set, the address is canonical, the kernel uses neither segment.
            unsafe { asm!("wrfsbase {}", in(reg) fs, options(nomem, nostack, preserves_flags)) };
            // SAFETY: as above.
            unsafe { asm!("wrgsbase {}", in(reg) gs, options(nomem, nostack, preserves_flags)) };
        } else {
            // SAFETY: the address is canonical, and the kernel does not use the segment.
            unsafe { write_msr(msr::FS_BASE, fs) };
            // SAFETY: as above.
            unsafe { write_msr(msr::GS_BASE, gs) };
        }
        self.bases = wanted;
        true
    }

    #[inline(always)]
    fn save_bases(&mut self, context: &mut Context) {
        if !self.features.fsgsbase {
            // Only the kernel sets them then (a selector loaded by the program is its own loss).
            return;
        }
        let (fs, gs): (u64, u64);
        // SAFETY: CR4.FSGSBASE is set; reading has no effect.
        unsafe { asm!("rdfsbase {}", out(reg) fs, options(nomem, nostack, preserves_flags)) };
        // SAFETY: as above.
        unsafe { asm!("rdgsbase {}", out(reg) gs, options(nomem, nostack, preserves_flags)) };
        context.registers.fs_base = fs;
        context.registers.gs_base = gs;
        self.bases = [fs, gs];
    }
}

impl Features {
    const fn components(self) -> u64 {
        match (self.xsave, self.avx) {
            (false, _) => 0,
            (true, false) => COMPONENTS & 3,
            (true, true) => COMPONENTS,
        }
    }
}

impl User for Processor {
    fn kernel_half(&self) -> KernelHalf {
        self.kernel_half
    }

    fn counts(&self) -> Counts {
        Counts {
            halts: self.halts,
            device_interrupts: trap::device_interrupts(),
        }
    }

    fn run(
        &mut self,
        _pool: &mut FramePool,
        space: &mut PageTable,
        context: &mut Context,
        deadline: Instant,
    ) -> Trap {
        if !is_reachable(context.registers.rip) || !self.load_bases(context) {
            return Trap::Fault(REFUSAL);
        }
        context.registers.rflags = user_flags(context.registers.rflags);
        if !extended::is_lent(&context.extended) {
            extended::lend(&mut context.extended);
        }
        self.switch(space);
        loop {
            if !self.timer.is_armed_until(deadline) {
                let now = self.clock.now();
                if now >= deadline {
                    return Trap::Deadline;
                }
                self.timer.arm(now, deadline);
            }
            // SAFETY: the program's tables are loaded; registers, flags and extended state were made fit above, and
            // the stubs leave them fit.
            let vector = unsafe { trap::enter(context) };
            self.save_bases(context);
            if vector == SYSCALL {
                return Trap::Syscall;
            }
            match vector as u8 {
                trap::TIMER => {
                    self.timer.on_interrupt();
                    // Too early only when the timer could not be set that far: once more, then.
                    if self.clock.now() >= deadline {
                        return Trap::Deadline;
                    }
                    if !self.load_bases(context) {
                        return Trap::Fault(REFUSAL);
                    }
                }
                trap::DEVICE => {
                    self.timer.acknowledge();
                    // SAFETY: only a count changes.
                    unsafe { trap::configure(|scratch| scratch.device_count += 1) };
                    return Trap::Interrupt;
                }
                exception => {
                    return Trap::Fault(Fault {
                        vector: exception,
                        code: trap::scratch(|scratch| scratch.code) as u32,
                        address: if exception == Fault::PAGE {
                            fault_address()
                        } else {
                            0
                        },
                    });
                }
            }
        }
    }
}

/// The fault of a program whose registers the processor would refuse to load, in the kernel's name.
const REFUSAL: Fault = Fault {
    vector: 13,
    code: 0,
    address: 0,
};

/// Whether a program may go on at an address. `sysret` to a non-canonical one would fault in the kernel.
const fn is_reachable(address: u64) -> bool {
    Page::containing(address).is_some()
}

/// Returns what a program may run with of the flags that stand in its context.
const fn user_flags(flags: u64) -> u64 {
    (flags & USER_FLAGS) | FIXED_FLAGS
}

/// Whether bits 63 to 47 are all equal (Intel SDM vol. 1, 3.3.7.1).
const fn is_canonical(address: u64) -> bool {
    let top = (address as i64) >> 47;
    top == 0 || top == -1
}

/// Moves to the kernel's own page tables, for good.
///
/// # Safety
///
/// `root` maps the running code, its data and its stack where they are.
pub(crate) unsafe fn load_kernel_root(root: u64) {
    KERNEL_ROOT.store(root, Ordering::Relaxed);
    // SAFETY: promised by the caller.
    unsafe { load_root(root) };
}

/// # Safety
///
/// As for [`load_kernel_root`].
unsafe fn load_root(root: u64) {
    LOADED_ROOT.store(root, Ordering::Relaxed);
    // SAFETY: promised by the caller.
    unsafe { asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags)) };
}

/// Moves off the table at `root`, whose frames are about to be given back, if it is the loaded one.
pub(crate) fn leave(root: u64) {
    if LOADED_ROOT.load(Ordering::Relaxed) != root {
        return;
    }
    let kernel = KERNEL_ROOT.load(Ordering::Relaxed);
    // SAFETY: a program's table was loaded, so the kernel's was before; it maps everything the kernel uses.
    unsafe { load_root(kernel) };
}

/// Returns a random number; `None` when the processor has none at the moment. Only where the feature is there.
fn rdrand() -> Option<u64> {
    let value: u64;
    let valid: u8;
    // SAFETY: the caller has asked CPUID; only registers change.
    unsafe {
        asm!("rdrand {0}", "setc {1}", out(reg) value, out(reg_byte) valid, options(nomem, nostack));
    }
    (valid != 0).then_some(value)
}

/// Returns the address of the last page fault.
pub(crate) fn fault_address() -> u64 {
    let address;
    // SAFETY: reading CR2 has no effect.
    unsafe { asm!("mov {}, cr2", out(reg) address, options(nomem, nostack, preserves_flags)) };
    address
}

/// Returns a model-specific register that this processor has.
pub(crate) fn read_msr(number: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading has no effect.
    unsafe {
        asm!("rdmsr", in("ecx") number, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Sets a model-specific register.
///
/// # Safety
///
/// The register exists, takes the value, and what it changes keeps Rust's promises.
pub(crate) unsafe fn write_msr(number: u32, value: u64) {
    // SAFETY: promised by the caller.
    unsafe {
        asm!("wrmsr", in("ecx") number, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack, preserves_flags));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_an_instruction_pointer_that_sysret_would_fault_on_in_the_kernel() {
        assert!(is_reachable(0));
        assert!(is_reachable(0x7fff_ffff_efff));
        let hole = 0x7fff_ffff_f000;
        assert!(!is_reachable(hole), "the page below the hole is never one");
        assert!(!is_reachable(0x8000_0000_0000));
        assert!(!is_reachable(0xffff_ffff_8010_0000));
        assert!(!is_reachable(u64::MAX));
    }

    #[test]
    fn segment_bases_in_the_canonical_hole_are_none() {
        assert!(is_canonical(0x7fff_ffff_ffff));
        assert!(!is_canonical(0x8000_0000_0000));
        assert!(!is_canonical(1 << 60));
        assert!(!is_canonical(0xffff_7fff_ffff_ffff));
        assert!(is_canonical(0xffff_8000_0000_0000));
    }

    #[test]
    fn a_program_keeps_its_own_flags_and_nothing_else() {
        let everything = user_flags(u64::MAX);
        assert_eq!(everything & 0x3000, 0, "no I/O privilege");
        assert_eq!(everything & 0x4000, 0, "no nested task");
        assert_eq!(everything & 0x200, 0x200, "interrupts on");
        assert_eq!(everything >> 22, 0);
        assert_eq!(user_flags(0), 0x202);
    }

    #[test]
    fn components_follow_what_the_processor_has() {
        let with = |one| Features::from_registers(one, 0, 0).components();
        assert_eq!(with(0), 0);
        assert_eq!(with(1 << 28), 0, "AVX without XSAVE is no AVX");
        assert_eq!(with(1 << 26), 3);
        assert_eq!(with(1 << 26 | 1 << 28), 7);
    }

    #[test]
    fn a_root_that_was_never_loaded_is_left_alone() {
        leave(0x1234_5000);
    }
}
