//! The vsock layer against a device and a host that do anything.
//!
//! The script moves both sides in turn. Whatever the other side does, the layer must return, must come to an end of its
//! events, and must keep one promise to each honest stream: bytes arrive in order, none lost, none twice.

use super::Target;
use crate::random::Random;
use crate::script::Script;
use embedded_io::{Read, ReadReady, Write, WriteReady};
use fakes::virtio::{Chain, Device, MockHal, MockTransport, Setup};
use hal::clock::Instant;
use hal::virtio::vsock::{Budget, VirtioVsock};
use hal::vsock::{ConnectionId, Direction, Event, Port, Purpose, Vsock};
use virtio_drivers::transport::DeviceType;

pub(super) const VSOCK: Target = Target {
    name: "vsock",
    about: "the vsock layer, with a device and a host that do anything",
    corpus,
    words: &[
        &[0, 0],
        &[1, 0, 0],
        &[2, 0, 255],
        &[5],
        &[6, 0],
        &[7, 0, 64],
        &[8],
        &[9, 1],
        &[11, 0, 3],
        &[12],
    ],
    // The memory that a driver is given is never given back: some hundred KiB each time.
    weight: 200,
    max_bytes: 1024,
    run,
};

/// Dial, accept, send both ways, ask for credit, end; and the same with time passing and things going wrong.
const SCRIPTS: [&[u8]; 4] = [
    &[0, 0, 5, 2, 0, 200, 5, 7, 0, 64, 1, 0, 255, 8, 0, 3, 0, 0, 5],
    &[
        0, 0, 0, 1, 5, 6, 1, 7, 0, 255, 7, 1, 9, 1, 0, 64, 1, 1, 64, 2, 0, 99, 4, 200, 5, 3, 0, 2,
        5, 4, 255,
    ],
    &[
        0, 0, 5, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 5, 11, 0, 3, 12, 5, 4, 255, 10, 5,
    ],
    &[
        0, 0, 14, 1, 5, 4, 250, 5, 14, 0, 4, 250, 5, 7, 0, 9, 1, 0, 9,
    ],
];

/// The scripts above, and long ones of mostly honest steps, so that mutations happen deep inside a conversation.
fn corpus() -> Vec<Vec<u8>> {
    const HONEST: [u8; 12] = [0, 1, 1, 2, 2, 4, 5, 5, 5, 7, 7, 8];
    const STEPS: usize = 150;
    let mut random = Random::new(44);
    let mut long = || {
        let steps = (0..STEPS).map(|_| {
            [
                HONEST[random.below(HONEST.len())],
                random.word() as u8,
                random.word() as u8,
            ]
        });
        // The step of one argument takes time; the others have two or none.
        steps
            .flat_map(|[step, a, b]| match step {
                5 => vec![step],
                0 | 4 | 8 => vec![step, a % 8],
                _ => vec![step, a % 8, b],
            })
            .collect()
    };
    SCRIPTS
        .map(<[u8]>::to_vec)
        .into_iter()
        .chain((0..12).map(|_| long()))
        .collect()
}

/// RAM of the machine whose budget is used: the smallest one, where every pool is short.
const RAM_BYTES: u64 = 2 << 20;
const HOST_CID: u64 = 2;
const GUEST_CID: u64 = 3;
const HEADER_BYTES: usize = 44;
const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;
const EVENT: u16 = 2;
/// Operations (virtio 1.2 §5.10.6).
const REQUEST: u16 = 1;
const RESPONSE: u16 = 2;
const DATA: u16 = 5;
/// More events than connections and states: a layer that reports more goes round in circles.
const MAX_EVENTS: usize = 4096;

/// One end of the stream as the host sees it.
struct HostEnd {
    guest_port: u32,
    host_port: u32,
    /// The next byte to send, which is its number.
    next_sent: u8,
    /// The next byte that must come from the guest; `None` when the stream is not honest any more.
    next_received: Option<u8>,
    received: u32,
}

/// The same as the guest sees it.
struct GuestEnd {
    id: ConnectionId,
    next_sent: u8,
    next_received: Option<u8>,
}

struct World {
    device: Device,
    vsock: VirtioVsock<MockHal, MockTransport>,
    now: Instant,
    guest: Vec<GuestEnd>,
    host: Vec<HostEnd>,
    /// The host or the device has lied: bytes may be lost from now on, but nothing worse.
    is_dishonest: bool,
    /// The device has forged a completion. The driver may then offer a buffer that the device has already, so from here
    /// on the device takes nothing: the mock would call that a mistake of the driver.
    is_forging: bool,
}

fn run(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let Some(mut world) = World::new() else {
        return;
    };
    while !script.is_over() {
        world.step(&mut script);
        world.poll();
        if world.vsock.fault().is_some() {
            assert!(
                world.device.resets() > 0,
                "the layer caught the device, but did not reset it"
            );
            return;
        }
    }
}

impl World {
    fn new() -> Option<Self> {
        let budget = Budget::for_ram(RAM_BYTES);
        let memory = vec![0; budget.bytes()].leak();
        let setup = Setup {
            config: GUEST_CID.to_le_bytes().into(),
            ..Setup::new(DeviceType::Socket, 3)
        };
        let (device, transport) = Device::new(setup);
        let vsock = VirtioVsock::new(transport, memory, &budget, 1, Instant::ZERO).ok()?;
        Some(Self {
            device,
            vsock,
            now: Instant::ZERO,
            guest: Vec::new(),
            host: Vec::new(),
            is_dishonest: false,
            is_forging: false,
        })
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.byte() % 15 {
            0 => self.dial(script),
            1 => self.read(script),
            2 => self.write(script),
            3 => self.end(script),
            4 => {
                self.now = Instant::from_nanos(
                    self.now
                        .as_nanos()
                        .saturating_add(u64::from(script.byte()) * 20_000_000),
                )
            }
            5 => self.take_packets(),
            6 => self.send_on(script, RESPONSE, 0),
            7 => {
                let index = script.byte();
                let length = usize::from(script.byte()) * 16;
                self.send_data(index, length);
            }
            8 => self.send_on(script, 6, 0),
            9 => self.send_anything(script),
            10 => self.reset_transport(),
            11 => self.lie(script),
            12 => {
                self.forge();
                self.device.replay(RECEIVE);
            }
            13 => self.deliver_nothing(),
            _ => self.device.lose_kicks(script.byte() % 2 == 1),
        }
    }

    // The guest's program.

    fn dial(&mut self, script: &mut Script<'_>) {
        let purpose =
            [Purpose::Control, Purpose::Input, Purpose::Output][usize::from(script.byte() % 3)];
        let deadline = Instant::from_nanos(self.now.as_nanos().saturating_add(1_000_000_000));
        if let Ok(id) = self.vsock.connect(Port(1000), purpose, self.now, deadline) {
            self.guest.push(GuestEnd {
                id,
                next_sent: 0,
                next_received: Some(0),
            });
        }
    }

    fn read(&mut self, script: &mut Script<'_>) {
        let Some(end) = pick(&mut self.guest, script.byte()) else {
            return;
        };
        let mut buffer = vec![0; usize::from(script.byte()) * 16 + 1];
        let Some(mut stream) = self.vsock.stream(end.id) else {
            return;
        };
        if !stream.read_ready().unwrap_or(false) {
            return;
        }
        let Ok(count) = stream.read(&mut buffer) else {
            return;
        };
        for &byte in &buffer[..count] {
            if let (Some(expected), false) = (end.next_received, self.is_dishonest) {
                assert_eq!(
                    byte, expected,
                    "a byte from the host was lost, doubled or moved"
                );
            }
            end.next_received = end.next_received.map(|next| next.wrapping_add(1));
        }
    }

    fn write(&mut self, script: &mut Script<'_>) {
        let Some(end) = pick(&mut self.guest, script.byte()) else {
            return;
        };
        let length = usize::from(script.byte()) * 16 + 1;
        let bytes: Vec<u8> = (0..length)
            .map(|index| end.next_sent.wrapping_add(index as u8))
            .collect();
        let Some(mut stream) = self.vsock.stream(end.id) else {
            return;
        };
        if !stream.write_ready().unwrap_or(false) {
            return;
        }
        let Ok(count) = stream.write(&bytes) else {
            return;
        };
        assert!(count <= length, "more was taken than given");
        end.next_sent = end.next_sent.wrapping_add(count as u8);
        // Starts what was written; how it goes shows at the host.
        let _ = stream.flush();
    }

    fn end(&mut self, script: &mut Script<'_>) {
        let Some(id) = pick(&mut self.guest, script.byte()).map(|end| end.id) else {
            return;
        };
        match script.byte() % 4 {
            0 => self.vsock.shutdown(id, Direction::Send),
            1 => self.vsock.shutdown(id, Direction::Receive),
            2 => self.vsock.close(
                id,
                Instant::from_nanos(self.now.as_nanos().saturating_add(500_000_000)),
            ),
            _ => self.vsock.abort(id),
        }
    }

    fn poll(&mut self) {
        for _ in 0..MAX_EVENTS {
            match self.vsock.poll(self.now) {
                None => return,
                Some(Event::Failed(id, _) | Event::Closed { id, .. }) => {
                    self.guest.retain(|end| end.id != id)
                }
                Some(_) => {}
            }
        }
        panic!("the events do not end");
    }

    // The device and the host behind it.

    /// Takes what the guest sent and accepts the connections that it asks for.
    fn take_packets(&mut self) {
        let known = self.host.len();
        while let Some(chain) = self.take(TRANSMIT) {
            self.on_packet(&chain);
            self.device.complete(chain, 0);
        }
        for index in known..self.host.len() {
            let packet = header(&self.host[index], 0, RESPONSE, 0);
            self.deliver(&packet, packet.len());
        }
    }

    fn on_packet(&mut self, chain: &Chain) {
        let bytes = chain.readable();
        assert!(
            bytes.len() >= HEADER_BYTES,
            "a packet of {} bytes",
            bytes.len()
        );
        let (header, data) = bytes.split_at(HEADER_BYTES);
        let word = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let (guest_port, host_port, length) = (word(16), word(20), word(24));
        let operation = u16::from_le_bytes([header[30], header[31]]);
        assert_eq!(
            length as usize,
            data.len(),
            "the header lies about its data"
        );
        if operation == REQUEST {
            self.host.push(HostEnd {
                guest_port,
                host_port,
                next_sent: 0,
                next_received: Some(0),
                received: 0,
            });
        }
        let honest = !self.is_dishonest;
        let is_same =
            |end: &&mut HostEnd| end.guest_port == guest_port && end.host_port == host_port;
        if let (DATA, Some(end)) = (operation, self.host.iter_mut().rev().find(is_same)) {
            for &byte in data {
                if let (Some(expected), true) = (end.next_received, honest) {
                    assert_eq!(
                        byte, expected,
                        "a byte from the guest was lost, doubled or moved"
                    );
                }
                end.next_received = end.next_received.map(|next| next.wrapping_add(1));
            }
            end.received = end.received.wrapping_add(length);
        }
    }

    /// A packet without data, true to what the host knows.
    fn send_on(&mut self, script: &mut Script<'_>, operation: u16, flags: u32) {
        let index = script.byte();
        let Some(end) = pick(&mut self.host, index) else {
            return;
        };
        let packet = header(end, 0, operation, flags);
        self.deliver(&packet, packet.len());
    }

    /// Data that may be more than the guest has room for: then the guest may end the connection, no more.
    fn send_data(&mut self, index: u8, length: usize) {
        let Some(end) = pick(&mut self.host, index) else {
            return;
        };
        let data = (0..length).map(|index| end.next_sent.wrapping_add(index as u8));
        let mut packet = header(end, length as u32, DATA, 0);
        packet.extend(data);
        end.next_sent = end.next_sent.wrapping_add(length as u8);
        if !self.deliver(&packet, packet.len()) {
            self.is_dishonest = true;
        }
    }

    /// A packet with any header, to a connection that exists or not.
    fn send_anything(&mut self, script: &mut Script<'_>) {
        self.is_dishonest = true;
        let index = script.byte();
        let mut packet = match pick(&mut self.host, index) {
            Some(end) => header(end, 0, 0, 0),
            None => vec![0; HEADER_BYTES],
        };
        packet[30..32].copy_from_slice(&u16::from(script.byte() % 9).to_le_bytes());
        for _ in 0..script.byte() % 4 {
            let place = usize::from(script.byte()) % (HEADER_BYTES - 3);
            packet[place..place + 4].copy_from_slice(&script.word().to_le_bytes());
        }
        let length = usize::from(script.byte());
        packet.extend(std::iter::repeat_n(0x5a, length));
        let written = packet.len();
        self.deliver(&packet, written);
    }

    /// A completion that is none.
    fn lie(&mut self, script: &mut Script<'_>) {
        self.forge();
        let queue = u16::from(script.byte() % 3);
        match script.byte() % 3 {
            0 => self
                .device
                .complete_lying(queue, script.word(), script.word()),
            1 => self
                .device
                .complete_lying(queue, u32::from(script.byte()), script.word()),
            _ => self.device.jump_used(queue, script.half()),
        }
    }

    fn forge(&mut self) {
        self.is_dishonest = true;
        self.is_forging = true;
    }

    /// A receive buffer that comes back with nothing written in it.
    fn deliver_nothing(&mut self) {
        self.is_dishonest = true;
        if let Some(chain) = self.take(RECEIVE) {
            self.device.complete(chain, HEADER_BYTES as u32);
        }
    }

    fn take(&self, queue: u16) -> Option<Chain> {
        if self.is_forging {
            None
        } else {
            self.device.take(queue)
        }
    }

    /// `VIRTIO_VSOCK_EVENT_TRANSPORT_RESET` (virtio 1.2 §5.10.6.7).
    fn reset_transport(&mut self) {
        self.is_dishonest = true;
        if let Some(mut chain) = self.take(EVENT) {
            chain.write(0, &0_u32.to_le_bytes());
            self.device.complete(chain, 4);
        }
    }

    /// Puts a packet into the next receive buffer; says whether there was one with enough room.
    fn deliver(&mut self, packet: &[u8], written: usize) -> bool {
        let Some(mut chain) = self.take(RECEIVE) else {
            return false;
        };
        let room = chain.writable_bytes().min(packet.len());
        chain.write(0, &packet[..room]);
        self.device.complete(chain, written.min(room) as u32);
        room == packet.len()
    }
}

fn header(end: &HostEnd, length: u32, operation: u16, flags: u32) -> Vec<u8> {
    const WINDOW: u32 = 64 << 10;
    let mut header = Vec::with_capacity(HEADER_BYTES + length as usize);
    header.extend(HOST_CID.to_le_bytes());
    header.extend(GUEST_CID.to_le_bytes());
    header.extend(end.host_port.to_le_bytes());
    header.extend(end.guest_port.to_le_bytes());
    header.extend(length.to_le_bytes());
    header.extend(1_u16.to_le_bytes());
    header.extend(operation.to_le_bytes());
    header.extend(flags.to_le_bytes());
    header.extend(WINDOW.to_le_bytes());
    header.extend(end.received.to_le_bytes());
    header
}

fn pick<T>(ends: &mut [T], index: u8) -> Option<&mut T> {
    let count = ends.len();
    ends.get_mut(usize::from(index) % count.max(1))
}
