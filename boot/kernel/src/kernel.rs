//! What the agent asks of the kernel, and the kernel's turn in the machine's loop.

use crate::account::{Account, Accounts, Counters, Resource};
use crate::change::Changes;
use crate::fs::{AgentPipes, AgentStream, Credentials, Files, Host, PipeId};
use crate::limits::{HOST_NAME_BYTES, MAX_PROCESSES, MAX_SPACES, MAX_VIEWS, PATH_BYTES};
use crate::meter::Meter;
use crate::process::{Life, Notices, Process, ProcessId, ProcessTable};
use crate::random::Random;
use crate::run_queue::RunQueue;
use crate::schedule;
use crate::signal::Info;
use crate::slab::Slab;
use crate::spawn::refusal;
use crate::system::System;
use crate::task::Activity;
use crate::tty::TerminalId;
use crate::view::{Root, ViewEntry, Views};
use crate::wait::WakeQueue;
use agent::kernel::{
    Change, ChangeId, ChannelId, DiskUsage, Event, Input, Limits, Output, OutputStream, Over, Pid,
    ProcessInfo, Program, Refusal, Signal, Stdio, Usage, View, Writes,
};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use hal::block::Block;
use hal::clock::{Clock, Instant};
use hal::frame::FramePool;
use hal::limits::{MAX_DISKS, PAGE_BYTES};
use hal::user::User;
use hal::vsock::{Address, Direction, Port};
use hal::x86::vdso::UserClock;

/// The tiny kernel of one machine.
pub struct Kernel<U, B> {
    pub(crate) user: U,
    pub(crate) system: System<B>,
}

/// What a kernel finds on its machine, besides processor and memory.
pub struct Parts<B> {
    /// Disks, by order of discovery.
    pub disks: Vec<B>,
    /// The root when no disk holds one.
    pub initrd: Option<&'static [u8]>,
    /// Wall time at [`Instant::ZERO`], when the platform knows it.
    pub epoch: Option<Duration>,
    /// Random bytes of the processor, when it has any.
    pub seed: Option<[u8; 32]>,
    /// Code with which programs tell the time, on a machine that has it.
    pub user_clock: Option<UserClock>,
    /// The host, as programs may reach it; `None`: not at all.
    pub host: Option<Host>,
}

impl<B> fmt::Debug for Parts<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("disks", &self.disks.len())
            .field("initrd", &self.initrd.map(<[u8]>::len))
            .finish_non_exhaustive()
    }
}

impl<U, B> fmt::Debug for Kernel<U, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel")
            .field("processes", &self.system.table.processes.len())
            .finish_non_exhaustive()
    }
}

impl<U: User, B: Block> Kernel<U, B> {
    /// Makes a kernel without any program, for which `pool` is all memory for programs and files. It has no files before
    /// [`Kernel::set_up`].
    #[must_use]
    pub fn new(user: U, pool: FramePool) -> Self {
        let mut accounts: Accounts = Slab::new(MAX_VIEWS);
        let own_account = match accounts.insert(Account::on_machine(pool.total())) {
            Ok(account) => account,
            Err(_) => unreachable!("the heap is fresh and the table is empty"),
        };
        let mut ready = RunQueue::new();
        if ready.open(own_account).is_err() {
            unreachable!("the heap is fresh");
        }
        let files = Files::new(pool.total());
        let system = System {
            kernel_half: user.kernel_half(),
            pool,
            accounts,
            own_account,
            gone: Counters::default(),
            least_free: usize::MAX,
            own_credentials: Credentials::default(),
            wakes: WakeQueue::default(),
            now: Instant::ZERO,
            meter: Meter::default(),
            is_renamed: false,
            epoch: Duration::ZERO,
            has_epoch: false,
            clock_page: None,
            next_timer: Instant::NEVER,
            table: ProcessTable::new(),
            spaces: Slab::new(MAX_SPACES),
            shown: Slab::new(MAX_PROCESSES * 64),
            spare_areas: Vec::new(),
            dying: heapless::Vec::new(),
            ready,
            loading: false,
            noticed: heapless::Deque::new(),
            files,
            views: Views::new(own_account),
            changes: Changes::new(),
            ejected: Vec::new(),
            memory_kills: heapless::Deque::new(),
            random: Random::new(),
            unknown_calls: heapless::Vec::new(),
            other_unknown_calls: 0,
            futex_turn: 0,
            turns: 0,
            boot_id: None,
            power_off: false,
        };
        Self { user, system }
    }

    /// Gives the kernel the rest of the machine and makes room in its tables for as many processes and containers at once
    /// as memory carries, so that from here on only what is new in the caches calls the heap. To be called once, before
    /// the first program, where the kernel stays: it is large.
    pub fn set_up(&mut self, parts: Parts<B>) {
        let system = &mut self.system;
        for disk in parts.disks {
            if system.files.add_disk(disk).is_err() {
                log::warn!("kernel: a disk beyond the {MAX_DISKS}th was left alone");
            }
        }
        if let Some(archive) = parts.initrd {
            system.files.set_initrd(archive);
        }
        system.epoch = parts.epoch.unwrap_or_default();
        system.has_epoch = parts.epoch.is_some();
        if let Some(host) = parts.host {
            system.files.sockets.set_host(host);
        }
        if let Some(seed) = &parts.seed {
            system.random.add(seed);
        }
        if let Some(clock) = &parts.user_clock
            && let Ok(frame) = system.pool.take_zeroed()
        {
            clock.write(system.epoch, system.pool.bytes_mut(&frame));
            system.clock_page = Some(frame);
        }
        system.reserve();
    }

    /// Takes the kernel's turn: disks, wake-ups, loads, one program, and what ended ones left. Returns whether
    /// anything moved; if not, nothing will before an interrupt or [`Kernel::next_deadline`].
    pub fn run_slice(&mut self, clock: &impl Clock) -> bool {
        let system = &mut self.system;
        system.now = clock.now();
        system.turns += 1;
        system
            .files
            .poll(&mut system.pool, &mut system.wakes, system.now);
        system.settle_terminals();
        let mut moved = system.wake_tasks();
        moved |= system.advance_changes();
        moved |= system.advance_loads();
        moved |= schedule::run_next(&mut self.user, system, clock);
        moved |= system.take_down();
        system.least_free = system.least_free.min(system.pool.available());
        moved
    }

    /// Returns when [`Kernel::run_slice`] should be called even if no interrupt comes.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        let system = &self.system;
        let busy = system.loading
            || system.changes.is_ready
            || !system.wakes.is_empty()
            || !system.dying.is_empty()
            || system.files.has_remains()
            || system.files.terminals.has_raised();
        if busy {
            return Instant::ZERO;
        }
        let start = system.ready.next_start();
        start
            .min(system.next_timer)
            .min(system.files.next_deadline())
    }

    /// Returns whether a change waits for a disk that is not there, and has not been told so since: now is the time to
    /// look for one.
    #[must_use]
    pub const fn take_disk_wish(&mut self) -> bool {
        core::mem::replace(&mut self.system.changes.lacks_disk, false)
    }

    /// Takes in a disk that was found after start.
    ///
    /// # Errors
    ///
    /// The disk comes back when there are [`MAX_DISKS`].
    pub fn add_disk(&mut self, disk: B) -> Result<(), B> {
        self.system.files.add_disk(disk)?;
        self.system.changes.on_disk();
        Ok(())
    }

    /// Takes out a disk that is to be pulled.
    pub fn take_ejected(&mut self) -> Option<B> {
        self.system.ejected.pop()
    }

    /// Lends the processor, for waiting when nothing moves.
    pub const fn user_mut(&mut self) -> &mut U {
        &mut self.user
    }

    /// Whether somebody asked for the machine's end.
    #[must_use]
    pub const fn is_power_off_requested(&self) -> bool {
        self.system.power_off
    }

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
}

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
            if let Some(event) = self.system.files.sockets.next_told() {
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
