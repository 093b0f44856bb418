//! Does the booted image keep its promises?
//!
//! The tests are in `tests/vm`; this is what they share: the image, the programs, the disks, and a VM that has
//! negotiated. Everything is built once, and every wait has a deadline, which decides nothing but that a hanging test
//! fails.
#![forbid(unsafe_code)]

mod build;
mod child;
mod debian;
mod disk;
pub mod random_calls;
pub mod readme;
pub mod storm;

pub use build::{
    bomb, checked_image, conform, image, isolation, kernel, mote, program, random_calls_program,
    refused, stub, vsock_program,
};
pub use child::{LOOK_AGAIN, wait, words};
pub use debian::{ENVIRONMENT, debian_disk, on_debian_host};
pub use disk::{Tree, busybox_disk, debugfs, gpt_disk, host_busybox, large_file_disk, marker_disk};

use mote_host::vm::{Acceleration, LogRecord};
use mote_host::{GuestConnection, Machine, Output, ProcessConfig, Timeouts, Vm, VmConfig};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Ends what hangs. A machine that is busy building needs a hundred times what an idle one does.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// How long one VM may be used: several deadlines.
const LONGEST_TEST: Duration = Duration::from_secs(300);

/// How often that is looked at.
const LOOK_AT_VM: Duration = Duration::from_millis(500);

/// The machines every promise is kept on.
pub const MACHINES: [Machine; 2] = [Machine::Microvm, Machine::Q35];

/// A VM and the connection to its guest. The VM is killed when a test takes too long: then every stream ends and every
/// call fails, so that the test fails instead of hanging.
#[derive(Debug)]
pub struct Bed {
    /// The connection; declared first, so that it ends before the VM does.
    pub guest: GuestConnection,
    /// The VM.
    pub vm: Arc<Vm>,
}

/// A configuration with the image, TCG and deadlines; no disk yet.
#[must_use]
pub fn config(machine: Machine) -> VmConfig {
    VmConfig::new()
        .machine(machine)
        .acceleration(Acceleration::Tcg)
        .kernel(image())
        .timeouts(patient())
}

/// Time limits that end what hangs and decide nothing else.
#[must_use]
pub const fn patient() -> Timeouts {
    Timeouts {
        call: DEADLINE,
        abandonable_call: DEADLINE,
        dial: DEADLINE,
        power_off: DEADLINE,
    }
}

/// Waits until the log of a VM's guest says `words`, and returns the line: what is told there may be read after what is told
/// by the bridge.
///
/// # Panics
///
/// When it never does.
#[track_caller]
pub fn await_log(vm: &Vm, words: &str) -> LogRecord {
    let start = Instant::now();
    loop {
        let mut log = vm.log().into_iter();
        if let Some(record) = log.find(|record| record.message.contains(words)) {
            return record;
        }
        assert!(start.elapsed() < DEADLINE, "no {words:?} in the log");
        thread::sleep(LOOK_AGAIN);
    }
}

impl Bed {
    /// Launches a VM and negotiates.
    ///
    /// # Panics
    ///
    /// With what the guest and the VMM said, when that fails.
    #[must_use]
    #[track_caller]
    pub fn boot(config: VmConfig) -> Self {
        let vm = Vm::start(config).unwrap_or_else(|error| panic!("{error}"));
        let guest = vm.connect().unwrap_or_else(|error| panic!("{error}"));
        Self::of(vm, guest)
    }

    /// Takes a VM and a connection to its guest.
    #[must_use]
    pub fn of(vm: Vm, guest: GuestConnection) -> Self {
        let vm = Arc::new(vm);
        let watched = Arc::downgrade(&vm);
        // Not joined: it holds nothing, and ends with the process at the latest.
        thread::spawn(move || {
            let start = Instant::now();
            while let Some(vm) = watched.upgrade() {
                if start.elapsed() > LONGEST_TEST {
                    vm.kill();
                    return;
                }
                drop(vm);
                thread::sleep(LOOK_AT_VM);
            }
        });
        Self { guest, vm }
    }

    /// Boots the machine most tests use: a microvm with busybox on its disk.
    #[must_use]
    #[track_caller]
    pub fn busybox() -> Self {
        Self::boot(config(Machine::Microvm).disk(busybox_disk()))
    }

    /// Runs a process to its end.
    ///
    /// # Panics
    ///
    /// With the guest's console, when it cannot be run.
    #[track_caller]
    pub fn run(&self, config: &ProcessConfig, input: &[u8]) -> Output {
        self.guest
            .create_process(config)
            .and_then(|process| process.output_within(input, DEADLINE))
            .unwrap_or_else(|error| panic!("{config:?}: {error}\nconsole:\n{}", self.vm.console()))
    }

    /// Runs a program with these arguments to its end.
    ///
    /// # Panics
    ///
    /// As [`Bed::run`].
    #[track_caller]
    pub fn output(&self, args: &[&str]) -> Output {
        self.run(&ProcessConfig::new(args.iter().copied()), b"")
    }

    /// Waits until the guest's log says `words`, and returns the line.
    ///
    /// # Panics
    ///
    /// As [`await_log`].
    #[track_caller]
    pub fn await_log(&self, words: &str) -> LogRecord {
        await_log(&self.vm, words)
    }

    /// Checks that the guest still does everything it should: it answers, and it runs a program.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[track_caller]
    pub fn assert_alive(&self) {
        let output = self.output(&["/bin/busybox", "echo", "alive"]);
        assert_eq!(output.stdout, b"alive\n", "{output:?}");
        assert_eq!(output.exit_code, 0);
    }
}
