//! Capacities of the kernel: meaning, reason, source, and what a user sees at each.

use core::time::Duration;
use hal::limits::PAGE_BYTES;

/// Processes that may exist at once, zombies included.
///
/// More than the agent may start, because programs will fork. At the limit `spawn` is refused with the limit's name.
pub const MAX_PROCESSES: usize = 256;

const _: () = assert!(MAX_PROCESSES >= agent::limits::MAX_PROCESSES);

/// Tasks (threads of all processes) that may exist at once. At the limit a program gets EAGAIN.
pub const MAX_TASKS: usize = 512;

const _: () = assert!(MAX_TASKS >= MAX_PROCESSES);

/// Containers' views that may exist at once, the utility VM's included. At the limit Create is refused.
pub const MAX_VIEWS: usize = 65;

/// Areas of one address space (Linux `vm.max_map_count` is 65530). At the limit `mmap` gives ENOMEM.
pub const MAX_AREAS: usize = 4096;

/// How long a task runs while others are ready. Short enough that 64 busy programs each run four times a second,
/// long enough that switching costs nothing.
pub const SLICE: Duration = Duration::from_millis(4);

/// Bytes one entry into the kernel copies before it lets the bridge have its turn.
pub const WORK_BYTES: usize = 64 * 1024;

/// Pages one entry into the kernel maps, unmaps or releases before it lets the bridge have its turn.
pub const WORK_PAGES: usize = 64;

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

/// Longest path of a system call, NUL included (Linux `PATH_MAX`). A longer one gives ENAMETOOLONG.
pub const PATH_BYTES: usize = agent::limits::PATH_BYTES + 1;

const _: () = assert!(PATH_BYTES <= PAGE_BYTES);

/// Program headers of an ELF file. Linkers write about a dozen. More are ENOEXEC.
pub const MAX_PROGRAM_HEADERS: usize = 64;

/// System calls of a task that `dump` remembers.
pub const CALL_HISTORY: usize = 8;

/// Different system call numbers answered with ENOSYS that are counted one by one; more are counted together.
pub const MAX_UNKNOWN_CALLS: usize = 32;
