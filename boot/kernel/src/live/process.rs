//! What `/proc` tells of a process, and of each of its tasks.

use super::{PAGE_KIB, Part, hundredths, limit};
use crate::capability::Capabilities;
use crate::errno::Errno;
use crate::fs::{Live, Owner, Processes};
use crate::process::{Life, Process, ProcessId};
use crate::signal::{Actions, DEFAULT, IGNORE, SignalSet};
use crate::space::AddressSpace;
use crate::syscall::Call;
use crate::system::System;
use crate::task::{Activity, Task};
use crate::user_memory::UserAddr;
use crate::wait::{Stall, WakeKey};
use agent::kernel::Signal;
use core::fmt::{self, Write};
use hal::block::Block;
use hal::limits::PAGE_BYTES;

/// Device number of `/dev/pts/0` (Linux Documentation/admin-guide/devices.txt).
const FIRST_TERMINAL: u32 = 136 << 8;

impl<B: Block> System<B> {
    pub(super) fn tell_of_process(
        &mut self,
        call: &mut Call,
        live: Live,
        owner: Owner,
        out: &mut Part,
    ) -> Result<(), Stall> {
        let uid = self.table.files(owner.pid).ok_or(Errno::ESRCH)?.uid;
        let asker = self.identity(call.process)?;
        let may_see = asker.files.uid == uid || asker.can(Capabilities::SYS_PTRACE);
        if !may_see && matches!(live, Live::Maps | Live::Environment) {
            return Err(Errno::EACCES.into());
        }
        let id = self.table.find(owner.pid).ok_or(Errno::ESRCH)?;
        let process = self.process(id)?;
        let space_id = process.space;
        let space = self.space_of(process);
        // A part takes everything.
        match (live, space) {
            (Live::Stat, _) => {
                let _ = self.tell_stat(id, process, owner, out);
            }
            (Live::Status, _) => {
                let _ = self.tell_status(id, process, self.task_of(id, owner), out);
            }
            (Live::Limits, _) => {
                let _ = limit::tell(&process.limits, out);
            }
            (Live::Blame, _) => {
                let _ = writeln!(out, "{}", process.blame.adjustment);
            }
            (Live::Pages, space) => {
                let (pages, mapped) = sizes(space);
                let _ = writeln!(out, "{pages} {mapped} 0 0 0 0 0");
            }
            (_, None) => {}
            (Live::Maps, Some(_)) => self.tell_areas(call, space_id, out)?,
            (_, Some(space)) => {
                let [arguments, environment, end] = space.strings;
                let (from, to) = match live {
                    Live::Arguments => (arguments, environment),
                    _ => (environment, end),
                };
                let from = from.saturating_add(out.skip);
                let count = to.saturating_sub(from).min(out.room as u64) as usize;
                out.skip = 0;
                // There is room for that.
                let _ = out.bytes.resize(count, 0);
                self.read_user(space_id, UserAddr(from), &mut out.bytes)?;
            }
        }
        Ok(())
    }

    /// Returns a process's memory; what one that has ended had may still be being taken down.
    fn space_of(&self, process: &Process) -> Option<&AddressSpace> {
        let space = self.spaces.get(process.space);
        space.filter(|_| !process.is_over())
    }

    /// Returns the task that is meant, or the first one of its process; none of a process that has ended.
    fn task_of(&self, id: ProcessId, owner: Owner) -> Option<&Task> {
        let tid = if owner.tid == 0 {
            owner.pid.0
        } else {
            owner.tid
        };
        let mut tasks = self.table.tasks.iter().map(|(_, task)| task);
        tasks.find(|task| task.process == id && task.tid == tid)
    }

    fn threads_of(&self, id: ProcessId) -> usize {
        let tasks = self.table.tasks.iter();
        tasks.filter(|(_, task)| task.process == id).count()
    }

    /// Writes the line of `stat` (proc(5) names its fields by number).
    fn tell_stat(
        &self,
        id: ProcessId,
        process: &Process,
        owner: Owner,
        out: &mut Part,
    ) -> fmt::Result {
        let task = self.task_of(id, owner);
        let terminal = self.files.terminals.of_session(process.session);
        let terminal = terminal.filter(|_| !process.job.is_detached);
        let device = terminal.map_or(0, |terminal| FIRST_TERMINAL | terminal.index());
        let foreground = terminal.map_or(-1, |terminal| {
            i64::from(self.files.terminals.session(terminal).1)
        });
        // 1 to 13.
        write!(
            out,
            "{} ({}) {} {} {} {} {device} {foreground} 0 0 0 0 0",
            task.map_or(process.pid.0, |task| task.tid),
            name(process, task),
            state(process, task).0,
            process.kin.parent,
            process.group,
            process.session,
        )?;
        // 14 to 24.
        let (child_user, child_kernel) = process.kin.reaped_nanos;
        let nice = task.map_or(0, |task| task.priority.nice);
        let (user, kernel) = match task {
            Some(task) if owner.tid != 0 => (task.user_nanos, task.kernel_nanos),
            _ => (process.user_nanos, process.kernel_nanos),
        };
        let started = process.created.unwrap_or(self.epoch);
        let started = started.saturating_sub(self.epoch).as_nanos() as u64;
        let space = self.space_of(process);
        let (pages, mapped) = sizes(space);
        write!(
            out,
            " {} {} {} {} {} {nice} {} 0 {} {} {mapped}",
            hundredths(user),
            hundredths(kernel),
            hundredths(child_user),
            hundredths(child_kernel),
            20 + nice,
            self.threads_of(id),
            hundredths(started),
            pages * PAGE_BYTES as u64,
        )?;
        // 25 to 37.
        let signals = Signals::of(process, self.table.actions.get(process.actions), task);
        write!(
            out,
            " {} 0 0 {} 0 0 {} {} {} {} 0 0 0",
            u64::MAX,
            space.map_or(0, |space| space.stack_top),
            signals.own,
            signals.blocked,
            signals.ignored,
            signals.caught,
        )?;
        // 38 to 52: a parent hears of an end by SIGCHLD.
        let strings = space.map_or([0; 3], |space| space.strings);
        writeln!(
            out,
            " 17 0 0 {} 0 0 0 0 0 {} {} {} {} {} 0",
            task.map_or(0, |task| task.priority.policy.number()),
            space.map_or(0, |space| space.break_start),
            strings[0],
            strings[1],
            strings[1],
            strings[2],
        )
    }

    fn tell_status(
        &self,
        id: ProcessId,
        process: &Process,
        task: Option<&Task>,
        out: &mut Part,
    ) -> fmt::Result {
        let (letter, state) = state(process, task);
        let directories = process.directories;
        let umask = directories.and_then(|id| Some(self.files.directories(id).ok()?.umask()));
        writeln!(
            out,
            "Name:\t{}\nUmask:\t{:04o}\nState:\t{letter} ({state})\nTgid:\t{}\nNgid:\t0\nPid:\t{}\nPPid:\t{}\n\
             TracerPid:\t0",
            name(process, task),
            umask.unwrap_or(0),
            process.pid.0,
            task.map_or(process.pid.0, |task| task.tid),
            process.kin.parent,
        )?;
        if let Some(identity) = self.table.identities.get(process.identity) {
            let files = &identity.files;
            for (name, ids, of_files) in [
                ("Uid", identity.user, files.uid),
                ("Gid", identity.group, files.gid),
            ] {
                let [real, effective, saved] = ids.list();
                writeln!(out, "{name}:\t{real}\t{effective}\t{saved}\t{of_files}")?;
            }
            out.write_str("Groups:\t")?;
            for group in &files.groups {
                write!(out, "{group} ")?;
            }
            out.write_str("\n")?;
        }
        if let Some(space) = self.space_of(process) {
            let (pages, mapped) = sizes(Some(space));
            for (name, pages) in [("VmSize", pages), ("VmRSS", mapped)] {
                writeln!(out, "{name}:\t{:>8} kB", pages * PAGE_KIB)?;
            }
        }
        let signals = Signals::of(process, self.table.actions.get(process.actions), task);
        writeln!(out, "Threads:\t{}", self.threads_of(id))?;
        for (name, set) in [
            ("SigPnd", signals.own),
            ("ShdPnd", signals.shared),
            ("SigBlk", signals.blocked),
            ("SigIgn", signals.ignored),
            ("SigCgt", signals.caught),
        ] {
            writeln!(out, "{name}:\t{set:016x}")?;
        }
        if let Some(identity) = self.table.identities.get(process.identity) {
            let sets = &identity.files.capabilities;
            for (name, set) in [
                ("CapInh", sets.inheritable),
                ("CapPrm", sets.permitted),
                ("CapEff", sets.effective),
                ("CapBnd", sets.bounding),
                ("CapAmb", sets.ambient),
            ] {
                writeln!(out, "{name}:\t{:016x}", set.bits())?;
            }
            let privileges = u8::from(identity.no_new_privileges);
            writeln!(out, "NoNewPrivs:\t{privileges}\nSeccomp:\t0")?;
        }
        out.write_str(
            "Cpus_allowed:\t1\nCpus_allowed_list:\t0\nMems_allowed:\t1\nMems_allowed_list:\t0\n",
        )
    }
}

/// Returns how many pages an address space has areas for, and how many are there.
fn sizes(space: Option<&AddressSpace>) -> (u64, u64) {
    let Some(space) = space else {
        return (0, 0);
    };
    (space.areas.pages(), space.charged)
}

/// Returns what a task is called: the first one, and one that took no name, as its process is.
pub(crate) fn name<'a>(process: &'a Process, task: Option<&'a Task>) -> &'a str {
    task.map(|task| task.name.as_str())
        .filter(|name| !name.is_empty())
        .unwrap_or(&process.name)
}

/// Returns the letter and the word for what a task is doing (proc(5)).
fn state(process: &Process, task: Option<&Task>) -> (char, &'static str) {
    let activity = task.map(|task| task.activity);
    match (&process.life, activity) {
        (Life::Zombie(_), _) => ('Z', "zombie"),
        (_, Some(Activity::Ready)) => ('R', "running"),
        (_, Some(Activity::Stopped)) => ('T', "stopped"),
        (
            _,
            Some(Activity::Parked {
                key: WakeKey::Disk(_),
                ..
            }),
        ) => ('D', "disk sleep"),
        _ => ('S', "sleeping"),
    }
}

/// What becomes of signals, as sets.
#[derive(Default)]
struct Signals {
    own: u64,
    shared: u64,
    blocked: u64,
    ignored: u64,
    caught: u64,
}

impl Signals {
    fn of(process: &Process, actions: Option<&Actions>, task: Option<&Task>) -> Self {
        let bits = |set: Option<SignalSet>| set.map_or(0, SignalSet::bits);
        let mut signals = Self {
            own: bits(task.map(|task| task.pending.set())),
            shared: process.pending.set().bits(),
            blocked: bits(task.map(|task| task.mask)),
            ..Self::default()
        };
        for signal in (1..=64).filter_map(Signal::from_number) {
            let bit = SignalSet::only(signal).bits();
            match actions.map_or(DEFAULT, |actions| actions.get(signal).handler) {
                DEFAULT => {}
                IGNORE => signals.ignored |= bit,
                _ => signals.caught |= bit,
            }
        }
        signals
    }
}
