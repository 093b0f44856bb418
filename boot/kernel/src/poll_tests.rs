//! Waiting for one of several files: what wakes it, what a mask of its own lets through, and what time is left.

use crate::bench::{Bench, exit};
use crate::signal_tests::handle;
use crate::tests::{AT, call, map, steps};
use agent::kernel::{ExitStatus, Kernel as _, Pid, Signal};
use core::time::Duration;
use fakes::user::Step::{self, *};
use hal::clock::Instant;
use std::vec;
use std::vec::Vec;

const POLL: u64 = 7;
const MPROTECT: u64 = 10;
const SIGPROCMASK: u64 = 14;
const SIGRETURN: u64 = 15;
const PIPE: u64 = 22;
const SELECT: u64 = 23;
const PSELECT: u64 = 270;
const PPOLL: u64 = 271;
const WRITE: u64 = 1;

const EINTR: i64 = -4;
const EINVAL: i64 = -22;
const EBADF: i64 = -9;
const EFAULT: i64 = -14;

/// Where the tests' structures lie; [`AT`] itself holds what [`handle`] needs.
const ENTRIES: u64 = AT + 256;
const TIME: u64 = AT + 512;
const MASK: u64 = AT + 528;
const SETS: u64 = AT + 600;

/// `struct pollfd`s that ask for POLLIN.
fn entries(fds: &[i32]) -> Vec<u8> {
    let entry = |fd: &i32| {
        let mut bytes = fd.to_le_bytes().to_vec();
        bytes.extend([1, 0, 0, 0]);
        bytes
    };
    fds.iter().flat_map(entry).collect()
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Two pipes: 0 and 2 are read, 1 and 3 written.
fn two_pipes() -> Vec<Step> {
    vec![
        call(PIPE, &[AT + 64]),
        Expect(0),
        call(PIPE, &[AT + 64]),
        Expect(0),
    ]
}

/// Closes a descriptor of a program from outside.
fn close(bench: &mut Bench, pid: Pid, fd: i32) {
    let id = bench.id(pid);
    let system = &mut bench.kernel.system;
    let table = system.process(id).unwrap().files.unwrap();
    let mut parts = system.own_file_parts();
    parts.files.close(&mut parts.context, table, fd).unwrap();
}

#[test]
fn each_of_several_files_wakes_whoever_polls_them_and_nothing_else_does() {
    for closed in [1, 3] {
        let mut bench = Bench::new(256);
        let mut answer = entries(&[0, 2]);
        answer[if closed == 1 { 6 } else { 14 }] = 0x10;
        let pid = bench.run(steps(vec![
            map(1, 3),
            two_pipes(),
            vec![
                Store(ENTRIES, entries(&[0, 2])),
                call(POLL, &[ENTRIES, 2, u64::MAX]),
                Expect(1),
                Load(ENTRIES, answer),
                exit(0),
            ],
        ]));
        bench.settle();
        assert_eq!(
            bench.kernel.next_deadline(),
            Instant::NEVER,
            "no looking again"
        );
        let before = bench.kernel.user.entries();
        bench.clock.advance(Duration::from_secs(60));
        bench.settle();
        assert_eq!(bench.kernel.user.entries(), before);
        close(&mut bench, pid, closed);
        bench.settle();
        assert_eq!(bench.status(pid), ExitStatus::Exited(0));
    }
}

#[test]
fn an_answer_that_changes_nothing_needs_memory_it_can_be_written_to() {
    let mut bench = Bench::new(256);
    let pid = bench.run(steps(vec![
        map(1, 3),
        vec![
            Store(ENTRIES, entries(&[-1])),
            call(MPROTECT, &[AT, 4096, 1]),
            Expect(0),
            call(POLL, &[ENTRIES, 1, 0]),
            Expect(EFAULT),
            exit(0),
        ],
    ]));
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Exited(0));
}

#[test]
fn a_poll_asks_the_heap_for_nothing() {
    let mut bench = Bench::new(256);
    let pid = bench.run(steps(vec![
        map(1, 3),
        two_pipes(),
        vec![
            Store(ENTRIES, entries(&[0, 2])),
            call(POLL, &[ENTRIES, 2, 5]),
            Jump(7),
        ],
    ]));
    bench.settle();
    for _ in 0..10 {
        bench.clock.advance(Duration::from_millis(5));
        let before = fakes::alloc::calls();
        bench.settle();
        assert_eq!(fakes::alloc::calls() - before, 0);
    }
    bench.kernel.signal(pid, Signal::KILL).unwrap();
    bench.settle();
}

/// A program that blocks SIGUSR1, handles it, gets it, and then waits with `wait`; step 20 is the handler.
fn masked(wait: Vec<Step>, after: Vec<Step>) -> Vec<Step> {
    let mut program = steps(vec![
        handle(10, 30, 31, 0),
        vec![
            Store(MASK, words(&[1 << 9, 0, MASK + 8, 8])),
            call(SIGPROCMASK, &[0, MASK, 0, 8]),
            Expect(0),
            call(62, &[1, 10]),
            Expect(0),
        ],
        two_pipes(),
        wait,
        // The mask is the old one again.
        vec![
            call(SIGPROCMASK, &[0, 0, AT + 96, 8]),
            Expect(0),
            Load(AT + 96, words(&[1 << 9])),
        ],
        after,
        vec![exit(0)],
    ]);
    assert!(program.len() <= 30, "{}", program.len());
    program.resize(30, Jump(0));
    program.push(Return);
    program.push(call(SIGRETURN, &[]));
    program
}

#[test]
fn a_mask_of_its_own_lets_a_blocked_signal_end_the_wait() {
    for wait in [
        call(PPOLL, &[ENTRIES, 2, 0, MASK + 8, 8]),
        call(PSELECT, &[0, 0, 0, 0, 0, MASK + 16]),
    ] {
        let program = masked(
            vec![Store(ENTRIES, entries(&[0, 2])), wait, Expect(EINTR)],
            vec![],
        );
        assert_eq!(Bench::new(256).finish(program), ExitStatus::Exited(0));
    }
}

#[test]
fn what_is_found_counts_more_than_a_signal_that_only_the_mask_lets_through() {
    let program = masked(
        vec![
            call(WRITE, &[3, AT, 1]),
            Expect(1),
            Store(ENTRIES, entries(&[0, 2])),
            call(PPOLL, &[ENTRIES, 2, 0, MASK + 8, 8]),
            Expect(1),
        ],
        // The signal waits on.
        vec![
            call(127, &[AT + 104, 8]),
            Expect(0),
            Load(AT + 104, words(&[1 << 9])),
        ],
    );
    assert_eq!(Bench::new(256).finish(program), ExitStatus::Exited(0));
}

#[test]
fn a_signal_that_comes_while_it_waits_ends_the_wait_and_the_mask_is_the_old_one() {
    let mut program = masked(
        vec![
            Store(ENTRIES, entries(&[0, 2])),
            call(PPOLL, &[ENTRIES, 2, 0, MASK + 8, 8]),
            Expect(EINTR),
        ],
        vec![],
    );
    // Nobody sends it beforehand.
    let sent = program
        .iter()
        .position(|step| matches!(step, Step::Call(62, _)))
        .unwrap();
    program[sent] = call(39, &[]);
    program[sent + 1] = Do(|_| ());
    let mut bench = Bench::new(256);
    let pid = bench.run(program);
    bench.settle();
    let signal = Signal::from_number(10).unwrap();
    bench.kernel.signal(pid, signal).unwrap();
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Exited(0));
}

#[test]
fn select_tells_how_much_of_its_time_is_left() {
    for (number, unit, left) in [(SELECT, 1_000, 2_000_000), (PSELECT, 1, 2_000_000_000)] {
        let mut bench = Bench::new(256);
        let pid = bench.run(steps(vec![
            map(1, 3),
            two_pipes(),
            vec![
                Store(TIME, words(&[5, 0])),
                Store(SETS, words(&[5])),
                call(number, &[3, SETS, 0, 0, TIME, 0]),
                Expect(1),
                Load(SETS, words(&[4])),
                Load(TIME, words(&[left * unit / 1_000_000_000, 0])),
                exit(0),
            ],
        ]));
        bench.settle();
        bench.clock.advance(Duration::from_secs(3));
        close(&mut bench, pid, 3);
        bench.settle();
        assert_eq!(bench.status(pid), ExitStatus::Exited(0));
    }
}

#[test]
fn a_time_that_has_passed_leaves_nothing_and_ready_sets_are_empty() {
    let mut bench = Bench::new(256);
    let pid = bench.run(steps(vec![
        map(1, 3),
        two_pipes(),
        vec![
            Store(TIME, words(&[1, 1_500_000])),
            Store(SETS, words(&[5])),
            call(SELECT, &[3, SETS, 0, 0, TIME]),
            Expect(0),
            Load(SETS, words(&[0])),
            Load(TIME, words(&[0, 0])),
            exit(0),
        ],
    ]));
    bench.settle();
    bench.clock.advance(Duration::from_millis(2_499));
    bench.settle();
    assert!(bench.kernel.next_event().is_none());
    bench.clock.advance(Duration::from_millis(1));
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Exited(0));
}

#[test]
fn bad_times_masks_and_descriptors_are_refused_and_leave_the_mask() {
    let refused = |setup: Step, wait: Step, errno| {
        steps(vec![
            map(1, 3),
            vec![
                setup,
                wait,
                Expect(errno),
                call(SIGPROCMASK, &[0, 0, AT + 96, 8]),
                Load(AT + 96, words(&[0])),
                exit(0),
            ],
        ])
    };
    let cases = [
        (
            words(&[0, 1_000_000_000]),
            call(PPOLL, &[0, 0, TIME, 0, 8]),
            EINVAL,
        ),
        (
            words(&[u64::MAX, 0]),
            call(PPOLL, &[0, 0, TIME, 0, 8]),
            EINVAL,
        ),
        (
            words(&[0, u64::MAX]),
            call(SELECT, &[0, 0, 0, 0, TIME]),
            EINVAL,
        ),
        (words(&[0]), call(PPOLL, &[0, 0, 0, MASK, 4]), EINVAL),
        (words(&[0]), call(PPOLL, &[0, 2000, 0, MASK, 8]), EINVAL),
        (
            words(&[1 << 5]),
            call(PSELECT, &[8, TIME, 0, 0, 0, AT + 2048]),
            EBADF,
        ),
    ];
    for (setup, wait, errno) in cases {
        let program = refused(Store(TIME, setup), wait, errno);
        assert_eq!(Bench::new(256).finish(program), ExitStatus::Exited(0));
    }
}
