//! Who runs next, and for how long.

use super::*;
use crate::account::Accounts;
use crate::slab::Slab;
use std::vec::Vec;

/// A processor that does nothing but hand out turns.
struct Stage {
    queue: RunQueue<AccountId>,
    tasks: Slab<AccountId>,
    accounts: Accounts,
    now: Instant,
    /// Nanoseconds each account had, by slot.
    had: Vec<u64>,
    /// Nanoseconds each task had, by slot.
    each: Vec<u64>,
}

type TestTask = Id<AccountId>;

impl Stage {
    fn new() -> Self {
        Self {
            queue: RunQueue::new(),
            tasks: Slab::new(1024),
            accounts: Accounts::new(64),
            now: Instant::from_millis(1),
            had: std::vec![0; 64],
            each: std::vec![0; 1024],
        }
    }

    fn account(&mut self, shares: u64) -> AccountId {
        let account = self
            .accounts
            .insert(Account::unlimited())
            .expect("there is room");
        self.queue.open(account).expect("there is memory");
        self.queue
            .set_weight(account, CpuWeight::from_shares(shares));
        account
    }

    fn task(&mut self, account: AccountId) -> TestTask {
        let task = self.tasks.insert(account).expect("there is room");
        self.queue.admit(task, account).expect("there is memory");
        task
    }

    fn spinners(&mut self, account: AccountId, count: usize) {
        for _ in 0..count {
            let task = self.task(account);
            self.queue.push_woken(task);
        }
    }

    /// Lets the next task have a turn of at most `most`.
    fn turn(&mut self, most: Duration) -> Option<(TestTask, Duration)> {
        let task = self.queue.pop(self.now)?;
        let account = *self.tasks.get(task).expect("it lives");
        let slice = self.queue.slice(account, SLICE, self.now).min(most);
        let nanos = slice.as_nanos() as u64;
        self.now = self.now + slice;
        self.had[account.index() as usize] += nanos;
        self.each[task.index() as usize] += nanos;
        self.queue.charge(account, nanos);
        Some((task, slice))
    }

    /// Lets everybody spin until `until`.
    fn spin(&mut self, until: Instant) {
        while self.now < until {
            match self.turn(SLICE) {
                Some((task, slice)) => self.queue.push_again(task, slice >= SLICE),
                None => self.now = self.queue.next_start().min(until),
            }
        }
    }

    fn assert_ratio(&self, one: AccountId, other: AccountId, expected: f64) {
        let had = |account: AccountId| self.had[account.index() as usize] as f64;
        let ratio = had(one) / had(other);
        assert!(
            (ratio / expected - 1.0).abs() < 0.04,
            "{ratio} for {expected}"
        );
    }
}

#[test]
fn accounts_share_the_processor_by_weight() {
    for (one, other, seconds) in [
        (1024, 1024, 10),
        (1024, 2048, 10),
        (100, 400, 10),
        (2, 2048, 100),
        (2, 262_144, 20_000),
    ] {
        let mut stage = Stage::new();
        let (a, b) = (stage.account(one), stage.account(other));
        stage.spinners(a, 1);
        stage.spinners(b, 1);
        stage.spin(Instant::from_millis(seconds * 1000));
        stage.assert_ratio(b, a, other as f64 / one as f64);
    }
}

#[test]
fn a_hundred_tasks_get_no_more_than_one_of_another_account() {
    let mut stage = Stage::new();
    let (crowd, alone) = (stage.account(1024), stage.account(1024));
    stage.spinners(crowd, 100);
    stage.spinners(alone, 1);
    // New tasks are favoured for a moment.
    stage.spin(Instant::from_millis(2_000));
    stage.had.fill(0);
    stage.each.fill(0);
    stage.spin(Instant::from_millis(22_000));
    stage.assert_ratio(crowd, alone, 1.0);
    let each = &stage.each[..100];
    let (least, most) = (each.iter().min(), each.iter().max());
    assert!(
        most.zip(least)
            .is_some_and(|(most, least)| most - least <= 2 * SLICE.as_nanos() as u64),
        "inside the account they take turns: {each:?}"
    );
}

#[test]
fn many_accounts_get_equal_parts() {
    let mut stage = Stage::new();
    let accounts: Vec<_> = (0..40).map(|_| stage.account(1024)).collect();
    for (nth, &account) in accounts.iter().enumerate() {
        stage.spinners(account, 1 + nth % 5);
    }
    stage.spin(Instant::from_millis(40_000));
    for &account in &accounts {
        stage.assert_ratio(account, accounts[0], 1.0);
    }
}

#[test]
fn a_task_that_wakes_in_an_idle_account_is_next() {
    let mut stage = Stage::new();
    let (busy, idle) = (stage.account(262_144), stage.account(2));
    stage.spinners(busy, 100);
    let sleeper = stage.task(idle);
    for _ in 0..50 {
        let until = stage.now + Duration::from_millis(100);
        stage.spin(until);
        stage.queue.push_woken(sleeper);
        // It runs for a moment and sleeps again: with a share this small, a longer turn has its price.
        let (next, _) = stage
            .turn(Duration::from_nanos(1))
            .expect("somebody is ready");
        assert_eq!(next, sleeper);
    }
}

#[test]
fn who_slept_long_saves_nothing_up() {
    let mut stage = Stage::new();
    let (awake, asleep) = (stage.account(1024), stage.account(1024));
    stage.spinners(awake, 1);
    stage.spin(Instant::from_millis(60_000));
    stage.had.fill(0);
    stage.spinners(asleep, 1);
    let until = stage.now + Duration::from_secs(10);
    stage.spin(until);
    stage.assert_ratio(asleep, awake, 1.0);
}

#[test]
fn a_woken_task_goes_before_those_of_its_account_that_spin_and_starves_nobody() {
    let mut stage = Stage::new();
    let account = stage.account(1024);
    stage.spinners(account, 10);
    let chatty = stage.task(account);
    stage.spin(Instant::from_millis(1000));
    stage.each.fill(0);
    let until = stage.now + Duration::from_secs(10);
    let mut waited = 0;
    while stage.now < until {
        stage.queue.push_woken(chatty);
        let mut turns = 0;
        loop {
            let (task, slice) = stage
                .turn(Duration::from_millis(4))
                .expect("somebody is ready");
            if task == chatty {
                break;
            }
            turns += 1;
            stage.queue.push_again(task, slice >= SLICE);
        }
        waited = waited.max(turns);
    }
    assert!(waited <= 1, "{waited} turns of others before it");
    let spun: u64 = stage.each[..10].iter().sum();
    let talked = stage.each[chatty.index() as usize];
    assert!(
        spun * 10 > talked * 9,
        "spinners had {spun} ns beside {talked}"
    );
}

#[test]
fn a_quota_is_kept_while_nobody_else_wants_the_processor_and_while_somebody_does() {
    for others in [0, 1] {
        let mut stage = Stage::new();
        let (limited, free) = (stage.account(1024), stage.account(1024));
        stage
            .queue
            .set_quota(limited, Some(20_000), Some(100_000), stage.now);
        stage.spinners(limited, 3);
        stage.spinners(free, others);
        stage.spin(Instant::from_millis(10_000));
        let had = stage.had[limited.index() as usize];
        assert!(
            (1_960_000_000..=2_040_000_000).contains(&had),
            "{had} ns of 10 s with a fifth"
        );
        let counts = stage.queue.throttling(limited);
        assert!(counts.throttled_periods > 95, "{counts:?}");
        assert!(counts.throttled_time > Duration::from_secs(4), "{counts:?}");
    }
}

#[test]
fn a_task_taken_out_is_not_chosen_and_the_others_keep_their_order() {
    for gone in 0..4 {
        let mut stage = Stage::new();
        let account = stage.account(1024);
        let mut tasks: Vec<_> = (0..4).map(|_| stage.task(account)).collect();
        for &task in &tasks {
            stage.queue.push_woken(task);
            stage.queue.push_woken(task);
        }
        let task = tasks.remove(gone);
        stage.queue.remove(task);
        stage.queue.remove(task);
        assert_eq!(stage.queue.len(), 3);
        let order: Vec<_> = core::iter::from_fn(|| stage.queue.pop(stage.now)).collect();
        assert_eq!(order, tasks);
        assert_eq!(stage.queue.next_start(), Instant::NEVER);
    }
}

#[test]
fn a_slot_used_again_forgets_who_stood_in_it() {
    let mut stage = Stage::new();
    let account = stage.account(1024);
    let old = stage.task(account);
    stage.queue.push_woken(old);
    stage.tasks.remove(old);
    let new = stage.task(account);
    assert_eq!(stage.queue.len(), 0);
    stage.queue.push_woken(new);
    assert_eq!(stage.queue.pop(stage.now), Some(new));
}
