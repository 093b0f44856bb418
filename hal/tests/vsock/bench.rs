//! The bench that every conversation is held on: the driver on one side, the host on the other, a clock wound by hand.

use embedded_io::{Read, ReadReady, Write};
use fakes::virtio::vsock::{Host, Peer, op};
use fakes::virtio::{MockHal, MockTransport, Setup};
use hal::clock::Instant;
use hal::virtio::vsock::{Budget, VirtioVsock};
use hal::vsock::{ConnectionId, Event, Port, Purpose, StreamError, Vsock};

pub(crate) const MIB: u64 = 1 << 20;

/// The host port that the tests dial.
pub(crate) const PORT: Port = Port(0x4000_0000);

pub(crate) struct Bench {
    pub(crate) guest: VirtioVsock<MockHal, MockTransport>,
    pub(crate) host: Host,
    pub(crate) now: Instant,
}

impl Bench {
    /// A machine of 64 MiB.
    pub(crate) fn new() -> Self {
        Self::with_ram(64 * MIB)
    }

    pub(crate) fn with_ram(ram_bytes: u64) -> Self {
        let (host, transport) = Host::new();
        Self::on(host, transport, ram_bytes)
    }

    pub(crate) fn with_setup(setup: Setup) -> Self {
        let (host, transport) = Host::with(setup);
        Self::on(host, transport, 64 * MIB)
    }

    fn on(host: Host, transport: MockTransport, ram_bytes: u64) -> Self {
        let budget = Budget::for_ram(ram_bytes);
        let memory = vec![0xa5; budget.bytes()].leak();
        let now = Instant::from_millis(1000);
        let guest = VirtioVsock::new(transport, memory, &budget, 1, now);
        Self {
            guest: guest.expect("the mock device works"),
            host,
            now,
        }
    }

    /// Lets `millis` pass.
    pub(crate) fn wait(&mut self, millis: u64) {
        self.now = Instant::from_nanos(self.now.as_nanos() + millis * 1_000_000);
    }

    /// Returns everything that happens.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.guest.poll(self.now) {
            events.push(event);
        }
        events
    }

    #[track_caller]
    pub(crate) fn expect_events(&mut self, expected: &[Event]) {
        assert_eq!(self.events(), expected);
    }

    /// Dials with a deadline in ten seconds.
    pub(crate) fn dial(&mut self, purpose: Purpose) -> ConnectionId {
        let deadline = Instant::from_nanos(self.now.as_nanos() + 10_000_000_000);
        self.guest
            .connect(PORT, purpose, self.now, deadline)
            .expect("a free slot")
    }

    /// A connection with a host window of `buf_alloc` bytes.
    #[track_caller]
    pub(crate) fn connection(&mut self, purpose: Purpose, buf_alloc: u32) -> (ConnectionId, Peer) {
        let id = self.dial(purpose);
        let peer = self.host.accept(buf_alloc);
        self.expect_events(&[Event::Connected(id)]);
        (id, peer)
    }

    /// Has a few bytes go both ways.
    #[track_caller]
    pub(crate) fn exchange(&mut self, id: ConnectionId, peer: &mut Peer) {
        assert_eq!(self.write(id, b"hello"), 5);
        let packet = self.host.expect(op::RW);
        assert_eq!(packet.data, b"hello");
        peer.on_packet(&packet);
        self.host.send(&peer.data(b"world!"));
        self.expect_events(&[Event::Readable(id), Event::Writable(id)]);
        assert_eq!(self.read(id, 100), Ok(b"world!".to_vec()));
    }

    #[track_caller]
    pub(crate) fn write(&mut self, id: ConnectionId, bytes: &[u8]) -> usize {
        let mut stream = self.guest.stream(id).expect("an established connection");
        let count = stream.write(bytes).expect("an open connection");
        stream.flush().expect("flush never fails");
        count
    }

    /// Reads at most `count` bytes.
    #[track_caller]
    pub(crate) fn read(&mut self, id: ConnectionId, count: usize) -> Result<Vec<u8>, StreamError> {
        let mut bytes = vec![0; count];
        let mut stream = self.guest.stream(id).expect("an established connection");
        let count = stream.read(&mut bytes)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    #[track_caller]
    pub(crate) fn read_ready(&mut self, id: ConnectionId) -> bool {
        let mut stream = self.guest.stream(id).expect("an established connection");
        stream.read_ready().expect("never fails")
    }
}

/// Bytes that differ from their neighbours.
pub(crate) fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|place| (place * 7 % 251) as u8).collect()
}
