//! inotify: what is told of files that are watched, and how watches are asked for.

use crate::check::{BAD, CLOSED, check, say, sys, works};
use crate::handle::{close, opened, pipe, write};
use libc::{
    AT_FDCWD, AT_REMOVEDIR, FIONREAD, IN_ALL_EVENTS, IN_ATTRIB, IN_CLOEXEC, IN_CREATE, IN_DELETE,
    IN_DELETE_SELF, IN_DONT_FOLLOW, IN_EXCL_UNLINK, IN_ISDIR, IN_MASK_ADD, IN_MODIFY, IN_MOVE_SELF,
    IN_NONBLOCK, IN_ONESHOT, IN_ONLYDIR, IN_OPEN, O_CREAT, O_DIRECTORY, O_PATH, O_RDONLY, O_RDWR,
    O_TRUNC, O_WRONLY, POLLIN, RENAME_EXCHANGE,
};
use std::ffi::CStr;
use std::fs;
use std::os::unix::fs::symlink;

const IN_MASK_CREATE: u32 = 0x1000_0000;
const IN_Q_OVERFLOW: u32 = 0x4000;

pub(crate) fn run() {
    fs::create_dir("watched").expect("new");
    fs::write("watched/file", b"x").expect("new");
    symlink("file", "watched/link").expect("new");
    arguments();
    masks();
    in_a_directory();
    of_a_file();
    moves();
    ends();
    reading();
}

fn made() -> i64 {
    sys!(SYS_inotify_init1, IN_NONBLOCK).expect("an instance")
}

fn watch(fd: i64, path: &CStr, mask: u32) -> i64 {
    sys!(SYS_inotify_add_watch, fd, path, mask).expect("a watch")
}

/// Reads all events and says them: the watch, what happened, whether it has a cookie, the name.
fn told(case: &str, fd: i64) {
    let mut events = String::new();
    loop {
        let mut bytes = [0_u8; 4096];
        let Ok(count) = sys!(SYS_read, fd, bytes.as_mut_ptr(), bytes.len()) else {
            break;
        };
        let mut rest = &bytes[..count as usize];
        while let Some((head, behind)) = rest.split_at_checked(16) {
            let word = |nth: usize| {
                let word = head[4 * nth..4 * nth + 4].try_into().expect("four bytes");
                u32::from_le_bytes(word)
            };
            let (name, behind) = behind.split_at(word(3) as usize);
            let end = name.iter().position(|&byte| byte == 0).unwrap_or(0);
            let cookie = if word(2) == 0 { "" } else { "!" };
            let name = String::from_utf8_lossy(&name[..end]);
            events += &format!(" {}:{:x}{cookie}{name}", word(0) as i32, word(1));
            rest = behind;
        }
    }
    say("read inotify", case, events);
}

fn arguments() {
    check(
        "inotify_init1",
        "an unknown flag",
        sys!(SYS_inotify_init1, 1),
    );
    let fd = works(
        "inotify_init1",
        "both flags",
        sys!(SYS_inotify_init1, IN_CLOEXEC | IN_NONBLOCK),
    )
    .expect("an instance");
    check(
        "fcntl",
        "F_GETFD of inotify",
        sys!(SYS_fcntl, fd, libc::F_GETFD),
    );
    check(
        "fcntl",
        "F_GETFL of inotify",
        sys!(SYS_fcntl, fd, libc::F_GETFL).map(|flags| flags & !i64::from(libc::O_LARGEFILE)),
    );
    close(fd);
    let fd = works("inotify_init", "no flags", sys!(SYS_inotify_init)).expect("an instance");
    close(fd);
    let fd = made();
    let add = |case: &str, fd: i64, path: &CStr, mask: u32| {
        check(
            "inotify_add_watch",
            case,
            sys!(SYS_inotify_add_watch, fd, path, mask),
        );
    };
    add("not open", CLOSED, c"watched", IN_OPEN);
    let ends = pipe();
    add("a pipe", ends[0], c"watched", IN_OPEN);
    ends.into_iter().for_each(close);
    add("no events", fd, c"watched", 0);
    add("an unknown bit", fd, c"watched", 0x0800_0000);
    add("only a flag", fd, c"watched", IN_ONLYDIR);
    add(
        "to add and to create",
        fd,
        c"watched",
        IN_OPEN | IN_MASK_ADD | IN_MASK_CREATE,
    );
    add("no file", fd, c"nothing", IN_OPEN);
    add(
        "a file as a directory",
        fd,
        c"watched/file",
        IN_OPEN | IN_ONLYDIR,
    );
    check(
        "inotify_add_watch",
        "a bad address",
        sys!(SYS_inotify_add_watch, fd, BAD, IN_OPEN),
    );
    add("a file", fd, c"watched/file", IN_OPEN);
    add("the same file", fd, c"watched/../watched/file", IN_OPEN);
    add("the same file by a link", fd, c"watched/link", IN_OPEN);
    add("the link", fd, c"watched/link", IN_OPEN | IN_DONT_FOLLOW);
    add(
        "a file that is watched, to create",
        fd,
        c"watched/file",
        IN_OPEN | IN_MASK_CREATE,
    );
    add(
        "one that is not, to create",
        fd,
        c".",
        IN_OPEN | IN_MASK_CREATE,
    );
    let remove = |case: &str, fd: i64, watch: i32| {
        check(
            "inotify_rm_watch",
            case,
            sys!(SYS_inotify_rm_watch, fd, watch),
        );
    };
    remove("not open", CLOSED, 1);
    remove("no watch", fd, 77);
    remove("a watch below any", fd, -1);
    remove("a watch", fd, 2);
    remove("a watch again", fd, 2);
    add("after one has gone", fd, c"watched/file", IN_OPEN);
    told("a watch that was removed", fd);
    check("write", "to inotify", write(fd, b"12345678"));
    check("lseek", "inotify", sys!(SYS_lseek, fd, 0, libc::SEEK_SET));
    close(fd);
}

fn masks() {
    let fd = made();
    watch(fd, c"watched/file", IN_OPEN);
    let touch = || close(opened(c"watched/file", O_RDONLY));
    touch();
    told("only opened", fd);
    watch(fd, c"watched/file", libc::IN_CLOSE_NOWRITE);
    touch();
    told("only closed", fd);
    watch(fd, c"watched/file", IN_OPEN | IN_MASK_ADD);
    touch();
    told("both", fd);
    watch(fd, c"watched/file", IN_OPEN | IN_ONESHOT);
    touch();
    touch();
    told("once", fd);
    check(
        "inotify_rm_watch",
        "one that is over",
        sys!(SYS_inotify_rm_watch, fd, 1),
    );
    watch(fd, c"watched/file", IN_OPEN);
    close(opened(c"watched/file", O_PATH));
    told("a path only", fd);
    close(fd);
}

fn in_a_directory() {
    let fd = made();
    watch(fd, c"watched", IN_ALL_EVENTS);
    let path = c"watched/a name of more than sixteen bytes";
    let file = opened(path, O_RDWR | O_CREAT);
    told("made", fd);
    write(file, b"some bytes").expect("room");
    write(file, b"some more").expect("room");
    told("written twice", fd);
    let mut byte = 0_u8;
    sys!(SYS_pread64, file, &raw mut byte, 1, 0).expect("there");
    told("read", fd);
    sys!(SYS_pread64, file, &raw mut byte, 1, 1000).expect("there");
    told("read at the end", fd);
    sys!(SYS_ftruncate, file, 3).expect("a file");
    told("cut", fd);
    sys!(SYS_fchmod, file, 0o600).expect("own");
    told("chmod", fd);
    sys!(SYS_fchown, file, -1, -1).expect("own");
    told("chown of nothing", fd);
    sys!(SYS_fsetxattr, file, c"user.x", c"y", 1, 0).ok();
    close(file);
    let times = |case: &str, accessed: i64, modified: i64| {
        let times = [0, accessed, 0, modified];
        sys!(SYS_utimensat, AT_FDCWD, path, times.as_ptr(), 0).expect("own");
        told(case, fd);
    };
    let mut skipped = [0_u8; 4096];
    sys!(SYS_read, fd, skipped.as_mut_ptr(), skipped.len()).ok();
    times("both times", 5, 5);
    times("one time", 5, libc::UTIME_OMIT);
    times("the other time", libc::UTIME_OMIT, 5);
    times("no time", libc::UTIME_OMIT, libc::UTIME_OMIT);
    // When a file is cut that is opened, differs between versions of Linux.
    let cut = made();
    watch(cut, c"watched", IN_MODIFY);
    close(opened(path, O_WRONLY | O_TRUNC));
    told("opened and cut", cut);
    close(cut);
    sys!(SYS_read, fd, skipped.as_mut_ptr(), skipped.len()).expect("opened");
    sys!(SYS_link, path, c"watched/second").expect("new");
    told("linked", fd);
    sys!(SYS_symlink, c"x", c"watched/symlink").expect("new");
    sys!(SYS_mknod, c"watched/fifo", libc::S_IFIFO | 0o600, 0).expect("new");
    sys!(SYS_mkdir, c"watched/folder", 0o700).expect("new");
    told("other things made", fd);
    sys!(SYS_chmod, c"watched/folder", 0o755).expect("own");
    told("chmod of a directory", fd);
    sys!(SYS_chmod, c"watched", 0o755).expect("own");
    told("chmod of the directory itself", fd);
    let folder = opened(c"watched", O_RDONLY | O_DIRECTORY);
    let mut entries = [0_u64; 256];
    sys!(
        SYS_getdents64,
        folder,
        entries.as_mut_ptr(),
        size_of_val(&entries)
    )
    .expect("listed");
    close(folder);
    told("listed", fd);
    for name in [path, c"watched/second", c"watched/symlink", c"watched/fifo"] {
        sys!(SYS_unlink, name).expect("there");
    }
    sys!(SYS_unlinkat, AT_FDCWD, c"watched/folder", AT_REMOVEDIR).expect("empty");
    told("removed", fd);
    close(fd);
}

fn of_a_file() {
    let fd = made();
    watch(fd, c"watched/file", IN_ALL_EVENTS);
    let file = opened(c"watched/file", O_RDWR);
    write(file, b"x").expect("room");
    close(file);
    told("used", fd);
    sys!(SYS_link, c"watched/file", c"watched/second").expect("new");
    told("linked, of itself", fd);
    sys!(SYS_unlink, c"watched/second").expect("there");
    told("unlinked once", fd);
    // By another name of its directory it is the same file.
    let file = opened(c"watched/../watched/file", O_WRONLY);
    write(file, b"more").expect("room");
    close(file);
    told("used by another path", fd);
    sys!(SYS_truncate, c"watched/file", 0).expect("a file");
    told("cut by its path", fd);
    close(fd);
}

fn moves() {
    fs::create_dir("other").expect("new");
    let (fd, own) = (made(), made());
    watch(fd, c"watched", IN_ALL_EVENTS);
    watch(fd, c"other", IN_ALL_EVENTS);
    watch(own, c"watched/file", IN_ALL_EVENTS);
    sys!(SYS_rename, c"watched/file", c"watched/moved").expect("there");
    told("renamed", fd);
    told("renamed, of itself", own);
    sys!(SYS_rename, c"watched/moved", c"other/file").expect("there");
    told("moved", fd);
    sys!(SYS_mkdir, c"watched/folder", 0o700).expect("new");
    let folder = made();
    watch(folder, c"watched/folder", IN_MOVE_SELF);
    sys!(SYS_rename, c"watched/folder", c"other/folder").expect("there");
    told("a directory moved", fd);
    told("a directory moved, of itself", folder);
    close(folder);
    let case = sys!(
        SYS_renameat2,
        AT_FDCWD,
        c"other/file",
        AT_FDCWD,
        c"other/folder",
        RENAME_EXCHANGE,
    );
    check("renameat2", "two that are watched", case);
    told("exchanged", fd);
    sys!(SYS_rename, c"other/folder", c"watched/file").expect("there");
    told("moved back", fd);
    sys!(SYS_rename, c"watched/file", c"watched/file").expect("there");
    told("renamed to itself", fd);
    told("all moves, of itself", own);
    close(own);
    let replaced = made();
    fs::write("other/replaced", b"x").expect("new");
    watch(replaced, c"other/replaced", IN_ATTRIB | IN_DELETE_SELF);
    fs::write("other/new", b"x").expect("new");
    sys!(SYS_rename, c"other/new", c"other/replaced").expect("there");
    told("replaced, of itself", replaced);
    close(replaced);
    close(fd);
}

fn ends() {
    let fd = made();
    fs::write("gone", b"x").expect("new");
    watch(fd, c"gone", IN_ALL_EVENTS);
    sys!(SYS_unlink, c"gone").expect("there");
    told("a file that goes", fd);
    let file = opened(c"open", O_RDWR | O_CREAT);
    watch(fd, c"open", IN_ALL_EVENTS);
    sys!(SYS_unlink, c"open").expect("there");
    told("one that is open", fd);
    write(file, b"x").expect("room");
    close(file);
    told("closed", fd);
    fs::create_dir("empty").expect("new");
    watch(fd, c"empty", IN_ALL_EVENTS);
    sys!(SYS_rmdir, c"empty").expect("empty");
    told("a directory that goes", fd);
    // Whoever is in the directory sees what becomes of files that left it, but for those who said no.
    let (all, some) = (made(), made());
    watch(all, c"watched", IN_MODIFY | IN_DELETE);
    watch(some, c"watched", IN_MODIFY | IN_DELETE | IN_EXCL_UNLINK);
    let file = opened(c"watched/left", O_RDWR | O_CREAT);
    sys!(SYS_unlink, c"watched/left").expect("there");
    write(file, b"x").expect("room");
    close(file);
    told("written without a name", all);
    told("written without a name, unasked", some);
    [all, some, fd].into_iter().for_each(close);
}

fn reading() {
    let fd = made();
    let mut bytes = [0_u8; 64];
    let mut read = |case: &str, room: usize| {
        check(
            "read inotify",
            case,
            sys!(SYS_read, fd, bytes.as_mut_ptr(), room),
        );
    };
    read("nothing", 64);
    watch(fd, c"watched", IN_CREATE | IN_ISDIR);
    sys!(SYS_mkdir, c"watched/one", 0o700).expect("new");
    sys!(SYS_mkdir, c"watched/two", 0o700).expect("new");
    let mut count = 0_i32;
    check(
        "ioctl",
        "FIONREAD of inotify",
        sys!(SYS_ioctl, fd, FIONREAD, &raw mut count),
    );
    say("ioctl", "the bytes of two events", count);
    let mut entry = [fd as i32, i32::from(POLLIN)];
    check(
        "poll",
        "inotify with events",
        sys!(SYS_poll, entry.as_mut_ptr(), 1, 0),
    );
    read("no room", 0);
    read("room for less than an event", 31);
    read("room for one", 63);
    read("room for more", 64);
    read("nothing again", 64);
    check("read inotify", "a bad address", sys!(SYS_read, fd, BAD, 64));
    sys!(SYS_rmdir, c"watched/one").expect("empty");
    sys!(SYS_rmdir, c"watched/two").expect("empty");
    check(
        "poll",
        "inotify without",
        sys!(SYS_poll, entry.as_mut_ptr(), 1, 0),
    );
    let list = sys!(SYS_epoll_create1, 0).expect("a list");
    let event = [1_u32, 7, 0];
    sys!(SYS_epoll_ctl, list, libc::EPOLL_CTL_ADD, fd, event.as_ptr()).expect("it is new");
    let mut found = [0_u32; 3];
    let mut wait = |case: &str, time: i32| {
        check(
            "epoll_wait",
            case,
            sys!(SYS_epoll_wait, list, found.as_mut_ptr(), 1, time),
        );
    };
    wait("inotify without events", 0);
    let writer = std::thread::spawn(|| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::create_dir("watched/late").expect("new");
    });
    wait("an event that comes", 10_000);
    writer.join().expect("made");
    fs::remove_dir("watched/late").expect("empty");
    told("what came", fd);
    close(list);
    close(fd);
    let waiting = sys!(SYS_inotify_init1, 0).expect("an instance");
    watch(waiting, c"watched", IN_CREATE);
    let writer = std::thread::spawn(|| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::create_dir("watched/late").expect("new");
    });
    let mut bytes = [0_u8; 64];
    check(
        "read inotify",
        "that waits",
        sys!(SYS_read, waiting, bytes.as_mut_ptr(), bytes.len()),
    );
    writer.join().expect("made");
    fs::remove_dir("watched/late").expect("empty");
    close(waiting);
    // Whoever does not read loses events, and is told.
    let slow = made();
    watch(slow, c"watched/../other", IN_ATTRIB | IN_ISDIR);
    watch(slow, c"watched", IN_ATTRIB);
    for nth in 0..20_000 {
        let path = [c"other", c"watched"][nth % 2];
        sys!(SYS_chmod, path, 0o755).expect("own");
    }
    let (mut last, mut overflows) = (0, 0);
    let mut words = [0_u32; 1024];
    while let Ok(count) = sys!(SYS_read, slow, words.as_mut_ptr(), size_of_val(&words)) {
        for event in words[..count as usize / 4].chunks(4) {
            last = event[1];
            overflows += u32::from(last == IN_Q_OVERFLOW);
        }
    }
    say(
        "read inotify",
        "an overflow",
        format!("{overflows} {last:x}"),
    );
    close(slow);
}
