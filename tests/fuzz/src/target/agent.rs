//! The whole agent between a host and a kernel that do anything.
//!
//! The script moves the host, the programs and the time. Whatever they do, the agent must come to rest, and every frame it
//! sends must be one that a host accepts: of a size it takes, and with a document as its body.

use super::Target;
use super::request::{TYPES, bodies};
use crate::random::Random;
use crate::script::Script;
use agent::kernel::{ExitStatus, OutputStream, Refusal};
use agent::message::MessageType;
use agent::{Agent, Buffers, Config};
use core::time::Duration;
use fakes::kernel::{FakeKernel, State};
use fakes::vsock::{Answer, FakeVsock};
use hal::clock::Instant;
use hal::vsock::{ConnectionId, Vsock};

pub(super) const AGENT: Target = Target {
    name: "agent",
    about: "the whole agent, with a host and programs that do anything",
    corpus,
    words: &[
        &[0, 0],
        &[0, 1],
        &[0, 3],
        &[0, 4],
        &[0, 6],
        &[3],
        &[4, 255],
        &[5, 0],
        &[6, 0],
        &[7, 0, 64],
        &[10, 1],
    ],
    // The agent's buffers are never given back: some hundred KiB each time.
    weight: 200,
    max_bytes: 1024,
    run,
};

const BRIDGE: u32 = 0x4000_0000;
/// Entropy and stdin, stdout, stderr (see `bodies`), log, bridge.
const PORTS: [u32; 5] = [1, 2, 3, 109, BRIDGE];
const HEADER_BYTES: usize = 16;
/// What the host accepts (hcsshim `internal/gcs/bridge.go`).
const MAX_FRAME_BYTES: usize = 65536;
/// A small body buffer, so that oversized bodies are cheap.
const BODY_BYTES: usize = 16 << 10;
const OUTGOING_BYTES: usize = 2 * MAX_FRAME_BYTES;
/// The id the first program gets: the one that `bodies` waits for.
const FIRST_PID: u32 = 7;
/// More steps than anything takes: an agent that still moves goes round in circles.
const MAX_STEPS: usize = 10_000;

/// A good body's message, in the order of `bodies`.
const MESSAGES: [MessageType; 10] = [
    MessageType::NEGOTIATE_PROTOCOL,
    MessageType::CREATE,
    MessageType::START,
    MessageType::EXECUTE_PROCESS,
    MessageType::EXECUTE_PROCESS,
    MessageType::EXECUTE_PROCESS,
    MessageType::WAIT_FOR_PROCESS,
    MessageType::SIGNAL_PROCESS,
    MessageType::RESIZE_CONSOLE,
    MessageType::MODIFY_SETTINGS,
];

/// Sessions of mostly honest steps, so that mutations happen deep inside a conversation.
fn corpus() -> Vec<Vec<u8>> {
    const HONEST: [u8; 11] = [0, 0, 0, 0, 3, 3, 4, 6, 6, 7, 8];
    const STEPS: usize = 120;
    let mut random = Random::new(45);
    let mut session = || {
        // Negotiate, create, run its init and a program beside it.
        let mut bytes = vec![0, 0, 3, 0, 1, 3, 0, 4, 0, 3, 3];
        for _ in 0..STEPS {
            let step = HONEST[random.below(HONEST.len())];
            let argument = random.word() as u8;
            match step {
                3 => bytes.push(step),
                0 | 4 => bytes.extend([step, argument]),
                _ => bytes.extend([step, argument, random.word() as u8]),
            }
        }
        bytes
    };
    (0..16).map(|_| session()).collect()
}

struct World {
    agent: Box<Agent>,
    vsock: FakeVsock,
    kernel: FakeKernel,
    now: Instant,
    /// The bridge whose frames are being read, and what came of the next one.
    bridge: Option<ConnectionId>,
    received: Vec<u8>,
    /// Connections on which the host sends no more.
    ended: Vec<ConnectionId>,
    bodies: Vec<Vec<u8>>,
    next_id: u64,
}

fn run(bytes: &[u8]) {
    play(bytes);
}

fn play(bytes: &[u8]) -> World {
    let mut script = Script::new(bytes);
    let mut world = World::new();
    world.settle();
    while !script.is_over() && !world.kernel.powered_off {
        world.step(&mut script);
        world.settle();
    }
    world
}

impl World {
    fn new() -> Self {
        let mut agent = Box::new(Agent::new());
        let buffers = Buffers {
            body: vec![0; BODY_BYTES].leak(),
            outgoing: vec![0; OUTGOING_BYTES].leak(),
        };
        agent.begin(Config::DEFAULT, buffers);
        agent.set_epoch(Some(Duration::ZERO));
        let mut vsock = FakeVsock::new();
        for port in PORTS {
            vsock.on_call(port, Answer::Accept);
        }
        let mut kernel = FakeKernel::new();
        kernel.set_next_pid(FIRST_PID);
        Self {
            agent,
            vsock,
            kernel,
            now: Instant::from_millis(1),
            bridge: None,
            received: Vec::new(),
            ended: Vec::new(),
            bodies: bodies(),
            next_id: 1,
        }
    }

    /// Lets the agent step until nothing moves.
    fn settle(&mut self) {
        for _ in 0..MAX_STEPS {
            let activity = self.agent.step(self.now, &mut self.vsock, &mut self.kernel);
            if !activity.moved {
                return;
            }
        }
        panic!("the agent never comes to rest");
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.byte() % 12 {
            0 => self.send_good(script),
            1 => self.send_wild(script),
            2 => {
                let count = usize::from(script.byte());
                let bytes = script.bytes(count);
                self.send(BRIDGE, bytes);
            }
            3 => self.read_frames(),
            4 => {
                let ms = u64::from(script.byte()) * 100;
                self.now = self.now + Duration::from_millis(ms);
            }
            5 => self.end(script),
            6 => self.move_program(script),
            7 => {
                let port = self.port(script);
                let bytes = vec![b'x'; usize::from(script.byte()) * 64];
                self.send(port, &bytes);
            }
            8 => {
                let port = self.port(script);
                let count = usize::from(script.byte()) * 64;
                if let Some(id) = self.vsock.host(port).filter(|_| port != BRIDGE) {
                    self.vsock.host_read_some(id, count);
                }
            }
            9 => {
                let port = self.port(script);
                let answers = [Answer::Accept, Answer::Refuse, Answer::Ring];
                self.vsock
                    .on_call(port, answers[usize::from(script.byte()) % answers.len()]);
            }
            10 => self.vsock.set_window(usize::from(script.half()) + 1),
            _ => match script.byte() % 3 {
                0 => self.kernel.loads_at_once = !self.kernel.loads_at_once,
                1 => self.kernel.refusal = Some(Refusal::NoProcess),
                _ => self.vsock.set_limit(usize::from(script.byte())),
            },
        }
    }

    fn port(&self, script: &mut Script<'_>) -> u32 {
        PORTS[usize::from(script.byte()) % PORTS.len()]
    }

    // The host.

    fn send_good(&mut self, script: &mut Script<'_>) {
        let choice = usize::from(script.byte()) % MESSAGES.len();
        let body = self.bodies[choice].clone();
        self.request(MESSAGES[choice], &body);
    }

    /// Sends any type with a good body of another, damaged at one place.
    fn send_wild(&mut self, script: &mut Script<'_>) {
        let message = TYPES[usize::from(script.byte()) % TYPES.len()];
        let mut body = self.bodies[usize::from(script.byte()) % self.bodies.len()].clone();
        let at = usize::from(script.half()) % body.len();
        body[at] = script.byte();
        self.request(message, &body);
    }

    fn request(&mut self, message: MessageType, body: &[u8]) {
        let size = (HEADER_BYTES + body.len()) as u32;
        let frame = [
            &message.0.to_le_bytes()[..],
            &size.to_le_bytes(),
            &self.next_id.to_le_bytes(),
            body,
        ]
        .concat();
        self.next_id += 1;
        self.send(BRIDGE, &frame);
    }

    fn send(&mut self, port: u32, bytes: &[u8]) {
        if let Some(id) = self.vsock.host(port)
            && self.vsock.is_held(id)
            && self.vsock.stream(id).is_some()
            && !self.ended.contains(&id)
        {
            self.vsock.host_write(id, bytes);
        }
    }

    fn end(&mut self, script: &mut Script<'_>) {
        let port = self.port(script);
        let Some(id) = self.vsock.host(port) else {
            return;
        };
        // A call that was not answered yet has nothing to end.
        if self.vsock.stream(id).is_none() {
            return;
        }
        self.ended.push(id);
        match script.byte() % 3 {
            0 => self.vsock.host_end(id),
            1 => self.vsock.host_close(id),
            _ => self.vsock.host_reset(id),
        }
    }

    /// Reads what came on the bridge; what is there of a frame must be the start of a good one.
    fn read_frames(&mut self) {
        let bridge = self.vsock.host(BRIDGE);
        if bridge != self.bridge {
            self.bridge = bridge;
            self.received.clear();
        }
        let Some(id) = bridge else {
            return;
        };
        self.received.extend(self.vsock.host_read(id));
        while let Some(size) = self.frame_size()
            && self.received.len() >= size
        {
            let frame: Vec<u8> = self.received.drain(..size).collect();
            Self::check(&frame);
        }
    }

    fn frame_size(&self) -> Option<usize> {
        let size = self.received.get(4..8)?.first_chunk().copied()?;
        let size = u32::from_le_bytes(size) as usize;
        assert!(
            (HEADER_BYTES..=MAX_FRAME_BYTES).contains(&size),
            "the host accepts no frame of {size} bytes"
        );
        Some(size)
    }

    fn check(frame: &[u8]) {
        let word = |at: usize| u32::from_le_bytes(*frame[at..].first_chunk().expect("a header"));
        let kind = word(0) >> 28;
        assert!(
            matches!(kind, 2 | 3),
            "neither a response nor a notification: {:#x}",
            word(0)
        );
        serde_json::from_slice::<serde_json::Value>(&frame[HEADER_BYTES..])
            .expect("a body is a document");
    }

    // The programs.

    fn move_program(&mut self, script: &mut Script<'_>) {
        let (choice, what) = (usize::from(script.byte()), script.byte());
        let count = self.kernel.processes.len();
        if count == 0 {
            return;
        }
        let process = &self.kernel.processes[choice % count];
        let (pid, state) = (process.pid.0, process.state);
        let stream = [OutputStream::Stdout, OutputStream::Stderr][usize::from(what >> 7)];
        match (state, what % 6) {
            (State::Loading, _) => self.kernel.load(pid),
            (State::Running, 0 | 1) => {
                self.kernel
                    .write(pid, stream, &vec![b'y'; usize::from(what) * 64 + 1]);
            }
            (State::Running, 2) => drop(self.kernel.read(pid)),
            (State::Running, 3) => self.kernel.break_input(pid),
            (State::Running, _) => self.kernel.exit(pid, ExitStatus::Exited(what)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_reach_running_programs_and_answers() {
        let (mut programs, mut calls) = (0, 0);
        for session in corpus() {
            let world = play(&session);
            programs += world.kernel.processes.len();
            calls += world.vsock.dials.len();
        }
        assert!(programs >= 16, "{programs} programs in all sessions");
        // Entropy, log and bridge of each session, and the streams of programs.
        assert!(calls >= 16 * 6, "{calls} calls in all sessions");
    }
}
