//! How things end: waits, notifications, deletion, the bridge (gcs-protocol §8.3, §8.4).

use crate::stage::*;
use agent::kernel::{ExitStatus, OutputStream, Signal};
use agent::limits::{MAX_WAITERS, WAIT_GRACE_MS};
use fakes::kernel::State;
use serde_json::json;

#[test]
fn output_then_wait_then_notification() {
    let mut stage = Stage::negotiated();
    let init = stage.container("x");
    let wait = stage.send_wait("x", init, INFINITE);
    let [stdin, stdout, stderr] = stage.streams();
    stage
        .kernel
        .write(init, OutputStream::Stdout, b"last words");
    stage.kernel.write(init, OutputStream::Stderr, b"last sigh");
    stage.exit(init, 7);
    assert!(!stage.vsock.is_held(stdin));
    stage.assert_silent();
    assert_eq!(stage.vsock.host_read(stdout), b"last words");
    stage.run();
    stage.assert_silent();
    assert_eq!(stage.vsock.host_read(stderr), b"last sigh");
    stage.run();
    assert!(stage.vsock.host_sees_end(stdout) && stage.vsock.host_sees_end(stderr));
    let answer = stage.receive().unwrap();
    assert_eq!((answer.id, &answer.body["ExitCode"]), (wait, &json!(7)));
    let notice = stage.receive().unwrap();
    assert_eq!((notice.message, notice.id), (NOTIFICATION, 0));
    assert_eq!(
        notice.text,
        format!(
            "{{\"ContainerId\":\"x\",\"ActivityId\":\"{NULL_ID}\",\"Type\":\"UnexpectedExit\",\"Operation\":\"None\",\"Result\":0}}"
        )
    );
    stage.wait_ms(60_000);
    stage.assert_silent();
}

#[test]
fn every_wait_of_a_process_is_answered() {
    let mut stage = Stage::negotiated();
    let init = stage.container("x");
    let waits: Vec<u64> = (0..3)
        .map(|_| stage.send_wait("x", init, INFINITE))
        .collect();
    stage.kernel.exit(init, ExitStatus::Killed(Signal::SEGV));
    stage.run();
    for wait in waits {
        let answer = stage.receive().unwrap();
        assert_eq!((answer.id, &answer.body["ExitCode"]), (wait, &json!(139)));
    }
    assert_eq!(stage.receive().unwrap().message, NOTIFICATION);
}

#[test]
fn a_wait_behind_the_exit_is_answered_before_the_notification() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    let init = stage.execute("x", &json!({}));
    stage.exit(init, 0);
    stage.wait_ms(WAIT_GRACE_MS - 1);
    stage.assert_silent();
    assert_eq!(
        stage.ask(WAIT, &wait_request("x", init, INFINITE)).body["ExitCode"],
        0
    );
    assert_eq!(stage.receive().unwrap().message, NOTIFICATION);
    let again = stage.ask(WAIT, &wait_request("x", init, 0));
    assert_eq!(
        again.body["ExitCode"], 0,
        "init's code is kept until deletion"
    );
    stage.assert_silent();
}

#[test]
fn a_container_nobody_waits_for_is_notified_after_its_grace() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    let init = stage.execute("x", &json!({}));
    stage.exit(init, 0);
    assert!(stage.next_deadline > stage.now);
    stage.wait_ms(WAIT_GRACE_MS);
    assert_eq!(stage.receive().unwrap().message, NOTIFICATION);
}

#[test]
fn a_container_that_never_ran_is_notified_at_once() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    assert_eq!(stage.ask(SHUTDOWN_FORCED, &base("x")).result(), 0);
    let notice = stage.receive().unwrap();
    assert_eq!(notice.body["Type"], "ForcedExit");
}

#[test]
fn the_last_term_or_kill_delivered_to_init_names_the_end() {
    for (signals, name) in [
        (&[][..], "UnexpectedExit"),
        (&[1], "UnexpectedExit"),
        (&[15], "GracefulExit"),
        (&[15, 9], "ForcedExit"),
        (&[9, 15, 2], "GracefulExit"),
    ] {
        let mut stage = Stage::negotiated();
        stage.kernel.ignored = vec![Signal::TERM, Signal::KILL];
        stage.create("x");
        let init = stage.execute("x", &json!({}));
        stage.send_wait("x", init, INFINITE);
        for signal in signals {
            let request =
                json!({"ContainerId": "x", "ProcessId": init, "Options": {"Signal": signal}});
            assert_eq!(stage.ask(SIGNAL, &request).result(), 0);
        }
        stage.exit(init, 0);
        assert_eq!(stage.receive().unwrap().message, 0x2010_0601);
        assert_eq!(stage.receive().unwrap().body["Type"], name, "{signals:?}");
    }
}

#[test]
fn shutdown_is_a_signal_and_an_exited_container_is_already_stopped() {
    for (message, code, name) in [
        (SHUTDOWN_GRACEFUL, 143, "GracefulExit"),
        (SHUTDOWN_FORCED, 137, "ForcedExit"),
    ] {
        let mut stage = Stage::negotiated();
        stage.create("x");
        let init = stage.execute("x", &json!({}));
        let wait = stage.send_wait("x", init, INFINITE);
        assert_eq!(stage.ask(message, &base("x")).result(), 0);
        let answer = stage.receive().unwrap();
        assert_eq!((answer.id, &answer.body["ExitCode"]), (wait, &json!(code)));
        assert_eq!(stage.receive().unwrap().body["Type"], name);
        assert_eq!(stage.ask(message, &base("x")).result(), STOPPED);
        assert_eq!(stage.ask(message, &base("y")).result(), NO_CONTAINER);
        let exec = execute_request("x", &json!({"OciProcess": {"args": ["a"]}}));
        assert_eq!(stage.ask(EXECUTE, &exec).result(), STOPPED);
    }
}

#[test]
fn init_takes_the_rest_of_its_container_with_it() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    let init = stage.execute("x", &json!({}));
    let exec = stage.execute("x", &json!({"OciProcess": {"args": ["sleep"]}}));
    let outside = stage.quiet("spin");
    stage.exit(init, 0);
    assert_eq!(stage.kernel.at(exec).signals, [Signal::KILL]);
    assert!(stage.kernel.at(outside).signals.is_empty());
}

#[test]
fn waits_time_out_at_their_time_and_not_before() {
    let mut stage = Stage::negotiated();
    let pid = stage.quiet("spin");
    let wait = stage.send_wait(NULL_ID, pid, 50);
    assert_eq!(
        stage.next_deadline,
        stage.now + core::time::Duration::from_millis(50)
    );
    stage.wait_ms(49);
    stage.assert_silent();
    stage.wait_ms(1);
    let answer = stage.receive().unwrap();
    assert_eq!((answer.id, answer.result()), (wait, TIMEOUT));
    let now = stage.ask(WAIT, &wait_request(NULL_ID, pid, 0));
    assert_eq!(now.result(), TIMEOUT, "zero is a real time-out");
    stage.exit(pid, 3);
    let exit = stage.ask(WAIT, &wait_request(NULL_ID, pid, 0));
    assert_eq!(exit.body["ExitCode"], 3, "an exit code is preferred");
}

#[test]
fn an_infinite_wait_has_no_end() {
    let mut stage = Stage::negotiated();
    let pid = stage.quiet("spin");
    stage.send_wait(NULL_ID, pid, INFINITE);
    stage.wait_ms(u64::from(u32::MAX) * 2);
    stage.assert_silent();
}

#[test]
fn an_exit_code_is_learnt_once_by_a_session() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    stage.execute("x", &json!({}));
    let exec = stage.execute("x", &json!({"OciProcess": {"args": ["a"]}}));
    let external = stage.quiet("b");
    for (id, pid) in [("x", exec), (NULL_ID, external)] {
        stage.exit(pid, 4);
        let wait = wait_request(id, pid, INFINITE);
        assert_eq!(stage.ask(WAIT, &wait).body["ExitCode"], 4);
        assert_eq!(stage.ask(WAIT, &wait).result(), NOT_FOUND);
    }
}

#[test]
fn waits_for_nobody_are_refused() {
    let mut stage = Stage::negotiated();
    let init = stage.container("x");
    for (id, pid, result) in [
        ("x", 9, NOT_FOUND),
        (NULL_ID, 9, NOT_FOUND),
        (NULL_ID, init, NOT_FOUND),
        ("y", init, NO_CONTAINER),
    ] {
        assert_eq!(
            stage.ask(WAIT, &wait_request(id, pid, INFINITE)).result(),
            result
        );
    }
}

#[test]
fn waits_are_kept_up_to_their_limit_and_one_more_is_refused_by_its_name() {
    let mut stage = Stage::negotiated();
    let pid = stage.quiet("spin");
    for _ in 0..MAX_WAITERS {
        stage.send_wait(NULL_ID, pid, INFINITE);
    }
    stage.assert_silent();
    let response = stage.ask(WAIT, &wait_request(NULL_ID, pid, INFINITE));
    assert_eq!(
        response.error(),
        format!("limit reached: MAX_WAITERS = {MAX_WAITERS}")
    );
    stage.exit(pid, 0);
    for _ in 0..MAX_WAITERS {
        assert_eq!(stage.receive().unwrap().body["ExitCode"], 0);
    }
}

#[test]
fn a_deleted_container_is_unknown_and_its_view_is_gone() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    let init = stage.execute("x", &json!({}));
    stage.send_wait("x", init, INFINITE);
    stage.exit(init, 0);
    stage.receive().unwrap();
    stage.receive().unwrap();
    assert_eq!(stage.ask(DELETE, &base("x")).result(), 0);
    assert_eq!(stage.ask(DELETE, &base("x")).result(), NO_CONTAINER);
    assert_eq!(
        stage.ask(WAIT, &wait_request("x", init, 50)).result(),
        NO_CONTAINER
    );
    assert!(stage.kernel.views.is_empty());
    assert_eq!(stage.create("x").result(), 0);
}

#[test]
fn a_created_container_can_be_deleted_and_its_init_ends() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    assert_eq!(stage.ask(DELETE, &base("x")).result(), 0);
    assert_eq!(stage.receive().unwrap().message, NOTIFICATION);
    assert_eq!(stage.kernel.at(101).state, State::Gone);
    assert!(stage.kernel.views.is_empty());
    stage.wait_ms(60_000);
    stage.assert_silent();
}

#[test]
fn a_running_container_is_deleted_with_an_error_killed_and_still_notified_once() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    let init = stage.execute("x", &json!({}));
    let exec = stage.execute("x", &json!({"OciProcess": {"args": ["a"]}}));
    let wait = stage.send_wait("x", init, INFINITE);
    assert_eq!(stage.ask(DELETE, &base("x")).result(), INVALID_STATE);
    assert_eq!(stage.receive().unwrap().id, wait);
    assert_eq!(stage.receive().unwrap().message, NOTIFICATION);
    stage.assert_silent();
    assert_eq!(stage.kernel.at(exec).signals, [Signal::KILL]);
    assert!(stage.kernel.views.is_empty());
}
