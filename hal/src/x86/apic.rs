//! The local interrupt controller and its one-shot timer (Intel SDM vol. 3, chapter 10).

use super::mmio::{self, MmioError};
use super::processor::{read_msr, write_msr};
use super::trap;
use crate::clock::Instant;
use core::ptr::NonNull;

/// `IA32_APIC_BASE`: address, and bit 10 when the x2APIC is on (Intel SDM vol. 3, 10.4.4, 10.12.1).
const BASE_MSR: u32 = 0x1b;
const X2APIC_ON: u64 = 1 << 10;
/// First register of the x2APIC.
const X2APIC_MSR: u32 = 0x800;

/// Offsets of registers (Intel SDM vol. 3, table 10-1).
mod register {
    pub(super) const ID: u32 = 0x20;
    pub(super) const TASK_PRIORITY: u32 = 0x80;
    pub(super) const END_OF_INTERRUPT: u32 = 0xb0;
    pub(super) const SPURIOUS: u32 = 0xf0;
    pub(super) const TIMER_ENTRY: u32 = 0x320;
    pub(super) const LINT0_ENTRY: u32 = 0x350;
    pub(super) const ERROR_ENTRY: u32 = 0x370;
    pub(super) const INITIAL_COUNT: u32 = 0x380;
    pub(super) const CURRENT_COUNT: u32 = 0x390;
    pub(super) const DIVIDE: u32 = 0x3e0;
}

const MASKED: u32 = 1 << 16;
const SOFTWARE_ENABLE: u32 = 1 << 8;
const DIVIDE_BY_1: u32 = 0b1011;

/// Ticks of the timer in a second, divided by 1: the same on QEMU (TCG and KVM), Cloud Hypervisor and Firecracker
/// (vmm-platforms). One tick is one nanosecond.
pub const TIMER_HZ: u64 = 1_000_000_000;

/// The registers, wherever they are.
#[derive(Clone, Copy, Debug)]
enum Registers {
    Memory(NonNull<u32>),
    Msr,
}

/// The local interrupt controller.
#[derive(Debug)]
pub struct LocalApic {
    registers: Registers,
}

impl LocalApic {
    /// Finds the controller, masks its other sources and the old interrupt controller, and accepts interrupts.
    ///
    /// # Errors
    ///
    /// When its registers cannot be mapped.
    ///
    /// # Safety
    ///
    /// Runs once, in ring 0, with interrupts off and gates for all vectors.
    pub unsafe fn open() -> Result<Self, MmioError> {
        mask_pic();
        let base = read_msr(BASE_MSR);
        let registers = if base & X2APIC_ON != 0 {
            Registers::Msr
        } else {
            Registers::Memory(mmio::map(base & 0x000f_ffff_ffff_f000, 4096)?.cast())
        };
        let apic = Self { registers };
        let acknowledge = match registers {
            Registers::Memory(start) => start
                .as_ptr()
                .wrapping_byte_add(register::END_OF_INTERRUPT as usize),
            Registers::Msr => core::ptr::null_mut(),
        };
        // SAFETY: the pointer is the acknowledge register, or null for the x2APIC.
        unsafe { trap::configure(|scratch| scratch.acknowledge = acknowledge) };
        // LINT0 is where the old controller's interrupts would come in; LINT1 stays: it is the NMI.
        apic.write(register::LINT0_ENTRY, MASKED);
        apic.write(register::ERROR_ENTRY, MASKED);
        apic.write(register::TIMER_ENTRY, MASKED | u32::from(trap::TIMER));
        apic.write(register::DIVIDE, DIVIDE_BY_1);
        apic.write(register::TASK_PRIORITY, 0);
        apic.write(
            register::SPURIOUS,
            SOFTWARE_ENABLE | u32::from(trap::SPURIOUS),
        );
        Ok(apic)
    }

    /// Returns the controller's id, for messages and the I/O controller's redirections.
    #[must_use]
    pub fn id(&self) -> u32 {
        match self.registers {
            Registers::Memory(_) => self.read(register::ID) >> 24,
            Registers::Msr => self.read(register::ID),
        }
    }

    /// Starts the timer at its largest value without an interrupt; [`LocalApic::count`] then falls from there.
    pub fn start_counting(&self) {
        self.write(register::TIMER_ENTRY, MASKED | u32::from(trap::TIMER));
        self.write(register::INITIAL_COUNT, u32::MAX);
    }

    /// Returns the timer's value.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.read(register::CURRENT_COUNT)
    }

    /// Makes it the one-shot timer.
    #[must_use]
    pub fn into_timer(self) -> Timer {
        self.write(register::INITIAL_COUNT, 0);
        self.write(register::TIMER_ENTRY, u32::from(trap::TIMER));
        Timer {
            apic: self,
            armed: Instant::NEVER,
            seen: trap::scratch(|scratch| scratch.timer_count),
        }
    }

    fn read(&self, offset: u32) -> u32 {
        match self.registers {
            Registers::Memory(start) => {
                let at = start.as_ptr().wrapping_byte_add(offset as usize);
                // SAFETY: the register's page was mapped by `open`.
                unsafe { at.read_volatile() }
            }
            Registers::Msr => read_msr(X2APIC_MSR + (offset >> 4)) as u32,
        }
    }

    fn write(&self, offset: u32, value: u32) {
        match self.registers {
            Registers::Memory(start) => {
                let at = start.as_ptr().wrapping_byte_add(offset as usize);
                // SAFETY: the register's page was mapped by `open`; what we write enables only vectors with gates.
                unsafe { at.write_volatile(value) };
            }
            Registers::Msr => {
                // SAFETY: as above; the register exists because the x2APIC is on.
                unsafe { write_msr(X2APIC_MSR + (offset >> 4), u64::from(value)) };
            }
        }
    }
}

/// Masks the old interrupt controllers, which are live on some machines, before interrupts are ever enabled.
fn mask_pic() {
    for number in [0x21, 0xa1] {
        // SAFETY: the controllers' mask registers have no effect on memory.
        unsafe { super::port::Port::new(number) }.write_u8(0xff);
    }
}

/// The one-shot timer, with the moment it was set to.
///
/// Setting it is a write to a device, so it is set again only when it would come too late. That it then comes too early
/// for a deadline that was moved away costs one interrupt, not one write for each system call.
#[derive(Debug)]
pub struct Timer {
    apic: LocalApic,
    /// When it will interrupt; never, when it has.
    armed: Instant,
    /// Interrupts in kernel mode that were noticed.
    seen: u64,
}

impl Timer {
    /// Returns whether an interrupt will come at or before `deadline`.
    pub(crate) fn is_armed_until(&mut self, deadline: Instant) -> bool {
        let count = trap::scratch(|scratch| scratch.timer_count);
        if core::mem::replace(&mut self.seen, count) != count {
            self.armed = Instant::NEVER;
        }
        self.armed != Instant::NEVER && self.armed <= deadline
    }

    /// Lets an interrupt come at `deadline`, or earlier when the counter does not reach that far (4 s).
    pub(crate) fn arm(&mut self, now: Instant, deadline: Instant) {
        let ticks = deadline
            .since(now)
            .as_nanos()
            .clamp(1, u128::from(u32::MAX)) as u64;
        self.apic.write(register::INITIAL_COUNT, ticks as u32);
        self.armed = Instant::from_nanos(now.as_nanos().saturating_add(ticks));
    }

    /// Notes an interrupt of the timer that came in user mode.
    pub(crate) fn on_interrupt(&mut self) {
        self.armed = Instant::NEVER;
        self.acknowledge();
    }

    /// Ends an interrupt that came in user mode.
    pub(crate) fn acknowledge(&self) {
        self.apic.write(register::END_OF_INTERRUPT, 0);
    }
}
