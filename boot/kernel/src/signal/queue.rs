//! Signals that wait: which, and what each says of itself.
//!
//! Of a standard signal one waits at most, of a real-time signal as many as were sent, the first one first (signal(7)). A
//! signal can wait without an entry: then nothing is known of it.

use super::{Info, SignalSet};
use crate::account::{AccountId, Accounts, Resource};
use crate::slab::{Id, Slab};
use agent::kernel::Signal;

/// What the signals that wait say of themselves, those of all processes.
pub(crate) type Queue = Slab<Queued>;

/// What one signal says of itself, in the list of whom it waits for.
#[derive(Debug)]
pub(crate) struct Queued {
    signal: Signal,
    info: Info,
    /// Who pays, unless somebody does already (a timer).
    payer: Option<AccountId>,
    next: Option<Id<Queued>>,
}

/// The signals that wait for a process or for one task.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    set: SignalSet,
    first: Option<Id<Queued>>,
}

impl Pending {
    /// Returns which signals wait.
    pub(crate) const fn set(&self) -> SignalSet {
        self.set
    }

    /// Adds a signal of which nothing is known.
    pub(crate) const fn insert(&mut self, signal: Signal) {
        self.set.insert(signal);
    }

    /// Adds a signal behind those that wait. `false` when there is no room to keep what it says.
    pub(crate) fn push(
        &mut self,
        queue: &mut Queue,
        signal: Signal,
        info: Info,
        payer: Option<AccountId>,
    ) -> bool {
        let entry = Queued {
            signal,
            info,
            payer,
            next: None,
        };
        let Ok(id) = queue.insert(entry) else {
            return false;
        };
        self.set.insert(signal);
        let mut last = None;
        let mut at = self.first;
        while let Some(entry) = at.and_then(|id| queue.get(id)) {
            last = at;
            at = entry.next;
        }
        match last.and_then(|last| queue.get_mut(last)) {
            Some(last) => last.next = Some(id),
            None => self.first = Some(id),
        }
        true
    }

    /// Returns what the first one of a signal that waits says of itself.
    pub(crate) fn info(&self, queue: &Queue, signal: Signal) -> Info {
        let mut at = self.first;
        while let Some(entry) = at.and_then(|id| queue.get(id)) {
            if entry.signal == signal {
                return entry.info;
            }
            at = entry.next;
        }
        Info::UNKNOWN
    }

    /// Takes the first one of a signal out, what it said included.
    pub(crate) fn take(&mut self, queue: &mut Queue, accounts: &mut Accounts, signal: Signal) {
        let mut is_first = true;
        let mut more = false;
        self.sift(queue, accounts, |entry| {
            let is_meant = entry.signal == signal;
            let goes = is_meant && core::mem::take(&mut is_first);
            more |= is_meant && !goes;
            goes
        });
        if !more {
            self.set.remove(signal);
        }
    }

    /// Takes every signal of a set out.
    pub(crate) fn discard(
        &mut self,
        queue: &mut Queue,
        accounts: &mut Accounts,
        signals: SignalSet,
    ) {
        self.set = self.set.without(signals);
        self.sift(queue, accounts, |entry| signals.contains(entry.signal));
    }

    /// Takes the entries out for which `goes` says so.
    fn sift(
        &mut self,
        queue: &mut Queue,
        accounts: &mut Accounts,
        mut goes: impl FnMut(&Queued) -> bool,
    ) {
        let mut before: Option<Id<Queued>> = None;
        let mut at = self.first;
        while let Some(id) = at {
            let Some(entry) = queue.get(id) else {
                return;
            };
            at = entry.next;
            if !goes(entry) {
                before = Some(id);
                continue;
            }
            if let Some(payer) = entry.payer.and_then(|payer| accounts.get_mut(payer)) {
                payer.refund(Resource::Signals, 1);
            }
            queue.remove(id);
            match before.and_then(|before| queue.get_mut(before)) {
                Some(before) => before.next = at,
                None => self.first = at,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::info::code;
    use super::*;
    use crate::account::Account;

    fn signal(number: i32) -> Signal {
        Signal::from_number(number).expect("it is one")
    }

    fn said(value: u64) -> Info {
        Info::of(code::TKILL, [value; 4])
    }

    fn tables() -> (Queue, Accounts, AccountId) {
        let mut accounts = Accounts::new(1);
        let payer = accounts
            .insert(Account::unlimited())
            .expect("there is room");
        (Queue::new(4), accounts, payer)
    }

    #[test]
    fn signals_of_one_number_come_in_the_order_they_were_sent() {
        let (mut queue, mut accounts, payer) = tables();
        let mut pending = Pending::default();
        for value in 1..=3 {
            let payer_account = accounts.get_mut(payer).expect("it stays");
            payer_account.charge(Resource::Signals, 1).expect("room");
            assert!(pending.push(&mut queue, signal(40), said(value), Some(payer)));
        }
        for value in 1..=3 {
            assert!(pending.set().contains(signal(40)));
            assert_eq!(pending.info(&queue, signal(40)), said(value));
            pending.take(&mut queue, &mut accounts, signal(40));
        }
        assert!(pending.set().is_empty() && queue.is_empty());
        let payer = accounts.get(payer).expect("it stays");
        assert_eq!(payer.used(Resource::Signals), 0);
    }

    #[test]
    fn a_full_queue_takes_one_signal_below_and_at_its_limit_and_none_above() {
        let (mut queue, _, _) = tables();
        let mut pending = Pending::default();
        for nth in 0..4 {
            assert!(pending.push(&mut queue, signal(50), said(nth), None));
        }
        assert!(!pending.push(&mut queue, signal(50), said(4), None));
    }

    #[test]
    fn what_is_discarded_leaves_the_others_in_their_order() {
        let (mut queue, mut accounts, _) = tables();
        let mut pending = Pending::default();
        for number in [40, 41, 40, 42] {
            assert!(pending.push(&mut queue, signal(number), said(number as u64), None));
        }
        pending.discard(&mut queue, &mut accounts, SignalSet::only(signal(40)));
        assert_eq!(queue.len(), 2);
        assert_eq!(pending.info(&queue, signal(40)), Info::UNKNOWN);
        assert_eq!(pending.info(&queue, signal(42)), said(42));
        pending.discard(&mut queue, &mut accounts, SignalSet::ALL);
        assert!(queue.is_empty() && pending.set().is_empty());
    }

    #[test]
    fn a_signal_without_an_entry_waits_and_says_nothing() {
        let (mut queue, mut accounts, _) = tables();
        let mut pending = Pending::default();
        pending.insert(signal(15));
        assert_eq!(pending.info(&queue, signal(15)), Info::UNKNOWN);
        pending.take(&mut queue, &mut accounts, signal(15));
        assert!(pending.set().is_empty());
    }
}
