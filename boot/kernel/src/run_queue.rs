//! Who runs next: fair between accounts, then those that waited before those that only want more.
//!
//! Each account has a *lane*: its tasks that can run, and a virtual time, which is the processor time they had, divided by
//! the account's weight. The lane with the least virtual time is next, so that over time each gets its share, however many
//! tasks stand in it. A lane that was empty begins where the others are: it is next, but saves nothing up.
//!
//! ```text
//! lane of account 1   fresh: woken tasks    spent: tasks that used their turn up     virtual time, weight, quota
//! lane of account 2   …
//! ```
//!
//! Inside a lane fresh tasks go first, for one slice together; then a spent one has its turn, so that neither starves the
//! other. A lane whose quota of processor time is used up waits for the next period. What it took too much counts there.
//!
//! Everything takes the same time however many tasks there are; choosing a lane looks at each that is not empty.

use crate::account::{Account, AccountId};
use crate::errno::Errno;
use crate::limits::{MAX_VIEWS, SLICE};
use crate::quota::Quota;
use crate::slab::Id;
use agent::kernel::{CpuWeight, Throttling};
use alloc::vec::Vec;
use core::time::Duration;
use hal::clock::Instant;

/// End of a list.
const NONE: u32 = u32::MAX;

/// Which list of its lane a task stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rank {
    Fresh,
    Spent,
}

/// A task's place in the queue.
#[derive(Debug)]
struct Node<T> {
    lane: u16,
    /// The task, while it stands in a list.
    queued: Option<(Id<T>, Rank)>,
    before: u32,
    after: u32,
}

/// First and last of the tasks of one rank.
#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

impl List {
    const EMPTY: Self = Self {
        first: NONE,
        last: NONE,
    };

    const fn is_empty(self) -> bool {
        self.first == NONE
    }
}

/// What an account has of the processor.
#[derive(Clone, Debug)]
struct Lane {
    lists: [List; 2],
    weight: CpuWeight,
    /// Nanoseconds it had, by weight; wraps.
    virtual_time: u64,
    /// Nanoseconds fresh tasks had since a spent one had its turn.
    favoured: u64,
    quota: Quota,
}

impl Lane {
    const fn new(virtual_time: u64) -> Self {
        Self {
            lists: [List::EMPTY; 2],
            weight: CpuWeight::DEFAULT,
            virtual_time,
            favoured: 0,
            quota: Quota::NONE,
        }
    }

    const fn is_empty(&self) -> bool {
        self.lists[0].is_empty() && self.lists[1].is_empty()
    }
}

/// The tasks that can run.
#[derive(Debug)]
pub(crate) struct RunQueue<T> {
    /// By slot of the task.
    nodes: Vec<Node<T>>,
    /// By slot of the account.
    lanes: Vec<Lane>,
    /// Lanes that are not empty, a bit for each.
    busy: u128,
    /// The virtual time of the lane that was chosen last.
    floor: u64,
    /// The rank of the task that was chosen last.
    chosen: Rank,
    len: usize,
}

const _: () = assert!(MAX_VIEWS <= 128, "there is a bit for each lane");

/// Virtual nanoseconds of a nanosecond of the least weight that can be told apart from the next.
const SCALE: u64 = 1 << 20;

impl<T> RunQueue<T> {
    /// Makes an empty queue.
    pub(crate) const fn new() -> Self {
        Self {
            nodes: Vec::new(),
            lanes: Vec::new(),
            busy: 0,
            floor: 0,
            chosen: Rank::Spent,
            len: 0,
        }
    }

    /// Makes room for `tasks` tasks of `accounts` accounts.
    pub(crate) fn reserve(&mut self, tasks: usize, accounts: usize) {
        // Where memory does not suffice, room is made when it is needed.
        let _ = self.nodes.try_reserve_exact(tasks);
        let _ = self.lanes.try_reserve_exact(accounts);
    }

    /// Returns how many tasks stand in the queue.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Gives a new account its lane.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn open(&mut self, account: AccountId) -> Result<(), Errno> {
        let index = account.index() as usize;
        while self.lanes.len() <= index {
            self.lanes.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            self.lanes.push(Lane::new(self.floor));
        }
        self.lanes[index] = Lane::new(self.floor);
        Ok(())
    }

    /// Makes a place for a new task, whose turns `account` pays for.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn admit(&mut self, task: Id<T>, account: Id<Account>) -> Result<(), Errno> {
        let index = task.index() as usize;
        while self.nodes.len() <= index {
            self.nodes.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            self.nodes.push(Node {
                lane: 0,
                queued: None,
                before: NONE,
                after: NONE,
            });
        }
        if let Some((stale, _)) = self.nodes[index].queued {
            self.remove(stale);
        }
        self.nodes[index].lane = account.index() as u16;
        Ok(())
    }

    /// Puts a task that waited, or is new, behind the others that did.
    pub(crate) fn push_woken(&mut self, task: Id<T>) {
        self.push(task, Rank::Fresh);
    }

    /// Puts a task behind those that have used their turns up.
    pub(crate) fn push_spent(&mut self, task: Id<T>) {
        self.push(task, Rank::Spent);
    }

    /// Puts the task that was taken out last back: one that did not use its turn up keeps its rank.
    pub(crate) fn push_again(&mut self, task: Id<T>, is_used_up: bool) {
        let rank = if is_used_up { Rank::Spent } else { self.chosen };
        self.push(task, rank);
    }

    fn push(&mut self, task: Id<T>, rank: Rank) {
        let index = task.index();
        let Some(node) = self.nodes.get_mut(index as usize) else {
            return;
        };
        let Some(lane) = self.lanes.get_mut(usize::from(node.lane)) else {
            return;
        };
        if node.queued.is_some() {
            return;
        }
        if lane.is_empty() {
            if is_before(lane.virtual_time, self.floor) {
                lane.virtual_time = self.floor;
            }
            self.busy |= 1 << node.lane;
        }
        let list = &mut lane.lists[rank as usize];
        node.queued = Some((task, rank));
        node.before = core::mem::replace(&mut list.last, index);
        node.after = NONE;
        let before = node.before;
        match self.nodes.get_mut(before as usize) {
            Some(before) => before.after = index,
            None => list.first = index,
        }
        self.len += 1;
    }

    /// Takes a task out, wherever it stands.
    pub(crate) fn remove(&mut self, task: Id<T>) {
        let Some(node) = self.nodes.get_mut(task.index() as usize) else {
            return;
        };
        let Some((_, rank)) = node.queued.take_if(|(queued, _)| *queued == task) else {
            return;
        };
        let (before, after, index) = (node.before, node.after, node.lane);
        let Some(lane) = self.lanes.get_mut(usize::from(index)) else {
            return;
        };
        let list = &mut lane.lists[rank as usize];
        match self.nodes.get_mut(before as usize) {
            Some(before) => before.after = after,
            None => list.first = after,
        }
        match self.nodes.get_mut(after as usize) {
            Some(after) => after.before = before,
            None => list.last = before,
        }
        if lane.is_empty() {
            self.busy &= !(1 << index);
            lane.quota.release();
        }
        self.len -= 1;
    }

    /// Takes out the task whose turn is next.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Id<T>> {
        let mut best: Option<(usize, u64)> = None;
        for index in bits(self.busy) {
            let lane = self.lanes.get_mut(index)?;
            if lane.quota.left(now) == 0 {
                continue;
            }
            let time = lane.virtual_time;
            if best.is_none_or(|(_, least)| is_before(time, least)) {
                best = Some((index, time));
            }
        }
        let (index, time) = best?;
        let lane = self.lanes.get_mut(index)?;
        self.floor = time;
        let [fresh, spent] = lane.lists;
        let favour = lane.favoured < SLICE.as_nanos() as u64;
        self.chosen = if !fresh.is_empty() && (favour || spent.is_empty()) {
            Rank::Fresh
        } else {
            lane.favoured = 0;
            Rank::Spent
        };
        let first = lane.lists[self.chosen as usize].first;
        let (task, _) = self.nodes.get(first as usize)?.queued?;
        self.remove(task);
        Some(task)
    }

    /// Returns when a task that stands in the queue can run: at once, or when a period begins.
    pub(crate) fn next_start(&self) -> Instant {
        bits(self.busy)
            .filter_map(|index| self.lanes.get(index))
            .map(|lane| lane.quota.next_start())
            .min()
            .unwrap_or(Instant::NEVER)
    }

    /// Returns how long the task that was just taken out may run, of a turn of this length.
    pub(crate) fn slice(&mut self, account: AccountId, turn: Duration, now: Instant) -> Duration {
        self.lanes
            .get_mut(account.index() as usize)
            .map_or(turn, |lane| {
                Duration::from_nanos(lane.quota.left(now)).min(turn)
            })
    }

    /// Counts the time a task of `account` had.
    pub(crate) fn charge(&mut self, account: AccountId, nanos: u64) {
        let Some(lane) = self.lanes.get_mut(account.index() as usize) else {
            return;
        };
        let weight = u64::from(lane.weight.shares());
        let time = nanos.saturating_mul(SCALE) / weight;
        lane.virtual_time = lane.virtual_time.wrapping_add(time);
        if self.chosen == Rank::Fresh {
            lane.favoured += nanos;
        }
        lane.quota.charge(nanos);
    }

    /// Sets an account's share.
    pub(crate) fn set_weight(&mut self, account: AccountId, weight: CpuWeight) {
        if let Some(lane) = self.lanes.get_mut(account.index() as usize) {
            lane.weight = weight;
        }
    }

    /// Sets what of its quota an account is to have otherwise; a period begins now.
    pub(crate) fn set_quota(
        &mut self,
        account: AccountId,
        quota_us: Option<u64>,
        period_us: Option<u32>,
        now: Instant,
    ) {
        let Some(lane) = self.lanes.get_mut(account.index() as usize) else {
            return;
        };
        lane.quota.set(quota_us, period_us, now);
    }

    /// Returns what an account's quota did.
    pub(crate) fn throttling(&self, account: AccountId) -> Throttling {
        self.lanes
            .get(account.index() as usize)
            .map_or_else(Throttling::default, |lane| lane.quota.counts())
    }
}

/// Compares virtual times, which wrap: they lie much closer together than half their range.
const fn is_before(one: u64, other: u64) -> bool {
    (one.wrapping_sub(other) as i64) < 0
}

/// Returns the numbers of the bits that are set.
fn bits(mut set: u128) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = set.trailing_zeros() as usize;
        set &= set.wrapping_sub(1);
        (bit < 128).then_some(bit)
    })
}

#[cfg(test)]
mod tests;
