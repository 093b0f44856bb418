//! Capacities of the hardware layer: meaning, reason, source, and what a user sees at each.

/// Bytes of a page and of a frame (Intel SDM vol. 3, 4.5).
pub const PAGE_BYTES: usize = 4096;

/// vsock connections that may exist at once, closing ones included.
///
/// Two for bridge and log, three for each of the agent's processes (stdin, stdout, stderr), and some for connections
/// that still drain. At the limit `Vsock::connect` answers `Full` and the request that needed it is refused by name.
pub const MAX_CONNECTIONS: usize = 256;

/// Frames of one block request: 64 KiB, because QEMU's block path is bound by latency, not by size.
pub const MAX_REQUEST_FRAMES: usize = 16;

/// Bytes of a virtio-blk serial number (virtio 1.2 §5.2.6).
pub const BLOCK_SERIAL_BYTES: usize = 20;

/// Disks that are looked for at start. A further disk is reported and left alone.
pub const MAX_DISKS: usize = 32;

/// Pages of the pool for rings, request headers and receive buffers: 16 MiB, many times what 33 devices need.
/// What boot hands over beyond it stays unused.
pub const MAX_DMA_PAGES: usize = 4096;

const _: () = assert!(
    MAX_DMA_PAGES.is_multiple_of(64),
    "the bitmap has words of 64 pages"
);
