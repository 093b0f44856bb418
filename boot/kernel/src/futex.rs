//! Futexes (futex(7)): tasks that wait for a word of memory, in the order they came, and what a task that ends leaves
//! locked.
//!
//! A waiter is a mark in its task. Who waits is found by looking through the tasks, of which there are few; so there is no
//! queue that a program could fill.

use crate::errno::Errno;
use crate::limits::MAX_ROBUST_LOCKS;
use crate::process::ProcessId;
use crate::space::SpaceId;
use crate::system::System;
use crate::task::{Activity, TaskId};
use crate::user_memory::{Access, UserAddr};
use crate::wait::{Stall, WakeKey};
use hal::block::Block;
use hal::limits::PAGE_BYTES;
use hal::page_table::Page;

/// Matches every waiter (`FUTEX_BITSET_MATCH_ANY`).
pub(crate) const ANY: u32 = u32::MAX;

/// Which word: tasks that mean the same one have the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FutexKey {
    /// A word of one address space.
    Private(SpaceId, UserAddr),
    /// A word of memory that address spaces share, by its physical address. Its frame stays while the area that shows it
    /// is there; it is not used again for another while a task waits, which has the area.
    Shared(u64),
}

/// What a task waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FutexWait {
    key: FutexKey,
    bits: u32,
    /// Waiters are woken in the order of this.
    turn: u64,
}

/// Whose waiters a word can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those of the caller's address space.
    Private,
    /// Any that has the memory.
    Shared,
}

impl<B: Block> System<B> {
    /// Returns the key of a word.
    ///
    /// # Errors
    ///
    /// EINVAL unless it is aligned, EFAULT, or what to wait for.
    pub(crate) fn futex_key(
        &mut self,
        space: SpaceId,
        address: UserAddr,
        scope: Scope,
    ) -> Result<FutexKey, Stall> {
        if !address.0.is_multiple_of(4) {
            return Err(Errno::EINVAL.into());
        }
        let page = Page::containing(address.0).ok_or(Errno::EFAULT)?;
        let private = FutexKey::Private(space, address);
        if scope == Scope::Private {
            return Ok(private);
        }
        let area = self.area_at(space, page.number()).ok_or(Errno::EFAULT)?;
        if !area.is_shared() {
            return Ok(private);
        }
        let span = self.span(space, address, 4, Access::Read)?;
        let frame = span.frame(self.space(space)?, &self.pool)?;
        let offset = address.0 % PAGE_BYTES as u64;
        Ok(FutexKey::Shared(frame.physical() + offset))
    }

    /// Lets a task wait for a word to be woken.
    pub(crate) fn await_futex(
        &mut self,
        id: TaskId,
        key: FutexKey,
        bits: u32,
    ) -> Result<(), Errno> {
        self.futex_turn += 1;
        let turn = self.futex_turn;
        self.task_mut(id)?.futex = Some(FutexWait { key, bits, turn });
        Ok(())
    }

    /// Wakes up to `count` of those that wait for `key` with one of `bits`, first come first; returns how many.
    pub(crate) fn wake_futex(&mut self, key: FutexKey, count: u32, bits: u32) -> u32 {
        let mut woken = 0;
        while woken < count
            && let Some(id) = self.first_waiter(key, bits)
        {
            woken += 1;
            let Some(task) = self.table.tasks.get_mut(id) else {
                continue;
            };
            task.futex = None;
            // One that was stopped meanwhile finds out when it goes on.
            if let Activity::Parked { key, .. } = task.activity
                && key == WakeKey::Futex
            {
                task.activity = Activity::Ready;
                self.ready.push_woken(id);
            }
        }
        woken
    }

    /// Lets up to `count` of those that wait for `from` wait for `to`; returns how many.
    pub(crate) fn move_waiters(&mut self, from: FutexKey, to: FutexKey, count: u32) -> u32 {
        let mut moved = 0;
        while from != to
            && moved < count
            && let Some(id) = self.first_waiter(from, ANY)
        {
            moved += 1;
            if let Some(wait) = self
                .table
                .tasks
                .get_mut(id)
                .and_then(|task| task.futex.as_mut())
            {
                wait.key = to;
            }
        }
        moved
    }

    fn first_waiter(&self, key: FutexKey, bits: u32) -> Option<TaskId> {
        self.table
            .tasks
            .iter()
            .filter_map(|(id, task)| Some((id, task.futex?)))
            .filter(|(_, wait)| wait.key == key && wait.bits & bits != 0)
            .min_by_key(|(_, wait)| wait.turn)
            .map(|(id, _)| id)
    }

    /// Gives up what the tasks of a process that ends have locked, as far as others can see it.
    pub(crate) fn leave_locks(&mut self, id: ProcessId) {
        let Some(process) = self.table.processes.get(id) else {
            return;
        };
        let is_seen = self
            .spaces
            .get(process.space)
            .is_some_and(|space| space.users > 1 || space.areas.has_shared());
        if !is_seen {
            return;
        }
        let mut budget = MAX_ROBUST_LOCKS;
        for slot in 0..self.table.tasks.slots() as u32 {
            if let Some((task, known)) = self.table.tasks.at_mut(slot)
                && known.process == id
            {
                // What is not in memory now cannot be waited for: the task is about to go.
                let _ = self.leave_robust_list(task, &mut budget);
                let _ = self.clear_number(task);
            }
        }
    }

    /// Gives up what one task has locked, and says that it ends (set_tid_address(2)).
    ///
    /// # Errors
    ///
    /// What to wait for.
    pub(crate) fn leave_task_locks(&mut self, id: TaskId) -> Result<(), Stall> {
        let mut budget = MAX_ROBUST_LOCKS;
        for result in [
            self.leave_robust_list(id, &mut budget),
            self.clear_number(id),
        ] {
            match result {
                Err(stall) if !stall.is_error() => return Err(stall),
                // A pointer that leads nowhere is the program's own affair.
                _ => {}
            }
        }
        Ok(())
    }

    fn clear_number(&mut self, id: TaskId) -> Result<(), Stall> {
        let task = self.task_mut(id)?;
        let (address, process) = (task.clear_tid, task.process);
        if address.is_null() {
            return Ok(());
        }
        let space = self.process(process)?.space;
        self.write_user(space, address, &[0; 4])?;
        let key = self.futex_key(space, address, Scope::Shared)?;
        self.wake_futex(key, 1, ANY);
        self.task_mut(id)?.clear_tid = UserAddr::NULL;
        Ok(())
    }

    /// Walks a task's list of robust locks (linux/futex.h, `struct robust_list_head`).
    fn leave_robust_list(&mut self, id: TaskId, budget: &mut usize) -> Result<(), Stall> {
        let task = self.task_mut(id)?;
        let (head, tid, process) = (task.robust_list, task.tid, task.process);
        if head.is_null() {
            return Ok(());
        }
        let space = self.process(process)?.space;
        let offset = self.read_u64(space, head.offset(8)?)?;
        let pending = self.read_u64(space, head.offset(16)?)?;
        let mut entry = self.read_u64(space, head)?;
        while entry & !1 != head.0 && *budget > 0 {
            *budget -= 1;
            // Read before the lock is given up: then it may be somebody else's.
            let next = self.read_u64(space, UserAddr(entry & !1))?;
            if entry != pending {
                self.leave_lock(space, (entry & !1).wrapping_add(offset), tid)?;
            }
            entry = next;
        }
        if pending & !1 != 0 {
            self.leave_lock(space, (pending & !1).wrapping_add(offset), tid)?;
        }
        self.task_mut(id)?.robust_list = UserAddr::NULL;
        Ok(())
    }

    /// Marks a lock as left by its owner and wakes one who waits for it, if `tid` has it.
    fn leave_lock(&mut self, space: SpaceId, address: u64, tid: u32) -> Result<(), Stall> {
        /// Parts of a robust lock's word (linux/futex.h).
        const WAITERS: u32 = 0x8000_0000;
        const OWNER_DIED: u32 = 0x4000_0000;
        const OWNER: u32 = 0x3fff_ffff;
        let address = UserAddr(address);
        let value = self.read_u32(space, address)?;
        if value & OWNER != tid {
            return Ok(());
        }
        let left = value & WAITERS | OWNER_DIED;
        self.write_user(space, address, &left.to_le_bytes())?;
        if value & WAITERS != 0 {
            let key = self.futex_key(space, address, Scope::Shared)?;
            self.wake_futex(key, 1, ANY);
        }
        Ok(())
    }
}
