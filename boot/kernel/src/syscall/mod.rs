//! System calls: the table from numbers to handlers, and what a handler gets and gives.
//!
//! A handler is `fn(&mut System<B>, &mut Call) -> Outcome`. It reads its arguments from the [`Call`], reaches the
//! program's memory with [`crate::user_memory`], and ends with a value, an error, or [`Stall::wait`]. A call that
//! waits is parked as it is and the same handler is called again after the wake-up or the deadline, with what it kept
//! in `progress` and `deadline`; so a handler is written as "try it now", without a loop. One entry does at most
//! [`crate::limits::WORK_BYTES`] or [`crate::limits::WORK_PAGES`] of work and then returns [`Stall::AGAIN`] with its
//! progress, so that a huge call never delays the bridge.

mod advice;
mod alarm;
mod attribute;
mod capability;
mod clock;
mod clone;
mod copy;
mod descriptor;
mod directory;
mod epoll;
mod event;
mod exec;
mod file_time;
mod futex;
mod group;
mod identity;
mod io_priority;
mod kill;
mod limit;
mod lock;
mod machine;
mod memory;
mod message;
mod open;
mod owner;
mod path;
mod poll;
mod prctl;
mod priority;
mod process;
mod signal;
mod socket;
mod splice;
mod terminal;
mod timer;
mod transfer;
mod vsock;
mod wait;
mod xattr;

pub(crate) use clock::{Meaning, Used};
pub(crate) use machine::RELEASE;
pub(crate) use prctl::NAME_BYTES as TASK_NAME_BYTES;

use crate::errno::Errno;
use crate::process::ProcessId;
use crate::space::SpaceId;
use crate::system::System;
use crate::task::TaskId;
use crate::user_memory::UserAddr;
use crate::wait::Stall;
use hal::block::Block;
use hal::clock::Instant;
use hal::user::Registers;

/// What becomes of a call that a signal handler interrupts while it is parked (signal(7), "Interruption of system
/// calls and library functions by signal handlers").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Restart {
    /// Tried again when the handler was installed with SA_RESTART, EINTR otherwise.
    #[default]
    IfAsked,
    /// EINTR whatever the handler asked for: sleeping, polling.
    Never,
    /// As [`Restart::IfAsked`]; its progress is an open file without a descriptor, which is given back when the call is
    /// given up.
    Opens,
    /// It returns its progress, whatever the handler asked for: bytes that were moved cannot be moved again.
    Keeps,
}

/// One system call, from its instruction to its result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// Which task called.
    pub(crate) task: TaskId,
    /// Its process.
    pub(crate) process: ProcessId,
    /// Its address space.
    pub(crate) space: SpaceId,
    /// The call's number.
    pub(crate) number: u32,
    /// The six arguments as they came.
    pub(crate) arguments: [u64; 6],
    /// What earlier tries got done, in the handler's own unit; 0 at the first try.
    pub(crate) progress: u64,
    /// When a waiting call is tried once more even if nothing woke it. Set by the handler at its first try.
    pub(crate) deadline: Option<Instant>,
    /// What a signal does while the call is parked.
    pub(crate) restart: Restart,
    /// Whether it has set all registers itself, so that its result goes nowhere (rt_sigreturn, execve).
    pub(crate) sets_registers: bool,
}

impl Call {
    /// Makes room for the calls of a task.
    pub(crate) const fn of(task: TaskId, process: ProcessId, space: SpaceId) -> Self {
        Self {
            task,
            process,
            space,
            number: 0,
            arguments: [0; 6],
            progress: 0,
            deadline: None,
            restart: Restart::IfAsked,
            sets_registers: false,
        }
    }

    /// Becomes the call that registers ask for.
    #[inline(always)]
    pub(crate) const fn begin(&mut self, space: SpaceId, registers: &Registers) {
        let r = registers;
        self.space = space;
        // Linux takes `eax` (arch/x86/entry/common.c, `do_syscall_64`).
        self.number = r.rax as u32;
        self.arguments = [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9];
        self.progress = 0;
        self.deadline = None;
        self.restart = Restart::IfAsked;
        self.sets_registers = false;
    }

    /// Returns argument `nth` as a number.
    pub(crate) const fn number(&self, nth: usize) -> u64 {
        self.arguments[nth]
    }

    /// Returns argument `nth` as a C `int`: its lower half.
    pub(crate) const fn int(&self, nth: usize) -> i32 {
        self.arguments[nth] as i32
    }

    /// Returns argument `nth` as a C `unsigned int`.
    pub(crate) const fn uint(&self, nth: usize) -> u32 {
        self.arguments[nth] as u32
    }

    /// Returns argument `nth` as a pointer.
    pub(crate) const fn address(&self, nth: usize) -> UserAddr {
        UserAddr(self.arguments[nth])
    }

    /// Returns argument `nth` as a size that this machine can have.
    ///
    /// # Errors
    ///
    /// EINVAL when it is not.
    pub(crate) fn size(&self, nth: usize) -> Result<usize, Errno> {
        usize::try_from(self.arguments[nth]).map_err(|_| Errno::EINVAL)
    }
}

/// How a try of a system call ended.
pub(crate) type Outcome = Result<u64, Stall>;

/// Returns the name of a call that has a handler.
pub(crate) fn name(number: u32) -> Option<&'static str> {
    NAMES.lines().find_map(|line| {
        let (listed, name) = line.split_once(' ')?;
        (listed.parse() == Ok(number)).then_some(name)
    })
}

/// Writes the function that calls a number's handler and the list of names. A table of function pointers
/// would do the same but could not be a constant for every `B`.
macro_rules! calls {
    ($($number:literal $name:ident => $handler:path;)*) => {
        /// Calls the handler of `call`, `None` when there is none.
        pub(crate) fn dispatch<B: Block>(system: &mut System<B>, call: &mut Call) -> Option<Outcome> {
            match call.number {
                $($number => Some($handler(system, call)),)*
                _ => None,
            }
        }

        /// The calls that have handlers: number, space and name, a line each. As text it is the smallest.
        const NAMES: &str = concat!($(stringify!($number), " ", stringify!($name), "\n"),*);
    };
}

// Numbers: Linux arch/x86/entry/syscalls/syscall_64.tbl.
calls! {
    0 read => transfer::read;
    1 write => transfer::write;
    2 open => open::open;
    3 close => descriptor::close;
    4 stat => attribute::stat;
    5 fstat => attribute::fstat;
    6 lstat => attribute::lstat;
    7 poll => poll::poll;
    8 lseek => descriptor::lseek;
    9 mmap => memory::mmap;
    10 mprotect => memory::mprotect;
    11 munmap => memory::munmap;
    12 brk => memory::brk;
    13 rt_sigaction => signal::rt_sigaction;
    14 rt_sigprocmask => signal::rt_sigprocmask;
    15 rt_sigreturn => signal::rt_sigreturn;
    16 ioctl => descriptor::ioctl;
    17 pread64 => transfer::pread64;
    18 pwrite64 => transfer::pwrite64;
    19 readv => transfer::readv;
    20 writev => transfer::writev;
    21 access => attribute::access;
    22 pipe => descriptor::pipe;
    23 select => poll::select;
    24 sched_yield => process::sched_yield;
    25 mremap => memory::mremap;
    26 msync => advice::msync;
    27 mincore => advice::mincore;
    28 madvise => advice::madvise;
    32 dup => descriptor::dup;
    33 dup2 => descriptor::dup2;
    34 pause => signal::pause;
    35 nanosleep => clock::nanosleep;
    36 getitimer => alarm::getitimer;
    37 alarm => alarm::alarm;
    38 setitimer => alarm::setitimer;
    39 getpid => identity::getpid;
    40 sendfile => copy::sendfile;
    41 socket => socket::socket;
    42 connect => socket::connect;
    43 accept => socket::accept;
    44 sendto => message::sendto;
    45 recvfrom => message::recvfrom;
    46 sendmsg => message::sendmsg;
    47 recvmsg => message::recvmsg;
    48 shutdown => socket::shutdown;
    49 bind => socket::bind;
    50 listen => socket::listen;
    51 getsockname => socket::getsockname;
    52 getpeername => socket::getpeername;
    53 socketpair => socket::socketpair;
    54 setsockopt => socket::setsockopt;
    55 getsockopt => socket::getsockopt;
    56 clone => clone::clone;
    57 fork => clone::fork;
    58 vfork => clone::vfork;
    59 execve => exec::execve;
    60 exit => process::exit;
    61 wait4 => wait::wait4;
    62 kill => kill::kill;
    63 uname => machine::uname;
    72 fcntl => descriptor::fcntl;
    73 flock => lock::flock;
    74 fsync => descriptor::fsync;
    75 fdatasync => descriptor::fsync;
    76 truncate => attribute::truncate;
    77 ftruncate => attribute::ftruncate;
    78 getdents => directory::getdents64;
    79 getcwd => directory::getcwd;
    80 chdir => directory::chdir;
    81 fchdir => directory::fchdir;
    82 rename => directory::rename;
    83 mkdir => directory::mkdir;
    84 rmdir => directory::rmdir;
    85 creat => open::creat;
    86 link => directory::link;
    87 unlink => directory::unlink;
    88 symlink => directory::symlink;
    89 readlink => directory::readlink;
    90 chmod => attribute::chmod;
    91 fchmod => attribute::fchmod;
    92 chown => attribute::chown;
    93 fchown => attribute::fchown;
    94 lchown => attribute::lchown;
    95 umask => directory::umask;
    96 gettimeofday => clock::gettimeofday;
    97 getrlimit => limit::getrlimit;
    98 getrusage => machine::getrusage;
    99 sysinfo => machine::sysinfo;
    100 times => machine::times;
    102 getuid => identity::getuid;
    103 syslog => clock::refuse_setting;
    104 getgid => identity::getgid;
    105 setuid => identity::setuid;
    106 setgid => identity::setgid;
    107 geteuid => identity::geteuid;
    108 getegid => identity::getegid;
    109 setpgid => group::setpgid;
    110 getppid => identity::getppid;
    111 getpgrp => group::getpgrp;
    112 setsid => group::setsid;
    113 setreuid => identity::setreuid;
    114 setregid => identity::setregid;
    115 getgroups => identity::getgroups;
    116 setgroups => identity::setgroups;
    117 setresuid => identity::setresuid;
    118 getresuid => identity::getresuid;
    119 setresgid => identity::setresgid;
    120 getresgid => identity::getresgid;
    121 getpgid => group::getpgid;
    122 setfsuid => identity::setfsuid;
    123 setfsgid => identity::setfsgid;
    124 getsid => group::getsid;
    125 capget => capability::capget;
    126 capset => capability::capset;
    127 rt_sigpending => signal::rt_sigpending;
    128 rt_sigtimedwait => signal::rt_sigtimedwait;
    129 rt_sigqueueinfo => kill::rt_sigqueueinfo;
    130 rt_sigsuspend => signal::rt_sigsuspend;
    131 sigaltstack => signal::sigaltstack;
    132 utime => file_time::utime;
    133 mknod => directory::mknod;
    135 personality => machine::personality;
    137 statfs => attribute::statfs;
    138 fstatfs => attribute::fstatfs;
    140 getpriority => priority::getpriority;
    141 setpriority => priority::setpriority;
    142 sched_setparam => priority::sched_setparam;
    143 sched_getparam => priority::sched_getparam;
    144 sched_setscheduler => priority::sched_setscheduler;
    145 sched_getscheduler => priority::sched_getscheduler;
    146 sched_get_priority_max => priority::sched_get_priority_max;
    147 sched_get_priority_min => priority::sched_get_priority_min;
    148 sched_rr_get_interval => priority::sched_rr_get_interval;
    149 mlock => advice::mlock;
    150 munlock => advice::mlock;
    151 mlockall => advice::mlockall;
    152 munlockall => descriptor::sync;
    153 vhangup => terminal::vhangup;
    155 pivot_root => clock::refuse_setting;
    157 prctl => prctl::prctl;
    158 arch_prctl => process::arch_prctl;
    160 setrlimit => limit::setrlimit;
    161 chroot => directory::chroot;
    162 sync => descriptor::sync;
    163 acct => clock::refuse_setting;
    164 settimeofday => clock::refuse_setting;
    165 mount => clock::refuse_setting;
    166 umount2 => clock::refuse_setting;
    167 swapon => clock::refuse_setting;
    168 swapoff => clock::refuse_setting;
    169 reboot => clock::refuse_setting;
    170 sethostname => clock::refuse_setting;
    171 setdomainname => clock::refuse_setting;
    172 iopl => clock::refuse_setting;
    173 ioperm => clock::refuse_setting;
    175 init_module => clock::refuse_setting;
    176 delete_module => clock::refuse_setting;
    186 gettid => identity::gettid;
    187 readahead => descriptor::readahead;
    188 setxattr => xattr::setxattr;
    189 lsetxattr => xattr::setxattr;
    190 fsetxattr => xattr::setxattr;
    191 getxattr => xattr::getxattr;
    192 lgetxattr => xattr::getxattr;
    193 fgetxattr => xattr::getxattr;
    194 listxattr => xattr::listxattr;
    195 llistxattr => xattr::listxattr;
    196 flistxattr => xattr::listxattr;
    197 removexattr => xattr::removexattr;
    198 lremovexattr => xattr::removexattr;
    199 fremovexattr => xattr::removexattr;
    200 tkill => kill::tkill;
    201 time => clock::time;
    202 futex => futex::futex;
    203 sched_setaffinity => priority::sched_setaffinity;
    204 sched_getaffinity => priority::sched_getaffinity;
    213 epoll_create => epoll::epoll_create;
    217 getdents64 => directory::getdents64;
    218 set_tid_address => process::set_tid_address;
    221 fadvise64 => descriptor::fadvise64;
    222 timer_create => timer::timer_create;
    223 timer_settime => timer::timer_settime;
    224 timer_gettime => timer::timer_gettime;
    225 timer_getoverrun => timer::timer_getoverrun;
    226 timer_delete => timer::timer_delete;
    227 clock_settime => clock::refuse_setting;
    228 clock_gettime => clock::clock_gettime;
    229 clock_getres => clock::clock_getres;
    230 clock_nanosleep => clock::clock_nanosleep;
    231 exit_group => process::exit_group;
    232 epoll_wait => epoll::epoll_wait;
    233 epoll_ctl => epoll::epoll_ctl;
    234 tgkill => kill::tgkill;
    235 utimes => file_time::utimes;
    247 waitid => wait::waitid;
    251 ioprio_set => io_priority::ioprio_set;
    252 ioprio_get => io_priority::ioprio_get;
    257 openat => open::openat;
    258 mkdirat => directory::mkdirat;
    259 mknodat => directory::mknodat;
    260 fchownat => attribute::fchownat;
    261 futimesat => file_time::futimesat;
    262 newfstatat => attribute::newfstatat;
    263 unlinkat => directory::unlinkat;
    264 renameat => directory::renameat;
    265 linkat => directory::linkat;
    266 symlinkat => directory::symlinkat;
    267 readlinkat => directory::readlinkat;
    268 fchmodat => attribute::fchmodat;
    269 faccessat => attribute::faccessat;
    270 pselect6 => poll::pselect6;
    271 ppoll => poll::ppoll;
    272 unshare => clock::refuse_setting;
    273 set_robust_list => futex::set_robust_list;
    274 get_robust_list => futex::get_robust_list;
    275 splice => splice::splice;
    276 tee => splice::tee;
    277 sync_file_range => descriptor::sync_file_range;
    278 vmsplice => splice::vmsplice;
    280 utimensat => file_time::utimensat;
    281 epoll_pwait => epoll::epoll_pwait;
    282 signalfd => event::signalfd;
    283 timerfd_create => event::timerfd_create;
    284 eventfd => event::eventfd;
    285 fallocate => attribute::fallocate;
    286 timerfd_settime => event::timerfd_settime;
    287 timerfd_gettime => event::timerfd_gettime;
    288 accept4 => socket::accept4;
    289 signalfd4 => event::signalfd4;
    290 eventfd2 => event::eventfd2;
    291 epoll_create1 => epoll::epoll_create1;
    292 dup3 => descriptor::dup3;
    293 pipe2 => descriptor::pipe2;
    295 preadv => transfer::preadv;
    296 pwritev => transfer::pwritev;
    297 rt_tgsigqueueinfo => kill::rt_tgsigqueueinfo;
    302 prlimit64 => limit::prlimit64;
    306 syncfs => descriptor::fsync;
    308 setns => clock::refuse_setting;
    309 getcpu => priority::getcpu;
    313 finit_module => clock::refuse_setting;
    314 sched_setattr => priority::sched_setattr;
    315 sched_getattr => priority::sched_getattr;
    316 renameat2 => directory::renameat2;
    318 getrandom => machine::getrandom;
    319 memfd_create => open::memfd_create;
    322 execveat => exec::execveat;
    324 membarrier => process::membarrier;
    325 mlock2 => advice::mlock2;
    326 copy_file_range => copy::copy_file_range;
    327 preadv2 => transfer::preadv2;
    328 pwritev2 => transfer::pwritev2;
    332 statx => attribute::statx;
    435 clone3 => clone::clone3;
    436 close_range => descriptor::close_range;
    437 openat2 => open::openat2;
    439 faccessat2 => attribute::faccessat2;
    441 epoll_pwait2 => epoll::epoll_pwait2;
}
