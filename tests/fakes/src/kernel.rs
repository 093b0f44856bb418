//! A kernel without programs: processes are entries that the test moves, kept for inspection when they are gone.

use crate::alloc::uncounted;
use agent::kernel::{
    Action, Change, ChangeId, Credentials, DiskUsage, End, Event, ExitStatus, Input, Kernel,
    Limits, LoadError, Output, OutputStream, Pid, ProcessInfo, Program, Refusal, Signal, Stdio,
    StringList, UNLIMITED, Usage, View, Writes,
};
use core::fmt;
use core::time::Duration;
use hal::clock::Instant;
use std::collections::{HashMap, VecDeque};

/// Where a process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its program is being loaded.
    Loading,
    /// Loaded, not started.
    Stopped,
    /// Running.
    Running,
    /// Exited; its output can be read.
    Exited,
    /// Taken back or released; only this record is left.
    Gone,
}

/// One process and everything that was done to it.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names are those of agent::kernel")]
pub struct Process {
    pub pid: Pid,
    pub view: View,
    pub state: State,
    pub args: Vec<String>,
    pub env: Vec<String>,
    pub cwd: String,
    pub credentials: Credentials,
    pub terminal: bool,
    /// Rows and columns of its terminal's window.
    pub window: [u16; 2],
    pub stdio: Stdio,
    pub signals: Vec<Signal>,
    /// What it could read, and does when the test takes it.
    pub stdin: VecDeque<u8>,
    pub stdin_closed: bool,
    /// Bytes its input pipe holds.
    pub stdin_room: usize,
    pub stdin_broken: bool,
    pub user_time: Duration,
    pub kernel_time: Duration,
    pub memory_bytes: u64,
    pub created: Option<Duration>,
    outputs: [Pipe; 2],
    wants_input: bool,
}

/// One change and what became of it.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names are those of agent::kernel")]
pub struct Changed {
    pub id: ChangeId,
    /// The change as `Debug` shows it.
    pub change: String,
    pub deadline: Instant,
    /// Neither ended nor given up.
    pub is_pending: bool,
    pub is_given_up: bool,
}

/// One output stream.
#[derive(Debug, Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    ended: bool,
    closed: bool,
}

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
    /// Every change there ever was.
    pub changes: Vec<Changed>,
    /// Whether changes are made at once; else [`FakeKernel::end_change`] does it.
    pub changes_at_once: bool,
    /// Why the next change cannot be made.
    pub change_error: Option<LoadError>,
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
            changes: Vec::with_capacity(1024),
            changes_at_once: true,
            change_error: None,
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
            pid: Pid(child),
            view: parent.view,
            state: parent.state,
            args: parent.args.clone(),
            env: parent.env.clone(),
            cwd: parent.cwd.clone(),
            credentials: parent.credentials.clone(),
            terminal: parent.terminal,
            window: parent.window,
            stdio: Stdio::default(),
            signals: Vec::new(),
            stdin: VecDeque::new(),
            stdin_closed: false,
            stdin_room: 0,
            stdin_broken: false,
            user_time: Duration::ZERO,
            kernel_time: Duration::ZERO,
            memory_bytes: 0,
            created: None,
            outputs: Default::default(),
            wants_input: false,
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

/// Shows a change as a call of its action, with the paths it uses.
fn show_change(change: &Change<'_>) -> String {
    let Change {
        action,
        path,
        source,
        layers,
    } = change;
    match action {
        Action::Mount(medium, part, writes) => {
            format!("Mount({medium:?}, {part:?}, {writes:?}, {path:?})")
        }
        Action::BlockDevice(medium, part) => {
            format!("BlockDevice({medium:?}, {part:?}, {path:?})")
        }
        Action::Unite => format!("Unite({:?}, {source:?}, {path:?})", strings(*layers)),
        Action::Bind(view, writes) => format!("Bind({view:?}, {source:?}, {writes:?}, {path:?})"),
        Action::Memory(view, mode) => format!("Memory({view:?}, {mode}, {path:?})"),
        Action::Unmount => format!("Unmount({path:?})"),
        Action::Eject(medium) => format!("Eject({medium:?})"),
    }
}

fn strings(list: StringList<'_>) -> Vec<String> {
    list.iter()
        .map(|string| String::from_utf8_lossy(string).into_owned())
        .collect()
}

impl Kernel for FakeKernel {
    fn create_view(&mut self, root: &str, writes: Writes) -> Result<View, Refusal> {
        self.writes = writes;
        uncounted(|| {
            let view = View {
                index: self.next_view,
                generation: 0,
            };
            self.next_view += 1;
            self.views.insert(view.index, root.into());
            Ok(view)
        })
    }

    fn remove_view(&mut self, view: View) {
        assert!(
            self.views.remove(&view.index).is_some(),
            "a view is removed once"
        );
        for process in &mut self.processes {
            if process.view == view {
                process.state = State::Gone;
            }
        }
    }

    fn set_limits(&mut self, view: View, limits: Limits) -> Result<(), Refusal> {
        if let Some(refusal) = self.limits_refusal.take() {
            return Err(refusal);
        }
        if view != View::UTILITY_VM && !self.views.contains_key(&view.index) {
            return Err(Refusal::NoView);
        }
        uncounted(|| self.limits.push((view, limits)));
        Ok(())
    }

    fn usage(&self, view: View) -> Option<Usage> {
        if view != View::UTILITY_VM && !self.views.contains_key(&view.index) {
            return None;
        }
        Some(self.usage.get(&view.index).copied().unwrap_or(Usage {
            tasks_limit: UNLIMITED,
            memory_limit_bytes: UNLIMITED,
            ..Usage::default()
        }))
    }

    fn disk_usage(&self, view: View, nth: usize) -> Option<DiskUsage> {
        self.disks.get(&view.index)?.get(nth).copied()
    }

    fn change(&mut self, change: &Change<'_>, deadline: Instant) -> Result<ChangeId, Refusal> {
        uncounted(|| {
            if let Some(refusal) = self.refusal.take() {
                return Err(refusal);
            }
            let id = ChangeId(self.changes.len() as u32);
            let is_of_view = matches!(change.action, Action::Bind(..) | Action::Memory(..));
            self.changes.push(Changed {
                id,
                change: show_change(change),
                deadline,
                is_pending: true,
                is_given_up: false,
            });
            if self.changes_at_once && !is_of_view {
                let outcome = self.change_error.take().map_or(Ok(()), Err);
                self.end_change(id.0 as usize, outcome);
            }
            Ok(id)
        })
    }

    fn give_up(&mut self, change: ChangeId) {
        let known = &mut self.changes[change.0 as usize];
        assert!(known.is_pending, "{known:?}");
        known.is_pending = false;
        known.is_given_up = true;
    }

    fn spawn(&mut self, view: View, program: &Program<'_>) -> Result<Pid, Refusal> {
        uncounted(|| {
            if let Some(refusal) = self.refusal.take() {
                return Err(refusal);
            }
            assert!(!program.args.is_empty(), "a program has a name");
            if view != View::UTILITY_VM && !self.views.contains_key(&view.index) {
                return Err(Refusal::NoView);
            }
            let pid = Pid(self.next_pid);
            self.next_pid += 1;
            self.processes.push(Process {
                pid,
                view,
                state: State::Loading,
                args: strings(program.args),
                env: strings(program.env),
                cwd: program.cwd.into(),
                credentials: program.credentials.clone(),
                terminal: program.terminal,
                window: [0; 2],
                stdio: Stdio::default(),
                signals: Vec::with_capacity(8),
                stdin: VecDeque::new(),
                stdin_closed: false,
                stdin_room: 64 * 1024,
                stdin_broken: false,
                user_time: Duration::ZERO,
                kernel_time: Duration::ZERO,
                memory_bytes: 0,
                created: None,
                outputs: Default::default(),
                wants_input: false,
            });
            if self.loads_at_once {
                self.load(pid.0);
            }
            Ok(pid)
        })
    }

    fn attach(&mut self, pid: Pid, stdio: Stdio) -> Result<(), Refusal> {
        let process = self.find(pid).ok_or(Refusal::NoProcess)?;
        if process.state != State::Stopped {
            return Err(Refusal::WrongState);
        }
        process.stdio = stdio;
        Ok(())
    }

    fn start(&mut self, pid: Pid) -> Result<(), Refusal> {
        let process = self.find(pid).ok_or(Refusal::NoProcess)?;
        if process.state != State::Stopped {
            return Err(Refusal::WrongState);
        }
        process.state = State::Running;
        for (pipe, end) in process
            .outputs
            .iter_mut()
            .zip([process.stdio.stdout, process.stdio.stderr])
        {
            pipe.closed = end != End::Pipe;
        }
        Ok(())
    }

    fn abort(&mut self, pid: Pid) {
        if let Some(process) = self.find(pid)
            && matches!(process.state, State::Loading | State::Stopped)
        {
            process.state = State::Gone;
        }
    }

    fn release(&mut self, pid: Pid) {
        if let Some(process) = self.find(pid)
            && process.state == State::Exited
        {
            process.state = State::Gone;
        }
    }

    fn signal(&mut self, pid: Pid, signal: Signal) -> Result<(), Refusal> {
        let ignored = self.ignored.contains(&signal);
        let process = self.find(pid).ok_or(Refusal::NoProcess)?;
        if !matches!(process.state, State::Running | State::Stopped) {
            return Err(Refusal::NoProcess);
        }
        uncounted(|| process.signals.push(signal));
        let deadly = matches!(signal, Signal::KILL | Signal::TERM) && !ignored;
        if deadly {
            uncounted(|| self.exit(pid.0, ExitStatus::Killed(signal)));
        }
        Ok(())
    }

    fn resize(&mut self, pid: Pid, rows: u16, columns: u16) -> Result<(), Refusal> {
        let process = self.find(pid).ok_or(Refusal::NoProcess)?;
        if process.terminal {
            process.window = [rows, columns];
            Ok(())
        } else {
            Err(Refusal::NotATerminal)
        }
    }

    fn offer_input(&mut self, pid: Pid, bytes: &[u8]) -> Input {
        let Some(process) = self.find(pid) else {
            return Input::Broken;
        };
        assert_eq!(process.stdio.stdin, End::Pipe, "there is a pipe");
        assert!(!process.stdin_closed, "nothing is offered behind the end");
        if process.stdin_broken || process.state == State::Exited {
            return Input::Broken;
        }
        let room = process.stdin_room.saturating_sub(process.stdin.len());
        let count = room.min(bytes.len());
        uncounted(|| process.stdin.extend(&bytes[..count]));
        process.wants_input |= count < bytes.len();
        Input::Took(count)
    }

    fn close_input(&mut self, pid: Pid) {
        if let Some(process) = self.find(pid) {
            process.stdin_closed = true;
        }
    }

    fn output(&self, pid: Pid, stream: OutputStream) -> Output<'_> {
        let process = self
            .processes
            .iter()
            .rev()
            .find(|process| process.pid == pid && process.state != State::Gone)
            .expect("output of a process that is there");
        let pipe = &process.outputs[stream as usize];
        Output {
            bytes: pipe.bytes.as_slices().0,
            ended: pipe.ended,
        }
    }

    fn consume(&mut self, pid: Pid, stream: OutputStream, count: usize) {
        let process = self.find(pid).expect("output of a process that is there");
        process.outputs[stream as usize].bytes.drain(..count);
    }

    fn close_output(&mut self, pid: Pid, stream: OutputStream) {
        if let Some(process) = self.find(pid) {
            let pipe = &mut process.outputs[stream as usize];
            pipe.closed = true;
            pipe.bytes.clear();
        }
    }

    fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn process(&self, view: View, nth: usize) -> Option<ProcessInfo> {
        let process = self
            .processes
            .iter()
            .filter(|process| {
                process.view == view && matches!(process.state, State::Stopped | State::Running)
            })
            .nth(nth)?;
        Some(ProcessInfo {
            pid: process.pid,
            view,
            name: process.args[0]
                .chars()
                .take(15)
                .filter(char::is_ascii)
                .collect(),
            user_time: process.user_time,
            kernel_time: process.kernel_time,
            memory_bytes: process.memory_bytes,
            created: process.created,
        })
    }

    fn dump(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        out.write_str(&self.report)
    }

    fn add_entropy(&mut self, bytes: &[u8]) {
        uncounted(|| self.entropy.extend_from_slice(bytes));
    }

    fn power_off(&mut self) {
        self.powered_off = true;
    }
}
