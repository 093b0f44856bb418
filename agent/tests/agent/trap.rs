//! The traps of gcs-protocol §16, each by its number. What concerns resources stands with theirs.

use crate::stage::*;
use agent::kernel::{ExitStatus, OutputStream, Signal};
use agent::limits::{DRAIN_MS, WAIT_GRACE_MS};
use fakes::kernel::State;
use serde_json::{Value, json};

fn signal(id: &str, pid: u32, number: i32) -> Value {
    json!({"ContainerId": id, "ProcessId": pid, "Options": {"Signal": number}})
}

fn all(stage: &mut Stage) -> Vec<Frame> {
    std::iter::from_fn(|| stage.receive()).collect()
}

/// What the real host's decoder accepts of a frame from the guest (§14.4).
fn assert_acceptable(frame: &Frame) {
    let body = frame.body.as_object().expect("an object");
    let text = |member: &str| body.get(member).map(|value| value.as_str().expect(member));
    if let Some(result) = body.get("Result") {
        let result = result.as_i64().expect("an integer");
        assert!(i32::try_from(result).is_ok(), "{result}");
    }
    if let Some(activity) = text("ActivityId") {
        let groups: Vec<usize> = activity.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12], "{activity}");
        assert!(
            activity
                .bytes()
                .all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
        );
    }
    for member in ["Properties", "ResultInfo"] {
        if let Some(document) = text(member) {
            serde_json::from_str::<Value>(document).expect("a document");
        }
    }
    for record in body
        .get("ErrorRecords")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        assert!(
            record["Line"]
                .as_u64()
                .is_some_and(|line| line <= u64::from(u32::MAX))
        );
        assert!(record["FileName"].is_string() && record["ModuleName"].is_string());
        assert_eq!(record["Result"], body["Result"]);
        assert_eq!(record["Message"], body["ErrorMessage"]);
    }
    for member in [
        "ExitCode",
        "ProcessId",
        "Version",
        "SelectedProtocolVersion",
    ] {
        if let Some(number) = body.get(member) {
            assert!(u32::try_from(number.as_u64().expect(member)).is_ok());
        }
    }
    assert!(frame.text.len() + 16 <= 65536);
    assert!(
        frame.text.starts_with('{') && frame.text.ends_with('}'),
        "nothing around it"
    );
}

/// §16.1: Size counts the header, ids start at 0, and a notification's id is 0 as well.
#[test]
fn trap_1_id_0_is_a_request_like_any_other() {
    let mut stage = Stage::connected();
    let response = stage.ask(NEGOTIATE, &json!({"MaximumVersion": 4}));
    assert_eq!((response.message, response.id), (0x2010_0b01, 0));
    stage.create("x");
    stage.ask(SHUTDOWN_FORCED, &base("x"));
    let notice = stage.receive().unwrap();
    assert_eq!((notice.message, notice.id), (NOTIFICATION, 0));
}

/// §16.2, §14.4: the host ends the session over any slip, so there is none, whatever is asked.
#[test]
fn trap_2_whatever_is_asked_the_host_accepts_the_answer() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    stage.execute("x", &json!({}));
    let nasty = "\u{0}\u{1f}\"\\<>&\u{2028}\u{10ffff}";
    let bodies = [
        base("x"),
        base(NULL_ID),
        base(nasty),
        json!({}),
        Value::Null,
        json!({"ContainerId": "x", "ActivityId": nasty}),
        json!({"ContainerId": "x", "ActivityId": "{00000000-0000-0000-0000-000000000000}"}),
        json!({"ContainerId": "x", "ProcessId": 101, "TimeoutInMs": 0, "Query": ""}),
        json!({"ContainerId": "x", "ProcessId": 4_294_967_295_u32, "Options": {"Signal": -1}}),
        json!({"ContainerId": "x", "Query": "{\"PropertyTypes\":[\"ProcessList\",\"Statistics\",\"?\",\"\"]}"}),
        json!({"ContainerId": "x", "Request": {"ResourceType": nasty, "RequestType": nasty}}),
        json!({"ContainerId": nasty, "ContainerConfig": "{\"SchemaVersion\":{\"Major\":2,\"Minor\":1}}"}),
        json!({"ContainerId": "x", "Settings": {"ProcessParameters": "{\"CommandLine\":\"'\"}"}}),
        json!([]),
        json!("text"),
    ];
    let types = (1..=16).map(|number| 0x1010_0001 | number << 8);
    for message in types.chain([0, u32::MAX, 0x2010_0101, 0x3010_0101, 0x1020_0101]) {
        for body in &bodies {
            if message == SHUTDOWN_FORCED || message == SHUTDOWN_GRACEFUL {
                continue;
            }
            let id = stage.send(message, body);
            let answer = all(&mut stage).pop();
            if let Some(answer) = answer {
                assert_acceptable(&answer);
                assert!(answer.id == id || answer.message == NOTIFICATION);
            } else {
                assert_eq!(message, WAIT, "{body}: only a wait is answered later");
            }
        }
    }
}

/// §16.3: a result is the signed number of its code.
#[test]
fn trap_3_results_are_signed() {
    let mut stage = Stage::negotiated();
    let refused = stage.ask(DELETE, &base("x"));
    assert!(
        refused.text.starts_with("{\"Result\":-1070137074,"),
        "{}",
        refused.text
    );
}

/// §16.4: without these two the host would not go on, or would take the guest for Windows.
#[test]
fn trap_4_the_guest_says_that_it_is_linux_and_what_it_can() {
    let mut stage = Stage::connected();
    let response = stage.ask(NEGOTIATE, &json!({"MaximumVersion": 4}));
    let capabilities = &response.body["Capabilities"];
    assert_eq!(capabilities["RuntimeOsType"], "Linux");
    assert!(capabilities["GuestDefinedCapabilities"].is_object());
}

/// §16.5: entropy and log are dialled, and before the bridge.
#[test]
fn trap_5_entropy_and_log_are_dialled_before_the_bridge() {
    let stage = Stage::negotiated();
    let ports: Vec<u32> = stage.vsock.dials.iter().map(|(port, _)| port.0).collect();
    assert_eq!(ports, [1, 109, BRIDGE]);
}

/// §16.6: Start does nothing; a created container has an init that can be waited for and killed.
#[test]
fn trap_6_start_starts_nothing_and_a_created_init_can_be_waited_for_and_killed() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    assert_eq!(stage.ask(START, &base("x")).result(), 0);
    assert_eq!(stage.kernel.at(101).state, State::Stopped);
    let wait = stage.send_wait("x", 101, INFINITE);
    stage.assert_silent();
    assert_eq!(stage.ask(SIGNAL, &signal("x", 101, 9)).result(), 0);
    let answer = stage.receive().unwrap();
    assert_eq!((answer.id, &answer.body["ExitCode"]), (wait, &json!(137)));
}

/// §16.7: the members of external commands mean nothing for a container's processes.
#[test]
fn trap_7_command_members_mean_nothing_to_processes_of_a_container() {
    let noise = json!({
        "CommandLine": "other 'unfinished", "CommandArgs": ["other"], "WorkingDirectory": "/other",
        "Environment": {"OTHER": "1"}, "EmulateConsole": true, "User": "other", "ConsoleSize": [1, 2]
    });
    let mut stage = Stage::negotiated();
    stage.create("x");
    assert_eq!(stage.execute("x", &noise), 101);
    let mut further = noise;
    further["OciProcess"] = json!({"args": ["own"], "env": ["A=1"], "cwd": "/own"});
    let further = stage.execute("x", &further);
    assert_eq!(stage.kernel.at(101).args, ["init", "a b"]);
    let process = stage.kernel.at(further);
    assert_eq!((&process.args[0][..], &process.cwd[..]), ("own", "/own"));
    assert_eq!(process.env, ["A=1"]);
    assert!(!process.terminal);
}

/// §16.8: no options, null and 0 all mean SIGKILL.
#[test]
fn trap_8_a_signal_that_is_absent_null_or_0_is_kill() {
    for options in [
        None,
        Some(Value::Null),
        Some(json!({})),
        Some(json!({"Signal": 0})),
        Some(json!({"Signal": null})),
    ] {
        let mut stage = Stage::negotiated();
        let pid = stage.quiet("spin");
        let mut body = json!({"ContainerId": NULL_ID, "ProcessId": pid});
        if let Some(options) = options {
            body["Options"] = options;
        }
        assert_eq!(stage.ask(SIGNAL, &body).result(), 0, "{body}");
        assert_eq!(stage.kernel.at(pid).signals, [Signal::KILL], "{body}");
    }
}

/// §16.9, §8.3: output and its end, then the wait's answer, then the notification; never a "Started" one.
#[test]
fn trap_9_streams_end_before_the_wait_is_answered_and_that_before_the_notification() {
    let mut stage = Stage::negotiated();
    let init = stage.container("x");
    stage.vsock.set_window(3);
    stage.send_wait("x", init, INFINITE);
    let [_, stdout, stderr] = stage.streams();
    stage
        .kernel
        .write(init, OutputStream::Stdout, b"0123456789");
    stage.exit(init, 0);
    let mut read = Vec::new();
    while read.len() < 10 {
        stage.assert_silent();
        read.extend(stage.vsock.host_read_some(stdout, 1));
        stage.run();
    }
    stage.vsock.set_window(1 << 16);
    stage.wait_ms(1);
    assert!(stage.vsock.host_sees_end(stdout) && stage.vsock.host_sees_end(stderr));
    stage.assert_silent();
    stage.run();
    let kinds: Vec<u32> = all(&mut stage).iter().map(|frame| frame.message).collect();
    assert_eq!(kinds, [0x2010_0601, NOTIFICATION]);
}

/// §16.10: a wait stays open while everything else is answered, and frames leave whole.
#[test]
fn trap_10_waits_hold_nothing_else_up() {
    let mut stage = Stage::negotiated();
    let pid = stage.quiet("spin");
    for _ in 0..50 {
        stage.send_wait(NULL_ID, pid, INFINITE);
        assert_eq!(stage.ask(START, &base("x")).result(), 0);
    }
    // Cut by a small window, the frames still arrive one after the other.
    stage.vsock.set_window(7);
    stage.exit(pid, 1);
    let mut count = 0;
    for _ in 0..10_000 {
        count += all(&mut stage).len();
        stage.run();
    }
    assert_eq!(count, 50);
}

/// §16.11: 0 is a real time-out, 0xFFFFFFFF is none.
#[test]
fn trap_11_a_time_out_of_0_is_real_and_the_highest_is_none() {
    let mut stage = Stage::negotiated();
    let pid = stage.quiet("spin");
    let now = stage.ask(WAIT, &wait_request(NULL_ID, pid, 0));
    assert_eq!(now.result(), TIMEOUT);
    stage.send_wait(NULL_ID, pid, INFINITE);
    stage.wait_ms(u64::from(u32::MAX) + 1);
    stage.assert_silent();
    let absent = json!({"ContainerId": NULL_ID, "ProcessId": pid});
    assert_eq!(stage.ask(WAIT, &absent).result(), TIMEOUT, "absent is 0");
}

/// §16.12: a refusal has the members of the base and no others.
#[test]
fn trap_12_a_refusal_carries_no_half_filled_members() {
    let mut stage = Stage::negotiated();
    for message in [
        CREATE, EXECUTE, WAIT, SIGNAL, RESIZE, PROPERTIES, MODIFY, DELETE,
    ] {
        let refused = stage.ask(message, &base("x"));
        assert_ne!(refused.result(), 0, "{message:x}");
        let mut members: Vec<&String> = refused.body.as_object().unwrap().keys().collect();
        members.sort();
        assert_eq!(
            members,
            ["ActivityId", "ErrorMessage", "ErrorRecords", "Result"]
        );
    }
}

/// §16.13: a refusal does not repeat a request of any size.
#[test]
fn trap_13_a_refusal_never_echoes_a_long_request() {
    let mut stage = Stage::negotiated();
    let long = "\u{1}".repeat(100_000);
    let mut specification = specification();
    specification["process"]["args"] = json!([long.clone()]);
    specification["mounts"] = json!([{"destination": long.clone(), "type": "bind"}]);
    for (message, body) in [
        (CREATE, create_with("x", &specification)),
        (CREATE, create_request(&long)),
        (DELETE, base(&long)),
        (MODIFY, json!({"Request": {"ResourceType": long.clone()}})),
        (
            EXECUTE,
            execute_request(NULL_ID, &json!({"CommandLine": format!("'{long}")})),
        ),
        (START, json!({"ContainerId": {"x": long.clone()}})),
    ] {
        let refused = stage.ask(message, &body);
        assert_ne!(refused.result(), 0);
        assert!(
            refused.text.len() < 16 * 1024,
            "{message:x}: {}",
            refused.text.len()
        );
    }
}

/// §16.14: what is absent is zero.
#[test]
fn trap_14_absent_numbers_are_zero() {
    let mut stage = Stage::negotiated();
    for message in [WAIT, SIGNAL, RESIZE] {
        assert_eq!(
            stage.ask(message, &base(NULL_ID)).result(),
            NOT_FOUND,
            "process 0"
        );
    }
}

/// §16.16: of what is to be removed only an unknown container is an error.
#[test]
fn trap_16_an_unknown_container_is_an_error_of_its_own() {
    let mut stage = Stage::negotiated();
    for message in [SHUTDOWN_GRACEFUL, SHUTDOWN_FORCED, DELETE, PROPERTIES] {
        assert_eq!(stage.ask(message, &base("x")).result(), NO_CONTAINER);
    }
}

/// §16.17: the legacy shim shuts every container down once more, and closes the VM over an exit it learns after 30 s.
#[test]
fn trap_17_a_container_that_has_exited_says_so_at_once_and_a_stalled_stream_hides_no_kill_for_30_s()
{
    let mut stage = Stage::negotiated();
    let init = stage.container("x");
    stage.vsock.set_window(4);
    stage.kernel.write(init, OutputStream::Stdout, &[b'x'; 100]);
    stage.run();
    stage.vsock.set_window(1 << 16);
    stage.send_wait("x", init, INFINITE);
    assert_eq!(stage.ask(SHUTDOWN_FORCED, &base("x")).result(), 0);
    const { assert!(DRAIN_MS < 25_000) };
    stage.wait_ms(DRAIN_MS - 1);
    stage.assert_silent();
    stage.wait_ms(1);
    assert_eq!(stage.receive().unwrap().body["ExitCode"], 137);
    assert_eq!(stage.receive().unwrap().message, NOTIFICATION);
    for message in [SHUTDOWN_GRACEFUL, SHUTDOWN_FORCED] {
        assert_eq!(stage.ask(message, &base("x")).result(), STOPPED);
    }
}

/// §16.18: an exit code is never negative.
#[test]
fn trap_18_exit_codes_are_unsigned() {
    for (status, code) in [
        (ExitStatus::Exited(0), 0),
        (ExitStatus::Exited(255), 255),
        (ExitStatus::Killed(Signal::KILL), 137),
        (ExitStatus::Killed(Signal::SEGV), 139),
    ] {
        let mut stage = Stage::negotiated();
        let pid = stage.quiet("a");
        stage.send_wait(NULL_ID, pid, INFINITE);
        stage.kernel.exit(pid, status);
        stage.run();
        assert_eq!(stage.receive().unwrap().body["ExitCode"], code);
    }
}

/// §16.19: the host's method takes width and height, the message has Height and Width.
#[test]
fn trap_19_height_is_rows_and_width_is_columns() {
    let mut stage = Stage::negotiated();
    let parameters = json!({"CommandArgs": ["sh"], "EmulateConsole": true});
    let pid = stage.execute(NULL_ID, &parameters);
    let resize = json!({"ContainerId": NULL_ID, "ProcessId": pid, "Width": 120, "Height": 40});
    assert_eq!(stage.ask(RESIZE, &resize).result(), 0);
    assert_eq!(stage.kernel.at(pid).window, [40, 120]);
}

/// §16.20: "not found" on a wait reads as "exited with 0", so it is said of unknown processes only.
#[test]
fn trap_20_only_an_unknown_process_is_not_found() {
    let mut stage = Stage::negotiated();
    let pid = stage.quiet("spin");
    for _ in 0..agent::limits::MAX_WAITERS {
        stage.send_wait(NULL_ID, pid, INFINITE);
    }
    let full = stage.ask(WAIT, &wait_request(NULL_ID, pid, INFINITE));
    assert_eq!(full.result(), FAIL, "a full table is no unknown process");
    assert_eq!(
        stage
            .ask(WAIT, &wait_request(NULL_ID, 99, INFINITE))
            .result(),
        NOT_FOUND
    );
}

/// §16.21, §8.5: the Linux guest cannot signal an external process; this one can, for the host has no other way to stop one.
#[test]
fn trap_21_external_processes_can_be_signalled() {
    let mut stage = Stage::negotiated();
    let pid = stage.quiet("spin");
    stage.send_wait(NULL_ID, pid, INFINITE);
    assert_eq!(stage.ask(SIGNAL, &signal(NULL_ID, pid, 15)).result(), 0);
    assert_eq!(stage.receive().unwrap().body["ExitCode"], 143);
    assert_eq!(
        stage.ask(SIGNAL, &signal(NULL_ID, pid, 15)).result(),
        NOT_FOUND
    );
}

/// §16.22: ids are opaque.
#[test]
fn trap_22_container_ids_are_opaque_and_name_no_path() {
    let mut stage = Stage::negotiated();
    for id in [
        "..",
        "../../etc",
        "/",
        " ",
        "\u{0}",
        "\"<>&",
        "\u{2028}\u{fffd}",
        "X",
        "x",
    ] {
        assert_eq!(stage.create(id).result(), 0, "{id:?}");
        let pid = stage.execute(id, &json!({}));
        stage.send_wait(id, pid, INFINITE);
        stage.exit(pid, 1);
        assert_eq!(stage.receive().unwrap().body["ExitCode"], 1);
        assert_eq!(stage.receive().unwrap().body["ContainerId"], id);
    }
    assert!(
        stage
            .kernel
            .views
            .values()
            .all(|root| root == "/run/gcs/c/x/rootfs")
    );
}

/// §16.23: a workload comes after its sandbox.
#[test]
fn trap_23_a_workload_before_its_sandbox_fails_and_after_it_succeeds() {
    let pod = |kind: &str| {
        let mut specification = specification();
        specification["annotations"] = json!({
            "io.kubernetes.cri.container-type": kind, "io.kubernetes.cri.sandbox-id": "pod"
        });
        specification
    };
    let mut stage = Stage::negotiated();
    let workload = create_with("work", &pod("container"));
    assert_eq!(stage.ask(CREATE, &workload).result(), FAIL);
    assert_eq!(
        stage
            .ask(CREATE, &create_with("pod", &pod("sandbox")))
            .result(),
        0
    );
    assert_eq!(stage.ask(CREATE, &workload).result(), 0);
}

/// §16.24: every request is answered once, also one the host has given up.
#[test]
fn trap_24_every_request_is_answered_exactly_once() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    let pid = stage.execute("x", &json!({}));
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(stage.send(PROPERTIES, &base("x")));
        ids.push(stage.send_wait("x", pid, 10));
        ids.push(stage.send(SHUTDOWN_GRACEFUL, &base("x")));
        ids.push(stage.send(RESIZE, &base("x")));
        stage.wait_ms(1);
    }
    stage.wait_ms(WAIT_GRACE_MS);
    let mut answered: Vec<u64> = all(&mut stage)
        .iter()
        .filter(|frame| frame.message != NOTIFICATION)
        .map(|frame| frame.id)
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, ids);
}

/// §16.25: a document in a string has escapes of its own.
#[test]
fn trap_25_documents_in_strings_are_decoded_twice() {
    let mut stage = Stage::negotiated();
    let body = r#"{"ContainerId":"00000000-0000-0000-0000-000000000000","Settings":{"ProcessParameters":"{\"CommandArgs\":[\"sh\",\"-c\",\"a \\u003e\\u0026 \\\"b\\\" \\\\ \\ud83d\\ude00\"],\"Environment\":{\"A\\u0042\":\"\\u00e9\"}}"}}"#;
    let pid = stage.ask_text(EXECUTE, body).body["ProcessId"]
        .as_u64()
        .unwrap() as u32;
    let process = stage.kernel.at(pid);
    assert_eq!(process.args, ["sh", "-c", "a >& \"b\" \\ \u{1f600}"]);
    assert_eq!(process.env, ["AB=\u{e9}"]);
}

/// §16.25: no program can be given a NUL inside a string, so it is refused by the place it stands at.
#[test]
fn trap_25_a_string_with_a_nul_is_refused_where_a_program_would_get_it() {
    let mut stage = Stage::negotiated();
    for parameters in [
        json!({"CommandArgs": ["a", "b\u{0}c"]}),
        json!({"CommandArgs": ["a"], "Environment": {"A": "b\u{0}c"}}),
        json!({"CommandArgs": ["a"], "WorkingDirectory": "/\u{0}"}),
        json!({"CommandLine": "a b\u{0}c"}),
    ] {
        let response = stage.ask(EXECUTE, &execute_request(NULL_ID, &parameters));
        assert_ne!(response.result(), 0, "{parameters}");
    }
}
