//! Events and lists of files among several programs: who is woken, what is kept while the program's memory is fetched, and
//! what is given back. What each call answers is compared with Linux by `tests/programs/conform`.

use crate::bench::{Bench, exit};
use crate::limits::{ACCOUNT_SHARE, EPOLL_BATCH, MAX_INTERESTS};
use crate::tests::{AT, PAGE, call, map, steps};
use agent::kernel::{ExitStatus, Kernel as _};
use core::time::Duration;
use fakes::user::Step::{self, *};
use hal::clock::Instant;
use std::vec;
use std::vec::Vec;

const READ: u64 = 0;
const WRITE: u64 = 1;
const CLOSE: u64 = 3;
const PIPE: u64 = 22;
const EPOLL_WAIT: u64 = 232;
const EPOLL_CTL: u64 = 233;
const TIMER: u64 = 283;
const TIMER_SET: u64 = 286;
const EVENT: u64 = 290;
const EPOLL: u64 = 291;

const ENOSPC: i64 = -28;
const ELOOP: i64 = -40;
const ADD: u64 = 1;

fn event(events: u32, data: u64) -> Vec<u8> {
    [&events.to_le_bytes()[..], &data.to_le_bytes()].concat()
}

/// A list (0) and a pipe (1 is read, 2 written), whose reading end is in the list.
fn list_and_pipe(events: u32) -> Vec<Step> {
    vec![
        call(EPOLL, &[0]),
        Expect(0),
        call(PIPE, &[AT]),
        Expect(0),
        Store(AT, event(events, 7)),
        call(EPOLL_CTL, &[0, ADD, 1, AT]),
        Expect(0),
    ]
}

#[test]
fn whoever_waits_for_a_list_sleeps_until_one_of_its_files_is_ready() {
    let mut bench = Bench::new(256);
    let pid = bench.run(steps(vec![
        map(2, 3),
        list_and_pipe(1),
        vec![
            call(EPOLL_WAIT, &[0, AT + 64, 4, u64::MAX]),
            Expect(1),
            Load(AT + 64, event(0x10, 7)),
            exit(0),
        ],
    ]));
    bench.settle();
    assert_eq!(bench.kernel.next_deadline(), Instant::NEVER);
    let id = bench.id(pid);
    let system = &mut bench.kernel.system;
    let table = system.process(id).unwrap().files.unwrap();
    let mut parts = system.own_file_parts();
    parts.files.close(&mut parts.context, table, 2).unwrap();
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Exited(0));
}

#[test]
fn an_edge_is_kept_while_the_memory_it_is_told_to_is_fetched() {
    // The first telling fails: its place cannot be written. The edge is still there for the second.
    let mut bench = Bench::new(256);
    let status = bench.finish(steps(vec![
        map(2, 3),
        list_and_pipe(1 | 1 << 31),
        vec![
            call(WRITE, &[2, AT, 1]),
            Expect(1),
            call(EPOLL_WAIT, &[0, 16, 4, 0]),
            Expect(-14),
            // A page that is not there yet.
            call(EPOLL_WAIT, &[0, AT + PAGE, 4, 0]),
            Expect(1),
            call(EPOLL_WAIT, &[0, AT + PAGE, 4, 0]),
            Expect(0),
            exit(0),
        ],
    ]));
    assert_eq!(status, ExitStatus::Exited(0));
}

#[test]
fn a_timer_wakes_whoever_reads_it_or_waits_for_its_list_when_it_is_due() {
    let set_up = |wait: Vec<Step>| {
        steps(vec![
            map(2, 3),
            vec![
                call(EPOLL, &[0]),
                call(TIMER, &[1, 0]),
                Expect(1),
                Store(AT, event(1, 5)),
                call(EPOLL_CTL, &[0, ADD, 1, AT]),
                Store(
                    AT,
                    [0_u64, 0, 2, 0]
                        .iter()
                        .flat_map(|word| word.to_le_bytes())
                        .collect(),
                ),
                call(TIMER_SET, &[1, 0, AT, 0]),
                Expect(0),
            ],
            wait,
            vec![exit(0)],
        ])
    };
    let waits = [
        vec![call(READ, &[1, AT, 8]), Expect(8), Load(AT, vec![1, 0, 0])],
        vec![
            call(EPOLL_WAIT, &[0, AT, 4, u64::MAX]),
            Expect(1),
            Load(AT, event(1, 5)),
        ],
    ];
    for wait in waits {
        let mut bench = Bench::new(256);
        let pid = bench.run(set_up(wait));
        bench.settle();
        bench.clock.advance(Duration::from_millis(1999));
        bench.settle();
        assert!(bench.kernel.next_event().is_none());
        bench.clock.advance(Duration::from_millis(1));
        bench.settle();
        assert_eq!(bench.status(pid), ExitStatus::Exited(0));
    }
}

#[test]
fn one_wait_tells_of_so_many_files_and_the_next_of_the_others() {
    let count = EPOLL_BATCH as u64 + 3;
    let mut program = steps(vec![map(2, 3), vec![call(EPOLL, &[0]), Expect(0)]]);
    for nth in 0..count {
        program.extend([
            call(EVENT, &[1, 0]),
            Store(AT, event(1 | 1 << 31, nth)),
            call(EPOLL_CTL, &[0, ADD, nth + 1, AT]),
            Expect(0),
        ]);
    }
    program.extend([
        call(EPOLL_WAIT, &[0, AT, 300, 0]),
        Expect(EPOLL_BATCH as i64),
        call(EPOLL_WAIT, &[0, AT, 300, 0]),
        Expect(3),
        call(EPOLL_WAIT, &[0, AT, 300, 0]),
        Expect(0),
        exit(0),
    ]);
    assert_eq!(Bench::new(512).finish(program), ExitStatus::Exited(0));
}

#[test]
fn a_wait_asks_the_heap_for_nothing() {
    let mut bench = Bench::new(256);
    let pid = bench.run(steps(vec![
        map(2, 3),
        list_and_pipe(1),
        vec![call(EPOLL_WAIT, &[0, AT + 64, 4, 5]), Expect(0), Jump(9)],
    ]));
    bench.settle();
    let before = fakes::alloc::calls();
    for _ in 0..10 {
        bench.clock.advance(Duration::from_millis(5));
        bench.settle();
    }
    assert_eq!(fakes::alloc::calls() - before, 0);
    bench
        .kernel
        .signal(pid, agent::kernel::Signal::KILL)
        .unwrap();
    bench.settle();
}

#[test]
fn everything_is_free_again_when_its_program_ends_and_no_list_may_hold_another() {
    let mut bench = Bench::new(512);
    for _ in 0..3 {
        let status = bench.finish(steps(vec![
            map(2, 3),
            list_and_pipe(1),
            vec![
                call(EVENT, &[1, 0]),
                call(TIMER, &[1, 0]),
                call(EPOLL, &[0]),
                Expect(5),
                call(EPOLL_CTL, &[5, ADD, 0, AT]),
                Expect(ELOOP),
                exit(0),
            ],
        ]));
        assert_eq!(status, ExitStatus::Exited(0));
        assert_eq!(bench.kernel.system.files.waiting_counts(), (0, 0, 0));
    }
}

/// Counters that the lists of the next test hold, each in every list.
const COUNTERS: u64 = 1000;

#[test]
fn an_accounts_lists_hold_so_many_files_together_and_not_one_more() {
    // r13 is the newest list, r12 the next counter for it, r14 how many there are in all lists.
    let asks = |registers: &mut hal::user::Registers| {
        registers.rax = EPOLL_CTL;
        registers.rdi = registers.r13;
        registers.rsi = ADD;
        registers.rdx = registers.r12;
        registers.r10 = AT;
    };
    let program = steps(vec![
        map(2, 3),
        vec![
            Store(AT, event(1, 0)),
            // 3: the counters
            call(EVENT, &[0, 0]),
            Branch(|registers| registers.rax < COUNTERS - 1, 3),
            // 5: a list
            call(EPOLL, &[0]),
            Do(|registers| (registers.r13, registers.r12) = (registers.rax, 0)),
            // 7: a file of the list
            Do(asks),
            CallRegisters,
            Branch(|registers| registers.rax as i64 == ENOSPC, 13),
            Do(|registers| {
                registers.r14 += 1;
                registers.r12 += 1;
            }),
            Branch(|registers| registers.r12 < COUNTERS, 7),
            Jump(5),
            // 13: no more
            Do(|registers| assert_eq!(registers.r14, (MAX_INTERESTS / ACCOUNT_SHARE) as u64)),
            // With a list its files are gone.
            call(CLOSE, &[COUNTERS]),
            Expect(0),
            Do(asks),
            CallRegisters,
            Expect(0),
            exit(0),
        ],
    ]);
    assert_eq!(Bench::new(4096).finish(program), ExitStatus::Exited(0));
}
