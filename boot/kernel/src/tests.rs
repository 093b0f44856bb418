//! Programs against the kernel: what they do, and what becomes of them.

use crate::bench::{Bench, CODE, exit};
use agent::kernel::{ExitStatus, Kernel as _, Signal, View};
use core::time::Duration;
use fakes::user::Step::{self, *};
use hal::limits::PAGE_BYTES;
use hal::user::Fault;
use std::string::String;
use std::vec;
use std::vec::Vec;

pub(crate) const PAGE: u64 = PAGE_BYTES as u64;
pub(crate) const AT: u64 = 0x1000_0000;
const MMAP: u64 = 9;
const MPROTECT: u64 = 10;
const MUNMAP: u64 = 11;
const BRK: u64 = 12;
const MREMAP: u64 = 25;
const NANOSLEEP: u64 = 35;
const ENOMEM: i64 = -12;
const EFAULT: i64 = -14;
const EEXIST: i64 = -17;
const EINVAL: i64 = -22;
const ENOSYS: i64 = -38;

pub(crate) fn segv() -> ExitStatus {
    ExitStatus::Killed(Signal::SEGV)
}

pub(crate) fn call(number: u64, arguments: &[u64]) -> Step {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    Call(number, all)
}

/// Maps `pages` pages at [`AT`]: private, anonymous, fixed.
pub(crate) fn map(pages: u64, protection: u64) -> Vec<Step> {
    vec![
        call(MMAP, &[AT, pages * PAGE, protection, 0x32, u64::MAX, 0]),
        Expect(AT as i64),
    ]
}

pub(crate) fn steps(parts: Vec<Vec<Step>>) -> Vec<Step> {
    parts.into_iter().flatten().collect()
}

#[test]
fn a_program_ends_with_the_low_byte_of_its_status() {
    let mut bench = Bench::new(256);
    assert_eq!(bench.finish(vec![exit(0x1_07)]), ExitStatus::Exited(7));
}

#[test]
fn everything_a_process_had_is_free_again_when_it_is_released() {
    let mut bench = Bench::new(256);
    // The first one warms the kernel's own tables.
    bench.finish(vec![exit(0)]);
    let before = bench.free();
    let used = map(40, 3);
    let touch = (0..40)
        .map(|page| Store(AT + page * PAGE, vec![1]))
        .collect();
    bench.finish(steps(vec![used, touch, vec![exit(0)]]));
    assert_eq!(bench.free(), before);
    let system = &bench.kernel.system;
    let account = system.accounts.get(system.own_account).expect("it stays");
    assert_eq!(account.memory(), 0);
    assert_eq!(account.used(crate::account::Resource::Tasks), 0);
}

#[test]
fn a_call_nobody_knows_is_counted_and_shown() {
    let mut bench = Bench::new(256);
    bench.finish(vec![
        call(999, &[]),
        Expect(ENOSYS),
        call(999, &[]),
        exit(0),
    ]);
    let mut text = String::new();
    bench.kernel.dump(&mut text).expect("a string takes all");
    assert!(text.contains("system call 999: ENOSYS 2 times"), "{text}");
}

#[test]
fn memory_can_be_used_as_far_as_its_rights_go() {
    let mut bench = Bench::new(256);
    let program = steps(vec![
        map(2, 3),
        vec![
            Store(AT + PAGE - 2, vec![1, 2, 3, 4]),
            Load(AT + PAGE - 2, vec![1, 2, 3, 4]),
            call(MPROTECT, &[AT, PAGE, 1]),
            Expect(0),
            Load(AT + PAGE - 2, vec![1, 2]),
            Store(AT + PAGE, vec![9]),
            Store(AT, vec![9]),
        ],
    ]);
    assert_eq!(bench.finish(program), segv());
}

#[test]
fn a_page_without_rights_keeps_its_content() {
    let mut bench = Bench::new(256);
    let program = steps(vec![
        map(1, 3),
        vec![
            Store(AT, vec![5]),
            call(MPROTECT, &[AT, PAGE, 0]),
            Expect(0),
            call(MPROTECT, &[AT, PAGE, 3]),
            Expect(0),
            Load(AT, vec![5]),
            call(MPROTECT, &[AT, PAGE, 0]),
            Load(AT, vec![5]),
        ],
    ]);
    assert_eq!(bench.finish(program), segv());
}

#[test]
fn what_was_unmapped_is_gone_and_what_stands_beside_it_stays() {
    let mut bench = Bench::new(256);
    let program = steps(vec![
        map(3, 3),
        vec![
            Store(AT, vec![1]),
            Store(AT + PAGE, vec![2]),
            Store(AT + 2 * PAGE, vec![3]),
            call(MUNMAP, &[AT + PAGE, PAGE]),
            Expect(0),
            Load(AT, vec![1]),
            Load(AT + 2 * PAGE, vec![3]),
            Load(AT + PAGE, vec![2]),
        ],
    ]);
    assert_eq!(bench.finish(program), segv());
}

#[test]
fn a_huge_unmap_takes_several_turns_and_then_succeeds() {
    let mut bench = Bench::new(1024);
    let touch = (0..300)
        .map(|page| Store(AT + page * PAGE, vec![1]))
        .collect();
    let program = steps(vec![
        map(300, 3),
        touch,
        vec![call(MUNMAP, &[AT, 300 * PAGE]), Expect(0), exit(0)],
    ]);
    assert_eq!(bench.finish(program), ExitStatus::Exited(0));
}

#[test]
fn fixed_without_replacing_refuses_what_is_there() {
    let mut bench = Bench::new(256);
    let program = steps(vec![
        map(1, 3),
        vec![
            call(MMAP, &[AT, PAGE, 3, 0x10_0022, u64::MAX, 0]),
            Expect(EEXIST),
            exit(0),
        ],
    ]);
    assert_eq!(bench.finish(program), ExitStatus::Exited(0));
}

#[test]
fn mappings_outside_the_address_space_are_refused() {
    let mut bench = Bench::new(256);
    let program = vec![
        call(MMAP, &[0x7fff_ffff_f000, PAGE, 3, 0x32, u64::MAX, 0]),
        Expect(ENOMEM),
        call(MMAP, &[0, u64::MAX, 3, 0x22, u64::MAX, 0]),
        Expect(ENOMEM),
        call(MMAP, &[0, 0, 3, 0x22, u64::MAX, 0]),
        Expect(EINVAL),
        call(MUNMAP, &[AT + 1, PAGE]),
        Expect(EINVAL),
        call(MUNMAP, &[!(PAGE - 1), PAGE]),
        Expect(EINVAL),
        exit(0),
    ];
    assert_eq!(bench.finish(program), ExitStatus::Exited(0));
}

#[test]
fn a_mapping_that_moves_takes_its_pages_along() {
    let mut bench = Bench::new(512);
    let program = steps(vec![
        map(1, 3),
        vec![
            Store(AT, vec![1, 2, 3]),
            // The page behind is taken, so the mapping has to move.
            call(MMAP, &[AT + PAGE, PAGE, 3, 0x32, u64::MAX, 0]),
            call(MREMAP, &[AT, PAGE, 100 * PAGE, 1]),
            Do(|registers| {
                assert_ne!(registers.rax, AT);
                registers.rdi = registers.rax;
                // write its first bytes' address to where `Load` cannot reach: compare by msync(2).
                registers.rsi = 100 * PAGE;
                registers.rdx = 4;
                registers.rax = 26;
            }),
            CallRegisters,
            Expect(0),
            Load(AT, vec![1]),
        ],
    ]);
    assert_eq!(bench.finish(program), segv(), "the old place is gone");
}

#[test]
fn the_heap_grows_and_shrinks() {
    let mut bench = Bench::new(256);
    let start = CODE + 0x10_0000;
    let program = vec![
        call(BRK, &[0]),
        Expect(start as i64),
        call(BRK, &[start + 3 * PAGE + 5]),
        Expect((start + 3 * PAGE + 5) as i64),
        Store(start + 3 * PAGE, vec![7]),
        call(BRK, &[start + PAGE]),
        Expect((start + PAGE) as i64),
        call(BRK, &[u64::MAX]),
        Expect((start + PAGE) as i64),
        Store(start, vec![7]),
        Store(start + PAGE, vec![7]),
    ];
    assert_eq!(bench.finish(program), segv());
}

#[test]
fn the_stack_grows_down_to_its_limit() {
    let top = |bench: &mut Bench| {
        let pid = bench.run(vec![Step::Do(|_| ()), exit(0)]);
        let id = bench.id(pid);
        let space = bench.kernel.system.process(id).expect("it runs").space;
        let top = bench.kernel.system.space(space).expect("it runs").stack_top;
        (pid, space, top)
    };
    let mut bench = Bench::new(256);
    let (_, space, top) = top(&mut bench);
    let system = &mut bench.kernel.system;
    let touch = |system: &mut crate::system::System<_>, below: u64| {
        let page = hal::page_table::Page::containing(top - below).expect("it is low enough");
        system.page_in(space, page, crate::user_memory::Access::Write)
    };
    assert!(touch(system, crate::limits::STACK_BYTES).is_ok());
    assert!(touch(system, crate::limits::STACK_BYTES + PAGE).is_err());
}

#[test]
fn a_pointer_to_nowhere_is_efault_and_nothing_else() {
    let mut bench = Bench::new(256);
    let mut program = Vec::new();
    for address in [
        0,
        1,
        PAGE,
        AT,
        0x7fff_ffff_efff,
        1 << 47,
        1 << 63,
        u64::MAX - 3,
    ] {
        // uname, sysinfo, gettimeofday, getrlimit.
        for number in [63, 99] {
            program.push(call(number, &[address]));
            program.push(Expect(EFAULT));
        }
        program.push(call(97, &[3, address]));
        program.push(Expect(EFAULT));
    }
    program.push(exit(0));
    assert_eq!(bench.finish(program), ExitStatus::Exited(0));
}

#[test]
fn the_kernel_does_not_write_where_the_program_may_not() {
    let mut bench = Bench::new(256);
    let program = steps(vec![
        map(2, 3),
        vec![
            call(MPROTECT, &[AT + PAGE, PAGE, 1]),
            call(63, &[AT + PAGE - 10]),
            Expect(EFAULT),
            call(63, &[AT]),
            Expect(0),
            Load(AT, b"Linux\0".to_vec()),
            exit(0),
        ],
    ]);
    assert_eq!(bench.finish(program), ExitStatus::Exited(0));
}

#[test]
fn every_exception_ends_the_program_with_its_signal() {
    for (vector, signal) in [
        (0, 8),
        (1, 5),
        (3, 5),
        (6, 4),
        (13, 11),
        (16, 8),
        (17, 7),
        (19, 8),
    ] {
        let mut bench = Bench::new(256);
        let fault = Fault {
            vector,
            code: 0,
            address: 0,
        };
        let status = bench.finish(vec![Raise(fault)]);
        assert_eq!(status.code(), 128 + signal, "vector {vector}");
    }
}

#[test]
fn a_page_fault_of_the_processor_s_own_ends_the_program_where_it_has_memory() {
    let mut bench = Bench::new(256);
    let fault = Fault {
        vector: Fault::PAGE,
        code: 1,
        address: AT,
    };
    let steps = steps(vec![map(1, 3), vec![Store(AT, vec![1]), Raise(fault)]]);
    assert_eq!(bench.finish(steps).code(), 128 + 11);
}

#[test]
fn a_program_that_uses_up_memory_is_killed_and_the_next_one_runs() {
    let mut bench = Bench::new(128);
    let touch = (0..200)
        .map(|page| Store(AT + page * PAGE, vec![1]))
        .collect();
    let status = bench.finish(steps(vec![map(200, 3), touch, vec![exit(0)]]));
    assert_eq!(status, ExitStatus::Killed(Signal::KILL));
    assert_eq!(bench.finish(vec![exit(0)]), ExitStatus::Exited(0));
}

#[test]
fn an_account_s_limit_is_kept_and_its_charges_come_back() {
    let mut bench = Bench::new(1024);
    let account = bench.kernel.system.own_account;
    let known = bench.kernel.system.accounts.get_mut(account);
    known.expect("it stays").set_memory_limit(60 * PAGE);
    let touch = (0..200)
        .map(|page| Store(AT + page * PAGE, vec![1]))
        .collect();
    let status = bench.finish(steps(vec![map(200, 3), touch, vec![exit(0)]]));
    assert_eq!(status, ExitStatus::Killed(Signal::KILL));
    let known = bench.kernel.system.accounts.get(account).expect("it stays");
    assert_eq!(known.memory(), 0);
    assert!(known.memory_peak() <= 60 * PAGE);
}

#[test]
fn a_sleeping_program_wakes_at_its_time_and_not_before() {
    let mut bench = Bench::new(256);
    let pid = bench.run(steps(vec![
        map(1, 3),
        vec![
            Store(
                AT,
                [2_u64.to_le_bytes(), 500_000_000_u64.to_le_bytes()].concat(),
            ),
            call(NANOSLEEP, &[AT, 0]),
            Expect(0),
            exit(3),
        ],
    ]));
    bench.settle();
    assert_eq!(bench.kernel.next_deadline().as_nanos(), 2_500_000_000);
    bench.clock.advance(Duration::from_nanos(2_499_999_999));
    bench.settle();
    assert_eq!(bench.kernel.next_event(), None);
    bench.clock.advance(Duration::from_nanos(1));
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Exited(3));
}

#[test]
fn a_spinning_program_lets_another_one_run() {
    let mut bench = Bench::new(256);
    let spinning = bench.run(vec![Spin(Duration::from_millis(1)), Jump(0)]);
    let other = bench.run(vec![exit(1)]);
    for _ in 0..4 {
        bench.kernel.run_slice(&bench.clock);
    }
    bench
        .kernel
        .signal(spinning, Signal::KILL)
        .expect("it runs");
    bench.settle();
    assert_eq!(bench.status(other), ExitStatus::Exited(1));
    assert_eq!(bench.status(spinning), ExitStatus::Killed(Signal::KILL));
}

#[test]
fn the_time_a_program_ran_is_its_own() {
    let mut bench = Bench::new(256);
    let pid = bench.run(vec![
        Spin(Duration::from_millis(3)),
        Spin(Duration::from_millis(4)),
        call(34, &[]),
    ]);
    bench.settle();
    let info = bench.kernel.process(View::UTILITY_VM, 0).expect("it waits");
    assert_eq!((info.pid, info.user_time), (pid, Duration::from_millis(7)));
    assert_eq!(info.name.as_str(), "test");
    assert!(info.memory_bytes > 0);
}

#[test]
fn arguments_that_are_too_long_are_refused_by_name() {
    use agent::kernel::{Credentials, ProcessLimits, Program, Refusal, StringList};
    let mut bench = Bench::new(256);
    let before = bench.free();
    let mut long = vec![b'a'; crate::limits::ARGUMENT_BYTES];
    long.push(0);
    let program = Program {
        args: StringList::from_packed(&long).expect("it ends with NUL"),
        env: StringList::default(),
        cwd: "/",
        credentials: Credentials::default(),
        user: "",
        terminal: false,
        limits: ProcessLimits::default(),
    };
    let refused = bench.kernel.spawn(View::UTILITY_VM, &program);
    let limit = Refusal::Limit("ARGUMENT_BYTES", crate::limits::ARGUMENT_BYTES);
    assert_eq!(refused, Err(limit));
    bench.settle();
    assert_eq!(bench.free(), before);
}

#[test]
fn sixty_four_programs_run_at_once() {
    let mut bench = Bench::new(2048);
    let pids: Vec<_> = (0..64)
        .map(|_| bench.run(vec![call(24, &[]), Expect(0), call(24, &[]), exit(4)]))
        .collect();
    bench.settle();
    for pid in pids {
        assert_eq!(bench.status(pid), ExitStatus::Exited(4));
    }
}

#[test]
fn a_program_of_many_page_tables_is_taken_down_in_many_turns() {
    let mut bench = Bench::new(1024);
    bench.finish(vec![exit(0)]);
    let before = bench.free();
    // A page in each of 200 pieces of 2 MiB needs 200 tables.
    let far = 512 * PAGE;
    let mut program = Vec::new();
    for nth in 0..200 {
        let at = AT + nth * far;
        program.push(call(MMAP, &[at, PAGE, 3, 0x32, u64::MAX, 0]));
        program.push(Store(at, vec![1]));
    }
    program.push(exit(0));
    let pid = bench.run(program);
    let mut turns = 0;
    while bench.kernel.run_slice(&bench.clock) {
        turns += 1;
    }
    assert!(turns > 400 / crate::limits::WORK_PAGES, "{turns} turns");
    assert_eq!(bench.status(pid), ExitStatus::Exited(0));
    assert_eq!(bench.free(), before);
}

#[test]
fn the_more_programs_have_ended_the_more_are_taken_down_in_a_turn() {
    let mut bench = Bench::new(4096);
    let pids: Vec<_> = (0..200).map(|_| bench.run(vec![Jump(0)])).collect();
    for &pid in &pids {
        let id = bench.id(pid);
        let killed = ExitStatus::Killed(Signal::KILL);
        bench.kernel.system.end_process(id, killed);
    }
    let mut turns = 0;
    while bench.kernel.run_slice(&bench.clock) {
        turns += 1;
    }
    assert!(turns < pids.len() / 2, "{turns} turns for {}", pids.len());
    for pid in pids {
        assert_eq!(bench.status(pid), ExitStatus::Killed(Signal::KILL));
    }
}

#[test]
fn rights_that_do_not_change_cut_nothing_and_equal_neighbours_become_one() {
    let mut bench = Bench::new(256);
    let mut program = map(64, 3);
    let change = |page: u64, rights: u64| call(MPROTECT, &[AT + page * PAGE, PAGE, rights]);
    program.extend((0..64).step_by(2).map(|page| change(page, 3)));
    for rights in [1, 3] {
        program.extend((0..64).step_by(2).map(|page| change(page, rights)));
    }
    program.push(call(34, &[]));
    let pid = bench.run(program);
    bench.settle();
    let id = bench.id(pid);
    let system = &bench.kernel.system;
    let space = system.process(id).expect("it waits").space;
    let area = system.area_at(space, AT / PAGE).expect("it was mapped");
    assert_eq!((area.first, area.pages()), (AT / PAGE, 64));
}

#[test]
fn a_mapping_that_cannot_move_stays_whole() {
    // Pages in two pieces of 2 MiB: the new place needs at least one table, and the account has none left.
    let span = 600;
    let mut program = map(span, 3);
    program.extend(
        (0..span)
            .step_by(50)
            .map(|page| Store(AT + page * PAGE, vec![page as u8])),
    );
    // The page behind is taken, so the mapping has to move.
    program.extend(vec![
        call(MMAP, &[AT + span * PAGE, PAGE, 3, 0x32, u64::MAX, 0]),
        call(34, &[]),
        call(MREMAP, &[AT, span * PAGE, 2 * span * PAGE, 1]),
        Expect(ENOMEM),
    ]);
    program.extend(
        (0..span)
            .step_by(50)
            .map(|page| Load(AT + page * PAGE, vec![page as u8])),
    );
    program.push(exit(4));
    for spare in 0..3 {
        let mut bench = Bench::new(1024);
        let pid = bench.run(program.clone());
        bench.settle();
        let account = bench.kernel.system.own_account;
        let known = bench
            .kernel
            .system
            .accounts
            .get_mut(account)
            .expect("it stays");
        let used = known.used(crate::account::Resource::Frames);
        known.set_limit(crate::account::Resource::Frames, used + spare);
        let id = bench.id(pid);
        // Let pause(2) end as if a handler had run.
        let leader = bench.kernel.system.process(id).expect("it waits").leader;
        let task = bench
            .kernel
            .system
            .task_mut(leader.expect("it waits"))
            .expect("it waits");
        task.call = None;
        task.activity = crate::task::Activity::Ready;
        bench
            .kernel
            .system
            .ready
            .push_woken(leader.expect("it waits"));
        bench.settle();
        assert_eq!(
            bench.status(pid),
            ExitStatus::Exited(4),
            "{spare} frames to spare"
        );
    }
}

#[test]
fn tables_go_with_the_last_page_in_them() {
    let mut bench = Bench::new(512);
    // A page in each of 50 pieces of 2 MiB, taken away again.
    let far = 512 * PAGE;
    let mut program = Vec::new();
    for nth in 0..50 {
        let at = AT + nth * far;
        program.push(call(MMAP, &[at, PAGE, 3, 0x32, u64::MAX, 0]));
        program.push(Store(at, vec![1]));
    }
    program.push(call(MUNMAP, &[AT, 50 * far]));
    program.push(Expect(0));
    program.push(call(34, &[]));
    let pid = bench.run(program);
    bench.settle();
    let id = bench.id(pid);
    let system = &bench.kernel.system;
    let space = system.process(id).expect("it waits").space;
    let charged = system.space(space).expect("it waits").charged;
    assert!(
        charged < 20,
        "{charged} frames for a program of one page and a stack"
    );
}
