//! What `/proc` shows of processes and of the machine.

use crate::fs::{ProcessFiles, Processes, Report, Sink};
use crate::process::{Life, Process, ProcessTable};
use crate::syscall::RELEASE;
use crate::task::Activity;
use agent::kernel::Pid;
use core::fmt::{self, Write};

impl ProcessTable {
    fn seen(&self, pid: Pid) -> Option<&Process> {
        let process = self.processes.get(self.find(pid)?)?;
        let own = self
            .find(self.current.get())
            .and_then(|id| self.processes.get(id))?;
        (own.view == process.view && process.is_live()).then_some(process)
    }

    /// Returns the letter `/proc/PID/stat` gives a process's state.
    fn letter(&self, process: &Process) -> char {
        let leader = process.leader.and_then(|leader| self.tasks.get(leader));
        match (&process.life, leader.map(|task| task.activity)) {
            (Life::Zombie(_), _) => 'Z',
            (_, Some(Activity::Ready)) => 'R',
            (_, Some(Activity::Stopped)) => 'T',
            _ => 'S',
        }
    }

    fn write_report(&self, report: Report, out: &mut dyn Sink) -> fmt::Result {
        let out = &mut Text(out);
        match report {
            Report::Stat(pid) => self.seen(pid).map_or(Ok(()), |process| {
                // A tick is 10 ms.
                let ticks = |nanos: u64| nanos / 10_000_000;
                write!(
                    out,
                    "{} ({}) {} {} {} {} 0 -1 0 0 0 0 0 {} {} 0 0 20 0 1 0 0",
                    pid.0,
                    process.name,
                    self.letter(process),
                    process.kin.parent,
                    process.group,
                    process.session,
                    ticks(process.user_nanos),
                    ticks(process.kernel_nanos),
                )?;
                for _ in 23..=52 {
                    out.write_str(" 0")?;
                }
                out.write_str("\n")
            }),
            Report::Status(pid) => self.seen(pid).map_or(Ok(()), |process| {
                let Some(identity) = self.identities.get(process.identity) else {
                    return Ok(());
                };
                let [uid, euid, suid] = identity.user.list();
                let [gid, egid, sgid] = identity.group.list();
                let (fsuid, fsgid) = (identity.files.uid, identity.files.gid);
                writeln!(
                    out,
                    "Name:\t{}\nState:\t{}\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t{}\n\
                     Uid:\t{uid}\t{euid}\t{suid}\t{fsuid}\n\
                     Gid:\t{gid}\t{egid}\t{sgid}\t{fsgid}\nThreads:\t1",
                    process.name,
                    self.letter(process),
                    process.kin.parent,
                    pid = pid.0,
                )
            }),
            Report::Name(pid) => match self.seen(pid) {
                Some(process) => writeln!(out, "{}", process.name),
                None => Ok(()),
            },
            Report::Version => writeln!(out, "Linux version {RELEASE} (mote)"),
        }
    }
}

impl Processes for ProcessTable {
    fn current(&self) -> Pid {
        self.current.get()
    }

    fn after(&self, pid: u32) -> Option<Pid> {
        self.in_order()
            .map(|(_, process)| process.pid)
            .find(|&known| known.0 > pid && self.seen(known).is_some())
    }

    fn files(&self, pid: Pid) -> Option<ProcessFiles<'_>> {
        let process = self.seen(pid)?;
        let identity = self.identities.get(process.identity)?;
        // What its user may not know is root's.
        let [uid, gid] = match identity.is_secret {
            true => [0; 2],
            false => [identity.user.effective, identity.group.effective],
        };
        Some(ProcessFiles {
            table: process.files,
            directories: process.directories,
            executable: process.executable.as_ref().map(|place| place.by_ref()),
            uid,
            gid,
            session: if process.job.is_detached {
                0
            } else {
                process.session
            },
        })
    }

    fn report(&self, report: Report, out: &mut dyn Sink) {
        // A sink takes everything; it has no errors.
        let _ = self.write_report(report, out);
    }
}

struct Text<'a>(&'a mut dyn Sink);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.put(text.as_bytes());
        Ok(())
    }
}
