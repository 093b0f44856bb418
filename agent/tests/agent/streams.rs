//! Standard streams: bytes both ways, back-pressure, ends (gcs-protocol §9.3).

use crate::stage::*;
use agent::kernel::OutputStream;
use agent::limits::DRAIN_MS;
use fakes::kernel::State;

#[test]
fn input_arrives_in_order_and_ends() {
    let mut stage = Stage::negotiated();
    let pid = stage.external("cat");
    let [stdin, ..] = stage.streams();
    stage.vsock.host_write(stdin, b"one ");
    stage.run();
    stage.vsock.host_write(stdin, b"two");
    stage.vsock.host_end(stdin);
    stage.run();
    assert!(stage.kernel.at(pid).stdin_closed);
    assert_eq!(stage.kernel.read(pid), b"one two");
}

#[test]
fn input_a_program_does_not_read_stays_with_the_host() {
    let mut stage = Stage::negotiated();
    let pid = stage.external("slow");
    let [stdin, ..] = stage.streams();
    stage.kernel.at(pid).stdin_room = 10;
    stage.vsock.host_write(stdin, &[b'x'; 25]);
    stage.vsock.host_end(stdin);
    stage.run();
    let mut read = Vec::new();
    for _ in 0..3 {
        assert!(stage.kernel.at(pid).stdin.len() <= 10);
        read.extend(stage.kernel.read(pid));
        stage.run();
    }
    assert_eq!(read.len(), 25);
    assert!(stage.kernel.at(pid).stdin_closed);
}

#[test]
fn input_nobody_reads_any_more_is_unwelcome() {
    let mut stage = Stage::negotiated();
    let pid = stage.external("true");
    let [stdin, ..] = stage.streams();
    stage.kernel.break_input(pid);
    stage.vsock.host_write(stdin, b"x");
    stage.run();
    assert!(stage.vsock.is_unwelcome(stdin));
    assert_eq!(stage.kernel.at(pid).state, State::Running);
}

#[test]
fn what_arrived_before_a_reset_is_still_read() {
    let mut stage = Stage::negotiated();
    let pid = stage.external("cat");
    let [stdin, ..] = stage.streams();
    stage.vsock.host_write(stdin, b"x");
    stage.vsock.host_reset(stdin);
    stage.run();
    assert_eq!(stage.kernel.read(pid), b"x");
    assert!(stage.kernel.at(pid).stdin_closed);
}

#[test]
fn outputs_do_not_mix() {
    let mut stage = Stage::negotiated();
    let pid = stage.external("both");
    let [_, stdout, stderr] = stage.streams();
    stage.kernel.write(pid, OutputStream::Stdout, b"out");
    stage.kernel.write(pid, OutputStream::Stderr, b"err");
    stage.run();
    assert_eq!(stage.vsock.host_read(stdout), b"out");
    assert_eq!(stage.vsock.host_read(stderr), b"err");
}

#[test]
fn a_host_that_reads_nothing_stalls_that_program_alone() {
    let mut stage = Stage::negotiated();
    stage.vsock.set_window(1024);
    let pid = stage.external("yes");
    let [_, stdout, stderr] = stage.streams();
    stage.kernel.write(pid, OutputStream::Stdout, &[b'y'; 5000]);
    stage.kernel.write(pid, OutputStream::Stderr, b"still here");
    stage.run();
    assert_eq!(stage.kernel.unread(pid, OutputStream::Stdout), 5000 - 1024);
    assert_eq!(stage.vsock.host_read(stderr), b"still here");
    stage.wait_ms(10 * DRAIN_MS);
    assert_eq!(stage.ask(START, &base("x")).result(), 0);
    assert_eq!(stage.kernel.unread(pid, OutputStream::Stdout), 5000 - 1024);
    let mut read = 0;
    for _ in 0..10 {
        read += stage.vsock.host_read(stdout).len();
        stage.run();
    }
    assert_eq!(read, 5000);
}

#[test]
fn a_host_that_closes_early_breaks_the_pipe_and_not_the_program() {
    let mut stage = Stage::negotiated();
    let pid = stage.external("yes");
    let [_, stdout, stderr] = stage.streams();
    stage.vsock.host_close(stdout);
    stage.vsock.host_reset(stderr);
    stage.run();
    assert!(!stage.kernel.write(pid, OutputStream::Stdout, b"y"));
    assert!(!stage.kernel.write(pid, OutputStream::Stderr, b"y"));
    assert_eq!(stage.kernel.at(pid).state, State::Running);
    stage.send_wait(NULL_ID, pid, INFINITE);
    stage.exit(pid, 1);
    assert_eq!(stage.receive().unwrap().body["ExitCode"], 1);
}

#[test]
fn a_host_that_only_ends_its_own_sending_still_gets_the_output() {
    let mut stage = Stage::negotiated();
    let pid = stage.external("late");
    let [_, stdout, stderr] = stage.streams();
    stage.vsock.host_end(stdout);
    stage.vsock.host_end(stderr);
    stage.run();
    stage.kernel.write(pid, OutputStream::Stdout, b"late");
    stage.run();
    stage.send_wait(NULL_ID, pid, INFINITE);
    stage.exit(pid, 0);
    stage.assert_silent();
    assert_eq!(stage.vsock.host_read(stdout), b"late");
    stage.run();
    assert_eq!(stage.receive().unwrap().body["ExitCode"], 0);
}

#[test]
fn an_exit_is_told_twenty_seconds_after_the_last_byte_a_stalled_host_took() {
    let mut stage = Stage::negotiated();
    let pid = stage.external("yes");
    stage.vsock.set_window(10);
    let [_, stdout, stderr] = stage.streams();
    stage.send_wait(NULL_ID, pid, INFINITE);
    stage.kernel.write(pid, OutputStream::Stdout, &[b'y'; 100]);
    stage.exit(pid, 0);
    stage.vsock.host_close(stderr);
    stage.wait_ms(DRAIN_MS - 1);
    assert_eq!(stage.vsock.host_read_some(stdout, 1), b"y");
    stage.run();
    stage.wait_ms(DRAIN_MS - 1);
    stage.assert_silent();
    stage.vsock.set_window(1 << 16);
    stage.wait_ms(1);
    assert_eq!(stage.receive().unwrap().body["ExitCode"], 0);
    assert!(!stage.vsock.is_held(stdout));
    assert_eq!(stage.kernel.at(pid).state, State::Gone);
}

#[test]
fn a_host_that_has_taken_everything_delays_no_exit_by_keeping_its_end_open() {
    let mut stage = Stage::negotiated();
    let pid = stage.external("true");
    let [_, stdout, stderr] = stage.streams();
    stage.send_wait(NULL_ID, pid, INFINITE);
    stage.exit(pid, 0);
    assert_eq!(stage.receive().unwrap().body["ExitCode"], 0);
    assert!(stage.vsock.host_sees_end(stdout) && stage.vsock.host_sees_end(stderr));
}

#[test]
fn what_a_host_sends_on_an_output_is_read_away() {
    let mut stage = Stage::negotiated();
    let pid = stage.external("late");
    let [_, stdout, _] = stage.streams();
    stage.vsock.host_write(stdout, &[b'?'; 1000]);
    stage.run();
    stage.kernel.write(pid, OutputStream::Stdout, b"late");
    stage.run();
    assert_eq!(stage.vsock.host_read(stdout), b"late");
    assert_eq!(stage.kernel.at(pid).state, State::Running);
    assert_eq!(stage.kernel.read(pid), b"");
}

#[test]
fn a_full_connection_table_is_tried_again_and_then_refused_by_name() {
    let mut stage = Stage::negotiated();
    let held = stage.vsock.held();
    stage.vsock.set_limit(held + 1);
    let parameters = serde_json::json!({"CommandArgs": ["a"], "CreateStdOutPipe": true, "CreateStdErrPipe": true});
    stage.send(EXECUTE, &execute_request(NULL_ID, &parameters));
    stage.wait_ms(1000);
    stage.assert_silent();
    stage.vsock.set_limit(held + 2);
    stage.wait_ms(1);
    assert_eq!(stage.receive().unwrap().result(), 0);
    stage.send(EXECUTE, &execute_request(NULL_ID, &parameters));
    stage.wait_ms(agent::limits::STREAM_DIAL_MS);
    let refused = stage.receive().unwrap();
    assert!(
        refused
            .error()
            .starts_with("limit reached: MAX_CONNECTIONS"),
        "{}",
        refused.error()
    );
}
