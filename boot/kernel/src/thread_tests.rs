//! Tasks of one process: threads, futexes, and how they end.

use crate::bench::{Bench, exit};
use crate::tests::{AT, PAGE, call, map, steps};
use agent::kernel::{ExitStatus, Kernel as _, Signal};
use core::time::Duration;
use fakes::user::Step::{self, *};
use std::vec;
use std::vec::Vec;

const CLONE: u64 = 56;
const EXIT: u64 = 60;
const FUTEX: u64 = 202;
const PAUSE: u64 = 34;
const SET_ROBUST_LIST: u64 = 273;
const WAIT: u64 = 128;
const WAKE: u64 = 129;
const CMP_REQUEUE: u64 = 4;
const ETIMEDOUT: i64 = -110;
const EAGAIN: i64 = -11;
const EINVAL: i64 = -22;
const ENOSYS: i64 = -38;
/// VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS, PARENT_SETTID, CHILD_CLEARTID: what C libraries ask for.
const THREAD: u64 = 0x3d_0f00;
const STACK: u64 = AT + PAGE;
const TID: u64 = AT + 8;

/// Begins a thread that plays `child`; the first one goes on with `parent`.
fn thread(before: Vec<Step>, child: Vec<Step>, parent: Vec<Step>) -> Vec<Step> {
    let start = before.len() + 2 + parent.len();
    let clone = vec![
        call(CLONE, &[THREAD, STACK, TID, TID, 0x1234]),
        Branch(|registers| registers.rax == 0, start),
    ];
    steps(vec![before, clone, parent, child])
}

fn end_thread(status: u64) -> Step {
    call(EXIT, &[status])
}

fn word(value: u32) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

#[test]
fn a_thread_has_a_stack_and_an_area_of_its_own_and_the_memory_of_all() {
    let mut bench = Bench::new(512);
    let child = vec![
        Do(|registers| assert_eq!((registers.rsp, registers.fs_base), (STACK, 0x1234))),
        Load(TID, word(2)),
        Store(AT, vec![1]),
        call(186, &[]),
        Expect(2),
        call(39, &[]),
        Expect(1),
        end_thread(5),
    ];
    let parent = vec![
        Expect(2),
        // Waits until the thread's number is cleared.
        call(FUTEX, &[TID, 0, 2, 0]),
        Expect(0),
        Load(TID, word(0)),
        Load(AT, vec![1]),
        exit(6),
    ];
    let program = thread(map(1, 3), child, parent);
    assert_eq!(bench.finish(program), ExitStatus::Exited(6));
}

#[test]
fn a_process_ends_with_its_last_task_and_what_the_first_one_said() {
    for (first, last) in [(3, 4), (0, 9)] {
        let mut bench = Bench::new(512);
        let child = vec![call(24, &[]), call(24, &[]), end_thread(last)];
        let program = thread(map(1, 3), child, vec![end_thread(first)]);
        let pid = bench.run(program);
        bench.settle();
        assert_eq!(bench.status(pid), ExitStatus::Exited(first as u8));
    }
}

#[test]
fn exit_group_and_fatal_signals_end_every_task() {
    for (last, expected) in [
        (exit(7), ExitStatus::Exited(7)),
        (Load(0, vec![1]), ExitStatus::Killed(Signal::SEGV)),
    ] {
        let mut bench = Bench::new(512);
        let program = thread(map(1, 3), vec![last], vec![call(PAUSE, &[])]);
        let pid = bench.run(program);
        bench.settle();
        assert_eq!(bench.status(pid), expected);
        assert!(bench.kernel.system.table.tasks.is_empty());
    }
}

#[test]
fn a_futex_wakes_as_many_as_asked_in_the_order_they_came() {
    let mut bench = Bench::new(512);
    // Two threads wait; each marks its place when it is woken.
    let waiter = |mark: u64| {
        vec![
            call(FUTEX, &[AT, WAIT, 0, 0]),
            Expect(0),
            Store(AT + mark, vec![1]),
            end_thread(0),
        ]
    };
    let parent = steps(vec![
        vec![call(24, &[]), call(24, &[]), call(24, &[])],
        vec![
            Load(AT + 16, vec![0, 0]),
            call(FUTEX, &[AT, WAKE, 1]),
            Expect(1),
            call(24, &[]),
            call(24, &[]),
            Load(AT + 16, vec![1, 0]),
            call(FUTEX, &[AT, WAKE, 5]),
            Expect(1),
            call(24, &[]),
            call(24, &[]),
            Load(AT + 16, vec![1, 1]),
            call(FUTEX, &[AT, WAKE, 5]),
            Expect(0),
            exit(0),
        ],
    ]);
    let clone = |start: usize| {
        vec![
            call(CLONE, &[THREAD, STACK, TID, TID, 0]),
            Branch(
                match start {
                    0 => |registers| registers.rax == 0,
                    _ => |registers| registers.rax == 0 && registers.rbx == 0,
                },
                start,
            ),
        ]
    };
    let first = 2 + 4 + parent.len();
    let second = first + 4;
    let program = steps(vec![
        map(1, 3),
        clone(first),
        clone(second),
        parent,
        waiter(16),
        waiter(17),
    ]);
    assert_eq!(bench.finish(program), ExitStatus::Exited(0));
}

#[test]
fn a_wait_ends_at_its_time_or_does_not_begin() {
    let mut bench = Bench::new(512);
    let program = steps(vec![
        map(1, 3),
        vec![
            call(FUTEX, &[AT, WAIT, 1, 0]),
            Expect(EAGAIN),
            call(FUTEX, &[AT + 1, WAIT, 0, 0]),
            Expect(EINVAL),
            call(FUTEX, &[AT, 9 | 128, 0, 0, 0, 0]),
            Expect(EINVAL),
            // LOCK_PI, WAIT_REQUEUE_PI.
            call(FUTEX, &[AT, 6, 0, 0]),
            Expect(ENOSYS),
            call(FUTEX, &[AT, 11, 0, 0, 0, 0]),
            Expect(ENOSYS),
            Store(AT + 24, 5_000_000_u64.to_le_bytes().to_vec()),
            call(FUTEX, &[AT, WAIT, 0, AT + 16]),
            Expect(ETIMEDOUT),
            exit(0),
        ],
    ]);
    let pid = bench.run(program);
    bench.settle();
    bench.clock.advance(Duration::from_millis(4));
    bench.settle();
    assert_eq!(bench.kernel.next_event(), None);
    bench.clock.advance(Duration::from_millis(1));
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Exited(0));
}

#[test]
fn waiters_are_moved_to_another_word_if_the_first_is_as_expected() {
    let mut bench = Bench::new(512);
    let child = vec![
        call(FUTEX, &[AT, 0, 0, 0]),
        Expect(0),
        Store(AT + 16, vec![1]),
        end_thread(0),
    ];
    let parent = vec![
        call(24, &[]),
        call(24, &[]),
        call(FUTEX, &[AT, CMP_REQUEUE, 0, 1, AT + 4, 9]),
        Expect(EAGAIN),
        call(FUTEX, &[AT, CMP_REQUEUE, 0, 1, AT + 4, 0]),
        Expect(1),
        call(FUTEX, &[AT, 1, 1]),
        Expect(0),
        call(FUTEX, &[AT + 4, 1, 1]),
        Expect(1),
        call(24, &[]),
        call(24, &[]),
        Load(AT + 16, vec![1]),
        exit(0),
    ];
    assert_eq!(
        bench.finish(thread(map(1, 3), child, parent)),
        ExitStatus::Exited(0)
    );
}

#[test]
fn a_task_that_ends_gives_up_its_robust_locks() {
    let mut bench = Bench::new(512);
    // A list of one lock at AT + 64, whose word lies 8 bytes behind its entry.
    let list = |at: u64| [at, 8, 0].map(u64::to_le_bytes).concat();
    let before = steps(vec![
        map(1, 3),
        vec![
            Store(AT + 128, list(AT + 64)),
            Store(AT + 64, (AT + 128).to_le_bytes().to_vec()),
            Store(AT + 72, word(0x8000_0002)),
        ],
    ]);
    let child = vec![
        call(SET_ROBUST_LIST, &[AT + 128, 23]),
        Expect(EINVAL),
        call(SET_ROBUST_LIST, &[AT + 128, 24]),
        Expect(0),
        call(24, &[]),
        call(24, &[]),
        end_thread(0),
    ];
    let parent = vec![
        call(FUTEX, &[AT + 72, 0, 0x8000_0002, 0]),
        Expect(0),
        Load(AT + 72, word(0xc000_0000)),
        exit(0),
    ];
    assert_eq!(
        bench.finish(thread(before, child, parent)),
        ExitStatus::Exited(0)
    );
}

#[test]
fn a_robust_list_without_an_end_is_walked_so_far_and_no_further() {
    let mut bench = Bench::new(512);
    // The entry names itself.
    let before = steps(vec![
        map(1, 3),
        vec![
            Store(AT + 128, [AT + 64, 8, 0].map(u64::to_le_bytes).concat()),
            Store(AT + 64, (AT + 64).to_le_bytes().to_vec()),
            call(SET_ROBUST_LIST, &[AT + 128, 24]),
        ],
    ]);
    let program = steps(vec![before, vec![end_thread(1)]]);
    assert_eq!(bench.finish(program), ExitStatus::Exited(1));
}

#[test]
fn a_thread_bomb_ends_at_the_limit() {
    let mut bench = Bench::new(1024);
    let bomb = vec![
        call(CLONE, &[0x1_0f00, STACK, 0, 0, 0]),
        Branch(|registers| registers.rax == 0, 4),
        Branch(|registers| (registers.rax as i64) < 0, 4),
        Jump(0),
        call(PAUSE, &[]),
    ];
    let pid = bench.run(bomb);
    bench.settle();
    let tasks = bench.kernel.system.table.tasks.len();
    // The others' half stays free.
    assert_eq!(
        tasks,
        crate::limits::MAX_TASKS / crate::limits::ACCOUNT_SHARE
    );
    bench.kernel.signal(pid, Signal::KILL).expect("it lives");
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Killed(Signal::KILL));
    assert!(bench.kernel.system.table.tasks.is_empty());
    let own = bench.kernel.system.own_account;
    let account = bench.kernel.system.accounts.get(own).expect("it stays");
    assert_eq!(account.used(crate::account::Resource::Tasks), 0);
}
