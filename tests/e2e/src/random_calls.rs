//! Random system calls: a program makes them in a container, and the machine is afterwards as it was before.

use crate::{DEADLINE, Tree, config, patient, random_calls_program};
use mote_host::{Container, ContainerConfig, GuestConnection, Machine, ProcessConfig, Vm};
use std::thread;
use std::time::{Duration, Instant};

/// Memory of the VM, and how much of it the container may use.
const MEMORY_MIB: u32 = 128;
const CONTAINER_BYTES: u64 = 40 << 20;

/// Processes of the container.
const PROCESSES: u64 = 40;

/// What a name on the heap takes at most. Names that were looked for stay known until others take their place, those of
/// removed directories, too; so their number is no leak, and bounded by the kernel's own limit.
const NAME_BYTES: u64 = 272;

/// By how much the heap may grow: tables keep the room they once needed.
const GROWN_BYTES: u64 = 64 << 10;

/// How often the bridge is asked meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    /// System calls, at least.
    pub calls: u64,
    /// Where the random numbers start; the same seed makes the same calls.
    pub seed: u64,
    /// The first round: 0, or the one to play again.
    pub first: u64,
    /// How long it may take.
    pub limit: Duration,
}

/// What the machine has in use, as it says itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    /// Processes, tasks and address spaces.
    pub kernel: String,
    /// Files that are open.
    pub open: u64,
    /// Names that are known.
    pub names: u64,
    /// Frames that hold anything but copies of what disks have.
    pub frames: u64,
    /// Bytes of the kernel's heap.
    pub heap: u64,
}

impl InUse {
    /// Checks that this is no more than `before`.
    fn assert_like(&self, before: &Self, said: &str) {
        let exact = |it: &Self| (it.kernel.clone(), it.open, it.frames);
        assert_eq!(
            exact(self),
            exact(before),
            "processes, open files and frames, after {said}"
        );
        let known = self.names.saturating_sub(before.names);
        assert!(
            self.heap <= before.heap + GROWN_BYTES + known * NAME_BYTES,
            "{self:?} instead of {before:?}, after {said}"
        );
    }
}

/// Makes the calls and returns what the program said.
///
/// # Panics
///
/// When the guest does not live through it, or keeps anything of it.
#[must_use]
pub fn run(calls: Calls) -> String {
    let tree = Tree::with_busybox();
    tree.copy(random_calls_program(), "bin/random-calls");
    let config = config(Machine::Microvm).disk(tree.image());
    let vm = Vm::start(config.memory_mib(MEMORY_MIB)).unwrap_or_else(|error| panic!("{error}"));
    let guest = vm.connect().unwrap_or_else(|error| panic!("{error}"));
    // What is only there once, tables that have grown and pages of the program, is there then.
    let warm = Calls {
        calls: calls.calls / 10,
        ..calls
    };
    let _ = play(&vm, &guest, warm);
    let before = settled(&guest);
    let said = play(&vm, &guest, calls);
    let after = settled(&guest);
    after.assert_like(&before, &said);
    said
}

/// Runs the program in a container of its own, asking the bridge meanwhile.
fn play(vm: &Vm, guest: &GuestConnection, calls: Calls) -> String {
    let number = |number: u64| number.to_string();
    let [count, seed, first] = [calls.calls, calls.seed, calls.first].map(number);
    let words = ["/bin/random-calls", "--calls", &count, "--seed", &seed];
    let words = words.into_iter().chain(["--first", &first]);
    let config = ContainerConfig::new(&ProcessConfig::new(words))
        .memory_limit(CONTAINER_BYTES)
        .pids_limit(PROCESSES);
    let container = create(guest, &config);
    let init = container
        .create_process(&ProcessConfig::init())
        .expect("it runs");
    let output = thread::scope(|scope| {
        let end = scope.spawn(|| init.output_within(b"", calls.limit));
        while !end.is_finished() {
            assert_answers(vm, guest);
            thread::sleep(LOOK_AGAIN);
        }
        end.join().expect("no panic")
    });
    let output = output.unwrap_or_else(|error| panic!("{calls:?}: {error}\n{}", vm.console()));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.exit_code, 0, "{said}{errors}{}", vm.console());
    container.wait_timeout(DEADLINE).expect("notified");
    guest.delete_container_state("calls").expect("deleted");
    said
}

fn create(guest: &GuestConnection, config: &ContainerConfig) -> Container {
    let container = guest.create_container("calls", config).expect("created");
    container.start().expect("started");
    container
}

fn assert_answers(vm: &Vm, guest: &GuestConnection) {
    let process = guest.create_process(&ProcessConfig::new(["/bin/busybox", "echo", "alive"]));
    let output = process.and_then(|process| process.output_within(b"", patient().call));
    let output = output.unwrap_or_else(|error| panic!("{error}\n{}", vm.console()));
    assert_eq!(output.stdout, b"alive\n", "{output:?}");
}

/// Returns what is in use once nothing ends any more.
fn settled(guest: &GuestConnection) -> InUse {
    let start = Instant::now();
    loop {
        let text = guest.dump_stacks().expect("answered");
        if text.contains("(0 ending)") {
            return in_use(&text);
        }
        assert!(start.elapsed() < DEADLINE, "{text}");
        thread::sleep(LOOK_AGAIN);
    }
}

/// Reads the numbers of a dump.
fn in_use(text: &str) -> InUse {
    let line = |start: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(start));
        line.unwrap_or_else(|| panic!("no {start:?} in:\n{text}"))
    };
    let numbers = |line: &str| -> Vec<u64> {
        let words = line.split(|it: char| !it.is_ascii_digit());
        words.filter_map(|word| word.parse().ok()).collect()
    };
    let kernel = line("kernel: ");
    let [.., free, total] = numbers(kernel)[..] else {
        panic!("{kernel}");
    };
    let [cached, names, _, open, ..] = numbers(line("files: "))[..] else {
        panic!("{text}");
    };
    let heap = numbers(line("heap: "));
    InUse {
        kernel: kernel.split(", ").take(3).collect::<Vec<_>>().join(", "),
        open,
        names,
        frames: total - free - cached,
        heap: heap[1],
    }
}
