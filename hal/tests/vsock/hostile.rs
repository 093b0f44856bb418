//! A host and a device that break the rules.

use crate::bench::{Bench, pattern};
use fakes::virtio::Setup;
use fakes::virtio::vsock::{EVENTS, HEADER_BYTES, Host, Packet, RX, TX, op};
use hal::clock::Instant;
use hal::limits::VSOCK_SLOTS;
use hal::virtio::init::InitError;
use hal::virtio::vsock::{Budget, RingFault, VirtioVsock};
use hal::vsock::{ConnectError, Event, Purpose, StreamError, Vsock};
use virtio_drivers::transport::{DeviceStatus, DeviceType};

#[test]
fn more_than_the_window_resets_that_connection_only() {
    for (size, is_allowed) in [(4095, true), (4096, true), (4097, false)] {
        let mut bench = Bench::new();
        let (id, mut peer) = bench.connection(Purpose::Output, 65536);
        let (other, mut honest) = bench.connection(Purpose::Output, 65536);
        bench.host.send(&peer.data(&pattern(size)));
        if is_allowed {
            bench.expect_events(&[Event::Readable(id)]);
            bench.host.expect_silence();
        } else {
            bench.expect_events(&[Event::Reset(id)]);
            assert_eq!(bench.host.expect(op::RST).src_port, peer.guest_port);
            assert_eq!(
                bench.read(id, 1),
                Err(StreamError::Reset),
                "nothing of it is kept"
            );
        }
        bench.host.send(&honest.data(b"fine"));
        bench.expect_events(&[Event::Readable(other)]);
    }
}

#[test]
fn an_overrun_behind_stored_data_keeps_what_was_stored() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Output, 65536);
    let (first, second) = (peer.data(&pattern(4096)), peer.data(b"!"));
    bench.host.send(&first);
    bench.host.send(&second);
    bench.expect_events(&[Event::Readable(id), Event::Reset(id)]);
    assert_eq!(bench.read(id, 5000), Ok(pattern(4096)));
    assert_eq!(bench.read(id, 1), Err(StreamError::Reset));
}

#[test]
fn a_counter_ahead_of_what_was_sent_resets_the_connection() {
    for (claim, is_possible) in [(9_u32, true), (10, true), (11, false), (u32::MAX, false)] {
        let mut bench = Bench::new();
        let (id, mut peer) = bench.connection(Purpose::Output, 65536);
        bench.write(id, &pattern(10));
        bench.host.expect(op::RW);
        peer.fwd_cnt = claim;
        bench.host.send(&peer.packet(op::CREDIT_UPDATE));
        let events = bench.events();
        assert_eq!(events.contains(&Event::Reset(id)), !is_possible, "{claim}");
        let packets = bench.host.all();
        assert_eq!(
            packets.iter().any(|packet| packet.op == op::RST),
            !is_possible
        );
    }
}

#[test]
fn a_lie_is_met_in_every_state() {
    let mut bench = Bench::new();

    let id = bench.dial(Purpose::Output);
    let request = bench.host.expect(op::REQUEST);
    let mut liar = fakes::virtio::vsock::Peer::of(&request, 65536);
    liar.fwd_cnt = 1;
    bench.host.send(&liar.packet(op::RESPONSE));
    bench.expect_events(&[Event::Connected(id), Event::Reset(id)]);
    bench.host.expect(op::RST);
    bench.guest.abort(id);

    let (id, mut liar) = bench.connection(Purpose::Output, 65536);
    bench.write(id, b"x");
    bench.guest.close(id, Instant::NEVER);
    bench.host.all();
    liar.fwd_cnt = 2;
    bench.host.send(&liar.packet(op::CREDIT_UPDATE));
    bench.expect_events(&[Event::Closed { id, flushed: false }]);
    bench.host.expect(op::RST);

    let (id, mut liar) = bench.connection(Purpose::Output, 65536);
    bench.guest.close(id, Instant::NEVER);
    bench.host.expect(op::SHUTDOWN);
    bench.expect_events(&[Event::Closed { id, flushed: true }]);
    liar.fwd_cnt = 2;
    bench.host.send(&liar.packet(op::CREDIT_UPDATE));
    bench.expect_events(&[]);
    bench.host.expect(op::RST);
    assert_eq!(bench.guest.usage().connections, 0);
}

#[test]
fn a_window_of_nothing_or_less_than_before_only_makes_us_wait() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Output, 0);
    assert_eq!(bench.write(id, b"abc"), 0);
    bench.host.expect(op::CREDIT_REQUEST);
    peer.buf_alloc = 2;
    bench.host.send(&peer.packet(op::CREDIT_UPDATE));
    bench.expect_events(&[Event::Writable(id)]);
    assert_eq!(bench.write(id, b"abc"), 2);
    bench.host.all();
    peer.buf_alloc = 1;
    bench.host.send(&peer.packet(op::CREDIT_UPDATE));
    bench.expect_events(&[]);
    assert_eq!(bench.write(id, b"c"), 0);
    peer.fwd_cnt = 2;
    bench.host.send(&peer.packet(op::CREDIT_UPDATE));
    bench.expect_events(&[Event::Writable(id)]);
    assert_eq!(bench.write(id, b"c"), 1);
}

#[test]
fn packets_for_nobody_are_answered_with_one_rst() {
    let mut bench = Bench::new();
    let (_, peer) = bench.connection(Purpose::Output, 65536);
    let strangers = [
        op::RESPONSE,
        op::SHUTDOWN,
        op::RW,
        op::CREDIT_UPDATE,
        op::CREDIT_REQUEST,
        99,
    ];
    for number in strangers {
        for (host_port, guest_port) in [
            (peer.host_port, peer.guest_port + 1),
            (peer.host_port + 1, peer.guest_port),
            (peer.host_port, peer.guest_port + VSOCK_SLOTS as u32),
        ] {
            let stray = Packet {
                src_port: host_port,
                dst_port: guest_port,
                ..peer.packet(number)
            };
            bench.host.send(&stray);
            bench.host.send(&stray);
            bench.expect_events(&[]);
            let reset = bench.host.expect(op::RST);
            assert_eq!((reset.src_port, reset.dst_port), (guest_port, host_port));
            bench.host.expect_silence();
        }
    }
    let quiet = Packet {
        dst_port: peer.guest_port + 1,
        ..peer.packet(op::RST)
    };
    bench.host.send(&quiet);
    bench.host.send(&Packet {
        op: op::INVALID,
        ..quiet
    });
    bench.expect_events(&[]);
    bench.host.expect_silence();
}

#[test]
fn packets_from_or_to_other_machines_are_ignored() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Output, 65536);
    for (src_cid, dst_cid) in [
        (3, 3),
        (2, 2),
        (1, 3),
        (2, 4),
        (2 | 1 << 32, 3),
        (2, 3 | 1 << 32),
    ] {
        bench.host.send(&Packet {
            src_cid,
            dst_cid,
            ..peer.rst()
        });
    }
    bench.expect_events(&[]);
    bench.host.expect_silence();
    bench.host.send(&peer.data(b"ok"));
    bench.expect_events(&[Event::Readable(id)]);
}

#[test]
fn unknown_types_and_operations_reset_the_connection() {
    for (kind, number) in [
        (2, op::RW),
        (0, op::RW),
        (1, 8),
        (1, u16::MAX),
        (1, op::REQUEST),
    ] {
        let mut bench = Bench::new();
        let (id, peer) = bench.connection(Purpose::Output, 65536);
        bench.host.send(&Packet {
            kind,
            ..peer.packet(number)
        });
        bench.expect_events(&[Event::Reset(id)]);
        bench.host.expect(op::RST);
    }
}

#[test]
fn a_packet_shorter_than_it_says_resets_the_connection() {
    for (says, written, is_whole) in [
        (5, 4, false),
        (5, 5, true),
        (5, 6, true),
        (u32::MAX, 5, false),
    ] {
        let mut bench = Bench::new();
        let (id, peer) = bench.connection(Purpose::Output, 65536);
        let packet = Packet {
            len: says,
            data: pattern(6),
            ..peer.packet(op::RW)
        };
        bench.host.send_used(&packet, HEADER_BYTES + written);
        let event = if is_whole {
            Event::Readable(id)
        } else {
            Event::Reset(id)
        };
        bench.expect_events(&[event]);
        if is_whole {
            assert_eq!(bench.read(id, 100), Ok(pattern(5)));
        }
    }
}

#[test]
fn a_packet_shorter_than_its_header_is_ignored() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Output, 65536);
    for written in [0, 1, 43] {
        bench.host.send_used(&peer.rst(), written);
        bench.expect_events(&[]);
    }
    bench.host.send(&peer.data(b"alive"));
    bench.expect_events(&[Event::Readable(id)]);
}

#[test]
fn a_buffer_without_a_header_replays_nothing() {
    let mut bench = Bench::new();
    let (first, peer) = bench.connection(Purpose::Output, 65536);
    for _ in 0..64 {
        bench.host.send(&peer.packet(op::CREDIT_UPDATE));
        bench.expect_events(&[]);
    }
    bench.host.send(&peer.rst());
    bench.expect_events(&[Event::Reset(first)]);
    for _ in 0..100 {
        bench.host.send_stale();
        bench.expect_events(&[]);
    }
    bench.host.expect_silence();
}

/// Lets the device do something to its rings and expects that it is taken out of use for that.
#[track_caller]
fn expect_fault(lie: impl FnOnce(&Host)) -> RingFault {
    let mut bench = Bench::new();
    let dialling = bench.dial(Purpose::Output);
    bench.host.expect(op::REQUEST);
    let (open, mut peer) = bench.connection(Purpose::Output, 65536);
    let data = peer.data(b"rest");
    bench.host.send(&data);
    bench.expect_events(&[Event::Readable(open)]);
    let resets = bench.host.device.resets();

    lie(&bench.host);
    // A write makes the transmit queue look at its completions.
    bench.write(open, &pattern(10));
    bench.wait(4);
    let events = bench.events();
    assert_eq!(
        events,
        [
            Event::Failed(dialling, ConnectError::TransportReset),
            Event::Reset(open)
        ]
    );
    assert_eq!(bench.host.device.resets(), resets + 1);
    assert_eq!(bench.host.device.status(), DeviceStatus::empty());
    assert_eq!(bench.read(open, 10), Ok(b"rest".to_vec()));
    assert_eq!(bench.guest.next_deadline(), Instant::NEVER);

    let hopeless = bench.dial(Purpose::Control);
    bench.expect_events(&[Event::Failed(hopeless, ConnectError::TransportReset)]);
    bench.guest.close(open, Instant::NEVER);
    bench.expect_events(&[Event::Closed {
        id: open,
        flushed: false,
    }]);
    bench.guest.fault().expect("a fault is reported")
}

#[test]
fn a_buffer_the_device_does_not_have_takes_it_out_of_use() {
    for queue in [RX, TX, EVENTS] {
        for id in [63, 64, 65, 0xfffe, 0xffff] {
            if (queue, id) == (RX, 63) || queue == EVENTS && id < 4 {
                continue;
            }
            let fault = expect_fault(|host| host.device.complete_lying(queue, id, 44));
            assert_eq!(
                fault,
                RingFault::UnknownBuffer {
                    queue,
                    id: id as u16
                }
            );
        }
    }
}

#[test]
fn a_completion_that_is_repeated_takes_the_device_out_of_use() {
    let fault = expect_fault(|host| {
        // The transmit slot of the first request comes back once more, and nobody has lent it again.
        host.device.replay(TX);
    });
    assert!(matches!(fault, RingFault::UnknownBuffer { queue: TX, .. }));
}

#[test]
fn more_bytes_than_a_buffer_holds_take_the_device_out_of_use() {
    let room = HEADER_BYTES + 65536;
    let fault = expect_fault(|host| {
        let chain = host.device.take(RX).expect("a buffer");
        host.device
            .complete_lying(RX, u32::from(chain.head()), room as u32 + 1);
    });
    assert_eq!(
        fault,
        RingFault::Overlong {
            queue: RX,
            written: room as u32 + 1,
            room
        }
    );
}

#[test]
fn a_used_index_that_runs_ahead_takes_the_device_out_of_use() {
    let fault = expect_fault(|host| host.device.jump_used(TX, 30_000));
    assert!(matches!(fault, RingFault::UnknownBuffer { queue: TX, .. }));
}

#[test]
fn empty_buffers_without_end_take_a_bounded_time_in_each_poll() {
    let mut bench = Bench::new();
    bench.connection(Purpose::Output, 65536);
    bench.host.device.jump_used(RX, 30_000);
    let mut polls = 0;
    while bench.guest.next_deadline() <= bench.now || polls == 0 {
        bench.expect_events(&[]);
        polls += 1;
    }
    assert!((100..200).contains(&polls), "{polls}");
}

#[test]
fn a_receive_buffer_returned_twice_while_it_is_posted_brings_nothing() {
    let mut bench = Bench::new();
    let (id, mut peer) = bench.connection(Purpose::Output, 65536);
    bench.host.send(&peer.data(b"once"));
    bench.expect_events(&[Event::Readable(id)]);
    bench.host.device.replay(RX);
    bench.events();
    assert_eq!(bench.read(id, 100), Ok(b"once".to_vec()));
}

#[test]
fn works_on_the_smallest_queues_and_refuses_smaller_ones() {
    let small = Setup {
        queue_size: 64,
        ..Setup::new(DeviceType::Socket, 3)
    };
    let mut bench = Bench::with_setup(small.clone());
    bench.connection(Purpose::Output, 65536);

    let (host, transport) = Host::with(Setup {
        queue_size: 32,
        ..small
    });
    let budget = Budget::for_ram(1 << 26);
    let memory = vec![0xa5; budget.bytes()].leak();
    let error =
        VirtioVsock::<fakes::virtio::MockHal, _>::new(transport, memory, &budget, 0, Instant::ZERO);
    assert_eq!(error.err(), Some(InitError::BadQueue { queue: 0 }));
    assert!(host.device.status().contains(DeviceStatus::FAILED));
}

#[test]
fn works_without_event_idx() {
    let mut bench = Bench::with_setup(Setup {
        features: 1 << 32,
        ..Setup::new(DeviceType::Socket, 3)
    });
    let (id, mut peer) = bench.connection(Purpose::Output, 65536);
    bench.write(id, b"out");
    peer.on_packet(&bench.host.expect(op::RW));
    bench.host.send(&peer.data(b"in"));
    bench.expect_events(&[Event::Readable(id), Event::Writable(id)]);
}

#[test]
fn refuses_less_memory_than_its_budget() {
    let (_host, transport) = Host::new();
    let budget = Budget::for_ram(1 << 26);
    let memory = vec![0xa5; budget.bytes() - 4096].leak();
    let error =
        VirtioVsock::<fakes::virtio::MockHal, _>::new(transport, memory, &budget, 0, Instant::ZERO);
    assert_eq!(error.err(), Some(InitError::OutOfMemory));
}
