//! Random hosts, hostile ones and honest ones, the same for the same seed: nothing panics and the accounts stay right.

use crate::bench::{Bench, MIB, PORT, pattern};
use embedded_io::{Read, ReadReady, Write};
use fakes::virtio::vsock::{GUEST_CID, HOST_CID, Packet, Peer, op};
use hal::clock::Instant;
use hal::vsock::{ConnectionId, Direction, Event, Purpose, Vsock};

/// xorshift64*, good enough to reach odd corners.
struct Dice(u64);

impl Dice {
    const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }
}

/// What must hold whatever happens.
#[track_caller]
fn assert_sound(bench: &Bench) {
    let usage = bench.guest.usage();
    assert!(usage.chunks_promised <= usage.chunks, "{usage:?}");
    assert!(usage.chunks_in_use <= usage.chunks_promised, "{usage:?}");
    assert!(usage.buffers_posted * 2 + 1 >= usage.buffers, "{usage:?}");
}

/// Something a caller may do at any time.
fn act(bench: &mut Bench, dice: &mut Dice, ids: &mut Vec<ConnectionId>) {
    if ids.is_empty() || dice.roll(8) == 0 {
        let purpose = dice.pick(&[
            Purpose::Control,
            Purpose::Input,
            Purpose::Output,
            Purpose::Program,
        ]);
        let deadline = Instant::from_nanos(bench.now.as_nanos() + 3_000_000_000);
        if let Ok(id) = bench.guest.connect(PORT, purpose, bench.now, deadline) {
            ids.push(id);
        }
        return;
    }
    let id = ids[dice.roll(ids.len())];
    let deadline = Instant::from_nanos(bench.now.as_nanos() + 50_000_000);
    match dice.roll(24) {
        0 => bench.guest.close(id, deadline),
        1 => {
            bench.guest.abort(id);
            ids.retain(|&known| known != id);
        }
        2 => bench.guest.shutdown(id, Direction::Send),
        3 => bench.guest.shutdown(id, Direction::Receive),
        _ => {
            let size = dice.pick(&[1, 100, 4096, 70_000]);
            let Some(mut stream) = bench.guest.stream(id) else {
                return;
            };
            let mut bytes = vec![0; size];
            if stream.read_ready().expect("never fails") {
                let _end_or_reset = stream.read(&mut bytes);
            }
            let _refused = stream.write(&bytes);
            if dice.roll(2) == 0 {
                stream.flush().expect("flush never fails");
            }
        }
    }
}

/// Takes every event and checks that none speaks of an id that is void.
fn drain(bench: &mut Bench, ids: &mut Vec<ConnectionId>) {
    while let Some(event) = bench.guest.poll(bench.now) {
        if let Event::Incoming { id, to, .. } = event {
            assert!(!ids.contains(&id), "{event:?} of an id that is known");
            ids.push(id);
            if to.0.is_multiple_of(2) {
                bench.guest.accept(id);
            }
            continue;
        }
        let id = event.id();
        assert!(ids.contains(&id), "{event:?} of a void id");
        if matches!(event, Event::Failed(..) | Event::Closed { .. }) {
            ids.retain(|&known| known != id);
        }
    }
}

#[test]
fn hostile_packets_never_corrupt_the_accounts() {
    for seed in 1..=12 {
        let mut dice = Dice::new(seed);
        let ram = dice.pick(&[4 * MIB, 16 * MIB, 64 * MIB]);
        let mut bench = Bench::with_ram(ram);
        let mut ids = Vec::new();
        let mut heard: Vec<Packet> = Vec::new();
        for _ in 0..1500 {
            act(&mut bench, &mut dice, &mut ids);
            heard.extend(bench.host.all());
            let keep = heard.len().saturating_sub(20);
            heard.drain(..keep);
            if let Some(model) = (!heard.is_empty()).then(|| heard[dice.roll(heard.len())].clone())
            {
                let packet = distort(&mut dice, &model);
                bench.host.try_send(&packet);
            }
            bench.wait(dice.pick(&[0, 0, 0, 1, 5, 600]));
            drain(&mut bench, &mut ids);
            assert_sound(&bench);
        }
        while let Some(id) = ids.pop() {
            bench.guest.abort(id);
        }
        bench.wait(2000);
        bench.events();
        let usage = bench.guest.usage();
        assert_eq!(
            (usage.connections, usage.chunks_promised),
            (0, 0),
            "seed {seed}"
        );
        assert_eq!(usage.chunks_in_use, 0, "seed {seed}");
        assert_eq!(usage.buffers_posted, usage.buffers, "seed {seed}");
        assert!(bench.guest.fault().is_none());
    }
}

/// Makes an answer to one of the guest's packets, right in some fields and wrong in others.
fn distort(dice: &mut Dice, model: &Packet) -> Packet {
    let size = dice.pick(&[0, 0, 1, 44, 1000, 4096, 5000, 30_000]);
    let data = pattern(size);
    let number = dice.pick(&[
        op::RESPONSE,
        op::RESPONSE,
        op::RESPONSE,
        op::RW,
        op::RW,
        op::RW,
        op::RW,
        op::CREDIT_UPDATE,
        op::CREDIT_REQUEST,
        op::SHUTDOWN,
        op::INVALID,
        op::RST,
        op::REQUEST,
        77,
    ]);
    Packet {
        src_cid: if dice.roll(50) == 0 { 9 } else { HOST_CID },
        dst_cid: if dice.roll(50) == 0 { 9 } else { GUEST_CID },
        src_port: model.dst_port.wrapping_add(u32::from(dice.roll(50) == 0)),
        dst_port: model.src_port.wrapping_add(u32::from(dice.roll(50) == 0)),
        len: if dice.roll(50) == 0 {
            u32::MAX
        } else {
            size as u32
        },
        kind: if dice.roll(50) == 0 { 2 } else { 1 },
        op: number,
        flags: dice.roll(8) as u32,
        buf_alloc: dice.pick(&[0, 1, 100, 65536, u32::MAX]),
        fwd_cnt: dice.pick(&[0, 0, 0, 0, 1, 100, u32::MAX]),
        data,
    }
}

#[test]
fn honest_hosts_get_every_byte_through_whatever_is_lost_on_the_way() {
    for seed in 1..=5 {
        let mut dice = Dice::new(seed);
        let mut bench = Bench::with_ram(dice.pick(&[4 * MIB, 64 * MIB]));
        let window = dice.pick(&[1000, 65536, 262_144]);
        let mut streams: Vec<Stream> = (0..6)
            .map(|_| {
                let (id, peer) = bench.connection(Purpose::Input, window);
                Stream::new(id, peer)
            })
            .collect();
        for _ in 0..3000 {
            bench.host.device.lose_kicks(dice.roll(4) == 0);
            bench.host.device.lose_interrupts(dice.roll(4) == 0);
            let place = dice.roll(streams.len());
            streams[place].guest_turn(&mut bench, &mut dice);
            host_turn(&bench, &mut streams, &mut dice);
            bench.wait(dice.pick(&[0, 0, 1, 4]));
            bench.events();
            assert_sound(&bench);
        }
        bench.host.device.lose_kicks(false);
        for _ in 0..200 {
            for stream in &mut streams {
                stream.read(&mut bench, 1 << 20);
            }
            bench.wait(4);
            bench.events();
            for packet in bench.host.all() {
                Stream::of(&mut streams, &packet).hear(&packet);
            }
        }
        let total: usize = streams
            .iter()
            .map(|stream| stream.read + stream.heard)
            .sum();
        assert!(total > 1 << 20, "seed {seed}: only {total} bytes");
        for stream in &streams {
            assert_eq!(
                stream.read, stream.sent_by_host,
                "seed {seed}: host to guest"
            );
            assert_eq!(stream.heard, stream.written, "seed {seed}: guest to host");
        }
    }
}

/// One connection with both sides' books: streams are counted, and their bytes are a function of the position.
struct Stream {
    id: ConnectionId,
    peer: Peer,
    sent_by_host: usize,
    read: usize,
    written: usize,
    heard: usize,
}

fn byte_at(position: usize) -> u8 {
    (position * 31 % 253) as u8
}

fn bytes_from(position: usize, count: usize) -> Vec<u8> {
    (position..position + count).map(byte_at).collect()
}

fn host_turn(bench: &Bench, streams: &mut [Stream], dice: &mut Dice) {
    for packet in bench.host.all() {
        Stream::of(streams, &packet).hear(&packet);
    }
    let place = dice.roll(streams.len());
    let stream = &mut streams[place];
    let packet = match dice.roll(4) {
        0 => stream.peer.packet(op::CREDIT_UPDATE),
        1 => stream.peer.packet(op::CREDIT_REQUEST),
        _ => {
            let wish = dice.pick(&[1, 1000, 20_000, 65_536]);
            // A machine of 4 MiB has smaller receive buffers.
            let count = wish.min(stream.peer.credit() as usize).min(16_384);
            let mut after = stream.peer.clone();
            let packet = after.data(&bytes_from(stream.sent_by_host, count));
            if bench.host.try_send(&packet) {
                stream.peer = after;
                stream.sent_by_host += count;
            }
            return;
        }
    };
    bench.host.try_send(&packet);
}

impl Stream {
    const fn new(id: ConnectionId, peer: Peer) -> Self {
        Self {
            id,
            peer,
            sent_by_host: 0,
            read: 0,
            written: 0,
            heard: 0,
        }
    }

    fn of<'a>(streams: &'a mut [Self], packet: &Packet) -> &'a mut Self {
        let found = streams
            .iter_mut()
            .find(|stream| stream.peer.guest_port == packet.src_port);
        found.expect("a packet of a known connection")
    }

    fn hear(&mut self, packet: &Packet) {
        assert_ne!(packet.op, op::RST, "an honest host was reset");
        self.peer.on_packet(packet);
        assert_eq!(packet.data, bytes_from(self.heard, packet.data.len()));
        self.heard += packet.data.len();
    }

    fn guest_turn(&mut self, bench: &mut Bench, dice: &mut Dice) {
        let count = dice.pick(&[1, 100, 4097, 65_536]);
        if dice.roll(2) == 0 {
            self.read(bench, count);
            return;
        }
        let bytes = bytes_from(self.written, count);
        let mut stream = bench.guest.stream(self.id).expect("connected");
        self.written += stream.write(&bytes).expect("connected");
    }

    fn read(&mut self, bench: &mut Bench, count: usize) {
        if bench.read_ready(self.id) {
            let bytes = bench.read(self.id, count).expect("bytes");
            assert_eq!(bytes, bytes_from(self.read, bytes.len()));
            self.read += bytes.len();
        }
    }
}
