//! The bay: where disks come and go while the machine runs. Only PCI Express ports with a slot are looked at (QEMU's
//! `pcie-root-port`): nobody assigns addresses behind them after start, so a disk gets those of the port's own memory
//! window, which the firmware set aside.
//!
//! A slot with a power controller (PCI Express Base 4.0, 6.7) shows nothing of its card until it is switched on, and
//! lets go of it when it is switched off. There is no interrupt for either: whoever waits for a disk looks.

use super::discovery::{Discovery, Found, Location, PciAccess};
use super::interrupt::InterruptVectors;
use super::start::{MachineDisk, start_disk};
use super::transport::MachineTransport;
use crate::clock::Instant;
use crate::platform::pci::port::{Port, ports};
use crate::platform::pci::{ConfigurationSpace, Function};
use crate::platform::registers::MapRegisters;
use virtio_drivers::transport::DeviceType;

/// What is needed to find and start disks, kept after start.
#[derive(Debug)]
pub struct Bay<I> {
    discovery: Discovery,
    interrupts: I,
}

impl<I: InterruptVectors> Bay<I> {
    /// Takes over from start-up, which found these devices.
    #[must_use]
    pub const fn new(discovery: Discovery, interrupts: I) -> Self {
        Self {
            discovery,
            interrupts,
        }
    }

    /// Looks for a disk that was not there before, and starts it. One that does not start is reported and never tried
    /// again.
    pub fn look(&mut self, map: &mut impl MapRegisters, now: Instant) -> Option<MachineDisk> {
        if matches!(self.discovery.pci, PciAccess::None) {
            return None;
        }
        self.forget_gone();
        let ports = ports(&mut self.discovery.pci);
        for port in ports {
            port.power_on(&mut self.discovery.pci);
            let function = Function {
                bus: port.secondary,
                device: 0,
                function: 0,
            };
            let location = Location::Pci(function);
            let known = |found: &Found| found.location == location;
            if self.discovery.devices.iter().any(known) {
                continue;
            }
            let Some(device_type) = self.discovery.identify(function) else {
                continue;
            };
            let found = Found {
                device_type,
                location,
            };
            if self.discovery.devices.push(found).is_err() {
                // Ports that were looked at before keep theirs; the request that waits says that there is no disk.
                return None;
            }
            if device_type == DeviceType::Block {
                return self.start(port, found, map, now);
            }
        }
        None
    }

    fn start(
        &mut self,
        port: Port,
        found: Found,
        map: &mut impl MapRegisters,
        now: Instant,
    ) -> Option<MachineDisk> {
        self.discovery.window = port.open_window(&mut self.discovery.pci);
        let started = start_disk(&mut self.discovery, found, map, &mut self.interrupts, now);
        match started {
            Ok(disk) => Some(disk),
            Err(error) => {
                log::error!("disk at {} not used: {error}", found.location);
                None
            }
        }
    }

    /// Forgets functions that are not there any more, so that others may take their places.
    fn forget_gone(&mut self) {
        let Discovery { devices, pci, .. } = &mut self.discovery;
        devices.retain(|found| match found.location {
            Location::Pci(function) => pci.identify(function).is_some(),
            Location::Mmio(_) => true,
        });
    }

    /// Lets a disk go: it is reset, and the slot it is in is switched off, so that it can be pulled.
    pub fn release(&mut self, disk: MachineDisk) {
        let function = match disk.transport() {
            MachineTransport::Pci(transport) => transport.function(),
            MachineTransport::Mmio(_) => return,
        };
        drop(disk);
        let port = ports(&mut self.discovery.pci)
            .into_iter()
            .find(|port| port.secondary == function.bus);
        if let Some(port) = port {
            port.power_off(&mut self.discovery.pci);
        }
        self.forget_gone();
    }
}
