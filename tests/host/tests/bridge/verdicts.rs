//! What the host makes of a guest's output: each verdict of gcs-protocol §14.4 and §6 is a claim.

use crate::guest::{DEADLINE, DONE, Guest, converse, patient, play};
use mote_host::{
    ContainerConfig, ContainerExit, Error, ExitType, GuestConnection, Hresult, MessageType,
    ProcessConfig, PropertyType,
};

const STACKS: MessageType = MessageType::DUMP_STACKS;

/// Has the guest answer DumpStacks with these bytes; the bridge must survive.
#[track_caller]
fn accepted(body: &str) -> Result<String, Error> {
    converse(
        |mut actor| {
            actor.exchange(STACKS, body);
            actor.exchange(STACKS, DONE);
            actor.stay();
        },
        |host| {
            let result = host.dump_stacks();
            host.dump_stacks().expect("the bridge is still up");
            result
        },
    )
}

/// Has the guest answer DumpStacks with these bytes; the bridge must die, for this reason.
#[track_caller]
fn dead(body: &str, reason: &str) {
    killed(reason, |actor| {
        actor.exchange(STACKS, body);
    });
}

/// Has the guest misbehave while DumpStacks is outstanding; the bridge must die, for this reason.
#[track_caller]
fn killed(reason: &str, act: impl FnOnce(&mut Guest) + Send) {
    converse(
        |mut actor| {
            act(&mut actor);
            actor.stay();
        },
        |host| {
            let error = host.dump_stacks().expect_err("the bridge is dead");
            assert!(error.is_bridge_ended(), "{error}");
            let told = host.wait_end(DEADLINE).expect("ended");
            assert!(told.contains(reason), "{told}");
            assert!(error.to_string().contains(reason), "{error}");
            assert!(
                host.dump_stacks()
                    .expect_err("stays dead")
                    .is_bridge_ended()
            );
        },
    );
}

/// Has the guest answer the message that `ask` sends.
fn answered<T>(
    message: MessageType,
    body: &str,
    ask: impl FnOnce(&GuestConnection) -> T,
) -> (T, bool) {
    converse(
        |mut actor| {
            actor.exchange(message, body);
            actor.stay();
        },
        |host| {
            let result = ask(&host);
            // A slip is noticed by the thread that answers the call, before it answers.
            (result, host.end_reason().is_none())
        },
    )
}

#[test]
fn a_response_with_an_unknown_id_kills_the_bridge() {
    killed("id 77", |actor| {
        actor.expect(STACKS);
        actor.send(STACKS.response().0, 77, DONE.as_bytes());
    });
}

#[test]
fn a_second_response_to_one_request_kills_the_bridge() {
    converse(
        |mut actor| {
            let request = actor.exchange(STACKS, DONE);
            actor.answer(&request, DONE);
            actor.stay();
        },
        |host| {
            host.dump_stacks().expect("the first one counts");
            assert!(host.wait_end(DEADLINE).expect("ended").contains("id 1"));
        },
    );
}

#[test]
fn a_response_is_matched_by_its_id_alone() {
    converse(
        |mut actor| {
            let request = actor.expect(STACKS);
            actor.send(MessageType::START.response().0, request.id, DONE.as_bytes());
            actor.stay();
        },
        |host| assert_eq!(host.dump_stacks().expect("accepted"), ""),
    );
}

#[test]
fn a_missing_or_null_result_is_success() {
    accepted("{}").expect("success");
    accepted(r#"{"Result":null}"#).expect("success");
    accepted("null").expect("a null body is all defaults");
}

#[test]
fn a_result_that_is_no_signed_32_bit_integer_kills_the_bridge() {
    dead(r#"{"Result":2147500037}"#, "Result");
    dead(r#"{"Result":0.0}"#, "Result");
    dead(r#"{"Result":1e3}"#, "Result");
    dead(r#"{"Result":"0"}"#, "Result");
}

#[test]
fn an_absent_or_null_activity_is_accepted() {
    accepted(r#"{"Result":0}"#).expect("success");
    accepted(r#"{"Result":0,"ActivityId":null}"#).expect("success");
}

#[test]
fn an_activity_that_is_no_plain_guid_kills_the_bridge() {
    dead(r#"{"Result":0,"ActivityId":""}"#, "ActivityId");
    dead(
        r#"{"Result":0,"ActivityId":"{00000000-0000-0000-0000-000000000000}"}"#,
        "ActivityId",
    );
}

#[test]
fn white_space_around_a_body_is_accepted() {
    accepted(" {\"Result\":0} \n").expect("success");
}

#[test]
fn a_body_that_is_not_json_kills_the_bridge() {
    dead("{\"Result\":0}\0", "not JSON");
    dead("", "not JSON");
    dead("[]", "must be an object");
}

#[test]
fn an_error_with_a_result_only_gets_its_text_from_the_code() {
    let error = accepted(r#"{"Result":-1070137074}"#).expect_err("refused");
    assert_eq!(error.hresult(), Some(Hresult::SYSTEM_NOT_FOUND));
    assert!(error.to_string().contains("container not found"), "{error}");
}

#[test]
fn a_line_of_minus_one_in_an_error_record_kills_the_bridge() {
    dead(r#"{"Result":-1,"ErrorRecords":[{"Line":-1}]}"#, "Line");
    let error = accepted(r#"{"Result":-1,"ErrorRecords":[{"Line":4294967295}]}"#);
    assert!(error.expect_err("refused").hresult().is_some());
}

#[test]
fn a_frame_of_65536_bytes_is_accepted_and_one_more_kills_the_bridge() {
    let body = |length: usize| format!("{DONE}{}", " ".repeat(length - 16 - DONE.len()));
    accepted(&body(65536)).expect("the limit itself");
    dead(&body(65537), "above the limit");
}

#[test]
fn a_size_below_the_header_kills_the_bridge() {
    for size in [0_u8, 15] {
        killed("below the 16 bytes", |actor| {
            let request = actor.expect(STACKS);
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&STACKS.response().0.to_le_bytes());
            bytes[4] = size;
            bytes[8..].copy_from_slice(&request.id.to_le_bytes());
            actor.send_raw(&bytes);
        });
    }
}

#[test]
fn a_stream_that_ends_kills_the_bridge() {
    converse(
        |mut actor| {
            actor.expect(STACKS);
        },
        |host| {
            let error = host.dump_stacks().expect_err("ended");
            assert!(
                error.to_string().contains("closed the connection"),
                "{error}"
            );
        },
    );
}

#[test]
fn a_stream_that_ends_inside_a_frame_kills_the_bridge() {
    converse(
        |mut actor| {
            actor.expect(STACKS);
            actor.send_raw(&[0; 9]);
        },
        |host| {
            let error = host.dump_stacks().expect_err("ended");
            assert!(error.to_string().contains("9 of 16 bytes"), "{error}");
        },
    );
}

#[test]
fn a_request_from_the_guest_kills_the_bridge() {
    killed("a request (Create)", |actor| {
        actor.expect(STACKS);
        actor.send(MessageType::CREATE.0, 0, DONE.as_bytes());
    });
    killed("no known kind", |actor| {
        actor.expect(STACKS);
        actor.send(0, 0, DONE.as_bytes());
    });
}

#[test]
fn an_unknown_notification_kills_the_bridge() {
    killed("unknown notification", |actor| {
        actor.expect(STACKS);
        actor.send(0x3010_0201, 0, br#"{"ContainerId":"c"}"#);
    });
}

fn properties(body: &str) -> (Result<mote_host::Properties, Error>, bool) {
    converse(
        |mut actor| {
            actor.exchange(MessageType::CREATE, DONE);
            actor.exchange(MessageType::GET_PROPERTIES, body);
            actor.stay();
        },
        |host| {
            let init = ProcessConfig::new(["init"]);
            let container = host
                .create_container("c", &ContainerConfig::new(&init))
                .expect("created");
            let result = container.properties(&[PropertyType::ProcessList]);
            (result, host.end_reason().is_none())
        },
    )
}

#[test]
fn properties_may_be_an_empty_document_absent_or_null() {
    for body in [
        r#"{"Result":0,"Properties":"{}"}"#,
        r#"{"Result":0}"#,
        r#"{"Result":0,"Properties":null}"#,
    ] {
        let (result, alive) = properties(body);
        let mut properties = result.expect(body);
        // The one that was sent is there, empty as it is.
        properties.document.take();
        assert_eq!(properties, mote_host::Properties::default());
        assert!(alive, "{body}");
    }
}

#[test]
fn properties_that_are_no_document_kill_the_bridge_even_in_an_error() {
    for body in [
        r#"{"Result":0,"Properties":""}"#,
        r#"{"Result":0,"Properties":{}}"#,
        r#"{"Result":-2147467259,"Properties":""}"#,
    ] {
        let (result, _) = properties(body);
        assert!(result.expect_err(body).is_bridge_ended(), "{body}");
    }
}

#[test]
fn a_statistic_with_an_exponent_kills_the_bridge() {
    let (result, _) =
        properties(r#"{"Result":0,"Properties":"{\"LCOWMetrics\":{\"memory\":{\"rss\":1.5e6}}}"}"#);
    assert!(result.expect_err("dead").is_bridge_ended());
}

fn waited(body: &str) -> (Result<u32, Error>, bool) {
    converse(
        |mut actor| {
            actor.exchange(
                MessageType::EXECUTE_PROCESS,
                r#"{"Result":0,"ProcessId":7}"#,
            );
            actor.exchange(MessageType::WAIT_FOR_PROCESS, body);
            actor.stay();
        },
        |host| {
            let config = ProcessConfig::new(["x"]).without_stdio();
            let process = host.create_process(&config).expect("runs");
            assert_eq!(process.pid(), 7);
            let result = process.wait_timeout(DEADLINE);
            (result, host.end_reason().is_none())
        },
    )
}

#[test]
fn the_largest_exit_code_is_accepted() {
    let (result, alive) = waited(r#"{"Result":0,"ExitCode":4294967295}"#);
    assert_eq!((result.expect("accepted"), alive), (u32::MAX, true));
}

#[test]
fn an_exit_code_of_minus_one_kills_the_bridge() {
    let (result, _) = waited(r#"{"Result":0,"ExitCode":-1}"#);
    assert!(result.expect_err("dead").is_bridge_ended());
}

#[test]
fn a_wait_for_an_unknown_process_reads_as_ended_with_0() {
    let (result, alive) = waited(r#"{"Result":-2147023728}"#);
    assert_eq!((result.expect("accepted"), alive), (0, true));
}

#[test]
fn a_timeout_of_the_infinite_wait_fails_the_wait_and_not_the_bridge() {
    let (result, alive) = waited(r#"{"Result":-1070137079}"#);
    assert!(result.expect_err("failed").is_timeout());
    assert!(alive);
}

#[test]
fn a_process_without_an_id_has_the_id_0() {
    converse(
        |mut actor| {
            actor.exchange(MessageType::EXECUTE_PROCESS, DONE);
            actor.exchange(MessageType::WAIT_FOR_PROCESS, DONE);
            actor.stay();
        },
        |host| {
            let config = ProcessConfig::new(["x"]).without_stdio();
            assert_eq!(host.create_process(&config).expect("runs").pid(), 0);
        },
    );
}

/// Creates container "c" and has the guest send these notifications.
fn notified(notifications: &[(u64, &str)]) -> (ContainerExit, Option<std::sync::Arc<str>>) {
    converse(
        |mut actor| {
            actor.exchange(MessageType::CREATE, DONE);
            for (id, body) in notifications {
                actor.send(MessageType::CONTAINER_NOTIFICATION.0, *id, body.as_bytes());
            }
            // What follows is read after them, if the host has not hung up.
            if let Some(request) = actor.next() {
                actor.answer(&request, DONE);
            }
            actor.stay();
        },
        |host| {
            let init = ProcessConfig::new(["init"]);
            let container = host
                .create_container("c", &ContainerConfig::new(&init))
                .expect("created");
            let exit = container.wait_timeout(DEADLINE).expect("ended");
            // Either the bridge is up and answers, or it is not.
            let _ = host.dump_stacks();
            (exit, host.end_reason())
        },
    )
}

#[test]
fn any_notification_for_a_known_container_ends_it() {
    for (body, exit_type) in [
        (
            r#"{"ContainerId":"c","Type":"GracefulExit","Operation":"None","Result":0}"#,
            ExitType::Graceful,
        ),
        (
            r#"{"ContainerId":"c","Type":"ForcedExit"}"#,
            ExitType::Forced,
        ),
        (
            r#"{"ContainerId":"c","Type":"UnexpectedExit","Result":-1}"#,
            ExitType::Unexpected,
        ),
        (r#"{"ContainerId":"c","Type":"Started"}"#, ExitType::Other),
        (r#"{"ContainerId":"c"}"#, ExitType::Other),
        (r#"{"ContainerId":"c","ResultInfo":"{}"}"#, ExitType::Other),
    ] {
        let (exit, end) = notified(&[(0, body)]);
        assert_eq!(exit, ContainerExit::Notified(exit_type), "{body}");
        assert_eq!(end, None, "{body}");
    }
}

#[test]
fn the_id_of_a_notification_does_not_matter() {
    let (exit, end) = notified(&[(99, r#"{"ContainerId":"c","Type":"ForcedExit"}"#)]);
    assert_eq!(exit, ContainerExit::Notified(ExitType::Forced));
    assert_eq!(end, None);
}

#[test]
fn a_second_notification_kills_the_bridge() {
    let body = r#"{"ContainerId":"c","Type":"ForcedExit"}"#;
    let (exit, end) = notified(&[(0, body), (0, body)]);
    assert_eq!(exit, ContainerExit::Notified(ExitType::Forced));
    assert!(end.expect("dead").contains("notified before"));
}

#[test]
fn a_notification_that_is_not_in_order_kills_the_bridge_and_ends_the_container() {
    for (body, reason) in [
        (r#"{"ContainerId":"other"}"#, "unknown"),
        (r#"{"ContainerId":"c","ActivityId":""}"#, "ActivityId"),
        (r#"{"ContainerId":"c","ResultInfo":""}"#, "ResultInfo"),
        (r#"{"ContainerId":"c","ResultInfo":{}}"#, "ResultInfo"),
    ] {
        let (exit, end) = notified(&[(0, body)]);
        assert!(matches!(exit, ContainerExit::BridgeEnded(_)), "{body}");
        assert!(end.expect("dead").contains(reason), "{body}");
    }
}

/// Connects to a guest that answers the negotiation with this.
fn negotiated(body: &str) -> Result<String, Error> {
    play(
        patient(),
        |mut actor| {
            actor.exchange(MessageType::NEGOTIATE_PROTOCOL, body);
            actor.stay();
        },
        |connection| connection.map(|connection| connection.os().to_owned()),
    )
}

#[test]
fn the_version_must_be_4() {
    for version in ["", r#""Version":3,"#, r#""Version":5,"#] {
        let body = format!(
            r#"{{"Result":0,{version}"Capabilities":{{"GuestDefinedCapabilities":{{}}}}}}"#
        );
        let error = negotiated(&body).expect_err("refused");
        assert!(matches!(error, Error::Negotiation(_)), "{error}");
    }
}

#[test]
fn guest_defined_capabilities_must_be_there_be_they_null() {
    let with = |member: &str| {
        negotiated(&format!(
            r#"{{"Result":0,"Version":4,"Capabilities":{{"RuntimeOsType":"LINUX"{member}}}}}"#
        ))
    };
    with("").expect_err("the real host decodes an empty document");
    assert_eq!(
        with(r#","GuestDefinedCapabilities":null"#).expect("accepted"),
        "linux"
    );
    assert_eq!(
        with(r#","GuestDefinedCapabilities":{}"#).expect("accepted"),
        "linux"
    );
}

#[test]
fn a_guest_that_does_not_name_its_system_is_a_windows_one() {
    let body = r#"{"Result":0,"Version":4,"Capabilities":{"GuestDefinedCapabilities":{}}}"#;
    assert_eq!(negotiated(body).expect("accepted"), "windows");
}

#[test]
fn a_refused_negotiation_carries_the_guests_words() {
    let body = r#"{"Result":-1070137076,"ErrorMessage":"too old"}"#;
    let error = negotiated(body).expect_err("refused");
    assert_eq!(error.hresult(), Some(Hresult::UNSUPPORTED_PROTOCOL_VERSION));
    assert!(error.to_string().contains("too old"), "{error}");
}

#[test]
fn a_guest_that_asks_for_create_and_start_gets_them() {
    let body = r#"{"Version":4,"Capabilities":{"SendHostCreateMessage":true,"SendHostStartMessage":true,"RuntimeOsType":"Linux","GuestDefinedCapabilities":{}}}"#;
    play(
        patient(),
        |mut actor| {
            actor.exchange(MessageType::NEGOTIATE_PROTOCOL, body);
            assert_eq!(actor.exchange(MessageType::CREATE, DONE).id, 1);
            assert_eq!(actor.exchange(MessageType::START, DONE).id, 2);
            actor.stay();
        },
        |connection| connection.map(drop).expect("negotiated"),
    );
}

#[test]
fn a_shutdown_of_an_unknown_container_is_success() {
    let ((), alive) = answered(
        MessageType::SHUTDOWN_GRACEFUL,
        r#"{"Result":-1070137074}"#,
        |host| {
            let container = host.open_container("gone").expect("registered");
            container.shutdown().expect("taken as ended");
        },
    );
    assert!(alive);
}
