//! What `/proc` shows of processes and of the machine.

use crate::fs::{ProcessFiles, Processes, Report, Sink};
use crate::live::name;
use crate::process::{Process, ProcessTable};
use crate::syscall::RELEASE;
use agent::kernel::Pid;
use core::fmt::{self, Write};

impl ProcessTable {
    /// Returns a process that the one that asks may know of: of the same view, and with a program, or one that has ended.
    pub(crate) fn seen(&self, pid: Pid) -> Option<&Process> {
        let process = self.processes.get(self.find(pid)?)?;
        let own = self
            .find(self.current.get())
            .and_then(|id| self.processes.get(id))?;
        (own.view == process.view && process.is_known()).then_some(process)
    }

    fn write_report(&self, report: Report, out: &mut dyn Sink) -> fmt::Result {
        let out = &mut Text(out);
        match report {
            Report::Name(pid, tid) => self.seen(pid).map_or(Ok(()), |process| {
                let mut tasks = self.tasks.iter().map(|(_, task)| task);
                let task = tasks.find(|task| task.tid == tid);
                writeln!(out, "{}", name(process, task))
            }),
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

    fn current_task(&self) -> u32 {
        self.current_task.get()
    }

    fn task_after(&self, pid: Pid, tid: u32) -> Option<u32> {
        self.seen(pid)?;
        let process = self.find(pid)?;
        let tasks = self
            .tasks
            .iter()
            .filter(|(_, task)| task.process == process);
        tasks
            .map(|(_, task)| task.tid)
            .filter(|&known| known > tid)
            .min()
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
