//! Job control: groups, sessions, stopping, going on, and orphans.

use crate::bench::{Bench, exit};
use crate::signal::{News, known, number};
use crate::task::Activity;
use crate::tests::call;
use agent::kernel::{ExitStatus, Kernel as _, Pid, Signal};
use fakes::user::Step::*;
use std::vec;

const PAUSE: u64 = 34;
const KILL: u64 = 62;
const SETPGID: u64 = 109;
const SETSID: u64 = 112;
const GETPGID: u64 = 121;
const GETSID: u64 = 124;
const EPERM: i64 = -1;
const ESRCH: i64 = -3;
const EACCES: i64 = -13;
const EINVAL: i64 = -22;

/// Makes `child` what a fork of `parent` would have made, in a group of its own.
fn adopt(bench: &mut Bench, parent: Pid, child: Pid) {
    let (parent_id, child_id) = (bench.id(parent), bench.id(child));
    let table = &mut bench.kernel.system.table;
    let parent = table.processes.get(parent_id).expect("it exists");
    let (pid, session, job) = (parent.pid.0, parent.session, parent.job);
    let process = table.processes.get_mut(child_id).expect("it exists");
    process.kin.parent = pid;
    process.kin.exit_signal = Some(known(number::CHLD));
    process.session = session;
    process.job = job.of_child();
}

fn activity(bench: &Bench, pid: Pid) -> Activity {
    let id = bench.id(pid);
    let table = &bench.kernel.system.table;
    let task = table.some_task(id).expect("it lives");
    table.tasks.get(task).expect("it lives").activity
}

fn news(bench: &Bench, pid: Pid) -> Option<News> {
    let id = bench.id(pid);
    let process = bench.kernel.system.table.processes.get(id);
    process.expect("it exists").job.news
}

fn send(bench: &mut Bench, pid: Pid, signal: u8) {
    bench.kernel.signal(pid, known(signal)).expect("it lives");
    bench.settle();
}

#[test]
fn the_terminal_s_stop_signals_stop_a_job_and_sigcont_lets_it_go_on() {
    for stop in [number::TSTP, number::TTIN, number::TTOU, number::STOP] {
        let mut bench = Bench::new(256);
        let shell = bench.run(vec![call(PAUSE, &[])]);
        let job = bench.run(vec![call(PAUSE, &[])]);
        adopt(&mut bench, shell, job);
        bench.settle();
        send(&mut bench, job, stop);
        assert_eq!(activity(&bench, job), Activity::Stopped);
        assert_eq!(news(&bench, job), Some(News::Stopped(known(stop))));
        send(&mut bench, job, number::CONT);
        assert_ne!(activity(&bench, job), Activity::Stopped);
        assert_eq!(news(&bench, job), Some(News::Continued));
    }
}

#[test]
fn the_terminal_s_stop_signals_do_nothing_to_an_orphaned_group_but_sigstop_does() {
    let mut bench = Bench::new(256);
    let alone = bench.run(vec![call(PAUSE, &[])]);
    bench.settle();
    for stop in [number::TSTP, number::TTIN, number::TTOU] {
        send(&mut bench, alone, stop);
        assert_ne!(activity(&bench, alone), Activity::Stopped);
        assert_eq!(news(&bench, alone), None);
    }
    send(&mut bench, alone, number::STOP);
    assert_eq!(activity(&bench, alone), Activity::Stopped);
}

#[test]
fn a_parent_hears_of_its_child_s_stop_by_sigchld() {
    let mut bench = Bench::new(256);
    let shell = bench.run(crate::tests::steps(vec![
        crate::signal_tests::handle(17, 7, 9, 0),
        vec![call(PAUSE, &[]), exit(1), exit(4)],
    ]));
    let job = bench.run(vec![call(PAUSE, &[])]);
    adopt(&mut bench, shell, job);
    bench.settle();
    send(&mut bench, job, number::STOP);
    assert_eq!(bench.status(shell), ExitStatus::Exited(4));
}

#[test]
fn a_parent_with_sa_nocldstop_does_not() {
    let mut bench = Bench::new(256);
    let shell = bench.run(crate::tests::steps(vec![
        crate::signal_tests::handle(17, 7, 9, 1),
        vec![call(PAUSE, &[]), exit(1), exit(4)],
    ]));
    let job = bench.run(vec![call(PAUSE, &[])]);
    adopt(&mut bench, shell, job);
    bench.settle();
    send(&mut bench, job, number::STOP);
    assert_eq!(bench.kernel.next_event(), None);
}

#[test]
fn a_stopped_job_is_hung_up_when_its_shell_ends() {
    let mut bench = Bench::new(256);
    let shell = bench.run(vec![call(PAUSE, &[])]);
    let stopped = bench.run(vec![call(PAUSE, &[])]);
    let running = bench.run(vec![call(PAUSE, &[])]);
    adopt(&mut bench, shell, stopped);
    adopt(&mut bench, shell, running);
    bench.settle();
    send(&mut bench, stopped, number::STOP);
    send(&mut bench, shell, number::KILL);
    assert_eq!(bench.status(shell), ExitStatus::Killed(Signal::KILL));
    let hung_up = ExitStatus::Killed(known(number::HUP));
    assert_eq!(bench.status(stopped), hung_up);
    assert_eq!(bench.kernel.next_event(), None, "the other one goes on");
}

#[test]
fn a_child_joins_groups_of_its_session_until_it_executes() {
    let mut bench = Bench::new(256);
    let shell = bench.run(vec![
        call(SETPGID, &[2, 1]),
        Expect(0),
        call(GETPGID, &[2]),
        Expect(1),
        call(SETPGID, &[2, 0]),
        Expect(0),
        call(GETPGID, &[2]),
        Expect(2),
        call(SETPGID, &[2, 77]),
        Expect(EPERM),
        call(SETPGID, &[2, -1_i64 as u64]),
        Expect(EINVAL),
        call(SETPGID, &[3, 0]),
        Expect(ESRCH),
        call(SETPGID, &[0, 0]),
        Expect(EPERM),
        call(SETPGID, &[4, 0]),
        Expect(EACCES),
        call(GETSID, &[2]),
        Expect(1),
        exit(0),
    ]);
    let child = bench.run(vec![call(PAUSE, &[])]);
    bench.run(vec![call(PAUSE, &[])]);
    let executed = bench.run(vec![call(PAUSE, &[])]);
    assert_eq!((shell, child), (Pid(1), Pid(2)));
    adopt(&mut bench, shell, child);
    adopt(&mut bench, shell, executed);
    let id = bench.id(executed);
    let table = &mut bench.kernel.system.table;
    let process = table.processes.get_mut(id).expect("it exists");
    process.job.has_executed = true;
    bench.settle();
    assert_eq!(bench.status(shell), ExitStatus::Exited(0));
}

#[test]
fn only_who_leads_no_group_begins_a_session() {
    let mut bench = Bench::new(256);
    let shell = bench.run(vec![call(SETSID, &[]), Expect(EPERM), call(PAUSE, &[])]);
    let child = bench.run(vec![
        call(SETPGID, &[0, 1]),
        Expect(0),
        call(SETSID, &[]),
        Expect(2),
        call(GETSID, &[0]),
        Expect(2),
        call(SETSID, &[]),
        Expect(EPERM),
        exit(0),
    ]);
    adopt(&mut bench, shell, child);
    bench.settle();
    assert_eq!(bench.status(child), ExitStatus::Exited(0));
}

#[test]
fn a_group_is_signalled_as_one() {
    let mut bench = Bench::new(256);
    let shell = bench.run(vec![call(PAUSE, &[])]);
    let jobs = [0, 1].map(|_| bench.run(vec![call(PAUSE, &[])]));
    for job in jobs {
        adopt(&mut bench, shell, job);
        let id = bench.id(job);
        let process = bench.kernel.system.table.processes.get_mut(id);
        process.expect("it exists").group = jobs[0].0;
    }
    let sender = bench.run(vec![
        call(KILL, &[-(i64::from(jobs[0].0)) as u64, 15]),
        Expect(0),
        call(KILL, &[-99_i64 as u64, 15]),
        Expect(ESRCH),
        exit(0),
    ]);
    bench.settle();
    assert_eq!(bench.status(sender), ExitStatus::Exited(0));
    for job in jobs {
        assert_eq!(bench.status(job), ExitStatus::Killed(Signal::TERM));
    }
}
