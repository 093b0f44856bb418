//! execve: a new address space is built beside the caller's, and takes its place when nothing can fail any more.
//!
//! Strings are copied from the caller's memory downwards from the top of the new stack, the environment's last one first,
//! as Linux does: so nothing has to be counted but how many there are. Another task of the caller may change them
//! meanwhile; then the new program gets something else, which is its own affair.

use super::load::{Progress, Start};
use super::stack::{END_BYTES, Strings};
use super::{Load, ProgramFile, Step, Trouble};
use crate::account::Resource;
use crate::errno::Errno;
use crate::limits::{
    ARGUMENT_BYTES, LOAD_STEPS, MAX_ARGUMENTS, PATH_BYTES, STACK_BYTES, STRING_BYTES, WORK_BYTES,
};
use crate::process::ProcessId;
use crate::rlimit::{self, Bounds, Limits};
use crate::signal::{AlternateStack, known, number};
use crate::space::SpaceId;
use crate::spawn::base_name;
use crate::syscall::Call;
use crate::system::System;
use crate::user_memory::{Access, UserAddr};
use crate::wait::Stall;
use hal::block::Block;
use hal::limits::PAGE_BYTES;

/// Returns how many bytes strings and the pointers to them may have: a quarter of the stack, but always as many as programs
/// count on (Linux `bprm_stack_limits`).
fn argument_bytes(limits: &Limits) -> u64 {
    let (stack, _) = limits.get(rlimit::Resource::STACK);
    (stack / 4).clamp(STRING_BYTES as u64, STACK_BYTES / 4 * 3)
}

/// Where the caller's strings are: lists of pointers that end with a null pointer. A null list is empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lists {
    pub(crate) arguments: UserAddr,
    pub(crate) environment: UserAddr,
}

impl<B: Block> System<B> {
    /// Begins execve of a file that the caller may execute, by the name `name`.
    ///
    /// # Errors
    ///
    /// E2BIG, ENOMEM, EFAULT, or what to wait for; nothing is left behind, the file included.
    pub(crate) fn begin_exec(
        &mut self,
        call: &Call,
        file: ProgramFile,
        name: &[u8],
        lists: Lists,
    ) -> Result<(), Stall> {
        let prepared = self.prepare_exec(call, file, name, lists);
        if prepared.is_err() {
            self.release_file(file.id);
        }
        let load = prepared?;
        self.process_mut(call.process)?.exec = Some((call.task, load));
        Ok(())
    }

    fn prepare_exec(
        &mut self,
        call: &Call,
        file: ProgramFile,
        name: &[u8],
        lists: Lists,
    ) -> Result<Load, Stall> {
        let arguments = self.count_pointers(call.space, lists.arguments)?;
        let environment = self.count_pointers(call.space, lists.environment)?;
        if arguments + environment > MAX_ARGUMENTS as u32 {
            return Err(Errno::E2BIG.into());
        }
        let pointers = 8 * u64::from(arguments + environment);
        if pointers >= argument_bytes(&self.process(call.process)?.limits) {
            return Err(Errno::E2BIG.into());
        }
        let process = self.process(call.process)?;
        let (account, bounds) = (process.account, Bounds::new(&process.limits));
        let space = self.new_space(account, bounds)?;
        let at = UserAddr(self.space(space)?.stack_top - END_BYTES - name.len() as u64 - 1);
        if let Err(stall) = self.store(space, at, name, Access::Load) {
            self.leave_space(space);
            return Err(stall);
        }
        let strings = Strings {
            arguments: at,
            // A program has a name at least (Linux since 5.18).
            argument_count: arguments.max(1),
            environment_count: environment,
            directory: at,
            user: at,
            name: Some(at),
            path: None,
        };
        Ok(Load {
            file: Some(file),
            step: Step::Strings {
                environment,
                arguments: arguments.max(1),
            },
            ..Load::new(space, strings)
        })
    }

    fn count_pointers(&mut self, space: SpaceId, list: UserAddr) -> Result<u32, Stall> {
        let mut count = 0;
        while !list.is_null() && self.read_u64(space, list.offset(8 * u64::from(count))?)? != 0 {
            count += 1;
            if count > MAX_ARGUMENTS as u32 {
                return Err(Errno::E2BIG.into());
            }
        }
        Ok(count)
    }

    /// Goes on with execve, as far as one turn allows; `Ok` when the caller is the new program.
    ///
    /// # Errors
    ///
    /// Why the caller stays what it was, or what to wait for.
    pub(crate) fn go_on_exec(&mut self, call: &Call, lists: Lists) -> Result<(), Stall> {
        let Some((_, mut load)) = self.process_mut(call.process)?.exec.take() else {
            return Err(Errno::ESRCH.into());
        };
        let result = self.step_exec(call, &mut load, lists);
        let result = result.and_then(|start| {
            self.prepare_shares(call.process)?;
            Ok(start)
        });
        match result {
            Ok(start) => {
                self.become_program(call, &load, start);
                Ok(())
            }
            Err(Trouble::Failed(errno, ..)) => {
                self.drop_load(&load);
                self.leave_space(load.space);
                Err(errno.into())
            }
            Err(trouble) => {
                if self.table.tasks.get(call.task).is_some() {
                    self.process_mut(call.process)?.exec = Some((call.task, load));
                } else {
                    // Memory that it needed has ended the caller.
                    self.drop_load(&load);
                    self.leave_space(load.space);
                }
                Err(match trouble {
                    Trouble::Wait(key) => Stall::wait(key),
                    _ => Stall::AGAIN,
                })
            }
        }
    }

    fn step_exec(&mut self, call: &Call, load: &mut Load, lists: Lists) -> Result<Start, Trouble> {
        if let Step::Strings {
            environment,
            arguments,
        } = load.step
        {
            self.copy_callers(call, load, lists, [environment, arguments])?;
        }
        for _ in 0..LOAD_STEPS {
            match self.step_load(call.process, load)? {
                Progress::Next(step) => load.step = step,
                Progress::Done(start) => return Ok(start),
            }
        }
        Err(Trouble::Again)
    }

    /// Copies the strings that are left, as many as one turn allows.
    fn copy_callers(
        &mut self,
        call: &Call,
        load: &mut Load,
        lists: Lists,
        left: [u32; 2],
    ) -> Result<(), Stall> {
        let from = call.space;
        let [mut environment, mut arguments] = left;
        let count = load.strings.argument_count + load.strings.environment_count;
        let most = argument_bytes(&self.process(call.process)?.limits);
        let most = most
            .saturating_sub(8 * u64::from(count))
            .min(ARGUMENT_BYTES as u64);
        let mut copied = 0;
        while environment + arguments > 0 {
            if copied >= WORK_BYTES {
                return Err(Stall::AGAIN);
            }
            let (list, left) = if environment > 0 {
                (lists.environment, &mut environment)
            } else {
                (lists.arguments, &mut arguments)
            };
            let at = list.offset(8 * u64::from(*left - 1))?;
            let string = match list {
                UserAddr::NULL => None,
                _ => Some(UserAddr(self.read_u64(from, at)?)).filter(|string| !string.is_null()),
            };
            copied += self.copy_string(from, load, string, most)?;
            *left -= 1;
            load.step = Step::Strings {
                environment,
                arguments,
            };
        }
        Ok(())
    }

    /// Copies one string below those that were copied before; returns its length with the NUL. No string is an empty one.
    fn copy_string(
        &mut self,
        from: SpaceId,
        load: &mut Load,
        string: Option<UserAddr>,
        most: u64,
    ) -> Result<usize, Stall> {
        let bytes = match string {
            Some(string) => self.string_bytes(from, string)?,
            None => 1,
        };
        let strings = &load.strings;
        if strings.directory.0 - strings.arguments.0 + bytes as u64 > most {
            return Err(Errno::E2BIG.into());
        }
        let to = UserAddr(strings.arguments.0 - bytes as u64);
        let mut done = 0;
        while done < bytes - 1 {
            let Some(string) = string else {
                break;
            };
            let (source, target) = (string.offset(done as u64)?, to.offset(done as u64)?);
            let source = self.span(from, source, bytes - 1 - done, Access::Read)?;
            let target = self.span(load.space, target, source.len, Access::Load)?;
            let into = target.frame(
                self.spaces.get(load.space).ok_or(Errno::EFAULT)?,
                &self.pool,
            )?;
            let out = source.frame(self.spaces.get(from).ok_or(Errno::EFAULT)?, &self.pool)?;
            self.pool
                .copy(out, source.offset, into, target.offset, target.len);
            done += target.len;
        }
        self.store(load.space, to.offset(bytes as u64 - 1)?, &[0], Access::Load)?;
        load.strings.arguments = to;
        Ok(bytes)
    }

    /// Returns how long a string of a program is with its NUL.
    fn string_bytes(&mut self, space: SpaceId, start: UserAddr) -> Result<usize, Stall> {
        let mut bytes = 0;
        while bytes < STRING_BYTES {
            let at = start.offset(bytes as u64)?;
            let span = self.span(space, at, PAGE_BYTES, Access::Read)?;
            let frame = span.frame(self.space(space)?, &self.pool)?;
            let found = self.pool.bytes(frame)[span.range()]
                .iter()
                .position(|&byte| byte == 0);
            match found {
                Some(length) if bytes + length < STRING_BYTES => return Ok(bytes + length + 1),
                _ => bytes += span.len,
            }
        }
        Err(Errno::E2BIG.into())
    }

    /// Makes signal actions and descriptors that are shared with other processes the caller's own: a new program changes
    /// both.
    fn prepare_shares(&mut self, id: ProcessId) -> Result<(), Errno> {
        let process = self.process(id)?;
        let (actions, files) = (process.actions, process.files.ok_or(Errno::ESRCH)?);
        let known = self.actions(id)?;
        if known.sharers > 1 {
            let mut copy = known.clone();
            copy.sharers = 1;
            let inserted = self.table.actions.insert(copy);
            let own = inserted.map_err(|(_, full)| full.errno(Errno::EAGAIN))?;
            self.table.leave_actions(actions);
            self.process_mut(id)?.actions = own;
        }
        if self.files.table(files)?.is_shared() {
            let own = self.files.copy_table(files)?;
            self.process_mut(id)?.files = Some(own);
            let mut parts = self.own_file_parts();
            parts.files.release_table(&mut parts.context, files);
        }
        Ok(())
    }

    /// Makes the caller the new program: nothing fails from here on.
    fn become_program(&mut self, call: &Call, load: &Load, start: Start) {
        let id = call.process;
        self.leave_locks(id);
        while let Some(other) = self.table.other_task(id, call.task) {
            self.drop_task(other);
        }
        let mut name = [0; PATH_BYTES];
        let name = self
            .read_cstring(
                load.space,
                load.strings.called_by(),
                &mut name,
                Errno::ENAMETOOLONG,
            )
            .map_or_else(|_| base_name(b""), base_name);
        let Some(process) = self.table.processes.get_mut(id) else {
            return;
        };
        let (pid, account) = (process.pid.0, process.account);
        let before = core::mem::replace(&mut process.space, load.space);
        let was_leader = process.leader.replace(call.task) == Some(call.task);
        process.name.clone_from(&name);
        process.job.has_executed = true;
        process.kin.exit_signal = Some(known(number::CHLD));
        if !was_leader && let Some(account) = self.accounts.get_mut(account) {
            // The process's own charge is the first task's.
            account.refund(Resource::Tasks, 1);
        }
        if let Ok(actions) = self.actions_mut(id) {
            actions.forget_handlers();
        }
        if let Some(task) = self.table.tasks.get_mut(call.task) {
            start.set(&mut task.context);
            task.tid = pid;
            self.is_renamed = true;
            task.name = name;
            task.alternate_stack = AlternateStack::default();
            task.clear_tid = UserAddr::NULL;
            task.robust_list = UserAddr::NULL;
            task.futex = None;
        }
        self.drop_timers(id);
        self.plan_looks(id);
        self.return_memory(id);
        self.leave_space(before);
        self.keep_executable(id, load);
    }
}
