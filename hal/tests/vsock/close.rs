//! The end of a connection: in order, by force, by either side, in every state.

use crate::bench::{Bench, pattern};
use embedded_io::{Read, ReadReady, Write, WriteReady};
use fakes::virtio::vsock::{Peer, SHUT_RCV, SHUT_SEND, op};
use hal::clock::Instant;
use hal::vsock::{ConnectError, ConnectionId, Direction, Event, Purpose, StreamError, Vsock};

/// A connection that was closed while the host had `bytes` bytes in its hands.
fn draining(bench: &mut Bench, bytes: usize, millis: u64) -> (ConnectionId, Peer) {
    let (id, peer) = bench.connection(Purpose::Output, 65536);
    bench.write(id, &pattern(bytes));
    bench.host.expect(op::RW);
    let deadline = Instant::from_nanos(bench.now.as_nanos() + millis * 1_000_000);
    bench.guest.close(id, deadline);
    bench.host.expect(op::CREDIT_REQUEST);
    (id, peer)
}

/// A connection whose end was announced and not confirmed.
fn lingering(bench: &mut Bench) -> (ConnectionId, Peer) {
    let (id, peer) = bench.connection(Purpose::Output, 65536);
    bench.guest.close(id, Instant::NEVER);
    bench.host.expect(op::SHUTDOWN);
    bench.expect_events(&[Event::Closed { id, flushed: true }]);
    (id, peer)
}

#[test]
fn closing_waits_until_the_host_has_forwarded_everything() {
    let mut bench = Bench::new();
    let (id, mut peer) = draining(&mut bench, 100, 1000);
    assert!(bench.guest.stream(id).is_none(), "closed for the caller");

    peer.fwd_cnt = 99;
    bench.host.send(&peer.packet(op::CREDIT_UPDATE));
    bench.expect_events(&[]);
    bench.host.expect_silence();
    assert_eq!(bench.guest.unforwarded(id), 1);

    peer.fwd_cnt = 100;
    bench.host.send(&peer.packet(op::CREDIT_UPDATE));
    bench.expect_events(&[Event::Closed { id, flushed: true }]);
    assert_eq!(bench.host.expect(op::SHUTDOWN).flags, SHUT_RCV | SHUT_SEND);
    bench.host.send(&peer.rst());
    bench.expect_events(&[]);
    bench.host.expect_silence();
    assert_eq!(bench.guest.usage().connections, 0);
}

#[test]
fn closing_sends_what_was_not_flushed_first() {
    let mut bench = Bench::new();
    let (id, _peer) = bench.connection(Purpose::Output, 65536);
    let mut stream = bench.guest.stream(id).expect("connected");
    assert_eq!(stream.write(b"last words"), Ok(10));
    bench.guest.close(id, Instant::NEVER);
    assert_eq!(bench.host.expect(op::RW).data, b"last words");
    bench.host.expect(op::CREDIT_REQUEST);
}

#[test]
fn closing_asks_again_and_gives_up_at_the_deadline() {
    let mut bench = Bench::new();
    let (id, peer) = draining(&mut bench, 100, 30);
    for pause in [4, 8, 16] {
        bench.wait(pause);
        bench.expect_events(&[]);
        bench.host.expect(op::CREDIT_REQUEST);
    }
    bench.wait(1);
    bench.expect_events(&[]);
    bench.wait(1);
    bench.expect_events(&[Event::Closed { id, flushed: false }]);
    let reset = bench.host.expect(op::RST);
    assert_eq!(reset.src_port, peer.guest_port);
    bench.host.expect_silence();
}

#[test]
fn closing_again_moves_the_deadline() {
    let mut bench = Bench::new();
    let (id, _peer) = draining(&mut bench, 100, 30);
    let later = Instant::from_nanos(bench.now.as_nanos() + 100_000_000);
    bench.guest.close(id, later);
    bench.wait(99);
    bench.expect_events(&[]);
    bench.wait(1);
    bench.expect_events(&[Event::Closed { id, flushed: false }]);
}

#[test]
fn a_deadline_that_has_passed_cuts_the_connection_off() {
    let mut bench = Bench::new();
    let (id, _peer) = draining(&mut bench, 1, 0);
    bench.expect_events(&[Event::Closed { id, flushed: false }]);
    bench.host.expect(op::RST);
}

#[test]
fn a_silent_host_is_cut_off_after_lingering() {
    let mut bench = Bench::new();
    let (_, peer) = lingering(&mut bench);
    assert_eq!(bench.guest.usage().connections, 1);
    bench.wait(999);
    bench.expect_events(&[]);
    bench.host.expect_silence();
    bench.wait(1);
    bench.expect_events(&[]);
    assert_eq!(bench.host.expect(op::RST).src_port, peer.guest_port);
    assert_eq!(bench.guest.usage().connections, 0);
}

#[test]
fn the_hosts_end_is_read_after_the_data_before_it() {
    for size in [5, 60_000] {
        let mut bench = Bench::new();
        let (id, mut peer) = bench.connection(Purpose::Input, 65536);
        let data = peer.data(&pattern(size));
        bench.host.send(&data);
        bench.host.send(&peer.shutdown(SHUT_RCV | SHUT_SEND));
        bench.expect_events(&[Event::Readable(id), Event::PeerClosedReceive(id)]);
        assert_eq!(bench.read(id, size), Ok(pattern(size)));
        assert!(bench.read_ready(id));
        assert_eq!(bench.read(id, 1), Ok(Vec::new()));

        bench.guest.close(id, Instant::NEVER);
        bench.expect_events(&[Event::Closed { id, flushed: true }]);
        bench.host.expect(op::RST);
        assert_eq!(bench.guest.usage().connections, 0);
    }
}

#[test]
fn the_host_may_end_its_side_alone() {
    let mut bench = Bench::new();
    let (id, peer) = bench.connection(Purpose::Control, 65536);
    bench.host.send(&peer.shutdown(SHUT_SEND));
    bench.expect_events(&[Event::Readable(id)]);
    assert_eq!(bench.read(id, 1), Ok(Vec::new()));
    assert_eq!(bench.write(id, b"answer"), 6);
    assert_eq!(bench.host.expect(op::RW).data, b"answer");
}

#[test]
fn the_host_may_stop_receiving_alone() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Control, 65536);
    bench.host.send(&peer.shutdown(SHUT_RCV));
    bench.expect_events(&[Event::PeerClosedReceive(id)]);
    assert_eq!(bench.write(id, b"lost"), 4);
    bench.host.expect_silence();
    assert_eq!(bench.guest.unforwarded(id), 0);
    bench.host.send(&peer.data(b"more"));
    bench.expect_events(&[Event::Readable(id)]);
    assert_eq!(bench.read(id, 9), Ok(b"more".to_vec()));
}

#[test]
fn a_host_that_stops_receiving_frees_a_writer_that_waits() {
    let mut bench = Bench::new();
    let (id, peer) = bench.connection(Purpose::Output, 10);
    assert_eq!(bench.write(id, &pattern(20)), 10);
    bench.host.all();
    bench.host.send(&peer.shutdown(SHUT_RCV));
    bench.expect_events(&[Event::PeerClosedReceive(id)]);
    bench.wait(100);
    bench.expect_events(&[]);
    bench.host.expect_silence();
    bench.guest.close(id, Instant::NEVER);
    bench.expect_events(&[Event::Closed { id, flushed: false }]);
    bench.host.expect(op::SHUTDOWN);
}

#[test]
fn ends_one_direction_behind_what_was_written() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Control, 65536);
    let mut stream = bench.guest.stream(id).expect("connected");
    assert_eq!(stream.write(b"question"), Ok(8));
    bench.guest.shutdown(id, Direction::Send);
    let packet = bench.host.expect(op::RW);
    peer.on_packet(&packet);
    bench.host.expect(op::CREDIT_REQUEST);
    assert_eq!(bench.host.expect(op::SHUTDOWN).flags, SHUT_SEND);
    let mut stream = bench.guest.stream(id).expect("connected");
    assert_eq!(stream.write(b"more"), Err(StreamError::NotConnected));
    assert_eq!(stream.write_ready(), Err(StreamError::NotConnected));

    bench.host.send(&peer.data(b"answer"));
    bench.expect_events(&[Event::Readable(id), Event::Writable(id)]);
    assert_eq!(bench.read(id, 10), Ok(b"answer".to_vec()));
}

#[test]
fn announces_the_end_of_both_directions_only_when_all_was_forwarded() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Control, 65536);
    bench.write(id, &pattern(10));
    bench.host.expect(op::RW);
    bench.guest.shutdown(id, Direction::Send);
    bench.host.expect(op::CREDIT_REQUEST);
    assert_eq!(bench.host.expect(op::SHUTDOWN).flags, SHUT_SEND);
    bench.guest.shutdown(id, Direction::Receive);
    bench.host.expect_silence();

    peer.fwd_cnt = 10;
    bench.host.send(&peer.packet(op::CREDIT_UPDATE));
    bench.expect_events(&[Event::Writable(id)]);
    assert_eq!(bench.host.expect(op::SHUTDOWN).flags, SHUT_RCV | SHUT_SEND);

    bench.host.send(&peer.rst());
    bench.expect_events(&[]);
    assert_eq!(bench.read(id, 1), Ok(Vec::new()));
    bench.guest.close(id, Instant::NEVER);
    bench.expect_events(&[Event::Closed { id, flushed: true }]);
    bench.host.expect_silence();
}

#[test]
fn what_arrives_after_receiving_was_ended_is_thrown_away() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Output, 65536);
    bench.guest.shutdown(id, Direction::Receive);
    assert_eq!(bench.host.expect(op::SHUTDOWN).flags, SHUT_RCV);
    for _ in 0..10 {
        bench.host.send(&peer.data(&pattern(3000)));
        bench.expect_events(&[]);
        bench
            .host
            .all()
            .iter()
            .for_each(|packet| peer.on_packet(packet));
    }
    assert_eq!(bench.guest.usage().chunks_in_use, 0);
    let mut stream = bench.guest.stream(id).expect("connected");
    assert_eq!(stream.read_ready(), Ok(true));
    assert_eq!(stream.read(&mut [0]), Ok(0));
}

#[test]
fn a_reset_leaves_what_was_received_until_close() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Input, 65536);
    let data = peer.data(b"testament");
    bench.host.send(&data);
    bench.host.send(&peer.rst());
    bench.expect_events(&[Event::Readable(id), Event::Reset(id)]);
    assert_eq!(bench.read(id, 4), Ok(b"test".to_vec()));
    assert_eq!(bench.read(id, 10), Ok(b"ament".to_vec()));
    assert!(bench.read_ready(id));
    assert_eq!(bench.read(id, 10), Err(StreamError::Reset));
    let mut stream = bench.guest.stream(id).expect("not closed yet");
    assert_eq!(stream.write(b"x"), Err(StreamError::Reset));

    bench.guest.close(id, Instant::NEVER);
    bench.expect_events(&[Event::Closed { id, flushed: false }]);
    bench.host.expect_silence();
    assert!(bench.guest.stream(id).is_none());
    assert_eq!(bench.guest.usage().connections, 0);
}

#[test]
fn an_aborted_connection_is_reset_and_says_nothing() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Input, 65536);
    let data = peer.data(&pattern(60_000));
    bench.host.send(&data);
    bench.guest.poll(bench.now);
    bench.guest.abort(id);
    bench.host.expect(op::RST);
    bench.expect_events(&[]);
    let usage = bench.guest.usage();
    assert_eq!((usage.connections, usage.chunks_in_use), (0, 0));
    assert_eq!(usage.buffers_posted, usage.buffers);
}

#[test]
fn rst_is_understood_in_every_state() {
    let mut bench = Bench::new();

    let id = bench.dial(Purpose::Output);
    let request = bench.host.expect(op::REQUEST);
    bench.host.send(&Peer::of(&request, 0).rst());
    bench.expect_events(&[Event::Failed(id, ConnectError::Refused)]);

    let (id, peer) = bench.connection(Purpose::Output, 65536);
    bench.host.send(&peer.rst());
    bench.expect_events(&[Event::Reset(id)]);
    bench.host.send(&peer.rst());
    bench.expect_events(&[]);
    bench.guest.close(id, Instant::NEVER);
    bench.expect_events(&[Event::Closed { id, flushed: false }]);

    let (id, peer) = draining(&mut bench, 10, 1000);
    bench.host.send(&peer.rst());
    bench.expect_events(&[Event::Closed { id, flushed: false }]);

    let (_, peer) = lingering(&mut bench);
    bench.host.send(&peer.rst());
    bench.expect_events(&[]);

    bench.host.send(&peer.rst());
    bench.expect_events(&[]);
    bench.host.expect_silence();
    assert_eq!(bench.guest.usage().connections, 0);
}

#[test]
fn shutdown_is_understood_in_every_state() {
    let both = SHUT_RCV | SHUT_SEND;
    let mut bench = Bench::new();

    let id = bench.dial(Purpose::Output);
    let request = bench.host.expect(op::REQUEST);
    bench.host.send(&Peer::of(&request, 0).shutdown(both));
    bench.expect_events(&[Event::Failed(id, ConnectError::Refused)]);
    bench.host.expect(op::RST);

    let (id, peer) = bench.connection(Purpose::Output, 65536);
    bench.host.send(&peer.shutdown(both));
    bench.host.send(&peer.shutdown(both));
    bench.expect_events(&[Event::Readable(id), Event::PeerClosedReceive(id)]);
    bench.guest.close(id, Instant::NEVER);
    bench.expect_events(&[Event::Closed { id, flushed: true }]);
    bench.host.expect(op::RST);

    let (id, peer) = draining(&mut bench, 10, 1000);
    bench.host.send(&peer.shutdown(SHUT_SEND));
    bench.expect_events(&[]);
    bench.host.send(&peer.shutdown(both));
    bench.expect_events(&[Event::Closed { id, flushed: false }]);
    bench.host.expect(op::RST);

    let (_, peer) = lingering(&mut bench);
    bench.host.send(&peer.shutdown(SHUT_SEND));
    bench.expect_events(&[]);
    bench.host.expect_silence();
    bench.host.send(&peer.shutdown(both));
    bench.expect_events(&[]);
    bench.host.expect(op::RST);

    bench.host.send(&peer.shutdown(both));
    bench.expect_events(&[]);
    bench.host.expect(op::RST);
    assert_eq!(bench.guest.usage().connections, 0);
}

#[test]
fn data_is_understood_in_every_state() {
    let mut bench = Bench::new();

    let id = bench.dial(Purpose::Output);
    let request = bench.host.expect(op::REQUEST);
    bench.host.send(&Peer::of(&request, 0).data(b"early"));
    bench.expect_events(&[Event::Failed(id, ConnectError::Refused)]);
    bench.host.expect(op::RST);

    let (id, mut peer) = bench.connection(Purpose::Output, 65536);
    bench.host.send(&peer.shutdown(SHUT_SEND));
    let late = peer.data(b"late");
    bench.host.send(&late);
    bench.expect_events(&[Event::Readable(id), Event::Reset(id)]);
    bench.host.expect(op::RST);
    assert_eq!(bench.read(id, 10), Ok(Vec::new()), "the end came before");
    bench.guest.abort(id);

    let (_, mut peer) = draining(&mut bench, 10, 1000);
    for _ in 0..5 {
        bench.host.send(&peer.data(&pattern(4000)));
        bench.expect_events(&[]);
        bench
            .host
            .all()
            .iter()
            .for_each(|packet| peer.on_packet(packet));
    }
    bench.host.send(&peer.rst());
    bench.events();

    let (_, mut peer) = lingering(&mut bench);
    bench.host.send(&peer.data(b"late"));
    bench.expect_events(&[]);
    bench.host.expect_silence();
    bench.host.send(&peer.rst());
    bench.events();

    bench.host.send(&peer.data(b"much too late"));
    bench.expect_events(&[]);
    bench.host.expect(op::RST);
    assert_eq!(bench.guest.usage().chunks_in_use, 0);
}

#[test]
fn closing_is_understood_in_every_state() {
    let mut bench = Bench::new();

    let id = bench.dial(Purpose::Output);
    bench.guest.close(id, Instant::NEVER);
    bench.expect_events(&[Event::Closed { id, flushed: true }]);
    let request = bench.host.expect(op::REQUEST);
    assert_eq!(bench.host.expect(op::RST).src_port, request.src_port);

    let id = bench.dial(Purpose::Output);
    let request = bench.host.expect(op::REQUEST);
    bench.guest.abort(id);
    bench.expect_events(&[]);
    assert_eq!(bench.host.expect(op::RST).src_port, request.src_port);

    let (id, _) = draining(&mut bench, 10, 1000);
    bench.guest.abort(id);
    bench.expect_events(&[]);
    bench.host.expect(op::RST);

    let (id, peer) = bench.connection(Purpose::Output, 65536);
    bench.guest.close(id, Instant::NEVER);
    bench.guest.close(id, Instant::NEVER);
    bench.guest.abort(id);
    bench.expect_events(&[]);
    bench.host.expect(op::SHUTDOWN);
    bench.host.send(&peer.rst());
    bench.expect_events(&[]);
    assert_eq!(bench.guest.usage().connections, 0);
}

#[test]
fn a_transport_reset_ends_everything_in_every_state() {
    let mut bench = Bench::new();
    let dialling = bench.dial(Purpose::Output);
    bench.host.expect(op::REQUEST);
    let (open, mut peer) = bench.connection(Purpose::Output, 65536);
    let data = peer.data(b"rest");
    bench.host.send(&data);
    bench.expect_events(&[Event::Readable(open)]);
    let (closing, _) = draining(&mut bench, 10, 1000);
    let _ = lingering(&mut bench);

    bench.host.device.set_config(0, &7_u64.to_le_bytes());
    bench.host.event(0);
    bench.expect_events(&[
        Event::Failed(dialling, ConnectError::TransportReset),
        Event::Reset(open),
        Event::Closed {
            id: closing,
            flushed: false,
        },
    ]);
    bench.host.expect_silence();
    assert_eq!(bench.guest.guest_cid(), 7);
    assert_eq!(bench.read(open, 10), Ok(b"rest".to_vec()));
    bench.guest.abort(open);
    assert_eq!(bench.guest.usage().connections, 0);
    for _ in 0..20 {
        bench.host.event(0);
        bench.expect_events(&[]);
    }
}

#[test]
fn after_a_transport_reset_the_host_is_dialled_as_ever_and_old_packets_are_answered_with_rst() {
    let mut bench = Bench::new();
    let (old, mut gone) = bench.connection(Purpose::Control, 65536);
    bench.host.event(0);
    bench.expect_events(&[Event::Reset(old)]);
    bench.guest.abort(old);
    for _ in 0..3 {
        let (id, mut peer) = bench.connection(Purpose::Control, 65536);
        bench.host.send(&peer.data(b"new"));
        bench.expect_events(&[Event::Readable(id)]);
        assert_eq!(bench.read(id, 10), Ok(b"new".to_vec()));
        assert_eq!(bench.write(id, b"answer"), 6);
        bench.host.expect(op::RW);
        bench.guest.abort(id);
        bench.host.all();
    }
    bench.host.send(&gone.data(b"late"));
    bench.expect_events(&[]);
    bench.host.expect(op::RST);
}

#[test]
fn after_the_last_write_the_host_is_asked_until_it_has_everything() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Output, 65536);
    bench.write(id, &pattern(10));
    bench.guest.shutdown(id, Direction::Send);
    bench.host.all();
    for pause in [4, 8, 16] {
        bench.wait(pause);
        bench.expect_events(&[]);
        bench.host.expect(op::CREDIT_REQUEST);
    }
    peer.fwd_cnt = 10;
    bench.host.send(&peer.packet(op::CREDIT_UPDATE));
    bench.expect_events(&[Event::Writable(id)]);
    assert_eq!(bench.guest.unforwarded(id), 0);
    bench.wait(100);
    bench.expect_events(&[]);
    bench.host.expect_silence();
}
