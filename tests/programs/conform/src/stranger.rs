//! What a user may not do to what is somebody else's: files, folders, sockets, processes, the machine.

use crate::check::{check, sys};
use crate::child::apart;
use crate::handle::{close, opened, part, pipe};
use crate::shape::{Shape, tried};
use crate::socket::{Address, bind, connect, header, socket};
use crate::user::become_user;
use libc::{O_DIRECTORY, O_PATH, O_RDWR, SOCK_DGRAM, SOCK_STREAM};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Calls that only a file's owner may make.
const OWNERS: &[Shape] = &[
    ("chmod", libc::SYS_chmod, "file 384"),
    ("fchmod", libc::SYS_fchmod, "open 384"),
    ("fchmodat", libc::SYS_fchmodat, "here file 384"),
    ("chown", libc::SYS_chown, "file 54321 54321"),
    ("lchown", libc::SYS_lchown, "file 54321 54321"),
    ("fchown", libc::SYS_fchown, "open 54321 54321"),
    ("fchownat", libc::SYS_fchownat, "here file 54321 54321"),
    ("utimensat", libc::SYS_utimensat, "here file zeroes"),
    ("utimensat to now", libc::SYS_utimensat, "here file 0"),
    ("utime", libc::SYS_utime, "file zeroes"),
    ("utime to now", libc::SYS_utime, "file"),
    ("utimes", libc::SYS_utimes, "file zeroes"),
    ("utimes to now", libc::SYS_utimes, "file"),
    ("futimesat", libc::SYS_futimesat, "here file zeroes"),
    ("futimesat to now", libc::SYS_futimesat, "here file"),
    ("open without a trace", libc::SYS_open, "file 262144"),
    (
        "openat without a trace",
        libc::SYS_openat,
        "here file 262144",
    ),
    ("setxattr", libc::SYS_setxattr, "file text zeroes 1"),
    ("lsetxattr", libc::SYS_lsetxattr, "file text zeroes 1"),
    ("removexattr", libc::SYS_removexattr, "file text"),
    ("lremovexattr", libc::SYS_lremovexattr, "file text"),
    ("truncate", libc::SYS_truncate, "file 0"),
    ("execve", libc::SYS_execve, "file zeroes zeroes"),
    ("execveat", libc::SYS_execveat, "here file zeroes zeroes"),
    ("access", libc::SYS_access, "file 2"),
    ("faccessat", libc::SYS_faccessat, "here file 2"),
    ("faccessat2", libc::SYS_faccessat2, "here file 2"),
];

/// Calls that make a name, or take one away.
const NAMERS: &[Shape] = &[
    ("open to be made", libc::SYS_open, "name 66 384"),
    ("openat to be made", libc::SYS_openat, "here name 66 384"),
    ("creat", libc::SYS_creat, "name 384"),
    ("mkdir", libc::SYS_mkdir, "name 448"),
    ("mkdirat", libc::SYS_mkdirat, "here name 448"),
    ("mknod", libc::SYS_mknod, "name fifo"),
    ("mknodat", libc::SYS_mknodat, "here name fifo"),
    ("symlink", libc::SYS_symlink, "file name"),
    ("symlinkat", libc::SYS_symlinkat, "file here name"),
    ("link", libc::SYS_link, "mine name"),
    ("linkat", libc::SYS_linkat, "here mine here name"),
    ("rename to", libc::SYS_rename, "mine name"),
    ("renameat to", libc::SYS_renameat, "here mine here name"),
    ("renameat2 to", libc::SYS_renameat2, "here mine here name"),
];

/// Calls that take a name away.
const REMOVERS: &[Shape] = &[
    ("unlink", libc::SYS_unlink, "old"),
    ("unlinkat", libc::SYS_unlinkat, "here old"),
    ("rmdir", libc::SYS_rmdir, "old-folder"),
    (
        "unlinkat a folder",
        libc::SYS_unlinkat,
        "here old-folder 512",
    ),
    ("rename", libc::SYS_rename, "old new"),
    ("rename over it", libc::SYS_rename, "mine old"),
    ("renameat", libc::SYS_renameat, "here old here new"),
    ("renameat2", libc::SYS_renameat2, "here old here new"),
    (
        "renameat2 exchanged",
        libc::SYS_renameat2,
        "here old here mine 2",
    ),
];

/// Calls that are made of a process.
const OF_PROCESSES: &[Shape] = &[
    ("kill", libc::SYS_kill, "root 0"),
    ("tkill", libc::SYS_tkill, "root 0"),
    ("tgkill", libc::SYS_tgkill, "root root 0"),
    (
        "rt_sigqueueinfo",
        libc::SYS_rt_sigqueueinfo,
        "root 0 queued",
    ),
    (
        "rt_tgsigqueueinfo",
        libc::SYS_rt_tgsigqueueinfo,
        "root root 0 queued",
    ),
    ("setpriority", libc::SYS_setpriority, "0 root 5"),
    ("sched_setparam", libc::SYS_sched_setparam, "root zeroes"),
    (
        "sched_setscheduler",
        libc::SYS_sched_setscheduler,
        "root 0 zeroes",
    ),
    (
        "sched_setaffinity",
        libc::SYS_sched_setaffinity,
        "root 8 one",
    ),
    ("prlimit64", libc::SYS_prlimit64, "root 7 0 zeroes"),
    ("ioprio_set", libc::SYS_ioprio_set, "1 root 16388"),
];

/// Calls that change the machine, or whom a process acts for.
const PRIVILEGED: &[Shape] = &[
    ("settimeofday", libc::SYS_settimeofday, "zeroes 0"),
    ("clock_settime", libc::SYS_clock_settime, "0 zeroes"),
    ("vhangup", libc::SYS_vhangup, ""),
    ("mount", libc::SYS_mount, "folder folder folder"),
    ("umount2", libc::SYS_umount2, "folder"),
    ("pivot_root", libc::SYS_pivot_root, "folder folder"),
    ("reboot", libc::SYS_reboot, ""),
    ("sethostname", libc::SYS_sethostname, "folder 1"),
    ("setdomainname", libc::SYS_setdomainname, "folder 1"),
    ("syslog", libc::SYS_syslog, "5"),
    ("unshare", libc::SYS_unshare, "131072"),
    ("chroot", libc::SYS_chroot, "folder"),
    ("setgroups", libc::SYS_setgroups, "0 0"),
    ("setuid", libc::SYS_setuid, "0"),
    ("setgid", libc::SYS_setgid, "0"),
    ("setreuid", libc::SYS_setreuid, "0 0"),
    ("setregid", libc::SYS_setregid, "0 0"),
    ("setresuid", libc::SYS_setresuid, "0 0 0"),
    ("setresgid", libc::SYS_setresgid, "0 0 0"),
    ("mknod", libc::SYS_mknod, "new device 259"),
    ("mknodat", libc::SYS_mknodat, "here new device 259"),
    (
        "fcntl F_SETPIPE_SZ",
        libc::SYS_fcntl,
        "pipe 1031 1073741824",
    ),
];

pub(crate) fn run() {
    for folder in ["barred", "sticky", "open", "locked"] {
        fs::create_dir(folder).expect("new");
    }
    for name in [
        "file",
        "barred/old",
        "sticky/old",
        "open/mine",
        "sticky/mine",
    ] {
        fs::write(name, b"x").expect("new");
    }
    for folder in ["barred/old-folder", "sticky/old-folder"] {
        fs::create_dir(folder).expect("new");
    }
    for (name, mode) in [("sticky", 0o1777), ("open", 0o777), ("locked", 0o700)] {
        fs::set_permissions(name, fs::Permissions::from_mode(mode)).expect("ours");
    }
    for mine in [c"open/mine", c"sticky/mine"] {
        sys!(SYS_chown, mine, 54_321, 54_321).expect("root");
    }
    let file = opened(c"file", O_RDWR);
    let locked = [O_DIRECTORY, O_DIRECTORY | O_PATH].map(|flags| opened(c"locked", flags));
    let servers = [SOCK_STREAM, SOCK_DGRAM].map(|kind| {
        let name: &[u8] = if kind == SOCK_STREAM {
            b"stream"
        } else {
            b"datagrams"
        };
        let server = socket(kind);
        bind(server, &Address::new(name)).expect("new");
        server
    });
    sys!(SYS_listen, servers[0], 4).expect("bound");
    apart(|| {
        become_user();
        files(file);
        names();
        for (case, folder) in ["a folder", "a folder's path"].into_iter().zip(locked) {
            check(
                "fchdir",
                &format!("{case} of somebody else's"),
                sys!(SYS_fchdir, folder),
            );
        }
        sockets();
        machine();
    });
}

/// What a call is told of files.
const HERE: (&str, i64) = ("here", libc::AT_FDCWD as i64);

fn files(open: i64) {
    let file = c"file".as_ptr() as i64;
    for shape in OWNERS {
        let meaning = [HERE, ("file", file), ("open", open)];
        tried(shape, "a file of somebody else's", &meaning);
    }
}

fn names() {
    let fifo = i64::from(libc::S_IFIFO | 0o600);
    for shape in NAMERS {
        let meaning = [
            HERE,
            ("fifo", fifo),
            ("file", c"file".as_ptr() as i64),
            ("mine", c"open/mine".as_ptr() as i64),
            ("name", c"barred/new".as_ptr() as i64),
        ];
        tried(shape, "in a folder of somebody else's", &meaning);
    }
    for (case, [old, folder, new, mine]) in [
        (
            "out of a folder of somebody else's",
            [
                c"barred/old",
                c"barred/old-folder",
                c"open/new",
                c"open/mine",
            ],
        ),
        (
            "somebody else's, out of a sticky folder",
            [
                c"sticky/old",
                c"sticky/old-folder",
                c"sticky/new",
                c"sticky/mine",
            ],
        ),
    ] {
        for shape in REMOVERS {
            let meaning = [
                HERE,
                ("old", old.as_ptr() as i64),
                ("old-folder", folder.as_ptr() as i64),
                ("new", new.as_ptr() as i64),
                ("mine", mine.as_ptr() as i64),
            ];
            tried(shape, case, &meaning);
        }
    }
    check(
        "unlink",
        "its own, out of a sticky folder",
        sys!(SYS_unlink, c"sticky/mine"),
    );
}

fn sockets() {
    let stream = Address::new(b"stream");
    check(
        "connect",
        "somebody else's socket",
        connect(socket(SOCK_STREAM), &stream),
    );
    let datagrams = Address::new(b"datagrams");
    let client = socket(SOCK_DGRAM);
    check(
        "connect",
        "somebody else's datagrams",
        connect(client, &datagrams),
    );
    let (at, len) = (datagrams.pointer(), datagrams.len());
    check(
        "sendto",
        "somebody else's datagrams",
        sys!(SYS_sendto, client, at, 1, 0, at, len),
    );
    let mut byte = *b"x";
    let mut part = part(&mut byte);
    let mut message = header(&mut part, &mut [], 0);
    message.msg_name = at.cast_mut().cast();
    message.msg_namelen = len as u32;
    let message = &raw const message;
    check(
        "sendmsg",
        "somebody else's datagrams",
        sys!(SYS_sendmsg, client, message, 0),
    );
    let barred = Address::new(b"barred/socket");
    check(
        "bind",
        "in a folder of somebody else's",
        bind(client, &barred),
    );
}

fn machine() {
    let root = sys!(SYS_getppid).expect("one");
    let mut queued = [0_u32; 32];
    queued[2] = libc::SI_QUEUE as u32;
    let one = 1_u64;
    for shape in OF_PROCESSES {
        let meaning = [
            ("root", root),
            ("queued", queued.as_ptr() as i64),
            ("one", &raw const one as i64),
        ];
        tried(shape, "somebody else's process", &meaning);
    }
    let [reader, writer] = pipe();
    for shape in PRIVILEGED {
        let meaning = [
            HERE,
            ("folder", c".".as_ptr() as i64),
            ("new", c"open/device".as_ptr() as i64),
            ("device", i64::from(libc::S_IFCHR | 0o600)),
            ("pipe", writer),
        ];
        tried(shape, "as a user", &meaning);
    }
    close(reader);
    close(writer);
}
