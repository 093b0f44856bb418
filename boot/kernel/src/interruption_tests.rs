//! Signals that meet a program inside of something: a half-done call, a stop, an exception, its own beginning.

use crate::bench::{Bench, CODE, exit};
use crate::limits::WORK_BYTES;
use crate::signal::Info;
use crate::signal::{known, number};
use crate::signal_tests::handle;
use crate::tests::{AT, PAGE, call, map, steps};
use agent::kernel::{ExitStatus, Kernel as _, Pid, Signal};
use fakes::user::Step::{self, *};
use std::vec;
use std::vec::Vec;

const READ: u64 = 0;
const WRITE: u64 = 1;
const SIGACTION: u64 = 13;
const SIGPROCMASK: u64 = 14;
const SIGRETURN: u64 = 15;
const PIPE: u64 = 22;
const PAUSE: u64 = 34;
const KILL: u64 = 62;
const GETRANDOM: u64 = 318;

const EINTR: i64 = -4;
const RESTART: u64 = 0x1000_0000;

/// Where the bytes of a test lie; [`AT`] holds what [`handle`] needs.
const BYTES: u64 = AT + 64 * PAGE;

fn signal(number: u8) -> Signal {
    known(number)
}

/// A program that has a pipe (0 is read, 1 is written), handles SIGUSR1, makes one call and looks at its result.
fn around(flags: u64, inside: Step, result: i64) -> Vec<Step> {
    // 0-4: handler; 5-6: bytes; 7-8: pipe; 9: the call; 10: its result; 11: exit; 12: handler; 13: restorer.
    steps(vec![
        handle(10, 12, 13, flags),
        vec![
            call(9, &[BYTES, 64 * PAGE, 3, 0x32, u64::MAX, 0]),
            Expect(BYTES as i64),
            call(PIPE, &[AT + 64]),
            Expect(0),
            inside,
            Expect(result),
            exit(5),
            Return,
            call(SIGRETURN, &[]),
        ],
    ])
}

/// Plays `program` until it waits, sends SIGUSR1, and returns how it ends.
fn interrupted(program: Vec<Step>) -> ExitStatus {
    let mut bench = Bench::new(1024);
    let pid = bench.run(program);
    bench.settle();
    bench.kernel.signal(pid, signal(10)).expect("it runs");
    bench.settle();
    bench.status(pid)
}

#[test]
fn a_write_that_moved_bytes_says_how_many_when_a_handler_ran() {
    for flags in [0, RESTART] {
        let written = call(WRITE, &[1, BYTES, 40 * PAGE]);
        let program = around(flags, written, 16 * PAGE as i64);
        assert_eq!(interrupted(program), ExitStatus::Exited(5), "{flags:#x}");
    }
}

#[test]
fn a_read_that_moved_nothing_is_eintr_when_a_handler_ran() {
    let program = around(0, call(READ, &[0, BYTES, PAGE]), EINTR);
    assert_eq!(interrupted(program), ExitStatus::Exited(5));
}

#[test]
fn only_what_ends_soon_is_waited_for_without_hearing_signals() {
    use crate::wait::{Stall, WakeKey};
    assert!(!Stall::wait(WakeKey::Disk(0)).is_interruptible());
    for key in [
        WakeKey::PipeReadable(0),
        WakeKey::PipeWritable(0),
        WakeKey::Seed,
        WakeKey::Nothing,
    ] {
        assert!(Stall::wait(key).is_interruptible(), "{key}");
    }
    assert!(!Stall::AGAIN.is_interruptible());
}

/// Runs a call of twenty turns, sends `sent` after the first, and returns how many turns more there were and the end.
fn amid_turns(program: Vec<Step>, sent: &[u8]) -> (usize, ExitStatus) {
    let mut bench = Bench::new(1024);
    let pid = bench.run(program);
    bench.kernel.run_slice(&bench.clock);
    for &number in sent {
        bench.kernel.signal(pid, signal(number)).expect("it runs");
    }
    let mut turns = 0;
    while bench.kernel.next_event().is_none() {
        bench.kernel.run_slice(&bench.clock);
        turns += 1;
    }
    let id = bench.id(pid);
    let crate::process::Life::Zombie(status) =
        bench.kernel.system.process(id).expect("it stays").life
    else {
        panic!("it has not ended");
    };
    (turns, status)
}

fn long_call() -> Step {
    call(GETRANDOM, &[BYTES, 20 * WORK_BYTES as u64, 0])
}

fn room() -> Vec<Step> {
    vec![call(9, &[BYTES, 512 * PAGE, 3, 0x32, u64::MAX, 0])]
}

#[test]
fn a_call_of_many_turns_ends_with_its_program() {
    let program = || steps(vec![room(), vec![long_call(), exit(0)]]);
    let (turns, status) = amid_turns(program(), &[]);
    assert_eq!(status, ExitStatus::Exited(0));
    assert!(turns > 10, "{turns} turns");
    for number in [9, 15] {
        let (turns, status) = amid_turns(program(), &[number]);
        assert_eq!(status, ExitStatus::Killed(signal(number)));
        assert!(turns <= 2, "{turns} turns");
    }
}

#[test]
fn a_handled_signal_does_not_hide_one_that_ends_the_program() {
    let program = steps(vec![
        handle(10, 9, 10, 0),
        room(),
        vec![long_call(), exit(0)],
    ]);
    let (turns, status) = amid_turns(program, &[10, 15]);
    assert_eq!(status, ExitStatus::Killed(Signal::TERM));
    assert!(turns <= 2, "{turns} turns");
}

/// Blocks (0) or lets in (1) the signals of a mask.
fn mask(how: u64, signals: &[u8]) -> Vec<Step> {
    let bits: u64 = signals.iter().map(|number| 1 << (number - 1)).sum();
    vec![
        Store(AT, bits.to_le_bytes().to_vec()),
        call(SIGPROCMASK, &[how, AT, 0, 8]),
        Expect(0),
    ]
}

#[test]
fn going_on_takes_away_a_stop_that_waits_and_the_other_way_round() {
    let (stop, go_on) = (number::TSTP, number::CONT);
    let mut bench = Bench::new(256);
    let program = steps(vec![
        map(1, 3),
        mask(0, &[stop, go_on]),
        vec![
            call(KILL, &[1, stop.into()]),
            call(KILL, &[1, go_on.into()]),
        ],
        mask(1, &[stop]),
        vec![exit(3)],
    ]);
    assert_eq!(
        bench.finish(program),
        ExitStatus::Exited(3),
        "no stop waits"
    );

    let mut bench = Bench::new(256);
    let program = steps(vec![
        map(1, 3),
        vec![
            Store(AT, [[0; 8]; 4].concat()),
            Store(AT, (CODE + 2 * 40).to_le_bytes().to_vec()),
            call(SIGACTION, &[go_on.into(), AT, 0, 8]),
        ],
        mask(0, &[stop, go_on]),
        vec![
            call(KILL, &[1, go_on.into()]),
            call(KILL, &[1, stop.into()]),
        ],
        // A handler without a restorer would end the program.
        mask(1, &[go_on]),
        vec![exit(4)],
    ]);
    assert_eq!(
        bench.finish(program),
        ExitStatus::Exited(4),
        "no SIGCONT waits"
    );
}

#[test]
fn a_program_that_ignores_going_on_goes_on() {
    let mut bench = Bench::new(256);
    let pid = bench.run(steps(vec![
        map(1, 3),
        vec![
            Store(AT, [1_u64, 0, 0, 0].map(u64::to_le_bytes).concat()),
            call(SIGACTION, &[18, AT, 0, 8]),
            Expect(0),
            call(KILL, &[1, 19]),
            exit(2),
        ],
    ]));
    bench.settle();
    assert_eq!(bench.kernel.next_event(), None, "it is stopped");
    bench.kernel.signal(pid, signal(18)).expect("it is stopped");
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Exited(2));
}

#[test]
fn an_exception_comes_first_and_stays_with_its_own_signal() {
    let mut bench = Bench::new(256);
    // 0-7: handlers of SIGSEGV at 9, SIGUSR1 at 12.
    let mut program = handle(11, 9, 20, 4);
    program.extend(vec![
        Store(AT, (CODE + 2 * 12).to_le_bytes().to_vec()),
        call(SIGACTION, &[10, AT, 0, 8]),
        Expect(0),
        call(PAUSE, &[]),
        // 9: SIGSEGV, after SIGUSR1 went back to it: SEGV_MAPERR and the address.
        LoadStack(
            312,
            [
                &[11, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0][..],
                &0x1234_5000_u64.to_le_bytes(),
            ]
            .concat(),
        ),
        exit(9),
        exit(1),
        // 12: SIGUSR1, whose frame lies above the other one's: SI_USER and no address; it returns to step 9.
        LoadStack(312, [&[10, 0, 0, 0][..], &[0; 20]].concat()),
        LoadStack(8 + 40 + 16 * 8, (CODE + 2 * 9).to_le_bytes().to_vec()),
        Return,
    ]);
    program.resize(20, exit(1));
    program.push(call(SIGRETURN, &[]));
    let pid = bench.run(program);
    bench.kernel.run_slice(&bench.clock);
    let id = bench.id(pid);
    let system = &mut bench.kernel.system;
    let leader = system.process(id).expect("it runs").leader;
    let fault = hal::user::Fault {
        vector: hal::user::Fault::PAGE,
        code: 4,
        address: 0x1234_5000,
    };
    system.signal_process(id, signal(10), &Info::UNKNOWN);
    system.signal_fault(
        leader.expect("it runs"),
        Signal::SEGV,
        fault,
        Info::fault(1, 0x1234_5000),
    );
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Exited(9));
}

/// Makes a process that is loaded but not started.
fn held(bench: &mut Bench) -> Pid {
    let pid = bench.run(vec![call(PAUSE, &[])]);
    let id = bench.id(pid);
    let system = &mut bench.kernel.system;
    let process = system.process_mut(id).expect("it was made");
    process.life = crate::process::Life::Stopped;
    let leader = process.leader.expect("it has a task");
    system.task_mut(leader).expect("it has a task").activity = crate::task::Activity::Held;
    system.ready.remove(leader);
    pid
}

#[test]
fn a_signal_before_the_start_does_what_it_does_by_default() {
    for number in [1, 2, 9, 10, 15] {
        let mut bench = Bench::new(256);
        let pid = held(&mut bench);
        bench
            .kernel
            .signal(pid, signal(number))
            .expect("it is there");
        bench.settle();
        assert_eq!(bench.status(pid), ExitStatus::Killed(signal(number)));
    }
    let mut bench = Bench::new(256);
    let pid = held(&mut bench);
    for number in [17, 18, 19] {
        bench
            .kernel
            .signal(pid, signal(number))
            .expect("it is there");
    }
    bench.kernel.start(pid).expect("it is loaded");
    bench.settle();
    let id = bench.id(pid);
    let leader = bench.kernel.system.process(id).expect("it runs").leader;
    let task = bench.kernel.system.task_mut(leader.expect("it runs"));
    assert_eq!(
        task.expect("it runs").activity,
        crate::task::Activity::Stopped,
        "SIGSTOP waited for its start"
    );
    bench.kernel.signal(pid, signal(18)).expect("it is stopped");
    bench.kernel.signal(pid, signal(15)).expect("it runs");
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Killed(Signal::TERM));
}
