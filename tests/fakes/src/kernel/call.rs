//! What the agent asks of the fake kernel.

use super::change::show_change;
use super::channel::id_of;
use super::{Changed, FakeKernel, Process, State, strings};
use crate::alloc::uncounted;
use agent::kernel::{
    Action, Change, ChangeId, ChannelId, DiskUsage, End, Event, ExitStatus, Input, Kernel, Limits,
    Output, OutputStream, Over, Pid, ProcessInfo, Program, Refusal, Signal, Stdio, UNLIMITED,
    Usage, View, Writes,
};
use core::fmt;
use hal::clock::Instant;
use hal::vsock::{Address, Direction, Port};

impl Kernel for FakeKernel {
    fn create_view(
        &mut self,
        root: &str,
        writes: Writes,
        sandbox: Option<View>,
    ) -> Result<View, Refusal> {
        self.writes = writes;
        self.sandbox = sandbox;
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

    fn name_view(&mut self, view: View, name: &str) -> Result<(), Refusal> {
        uncounted(|| self.names.insert(view.index, name.into()));
        Ok(())
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
                args: strings(program.args),
                env: strings(program.env),
                cwd: program.cwd.into(),
                credentials: program.credentials.clone(),
                user: program.user.into(),
                terminal: program.terminal,
                signals: Vec::with_capacity(8),
                stdin_room: 64 * 1024,
                ..Process::new(pid, view, State::Loading)
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

    fn admit(&mut self, to: Port, from: Port) -> Option<ChannelId> {
        let listens = self.listening.contains(&to.0);
        listens.then(|| uncounted(|| id_of(self.open_channel(Some(from)))))
    }

    fn connected(&mut self, channel: ChannelId, local: Address) {
        self.channel(channel).local = Some(local);
    }

    fn sent(&self, channel: ChannelId) -> Output<'_> {
        let end = &self.channels[channel.0.get() as usize - 1];
        let bytes = end.sent.as_slices().0;
        Output {
            bytes,
            ended: !end.sends && bytes.len() == end.sent.len(),
        }
    }

    fn take_sent(&mut self, channel: ChannelId, count: usize) {
        self.channel(channel).sent.drain(..count);
    }

    fn deliver(&mut self, channel: ChannelId, bytes: &[u8]) -> Input {
        let end = self.channel(channel);
        if !end.receives {
            return Input::Broken;
        }
        let count = bytes.len().min(end.room.saturating_sub(end.received.len()));
        end.wants_room = count < bytes.len();
        uncounted(|| end.received.extend(&bytes[..count]));
        Input::Took(count)
    }

    fn hang_up(&mut self, channel: ChannelId, direction: Direction) {
        let end = self.channel(channel);
        if direction == Direction::Send {
            end.sent.clear();
        }
        end.hung_up.push(direction);
    }

    fn end_channel(&mut self, channel: ChannelId, how: Over) {
        self.channel(channel).over = Some(how);
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
