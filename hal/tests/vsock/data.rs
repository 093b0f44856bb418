//! Data each way: windows below, at and above their edge, small packets, large ones, many at once.

use crate::bench::{Bench, MIB, PORT, pattern};
use embedded_io::{BufRead, Read, ReadReady, Write, WriteReady};
use fakes::virtio::vsock::{Packet, Peer, RX, op};
use hal::clock::Instant;
use hal::vsock::{ConnectionId, Event, Full, Purpose, StreamError, Vsock};

/// Takes all data packets and returns their bytes; the host forwards them at once.
fn receive(bench: &Bench, peer: &mut Peer) -> Vec<u8> {
    let mut bytes = Vec::new();
    for packet in bench.host.all() {
        peer.on_packet(&packet);
        if packet.op == op::RW {
            bytes.extend(packet.data);
        }
    }
    bytes
}

#[test]
fn sends_up_to_the_hosts_window_and_not_a_byte_more() {
    for (length, taken) in [(99, 99), (100, 100), (101, 100)] {
        let mut bench = Bench::new();
        let (id, mut peer) = bench.connection(Purpose::Output, 100);
        assert_eq!(bench.write(id, &pattern(length)), taken);
        assert_eq!(bench.host.expect(op::RW).data, pattern(taken));
        assert_eq!(bench.guest.unforwarded(id), taken);

        let is_blocked = taken < length;
        if is_blocked {
            bench.host.expect(op::CREDIT_REQUEST);
        }
        bench.host.expect_silence();
        peer.fwd_cnt = taken as u32;
        bench.host.send(&peer.packet(op::CREDIT_UPDATE));
        bench.expect_events(&[Event::Writable(id)]);
        assert_eq!(bench.guest.unforwarded(id), 0);
    }
}

#[test]
fn splits_a_long_write_into_full_packets() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Output, 1 << 20);
    let bytes = pattern(150_000);
    assert_eq!(bench.write(id, &bytes), bytes.len());
    let packets = bench.host.all();
    let lengths: Vec<_> = packets.iter().map(|packet| packet.len).collect();
    assert_eq!(lengths, [65536, 65536, 150_000 - 131_072]);
    let sent: Vec<u8> = packets
        .iter()
        .flat_map(|packet| packet.data.clone())
        .collect();
    assert_eq!(sent, bytes);
    packets.iter().for_each(|packet| peer.on_packet(packet));
}

#[test]
fn gathers_small_writes_into_one_packet_and_one_kick() {
    let mut bench = Bench::new();
    let (id, _peer) = bench.connection(Purpose::Output, 65536);
    bench.host.expect_silence();
    let kicks = bench.host.device.kicks(1);
    let mut stream = bench.guest.stream(id).expect("connected");
    for part in pattern(1000).chunks(10) {
        assert_eq!(stream.write(part), Ok(10));
    }
    assert!(
        bench.host.next().is_none(),
        "nothing is sent before the flush"
    );
    bench.expect_events(&[]);
    assert_eq!(bench.host.expect(op::RW).data, pattern(1000));
    bench.host.expect_silence();
    assert_eq!(bench.host.device.kicks(1), kicks + 1);
}

#[test]
fn sends_what_was_never_flushed_with_the_next_poll() {
    let mut bench = Bench::new();
    let (id, _peer) = bench.connection(Purpose::Output, 65536);
    let mut stream = bench.guest.stream(id).expect("connected");
    assert_eq!(stream.write(b"late"), Ok(4));
    assert_eq!(bench.guest.next_deadline(), Instant::ZERO);
    bench.expect_events(&[]);
    assert_eq!(bench.host.expect(op::RW).data, b"late");
    assert!(bench.guest.next_deadline() > bench.now);
}

#[test]
fn a_slow_host_stops_one_writer_and_not_the_others() {
    let mut bench = Bench::new();
    let (slow, _) = bench.connection(Purpose::Output, 1 << 30);
    let (quick, mut peer) = bench.connection(Purpose::Control, 1 << 20);
    let chunk = pattern(1 << 16);
    let mut stream = bench.guest.stream(slow).expect("connected");
    let mut taken = 0;
    while let Ok(count @ 1..) = stream.write(&chunk) {
        taken += count;
    }
    assert_eq!(
        taken,
        15 << 16,
        "all large slots but the one kept for control"
    );
    assert_eq!(stream.write_ready(), Ok(false));
    assert_eq!(bench.write(quick, &chunk), chunk.len());

    let packets = bench.host.all();
    assert_eq!(packets.len(), 16);
    peer.on_packet(packets.last().expect("the quick one is last"));
    bench.expect_events(&[Event::Writable(slow)]);
    assert_eq!(bench.write(slow, b"on"), 2);
}

#[test]
fn waiting_writers_are_served_in_turn() {
    let mut bench = Bench::new();
    let ids: Vec<ConnectionId> = (0..40)
        .map(|_| bench.connection(Purpose::Output, 1 << 20).0)
        .collect();
    let chunk = pattern(1 << 16);
    let mut sent = vec![0; ids.len()];
    for (id, count) in ids.iter().zip(&mut sent) {
        *count += bench.write(*id, &chunk);
    }
    for _ in 0..8 {
        bench.host.all();
        for event in bench.events() {
            let Event::Writable(id) = event else {
                panic!("{event:?}");
            };
            let place = ids.iter().position(|&known| known == id).expect("ours");
            sent[place] += bench.write(id, &chunk);
        }
    }
    assert!(sent.iter().all(|&bytes| bytes >= 1 << 16), "{sent:?}");
}

#[test]
fn receives_up_to_the_window_and_opens_it_again_at_half() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Output, 65536);
    let window = peer.guest_buf_alloc as usize;
    assert_eq!(window, 4096);
    bench.host.send(&peer.data(&pattern(window)));
    bench.expect_events(&[Event::Readable(id)]);
    assert_eq!(peer.credit(), 0);

    assert_eq!(bench.read(id, 2047).map(|bytes| bytes.len()), Ok(2047));
    bench.expect_events(&[]);
    bench.host.expect_silence();
    assert_eq!(bench.read(id, 1).map(|bytes| bytes.len()), Ok(1));
    bench.expect_events(&[]);
    let update = bench.host.expect(op::CREDIT_UPDATE);
    assert_eq!(update.fwd_cnt, 2048);
    peer.on_packet(&update);
    assert!(peer.credit() >= 2048);
}

#[test]
fn the_window_of_a_busy_reader_grows_to_the_largest_and_comes_back() {
    let mut bench = Bench::new();
    let idle = bench.guest.usage();
    let (id, mut peer) = bench.connection(Purpose::Input, 65536);
    let first = peer.guest_buf_alloc;
    for _ in 0..200 {
        let count = peer.credit().min(65536) as usize;
        bench.host.send(&peer.data(&pattern(count)));
        bench.expect_events(&[Event::Readable(id)]);
        assert_eq!(bench.read(id, count), Ok(pattern(count)));
        bench.expect_events(&[]);
        receive(&bench, &mut peer);
    }
    assert!(first < 256 * 1024);
    assert_eq!(peer.guest_buf_alloc, 256 * 1024);
    let usage = bench.guest.usage();
    assert!(usage.chunks_promised <= usage.chunks);

    bench.guest.abort(id);
    assert_eq!(bench.guest.usage(), idle);
}

#[test]
fn delivers_packets_of_every_size_in_order() {
    let sizes = [1, 43, 44, 1023, 1024, 1025, 4095, 4096, 16384, 16385, 65536];
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Input, 65536);
    let mut sent = Vec::new();
    let mut got = Vec::new();
    for round in 0..3 {
        for size in sizes {
            let bytes: Vec<u8> = pattern(size).iter().map(|byte| byte ^ round).collect();
            if (peer.credit() as usize) < size {
                got.extend(bench.read(id, 1 << 20).expect("bytes"));
                bench.events();
                receive(&bench, &mut peer);
            }
            bench.host.send(&peer.data(&bytes));
            sent.extend(bytes);
            bench.events();
        }
    }
    got.extend(bench.read(id, 1 << 20).expect("bytes"));
    assert_eq!(got.len(), sent.len());
    assert!(got == sent, "bytes are lost, doubled or out of order");
}

#[test]
fn single_bytes_never_need_more_memory_than_the_window_promised() {
    let mut bench = Bench::with_ram(4 * MIB);
    let (id, mut peer) = bench.connection(Purpose::Output, 65536);
    let window = peer.guest_buf_alloc;
    for _ in 0..window {
        bench.host.send(&peer.data(b"x"));
        bench.events();
    }
    let usage = bench.guest.usage();
    assert!(usage.chunks_in_use <= usage.chunks_promised, "{usage:?}");
    assert_eq!(usage.buffers_posted, usage.buffers);
    assert_eq!(bench.read(id, 1 << 16), Ok(vec![b'x'; window as usize]));
}

#[test]
fn readers_that_never_read_cannot_take_the_buffers_of_others() {
    let mut bench = Bench::new();
    let mut stuck: Vec<(ConnectionId, Peer)> = (0..30)
        .map(|_| bench.connection(Purpose::Input, 65536))
        .collect();
    for (_, peer) in &mut stuck {
        while peer.credit() > 0 {
            let count = peer.credit().min(65536) as usize;
            bench.host.send(&peer.data(&pattern(count)));
            bench.events();
        }
    }
    let usage = bench.guest.usage();
    assert!(usage.buffers_posted * 2 >= usage.buffers - 1, "{usage:?}");

    let (id, mut peer) = bench.connection(Purpose::Control, 65536);
    bench.host.send(&peer.data(b"urgent"));
    bench.expect_events(&[Event::Readable(id)]);
    assert_eq!(bench.read(id, 10), Ok(b"urgent".to_vec()));
    for (id, peer) in stuck {
        let count = peer.tx_cnt as usize;
        let bytes = bench.read(id, count).expect("bytes");
        assert_eq!(bytes.len(), count);
    }
    let usage = bench.guest.usage();
    assert_eq!(
        (usage.chunks_in_use, usage.buffers_posted),
        (0, usage.buffers)
    );
}

#[test]
fn lends_the_front_and_keeps_what_is_not_consumed() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Input, 65536);
    bench.host.send(&peer.data(&pattern(60_000)));
    bench.events();
    let mut stream = bench.guest.stream(id).expect("connected");
    let front = stream.fill_buf().expect("bytes");
    assert_eq!(
        front,
        pattern(60_000),
        "a large packet is lent where it lies"
    );
    stream.consume(10);
    assert_eq!(stream.fill_buf().expect("bytes"), &pattern(60_000)[10..]);
    stream.consume(usize::MAX);
    assert_eq!(stream.read_ready(), Ok(false));
    assert_eq!(stream.fill_buf(), Err(StreamError::NotReady));
    assert_eq!(stream.read(&mut [0]), Err(StreamError::NotReady));
}

#[test]
fn answers_questions_at_once_and_with_one_packet() {
    let mut bench = Bench::new();
    let (_id, peer) = bench.connection(Purpose::Input, 65536);
    for _ in 0..5 {
        bench.host.send(&peer.packet(op::CREDIT_REQUEST));
        bench.host.send(&peer.packet(op::INVALID));
    }
    bench.expect_events(&[]);
    bench.host.expect(op::CREDIT_UPDATE);
    bench.host.expect_silence();
}

#[test]
fn repeats_old_news_less_and_less_often() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Output, 65536);
    bench.host.send(&peer.data(&pattern(4096)));
    bench.expect_events(&[Event::Readable(id)]);
    let mut answers = 0;
    for _ in 0..1000 {
        bench.host.send(&peer.packet(op::CREDIT_REQUEST));
        bench.expect_events(&[]);
        answers += bench.host.all().len();
        bench.wait(1);
    }
    assert!((15..40).contains(&answers), "{answers} answers in a second");

    assert_eq!(bench.read(id, 100).map(|bytes| bytes.len()), Ok(100));
    bench.wait(1);
    bench.host.send(&peer.packet(op::CREDIT_REQUEST));
    bench.expect_events(&[]);
    assert_eq!(
        bench.host.expect(op::CREDIT_UPDATE).fwd_cnt,
        100,
        "news are told at once"
    );
}

#[test]
fn data_does_not_replace_the_answer_to_a_question() {
    let mut bench = Bench::new();
    let (id, peer) = bench.connection(Purpose::Control, 65536);
    bench.host.send(&peer.packet(op::CREDIT_REQUEST));
    let mut stream = bench.guest.stream(id).expect("connected");
    assert_eq!(stream.write(b"reply"), Ok(5));
    bench.expect_events(&[]);
    bench.host.expect(op::RW);
    bench.host.expect(op::CREDIT_UPDATE);
}

#[test]
fn asks_again_while_a_writer_waits_for_credit() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Output, 10);
    assert_eq!(bench.write(id, &pattern(20)), 10);
    bench.host.expect(op::RW);
    bench.host.expect(op::CREDIT_REQUEST);
    for pause in [4, 8, 16, 32, 64, 64] {
        bench.wait(pause - 1);
        bench.expect_events(&[]);
        bench.host.expect_silence();
        bench.wait(1);
        bench.expect_events(&[]);
        bench.host.expect(op::CREDIT_REQUEST);
    }
    peer.fwd_cnt = 3;
    bench.host.send(&peer.packet(op::CREDIT_UPDATE));
    bench.expect_events(&[Event::Writable(id)]);
    assert_eq!(bench.write(id, &pattern(20)), 3);
}

#[test]
fn refuses_a_connection_when_the_pool_has_no_window_left() {
    let mut bench = Bench::with_ram(4 * MIB);
    let mut ids = Vec::new();
    while let Ok(id) = bench
        .guest
        .connect(PORT, Purpose::Output, bench.now, Instant::NEVER)
    {
        ids.push(id);
    }
    assert!((15..64).contains(&ids.len()), "{}", ids.len());
    let control = bench
        .guest
        .connect(PORT, Purpose::Control, bench.now, Instant::NEVER);
    assert!(control.is_ok(), "the control share is never lent");
    bench.guest.abort(ids[0]);
    let again = bench
        .guest
        .connect(PORT, Purpose::Output, bench.now, Instant::NEVER);
    assert!(again.is_ok());
    let once_more = bench
        .guest
        .connect(PORT, Purpose::Output, bench.now, Instant::NEVER);
    assert_eq!(once_more, Err(Full));
}

#[test]
fn a_void_id_does_nothing() {
    let mut bench = Bench::new();
    let (id, peer) = bench.connection(Purpose::Output, 65536);
    bench.guest.abort(id);
    assert_eq!(bench.host.expect(op::RST).src_port, peer.guest_port);
    bench.guest.abort(id);
    bench.guest.close(id, Instant::NEVER);
    bench.guest.shutdown(id, hal::vsock::Direction::Send);
    assert_eq!(bench.guest.unforwarded(id), 0);
    assert!(bench.guest.stream(id).is_none());
    bench.expect_events(&[]);
    bench.host.expect_silence();
    let beyond = ConnectionId {
        index: u16::MAX,
        ..id
    };
    assert!(bench.guest.stream(beyond).is_none());
}

#[test]
fn counters_wrap_after_four_gibibytes_each_way() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Input, 1 << 20);
    let chunk = pattern(1 << 16);
    let incoming = Packet {
        len: 1 << 16,
        data: chunk.clone(),
        ..peer.packet(op::RW)
    };
    let mut scratch = vec![0; 1 << 16];
    for round in 0..(1_u32 << 16) + 16 {
        let packet = Packet {
            fwd_cnt: peer.fwd_cnt,
            ..incoming.clone()
        };
        peer.tx_cnt = peer.tx_cnt.wrapping_add(1 << 16);
        bench.host.send(&packet);
        while bench.guest.poll(bench.now).is_some() {}
        let mut stream = bench.guest.stream(id).expect("connected");
        assert_eq!(stream.read(&mut scratch), Ok(1 << 16), "round {round}");
        assert_eq!(stream.write(&chunk), Ok(1 << 16), "round {round}");
        while bench.guest.poll(bench.now).is_some() {}
        while let Some(packet) = bench.host.next() {
            peer.on_packet(&packet);
        }
    }
    assert_eq!(peer.fwd_cnt, 16 << 16);
    assert_eq!(scratch, chunk);
    assert_eq!(bench.host.device.in_flight(RX), 0);
}

#[test]
fn a_pipe_relayed_page_by_page_travels_in_full_packets() {
    let mut bench = Bench::new();
    let (id, _peer) = bench.connection(Purpose::Output, 1 << 20);
    let mut stream = bench.guest.stream(id).expect("connected");
    for page in pattern(2 << 16).chunks(4096) {
        assert_eq!(stream.write(page), Ok(4096));
    }
    stream.flush().expect("flush never fails");
    let lengths: Vec<_> = bench.host.all().iter().map(|packet| packet.len).collect();
    assert_eq!(lengths, [1 << 16, 1 << 16]);
}
