//! Requests: every message type over every body.

use super::Target;
use agent::json;
use agent::message::MessageType;
use agent::message::request::Request;
use mote_host::ProcessConfig;
use mote_host::request;
use serde_json::json;

pub(super) const REQUEST: Target = Target {
    name: "request",
    about: "every message type, over bodies that a host might send and worse",
    corpus: || {
        bodies()
            .iter()
            .flat_map(|body| (0..TYPES.len() as u8).map(|kind| [&[kind], body.as_slice()].concat()))
            .collect()
    },
    words: WORDS,
    weight: 1,
    max_bytes: 8192,
    run,
};

/// What a host can ask for, and one type that does not exist.
pub(super) const TYPES: [MessageType; 14] = [
    MessageType::NEGOTIATE_PROTOCOL,
    MessageType::CREATE,
    MessageType::START,
    MessageType::SHUTDOWN_GRACEFUL,
    MessageType::SHUTDOWN_FORCED,
    MessageType::EXECUTE_PROCESS,
    MessageType::WAIT_FOR_PROCESS,
    MessageType::SIGNAL_PROCESS,
    MessageType::RESIZE_CONSOLE,
    MessageType::GET_PROPERTIES,
    MessageType::MODIFY_SETTINGS,
    MessageType::DUMP_STACKS,
    MessageType::DELETE_CONTAINER_STATE,
    MessageType(0x1010_ff01),
];

/// Names of members and values that mean something.
pub(super) const WORDS: &[&[u8]] = &[
    b"\"ContainerId\":",
    b"\"ActivityId\":",
    b"\"containerid\":",
    b"\"ProcessId\":",
    b"\"TimeoutInMs\":",
    b"\"Options\":",
    b"\"Signal\":",
    b"\"Settings\":",
    b"\"ProcessParameters\":",
    b"\"OciProcess\":",
    b"\"CommandLine\":",
    b"\"CommandArgs\":",
    b"\"Environment\":",
    b"\"VsockStdioRelaySettings\":",
    b"\"ContainerConfig\":",
    b"\"OciSpecification\":",
    b"\"SchemaVersion\":",
    b"\"MinimumVersion\":",
    b"\"MaximumVersion\":",
    b"\"Query\":",
    b"\"additionalGids\":",
    b"\"args\":",
    b"\"00000000-0000-0000-0000-000000000000\"",
    b"\\\"",
    b"\\\\\\\"",
    b"{\\\"",
    b"\\\"}",
    b"null",
    b"-1",
    b"4294967296",
    b"1.5",
    b"\\u0000",
    b"\\\\u0000",
    b"[[[[[[[[",
    b"{}",
    b"\"\"",
    b"true",
];

/// A good body of every message.
pub(super) fn bodies() -> Vec<Vec<u8>> {
    let vm = request::UTILITY_VM;
    let program = ProcessConfig::new(["/bin/busybox", "echo", "é \"quoted\""])
        .env("NAME", "value")
        .cwd("/tmp")
        .user(1, 2);
    let specification = json!({
        "SchemaVersion": { "Major": 2, "Minor": 1 },
        "OciBundlePath": "/run/gcs/c/box",
        "OciSpecification": {
            "ociVersion": "1.0.2",
            "process": { "args": ["/bin/true"], "env": ["A=b"], "cwd": "/", "user": { "uid": 0, "gid": 0, "additionalGids": [5] } },
            "root": { "path": "/" },
            "linux": {},
        },
    });
    let ports = request::StdioPorts {
        stdin: 1,
        stdout: 2,
        stderr: 3,
    };
    vec![
        request::negotiate(),
        request::create("box", &specification),
        request::plain(vm),
        request::execute_process(vm, &program, ports),
        request::execute_process("box", &ProcessConfig::init(), ports),
        request::execute_process("box", &program, ports),
        request::wait_for_process(vm, 7, request::INFINITE_MS),
        request::signal_process("box", 7, Some(15)),
        request::resize_console("box", 7, 24, 80),
        request::modify_settings(
            vm,
            &json!({ "RequestType": "Add", "ResourceType": "Network", "Settings": {} }),
        ),
    ]
}

fn run(bytes: &[u8]) {
    let Some((&kind, body)) = bytes.split_first() else {
        return;
    };
    let message = TYPES[usize::from(kind) % TYPES.len()];
    let mut body = body.to_vec();
    let checked = json::check(&body);
    match Request::parse(message, &mut body, checked) {
        // Walks everything that was borrowed from the body.
        Ok(request) => assert!(!format!("{request:?}").is_empty()),
        Err(failure) => assert!(
            !failure.text().as_str().is_empty(),
            "a refusal without words"
        ),
    }
}
