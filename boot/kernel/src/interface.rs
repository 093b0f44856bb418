//! What the agent asks of the kernel.

use crate::account::{Account, Resource};
use crate::fs::{AgentPipes, AgentStream, PipeId};
use crate::kernel::Kernel;
use crate::limits::{HOST_NAME_BYTES, MAX_VIEWS, PATH_BYTES};
use crate::process::{Life, Notices, Process, ProcessId};
use crate::signal::Info;
use crate::spawn::refusal;
use crate::task::Activity;
use crate::tty::TerminalId;
use crate::view::{Root, ViewEntry};
use agent::kernel::{
    Change, ChangeId, ChannelId, DiskUsage, Event, Input, Limits, Output, OutputStream, Over, Pid,
    ProcessInfo, Program, Refusal, Signal, Stdio, Usage, View, Writes,
};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use hal::block::Block;
use hal::clock::Instant;
use hal::limits::PAGE_BYTES;
use hal::user::User;
use hal::vsock::{Address, Direction, Port};

impl<U: User, B: Block> agent::kernel::Kernel for Kernel<U, B> {
    fn create_view(
        &mut self,
        root: &str,
        writes: Writes,
        sandbox: Option<View>,
    ) -> Result<View, Refusal> {
        if root.len() >= PATH_BYTES {
            return Err(Refusal::Limit("PATH_BYTES", PATH_BYTES - 1));
        }
        let system = &mut self.system;
        let frame = system.pool.take().map_err(|_| Refusal::OutOfMemory)?;
        system.pool.bytes_mut(&frame)[..root.len()].copy_from_slice(root.as_bytes());
        let mut account = Account::on_machine(system.pool.total());
        // The account is new and has no limit.
        let _ = account.charge(Resource::KernelFrames, 1);
        let account = match system.open_account(account) {
            Ok(account) => account,
            Err(refusal) => {
                system.pool.release(frame);
                return Err(refusal);
            }
        };
        let entry = ViewEntry {
            root: Root::Named(frame, root.len()),
            account,
            sandbox,
            init: 0,
            host_name: Vec::new(),
            writes,
            user: None,
        };
        system.views.insert(entry).map_err(|entry| {
            if let Root::Named(frame, _) = entry.root {
                system.pool.release(frame);
            }
            system.close_account(entry.account);
            Refusal::Limit("MAX_VIEWS", MAX_VIEWS - 1)
        })
    }

    fn name_view(&mut self, view: View, name: &str) -> Result<(), Refusal> {
        if name.len() > HOST_NAME_BYTES {
            return Err(Refusal::Limit("HOST_NAME_BYTES", HOST_NAME_BYTES));
        }
        let entry = self.system.views.get_mut(view).ok_or(Refusal::NoView)?;
        let mut own = Vec::new();
        own.try_reserve_exact(name.len())
            .map_err(|_| Refusal::OutOfMemory)?;
        own.extend_from_slice(name.as_bytes());
        entry.host_name = own;
        Ok(())
    }

    fn remove_view(&mut self, view: View) {
        if view == View::UTILITY_VM {
            return;
        }
        while let Some(id) = self.system.table.first_in(view) {
            self.remove_process(id);
        }
        self.system.leave_root(view, Root::Left);
        if let Some(entry) = self.system.views.remove(view) {
            self.system.close_account(entry.account);
        }
    }

    fn set_limits(&mut self, view: View, limits: Limits) -> Result<(), Refusal> {
        self.system.set_limits(view, limits)
    }

    fn usage(&self, view: View) -> Option<Usage> {
        self.system.usage(view)
    }

    fn disk_usage(&self, view: View, nth: usize) -> Option<DiskUsage> {
        self.system.disk_usage(view, nth)
    }

    fn change(&mut self, change: &Change<'_>, deadline: Instant) -> Result<ChangeId, Refusal> {
        self.system.begin_change(change, deadline)
    }

    fn give_up(&mut self, change: ChangeId) {
        self.system.give_up_change(change);
    }

    fn spawn(&mut self, view: View, program: &Program<'_>) -> Result<Pid, Refusal> {
        self.system.spawn(view, program)
    }

    fn attach(&mut self, pid: Pid, stdio: Stdio) -> Result<(), Refusal> {
        let id = self.find(pid)?;
        self.system.attach(id, stdio)
    }

    fn start(&mut self, pid: Pid) -> Result<(), Refusal> {
        let id = self.find(pid)?;
        let process = self.system.process(id).map_err(refusal)?;
        if !matches!(process.life, Life::Stopped) {
            return Err(Refusal::WrongState);
        }
        let attached = process.is_attached;
        if !attached {
            self.system.attach(id, Stdio::default())?;
        }
        let system = &mut self.system;
        system.apply_limits(id);
        let process = system.process_mut(id).map_err(refusal)?;
        process.life = Life::Running;
        if let Some(leader) = process.leader
            && let Ok(task) = system.task_mut(leader)
        {
            task.activity = Activity::Ready;
            system.ready.push_woken(leader);
        }
        Ok(())
    }

    fn abort(&mut self, pid: Pid) {
        if let Ok(id) = self.find(pid)
            && let Ok(process) = self.system.process(id)
            && matches!(
                process.life,
                Life::Loading(_) | Life::Failed(_) | Life::Stopped
            )
        {
            self.remove_process(id);
        }
    }

    fn release(&mut self, pid: Pid) {
        if let Ok(id) = self.find(pid)
            && let Ok(process) = self.system.process(id)
            && matches!(process.life, Life::Zombie(_))
        {
            self.remove_process(id);
        }
    }

    fn signal(&mut self, pid: Pid, signal: Signal) -> Result<(), Refusal> {
        let id = self.find(pid)?;
        let process = self.system.process(id).map_err(refusal)?;
        if !process.is_live() {
            return Err(Refusal::NoProcess);
        }
        // Whoever sends it is outside.
        self.system.signal_process(id, signal, &Info::UNKNOWN);
        Ok(())
    }

    fn resize(&mut self, pid: Pid, rows: u16, columns: u16) -> Result<(), Refusal> {
        let id = self.find(pid)?;
        self.system.resize(id, rows, columns)
    }

    fn offer_input(&mut self, pid: Pid, bytes: &[u8]) -> Input {
        let Some(pipes) = self.process(pid).map(|process| process.pipes) else {
            return Input::Broken;
        };
        let Ok(id) = self.find(pid) else {
            return Input::Broken;
        };
        let Ok(mut parts) = self.system.file_parts(id) else {
            return Input::Broken;
        };
        match (pipes.terminal, pipes.stdin) {
            (Some(terminal), _) => {
                let context = &mut parts.context;
                parts.files.terminals.offer(context, terminal, bytes)
            }
            (None, Some(pipe)) => parts.files.offer(&mut parts.context, pipe, bytes),
            (None, None) => Input::Broken,
        }
    }

    fn close_input(&mut self, pid: Pid) {
        let Ok(id) = self.find(pid) else {
            return;
        };
        if let Ok(process) = self.system.process_mut(id) {
            let stdin = process.pipes.stdin.take();
            self.system.close_pipes(AgentPipes {
                stdin,
                ..AgentPipes::default()
            });
        }
    }

    fn output(&self, pid: Pid, stream: OutputStream) -> Output<'_> {
        if let Some(terminal) = self.terminal(pid) {
            return match stream {
                OutputStream::Stdout => {
                    let terminals = &self.system.files.terminals;
                    terminals.peek(&self.system.pool, terminal)
                }
                // A terminal has one output; what a host dials besides ends with the program (gcs-protocol §9.4).
                OutputStream::Stderr => Output {
                    bytes: &[],
                    ended: !self.process(pid).is_some_and(Process::is_live),
                },
            };
        }
        match self.output_pipe(pid, stream) {
            Some(pipe) => self.system.files.pipes.peek(&self.system.pool, pipe),
            None => Output {
                bytes: &[],
                ended: true,
            },
        }
    }

    fn consume(&mut self, pid: Pid, stream: OutputStream, count: usize) {
        if let Some(terminal) = self.terminal(pid) {
            let system = &mut self.system;
            let terminals = &mut system.files.terminals;
            terminals.consume(&mut system.wakes, terminal, count);
        } else if let Some(pipe) = self.output_pipe(pid, stream) {
            let mut parts = self.system.own_file_parts();
            parts.files.pipes.consume(&mut parts.context, pipe, count);
        }
    }

    fn close_output(&mut self, pid: Pid, stream: OutputStream) {
        let Ok(id) = self.find(pid) else {
            return;
        };
        if let Ok(process) = self.system.process_mut(id) {
            let mut pipes = AgentPipes::default();
            match stream {
                OutputStream::Stdout => {
                    pipes.stdout = process.pipes.stdout.take();
                    pipes.terminal = process.pipes.terminal;
                }
                OutputStream::Stderr => pipes.stderr = process.pipes.stderr.take(),
            }
            self.system.close_pipes(pipes);
        }
    }

    fn admit(&mut self, to: Port, from: Port) -> Option<ChannelId> {
        let mut parts = self.system.own_file_parts();
        parts.files.sockets.admit(&mut parts.context, to, from)
    }

    fn connected(&mut self, channel: ChannelId, local: Address) {
        let mut parts = self.system.own_file_parts();
        let sockets = &mut parts.files.sockets;
        sockets.on_connected(&mut parts.context, channel, local);
    }

    fn sent(&self, channel: ChannelId) -> Output<'_> {
        self.system.files.sockets.sent(&self.system.pool, channel)
    }

    fn take_sent(&mut self, channel: ChannelId, count: usize) {
        let mut parts = self.system.own_file_parts();
        let sockets = &mut parts.files.sockets;
        sockets.take_sent(&mut parts.context, channel, count);
    }

    fn deliver(&mut self, channel: ChannelId, bytes: &[u8]) -> Input {
        let mut parts = self.system.own_file_parts();
        let sockets = &mut parts.files.sockets;
        sockets.deliver(&mut parts.context, channel, bytes)
    }

    fn hang_up(&mut self, channel: ChannelId, direction: Direction) {
        let mut parts = self.system.own_file_parts();
        let sockets = &mut parts.files.sockets;
        sockets.hang_up(&mut parts.context, channel, direction);
    }

    fn end_channel(&mut self, channel: ChannelId, how: Over) {
        let mut parts = self.system.own_file_parts();
        let sockets = &mut parts.files.sockets;
        sockets.end_channel(&mut parts.context, channel, how);
    }

    fn next_event(&mut self) -> Option<Event> {
        if let Some(kill) = self.system.memory_kills.pop_front() {
            return Some(Event::OutOfMemory(kill));
        }
        loop {
            let mut parts = self.system.own_file_parts();
            if let Some(event) = parts.files.sockets.next_told(&mut parts.context) {
                return Some(event);
            }
            if let Some((pid, stream)) = self.system.files.pipes.next_ready() {
                if self.process(pid).is_none() {
                    continue;
                }
                return Some(match stream {
                    AgentStream::Input => Event::InputReady(pid),
                    AgentStream::Output(_) => Event::OutputReady(pid),
                });
            }
            if let Some(event) = self.system.next_terminal_event() {
                return Some(event);
            }
            let Some(id) = self.system.noticed.pop_front() else {
                let (change, outcome) = self.system.take_ended_change()?;
                return Some(Event::Changed(change, outcome));
            };
            if let Some(event) = self.take_notice(id) {
                return Some(event);
            }
        }
    }

    fn process(&self, view: View, nth: usize) -> Option<ProcessInfo> {
        let (_, process) = self
            .system
            .table
            .in_order()
            .filter(|(_, process)| process.view == view && process.is_live())
            .nth(nth)?;
        let frames = self
            .system
            .spaces
            .get(process.space)
            .map_or(0, |space| space.charged);
        Some(ProcessInfo {
            pid: process.pid,
            view,
            name: process.name.clone(),
            user_time: Duration::from_nanos(process.user_nanos),
            kernel_time: Duration::from_nanos(process.kernel_nanos),
            memory_bytes: frames * PAGE_BYTES as u64,
            created: process.created,
        })
    }

    fn dump(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let counts = self.user.counts();
        writeln!(
            out,
            "machine: {} turns, {} halts, {} device interrupts",
            self.system.turns, counts.halts, counts.device_interrupts
        )?;
        self.system.dump(out)
    }

    fn add_entropy(&mut self, bytes: &[u8]) {
        self.system.add_entropy(bytes);
    }

    fn power_off(&mut self) {
        log::debug!("power off; heap: {} calls", hal::heap::calls());
        self.system.power_off = true;
    }
}

impl<U: User, B: Block> Kernel<U, B> {
    fn find(&self, pid: Pid) -> Result<ProcessId, Refusal> {
        self.system.table.find(pid).ok_or(Refusal::NoProcess)
    }

    fn process(&self, pid: Pid) -> Option<&Process> {
        self.system
            .table
            .processes
            .get(self.system.table.find(pid)?)
    }

    fn terminal(&self, pid: Pid) -> Option<TerminalId> {
        self.process(pid)?.pipes.terminal
    }

    fn output_pipe(&self, pid: Pid, stream: OutputStream) -> Option<PipeId> {
        let pipes = self.process(pid)?.pipes;
        match stream {
            OutputStream::Stdout => pipes.stdout,
            OutputStream::Stderr => pipes.stderr,
        }
    }

    /// Takes a process out with everything it has.
    fn remove_process(&mut self, id: ProcessId) {
        let system = &mut self.system;
        let Ok(process) = system.process_mut(id) else {
            return;
        };
        let pipes = core::mem::take(&mut process.pipes);
        let is_over = process.is_over();
        system.close_pipes(pipes);
        if !is_over {
            system.drop_tasks(id);
            system.leave_children(id);
            system.drop_belongings(id);
        }
        system.noticed.retain(|&known| known != id);
        system.forget_process(id);
    }

    /// Turns what is noted of a process into an event. A process whose loading failed is gone with it.
    fn take_notice(&mut self, id: ProcessId) -> Option<Event> {
        let process = self.system.process_mut(id).ok()?;
        let pid = process.pid;
        if process.notices.contains(Notices::LOADED) {
            process.notices.remove(Notices::LOADED);
            if let Life::Failed(error) = &process.life {
                let error = error.clone();
                self.remove_process(id);
                return Some(Event::Loaded(pid, Err(error)));
            }
            if !process.notices.is_empty() {
                // There is a place: the process has just left the queue.
                let _ = self.system.noticed.push_front(id);
            }
            return Some(Event::Loaded(pid, Ok(())));
        }
        process.notices.remove(Notices::EXITED);
        match process.life {
            Life::Zombie(status) => Some(Event::Exited(pid, status)),
            _ => None,
        }
    }
}
