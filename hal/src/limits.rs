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

/// Requests of one disk in flight at once. Beyond it `submit_read` answers `Full` and a program's read waits for a
/// completion.
pub const MAX_BLOCK_REQUESTS: usize = 16;

/// Descriptors of a disk's queue. Every known device offers at least 128; a device with fewer than this is refused.
pub const BLOCK_QUEUE_DESCRIPTORS: usize = 64;

/// Device chains of one disk in flight at once: each takes at least header, data and status.
pub const MAX_BLOCK_CHAINS: usize = BLOCK_QUEUE_DESCRIPTORS / 3;

const _: () = assert!(
    MAX_REQUEST_FRAMES + 2 <= BLOCK_QUEUE_DESCRIPTORS,
    "a whole request fits into an empty queue"
);

/// After how long a disk that does not answer is reset and given up. The request fails as timed out, the program
/// reads EIO. Ten seconds is beyond any healthy disk of a virtual machine, also on a host that swaps.
pub const BLOCK_DEADLINE_MS: u64 = 10_000;

/// After how long without an answer a disk is notified again, the first time; then after twice as long each time.
/// vhost-user back ends lose a first notification (rust-vmm/vhost issue 247).
pub const BLOCK_RENOTIFY_MS: u64 = 4;

/// The longest gap between two such notifications.
pub const MAX_BLOCK_RENOTIFY_MS: u64 = 128;

/// PCI buses that are searched: bus 0 and those behind bridges. QEMU's q35 has one for each root port; further ones are
/// reported and left alone.
pub const MAX_PCI_BUSES: usize = 32;

/// Virtio devices that are noted at start: every disk, the vsock device, and some that nobody drives.
pub const MAX_VIRTIO_DEVICES: usize = MAX_DISKS + 16;
