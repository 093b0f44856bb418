//! The worst bytes a host can send. Each has its error, and the session goes on (gcs-protocol §3.3, §15).

use crate::stage::*;
use serde_json::json;

/// The session still answers.
fn assert_alive(stage: &mut Stage) {
    assert_eq!(stage.ask(START, &base("x")).result(), 0);
}

#[test]
fn a_frame_shorter_than_its_header_ends_the_connection_and_not_the_agent() {
    for size in [0_u32, 1, 15] {
        let mut stage = Stage::negotiated();
        let mut bytes = frame(START, 1, b"");
        bytes[4..8].copy_from_slice(&size.to_le_bytes());
        let old = stage.bridge.unwrap();
        stage.send_bytes(&bytes);
        assert!(!stage.vsock.is_held(old), "{size}");
        stage.wait_ms(100);
        stage.bridge = stage.vsock.host(BRIDGE);
        stage.next_id = 0;
        assert_eq!(
            stage.ask(NEGOTIATE, &json!({"MaximumVersion": 4})).result(),
            0
        );
    }
}

#[test]
fn a_body_longer_than_the_buffer_is_drained_and_refused_with_its_limit() {
    let mut stage = Stage::new(4096);
    stage.connect();
    assert_eq!(
        stage.ask(NEGOTIATE, &json!({"MaximumVersion": 4})).result(),
        0
    );
    for (length, fits) in [(4095, true), (4096, true), (4097, false), (100_000, false)] {
        let text = base("x").to_string();
        let body = text.clone() + &" ".repeat(length - text.len());
        let response = stage.ask_text(START, &body);
        assert_eq!(response.result() == 0, fits, "{length}");
        if !fits {
            assert_eq!(response.result(), FAIL);
            assert!(
                response.error().ends_with("limit of 4096 bytes"),
                "{}",
                response.error()
            );
        }
    }
    assert_alive(&mut stage);
}

#[test]
fn a_frame_of_four_gib_is_only_waited_for() {
    let mut stage = Stage::negotiated();
    let mut bytes = frame(START, 1, &[b' '; 100]);
    bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    stage.send_bytes(&bytes);
    stage.assert_silent();
    stage.hang_up();
    stage.next_id = 0;
    assert_eq!(
        stage.ask(NEGOTIATE, &json!({"MaximumVersion": 4})).result(),
        0
    );
}

#[test]
fn a_host_that_hangs_up_anywhere_in_a_frame_is_dialled_again() {
    let bytes = frame(START, 1, base("x").to_string().as_bytes());
    for length in 0..bytes.len() {
        let mut stage = Stage::negotiated();
        stage.send_bytes(&bytes[..length]);
        stage.hang_up();
        stage.next_id = 0;
        let response = stage.ask(NEGOTIATE, &json!({"MaximumVersion": 4}));
        assert_eq!(response.result(), 0, "cut at {length}");
    }
}

#[test]
fn bodies_that_are_no_json_are_refused_with_their_position_and_no_echo() {
    let deep = format!("{{\"a\":{}", "[".repeat(10_000));
    let mut stage = Stage::negotiated();
    for (body, error) in [
        ("", "message: unexpected end of JSON at byte 0"),
        ("secret", "message: unexpected byte 0x73 at byte 0"),
        (
            "{\"ContainerId\":\"secret\"",
            "message: unexpected end of JSON at byte 23",
        ),
        ("{}\0", "message: unexpected byte 0x00 at byte 2"),
        (&deep, "message: nested deeper than 128 at byte 132"),
        ("[]", "message: expected an object at byte 0"),
        ("7", "message: expected an object at byte 0"),
        (
            "{\"ContainerId\":7}",
            "message, member ContainerId: expected a string at byte 15",
        ),
    ] {
        let response = stage.ask_text(START, body);
        assert_eq!(response.result(), INVALID_JSON, "{body}");
        assert_eq!(response.error(), error);
        assert!(response.body.get("ActivityId").is_none());
    }
    let id = stage.next_id;
    stage.next_id += 1;
    stage.send_bytes(&frame(START, id, b"{\"ContainerId\":\"\xff\"}"));
    let response = stage.receive().unwrap();
    assert_eq!(response.error(), "message: invalid UTF-8 at byte 16");
    assert_alive(&mut stage);
}

#[test]
fn values_of_the_wrong_type_or_range_are_refused_by_member() {
    let mut stage = Stage::negotiated();
    for (message, body, error) in [
        (
            WAIT,
            "{\"ProcessId\":-1}",
            "ProcessId: integer out of range",
        ),
        (
            WAIT,
            "{\"ProcessId\":4294967296}",
            "ProcessId: integer out of range",
        ),
        (
            WAIT,
            "{\"ProcessId\":99999999999999999999}",
            "ProcessId: integer out of range",
        ),
        (
            WAIT,
            "{\"ProcessId\":1.0}",
            "ProcessId: expected an integer",
        ),
        (
            WAIT,
            "{\"TimeoutInMs\":1e3}",
            "TimeoutInMs: expected an integer",
        ),
        (
            WAIT,
            "{\"TimeoutInMs\":\"1\"}",
            "TimeoutInMs: expected an integer",
        ),
        (RESIZE, "{\"Height\":65536}", "Height: integer out of range"),
        (SIGNAL, "{\"Options\":[]}", "Options: expected an object"),
        (
            SIGNAL,
            "{\"Options\":{\"Signal\":2147483648}}",
            "Signal: integer out of range",
        ),
        (
            CREATE,
            "{\"ContainerConfig\":{}}",
            "ContainerConfig: expected a string",
        ),
        (PROPERTIES, "{\"Query\":{}}", "Query: expected a string"),
        (
            EXECUTE,
            "{\"Settings\":{\"ProcessParameters\":\"{\\\"CreateStdInPipe\\\":1}\"}}",
            "CreateStdInPipe: expected true or false",
        ),
        (
            EXECUTE,
            "{\"Settings\":{\"ProcessParameters\":\"{\\\"CommandArgs\\\":[7]}\"}}",
            "CommandArgs: expected a string",
        ),
        (
            EXECUTE,
            "{\"Settings\":{\"ProcessParameters\":\"{\\\"CommandArgs\\\":[\\\"a\\\\u0000\\\"]}\"}}",
            "CommandArgs: a NUL character cannot be passed on",
        ),
        (
            EXECUTE,
            "{\"Settings\":{\"ProcessParameters\":\"{\\\"WorkingDirectory\\\":\\\"\\\\u0000\\\"}\"}}",
            "WorkingDirectory: a NUL character cannot be passed on",
        ),
    ] {
        let response = stage.ask_text(message, body);
        assert_eq!(response.result(), INVALID_JSON, "{body}");
        assert!(response.error().contains(error), "{}", response.error());
    }
    assert_alive(&mut stage);
}

#[test]
fn documents_in_strings_are_refused_by_the_member_that_carries_them() {
    let mut stage = Stage::negotiated();
    for (message, body, error) in [
        (
            CREATE,
            "{\"ContainerId\":\"x\",\"ContainerConfig\":\"{\"}",
            "ContainerConfig: unexpected end of JSON at byte 1",
        ),
        (
            CREATE,
            "{\"ContainerId\":\"x\",\"ContainerConfig\":\"\"}",
            "ContainerConfig: unexpected end of JSON at byte 0",
        ),
        (
            EXECUTE,
            "{\"Settings\":{\"ProcessParameters\":\"\"}}",
            "ProcessParameters: unexpected end of JSON at byte 0",
        ),
        (
            PROPERTIES,
            "{\"Query\":\"[\"}",
            "Query: unexpected end of JSON at byte 1",
        ),
    ] {
        let response = stage.ask_text(message, body);
        assert_eq!(response.result(), INVALID_JSON);
        assert_eq!(response.error(), error);
    }
}

#[test]
fn a_create_without_what_it_needs_is_refused_by_the_member() {
    let mut stage = Stage::negotiated();
    let without = |path: &[&str]| {
        let mut specification = specification();
        let (last, front) = path.split_last().unwrap();
        let parent = front
            .iter()
            .fold(&mut specification, |value, name| &mut value[name]);
        parent.as_object_mut().unwrap().remove(*last);
        specification
    };
    for (specification, member) in [
        (json!(null), "OciSpecification"),
        (without(&["process"]), "OciSpecification.process"),
        (without(&["process", "args"]), "process.args"),
        (without(&["root"]), "OciSpecification.root.path"),
        (without(&["root", "path"]), "OciSpecification.root.path"),
    ] {
        let response = stage.ask(CREATE, &create_with("x", &specification));
        assert_eq!(response.result(), INVALID_ARGUMENT);
        assert_eq!(response.error(), format!("missing: {member}"));
    }
    let schema =
        json!({"ContainerId": "x", "ContainerConfig": "{\"SchemaVersion\":{\"Major\":2}}"});
    assert_eq!(stage.ask(CREATE, &schema).result(), INVALID_JSON);
    let mut named = specification();
    named["process"]["user"]["username"] = "dae\0mon".into();
    let response = stage.ask(CREATE, &create_with("x", &named));
    assert_eq!(response.result(), INVALID_JSON, "{}", response.error());
    assert_eq!(
        stage
            .ask(CREATE, &create_with("", &specification()))
            .result(),
        INVALID_ARGUMENT
    );
    assert!(stage.kernel.processes.is_empty());
    assert_eq!(stage.create("x").result(), 0);
}

#[test]
fn an_execute_without_a_command_is_refused() {
    let mut stage = Stage::negotiated();
    for parameters in [
        json!({}),
        json!({"CommandLine": " "}),
        json!({"CommandArgs": []}),
    ] {
        let response = stage.ask(EXECUTE, &execute_request(NULL_ID, &parameters));
        assert_eq!(response.result(), INVALID_ARGUMENT);
        assert_eq!(response.error(), "missing: CommandLine or CommandArgs");
    }
    let response = stage.ask(
        EXECUTE,
        &execute_request(NULL_ID, &json!({"CommandLine": "a 'b"})),
    );
    assert_eq!(response.result(), FAIL);
    let ports = json!({"ContainerId": NULL_ID, "Settings": {"ProcessParameters": "{\"CommandArgs\":[\"a\"],\"CreateStdErrPipe\":true}"}});
    let response = stage.ask(EXECUTE, &ports);
    assert_eq!(
        response.error(),
        "a pipe for stderr was asked for without a port"
    );
}

#[test]
fn lists_that_are_too_long_name_their_limit() {
    let mut stage = Stage::negotiated();
    let groups: Vec<u32> = (0..33).collect();
    let mut specification = specification();
    specification["process"]["user"]["additionalGids"] = json!(groups[..32]);
    assert_eq!(
        stage
            .ask(CREATE, &create_with("x", &specification))
            .result(),
        0
    );
    specification["process"]["user"]["additionalGids"] = json!(groups);
    let response = stage.ask(CREATE, &create_with("y", &specification));
    assert!(
        response.error().contains("limit reached: MAX_GROUPS = 32"),
        "{}",
        response.error()
    );
    for (count, fits) in [(1023, true), (1024, true), (1025, false)] {
        let variables: serde_json::Map<_, _> =
            (0..count).map(|n| (format!("V{n}"), json!("v"))).collect();
        let parameters = json!({"CommandArgs": ["a"], "Environment": variables});
        let response = stage.ask(EXECUTE, &execute_request(NULL_ID, &parameters));
        assert_eq!(response.result() == 0, fits, "{count}");
        assert!(
            fits || response
                .error()
                .contains("limit reached: MAX_VARIABLES = 1024")
        );
    }
}

#[test]
fn an_error_record_says_where_in_the_agent_it_was_decided() {
    let mut stage = Stage::negotiated();
    let response = stage.ask(DELETE, &base("nobody"));
    let record = &response.body["ErrorRecords"][0];
    assert_eq!(record["Result"], response.body["Result"]);
    assert_eq!(record["Message"], response.body["ErrorMessage"]);
    assert_eq!(record["ModuleName"], "gcs");
    assert!(record["FileName"].as_str().unwrap().ends_with(".rs"));
    assert!(record["Line"].as_u64().unwrap() > 0);
}

/// A small generator of numbers (xorshift64*), so that a failure repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

#[test]
fn mutated_recordings_never_end_the_session() {
    let frames = crate::frames::requests();
    let mut random = Random(42);
    let mut stage = Stage::negotiated();
    for round in 0..4000 {
        let recorded = &frames[random.below(frames.len())];
        let mut body = recorded.body.clone().into_bytes();
        for _ in 0..=random.below(4) {
            if body.is_empty() {
                break;
            }
            let at = random.below(body.len());
            match random.below(4) {
                0 => body[at] = random.below(256) as u8,
                1 => {
                    body.remove(at);
                }
                2 => body.insert(at, b"{}[]\",:\\0nte\0"[random.below(13)]),
                _ => body.truncate(at),
            }
        }
        if matches!(recorded.message, SHUTDOWN_FORCED | SHUTDOWN_GRACEFUL) {
            continue;
        }
        stage.next_id += 1;
        let id = stage.next_id;
        stage.send_bytes(&frame(recorded.message, id, &body));
        while stage.receive().is_some() {}
        if round % 50 == 0 {
            stage.next_id += 1;
            assert_alive(&mut stage);
            // Everything that was started comes to an end, so that the tables do not fill up.
            for pid in 0..stage.kernel.processes.len() {
                let pid = stage.kernel.processes[pid].pid.0;
                if stage.kernel.at(pid).state == fakes::kernel::State::Running {
                    stage.kernel.exit(pid, agent::kernel::ExitStatus::Exited(0));
                }
            }
            stage.wait_ms(120_000);
            while stage.receive().is_some() {}
        }
    }
}
