//! Dialling: accepted, refused, unanswered, answered twice.

use crate::bench::{Bench, PORT, pattern};
use fakes::virtio::vsock::{Peer, SHUT_RCV, SHUT_SEND, op};
use hal::clock::Instant;
use hal::limits::AGENT_CONNECTIONS;
use hal::vsock::{ConnectError, Event, Full, Purpose, StreamError, Vsock};

#[test]
fn connects_exchanges_bytes_and_closes() {
    let mut bench = Bench::new();

    let id = bench.dial(Purpose::Control);
    let mut peer = bench.host.accept(65536);
    bench.expect_events(&[Event::Connected(id)]);

    bench.exchange(id, &mut peer);
    assert_eq!(bench.read(id, 100), Err(StreamError::NotReady));

    bench.guest.close(id, Instant::NEVER);
    let shutdown = bench.host.expect(op::SHUTDOWN);
    assert_eq!(shutdown.flags, SHUT_RCV | SHUT_SEND);
    assert_eq!(shutdown.fwd_cnt, 6);
    bench.expect_events(&[Event::Closed { id, flushed: true }]);
    bench.host.send(&peer.rst());
    bench.expect_events(&[]);
    bench.host.expect_silence();
    assert!(bench.guest.stream(id).is_none());
}

#[test]
fn tells_a_refusal_at_once() {
    let mut bench = Bench::new();
    let id = bench.dial(Purpose::Input);
    let request = bench.host.expect(op::REQUEST);
    assert_eq!(request.dst_port, PORT.0);
    bench.host.send(&Peer::of(&request, 0).rst());
    bench.expect_events(&[Event::Failed(id, ConnectError::Refused)]);
    assert!(bench.guest.stream(id).is_none());
}

/// Lets the pauses pass; returns the local ports of the dials, the first included.
fn dials_of(bench: &mut Bench, pauses: &[u64]) -> Vec<u32> {
    let mut ports = vec![bench.host.expect(op::REQUEST).src_port];
    for pause in pauses {
        bench.wait(pause - 1);
        bench.expect_events(&[]);
        bench.host.expect_silence();
        bench.wait(1);
        bench.expect_events(&[]);
        ports.push(bench.host.expect(op::REQUEST).src_port);
    }
    ports
}

#[test]
fn dials_a_silent_host_again_on_a_new_port_and_gives_up_at_the_deadline() {
    let mut bench = Bench::new();
    let id = bench.dial(Purpose::Output);
    let ports = dials_of(&mut bench, &[500, 1000, 2000, 2000, 2000]);
    let mut distinct = ports.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 6, "every dial has its own port");
    assert!(bench.guest.next_deadline() <= Instant::from_millis(11_000));

    bench.wait(2500);
    bench.expect_events(&[Event::Failed(id, ConnectError::TimedOut)]);
    let resets = bench.host.all();
    assert!(resets.iter().all(|packet| packet.op == op::RST));
}

#[test]
fn what_a_session_needs_is_dialled_every_eight_milliseconds() {
    let mut bench = Bench::new();
    bench.dial(Purpose::Control);
    dials_of(&mut bench, &[8; 100]);
}

#[test]
fn adopts_the_first_dial_that_is_answered_and_resets_the_others_when_they_are() {
    let mut bench = Bench::new();
    let id = bench.dial(Purpose::Control);
    let first = Peer::of(&bench.host.expect(op::REQUEST), 65536);
    bench.wait(500);
    bench.expect_events(&[]);
    let mut second = Peer::of(&bench.host.expect(op::REQUEST), 65536);

    bench.host.send(&second.packet(op::RESPONSE));
    bench.expect_events(&[Event::Connected(id)]);
    bench.host.expect_silence();

    bench.host.send(&first.packet(op::RESPONSE));
    bench.expect_events(&[]);
    assert_eq!(bench.host.expect(op::RST).src_port, first.guest_port);

    bench.host.send(&second.data(b"still here"));
    bench.expect_events(&[Event::Readable(id)]);
    assert_eq!(bench.read(id, 100), Ok(b"still here".to_vec()));
}

#[test]
fn does_not_dial_again_before_the_device_has_dealt_with_the_last_dial() {
    let mut bench = Bench::new();
    bench.dial(Purpose::Control);
    for _ in 0..100 {
        bench.wait(8);
        bench.expect_events(&[]);
    }
    // The device wakes up: it finds the one dial, and only then comes the next.
    assert_eq!(bench.host.all().len(), 1);
    bench.wait(8);
    bench.expect_events(&[]);
    assert_eq!(bench.host.all().len(), 1);
}

#[test]
fn adopts_the_oldest_of_a_thousand_dials_when_it_is_the_first_answered() {
    let mut bench = Bench::new();
    let id = bench.dial(Purpose::Control);
    let oldest = Peer::of(&bench.host.expect(op::REQUEST), 65536);
    // Other connections take ports between the dials.
    for _ in 0..1000 {
        bench.wait(8);
        bench.expect_events(&[]);
        bench.host.expect(op::REQUEST);
        let other = bench.dial(Purpose::Output);
        bench.host.expect(op::REQUEST);
        bench.guest.abort(other);
        bench.host.expect(op::RST);
    }
    bench.host.send(&oldest.packet(op::RESPONSE));
    bench.expect_events(&[Event::Connected(id)]);
}

#[test]
fn a_dial_that_was_given_up_and_is_answered_late_is_reset() {
    let mut bench = Bench::new();
    let id = bench.dial(Purpose::Output);
    let first = Peer::of(&bench.host.expect(op::REQUEST), 65536);
    bench.wait(500);
    bench.expect_events(&[]);
    bench.host.expect(op::REQUEST);
    bench.guest.abort(id);
    bench.host.all();
    bench.host.send(&first.packet(op::RESPONSE));
    bench.expect_events(&[]);
    assert_eq!(bench.host.expect(op::RST).src_port, first.guest_port);
}

#[test]
fn a_refused_dial_does_not_end_the_others() {
    let mut bench = Bench::new();
    let id = bench.dial(Purpose::Control);
    let first = Peer::of(&bench.host.expect(op::REQUEST), 65536);
    bench.wait(500);
    bench.expect_events(&[]);
    let second = Peer::of(&bench.host.expect(op::REQUEST), 65536);
    bench.host.send(&first.rst());
    bench.expect_events(&[]);
    bench.host.send(&second.packet(op::RESPONSE));
    bench.expect_events(&[Event::Connected(id)]);
}

#[test]
fn holds_248_connections_of_the_agents_at_once_and_refuses_the_next() {
    let mut bench = Bench::new();
    let mut peers = Vec::new();
    for _ in 0..AGENT_CONNECTIONS {
        peers.push(bench.connection(Purpose::Output, 65536));
    }
    let full = bench
        .guest
        .connect(PORT, Purpose::Control, bench.now, Instant::NEVER);
    assert_eq!(full, Err(Full));
    bench.connection(Purpose::Program, 65536);

    let bytes = pattern(100);
    for (id, peer) in &mut peers {
        bench.host.send(&peer.data(&bytes));
        bench.expect_events(&[Event::Readable(*id)]);
        assert_eq!(bench.read(*id, 200), Ok(bytes.clone()));
    }
    let (id, peer) = peers.swap_remove(40);
    bench.guest.abort(id);
    assert_eq!(bench.host.expect(op::RST).src_port, peer.guest_port);
    let again = bench.dial(Purpose::Output);
    assert_eq!(again.index, id.index);
    assert_ne!(again.generation, id.generation);
    let request = bench.host.expect(op::REQUEST);
    assert_ne!(
        request.src_port, peer.guest_port,
        "ports are not used again soon"
    );
}
