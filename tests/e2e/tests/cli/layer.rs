//! `mote layer`: what goes in comes out, the same each time.

use crate::tool::{Place, fails};
use e2e::host_busybox;
use std::fs;
use std::path::Path;
use std::process::Command;
use tar::{Builder, EntryType, Header};

/// A tar in the making.
pub(crate) struct Tar(Builder<Vec<u8>>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn header(kind: EntryType, mode: u32, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(1000);
        header.set_gid(7);
        header.set_mtime(1_000_000_000);
        header.set_size(size);
        header
    }

    pub(crate) fn file(mut self, path: &str, mode: u32, content: &[u8]) -> Self {
        let mut header = Self::header(EntryType::Regular, mode, content.len() as u64);
        self.0
            .append_data(&mut header, path, content)
            .expect("taken");
        self
    }

    pub(crate) fn directory(mut self, path: &str, mode: u32) -> Self {
        let mut header = Self::header(EntryType::Directory, mode, 0);
        self.0
            .append_data(&mut header, path, &[][..])
            .expect("taken");
        self
    }

    pub(crate) fn link(mut self, kind: EntryType, path: &str, target: &str) -> Self {
        let mut header = Self::header(kind, 0o777, 0);
        self.0
            .append_link(&mut header, path, target)
            .expect("taken");
        self
    }

    /// Adds a PAX record for the next entry.
    pub(crate) fn record(mut self, key: &str, value: &[u8]) -> Self {
        self.0.append_pax_extensions([(key, value)]).expect("taken");
        self
    }

    /// Adds an entry with a path as it is, however bad.
    pub(crate) fn raw(mut self, path: &str) -> Self {
        let mut header = Self::header(EntryType::Regular, 0o644, 0);
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        self.0.append(&header, &[][..]).expect("taken");
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0.into_inner().expect("finished")
    }
}

/// Asks debugfs about an image.
fn debugfs(image: &Path, question: &str) -> String {
    let output = Command::new("/usr/sbin/debugfs")
        .args(["-R", question])
        .arg(image)
        .output()
        .expect("e2fsprogs is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn assert_clean(image: &Path) {
    let output = Command::new("/usr/sbin/e2fsck")
        .arg("-fn")
        .arg(image)
        .output()
        .expect("e2fsprogs is installed");
    assert!(output.status.success(), "{output:?}");
}

fn sample() -> Tar {
    let busybox = &host_busybox().1;
    Tar::new()
        .directory("bin", 0o755)
        .file("bin/busybox", 0o4755, busybox)
        .link(EntryType::Link, "bin/cat", "bin/busybox")
        .link(EntryType::Symlink, "bin/sh", "busybox")
        .link(EntryType::Symlink, "far", &"x/".repeat(60))
        .record("SCHILY.xattr.user.note", b"kept")
        .file("etc/with space and \"quotes\"", 0o600, b"content\n")
        .file("empty", 0o444, b"")
        .file("holes", 0o644, &vec![0; 3 << 20])
}

#[test]
fn owners_modes_times_links_and_attributes_are_kept() {
    let place = Place::new();
    let (tar, image) = (place.path("a.tar"), place.path("a.ext4"));
    fs::write(&tar, sample().bytes()).expect("written");
    let told = place.json(&[
        "layer",
        "--json",
        tar.to_str().expect("UTF-8"),
        "-o",
        image.to_str().expect("UTF-8"),
    ]);
    assert_eq!(told["files"], 4, "a hard link is no further file: {told}");
    assert_clean(&image);
    let busybox = debugfs(&image, "stat /bin/busybox");
    assert!(busybox.contains("Mode:  04755"), "{busybox}");
    assert!(busybox.contains("User:  1000   Group:     7"), "{busybox}");
    assert!(busybox.contains("Links: 2"), "{busybox}");
    assert!(busybox.contains("Sun Sep  9 01:46:40 2001"), "{busybox}");
    let attributes = debugfs(&image, "ea_list \"/etc/with space and \"\"quotes\"\"\"");
    assert!(
        attributes.contains("user.note (4) = \"kept\""),
        "{attributes}"
    );
    let run = |args: &[&str]| {
        let disk = image.to_str().expect("UTF-8");
        place.ok(&[&["run", "--disk", disk, "--", "/bin/busybox"], args].concat())
    };
    assert_eq!(run(&["cat", "/etc/with space and \"quotes\""]), "content\n");
    assert_eq!(run(&["wc", "-c", "/holes"]), "3145728 /holes\n");
    assert_eq!(run(&["readlink", "/far"]), "x/".repeat(60) + "\n");
}

#[test]
fn the_same_sources_give_the_same_bytes() {
    let place = Place::new();
    let tar = place.path("a.tar");
    fs::write(&tar, sample().bytes()).expect("written");
    let directory = place.path("tree");
    fs::create_dir(&directory).expect("new");
    for index in 0..200 {
        fs::write(directory.join(format!("file-{index}")), [index as u8; 5000]).expect("written");
    }
    let digest = |name: &str| {
        let image = place.path(name);
        let told = place.json(&[
            "layer",
            "--json",
            tar.to_str().expect("UTF-8"),
            directory.to_str().expect("UTF-8"),
            "-o",
            image.to_str().expect("UTF-8"),
        ]);
        told["sha256"].as_str().expect("text").to_owned()
    };
    assert_eq!(digest("first.ext4"), digest("second.ext4"));
}

#[test]
fn whiteouts_hide_what_is_below_and_stay_for_layers_that_are_not_there_yet() {
    let place = Place::new();
    let (lower, upper, image) = (
        place.path("lower.tar"),
        place.path("upper.tar"),
        place.path("l.ext4"),
    );
    let below = Tar::new()
        .file("d/gone", 0o644, b"x")
        .file("d/stays", 0o644, b"x")
        .file("o/gone", 0o644, b"x");
    fs::write(&lower, below.bytes()).expect("written");
    let above = Tar::new()
        .file("d/.wh.gone", 0o644, b"")
        .file("o/.wh..wh..opq", 0o644, b"")
        .file("o/new", 0o644, b"x");
    fs::write(&upper, above.bytes()).expect("written");
    let (lower, upper, out) = (
        lower.to_str().expect("UTF-8"),
        upper.to_str().expect("UTF-8"),
        image.to_str().expect("UTF-8"),
    );
    place.ok(&["layer", lower, upper, "-o", out]);
    assert_clean(&image);
    let whiteout = debugfs(&image, "stat /d/gone");
    assert!(whiteout.contains("Type: character special"), "{whiteout}");
    assert!(debugfs(&image, "ea_get /o trusted.overlay.opaque").contains('y'));
    let directory = debugfs(&image, "ls /o");
    assert!(
        directory.contains("new") && !directory.contains("gone"),
        "{directory}"
    );
    place.ok(&["layer", "--flatten", lower, upper, "-o", out]);
    let directory = debugfs(&image, "ls /d");
    assert!(
        directory.contains("stays") && !directory.contains("gone"),
        "{directory}"
    );
}

#[test]
fn what_is_wrong_with_a_tar_is_named_and_no_image_is_left() {
    let place = Place::new();
    let (tar, image) = (place.path("bad.tar"), place.path("bad.ext4"));
    let (source, out) = (tar.to_str().expect("UTF-8"), image.to_str().expect("UTF-8"));
    for (bytes, words) in [
        (
            Tar::new().raw("../out").bytes(),
            &["../out", "leads out"][..],
        ),
        (Tar::new().raw("a\nb").bytes(), &["line feed"]),
        (
            Tar::new().link(EntryType::Link, "a", "absent").bytes(),
            &["hard link to absent"],
        ),
        (vec![0x28, 0xb5, 0x2f, 0xfd, 0], &["bad.tar", "zstd"]),
        (sample().bytes()[..100_000].to_vec(), &["bad.tar"]),
        (vec![7; 5000], &["bad.tar"]),
    ] {
        fs::write(&tar, bytes).expect("written");
        place.fails(&["layer", source, "-o", out], 125, words);
        assert!(!image.exists());
    }
    place.fails(&["layer", "/no/such", "-o", out], 125, &["/no/such"]);
    fs::write(&tar, sample().bytes()).expect("written");
    place.fails(
        &["layer", source, "-o", "/no/such/directory/x"],
        125,
        &["/no/such/directory/x"],
    );
}

#[test]
fn an_image_that_finds_no_room_is_an_error_and_leaves_nothing() {
    let place = Place::new();
    let (tree, directory) = (place.path("tree"), place.path("out"));
    fs::create_dir(&tree).expect("new");
    fs::create_dir(&directory).expect("new");
    fs::write(tree.join("big"), vec![7; 8 << 20]).expect("written");
    // What a full disk is to a writer, without a disk to fill: files end at four megabytes.
    let mote = place.command([] as [&str; 0]);
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 8192; exec \"$@\"", "sh"])
        .arg(mote.get_program())
        .arg("layer")
        .arg(&tree)
        .arg("-o")
        .arg(directory.join("x.ext4"));
    fails(
        &command.output().expect("there is a shell"),
        125,
        &["could not make the image"],
    );
    assert_eq!(fs::read_dir(&directory).expect("readable").count(), 0);
}
