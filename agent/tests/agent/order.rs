//! The ordering rules of lifecycle and streams (gcs-protocol §8, §9) that no other conversation names.

use crate::stage::*;
use agent::kernel::{End, ExitStatus, OutputStream};
use agent::limits::{FAREWELL_MS, STREAM_DIAL_MS};
use fakes::kernel::State;
use fakes::vsock::Answer;
use serde_json::{Value, json};

fn pipes() -> Value {
    json!({"CommandArgs": ["a"], "CreateStdInPipe": true, "CreateStdOutPipe": true, "CreateStdErrPipe": true})
}

/// §9.2: all requested streams stand before the process runs and before the response.
#[test]
fn a_process_runs_only_when_the_last_of_its_streams_stands() {
    for last in 0..3 {
        let mut stage = Stage::negotiated();
        for port in STREAMS {
            stage.vsock.on_call(port, Answer::Ring);
        }
        stage.send(EXECUTE, &execute_request(NULL_ID, &pipes()));
        let streams = stage.streams();
        for (index, stream) in streams.iter().enumerate() {
            if index != last {
                stage.vsock.answer(*stream, Answer::Accept);
                stage.run();
            }
        }
        assert_eq!(stage.kernel.at(101).state, State::Stopped);
        stage.assert_silent();
        stage.vsock.answer(streams[last], Answer::Accept);
        stage.run();
        assert_eq!(stage.kernel.at(101).state, State::Running);
        assert_eq!(stage.receive().unwrap().result(), 0);
    }
}

/// §9.1, §9.2: one dial for each port, in the order stdin, stdout, stderr, and only for what was asked for.
#[test]
fn each_stream_that_was_asked_for_is_dialled_once_and_no_other() {
    for mask in 0..8_usize {
        let wanted: Vec<u32> = (0..3)
            .filter(|bit| mask & (1 << bit) != 0)
            .map(|bit| STREAMS[bit])
            .collect();
        let mut stage = Stage::negotiated();
        let before = stage.vsock.dials.len();
        let mut parameters = json!({"CommandArgs": ["a"]});
        for (bit, name) in ["CreateStdInPipe", "CreateStdOutPipe", "CreateStdErrPipe"]
            .iter()
            .enumerate()
        {
            if mask & (1 << bit) != 0 {
                parameters[*name] = json!(true);
            }
        }
        stage.execute(NULL_ID, &parameters);
        let dials: Vec<u32> = stage.vsock.dials[before..]
            .iter()
            .map(|(port, _)| port.0)
            .collect();
        assert_eq!(dials, wanted);
        let stdio = stage.kernel.at(101).stdio;
        for (bit, end) in [stdio.stdin, stdio.stdout, stdio.stderr]
            .into_iter()
            .enumerate()
        {
            let pipe = mask & (1 << bit) != 0;
            assert_eq!(end, if pipe { End::Pipe } else { End::Null }, "{mask}");
        }
    }
}

/// §9.2: a failed dial closes what stands already, and the process never runs.
#[test]
fn a_dial_that_fails_takes_the_other_streams_with_it() {
    for refused in 0..3 {
        let mut stage = Stage::negotiated();
        let held = stage.vsock.held();
        stage.vsock.on_call(STREAMS[refused], Answer::Refuse);
        let response = stage.ask(EXECUTE, &execute_request(NULL_ID, &pipes()));
        assert_eq!(response.result(), FAIL);
        let name = ["stdin", "stdout", "stderr"][refused];
        assert!(response.error().contains(name), "{}", response.error());
        assert_eq!(stage.vsock.held(), held);
        assert_eq!(stage.kernel.at(101).state, State::Gone);
    }
}

/// §9.2: an init whose streams could not be dialled waits on, and can be executed again.
#[test]
fn an_init_whose_dial_failed_can_be_executed_again() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    stage.vsock.on_call(STREAMS[1], Answer::Refuse);
    let request = execute_request("x", &json!({"CreateStdOutPipe": true}));
    assert_eq!(stage.ask(EXECUTE, &request).result(), FAIL);
    assert_eq!(stage.kernel.at(101).state, State::Stopped);
    stage.vsock.on_call(STREAMS[1], Answer::Accept);
    assert_eq!(stage.ask(EXECUTE, &request).result(), 0);
}

/// §9.2: a pipe without a port is refused and nothing is dialled.
#[test]
fn a_pipe_without_a_port_is_refused_before_anything_is_dialled() {
    let mut stage = Stage::negotiated();
    let dials = stage.vsock.dials.len();
    let request = json!({"ContainerId": NULL_ID, "Settings": {
        "ProcessParameters": pipes().to_string(),
        "VsockStdioRelaySettings": {"StdIn": STREAMS[0], "StdErr": STREAMS[2]}
    }});
    let response = stage.ask(EXECUTE, &request);
    assert_eq!(response.result(), FAIL);
    assert!(response.error().contains("stdout"));
    assert_eq!(stage.vsock.dials.len(), dials);
    assert!(
        stage.kernel.processes.is_empty(),
        "nothing was loaded either"
    );
}

/// §9.2: a container that is killed while its streams are dialled refuses the request and ends as any other.
#[test]
fn an_init_killed_while_its_streams_ring_is_refused_and_notified_once() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    stage.vsock.on_call(STREAMS[1], Answer::Ring);
    let execute = stage.send(
        EXECUTE,
        &execute_request("x", &json!({"CreateStdOutPipe": true})),
    );
    let wait = stage.send_wait("x", 101, INFINITE);
    assert_eq!(stage.ask_beside(SHUTDOWN_FORCED, &base("x")), 0);
    stage.wait_ms(STREAM_DIAL_MS);
    let mut frames: Vec<Frame> = std::iter::from_fn(|| stage.receive()).collect();
    let notice = frames.pop().unwrap();
    assert_eq!(notice.message, NOTIFICATION);
    let mut answered: Vec<(u64, u32)> = frames
        .iter()
        .map(|frame| (frame.id, frame.result()))
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, [(execute, FAIL), (wait, 0)]);
}

/// §9.3: CloseStdin on a back end that turns a half-close into a full one is still the end of the input.
#[test]
fn the_end_of_the_input_is_found_behind_its_bytes_however_the_back_end_tells_it() {
    for full_close in [false, true] {
        let mut stage = Stage::negotiated();
        let pid = stage.external("cat");
        let [stdin, stdout, _] = stage.streams();
        stage.kernel.at(pid).stdin_room = 4;
        stage.vsock.host_write(stdin, b"0123456789");
        if full_close {
            stage.vsock.host_close(stdin);
        } else {
            stage.vsock.host_end(stdin);
        }
        stage.run();
        let mut read = Vec::new();
        for _ in 0..4 {
            assert!(!stage.kernel.at(pid).stdin_closed || read.len() >= 6);
            read.extend(stage.kernel.read(pid));
            stage.run();
        }
        assert_eq!(read, b"0123456789", "{full_close}");
        assert!(stage.kernel.at(pid).stdin_closed);
        // The output goes on.
        stage.kernel.write(pid, OutputStream::Stdout, b"still");
        stage.run();
        assert_eq!(stage.vsock.host_read(stdout), b"still");
    }
}

/// §9.3: on exit the input's receive side ends, so that the host's later writes fail; and its end is not waited for.
#[test]
fn an_input_the_host_never_ends_delays_no_exit() {
    let mut stage = Stage::negotiated();
    let pid = stage.external("cat");
    let [stdin, ..] = stage.streams();
    stage.send_wait(NULL_ID, pid, INFINITE);
    stage.vsock.host_write(stdin, b"unread");
    stage.exit(pid, 0);
    assert_eq!(stage.receive().unwrap().body["ExitCode"], 0);
    stage.wait_ms(FAREWELL_MS);
    assert!(!stage.vsock.is_held(stdin));
}

/// §8.3: the exit code is told when both outputs are out, whichever is last.
#[test]
fn an_exit_waits_for_the_slower_of_both_outputs() {
    for slow in 1..3 {
        let mut stage = Stage::negotiated();
        let pid = stage.external("both");
        let streams = stage.streams();
        stage.send_wait(NULL_ID, pid, INFINITE);
        stage.kernel.write(pid, OutputStream::Stdout, b"out");
        stage.kernel.write(pid, OutputStream::Stderr, b"err");
        stage.exit(pid, 0);
        stage.vsock.host_read(streams[3 - slow]);
        stage.run();
        stage.assert_silent();
        stage.vsock.host_read(streams[slow]);
        stage.run();
        assert_eq!(stage.receive().unwrap().body["ExitCode"], 0);
    }
}

/// §8.3: what one process's host does not read delays no other process.
#[test]
fn a_stalled_stream_delays_the_exit_of_its_own_process_alone() {
    let mut stage = Stage::negotiated();
    let stalled = stage.external("stalled");
    let quiet = stage.quiet("quiet");
    stage
        .kernel
        .write(stalled, OutputStream::Stdout, b"never read");
    for pid in [stalled, quiet] {
        stage.send_wait(NULL_ID, pid, INFINITE);
        stage.kernel.exit(pid, ExitStatus::Exited(0));
    }
    stage.run();
    assert!(stage.receive().is_some());
    stage.assert_silent();
}

/// §7.4: waits of any kind on one process are answered independently.
#[test]
fn several_waits_with_and_without_time_outs_end_each_in_its_own_way() {
    let mut stage = Stage::negotiated();
    let pid = stage.quiet("spin");
    let short = stage.send_wait(NULL_ID, pid, 10);
    let long = stage.send_wait(NULL_ID, pid, 1000);
    let endless = stage.send_wait(NULL_ID, pid, INFINITE);
    stage.wait_ms(10);
    let answer = stage.receive().unwrap();
    assert_eq!((answer.id, answer.result()), (short, TIMEOUT));
    stage.exit(pid, 6);
    for wait in [long, endless] {
        let answer = stage.receive().unwrap();
        assert_eq!((answer.id, &answer.body["ExitCode"]), (wait, &json!(6)));
    }
    stage.wait_ms(1000);
    stage.assert_silent();
}

/// §7.4: the exit code of an init is retained until its container is deleted, however often it is asked for.
#[test]
fn an_inits_exit_code_is_told_until_its_container_is_deleted() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    let init = stage.execute("x", &json!({}));
    stage.send_wait("x", init, INFINITE);
    stage.exit(init, 5);
    while stage.receive().is_some() {}
    for ms in [0, 50, INFINITE] {
        assert_eq!(
            stage.ask(WAIT, &wait_request("x", init, ms)).body["ExitCode"],
            5
        );
    }
    assert_eq!(stage.ask(DELETE, &base("x")).result(), 0);
    assert_eq!(
        stage.ask(WAIT, &wait_request("x", init, 0)).result(),
        NO_CONTAINER
    );
}

/// §7.4: an exit nobody waited for is retained.
#[test]
fn a_wait_after_the_exit_learns_it() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    stage.execute("x", &json!({}));
    let further = stage.execute("x", &json!({"OciProcess": {"args": ["a"], "cwd": "/"}}));
    let external = stage.quiet("b");
    for (id, pid) in [("x", further), (NULL_ID, external)] {
        stage.exit(pid, 8);
        stage.wait_ms(3_600_000);
        assert_eq!(
            stage.ask(WAIT, &wait_request(id, pid, 0)).body["ExitCode"],
            8
        );
    }
}

/// §7.4: an infinite wait that was answered is gone; its time never comes again.
#[test]
fn a_deleted_container_leaves_no_wait_unanswered() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    let init = stage.execute("x", &json!({}));
    let further = stage.execute("x", &json!({"OciProcess": {"args": ["a"], "cwd": "/"}}));
    let waits = [init, further].map(|pid| stage.send_wait("x", pid, INFINITE));
    stage.send(DELETE, &base("x"));
    let mut answered: Vec<u64> = std::iter::from_fn(|| stage.receive())
        .filter(|frame| frame.message == 0x2010_0601)
        .map(|frame| frame.id)
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, waits);
}

/// §3.1: a response repeats its request's id, whatever the order.
#[test]
fn responses_come_in_the_order_in_which_they_can_be_given() {
    let mut stage = Stage::negotiated();
    stage.kernel.loads_at_once = false;
    let slow = stage.send(
        EXECUTE,
        &execute_request(NULL_ID, &json!({"CommandArgs": ["a"]})),
    );
    assert_eq!(stage.ask(START, &base("x")).result(), 0);
    stage.kernel.load(101);
    stage.run();
    assert_eq!(stage.receive().unwrap().id, slow);
}

/// §4: every number the protocol does not know is answered by its own response type.
#[test]
fn unknown_types_are_answered_with_their_top_nibble_replaced() {
    let mut stage = Stage::negotiated();
    for message in [
        0,
        1,
        0x1010_0000,
        0x1010_1001,
        0x1fff_ff01,
        0x2010_0101,
        0x3010_0101,
        0x7000_0000,
        u32::MAX,
    ] {
        assert_eq!(stage.ask(message, &base("x")).result(), NOT_IMPLEMENTED);
    }
}
