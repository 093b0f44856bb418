//! Every recorded request, cut in two at every byte: it means the same and is answered the same (gcs-protocol §3).

use crate::frames::{Recorded, requests};
use crate::stage::*;
use agent::frame::{Arrival, Decoder};
use agent::json;
use agent::kernel::ExitStatus;
use agent::message::request::Request;
use fakes::kernel::State;
use fakes::vsock::Answer;
use serde_json::json;

const SANDBOX: &str = "aaaaee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";

/// Returns what the agent reads of a stream of two pieces.
fn meaning(first: &[u8], second: &[u8]) -> String {
    let mut decoder = Decoder::new();
    let mut body = vec![0; 4096];
    let mut frames = Vec::new();
    for mut piece in [first, second] {
        while !piece.is_empty() {
            let wanted = decoder.wanted(&mut body);
            let count = wanted.len().min(piece.len());
            wanted[..count].copy_from_slice(&piece[..count]);
            piece = &piece[count..];
            if let Some(arrival) = decoder.advance(count, &body).expect("a sound header") {
                assert!(piece.is_empty(), "a frame before its end");
                frames.push(arrival);
            }
        }
    }
    let [Arrival::Frame(header, length)] = frames[..] else {
        panic!("one frame and not {frames:?}");
    };
    let checked = json::check(&body[..length]);
    let request = Request::parse(header.message, &mut body[..length], checked);
    format!("{header:?} {:?}", request.map_err(|failure| failure.cause))
}

#[test]
fn every_recorded_request_means_the_same_cut_at_any_byte() {
    for request in requests() {
        let bytes = request.bytes();
        let whole = meaning(&bytes, b"");
        for split in 1..bytes.len() {
            let (first, second) = bytes.split_at(split);
            assert_eq!(
                meaning(first, second),
                whole,
                "{} cut at {split}",
                request.name
            );
        }
    }
}

/// A stage on which one request is played again and again. Each time the world is made as the request needs it to get far,
/// with the ids it names.
struct Scene {
    stage: Stage,
    request: Recorded,
    sessions: u32,
}

impl Scene {
    fn new(request: Recorded) -> Self {
        let mut stage = Stage::connected();
        for port in BRIDGE + 1..BRIDGE + 10 {
            stage.vsock.on_call(port, Answer::Accept);
        }
        Self {
            stage,
            request,
            sessions: 0,
        }
    }

    /// Makes the world before the request.
    fn open(&mut self) {
        self.stage.hang_up();
        self.stage.next_id = 0;
        if self.request.message == NEGOTIATE {
            return;
        }
        self.sessions += 1;
        let version = json!({"MaximumVersion": 4});
        assert_eq!(self.stage.ask(NEGOTIATE, &version).result(), 0);
        let container = self.request.member("ContainerId");
        let container = container.as_str().unwrap_or("");
        let pid = self.request.member("ProcessId").as_u64().unwrap_or(101);
        self.stage.kernel.set_next_pid(pid as u32);
        match (self.request.message, container) {
            (CREATE, _) => {
                if self.request.name.contains("workload") {
                    let kind = json!({"io.kubernetes.cri.container-type": "sandbox"});
                    let mut sandbox = specification();
                    sandbox["annotations"] = kind;
                    self.stage.ask(CREATE, &create_with(SANDBOX, &sandbox));
                }
            }
            (WAIT, NULL_ID) => {
                self.stage.quiet("true");
            }
            (_, "" | NULL_ID) => {}
            (EXECUTE, _) => {
                self.stage.create(container);
                if self.request.body.contains("OciProcess") {
                    self.stage.execute(container, &json!({}));
                }
            }
            _ => {
                self.stage.create(container);
                self.stage.execute(container, &json!({}));
            }
        }
    }

    /// Plays the request in two pieces and returns everything that came of it.
    fn play(&mut self, split: usize) -> Vec<String> {
        let bytes = self.request.bytes();
        let earlier = self.stage.kernel.processes.len();
        if split > 0 {
            self.stage.send_bytes(&bytes[..split]);
            self.stage.assert_silent();
        }
        self.stage.send_bytes(&bytes[split..]);
        self.stage.wait_ms(60);
        let mut outcome = Vec::new();
        for process in &self.stage.kernel.processes[earlier..] {
            let program = (&process.args, &process.env, &process.cwd);
            let run = (&process.credentials, process.stdio, process.state);
            outcome.push(format!("{} {program:?} {run:?}", process.pid.0));
        }
        self.note_frames(&mut outcome);
        // A wait without end is answered by the exit.
        self.end_processes();
        self.note_frames(&mut outcome);
        assert!(!outcome.is_empty(), "{}", self.request.name);
        outcome
    }

    fn note_frames(&mut self, outcome: &mut Vec<String>) {
        let session = format!("session {},", self.sessions);
        while let Some(frame) = self.stage.receive() {
            let text = frame.text.replace(&session, "session N,");
            outcome.push(format!("{:#x} {} {}", frame.message, frame.id, text));
        }
    }

    fn end_processes(&mut self) {
        let processes = &self.stage.kernel.processes;
        let running: Vec<u32> = processes
            .iter()
            .filter(|process| process.state == State::Running)
            .map(|process| process.pid.0)
            .collect();
        for pid in running {
            self.stage.kernel.exit(pid, ExitStatus::Exited(7));
        }
        self.stage.run();
    }

    /// Clears away what the request and the preparations for it left.
    fn close(&mut self) {
        if self.request.message == NEGOTIATE {
            return;
        }
        let container = self.request.member("ContainerId");
        for id in [container.as_str().unwrap_or(""), SANDBOX] {
            self.stage.send(DELETE, &base(id));
        }
        while self.stage.receive().is_some() {}
        assert!(self.stage.kernel.views.is_empty(), "{}", self.request.name);
        self.stage
            .kernel
            .processes
            .retain(|process| process.state != State::Gone);
        assert_eq!(
            self.stage.kernel.processes.len(),
            0,
            "{}",
            self.request.name
        );
    }
}

#[test]
fn every_recorded_request_is_answered_the_same_cut_at_any_byte() {
    for request in requests() {
        let length = request.bytes().len();
        let mut scene = Scene::new(request);
        let mut whole = None;
        // The first time it comes whole.
        for split in 0..length {
            scene.open();
            let outcome = scene.play(split);
            scene.close();
            let whole = whole.get_or_insert_with(|| outcome.clone());
            assert_eq!(&outcome, whole, "{} cut at {split}", scene.request.name);
        }
    }
}
