//! Capacities of the agent: meaning, reason, source, and what the host sees at each.

/// Processes that may exist at once in the utility VM and all containers.
///
/// More than the 64 that the product promises, so that a burst of exits and starts can overlap. At the limit
/// ExecuteProcess and Create are refused with the limit's name.
pub const MAX_PROCESSES: usize = 80;

const _: () = assert!(hal::limits::MAX_CONNECTIONS >= 2 + 3 * MAX_PROCESSES);

/// Longest path that crosses the kernel interface, terminator not counted (Linux `PATH_MAX` - 1).
pub const PATH_BYTES: usize = 4095;

/// Longest program name kept for an error text; a longer one is cut with a mark.
pub const ERROR_PATH_BYTES: usize = 255;

/// Most supplementary groups of a process. A longer list is refused with the limit's name.
pub const MAX_GROUPS: usize = 32;
