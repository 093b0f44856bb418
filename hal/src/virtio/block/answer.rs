//! What a device may answer, and what its answers mean.

use super::mailbox::STATUS_UNWRITTEN;
use crate::block::ReadError;
use crate::limits::BLOCK_SERIAL_BYTES;

/// `VIRTIO_BLK_S_OK` (virtio 1.2 §5.2.6).
const STATUS_OK: u8 = 0;
/// `VIRTIO_BLK_S_IOERR` (virtio 1.2 §5.2.6).
const STATUS_IOERR: u8 = 1;

/// Whether the device counts in the used ring what it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counting {
    /// At least the data (some leave out the status byte) and never more than there is room for.
    Exact,
    /// Anything (virtio 1.2 §5.2.6.4: legacy devices; and answers other than reads, where some write 0).
    Loose,
}

/// The device broke the rules: which, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Violation(pub(super) &'static str);

/// Judges a used chain with `data_bytes` of room for data and one for the status, of which `written` are said to be
/// written.
///
/// # Errors
///
/// When the device cannot be believed any more. A mere failure of the request is the inner result.
pub(super) fn judge(
    status: u8,
    written: u32,
    data_bytes: usize,
    counting: Counting,
) -> Result<Result<(), ReadError>, Violation> {
    let written = written as usize;
    if written > data_bytes + 1 {
        return Err(Violation("used length exceeds the buffers"));
    }
    match status {
        STATUS_OK if counting == Counting::Exact && written < data_bytes => {
            Err(Violation("success with less than the data asked for"))
        }
        STATUS_OK => Ok(Ok(())),
        STATUS_IOERR => Ok(Err(ReadError::Io)),
        STATUS_UNWRITTEN => Err(Violation("chain used without a status")),
        _ => Ok(Err(ReadError::Unsupported)),
    }
}

/// Reads a serial number: ASCII up to the first NUL; empty when it holds anything else than printable characters.
pub(super) fn serial(bytes: &[u8; BLOCK_SERIAL_BYTES]) -> heapless::String<BLOCK_SERIAL_BYTES> {
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    match core::str::from_utf8(text) {
        Ok(text) if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) => {
            heapless::String::try_from(text).unwrap_or_default()
        }
        _ => heapless::String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_a_read_with_and_without_the_status_byte_counted() {
        assert_eq!(judge(0, 4097, 4096, Counting::Exact), Ok(Ok(())));
        assert_eq!(judge(0, 4096, 4096, Counting::Exact), Ok(Ok(())));
    }

    #[test]
    fn refuses_success_with_less_than_the_data() {
        assert!(judge(0, 4095, 4096, Counting::Exact).is_err());
        assert_eq!(judge(0, 4095, 4096, Counting::Loose), Ok(Ok(())));
    }

    #[test]
    fn refuses_more_than_the_buffers_hold_whoever_counts() {
        assert!(judge(0, 4098, 4096, Counting::Exact).is_err());
        assert!(judge(0, 4098, 4096, Counting::Loose).is_err());
        assert!(judge(1, u32::MAX, 4096, Counting::Loose).is_err());
    }

    #[test]
    fn tells_failures_from_violations() {
        assert_eq!(judge(1, 1, 4096, Counting::Exact), Ok(Err(ReadError::Io)));
        for status in [2, 3, 0xfe] {
            let answer = judge(status, 1, 4096, Counting::Exact);
            assert_eq!(answer, Ok(Err(ReadError::Unsupported)));
        }
        assert!(judge(0xff, 4097, 4096, Counting::Exact).is_err());
    }

    #[test]
    fn reads_serials_short_full_and_hostile() {
        let mut bytes = [0; BLOCK_SERIAL_BYTES];
        assert_eq!(serial(&bytes), "");
        bytes[..4].copy_from_slice(b"root");
        assert_eq!(serial(&bytes), "root");
        assert_eq!(
            serial(&[b'x'; BLOCK_SERIAL_BYTES]).len(),
            BLOCK_SERIAL_BYTES
        );
        bytes[1] = 0x1b;
        assert_eq!(serial(&bytes), "");
        assert_eq!(serial(&[0xff; BLOCK_SERIAL_BYTES]), "");
    }
}
