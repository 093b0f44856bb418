//! Making a process or a task out of one that runs: what fork, vfork and clone are made of.
//!
//! A process is made in turns: at the first one everything is copied that is small, then pages are shared, a bounded
//! number at a time, while no other task of the parent may run (`schedule`), so that the child gets its parent's memory as
//! it was at one moment. Until then nobody sees the child, and it goes with the task that makes it.

use crate::account::Resource;
use crate::alarm::{Alarm, NEVER};
use crate::capability::Capabilities;
use crate::errno::Errno;
use crate::family::{Keeper, Kin};
use crate::fs::AgentPipes;
use crate::limits::{MAX_CHILDREN, MAX_THREADS};
use crate::process::{Life, Notices, Process, ProcessId};
use crate::rlimit;
use crate::signal::{AlternateStack, Pending};
use crate::space::SpaceId;
use crate::syscall::{Call, Outcome};
use crate::system::System;
use crate::task::{Activity, Task, TaskId};
use crate::user_memory::{Access, UserAddr};
use crate::wait::{Stall, WakeKey, Why};
use agent::kernel::{Pid, Signal};
use hal::block::Block;
use hal::page_table::Page;

/// Who has one of these may have more tasks than its limit says.
const EXEMPT: Capabilities = Capabilities::SYS_RESOURCE.union(Capabilities::SYS_ADMIN);

bitflags::bitflags! {
    /// Flags of clone(2) (uapi/linux/sched.h).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct CloneFlags: u64 {
        const VM = 0x100;
        const FS = 0x200;
        const FILES = 0x400;
        const SIGHAND = 0x800;
        const PIDFD = 0x1000;
        const PTRACE = 0x2000;
        const VFORK = 0x4000;
        const PARENT = 0x8000;
        const THREAD = 0x1_0000;
        const NEW_MOUNTS = 0x2_0000;
        const SYSVSEM = 0x4_0000;
        const SETTLS = 0x8_0000;
        const PARENT_SETTID = 0x10_0000;
        const CHILD_CLEARTID = 0x20_0000;
        const DETACHED = 0x40_0000;
        const UNTRACED = 0x80_0000;
        const CHILD_SETTID = 0x100_0000;
        const IO = 0x8000_0000;
        const CLEAR_SIGHAND = 0x1_0000_0000;
    }
}

/// What clone was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CloneRequest {
    pub(crate) flags: CloneFlags,
    /// What the parent is sent when the child ends.
    pub(crate) exit_signal: Option<Signal>,
    /// The child's stack pointer; 0 for the parent's.
    pub(crate) stack: u64,
    /// The child's thread area.
    pub(crate) tls: u64,
    /// Where the parent wants the number.
    pub(crate) parent_tid: UserAddr,
    /// Where the child has its number, and what is cleared when it ends.
    pub(crate) child_tid: UserAddr,
}

impl CloneRequest {
    /// Refuses what contradicts itself, and what there is not: namespaces, descriptors of processes, and threads that
    /// do not share files, directories or signal actions with the others of their process.
    pub(crate) fn check(&self) -> Result<(), Errno> {
        let flags = self.flags;
        let whole = CloneFlags::VM | CloneFlags::SIGHAND | CloneFlags::FILES | CloneFlags::FS;
        let is_bad = flags.contains(CloneFlags::THREAD) && !flags.contains(whole)
            || flags.contains(CloneFlags::SIGHAND) && !flags.contains(CloneFlags::VM)
            || flags.contains(CloneFlags::SIGHAND | CloneFlags::CLEAR_SIGHAND)
            || flags.intersects(CloneFlags::PIDFD | CloneFlags::NEW_MOUNTS);
        if is_bad {
            return Err(Errno::EINVAL);
        }
        if flags.contains(CloneFlags::SETTLS) && self.tls >= Page::END.address() {
            return Err(Errno::EPERM);
        }
        Ok(())
    }
}

impl<B: Block> System<B> {
    /// Makes one more task of the caller's process, and lets it run.
    ///
    /// # Errors
    ///
    /// EAGAIN at the limits, ENOMEM, or what to wait for.
    pub(crate) fn make_thread(&mut self, call: &Call, request: &CloneRequest) -> Outcome {
        self.has_room_for_task(call.process)?;
        let tid = self.table.fresh_number();
        self.tell_number(call.space, request, CloneFlags::PARENT_SETTID, tid)?;
        self.tell_number(call.space, request, CloneFlags::CHILD_SETTID, tid)?;
        let account = self.process(call.process)?.account;
        self.accounts
            .get_mut(account)
            .ok_or(Errno::EAGAIN)?
            .charge(Resource::Tasks, 1)?;
        match self.copy_task(call, call.process, tid, request) {
            Ok(task) => {
                self.release_task(task);
                Ok(u64::from(tid))
            }
            Err(errno) => {
                if let Some(account) = self.accounts.get_mut(account) {
                    account.refund(Resource::Tasks, 1);
                }
                Err(errno.into())
            }
        }
    }

    /// Makes a process that is the caller's but for its memory's pages.
    ///
    /// # Errors
    ///
    /// EAGAIN at the limits, ENOMEM; nothing is left behind.
    pub(crate) fn make_child(&mut self, call: &Call, request: &CloneRequest) -> Result<Pid, Errno> {
        self.has_room_for_task(call.process)?;
        if self.table.processes.len() >= MAX_CHILDREN {
            return Err(Errno::EAGAIN);
        }
        let account = self.process(call.process)?.account;
        let payer = self.accounts.get_mut(account).ok_or(Errno::EAGAIN)?;
        payer.charge(Resource::Tasks, 1)?;
        let id = self.copy_process(call, request).inspect_err(|_| {
            if let Some(account) = self.accounts.get_mut(account) {
                account.refund(Resource::Tasks, 1);
            }
        })?;
        self.fill_child(call, request, id)
            .inspect_err(|_| self.abort_child(id))
    }

    /// Refuses to take the places of tasks that are kept for what the agent starts, and more than a process's user may have.
    fn has_room_for_task(&self, id: ProcessId) -> Result<(), Errno> {
        if self.table.tasks.len() < MAX_THREADS && self.excess_tasks(id)? < 0 {
            Ok(())
        } else {
            Err(Errno::EAGAIN)
        }
    }

    /// Returns how many tasks more than it may have (RLIMIT_NPROC) the user of a process has in its container; a negative
    /// number when there can be more.
    pub(crate) fn excess_tasks(&self, id: ProcessId) -> Result<i64, Errno> {
        let process = self.process(id)?;
        let (most, _) = process.limits.get(rlimit::Resource::TASKS);
        let identity = self.identity(id)?;
        let user = identity.user.real;
        if most >= MAX_THREADS as u64 || user == 0 || identity.can_any(EXEMPT) {
            return Ok(i64::MIN);
        }
        let is_counted = |other: &Process| {
            let identity = self.table.identities.get(other.identity);
            other.view == process.view && identity.is_some_and(|other| other.user.real == user)
        };
        let processes = self.table.processes.iter();
        let processes = processes.filter(|(_, other)| is_counted(other)).count();
        // Each process counts for its first task, which may have ended.
        let threads = self.table.tasks.iter().filter(|(task, known)| {
            let owner = self.table.processes.get(known.process);
            owner.is_some_and(|owner| owner.leader != Some(*task) && is_counted(owner))
        });
        Ok((processes + threads.count()) as i64 - most as i64)
    }

    /// Makes the process with an address space, an identity and actions.
    fn copy_process(&mut self, call: &Call, request: &CloneRequest) -> Result<ProcessId, Errno> {
        let flags = request.flags;
        let identity = self.identity(call.process)?.clone();
        let parent = self.process(call.process)?;
        let (parent_space, parent_actions) = (parent.space, parent.actions);
        let space = if flags.contains(CloneFlags::VM) {
            self.space_mut(parent_space)?.users += 1;
            parent_space
        } else {
            self.copy_space(parent_space)?
        };
        let shares = self.table.copy_shares(parent_actions, flags, identity);
        let (identity, actions) = match shares {
            Ok(shares) => shares,
            Err(full) => {
                self.leave_space(space);
                return Err(full.errno(Errno::EAGAIN));
            }
        };
        let pid = self.table.fresh_number();
        let parent = self.process(call.process)?;
        let process = Process {
            pid: Pid(pid),
            kin: kin_of_child(parent, call.task, request),
            group: parent.group,
            session: parent.session,
            job: parent.job.of_child(),
            view: parent.view,
            account: parent.account,
            identity,
            space,
            files: None,
            directories: None,
            executable: None,
            pipes: AgentPipes::default(),
            is_attached: true,
            exec: None,
            leader: None,
            actions,
            pending: Pending::default(),
            alarms: [Alarm::OFF; 3],
            look_at: NEVER,
            next_timer: 0,
            limits: parent.limits,
            blame: parent.blame,
            name: parent.name.clone(),
            life: Life::Made {
                maker: call.task,
                next: if flags.contains(CloneFlags::VM) {
                    Page::END.number()
                } else {
                    0
                },
            },
            notices: Notices::default(),
            created: self.has_epoch.then(|| self.wall()),
            user_nanos: 0,
            kernel_nanos: 0,
        };
        self.table.insert(process).map_err(|full| {
            self.table.leave_actions(actions);
            self.table.identities.remove(identity);
            self.leave_space(space);
            full.errno(Errno::EAGAIN)
        })
    }

    /// Gives the new process its files, directories, program and first task.
    fn fill_child(
        &mut self,
        call: &Call,
        request: &CloneRequest,
        id: ProcessId,
    ) -> Result<Pid, Errno> {
        let parent = self.process(call.process)?;
        let (files, directories) = (parent.files, parent.directories);
        let files = files.ok_or(Errno::ESRCH)?;
        let files = if request.flags.contains(CloneFlags::FILES) {
            self.files.share_table(files);
            files
        } else {
            self.files.copy_table(files)?
        };
        self.process_mut(id)?.files = Some(files);
        if let Some(mut directories) = directories {
            if request.flags.contains(CloneFlags::FS) {
                self.files.share_directories(directories);
            } else {
                directories = self.files.copy_directories(directories)?;
            }
            self.process_mut(id)?.directories = Some(directories);
        }
        let parent = self.table.processes.get(call.process).ok_or(Errno::ESRCH)?;
        let executable = parent.executable.as_ref();
        let executable = executable.map(|place| self.files.share_program(place.by_ref()));
        let process = self.process_mut(id)?;
        process.executable = executable;
        let pid = process.pid;
        let task = self.copy_task(call, id, pid.0, request)?;
        self.process_mut(id)?.leader = Some(task);
        Ok(pid)
    }

    /// Makes a task that goes on where the caller is, with 0 as the call's result.
    fn copy_task(
        &mut self,
        call: &Call,
        process: ProcessId,
        tid: u32,
        request: &CloneRequest,
    ) -> Result<TaskId, Errno> {
        let flags = request.flags;
        let caller = self.task_mut(call.task)?;
        let mut task = Task::new(process, tid);
        task.context = caller.context.clone();
        task.mask = caller.mask;
        task.name.clone_from(&caller.name);
        task.priority = caller.priority.of_child();
        // Two tasks must not handle signals on one stack at a time (sigaltstack(2), NOTES).
        task.alternate_stack = if flags & (CloneFlags::VM | CloneFlags::VFORK) == CloneFlags::VM {
            AlternateStack::default()
        } else {
            caller.alternate_stack
        };
        let registers = &mut task.context.registers;
        registers.rax = 0;
        if request.stack != 0 {
            registers.rsp = request.stack;
        }
        if flags.contains(CloneFlags::SETTLS) {
            registers.fs_base = request.tls;
        }
        if flags.contains(CloneFlags::CHILD_CLEARTID) {
            task.clear_tid = request.child_tid;
        }
        self.insert_task(task)
    }

    /// Goes on making a process: shares pages, as many as one turn allows; then lets it run, and for vfork waits until it
    /// has left the memory.
    ///
    /// # Errors
    ///
    /// ENOMEM, with the child gone, or what to wait for.
    pub(crate) fn finish_child(&mut self, call: &Call, request: &CloneRequest) -> Outcome {
        let pid = call.progress as u32;
        let Some(id) = self.table.find(Pid(pid)) else {
            return Ok(u64::from(pid));
        };
        if let Life::Made { next, .. } = self.process(id)?.life {
            match self
                .go_on_making(call, request, id, next)
                .map_err(Stall::why)
            {
                Ok(()) => {}
                Err(Why::Error(errno)) => {
                    self.space_mut(call.space)?.forker = None;
                    self.abort_child(id);
                    return Err(errno.into());
                }
                Err(why) => return Err(why.into()),
            }
        }
        if self.process(id)?.kin.lender == Some(call.task) {
            return Err(Stall::wait(WakeKey::Memory(pid)));
        }
        Ok(u64::from(pid))
    }

    fn go_on_making(
        &mut self,
        call: &Call,
        request: &CloneRequest,
        id: ProcessId,
        next: u64,
    ) -> Result<(), Stall> {
        let end = Page::END.number();
        let child = self.process(id)?;
        let (pid, space) = (child.pid.0, child.space);
        if next < end {
            self.space_mut(call.space)?.forker = Some(call.task);
            let reached = self.share_pages(call.space, space, next)?;
            if let Life::Made { next, .. } = &mut self.process_mut(id)?.life {
                *next = reached;
            }
            if reached < end {
                return Err(Stall::AGAIN);
            }
            self.space_mut(call.space)?.forker = None;
        }
        self.tell_number(call.space, request, CloneFlags::PARENT_SETTID, pid)?;
        self.tell_number(space, request, CloneFlags::CHILD_SETTID, pid)?;
        // The limit of its time on the processor is its parent's; the time is its own.
        self.plan_looks(id);
        let process = self.process_mut(id)?;
        process.life = Life::Running;
        if let Some(leader) = process.leader {
            self.release_task(leader);
        }
        Ok(())
    }

    /// Writes a new task's number where `wanted` asks for it. Linux does not mind when it cannot be written either.
    fn tell_number(
        &mut self,
        space: SpaceId,
        request: &CloneRequest,
        wanted: CloneFlags,
        number: u32,
    ) -> Result<(), Stall> {
        if !request.flags.contains(wanted) {
            return Ok(());
        }
        let at = if wanted == CloneFlags::PARENT_SETTID {
            request.parent_tid
        } else {
            request.child_tid
        };
        match self.store(space, at, &number.to_le_bytes(), Access::Write) {
            Err(stall) if !stall.is_error() => Err(stall),
            _ => Ok(()),
        }
    }

    /// Lets a new task run.
    fn release_task(&mut self, id: TaskId) {
        if let Some(task) = self.table.tasks.get_mut(id) {
            task.activity = Activity::Ready;
            self.ready.push_woken(id);
        }
    }

    /// Takes back a process that is being made.
    pub(crate) fn abort_child(&mut self, id: ProcessId) {
        self.drop_tasks(id);
        self.drop_belongings(id);
        self.forget_process(id);
    }
}

/// Returns who the relatives of a child of `parent` are.
fn kin_of_child(parent: &Process, maker: TaskId, request: &CloneRequest) -> Kin {
    let lender = request.flags.contains(CloneFlags::VFORK).then_some(maker);
    let kin = if request.flags.contains(CloneFlags::PARENT) {
        // A sibling. What the agent spawned has a parent that is outside.
        let keeper = match parent.kin.keeper {
            Keeper::Agent => Keeper::Nobody,
            keeper => keeper,
        };
        Kin {
            parent: parent.kin.parent,
            keeper,
            exit_signal: parent.kin.exit_signal,
            ..Kin::default()
        }
    } else {
        Kin {
            parent: parent.pid.0,
            keeper: Keeper::Parent,
            exit_signal: request.exit_signal,
            ..Kin::default()
        }
    };
    Kin { lender, ..kin }
}
