//! Kicks and interrupts: lost, saved, repeated; and when the layer wants to be polled.

use crate::bench::{Bench, pattern};
use embedded_io::Write;
use fakes::virtio::vsock::{Peer, RX, TX, op};
use hal::clock::Instant;
use hal::vsock::{Event, Purpose, Vsock};

#[test]
fn a_lost_first_kick_is_repeated_until_the_device_reacts() {
    let mut bench = Bench::new();
    bench.host.device.lose_kicks(true);
    let id = bench.dial(Purpose::Control);
    for _ in 0..20 {
        bench.host.expect_silence();
        assert!(bench.guest.next_deadline() <= bench.now + std::time::Duration::from_millis(4));
        bench.wait(4);
        bench.expect_events(&[]);
    }
    bench.host.device.lose_kicks(false);
    bench.wait(4);
    bench.expect_events(&[]);
    bench.host.accept(65536);
    bench.expect_events(&[Event::Connected(id)]);
}

#[test]
fn a_device_that_ran_out_of_buffers_and_lost_the_kick_is_kicked_again() {
    let mut bench = Bench::new();
    let (_id, peer) = bench.connection(Purpose::Control, 65536);
    bench.wait(100);
    bench.expect_events(&[]);
    bench.host.device.lose_kicks(true);
    while bench.host.try_send(&peer.packet(op::CREDIT_UPDATE)) {}
    bench.expect_events(&[]);
    let update = peer.packet(op::CREDIT_UPDATE);
    assert!(!bench.host.try_send(&update), "the device sleeps");
    bench.host.device.lose_kicks(false);
    bench.wait(4);
    bench.expect_events(&[]);
    assert!(bench.host.try_send(&update), "the device was woken");
}

#[test]
fn buffers_are_told_before_the_device_runs_dry_for_ever() {
    let mut bench = Bench::new();
    let (_id, peer) = bench.connection(Purpose::Control, 65536);
    let update = peer.packet(op::CREDIT_UPDATE);
    let mut sent = 0;
    for burst in 1..100 {
        for _ in 0..burst {
            sent += usize::from(bench.host.try_send(&update));
        }
        bench.expect_events(&[]);
    }
    assert!(sent > 2000, "{sent}: without waiting for any timer");
}

#[test]
fn posting_buffers_saves_kicks() {
    let mut bench = Bench::new();
    let (_id, peer) = bench.connection(Purpose::Control, 65536);
    let kicks = bench.host.device.kicks(RX);
    for _ in 0..320 {
        bench.host.send(&peer.packet(op::CREDIT_UPDATE));
        bench.expect_events(&[]);
    }
    let kicks = bench.host.device.kicks(RX) - kicks;
    assert!(kicks <= 20, "{kicks} kicks for 320 packets in 32 buffers");
}

#[test]
fn an_echo_costs_one_kick_and_at_most_one_interrupt_each_way() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Control, 1 << 20);
    let device = bench.host.device.clone();
    let (kicks, interrupts) = (device.kicks(TX), device.interrupts());
    for _ in 0..100 {
        bench.write(id, b"ping");
        peer.on_packet(&bench.host.expect(op::RW));
        bench.host.send(&peer.data(b"pong"));
        bench.events();
        assert_eq!(bench.read(id, 10), Ok(b"pong".to_vec()));
    }
    assert_eq!(device.kicks(TX) - kicks, 100);
    let interrupts = device.interrupts() - interrupts;
    assert!(interrupts < 120, "{interrupts} interrupts for 100 echoes");
}

#[test]
fn many_answers_go_out_with_one_kick() {
    let mut bench = Bench::new();
    let peers: Vec<Peer> = (0..10)
        .map(|_| bench.connection(Purpose::Output, 65536).1)
        .collect();
    let kicks = bench.host.device.kicks(TX);
    for peer in &peers {
        bench.host.send(&peer.packet(op::CREDIT_REQUEST));
    }
    bench.expect_events(&[]);
    assert_eq!(bench.host.device.kicks(TX), kicks + 1);
    assert_eq!(bench.host.all().len(), 10);
}

#[test]
fn lost_interrupts_cost_nothing_but_time() {
    let mut bench = Bench::new();
    bench.host.device.lose_interrupts(true);
    let (id, mut peer) = bench.connection(Purpose::Control, 65536);
    for _ in 0..100 {
        bench.host.send(&peer.data(b"x"));
        bench.expect_events(&[Event::Readable(id)]);
        assert_eq!(bench.read(id, 1), Ok(b"x".to_vec()));
        assert_eq!(bench.write(id, b"y"), 1);
        for packet in bench.host.all() {
            peer.on_packet(&packet);
        }
        bench.host.send(&peer.packet(op::CREDIT_UPDATE));
        bench.expect_events(&[Event::Writable(id)]);
    }
}

#[test]
fn a_quiet_layer_wants_no_attention() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Control, 65536);
    bench.write(id, b"ping");
    peer.on_packet(&bench.host.expect(op::RW));
    bench.host.send(&peer.data(b"pong"));
    bench.events();
    bench.read(id, 10).expect("bytes");
    for _ in 0..10 {
        bench.expect_events(&[]);
        bench.wait(64);
    }
    assert_eq!(bench.guest.next_deadline(), Instant::NEVER);
    let kicks = (bench.host.device.kicks(RX), bench.host.device.kicks(TX));
    bench.wait(10_000);
    bench.expect_events(&[]);
    assert_eq!(
        (bench.host.device.kicks(RX), bench.host.device.kicks(TX)),
        kicks
    );
}

#[test]
fn next_deadline_is_never_later_than_what_is_due() {
    let mut bench = Bench::new();
    bench.dial(Purpose::Output);
    bench.host.all();
    let start = bench.now;
    let mut requests = 0;
    while bench.now < start + std::time::Duration::from_secs(10) {
        let next = bench.guest.next_deadline();
        assert!(next > bench.now, "a deadline that has passed was not met");
        bench.now = next;
        bench.events();
        requests += bench
            .host
            .all()
            .iter()
            .filter(|packet| packet.op == op::REQUEST)
            .count();
    }
    assert_eq!(requests, 6, "dials at 0.5, 1.5, 3.5, 5.5, 7.5 and 9.5 s");
}

#[test]
fn a_stuck_transmit_queue_holds_nothing_up_for_ever() {
    let mut bench = Bench::new();
    let (id, _peer) = bench.connection(Purpose::Control, 1 << 30);
    bench.host.device.lose_kicks(true);
    let chunk = pattern(1 << 16);
    let mut stream = bench.guest.stream(id).expect("connected");
    let mut taken = 0;
    while let Ok(count @ 1..) = stream.write(&chunk) {
        taken += count;
    }
    assert_eq!(taken, 16 << 16);
    for _ in 0..10 {
        bench.wait(4);
        bench.expect_events(&[]);
    }
    bench.host.device.lose_kicks(false);
    bench.wait(4);
    bench.expect_events(&[]);
    assert_eq!(bench.host.all().len(), 16);
    bench.expect_events(&[Event::Writable(id)]);
}

#[test]
fn events_that_mean_nothing_are_ignored_and_their_buffers_come_back() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Output, 65536);
    for _ in 0..20 {
        bench.host.event(1);
        bench.expect_events(&[]);
    }
    bench.host.send(&peer.data(b"alive"));
    bench.expect_events(&[Event::Readable(id)]);
}

#[test]
fn more_answers_than_slots_go_out_as_slots_come_back() {
    let mut bench = Bench::new();
    let peers: Vec<Peer> = (0..100)
        .map(|_| bench.connection(Purpose::Output, 65536).1)
        .collect();
    bench.host.device.lose_kicks(true);
    for peer in &peers {
        while !bench.host.try_send(&peer.packet(op::CREDIT_REQUEST)) {
            bench.host.device.lose_kicks(false);
            bench.wait(4);
            bench.expect_events(&[]);
            bench.host.device.lose_kicks(true);
        }
        bench.expect_events(&[]);
    }
    bench.host.device.lose_kicks(false);
    let mut answered = Vec::new();
    for _ in 0..10 {
        bench.wait(4);
        bench.expect_events(&[]);
        answered.extend(bench.host.all().iter().map(|packet| packet.src_port));
    }
    let mut expected: Vec<_> = peers.iter().map(|peer| peer.guest_port).collect();
    expected.sort_unstable();
    answered.sort_unstable();
    assert_eq!(answered, expected);
}

#[test]
fn a_flush_sends_what_several_connections_gathered_with_one_kick() {
    let mut bench = Bench::new();
    let (first, _) = bench.connection(Purpose::Control, 1 << 16);
    let (second, _) = bench.connection(Purpose::Output, 1 << 16);
    let kicks = bench.host.device.kicks(TX);
    for id in [first, second] {
        let mut stream = bench.guest.stream(id).expect("connected");
        assert_eq!(stream.write(b"news"), Ok(4));
    }
    assert_eq!(bench.host.device.kicks(TX), kicks, "nothing is sent early");
    bench.guest.flush();
    bench.guest.flush();
    assert_eq!(bench.host.device.kicks(TX), kicks + 1);
    assert_eq!(bench.host.all().len(), 2);
}

#[test]
fn a_flush_does_not_forget_packets_that_came_meanwhile() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Control, 1 << 16);
    let mut stream = bench.guest.stream(id).expect("connected");
    assert_eq!(stream.write(b"news"), Ok(4));
    bench.host.send(&peer.data(b"more"));
    bench.guest.flush();
    assert_eq!(bench.guest.next_deadline(), Instant::ZERO, "poll is due");
    bench.expect_events(&[Event::Readable(id)]);
}
