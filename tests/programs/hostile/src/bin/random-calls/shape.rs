//! Which arguments a call expects, so that most calls get as far as doing something.

use crate::pool::Pool;
use crate::random::Random;

macro_rules! shapes {
    ($($number:ident $shape:literal)*) => {
        /// Calls and a letter for each argument (see [`value`]). Calls that are not here get any arguments.
        const SHAPES: &[(i64, &str)] = &[$((libc::$number, $shape)),*];
    };
}

shapes! {
    SYS_read "dbc" SYS_write "dbc" SYS_open "pom" SYS_close "d" SYS_stat "pb" SYS_fstat "db" SYS_lstat "pb"
    SYS_poll "bss" SYS_lseek "dcs" SYS_mmap "alrMdy" SYS_mprotect "alr" SYS_munmap "al" SYS_brk "z"
    SYS_rt_sigprocmask "snn8" SYS_ioctl "dib" SYS_pread64 "dbcc" SYS_pwrite64 "dbcc" SYS_readv "dbs"
    SYS_writev "dbs" SYS_access "ps" SYS_pipe "b" SYS_select "snnnb" SYS_mremap "allsa" SYS_msync "als"
    SYS_mincore "alb" SYS_madvise "als" SYS_dup "d" SYS_dup2 "dd" SYS_getitimer "sb" SYS_sendfile "ddnc"
    SYS_socket "xss" SYS_connect "dbc" SYS_accept "dnb" SYS_sendto "dbcfnc" SYS_recvfrom "dbcfnn" SYS_sendmsg "dbf"
    SYS_recvmsg "dbf" SYS_shutdown "ds" SYS_bind "dbc" SYS_listen "ds" SYS_getsockname "dbb" SYS_getpeername "dbb"
    SYS_socketpair "xszb" SYS_setsockopt "dxsbc" SYS_getsockopt "dxsbb" SYS_wait4 "tnsn" SYS_fcntl "dsw"
    SYS_flock "ds" SYS_fsync "d" SYS_fdatasync "d" SYS_truncate "pc" SYS_ftruncate "dc" SYS_getdents64 "dbc"
    SYS_getcwd "bc" SYS_chdir "p" SYS_fchdir "d" SYS_rename "pp" SYS_mkdir "pm" SYS_rmdir "p" SYS_creat "pm"
    SYS_link "pp" SYS_unlink "p" SYS_symlink "pp" SYS_readlink "pbc" SYS_chmod "pm" SYS_fchmod "dm" SYS_chown "pss"
    SYS_fchown "dss" SYS_lchown "pss" SYS_umask "m" SYS_gettimeofday "bn" SYS_getrlimit "sb" SYS_getrusage "sb"
    SYS_sysinfo "b" SYS_times "b" SYS_getgroups "sb" SYS_setpgid "tt" SYS_getpgid "t" SYS_getsid "t"
    SYS_rt_sigpending "b8" SYS_rt_sigtimedwait "bnn8" SYS_sigaltstack "nn" SYS_mknod "pm" SYS_statfs "pb"
    SYS_fstatfs "db" SYS_getpriority "st" SYS_sched_setparam "tb" SYS_sched_getparam "tb" SYS_sched_getscheduler "t"
    SYS_mlock "al" SYS_munlock "al" SYS_prctl "swwww" SYS_setrlimit "sb" SYS_chroot "p" SYS_gettid ""
    SYS_readahead "dcc" SYS_setxattr "pbbcs" SYS_fsetxattr "dbbcs" SYS_getxattr "pbbc" SYS_fgetxattr "dbbc"
    SYS_listxattr "pbc" SYS_flistxattr "dbc" SYS_removexattr "pb" SYS_futex "bfsnbs" SYS_sched_setaffinity "tcb"
    SYS_sched_getaffinity "tcb" SYS_epoll_create "s" SYS_epoll_create1 "o" SYS_epoll_wait "dbss" SYS_epoll_ctl "dsdb"
    SYS_epoll_pwait "dbssn8" SYS_fadvise64 "dccs" SYS_timer_create "snb" SYS_timer_settime "ssbn" SYS_timer_gettime "sb"
    SYS_timer_getoverrun "s" SYS_timer_delete "s" SYS_clock_gettime "sb" SYS_clock_getres "sb" SYS_clock_nanosleep "szbn"
    SYS_utimes "pn" SYS_waitid "stbsn" SYS_openat "Dpom" SYS_mkdirat "Dpm" SYS_mknodat "Dpm" SYS_fchownat "Dpssf"
    SYS_newfstatat "Dpbf" SYS_unlinkat "Dpf" SYS_renameat "DpDp" SYS_linkat "DpDpf" SYS_symlinkat "pDp"
    SYS_readlinkat "Dpbc" SYS_fchmodat "Dpm" SYS_faccessat "Dps" SYS_pselect6 "snnnbn" SYS_ppoll "bsbn8"
    SYS_splice "dndncf" SYS_tee "ddcf" SYS_vmsplice "dbsf" SYS_utimensat "Dpnf" SYS_signalfd "db8"
    SYS_timerfd_create "so" SYS_eventfd "s" SYS_fallocate "dscc" SYS_timerfd_settime "dsbn" SYS_timerfd_gettime "db"
    SYS_accept4 "dnbo" SYS_signalfd4 "db8o" SYS_eventfd2 "so" SYS_dup3 "ddo" SYS_pipe2 "bo" SYS_preadv "dbsc"
    SYS_pwritev "dbsc" SYS_prlimit64 "tsnn" SYS_renameat2 "DpDps" SYS_getrandom "bcs" SYS_memfd_create "ps"
    SYS_execve "pnn" SYS_copy_file_range "dndncz" SYS_statx "Dpfwb" SYS_close_range "dds" SYS_openat2 "Dpb+"
    SYS_faccessat2 "Dpsf" SYS_setitimer "sbn" SYS_nanosleep "bn" SYS_setpriority "sts" SYS_kill "tg" SYS_tgkill "ttg"
    SYS_rt_sigaction "snn8" SYS_rt_sigsuspend "b8" SYS_rt_sigqueueinfo "tgb" SYS_rt_tgsigqueueinfo "ttgb" SYS_tkill "tg"
    SYS_uname "b" SYS_getdents "dbc" SYS_setgroups "sb" SYS_getresuid "bbb" SYS_getresgid "bbb" SYS_capget "bn"
    SYS_capset "bn" SYS_utime "pn" SYS_futimesat "Dpn" SYS_sched_setscheduler "tsb" SYS_sched_rr_get_interval "tb"
    SYS_sched_setattr "tbz" SYS_sched_getattr "tbcz" SYS_lsetxattr "pbbcs" SYS_lgetxattr "pbbc" SYS_llistxattr "pbc"
    SYS_lremovexattr "pb" SYS_fremovexattr "db" SYS_time "n" SYS_set_tid_address "b" SYS_set_robust_list "bc"
    SYS_sync_file_range "dccs" SYS_syncfs "d" SYS_getcpu "nn" SYS_execveat "Dpnnf" SYS_mlock2 "als" SYS_preadv2 "dbscss"
    SYS_pwritev2 "dbscss" SYS_clone3 "bc" SYS_epoll_pwait2 "dbsnn8" SYS_membarrier "ss" SYS_inotify_init1 "o" SYS_inotify_add_watch "dpf" SYS_inotify_rm_watch "ds"
}

/// Fills in arguments that `number` expects; returns whether that is known.
pub(crate) fn fill(
    arguments: &mut [i64; 6],
    number: i64,
    pool: &Pool,
    random: &mut Random,
) -> bool {
    let Some((_, shape)) = SHAPES.iter().find(|(known, _)| *known == number) else {
        return false;
    };
    *arguments = [0; 6];
    for (argument, letter) in arguments.iter_mut().zip(shape.bytes()) {
        // Now and then one of them is wrong.
        *argument = if random.below(24) == 0 {
            pool.word(random) as i64
        } else {
            value(letter, pool, random)
        };
    }
    true
}

fn value(letter: u8, pool: &Pool, random: &mut Random) -> i64 {
    let any = match letter {
        b'd' => random.below(24),
        b'D' if random.below(2) == 0 => libc::AT_FDCWD as u64,
        b'D' => pool.descriptor(random),
        b'p' => pool.path(random),
        b'b' => pool.buffer(random),
        b'n' if random.below(2) == 0 => 0,
        b'n' => pool.buffer(random),
        // Counts, of bytes and of things.
        b'c' => 1 << random.below(14) >> random.below(3),
        b's' => random.below(12),
        // Flags of the calls that come with `AT_` ones or their like, of open(2), and permissions.
        b'f' => random.of(&[0, 0, 0x100, 0x200, 0x400, 0x1000, 0x40, 1, 2]),
        b'o' => random.of(&OPENING),
        b'm' => random.of(&[0o777, 0o644, 0o600, 0, 0x1000 | 0o666, 0x8000 | 0o600]),
        // Memory: where, how much, what may be done, and a page of a file.
        b'a' => pool.spare(random),
        b'l' => 4096 * (1 + random.below(4)),
        b'r' => random.of(&[0, 1, 3, 3, 5]),
        b'M' => random.of(&MAPPING),
        b'y' => 4096 * random.below(3),
        b't' => random.of(&[0, u64::from(std::process::id())]),
        b'i' => random.of(&[0, 0x5401, 0x5413, 0x541b, 0x5421, 0x540f, 0x5452]),
        // Signals, most of which do nothing by themselves.
        b'g' => random.of(&[0, 10, 17, 18, 23, 28]),
        b'8' => 8,
        // Families of sockets, and levels of their options.
        b'x' => random.of(&[1, 1, 1, 40, 2, 0]),
        // Bytes of `struct open_how`.
        b'+' => 24,
        b'w' => pool.word(random),
        _ => 0,
    };
    any as i64
}

/// Flags of mmap(2): shared and private, of files and not, at an address.
const MAPPING: [u64; 6] = [1, 2, 0x21, 0x22, 0x12, 0x32];

/// Flags of open(2) and of the calls that make descriptors.
const OPENING: [u64; 10] = [
    0,
    libc::O_RDWR as u64,
    libc::O_WRONLY as u64,
    (libc::O_RDWR | libc::O_CREAT) as u64,
    (libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC) as u64,
    (libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT) as u64,
    libc::O_NONBLOCK as u64,
    libc::O_CLOEXEC as u64,
    (libc::O_DIRECTORY | libc::O_CLOEXEC) as u64,
    libc::O_PATH as u64,
];
