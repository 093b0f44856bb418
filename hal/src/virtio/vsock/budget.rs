//! How much memory the vsock layer takes, derived from the machine's RAM.

use super::header::HEADER_BYTES;
use super::window::CHUNK_BYTES;
use crate::limits::{
    AGENT_CONNECTIONS, FEW_PROGRAM_CONNECTIONS, MANY_CONNECTIONS_BYTES, MAX_CONNECTIONS,
    VSOCK_CONTROL_CONNECTIONS, VSOCK_MAX_WINDOW_BYTES, VSOCK_MIN_WINDOW_BYTES, VSOCK_PACKET_BYTES,
    VSOCK_QUEUE_LENGTH,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Smallest receive buffer: below a page the per-packet cost dominates.
const MIN_RECEIVE_BYTES: usize = 4 * KIB;

/// Fewest receive buffers: with less the device waits for us after every few packets.
const MIN_RECEIVE_BUFFERS: usize = 8;

/// Bytes of a small transmit slot: holds most replies and a terminal's output.
const SMALL_SLOT_BYTES: usize = 4 * KIB;

/// Every buffer starts on a cache line.
pub(crate) const BUFFER_ALIGN: usize = 64;

/// Sizes of all pools of the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Receive buffers, all of them posted at first.
    pub(crate) receive_buffers: usize,
    /// Data bytes of a receive buffer.
    pub(crate) receive_bytes: usize,
    /// Transmit slots for large packets, and their data bytes.
    pub(crate) large_slots: usize,
    pub(crate) large_bytes: usize,
    /// Transmit slots for small packets, and their data bytes.
    pub(crate) small_slots: usize,
    pub(crate) small_bytes: usize,
    /// Transmit slots for packets without data.
    pub(crate) control_slots: usize,
    /// Chunks that back the windows of all connections.
    pub(crate) chunks: usize,
    /// Window of a control connection; chunks for all of them are never lent to others.
    pub(crate) control_window: usize,
    /// Chunks that programs' connections may reserve, and nobody else.
    pub(crate) program_chunks: usize,
    /// Places for connections.
    pub(crate) connections: usize,
}

impl Budget {
    /// Returns the budget for a machine with this much RAM.
    ///
    /// Posted receive buffers are a sixteenth of RAM and at most 2 MiB; windows a sixteenth and at most 8 MiB, below
    /// 32 MiB of RAM a thirty-second, of which programs' connections have a fourth, below that an eighth; transmission takes a sixty-fourth and at most 1 MiB.
    #[must_use]
    pub fn for_ram(ram_bytes: u64) -> Self {
        let ram = usize::try_from(ram_bytes).unwrap_or(usize::MAX);

        let receive = (ram / 16).clamp(MIN_RECEIVE_BUFFERS * MIN_RECEIVE_BYTES, 2 * MIB);
        let receive_bytes = floor_power_of_two(receive / MIN_RECEIVE_BUFFERS)
            .clamp(MIN_RECEIVE_BYTES, VSOCK_PACKET_BYTES);
        let receive_buffers = (receive / receive_bytes).min(VSOCK_QUEUE_LENGTH / 2);

        let send = (ram / 64).clamp(4 * MIN_RECEIVE_BYTES, MIB);
        let large_bytes = floor_power_of_two(send / 4).clamp(MIN_RECEIVE_BYTES, VSOCK_PACKET_BYTES);
        let large_slots = (send / large_bytes).min(VSOCK_QUEUE_LENGTH / 4);
        let small_slots = if ram >= 16 * MIB { 24 } else { 8 };

        let divisor = if ram >= 32 * MIB { 16 } else { 32 };
        let windows = (ram / divisor).clamp(64 * KIB, 8 * MIB);
        let control_window = floor_power_of_two(windows / 16)
            .clamp(VSOCK_MIN_WINDOW_BYTES, VSOCK_MAX_WINDOW_BYTES / 4);
        Self {
            receive_buffers,
            receive_bytes,
            large_slots,
            large_bytes,
            small_slots,
            small_bytes: SMALL_SLOT_BYTES.min(large_bytes),
            control_slots: VSOCK_QUEUE_LENGTH - large_slots - small_slots,
            chunks: windows / CHUNK_BYTES,
            control_window,
            program_chunks: windows / CHUNK_BYTES / if ram >= 32 * MIB { 4 } else { 8 },
            connections: if ram >= MANY_CONNECTIONS_BYTES {
                MAX_CONNECTIONS
            } else {
                AGENT_CONNECTIONS + FEW_PROGRAM_CONNECTIONS
            },
        }
    }

    /// Returns how many bytes of memory [`VirtioVsock::new`](super::VirtioVsock::new) must be given.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.receive_buffers * stride(self.receive_bytes)
            + self.large_slots * stride(self.large_bytes)
            + self.small_slots * stride(self.small_bytes)
            + self.control_slots * stride(0)
            + self.chunks * CHUNK_BYTES
            + super::device::table_bytes(self)
            // Room to align each part.
            + 16 * BUFFER_ALIGN
    }

    /// Returns the chunks that only control connections may reserve.
    pub(crate) const fn control_chunks(&self) -> usize {
        VSOCK_CONTROL_CONNECTIONS * super::window::chunks_for(self.control_window)
    }
}

/// Bytes from one buffer to the next.
pub(crate) const fn stride(data_bytes: usize) -> usize {
    (HEADER_BYTES + data_bytes).next_multiple_of(BUFFER_ALIGN)
}

const fn floor_power_of_two(number: usize) -> usize {
    if number == 0 { 0 } else { 1 << number.ilog2() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_a_machine_of_64_mib_full_packets_and_two_mebibytes_of_posted_buffers() {
        let budget = Budget::for_ram(64 * MIB as u64);
        assert_eq!(budget.receive_bytes, 64 * KIB);
        assert_eq!(budget.receive_buffers, 32);
        assert_eq!(budget.large_bytes, 64 * KIB);
        assert_eq!(budget.large_slots, 16);
        assert_eq!(budget.chunks * CHUNK_BYTES, 4 * MIB);
        assert_eq!(budget.control_window, 64 * KIB);
    }

    #[test]
    fn takes_a_few_hundred_kibibytes_of_a_machine_of_four_mib() {
        let budget = Budget::for_ram(4 * MIB as u64);
        assert!(budget.bytes() < 640 * KIB, "{}", budget.bytes());
        assert_eq!(budget.receive_buffers * budget.receive_bytes, 256 * KIB);
        assert_eq!(budget.chunks * CHUNK_BYTES, 128 * KIB);
    }

    #[test]
    fn is_possible_for_any_amount_of_ram() {
        for shift in 0..64 {
            let budget = Budget::for_ram(1 << shift);
            assert!(budget.receive_buffers >= MIN_RECEIVE_BUFFERS);
            assert!(budget.receive_buffers <= VSOCK_QUEUE_LENGTH);
            let slots = budget.large_slots + budget.small_slots + budget.control_slots;
            assert_eq!(slots, VSOCK_QUEUE_LENGTH);
            assert!(budget.large_slots >= 2);
            assert!(budget.control_slots >= 8);
            assert!(budget.control_chunks() <= budget.chunks / 2);
            let one = super::super::window::chunks_for(VSOCK_MIN_WINDOW_BYTES);
            assert!(budget.program_chunks >= one);
        }
    }

    #[test]
    fn never_takes_more_than_an_eighth_of_a_machine_of_sixteen_mib_or_more() {
        for mib in [16, 32, 64, 128, 4096] {
            let ram = mib * MIB;
            let budget = Budget::for_ram(ram as u64);
            assert!(budget.bytes() <= ram / 6, "{mib} MiB: {}", budget.bytes());
        }
    }
}
