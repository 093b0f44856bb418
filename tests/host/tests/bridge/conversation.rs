//! Conversations with a scripted guest: calls at once, time limits, streams, what is in use and what is gone.

use crate::guest::{DEADLINE, DONE, Guest, NEGOTIATED, converse, patient, play};
use mote_host::{
    ContainerConfig, ContainerExit, Error, FIRST_STDIO_PORT, MessageType, ProcessConfig, Timeouts,
};
use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

const STACKS: MessageType = MessageType::DUMP_STACKS;
const PID_7: &str = r#"{"Result":0,"ProcessId":7}"#;

#[test]
fn ids_start_at_0_and_count_up() {
    play(
        patient(),
        |mut actor| {
            assert_eq!(
                actor
                    .exchange(MessageType::NEGOTIATE_PROTOCOL, NEGOTIATED)
                    .id,
                0
            );
            assert_eq!(actor.exchange(STACKS, DONE).id, 1);
            assert_eq!(actor.exchange(STACKS, DONE).id, 2);
            actor.stay();
        },
        |connection| {
            let host = connection.expect("negotiated");
            host.dump_stacks().expect("answered");
            host.dump_stacks().expect("answered");
        },
    );
}

#[test]
fn answers_may_come_in_any_order() {
    const CALLS: u32 = 8;
    converse(
        |mut actor| {
            let mut requests: Vec<_> = (0..CALLS).map(|_| actor.expect(STACKS)).collect();
            requests.reverse();
            for request in &requests {
                let body = format!(r#"{{"GuestStacks":"{}"}}"#, request.id);
                actor.answer(request, &body);
            }
            actor.stay();
        },
        |host| {
            let mut answers: Vec<String> = thread::scope(|scope| {
                let calls: Vec<_> = (0..CALLS)
                    .map(|_| scope.spawn(|| host.dump_stacks()))
                    .collect();
                calls
                    .into_iter()
                    .map(|call| call.join().expect("no panic").expect("answered"))
                    .collect()
            });
            answers.sort();
            assert_eq!(answers, ["1", "2", "3", "4", "5", "6", "7", "8"]);
        },
    );
}

#[test]
fn a_call_that_is_never_answered_ends_the_bridge() {
    let timeouts = Timeouts {
        // The negotiation has no longer, on a busy machine either.
        call: Duration::from_secs(2),
        ..patient()
    };
    play(
        timeouts,
        |mut actor| {
            actor.exchange(MessageType::NEGOTIATE_PROTOCOL, NEGOTIATED);
            actor.expect(STACKS);
            actor.stay();
        },
        |connection| {
            let host = connection.expect("negotiated");
            assert!(host.dump_stacks().expect_err("unanswered").is_timeout());
            assert!(host.end_reason().expect("ended").contains("DumpStacks"));
        },
    );
}

#[test]
fn an_abandoned_call_leaves_the_bridge_up_and_its_late_answer_is_swallowed() {
    let timeouts = Timeouts {
        abandonable_call: Duration::from_millis(50),
        ..patient()
    };
    play(
        timeouts,
        |mut actor| {
            actor.exchange(MessageType::NEGOTIATE_PROTOCOL, NEGOTIATED);
            let late = actor.expect(MessageType::SHUTDOWN_GRACEFUL);
            let request = actor.expect(STACKS);
            actor.answer(&late, DONE);
            actor.answer(&request, DONE);
            actor.stay();
        },
        |connection| {
            let host = connection.expect("negotiated");
            let container = host.open_container("c").expect("registered");
            assert!(container.shutdown().expect_err("abandoned").is_timeout());
            host.dump_stacks().expect("the bridge is up");
        },
    );
}

#[test]
fn a_container_id_stays_taken_when_creating_it_failed() {
    converse(
        |mut actor| {
            actor.exchange(MessageType::CREATE, r#"{"Result":-2147467259}"#);
            actor.stay();
        },
        |host| {
            let config = ContainerConfig::new(&ProcessConfig::new(["x"]));
            assert!(
                host.create_container("c", &config)
                    .expect_err("refused")
                    .hresult()
                    .is_some()
            );
            let error = host.create_container("c", &config).expect_err("taken");
            assert!(matches!(error, Error::AlreadyExists(_)), "{error}");
        },
    );
}

#[test]
fn a_closed_container_ends_its_waits_with_an_error() {
    converse(Guest::stay, |host| {
        let container = host.open_container("c").expect("registered");
        let timeout = container.wait_timeout(Duration::ZERO).expect_err("runs");
        assert!(timeout.is_timeout());
        container.close();
        assert!(container.wait().expect_err("closed").is_already_closed());
    });
}

#[test]
fn all_containers_count_as_ended_when_the_bridge_ends() {
    converse(Guest::stay, |host| {
        let container = host.open_container("c").expect("registered");
        host.close();
        let exit = container.wait_timeout(DEADLINE).expect("no error");
        assert!(matches!(exit, ContainerExit::BridgeEnded(_)), "{exit:?}");
    });
}

#[test]
fn relays_the_three_streams_of_a_process() {
    converse(
        |mut actor| {
            let request = actor.expect(MessageType::EXECUTE_PROCESS);
            let mut stdin = actor.dial(FIRST_STDIO_PORT);
            let mut stdout = actor.dial(FIRST_STDIO_PORT + 1);
            let mut stderr = actor.dial(FIRST_STDIO_PORT + 2);
            actor.answer(&request, PID_7);
            let wait = actor.expect(MessageType::WAIT_FOR_PROCESS);
            let mut input = Vec::new();
            stdin.read_to_end(&mut input).expect("half-closed");
            stdout.write_all(&input).expect("read");
            stderr.write_all(b"done").expect("read");
            for stream in [&mut stdout, &mut stderr] {
                stream.shutdown(std::net::Shutdown::Write).expect("open");
                // The guest answers the wait only when the host has closed its end.
                assert_eq!(stream.read(&mut [0]).expect("closed"), 0);
            }
            actor.answer(&wait, r#"{"ExitCode":3}"#);
            actor.stay();
        },
        |host| {
            let process = host
                .create_process(&ProcessConfig::new(["cat"]))
                .expect("runs");
            assert!(matches!(process.exit_code(), Err(Error::StillRunning)));
            let input = vec![b'x'; 1_000_000];
            let output = process.output(&input).expect("ended");
            assert_eq!(output.exit_code, 3);
            assert_eq!(output.stderr, b"done");
            assert!(output.stdout == input, "{} bytes", output.stdout.len());
            assert_eq!(process.exit_code().expect("ended"), 3);
        },
    );
}

#[test]
fn only_the_streams_that_are_asked_for_have_ports() {
    converse(
        |mut actor| {
            let request = actor.expect(MessageType::EXECUTE_PROCESS);
            let body = String::from_utf8(request.body.clone()).expect("text");
            assert!(
                body.contains(r#""VsockStdioRelaySettings":{"StdOut":1073741825}"#),
                "{body}"
            );
            assert!(!body.contains("CreateStdInPipe"), "{body}");
            actor.answer(&request, PID_7);
            actor.exchange(MessageType::WAIT_FOR_PROCESS, DONE);
            actor.stay();
        },
        |host| {
            let config = ProcessConfig::new(["x"]).without_stdin().without_stderr();
            let process = host.create_process(&config).expect("runs");
            assert!(process.stdin().is_none() && process.stdout().is_some());
        },
    );
}

#[test]
fn a_stream_the_guest_never_dials_ends_when_the_process_is_closed() {
    converse(
        |mut actor| {
            actor.exchange(MessageType::EXECUTE_PROCESS, PID_7);
            actor.exchange(MessageType::WAIT_FOR_PROCESS, DONE);
            actor.stay();
        },
        |host| {
            let process = host
                .create_process(&ProcessConfig::new(["x"]))
                .expect("runs");
            let mut stdout = process.stdout().expect("asked for");
            thread::scope(|scope| {
                let reader = scope.spawn(move || stdout.read(&mut [0]));
                process.close();
                assert_eq!(reader.join().expect("no panic").expect("closed"), 0);
            });
        },
    );
}

#[test]
fn a_refused_process_leaves_no_socket_behind() {
    converse(
        |mut actor| {
            actor.exchange(
                MessageType::EXECUTE_PROCESS,
                r#"{"Result":-2147024894,"ErrorMessage":"no such file or directory: /x"}"#,
            );
            // The next request comes when the host has dealt with the refusal.
            let request = actor.expect(STACKS);
            assert_eq!(actor.sockets(), Vec::<String>::new());
            actor.answer(&request, DONE);
            actor.stay();
        },
        |host| {
            let error = host
                .create_process(&ProcessConfig::new(["/x"]))
                .expect_err("refused");
            assert!(error.is_program_not_found(), "{error}");
            assert!(error.to_string().contains("/x"), "{error}");
            host.dump_stacks().expect("the bridge is up");
        },
    );
}

#[test]
fn a_signal_to_an_ended_process_is_not_delivered_and_no_error() {
    converse(
        |mut actor| {
            actor.exchange(MessageType::EXECUTE_PROCESS, PID_7);
            actor.exchange(MessageType::WAIT_FOR_PROCESS, r#"{"ExitCode":143}"#);
            let kill = actor.exchange(MessageType::SIGNAL_PROCESS, DONE);
            assert!(!String::from_utf8_lossy(&kill.body).contains("Options"));
            let term = actor.exchange(MessageType::SIGNAL_PROCESS, r#"{"Result":-2147023728}"#);
            assert!(String::from_utf8_lossy(&term.body).contains(r#""Options":{"Signal":15}"#));
            actor.stay();
        },
        |host| {
            let config = ProcessConfig::new(["x"]).without_stdio();
            let process = host.create_process(&config).expect("runs");
            assert!(process.kill().expect("delivered"));
            assert!(!process.signal(15).expect("gone"));
            assert_eq!(process.wait().expect("ended"), 143);
        },
    );
}

#[test]
fn the_connection_ends_with_its_last_handle() {
    converse(
        // Returns only when the host has hung up.
        Guest::stay,
        |host| {
            let container = host.open_container("c").expect("registered");
            drop(host);
            assert!(
                container
                    .wait_timeout(Duration::ZERO)
                    .expect_err("runs")
                    .is_timeout()
            );
        },
    );
}
