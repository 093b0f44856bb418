//! The host's side of virtio-vsock on a mock [`Device`], written from virtio 1.2 §5.10 and not from the driver.
//!
//! [`Host`] takes the packets that the driver sends and puts packets into its receive buffers. [`Peer`] is one
//! connection as an honest host keeps it; a test lies by changing its fields or the [`Packet`] itself.

use super::{Device, MockTransport, Setup};
use virtio_drivers::transport::DeviceType;

/// Queues (virtio 1.2 §5.10.2).
pub const RX: u16 = 0;
/// The transmit queue.
pub const TX: u16 = 1;
/// The event queue.
pub const EVENTS: u16 = 2;

/// Bytes of a packet's header.
pub const HEADER_BYTES: usize = 44;

/// Context id of the host, and of the guest in these tests.
pub const HOST_CID: u64 = 2;
/// Context id of the guest.
pub const GUEST_CID: u64 = 3;

/// Operations (virtio 1.2 §5.10.6).
#[expect(missing_docs, reason = "the names are the standard's")]
pub mod op {
    pub const INVALID: u16 = 0;
    pub const REQUEST: u16 = 1;
    pub const RESPONSE: u16 = 2;
    pub const RST: u16 = 3;
    pub const SHUTDOWN: u16 = 4;
    pub const RW: u16 = 5;
    pub const CREDIT_UPDATE: u16 = 6;
    pub const CREDIT_REQUEST: u16 = 7;
}

/// Flags of SHUTDOWN: the sender receives, or sends, no more (virtio 1.2 §5.10.6.6.1).
pub const SHUT_RCV: u32 = 1;
/// The sender sends no more.
pub const SHUT_SEND: u32 = 2;

/// A packet, its fields named as in the standard.
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the standard's")]
pub struct Packet {
    pub src_cid: u64,
    pub dst_cid: u64,
    pub src_port: u32,
    pub dst_port: u32,
    /// What the header says; `data` may be something else when the test lies.
    pub len: u32,
    pub kind: u16,
    pub op: u16,
    pub flags: u32,
    pub buf_alloc: u32,
    pub fwd_cnt: u32,
    pub data: Vec<u8>,
}

/// The host: the device with its three queues.
#[derive(Debug)]
pub struct Host {
    /// The device below, for lost kicks and lies about the rings.
    pub device: Device,
}

/// One connection as the host keeps it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Port of the host's application.
    pub host_port: u32,
    /// Port of the guest.
    pub guest_port: u32,
    /// The host's window.
    pub buf_alloc: u32,
    /// Bytes received and forwarded to the application.
    pub fwd_cnt: u32,
    /// The guest's window and counter, as last told.
    pub guest_buf_alloc: u32,
    /// See `guest_buf_alloc`.
    pub guest_fwd_cnt: u32,
    /// Bytes sent to the guest.
    pub tx_cnt: u32,
}

impl Host {
    /// Makes a host and the transport for the driver.
    #[must_use]
    pub fn new() -> (Self, MockTransport) {
        Self::with(Setup::new(DeviceType::Socket, 3))
    }

    /// The same on a device with other features or queues. The configuration space is the host's.
    #[must_use]
    pub fn with(setup: Setup) -> (Self, MockTransport) {
        let (device, transport) = Device::new(Setup {
            config: GUEST_CID.to_le_bytes().to_vec(),
            ..setup
        });
        (Self { device }, transport)
    }

    /// Takes the next packet the driver sent, and completes it.
    pub fn next(&self) -> Option<Packet> {
        let chain = self.device.take(TX)?;
        assert_eq!(chain.writable_bytes(), 0, "a sent packet is only read");
        let packet = Packet::parse(chain.readable());
        assert_eq!(
            packet.len as usize,
            packet.data.len(),
            "length of {packet:?}"
        );
        assert_eq!((packet.src_cid, packet.dst_cid), (GUEST_CID, HOST_CID));
        assert_eq!(packet.kind, 1, "type of {packet:?}");
        self.device.complete(chain, 0);
        Some(packet)
    }

    /// Takes all packets the driver sent.
    pub fn all(&self) -> Vec<Packet> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Takes the next packet, which must be this operation.
    ///
    /// # Panics
    ///
    /// When there is none or it is another.
    #[track_caller]
    pub fn expect(&self, op: u16) -> Packet {
        let packet = self.next();
        match packet {
            Some(packet) if packet.op == op => packet,
            other => panic!("expected operation {op}, got {other:?}"),
        }
    }

    /// Panics if the driver sent anything.
    #[track_caller]
    pub fn expect_silence(&self) {
        let rest = self.all();
        assert!(rest.is_empty(), "expected silence, got {rest:?}");
    }

    /// Puts a packet into the next receive buffer.
    ///
    /// # Panics
    ///
    /// When the driver offers none.
    #[track_caller]
    pub fn send(&self, packet: &Packet) {
        assert!(self.try_send(packet), "no receive buffer for {packet:?}");
    }

    /// Puts a packet into the next receive buffer, if there is one.
    ///
    /// # Panics
    ///
    /// When the buffer's header was not zeroed, or the packet does not fit.
    #[track_caller]
    pub fn try_send(&self, packet: &Packet) -> bool {
        self.send_used(packet, HEADER_BYTES + packet.data.len())
    }

    /// Puts a packet into the next receive buffer and claims to have written `written` bytes.
    #[track_caller]
    pub fn send_used(&self, packet: &Packet, written: usize) -> bool {
        let Some(mut chain) = self.device.take(RX) else {
            return false;
        };
        assert!(
            chain.readable().is_empty(),
            "a receive buffer is only written"
        );
        assert_eq!(chain.writable_parts(), 1, "header and data in one buffer");
        assert_eq!(
            chain.peek(HEADER_BYTES),
            [0; HEADER_BYTES],
            "the header of a posted buffer is zero"
        );
        chain.write(0, &packet.encode());
        self.device.complete(chain, written as u32);
        true
    }

    /// Completes a receive buffer without writing to it, as some back ends do for a connection that vanished.
    pub fn send_stale(&self) {
        let chain = self.device.take(RX).expect("a receive buffer");
        self.device.complete(chain, HEADER_BYTES as u32);
    }

    /// Reports an event (virtio 1.2 §5.10.6.7).
    pub fn event(&self, id: u32) {
        let mut chain = self.device.take(EVENTS).expect("an event buffer");
        chain.write(0, &id.to_le_bytes());
        self.device.complete(chain, 4);
    }

    /// Takes a connection request and accepts it with a window of `buf_alloc` bytes.
    #[track_caller]
    pub fn accept(&self, buf_alloc: u32) -> Peer {
        let request = self.expect(op::REQUEST);
        let peer = Peer::of(&request, buf_alloc);
        self.send(&peer.packet(op::RESPONSE));
        peer
    }
}

impl Peer {
    /// The host's end of a connection that the host asks for, and its request.
    #[must_use]
    pub fn dial(host_port: u32, guest_port: u32, buf_alloc: u32) -> (Self, Packet) {
        let peer = Self {
            host_port,
            guest_port,
            buf_alloc,
            fwd_cnt: 0,
            guest_buf_alloc: 0,
            guest_fwd_cnt: 0,
            tx_cnt: 0,
        };
        let request = peer.packet(op::REQUEST);
        (peer, request)
    }

    /// The host's end of the connection that `request` asks for.
    #[must_use]
    pub const fn of(request: &Packet, buf_alloc: u32) -> Self {
        Self {
            host_port: request.dst_port,
            guest_port: request.src_port,
            buf_alloc,
            fwd_cnt: 0,
            guest_buf_alloc: request.buf_alloc,
            guest_fwd_cnt: request.fwd_cnt,
            tx_cnt: 0,
        }
    }

    /// A packet of this connection without data.
    #[must_use]
    pub const fn packet(&self, op: u16) -> Packet {
        Packet {
            src_cid: HOST_CID,
            dst_cid: GUEST_CID,
            src_port: self.host_port,
            dst_port: self.guest_port,
            len: 0,
            kind: 1,
            op,
            flags: 0,
            buf_alloc: self.buf_alloc,
            fwd_cnt: self.fwd_cnt,
            data: Vec::new(),
        }
    }

    /// A RST of this connection, with counters of zero as back ends send it.
    #[must_use]
    pub fn rst(&self) -> Packet {
        Packet {
            buf_alloc: 0,
            fwd_cnt: 0,
            ..self.packet(op::RST)
        }
    }

    /// A SHUTDOWN of this connection.
    #[must_use]
    pub fn shutdown(&self, flags: u32) -> Packet {
        Packet {
            flags,
            ..self.packet(op::SHUTDOWN)
        }
    }

    /// A packet with data, counted as sent.
    pub fn data(&mut self, data: &[u8]) -> Packet {
        self.tx_cnt = self.tx_cnt.wrapping_add(data.len() as u32);
        Packet {
            len: data.len() as u32,
            data: data.to_vec(),
            ..self.packet(op::RW)
        }
    }

    /// Returns how much the guest allows to be sent.
    #[must_use]
    pub const fn credit(&self) -> u32 {
        let in_flight = self.tx_cnt.wrapping_sub(self.guest_fwd_cnt);
        self.guest_buf_alloc.saturating_sub(in_flight)
    }

    /// Learns from a packet of the guest and checks that its counters are honest. Data counts as forwarded at once;
    /// take it back from `fwd_cnt` for a slow application.
    #[track_caller]
    pub fn on_packet(&mut self, packet: &Packet) {
        assert_eq!(
            (packet.src_port, packet.dst_port),
            (self.guest_port, self.host_port)
        );
        if packet.op == op::RST {
            return;
        }
        let forwarded = packet.fwd_cnt.wrapping_sub(self.guest_fwd_cnt);
        let in_flight = self.tx_cnt.wrapping_sub(self.guest_fwd_cnt);
        assert!(
            forwarded <= in_flight,
            "the guest forwarded {forwarded} of {in_flight}"
        );
        self.guest_fwd_cnt = packet.fwd_cnt;
        self.guest_buf_alloc = packet.buf_alloc;
        self.fwd_cnt = self.fwd_cnt.wrapping_add(packet.len);
    }
}

impl Packet {
    /// Returns the packet's bytes, header and data.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.data.len());
        bytes.extend(self.src_cid.to_le_bytes());
        bytes.extend(self.dst_cid.to_le_bytes());
        bytes.extend(self.src_port.to_le_bytes());
        bytes.extend(self.dst_port.to_le_bytes());
        bytes.extend(self.len.to_le_bytes());
        bytes.extend(self.kind.to_le_bytes());
        bytes.extend(self.op.to_le_bytes());
        bytes.extend(self.flags.to_le_bytes());
        bytes.extend(self.buf_alloc.to_le_bytes());
        bytes.extend(self.fwd_cnt.to_le_bytes());
        bytes.extend(&self.data);
        bytes
    }

    /// Splits bytes into header and data.
    ///
    /// # Panics
    ///
    /// When there is no whole header.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let u16_at = |at| u16::from_le_bytes(part(bytes, at));
        let u32_at = |at| u32::from_le_bytes(part(bytes, at));
        Self {
            src_cid: u64::from_le_bytes(part(bytes, 0)),
            dst_cid: u64::from_le_bytes(part(bytes, 8)),
            src_port: u32_at(16),
            dst_port: u32_at(20),
            len: u32_at(24),
            kind: u16_at(28),
            op: u16_at(30),
            flags: u32_at(32),
            buf_alloc: u32_at(36),
            fwd_cnt: u32_at(40),
            data: bytes[HEADER_BYTES..].to_vec(),
        }
    }
}

impl std::fmt::Debug for Packet {
    /// Leaves out what is always the same, and most of the data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{{op {} {}->{} len {} type {} flags {} buf_alloc {} fwd_cnt {}}}",
            self.op,
            self.src_port,
            self.dst_port,
            self.len,
            self.kind,
            self.flags,
            self.buf_alloc,
            self.fwd_cnt
        )
    }
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("N bytes")
}
