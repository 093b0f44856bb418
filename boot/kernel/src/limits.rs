//! Capacities of the kernel: meaning, reason, source, and what a user sees at each.

use core::time::Duration;
use hal::limits::PAGE_BYTES;

/// Processes there may be at once for programs to make another one, zombies included. At the limit fork is EAGAIN.
pub const MAX_CHILDREN: usize = 256;

/// Processes that may exist at once, zombies included: whatever programs do, the agent can start as many as it may. At the
/// limit `spawn` is refused with its name.
pub const MAX_PROCESSES: usize = MAX_CHILDREN + agent::limits::MAX_PROCESSES;

const _: () = assert!(MAX_PROCESSES <= agent::limits::MAX_LISTED_PROCESSES);

/// Tasks (threads of all processes) there may be at once for programs to make another one. At the limit clone is EAGAIN.
pub const MAX_THREADS: usize = 512;

/// Tasks that may exist at once: one for each process the agent can start beside those that programs make.
pub const MAX_TASKS: usize = MAX_THREADS + agent::limits::MAX_PROCESSES;

const _: () = assert!(MAX_THREADS >= MAX_CHILDREN);

/// Address spaces that may exist at once: one for each process, and those of ended ones that are still being taken down,
/// or of programs that execve is about to begin. At the limit a program gets EAGAIN, and `spawn` is refused.
pub const MAX_SPACES: usize = 2 * MAX_PROCESSES;

/// Containers' views that may exist at once, the utility VM's included. At the limit Create is refused.
pub const MAX_VIEWS: usize = 65;

/// Processes killed for their memory that the agent has not been told of. Who needs memory then tries again when it has:
/// it asks between any two slices of time, in which one program or two can bring this about.
pub const MAX_MEMORY_KILLS: usize = 4;

/// Bytes of a container's name (Linux `__NEW_UTS_LEN`). Create is refused with a longer one.
pub const HOST_NAME_BYTES: usize = 64;

/// Areas of one address space (Linux `vm.max_map_count` is 65530). At the limit `mmap` gives ENOMEM.
pub const MAX_AREAS: usize = 4096;

/// How long a task runs while others are ready. Short enough that 64 busy programs each run four times a second,
/// long enough that switching costs nothing.
pub const SLICE: Duration = Duration::from_millis(4);

/// How long the least nice task runs while others are ready: a few times a usual one's turn, so that with some of them the
/// others still run many times a second.
pub const MOST_SLICE: Duration = Duration::from_millis(16);

/// How long a task runs at least although a sleeping one's time comes earlier.
pub const LEAST_SLICE: Duration = Duration::from_micros(100);

/// Nanoseconds on the processor that come together before they are put on the bills of task, process and account: so much
/// less than it used may a program be found to have used while it runs, by others than itself.
pub const UNBILLED_NANOS: u64 = 10_000;

/// The period of a quota of processor time whose period nobody set (Linux kernel/sched/fair.c `default_cfs_period`).
pub const CPU_PERIOD: Duration = Duration::from_millis(100);

/// Bytes one entry into the kernel copies before it lets the bridge have its turn.
pub const WORK_BYTES: usize = 64 * 1024;

/// Pages one entry into the kernel maps, unmaps or releases before it lets the bridge have its turn.
pub const WORK_PAGES: usize = 64;

/// Address spaces of ended processes that wait, for each step of taking them down in one turn. One space alone is taken
/// down step by step; 64 processes ending at once get sixteen steps a turn, which outruns a host that starts new ones.
pub const ENDING_SPACES_PER_STEP: usize = 4;

/// Entries of a table one entry into the kernel looks at when it searches for something to give back. Looking is
/// cheaper than giving back.
pub const WORK_LOOKS: usize = 16 * WORK_PAGES;

/// Names one entry into the kernel forgets before it lets the bridge have its turn.
pub const WORK_NAMES: usize = 64;

/// Directory entries one entry into the kernel looks at, listed or not, before it lets the bridge have its turn.
pub const WORK_ENTRIES: usize = 256;

/// Addresses one entry into the kernel tries for a socket that is to have any free one, before it lets the bridge have its
/// turn: each is compared with those of all sockets.
pub const WORK_NAMINGS: usize = 16;

/// Files one entry into the kernel closes before it lets the bridge have its turn: as many pipes as have
/// [`WORK_PAGES`].
pub const WORK_FILES: usize = WORK_PAGES / PIPE_FRAMES;

/// Neighbours that are mapped with a page that was asked for, when the page cache has them already: a fault costs
/// more than mapping sixteen pages does (Linux `fault_around_bytes` is 64 KiB too).
pub const FAULT_AROUND_PAGES: u64 = 16;

/// Bytes of all arguments and environment strings of a program, NULs included. Linux allows a quarter of the stack
/// limit, 2 MiB; a longer list is refused with this name, or E2BIG.
pub const ARGUMENT_BYTES: usize = 256 * 1024;

/// Strings in arguments and environment together; each also costs a pointer on the stack.
pub const MAX_ARGUMENTS: usize = 16 * 1024;

/// Bytes the stack of a program may grow to (Linux `_STK_LIM`). Beyond it the program gets SIGSEGV.
pub const STACK_BYTES: u64 = 8 * 1024 * 1024;

const _: () = assert!(STACK_BYTES as usize >= 4 * (ARGUMENT_BYTES + MAX_ARGUMENTS * 8));

/// Pages kept free below the stack's lowest possible page (Linux `stack_guard_gap`).
pub const STACK_GUARD_PAGES: u64 = 256;

/// Robust locks of a task, or of all tasks of a process that is killed, that are given up when it ends (Linux
/// `ROBUST_LIST_LIMIT`). Whoever waits for one behind them waits on.
pub const MAX_ROBUST_LOCKS: usize = 2048;

/// Longest path of a system call, NUL included (Linux `PATH_MAX`). A longer one gives ENAMETOOLONG.
pub const PATH_BYTES: usize = agent::limits::PATH_BYTES + 1;

const _: () = assert!(PATH_BYTES <= PAGE_BYTES);

/// Steps one load takes in a turn: five for a program that is at hand, one more for each directory of `PATH` that does
/// not have it. A list of thousands of directories takes many turns.
pub const LOAD_STEPS: usize = 16;

/// Bytes of one argument or environment string of execve, NUL included (Linux `MAX_ARG_STRLEN`). A longer one is E2BIG.
pub const STRING_BYTES: usize = 128 * 1024;

const _: () = assert!(STRING_BYTES <= ARGUMENT_BYTES);

/// Scripts that lead to a program one after the other (Linux fs/exec.c, `exec_binprm`). One more is ELOOP.
pub const MAX_SCRIPTS: u8 = 5;

/// Program headers of an ELF file. Linkers write about a dozen. More are ENOEXEC.
pub const MAX_PROGRAM_HEADERS: usize = 64;

/// Callers of a task's function that `dump` shows.
pub const BACKTRACE_FRAMES: usize = 16;

/// System calls of a task that `dump` remembers.
pub const CALL_HISTORY: usize = 8;

/// Signals that wait with what they say of themselves, in the whole VM. One more real-time signal is EAGAIN; a standard one
/// comes without. A program is told its container's share of this as RLIMIT_SIGPENDING.
pub const MAX_SIGNALS: usize = 4096;

/// Such signals for which room is made ready for each process: one from a child, one that wants its attention.
pub const SIGNALS_PER_PROCESS: usize = 2;

/// Different system call numbers answered with ENOSYS that are counted one by one; more are counted together.
pub const MAX_UNKNOWN_CALLS: usize = 32;

/// Longest name of a directory entry (Linux `NAME_MAX`). A longer one is ENAMETOOLONG.
pub const NAME_BYTES: usize = 255;

/// Symbolic links followed in one look-up (Linux `MAXSYMLINKS`). One more is ELOOP.
pub const MAX_SYMLINKS: usize = 40;

/// Descriptors of one table, and the initial RLIMIT_NOFILE (Linux's default soft limit). One more is EMFILE.
pub const MAX_DESCRIPTORS: usize = 1024;

/// Open file descriptions in the whole VM. One more is ENFILE.
pub const MAX_OPEN_FILES: usize = 16384;

/// Descriptor tables, and directory states: one for each task at most, and some that are being copied.
/// One more is ENOMEM or EAGAIN to whoever makes a process.
pub const MAX_TABLES: usize = 2 * MAX_TASKS;

/// Pipes in the whole VM. One more is ENFILE.
pub const MAX_PIPES: usize = 4096;

/// Bytes one read of a text of `/proc` gives at most; what is behind them comes with the next one.
pub const LIVE_BYTES: usize = 1024;

/// Open files in the whole VM with an owner who is told of them (fcntl(2), F_SETOWN). One more is ENOMEM, and so is one more
/// than half of them for an account: all are looked at whenever anybody is woken, and each may be a whole group of processes.
pub const MAX_OWNERS: usize = 128;

/// Files in all epoll lists together. One more is ENOSPC, as at Linux's `max_user_watches`.
pub const MAX_INTERESTS: usize = 8192;

/// Files one epoll_wait tells of at most, whatever it asked for; the others are told by the next one.
pub const EPOLL_BATCH: usize = 64;

/// Locks of files in the whole VM; a range that is locked is one. One more is ENOLCK.
pub const MAX_LOCKS: usize = 4096;

/// Waiters for locks that are followed when a circle of them is looked for (Linux `MAX_DEADLK_ITERATIONS`). In a longer
/// circle everybody waits on.
pub const MAX_LOCK_WAITS: usize = 10;

/// Sockets in the whole VM; a connection with the host has one at either end. One more is ENFILE, and so is one more than
/// half of them for an account.
pub const MAX_SOCKETS: usize = 4096;

/// Connections with the host that one container may have, those it has not accepted and those that are on their way out
/// included. One more is EADDRNOTAVAIL, and the host is refused. The machine has places for about twice as many
/// (`hal::limits::PROGRAM_CONNECTIONS`), and for a handful where RAM is scarce.
pub const MAX_CHANNELS: usize = 64;

/// How long the host may take to accept a connection (Linux `VSOCK_DEFAULT_CONNECT_TIMEOUT`). Then it is ETIMEDOUT.
pub const VSOCK_CONNECT_MS: u64 = 2_000;

/// Messages that wait in one socket; a sender waits when there are so many.
pub const MAX_MESSAGES: usize = 256;

/// Frames of memory for which one message, or one open file in a message, may wait in all sockets of an account: together
/// they take a tenth of the heap. One more is ENOMEM.
pub const FRAMES_PER_MESSAGE: usize = 8;

/// Bytes that a place for a message is charged as: what is known of it, and the sender's address.
pub const MESSAGE_MEMORY_BYTES: usize = 192;

/// Places for messages a socket keeps when it is empty, so that it needs no memory for the next ones.
pub const SPARE_MESSAGES: usize = 4;

/// Connections that wait to be accepted (Linux `net.core.somaxconn` is 4096). Whoever connects waits when there are so many.
pub const MAX_BACKLOG: usize = 128;

/// Open files in one message (Linux `SCM_MAX_FD`). More are EINVAL.
pub const MAX_RIGHTS: usize = 253;

/// Terminals in the whole VM. One more is ENOSPC to a program; the host is refused with this name.
pub const MAX_TERMINALS: usize = 128;

const _: () = assert!(MAX_TERMINALS >= agent::limits::MAX_PROCESSES);

/// Frames of a terminal: what was received, and what is to be sent.
pub const TERMINAL_FRAMES: usize = 2;

/// Bytes of a terminal's output that wait to be taken. A program that writes more waits. The rest of the page holds a bit
/// for each received byte.
pub const TERMINAL_OUTPUT_BYTES: usize = PAGE_BYTES - PAGE_BYTES / 8;

/// Room in a terminal's output that programs leave to echo, so that who types into a terminal that is flooded sees it.
pub const ECHO_RESERVE: usize = 256;

/// Frames of one pipe, and of one socket: 64 KiB, Linux's default capacity. A writer waits when they are full.
pub const PIPE_FRAMES: usize = 16;

/// Names kept in memory, those of in-memory files included. Clean ones make room; when none is left to go, making a
/// file is ENOSPC.
pub const MAX_NAMES: usize = 32768;

/// The part of a table shared by all containers that one of them may hold: one in so many. A program that opens or forks
/// without end gets its error there, and the others find room.
pub const ACCOUNT_SHARE: usize = 2;

const _: () = assert!(MAX_TASKS / ACCOUNT_SHARE >= agent::limits::MAX_PROCESSES);

/// The part of the heap that names made by programs leave to the kernel: one in so many bytes. A file, link or directory
/// that would need more is ENOSPC, where otherwise processes could not be started.
pub const NAMES_HEAP_RESERVE: usize = 8;

/// Names and inodes that those made by programs leave free, for files that are only looked for: so many, or as many as are
/// kept of clean names where those are fewer. One that would take of them is ENOSPC, where otherwise no program could be
/// found any more.
pub const NAMES_SPARE: usize = 256;

/// Inodes kept in memory, in-memory files included. Clean ones make room; otherwise ENOSPC.
pub const MAX_INODES: usize = 65536;

/// Mounted directory trees in the whole VM, containers' views included. One more is refused by name.
pub const MAX_MOUNTS: usize = 512;

/// Parts of disks that are read: every disk, its partitions that are mounted, and those that are being forgotten. One more is
/// refused for want of memory.
pub const MAX_VOLUMES: usize = 2 * hal::limits::MAX_DISKS;

/// Changes of the tree that are under way. One more is refused with the limit's name.
pub const MAX_CHANGES: usize = 128;

/// Bytes of the paths of one change, which wait in one frame. A change with more is refused with the limit's name.
pub const CHANGE_BYTES: usize = PAGE_BYTES;

/// How long a change that waits for something nobody tells of (a disk to show up, a user to go) waits until it looks again.
pub const CHANGE_RETRY: Duration = Duration::from_millis(10);

/// Directories one tree is made of (ext4 layers of a container image; overlayfs takes 500). A name that none of them has is
/// looked for in each. More are E2BIG.
pub const MAX_LAYERS: usize = 128;

/// Files and directories shown at other places. One more is refused with the limit's name.
pub const MAX_BINDS: usize = 256;

/// Most bytes of a partition table: what the standard asks for at least, twice. A larger one is refused.
pub const PARTITION_TABLE_BYTES: u32 = 32 * 1024;

/// Pages read at once when a file is read from its start to its end.
pub const READ_AHEAD_PAGES: usize = hal::limits::MAX_REQUEST_FRAMES;

/// Reads of one disk that are under way at once. One more waits for a completion.
pub const MAX_READS: usize = 32;

/// The part of all frames that reading ahead leaves alone: one in so many.
pub const READ_RESERVE: usize = 32;

/// The part of all frames that in-memory files leave to programs: one in so many. A write that would need more gives
/// ENOSPC, where otherwise the next program to touch a new page would be killed.
pub const WRITE_RESERVE: usize = 16;

/// Clean pages forgotten at once, at least, when memory is short.
pub const RECLAIM_PAGES: usize = 32;

/// Frames of memory for each chain of the page cache, within the bounds below: chains are short, heads are a kilobyte
/// for each megabyte.
pub const FRAMES_PER_BUCKET: usize = 4;

/// Fewest chains of the page cache.
pub const MIN_PAGE_BUCKETS: usize = 64;

/// Most chains of the page cache: 256 KiB of heads.
pub const MAX_PAGE_BUCKETS: usize = 1 << 16;

const _: () = assert!(MIN_PAGE_BUCKETS.is_power_of_two() && MAX_PAGE_BUCKETS.is_power_of_two());

/// Most names of one file (as on ext4). One more is EMLINK.
pub const MAX_LINKS: u32 = 65000;

/// Heads of the chains in which names are found: one for so many frames of the machine, within these bounds, all powers of
/// two. The greatest number of names makes chains of four.
pub const FRAMES_PER_NAME_BUCKET: usize = 16;

/// See [`FRAMES_PER_NAME_BUCKET`].
pub const MIN_NAME_BUCKETS: usize = 256;

/// See [`FRAMES_PER_NAME_BUCKET`].
pub const MAX_NAME_BUCKETS: usize = 8192;

const _: () = assert!(MIN_NAME_BUCKETS.is_power_of_two() && MAX_NAME_BUCKETS.is_power_of_two());
const _: () = assert!(MAX_NAMES / MAX_NAME_BUCKETS <= 4);

/// Names looked at for one that can be forgotten, each time one is made.
pub const MAX_NAME_LOOKS: usize = 64;

/// Heads of the chains in which files of disks and of the initrd are found.
pub const BASE_BUCKETS: usize = 256;

/// Heads of the chains in which the initrd's entries are found.
pub const INITRD_BUCKETS: usize = 512;

/// Keys that wait to be remembered at once; when more come together, everybody is woken.
pub const PENDING_WAKES: usize = 32;

/// Longest text a file of `/proc` gives; what is longer is cut at a line.
pub const REPORT_BYTES: usize = 64 * 1024;

/// Largest file: its pages, and one for its attributes, can be counted with 32 bits. Writing behind it is EFBIG.
pub const FILE_BYTES: u64 = (ATTRIBUTE_PAGE as u64) * PAGE_BYTES as u64;

/// Number of the page that holds the extended attributes that were set, names and values together. What does not fit in is
/// ENOSPC, as on ext4.
pub const ATTRIBUTE_PAGE: u32 = u32::MAX - 1;

/// Entries of the initrd. What is behind them makes the archive unusable as a root; that is logged.
pub const MAX_INITRD_ENTRIES: usize = 16384;

/// Buffers of one readv(2) or writev(2) (Linux `UIO_MAXIOV`). More are EINVAL.
pub const MAX_BUFFERS: usize = 1024;

/// Frames of memory for which the tables of one process are made ready at start.
///
/// A process whose program and names are cached must not call the heap, and neither may one more of them at once than
/// ever before. So what bounds concurrency is there from the start, for as many as RAM can carry: 80 from about 52 MiB of
/// RAM on. With names and containers they take most of the
/// heap (1/16 of RAM) there; what is left is for cold paths. Beyond it the tables grow, and at their limits the host is refused.
pub const FRAMES_PER_PROCESS: usize = 160;

/// Processes whose tables are made ready where RAM is scarce: one that runs, one that ends, one that starts, one spare.
pub const MIN_READY_PROCESSES: usize = 4;

/// Returns for how many processes tables are made ready on a machine of `frames` frames: what the agent may start at most.
#[must_use]
pub const fn ready_processes(frames: usize) -> usize {
    let processes = frames / FRAMES_PER_PROCESS;
    if processes < MIN_READY_PROCESSES {
        MIN_READY_PROCESSES
    } else if processes > agent::limits::MAX_PROCESSES {
        agent::limits::MAX_PROCESSES
    } else {
        processes
    }
}

/// Address spaces made ready for each process: its own, and that of one that ended and is still being taken down. As many
/// sets of signal actions and credentials.
pub const SPACES_PER_PROCESS: usize = 2;

/// Areas of an address space made ready. Static programs have about ten. A list that grew is kept up to
/// [`SPARE_AREAS`]; another program of more areas grows its own.
pub const READY_AREAS: usize = 24;

/// Areas of the largest list whose memory is kept for the next address space.
pub const SPARE_AREAS: usize = 128;

/// Files shown by areas that are made ready for each process: its program, with its two address spaces, and some more.
pub const SHOWN_PER_PROCESS: usize = 4;

/// Descriptor tables made ready for each process: its own, and that of one that ended whose files are still being closed.
pub const TABLES_PER_PROCESS: usize = 2;

/// Descriptors of a table made ready: the three streams and a few files.
pub const READY_DESCRIPTORS: usize = 8;

/// Descriptors of the largest table whose memory is kept for the next one.
pub const SPARE_DESCRIPTORS: usize = 64;

const _: () = assert!(READY_DESCRIPTORS <= SPARE_DESCRIPTORS && READY_AREAS <= SPARE_AREAS);

/// Pipes made ready for each descriptor table: three streams.
pub const PIPES_PER_PROCESS: usize = 3;

/// Returns for how many containers tables are made ready, by the processes they are made ready for: in the proportion of
/// the agent's limits, and for one where RAM is scarce.
#[must_use]
pub const fn ready_views(processes: usize) -> usize {
    let views = processes * agent::limits::MAX_CONTAINERS / agent::limits::MAX_PROCESSES;
    if views == 0 { 1 } else { views }
}

const _: () = assert!(ready_views(agent::limits::MAX_PROCESSES) == agent::limits::MAX_CONTAINERS);

/// Trees made ready for each container's view: its own, and that of a deleted one that still forgets its names.
pub const TREES_PER_VIEW: usize = 2;

/// Names, and inodes, made ready for each such tree: its furniture (`/dev` with thirteen files, `/proc`, `/tmp`) and
/// the way to its program and working directory.
pub const NAMES_PER_VIEW: usize = 27;

/// Mounts made ready for each of them: the tree itself, `/dev`, `/dev/pts` and `/proc`.
pub const MOUNTS_PER_VIEW: usize = 4;

/// Frames of memory for which one clean name is kept: with its inodes a name takes about three quarters of a KiB, and all of them
/// less than a quarter of the heap, which has other tables to hold.
pub const FRAMES_PER_NAME: usize = 12;

/// Bytes that a file's name in memory is charged as: its entry and its inode. Long names, and long targets of symbolic links,
/// count as so many more of them.
pub const NAME_MEMORY_BYTES: usize = 512;

/// Names up to this long, and targets of symbolic links, lie in their entry, not on the heap. Linux has 40
/// (`DNAME_INLINE_LEN`).
pub const SHORT_NAME_BYTES: usize = 30;

/// Room for the name of a user and its group, terminator included. Longer than any that login(1) takes; a longer one is
/// refused with the limit's name.
pub const USER_NAME_BYTES: usize = 256;

/// Bytes of `/etc/passwd` or `/etc/group` that one step of a load looks at.
pub const USER_WINDOW_BYTES: usize = 1024;

/// Longest such list. In a longer one nobody is looked for, and the load fails: its reading would take many turns.
pub const USER_LIST_BYTES: u64 = 1 << 20;

const _: () = assert!(USER_NAME_BYTES < USER_WINDOW_BYTES);
