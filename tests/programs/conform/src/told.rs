//! What `/proc` tells of a process, and takes from it.

use crate::check::{Answer, CLOSED, check, say, sys};
use crate::child::apart;

pub(crate) fn run() {
    names();
    blame();
    descriptors();
    rights();
}

fn write(path: &std::ffi::CStr, text: &str) -> Answer {
    let fd = sys!(SYS_open, path, libc::O_WRONLY | libc::O_TRUNC)?;
    let written = sys!(SYS_write, fd, text.as_ptr(), text.len());
    sys!(SYS_close, fd).expect("open");
    written
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| format!("{:?}", error.kind()))
}

fn names() {
    apart(|| {
        let path = c"/proc/self/comm";
        check("comm", "written to", write(path, "short"));
        say(
            "comm",
            "what was written",
            read("/proc/self/comm").trim_end(),
        );
        check(
            "comm",
            "a long name",
            write(path, "a name that is far too long"),
        );
        say(
            "comm",
            "what was taken of it",
            read("/proc/self/comm").trim_end(),
        );
        let mut name = [0_u8; 16];
        check(
            "prctl",
            "the name that was written",
            sys!(SYS_prctl, 16, name.as_mut_ptr()),
        );
        say("prctl", "what it is", String::from_utf8_lossy(&name[..15]));
        let parent = sys!(SYS_getppid).expect("one");
        let other = std::ffi::CString::new(format!("/proc/{parent}/comm")).expect("no NUL");
        check("comm", "another's", write(&other, "x"));
        let nothing = sys!(SYS_open, path, libc::O_WRONLY).expect("there");
        check("comm", "nothing written", sys!(SYS_write, nothing, 0, 0));
    });
}

fn blame() {
    apart(|| {
        let path = c"/proc/self/oom_score_adj";
        for (case, text) in [
            ("too much", "1001"),
            ("too little", "-1001"),
            ("no number", "x"),
            ("a number and more", "1 2"),
            ("the most", "1000\n"),
        ] {
            check("oom_score_adj", case, write(path, text));
        }
        say(
            "oom_score_adj",
            "what it is",
            read("/proc/self/oom_score_adj").trim_end(),
        );
        apart(|| {
            let told = read("/proc/self/oom_score_adj");
            say("oom_score_adj", "a child's", told.trim_end());
        });
    });
}

fn descriptors() {
    std::fs::write("file", b"0123456789").expect("new");
    let fd = sys!(
        SYS_open,
        c"file",
        libc::O_RDWR | libc::O_APPEND | libc::O_CLOEXEC
    )
    .expect("there");
    sys!(SYS_lseek, fd, 7, libc::SEEK_SET).expect("a file");
    let told = |fd: i64| read(&format!("/proc/self/fdinfo/{fd}"));
    let text = told(fd);
    say(
        "fdinfo",
        "where it is read next",
        text.lines().next().unwrap_or(""),
    );
    let flags = text
        .lines()
        .nth(1)
        .and_then(|line| line.strip_prefix("flags:\t0"));
    let flags = flags
        .and_then(|flags| i32::from_str_radix(flags, 8).ok())
        .expect("flags");
    for (case, flag) in [
        ("to read and write", libc::O_RDWR),
        ("to the end", libc::O_APPEND),
        ("closed by a new program", libc::O_CLOEXEC),
        ("without waiting", libc::O_NONBLOCK),
    ] {
        say("fdinfo", case, flags & flag != 0);
    }
    let number = std::fs::metadata("file").map(|known| std::os::unix::fs::MetadataExt::ino(&known));
    let number = format!("ino:\t{}", number.expect("there"));
    say(
        "fdinfo",
        "which file",
        text.lines().any(|line| line == number),
    );
    say("fdinfo", "one that is not open", told(CLOSED));
    let mut pipe = [0; 2];
    sys!(SYS_pipe, pipe.as_mut_ptr()).expect("a pipe");
    say(
        "fdinfo",
        "a pipe's",
        told(pipe[0].into()).lines().next().unwrap_or(""),
    );
    let listed = std::fs::read_dir("/proc/self/fdinfo").expect("there");
    let own = fd.to_string();
    let found = listed
        .flatten()
        .any(|entry| entry.file_name().to_str() == Some(&own));
    say("fdinfo", "listed", found);
}

/// Which lines `status` has of what a process may do, and what they say after some was given up.
fn rights() {
    apart(|| {
        let header = [0x2008_0522_u32, 0];
        let words = [1_u32, 0x21, 0x20, 0, 0, 0];
        sys!(SYS_capset, header.as_ptr(), words.as_ptr()).expect("less");
        sys!(SYS_prctl, 38, 1, 0, 0, 0).expect("done");
        let status = read("/proc/self/status");
        for name in ["CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs"] {
            let line = status.lines().find(|line| line.starts_with(name));
            say("status", name, line.unwrap_or("").trim_start_matches(name));
        }
    });
}
