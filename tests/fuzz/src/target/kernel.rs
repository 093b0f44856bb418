//! The kernel, from three sides: the files it boots on, the programs it loads, and what programs ask of it.

use super::Target;
use crate::guest::Guest;
use fakes::disk::Disk;
use fakes::program::executable;
use mote_host::initrd::Archive;
use std::fs::Permissions;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::OnceLock;

pub(super) const INITRD: Target = Target {
    name: "initrd",
    about: "an initrd of any bytes as the root, and a program from it",
    corpus: || vec![archive(&executable())],
    words: &[
        b"070701",
        b"070702",
        b"00000000",
        b"FFFFFFFF",
        b"ffffffff",
        b"7FFFFFFF",
        b"TRAILER!!!",
        b"..",
        b"/",
        b"bin/true",
        b"0000A1FF",
        b"000041ED",
        b"000081ED",
        b"\0",
    ],
    weight: 100,
    max_bytes: 4096,
    run: |bytes| boot(Guest::new(None, Some(bytes.to_vec()), Vec::new())),
};

pub(super) const PROGRAM: Target = Target {
    name: "program",
    about: "a program file of any bytes",
    corpus: || vec![executable()],
    words: &[
        b"\x7fELF",
        b"#!/bin/true\n",
        b"#!",
        b"\x01\0\0\0",
        b"\x03\0\0\0",
        b"\x02\0",
        b"\x03\0",
        b"\x38\0",
        b"\x40\0",
    ],
    weight: 100,
    max_bytes: 1024,
    run: |bytes| boot(Guest::new(None, Some(archive(bytes)), Vec::new())),
};

pub(super) const CALLS: Target = Target {
    name: "calls",
    about: "a program that calls the kernel with anything",
    corpus: || (0..8).map(script).collect(),
    words: &[
        b"/tmp/x\0",
        b"/dev/null\0",
        b"/proc/self/stat\0",
        b"/bin\0",
        b"..\0",
        b"/bin/link\0",
        b"\0",
        b"\xff",
    ],
    weight: 100,
    max_bytes: 2048,
    run: |bytes| {
        boot(Guest::new(
            None,
            Some(archive(&executable())),
            bytes.to_vec(),
        ))
    },
};

pub(super) const TERMINAL: Target = Target {
    name: "terminal",
    about: "a host that types anything at a terminal, and a program that asks it anything",
    corpus: || (8..16).map(script).collect(),
    words: &[
        b"\x03",
        b"\x04",
        b"\x1a",
        b"\x1c",
        b"\x13",
        b"\x11",
        b"\x16",
        b"\x17",
        b"\x15",
        b"\x12",
        b"\x7f",
        b"\r",
        b"\n",
        b"\t",
        b"\xc3\xa4",
        b"\xff",
        b"/dev/ptmx\0",
        b"/dev/tty\0",
        b"/dev/pts/0\0",
    ],
    weight: 100,
    max_bytes: 2048,
    run: terminal,
};

pub(super) const DISK: Target = Target {
    name: "disk",
    about: "an ext4 disk with changed bytes, and with reads that fail",
    corpus: || vec![vec![0], vec![0, 0x38, 4, 0, 1], vec![3, 0x18, 4, 0, 9]],
    words: &[
        b"\x00\x04\0",
        b"\x18\x04\0",
        b"\x20\x04\0",
        b"\x28\x04\0",
        b"\x58\x04\0",
        b"\x00\x10\0",
        b"\x00\x20\0",
    ],
    weight: 100,
    max_bytes: 128,
    run: patched_disk,
};

/// The root that the programs of these targets see.
fn archive(program: &[u8]) -> Vec<u8> {
    Archive::new()
        .directory("tmp")
        .directory("dev")
        .directory("proc")
        .file("bin/true", 0o755, program)
        .symlink("bin/link", "true")
        .file("etc/notes", 0o644, &[b'n'; 200])
        .finish()
}

/// Loads `/bin/true` and runs it to its end, and once more: what the first left behind must not hurt.
fn boot(mut guest: Guest) {
    for _ in 0..2 {
        if let Ok(pid) = guest.load(&["/bin/true", "/etc/notes", "/tmp/x"]) {
            guest.run(pid);
        }
    }
}

/// The first two bytes say how much the host does; the rest is the program's.
fn terminal(bytes: &[u8]) {
    let Some((&[low, high], rest)) = bytes.split_first_chunk() else {
        return;
    };
    let typed = usize::from(u16::from_le_bytes([low, high & 3])).min(rest.len());
    let (typed, script) = rest.split_at(typed);
    let mut guest = Guest::new(None, Some(archive(&executable())), script.to_vec());
    for _ in 0..2 {
        if let Ok(pid) = guest.load_at_terminal(&["/bin/true"]) {
            guest.sit(pid, typed);
        }
    }
}

/// Random, but the same each time: any byte is a step, so any bytes are a program.
pub(super) fn script(number: u64) -> Vec<u8> {
    let mut random = crate::random::Random::new(number);
    (0..400).map(|_| random.word() as u8).collect()
}

/// The first byte says how often reads fail; then come an offset of three bytes and a new value, again and again.
fn patched_disk(bytes: &[u8]) {
    let Some(mut image) = image().map(<[u8]>::to_vec) else {
        return;
    };
    let Some((&failing, patches)) = bytes.split_first() else {
        return;
    };
    for patch in patches.chunks_exact(4) {
        let offset = u32::from_le_bytes([patch[0], patch[1], patch[2], 0]) as usize % image.len();
        image[offset] = patch[3];
    }
    boot(Guest::new(
        Some(Disk::new(image).failing_every(failing.into())),
        None,
        Vec::new(),
    ));
}

/// A disk of 512 KiB with the same root, made once by `mkfs.ext4`; `None` where that is not installed.
pub(super) fn image() -> Option<&'static [u8]> {
    static IMAGE: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    IMAGE.get_or_init(make_image).as_deref()
}

fn make_image() -> Option<Vec<u8>> {
    let folder = std::env::temp_dir().join(format!("mote-fuzz-disk-{}", std::process::id()));
    let root = folder.join("root");
    for directory in ["bin", "etc", "tmp", "dev", "proc"] {
        std::fs::create_dir_all(root.join(directory)).ok()?;
    }
    let program = root.join("bin/true");
    std::fs::write(&program, executable()).ok()?;
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).ok()?;
    std::fs::write(root.join("etc/notes"), [b'n'; 200]).ok()?;
    let file = folder.join("image");
    let status = Command::new("mkfs.ext4")
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        // Nothing random and no time of day in it, so that it is the same everywhere.
        .args([
            "-q",
            "-F",
            "-b",
            "1024",
            "-O",
            "^has_journal",
            "-U",
            "00000000-0000-4000-8000-000000000000",
        ])
        .args(["-E", "hash_seed=00000000-0000-4000-8000-000000000000", "-d"])
        .args([&root, &file])
        .arg("512k")
        .env("E2FSPROGS_FAKE_TIME", "1700000000")
        .status();
    let mut bytes = Vec::new();
    let read = std::fs::File::open(&file).and_then(|mut file| file.read_to_end(&mut bytes));
    // The folder is in the system's place for things that may be left behind.
    let _ = std::fs::remove_dir_all(&folder);
    (status.ok()?.success() && read.is_ok()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_good_examples_load_and_run() {
        let initrd = Guest::new(None, Some(archive(&executable())), Vec::new());
        let disk =
            image().map(|image| Guest::new(Some(Disk::new(image.to_vec())), None, Vec::new()));
        for mut guest in std::iter::once(initrd).chain(disk) {
            let pid = guest
                .load(&["/bin/true"])
                .expect("nothing is wrong with it");
            guest.run(pid);
        }
    }
}
