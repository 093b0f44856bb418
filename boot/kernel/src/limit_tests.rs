//! Limits of a process: what it gets below, at and behind each.

use crate::bench::{Bench, exit};
use crate::fork::CloneFlags;
use crate::limits::STACK_BYTES;
use crate::loading_tests::{large_bench, program, run_within};
use crate::rlimit::{Limits, Resource};
use crate::tests::{AT, PAGE, call, map, segv, steps};
use agent::kernel::{ExitStatus, Pid, ProcessLimits, Signal};
use core::time::Duration;
use fakes::user::Step::{self, *};
use hal::page_table::Page;
use std::vec;
use std::vec::Vec;

const MMAP: u64 = 9;
const MPROTECT: u64 = 10;
const BRK: u64 = 12;
const MREMAP: u64 = 25;
const GETPID: u64 = 39;
const CLONE: u64 = 56;
const SETUID: u64 = 105;
const SETRLIMIT: u64 = 160;
const ENOMEM: i64 = -12;
const EAGAIN: i64 = -11;
const DATA: u64 = 2;
const TASKS: u64 = 6;
const MEMORY: u64 = 9;
const ANYWHERE: u64 = 0x22;
/// Pages of a test's program: its code, its stack, and one for what it passes to calls.
const OWN: u64 = 3;

/// Gives up all but so much of a resource.
fn limit(resource: u64, most: u64) -> Vec<Step> {
    let words = [most, most].into_iter().flat_map(u64::to_le_bytes);
    steps(vec![
        map(1, 3),
        vec![
            Store(AT, words.collect()),
            call(SETRLIMIT, &[resource, AT]),
            Expect(0),
        ],
    ])
}

fn anonymous(pages: u64, rights: u64) -> Step {
    call(MMAP, &[0, pages * PAGE, rights, ANYWHERE, u64::MAX, 0])
}

/// At an address where nothing is.
fn there(pages: u64, rights: u64) -> Vec<Step> {
    let at = AT + 16 * PAGE;
    vec![
        call(MMAP, &[at, pages * PAGE, rights, 0x32, u64::MAX, 0]),
        Expect(at as i64),
    ]
}

#[test]
fn memory_is_given_up_to_its_limit_whatever_it_is_for() {
    for (more, is_given) in [(3, true), (4, true), (5, false)] {
        let mut bench = Bench::new(256);
        let program = steps(vec![
            limit(MEMORY, (OWN + 4) * PAGE + 1),
            if is_given {
                there(more, 0)
            } else {
                vec![anonymous(more, 0), Expect(ENOMEM)]
            },
            vec![exit(0)],
        ]);
        assert_eq!(bench.finish(program), ExitStatus::Exited(0), "{more}");
    }
    let mut bench = Bench::new(256);
    let start = crate::bench::CODE + 0x10_0000;
    let at = AT + 16 * PAGE;
    let program = steps(vec![
        limit(MEMORY, (OWN + 4) * PAGE),
        there(4, 3),
        vec![
            call(BRK, &[start + PAGE]),
            Expect(start as i64),
            call(MREMAP, &[at, 4 * PAGE, 5 * PAGE, 1]),
            Expect(ENOMEM),
        ],
        // What goes makes room for what comes in its place, and no more.
        there(4, 1),
        vec![
            call(MMAP, &[at, 5 * PAGE, 1, 0x32, u64::MAX, 0]),
            Expect(ENOMEM),
            Load(at, vec![0]),
            call(MREMAP, &[at, 4 * PAGE, PAGE, 0]),
            Expect(at as i64),
            call(BRK, &[start + 3 * PAGE]),
            Expect((start + 3 * PAGE) as i64),
            call(BRK, &[start + 4 * PAGE]),
            Expect((start + 3 * PAGE) as i64),
            exit(0),
        ],
    ]);
    assert_eq!(bench.finish(program), ExitStatus::Exited(0));
}

#[test]
fn only_what_a_program_can_write_to_alone_counts_as_data() {
    let mut bench = Bench::new(256);
    let at = AT + 16 * PAGE;
    let program = steps(vec![
        limit(DATA, 3 * PAGE),
        there(4, 5),
        vec![
            anonymous(3, 3),
            Expect(ENOMEM),
            call(MPROTECT, &[at, 3 * PAGE, 3]),
            Expect(ENOMEM),
            call(MPROTECT, &[at, 2 * PAGE, 3]),
            Expect(0),
            call(MPROTECT, &[at, 2 * PAGE, 3]),
            Expect(0),
            anonymous(1, 3),
            Expect(ENOMEM),
            // What is not written to any more can be written to elsewhere.
            call(MPROTECT, &[at, PAGE, 1]),
            Expect(0),
            call(MPROTECT, &[at + 3 * PAGE, PAGE, 3]),
            Expect(0),
            exit(0),
        ],
    ]);
    assert_eq!(bench.finish(program), ExitStatus::Exited(0));
}

/// Lets a process of these limits wait, and touches its stack so many pages below the top.
fn touch(limits: &[(Resource, u64)], pages: u64) -> bool {
    let mut bench = Bench::new(8192);
    let pid = bench.run(vec![call(34, &[])]);
    bench.settle();
    let id = bench.id(pid);
    let system = &mut bench.kernel.system;
    let mut wanted = Limits::new();
    for &(resource, most) in limits {
        wanted.set(resource, (most, most));
    }
    let space = system.process(id).expect("it waits").space;
    let known = system.space_mut(space).expect("it is there");
    known.bounds = crate::rlimit::Bounds::new(&wanted);
    let page = Page::containing(known.stack_top - pages * PAGE).expect("it is low enough");
    let access = crate::user_memory::Access::Write;
    system.page_in(space, page, access).is_ok()
}

#[test]
fn a_stack_grows_to_its_limit_and_to_that_of_all_memory() {
    let pages = STACK_BYTES / PAGE;
    for (limits, most) in [
        (&[][..], pages),
        (&[(Resource::STACK, 5 * PAGE + 1)], 5),
        // The code, and the stack.
        (&[(Resource::MEMORY, 9 * PAGE)], 8),
    ] {
        assert!(touch(limits, most - 1) && touch(limits, most), "{limits:?}");
        assert!(!touch(limits, most + 1), "{limits:?}");
    }
}

#[test]
fn a_stack_without_end_finds_room_for_more_than_usual() {
    let mut bench = Bench::new(8192);
    let account = bench.kernel.system.own_account;
    let mut limits = Limits::new();
    limits.set(Resource::STACK, (u64::MAX, u64::MAX));
    for _ in 0..20 {
        let system = &mut bench.kernel.system;
        let bounds = crate::rlimit::Bounds::new(&limits);
        let space = system.new_space(account, bounds).expect("there is room");
        let known = system.space(space).expect("it was made");
        let room = known.stack_top / PAGE - known.map_top;
        assert!(room > Page::END.number() / 3 && known.map_top > Page::END.number() / 8);
        system.leave_space(space);
        bench.settle();
    }
}

#[test]
fn a_write_below_the_stack_s_limit_ends_the_program() {
    let mut bench = Bench::new(256);
    let pid = bench.run(steps(vec![
        limit(3, 2 * PAGE),
        vec![
            Do(|registers| registers.rsp -= 2 * PAGE),
            LoadStack(0, vec![0]),
        ],
    ]));
    bench.settle();
    assert_eq!(bench.status(pid), segv());
}

/// Lets a user with so many tasks at most make children that do nothing, one after the other.
fn children(most: u64, answers: &[i64]) -> ExitStatus {
    let mut bench = Bench::new(512);
    let thread = CloneFlags::VM
        | CloneFlags::FS
        | CloneFlags::FILES
        | CloneFlags::SIGHAND
        | CloneFlags::THREAD;
    let mut program = steps(vec![
        limit(TASKS, most),
        vec![call(SETUID, &[7]), Expect(0)],
    ]);
    for &answer in answers {
        program.push(call(CLONE, &[thread.bits(), 0]));
        // A new one has 0 and waits for ever.
        let here = program.len();
        program.push(Branch(|registers| registers.rax != 0, here + 2));
        program.push(call(34, &[]));
        if answer < 0 {
            program.push(Expect(answer));
        } else {
            program.push(Branch(|registers| (registers.rax as i64) > 0, here + 4));
            program.push(exit(1));
        }
    }
    program.push(exit(0));
    let pid: Pid = bench.run_long(program, 4);
    bench.settle();
    bench.status(pid)
}

#[test]
fn a_user_has_as_many_tasks_as_it_may_and_not_one_more() {
    assert_eq!(children(1, &[EAGAIN]), ExitStatus::Exited(0));
    assert_eq!(children(3, &[1, 1, EAGAIN, EAGAIN]), ExitStatus::Exited(0));
    assert_eq!(children(512, &[1, 1, 1]), ExitStatus::Exited(0));
}

/// Plays a program that the agent starts with a limit.
fn asked(number: usize, limit: (u64, u64), steps: Vec<Step>) -> ExitStatus {
    let mut limits = ProcessLimits::default();
    limits.asked[number] = Some(limit);
    run_within(&mut large_bench(&program(), 1024), limits, steps)
}

#[test]
fn what_the_agent_asks_for_holds_from_the_first_step_on() {
    const DUP: u64 = 32;
    const EMFILE: i64 = -24;
    // Input, output and errors have the first three.
    let descriptors = vec![
        call(DUP, &[0]),
        Expect(3),
        call(DUP, &[0]),
        Expect(EMFILE),
        exit(0),
    ];
    assert_eq!(asked(7, (4, 8), descriptors), ExitStatus::Exited(0));
    for (seconds, status) in [
        (3, ExitStatus::Exited(0)),
        (2, ExitStatus::Killed(Signal::KILL)),
    ] {
        let spins = vec![Spin(Duration::from_millis(2_500)), call(GETPID, &[])];
        let program = steps(vec![spins, vec![exit(0)]]);
        assert_eq!(asked(0, (seconds, seconds), program), status, "{seconds}");
    }
}

#[test]
fn a_program_starts_with_fewer_descriptors_than_it_was_given() {
    let status = asked(7, (0, 0), vec![exit(4)]);
    assert_eq!(status, ExitStatus::Exited(4));
}
