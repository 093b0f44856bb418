//! Waking the tasks that wait, and one turn of a task; `run_queue` says whose.
//!
//! A task is in the run queue exactly while its activity is [`Activity::Ready`] and it is not the one that runs.

use crate::errno::Errno;
use crate::identity::Identity;
use crate::limits::LEAST_SLICE;
use crate::meter::Payer;
use crate::process::{Life, Process};
use crate::signal::{Delivery, cause_of};
use crate::space::Denial;
use crate::syscall::{self, Call};
use crate::system::System;
use crate::task::{Activity, PastCall, Task, TaskId};
use crate::user_memory::Access;
use crate::wait::{Stall, Why};
use agent::kernel::{ExitStatus, Signal};
use hal::block::Block;
use hal::clock::{Clock, Instant};
use hal::page_table::Page;
use hal::user::{Fault, Trap, User};

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
    fn clear_way(&mut self, id: TaskId) -> Turn {
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

    /// Tries again the call a task is inside of.
    fn try_call(&mut self, id: TaskId) -> Turn {
        match self.table.tasks.get(id).and_then(|task| task.call) {
            Some(mut call) => self.carry_out(&mut call),
            None => Turn::Over,
        }
    }

    /// Tries a call. One that does not end is kept in its task.
    fn carry_out(&mut self, call: &mut Call) -> Turn {
        let outcome = match syscall::dispatch(self, call) {
            Some(outcome) => outcome,
            None => {
                self.count_unknown(call.number);
                Err(Errno::ENOSYS.into())
            }
        };
        let result = match outcome {
            Ok(value) => value,
            Err(stall) => match stall.errno() {
                Some(errno) => errno.as_return(),
                None => return self.keep_call(call, stall),
            },
        };
        let Some(task) = self.table.tasks.get_mut_here(call.task) else {
            return Turn::Over;
        };
        task.call = None;
        if !call.sets_registers {
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

    /// Lets a task wait inside a call.
    fn keep_call(&mut self, call: &Call, stall: Stall) -> Turn {
        let id = call.task;
        let Some(task) = self.table.tasks.get_mut(id) else {
            // Memory that the call needed has ended it, before it was kept.
            self.drop_call(call);
            return Turn::Over;
        };
        task.call = Some(*call);
        if stall.is_interruptible() && self.has_signal(id) {
            // The signal ends the wait before it began.
            return self.interrupted(id);
        }
        self.park(id, stall, call.deadline)
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

    /// Returns whose time a task's turn is; `None` when it cannot have one.
    fn payer(&self, id: TaskId) -> Option<Payer> {
        let task = self.table.tasks.get(id)?;
        let process = self.table.processes.get(task.process)?;
        let runs = task.activity == Activity::Ready && matches!(process.life, Life::Running);
        runs.then_some(Payer {
            task: id,
            process: task.process,
            account: process.account,
        })
    }
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
            run_turn(user, system, payer, clock);
            return true;
        }
    }
    false
}

/// Runs a task until its slice ends, somebody's time has come, a device wants attention, or it cannot go on.
fn run_turn<U: User, B: Block>(
    user: &mut U,
    system: &mut System<B>,
    payer: Payer,
    clock: &impl Clock,
) {
    let id = payer.task;
    let Ok(space) = system.process(payer.process).map(|process| process.space) else {
        return;
    };
    let mut call = Call::of(id, payer.process, space);
    let began = system.now;
    let turn_of_it = system.tasks_slice(id);
    let slice = system.ready.slice(payer.account, turn_of_it, began);
    let end = (began + slice).min(system.next_timer.max(began + LEAST_SLICE));
    system.meter.begin(payer, began);
    system.is_renamed = true;
    let mut turn = system.clear_way(id);
    while turn == Turn::Goes {
        turn = match enter(user, system, payer, end, clock, &mut call) {
            Entry::Barred => system.clear_way(id),
            Entry::Called => system.carry_out(&mut call),
            Entry::Faulted(fault) => system.answer_fault(id, fault),
            Entry::Interrupted => Turn::Yields,
            Entry::Gone => Turn::Over,
        };
        if turn == Turn::Goes && system.now >= end {
            turn = Turn::Yields;
        }
    }
    let now = clock.now();
    system.meter.on_entry(now);
    system.bill();
    if let Some(task) = system.table.tasks.get_mut(id) {
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

/// What came of an entry into user mode.
enum Entry {
    /// The task is inside a call, or a signal waits for it: it was not entered.
    Barred,
    /// It made a call.
    Called,
    /// It caused an exception.
    Faulted(Fault),
    /// A device wants attention, or its time is up.
    Interrupted,
    /// It is not there any more.
    Gone,
}

/// Returns what a task is told of itself without a way through the kernel.
#[inline(never)]
fn told(task: &Task, process: &Process, identity: &Identity) -> hal::user::Identity {
    hal::user::Identity {
        process: process.pid.0.into(),
        thread: task.tid.into(),
        parent: process.kin.parent.into(),
        user: identity.user.real.into(),
        effective_user: identity.user.effective.into(),
        group: identity.group.real.into(),
        effective_group: identity.group.effective.into(),
    }
}

/// Enters user mode once. The time before it is the kernel's, the time in it the program's. `call` is what it asks for when
/// it made a call.
#[inline(always)]
fn enter<U: User, B: Block>(
    user: &mut U,
    system: &mut System<B>,
    payer: Payer,
    end: Instant,
    clock: &impl Clock,
    call: &mut Call,
) -> Entry {
    let table = &mut system.table;
    let (Some(task), Some(process)) = (
        table.tasks.get_mut_here(payer.task),
        table.processes.get(payer.process),
    ) else {
        return Entry::Gone;
    };
    let signals = task.pending.set().union(process.pending.set());
    if task.call.is_some() || task.saved_mask.is_some() || !signals.without(task.mask).is_empty() {
        return Entry::Barred;
    }
    if system.is_renamed {
        system.is_renamed = false;
        let Some(identity) = table.identities.get(process.identity) else {
            return Entry::Gone;
        };
        task.context.identity = told(task, process, identity);
    }
    let Some(space) = system.spaces.get_mut_here(process.space) else {
        return Entry::Gone;
    };
    system.meter.on_entry(clock.now());
    let trap = user.run(&mut system.pool, &mut space.table, &mut task.context, end);
    system.now = clock.now();
    let is_much = system.meter.on_trap(system.now);
    let entry = match trap {
        Trap::Syscall => {
            call.begin(process.space, &task.context.registers);
            Entry::Called
        }
        Trap::Fault(fault) => Entry::Faulted(fault),
        Trap::Interrupt | Trap::Deadline => Entry::Interrupted,
    };
    if is_much {
        system.bill();
    }
    entry
}
