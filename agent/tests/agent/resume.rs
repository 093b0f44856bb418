//! The bridge drops: what lives on, what a host that comes back is owed, and what a new one is not told (gcs-protocol §2.3).

use crate::stage::*;
use agent::kernel::{ExitStatus, OutputStream};
use agent::limits::{REDIAL_MS, WAIT_GRACE_MS};
use fakes::kernel::State;
use fakes::vsock::Answer;
use serde_json::json;

impl Stage {
    /// Negotiates under the id `id`.
    fn negotiate_as(&mut self, id: u64) {
        self.next_id = id;
        let versions = json!({"MinimumVersion": 4, "MaximumVersion": 4});
        assert_eq!(self.ask(NEGOTIATE, &versions).result(), 0);
    }

    /// The host goes on with its session on the connection that stands.
    fn go_on(&mut self) {
        self.negotiate_as(self.next_id);
    }

    /// The host goes on with its session on a new connection.
    fn resume(&mut self) {
        self.hang_up();
        self.go_on();
    }

    /// Another host comes, or the same without its memory.
    fn begin_anew(&mut self) {
        self.hang_up();
        self.negotiate_as(0);
    }
}

#[test]
fn an_id_that_is_not_above_every_one_seen_begins_a_new_session() {
    for (id, resumed) in [
        (0, false),
        (1, false),
        (40, false),
        (41, true),
        (1 << 40, true),
    ] {
        let mut stage = Stage::negotiated();
        let pid = stage.quiet("a");
        stage.next_id = 40;
        stage.send_wait(NULL_ID, pid, INFINITE);
        stage.hang_up();
        stage.exit(pid, 3);
        stage.negotiate_as(id);
        match stage.receive() {
            Some(answer) => assert_eq!((answer.id, resumed), (40, true), "{id}"),
            None => assert!(!resumed, "{id}"),
        }
    }
}

#[test]
fn ids_count_from_the_beginning_of_the_newest_session() {
    let mut stage = Stage::negotiated();
    stage.next_id = 1000;
    assert_eq!(stage.ask(START, &base("x")).result(), 0);
    stage.begin_anew();
    let pid = stage.quiet("a");
    let wait = stage.send_wait(NULL_ID, pid, INFINITE);
    stage.resume();
    assert!(stage.next_id < 1000);
    stage.exit(pid, 1);
    assert_eq!(stage.receive().unwrap().id, wait);
}

#[test]
fn a_refused_negotiation_decides_nothing() {
    let mut stage = Stage::negotiated();
    let pid = stage.quiet("a");
    let wait = stage.send_wait(NULL_ID, pid, INFINITE);
    stage.hang_up();
    let refused = stage.ask(
        NEGOTIATE,
        &json!({"MinimumVersion": 5, "MaximumVersion": 6}),
    );
    assert_eq!(refused.result(), 0xc037_010c);
    stage.go_on();
    stage.exit(pid, 1);
    assert_eq!(stage.receive().unwrap().id, wait);
}

#[test]
fn a_session_that_goes_on_can_be_told_again_what_it_learnt_on_the_connection_that_was_lost() {
    let mut stage = Stage::negotiated();
    let pid = stage.quiet("a");
    let wait = wait_request(NULL_ID, pid, INFINITE);
    stage.send(WAIT, &wait);
    stage.exit(pid, 5);
    for _ in 0..3 {
        stage.resume();
        assert_eq!(stage.ask(WAIT, &wait).body["ExitCode"], 5);
        assert_eq!(stage.ask(WAIT, &wait).result(), NOT_FOUND);
    }
}

/// A host that is owed everything it can be, and takes no more than `window` bytes of it.
fn owed(window: usize) -> Stage {
    let mut stage = Stage::negotiated();
    let init = stage.container("x");
    let streams = stage.streams();
    let external = stage.quiet("a");
    stage.send_wait(NULL_ID, external, INFINITE);
    stage.send_wait("x", init, INFINITE);
    stage.kernel.loads_at_once = false;
    let parameters = json!({"CommandArgs": ["b"]});
    stage.send(EXECUTE, &execute_request(NULL_ID, &parameters));
    stage.vsock.set_window(window);
    stage.send(START, &base("x"));
    stage.exit(external, 1);
    stage.kernel.load(init + 2);
    stage.exit(init, 2);
    for stream in streams {
        stage.vsock.host_close(stream);
    }
    stage.run();
    stage
}

/// §2.3: what a lost connection has taken may have been read, and an answer that comes twice ends the host's bridge; what it
/// has not taken to its end was not read, and is told the host that comes back.
#[test]
fn what_the_lost_connection_had_not_taken_is_told_on_the_next_one_under_its_old_id() {
    let mut stage = owed(1 << 20);
    let all: Vec<_> = std::iter::from_fn(|| stage.receive())
        .map(|frame| (frame.message, frame.id, 16 + frame.text.len()))
        .collect();
    let kinds: Vec<u32> = all.iter().map(|frame| frame.0).collect();
    let [start, wait, execute] =
        [START, WAIT, EXECUTE].map(|kind| kind & 0x0fff_ffff | 0x2000_0000);
    assert_eq!(kinds, [start, wait, execute, wait, NOTIFICATION]);
    let total: usize = all.iter().map(|frame| frame.2).sum();
    for taken in 1..=total {
        let mut ends = 0;
        let expected: Vec<_> = all
            .iter()
            .skip_while(|frame| {
                ends += frame.2;
                ends <= taken
            })
            .collect();
        for resumed in [true, false] {
            let mut stage = owed(taken);
            stage.hang_up();
            stage.vsock.set_window(1 << 20);
            stage.run();
            stage.assert_silent();
            stage.negotiate_as(if resumed { stage.next_id } else { 0 });
            let told = std::iter::from_fn(|| stage.receive());
            let told: Vec<_> = told.map(|frame| (frame.message, frame.id)).collect();
            let owed = expected.iter().filter(|_| resumed);
            let owed: Vec<_> = owed.map(|frame| (frame.0, frame.1)).collect();
            assert_eq!(told, owed, "{taken} bytes were taken");
        }
    }
}

#[test]
fn a_wait_sent_again_on_a_new_connection_is_answered_beside_the_old_one() {
    let mut stage = Stage::negotiated();
    let pid = stage.quiet("a");
    let old = stage.send_wait(NULL_ID, pid, INFINITE);
    stage.resume();
    let new = stage.send_wait(NULL_ID, pid, INFINITE);
    stage.exit(pid, 9);
    for id in [old, new] {
        let answer = stage.receive().unwrap();
        assert_eq!((answer.id, &answer.body["ExitCode"]), (id, &json!(9)));
    }
    stage.assert_silent();
}

#[test]
fn a_wait_that_timed_out_in_the_gap_says_so_under_its_old_id() {
    let mut stage = Stage::negotiated();
    let pid = stage.quiet("a");
    let wait = stage.send_wait(NULL_ID, pid, 50);
    stage.hang_up();
    stage.wait_ms(1000);
    stage.go_on();
    let answer = stage.receive().unwrap();
    assert_eq!((answer.id, answer.result()), (wait, TIMEOUT));
}

#[test]
fn nothing_but_answers_leaves_before_a_version_is_negotiated() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    let init = stage.execute("x", &json!({}));
    stage.send_wait("x", init, INFINITE);
    stage.hang_up();
    stage.exit(init, 1);
    stage.assert_silent();
    assert_eq!(stage.ask(START, &base("x")).result(), NOT_IMPLEMENTED);
    stage.assert_silent();
}

#[test]
fn a_launch_outlives_the_gap_and_is_answered_under_its_old_id() {
    let mut stage = Stage::negotiated();
    stage.kernel.loads_at_once = false;
    let create = stage.send(CREATE, &create_request("x"));
    let execute = stage.send(
        EXECUTE,
        &execute_request(NULL_ID, &json!({"CommandArgs": ["a"]})),
    );
    stage.hang_up();
    stage.kernel.load(101);
    stage.kernel.load(102);
    stage.run();
    stage.go_on();
    let mut answered: Vec<(u64, u32)> = (0..2)
        .map(|_| stage.receive().unwrap())
        .map(|frame| (frame.id, frame.result()))
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, [(create, 0), (execute, 0)]);
}

#[test]
fn a_container_that_ends_in_the_gap_is_notified_once_to_the_host_that_comes_back() {
    let mut stage = Stage::negotiated();
    for id in ["x", "y"] {
        stage.create(id);
        let init = stage.execute(id, &json!({}));
        stage.send_wait(id, init, INFINITE);
    }
    stage.hang_up();
    stage.kernel.exit(101, ExitStatus::Exited(1));
    stage.kernel.exit(102, ExitStatus::Exited(2));
    stage.wait_ms(60_000);
    stage.go_on();
    let frames: Vec<Frame> = std::iter::from_fn(|| stage.receive()).collect();
    let kinds: Vec<u32> = frames.iter().map(|frame| frame.message).collect();
    assert_eq!(
        kinds,
        [0x2010_0601, 0x2010_0601, NOTIFICATION, NOTIFICATION]
    );
    stage.resume();
    stage.assert_silent();
}

#[test]
fn a_host_that_comes_back_is_given_time_to_wait_before_it_is_notified() {
    let mut stage = Stage::negotiated();
    for id in ["x", "y"] {
        stage.create(id);
        stage.execute(id, &json!({}));
    }
    stage.hang_up();
    stage.kernel.exit(101, ExitStatus::Exited(1));
    stage.exit(102, 2);
    stage.wait_ms(60_000);
    stage.go_on();
    stage.assert_silent();
    let wait = wait_request("x", 101, 0);
    assert_eq!(stage.ask(WAIT, &wait).body["ExitCode"], 1);
    assert_eq!(stage.receive().unwrap().body["ContainerId"], "x");
    stage.wait_ms(WAIT_GRACE_MS - 1);
    stage.assert_silent();
    stage.wait_ms(1);
    assert_eq!(stage.receive().unwrap().body["ContainerId"], "y");
}

#[test]
fn a_new_session_is_not_sent_the_queued_notifications_of_the_old_one() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    let init = stage.execute("x", &json!({}));
    stage.send_wait("x", init, INFINITE);
    stage.hang_up();
    stage.exit(init, 1);
    stage.negotiate_as(0);
    stage.wait_ms(60_000);
    stage.assert_silent();
    assert_eq!(stage.ask(SHUTDOWN_GRACEFUL, &base("x")).result(), STOPPED);
    assert_eq!(stage.ask(DELETE, &base("x")).result(), 0);
}

#[test]
fn a_container_deleted_by_a_new_session_is_gone_without_a_notification() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    stage.execute("x", &json!({}));
    stage.begin_anew();
    assert_eq!(stage.ask(DELETE, &base("x")).result(), INVALID_STATE);
    stage.wait_ms(60_000);
    stage.assert_silent();
    assert!(stage.kernel.views.is_empty());
    assert_eq!(stage.create("x").result(), 0);
}

#[test]
fn streams_flow_on_while_there_is_no_bridge() {
    let mut stage = Stage::negotiated();
    let pid = stage.external("cat");
    let [stdin, stdout, stderr] = stage.streams();
    let bridge = stage.bridge.take().unwrap();
    stage.vsock.on_call(BRIDGE, Answer::Refuse);
    stage.vsock.host_reset(bridge);
    stage.vsock.host_write(stdin, b"in");
    stage.run();
    assert_eq!(stage.kernel.read(pid), b"in");
    stage.kernel.write(pid, OutputStream::Stdout, b"out");
    stage.exit(pid, 4);
    assert_eq!(stage.vsock.host_read(stdout), b"out");
    stage.run();
    assert!(stage.vsock.host_sees_end(stdout) && stage.vsock.host_sees_end(stderr));
    stage.vsock.on_call(BRIDGE, Answer::Accept);
    stage.wait_ms(REDIAL_MS);
    stage.bridge = stage.vsock.host(BRIDGE);
    stage.go_on();
    let wait = wait_request(NULL_ID, pid, INFINITE);
    assert_eq!(stage.ask(WAIT, &wait).body["ExitCode"], 4);
}

#[test]
fn the_bridge_is_back_eight_milliseconds_after_its_listener() {
    let mut stage = Stage::negotiated();
    let bridge = stage.bridge.take().unwrap();
    stage.vsock.on_call(BRIDGE, Answer::Refuse);
    stage.vsock.host_close(bridge);
    stage.run();
    for _ in 0..100 {
        let dials = stage.vsock.dials.len();
        assert!(stage.next_deadline <= stage.now + core::time::Duration::from_millis(REDIAL_MS));
        stage.wait_ms(REDIAL_MS);
        assert_eq!(stage.vsock.dials.len(), dials + 1);
    }
    stage.vsock.on_call(BRIDGE, Answer::Accept);
    stage.wait_ms(REDIAL_MS);
    stage.bridge = stage.vsock.host(BRIDGE);
    stage.negotiate_as(0);
}

#[test]
fn a_call_for_the_bridge_is_never_given_up() {
    let mut stage = Stage::negotiated();
    let bridge = stage.bridge.take().unwrap();
    stage.vsock.on_call(BRIDGE, Answer::Ring);
    stage.vsock.host_close(bridge);
    stage.run();
    stage.wait_ms(REDIAL_MS);
    let dials = stage.vsock.dials.len();
    stage.wait_ms(24 * 3600 * 1000);
    assert_eq!(stage.vsock.dials.len(), dials, "the one call still rings");
    let call = stage.vsock.host(BRIDGE).unwrap();
    stage.vsock.answer(call, Answer::Accept);
    stage.run();
    stage.bridge = Some(call);
    stage.negotiate_as(0);
}

#[test]
fn a_host_that_takes_and_drops_the_bridge_for_ever_costs_one_dial_in_eight_milliseconds() {
    let mut stage = Stage::negotiated();
    let pid = stage.quiet("spin");
    let dials = stage.vsock.dials.len();
    for _ in 0..100 {
        stage.hang_up();
    }
    assert_eq!(stage.vsock.dials.len(), dials + 100);
    stage.negotiate_as(0);
    assert_eq!(stage.kernel.at(pid).state, State::Running);
}

#[test]
fn a_frame_cut_by_the_end_of_its_connection_is_not_carried_out() {
    let whole = frame(SHUTDOWN_FORCED, 9, base("x").to_string().as_bytes());
    for cut in 0..whole.len() {
        let mut stage = Stage::negotiated();
        stage.create("x");
        stage.send_bytes(&whole[..cut]);
        stage.resume();
        assert_eq!(stage.kernel.at(101).state, State::Stopped);
        assert_eq!(stage.ask(START, &base("x")).result(), 0);
    }
}

#[test]
fn processes_and_exit_codes_outlive_the_bridge() {
    let mut stage = Stage::negotiated();
    let init = stage.container("x");
    let external = stage.quiet("a");
    stage.send_wait(NULL_ID, external, INFINITE);
    stage.hang_up();
    stage.kernel.exit(external, ExitStatus::Exited(5));
    stage.wait_ms(100);
    stage.assert_silent();
    stage.negotiate_as(0);
    stage.assert_silent();
    assert_eq!(stage.kernel.at(init).state, State::Running);
    let wait = wait_request(NULL_ID, external, INFINITE);
    assert_eq!(stage.ask(WAIT, &wait).body["ExitCode"], 5);
    // The container is known to this host by its wait, and its end is told.
    stage.send_wait("x", init, INFINITE);
    stage.exit(init, 0);
    assert_eq!(stage.receive().unwrap().body["ExitCode"], 0);
    assert_eq!(stage.receive().unwrap().message, NOTIFICATION);
}

#[test]
fn an_exit_code_whose_answer_was_lost_with_the_bridge_is_told_again() {
    let mut stage = Stage::negotiated();
    let external = stage.quiet("a");
    stage.send_wait(NULL_ID, external, INFINITE);
    stage.exit(external, 5);
    stage.begin_anew();
    let wait = wait_request(NULL_ID, external, INFINITE);
    assert_eq!(stage.ask(WAIT, &wait).body["ExitCode"], 5);
}

#[test]
fn a_new_host_is_not_told_of_containers_it_does_not_know() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    let init = stage.execute("x", &json!({}));
    stage.begin_anew();
    stage.kernel.exit(init, ExitStatus::Exited(0));
    stage.wait_ms(60_000);
    stage.assert_silent();
    assert_eq!(
        stage.ask(WAIT, &wait_request("x", init, 0)).body["ExitCode"],
        0
    );
}

#[test]
fn a_host_that_goes_on_counting_is_owed_what_it_was_owed() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    let init = stage.execute("x", &json!({}));
    let wait = stage.send_wait("x", init, INFINITE);
    stage.hang_up();
    stage.exit(init, 1);
    stage.assert_silent();
    stage.go_on();
    let answer = stage.receive().unwrap();
    assert_eq!((answer.id, &answer.body["ExitCode"]), (wait, &json!(1)));
    assert_eq!(stage.receive().unwrap().message, NOTIFICATION);
}

#[test]
fn a_launch_is_given_up_when_a_new_host_comes() {
    let mut stage = Stage::negotiated();
    stage.kernel.loads_at_once = false;
    stage.send(
        EXECUTE,
        &execute_request(NULL_ID, &json!({"CommandArgs": ["a"]})),
    );
    stage.send(CREATE, &create_request("x"));
    stage.begin_anew();
    assert_eq!(stage.kernel.at(101).state, State::Gone);
    assert_eq!(stage.kernel.at(102).state, State::Gone);
    assert_eq!(stage.ask(DELETE, &base("x")).result(), NO_CONTAINER);
}

#[test]
fn a_transport_reset_is_a_drop_of_every_connection_and_the_session_goes_on() {
    let mut stage = Stage::negotiated();
    let pid = stage.container("x");
    let wait = stage.send_wait("x", pid, INFINITE);
    stage.vsock.transport_reset();
    stage.run();
    // What stands for the input's end stays with the process.
    assert_eq!(stage.vsock.held(), 1);
    assert!(stage.vsock.host(STREAMS[0]).is_some());
    assert!(!stage.agent.can_log(), "its listener takes one connection");
    stage.resume();
    stage.exit(pid, 3);
    let answers: Vec<_> = std::iter::from_fn(|| stage.receive()).collect();
    assert_eq!(
        (answers[0].id, &answers[0].body["ExitCode"]),
        (wait, &json!(3))
    );
    assert_eq!(answers[1].message, NOTIFICATION);
    assert_eq!(answers.len(), 2);
}

#[test]
fn a_transport_reset_while_everything_is_dialled_is_followed_by_the_bridge() {
    let mut stage = Stage::new(1 << 20);
    for port in [1, 109, BRIDGE] {
        stage.vsock.on_call(port, Answer::Ring);
    }
    stage.run();
    assert_eq!(stage.vsock.held(), 3);
    stage.vsock.transport_reset();
    stage.vsock.on_call(BRIDGE, Answer::Accept);
    stage.run();
    stage.wait_ms(REDIAL_MS);
    stage.bridge = stage.vsock.host(BRIDGE);
    stage.negotiate_as(0);
}

#[test]
fn a_transport_reset_while_a_process_is_launched_takes_it_back() {
    let mut stage = Stage::negotiated();
    for port in STREAMS {
        stage.vsock.on_call(port, Answer::Ring);
    }
    let pipes = json!({"CommandArgs": ["a"], "CreateStdOutPipe": true});
    let launch = stage.send(EXECUTE, &execute_request(NULL_ID, &pipes));
    stage.assert_silent();
    stage.vsock.transport_reset();
    stage.run();
    stage.resume();
    let answer = stage.receive().expect("the launch is answered");
    assert_eq!(answer.id, launch);
    assert_ne!(answer.result(), 0);
    assert!(
        answer.error().contains("transport reset"),
        "{}",
        answer.error()
    );
}
