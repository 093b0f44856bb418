//! The stage every conversation plays on.

use agent::kernel::ExitStatus;
use agent::{Agent, Buffers, Config};
use core::time::Duration;
use fakes::kernel::FakeKernel;
use fakes::vsock::{Answer, FakeVsock};
use hal::clock::Instant;
use hal::vsock::ConnectionId;
use serde_json::{Value, json};
use std::collections::VecDeque;

pub(crate) const BRIDGE: u32 = 0x4000_0000;
pub(crate) const STREAMS: [u32; 3] = [BRIDGE + 1, BRIDGE + 2, BRIDGE + 3];
pub(crate) const NULL_ID: &str = "00000000-0000-0000-0000-000000000000";

pub(crate) const CREATE: u32 = 0x1010_0101;
pub(crate) const START: u32 = 0x1010_0201;
pub(crate) const SHUTDOWN_GRACEFUL: u32 = 0x1010_0301;
pub(crate) const SHUTDOWN_FORCED: u32 = 0x1010_0401;
pub(crate) const EXECUTE: u32 = 0x1010_0501;
pub(crate) const WAIT: u32 = 0x1010_0601;
pub(crate) const SIGNAL: u32 = 0x1010_0701;
pub(crate) const RESIZE: u32 = 0x1010_0801;
pub(crate) const PROPERTIES: u32 = 0x1010_0901;
pub(crate) const MODIFY: u32 = 0x1010_0a01;
pub(crate) const NEGOTIATE: u32 = 0x1010_0b01;
pub(crate) const DUMP: u32 = 0x1010_0c01;
pub(crate) const DELETE: u32 = 0x1010_0d01;
pub(crate) const UPDATE: u32 = 0x1010_0e01;
pub(crate) const NOTIFICATION: u32 = 0x3010_0101;

pub(crate) const NOT_IMPLEMENTED: u32 = 0x8000_4001;
pub(crate) const FAIL: u32 = 0x8000_4005;
pub(crate) const FILE_NOT_FOUND: u32 = 0x8007_0002;
pub(crate) const INVALID_ARGUMENT: u32 = 0x8007_0057;
pub(crate) const NOT_FOUND: u32 = 0x8007_0490;
pub(crate) const INVALID_STATE: u32 = 0x8037_0105;
pub(crate) const TIMEOUT: u32 = 0xc037_0109;
pub(crate) const INVALID_JSON: u32 = 0xc037_010d;
pub(crate) const NO_CONTAINER: u32 = 0xc037_010e;
pub(crate) const EXISTS: u32 = 0xc037_010f;
pub(crate) const STOPPED: u32 = 0xc037_0110;

/// A frame from the guest.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) message: u32,
    pub(crate) id: u64,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Frame {
    /// Returns the result code as the documentation writes it.
    pub(crate) fn result(&self) -> u32 {
        self.body["Result"].as_i64().expect("a result") as i32 as u32
    }

    pub(crate) fn error(&self) -> &str {
        self.body["ErrorMessage"].as_str().unwrap_or("")
    }
}

/// Host, agent and kernel.
pub(crate) struct Stage {
    pub(crate) agent: Box<Agent>,
    pub(crate) vsock: FakeVsock,
    pub(crate) kernel: FakeKernel,
    pub(crate) now: Instant,
    pub(crate) bridge: Option<ConnectionId>,
    pub(crate) next_id: u64,
    received: Vec<u8>,
    frames: VecDeque<Frame>,
    pub(crate) next_deadline: Instant,
}

impl Stage {
    /// An agent that has begun, and a host that listens on every port a session needs.
    pub(crate) fn new(body_bytes: usize) -> Self {
        Self::configured(body_bytes, Config::DEFAULT)
    }

    pub(crate) fn configured(body_bytes: usize, config: Config) -> Self {
        let mut agent = Box::new(Agent::new());
        let buffers = Buffers {
            body: vec![0; body_bytes].leak(),
            outgoing: vec![0; 128 * 1024].leak(),
        };
        agent.begin(config, buffers);
        agent.set_epoch(Some(Duration::from_secs(1_795_305_600)));
        let mut vsock = FakeVsock::new();
        for port in [1, 109, BRIDGE].into_iter().chain(STREAMS) {
            vsock.on_call(port, Answer::Accept);
        }
        Self {
            agent,
            vsock,
            kernel: FakeKernel::new(),
            now: Instant::from_millis(1),
            bridge: None,
            next_id: 0,
            received: Vec::new(),
            frames: VecDeque::new(),
            next_deadline: Instant::NEVER,
        }
    }

    /// A stage whose bridge stands.
    pub(crate) fn connected() -> Self {
        let mut stage = Self::new(1 << 20);
        stage.connect();
        stage
    }

    pub(crate) fn connect(&mut self) {
        self.run();
        self.bridge = self.vsock.host(BRIDGE);
        assert!(self.bridge.is_some(), "the agent dials the bridge");
    }

    /// A stage whose version is negotiated.
    pub(crate) fn negotiated() -> Self {
        let mut stage = Self::connected();
        let response = stage.ask(
            NEGOTIATE,
            &json!({"ContainerId": "", "ActivityId": NULL_ID, "MinimumVersion": 4, "MaximumVersion": 4}),
        );
        assert_eq!(response.result(), 0);
        stage
    }

    /// Lets the agent step until nothing moves.
    pub(crate) fn run(&mut self) {
        for _ in 0..1000 {
            let activity = self.agent.step(self.now, &mut self.vsock, &mut self.kernel);
            self.next_deadline = activity.next_deadline;
            if !activity.moved {
                return;
            }
        }
        panic!("the agent never comes to rest");
    }

    /// Lets time pass.
    pub(crate) fn wait_ms(&mut self, ms: u64) {
        self.now = self.now + Duration::from_millis(ms);
        self.run();
    }

    /// A process ends with this code, and nothing else holds its outputs.
    pub(crate) fn exit(&mut self, pid: u32, code: u8) {
        self.kernel.exit(pid, ExitStatus::Exited(code));
        self.run();
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let bridge = self.bridge.expect("the bridge stands");
        self.vsock.host_write(bridge, bytes);
        self.run();
    }

    /// Sends a request with a body of any text and returns its id.
    pub(crate) fn send_text(&mut self, message: u32, body: &str) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.send_bytes(&frame(message, id, body.as_bytes()));
        id
    }

    /// Sends a request and returns its id.
    pub(crate) fn send(&mut self, message: u32, body: &Value) -> u64 {
        self.send_text(message, &body.to_string())
    }

    /// Returns the next frame the guest has sent.
    pub(crate) fn receive(&mut self) -> Option<Frame> {
        let bridge = self.bridge?;
        let bytes = self.vsock.host_read(bridge);
        self.received.extend(bytes);
        while let Some(frame) = self.cut_frame() {
            self.frames.push_back(frame);
        }
        self.frames.pop_front()
    }

    fn cut_frame(&mut self) -> Option<Frame> {
        let header = self.received.first_chunk::<16>()?;
        let message = u32::from_le_bytes(header[..4].try_into().unwrap());
        let size = u32::from_le_bytes(header[4..8].try_into().unwrap()) as usize;
        let id = u64::from_le_bytes(header[8..].try_into().unwrap());
        assert!(
            (16..=65536).contains(&size),
            "the host accepts no frame of {size} bytes"
        );
        if self.received.len() < size {
            return None;
        }
        let frame: Vec<u8> = self.received.drain(..size).collect();
        let text = String::from_utf8(frame[16..].to_vec()).expect("UTF-8");
        let body = serde_json::from_str(&text).expect("JSON");
        Some(Frame {
            message,
            id,
            text,
            body,
        })
    }

    /// Sends a request and returns its response, which must be the next frame.
    pub(crate) fn ask(&mut self, message: u32, body: &Value) -> Frame {
        self.ask_text(message, &body.to_string())
    }

    pub(crate) fn ask_text(&mut self, message: u32, body: &str) -> Frame {
        let id = self.send_text(message, body);
        let response = self.receive().expect("a response");
        assert_eq!(
            (response.message, response.id),
            (message & 0x0fff_ffff | 0x2000_0000, id),
            "the response to this request: {response:?}"
        );
        response
    }

    /// Sends a request whose response comes among others; returns its result. The others stay to be received.
    pub(crate) fn ask_beside(&mut self, message: u32, body: &Value) -> u32 {
        let id = self.send(message, body);
        let mut others: VecDeque<Frame> = std::iter::from_fn(|| self.receive()).collect();
        let own = others
            .iter()
            .position(|frame| frame.id == id && frame.message != NOTIFICATION)
            .expect("a response");
        let result = others.remove(own).expect("found above").result();
        self.frames = others;
        result
    }

    /// Asserts that the guest has sent nothing.
    pub(crate) fn assert_silent(&mut self) {
        if let Some(frame) = self.receive() {
            panic!("an unexpected frame: {frame:?}");
        }
    }

    /// The host hangs up, and listens again.
    pub(crate) fn hang_up(&mut self) {
        let bridge = self.bridge.take().expect("the bridge stands");
        self.vsock.host_close(bridge);
        self.run();
        self.received.clear();
        self.frames.clear();
        self.wait_ms(agent::limits::REDIAL_MS);
        self.bridge = self.vsock.host(BRIDGE);
    }

    pub(crate) fn create(&mut self, id: &str) -> Frame {
        self.ask(CREATE, &create_request(id))
    }

    /// Creates a container and runs its init with three pipes. Returns its pid.
    pub(crate) fn container(&mut self, id: &str) -> u32 {
        assert_eq!(self.create(id).result(), 0);
        self.execute(
            id,
            &json!({"CreateStdInPipe": true, "CreateStdOutPipe": true, "CreateStdErrPipe": true}),
        )
    }

    /// Runs an external program with three pipes. Returns its pid.
    pub(crate) fn external(&mut self, program: &str) -> u32 {
        self.execute(NULL_ID, &json!({"CommandArgs": [program], "CreateStdInPipe": true, "CreateStdOutPipe": true, "CreateStdErrPipe": true}))
    }

    /// Runs an external program without pipes. Returns its pid.
    pub(crate) fn quiet(&mut self, program: &str) -> u32 {
        self.execute(NULL_ID, &json!({"CommandArgs": [program]}))
    }

    pub(crate) fn execute(&mut self, id: &str, parameters: &Value) -> u32 {
        let response = self.ask(EXECUTE, &execute_request(id, parameters));
        assert_eq!(response.result(), 0, "{}", response.error());
        response.body["ProcessId"].as_u64().expect("a pid") as u32
    }

    /// Sends a wait and returns its id.
    pub(crate) fn send_wait(&mut self, id: &str, pid: u32, ms: u32) -> u64 {
        self.send(WAIT, &wait_request(id, pid, ms))
    }

    /// The host's ends of the three streams.
    pub(crate) fn streams(&self) -> [ConnectionId; 3] {
        STREAMS.map(|port| self.vsock.host(port).expect("a stream"))
    }
}

pub(crate) fn frame(message: u32, id: u64, body: &[u8]) -> Vec<u8> {
    let size = 16 + body.len() as u32;
    [
        &message.to_le_bytes()[..],
        &size.to_le_bytes(),
        &id.to_le_bytes(),
        body,
    ]
    .concat()
}

pub(crate) fn base(id: &str) -> Value {
    json!({"ContainerId": id, "ActivityId": NULL_ID})
}

pub(crate) fn specification() -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 1, "gid": 2, "additionalGids": [3, 4]}, "args": ["init", "a b"], "env": ["A=1", "B=\u{e9}"], "cwd": "/tmp", "noNewPrivileges": true},
        "root": {"path": "/run/gcs/c/x/rootfs"}
    })
}

pub(crate) fn create_with(id: &str, specification: &Value) -> Value {
    let config = json!({"SchemaVersion": {"Major": 2, "Minor": 1}, "OciBundlePath": "/b", "OciSpecification": specification});
    json!({"ContainerId": id, "ActivityId": NULL_ID, "ContainerConfig": config.to_string()})
}

pub(crate) fn create_request(id: &str) -> Value {
    create_with(id, &specification())
}

pub(crate) fn execute_request(id: &str, parameters: &Value) -> Value {
    json!({"ContainerId": id, "ActivityId": NULL_ID, "Settings": {
        "ProcessParameters": parameters.to_string(),
        "VsockStdioRelaySettings": {"StdIn": STREAMS[0], "StdOut": STREAMS[1], "StdErr": STREAMS[2]}
    }})
}

pub(crate) fn wait_request(id: &str, pid: u32, ms: u32) -> Value {
    json!({"ContainerId": id, "ActivityId": NULL_ID, "ProcessId": pid, "TimeoutInMs": ms})
}

pub(crate) const INFINITE: u32 = u32::MAX;
