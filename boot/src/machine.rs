//! Start-up, as a list; then the loop.

use crate::options::Options;
use crate::{entry, self_test};
use alloc::vec::Vec;
use hal::clock::Clock;
use hal::console::Console;
use hal::frame::FramePool;
use hal::limits::{
    DMA_SHARE, HEAP_SHARE, MAX_DMA_BYTES, MAX_HEAP_BYTES, MIN_DMA_BYTES, MIN_HEAP_BYTES,
};
use hal::virtio::discovery::discover;
use hal::virtio::dma;
use hal::virtio::start::{MachineDisk, start_disks};
use hal::x86::apic::LocalApic;
use hal::x86::console::Serial;
use hal::x86::ioapic::Interrupts;
use hal::x86::last_words::{self, Cause};
use hal::x86::memory::{EntryMemory, Memory};
use hal::x86::mmio::Windows;
use hal::x86::processor::Processor;
use hal::x86::pvh::StartInfo;
use hal::x86::tsc::Tsc;
use hal::x86::{descriptor, layout, power};
use hal::{heap, logger};
use log::LevelFilter;

/// The machine, taken over.
pub(crate) struct Machine {
    options: Options,
    serial: Serial,
    clock: Tsc,
    processor: Processor,
    disks: Vec<MachineDisk>,
    pool: FramePool,
    initrd: Option<&'static [u8]>,
}

/// Where the I/O interrupt controllers of all known VMMs are, and their first global interrupt. The second one only
/// exists on QEMU's microvm with ACPI (vmm-platforms).
const IO_APICS: [(u64, u32); 2] = [(0xfec0_0000, 0), (0xfec1_0000, 24)];

/// Ends start-up, saying why.
macro_rules! give_up {
    ($($words:tt)*) => {
        last_words::die(Cause::StartUp, format_args!($($words)*))
    };
}

impl Machine {
    /// Takes the machine over.
    ///
    /// # Safety
    ///
    /// Called once, on the entry code's page tables and with interrupts off; `start_info` is what the VMM passed.
    pub(crate) unsafe fn take_over(start: u64, start_info: u64) -> Self {
        // Say what goes wrong from here on.
        logger::open(LevelFilter::Trace);
        let mut serial = Serial::com1();
        // SAFETY: once, in ring 0, interrupts are off.
        unsafe { descriptor::install() };

        // What the VMM tells us, copied before its pages are used.
        let mut info = StartInfo::default();
        // SAFETY: the entry code's tables are loaded, and nothing of ours lies where the VMM put its structures.
        let memory = unsafe { EntryMemory::new() };
        if let Err(error) = info.read(&memory, start_info) {
            give_up!("{error}");
        }
        let options = match Options::from_command_line(&info.command_line) {
            Ok(options) => options,
            Err(word) => give_up!("kernel command line: bad value in {word}"),
        };
        if options.debug_exit {
            power::use_debug_exit();
        }

        // All RAM, and the page tables to stay.
        let image = entry::image();
        // SAFETY: once, on the entry code's tables; the linker script knows where the image lies.
        let mut memory = match unsafe { Memory::take_over(&info, &image) } {
            Ok(memory) => memory,
            Err(error) => give_up!("memory cannot be taken over: {error:?}"),
        };
        let ram = memory.ram_bytes();
        open_heap(&mut memory, ram);
        hand_over_dma(&mut memory, ram);

        // Time.
        // SAFETY: once, in ring 0, interrupts are off and all vectors have gates.
        let apic = match unsafe { LocalApic::open() } {
            Ok(apic) => apic,
            Err(error) => give_up!("local interrupt controller: {error}"),
        };
        let clock = match Tsc::measure(start, &apic) {
            Ok(clock) => clock,
            Err(_) => give_up!("no clock to measure the time stamp counter with"),
        };
        logger::set_clock(clock);
        let mut interrupts = Interrupts::new(apic.id());
        for (physical, first_gsi) in IO_APICS {
            interrupts.add_controller(physical, first_gsi);
        }

        // User mode.
        // SAFETY: once, in ring 0, on the final tables, after the local controller's window was mapped.
        let processor = unsafe { Processor::new(clock, apic.into_timer()) };

        // Devices.
        let mut discovery = discover(&info.command_line, None, &mut Windows);
        let disks = start_disks(&mut discovery, &mut Windows, &mut interrupts, clock.now());

        // Everything that is left is for programs.
        let initrd = memory.module();
        let Some(pool) = memory.into_pool() else {
            give_up!("no memory is left for programs");
        };
        log::info!(
            "mote {}: {} MiB of RAM, {} frames for programs, {} MHz {}",
            env!("CARGO_PKG_VERSION"),
            ram >> 20,
            pool.total(),
            clock.hz() / 1_000_000,
            clock.reference(),
        );
        drain_log(&mut serial, options.serial_level);
        Self {
            options,
            serial,
            clock,
            processor,
            disks,
            pool,
            initrd,
        }
    }

    /// Turns the loop.
    pub(crate) fn run(mut self) -> ! {
        if self.options.self_test {
            self_test::run(&mut self.processor, &mut self.pool, &self.clock);
        }
        for disk in &self.disks {
            log::debug!(
                "{:?} at {:?}",
                hal::block::Block::info(disk),
                self.clock.now()
            );
        }
        log::debug!("{:?}", self.initrd.map(<[u8]>::len));
        drain_log(&mut self.serial, self.options.serial_level);
        power::off()
    }
}

fn open_heap(memory: &mut Memory, ram: u64) {
    let bytes = share(ram, HEAP_SHARE, MIN_HEAP_BYTES, MAX_HEAP_BYTES);
    let Some(piece) = memory.carve(bytes) else {
        give_up!("no room for a heap of {bytes} bytes");
    };
    heap::open(piece.into_uninit());
}

fn hand_over_dma(memory: &mut Memory, ram: u64) {
    let bytes = share(ram, DMA_SHARE, MIN_DMA_BYTES, MAX_DMA_BYTES);
    let Some(piece) = memory.carve(bytes) else {
        give_up!("no room for {bytes} bytes of device memory");
    };
    // SAFETY: the piece was carved for this and lies in the direct map, as does everything given to a device.
    unsafe { dma::hand_over(piece.physical, piece.bytes.len(), layout::DIRECT_MAP) };
}

/// Returns RAM / `share`, within its bounds.
fn share(ram: u64, share: u64, min: usize, max: usize) -> usize {
    usize::try_from(ram / share).unwrap_or(max).clamp(min, max)
}

/// Takes the log to the serial port.
fn drain_log(serial: &mut Serial, level: LevelFilter) {
    while let Some(record) = logger::next() {
        if record.level <= level {
            let mut line = heapless::String::<{ hal::limits::LOG_TEXT_BYTES + 64 }>::new();
            // The line has room for the longest text and what stands before it.
            let _ = core::fmt::write(&mut line, format_args!("{record}\r\n"));
            serial.write(line.as_bytes());
        }
    }
}
