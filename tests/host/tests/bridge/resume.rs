//! A session that goes on over another connection.

use crate::guest::{DEADLINE, DONE, Guest, Meeting, NEGOTIATED};
use mote_host::frame::Frame;
use mote_host::{ContainerConfig, ContainerExit, Error, ExitType, MessageType, ProcessConfig};
use std::thread;

const STACKS: MessageType = MessageType::DUMP_STACKS;
const WAIT: MessageType = MessageType::WAIT_FOR_PROCESS;
const PID_7: &str = r#"{"Result":0,"ProcessId":7}"#;
const EXISTS: &str = r#"{"Result":-1070137073,"ErrorMessage":"there is one"}"#;

fn config() -> ContainerConfig {
    ContainerConfig::new(&ProcessConfig::new(["a"]))
}

/// Answers a wait.
fn exited(guest: &mut Guest, wait: &Frame, code: u32) {
    guest.answer(wait, &format!(r#"{{"Result":0,"ExitCode":{code}}}"#));
}

#[test]
fn a_lost_connection_interrupts_calls_and_keeps_waits() {
    let meeting = Meeting::new();
    let mut first = meeting.guest();
    let host = thread::scope(|scope| {
        scope.spawn(move || {
            first.exchange(MessageType::NEGOTIATE_PROTOCOL, NEGOTIATED);
            first.exchange(MessageType::EXECUTE_PROCESS, PID_7);
            assert_eq!(first.expect(WAIT).id, 2);
            assert_eq!(first.expect(STACKS).id, 3);
            first.hang_up();
        });
        let host = meeting.connect();
        host.set_migrating(true);
        let quiet = ProcessConfig::new(["a"]).without_stdio();
        let process = host.create_process(&quiet).expect("runs");
        let error = host.dump_stacks().expect_err("interrupted");
        assert!(error.is_interrupted(), "{error}");
        assert!(host.wait_lost(DEADLINE).is_some());
        let error = host.dump_stacks().expect_err("not sent");
        assert!(error.is_interrupted(), "{error}");
        (host, process)
    });
    let (host, process) = host;
    let mut second = meeting.guest();
    thread::scope(|scope| {
        scope.spawn(move || {
            let negotiation = second.exchange(MessageType::NEGOTIATE_PROTOCOL, NEGOTIATED);
            assert_eq!(negotiation.id, 4, "above every id before");
            let again = second.expect(WAIT);
            assert_eq!(again.id, 5);
            let old = Frame {
                id: 2,
                ..again.clone()
            };
            exited(&mut second, &old, 9);
            // The process is known under both ids; the late answer is swallowed.
            second.answer(&again, r#"{"Result":-2147023728}"#);
            let interrupted = Frame {
                message_type: STACKS.0,
                id: 3,
                body: Vec::new(),
            };
            second.answer(&interrupted, r#"{"Result":0,"GuestStacks":"late"}"#);
            second.exchange(STACKS, r#"{"Result":0,"GuestStacks":"asked again"}"#);
            second.stay();
        });
        host.resume_on(meeting.host_end()).expect("negotiated");
        assert!(host.wait_up(DEADLINE));
        assert_eq!(process.wait_timeout(DEADLINE).expect("ended"), 9);
        assert_eq!(host.dump_stacks().expect("answered"), "asked again");
        host.close();
    });
}

#[test]
fn a_wait_that_never_arrived_is_answered_under_its_new_id() {
    let meeting = Meeting::new();
    let mut first = meeting.guest();
    let (host, process) = thread::scope(|scope| {
        scope.spawn(move || {
            first.exchange(MessageType::NEGOTIATE_PROTOCOL, NEGOTIATED);
            first.exchange(MessageType::EXECUTE_PROCESS, PID_7);
            first.expect(WAIT);
            first.hang_up();
        });
        let host = meeting.connect();
        host.set_migrating(true);
        let quiet = ProcessConfig::new(["a"]).without_stdio();
        let process = host.create_process(&quiet).expect("runs");
        host.wait_lost(DEADLINE).expect("lost");
        (host, process)
    });
    // Twice: the newest wait is the one that is sent again.
    for round in 0..2 {
        let mut next = meeting.guest();
        thread::scope(|scope| {
            scope.spawn(move || {
                next.exchange(MessageType::NEGOTIATE_PROTOCOL, NEGOTIATED);
                let wait = next.expect(WAIT);
                if round == 0 {
                    next.hang_up();
                } else {
                    exited(&mut next, &wait, 3);
                    next.stay();
                }
            });
            host.resume_on(meeting.host_end()).expect("negotiated");
            if round == 0 {
                host.wait_lost(DEADLINE).expect("lost");
                assert!(matches!(process.exit_code(), Err(Error::StillRunning)));
            } else {
                assert_eq!(process.wait_timeout(DEADLINE).expect("ended"), 3);
                host.close();
            }
        });
    }
}

#[test]
fn a_connection_lost_while_negotiating_can_be_followed_by_the_next() {
    let meeting = Meeting::new();
    let mut first = meeting.guest();
    let host = thread::scope(|scope| {
        scope.spawn(move || {
            first.exchange(MessageType::NEGOTIATE_PROTOCOL, NEGOTIATED);
            first.expect(STACKS);
            first.hang_up();
        });
        let host = meeting.connect();
        host.set_migrating(true);
        host.dump_stacks().expect_err("interrupted");
        host
    });
    for cut in [0, 1, 15, 16, 40] {
        let mut next = meeting.guest();
        thread::scope(|scope| {
            scope.spawn(move || {
                let request = next.expect(MessageType::NEGOTIATE_PROTOCOL);
                let bytes = mote_host::frame::encode(
                    MessageType(request.message_type).response().0,
                    request.id,
                    NEGOTIATED.as_bytes(),
                );
                next.send_raw(&bytes.expect("short")[..cut]);
                next.hang_up();
            });
            let error = host.resume_on(meeting.host_end()).expect_err("lost again");
            assert!(error.is_interrupted(), "{error}");
        });
    }
    let mut last = meeting.guest();
    thread::scope(|scope| {
        scope.spawn(move || {
            last.exchange(MessageType::NEGOTIATE_PROTOCOL, NEGOTIATED);
            last.stay();
        });
        host.resume_on(meeting.host_end()).expect("negotiated");
        host.close();
    });
}

#[test]
fn a_container_whose_creation_was_interrupted_can_be_asked_for_again_and_notifies_once() {
    let meeting = Meeting::new();
    let mut first = meeting.guest();
    let host = thread::scope(|scope| {
        scope.spawn(move || {
            first.exchange(MessageType::NEGOTIATE_PROTOCOL, NEGOTIATED);
            first.expect(MessageType::CREATE);
            first.hang_up();
        });
        let host = meeting.connect();
        host.set_migrating(true);
        let error = host
            .create_container("c", &config())
            .expect_err("interrupted");
        assert!(error.is_interrupted(), "{error}");
        host
    });
    let mut second = meeting.guest();
    thread::scope(|scope| {
        scope.spawn(move || {
            second.exchange(MessageType::NEGOTIATE_PROTOCOL, NEGOTIATED);
            second.exchange(MessageType::CREATE, EXISTS);
            second.exchange(MessageType::START, DONE);
            let notice = r#"{"ContainerId":"c","Type":"ForcedExit"}"#;
            second.send(MessageType::CONTAINER_NOTIFICATION.0, 0, notice.as_bytes());
            second.stay();
        });
        host.resume_on(meeting.host_end()).expect("negotiated");
        let error = host.create_container("c", &config()).expect_err("exists");
        assert!(error.is_already_exists(), "{error}");
        let container = host.open_container("c").expect("known to be there");
        container.start().expect("answered");
        assert_eq!(
            container.wait_timeout(DEADLINE).expect("notified"),
            ContainerExit::Notified(ExitType::Forced)
        );
        host.close();
    });
}

#[test]
fn a_connection_that_does_not_migrate_ends_with_its_stream_and_takes_no_other() {
    let meeting = Meeting::new();
    let mut first = meeting.guest();
    thread::scope(|scope| {
        scope.spawn(move || {
            first.exchange(MessageType::NEGOTIATE_PROTOCOL, NEGOTIATED);
            first.expect(STACKS);
            first.hang_up();
        });
        let host = meeting.connect();
        assert!(matches!(
            host.resume_on(meeting.host_end()),
            Err(Error::InvalidRequest { .. })
        ));
        let error = host.dump_stacks().expect_err("ended");
        assert!(error.is_bridge_ended(), "{error}");
    });
}

#[test]
fn the_session_ends_when_migration_is_called_off_in_the_gap() {
    let meeting = Meeting::new();
    let mut first = meeting.guest();
    thread::scope(|scope| {
        scope.spawn(move || {
            first.exchange(MessageType::NEGOTIATE_PROTOCOL, NEGOTIATED);
            first.exchange(MessageType::CREATE, DONE);
            first.hang_up();
        });
        let host = meeting.connect();
        host.set_migrating(true);
        let container = host.create_container("c", &config()).expect("created");
        host.wait_lost(DEADLINE).expect("lost");
        host.set_migrating(false);
        assert!(host.wait_end(DEADLINE).is_some());
        assert!(matches!(
            container.wait_timeout(DEADLINE),
            Ok(ContainerExit::BridgeEnded(_))
        ));
        assert!(!host.wait_up(DEADLINE));
    });
}

#[test]
fn what_the_guest_gets_wrong_ends_the_session_also_while_it_migrates() {
    let meeting = Meeting::new();
    let mut first = meeting.guest();
    thread::scope(|scope| {
        scope.spawn(move || {
            first.exchange(MessageType::NEGOTIATE_PROTOCOL, NEGOTIATED);
            first.send(0x2010_0c01, 99, DONE.as_bytes());
            first.stay();
        });
        let host = meeting.connect();
        host.set_migrating(true);
        assert!(host.wait_end(DEADLINE).is_some());
    });
}
