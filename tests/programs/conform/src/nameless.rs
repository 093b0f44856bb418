//! Files without a name: memfd_create with its seals, O_TMPFILE; and two names that are exchanged.

use crate::check::{Answer, BAD, CLOSED, check, say, sys, works};
use crate::handle::{close, open, opened, read, write};
use crate::path::long;
use libc::{
    AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_FOLLOW, F_ADD_SEALS, F_GET_SEALS, F_SEAL_GROW, F_SEAL_SEAL,
    F_SEAL_SHRINK, F_SEAL_WRITE, MAP_PRIVATE, MAP_SHARED, MFD_ALLOW_SEALING, MFD_CLOEXEC, O_CREAT,
    O_DIRECTORY, O_EXCL, O_RDONLY, O_RDWR, O_TMPFILE, O_WRONLY, PROT_READ, PROT_WRITE,
};
use std::ffi::CString;
use std::os::unix::fs::MetadataExt;

pub(crate) fn run() {
    memory();
    seals();
    temporary();
    exchanged();
    busy();
    seen();
    behind_links();
}

/// What is open and has no name, as a path through `/proc` shows it: `diff <(one) <(other)` asks for it so.
fn behind_links() {
    let mut pipe = [0_i32; 2];
    sys!(SYS_pipe2, pipe.as_mut_ptr(), 0).expect("a pipe");
    let pair = crate::socket::pair(libc::SOCK_STREAM);
    for (what, fd) in [("a pipe", pipe[0]), ("a socket", pair[0])] {
        let path = format!("/proc/self/fd/{fd}");
        let kind = |it: std::io::Result<std::fs::Metadata>| {
            let mode = it.expect("it is open").mode();
            format!("{:o}", mode & libc::S_IFMT)
        };
        say(
            "stat",
            &format!("{what} behind a link"),
            kind(std::fs::metadata(&path)),
        );
        let link = std::fs::symlink_metadata(&path);
        say("lstat", &format!("the link to {what}"), kind(link));
        let path = CString::new(path).expect("no zeroes");
        check(
            "access",
            &format!("{what} behind a link"),
            sys!(SYS_access, &*path, libc::R_OK),
        );
    }
    for fd in pipe.into_iter().chain(pair) {
        close(fd.into());
    }
}

fn memory() {
    let make = |case: &str, name: *const i8, flags: u32| {
        if let Ok(fd) = works("memfd_create", case, sys!(SYS_memfd_create, name, flags)) {
            close(fd);
        }
    };
    make("a file", c"name".as_ptr(), 0);
    make("an empty name", c"".as_ptr(), 0);
    make("a bad address", BAD.cast(), 0);
    make("unknown flags", c"name".as_ptr(), 0x4000);
    make("the longest name", long(249).as_ptr(), 0);
    make("too long a name", long(250).as_ptr(), 0);
    let fd = sys!(SYS_memfd_create, c"a name", MFD_CLOEXEC).expect("a file");
    check(
        "memfd_create",
        "closed on exec",
        sys!(SYS_fcntl, fd, libc::F_GETFD),
    );
    say(
        "readlink",
        "a file in memory",
        std::fs::read_link(format!("/proc/self/fd/{fd}"))
            .expect("a link")
            .display(),
    );
    check(
        "memfd_create",
        "its flags",
        sys!(SYS_fcntl, fd, libc::F_GETFL),
    );
    check("memfd_create", "written", write(fd, b"0123456789"));
    // SAFETY: all zeroes are a `struct stat`.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    sys!(SYS_fstat, fd, &raw mut stat).expect("it is open");
    say(
        "memfd_create",
        "its attributes",
        format!("{:o} {} {}", stat.st_mode, stat.st_nlink, stat.st_size),
    );
    let path = CString::new(format!("/proc/self/fd/{fd}")).expect("no zeroes");
    let again = opened(&path, O_RDONLY);
    say(
        "memfd_create",
        "opened once more",
        format!("{:?}", read(again, 4)),
    );
    close(again);
    check(
        "memfd_create",
        "no seals can be put on",
        sys!(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_GROW),
    );
    check(
        "memfd_create",
        "its seals",
        sys!(SYS_fcntl, fd, F_GET_SEALS),
    );
    close(fd);
}

fn map(fd: i64, protection: i32, flags: i32) -> Answer {
    sys!(SYS_mmap, 0, 4096, protection, flags, fd, 0)
}

fn seals() {
    let fd = sys!(SYS_memfd_create, c"seals", MFD_ALLOW_SEALING).expect("a file");
    let add = |case: &str, seals: i32| {
        check(
            "fcntl F_ADD_SEALS",
            case,
            sys!(SYS_fcntl, fd, F_ADD_SEALS, seals),
        )
    };
    let seals = |case: &str| check("fcntl F_GET_SEALS", case, sys!(SYS_fcntl, fd, F_GET_SEALS));
    let cut = |case: &str, to: i64| check("ftruncate", case, sys!(SYS_ftruncate, fd, to));
    sys!(SYS_ftruncate, fd, 8192).expect("it grows");
    seals("none");
    add("unknown ones", 0x4000);
    let path = CString::new(format!("/proc/self/fd/{fd}")).expect("no zeroes");
    let reader = opened(&path, O_RDONLY);
    check(
        "fcntl F_ADD_SEALS",
        "for reading",
        sys!(SYS_fcntl, reader, F_ADD_SEALS, F_SEAL_GROW),
    );
    close(reader);
    add("against growing", F_SEAL_GROW);
    cut("longer, sealed", 8193);
    cut("the same length, sealed", 8192);
    check(
        "pwrite64",
        "over a sealed end",
        sys!(SYS_pwrite64, fd, b"xx".as_ptr(), 2, 8191),
    );
    check(
        "pwrite64",
        "up to a sealed end",
        sys!(SYS_pwrite64, fd, b"xx".as_ptr(), 2, 8190),
    );
    check(
        "fallocate",
        "over a sealed end",
        sys!(SYS_fallocate, fd, 0, 0, 9000),
    );
    cut("shorter, against growing alone", 8000);
    add("against shrinking", F_SEAL_SHRINK);
    cut("shorter, sealed", 4096);
    seals("two");
    let shared = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED).expect("a mapping");
    add("against writing what is mapped", F_SEAL_WRITE);
    sys!(SYS_munmap, shared, 4096).expect("it was mapped");
    let private = map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE).expect("a mapping");
    add("against writing", F_SEAL_WRITE);
    sys!(SYS_munmap, private, 4096).expect("it was mapped");
    check("write", "to what is sealed", write(fd, b"x"));
    check(
        "fallocate",
        "what is sealed",
        sys!(SYS_fallocate, fd, 3, 0, 4096),
    );
    check(
        "mmap",
        "to write what is sealed",
        map(fd, PROT_READ | PROT_WRITE, MAP_SHARED),
    );
    let _ = works(
        "mmap",
        "to read what is sealed",
        map(fd, PROT_READ, MAP_SHARED),
    );
    let _ = works(
        "mmap",
        "a copy of what is sealed",
        map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE),
    );
    add("against seals", F_SEAL_SEAL);
    add("the last one was put on", F_SEAL_GROW);
    seals("all");
    close(fd);
    std::fs::write("plain", b"x").expect("new");
    let plain = opened(c"plain", O_RDWR);
    check(
        "fcntl F_GET_SEALS",
        "not open",
        sys!(SYS_fcntl, CLOSED, F_GET_SEALS),
    );
    close(plain);
}

fn temporary() {
    std::fs::create_dir("folder").expect("new");
    let tried = |case: &str, path: &std::ffi::CStr, flags: i32| {
        if let Ok(fd) = works("openat O_TMPFILE", case, open(path, flags)) {
            close(fd);
        }
    };
    tried("a file", c"folder", O_TMPFILE | O_RDWR);
    tried("a file for writing", c"folder", O_TMPFILE | O_WRONLY);
    tried("for reading", c"folder", O_TMPFILE | O_RDONLY);
    tried("to be made", c"folder", O_TMPFILE | O_RDWR | O_CREAT);
    tried(
        "without O_DIRECTORY",
        c"folder",
        O_TMPFILE & !O_DIRECTORY | O_RDWR,
    );
    tried("in nothing", c"nothing", O_TMPFILE | O_RDWR);
    tried("in a file", c"plain", O_TMPFILE | O_RDWR);
    tried(
        "in the device tree's folder of processes",
        c"/proc/self",
        O_TMPFILE | O_RDWR,
    );
    let fd = opened(c"folder", O_TMPFILE | O_RDWR);
    write(fd, b"text").expect("it is written");
    // SAFETY: all zeroes are a `struct stat`.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    sys!(SYS_fstat, fd, &raw mut stat).expect("it is open");
    say(
        "openat O_TMPFILE",
        "its attributes",
        format!("{:o} {} {}", stat.st_mode, stat.st_nlink, stat.st_size),
    );
    let names = std::fs::read_dir("folder").expect("a folder").count();
    say("openat O_TMPFILE", "names in the folder", names);
    let path = CString::new(format!("/proc/self/fd/{fd}")).expect("no zeroes");
    check(
        "linkat",
        "a file without a name",
        sys!(
            SYS_linkat,
            AT_FDCWD,
            &*path,
            AT_FDCWD,
            c"folder/name",
            AT_SYMLINK_FOLLOW
        ),
    );
    say(
        "linkat",
        "its content",
        format!("{:?}", std::fs::read("folder/name")),
    );
    sys!(SYS_fstat, fd, &raw mut stat).expect("it is open");
    say("linkat", "its names", stat.st_nlink);
    write(fd, b" more").expect("it is written");
    say(
        "linkat",
        "its content later",
        format!("{:?}", std::fs::read("folder/name")),
    );
    sys!(SYS_unlink, c"folder/name").expect("it has a name");
    check(
        "linkat",
        "a file whose names are gone",
        sys!(
            SYS_linkat,
            AT_FDCWD,
            &*path,
            AT_FDCWD,
            c"folder/name",
            AT_SYMLINK_FOLLOW
        ),
    );
    close(fd);
    let fd = opened(c"folder", O_TMPFILE | O_RDWR | O_EXCL);
    let path = CString::new(format!("/proc/self/fd/{fd}")).expect("no zeroes");
    check(
        "linkat",
        "a file that gets no name",
        sys!(
            SYS_linkat,
            AT_FDCWD,
            &*path,
            AT_FDCWD,
            c"folder/name",
            AT_SYMLINK_FOLLOW
        ),
    );
    close(fd);
    check(
        "linkat",
        "an empty path of nothing",
        sys!(
            SYS_linkat,
            CLOSED,
            c"",
            AT_FDCWD,
            c"folder/name",
            AT_EMPTY_PATH
        ),
    );
}

fn exchanged() {
    const EXCHANGE: u32 = 2;
    let swap = |case: &str, from: &std::ffi::CStr, to: &std::ffi::CStr, flags: u32| {
        check(
            "renameat2",
            case,
            sys!(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags),
        );
    };
    std::fs::create_dir_all("one/below").expect("new");
    std::fs::create_dir("two").expect("new");
    std::fs::write("one/file", b"first").expect("new");
    std::fs::write("two/file", b"second").expect("new");
    let shown = |case: &str| {
        let show = |path: &str| std::fs::read_to_string(path).unwrap_or_else(|_| "nothing".into());
        let links = |path: &str| {
            use std::os::unix::fs::MetadataExt;
            std::fs::metadata(path).map_or(0, |it| if it.is_dir() { 0 } else { it.nlink() })
        };
        say(
            "renameat2",
            case,
            format!(
                "{} {} {}",
                show("one/file"),
                show("two/file"),
                links("one/file")
            ),
        );
    };
    swap("two files exchanged", c"one/file", c"two/file", EXCHANGE);
    shown("two files after that");
    swap("a file with nothing", c"one/file", c"two/nothing", EXCHANGE);
    swap("nothing with a file", c"two/nothing", c"one/file", EXCHANGE);
    swap("one with itself", c"one/file", c"one/file", EXCHANGE);
    swap("two folders exchanged", c"one", c"two", EXCHANGE);
    shown("two folders after that");
    swap(
        "a folder with what is in it",
        c"two",
        c"two/below",
        EXCHANGE,
    );
    swap(
        "what is in a folder with that",
        c"two/below",
        c"two",
        EXCHANGE,
    );
    swap("a folder with a file", c"two/below", c"one/file", EXCHANGE);
    say(
        "renameat2",
        "a folder where a file was",
        std::path::Path::new("one/file").is_dir(),
    );
    say(
        "renameat2",
        "a file where a folder was",
        format!("{:?}", std::fs::read("two/below")),
    );
    swap("exchanged and not replaced", c"one", c"two", EXCHANGE | 1);
    swap("with unknown flags", c"one", c"two", 0x40);
    swap(
        "a file with a slash, exchanged",
        c"two/below/",
        c"one/file",
        EXCHANGE,
    );
    std::fs::remove_dir_all("one").expect("it is there");
    std::fs::remove_dir_all("two").expect("it is there");
}

/// What executes is not written to, and what is written to is not executed.
fn busy() {
    let own = std::env::current_exe().expect("it has one");
    std::fs::copy(own, "program").expect("new");
    let program = |case: &str| {
        let status = std::process::Command::new("./program")
            .arg("--count")
            .env_clear()
            .status();
        say(
            "execve",
            case,
            match status {
                Ok(status) => status.code().unwrap_or(-1),
                Err(error) => -error.raw_os_error().unwrap_or(0),
            },
        );
    };
    let writer = opened(c"program", O_RDWR);
    program("a program that is written to");
    close(writer);
    program("a program that was written to");
    let mut sleeper = std::process::Command::new("./program")
        .arg("--sleep")
        .spawn()
        .expect("it runs");
    let tried = |case: &str, flags: i32| {
        if let Ok(fd) = works("openat", case, open(c"program", flags)) {
            close(fd);
        }
    };
    tried("a program that runs", O_RDONLY);
    tried("a program that runs, for writing", O_WRONLY);
    tried("a program that runs, for both", O_RDWR);
    tried("a program that runs, to be cut", O_RDONLY | libc::O_TRUNC);
    check(
        "truncate",
        "a program that runs",
        sys!(SYS_truncate, c"program", 4),
    );
    check(
        "creat",
        "a program that runs",
        sys!(SYS_creat, c"program", 0o700),
    );
    check(
        "chmod",
        "a program that runs",
        sys!(SYS_chmod, c"program", 0o700),
    );
    sleeper.kill().expect("it runs");
    sleeper.wait().expect("it ended");
    tried("a program that ran, for writing", O_WRONLY);
}

/// A mapping that may not write sees what others do.
fn seen() {
    std::fs::write("seen", [b'a'; 8192]).expect("new");
    let reader = opened(c"seen", O_RDONLY);
    let at = sys!(SYS_mmap, 0, 8192, PROT_READ, MAP_SHARED, reader, 0).expect("a mapping");
    let look = |case: &str, place: usize| {
        let byte = std::ptr::with_exposed_provenance::<u8>(at as usize + place);
        // SAFETY: the mapping is there until the end of this function, and its file is as long.
        let byte = unsafe { byte.read_volatile() };
        say("mmap", case, char::from(byte));
    };
    look("seen before a write", 5000);
    let writer = opened(c"seen", O_RDWR);
    check(
        "pwrite64",
        "what is seen",
        sys!(SYS_pwrite64, writer, b"b".as_ptr(), 1, 5000),
    );
    look("seen after a write", 5000);
    let shared = sys!(
        SYS_mmap,
        0,
        8192,
        PROT_READ | PROT_WRITE,
        MAP_SHARED,
        writer,
        0
    );
    let shared = shared.expect("a mapping");
    close(writer);
    let byte = std::ptr::with_exposed_provenance_mut::<u8>(shared as usize + 10);
    // SAFETY: it was mapped just now, for writing.
    unsafe { byte.write_volatile(b'c') };
    look("seen after a write to a mapping", 10);
    let both = PROT_READ | PROT_WRITE;
    check(
        "mprotect",
        "what is seen, to be written to",
        sys!(SYS_mprotect, at, 4096, both),
    );
    check(
        "mprotect",
        "what is seen, to be nothing",
        sys!(SYS_mprotect, at, 4096, 0),
    );
    for place in [at, shared] {
        sys!(SYS_munmap, place, 8192).expect("it was mapped");
    }
    close(reader);
}
