//! Signals of programs: default actions, handlers, masks, stopping and going on.

use crate::bench::{Bench, CODE, exit};
use crate::tests::{AT, call, map, segv, steps};
use agent::kernel::{ExitStatus, Kernel as _, Signal};
use core::time::Duration;
use fakes::user::Step::{self, *};
use hal::user::Registers;
use std::vec;
use std::vec::Vec;

const SIGACTION: u64 = 13;
const SIGPROCMASK: u64 = 14;
const SIGRETURN: u64 = 15;
const NANOSLEEP: u64 = 35;
const ALARM: u64 = 37;
const GETPID: u64 = 39;
const KILL: u64 = 62;

#[test]
fn an_alarm_ends_a_program_that_does_not_expect_it() {
    let mut bench = Bench::new(256);
    let pid = bench.run(vec![call(ALARM, &[1]), Expect(0), call(34, &[])]);
    bench.settle();
    bench.clock.advance(Duration::from_secs(1));
    bench.settle();
    assert_eq!(bench.status(pid).code(), 128 + 14);
}

#[test]
fn an_alarm_with_a_period_comes_again_until_it_is_taken_away() {
    const SETITIMER: u64 = 38;
    const PAUSE: u64 = 34;
    let set = |micros: u64| {
        let times = [0, micros, 0, micros];
        let bytes = times.iter().flat_map(|time| time.to_le_bytes()).collect();
        vec![Store(AT, bytes), call(SETITIMER, &[0, AT, 0]), Expect(0)]
    };
    let wait = vec![call(PAUSE, &[]), Expect(-4)];
    let program = steps(vec![
        handle(14, 40, 41, 0),
        set(1000),
        wait.clone(),
        wait,
        set(0),
        vec![call(PAUSE, &[])],
    ]);
    let mut bench = Bench::new(256);
    let mut program = program;
    program.resize(40, exit(1));
    program.extend([Return, call(15, &[])]);
    let pid = bench.run(program);
    for _ in 0..4 {
        bench.settle();
        bench.clock.advance(Duration::from_millis(1));
    }
    bench.settle();
    let id = bench.id(pid);
    let process = bench.kernel.system.process(id).expect("it waits");
    assert_eq!(process.alarms[0], crate::alarm::Alarm::OFF);
}

/// Installs a handler at step `at` for `signal`, with the restorer at step `restorer`.
pub(crate) fn handle(signal: u64, at: u64, restorer: u64, flags: u64) -> Vec<Step> {
    let fields = [CODE + 2 * at, 0x0400_0000 | flags, CODE + 2 * restorer, 0];
    let bytes: Vec<u8> = fields
        .iter()
        .flat_map(|field| field.to_le_bytes())
        .collect();
    steps(vec![
        map(1, 3),
        vec![
            Store(AT, bytes),
            call(SIGACTION, &[signal, AT, 0, 8]),
            Expect(0),
        ],
    ])
}

#[test]
fn a_handler_runs_and_the_program_goes_on_where_it_was() {
    let mut bench = Bench::new(256);
    // 0-4: set up (five steps); 5: remember; 6-8: raise; 9: check; 10: exit; 12: handler; 13: restorer.
    let program = steps(vec![
        handle(10, 12, 14, 0),
        vec![
            Do(|registers| registers.r12 = registers.rsp),
            call(KILL, &[1, 10]),
            Expect(0),
            Do(|registers| assert_eq!(registers.r12, registers.rsp)),
            Load(AT + 100, vec![77]),
            exit(5),
            Jump(11),
            Store(AT + 100, vec![77]),
            Return,
            call(SIGRETURN, &[]),
        ],
    ]);
    assert_eq!(bench.finish(program), ExitStatus::Exited(5));
}

#[test]
fn a_handler_gets_signal_information_and_context() {
    fn check(registers: &mut Registers) {
        assert_eq!(registers.rdi, 11);
        assert_eq!(registers.rsp % 16, 8);
        assert_eq!(registers.rsi, registers.rsp + 312);
        assert_eq!(registers.rdx, registers.rsp + 8);
    }
    let mut bench = Bench::new(256);
    // SIGSEGV from a load of an unmapped address; the handler ends the program.
    let program = steps(vec![
        handle(11, 8, 10, 4),
        vec![
            Load(0x1234_5000, vec![0]),
            exit(1),
            exit(1),
            Do(check),
            // si_signo, si_errno, si_code SEGV_MAPERR, padding, si_addr.
            LoadStack(
                312,
                [
                    &[11, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0][..],
                    &0x1234_5000_u64.to_le_bytes(),
                ]
                .concat(),
            ),
            exit(9),
        ],
    ]);
    assert_eq!(bench.finish(program), ExitStatus::Exited(9));
}

#[test]
fn a_blocked_signal_waits_until_it_is_let_in() {
    let mut bench = Bench::new(256);
    let program = steps(vec![
        map(1, 3),
        vec![
            Store(AT, (1_u64 << 14).to_le_bytes().to_vec()),
            call(SIGPROCMASK, &[0, AT, 0, 8]),
            Expect(0),
            call(KILL, &[1, 15]),
            Expect(0),
            call(GETPID, &[]),
            Expect(1),
            call(SIGPROCMASK, &[1, AT, 0, 8]),
            exit(0),
        ],
    ]);
    assert_eq!(bench.finish(program), ExitStatus::Killed(Signal::TERM));
}

#[test]
fn a_handled_signal_ends_a_sleep_with_eintr() {
    let mut bench = Bench::new(256);
    let program = steps(vec![
        handle(10, 12, 14, 0x1000_0000),
        vec![
            Store(
                AT + 64,
                [100_u64.to_le_bytes(), 0_u64.to_le_bytes()].concat(),
            ),
            call(NANOSLEEP, &[AT + 64, 0]),
            Expect(-4),
            exit(6),
            exit(1),
            exit(1),
            exit(1),
            Store(AT + 100, vec![77]),
            Return,
            call(SIGRETURN, &[]),
        ],
    ]);
    let pid = bench.run(program);
    bench.settle();
    let signal = Signal::from_number(10).expect("it is one");
    bench.kernel.signal(pid, signal).expect("it runs");
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Exited(6));
}

#[test]
fn a_signal_frame_that_does_not_fit_ends_the_program() {
    let mut bench = Bench::new(256);
    let program = steps(vec![
        handle(10, 12, 14, 0),
        vec![Do(|registers| registers.rsp = 5000), call(KILL, &[1, 10])],
    ]);
    assert_eq!(bench.finish(program), segv());
}

#[test]
fn a_stopped_program_goes_on_when_it_is_told() {
    let mut bench = Bench::new(256);
    let pid = bench.run(vec![call(KILL, &[1, 19]), Expect(0), exit(2)]);
    bench.settle();
    assert_eq!(bench.kernel.next_event(), None);
    let go_on = Signal::from_number(18).expect("it is one");
    bench.kernel.signal(pid, go_on).expect("it is stopped");
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Exited(2));
}

#[test]
fn a_stopped_program_can_be_killed() {
    let mut bench = Bench::new(256);
    let pid = bench.run(vec![call(KILL, &[1, 19]), exit(2)]);
    bench.settle();
    bench
        .kernel
        .signal(pid, Signal::KILL)
        .expect("it is stopped");
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Killed(Signal::KILL));
}
