//! Programs' own connections with the host: carried whoever dials, held back by whoever does not read, ended by either side.

use crate::stage::*;
use agent::kernel::Over;
use agent::limits::DRAIN_MS;
use core::time::Duration;
use fakes::alloc::calls;
use fakes::vsock::Answer;
use hal::vsock::{ConnectionId, Direction};

const PORT: u32 = 5000;
const PATIENCE: Duration = Duration::from_secs(2);
const BOTH: [Direction; 2] = [Direction::Send, Direction::Receive];

/// A channel that the program dialled, and the host's end of it.
fn dialled(stage: &mut Stage) -> (usize, ConnectionId) {
    stage.vsock.on_call(PORT, Answer::Accept);
    let channel = stage.kernel.dial(PORT, PATIENCE);
    stage.run();
    let host = stage.vsock.host(PORT).unwrap();
    let local = stage.kernel.channels[channel].local.unwrap();
    assert_eq!(local.port.0, 0x8000_0000 + u32::from(host.index));
    (channel, host)
}

#[test]
fn a_program_dials_and_bytes_go_both_ways() {
    let mut stage = Stage::negotiated();
    let (channel, host) = dialled(&mut stage);
    stage.kernel.send(channel, b"to the host");
    stage.vsock.host_write(host, b"to the program");
    stage.run();
    assert_eq!(stage.vsock.host_read(host), b"to the host");
    assert_eq!(stage.kernel.receive(channel), b"to the program");
    assert_eq!(stage.kernel.channels[channel].over, None);
}

#[test]
fn a_dial_that_is_refused_or_not_answered_is_told_as_what_it_is() {
    let mut stage = Stage::negotiated();
    stage.vsock.on_call(PORT, Answer::Refuse);
    let refused = stage.kernel.dial(PORT, PATIENCE);
    stage.run();
    assert_eq!(stage.kernel.channels[refused].over, Some(Over::Refused));
    stage.vsock.on_call(PORT, Answer::Ring);
    let silent = stage.kernel.dial(PORT, PATIENCE);
    stage.run();
    stage.wait_ms(1999);
    assert_eq!(stage.kernel.channels[silent].over, None);
    stage.wait_ms(1);
    assert_eq!(stage.kernel.channels[silent].over, Some(Over::TimedOut));
    stage.vsock.set_program_limit(0);
    let full = stage.kernel.dial(PORT, PATIENCE);
    stage.run();
    assert_eq!(stage.kernel.channels[full].over, Some(Over::Full));
}

#[test]
fn a_program_that_gives_a_dial_up_leaves_no_connection() {
    let mut stage = Stage::negotiated();
    let held = stage.vsock.held();
    let channel = stage.kernel.dial(PORT, PATIENCE);
    stage.run();
    assert_eq!(stage.vsock.held(), held + 1);
    stage.kernel.let_go(channel, &BOTH);
    stage.run();
    assert_eq!(stage.kernel.channels[channel].over, Some(Over::Closed));
    assert_eq!(stage.vsock.held(), held);
}

#[test]
fn the_host_reaches_who_listens_and_nobody_else() {
    let mut stage = Stage::negotiated();
    let held = stage.vsock.held();
    stage.vsock.host_dial(7000, 9).unwrap();
    stage.run();
    assert_eq!(stage.vsock.held(), held, "nobody listens");
    stage.kernel.listening.push(7000);
    let host = stage.vsock.host_dial(7000, 9).unwrap();
    stage.run();
    assert_eq!(stage.kernel.channels[0].from.unwrap().0, 9);
    stage.vsock.host_write(host, b"hello");
    stage.run();
    assert_eq!(stage.kernel.receive(0), b"hello");
}

#[test]
fn what_was_sent_before_the_connection_stood_is_carried() {
    let mut stage = Stage::negotiated();
    let channel = stage.kernel.dial(PORT, PATIENCE);
    stage.run();
    // As one that was accepted at once does.
    stage.kernel.send(channel, b"early");
    stage.kernel.let_go(channel, &BOTH);
    stage.run();
    let host = stage.vsock.host(PORT).unwrap();
    stage.vsock.answer(host, Answer::Accept);
    stage.run();
    assert_eq!(stage.vsock.host_read(host), b"early");
    stage.run();
    assert_eq!(stage.kernel.channels[channel].over, Some(Over::Closed));
}

#[test]
fn a_host_that_does_not_read_holds_its_program_back_and_loses_nothing() {
    let mut stage = Stage::negotiated();
    let (channel, host) = dialled(&mut stage);
    let bytes: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
    stage.kernel.send(channel, &bytes);
    stage.run();
    let left = stage.kernel.channels[channel].sent.len();
    assert_eq!(left, bytes.len() - 64 * 1024, "the window and no more");
    let mut all = Vec::new();
    while all.len() < bytes.len() {
        let more = stage.vsock.host_read(host);
        assert!(!more.is_empty(), "it goes on");
        all.extend(more);
        stage.run();
    }
    assert!(all == bytes);
}

#[test]
fn a_program_that_does_not_read_holds_its_host_back_and_loses_nothing() {
    let mut stage = Stage::negotiated();
    let (channel, host) = dialled(&mut stage);
    let bytes: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
    stage.vsock.host_write(host, &bytes);
    stage.run();
    assert_eq!(stage.kernel.channels[channel].received.len(), 64 * 1024);
    let mut all = Vec::new();
    while all.len() < bytes.len() {
        let more = stage.kernel.receive(channel);
        assert!(!more.is_empty(), "it goes on");
        all.extend(more);
        stage.run();
    }
    assert!(all == bytes);
}

#[test]
fn each_side_ends_its_direction_alone() {
    let mut stage = Stage::negotiated();
    let (channel, host) = dialled(&mut stage);
    stage.kernel.send(channel, b"last");
    stage.kernel.let_go(channel, &[Direction::Send]);
    stage.run();
    assert_eq!(stage.vsock.host_read(host), b"last");
    assert!(stage.vsock.host_sees_end(host));
    stage.vsock.host_write(host, b"answer");
    stage.vsock.host_end(host);
    stage.run();
    assert_eq!(stage.kernel.receive(channel), b"answer");
    let end = &stage.kernel.channels[channel];
    assert_eq!(end.hung_up, [Direction::Receive]);
    assert_eq!(end.over, Some(Over::Closed));
}

#[test]
fn a_host_that_closes_leaves_what_it_sent_and_takes_nothing_more() {
    let mut stage = Stage::negotiated();
    let (channel, host) = dialled(&mut stage);
    stage.kernel.channels[channel].room = 3;
    stage.vsock.host_write(host, b"rest");
    stage.vsock.host_close(host);
    stage.kernel.send(channel, b"lost");
    stage.run();
    assert_eq!(
        stage.kernel.channels[channel].over, None,
        "a byte is to come"
    );
    assert_eq!(stage.kernel.receive(channel), b"res");
    stage.run();
    assert_eq!(stage.kernel.receive(channel), b"t");
    let end = &stage.kernel.channels[channel];
    assert_eq!(end.hung_up, [Direction::Send, Direction::Receive]);
    assert_eq!(end.over, Some(Over::Closed));
    assert!(!stage.vsock.is_held(host));
}

#[test]
fn a_reset_is_told_behind_what_came_before() {
    let mut stage = Stage::negotiated();
    let (channel, host) = dialled(&mut stage);
    stage.kernel.channels[channel].room = 3;
    stage.vsock.host_write(host, b"rest");
    stage.vsock.host_reset(host);
    stage.run();
    assert_eq!(stage.kernel.channels[channel].over, None);
    assert_eq!(stage.kernel.receive(channel), b"res");
    stage.run();
    assert_eq!(stage.kernel.receive(channel), b"t");
    stage.run();
    assert_eq!(stage.kernel.channels[channel].over, Some(Over::Reset));
}

#[test]
fn what_a_program_left_behind_is_carried_while_the_host_takes_some() {
    let mut stage = Stage::negotiated();
    let (channel, host) = dialled(&mut stage);
    stage.kernel.send(channel, &[7; 200_000]);
    stage.kernel.let_go(channel, &BOTH);
    stage.run();
    let mut count = 0;
    while count < 200_000 {
        stage.wait_ms(DRAIN_MS - 1);
        assert_eq!(stage.kernel.channels[channel].over, None);
        let more = stage.vsock.host_read_some(host, 50_000).len();
        assert!(more > 0, "{count}");
        count += more;
        stage.run();
    }
    assert_eq!(stage.kernel.channels[channel].over, Some(Over::Closed));

    let (stuck, host) = dialled(&mut stage);
    stage.kernel.send(stuck, &[7; 200_000]);
    stage.kernel.let_go(stuck, &BOTH);
    stage.run();
    stage.wait_ms(DRAIN_MS - 1);
    assert_eq!(stage.kernel.channels[stuck].over, None);
    stage.wait_ms(1);
    assert_eq!(stage.kernel.channels[stuck].over, Some(Over::Reset));
    assert!(!stage.vsock.is_held(host));
}

#[test]
fn a_program_that_only_stops_sending_waits_as_long_as_it_likes() {
    let mut stage = Stage::negotiated();
    let (channel, host) = dialled(&mut stage);
    stage.kernel.send(channel, &[7; 200_000]);
    stage.kernel.let_go(channel, &[Direction::Send]);
    stage.run();
    stage.wait_ms(10 * DRAIN_MS);
    assert_eq!(stage.kernel.channels[channel].over, None);
    assert!(stage.vsock.is_held(host));
}

#[test]
fn programs_connections_outlive_the_bridge_and_not_the_transport() {
    let mut stage = Stage::negotiated();
    let (channel, host) = dialled(&mut stage);
    let bridge = stage.bridge.take().unwrap();
    stage.vsock.host_reset(bridge);
    stage.run();
    stage.vsock.host_write(host, b"still");
    stage.run();
    assert_eq!(stage.kernel.receive(channel), b"still");
    let waiting = stage.kernel.dial(PORT + 1, PATIENCE);
    stage.run();
    stage.vsock.transport_reset();
    stage.run();
    for channel in [channel, waiting] {
        assert_eq!(stage.kernel.channels[channel].over, Some(Over::Reset));
    }
}

#[test]
fn carrying_them_allocates_nothing() {
    let mut stage = Stage::negotiated();
    let (channel, host) = dialled(&mut stage);
    stage.kernel.send(channel, &[1; 100_000]);
    stage.vsock.host_write(host, &[2; 100_000]);
    let before = calls();
    stage.run();
    assert_eq!(calls() - before, 0);
    stage.kernel.let_go(channel, &BOTH);
    let before = calls();
    stage.run();
    assert_eq!(calls() - before, 0);
}
