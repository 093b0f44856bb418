//! Malformed frames on the wire: each gives the error the protocol names, and the VM lives on.

use e2e::{Bed, DEADLINE, busybox_disk, config};
use mote_host::frame::{self, Frame};
use mote_host::vm::Vm;
use mote_host::{Hresult, Machine, MessageType};
use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// The first request of every session.
pub(crate) const NEGOTIATE: &str = r#"{"ContainerId":"","ActivityId":"00000000-0000-0000-0000-000000000000","MinimumVersion":4,"MaximumVersion":4}"#;

const BASE: &str = r#"{"ContainerId":"00000000-0000-0000-0000-000000000000","ActivityId":"00000000-0000-0000-0000-000000000000"}"#;

pub(crate) fn request(message_type: u32, id: u64, body: &str) -> Vec<u8> {
    frame::encode(message_type, id, body.as_bytes()).expect("short")
}

/// A bridge without a codec between.
struct Wire {
    stream: UnixStream,
    next_id: u64,
}

impl Wire {
    fn of(vm: &Vm) -> Self {
        let stream = vm
            .accept_bridge(DEADLINE)
            .unwrap_or_else(|error| panic!("{error}"));
        stream.set_read_timeout(Some(DEADLINE)).expect("a limit");
        Self { stream, next_id: 0 }
    }

    fn negotiated(vm: &Vm) -> Self {
        let mut wire = Self::of(vm);
        assert_eq!(wire.ask(0x1010_0b01, NEGOTIATE), 0);
        wire
    }

    /// Sends a request and returns the result code of its response.
    fn ask(&mut self, message_type: u32, body: &str) -> i32 {
        self.ask_bytes(message_type, body.as_bytes())
    }

    fn ask_bytes(&mut self, message_type: u32, body: &[u8]) -> i32 {
        let id = self.next_id;
        self.next_id += 1;
        let bytes = frame::encode(message_type, id, body).expect("short");
        self.stream.write_all(&bytes).expect("taken");
        let response = self.read();
        assert_eq!(response.id, id);
        assert_eq!(
            response.message_type,
            (message_type & 0x0fff_ffff) | 0x2000_0000
        );
        result_of(&response)
    }

    fn read(&mut self) -> Frame {
        frame::read(&mut self.stream)
            .expect("a frame")
            .expect("not the end")
    }

    /// Waits for the guest to hang up.
    fn assert_reset(mut self) {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => assert!(rest.is_empty(), "{rest:?}"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
        }
    }
}

fn result_of(response: &Frame) -> i32 {
    let body: Value = serde_json::from_slice(&response.body).expect("JSON");
    let result = body["Result"].as_i64().expect("a result");
    if result != 0 {
        assert!(
            body["ErrorMessage"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{body}"
        );
    }
    i32::try_from(result).expect("signed 32 bits")
}

fn boot() -> Vm {
    Vm::start(config(Machine::Microvm).disk(busybox_disk()))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Checks that the VM still serves a proper host.
fn assert_serves(vm: Vm) {
    let guest = vm
        .connect()
        .unwrap_or_else(|error| panic!("{error}\n{}", vm.console()));
    Bed::of(vm, guest).assert_alive();
}

#[test]
fn a_size_that_cannot_be_ends_the_connection_and_not_the_vm() {
    let vm = boot();
    for size in [0_u32, 1, 15] {
        let mut wire = Wire::negotiated(&vm);
        let mut bytes = request(0x1010_0c01, 1, "");
        bytes[4..8].copy_from_slice(&size.to_le_bytes());
        wire.stream.write_all(&bytes).expect("taken");
        wire.assert_reset();
    }
    assert_serves(vm);
}

#[test]
fn a_size_of_4_gib_is_drained_or_refused_and_the_vm_lives_on() {
    let vm = boot();
    let mut wire = Wire::negotiated(&vm);
    let mut bytes = request(0x1010_0c01, 1, "");
    bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    wire.stream.write_all(&bytes).expect("taken");
    // Whatever the guest makes of it, the host may hang up inside the frame.
    drop(wire);
    assert_serves(vm);
}

#[test]
fn a_frame_above_the_limit_is_answered_and_the_bridge_stays_up() {
    let vm = boot();
    let mut wire = Wire::negotiated(&vm);
    let long = format!("{{\"ContainerId\":\"{}\"}}", "x".repeat(2 * 1024 * 1024));
    assert_ne!(wire.ask(MessageType::START.0, &long), 0);
    assert_eq!(wire.ask(MessageType::DUMP_STACKS.0, BASE), 0);
    drop(wire);
    assert_serves(vm);
}

#[test]
fn a_request_before_negotiation_is_not_implemented() {
    let vm = boot();
    let mut wire = Wire::of(&vm);
    assert_eq!(
        wire.ask(MessageType::DUMP_STACKS.0, BASE),
        Hresult::NOT_IMPLEMENTED.0
    );
    assert_eq!(wire.ask(0x1010_0b01, NEGOTIATE), 0);
    assert_eq!(wire.ask(MessageType::DUMP_STACKS.0, BASE), 0);
    assert_eq!(
        wire.ask(0x1010_0b01, NEGOTIATE),
        Hresult::NOT_IMPLEMENTED.0,
        "a second one"
    );
}

#[test]
fn versions_that_do_not_meet_are_refused_and_may_be_tried_again() {
    let vm = boot();
    let mut wire = Wire::of(&vm);
    for (minimum, maximum) in [(1, 3), (5, 9)] {
        let body = format!(r#"{{"MinimumVersion":{minimum},"MaximumVersion":{maximum}}}"#);
        let expected = Hresult::UNSUPPORTED_PROTOCOL_VERSION.0;
        assert_eq!(wire.ask(0x1010_0b01, &body), expected);
    }
    assert_eq!(wire.ask(0x1010_0b01, NEGOTIATE), 0);
}

#[test]
fn unknown_types_are_not_implemented_by_name() {
    let vm = boot();
    let mut wire = Wire::negotiated(&vm);
    for message_type in [
        0,
        0x1010_0e01,
        0x1010_0f01,
        0x1010_ff01,
        0x1020_0101,
        0x2010_0101,
        0x3010_0101,
        u32::MAX,
    ] {
        assert_eq!(
            wire.ask(message_type, BASE),
            Hresult::NOT_IMPLEMENTED.0,
            "{message_type:#x}"
        );
    }
    assert_eq!(wire.ask(MessageType::DUMP_STACKS.0, BASE), 0);
}

#[test]
fn bodies_that_are_no_documents_are_invalid_json() {
    let vm = boot();
    let mut wire = Wire::negotiated(&vm);
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_member = format!(
        "{{\"x\":{}1{}}}",
        "{\"y\":".repeat(10_000),
        "}".repeat(10_000)
    );
    let bodies: [&[u8]; 12] = [
        b"",
        b"{",
        b"[]",
        b"1",
        b"\"text\"",
        b"{}\0",
        b"{\"ContainerId\":1}",
        b"{\"ContainerId\":{}}",
        b"{\"ContainerId\":\"\xff\xfe\"}",
        b"not json at all",
        deep.as_bytes(),
        deep_member.as_bytes(),
    ];
    for body in bodies {
        let result = wire.ask_bytes(MessageType::START.0, body);
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        assert_eq!(result, Hresult::INVALID_JSON.0, "{shown}");
    }
    assert_eq!(
        wire.ask(MessageType::DUMP_STACKS.0, ""),
        0,
        "DumpStacks does not look at its body"
    );
}

#[test]
fn a_creation_without_what_it_needs_is_refused() {
    let vm = boot();
    let mut wire = Wire::negotiated(&vm);
    let specifications = [
        r#"{}"#,
        r#"{"SchemaVersion":{"Major":2,"Minor":0}}"#,
        r#"{"SchemaVersion":{"Major":2,"Minor":1}}"#,
        r#"{"SchemaVersion":{"Major":2,"Minor":1},"OciSpecification":{}}"#,
        r#"{"SchemaVersion":{"Major":2,"Minor":1},"OciSpecification":{"root":{"path":"/"},"linux":{}}}"#,
        r#"{"SchemaVersion":{"Major":2,"Minor":1},"OciSpecification":{"process":{"args":[]},"root":{"path":"/"},"linux":{}}}"#,
        r#"{"SchemaVersion":{"Major":2,"Minor":1},"OciSpecification":{"process":{"args":["/bin/busybox"]},"linux":{}}}"#,
        r#"not json"#,
        r#""#,
    ];
    for (number, document) in specifications.iter().enumerate() {
        let document = Value::from(*document).to_string();
        let body = format!(r#"{{"ContainerId":"c{number}","ContainerConfig":{document}}}"#);
        assert_ne!(wire.ask(MessageType::CREATE.0, &body), 0, "{body}");
    }
    let as_object = r#"{"ContainerId":"c","ContainerConfig":{}}"#;
    assert_eq!(
        wire.ask(MessageType::CREATE.0, as_object),
        Hresult::INVALID_JSON.0
    );
    assert_eq!(wire.ask(MessageType::DUMP_STACKS.0, BASE), 0);
}

#[test]
fn a_stdio_port_nobody_listens_on_fails_the_request_and_nothing_else() {
    let vm = boot();
    let mut wire = Wire::negotiated(&vm);
    let parameters =
        Value::from(r#"{"CommandArgs":["/bin/busybox","true"],"CreateStdOutPipe":true}"#);
    for port in ["", r#""StdOut":0"#, r#""StdOut":1234567"#] {
        let body = format!(
            r#"{{"ContainerId":"00000000-0000-0000-0000-000000000000","Settings":{{"ProcessParameters":{parameters},"VsockStdioRelaySettings":{{{port}}}}}}}"#
        );
        assert_ne!(wire.ask(MessageType::EXECUTE_PROCESS.0, &body), 0, "{port}");
    }
    assert_eq!(wire.ask(MessageType::DUMP_STACKS.0, BASE), 0);
}

#[test]
fn requests_arrive_whole_however_they_are_cut() {
    let vm = boot();
    let mut wire = Wire::negotiated(&vm);
    let bytes = request(MessageType::DUMP_STACKS.0, 1, BASE);
    for byte in &bytes {
        wire.stream.write_all(&[*byte]).expect("taken");
    }
    assert_eq!(result_of(&wire.read()), 0);
    // Many at once, in one write.
    let many: Vec<u8> = (2..50)
        .flat_map(|id| request(MessageType::START.0, id, BASE))
        .collect();
    wire.stream.write_all(&many).expect("taken");
    let mut ids: Vec<u64> = (2..50).map(|_| wire.read().id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (2..50).collect::<Vec<_>>());
}

#[test]
fn trace_members_duplicates_and_odd_spellings_are_read_as_go_reads_them() {
    let vm = boot();
    let mut wire = Wire::negotiated(&vm);
    for body in [
        r#"{"containerid":"x","ACTIVITYID":null}"#,
        r#"{"ContainerId":"a","ContainerId":"b"}"#,
        r#"{"ContainerId":"x","otsc":{"traceparent":"00-01","tracestate":"k=v"},"unknown":[{"a":[1,2.5e3,null]}]}"#,
        r#"{"ContainerId":"\ud800 lone"}"#,
        "null",
        " \n{\"ContainerId\":\"x\"}\r\n ",
    ] {
        assert_eq!(wire.ask(MessageType::START.0, body), 0, "{body}");
    }
}
