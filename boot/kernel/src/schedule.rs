//! Waking the tasks that wait, and one turn of a task; `run_queue` says whose.
//!
//! A task is in the run queue exactly while its activity is [`Activity::Ready`] and it is not the one that runs.

use crate::account::AccountId;
use crate::errno::Errno;
use crate::limits::LEAST_SLICE;
use crate::process::{Life, ProcessId};
use crate::signal::{Delivery, cause_of};
use crate::space::Denial;
use crate::syscall::{self, Call};
use crate::system::System;
use crate::task::{Activity, PastCall, TaskId};
use crate::user_memory::Access;
use crate::wait::{Stall, Why};
use agent::kernel::{ExitStatus, Signal};
use hal::block::Block;
use hal::clock::{Clock, Instant};
use hal::page_table::Page;
use hal::user::{Fault, Identity, Trap, User};

/// Whether a task goes on in this turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It can run.
    Goes,
    /// It waits, stopped or ended.
    Over,
    /// It has more to do, after the others.
    Yields,
}

impl<B: Block> System<B> {
    /// Makes ready whoever was woken or whose time has come; returns whether anybody was.
    pub(crate) fn wake_tasks(&mut self) -> bool {
        if self.wakes.is_empty() && self.now < self.next_timer {
            return false;
        }
        let mut woken = false;
        self.next_timer = Instant::NEVER;
        self.ring_alarms();
        self.ring_timers();
        self.tell_owners();
        for (id, task) in self.table.tasks.iter_mut() {
            let Activity::Parked { key, deadline } = task.activity else {
                continue;
            };
            let due = deadline.is_some_and(|deadline| deadline <= self.now);
            if due || self.wakes.wakes(key) {
                task.activity = Activity::Ready;
                self.ready.push_woken(id);
                woken = true;
            } else if let Some(deadline) = deadline {
                self.next_timer = self.next_timer.min(deadline);
            }
        }
        woken |= self.wake_loads();
        woken |= self.wake_changes();
        self.files.note_edges(&mut self.wakes);
        self.wakes.clear();
        woken
    }

    /// Lets a task wait.
    fn park(&mut self, id: TaskId, stall: Stall, deadline: Option<Instant>) -> Turn {
        let Some(task) = self.table.tasks.get_mut(id) else {
            return Turn::Over;
        };
        match stall.why() {
            Why::Wait(key) => {
                task.activity = Activity::Parked { key, deadline };
                self.next_timer = deadline.map_or(self.next_timer, |due| due.min(self.next_timer));
                Turn::Over
            }
            Why::Again | Why::Error(_) => Turn::Yields,
        }
    }

    /// Does everything that stands between a task and user mode: its unfinished call, then its signals.
    fn approach_user(&mut self, id: TaskId) -> Turn {
        let Some(task) = self.table.tasks.get(id) else {
            return Turn::Over;
        };
        if task.call.is_some() {
            // A call that goes on for many turns, or waits for a disk, ends with its program and for nothing less.
            if let Some(signal) = self.fatal_signal(id) {
                self.end_process(task.process, ExitStatus::Killed(signal));
                return Turn::Over;
            }
            let turn = self.try_call(id);
            if turn != Turn::Goes {
                return turn;
            }
        }
        if !self.has_signal(id) && !self.awaits_mask(id) {
            return Turn::Goes;
        }
        match self.deliver_signals(id) {
            Delivery::Proceed => Turn::Goes,
            Delivery::Leave => Turn::Over,
            Delivery::Stalled(stall) => self.park(id, stall, None),
        }
    }

    fn awaits_mask(&self, id: TaskId) -> bool {
        self.table
            .tasks
            .get(id)
            .is_some_and(|task| task.saved_mask.is_some())
    }

    /// Begins the call a task's registers ask for.
    fn begin_call(&mut self, id: TaskId) -> Turn {
        let Some(task) = self.table.tasks.get_mut(id) else {
            return Turn::Over;
        };
        let Some(process) = self.table.processes.get(task.process) else {
            return Turn::Over;
        };
        let r = &task.context.registers;
        task.call = Some(Call {
            task: id,
            process: task.process,
            space: process.space,
            // Linux takes `eax` (arch/x86/entry/common.c, `do_syscall_64`).
            number: r.rax as u32,
            arguments: [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9],
            progress: 0,
            deadline: None,
            restart: syscall::Restart::IfAsked,
        });
        self.try_call(id)
    }

    /// Tries the call a task is inside of.
    fn try_call(&mut self, id: TaskId) -> Turn {
        let Some(mut call) = self.table.tasks.get(id).and_then(|task| task.call) else {
            return Turn::Over;
        };
        let outcome = syscall::dispatch(self, &mut call).unwrap_or_else(|| {
            self.count_unknown(call.number);
            Err(Errno::ENOSYS.into())
        });
        let ended = outcome.or_else(|stall| stall.errno().map(Errno::as_return).ok_or(stall));
        let result = match ended {
            Ok(value) => value,
            Err(stall) => {
                let Some(task) = self.table.tasks.get_mut(id) else {
                    return Turn::Over;
                };
                task.call = Some(call);
                if stall.is_interruptible() && self.has_signal(id) {
                    // The signal ends the wait before it began.
                    return self.interrupted(id);
                }
                return self.park(id, stall, call.deadline);
            }
        };
        let Some(task) = self.table.tasks.get_mut(id) else {
            return Turn::Over;
        };
        // A call that sets all registers itself (rt_sigreturn, execve) has taken `call` away.
        if task.call.take().is_some() {
            task.context.registers.rax = result;
        }
        task.history.write(PastCall {
            number: call.number,
            result,
        });
        match task.activity {
            Activity::Ready => Turn::Goes,
            _ => Turn::Over,
        }
    }

    /// Delivers the signals that came while a call waits. When no handler took it over, the call goes on waiting.
    fn interrupted(&mut self, id: TaskId) -> Turn {
        match self.deliver_signals(id) {
            Delivery::Proceed => {}
            Delivery::Leave => return Turn::Over,
            Delivery::Stalled(stall) => return self.park(id, stall, None),
        }
        match self.table.tasks.get(id) {
            Some(task) if task.call.is_some() => Turn::Yields,
            Some(_) => Turn::Goes,
            None => Turn::Over,
        }
    }

    /// Answers an exception of a program.
    fn answer_fault(&mut self, id: TaskId, fault: Fault) -> Turn {
        let Some(task) = self.table.tasks.get(id) else {
            return Turn::Over;
        };
        let process = task.process;
        let denial = if fault.vector == Fault::PAGE {
            let Some(space) = self.table.processes.get(process).map(|known| known.space) else {
                return Turn::Over;
            };
            let access = if fault.is_fetch() {
                Access::Execute
            } else if fault.is_write() {
                Access::Write
            } else {
                Access::Read
            };
            // The processor's own accesses are to no memory of the program's: bringing a page in would change nothing,
            // and the program would try for ever.
            let brought = match Page::containing(fault.address) {
                Some(page) if !fault.is_implicit() => self.page_in(space, page, access),
                _ => Err(Denial::Unmapped),
            };
            match brought {
                Ok(()) => return Turn::Goes,
                Err(denial) => denial,
            }
        } else {
            Denial::Unmapped
        };
        match denial {
            Denial::Wait(key) => self.park(id, Stall::wait(key), None),
            Denial::Again => Turn::Yields,
            Denial::OutOf(shortage) => {
                let space = self.table.processes.get(process).map(|known| known.space);
                if let Some(space) = space
                    && self.on_shortage(space, shortage) != Stall::AGAIN
                {
                    // Nobody else can help.
                    self.end_process(process, ExitStatus::Killed(Signal::KILL));
                }
                Turn::Yields
            }
            denial => {
                if let Some(task) = self.table.tasks.get_mut(id) {
                    let (signal, info) = cause_of(&fault, denial, &mut task.context);
                    self.signal_fault(id, signal, fault, info);
                }
                if self.table.tasks.get(id).is_some() {
                    Turn::Goes
                } else {
                    Turn::Over
                }
            }
        }
    }

    /// Returns whether a task may not run because another one is making a child with the same memory.
    fn is_held(&self, id: TaskId) -> bool {
        let tasks = &self.table.tasks;
        tasks
            .get(id)
            .and_then(|task| self.table.processes.get(task.process))
            .and_then(|process| self.spaces.get(process.space)?.forker)
            .is_some_and(|forker| forker != id && tasks.get(forker).is_some())
    }

    /// Counts the time a turn took, also when the process has ended in it.
    fn charge_time(&mut self, payer: Payer, user: u64, kernel: u64) {
        if let Some(process) = self.table.processes.get_mut(payer.process) {
            process.user_nanos += user;
            process.kernel_nanos += kernel;
        }
        if let Some(account) = self.accounts.get_mut(payer.account) {
            account.counters.user_nanos += user;
            account.counters.kernel_nanos += kernel;
        }
        self.ready.charge(payer.account, user + kernel);
    }

    /// Returns whose time a task's turn is; `None` when it cannot have one.
    fn payer(&self, id: TaskId) -> Option<Payer> {
        let task = self.table.tasks.get(id)?;
        let process = self.table.processes.get(task.process)?;
        let runs = task.activity == Activity::Ready && matches!(process.life, Life::Running);
        runs.then_some(Payer {
            process: task.process,
            account: process.account,
        })
    }
}

/// Whose time it is.
#[derive(Clone, Copy)]
struct Payer {
    process: ProcessId,
    account: AccountId,
}

/// Nanoseconds that looking at a held task counts for.
const HELD_NANOS: u64 = 1000;

/// Gives the next ready task its turn; returns whether there was one.
pub(crate) fn run_next<U: User, B: Block>(
    user: &mut U,
    system: &mut System<B>,
    clock: &impl Clock,
) -> bool {
    for _ in 0..system.ready.len() {
        let Some(id) = system.ready.pop(system.now) else {
            break;
        };
        let Some(payer) = system.payer(id) else {
            continue;
        };
        if system.is_held(id) {
            // The time looking took is its account's, so that others come before it looks for ever.
            system.ready.charge(payer.account, HELD_NANOS);
            system.ready.push_spent(id);
        } else {
            run_turn(user, system, id, payer, clock);
            return true;
        }
    }
    false
}

/// Runs a task until its slice ends, somebody's time has come, a device wants attention, or it cannot go on.
fn run_turn<U: User, B: Block>(
    user: &mut U,
    system: &mut System<B>,
    id: TaskId,
    payer: Payer,
    clock: &impl Clock,
) {
    let began = system.now;
    let turn_of_it = system.tasks_slice(id);
    let slice = system.ready.slice(payer.account, turn_of_it, began);
    let end = (began + slice).min(system.next_timer.max(began + LEAST_SLICE));
    let mut entered = began;
    let mut turn = system.approach_user(id);
    while turn == Turn::Goes {
        let Some(trap) = enter(user, system, id, payer, end, clock, &mut entered) else {
            turn = Turn::Over;
            break;
        };
        turn = match trap {
            Trap::Syscall => system.begin_call(id),
            Trap::Fault(fault) => system.answer_fault(id, fault),
            Trap::Interrupt | Trap::Deadline => Turn::Yields,
        };
        if turn == Turn::Goes {
            turn = if system.now >= end {
                Turn::Yields
            } else {
                system.approach_user(id)
            };
        }
    }
    let now = clock.now();
    let kernel = now.since(entered).as_nanos() as u64;
    system.charge_time(payer, 0, kernel);
    if let Some(task) = system.table.tasks.get_mut(id) {
        task.kernel_nanos += kernel;
        task.context.extended.settle();
        if turn == Turn::Yields {
            system.ready.push_again(id, now.since(began) >= turn_of_it);
        }
    }
    let process = system.table.processes.get(payer.process);
    if process.is_some_and(|process| process.used_nanos() >= process.look_at) {
        system.look_at_used_time(payer.process);
    }
}

/// Enters user mode once. The time before it is the kernel's, the time in it the program's.
fn enter<U: User, B: Block>(
    user: &mut U,
    system: &mut System<B>,
    id: TaskId,
    payer: Payer,
    end: Instant,
    clock: &impl Clock,
    entered: &mut Instant,
) -> Option<Trap> {
    let task = system.table.tasks.get_mut(id)?;
    let process = system.table.processes.get(payer.process)?;
    task.context.identity = Identity {
        process: process.pid.0.into(),
        thread: task.tid.into(),
        parent: process.kin.parent.into(),
    };
    let space = system.spaces.get_mut(process.space)?;
    let before = clock.now();
    let trap = user.run(&mut system.pool, &mut space.table, &mut task.context, end);
    let after = clock.now();
    let kernel = before.since(*entered).as_nanos() as u64;
    let used = after.since(before).as_nanos() as u64;
    task.user_nanos += used;
    task.kernel_nanos += kernel;
    system.charge_time(payer, used, kernel);
    *entered = after;
    system.now = after;
    Some(trap)
}
