//! The real kernel without a machine: a disk of bytes, an initrd, and programs that are scripts.

mod program;

pub(crate) use program::ScriptedUser;

use crate::script::Script;
use agent::Config;
use agent::kernel::{
    Change, ChangeId, Credentials, End, Event, Kernel as _, Output, OutputStream, Pid,
    ProcessLimits, Program, Refusal, Signal, Stdio, StringList, View,
};
use fakes::clock::HandClock;
use fakes::disk::Disk;
use hal::clock::Instant;
use hal::limits::PAGE_BYTES;
use kernel::fs::Host;
use kernel::{Kernel, Parts};
use std::time::Duration;

/// Memory of the machine: little, so that running out of it is tried, too.
const FRAMES: usize = 160;
/// More turns than any input of the allowed length can use; a kernel that wants more goes round in circles.
const MAX_TURNS: usize = 200_000;
/// What a turn of the loop takes on the hand-wound clock.
const TURN: Duration = Duration::from_micros(20);
/// How long a change waits for what is not as it should be: some looks.
const CHANGE_WAIT: Duration = Duration::from_millis(50);

/// A kernel and the clock it goes by.
pub(crate) struct Guest {
    pub(crate) kernel: Kernel<ScriptedUser, Disk>,
    clock: HandClock,
    turns: usize,
    /// The program that is running and was not killed yet.
    running: Option<Pid>,
}

impl Guest {
    /// Starts a kernel on a disk, or on an initrd when there is none. Programs do what `script` says.
    pub(crate) fn new(disk: Option<Disk>, initrd: Option<Vec<u8>>, script: Vec<u8>) -> Self {
        Self::make(disk.into_iter().collect(), initrd, script, FRAMES)
    }

    /// Starts a kernel with several disks and more memory. Nothing runs there.
    pub(crate) fn of_disks(disks: Vec<Disk>, frames: usize) -> Self {
        Self::make(disks, None, Vec::new(), frames)
    }

    fn make(disks: Vec<Disk>, initrd: Option<Vec<u8>>, script: Vec<u8>, frames: usize) -> Self {
        let clock = HandClock::new();
        let user = ScriptedUser::new(clock.clone(), script);
        let mut kernel = Kernel::new(user, fakes::memory::frame_pool(frames));
        kernel.set_up(Parts {
            disks,
            initrd: initrd.map(|archive| &*archive.leak()),
            epoch: None,
            seed: Some([7; 32]),
            user_clock: None,
            host: Some(Host {
                cid: 3,
                reserved: Config::DEFAULT.reserved_ports(),
            }),
        });
        Self {
            kernel,
            clock,
            turns: 0,
            running: None,
        }
    }

    /// Begins a change that may wait for a while.
    pub(crate) fn change(&mut self, change: &Change<'_>) -> Result<ChangeId, Refusal> {
        let deadline = hal::clock::Clock::now(&self.clock) + CHANGE_WAIT;
        self.kernel.change(change, deadline)
    }

    /// Begins to load the program in a view.
    pub(crate) fn spawn(&mut self, view: View, cwd: &str) -> Result<Pid, Refusal> {
        let program = Program {
            args: StringList::from_packed(b"/bin/true\0").expect("it ends in a zero"),
            env: StringList::default(),
            cwd,
            credentials: Credentials::default(),
            user: "",
            terminal: false,
            limits: ProcessLimits::default(),
        };
        self.kernel.spawn(view, &program)
    }

    /// Turns the loop once.
    pub(crate) fn slice(&mut self) -> bool {
        self.turns += 1;
        assert!(
            self.turns < MAX_TURNS,
            "the kernel is still busy after {MAX_TURNS} turns"
        );
        self.clock.advance(TURN);
        self.kernel.run_slice(&self.clock)
    }

    /// Turns the loop until nothing moves, and the clock to what the kernel waits for.
    pub(crate) fn wind(&mut self) {
        while self.slice() {}
        let deadline = self.kernel.next_deadline();
        if deadline != Instant::NEVER {
            let now = hal::clock::Clock::now(&self.clock);
            self.clock.advance(deadline.since(now));
        }
    }

    /// Winds until the kernel waits for nothing.
    pub(crate) fn rest(&mut self) {
        while self.slice() || self.kernel.next_deadline() != Instant::NEVER {
            self.wind();
        }
    }

    /// Loads a program, or says why it cannot be.
    pub(crate) fn load(&mut self, arguments: &[&str]) -> Result<Pid, String> {
        self.load_with(arguments, false)
    }

    /// Loads a program that has a terminal, or says why it cannot be.
    pub(crate) fn load_at_terminal(&mut self, arguments: &[&str]) -> Result<Pid, String> {
        self.load_with(arguments, true)
    }

    fn load_with(&mut self, arguments: &[&str], terminal: bool) -> Result<Pid, String> {
        let packed: Vec<u8> = arguments
            .iter()
            .flat_map(|text| text.bytes().chain([0]))
            .collect();
        let program = Program {
            args: StringList::from_packed(&packed).expect("every argument ends in a zero"),
            env: StringList::from_packed(b"PATH=/bin\0").expect("it ends in a zero"),
            cwd: "/",
            credentials: Credentials::default(),
            user: "",
            terminal,
            limits: ProcessLimits::default(),
        };
        let spawned = self.kernel.spawn(View::UTILITY_VM, &program);
        let pid = spawned.map_err(|refusal| refusal.to_string())?;
        match self.wait(|event| matches!(event, Event::Loaded(loaded, _) if *loaded == pid)) {
            Event::Loaded(_, Err(error)) => {
                assert!(error.errno > 0, "a load failed with {}", error.errno);
                Err(error.reason.to_owned())
            }
            _ => Ok(pid),
        }
    }

    /// Starts a loaded program with three pipes and runs it to its end, feeding and draining it.
    pub(crate) fn run(&mut self, pid: Pid) {
        let pipes = Stdio {
            stdin: End::Pipe,
            stdout: End::Pipe,
            stderr: End::Pipe,
        };
        if self.kernel.attach(pid, pipes).is_err() || self.kernel.start(pid).is_err() {
            self.kernel.abort(pid);
            return;
        }
        // What it does not take now is not offered again.
        let _ = self.kernel.offer_input(pid, b"some lines\nof input\n");
        self.kernel.close_input(pid);
        self.running = Some(pid);
        self.wait(|event| matches!(event, Event::Exited(ended, _) if *ended == pid));
        self.running = None;
        self.drain(pid);
        self.kernel.release(pid);
    }

    /// Starts a program that has a terminal and plays a host that does there what `typed` says.
    pub(crate) fn sit(&mut self, pid: Pid, typed: &[u8]) {
        let pipes = Stdio {
            stdin: End::Pipe,
            stdout: End::Pipe,
            stderr: End::Null,
        };
        if self.kernel.attach(pid, pipes).is_err() || self.kernel.start(pid).is_err() {
            self.kernel.abort(pid);
            return;
        }
        self.running = Some(pid);
        let mut script = Script::new(typed);
        while !script.is_over() {
            let what = script.byte();
            match what & 7 {
                0..=4 => {
                    // What it does not take now is not offered again.
                    let bytes = script.bytes(usize::from(what >> 3));
                    let _ = self.kernel.offer_input(pid, bytes);
                }
                5 => {
                    // One that has ended has no window.
                    let _ = self.kernel.resize(pid, script.byte().into(), script.half());
                }
                6 => {
                    let count = self.kernel.output(pid, OutputStream::Stdout).bytes.len();
                    let count = count.min(usize::from(script.byte()));
                    self.kernel.consume(pid, OutputStream::Stdout, count);
                }
                _ if what > 0xf0 => self.kernel.close_output(pid, OutputStream::Stdout),
                _ => self.kernel.close_input(pid),
            }
            self.clock.advance(TURN);
            self.kernel.run_slice(&self.clock);
        }
        self.wait(|event| matches!(event, Event::Exited(ended, _) if *ended == pid));
        self.running = None;
        self.drain(pid);
        self.kernel.release(pid);
    }

    /// Turns the loop until an event is as wanted.
    fn wait(&mut self, is_wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            while let Some(event) = self.kernel.next_event() {
                if is_wanted(&event) {
                    return event;
                }
                if let Event::OutputReady(pid) = event {
                    self.drain(pid);
                }
            }
            self.turn();
        }
    }

    fn turn(&mut self) {
        self.turns += 1;
        assert!(
            self.turns < MAX_TURNS,
            "the kernel is still busy after {MAX_TURNS} turns"
        );
        self.clock.advance(TURN);
        if !self.kernel.run_slice(&self.clock) {
            // Nothing moves before the next deadline, so it is time for it.
            let deadline = self.kernel.next_deadline().as_nanos();
            let now = hal::clock::Clock::now(&self.clock).as_nanos();
            if deadline == u64::MAX {
                self.end_sleeper();
                return;
            }
            self.clock
                .advance(Duration::from_nanos(deadline.saturating_sub(now)));
        }
    }

    /// A program may wait for what never comes, such as a signal; then it is killed, once.
    fn end_sleeper(&mut self) {
        let sleeper = self.running.take();
        let pid = sleeper.expect("the kernel waits for nothing, and no program runs that could");
        let result = self.kernel.signal(pid, Signal::KILL);
        assert!(
            result.is_ok(),
            "a program that waits cannot be killed: {result:?}"
        );
    }

    fn drain(&mut self, pid: Pid) {
        for stream in [OutputStream::Stdout, OutputStream::Stderr] {
            loop {
                let Output { bytes, .. } = self.kernel.output(pid, stream);
                assert!(
                    bytes.len() <= FRAMES * PAGE_BYTES,
                    "more output than memory"
                );
                let count = bytes.len();
                if count == 0 {
                    break;
                }
                self.kernel.consume(pid, stream, count);
            }
        }
    }
}
