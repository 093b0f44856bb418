//! Capacities of the agent: meaning, reason, source, and what the host sees at each.

/// Processes that may exist at once in the utility VM and all containers.
///
/// More than the 64 that the product promises, so that a burst of exits and starts can overlap. At the limit
/// ExecuteProcess and Create are refused with the limit's name.
pub const MAX_PROCESSES: usize = 80;

const _: () = assert!(hal::limits::AGENT_CONNECTIONS >= 2 + 3 * MAX_PROCESSES);

/// Containers that may be registered at once, deleted ones whose processes still end included. Create is refused with
/// the limit's name.
pub const MAX_CONTAINERS: usize = 32;

/// Unanswered WaitForProcess requests. Three for each process; one more is refused with the limit's name.
pub const MAX_WAITERS: usize = 256;

const _: () = assert!(MAX_WAITERS >= 3 * MAX_PROCESSES);

/// ModifySettings requests whose change is under way. One more is refused with the limit's name.
pub const MAX_MODIFICATIONS: usize = 32;

/// Exit codes of exec and external processes kept for a wait that may still come. When one more is to be kept, the
/// oldest answered one, else the oldest, is forgotten: a later wait for it learns `no such process`. An init's exit
/// code is kept with its container and never forgotten before DeleteContainerState.
pub const MAX_EXIT_RECORDS: usize = 256;

/// Longest container id. hcsshim uses 64 hexadecimal digits; ids are opaque here. Create refuses a longer one by name;
/// elsewhere it is an unknown container.
pub const CONTAINER_ID_BYTES: usize = 128;

/// Longest path that crosses the kernel interface, terminator not counted (Linux `PATH_MAX` - 1).
pub const PATH_BYTES: usize = 4095;

/// Longest program name kept for an error text; a longer one is cut with a mark.
pub const ERROR_PATH_BYTES: usize = 255;

/// Longest name out of a request that an error text repeats: a container id of hcsshim, a mount point. A longer one is cut
/// with a mark.
pub const ERROR_NAME_BYTES: usize = 80;

/// Most supplementary groups of a process. A longer list is refused with the limit's name.
pub const MAX_GROUPS: usize = 32;

/// Most variables of an `Environment` object, whose members are unique and are therefore compared pairwise. A larger
/// one is refused with the limit's name. Lists (`env`, `args`) are limited by the body buffer alone.
pub const MAX_VARIABLES: usize = 1024;

/// Bytes of a frame's header (gcs-protocol §3).
pub const HEADER_BYTES: usize = 16;

/// Largest frame the host accepts, header included (gcs-protocol §3.2); a larger one ends the bridge.
pub const MAX_FRAME_BYTES: usize = 65536;

/// Smallest body buffer: what a request with a small command needs. A longer body is drained and refused with the
/// buffer's size.
pub const MIN_BODY_BYTES: usize = 4096;

/// Largest body buffer that is of use: real OCI specifications stay well below.
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// Bytes of error text, before escaping; longer text is cut with a mark. It goes out twice (ErrorMessage and the
/// record) and a byte may become six.
pub const ERROR_TEXT_BYTES: usize = 1024;

/// Bytes that any answer but DumpStacks and GetProperties needs at most.
pub const SMALL_RESPONSE_BYTES: usize = 16 * 1024;

const _: () = assert!(2 * 6 * ERROR_TEXT_BYTES + 1024 <= SMALL_RESPONSE_BYTES);

/// Bytes of DumpStacks text after escaping; what is behind is cut, with a note of how much. The rest of the frame is
/// for the note and the response around it.
pub const STACKS_BYTES: usize = MAX_FRAME_BYTES - 2048;

/// Bytes of a process list that tells details; of processes behind them it tells the ids, so that none is left out.
pub const PROCESS_DETAILS_BYTES: usize = 36 * 1024;

/// Bytes of one process with details at most: names, numbers, and a name of characters that are escaped twice.
const PROCESS_BYTES: usize = 512;

/// Bytes of one process without details, its pid below 2^22: `{\"ProcessId\":4194303},`.
const BARE_PROCESS_BYTES: usize = 27;

/// Bytes of all statistics with every number at its largest and every disk.
const STATISTICS_BYTES: usize = 12 * 1024;

/// Processes that one response can always tell.
pub const MAX_LISTED_PROCESSES: usize =
    (MAX_FRAME_BYTES - 1024 - PROCESS_DETAILS_BYTES - PROCESS_BYTES - STATISTICS_BYTES)
        / BARE_PROCESS_BYTES;

/// JSON values inside each other. Real documents use about ten; deeper ones are refused with their position.
pub const MAX_JSON_DEPTH: usize = 128;

/// Log lines on their way to the host. A line that does not fit is dropped, and a later line says how many were.
pub const LOG_BUFFER_BYTES: usize = 8192;

/// Text of one log line before escaping; longer text is cut with a mark.
pub const LOG_TEXT_BYTES: usize = 512;

const _: () = assert!(6 * LOG_TEXT_BYTES + 128 <= LOG_BUFFER_BYTES);

/// Random bytes taken from the entropy port. hcsshim sends 512; what is behind is left unread.
pub const MAX_ENTROPY_BYTES: usize = 4096;

/// How long entropy and log may take to be accepted, and entropy to be read. Failing is not fatal.
pub const START_MS: u64 = 10_000;

/// Pause before a bridge that was lost or refused is dialled again. hcsshim `cmd/gcs/main.go` pauses for 100 ms; a host that
/// comes back should be found within 10.
pub const REDIAL_MS: u64 = 8;

/// Pause before the log is dialled again, where the command line asks for that (hcsshim `vsockexec -r`, 100 ms).
pub const LOG_REDIAL_MS: u64 = 100;

/// How long a disk that is to be mounted may take to show up. Then the request fails, long before the host gives the
/// whole VM up (gcs-protocol §13, 5 minutes).
pub const DISK_WAIT_MS: u64 = 5_000;

/// How long what is to be unmounted may still be in use: what has just ended lets go by and by. Then the request fails.
pub const UNMOUNT_WAIT_MS: u64 = 2_000;

/// How long a standard stream may take to be accepted; after that ExecuteProcess fails.
pub const STREAM_DIAL_MS: u64 = 5_000;

/// How long an exited process's output waits for the host since the last byte the host took. Then what is left is
/// dropped and the exit is reported. Well below the 30 s after which hcsshim's legacy shim takes a container that was
/// killed and not reported for a reason to close the whole VM (gcs-protocol §16.17).
pub const DRAIN_MS: u64 = 20_000;

/// How long the exit notification waits for the WaitForProcess that a host sends right behind ExecuteProcess. It is only
/// used up by a host that never waits.
pub const WAIT_GRACE_MS: u64 = 1_000;

/// How long the last responses may take to leave before the machine powers off.
pub const FAREWELL_MS: u64 = 1_000;

/// Events, frames or chunks of one kind worked off in one step, so that programs get their turn.
pub const STEP_QUOTA: usize = 64;

/// Bytes copied for one stream in one step.
pub const STEP_STREAM_BYTES: usize = 256 * 1024;
