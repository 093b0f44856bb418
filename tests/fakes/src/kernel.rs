//! A kernel without programs: processes are entries that the test moves, kept for inspection when they are gone.
//!
//! [`FakeKernel`] and what a test does to it stand here, what the agent asks of it in `call`; one entry each for a
//! `process` and for a `change`.

mod call;
mod change;
mod channel;
mod process;

pub use change::Changed;
pub use channel::Channel;
pub use process::{Process, State};

use agent::kernel::{
    DiskUsage, Event, ExitStatus, Limits, LoadError, MemoryKill, OutputStream, Pid, Refusal,
    Signal, StringList, Usage, View, Writes,
};
use std::collections::{HashMap, VecDeque};

/// The scripted kernel.
#[derive(Debug)]
pub struct FakeKernel {
    /// Every process there ever was, in the order of their ids.
    pub processes: Vec<Process>,
    /// Roots of the views there are.
    pub views: HashMap<u16, String>,
    /// What was set for views, in order.
    pub limits: Vec<(View, Limits)>,
    /// What views have used and may use, by slot; nothing and everything where there is no entry.
    pub usage: HashMap<u16, Usage>,
    /// What was read from disks on views' behalf, by slot.
    pub disks: HashMap<u16, Vec<DiskUsage>>,
    /// What the next setting of limits is refused with.
    pub limits_refusal: Option<Refusal>,
    /// What becomes of writes in the view made last.
    pub writes: Writes,
    /// The view of its pod's sandbox.
    pub sandbox: Option<View>,
    /// Names that views were given, by slot.
    pub names: HashMap<u16, String>,
    /// Every change there ever was.
    pub changes: Vec<Changed>,
    /// Whether changes are made at once; else [`FakeKernel::end_change`] does it.
    pub changes_at_once: bool,
    /// Why the next change cannot be made.
    pub change_error: Option<LoadError>,
    /// Every channel there ever was, by its id.
    pub channels: Vec<Channel>,
    /// Ports that programs listen on.
    pub listening: Vec<u32>,
    /// Bytes for the random generator.
    pub entropy: Vec<u8>,
    /// Whether the machine was told to power off.
    pub powered_off: bool,
    /// Whether programs are loaded at once; else [`FakeKernel::load`] does it.
    pub loads_at_once: bool,
    /// Signals that programs do not die of.
    pub ignored: Vec<Signal>,
    /// What the next spawn is refused with.
    pub refusal: Option<Refusal>,
    /// Text for DumpStacks.
    pub report: String,
    missing: HashMap<String, (i32, &'static str)>,
    events: VecDeque<Event>,
    next_pid: u32,
    next_view: u16,
}

impl Default for FakeKernel {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeKernel {
    /// Returns a kernel that loads every program.
    #[must_use]
    pub fn new() -> Self {
        Self {
            processes: Vec::with_capacity(1024),
            views: HashMap::new(),
            limits: Vec::new(),
            usage: HashMap::new(),
            disks: HashMap::new(),
            limits_refusal: None,
            writes: Writes::Kept,
            sandbox: None,
            names: HashMap::new(),
            changes: Vec::with_capacity(1024),
            changes_at_once: true,
            change_error: None,
            channels: Vec::with_capacity(256),
            listening: Vec::new(),
            entropy: Vec::new(),
            powered_off: false,
            loads_at_once: true,
            ignored: Vec::new(),
            refusal: None,
            report: "kernel: idle\n".into(),
            missing: HashMap::new(),
            events: VecDeque::with_capacity(1024),
            next_pid: 101,
            next_view: 1,
        }
    }

    /// Gives the next process this id.
    pub fn set_next_pid(&mut self, pid: u32) {
        self.next_pid = pid;
    }

    /// Makes loading a program fail.
    pub fn miss(&mut self, program: &str, errno: i32, reason: &'static str) {
        self.missing.insert(program.into(), (errno, reason));
    }

    /// Returns a process, also one that is gone.
    ///
    /// # Panics
    ///
    /// If there never was one.
    pub fn at(&mut self, pid: u32) -> &mut Process {
        self.processes
            .iter_mut()
            .rev()
            .find(|process| process.pid.0 == pid)
            .expect("there is such a process")
    }

    /// Lets a process make another one, as programs do by themselves.
    pub fn fork(&mut self, parent: u32, child: u32) {
        let parent = self.at(parent);
        let process = Process {
            args: parent.args.clone(),
            env: parent.env.clone(),
            cwd: parent.cwd.clone(),
            credentials: parent.credentials.clone(),
            terminal: parent.terminal,
            window: parent.window,
            ..Process::new(Pid(child), parent.view, parent.state)
        };
        self.processes.push(process);
    }

    /// Ends a change that is under way.
    ///
    /// # Panics
    ///
    /// If it is not.
    pub fn end_change(&mut self, nth: usize, outcome: Result<(), LoadError>) {
        let change = &mut self.changes[nth];
        assert!(change.is_pending, "{change:?}");
        change.is_pending = false;
        self.events.push_back(Event::Changed(change.id, outcome));
    }

    /// A process is killed for its memory; its end is another event.
    pub fn run_out_of_memory(&mut self, kill: MemoryKill) {
        self.events.push_back(Event::OutOfMemory(kill));
    }

    /// Ends the loading of a program, well or as [`FakeKernel::miss`] says.
    pub fn load(&mut self, pid: u32) {
        let process = self.at(pid);
        assert_eq!(process.state, State::Loading);
        let program = process.args[0].clone();
        let missing = self.missing.get(&program).copied();
        self.at(pid).state = match missing {
            Some(_) => State::Gone,
            None => State::Stopped,
        };
        let outcome = match missing {
            Some((errno, reason)) => Err(LoadError {
                errno,
                reason,
                path: program.chars().take(255).collect(),
                holder: None,
            }),
            None => Ok(()),
        };
        self.events.push_back(Event::Loaded(Pid(pid), outcome));
    }

    /// The process writes. Returns whether anyone takes it.
    pub fn write(&mut self, pid: u32, stream: OutputStream, bytes: &[u8]) -> bool {
        let process = self.at(pid);
        assert_eq!(
            process.state,
            State::Running,
            "only a running process writes"
        );
        let pipe = &mut process.outputs[stream as usize];
        if pipe.closed {
            return false;
        }
        pipe.bytes.extend(bytes);
        self.events.push_back(Event::OutputReady(Pid(pid)));
        true
    }

    /// Returns how many written bytes nobody has taken.
    pub fn unread(&mut self, pid: u32, stream: OutputStream) -> usize {
        self.at(pid).outputs[stream as usize].bytes.len()
    }

    /// Returns whether the output was closed from outside.
    pub fn is_output_closed(&mut self, pid: u32, stream: OutputStream) -> bool {
        self.at(pid).outputs[stream as usize].closed
    }

    /// The process reads everything its input pipe holds.
    pub fn read(&mut self, pid: u32) -> Vec<u8> {
        let process = self.at(pid);
        let bytes = process.stdin.drain(..).collect();
        if process.wants_input {
            process.wants_input = false;
            self.events.push_back(Event::InputReady(Pid(pid)));
        }
        bytes
    }

    /// The process closes its input.
    pub fn break_input(&mut self, pid: u32) {
        self.at(pid).stdin_broken = true;
        self.events.push_back(Event::InputReady(Pid(pid)));
    }

    /// The process ends; others still hold its outputs.
    pub fn leave(&mut self, pid: u32, status: ExitStatus) {
        let process = self.at(pid);
        assert_eq!(process.state, State::Running);
        process.state = State::Exited;
        self.events.push_back(Event::Exited(Pid(pid), status));
    }

    /// The process ends; nothing else holds its outputs.
    pub fn exit(&mut self, pid: u32, status: ExitStatus) {
        let process = self.at(pid);
        assert!(matches!(process.state, State::Running | State::Stopped));
        process.state = State::Exited;
        for pipe in &mut process.outputs {
            pipe.ended = true;
        }
        self.events.push_back(Event::OutputReady(Pid(pid)));
        self.events.push_back(Event::Exited(Pid(pid), status));
    }

    fn find(&mut self, pid: Pid) -> Option<&mut Process> {
        self.processes
            .iter_mut()
            .rev()
            .find(|process| process.pid == pid && process.state != State::Gone)
    }
}

fn strings(list: StringList<'_>) -> Vec<String> {
    list.iter()
        .map(|string| String::from_utf8_lossy(string).into_owned())
        .collect()
}
