//! Terminals between the host and programs: who is signalled, who may read and write, who loses whom.

use crate::bench::{Bench, exit};
use crate::signal::{known, number};
use crate::task::Activity;
use crate::tests::{AT, call, map, steps};
use agent::kernel::{Event, ExitStatus, Input, Kernel as _, OutputStream, Pid, Refusal, Signal};
use fakes::user::Step::{self, *};
use hal::limits::PAGE_BYTES;
use std::vec;
use std::vec::Vec;

const READ: u64 = 0;
const WRITE: u64 = 1;
const IOCTL: u64 = 16;
const PAUSE: u64 = 34;
const GETPID: u64 = 39;
const SETSID: u64 = 112;
const TIOCGPGRP: u64 = 0x540f;
const TIOCSPGRP: u64 = 0x5410;
const TIOCGSID: u64 = 0x5429;
const TIOCNOTTY: u64 = 0x5422;
const EIO: i64 = -5;
const ENOTTY: i64 = -25;

/// Gives a process that was not started yet a terminal, as spawn and attach do.
fn give_terminal(bench: &mut Bench, pid: Pid) {
    let id = bench.id(pid);
    let system = &mut bench.kernel.system;
    system.give_terminal(id).expect("there is room");
    let terminal = system.process(id).expect("it exists").pipes.terminal;
    let table = system.process(id).expect("it exists").files;
    let mut parts = system.file_parts(id).expect("it exists");
    parts
        .files
        .attach_terminal(
            &mut parts.context,
            table.expect("it has one"),
            terminal.expect("just given"),
        )
        .expect("there is room");
}

/// Runs a program at a terminal.
fn sit(bench: &mut Bench, program: Vec<Step>) -> Pid {
    let pid = bench.run(program);
    give_terminal(bench, pid);
    pid
}

/// Makes `child` a child of `parent`: its session, its terminal's descriptors, a group of its own.
fn adopt(bench: &mut Bench, parent: Pid, child: Pid) {
    let (parent_id, child_id) = (bench.id(parent), bench.id(child));
    let system = &mut bench.kernel.system;
    let parent = system.process(parent_id).expect("it exists");
    let (pid, session, files) = (parent.pid.0, parent.session, parent.files);
    let files = system.files.copy_table(files.expect("it has one"));
    let process = system.process_mut(child_id).expect("it exists");
    process.kin.parent = pid;
    process.session = session;
    process.files = Some(files.expect("there is room"));
}

fn activity(bench: &Bench, pid: Pid) -> Activity {
    let id = bench.id(pid);
    let table = &bench.kernel.system.table;
    let task = table.some_task(id).expect("it lives");
    table.tasks.get(task).expect("it lives").activity
}

fn seen(bench: &mut Bench, pid: Pid) -> Vec<u8> {
    let bytes = bench
        .kernel
        .output(pid, OutputStream::Stdout)
        .bytes
        .to_vec();
    bench.kernel.consume(pid, OutputStream::Stdout, bytes.len());
    bytes
}

fn exits(bench: &mut Bench) -> Vec<(Pid, ExitStatus)> {
    core::iter::from_fn(|| bench.kernel.next_event())
        .filter_map(|event| match event {
            Event::Exited(pid, status) => Some((pid, status)),
            _ => None,
        })
        .collect()
}

#[test]
fn what_is_typed_is_read_and_what_is_written_is_seen() {
    let mut bench = Bench::new(256);
    let pid = sit(
        &mut bench,
        steps(vec![
            map(1, 3),
            vec![
                call(READ, &[0, AT, 100]),
                Expect(6),
                Load(AT, b"hello\n".to_vec()),
                call(WRITE, &[1, AT, 6]),
                Expect(6),
                exit(0),
            ],
        ]),
    );
    bench.settle();
    assert_eq!(bench.kernel.offer_input(pid, b"hello\r"), Input::Took(6));
    bench.settle();
    assert_eq!(seen(&mut bench, pid), b"hello\r\nhello\r\n");
    assert!(bench.kernel.output(pid, OutputStream::Stdout).ended);
    assert_eq!(exits(&mut bench), [(pid, ExitStatus::Exited(0))]);
}

#[test]
fn an_interrupt_is_for_the_foreground_group_alone() {
    let mut bench = Bench::new(256);
    let shell = sit(&mut bench, vec![call(PAUSE, &[])]);
    let job = bench.run(vec![call(PAUSE, &[])]);
    adopt(&mut bench, shell, job);
    bench.settle();
    bench.kernel.offer_input(shell, b"\x03");
    bench.settle();
    let interrupted = ExitStatus::Killed(known(number::INT));
    assert_eq!(exits(&mut bench), [(shell, interrupted)], "not the job");
}

#[test]
fn a_window_that_changes_is_told_to_the_foreground_once() {
    let mut bench = Bench::new(256);
    let pid = sit(
        &mut bench,
        steps(vec![
            crate::signal_tests::handle(28, 7, 9, 0),
            vec![call(PAUSE, &[]), exit(1), exit(4)],
        ]),
    );
    bench.settle();
    bench.kernel.resize(pid, 0, 0).expect("it has one");
    bench.settle();
    assert_eq!(exits(&mut bench), [], "it is as large as it was");
    bench.kernel.resize(pid, 24, 80).expect("it has one");
    bench.settle();
    assert_eq!(exits(&mut bench), [(pid, ExitStatus::Exited(4))]);
}

#[test]
fn a_job_in_the_background_that_reads_is_stopped() {
    let mut bench = Bench::new(256);
    let shell = sit(&mut bench, vec![call(PAUSE, &[])]);
    let job = bench.run(steps(vec![
        map(1, 3),
        vec![call(READ, &[0, AT, 1]), Expect(1), exit(0)],
    ]));
    adopt(&mut bench, shell, job);
    bench.settle();
    assert_eq!(activity(&bench, job), Activity::Stopped);
    // In the foreground it goes on where it was.
    let id = bench.id(shell);
    let system = &mut bench.kernel.system;
    let terminal = system.terminal_of(id).expect("it has one");
    system.files.terminals.set_session(terminal, shell.0, job.0);
    bench
        .kernel
        .signal(job, known(number::CONT))
        .expect("it lives");
    bench.settle();
    bench.kernel.offer_input(shell, b"x\r");
    bench.settle();
    assert_eq!(exits(&mut bench), [(job, ExitStatus::Exited(0))]);
}

#[test]
fn who_ignores_the_stop_or_is_an_orphan_gets_an_error_instead() {
    let mut bench = Bench::new(256);
    let shell = sit(&mut bench, vec![call(PAUSE, &[])]);
    let orphan = bench.run(steps(vec![
        map(1, 3),
        vec![call(READ, &[0, AT, 1]), Expect(EIO), exit(0)],
    ]));
    adopt(&mut bench, shell, orphan);
    let id = bench.id(orphan);
    let process = bench.kernel.system.process_mut(id).expect("it lives");
    process.kin.parent = 0;
    bench.settle();
    assert_eq!(exits(&mut bench), [(orphan, ExitStatus::Exited(0))]);
}

#[test]
fn a_host_that_closes_the_output_hangs_up_whoever_is_there() {
    let mut bench = Bench::new(256);
    let pid = sit(&mut bench, vec![call(PAUSE, &[])]);
    bench.settle();
    bench.kernel.close_output(pid, OutputStream::Stdout);
    bench.settle();
    let hung_up = ExitStatus::Killed(known(number::HUP));
    assert_eq!(exits(&mut bench), [(pid, hung_up)]);
    assert_eq!(bench.kernel.offer_input(pid, b"x"), Input::Broken);
    assert_eq!(bench.kernel.resize(pid, 1, 1), Ok(()), "in silence");
}

#[test]
fn a_session_that_ends_takes_its_terminal_from_everybody() {
    let mut bench = Bench::new(256);
    let shell = sit(&mut bench, vec![call(PAUSE, &[])]);
    // It is in no group of the terminal's, so nobody signals it; but the terminal is gone for it.
    let other = bench.run(steps(vec![
        map(1, 3),
        vec![
            call(WRITE, &[1, AT, 1]),
            Expect(1),
            call(SETSID, &[]),
            call(IOCTL, &[0, TIOCGSID, AT]),
            Expect(ENOTTY),
            call(READ, &[0, AT, 1]),
            Expect(0),
            call(WRITE, &[1, AT, 1]),
            Expect(EIO),
            exit(0),
        ],
    ]));
    adopt(&mut bench, shell, other);
    let other_id = bench.id(other);
    let process = bench.kernel.system.process_mut(other_id).expect("it lives");
    process.group = shell.0;
    bench.settle();
    bench.kernel.signal(shell, Signal::KILL).expect("it lives");
    bench.settle();
    let ended = exits(&mut bench);
    assert!(ended.contains(&(other, ExitStatus::Exited(0))), "{ended:?}");
    assert_eq!(seen(&mut bench, shell), [0], "what was written is kept");
    assert!(bench.kernel.output(shell, OutputStream::Stdout).ended);
}

#[test]
fn the_foreground_is_the_session_s_to_choose() {
    let mut bench = Bench::new(256);
    let shell = sit(
        &mut bench,
        steps(vec![
            map(1, 3),
            vec![
                call(IOCTL, &[0, TIOCGPGRP, AT]),
                Expect(0),
                Load(AT, vec![1, 0, 0, 0]),
                call(IOCTL, &[0, TIOCGSID, AT]),
                Load(AT, vec![1, 0, 0, 0]),
                Store(AT, vec![2, 0, 0, 0]),
                call(IOCTL, &[0, TIOCSPGRP, AT]),
                Expect(0),
                call(IOCTL, &[0, TIOCGPGRP, AT]),
                Load(AT, vec![2, 0, 0, 0]),
                // Its own group is in the background now; SIGTTOU would stop it, but it is an orphan.
                Store(AT, vec![1, 0, 0, 0]),
                call(IOCTL, &[0, TIOCSPGRP, AT]),
                Expect(ENOTTY),
                exit(0),
            ],
        ]),
    );
    let job = bench.run(vec![call(PAUSE, &[])]);
    adopt(&mut bench, shell, job);
    bench.settle();
    assert_eq!(exits(&mut bench)[0], (shell, ExitStatus::Exited(0)));
}

#[test]
fn a_foreground_that_is_nobody_s_or_another_session_s_is_refused() {
    let mut bench = Bench::new(256);
    let shell = sit(
        &mut bench,
        steps(vec![
            map(1, 3),
            vec![
                Store(AT, vec![99, 0, 0, 0]),
                call(IOCTL, &[0, TIOCSPGRP, AT]),
                Expect(-3),
                Store(AT, vec![2, 0, 0, 0]),
                call(IOCTL, &[0, TIOCSPGRP, AT]),
                Expect(-1),
                Store(AT, vec![0xff; 4]),
                call(IOCTL, &[0, TIOCSPGRP, AT]),
                Expect(-22),
                call(IOCTL, &[0, TIOCSPGRP, 0x10]),
                Expect(-14),
                exit(0),
            ],
        ]),
    );
    let _other_session = bench.run(vec![call(PAUSE, &[])]);
    bench.settle();
    assert_eq!(exits(&mut bench), [(shell, ExitStatus::Exited(0))]);
}

#[test]
fn a_leader_that_gives_its_terminal_up_has_none_and_hangs_its_foreground_up() {
    let mut bench = Bench::new(256);
    let shell = sit(
        &mut bench,
        steps(vec![
            crate::signal_tests::handle(1, 13, 15, 0),
            vec![
                call(IOCTL, &[0, TIOCNOTTY, 0]),
                call(IOCTL, &[0, TIOCGPGRP, AT]),
                Expect(ENOTTY),
                call(IOCTL, &[0, TIOCNOTTY, 0]),
                Expect(ENOTTY),
                Load(AT + 100, vec![77]),
                exit(6),
                exit(1),
                Store(AT + 100, vec![77]),
                Return,
                call(15, &[]),
            ],
        ]),
    );
    bench.settle();
    assert_eq!(exits(&mut bench), [(shell, ExitStatus::Exited(6))]);
}

#[test]
fn a_flood_is_held_back_until_the_host_takes_it() {
    let mut bench = Bench::new(256);
    let page = PAGE_BYTES as u64;
    let pid = sit(
        &mut bench,
        steps(vec![
            map(4, 3),
            vec![
                call(WRITE, &[1, AT, 4 * page]),
                Expect(4 * PAGE_BYTES as i64),
                exit(0),
            ],
        ]),
    );
    let mut taken = 0;
    for _ in 0..100 {
        bench.settle();
        taken += seen(&mut bench, pid).len();
    }
    assert_eq!(taken, 4 * PAGE_BYTES);
    assert_eq!(exits(&mut bench), [(pid, ExitStatus::Exited(0))]);
}

#[test]
fn output_that_nobody_asked_for_is_dropped() {
    let mut bench = Bench::new(256);
    let page = PAGE_BYTES as u64;
    let pid = sit(
        &mut bench,
        steps(vec![
            map(4, 3),
            vec![call(WRITE, &[1, AT, 4 * page]), exit(0)],
        ]),
    );
    let id = bench.id(pid);
    let system = &mut bench.kernel.system;
    let terminal = system.terminal_of(id).expect("it has one");
    system.files.terminals.discard_output(terminal);
    bench.settle();
    assert_eq!(exits(&mut bench), [(pid, ExitStatus::Exited(0))]);
}

#[test]
fn everything_a_terminal_had_is_free_again() {
    let mut bench = Bench::new(256);
    let play = |bench: &mut Bench| {
        let pid = sit(bench, vec![call(GETPID, &[]), exit(0)]);
        bench.kernel.offer_input(pid, b"unread\rand unfinished");
        bench.settle();
        exits(bench);
        bench.kernel.release(pid);
        bench.settle();
    };
    play(&mut bench);
    let before = bench.free();
    play(&mut bench);
    assert_eq!(bench.free(), before);
    let system = &bench.kernel.system;
    let account = system.accounts.get(system.own_account).expect("it stays");
    assert_eq!(account.used(crate::account::Resource::Files), 0);
}

#[test]
fn only_processes_with_a_terminal_have_a_window() {
    let mut bench = Bench::new(256);
    let pid = bench.run(vec![call(PAUSE, &[])]);
    bench.settle();
    let refused = bench.kernel.resize(pid, 1, 1);
    assert_eq!(refused, Err(Refusal::NotATerminal));
    let nobody = bench.kernel.resize(Pid(99), 1, 1);
    assert_eq!(nobody, Err(Refusal::NoProcess));
}

#[test]
fn a_terminal_that_is_somebody_s_alone_is_opened_by_nobody_but_root() {
    const TIOCEXCL: u64 = 0x540c;
    const TIOCNXCL: u64 = 0x540d;
    const TIOCGEXCL: u64 = 0x8004_5440;
    const TIOCSTI: u64 = 0x5412;
    let mut bench = Bench::new(256);
    let told = |value: u8| {
        vec![
            call(IOCTL, &[0, TIOCGEXCL, AT]),
            Expect(0),
            Load(AT, vec![value, 0, 0, 0]),
        ]
    };
    let pid = sit(
        &mut bench,
        steps(vec![
            map(1, 3),
            told(0),
            vec![call(IOCTL, &[0, TIOCEXCL, 0]), Expect(0)],
            told(1),
            vec![
                call(IOCTL, &[0, TIOCSTI, AT]),
                Expect(EIO),
                call(PAUSE, &[]),
                call(IOCTL, &[0, TIOCNXCL, 0]),
                call(PAUSE, &[]),
            ],
        ]),
    );
    bench.settle();
    let id = bench.id(pid);
    let terminal = bench.kernel.system.terminal_of(id).expect("it has one");
    let terminals = &mut bench.kernel.system.files.terminals;
    let busy = terminals.open_slave(terminal, false);
    assert_eq!(busy.map(|_| ()), Err(crate::errno::Errno::EBUSY));
    assert!(terminals.open_slave(terminal, true).is_ok());
    terminals.set_exclusive(terminal, false);
    assert!(terminals.open_slave(terminal, false).is_ok());
}

#[test]
fn vhangup_takes_the_terminal_away_and_hangs_its_session_up() {
    const VHANGUP: u64 = 153;
    let mut bench = Bench::new(256);
    let pid = sit(
        &mut bench,
        vec![call(VHANGUP, &[]), Expect(0), call(PAUSE, &[]), exit(0)],
    );
    bench.settle();
    let ended = bench.kernel.next_event();
    let hung_up = ExitStatus::Killed(known(number::HUP));
    let mut events = vec![ended];
    while let Some(event) = bench.kernel.next_event() {
        events.push(Some(event));
    }
    assert!(
        events.contains(&Some(Event::Exited(pid, hung_up))),
        "{events:?}"
    );
}
