//! Names: mkdir, rmdir, rename, link, symlink, unlink, readlink, mknod, folders and places.

use crate::check::{BAD, CLOSED, check, say, sys, works};
use crate::handle::{close, opened};
use libc::{
    AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, O_PATH, RENAME_EXCHANGE, RENAME_NOREPLACE, S_IFCHR,
    S_IFIFO, S_IFREG,
};
use std::ffi::CStr;
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::symlink;

/// A path of one name of so many bytes.
pub(crate) fn long(bytes: usize) -> CString {
    CString::new(vec![b'n'; bytes]).expect("no NUL")
}

pub(crate) fn run() {
    folders();
    renames();
    links();
    reading_links();
    nodes();
    listings();
    places();
}

fn folders() {
    fs::write("file", b"x").expect("new");
    let make = |case: &str, path: &CStr| check("mkdir", case, sys!(SYS_mkdir, path, 0o777));
    make("a folder", c"folder");
    make("a folder that is there", c"folder");
    make("with a slash", c"slashed/");
    make("where a file is", c"file");
    make("below a file", c"file/x");
    make("in no folder", c"no/x");
    make("an empty name", c"");
    make("this folder", c".");
    make("the root", c"/");
    make("a name of 256 bytes", &long(256));
    make("deeper", c"folder/deeper");
    check("mkdir", "a bad address", sys!(SYS_mkdir, BAD, 0o777));
    check(
        "mkdirat",
        "not open",
        sys!(SYS_mkdirat, CLOSED, c"x", 0o777),
    );
    check(
        "mkdirat",
        "an absolute path does not care",
        sys!(SYS_mkdirat, CLOSED, c"/", 0o777),
    );
    say(
        "mkdir",
        "its mode",
        format!("{:o}", fs::metadata("folder").expect("there").mode()),
    );
    let remove = |case: &str, path: &CStr| check("rmdir", case, sys!(SYS_rmdir, path));
    remove("not empty", c"folder");
    remove("a file", c"file");
    remove("no folder", c"nothing");
    remove("an empty name", c"");
    remove("ends with a dot", c"folder/.");
    remove("ends with two dots", c"folder/deeper/..");
    remove("the root", c"/");
    remove("below a file", c"file/x");
    remove("with a slash", c"slashed/");
    remove("empty", c"folder/deeper");
    check("rmdir", "a bad address", sys!(SYS_rmdir, BAD));
    let unlink = |case: &str, path: &CStr| check("unlink", case, sys!(SYS_unlink, path));
    unlink("a folder", c"folder");
    unlink("no file", c"nothing");
    unlink("a file with a slash", c"file/");
    unlink("an empty name", c"");
    unlink("below a file", c"file/x");
    unlink("a file", c"file");
    unlink("a file that is gone", c"file");
    check("unlink", "a bad address", sys!(SYS_unlink, BAD));
    check(
        "unlinkat",
        "an unknown flag",
        sys!(SYS_unlinkat, AT_FDCWD, c"folder", 1),
    );
    check(
        "unlinkat",
        "a folder as a file",
        sys!(SYS_unlinkat, AT_FDCWD, c"folder", 0),
    );
    check(
        "unlinkat",
        "a folder",
        sys!(SYS_unlinkat, AT_FDCWD, c"folder", AT_REMOVEDIR),
    );
    check("unlinkat", "not open", sys!(SYS_unlinkat, CLOSED, c"x", 0));
    fs::write("gone", b"still here").expect("new");
    let fd = opened(c"gone", 0);
    fs::remove_file("gone").expect("there");
    let mut bytes = [0_u8; 16];
    check(
        "read",
        "a file without a name",
        sys!(SYS_read, fd, bytes.as_mut_ptr(), 16),
    );
    let mut stat = [0_u64; 18];
    check(
        "fstat",
        "a file without a name",
        sys!(SYS_fstat, fd, stat.as_mut_ptr()),
    );
    say("fstat", "links of a file without a name", stat[2]);
    close(fd);
}

fn renames() {
    fs::write("a", b"a").expect("new");
    fs::write("b", b"b").expect("new");
    fs::create_dir_all("d/inner").expect("new");
    fs::create_dir("e").expect("new");
    let rename =
        |case: &str, from: &CStr, to: &CStr| check("rename", case, sys!(SYS_rename, from, to));
    rename("to a new name", c"a", c"c");
    rename("over a file", c"c", c"b");
    say(
        "rename",
        "the file that stayed",
        fs::read_to_string("b").expect("there"),
    );
    rename("what is not there", c"a", c"c");
    rename("to itself", c"b", c"b");
    rename("a file over a folder", c"b", c"d");
    rename("a folder over a file", c"e", c"b");
    rename("a folder over a full one", c"e", c"d");
    rename("a folder into itself", c"d", c"d/inner/d");
    rename("a folder into its own child", c"d", c"d/x");
    rename("over a folder above", c"d/inner", c"d");
    rename("a folder over an empty one", c"d", c"e");
    rename("into no folder", c"b", c"no/b");
    rename("below a file", c"b", c"b/x");
    rename("an empty name", c"", c"x");
    rename("to an empty name", c"b", c"");
    rename("a dot", c".", c"x");
    rename("to a dot", c"b", c".");
    rename("two dots", c"e/..", c"x");
    rename("a file to a name with a slash", c"b", c"x/");
    rename("a folder to a name with a slash", c"e", c"f/");
    rename("a long name", c"b", &long(256));
    check("rename", "a bad address", sys!(SYS_rename, BAD, c"x"));
    check("rename", "to a bad address", sys!(SYS_rename, c"b", BAD));
    check(
        "renameat",
        "not open",
        sys!(SYS_renameat, CLOSED, c"b", AT_FDCWD, c"x"),
    );
    let two = |case: &str, from: &CStr, to: &CStr, flags: u32| {
        check(
            "renameat2",
            case,
            sys!(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags),
        );
    };
    fs::write("x", b"x").expect("new");
    two("must be new and is not", c"b", c"x", RENAME_NOREPLACE);
    two("must be new", c"b", c"y", RENAME_NOREPLACE);
    two(
        "two that exclude each other",
        c"y",
        c"x",
        RENAME_NOREPLACE | RENAME_EXCHANGE,
    );
    two("an unknown flag", c"y", c"x", 1 << 20);
    two("exchange with nothing", c"y", c"nothing", RENAME_EXCHANGE);
    for name in ["x", "y"] {
        fs::remove_file(name).expect("there");
    }
    fs::remove_dir_all("f").expect("there");
}

fn links() {
    fs::write("first", b"one").expect("new");
    fs::create_dir("dir").expect("new");
    let link = |case: &str, from: &CStr, to: &CStr| check("link", case, sys!(SYS_link, from, to));
    link("a second name", c"first", c"second");
    link("a name in use", c"first", c"second");
    link("no file", c"nothing", c"third");
    link("a folder", c"dir", c"dir2");
    link("into no folder", c"first", c"no/x");
    link("below a file", c"first", c"first/x");
    link("an empty name", c"first", c"");
    link("of an empty name", c"", c"x");
    check("link", "a bad address", sys!(SYS_link, BAD, c"x"));
    say(
        "link",
        "names of the file",
        fs::metadata("first").expect("there").nlink(),
    );
    fs::write("second", b"changed").expect("there");
    say(
        "link",
        "one file under both",
        fs::read_to_string("first").expect("there"),
    );
    fs::remove_file("first").expect("there");
    say(
        "link",
        "names once one is gone",
        fs::metadata("second").expect("there").nlink(),
    );
    symlink("second", "symbolic").expect("new");
    check(
        "linkat",
        "a symbolic link itself",
        sys!(SYS_linkat, AT_FDCWD, c"symbolic", AT_FDCWD, c"s2", 0),
    );
    say(
        "linkat",
        "it is a link",
        fs::symlink_metadata("s2").expect("there").is_symlink(),
    );
    check(
        "linkat",
        "what a symbolic link means",
        sys!(
            SYS_linkat,
            AT_FDCWD,
            c"symbolic",
            AT_FDCWD,
            c"s3",
            AT_SYMLINK_FOLLOW
        ),
    );
    say(
        "linkat",
        "it is a file",
        fs::symlink_metadata("s3").expect("there").is_file(),
    );
    check(
        "linkat",
        "an unknown flag",
        sys!(SYS_linkat, AT_FDCWD, c"symbolic", AT_FDCWD, c"s4", 1),
    );
    check(
        "linkat",
        "not open",
        sys!(SYS_linkat, CLOSED, c"symbolic", AT_FDCWD, c"s4", 0),
    );
    check(
        "symlink",
        "to nothing",
        sys!(SYS_symlink, c"nothing", c"sym"),
    );
    check(
        "symlink",
        "a name in use",
        sys!(SYS_symlink, c"nothing", c"sym"),
    );
    check(
        "symlink",
        "an empty target",
        sys!(SYS_symlink, c"", c"sym2"),
    );
    check("symlink", "an empty name", sys!(SYS_symlink, c"x", c""));
    check(
        "symlink",
        "in no folder",
        sys!(SYS_symlink, c"x", c"no/sym"),
    );
    check("symlink", "a bad address", sys!(SYS_symlink, BAD, c"sym2"));
    check(
        "symlinkat",
        "not open",
        sys!(SYS_symlinkat, c"x", CLOSED, c"sym2"),
    );
    let deep = CString::new(b"x/".repeat(3000)).expect("no NUL");
    check(
        "symlink",
        "a target of 6000 bytes",
        sys!(SYS_symlink, &*deep, c"sym2"),
    );
    for name in ["second", "symbolic", "s2", "s3", "sym"] {
        fs::remove_file(name).expect("there");
    }
    fs::remove_dir("dir").expect("there");
    for nth in 0..42 {
        symlink(
            if nth == 0 {
                "end".to_owned()
            } else {
                format!("c{}", nth - 1)
            },
            format!("c{nth}"),
        )
        .expect("new");
    }
    fs::write("end", b"").expect("new");
    check(
        "stat",
        "through 40 links",
        sys!(SYS_stat, c"c39", [0_u64; 18].as_mut_ptr()),
    );
    check(
        "stat",
        "through 41 links",
        sys!(SYS_stat, c"c40", [0_u64; 18].as_mut_ptr()),
    );
}

fn reading_links() {
    symlink("a target", "link").expect("new");
    fs::write("plain", b"").expect("new");
    let mut bytes = [0_u8; 32];
    let at = bytes.as_mut_ptr();
    check("readlink", "a link", sys!(SYS_readlink, c"link", at, 32));
    say(
        "readlink",
        "its target",
        String::from_utf8_lossy(&bytes[..8]),
    );
    check("readlink", "cut", sys!(SYS_readlink, c"link", at, 3));
    check("readlink", "no room", sys!(SYS_readlink, c"link", at, 0));
    check(
        "readlink",
        "negative room",
        sys!(SYS_readlink, c"link", at, -1),
    );
    check("readlink", "a file", sys!(SYS_readlink, c"plain", at, 32));
    check("readlink", "a folder", sys!(SYS_readlink, c".", at, 32));
    check(
        "readlink",
        "nothing",
        sys!(SYS_readlink, c"nothing", at, 32),
    );
    check("readlink", "an empty name", sys!(SYS_readlink, c"", at, 32));
    check("readlink", "a bad name", sys!(SYS_readlink, BAD, at, 32));
    check(
        "readlink",
        "a bad buffer",
        sys!(SYS_readlink, c"link", BAD, 32),
    );
    check(
        "readlinkat",
        "a link",
        sys!(SYS_readlinkat, AT_FDCWD, c"link", at, 32),
    );
    check(
        "readlinkat",
        "not open",
        sys!(SYS_readlinkat, CLOSED, c"link", at, 32),
    );
    let fd = opened(c"link", O_PATH | libc::O_NOFOLLOW);
    check(
        "readlinkat",
        "an open link",
        sys!(SYS_readlinkat, fd, c"", at, 32),
    );
    close(fd);
    fs::remove_file("link").expect("there");
}

fn nodes() {
    let mode = |path: &str| format!("{:o}", fs::symlink_metadata(path).expect("there").mode());
    check(
        "mknod",
        "a fifo",
        sys!(SYS_mknod, c"fifo", S_IFIFO | 0o666, 0),
    );
    say("mknod", "the mode of a FIFO", mode("fifo"));
    check(
        "mknod",
        "a file",
        sys!(SYS_mknod, c"regular", S_IFREG | 0o666, 0),
    );
    say("mknod", "the mode of a file", mode("regular"));
    check(
        "mknod",
        "without a type",
        sys!(SYS_mknod, c"untyped", 0o600, 0),
    );
    say("mknod", "the mode of what has no type", mode("untyped"));
    check(
        "mknod",
        "a name in use",
        sys!(SYS_mknod, c"fifo", S_IFIFO | 0o666, 0),
    );
    check(
        "mknod",
        "a folder",
        sys!(SYS_mknod, c"dir", libc::S_IFDIR | 0o777, 0),
    );
    check(
        "mknod",
        "an unknown type",
        sys!(SYS_mknod, c"unknown", 0o030_000, 0),
    );
    check(
        "mknod",
        "in no folder",
        sys!(SYS_mknod, c"no/x", S_IFIFO, 0),
    );
    check("mknod", "a bad address", sys!(SYS_mknod, BAD, S_IFIFO, 0));
    check(
        "mknodat",
        "not open",
        sys!(SYS_mknodat, CLOSED, c"x", S_IFIFO, 0),
    );
    check(
        "mknodat",
        "null's device",
        sys!(SYS_mknodat, AT_FDCWD, c"null", S_IFCHR | 0o666, 0x103),
    );
    say(
        "mknodat",
        "its number",
        fs::metadata("null").expect("there").rdev(),
    );
    for name in ["fifo", "regular", "untyped", "null"] {
        fs::remove_file(name).expect("there");
    }
}

fn listings() {
    for (folder, name) in [
        ("/proc/self", "fd"),
        ("/proc/self/fd", "0"),
        ("/proc", "self"),
    ] {
        let names = fs::read_dir(folder).expect("it is there");
        let is_there = names.flatten().any(|entry| entry.file_name() == name);
        say("getdents64", &format!("{folder} has {name}"), is_there);
    }
    fs::create_dir("list").expect("new");
    for name in ["one", "two", "three"] {
        fs::write(format!("list/{name}"), b"").expect("new");
    }
    fs::create_dir("list/folder").expect("new");
    symlink("one", "list/link").expect("new");
    let fd = opened(c"list", libc::O_DIRECTORY);
    let mut bytes = [0_u8; 1024];
    let mut names = Vec::new();
    loop {
        let count =
            sys!(SYS_getdents64, fd, bytes.as_mut_ptr(), bytes.len()).expect("a folder") as usize;
        if count == 0 {
            break;
        }
        let mut at = 0;
        while at < count {
            let length = usize::from(u16::from_le_bytes([bytes[at + 16], bytes[at + 17]]));
            let kind = bytes[at + 18];
            let name = &bytes[at + 19..at + length];
            let end = name.iter().position(|&it| it == 0).expect("it ends");
            names.push(format!("{}:{kind}", String::from_utf8_lossy(&name[..end])));
            at += length;
        }
    }
    names.sort();
    say("getdents64", "names and types", names.join(" "));
    check(
        "getdents64",
        "the end again",
        sys!(SYS_getdents64, fd, bytes.as_mut_ptr(), 1024),
    );
    check(
        "lseek",
        "back to a folder's start",
        sys!(SYS_lseek, fd, 0, 0),
    );
    check(
        "getdents64",
        "room for nothing",
        sys!(SYS_getdents64, fd, bytes.as_mut_ptr(), 8),
    );
    check(
        "getdents64",
        "a bad buffer",
        sys!(SYS_getdents64, fd, BAD, 1024),
    );
    close(fd);
    check(
        "getdents64",
        "not open",
        sys!(SYS_getdents64, CLOSED, bytes.as_mut_ptr(), 1024),
    );
    let file = opened(c"list/one", 0);
    check(
        "getdents64",
        "a file",
        sys!(SYS_getdents64, file, bytes.as_mut_ptr(), 1024),
    );
    close(file);
    let fd = opened(c"list", libc::O_DIRECTORY);
    fs::remove_dir_all("list").expect("there");
    check(
        "getdents64",
        "a folder that is gone",
        sys!(SYS_getdents64, fd, bytes.as_mut_ptr(), 1024),
    );
    check(
        "getdents",
        "a folder that is gone",
        sys!(SYS_getdents, fd, bytes.as_mut_ptr(), 1024),
    );
    check(
        "openat",
        "a file in a folder that is gone",
        sys!(SYS_openat, fd, c"x", libc::O_CREAT | libc::O_RDWR, 0o600),
    );
    close(fd);
}

fn places() {
    fs::create_dir("place").expect("new");
    fs::write("no-place", b"").expect("new");
    let mut bytes = [0_u8; 256];
    let at = bytes.as_mut_ptr();
    let here = std::env::current_dir().expect("it is there");
    works("getcwd", "this folder", sys!(SYS_getcwd, at, 256)).expect("it has a name");
    check("getcwd", "too little room", sys!(SYS_getcwd, at, 2));
    check("getcwd", "no room", sys!(SYS_getcwd, at, 0));
    check("getcwd", "a bad address", sys!(SYS_getcwd, BAD, 256));
    check("chdir", "a folder", sys!(SYS_chdir, c"place"));
    check("chdir", "nothing", sys!(SYS_chdir, c"nothing"));
    check("chdir", "back", sys!(SYS_chdir, c".."));
    check("chdir", "a file", sys!(SYS_chdir, c"no-place"));
    check("chdir", "an empty name", sys!(SYS_chdir, c""));
    check("chdir", "a bad address", sys!(SYS_chdir, BAD));
    let (file, folder) = (opened(c"no-place", 0), opened(c"place", 0));
    check("fchdir", "a file", sys!(SYS_fchdir, file));
    check("fchdir", "not open", sys!(SYS_fchdir, CLOSED));
    check("fchdir", "a folder", sys!(SYS_fchdir, folder));
    fs::remove_dir(here.join("place")).expect("there");
    check("getcwd", "a folder that is gone", sys!(SYS_getcwd, at, 256));
    check(
        "mkdir",
        "in a folder that is gone",
        sys!(SYS_mkdir, c"x", 0o777),
    );
    check(
        "stat",
        "a folder that is gone",
        sys!(SYS_stat, c".", [0_u64; 18].as_mut_ptr()),
    );
    std::env::set_current_dir(&here).expect("it is there");
    close(file);
    close(folder);
    check("chroot", "nothing", sys!(SYS_chroot, c"nothing"));
    check("chroot", "a file", sys!(SYS_chroot, c"no-place"));
    check("chroot", "a bad address", sys!(SYS_chroot, BAD));
}
