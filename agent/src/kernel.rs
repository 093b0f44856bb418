//! The tiny kernel interface: what the agent asks of whatever runs the programs.
//!
//! Every method returns at once. What takes time (a disk must be read to load a program, a program runs until it
//! exits) is reported later by [`Kernel::next_event`]. There are two implementations: `kernel::Kernel` on the machine
//! and `fakes::kernel::FakeKernel` in tests.
//!
//! ```text
//! spawn ──► Loading ──Loaded(Ok)──► Stopped ──attach, start──► Running ──Exited──► Zombie ──release──► gone
//!              └───Loaded(Err)──► gone          └──abort──► gone              (output can still be read)
//! change ──► Changed(Ok or Err)
//! ```

mod change;
mod channel;

pub use change::{Action, Change, ChangeId, Medium, Part, Writes};
pub use channel::{ChannelId, Over};

use crate::limits::{ERROR_NAME_BYTES, ERROR_PATH_BYTES, MAX_GROUPS};
pub use crate::resource::{CpuWeight, DiskUsage, Limits, MemoryKill, Throttling, UNLIMITED, Usage};
use core::fmt;
use core::time::Duration;
use hal::clock::Instant;
use hal::vsock::{Address, Direction, Port};

/// A process id: non-zero, below 2^31, unique among live processes of the whole VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pid(pub u32);

/// A container's view of the machine (its root directory and its account). [`View::UTILITY_VM`] always exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// Slot.
    pub index: u16,
    /// How often the slot was used before.
    pub generation: u16,
}

impl View {
    /// The utility VM itself: the root disk, the account that is charged for external processes.
    pub const UTILITY_VM: Self = Self {
        index: 0,
        generation: 0,
    };
}

/// Strings packed one behind the other, each ended by a NUL, as they lie in the request's buffer.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct StringList<'a> {
    packed: &'a [u8],
}

impl<'a> StringList<'a> {
    /// Takes packed strings; `None` when the last one is not ended by a NUL.
    #[must_use]
    pub fn from_packed(packed: &'a [u8]) -> Option<Self> {
        matches!(packed.last(), None | Some(0)).then_some(Self { packed })
    }

    /// Returns the packed bytes, NULs included.
    #[must_use]
    pub const fn as_packed(self) -> &'a [u8] {
        self.packed
    }

    /// Returns whether there is no string.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.packed.is_empty()
    }

    /// Returns the strings in order, without their NULs.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.packed
            .split_inclusive(|&byte| byte == 0)
            .map(|string| &string[..string.len() - 1])
    }
}

impl fmt::Debug for StringList<'_> {
    /// Says how many strings there are; their content may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StringList({} strings)", self.iter().count())
    }
}

/// On whose behalf a program runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: heapless::Vec<u32, MAX_GROUPS>,
    /// Whether no program it executes may act on behalf of another than it does (`PR_SET_NO_NEW_PRIVS`).
    pub no_new_privileges: bool,
    /// What it may do beyond what its ids allow; `None`: as root everything, as a user nothing.
    pub capabilities: Option<CapabilitySets>,
}

/// How many limits a process has (getrlimit(2)).
pub const PROCESS_LIMITS: usize = 16;

/// Limits of a process: soft and hard, by the number of the resource (asm-generic/resource.h).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Those that were asked for; the others are the kernel's.
    pub asked: [Option<(u64, u64)>; PROCESS_LIMITS],
    /// One that cannot be.
    pub missed: Option<&'static str>,
}

/// Sets of capabilities: a bit for each, by its number (linux/capability.h). They are those before the program is executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapabilitySets {
    /// What programs can get at most.
    pub bounding: u64,
    /// What it has.
    pub effective: u64,
    /// What a program executed as root has besides those in bounds.
    pub inheritable: u64,
    /// What it may have.
    pub permitted: u64,
    /// What a program executed as a user has.
    pub ambient: u64,
}

/// A program to run. Everything is copied by [`Kernel::spawn`].
#[derive(Clone, Debug)]
pub struct Program<'a> {
    /// Arguments, the program first. A name without a slash is searched for in the `PATH` of `env`, or in
    /// `/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin` when that has none. Never empty.
    pub args: StringList<'a>,
    /// The complete environment.
    pub env: StringList<'a>,
    /// Working directory; empty means `/`. Created when it does not exist, as OCI runtimes do.
    pub cwd: &'a str,
    /// User, group and further groups.
    pub credentials: Credentials,
    /// The user by name: `user` or `user:group`, each a name or a number, to be looked up in the program's root; it takes the
    /// place of the two ids. When it is empty and the view's first process had a name, they are that one's.
    pub user: &'a str,
    /// Whether standard input, output and error are one terminal.
    pub terminal: bool,
    /// What it may have.
    pub limits: ProcessLimits,
}

/// What one of a process's three standard streams is connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// A pipe whose other end is the agent's.
    Pipe,
    /// A pipe whose other end is closed: reads give end of file, writes EPIPE.
    #[default]
    Closed,
    /// `/dev/null`.
    Null,
}

/// What a process's standard streams are connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stdio {
    /// Descriptor 0.
    pub stdin: End,
    /// Descriptor 1.
    pub stdout: End,
    /// Descriptor 2.
    pub stderr: End,
}

/// One of the two streams that come out of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutputStream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// What there is to take from an output stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output<'a> {
    /// Bytes in order; possibly not all there are. Take them with [`Kernel::consume`].
    pub bytes: &'a [u8],
    /// Whether nothing will ever come behind `bytes`: every writer is gone.
    pub ended: bool,
}

/// What became of bytes offered to a process's standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The pipe took this many; [`Event::InputReady`] follows when it took less than was offered.
    Took(usize),
    /// No reader is left; nothing more will ever be taken.
    Broken,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It called exit; the low eight bits of the argument.
    Exited(u8),
    /// A signal killed it.
    Killed(Signal),
}

impl ExitStatus {
    /// Returns the code the protocol reports: the exit status, or 128 + signal (gcs-protocol §7.4).
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Exited(status) => status as u32,
            Self::Killed(signal) => 128 + signal.number() as u32,
        }
    }
}

/// A Linux signal number, 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Signal(u8);

impl Signal {
    /// SIGKILL.
    pub const KILL: Self = Self(9);
    /// SIGSEGV.
    pub const SEGV: Self = Self(11);
    /// SIGTERM.
    pub const TERM: Self = Self(15);

    /// Returns the signal with this number, `None` outside 1 to 64.
    #[must_use]
    pub const fn from_number(number: i32) -> Option<Self> {
        if number >= 1 && number <= 64 {
            Some(Self(number as u8))
        } else {
            None
        }
    }

    /// Returns the number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// Why a program could not be loaded, or a change could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// Linux error number: ENOENT, EACCES, ENOEXEC, ENOMEM, EIO …
    pub errno: i32,
    /// What exactly was wrong, lower case, no final period: `no such file or directory`.
    pub reason: &'static str,
    /// What it was about: the program, the directory or the disk that was looked for, cut to [`ERROR_PATH_BYTES`].
    pub path: heapless::String<ERROR_PATH_BYTES>,
    /// Who keeps it, of what is to be taken away and is in use.
    pub holder: Option<Holder>,
}

/// Who keeps something from being taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A process: it has its root, its working directory, its program, an open file or a mapping there.
    Process(Pid),
    /// The container of a view, whose root it is or which shows a part of it.
    View(View),
    /// Another tree, mounted at this path, stands on it.
    Tree(heapless::String<ERROR_NAME_BYTES>),
}

/// Something that happened in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A spawned program is ready to be started, or will never be. After an error the pid is void.
    Loaded(Pid, Result<(), LoadError>),
    /// There is output to take, or an output stream ended.
    OutputReady(Pid),
    /// Standard input has room again, or lost its reader.
    InputReady(Pid),
    /// A process ended. Its output can still be read; [`Kernel::release`] ends that.
    Exited(Pid, ExitStatus),
    /// A change was made, or will never be. Its id is void now.
    Changed(ChangeId, Result<(), LoadError>),
    /// A process was killed for its memory; what else its end brings about follows as ever.
    OutOfMemory(MemoryKill),
    /// A program wants to be connected with this port of the host, within this time.
    Dial(ChannelId, Port, Duration),
    /// A channel has something to take or room again, or its program has ended a direction or let it go.
    ChannelReady(ChannelId),
}

/// Why the kernel will not do something now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such process (any more).
    NoProcess,
    /// There is no such view (any more).
    NoView,
    /// The process is not in a state that allows it.
    WrongState,
    /// A capacity is used up: its name and its size.
    Limit(&'static str, usize),
    /// There is not enough memory.
    OutOfMemory,
    /// The process has no terminal.
    NotATerminal,
    /// It is not something this kernel does; the name says what.
    Unsupported(&'static str),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProcess => f.write_str("no such process"),
            Self::NoView => f.write_str("no such container"),
            Self::WrongState => f.write_str("the process is not in a state that allows it"),
            Self::Limit(name, size) => write!(f, "limit reached: {name} = {size}"),
            Self::OutOfMemory => f.write_str("out of memory"),
            Self::NotATerminal => f.write_str("the process has no terminal"),
            Self::Unsupported(what) => write!(f, "not supported: {what}"),
        }
    }
}

/// One process, for ProcessList.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its id.
    pub pid: Pid,
    /// The view it belongs to.
    pub view: View,
    /// File name of its program, cut to 15 bytes as Linux's `comm` is.
    pub name: heapless::String<15>,
    /// Processor time in user mode.
    pub user_time: Duration,
    /// Processor time spent in the kernel on its behalf.
    pub kernel_time: Duration,
    /// Bytes of memory charged to it.
    pub memory_bytes: u64,
    /// When it was made, since 1970-01-01 UTC; `None` on a machine without a wall clock.
    pub created: Option<Duration>,
}

/// Whatever runs the programs.
pub trait Kernel {
    /// Makes a container's view whose root is the directory `root` of the utility VM: the tree itself where one is
    /// mounted there, else a copy of its own. Whether the directory exists is found out when the first program is loaded.
    /// A container of a pod names the view of the pod's `sandbox`: their programs know one another's sockets by abstract
    /// names, as in one network namespace; nobody else does.
    ///
    /// # Errors
    ///
    /// [`Refusal::Limit`] or [`Refusal::OutOfMemory`].
    fn create_view(
        &mut self,
        root: &str,
        writes: Writes,
        sandbox: Option<View>,
    ) -> Result<View, Refusal>;

    /// Gives a view a name of its own: uname(2) tells it to programs there, and to those of its pod's containers that have
    /// none.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoView`], [`Refusal::Limit`] for a longer name than Linux lets a machine have, [`Refusal::OutOfMemory`].
    fn name_view(&mut self, view: View, name: &str) -> Result<(), Refusal>;

    /// Removes a view and everything that was written in it. Processes that are left in it are killed; they vanish
    /// without events.
    fn remove_view(&mut self, view: View);

    /// Sets what a view may use from now on.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoView`], [`Refusal::Unsupported`]; nothing is set then.
    fn set_limits(&mut self, view: View, limits: Limits) -> Result<(), Refusal>;

    /// Returns what a view has used and may use; `None` for one that is gone. [`View::UTILITY_VM`] is the whole
    /// machine: everything that is in use or was, containers' included.
    fn usage(&self, view: View) -> Option<Usage>;

    /// Returns what was read on a view's behalf from the `nth` of the disks it has read from, in their order; `None`
    /// behind the last.
    fn disk_usage(&self, view: View, nth: usize) -> Option<DiskUsage>;

    /// Begins a change. What it must wait for (a disk that is not there, somebody who uses what is to be taken away) is
    /// waited for until `deadline` at most. [`Event::Changed`] follows, except for a change of a view: those are made in
    /// order before the view's first program is loaded, and one that cannot be made is why that cannot be loaded.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoView`], [`Refusal::Limit`] or [`Refusal::OutOfMemory`].
    fn change(&mut self, change: &Change<'_>, deadline: Instant) -> Result<ChangeId, Refusal>;

    /// Gives a change up: nobody waits for it any more. No event follows. What it has mounted by now stays.
    fn give_up(&mut self, change: ChangeId);

    /// Begins loading a program. [`Event::Loaded`] follows; after its success the process exists, stopped.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoView`], [`Refusal::Limit`], [`Refusal::OutOfMemory`], [`Refusal::Unsupported`].
    fn spawn(&mut self, view: View, program: &Program<'_>) -> Result<Pid, Refusal>;

    /// Connects a stopped process's standard streams. Without it they are [`End::Closed`].
    ///
    /// # Errors
    ///
    /// [`Refusal::NoProcess`], [`Refusal::WrongState`] unless stopped, [`Refusal::OutOfMemory`].
    fn attach(&mut self, pid: Pid, stdio: Stdio) -> Result<(), Refusal>;

    /// Lets a stopped process run.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoProcess`], [`Refusal::WrongState`] unless stopped.
    fn start(&mut self, pid: Pid) -> Result<(), Refusal>;

    /// Takes back a process that is loading or stopped. No event follows. Any other pid does nothing.
    fn abort(&mut self, pid: Pid);

    /// Forgets an exited process and what is left of its output. Any other pid does nothing.
    fn release(&mut self, pid: Pid);

    /// Sends a signal. A stopped process (not started yet) is ended by KILL and TERM with [`Event::Exited`].
    ///
    /// # Errors
    ///
    /// [`Refusal::NoProcess`], also for one that has exited.
    fn signal(&mut self, pid: Pid, signal: Signal) -> Result<(), Refusal>;

    /// Sets the window size of a process's terminal.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoProcess`], [`Refusal::NotATerminal`].
    fn resize(&mut self, pid: Pid, rows: u16, columns: u16) -> Result<(), Refusal>;

    /// Offers bytes to a process's standard input.
    fn offer_input(&mut self, pid: Pid, bytes: &[u8]) -> Input;

    /// Ends a process's standard input: its reader sees the end after what was taken before.
    fn close_input(&mut self, pid: Pid);

    /// Lends what a process has written.
    fn output(&self, pid: Pid, stream: OutputStream) -> Output<'_>;

    /// Takes `count` bytes that [`Kernel::output`] lent; the writer gets room.
    fn consume(&mut self, pid: Pid, stream: OutputStream, count: usize);

    /// Ends an output stream from outside: what is there is dropped, later writes give EPIPE.
    fn close_output(&mut self, pid: Pid, stream: OutputStream);

    /// Offers programs a connection that the host's port `from` wants to port `to`: the one that listens there has it
    /// from now on. `None` when nobody listens, or who does has enough that it has not accepted.
    fn admit(&mut self, to: Port, from: Port) -> Option<ChannelId>;

    /// A channel stands: the host knows its program at `local`.
    fn connected(&mut self, channel: ChannelId, local: Address);

    /// Lends what a program has sent. `ended` when it will send no more.
    fn sent(&self, channel: ChannelId) -> Output<'_>;

    /// Takes `count` bytes that [`Kernel::sent`] lent; the program gets room.
    fn take_sent(&mut self, channel: ChannelId, count: usize);

    /// Offers a program bytes from the host; none at all to learn whether it receives any.
    /// [`Event::ChannelReady`] follows when it took less than was offered.
    fn deliver(&mut self, channel: ChannelId, bytes: &[u8]) -> Input;

    /// The host has ended a direction: it sends no more (the program sees the end behind what was delivered), or takes no
    /// more (what was sent is dropped, and sending gives EPIPE).
    fn hang_up(&mut self, channel: ChannelId, direction: Direction);

    /// A channel is over. Its id is void then, and what was not taken is dropped.
    fn end_channel(&mut self, channel: ChannelId, how: Over);

    /// Returns the next thing that happened.
    fn next_event(&mut self) -> Option<Event>;

    /// Returns the `nth` live process of a view, in the order of their ids; `None` behind the last.
    fn process(&self, view: View, nth: usize) -> Option<ProcessInfo>;

    /// Writes the state of every process and the kernel's counters for DumpStacks. An error of `out` (it is full) ends
    /// the report.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    fn dump(&self, out: &mut dyn fmt::Write) -> fmt::Result;

    /// Feeds bytes from the host's entropy stream into the random generator.
    fn add_entropy(&mut self, bytes: &[u8]);

    /// Powers the machine off, as soon as the caller's loop comes round.
    fn power_off(&mut self);
}
