//! What DumpStacks shows: every process with what it waits for, and the kernel's counters.

use crate::backtrace::callers;
use crate::process::{Life, Process};
use crate::syscall;
use crate::system::System;
use crate::task::{Activity, Task};
use core::fmt::{self, Write};
use hal::block::Block;
use hal::limits::PAGE_BYTES;

impl<B: Block> System<B> {
    /// Writes everything; the first error of `out` ends it.
    pub(crate) fn dump(&self, out: &mut dyn Write) -> fmt::Result {
        writeln!(
            out,
            "kernel: {} processes, {} tasks ({} ready), {} address spaces ({} ending), {} of {} frames free",
            self.table.processes.len(),
            self.table.tasks.len(),
            self.ready.len(),
            self.spaces.len(),
            self.dying.len(),
            self.pool.available(),
            self.pool.total(),
        )?;
        let heap = hal::heap::usage();
        writeln!(
            out,
            "heap: {} calls, {} of {} bytes used",
            hal::heap::calls(),
            heap.used,
            heap.size
        )?;
        self.dump_accounts(out)?;
        for (number, count) in &self.unknown_calls {
            writeln!(out, "system call {number}: ENOSYS {count} times")?;
        }
        if self.other_unknown_calls > 0 {
            writeln!(
                out,
                "other system calls: ENOSYS {} times",
                self.other_unknown_calls
            )?;
        }
        for (id, process) in self.table.in_order() {
            self.dump_process(process, out)?;
            for (_, task) in self.table.tasks.iter() {
                if task.process == id {
                    dump_task(task, out)?;
                    self.dump_callers(process, task, out)?;
                }
            }
        }
        Ok(())
    }

    /// Writes what every account uses, and what the files' tables hold.
    fn dump_accounts(&self, out: &mut dyn Write) -> fmt::Result {
        self.files.dump(out)?;
        for view in self.views.names() {
            if let Some(usage) = self.usage(view) {
                writeln!(
                    out,
                    "view {}: {} tasks, {} KiB of memory, {} faults, {} killed, {}us",
                    view.index,
                    usage.tasks,
                    usage.memory_bytes / 1024,
                    usage.faults,
                    usage.memory_kills,
                    (usage.user_time + usage.kernel_time).as_micros() as u64,
                )?;
            }
        }
        Ok(())
    }

    fn dump_callers(&self, process: &Process, task: &Task, out: &mut dyn Write) -> fmt::Result {
        let Some(space) = self.spaces.get(process.space) else {
            return Ok(());
        };
        let rbp = task.context.registers.rbp;
        out.write_str("    callers:")?;
        for address in callers(space, &self.pool, rbp) {
            write!(out, " {address:#x}")?;
        }
        out.write_str("\n")
    }

    fn dump_process(&self, process: &Process, out: &mut dyn Write) -> fmt::Result {
        write!(
            out,
            "pid={} view={}.{} name=\"{}\" ",
            process.pid.0,
            process.view.index,
            process.view.generation,
            process.name.as_bytes().escape_ascii(),
        )?;
        match &process.life {
            Life::Loading(load) => match load.waits {
                Some(key) => write!(out, "loading, waits for {key}")?,
                None => write!(out, "loading")?,
            },
            Life::Failed(error) => write!(out, "not loaded: {}", error.reason)?,
            Life::Made { .. } => write!(out, "being made")?,
            Life::Stopped => write!(out, "not started")?,
            Life::Running => write!(out, "running")?,
            Life::Zombie(status) => write!(out, "ended with {}", status.code())?,
        }
        let frames = self
            .spaces
            .get(process.space)
            .map_or(0, |space| space.charged);
        writeln!(
            out,
            " memory={}KiB user={}us kernel={}us",
            frames * PAGE_BYTES as u64 / 1024,
            process.user_nanos / 1000,
            process.kernel_nanos / 1000,
        )
    }
}

fn dump_task(task: &Task, out: &mut dyn Write) -> fmt::Result {
    write!(out, "  tid={} ", task.tid)?;
    match task.activity {
        Activity::Held => write!(out, "held")?,
        Activity::Ready => write!(out, "ready")?,
        Activity::Stopped => write!(out, "stopped")?,
        Activity::Parked { key, deadline } => {
            write!(out, "waits for {key}")?;
            if let Some(deadline) = deadline {
                write!(out, " until {}ms", deadline.as_nanos() / 1_000_000)?;
            }
        }
    }
    if let Some(call) = &task.call {
        write!(out, " in {}", CallName(call.number))?;
    }
    let r = &task.context.registers;
    writeln!(out, " rip={:#x} rsp={:#x}", r.rip, r.rsp)?;
    writeln!(
        out,
        "    rax={:#x} rbx={:#x} rcx={:#x} rdx={:#x} rsi={:#x} rdi={:#x} rbp={:#x}",
        r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp,
    )?;
    writeln!(
        out,
        "    r8={:#x} r9={:#x} r10={:#x} r11={:#x} r12={:#x} r13={:#x} r14={:#x} r15={:#x} fs={:#x}",
        r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.fs_base,
    )?;
    write!(out, "    calls:")?;
    for past in task.history.oldest_ordered() {
        write!(out, " {}={}", CallName(past.number), past.result as i64)?;
    }
    writeln!(out)
}

/// A system call by its name, or by its number when it has no handler.
struct CallName(u32);

impl fmt::Display for CallName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match syscall::name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "call {}", self.0),
        }
    }
}
