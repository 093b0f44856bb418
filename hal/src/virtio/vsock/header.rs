//! The packet header of virtio-vsock (virtio 1.2 §5.10.6).
//!
//! [`Header`] holds the fields as they stood on the wire; nothing about them is believed. [`Op`] and [`Shutdown`] are
//! their meaning.

use core::ops::Range;

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 44;

/// `VIRTIO_VSOCK_TYPE_STREAM` (virtio 1.2 §5.10.6.2).
pub(crate) const TYPE_STREAM: u16 = 1;

const SRC_CID: Range<usize> = 0..8;
const DST_CID: Range<usize> = 8..16;
const SRC_PORT: Range<usize> = 16..20;
const DST_PORT: Range<usize> = 20..24;
const LEN: Range<usize> = 24..28;
const TYPE: Range<usize> = 28..30;
const OP: Range<usize> = 30..32;
const FLAGS: Range<usize> = 32..36;
const BUF_ALLOC: Range<usize> = 36..40;
const FWD_CNT: Range<usize> = 40..44;

/// A header, field by field, with the names of the standard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) src_cid: u64,
    pub(crate) dst_cid: u64,
    pub(crate) src_port: u32,
    pub(crate) dst_port: u32,
    /// Bytes of data behind the header.
    pub(crate) len: u32,
    pub(crate) kind: u16,
    pub(crate) op: u16,
    pub(crate) flags: u32,
    /// The sender's receive window.
    pub(crate) buf_alloc: u32,
    /// How many bytes the sender has forwarded to its reader, modulo 2³².
    pub(crate) fwd_cnt: u32,
}

/// What a packet asks for (virtio 1.2 §5.10.6, `virtio_vsock_op`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// `VIRTIO_VSOCK_OP_INVALID`. Some back ends send it where they have nothing to say, on connections that exist.
    Invalid,
    Request,
    Response,
    Reset,
    Shutdown,
    Data,
    CreditUpdate,
    CreditRequest,
}

bitflags::bitflags! {
    /// Flags of [`Op::Shutdown`] (virtio 1.2 §5.10.6.6.1), seen from the packet's sender.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Shutdown: u32 {
        /// The sender will receive no more.
        const RECEIVE = 1;
        /// The sender will send no more.
        const SEND = 2;
    }
}

impl Header {
    /// Returns the fields of `bytes`; every pattern is a header.
    pub(crate) fn parse(bytes: &[u8; HEADER_BYTES]) -> Self {
        Self {
            src_cid: u64::from_le_bytes(field(bytes, SRC_CID)),
            dst_cid: u64::from_le_bytes(field(bytes, DST_CID)),
            src_port: u32::from_le_bytes(field(bytes, SRC_PORT)),
            dst_port: u32::from_le_bytes(field(bytes, DST_PORT)),
            len: u32::from_le_bytes(field(bytes, LEN)),
            kind: u16::from_le_bytes(field(bytes, TYPE)),
            op: u16::from_le_bytes(field(bytes, OP)),
            flags: u32::from_le_bytes(field(bytes, FLAGS)),
            buf_alloc: u32::from_le_bytes(field(bytes, BUF_ALLOC)),
            fwd_cnt: u32::from_le_bytes(field(bytes, FWD_CNT)),
        }
    }

    /// Returns the header's bytes.
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[SRC_CID].copy_from_slice(&self.src_cid.to_le_bytes());
        bytes[DST_CID].copy_from_slice(&self.dst_cid.to_le_bytes());
        bytes[SRC_PORT].copy_from_slice(&self.src_port.to_le_bytes());
        bytes[DST_PORT].copy_from_slice(&self.dst_port.to_le_bytes());
        bytes[LEN].copy_from_slice(&self.len.to_le_bytes());
        bytes[TYPE].copy_from_slice(&self.kind.to_le_bytes());
        bytes[OP].copy_from_slice(&self.op.to_le_bytes());
        bytes[FLAGS].copy_from_slice(&self.flags.to_le_bytes());
        bytes[BUF_ALLOC].copy_from_slice(&self.buf_alloc.to_le_bytes());
        bytes[FWD_CNT].copy_from_slice(&self.fwd_cnt.to_le_bytes());
        bytes
    }
}

impl Op {
    /// Returns the meaning of a number; `None` for one that the standard does not define.
    pub(crate) const fn parse(number: u16) -> Option<Self> {
        Some(match number {
            0 => Self::Invalid,
            1 => Self::Request,
            2 => Self::Response,
            3 => Self::Reset,
            4 => Self::Shutdown,
            5 => Self::Data,
            6 => Self::CreditUpdate,
            7 => Self::CreditRequest,
            _ => return None,
        })
    }

    /// Returns the operation's number.
    pub(crate) const fn number(self) -> u16 {
        match self {
            Self::Invalid => 0,
            Self::Request => 1,
            Self::Response => 2,
            Self::Reset => 3,
            Self::Shutdown => 4,
            Self::Data => 5,
            Self::CreditUpdate => 6,
            Self::CreditRequest => 7,
        }
    }
}

fn field<const N: usize>(bytes: &[u8; HEADER_BYTES], range: Range<usize>) -> [u8; N] {
    let mut copy = [0; N];
    copy.copy_from_slice(&bytes[range]);
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A RESPONSE as the tables of virtio 1.2 §5.10.6 lay it out.
    const RESPONSE: [u8; HEADER_BYTES] = [
        2, 0, 0, 0, 0, 0, 0, 0, // src_cid
        3, 0, 0, 0, 0, 0, 0, 0, // dst_cid
        0, 0, 0, 0x40, // src_port
        0x01, 0x04, 0, 0, // dst_port
        0, 0, 0, 0, // len
        1, 0, // type
        2, 0, // op
        0, 0, 0, 0, // flags
        0, 0, 4, 0, // buf_alloc
        0xff, 0xff, 0xff, 0xff, // fwd_cnt
    ];

    #[test]
    fn parses_what_the_standard_lays_out() {
        let expected = Header {
            src_cid: 2,
            dst_cid: 3,
            src_port: 0x4000_0000,
            dst_port: 0x401,
            len: 0,
            kind: TYPE_STREAM,
            op: 2,
            flags: 0,
            buf_alloc: 0x4_0000,
            fwd_cnt: u32::MAX,
        };
        assert_eq!(Header::parse(&RESPONSE), expected);
    }

    #[test]
    fn encoding_is_the_inverse_of_parsing() {
        let mut bytes = [0; HEADER_BYTES];
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = place as u8 * 5 + 1;
        }
        assert_eq!(Header::parse(&bytes).encode(), bytes);
        assert_eq!(Header::parse(&RESPONSE).encode(), RESPONSE);
    }

    #[test]
    fn knows_every_operation_by_number_and_no_other() {
        for number in 0..8 {
            let op = Op::parse(number).expect("defined");
            assert_eq!(op.number(), number);
        }
        assert_eq!(Op::parse(8), None);
        assert_eq!(Op::parse(u16::MAX), None);
    }
}
