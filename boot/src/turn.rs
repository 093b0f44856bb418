//! The loop: the host's requests, the programs, the log, and a wait when nothing moves.

use crate::host;
use crate::machine::Rest;
use crate::options::Options;
use crate::self_test::SelfTest;
use agent::Agent;
use alloc::boxed::Box;
use core::time::Duration;
use hal::clock::Clock;
use hal::console::Console;
use hal::limits::{LOG_TEXT_BYTES, MAX_DISKS};
use hal::logger::{self, Record};
use hal::virtio::bay::Bay;
use hal::virtio::dma::MachineDma;
use hal::virtio::start::MachineDisk;
use hal::virtio::transport::MachineTransport;
use hal::virtio::vsock::VirtioVsock;
use hal::x86::console::Serial;
use hal::x86::idle::{Tick, Wait};
use hal::x86::ioapic::Interrupts;
use hal::x86::mmio::Windows;
use hal::x86::processor::Processor;
use hal::x86::tsc::Tsc;
use hal::x86::{power, trap};
use kernel::Kernel;
use log::LevelFilter;

/// How long the rest of start-up waits for a host that was dialled. A host that is there has answered within 2 ms.
const GREETING: Duration = Duration::from_millis(5);

/// The vsock device of this machine.
pub(crate) type MachineVsock = VirtioVsock<MachineDma, MachineTransport>;

/// Where disks come and go on this machine.
pub(crate) type MachineBay = Box<Bay<Interrupts>>;

/// The kernel of this machine.
pub(crate) type MachineKernel = Kernel<Processor, MachineDisk>;

/// Everything that takes turns. The large ones live on the heap: the stack is for calls.
pub(crate) struct Turns {
    pub(crate) options: Options,
    pub(crate) clock: Tsc,
    pub(crate) serial: Serial,
    pub(crate) kernel: Box<MachineKernel>,
}

impl Turns {
    /// Turns until somebody asks for the end.
    pub(crate) fn run(mut self, rest: Box<Rest>) -> ! {
        self.greet();
        let bay = rest.set_up(&mut self);
        self.turn(bay)
    }

    /// Turns for the host alone until it has negotiated, or has not for a while.
    fn greet(&mut self) {
        let patience = self.clock.now() + GREETING;
        while self.clock.now() < patience {
            let (clock, kernel) = (&self.clock, &mut *self.kernel);
            let negotiated = host::with(|agent, vsock| {
                agent.step(clock.now(), vsock, kernel);
                agent.is_negotiated()
            });
            if negotiated == Some(true) {
                return;
            }
        }
    }

    fn turn(&mut self, mut bay: MachineBay) -> ! {
        let mut tick = Tick::new();
        let mut interrupts = trap::device_interrupts();
        loop {
            // An edge-triggered line rises again only after the device was acknowledged, and the rings are drained
            // after that.
            let came = trap::device_interrupts();
            let interrupted = core::mem::replace(&mut interrupts, came) != came;
            let (clock, kernel) = (&self.clock, &mut *self.kernel);
            let step = host::with(|agent, vsock| {
                if interrupted {
                    vsock.acknowledge_interrupt();
                }
                agent.step(clock.now(), vsock, kernel)
            });
            let Some(activity) = step else {
                unreachable!("the way to the host is lent to nobody else");
            };
            let mut moved = self.kernel.run_slice(&self.clock) | activity.moved;
            self.exchange_disks(&mut bay);
            if cfg!(debug_assertions) && self.options.self_test == Some(SelfTest::Late) {
                let negotiated = host::with(|agent, _| agent.is_negotiated());
                assert_ne!(negotiated, Some(true), "the self-test asked for it");
            }
            // What this writes to the host has deadlines of its own, which the next step tells.
            moved |= host::with(|agent, vsock| self.drain_log(agent, vsock)).unwrap_or_default();
            if self.kernel.is_power_off_requested() {
                power::off();
            }
            let now = self.clock.now();
            if moved {
                tick.on_moved(now);
                continue;
            }
            let deadline = activity.next_deadline.min(self.kernel.next_deadline());
            match tick.on_quiet(now, deadline) {
                Wait::Poll => core::hint::spin_loop(),
                Wait::Halt(until) => self.kernel.user_mut().halt(now, until),
            }
        }
    }

    /// Looks for a disk that is waited for, and lets go those that are to be pulled.
    fn exchange_disks(&mut self, bay: &mut MachineBay) {
        if self.kernel.take_disk_wish()
            && let Some(disk) = bay.look(&mut Windows, self.clock.now())
            && self.kernel.add_disk(disk).is_err()
        {
            log::warn!("disk ignored, limit {MAX_DISKS} disks");
        }
        while let Some(disk) = self.kernel.take_ejected() {
            bay.release(disk);
        }
    }

    /// Takes the log to the serial port and to the host, at once. Returns whether there was any.
    fn drain_log(&mut self, agent: &mut Agent, vsock: &mut MachineVsock) -> bool {
        let mut any = false;
        trap::report_nmis();
        while let Some(record) = logger::next() {
            any = true;
            let level = if agent.has_log() {
                self.options.serial_level_beside_log
            } else {
                self.options.serial_level
            };
            print(&mut self.serial, level, &record);
            if agent.can_log() {
                agent.log(
                    record.at,
                    vsock,
                    record.level,
                    format_args!("{}", record.text),
                );
            }
        }
        any
    }
}

/// Writes a record to the serial port, if it is worth it.
pub(crate) fn print(serial: &mut Serial, level: LevelFilter, record: &Record) {
    if record.level > level {
        return;
    }
    let mut line = heapless::String::<{ LOG_TEXT_BYTES + 64 }>::new();
    // The line has room for the longest text and what stands before it.
    let _ = core::fmt::write(&mut line, format_args!("{record}\r\n"));
    serial.write(line.as_bytes());
}
