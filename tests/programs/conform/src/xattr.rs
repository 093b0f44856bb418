//! Extended attributes: set, got, listed, removed.

use crate::check::{Answer, BAD, CLOSED, check, say, sys, works};
use crate::handle::{close, opened, pipe};
use crate::shape::{Shape, tried};
use libc::{O_PATH, O_RDONLY, O_WRONLY, XATTR_CREATE, XATTR_REPLACE};
use std::ffi::{CStr, CString};

pub(crate) fn run() {
    std::fs::write("file", b"").expect("new");
    std::fs::create_dir("folder").expect("new");
    std::os::unix::fs::symlink("file", "link").expect("new");
    std::os::unix::fs::symlink("nothing", "dangling").expect("new");
    set_and_got();
    listed();
    refused();
    of_open_files();
    of_others();
    relatives();
}

fn set(path: &CStr, name: &CStr, value: &[u8], flags: i32) -> Answer {
    sys!(SYS_setxattr, path, name, value.as_ptr(), value.len(), flags)
}

/// The value of an attribute, in a buffer of so many bytes.
fn got(path: &CStr, name: &CStr, room: usize) -> String {
    let mut bytes = vec![0_u8; room];
    match sys!(SYS_getxattr, path, name, bytes.as_mut_ptr(), room) {
        Ok(count) => format!("{count} {}", String::from_utf8_lossy(&bytes).escape_debug()),
        Err(errno) => format!("error {errno}"),
    }
}

/// The names of a file's attributes of programs, sorted: others are those of the system it lies on.
fn names(path: &CStr) -> String {
    let mut bytes = [0_u8; 4096];
    let count = match sys!(SYS_listxattr, path, bytes.as_mut_ptr(), bytes.len()) {
        Ok(count) => count as usize,
        Err(errno) => return format!("error {errno}"),
    };
    let all = String::from_utf8_lossy(&bytes[..count]).into_owned();
    let mut names: Vec<_> = all
        .split_terminator('\0')
        .filter(|name| name.starts_with("user."))
        .collect();
    names.sort_unstable();
    names.join(" ")
}

fn set_and_got() {
    let tried = |case: &str, name: &CStr, value: &[u8], flags: i32| {
        check("setxattr", case, set(c"file", name, value, flags));
    };
    let tell =
        |case: &str, name: &CStr, room: usize| say("getxattr", case, got(c"file", name, room));
    tell("none yet", c"user.one", 8);
    tried("a new one", c"user.one", b"first", 0);
    tell("its value", c"user.one", 8);
    tell("its length", c"user.one", 0);
    tell("just room enough", c"user.one", 5);
    tell("too little room", c"user.one", 4);
    tried("another value", c"user.one", b"second", 0);
    tell("the other value", c"user.one", 8);
    tried("one that must be new", c"user.one", b"x", XATTR_CREATE);
    tried(
        "one that must be there",
        c"user.one",
        b"third",
        XATTR_REPLACE,
    );
    tell("the third value", c"user.one", 8);
    tried(
        "a second one that must be there",
        c"user.two",
        b"x",
        XATTR_REPLACE,
    );
    tried(
        "a second one that must be new",
        c"user.two",
        b"",
        XATTR_CREATE,
    );
    tell("no value", c"user.two", 8);
    tell("a name that another begins with", c"user.tw", 8);
    tell("a name that begins with another", c"user.two2", 8);
    tried("with unknown flags", c"user.one", b"x", 4);
    tried("with all flags and none there", c"user.none", b"x", 3);
    let big = vec![b'v'; 1000];
    tried("a long value", c"user.long", &big, 0);
    say(
        "getxattr",
        "its long value",
        got(c"file", c"user.long", 1000).len(),
    );
    check(
        "removexattr",
        "a long one",
        sys!(SYS_removexattr, c"file", c"user.long"),
    );
    check(
        "removexattr",
        "one that is gone",
        sys!(SYS_removexattr, c"file", c"user.long"),
    );
}

fn listed() {
    say("listxattr", "two names", names(c"file"));
    say("listxattr", "through a link", names(c"link"));
    let mut bytes = [0_u8; 64];
    check(
        "listxattr",
        "too little room",
        sys!(SYS_listxattr, c"file", bytes.as_mut_ptr(), 4),
    );
    check(
        "listxattr",
        "a bad path",
        sys!(SYS_listxattr, BAD, bytes.as_mut_ptr(), 64),
    );
    check(
        "listxattr",
        "a dangling link",
        sys!(SYS_listxattr, c"dangling", bytes.as_mut_ptr(), 64),
    );
    sys!(SYS_rename, c"file", c"moved").expect("it moves");
    say("listxattr", "after a move", names(c"moved"));
    sys!(SYS_link, c"moved", c"file").expect("new");
    say("listxattr", "another name", names(c"file"));
    check(
        "removexattr",
        "one of two",
        sys!(SYS_removexattr, c"moved", c"user.two"),
    );
    say("listxattr", "what is left", names(c"file"));
    check("setxattr", "a folder", set(c"folder", c"user.x", b"1", 0));
    say("listxattr", "a folder", names(c"folder"));
}

fn refused() {
    let tried = |case: &str, name: &CStr| check("setxattr", case, set(c"file", name, b"x", 0));
    tried("no name", c"");
    tried("an unknown space", c"nobody.x");
    tried("a name without a space", c"x");
    let long =
        |length: usize| CString::new([b"user.".as_slice(), &vec![b'n'; length - 5]].concat());
    tried("the longest name", &long(255).expect("no zeroes"));
    tried("too long a name", &long(256).expect("no zeroes"));
    check(
        "setxattr",
        "nothing there",
        set(c"nothing", c"user.x", b"x", 0),
    );
    check(
        "setxattr",
        "too long a value",
        set(c"file", c"user.x", &vec![0; 65537], 0),
    );
    let at = b"x".as_ptr();
    check(
        "setxattr",
        "a bad name",
        sys!(SYS_setxattr, c"file", BAD, at, 1, 0),
    );
    check(
        "setxattr",
        "a bad value",
        sys!(SYS_setxattr, c"file", c"user.y", BAD, 1, 0),
    );
    check(
        "getxattr",
        "a bad name",
        sys!(SYS_getxattr, c"file", BAD, BAD, 1),
    );
    check(
        "getxattr",
        "a bad buffer",
        sys!(SYS_getxattr, c"file", c"user.one", BAD, 64),
    );
    check(
        "getxattr",
        "no name",
        sys!(SYS_getxattr, c"file", c"", BAD, 0),
    );
    check(
        "removexattr",
        "nothing there",
        sys!(SYS_removexattr, c"nothing", c"user.x"),
    );
    check(
        "removexattr",
        "an unknown space",
        sys!(SYS_removexattr, c"file", c"nobody.x"),
    );
}

fn of_open_files() {
    let fd = opened(c"file", O_WRONLY);
    let mut bytes = [0_u8; 8];
    let at = bytes.as_mut_ptr();
    check(
        "fsetxattr",
        "an open file",
        sys!(SYS_fsetxattr, fd, c"user.open", b"yes".as_ptr(), 3, 0),
    );
    check(
        "fgetxattr",
        "for writing",
        sys!(SYS_fgetxattr, fd, c"user.open", at, 8),
    );
    close(fd);
    let fd = opened(c"file", O_RDONLY);
    check(
        "fgetxattr",
        "for reading",
        sys!(SYS_fgetxattr, fd, c"user.open", at, 8),
    );
    check(
        "fremovexattr",
        "for reading",
        sys!(SYS_fremovexattr, fd, c"user.open"),
    );
    sys!(SYS_unlink, c"file").expect("it has two names");
    sys!(SYS_unlink, c"moved").expect("it is there");
    check(
        "fsetxattr",
        "without a name",
        sys!(SYS_fsetxattr, fd, c"user.z", b"yes".as_ptr(), 3, 0),
    );
    check(
        "fgetxattr",
        "without a name",
        sys!(SYS_fgetxattr, fd, c"user.z", at, 8),
    );
    close(fd);
    std::fs::write("file", b"").expect("new");
    say("listxattr", "a new file of the name", names(c"file"));
    let path = opened(c"file", O_PATH);
    check(
        "fsetxattr",
        "a path only",
        sys!(SYS_fsetxattr, path, c"user.z", b"yes".as_ptr(), 3, 0),
    );
    check(
        "fgetxattr",
        "a path only",
        sys!(SYS_fgetxattr, path, c"user.z", at, 8),
    );
    close(path);
    check(
        "fsetxattr",
        "not open",
        sys!(SYS_fsetxattr, CLOSED, c"user.z", at, 3, 0),
    );
    check(
        "fremovexattr",
        "not open",
        sys!(SYS_fremovexattr, CLOSED, c"user.z"),
    );
    let [reader, writer] = pipe();
    check(
        "fgetxattr",
        "a pipe",
        sys!(SYS_fgetxattr, reader, c"user.z", at, 8),
    );
    close(reader);
    close(writer);
}

fn of_others() {
    let at = [0_u8; 8].as_ptr();
    check(
        "lsetxattr",
        "a link itself",
        sys!(SYS_lsetxattr, c"link", c"user.x", at, 1, 0),
    );
    check(
        "lgetxattr",
        "a link itself",
        sys!(SYS_lgetxattr, c"link", c"user.x", at, 0),
    );
    check(
        "lremovexattr",
        "a link itself",
        sys!(SYS_lremovexattr, c"link", c"user.x"),
    );
    check(
        "lgetxattr",
        "a file",
        sys!(SYS_lgetxattr, c"file", c"user.x", at, 0),
    );
    check(
        "llistxattr",
        "nothing",
        sys!(SYS_llistxattr, c"nothing", at, 0),
    );
    sys!(SYS_mknod, c"fifo", libc::S_IFIFO | 0o644, 0).expect("new");
    check("setxattr", "a fifo", set(c"fifo", c"user.x", b"1", 0));
    check(
        "getxattr",
        "a fifo",
        sys!(SYS_getxattr, c"fifo", c"user.x", at, 0),
    );
    check(
        "setxattr",
        "of processes",
        set(c"/proc/self/stat", c"user.x", b"1", 0),
    );
}

/// The calls of a path, of a path whose last link is not followed, and of an open file, held to the same.
fn relatives() {
    const ALL: [[Shape; 3]; 4] = [
        [
            (
                "setxattr",
                libc::SYS_setxattr,
                "path name zeroes length flags",
            ),
            (
                "lsetxattr",
                libc::SYS_lsetxattr,
                "path name zeroes length flags",
            ),
            (
                "fsetxattr",
                libc::SYS_fsetxattr,
                "file name zeroes length flags",
            ),
        ],
        [
            ("getxattr", libc::SYS_getxattr, "path name zeroes length"),
            ("lgetxattr", libc::SYS_lgetxattr, "path name zeroes length"),
            ("fgetxattr", libc::SYS_fgetxattr, "file name zeroes length"),
        ],
        [
            ("listxattr", libc::SYS_listxattr, "path zeroes length"),
            ("llistxattr", libc::SYS_llistxattr, "path zeroes length"),
            ("flistxattr", libc::SYS_flistxattr, "file zeroes length"),
        ],
        [
            ("removexattr", libc::SYS_removexattr, "path name"),
            ("lremovexattr", libc::SYS_lremovexattr, "path name"),
            ("fremovexattr", libc::SYS_fremovexattr, "file name"),
        ],
    ];
    let [set, get, list, remove] = ALL;
    std::fs::write("related", b"").expect("new");
    let file = opened(c"related", O_RDONLY);
    let long = CString::new([b"user.".as_slice(), &[b'n'; 251]].concat()).expect("no zeroes");
    let tried = |shape: &Shape, case: &str, path: &CStr, name: &CStr, length: i64, flags: i32| {
        let meaning = [
            ("path", path.as_ptr() as i64),
            ("file", file),
            ("name", name.as_ptr() as i64),
            ("length", length),
            ("flags", flags.into()),
        ];
        tried(shape, &format!("{case}, like its relatives"), &meaning);
    };
    let (path, name, other) = (c"related", c"user.first", c"user.other");
    for nth in 0..3 {
        let (set, get, list, remove) = (&set[nth], &get[nth], &list[nth], &remove[nth]);
        tried(set, "a new one", path, name, 40, XATTR_CREATE);
        tried(set, "one that must be new", path, name, 1, XATTR_CREATE);
        tried(set, "one that must be there", path, other, 1, XATTR_REPLACE);
        tried(set, "a value of 65537 bytes", path, name, 65_537, 0);
        tried(set, "too long a name", path, &long, 1, 0);
        tried(set, "an unknown space", path, c"nobody.x", 1, 0);
        tried(set, "unknown flags", path, name, 1, 4);
        tried(get, "its length", path, name, 0, 0);
        tried(get, "too little room", path, name, 39, 0);
        tried(get, "room enough", path, name, 40, 0);
        tried(get, "one that is not there", path, other, 40, 0);
        tried(get, "too long a name", path, &long, 40, 0);
        tried(get, "an unknown space", path, c"nobody.x", 40, 0);
        tried(list, "too little room", path, name, 3, 0);
        // What else is listed depends on the system the file lies on.
        let mut bytes = [0_u8; 4096];
        let at = bytes.as_mut_ptr();
        let listed = match nth {
            0 => sys!(SYS_listxattr, path, at, 4096),
            1 => sys!(SYS_llistxattr, path, at, 4096),
            _ => sys!(SYS_flistxattr, file, at, 4096),
        };
        works(list.0, "its names", listed).expect("listed");
        tried(remove, "an unknown space", path, c"nobody.x", 0, 0);
        tried(remove, "one that is there", path, name, 0, 0);
        tried(remove, "one that is gone", path, name, 0, 0);
    }
    close(file);
}
