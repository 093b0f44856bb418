//! Recorded frames (see `data/`): what we send means the same as what hcsshim sent, and we read what its guest answered.
//!
//! Requests are compared as documents, after decoding the documents that travel as strings.

use mote_host::frame::{self, Frame};
use mote_host::request::{self, StdioPorts};
use mote_host::response::{Answer, Expected, decode, decode_notification};
use mote_host::{ExitType, Hresult, MessageType, ProcessConfig, PropertyType};
use serde_json::Value;
use std::fs;
use std::path::Path;

const CONTAINER: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";

fn recorded(name: &str) -> Frame {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(format!("{name}.json"));
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let value: Value = serde_json::from_slice(&text).expect("a recorded frame is JSON");
    let message_type = value["type_hex"].as_str().expect("type_hex");
    Frame {
        message_type: u32::from_str_radix(&message_type[2..], 16).expect("hexadecimal"),
        id: value["id"].as_u64().expect("id"),
        body: value["body"].as_str().expect("body").into(),
    }
}

/// Parses a body, with the documents inside its strings in place of the strings.
fn meaning(body: &[u8]) -> Value {
    fn unfold(value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    let is_document = matches!(
                        name.as_str(),
                        "ProcessParameters" | "ContainerConfig" | "Query"
                    );
                    if let Value::String(text) = value
                        && is_document
                    {
                        *value = serde_json::from_str(text).expect("a nested document");
                    }
                    unfold(value);
                }
            }
            Value::Array(list) => list.iter_mut().for_each(unfold),
            _ => {}
        }
    }
    let mut value = serde_json::from_slice(body).expect("JSON");
    unfold(&mut value);
    value
}

#[track_caller]
fn same(name: &str, message_type: MessageType, body: &[u8]) {
    let recorded = recorded(name);
    assert_eq!(recorded.message_type, message_type.0, "{name}");
    assert_eq!(meaning(body), meaning(&recorded.body), "{name}");
    assert_eq!(body.last(), Some(&b'\n'), "host bodies end in a line feed");
}

fn ports(stdin: u32, stdout: u32, stderr: u32) -> StdioPorts {
    StdioPorts {
        stdin,
        stdout,
        stderr,
    }
}

#[test]
fn asks_as_hcsshim_asks() {
    let vm = request::UTILITY_VM;
    same(
        "main-00-negotiate-request",
        MessageType::NEGOTIATE_PROTOCOL,
        &request::negotiate(),
    );
    same(
        "main-02-start-request",
        MessageType::START,
        &request::plain(CONTAINER),
    );
    same(
        "main-03-exec-init-request",
        MessageType::EXECUTE_PROCESS,
        &request::execute_process(
            CONTAINER,
            &ProcessConfig::init(),
            ports(0x4000_0001, 0x4000_0002, 0x4000_0003),
        ),
    );
    same(
        "main-04-wait-init-request",
        MessageType::WAIT_FOR_PROCESS,
        &request::wait_for_process(CONTAINER, 101, request::INFINITE_MS),
    );
    same(
        "main-05-properties-processlist-request",
        MessageType::GET_PROPERTIES,
        &request::get_properties(CONTAINER, &[PropertyType::ProcessList]),
    );
    same(
        "main-06-properties-statistics-request",
        MessageType::GET_PROPERTIES,
        &request::get_properties(CONTAINER, &[PropertyType::Statistics]),
    );
    let shell = ProcessConfig::new(["sh", "-c", "stty size; sleep 100"])
        .without_env()
        .env("PATH", "/usr/bin:/bin")
        .env("TERM", "xterm")
        .terminal();
    same(
        "main-07-exec-tty-request",
        MessageType::EXECUTE_PROCESS,
        &request::execute_process(CONTAINER, &shell, ports(0x4000_0004, 0x4000_0005, 0)),
    );
    same(
        "main-09-resize-console-request",
        MessageType::RESIZE_CONSOLE,
        &request::resize_console(CONTAINER, 102, 40, 120),
    );
    same(
        "main-10-signal-sigterm-request",
        MessageType::SIGNAL_PROCESS,
        &request::signal_process(CONTAINER, 102, Some(15)),
    );
    same(
        "signal-exited-process-request",
        MessageType::SIGNAL_PROCESS,
        &request::signal_process(CONTAINER, 102, None),
    );
    let external = ProcessConfig::new(["sh", "-c", "echo ext; exit 3"])
        .without_env()
        .env("PATH", "/usr/bin:/bin")
        .without_stdin();
    same(
        "main-12-exec-external-request",
        MessageType::EXECUTE_PROCESS,
        &request::execute_process(vm, &external, ports(0, 0x4000_0006, 0x4000_0007)),
    );
    same(
        "main-14-dumpstacks-request",
        MessageType::DUMP_STACKS,
        &request::plain(vm),
    );
    same(
        "main-16-shutdown-after-exit-request",
        MessageType::SHUTDOWN_GRACEFUL,
        &request::plain(CONTAINER),
    );
    same(
        "main-17-delete-container-state-request",
        MessageType::DELETE_CONTAINER_STATE,
        &request::plain(CONTAINER),
    );
    let silent = ProcessConfig::new(["sleep", "100"])
        .without_env()
        .without_stdio();
    same(
        "exec-nostdio-request",
        MessageType::EXECUTE_PROCESS,
        &request::execute_process(CONTAINER, &silent, StdioPorts::default()),
    );
    let constraints = serde_json::json!({"RequestType": "Update", "ResourceType": "ContainerConstraints",
        "Settings": {"Windows": {}, "Linux": {"memory": {"limit": 268_435_456}}}});
    same(
        "modify-containerconstraints-update-request",
        MessageType::MODIFY_SETTINGS,
        &request::modify_settings(CONTAINER, &constraints),
    );
    let config = serde_json::json!({"SystemType": "Container", "TimeZoneInformation": null});
    same(
        "host-create-request",
        MessageType::CREATE,
        &request::create(vm, &config),
    );
    same(
        "modifyservicesettings-request",
        MessageType::MODIFY_SERVICE_SETTINGS,
        &request::modify_service_settings(
            "LogForwardService",
            &serde_json::json!({"RPCType": "StartLogForwarding"}),
        ),
    );
    same(
        "host-start-request",
        MessageType::START,
        &request::plain(vm),
    );
}

#[test]
fn frames_a_request_as_it_was_recorded() {
    let recorded = recorded("main-02-start-request");
    let bytes = frame::encode(recorded.message_type, recorded.id, &recorded.body).expect("short");
    assert_eq!(bytes.len(), 151, "the size gcs-protocol §14.2 gives");
    let read = frame::read(&mut bytes.as_slice()).expect("a frame");
    assert_eq!(read.as_ref(), Some(&recorded));
}

fn answer(name: &str, expected: Expected) -> Answer {
    decode(expected, &recorded(name).body)
        .unwrap_or_else(|slip| panic!("{name}: {slip}"))
        .unwrap_or_else(|refused| panic!("{name}: {refused:?}"))
}

#[test]
fn reads_what_the_recorded_guest_answered() {
    let Answer::Negotiated(4, capabilities) =
        answer("main-00-negotiate-response", Expected::Negotiated)
    else {
        panic!("not version 4")
    };
    assert_eq!(capabilities.os, "linux");
    assert!(
        capabilities.signal_process
            && capabilities.dump_stacks
            && capabilities.delete_container_state
    );
    let Answer::Negotiated(4, minimal) = answer("negotiate-minimal-response", Expected::Negotiated)
    else {
        panic!("not version 4")
    };
    assert!(!minimal.signal_process);
    assert_eq!(
        answer("main-01-create-response", Expected::Created),
        Answer::Done
    );
    assert_eq!(
        answer("main-03-exec-init-response", Expected::ProcessId),
        Answer::ProcessId(101)
    );
    assert_eq!(
        answer("main-08-wait-tty-response", Expected::ExitCode),
        Answer::ExitCode(143)
    );
    let Answer::Properties(list) = answer(
        "main-05-properties-processlist-response",
        Expected::Properties,
    ) else {
        panic!("no properties")
    };
    assert_eq!(list.process_list[0].pid, 101);
    let Answer::Properties(statistics) = answer(
        "main-06-properties-statistics-response",
        Expected::Properties,
    ) else {
        panic!("no properties")
    };
    let metrics = statistics.metrics.expect("asked for");
    assert_eq!(metrics.memory_limit_bytes, u64::MAX);
    assert_eq!((metrics.pids_current, metrics.cpu_total_ns), (2, 1_500_000));
    let Answer::Stacks(text) = answer("main-14-dumpstacks-response", Expected::Stacks) else {
        panic!("no stacks")
    };
    assert!(text.contains("\tpc=0x1000\n"));
}

#[test]
fn reads_every_recorded_error() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut count = 0;
    for entry in fs::read_dir(directory).expect("readable") {
        let name = entry
            .expect("readable")
            .file_name()
            .into_string()
            .expect("ASCII");
        let Some(name) = name
            .strip_suffix(".json")
            .filter(|name| name.starts_with("error-"))
        else {
            continue;
        };
        // Some of these show that a thing is no error to the guest.
        let refused = decode(Expected::Base, &recorded(name).body)
            .unwrap_or_else(|slip| panic!("{name}: {slip}"));
        count += usize::from(refused.is_err());
    }
    assert!(count >= 20, "{count} errors");
}

#[test]
fn reads_the_code_of_a_recorded_error() {
    for (name, hresult) in [
        (
            "error-negotiate-too-old-response",
            Hresult::UNSUPPORTED_PROTOCOL_VERSION,
        ),
        ("error-wait-timeout-response", Hresult::TIMEOUT),
        (
            "delete-container-state-unknown-response",
            Hresult::SYSTEM_NOT_FOUND,
        ),
        ("signal-exited-process-response", Hresult::NOT_FOUND),
        (
            "main-16-shutdown-after-exit-response",
            Hresult::SYSTEM_ALREADY_STOPPED,
        ),
    ] {
        let refused = decode(Expected::Base, &recorded(name).body)
            .unwrap_or_else(|slip| panic!("{name}: {slip}"))
            .expect_err(name);
        assert_eq!(refused.hresult, hresult, "{name}");
        assert!(!refused.message.is_empty(), "{name}");
    }
}

#[test]
fn reads_the_recorded_notifications() {
    for (name, exit_type) in [
        ("main-15-exit-notification-unexpected", ExitType::Unexpected),
        ("exit-notification-graceful", ExitType::Graceful),
        ("exit-notification-forced", ExitType::Forced),
    ] {
        let frame = recorded(name);
        assert_eq!(
            MessageType(frame.message_type),
            MessageType::CONTAINER_NOTIFICATION
        );
        let notification =
            decode_notification(&frame.body).unwrap_or_else(|slip| panic!("{name}: {slip}"));
        assert_eq!(notification.exit_type, exit_type, "{name}");
    }
}
