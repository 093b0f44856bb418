//! Making a process for the agent, and the directories it starts with.

use crate::account::Resource;
use crate::alarm::{Alarm, NEVER};
use crate::errno::Errno;
use crate::family::Kin;
use crate::fs::{AgentPipes, Last, Place, Start, TableId};
use crate::identity::Identity;
use crate::limits::{
    ACCOUNT_SHARE, ARGUMENT_BYTES, MAX_PROCESSES, MAX_SPACES, MAX_TASKS, PATH_BYTES,
    SHOWN_PER_PROCESS, SPACES_PER_PROCESS, USER_NAME_BYTES, ready_processes, ready_views,
};
use crate::out_of_memory::Blame;
use crate::process::{Life, Notices, Process, ProcessId};
use crate::program::Load;
use crate::rlimit::{Bounds, Limits};
use crate::signal::{Job, Pending};
use crate::slab::Full;
use crate::space::{AreaList, SpaceId};
use crate::system::{FileParts, System};
use crate::task::{Task, TaskId};
use crate::view::{Root, ViewEntry};
use crate::wait::Stall;
use agent::kernel::{End, Pid, Program, Refusal, Stdio, UNLIMITED, View, Writes};
use hal::block::Block;

impl<B: Block> System<B> {
    /// Makes room in the tables that bound how many processes and containers there are at once. What memory does not
    /// suffice for is made when it is needed.
    pub(crate) fn reserve(&mut self) {
        let ready = ready_processes(self.pool.total());
        let views = ready_views(ready);
        // The utility VM has an account, too.
        self.accounts.reserve(1 + views);
        self.table.reserve(ready);
        self.files.reserve(self.pool.total(), ready, views);
        let spaces = SPACES_PER_PROCESS * ready;
        self.spaces.reserve(spaces);
        self.shown.reserve(SHOWN_PER_PROCESS * ready);
        self.ready.reserve(ready, 1 + views);
        // One more, because the room is made before a list is used.
        if self.spare_areas.try_reserve_exact(spaces + 1).is_ok() {
            for _ in 0..spaces {
                self.spare_areas.push(AreaList::ready_memory());
            }
        }
    }

    /// Makes a process that will be loaded.
    ///
    /// # Errors
    ///
    /// [`Refusal`], with nothing left behind.
    pub(crate) fn spawn(&mut self, view: View, program: &Program<'_>) -> Result<Pid, Refusal> {
        let account = self.views.get(view).ok_or(Refusal::NoView)?.account;
        let payer = self.accounts.get_mut(account).ok_or(Refusal::NoView)?;
        if payer.charge(Resource::Tasks, 1).is_err() {
            let limit = payer.limit(Resource::Tasks);
            return Err(if limit == UNLIMITED {
                Refusal::Limit("MAX_TASKS of one container", MAX_TASKS / ACCOUNT_SHARE)
            } else {
                Refusal::Limit("pids.limit", limit as usize)
            });
        }
        let made = self.make_process(view, account, program);
        if made.is_err()
            && let Some(account) = self.accounts.get_mut(account)
        {
            account.refund(Resource::Tasks, 1);
        }
        let pid = made?;
        if program.terminal
            && let Some(id) = self.table.find(pid)
            && let Err(refusal) = self.give_terminal(id)
        {
            self.abort_child(id);
            return Err(refusal);
        }
        Ok(pid)
    }

    fn make_process(
        &mut self,
        view: View,
        account: crate::account::AccountId,
        program: &Program<'_>,
    ) -> Result<Pid, Refusal> {
        let limits = Limits::of_agent(&program.limits);
        let made = self.new_space(account, Bounds::new(&limits));
        let space = made.map_err(|errno| match errno {
            Errno::EAGAIN => Refusal::Limit("MAX_SPACES", MAX_SPACES),
            errno => refusal(errno),
        })?;
        let top = self.space(space).map_err(refusal)?.stack_top;
        let strings = match self.copy_strings(space, top, program) {
            Ok(strings) => strings,
            Err(errno) => {
                self.leave_space(space);
                return Err(refusal(errno));
            }
        };
        let files = match self.files.new_table() {
            Ok(files) => files,
            Err(errno) => {
                self.leave_space(space);
                return Err(refusal(errno));
            }
        };
        let mut identity = Identity::new(&program.credentials);
        if program.user.is_empty()
            && let Some((user, group)) = self.views.get(view).and_then(|entry| entry.user)
        {
            identity.become_user(user, group);
        }
        let (identity, actions) = match self.table.new_shares(identity) {
            Ok(shares) => shares,
            Err(full) => {
                self.leave_memory_and_files(space, files);
                return Err(no_process(full));
            }
        };
        let pid = self.table.fresh_number();
        let process = Process {
            pid: Pid(pid),
            kin: Kin::default(),
            group: pid,
            session: pid,
            job: Job::of_agent(),
            view,
            account,
            identity,
            space,
            files: Some(files),
            directories: None,
            executable: None,
            pipes: AgentPipes::default(),
            is_attached: false,
            exec: None,
            leader: None,
            actions,
            pending: Pending::default(),
            alarms: [Alarm::OFF; 3],
            look_at: NEVER,
            next_timer: 0,
            limits,
            blame: Blame::default(),
            name: base_name(program.args.iter().next().unwrap_or_default()),
            life: Life::Loading(Load::new(space, strings)),
            notices: Notices::default(),
            created: self.has_epoch.then(|| self.wall()),
            user_nanos: 0,
            kernel_nanos: 0,
        };
        let id = match self.table.insert(process) {
            Ok(id) => id,
            Err(full) => {
                self.table.leave_actions(actions);
                self.table.identities.remove(identity);
                self.leave_memory_and_files(space, files);
                return Err(no_process(full));
            }
        };
        if let Err(errno) = self.add_task(id, pid) {
            self.drop_belongings(id);
            self.table.remove(id);
            return Err(refusal(errno));
        }
        if let Some(entry) = self.views.get_mut(view)
            && view != View::UTILITY_VM
            && entry.init == 0
        {
            entry.init = pid;
        }
        self.loading = true;
        Ok(Pid(pid))
    }

    /// Gives back what a process that could not be made had by then.
    fn leave_memory_and_files(&mut self, space: SpaceId, files: TableId) {
        let mut parts = self.own_file_parts();
        parts.files.release_table(&mut parts.context, files);
        self.leave_space(space);
    }

    /// Gives a process its first task.
    fn add_task(&mut self, id: ProcessId, tid: u32) -> Result<(), Errno> {
        let mut task = Task::new(id, tid);
        task.name.clone_from(&self.process(id)?.name);
        let task = self.insert_task(task)?;
        self.process_mut(id)?.leader = Some(task);
        Ok(())
    }

    /// Puts a task into the table.
    ///
    /// # Errors
    ///
    /// EAGAIN at the limit, ENOMEM.
    pub(crate) fn insert_task(&mut self, task: Task) -> Result<TaskId, Errno> {
        let account = self.process(task.process)?.account;
        let inserted = self.table.tasks.insert(task);
        let id = inserted.map_err(|(_, full)| full.errno(Errno::EAGAIN))?;
        // A ready task must always find a place in the queue.
        if let Err(errno) = self.ready.admit(id, account) {
            self.table.tasks.remove(id);
            return Err(errno);
        }
        Ok(id)
    }

    /// Gives a process its root and working directory. The working directory is made when it does not exist.
    ///
    /// # Errors
    ///
    /// Those of path_resolution(7) and mkdir(2), and what to wait for.
    pub(crate) fn open_directories(&mut self, id: ProcessId, path: &[u8]) -> Result<(), Stall> {
        if self.process(id)?.directories.is_some() {
            return Ok(());
        }
        let view = self.process(id)?.view;
        self.open_root(view)?;
        self.make_mounts(view)?;
        let FileParts {
            files,
            mut context,
            views,
            ..
        } = self.own_file_parts();
        let Some(ViewEntry {
            root: Root::Mounted(root),
            writes,
            ..
        }) = views.get(view)
        else {
            return Err(Errno::ENOENT.into());
        };
        let root = files.share_place(root.by_ref());
        let path = if path.is_empty() { b"/" } else { path };
        let start = Start {
            root: root.by_ref(),
            base: root.by_ref(),
        };
        let working = match files.make_directories(&mut context, start, path, 0o755) {
            Ok(working) => working,
            Err(stall) => {
                files.release_place(root);
                return Err(stall);
            }
        };
        if *writes == Writes::Refused && !files.refuse_writes(&root) {
            files.release_place(root);
            files.release_place(working);
            return Err(Errno::EOPNOTSUPP.into());
        }
        match files.new_directories(root, working) {
            Ok(state) => {
                self.process_mut(id)?.directories = Some(state);
                Ok(())
            }
            Err((root, working, errno)) => {
                files.release_place(root);
                files.release_place(working);
                Err(errno.into())
            }
        }
    }

    /// Makes sure that a view's root is mounted, the utility VM's before it.
    pub(crate) fn open_root(&mut self, view: View) -> Result<(), Stall> {
        match self.views.get(view).map(|entry| &entry.root) {
            None | Some(Root::Left) => return Err(Errno::ENOENT.into()),
            Some(Root::Mounted(_)) => return Ok(()),
            Some(Root::Unmounted) => {
                let mut parts = self.own_file_parts();
                let root = parts.files.mount_root(&mut parts.context)?;
                return self.set_root(view, root);
            }
            Some(Root::Named(..)) => {}
        }
        self.open_root(View::UTILITY_VM)?;
        let mut path = [0; PATH_BYTES];
        let length = match self.views.get(view).map(|entry| &entry.root) {
            Some(Root::Named(frame, length)) => {
                path[..*length].copy_from_slice(&self.pool.bytes(frame)[..*length]);
                *length
            }
            _ => return Err(Errno::ENOENT.into()),
        };
        let top = match self.views.get(View::UTILITY_VM).map(|entry| &entry.root) {
            Some(Root::Mounted(root)) => self.files.share_place(root.by_ref()),
            _ => return Err(Errno::ENOENT.into()),
        };
        let account = self
            .views
            .get(view)
            .map_or(self.own_account, |entry| entry.account);
        let FileParts {
            files, mut context, ..
        } = self.own_file_parts();
        context.account = account;
        let start = Start {
            root: top.by_ref(),
            base: top.by_ref(),
        };
        let mounted = files
            .walk(&mut context, start, &path[..length], Last::Follow)
            .and_then(|over| {
                let mounted = files.mount_view(&mut context, over.by_ref());
                files.release_place(over);
                mounted
            });
        files.release_place(top);
        self.set_root(view, mounted?)
    }

    fn set_root(&mut self, view: View, root: Place) -> Result<(), Stall> {
        let entry = self.views.get_mut(view).ok_or(Errno::ENOENT)?;
        let before = core::mem::replace(&mut entry.root, Root::Mounted(root));
        if let Root::Named(frame, _) = before {
            let account = entry.account;
            self.pool.release(frame);
            if let Some(account) = self.accounts.get_mut(account) {
                account.refund(Resource::KernelFrames, 1);
            }
        }
        Ok(())
    }

    /// Connects a stopped process's standard streams.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub(crate) fn attach(&mut self, id: ProcessId, stdio: Stdio) -> Result<(), Refusal> {
        let process = self.process(id).map_err(|_| Refusal::NoProcess)?;
        if !matches!(process.life, Life::Stopped) {
            return Err(Refusal::WrongState);
        }
        let (pid, table) = (process.pid, process.files.ok_or(Refusal::WrongState)?);
        let terminal = process.pipes.terminal;
        let mut parts = self.file_parts(id).map_err(refusal)?;
        if let Some(terminal) = terminal {
            if stdio.stdout != End::Pipe {
                parts.files.terminals.discard_output(terminal);
            }
            parts
                .files
                .attach_terminal(&mut parts.context, table, terminal)
                .map_err(refusal)?;
            self.process_mut(id).map_err(refusal)?.is_attached = true;
            return Ok(());
        }
        let pipes = parts
            .files
            .attach_stdio(&mut parts.context, table, pid, stdio)
            .map_err(refusal)?;
        let process = self.process_mut(id).map_err(refusal)?;
        process.is_attached = true;
        let before = core::mem::replace(&mut process.pipes, pipes);
        self.close_pipes(before);
        Ok(())
    }

    /// Feeds entropy into the random generator and lets go on whoever waits for it.
    pub(crate) fn add_entropy(&mut self, bytes: &[u8]) {
        self.random.add(bytes);
        if self.random.is_seeded() {
            self.wakes.wake(crate::wait::WakeKey::Seed);
        }
    }

    /// Closes the agent's ends of standard streams.
    pub(crate) fn close_pipes(&mut self, pipes: AgentPipes) {
        let FileParts {
            files, mut context, ..
        } = self.own_file_parts();
        for pipe in [pipes.stdin, pipes.stdout, pipes.stderr]
            .into_iter()
            .flatten()
        {
            files.pipes.close_agent(&mut context, pipe);
        }
        if let Some(terminal) = pipes.terminal {
            files.terminals.close_agent(&mut context, terminal);
        }
    }
}

/// Returns what a program's path ends with, cut as Linux's `comm` is; what is not UTF-8 becomes U+FFFD.
pub(crate) fn base_name(path: &[u8]) -> heapless::String<15> {
    let start = path
        .iter()
        .rposition(|&byte| byte == b'/')
        .map_or(0, |at| at + 1);
    let mut name = heapless::String::new();
    for chunk in path[start..].utf8_chunks() {
        let mark = if chunk.invalid().is_empty() {
            ""
        } else {
            "\u{fffd}"
        };
        for character in chunk.valid().chars().chain(mark.chars()) {
            if name.push(character).is_err() {
                return name;
            }
        }
    }
    name
}

/// Says to the host why there is no room for another process.
const fn no_process(full: Full) -> Refusal {
    match full {
        Full::Limit => Refusal::Limit("MAX_PROCESSES", MAX_PROCESSES),
        Full::Memory => Refusal::OutOfMemory,
    }
}

/// Says to the host what an error of ours means.
pub(crate) fn refusal(errno: Errno) -> Refusal {
    match errno {
        Errno::ENOMEM => Refusal::OutOfMemory,
        Errno::E2BIG => Refusal::Limit("ARGUMENT_BYTES", ARGUMENT_BYTES),
        Errno::ENAMETOOLONG => Refusal::Limit("PATH_BYTES", PATH_BYTES - 1),
        Errno::EOVERFLOW => Refusal::Limit("USER_NAME_BYTES", USER_NAME_BYTES - 1),
        Errno::EAGAIN => Refusal::Limit("MAX_TASKS", crate::limits::MAX_TASKS),
        Errno::ENFILE => Refusal::Limit("MAX_OPEN_FILES", crate::limits::MAX_OPEN_FILES),
        Errno::EMFILE => Refusal::Limit("MAX_DESCRIPTORS", crate::limits::MAX_DESCRIPTORS),
        Errno::ESRCH => Refusal::NoProcess,
        _ => Refusal::Unsupported(errno.text()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_follows_the_last_slash_cut_to_fifteen_bytes() {
        assert_eq!(base_name(b"/bin/busybox").as_str(), "busybox");
        assert_eq!(base_name(b"busybox").as_str(), "busybox");
        assert_eq!(base_name(b"/").as_str(), "");
        assert_eq!(base_name(b"/a/123456789012345").as_str(), "123456789012345");
        assert_eq!(
            base_name(b"/a/1234567890123456").as_str(),
            "123456789012345"
        );
    }
}
