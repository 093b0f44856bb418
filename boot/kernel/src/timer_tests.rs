//! Alarms, timers and waiting signals of programs: what they cost while nobody looks, and that they end with their process.

use crate::account::Resource;
use crate::bench::{Bench, exit};
use crate::limits::{ACCOUNT_SHARE, MAX_SIGNALS};
use crate::tests::{AT, call, map, steps};
use agent::kernel::{ExitStatus, Signal};
use core::time::Duration;
use fakes::user::Step::{self, *};
use hal::clock::Instant;
use std::vec;
use std::vec::Vec;

const SIGPROCMASK: u64 = 14;
const PAUSE: u64 = 34;
const SETITIMER: u64 = 38;
const SIGQUEUEINFO: u64 = 129;
const SETRLIMIT: u64 = 160;
const TIMER_CREATE: u64 = 222;
const TIMER_SETTIME: u64 = 223;
const EAGAIN: i64 = -11;

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Blocks a signal.
fn block(signal: u32) -> Vec<Step> {
    steps(vec![
        map(1, 3),
        vec![
            Store(AT, words(&[1 << (signal - 1)])),
            call(SIGPROCMASK, &[0, AT, 0, 8]),
            Expect(0),
        ],
    ])
}

#[test]
fn an_alarm_that_repeats_and_is_not_looked_at_wakes_the_machine_once() {
    let mut bench = Bench::new(256);
    bench.run(steps(vec![
        block(14),
        vec![
            Store(AT, words(&[0, 1000, 0, 1000])),
            call(SETITIMER, &[0, AT, 0]),
            Expect(0),
            call(PAUSE, &[]),
        ],
    ]));
    bench.settle();
    assert!(bench.kernel.system.next_timer < Instant::NEVER);
    bench.clock.advance(Duration::from_secs(1));
    bench.settle();
    assert_eq!(bench.kernel.system.next_timer, Instant::NEVER);
}

#[test]
fn a_timer_that_expires_without_end_waits_for_its_signal_to_be_taken() {
    let mut bench = Bench::new(256);
    let pid = bench.run(steps(vec![
        block(14),
        vec![
            call(TIMER_CREATE, &[1, 0, AT]),
            Expect(0),
            Store(AT, words(&[0, 1, 0, 1])),
            call(TIMER_SETTIME, &[0, 0, AT, 0]),
            Expect(0),
            call(PAUSE, &[]),
        ],
    ]));
    bench.settle();
    bench.clock.advance(Duration::from_secs(1));
    bench.settle();
    assert_eq!(bench.kernel.system.next_timer, Instant::NEVER);
    // With its process it goes, and so does what it paid for.
    let id = bench.id(pid);
    let system = &mut bench.kernel.system;
    system.end_process(id, ExitStatus::Killed(Signal::KILL));
    assert!(system.table.timers.is_empty() && system.table.signals.is_empty());
    let account = system.accounts.get(system.own_account).expect("it stays");
    assert_eq!(account.used(Resource::Signals), 0);
}

#[test]
fn a_container_queues_its_share_of_signals_and_not_one_more() {
    let share = MAX_SIGNALS / ACCOUNT_SHARE;
    let mut bench = Bench::new(256);
    let queue = call(SIGQUEUEINFO, &[1, 40, AT + 128]);
    let mut program = steps(vec![
        block(40),
        vec![Store(AT + 128, words(&[40, 0xffff_ffff, 0, 0, 0, 0]))],
    ]);
    for _ in 0..share {
        program.extend([queue.clone(), Expect(0)]);
    }
    program.extend([queue, Expect(EAGAIN), exit(3)]);
    // A program of many steps lies on several pages of the fake processor's own.
    let pages = program.len() as u64 * fakes::user::STEP_BYTES / 4096 + 1;
    let pid = bench.run_long(program, pages);
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Exited(3));
    let system = &bench.kernel.system;
    assert!(system.table.signals.is_empty());
}

#[test]
fn a_program_that_has_used_its_processor_time_up_is_told_and_then_killed() {
    let spin = |limits: [u64; 2]| {
        let mut bench = Bench::new(256);
        let mut program = steps(vec![
            map(1, 3),
            vec![
                Store(AT, words(&limits)),
                call(SETRLIMIT, &[0, AT]),
                Expect(0),
            ],
        ]);
        program.extend((0..100).map(|_| Spin(Duration::from_millis(50))));
        program.push(exit(0));
        bench.finish(program)
    };
    let xcpu = Signal::from_number(24).expect("it is one");
    assert_eq!(spin([1, 3]), ExitStatus::Killed(xcpu));
    assert_eq!(spin([1, 1]), ExitStatus::Killed(Signal::KILL));
    assert_eq!(spin([9, 9]), ExitStatus::Exited(0));
}
