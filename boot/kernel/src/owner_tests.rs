//! Owners of open files: who is told, by whose leave, and that nothing of them stays.

use crate::bench::{Bench, exit};
use crate::limits::{ACCOUNT_SHARE, MAX_OWNERS};
use crate::tests::{AT, call, map, steps};
use agent::kernel::{ExitStatus, Kernel as _, Signal, Writes};
use fakes::user::Step::{self, *};
use std::vec;
use std::vec::Vec;

const WRITE: u64 = 1;
const CLOSE: u64 = 3;
const SIGPROCMASK: u64 = 14;
const PIPE: u64 = 22;
const YIELD: u64 = 24;
const PAUSE: u64 = 34;
const FORK: u64 = 57;
const WAIT4: u64 = 61;
const FCNTL: u64 = 72;
const SETUID: u64 = 105;
const SIGPENDING: u64 = 127;
const SETFL: u64 = 4;
const SETOWN: u64 = 8;
const SETSIG: u64 = 10;
const SETOWN_EX: u64 = 15;
const ASYNC: u64 = 0o20000;
const IO: u8 = 29;
const ESRCH: i64 = -3;
const ENOMEM: i64 = -12;
const EINVAL: i64 = -22;

fn fcntl(fd: u64, command: u64, argument: u64, answer: i64) -> Vec<Step> {
    vec![call(FCNTL, &[fd, command, argument]), Expect(answer)]
}

/// Blocks every signal and makes a pipe, 0 and 1, whose reader tells its owner.
fn begin() -> Vec<Step> {
    steps(vec![
        map(1, 3),
        vec![
            Store(AT, vec![0xff; 8]),
            call(SIGPROCMASK, &[0, AT, 0, 8]),
            Expect(0),
            call(PIPE, &[AT]),
            Expect(0),
        ],
        fcntl(0, SETFL, ASYNC, 0),
    ])
}

/// Writes to the pipe, and expects these signals to wait.
fn told(signals: &[u8]) -> Vec<Step> {
    let set: u64 = signals.iter().map(|signal| 1 << (signal - 1)).sum();
    vec![
        call(WRITE, &[1, AT, 1]),
        Expect(1),
        call(YIELD, &[]),
        call(SIGPENDING, &[AT + 16, 8]),
        Load(AT + 16, set.to_le_bytes().to_vec()),
    ]
}

#[test]
fn an_owner_is_told_by_the_signal_that_was_asked_for() {
    for (signal, told_by) in [(0, IO), (1, 1), (64, 64)] {
        let mut bench = Bench::new(256);
        let program = steps(vec![
            begin(),
            fcntl(0, SETOWN, 1, 0),
            fcntl(0, SETSIG, signal, 0),
            fcntl(0, SETSIG, 65, EINVAL),
            told(&[told_by]),
            vec![exit(0)],
        ]);
        assert_eq!(bench.finish(program), ExitStatus::Exited(0), "{signal}");
    }
}

#[test]
fn nobody_is_told_without_an_owner_or_without_the_flag() {
    let mut bench = Bench::new(256);
    let program = steps(vec![
        begin(),
        told(&[]),
        fcntl(0, SETOWN, 1, 0),
        fcntl(0, SETFL, 0, 0),
        told(&[]),
        fcntl(0, SETOWN, 999, ESRCH),
        fcntl(0, SETOWN, 0x8000_0000, EINVAL),
        fcntl(0, SETFL, ASYNC, 0),
        told(&[IO]),
        vec![exit(0)],
    ]);
    assert_eq!(bench.finish(program), ExitStatus::Exited(0));
}

#[test]
fn a_user_can_have_nobody_told_whom_it_may_not_signal() {
    for (user, expected) in [(0, vec![IO]), (1000, vec![])] {
        let mut bench = Bench::new(512);
        // The child, which stays root, looks after its parent has written.
        let before = begin();
        let parent = steps(vec![
            vec![
                Do(|registers| assert_eq!(registers.rax, 2)),
                call(SETUID, &[user]),
                Expect(0),
            ],
            fcntl(0, SETOWN, 2, 0),
            vec![
                call(WRITE, &[1, AT, 1]),
                call(CLOSE, &[1]),
                call(WAIT4, &[2, AT, 0, 0]),
                Load(AT, vec![0; 4]),
                exit(0),
            ],
        ]);
        let start = before.len() + 2 + parent.len();
        let fork = vec![
            call(FORK, &[]),
            Branch(|registers| registers.rax == 0, start),
        ];
        let set: u64 = expected.iter().map(|signal: &u8| 1 << (signal - 1)).sum();
        let mut child: Vec<Step> = (0..20).map(|_| call(YIELD, &[])).collect();
        child.extend([
            call(SIGPENDING, &[AT + 16, 8]),
            Load(AT + 16, set.to_le_bytes().to_vec()),
            exit(0),
        ]);
        let pid = bench.run(steps(vec![before, fork, parent, child]));
        bench.settle();
        assert_eq!(bench.status(pid), ExitStatus::Exited(0), "user {user}");
    }
}

#[test]
fn an_owner_is_forgotten_with_the_last_descriptor_of_its_file() {
    let mut bench = Bench::new(256);
    let owner = [0_u32, 1].map(u32::to_le_bytes).concat();
    let program = steps(vec![
        begin(),
        vec![Store(AT + 8, owner)],
        fcntl(0, SETOWN_EX, AT + 8, 0),
        fcntl(1, SETOWN, 1, 0),
        fcntl(0, 0, 2, 2),
        vec![call(CLOSE, &[0]), call(CLOSE, &[1])],
        fcntl(2, 9, 0, 1),
        vec![call(PAUSE, &[])],
    ]);
    let pid = bench.run(program);
    bench.settle();
    let files = |bench: &Bench| bench.kernel.system.files.owner_count();
    assert_eq!(files(&bench), 1);
    bench.kernel.signal(pid, Signal::KILL).expect("it runs");
    bench.settle();
    assert_eq!(files(&bench), 0);
}

#[test]
fn so_many_files_have_an_owner_half_of_them_of_one_account() {
    let share = (MAX_OWNERS / ACCOUNT_SHARE) as u64;
    // Nobody is an owner who is remembered too.
    let owned = |count: u64| {
        let pipes = (0..count.div_ceil(2)).flat_map(|_| vec![call(PIPE, &[AT]), Expect(0)]);
        let files = (0..count).flat_map(|fd| fcntl(fd, SETOWN, 0, 0));
        steps(vec![map(1, 3), pipes.collect(), files.collect()])
    };
    let mut bench = Bench::new(1024);
    let view = bench.kernel.create_view("/", Writes::Kept, None).unwrap();
    let more = steps(vec![
        vec![call(PIPE, &[AT]), Expect(0)],
        fcntl(share, SETOWN, 0, ENOMEM),
        // One that has an owner may get another.
        fcntl(share - 1, SETOWN, 1, 0),
        vec![call(CLOSE, &[0]), Expect(0)],
        fcntl(share, SETOWN, 0, 0),
        vec![call(PAUSE, &[])],
    ]);
    bench.run(steps(vec![owned(share), more]));
    bench.settle();
    assert_eq!(bench.kernel.system.files.owner_count() as u64, share);
    bench.run_in(view, steps(vec![owned(share), vec![call(PAUSE, &[])]]));
    bench.settle();
    assert_eq!(bench.kernel.system.files.owner_count(), MAX_OWNERS);
    let third = bench.kernel.create_view("/", Writes::Kept, None).unwrap();
    let late = steps(vec![
        map(1, 3),
        vec![call(PIPE, &[AT]), Expect(0)],
        fcntl(0, SETOWN, 0, ENOMEM),
        vec![exit(0)],
    ]);
    let pid = bench.run_in(third, late);
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Exited(0));
}
