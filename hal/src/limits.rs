//! Capacities of the hardware layer: meaning, reason, source, and what a user sees at each.

/// Bytes of a page and of a frame (Intel SDM vol. 3, 4.5).
pub const PAGE_BYTES: usize = 4096;

/// vsock connections of the agent's that may exist at once, closing ones included.
///
/// Two for bridge and log, three for each of the agent's processes (stdin, stdout, stderr), and some for connections
/// that still drain. At the limit `Vsock::connect` answers `Full` and the request that needed it is refused by name.
pub const AGENT_CONNECTIONS: usize = 248;

/// vsock connections of programs' that may exist at once, closing ones included. They have places of their own, so that
/// programs that take all there are leave the agent its own. At the limit `Vsock::connect` answers `Full`, and who dials
/// in is refused.
pub const PROGRAM_CONNECTIONS: usize = 136;

/// The same on a machine with less RAM than [`MANY_CONNECTIONS_BYTES`], where windows for more would not be there either.
pub const FEW_PROGRAM_CONNECTIONS: usize = 8;

/// RAM from which on there are places for [`PROGRAM_CONNECTIONS`].
pub const MANY_CONNECTIONS_BYTES: usize = 16 << 20;

/// Places for connections.
pub const MAX_CONNECTIONS: usize = AGENT_CONNECTIONS + PROGRAM_CONNECTIONS;

/// Values of the part of a local port that tells a connection's place.
pub const VSOCK_SLOTS: usize = 512;

/// Connections of purpose `Control` that always find a window: bridge, log and entropy.
pub const VSOCK_CONTROL_CONNECTIONS: usize = 3;

/// Descriptors of each queue. QEMU's virtio-pci offers 128, all known devices at least 64; a device with less is refused
/// with the queue's number.
pub const VSOCK_QUEUE_LENGTH: usize = 64;

/// Buffers of the event queue, which carries nothing but rare resets.
pub const VSOCK_EVENT_BUFFERS: usize = 4;

/// Most data bytes of a packet: the largest that Linux, Firecracker and vhost-device-vsock with its defaults accept.
pub const VSOCK_PACKET_BYTES: usize = 64 * 1024;

/// Smallest receive window. Without any window some back ends cannot even report that the host has closed.
pub const VSOCK_MIN_WINDOW_BYTES: usize = 4 * 1024;

/// Largest receive window: four packets, enough to keep host and reader busy at the same time.
pub const VSOCK_MAX_WINDOW_BYTES: usize = 256 * 1024;

/// Time until an unanswered connection request is repeated on a new port, doubled each time. Some back ends never
/// refuse (vhost-device-vsock 0.3.0), so silence must be met by trying again; a busy one needs some time to answer.
pub const VSOCK_DIAL_MS: u64 = 500;

/// Longest time between two connection requests.
pub const VSOCK_MAX_DIAL_MS: u64 = 2000;

/// The same, constant, for what a session needs. A host that listens again after it lost the bridge is found within this
/// time; a request to nobody costs some tens of microseconds here and there.
pub const VSOCK_CONTROL_DIAL_MS: u64 = 8;

/// Time until a kick is repeated while the device has not reacted. vhost-user back ends lose kicks while they start
/// (rust-vmm/vhost issue 247).
pub const VSOCK_KICK_MS: u64 = 4;

/// Longest time between two repeated kicks, and between two questions for credit.
pub const VSOCK_MAX_KICK_MS: u64 = 64;

/// How long a connection whose end was announced may keep its slot without the peer's confirmation. Linux waits 8 s;
/// every byte was forwarded by then, so nothing is lost when a silent peer is cut off earlier.
pub const VSOCK_LINGER_MS: u64 = 1000;

/// Packets that one call of `poll` takes from the device before it lets others run.
pub const VSOCK_POLL_PACKETS: usize = 256;

const _: () = assert!(
    MAX_CONNECTIONS <= VSOCK_SLOTS,
    "every place has its local ports"
);

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

/// Separate ranges of RAM that are kept. QEMU, Cloud Hypervisor and Firecracker report at most five; at the limit the
/// machine does not start and says so.
pub const MAX_MEMORY_RANGES: usize = 32;

/// Entries of the VMM's memory map that are read (Linux' `E820_MAX_ENTRIES_ZEROPAGE` is the same). A longer one stops
/// start-up with a message.
pub const MAX_MEMORY_ENTRIES: usize = 128;

/// Bytes of the kernel command line: what SeaBIOS' option ROM has room for; Firecracker allows 2048. A longer one stops
/// start-up with a message, because half a configuration is worse than none.
pub const COMMAND_LINE_BYTES: usize = 4096;

/// Separate pieces of RAM in the frame pool; what image, module and start-up leave of the ranges above. The smallest
/// pieces beyond it stay unused.
pub const MAX_POOL_REGIONS: usize = 16;

/// Device windows that can be mapped: four for each disk's transport and the vsock's, and the interrupt controllers.
/// A device beyond it is reported and left alone.
pub const MAX_MMIO_RANGES: usize = 4 * (MAX_DISKS + 1) + 8;

/// Page tables kept for device windows: at least a pointer table, a directory and one table, which maps 2 MiB.
pub const MIN_MMIO_TABLES: usize = 4;

/// Page tables kept for device windows where RAM is plenty: windows of 512 KiB, as Cloud Hypervisor makes them, for all
/// disks.
pub const MAX_MMIO_TABLES: usize = 16;

/// RAM for which one page table is kept for device windows.
pub const MMIO_TABLE_SHARE_BYTES: u64 = 4 << 20;

const _: () = assert!(MAX_MMIO_TABLES * (2 << 20) >= (MAX_DISKS / 2) * (512 << 10));

/// How long the loop polls after something moved before it halts: about what entering and leaving a halt costs.
pub const IDLE_POLL_NANOS: u64 = 50_000;

/// The first halt after something moved is not longer than this: a lost notification costs a millisecond.
pub const SHORTEST_TICK_MILLIS: u64 = 1;

/// The longest halt: a bare loop of halts this long takes 0.4 % of a host core under TCG.
pub const LONGEST_TICK_MILLIS: u64 = 100;

/// Log records that wait for the loop to take them away. Those that come when it is full are counted as lost.
pub const LOG_RECORDS: usize = 32;

/// Bytes of text in a log record; a longer one is cut with a mark.
pub const LOG_TEXT_BYTES: usize = 240;

/// I/O interrupt controllers that are used; microvm has two. Devices behind a further one are polled.
pub const MAX_IO_APICS: usize = 4;

/// RAM for which one byte goes to the heap.
pub const HEAP_SHARE: u64 = 16;

/// The heap where RAM is scarce: tasks, open files and directory caches of a handful of processes.
pub const MIN_HEAP_BYTES: usize = 192 << 10;

/// The heap where RAM is plenty: the tables of `MAX_PROCESSES` processes and the working memory of the file systems.
/// At the limit programs see `ENOMEM` and the host is refused.
pub const MAX_HEAP_BYTES: usize = 16 << 20;

/// RAM for which one byte goes to the heap where even that does not suffice: there every frame may hold a page of a file,
/// and is told of in a table of some fifty bytes (1/85 of RAM), which together with its hash must leave room for the rest.
pub const LARGE_HEAP_SHARE: u64 = 32;

/// RAM for which one byte goes to the rings of devices. (The vsock's buffers are counted apart.)
pub const DMA_SHARE: u64 = 32;

/// The rings' share where RAM is scarce: a vsock device and a few disks.
pub const MIN_DMA_BYTES: usize = 128 << 10;

/// The rings' share where RAM is plenty: all disks that are looked for.
pub const MAX_DMA_BYTES: usize = 2 << 20;

const _: () = assert!(MAX_DMA_BYTES <= MAX_DMA_PAGES * PAGE_BYTES);

/// Firmware tables that are looked at; QEMU, Cloud Hypervisor and Firecracker have fewer than ten.
pub const MAX_ACPI_TABLES: usize = 32;

/// The longest firmware table that is believed. A DSDT of q35 has 8 KiB, a MADT of 255 processors 4 KiB; a longer table is
/// ignored.
pub const MAX_ACPI_TABLE_BYTES: u32 = 256 * 1024;
