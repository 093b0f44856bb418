//! Start-up, as a list; then the loop.

use crate::entry;
use crate::host;
use crate::options::Options;
use crate::self_test::{self, SelfTest};
use crate::turn::{self, MachineBay, MachineVsock, Turns};
use agent::config::ReservedPorts;
use agent::limits::{MAX_BODY_BYTES, MAX_FRAME_BYTES, MIN_BODY_BYTES};
use agent::{Buffers, Config};
use alloc::boxed::Box;
use hal::clock::{Clock, Instant};
use hal::limits::{
    COMMAND_LINE_BYTES, DMA_SHARE, HEAP_SHARE, LARGE_HEAP_SHARE, MAX_DMA_BYTES, MAX_HEAP_BYTES,
    MIN_DMA_BYTES, MIN_HEAP_BYTES, PAGE_BYTES,
};
use hal::platform::firmware::{Description, FirmwareWindows};
use hal::platform::power::FirmwareSwitches;
use hal::platform::wall_clock::read_epoch;
use hal::virtio::bay::Bay;
use hal::virtio::discovery::{Discovery, Found, discover};
use hal::virtio::start::{self, start_disks};
use hal::virtio::vsock::Budget;
use hal::virtio::{DeviceType, dma};
use hal::x86::apic::LocalApic;
use hal::x86::console::Serial;
use hal::x86::ioapic::Interrupts;
use hal::x86::last_words::{self, Cause};
use hal::x86::memory::{EntryMemory, Memory};
use hal::x86::mmio::Windows;
use hal::x86::processor::{Features, Processor};
use hal::x86::pvh::StartInfo;
use hal::x86::tsc::{Measurement, Tsc};
use hal::x86::{descriptor, layout, power};
use hal::{heap, logger};
use kernel::fs::Host;
use kernel::{Kernel, Parts};
use log::LevelFilter;

/// The machine, taken over: its memory, its time, its processor.
///
/// Start-up is ordered by the host: what it takes to dial comes first, everything else while the host answers.
pub(crate) struct Machine {
    options: Options,
    command_line: heapless::String<COMMAND_LINE_BYTES>,
    serial: Serial,
    features: Features,
    memory: Memory,
    apic: LocalApic,
    /// The clock's rate, being measured.
    measurement: Measurement,
    interrupts: Interrupts,
    /// PCI's configuration space in memory, where the firmware tells of one.
    ecam: Option<u64>,
}

/// RAM for which one byte goes to the buffer of a request's body.
const BODY_SHARE: u64 = 16;

/// Bytes of responses on their way out.
const OUTGOING_BYTES: usize = 2 * MAX_FRAME_BYTES;

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
    #[inline(never)]
    pub(crate) unsafe fn take_over(start: u64, start_info: u64) -> Box<Self> {
        // SAFETY: once, in ring 0.
        let features = unsafe { Features::switch_on() };
        // Say what goes wrong from here on.
        logger::open(LevelFilter::Trace);
        let serial = Serial::com1();
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
            Err(error) => give_up!("memory cannot be taken over: {error}"),
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
        let measurement = Tsc::begin(start, &apic);

        // What the firmware says of the board.
        let mut windows = Windows;
        let mut tables = FirmwareWindows::new(&mut windows);
        let board = Description::read(&mut tables, info.rsdp, &info.command_line);
        let mut interrupts = Interrupts::new(apic.id());
        for controller in &board.io_apics {
            interrupts.add_controller(controller.address, controller.first_gsi);
        }
        let switches = FirmwareSwitches::new(board.ending, &mut windows);
        power::set_platform(Box::leak(Box::new(switches)));

        Box::new(Self {
            options,
            command_line: info.command_line,
            serial,
            features,
            memory,
            apic,
            measurement,
            interrupts,
            ecam: board.ecam,
        })
    }

    /// Dials the host, and makes what talks to it.
    ///
    /// What start-up builds on the stack is gone when this returns: the loop has the stack for itself.
    #[inline(never)]
    pub(crate) fn dial(mut self: Box<Self>) -> (Turns, Box<Rest>) {
        let config = match Config::from_command_line(&self.command_line) {
            Ok(config) => config,
            Err(error) => give_up!("{error}"),
        };
        log::set_max_level(config.log_level.max(self.options.serial_level));

        // The host first.
        let mut devices = discover(&self.command_line, self.ecam, &mut Windows);
        let ram = self.memory.ram_bytes();
        let body = share(ram, BODY_SHARE, MIN_BODY_BYTES, MAX_BODY_BYTES);
        let buffers = Buffers {
            body: self.carve(body, "requests"),
            outgoing: self.carve(OUTGOING_BYTES, "responses"),
        };
        let clock = match self.measurement.finish(&self.apic) {
            Ok(clock) => clock,
            Err(_) => give_up!("no clock to measure the time stamp counter with"),
        };
        logger::set_clock(clock);
        if let Some(what) = self.options.self_test
            && what != SelfTest::Late
        {
            self.run_self_test(what, clock);
        }
        let vsock = self.start_vsock(&mut devices, clock.now());
        host::begin(config, buffers, vsock, clock);

        // User mode; and everything that is left of memory is for programs.
        // SAFETY: once, in ring 0, on the final tables, after the local controller's window was mapped.
        let processor = unsafe { Processor::new(self.features, clock, self.apic.into_timer()) };
        let initrd = self.memory.module();
        let Some(pool) = self.memory.into_pool() else {
            give_up!("no memory is left for programs");
        };
        let rest = Rest {
            ram,
            programs: pool.total() * PAGE_BYTES,
            devices,
            interrupts: self.interrupts,
            initrd,
            seed: processor.random_seed(),
            reserved: config.reserved_ports(),
        };
        let turns = Turns {
            options: self.options,
            clock,
            serial: self.serial,
            kernel: Box::new(Kernel::new(processor, pool)),
        };
        (turns, Box::new(rest))
    }

    /// Starts the device without which nobody can talk to us.
    #[inline(never)]
    fn start_vsock(&mut self, devices: &mut Discovery, now: Instant) -> Box<MachineVsock> {
        let is_vsock = |found: &&Found| found.device_type == DeviceType::Socket;
        let Some(found) = devices.devices.iter().find(is_vsock).copied() else {
            give_up!("there is no vsock device; give the VM one (virtio-vsock, any transport)");
        };
        let place = found.location;
        let transport = match start::open(devices, found, &mut Windows, &mut self.interrupts) {
            Ok((transport, _)) => transport,
            Err(error) => give_up!("vsock at {place}: {error}"),
        };
        let budget = Budget::for_ram(self.memory.ram_bytes());
        let Some(memory) = self.memory.carve(budget.bytes()) else {
            give_up!("no room for {} bytes of vsock buffers", budget.bytes());
        };
        // The counter differs from one start to the next, which is all the seed is for.
        let seed = Tsc::read() as u32;
        match MachineVsock::new(transport, memory.bytes, &budget, seed, now) {
            Ok(vsock) => Box::new(vsock),
            Err(error) => give_up!("vsock at {place}: {error}"),
        }
    }

    fn carve(&mut self, bytes: usize, what: &str) -> &'static mut [u8] {
        match self.memory.carve(bytes) {
            Some(piece) => piece.bytes,
            None => give_up!("no room for {bytes} bytes for {what}"),
        }
    }

    fn run_self_test(mut self: Box<Self>, what: SelfTest, clock: Tsc) -> ! {
        if !cfg!(debug_assertions) {
            give_up!("mote.self_test is only in an image with checks (profile image-debug)");
        }
        // SAFETY: once, in ring 0, on the final tables, after the local controller's window was mapped.
        let mut processor = unsafe { Processor::new(self.features, clock, self.apic.into_timer()) };
        let Some(mut pool) = self.memory.into_pool() else {
            give_up!("no memory is left for programs");
        };
        self_test::run(what, &mut processor, &mut pool, &clock);
        while let Some(record) = logger::next() {
            turn::print(&mut self.serial, self.options.serial_level, &record);
        }
        power::off()
    }
}

/// The part of start-up that nobody needs before the host has negotiated.
pub(crate) struct Rest {
    ram: u64,
    programs: usize,
    devices: Discovery,
    interrupts: Interrupts,
    initrd: Option<&'static [u8]>,
    seed: Option<[u8; 32]>,
    reserved: ReservedPorts,
}

impl Rest {
    /// Reads the wall clock, starts the disks as the host put them there, and gives everything to whom it belongs. Returns
    /// where further disks come in.
    #[inline(never)]
    pub(crate) fn set_up(mut self: Box<Self>, turns: &mut Turns) -> MachineBay {
        let epoch = read_epoch(&turns.clock);
        turns.clock.set_epoch(epoch);
        // Lent to nobody: the loop comes after this.
        let host = host::with(|agent, vsock| {
            agent.set_epoch(epoch);
            Host {
                cid: vsock.guest_cid() as u32,
                reserved: self.reserved,
            }
        });
        let now = turns.clock.now();
        let disks = start_disks(&mut self.devices, &mut Windows, &mut self.interrupts, now);
        log::info!(
            "mote {}: {} MiB of RAM, {} KiB for programs, {} disks, {} MHz {}",
            env!("CARGO_PKG_VERSION"),
            self.ram.div_ceil(1 << 20),
            self.programs / 1024,
            disks.len(),
            turns.clock.hz() / 1_000_000,
            turns.clock.reference(),
        );
        turns.kernel.set_up(Parts {
            disks,
            initrd: self.initrd,
            epoch,
            seed: self.seed,
            user_clock: Some(turns.clock.user_clock()),
            host,
        });
        Box::new(Bay::new(self.devices, self.interrupts))
    }
}

fn open_heap(memory: &mut Memory, ram: u64) {
    let large = usize::try_from(ram / LARGE_HEAP_SHARE).unwrap_or(usize::MAX);
    let bytes = share(ram, HEAP_SHARE, MIN_HEAP_BYTES, MAX_HEAP_BYTES).max(large);
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
