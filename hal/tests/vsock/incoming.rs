//! Connections that the host dials: accepted, refused, ended before they stand, too many.

use crate::bench::{Bench, MIB, pattern};
use fakes::virtio::vsock::{Packet, Peer, SHUT_RCV, SHUT_SEND, op};
use hal::limits::{AGENT_CONNECTIONS, FEW_PROGRAM_CONNECTIONS, MAX_CONNECTIONS};
use hal::vsock::{
    ConnectError, ConnectionId, Direction, Event, Full, Port, Purpose, StreamError, Vsock,
};

const SERVICE: u32 = 7000;

/// The host dials from `host_port`; returns its end and what became of it here.
#[track_caller]
fn ring(bench: &mut Bench, host_port: u32) -> (ConnectionId, Peer) {
    let (peer, request) = Peer::dial(host_port, SERVICE, 65536);
    bench.host.send(&request);
    let events = bench.events();
    let [Event::Incoming { id, to, from }] = events[..] else {
        panic!("one connection is wanted: {events:?}");
    };
    assert_eq!((to, from), (Port(SERVICE), Port(host_port)));
    (id, peer)
}

/// The same, accepted.
#[track_caller]
fn connection(bench: &mut Bench, host_port: u32) -> (ConnectionId, Peer) {
    let (id, mut peer) = ring(bench, host_port);
    bench.host.expect_silence();
    bench.guest.accept(id);
    let response = bench.host.expect(op::RESPONSE);
    assert_eq!(
        (response.src_port, response.dst_port),
        (SERVICE, host_port),
        "the port that was asked for answers"
    );
    peer.on_packet(&response);
    bench.expect_events(&[Event::Connected(id)]);
    (id, peer)
}

#[test]
fn an_accepted_connection_carries_bytes_both_ways_and_ends() {
    let mut bench = Bench::new();
    let (id, mut peer) = connection(&mut bench, 77);
    let local = bench.guest.local(id).expect("it stands");
    assert_eq!((local.cid, local.port), (3, Port(SERVICE)));

    bench.exchange(id, &mut peer);
    bench.guest.shutdown(id, Direction::Send);
    assert_eq!(bench.host.expect(op::SHUTDOWN).flags, SHUT_SEND);
    bench.host.send(&peer.shutdown(SHUT_RCV | SHUT_SEND));
    bench.expect_events(&[Event::Readable(id), Event::PeerClosedReceive(id)]);
    assert_eq!(bench.read(id, 100), Ok(Vec::new()));
    let later = bench.now;
    bench.guest.close(id, later);
    bench.expect_events(&[Event::Closed { id, flushed: true }]);
    assert_eq!(bench.host.expect(op::RST).src_port, SERVICE);
    assert_eq!(bench.guest.usage().connections, 0);
}

#[test]
fn a_refused_connection_is_reset_and_leaves_nothing() {
    let mut bench = Bench::new();
    let (id, peer) = ring(&mut bench, 77);
    bench.guest.abort(id);
    let reset = bench.host.expect(op::RST);
    assert_eq!(
        (reset.src_port, reset.dst_port),
        (peer.guest_port, peer.host_port)
    );
    bench.guest.accept(id);
    bench.expect_events(&[]);
    bench.host.expect_silence();
    let usage = bench.guest.usage();
    assert_eq!((usage.connections, usage.chunks_promised), (0, 0));
}

#[test]
fn the_same_port_takes_many_connections() {
    let mut bench = Bench::new();
    let mut all: Vec<_> = (0..8)
        .map(|nth| connection(&mut bench, 900 + nth))
        .collect();
    for (nth, (id, peer)) in all.iter_mut().enumerate() {
        let bytes = pattern(nth + 1);
        bench.host.send(&peer.data(&bytes));
        bench.expect_events(&[Event::Readable(*id)]);
        assert_eq!(bench.read(*id, 100), Ok(bytes));
    }
}

#[test]
fn what_was_withdrawn_before_anybody_heard_of_it_is_not_told() {
    let mut bench = Bench::new();
    let (peer, request) = Peer::dial(77, SERVICE, 65536);
    bench.host.send(&request);
    bench.host.send(&peer.rst());
    bench.expect_events(&[]);
    bench.host.expect_silence();
    assert_eq!(bench.guest.usage().connections, 0);
}

#[test]
fn what_was_withdrawn_before_it_was_accepted_has_failed() {
    let mut bench = Bench::new();
    let (id, peer) = ring(&mut bench, 77);
    bench.host.send(&peer.rst());
    bench.expect_events(&[Event::Failed(id, ConnectError::Refused)]);
    bench.guest.accept(id);
    bench.host.expect_silence();
    assert_eq!(bench.guest.usage().connections, 0);
}

#[test]
fn a_host_that_speaks_before_it_was_accepted_is_reset() {
    for number in [op::RW, op::SHUTDOWN, op::REQUEST] {
        let mut bench = Bench::new();
        let (id, mut peer) = ring(&mut bench, 77);
        let packet = match number {
            op::RW => peer.data(b"early"),
            op::SHUTDOWN => peer.shutdown(SHUT_SEND),
            other => peer.packet(other),
        };
        bench.host.send(&packet);
        bench.expect_events(&[Event::Failed(id, ConnectError::Refused)]);
        assert_eq!(bench.host.expect(op::RST).dst_port, 77, "{number}");
        assert_eq!(bench.guest.usage().chunks_promised, 0);
    }
}

#[test]
fn a_request_that_is_no_whole_packet_is_reset() {
    let mut bench = Bench::new();
    let (_, request) = Peer::dial(77, SERVICE, 65536);
    for bad in [
        Packet {
            len: 5,
            ..request.clone()
        },
        Packet { kind: 2, ..request },
    ] {
        bench.host.send(&bad);
        bench.expect_events(&[]);
        assert_eq!(bench.host.expect(op::RST).dst_port, 77);
    }
}

#[test]
fn a_transport_reset_ends_what_stands_and_what_is_wanted() {
    let mut bench = Bench::new();
    let (open, _) = connection(&mut bench, 77);
    let (wanted, _) = ring(&mut bench, 78);
    bench.host.event(0);
    let events = bench.events();
    assert!(events.contains(&Event::Reset(open)), "{events:?}");
    let failed = Event::Failed(wanted, ConnectError::TransportReset);
    assert!(events.contains(&failed), "{events:?}");
    assert_eq!(bench.read(open, 1), Err(StreamError::Reset));
}

#[test]
fn programs_have_places_of_their_own_and_take_no_others() {
    for (ram, places) in [
        (8 * MIB, FEW_PROGRAM_CONNECTIONS),
        (256 * MIB, MAX_CONNECTIONS - AGENT_CONNECTIONS),
    ] {
        let mut bench = Bench::with_ram(ram);
        let mut ids = Vec::new();
        for nth in 0..places as u32 {
            let (_, request) = Peer::dial(1000 + nth, SERVICE, 65536);
            bench.host.send(&request);
            match bench.events()[..] {
                [Event::Incoming { id, .. }] => ids.push(id),
                // The windows of the smaller machine end before its places do.
                _ => break,
            }
        }
        assert!(ids.len() == places || ram < 16 * MIB, "{}", ids.len());
        bench.host.all();
        let (_, request) = Peer::dial(5000, SERVICE, 65536);
        bench.host.send(&request);
        bench.expect_events(&[]);
        assert_eq!(bench.host.expect(op::RST).dst_port, 5000, "refused");
        let mine = bench.guest.connect(
            Port(SERVICE),
            Purpose::Program,
            bench.now,
            hal::clock::Instant::NEVER,
        );
        assert_eq!(mine, Err(Full));
        bench.connection(Purpose::Control, 65536);
        bench.connection(Purpose::Output, 65536);
        bench.guest.abort(ids[0]);
        bench.host.all();
        ring(&mut bench, 5001);
    }
}
