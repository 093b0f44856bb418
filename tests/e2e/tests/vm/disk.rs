//! Disks that are not what they should be, and what is written over those that are.

use e2e::{Bed, DEADLINE, MACHINES, Tree, config, marker_disk};
use mote_host::vm::Vm;
use mote_host::{Machine, ProcessConfig};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Where the superblock lies in an ext4 image.
const SUPERBLOCK: u64 = 1024;

/// Boots from a disk and checks that the guest is there, whatever it makes of the disk.
fn serves(image: &Path, what: &str) -> Bed {
    let vm =
        Vm::start(config(Machine::Microvm).disk(image)).unwrap_or_else(|error| panic!("{error}"));
    let guest = vm
        .connect()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    guest
        .dump_stacks()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    Bed::of(vm, guest)
}

/// Boots from a disk that holds no program; asking for one must be refused and nothing worse.
fn refuses_programs(image: &Path, what: &str) {
    let bed = serves(image, what);
    let error = bed
        .guest
        .create_process(&ProcessConfig::new(["/bin/busybox", "true"]))
        .expect_err(what);
    assert!(error.hresult().is_some(), "{what}: {error}");
    bed.guest
        .dump_stacks()
        .unwrap_or_else(|error| panic!("{what}: {error}"));
}

#[test]
fn disks_that_hold_no_file_system_are_refused_and_the_guest_lives() {
    let directory = tempfile::tempdir().expect("a directory");
    for (what, content) in [
        ("one sector of zeros", vec![0; 512]),
        ("a mebibyte of zeros", vec![0; 1 << 20]),
        ("a mebibyte of ones", vec![0xff; 1 << 20]),
        ("half a superblock", vec![0x53; 1536]),
    ] {
        let image = directory.path().join("disk");
        fs::write(&image, content).expect("written");
        refuses_programs(&image, what);
    }
}

#[test]
fn a_disk_that_was_cut_short_fails_reads_and_not_the_guest() {
    let tree = Tree::with_busybox();
    let image = tree.image();
    let whole = fs::metadata(&image).expect("made").len();
    for length in [2048, 64 * 1024, whole / 2, whole - 4096] {
        let length = length / 512 * 512;
        let short = tree.path("").with_file_name("short");
        fs::copy(&image, &short).expect("copied");
        OpenOptions::new()
            .write(true)
            .open(&short)
            .and_then(|file| file.set_len(length))
            .expect("cut");
        let bed = serves(&short, &format!("{length} bytes"));
        // Some of it may be readable; whatever is not is an error of that program alone.
        let result = bed
            .guest
            .create_process(&ProcessConfig::new(["/bin/busybox", "cat", "/data/binary"]))
            .and_then(|process| process.output_within(b"", DEADLINE));
        if let Err(error) = result {
            assert!(error.hresult().is_some(), "{length} bytes: {error}");
        }
        bed.guest.dump_stacks().expect("answered");
    }
}

#[test]
fn a_sector_that_cannot_be_read_fails_its_reader_alone() {
    for (machine, device) in MACHINES
        .into_iter()
        .zip(["virtio-blk-device", "virtio-blk-pci"])
    {
        let tree = Tree::with_busybox();
        // Recognizable, and alone in its sectors.
        let mark = [0xa5_u8; 4096];
        let mut content = vec![b'g'; 256 * 1024];
        content[128 * 1024..][..mark.len()].copy_from_slice(&mark);
        tree.file("data/bad", &content);
        let image = tree.image();
        let bytes = fs::read(&image).expect("made");
        let at = bytes
            .chunks(mark.len())
            .position(|block| block == mark)
            .expect("mke2fs puts it into one block");
        let sector = at * mark.len() / 512;
        let drive = format!(
            "if=none,id=bad,format=raw,readonly=on,file.driver=blkdebug,file.image.driver=file,\
             file.image.filename={},file.inject-error.0.event=none,file.inject-error.0.iotype=read,\
             file.inject-error.0.sector={sector}",
            image.display()
        );
        let bed = Bed::boot(
            config(machine)
                .qemu_option("-drive")
                .qemu_option(drive)
                .qemu_option("-device")
                .qemu_option(format!("{device},drive=bad,serial=disk0")),
        );
        bed.assert_alive();
        for _ in 0..2 {
            let output = bed.output(&["/bin/busybox", "cat", "/data/bad"]);
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_ne!(output.exit_code, 0, "{machine:?}");
            assert!(words.contains("Input/output error"), "{machine:?}: {words}");
        }
        let output = bed.output(&["/bin/busybox", "sha256sum", "/data/binary"]);
        assert_eq!(output.exit_code, 0, "{machine:?}: {output:?}");
        bed.assert_alive();
    }
}

#[test]
fn a_hostile_superblock_is_refused_and_the_guest_lives() {
    let tree = Tree::with_busybox();
    let image = tree.image();
    // Fields of `struct ext4_super_block` (Linux `fs/ext4/ext4.h`), each with values no sane file system has.
    let fields: [(&str, u64, &[u8]); 10] = [
        ("inode count", 0, &[0xff; 4]),
        ("block count", 4, &[0xff; 4]),
        ("first data block", 20, &[0xff; 4]),
        ("block size", 24, &[0xff; 4]),
        ("blocks per group", 32, &[0; 4]),
        ("inodes per group", 40, &[0; 4]),
        ("inodes per group", 40, &[0xff; 4]),
        ("inode size", 88, &[0; 2]),
        ("inode size", 88, &[0xff; 2]),
        ("descriptor size", 254, &[0xff; 2]),
    ];
    for (name, offset, value) in fields {
        let hostile = tree.path("").with_file_name("hostile");
        fs::copy(&image, &hostile).expect("copied");
        OpenOptions::new()
            .write(true)
            .open(&hostile)
            .and_then(|file| file.write_all_at(value, SUPERBLOCK + offset))
            .expect("written");
        refuses_programs(&hostile, &format!("{name} = {value:x?}"));
    }
}

#[test]
fn random_damage_is_survived() {
    let tree = Tree::with_busybox();
    let image = tree.image();
    let length = fs::metadata(&image).expect("made").len();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        // xorshift64*: the same damage in every run.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    for round in 0..10 {
        let damaged = tree.path("").with_file_name("damaged");
        fs::copy(&image, &damaged).expect("copied");
        let file = OpenOptions::new().write(true).open(&damaged).expect("ours");
        for _ in 0..200 {
            // Mostly where the structures are.
            let place = random()
                % if random() % 4 == 0 {
                    length - 8
                } else {
                    128 * 1024
                };
            file.write_all_at(&random().to_le_bytes(), place)
                .expect("written");
        }
        let bed = serves(&damaged, &format!("round {round}"));
        for args in [
            &["/bin/busybox", "cat", "/data/binary"][..],
            &["/bin/busybox", "ls", "-lR", "/data"],
        ] {
            let result = bed
                .guest
                .create_process(&ProcessConfig::new(args.iter().copied()))
                .and_then(|process| process.output_within(b"", DEADLINE));
            if let Err(error) = result {
                assert!(error.hresult().is_some(), "round {round}: {error}");
            }
        }
        bed.guest.dump_stacks().expect("answered");
    }
}

#[test]
fn what_is_written_stays_in_memory() {
    for machine in MACHINES {
        let tree = Tree::with_busybox();
        let image = tree.image();
        let before = fs::read(&image).expect("readable");
        {
            let bed = Bed::boot(config(machine).disk(&image));
            let shell = |script: &str| {
                let output = bed.output(&["/bin/busybox", "sh", "-c", script]);
                let words = String::from_utf8_lossy(&output.stderr).into_owned();
                assert_eq!(output.exit_code, 0, "{machine:?}: {script}: {words}");
                String::from_utf8_lossy(&output.stdout).into_owned()
            };
            shell("echo changed > /data/numbers");
            shell("echo new > /data/new");
            assert_eq!(
                bed.output(&["/bin/busybox", "rm", "/data/empty"]).exit_code,
                0
            );
            assert_eq!(
                shell("read a < /data/numbers; read b < /data/new; echo $a $b"),
                "changed new\n"
            );
            assert_eq!(shell("cd /data; echo *"), "binary new numbers\n");
        }
        assert!(
            fs::read(&image).expect("readable") == before,
            "the disk was written to"
        );
        let bed = Bed::boot(config(machine).disk(&image));
        let output = bed.output(&["/bin/busybox", "head", "-n", "1", "/data/numbers"]);
        assert_eq!(output.stdout, b"2919 line 1\n", "a new VM starts afresh");
    }
}

#[test]
fn further_disks_do_not_disturb_the_first() {
    let (_kept, marker) = marker_disk(1);
    let tree = Tree::with_busybox();
    let bed = Bed::boot(config(Machine::Q35).disk(tree.image()).disk(marker));
    let output = bed.output(&["/bin/busybox", "sha256sum", "/data/binary"]);
    assert_eq!(output.exit_code, 0, "{output:?}");
}
