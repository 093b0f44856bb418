//! The I/O interrupt controller, which carries the interrupts of virtio-mmio devices (Intel 82093AA data sheet, 3.2).

use super::mmio::{self, MmioError};
use super::trap;
use crate::limits::MAX_IO_APICS;
use crate::virtio::interrupt::{InterruptVectors, MsiMessage};
use core::ptr::NonNull;

/// Register numbers.
const VERSION: u32 = 1;
const FIRST_REDIRECTION: u32 = 0x10;

const MASKED: u32 = 1 << 16;

/// One controller: a window of two registers, through which the others are reached.
#[derive(Debug)]
pub struct IoApic {
    /// Select at 0, data at 0x10; mapped for good, at a multiple of 4.
    window: NonNull<u32>,
    first_gsi: u32,
    pins: u32,
}

impl IoApic {
    /// Opens the controller at `physical`, a multiple of 4, whose first pin is `first_gsi`, and masks all its pins. `None`
    /// when nothing answers there.
    ///
    /// # Errors
    ///
    /// When its registers cannot be mapped.
    fn open(physical: u64, first_gsi: u32) -> Result<Option<Self>, MmioError> {
        debug_assert!(physical.is_multiple_of(4), "the firmware's reader looks");
        let window = mmio::map(physical, 0x20)?.cast();
        let mut found = Self {
            window,
            first_gsi,
            pins: 0,
        };
        let version = found.read(VERSION);
        // An absent controller reads as all ones, or as zero.
        if version == 0 || version == u32::MAX {
            return Ok(None);
        }
        found.pins = (version >> 16 & 0xff) + 1;
        for pin in 0..found.pins {
            found.write(FIRST_REDIRECTION + 2 * pin, MASKED);
        }
        Ok(Some(found))
    }

    /// Returns whether the controller has this global interrupt.
    #[must_use]
    pub const fn has(&self, gsi: u32) -> bool {
        gsi >= self.first_gsi && gsi - self.first_gsi < self.pins
    }

    /// Lets `gsi` interrupt the processor with this controller id, on the edge, with the devices' vector; `false` when
    /// it is not one of ours.
    ///
    /// Edge also where the VMM drives a level: the driver acknowledges the device before it drains the ring, so a line
    /// that stays up means work that is being looked at.
    pub fn route(&mut self, gsi: u32, apic_id: u32) -> bool {
        if !self.has(gsi) {
            return false;
        }
        let entry = FIRST_REDIRECTION + 2 * (gsi - self.first_gsi);
        self.write(entry + 1, apic_id << 24);
        self.write(entry, u32::from(trap::DEVICE));
        true
    }

    fn read(&self, register: u32) -> u32 {
        self.select(register);
        let data = self.window.as_ptr().wrapping_byte_add(0x10);
        // SAFETY: `open` mapped the data register, aligned.
        unsafe { data.read_volatile() }
    }

    fn write(&mut self, register: u32, value: u32) {
        self.select(register);
        let data = self.window.as_ptr().wrapping_byte_add(0x10);
        // SAFETY: `open` mapped the data register, aligned; only vectors with gates are written.
        unsafe { data.write_volatile(value) };
    }

    fn select(&self, register: u32) {
        // SAFETY: `open` mapped the select register, aligned.
        unsafe { self.window.as_ptr().write_volatile(register) };
    }
}

/// Every way a device's interrupt can come to this processor. All share one vector: it only says "look", and the loop
/// looks at every ring anyway.
#[derive(Debug)]
pub struct Interrupts {
    apic_id: u32,
    controllers: heapless::Vec<IoApic, MAX_IO_APICS>,
}

impl Interrupts {
    /// Lets interrupts go to the processor with this controller id.
    #[must_use]
    pub const fn new(apic_id: u32) -> Self {
        Self {
            apic_id,
            controllers: heapless::Vec::new(),
        }
    }

    /// Adds the controller at `physical`, a multiple of 4, if there is one. What cannot be used is reported: devices behind it are
    /// polled.
    pub fn add_controller(&mut self, physical: u64, first_gsi: u32) {
        match IoApic::open(physical, first_gsi) {
            Ok(Some(controller)) => {
                if self.controllers.push(controller).is_err() {
                    log::warn!(
                        "I/O interrupt controller at {physical:#x} ignored, limit {MAX_IO_APICS}"
                    );
                }
            }
            Ok(None) => {}
            Err(error) => log::warn!("I/O interrupt controller at {physical:#x}: {error}"),
        }
    }
}

impl InterruptVectors for Interrupts {
    /// Controller ids above 255 cannot be named without interrupt remapping; the boot processor's is 0 on every VMM.
    fn take_message(&mut self) -> Option<MsiMessage> {
        (self.apic_id < 256).then(|| MsiMessage {
            address: 0xfee0_0000 | u64::from(self.apic_id) << 12,
            data: u32::from(trap::DEVICE),
        })
    }

    fn route(&mut self, gsi: u32) -> bool {
        let apic_id = self.apic_id;
        self.controllers
            .iter_mut()
            .any(|controller| controller.route(gsi, apic_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_processor_and_vector() {
        let message = Interrupts::new(3).take_message().unwrap();
        assert_eq!(message.address, 0xfee0_3000);
        assert_eq!(message.data, u32::from(trap::DEVICE));
    }

    #[test]
    fn a_processor_that_no_message_can_name_is_polled_for() {
        assert_eq!(Interrupts::new(256).take_message(), None);
    }

    #[test]
    fn without_a_controller_no_interrupt_is_routed() {
        assert!(!Interrupts::new(0).route(5));
    }
}
