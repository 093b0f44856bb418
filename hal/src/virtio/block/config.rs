//! What a disk says of itself: features and configuration space.

use super::scatter::Shape;
use crate::block::{DiskInfo, SECTOR_BYTES};
use crate::limits::{MAX_REQUEST_FRAMES, PAGE_BYTES};
use crate::virtio::init::{InitError, read_configuration};
use virtio_drivers::transport::Transport;

/// `VIRTIO_BLK_F_SIZE_MAX`: the configuration limits the bytes of a piece (virtio 1.2 §5.2.3).
const FEATURE_SIZE_MAX: u64 = 1 << 1;
/// `VIRTIO_BLK_F_SEG_MAX`: the configuration says how many pieces a request may have (virtio 1.2 §5.2.3).
const FEATURE_SEG_MAX: u64 = 1 << 2;
/// `VIRTIO_BLK_F_RO`: the disk refuses writes (virtio 1.2 §5.2.3).
const FEATURE_RO: u64 = 1 << 5;

/// The features this driver understands. `EVENT_IDX` is not among them: virtio-drivers compares indices without their
/// wrap and would leave out a notification now and then.
pub(super) const WANTED_FEATURES: u64 = FEATURE_SIZE_MAX | FEATURE_SEG_MAX | FEATURE_RO;

/// Offsets in `virtio_blk_config` (virtio 1.2 §5.2.4).
const CONFIG_CAPACITY_LOW: usize = 0;
const CONFIG_CAPACITY_HIGH: usize = 4;
const CONFIG_SIZE_MAX: usize = 8;
const CONFIG_SEG_MAX: usize = 12;

/// Sectors of a frame.
pub(super) const FRAME_SECTORS: u64 = (PAGE_BYTES / SECTOR_BYTES) as u64;

/// Reads capacity and limits.
pub(super) fn read<T: Transport>(
    transport: &T,
    features: u64,
) -> Result<(DiskInfo, Shape), InitError> {
    let info = DiskInfo {
        sectors: read_configuration(transport, |transport| {
            let low = transport.read_config_space::<u32>(CONFIG_CAPACITY_LOW)?;
            let high = transport.read_config_space::<u32>(CONFIG_CAPACITY_HIGH)?;
            Ok((u64::from(high) << 32) | u64::from(low))
        })?,
        read_only: features & FEATURE_RO != 0,
        serial: heapless::String::new(),
    };
    let pieces = match features & FEATURE_SEG_MAX {
        0 => 1,
        _ => read_u32(transport, CONFIG_SEG_MAX)?.clamp(1, MAX_REQUEST_FRAMES),
    };
    let most = MAX_REQUEST_FRAMES * PAGE_BYTES;
    let piece_bytes = match features & FEATURE_SIZE_MAX {
        0 => most,
        _ => read_u32(transport, CONFIG_SIZE_MAX)?.min(most),
    };
    if piece_bytes < PAGE_BYTES {
        return Err(InitError::BadConfiguration);
    }
    let shape = Shape {
        pieces,
        piece_bytes,
    };
    Ok((info, shape))
}

fn read_u32<T: Transport>(transport: &T, offset: usize) -> Result<usize, InitError> {
    read_configuration(transport, |transport| {
        transport.read_config_space::<u32>(offset)
    })
    .map(|value| value as usize)
}

/// Returns how many bytes of `frames` frames from `sector` on a disk of `sectors` holds; `None` unless it holds some
/// of the last frame.
pub(super) fn readable_bytes(sectors: u64, sector: u64, frames: usize) -> Option<usize> {
    let last = sector.checked_add(frames.checked_sub(1)? as u64 * FRAME_SECTORS)?;
    let rest = sectors.checked_sub(last).filter(|&rest| rest > 0)?;
    let in_last = rest.min(FRAME_SECTORS) as usize * SECTOR_BYTES;
    Some((frames - 1) * PAGE_BYTES + in_last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_may_end_in_the_last_frame_but_not_begin_behind_it() {
        assert_eq!(readable_bytes(16, 0, 2), Some(8192));
        assert_eq!(readable_bytes(9, 0, 2), Some(4096 + 512));
        assert_eq!(readable_bytes(8, 0, 2), None);
        assert_eq!(readable_bytes(8, 7, 1), Some(512));
        assert_eq!(readable_bytes(8, 8, 1), None);
    }

    #[test]
    fn refuses_empty_requests_and_sectors_that_overflow() {
        assert_eq!(readable_bytes(8, 0, 0), None);
        assert_eq!(readable_bytes(u64::MAX, u64::MAX, 1), None);
        assert_eq!(readable_bytes(u64::MAX, u64::MAX - 1, 1), Some(512));
        assert_eq!(readable_bytes(u64::MAX, u64::MAX - 1, 2), None);
        assert_eq!(readable_bytes(0, 0, 1), None);
    }
}
