//! Processes that make processes: copies of memory and files, zombies, orphans, lent memory, and that nothing is left.

use crate::account::Resource;
use crate::bench::{Bench, exit};
use crate::limits::{MAX_CHILDREN, WORK_PAGES};
use crate::loading_tests::{large_bench, run};
use crate::tests::{AT, PAGE, call, map, steps};
use agent::kernel::{ExitStatus, Kernel as _, Pid, Signal};
use core::time::Duration;
use fakes::user::Step::{self, *};
use std::vec;
use std::vec::Vec;

const PIPE: u64 = 22;
const CLONE: u64 = 56;
const FORK: u64 = 57;
const VFORK: u64 = 58;
const WAIT4: u64 = 61;
const KILL: u64 = 62;
const GETPID: u64 = 39;
const GETPPID: u64 = 110;
const PAUSE: u64 = 34;
const SIGACTION: u64 = 13;
const ECHILD: i64 = -10;
const EAGAIN: i64 = -11;
const EINVAL: i64 = -22;
const ANY: u64 = u64::MAX;
const NO_HANG: u64 = 1;

/// Makes a child that plays `child`; the parent goes on with `parent`.
fn fork(number: u64, child: Vec<Step>, parent: Vec<Step>) -> Vec<Step> {
    fork_behind(vec![], number, child, parent)
}

fn fork_behind(before: Vec<Step>, number: u64, child: Vec<Step>, parent: Vec<Step>) -> Vec<Step> {
    let start = before.len() + 2 + parent.len();
    let fork = vec![
        call(number, &[]),
        Branch(|registers| registers.rax == 0, start),
    ];
    steps(vec![before, fork, parent, child])
}

/// Waits for any child and expects this status at `AT`.
fn reap(status: u32) -> Vec<Step> {
    vec![
        call(WAIT4, &[ANY, AT, 0, 0]),
        Do(|registers| {
            assert!(
                registers.rax as i64 > 0,
                "a child: {}",
                registers.rax as i64
            )
        }),
        Load(AT, status.to_le_bytes().to_vec()),
    ]
}

#[test]
fn a_child_has_a_copy_of_its_parent_s_memory_and_the_parent_learns_how_it_ended() {
    let mut bench = Bench::new(512);
    let before = steps(vec![
        map(3, 3),
        vec![Store(AT + PAGE, vec![1]), Store(AT + 2 * PAGE, vec![2])],
    ]);
    let child = vec![
        Load(AT + PAGE, vec![1]),
        Store(AT + PAGE, vec![7]),
        Load(AT + PAGE, vec![7]),
        Load(AT + 2 * PAGE, vec![2]),
        exit(9),
    ];
    let parent = steps(vec![
        vec![Store(AT + 2 * PAGE, vec![8])],
        reap(9 << 8),
        vec![
            Load(AT + PAGE, vec![1]),
            Load(AT + 2 * PAGE, vec![8]),
            call(WAIT4, &[ANY, AT, 0, 0]),
            Expect(ECHILD),
            exit(0),
        ],
    ]);
    let program = fork_behind(before, FORK, child, parent);
    assert_eq!(bench.finish(program), ExitStatus::Exited(0));
}

#[test]
fn a_signal_that_ends_a_child_is_its_status() {
    let mut bench = Bench::new(512);
    let program = fork_behind(
        map(1, 3),
        FORK,
        vec![Load(0, vec![1])],
        steps(vec![reap(11), vec![exit(0)]]),
    );
    assert_eq!(bench.finish(program), ExitStatus::Exited(0));
}

#[test]
fn pages_are_shared_a_bounded_number_in_a_turn() {
    let mut bench = Bench::new(2048);
    let pages = 10 * WORK_PAGES as u64;
    let touch = (0..pages).map(|page| Store(AT + page * PAGE, vec![1]));
    let before = steps(vec![map(pages, 3), touch.collect()]);
    let program = fork_behind(before, FORK, vec![exit(0)], vec![call(PAUSE, &[])]);
    bench.run(program);
    let mut turns = 0;
    while bench.kernel.system.table.processes.len() < 2 {
        bench.kernel.run_slice(&bench.clock);
    }
    let child = || Pid(2);
    let frames = |bench: &Bench| {
        let id = bench.id(child());
        let space = bench.kernel.system.process(id).expect("it is made").space;
        bench
            .kernel
            .system
            .space(space)
            .expect("it has one")
            .charged
    };
    let mut shared = frames(&bench);
    while bench
        .kernel
        .system
        .process(bench.id(child()))
        .is_ok_and(|child| !child.is_live())
    {
        bench.kernel.run_slice(&bench.clock);
        let now = frames(&bench);
        assert!(
            now - shared <= WORK_PAGES as u64 + 6,
            "{now} after {shared}"
        );
        shared = now;
        turns += 1;
    }
    assert!(turns >= 9, "{turns} turns");
    bench.settle();
}

#[test]
fn forks_and_exits_leave_nothing_behind() {
    let mut bench = Bench::new(1024);
    let round = |bench: &mut Bench| {
        let before = steps(vec![map(4, 3), vec![Store(AT + PAGE, vec![1])]]);
        let child = vec![Store(AT + PAGE, vec![2]), exit(0)];
        let parent = steps(vec![reap(0), vec![exit(0)]]);
        let program = fork_behind(before, FORK, child, parent);
        assert_eq!(bench.finish(program), ExitStatus::Exited(0));
    };
    round(&mut bench);
    let count = |bench: &Bench| {
        let system = &bench.kernel.system;
        let account = system.accounts.get(system.own_account).expect("it stays");
        (
            bench.free(),
            system.spaces.len(),
            system.table.tasks.len(),
            system.table.processes.len(),
            system.table.actions.len() + system.table.identities.len(),
            [
                Resource::Frames,
                Resource::Files,
                Resource::Tasks,
                Resource::Sockets,
                Resource::Messages,
            ]
            .map(|what| account.used(what)),
        )
    };
    let before = count(&bench);
    assert_eq!((before.1, before.2, before.3, before.4), (0, 0, 0, 0));
    for _ in 0..10 {
        round(&mut bench);
    }
    assert_eq!(count(&bench), before);
}

#[test]
fn a_warm_fork_asks_the_heap_for_nothing() {
    let mut bench = Bench::new(1024);
    // Looking at memory is what the fake processor asks the heap for.
    let program = |child: u64| {
        let parent = vec![
            call(WAIT4, &[ANY, AT, 0, 0]),
            Expect(2 * (child as i64) + 2),
            exit(0),
        ];
        fork_behind(
            map(1, 3),
            FORK,
            vec![Store(AT, vec![2]), exit(child)],
            parent,
        )
    };
    bench.finish(program(0));
    let pid = bench.run(program(1));
    let before = fakes::alloc::calls();
    bench.settle();
    assert_eq!(fakes::alloc::calls() - before, 0);
    assert_eq!(bench.status(pid), ExitStatus::Exited(0));
}

#[test]
fn the_parent_of_vfork_waits_until_its_memory_is_back() {
    let mut bench = Bench::new(512);
    let child = vec![
        Store(AT + PAGE, vec![5]),
        call(35, &[AT + 8, 0]),
        Store(AT + PAGE, vec![6]),
        exit(0),
    ];
    // The memory is one, and the parent sees the last of it.
    let parent = steps(vec![vec![Load(AT + PAGE, vec![6])], reap(0), vec![exit(4)]]);
    let before = steps(vec![
        map(2, 3),
        vec![Store(AT + 16, 1000_u64.to_le_bytes().to_vec())],
    ]);
    let pid = bench.run(fork_behind(before, VFORK, child, parent));
    bench.settle();
    bench.clock.advance(Duration::from_millis(1));
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Exited(4));
}

#[test]
fn a_child_nobody_wants_to_know_of_is_no_zombie() {
    for (handler, flags) in [(1_u64, 0_u64), (0, 2)] {
        let mut bench = Bench::new(512);
        let action = [handler, flags, 0, 0].map(u64::to_le_bytes).concat();
        let before = steps(vec![
            map(1, 3),
            vec![
                Store(AT, action),
                call(SIGACTION, &[17, AT, 0, 8]),
                Expect(0),
            ],
        ]);
        let parent = vec![call(WAIT4, &[ANY, AT, 0, 0]), Expect(ECHILD), exit(0)];
        let program = fork_behind(before, FORK, vec![exit(3)], parent);
        assert_eq!(bench.finish(program), ExitStatus::Exited(0));
        assert_eq!(bench.kernel.system.table.processes.len(), 0);
    }
}

#[test]
fn an_orphan_without_a_container_is_forgotten_when_it_ends() {
    let mut bench = Bench::new(512);
    let grandchild = vec![call(35, &[AT, 0]), call(GETPPID, &[]), Expect(0), exit(1)];
    let before = steps(vec![
        map(1, 3),
        vec![Store(AT + 8, 1000_u64.to_le_bytes().to_vec())],
    ]);
    let pid = bench.run(fork_behind(before, FORK, grandchild, vec![exit(2)]));
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Exited(2));
    assert_eq!(bench.kernel.system.table.processes.len(), 1);
    bench.clock.advance(Duration::from_millis(1));
    bench.settle();
    assert_eq!(bench.kernel.system.table.processes.len(), 0);
    assert_eq!(bench.kernel.next_event(), None);
}

#[test]
fn wait_sees_only_the_children_it_means() {
    let mut bench = Bench::new(512);
    let parent = vec![
        call(WAIT4, &[ANY, 0, NO_HANG, 0]),
        Expect(0),
        // Not a child: oneself, and a group without one.
        call(WAIT4, &[1, 0, 0, 0]),
        Expect(ECHILD),
        call(WAIT4, &[-77_i64 as u64, 0, NO_HANG, 0]),
        Expect(ECHILD),
        call(WAIT4, &[ANY, 0, 0x1000, 0]),
        Expect(EINVAL),
        // Its children are no "clone" children.
        call(WAIT4, &[ANY, 0, NO_HANG | 0x8000_0000, 0]),
        Expect(ECHILD),
        call(KILL, &[2, 9]),
        Expect(0),
        call(WAIT4, &[0, 0, 0, 0]),
        Expect(2),
        exit(0),
    ];
    let program = fork(FORK, vec![call(PAUSE, &[])], parent);
    assert_eq!(bench.finish(program), ExitStatus::Exited(0));
}

#[test]
fn a_fork_bomb_ends_at_the_limit_and_its_end_frees_everything() {
    let mut bench = Bench::new(8192);
    // Every process forks for ever; one that cannot waits.
    let bomb = vec![
        call(FORK, &[]),
        Branch(|registers| (registers.rax as i64) < 0, 3),
        Jump(0),
        Expect(EAGAIN),
        call(PAUSE, &[]),
    ];
    let pid = bench.run(bomb);
    for _ in 0..20_000 {
        bench.kernel.run_slice(&bench.clock);
    }
    assert_eq!(bench.kernel.system.table.processes.len(), MAX_CHILDREN);
    // Whoever is killed leaves its children behind, which nobody keeps.
    while !bench.kernel.system.table.tasks.is_empty() {
        let first = bench
            .kernel
            .system
            .table
            .in_order()
            .find(|(_, p)| p.is_live());
        let pid = first.expect("a task has a process").1.pid;
        bench.kernel.signal(pid, Signal::KILL).expect("it lives");
        bench.kernel.run_slice(&bench.clock);
    }
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Killed(Signal::KILL));
    assert_eq!(bench.kernel.system.spaces.len(), 0);
}

#[test]
fn an_account_s_limit_of_tasks_counts_zombies_and_threads() {
    let mut bench = Bench::new(1024);
    let own = bench.kernel.system.own_account;
    let account = bench.kernel.system.accounts.get_mut(own);
    account.expect("it stays").set_limit(Resource::Tasks, 2);
    let parent = vec![
        call(35, &[AT, 0]),
        // The child is a zombie now.
        call(FORK, &[]),
        Expect(EAGAIN),
        call(CLONE, &[0x10f00, AT, 0, 0, 0]),
        Expect(EAGAIN),
        call(WAIT4, &[ANY, 0, 0, 0]),
        call(CLONE, &[0x10f00, AT, 0, 0, 0]),
        Do(|registers| assert!(registers.rax as i64 > 0)),
        exit(0),
    ];
    let before = steps(vec![
        map(1, 3),
        vec![Store(AT + 8, 1000_u64.to_le_bytes().to_vec())],
    ]);
    let pid = bench.run(fork_behind(before, FORK, vec![exit(0)], parent));
    bench.settle();
    bench.clock.advance(Duration::from_millis(1));
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Exited(0));
}

#[test]
fn a_child_that_is_being_made_goes_with_its_maker() {
    let mut bench = Bench::new(2048);
    let pages = 4 * WORK_PAGES as u64;
    let touch = (0..pages).map(|page| Store(AT + page * PAGE, vec![1]));
    let before = steps(vec![map(pages, 3), touch.collect()]);
    let pid = bench.run(fork_behind(before, FORK, vec![exit(0)], vec![exit(0)]));
    while bench.kernel.system.table.processes.len() < 2 {
        bench.kernel.run_slice(&bench.clock);
    }
    bench.kernel.signal(pid, Signal::KILL).expect("it lives");
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Killed(Signal::KILL));
    assert_eq!(bench.kernel.system.spaces.len(), 0);
    assert_eq!(bench.kernel.system.table.processes.len(), 0);
}

#[test]
fn contradictory_and_unknown_flags_of_clone_are_refused() {
    let mut bench = Bench::new(256);
    let mut program = Vec::new();
    // A thread without signal actions, signal actions without memory, namespaces, a descriptor of a process, a thread
    // with files of its own.
    for flags in [0x1_0100_u64, 0x800, 0x2_0000, 0x1000_0000, 0x1000, 0x1_0900] {
        program.extend([call(CLONE, &[flags, 0, 0, 0, 0]), Expect(EINVAL)]);
    }
    program.push(exit(0));
    assert_eq!(bench.finish(program), ExitStatus::Exited(0));
}

#[test]
fn a_pipe_ends_when_the_last_process_that_writes_to_it_has_ended() {
    let mut bench = Bench::new(512);
    let before = steps(vec![map(1, 3), vec![call(PIPE, &[AT]), Expect(0)]]);
    let child = vec![
        Store(AT + 16, b"child".to_vec()),
        call(1, &[1, AT + 16, 5]),
        Expect(5),
        exit(0),
    ];
    let parent = vec![
        call(3, &[1]),
        Expect(0),
        call(0, &[0, AT + 32, 100]),
        Expect(5),
        Load(AT + 32, b"child".to_vec()),
        call(0, &[0, AT + 32, 100]),
        Expect(0),
        exit(0),
    ];
    let program = fork_behind(before, FORK, child, parent);
    assert_eq!(bench.finish(program), ExitStatus::Exited(0));
}

#[test]
fn shared_memory_is_one_and_private_memory_is_two() {
    let mut bench = large_bench(&crate::loading_tests::program(), 1024);
    let shared = AT + 16 * PAGE;
    let before = steps(vec![
        map(1, 3),
        vec![
            // Shared, anonymous, fixed.
            call(9, &[shared, 2 * PAGE, 3, 0x31, u64::MAX, 0]),
            Expect(shared as i64),
            Store(shared, vec![1]),
        ],
    ]);
    let child = vec![
        Load(shared, vec![1]),
        Store(shared, vec![2]),
        Store(shared + PAGE, vec![3]),
        exit(0),
    ];
    let parent = steps(vec![
        reap(0),
        vec![Load(shared, vec![2]), Load(shared + PAGE, vec![3]), exit(0)],
    ]);
    let program = fork_behind(before, FORK, child, parent);
    assert_eq!(run(&mut bench, program), ExitStatus::Exited(0));
    bench.settle();
    assert_eq!(bench.kernel.system.spaces.len(), 0);
}

#[test]
fn a_child_s_number_is_its_own_and_its_parent_s_is_told() {
    let mut bench = Bench::new(512);
    let child = vec![
        call(GETPID, &[]),
        Expect(2),
        call(GETPPID, &[]),
        Expect(1),
        exit(0),
    ];
    let parent = steps(vec![vec![Expect(2)], reap(0), vec![exit(0)]]);
    let program = fork_behind(map(1, 3), FORK, child, parent);
    assert_eq!(bench.finish(program), ExitStatus::Exited(0));
}

#[test]
fn a_program_that_ends_for_want_of_memory_while_it_makes_a_child_leaves_none() {
    /// SIGCHLD and CLONE_PARENT_SETTID, for which the parent needs a page that it does not share with the child.
    const FLAGS: u64 = 17 | 0x10_0000;
    let mut ends = Vec::new();
    for spare in 0..40 {
        let mut bench = Bench::new(256);
        let before = bench.free();
        let program = steps(vec![
            map(1, 3),
            vec![
                Store(AT, vec![1]),
                call(CLONE, &[FLAGS, 0, AT]),
                call(WAIT4, &[ANY, 0, 0, 0]),
                exit(0),
            ],
        ]);
        let pid = bench.run(program);
        let held = bench.hold_all_but(spare);
        bench.settle();
        ends.push(bench.status(pid));
        assert_eq!(bench.kernel.system.table.processes.len(), 0, "{spare}");
        assert_eq!(bench.free() + held.len(), before, "{spare}");
    }
    // Too little for a child is an error; enough for it, and not for its parent's page, is the end.
    let mut behind = ends.iter().skip_while(|end| **end != ExitStatus::Exited(0));
    assert!(behind.any(|end| *end == ExitStatus::Killed(Signal::KILL)));
    assert_eq!(ends.last(), Some(&ExitStatus::Exited(0)));
}

#[test]
fn a_sender_that_ends_for_want_of_memory_leaves_no_part_of_a_message() {
    const READ: u64 = 0;
    const WRITE: u64 = 1;
    const SOCKETPAIR: u64 = 53;
    const PAGES: u64 = 15;
    let mut ends = Vec::new();
    for spare in 10..80 {
        let mut bench = Bench::new(256);
        let before = vec![
            Store(AT, vec![7]),
            call(SOCKETPAIR, &[1, 5, 0, AT + 8]),
            Expect(0),
        ];
        let before = steps(vec![map(PAGES + 1, 3), before]);
        // What nobody has touched needs a page to be read, and one to be kept.
        let child = vec![call(WRITE, &[1, AT + PAGE, PAGES * PAGE]), exit(0)];
        let whole = before.len() + 2 + 9;
        let parent = vec![
            call(WAIT4, &[ANY, AT + 16, 0, 0]),
            // What the child had comes back.
            Spin(Duration::from_millis(100)),
            Spin(Duration::from_millis(100)),
            call(WRITE, &[1, AT, 1]),
            Branch(|registers| registers.rax != 1, whole),
            call(READ, &[0, AT + 24, 8]),
            // The child's message comes first if there is one.
            Branch(|registers| registers.rax == 8, whole),
            Load(AT + 24, vec![7, 0]),
            exit(9),
            exit(0),
        ];
        let pid = bench.run(fork_behind(before, FORK, child, parent));
        let _held = bench.hold_all_but(spare);
        bench.settle();
        ends.push(bench.status(pid));
    }
    assert!(ends.contains(&ExitStatus::Exited(9)), "{ends:?}");
    assert_eq!(ends.last(), Some(&ExitStatus::Exited(0)));
}
