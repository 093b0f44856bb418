//! Resources added to a running VM and removed from it: disks, partitions, layers, and containers made of them.

use e2e::{Bed, DEADLINE, MACHINES, Tree, busybox_disk, config, gpt_disk, marker_disk};
use mote_host::vm::DiskAddress;
use mote_host::{
    Container, ContainerConfig, Machine, MappedDisk, Process, ProcessConfig, Resource,
};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;

const fn lun(lun: u8) -> DiskAddress {
    DiskAddress { controller: 0, lun }
}

fn disk(number: u8, path: &str) -> Resource {
    Resource::MappedVirtualDisk(MappedDisk::new(lun(number), path))
}

#[track_caller]
fn add(bed: &Bed, resource: &Resource) {
    if let Err(error) = bed.guest.add(resource) {
        panic!("{resource:?}: {error}\n{}", bed.vm.console());
    }
}

#[track_caller]
fn remove(bed: &Bed, resource: &Resource) {
    if let Err(error) = bed.guest.remove(resource) {
        panic!("{resource:?}: {error}\n{}", bed.vm.console());
    }
}

/// Asks for what must be refused, and returns the guest's words.
#[track_caller]
fn refused(bed: &Bed, resource: &Resource) -> String {
    let error = bed.guest.add(resource).expect_err("refused");
    assert!(error.hresult().is_some(), "{error}");
    error.to_string()
}

/// Both outputs of a program of the VM.
fn said(bed: &Bed, args: &[&str]) -> String {
    let output = bed.output(args);
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// What a shell says that runs nothing but its own commands.
fn shell(bed: &Bed, script: &str) -> String {
    said(bed, &["/bin/busybox", "sh", "-c", script])
}

fn cat(bed: &Bed, path: &str) -> String {
    said(bed, &["/bin/busybox", "cat", path])
}

/// A container whose init waits.
struct Held<'b> {
    bed: &'b Bed,
    id: &'static str,
    container: Container,
    init: Process,
}

impl<'b> Held<'b> {
    fn create(bed: &'b Bed, id: &'static str, root: &Value, mounts: &Value) -> Self {
        let specification = json!({
            "ociVersion": "1.0.2",
            "process": {"args": ["/bin/busybox", "cat"], "cwd": "/new/place"},
            "root": root,
            "mounts": mounts,
            "linux": {},
        });
        let container = bed
            .guest
            .create_container(id, &ContainerConfig::from_oci(specification))
            .unwrap_or_else(|error| panic!("{error}\n{}", bed.vm.console()));
        let init = container
            .create_process(&ProcessConfig::init())
            .unwrap_or_else(|error| panic!("{error}\n{}", bed.vm.console()));
        Self {
            bed,
            id,
            container,
            init,
        }
    }

    /// Both outputs of a program.
    fn said(&self, args: &[&str]) -> String {
        let output = self
            .container
            .create_process(&ProcessConfig::new(args.iter().copied()).cwd("/"))
            .and_then(|process| process.output_within(b"", DEADLINE))
            .unwrap_or_else(|error| panic!("{args:?}: {error}\n{}", self.bed.vm.console()));
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    fn shell(&self, script: &str) -> String {
        self.said(&["/bin/busybox", "sh", "-c", script])
    }

    fn cat(&self, path: &str) -> String {
        self.said(&["/bin/busybox", "cat", path])
    }

    fn end(&self) {
        self.init.kill().expect("killed");
        self.init.wait_timeout(DEADLINE).expect("ended");
    }

    fn delete(self) {
        // One that has ended cannot be killed again.
        let _ = self.init.kill();
        self.init.wait_timeout(DEADLINE).expect("ended");
        self.bed
            .guest
            .delete_container_state(self.id)
            .expect("deleted");
    }
}

/// Two layers and a scratch disk. The upper layer removes a file and hides a directory of the lower one.
struct Layers {
    _trees: [Tree; 3],
    images: [PathBuf; 3],
}

fn layers() -> Layers {
    let lower = Tree::with_busybox();
    lower.file("etc/removed", b"lower");
    lower.file("etc/kept", b"lower");
    lower.file("etc/changed", b"lower");
    std::fs::create_dir(lower.path("opaque")).expect("new");
    lower.file("opaque/hidden", b"lower");
    let upper = Tree::new();
    std::fs::create_dir(upper.path("etc")).expect("new");
    upper.file("etc/changed", b"upper");
    std::fs::create_dir(upper.path("opaque")).expect("new");
    upper.file("opaque/shown", b"upper");
    let scratch = Tree::new();
    std::fs::create_dir_all(scratch.path("upper/etc")).expect("new");
    scratch.file("upper/etc/scratched", b"scratch");
    let images = [&lower, &upper, &scratch].map(Tree::image);
    e2e::debugfs(
        &images[1],
        &[
            "cd etc",
            "mknod removed c 0 0",
            "ea_set /opaque trusted.overlay.opaque y",
        ],
    );
    Layers {
        _trees: [lower, upper, scratch],
        images,
    }
}

#[test]
fn a_container_runs_from_the_union_of_its_layers() {
    let layers = layers();
    let [lower, upper, scratch] = &layers.images;
    for machine in MACHINES {
        let bed = Bed::boot(
            config(machine)
                .disk(busybox_disk())
                .disk(upper)
                .disk(lower)
                .disk(scratch),
        );
        let mounted = ["/run/mounts/scsi/m0", "/run/mounts/scsi/m1"];
        for (number, path) in (1..).zip(mounted) {
            let mut layer = MappedDisk::new(lun(number), path);
            layer.read_only = true;
            add(&bed, &Resource::MappedVirtualDisk(layer));
        }
        add(&bed, &disk(3, "/run/gcs/c/x/scratch"));
        let root = "/run/gcs/c/x/rootfs";
        let combined = Resource::CombinedLayers {
            root: root.into(),
            layers: mounted.map(String::from).to_vec(),
            scratch: Some("/run/gcs/c/x/scratch".into()),
        };
        add(&bed, &combined);
        let held = Held::create(&bed, "x", &json!({"path": root}), &json!([]));
        assert_eq!(
            held.shell("cd /etc; echo *; echo /opaque/*; pwd; cd ..; pwd; cd ..; pwd"),
            "changed kept passwd scratched\n/opaque/shown\n/etc\n/\n/\n",
            "{machine:?}"
        );
        for (name, content) in [
            ("changed", "upper"),
            ("kept", "lower"),
            ("scratched", "scratch"),
        ] {
            assert_eq!(held.cat(&format!("/etc/{name}")), content);
        }
        assert!(held.cat("/etc/removed").contains("No such file"));
        held.shell("echo new > /etc/kept; echo made > /etc/made");
        held.delete();
        // The next container over the same tree sees what was written, and so does the VM.
        let held = Held::create(&bed, "y", &json!({"path": root}), &json!([]));
        assert_eq!(held.cat("/etc/made"), "made\n");
        assert_eq!(held.shell("echo again > /etc/kept"), "");
        assert_eq!(cat(&bed, &format!("{root}/etc/kept")), "again\n");
        let init = format!("in use by process {}", held.init.pid());
        for (used, by) in [
            (&combined, &*init),
            (&disk(1, mounted[0]), "in use by container y"),
        ] {
            let busy = bed.guest.remove(used).expect_err("in use");
            assert!(busy.to_string().contains(by), "{busy}");
        }
        // The layers go first and the container's state last, as hcsshim has it.
        held.end();
        remove(&bed, &combined);
        remove(&bed, &combined);
        for (number, path) in (1..).zip([mounted[0], mounted[1], "/run/gcs/c/x/scratch"]) {
            remove(&bed, &disk(number, path));
            remove(&bed, &Resource::ScsiDevice(lun(number)));
        }
        held.delete();
        assert_eq!(shell(&bed, "cd /run/mounts/scsi; echo *"), "*\n");
        bed.assert_alive();
    }
}

#[test]
fn a_read_only_disk_refuses_writes_and_another_one_keeps_them_in_memory() {
    let (_tree, image) = marker_disk(7);
    let bed = Bed::boot(config(Machine::Microvm).disk(busybox_disk()).disk(&image));
    let mut read_only = MappedDisk::new(lun(1), "/mnt/ro");
    read_only.read_only = true;
    let read_only = Resource::MappedVirtualDisk(read_only);
    add(&bed, &read_only);
    add(&bed, &disk(1, "/mnt/rw"));
    let modes = said(&bed, &["/bin/busybox", "stat", "-c", "%a", "/mnt"]);
    assert_eq!(modes, "700\n", "the way to a disk is for root alone");
    assert_eq!(cat(&bed, "/mnt/ro/marker"), "disk 7\n");
    for args in [
        &["sh", "-c", "echo x > /mnt/ro/marker"][..],
        &["mkdir", "/mnt/ro/d"],
        &["rm", "-f", "/mnt/ro/marker"],
        &["chmod", "0", "/mnt/ro/marker"],
    ] {
        let words = said(&bed, &[&["/bin/busybox"], args].concat());
        assert!(words.contains("Read-only file system"), "{args:?}: {words}");
    }
    shell(&bed, "echo y > /mnt/rw/marker");
    assert_eq!(cat(&bed, "/mnt/rw/marker"), "y\n");
    assert_eq!(cat(&bed, "/mnt/ro/marker"), "disk 7\n");
    let words = cat(&bed, "/proc/mounts");
    assert!(words.contains("/mnt/ro overlay ro"), "{words}");
    assert!(words.contains("/mnt/rw overlay rw"), "{words}");
    remove(&bed, &read_only);
    remove(&bed, &disk(1, "/mnt/rw"));
    // What was written is gone with the tree.
    add(&bed, &disk(1, "/mnt/rw"));
    assert_eq!(cat(&bed, "/mnt/rw/marker"), "disk 7\n");
}

#[test]
fn a_partition_a_window_and_a_block_device_are_parts_of_a_disk() {
    let (tree, image) = marker_disk(3);
    let (partitioned, start, bytes) = gpt_disk(&tree, &image);
    let bed = Bed::boot(
        config(Machine::Microvm)
            .disk(busybox_disk())
            .disk(&partitioned)
            .qemu_option("-drive")
            .qemu_option(format!(
                "if=none,id=p,format=raw,readonly=on,file={}",
                partitioned.display()
            ))
            .qemu_option("-device")
            .qemu_option("virtio-blk-device,drive=p,serial=pmem-5"),
    );
    let part = |number| {
        let mut part = MappedDisk::new(lun(1), "/mnt/part");
        part.partition = number;
        part
    };
    add(&bed, &Resource::MappedVirtualDisk(part(2)));
    assert_eq!(cat(&bed, "/mnt/part/marker"), "disk 3\n");
    let words = refused(&bed, &Resource::MappedVirtualDisk(part(3)));
    assert!(words.contains("no such partition"), "{words}");
    let words = refused(&bed, &disk(1, "/mnt/whole"));
    assert!(words.contains("no ext4"), "{words}");

    let window = |window| Resource::VPMemDevice {
        device: 5,
        mount_path: "/mnt/window".into(),
        window: Some(window),
    };
    add(&bed, &window((start, bytes)));
    assert_eq!(cat(&bed, "/mnt/window/marker"), "disk 3\n");
    remove(&bed, &window((start, bytes)));
    for wrong in [(start + 1, bytes), (start, bytes * 1000), (start, 0)] {
        let words = refused(&bed, &window(wrong));
        assert!(words.contains("whole sectors"), "{words}");
    }

    let mut device = part(2);
    device.block_device = true;
    device.mount_path = "/mnt/devices/two".into();
    let device = Resource::MappedVirtualDisk(device);
    add(&bed, &device);
    let superblock = bed.output(&[
        "/bin/busybox",
        "dd",
        "if=/mnt/devices/two",
        "bs=1024",
        "skip=1",
        "count=1",
    ]);
    assert_eq!(superblock.stdout.len(), 1024, "{superblock:?}");
    assert_eq!(
        superblock.stdout[0x38..0x3a],
        [0x53, 0xef],
        "its magic number"
    );
    let words = shell(&bed, "echo x > /mnt/devices/two");
    assert!(words.contains("Read-only file system"), "{words}");
    let words = refused(&bed, &device);
    assert!(words.contains("file exists"), "{words}");
    remove(&bed, &device);
    remove(&bed, &Resource::MappedVirtualDisk(part(2)));
    remove(&bed, &Resource::ScsiDevice(lun(1)));
    let words = refused(&bed, &Resource::MappedVirtualDisk(part(2)));
    assert!(words.contains("no such disk"), "{words}");
    bed.assert_alive();
}

#[test]
fn a_disk_that_never_comes_is_refused_in_time_and_others_are_answered_meanwhile() {
    for machine in MACHINES {
        let bed = Bed::boot(
            config(machine)
                .disk(busybox_disk())
                .disk_ports(usize::from(machine == Machine::Q35)),
        );
        let guest = bed.guest.clone();
        let waiting = std::thread::spawn(move || {
            let since = Instant::now();
            (guest.add(&disk(9, "/mnt/never")), since.elapsed())
        });
        bed.assert_alive();
        let (refused, after) = waiting.join().expect("it returns");
        let words = refused.expect_err("there is none").to_string();
        assert!(
            words.contains("scsi-0-9") && words.contains("no such disk"),
            "{words}"
        );
        assert!(after < DEADLINE, "{after:?}");
        // One that is not there is removed at once.
        remove(&bed, &disk(9, "/mnt/never"));
        remove(&bed, &Resource::ScsiDevice(lun(9)));
    }
}

#[test]
fn what_is_in_use_is_not_unmounted() {
    let (_tree, image) = marker_disk(1);
    let bed = Bed::boot(config(Machine::Microvm).disk(busybox_disk()).disk(&image));
    add(&bed, &disk(1, "/mnt/used"));
    let user = bed
        .guest
        .create_process(&ProcessConfig::new(["/bin/busybox", "cat"]).cwd("/mnt/used"))
        .expect("runs");
    let busy = bed.guest.remove(&disk(1, "/mnt/used")).expect_err("in use");
    let by = format!("in use by process {}", user.pid());
    assert!(busy.to_string().contains(&by), "{busy}");
    let busy = bed
        .guest
        .remove(&Resource::ScsiDevice(lun(1)))
        .expect_err("in use");
    let by = "in use by what is at /mnt/used";
    assert!(busy.to_string().contains(by), "{busy}");
    user.kill().expect("killed");
    user.wait_timeout(DEADLINE).expect("ended");
    remove(&bed, &disk(1, "/mnt/used"));
    remove(&bed, &Resource::ScsiDevice(lun(1)));
    bed.assert_alive();
}

#[test]
fn a_containers_mounts_are_what_its_specification_says() {
    let (_tree, image) = marker_disk(4);
    let bed = Bed::boot(config(Machine::Microvm).disk(busybox_disk()).disk(&image));
    add(&bed, &disk(1, "/run/mounts/scsi/m1"));
    add(&bed, &disk(1, "/run/mounts/scsi/m2"));
    let mounts = json!([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/run", "type": "tmpfs", "options": ["mode=700"]},
        {"destination": "/shared", "type": "bind", "source": "/run/mounts/scsi/m1", "options": ["rbind", "rw"]},
        {"destination": "/fixed", "type": "bind", "source": "/run/mounts/scsi/m2", "options": ["rbind", "ro"]},
        {"destination": "/etc/one", "type": "bind", "source": "uvm:///run/mounts/scsi/m2/marker", "options": ["bind", "ro"]},
    ]);
    let held = Held::create(&bed, "m", &json!({"path": "/"}), &mounts);
    assert_eq!(held.cat("/fixed/marker"), "disk 4\n");
    assert_eq!(held.cat("/etc/one"), "disk 4\n");
    assert_eq!(
        held.said(&["/bin/busybox", "stat", "-c", "%a", "/run"]),
        "700\n"
    );
    assert_eq!(held.shell("echo w > /shared/written"), "");
    assert_eq!(held.cat("/shared/written"), "w\n");
    for path in ["/fixed/no", "/fixed/marker", "/etc/one"] {
        let words = held.shell(&format!("echo n > {path}"));
        assert!(words.contains("Read-only file system"), "{path}: {words}");
    }
    let walk = "cd /shared; pwd -P; cd ..; pwd -P; cd /fixed/../..; pwd -P; echo /run/mounts/*";
    assert_eq!(held.shell(walk), "/shared\n/\n/\n/run/mounts/*\n");
    assert_eq!(cat(&bed, "/run/mounts/scsi/m1/written"), "w\n");
    let busy = bed
        .guest
        .remove(&disk(1, "/run/mounts/scsi/m1"))
        .expect_err("in use");
    assert!(busy.to_string().contains("in use by container m"), "{busy}");
    held.delete();
    let bind = |target, source, right| json!({"destination": target, "type": "bind", "source": source, "options": ["bind", right]});
    for (id, mounts, words) in [
        (
            "n",
            json!([bind("/a", "/no/such", "rw")]),
            "/a\": no such file",
        ),
        (
            "o",
            json!([bind("/a", "/etc", "rw"), bind("/b", "/etc", "ro")]),
            "/b\": its source is mounted here with other rights",
        ),
        ("p", json!([bind("/", "/etc", "rw")]), "invalid argument"),
        (
            "q",
            json!([bind("/etc/passwd", "/etc", "rw")]),
            "not a directory",
        ),
        (
            "r",
            json!([bind("/etc", "/etc/passwd", "rw")]),
            "is a directory",
        ),
    ] {
        let specification = json!({"process": {"args": ["/bin/busybox"], "cwd": "/"}, "root": {"path": "/"}, "mounts": mounts, "linux": {}});
        let error = bed
            .guest
            .create_container(id, &ContainerConfig::from_oci(specification))
            .expect_err(words);
        assert!(error.to_string().contains(words), "{error}");
    }
    remove(&bed, &disk(1, "/run/mounts/scsi/m1"));
    remove(&bed, &disk(1, "/run/mounts/scsi/m2"));
    remove(&bed, &Resource::ScsiDevice(lun(1)));
}

#[test]
fn a_read_only_root_refuses_writes() {
    let bed = Bed::busybox();
    let root = json!({"path": "/", "readonly": true});
    let mounts = json!([{"destination": "/run", "type": "tmpfs"}]);
    let held = Held::create(&bed, "r", &root, &mounts);
    let words = held.shell("echo x > /etc/x");
    assert!(words.contains("Read-only file system"), "{words}");
    assert_eq!(held.shell("echo y > /run/y; echo > /dev/null"), "");
    assert_eq!(held.cat("/run/y"), "y\n");
    held.delete();
    shell(&bed, "echo x > /etc/x");
    assert_eq!(cat(&bed, "/etc/x"), "x\n");
}

#[test]
fn a_disk_is_attached_mounted_let_go_and_detached_while_the_machine_runs() {
    let disks = [1, 2].map(marker_disk);
    let bed = Bed::boot(config(Machine::Q35).disk(busybox_disk()).disk_ports(2));
    for round in 0..3 {
        for (number, (_, image)) in (3..).zip(&disks) {
            bed.vm.attach_disk(image, lun(number)).expect("attached");
            add(&bed, &disk(number, "/mnt/hot"));
            let expected = format!("disk {}\n", number - 2);
            assert_eq!(cat(&bed, "/mnt/hot/marker"), expected, "round {round}");
            remove(&bed, &disk(number, "/mnt/hot"));
            remove(&bed, &Resource::ScsiDevice(lun(number)));
            bed.vm.detach_disk(lun(number)).expect("detached");
        }
    }
    bed.assert_alive();
}

/// A disk that goes without a word, under a program that reads it: QEMU takes the device out of the machine and tells nobody.
#[test]
fn a_disk_that_is_pulled_gives_errors_and_everything_else_lives() {
    let content: Vec<u8> = (0..6 << 20).map(|at: u32| (at >> 12) as u8).collect();
    let tree = Tree::new();
    tree.file("large", &content);
    let image = tree.image();
    let (_tree, other) = marker_disk(2);
    let bed = Bed::boot(config(Machine::Q35).disk(busybox_disk()).disk_ports(2));
    for (number, image) in [(3, &image), (4, &other)] {
        bed.vm.attach_disk(image, lun(number)).expect("attached");
    }
    add(&bed, &disk(3, "/mnt/pulled"));
    add(&bed, &disk(4, "/mnt/stays"));
    // The beginning is in memory, the rest is not.
    let head = said(
        &bed,
        &["/bin/busybox", "head", "-c", "1", "/mnt/pulled/large"],
    );
    assert_eq!(head, "\0");
    let device = json!({
        "path": "/machine/peripheral/scsi-0-3", "property": "realized", "value": false
    });
    bed.vm.qmp("qom-set", &device).expect("pulled");
    let words = said(&bed, &["/bin/busybox", "cat", "/mnt/pulled/large"]);
    assert!(words.contains("Input/output error"), "{}", words.len());
    assert_eq!(cat(&bed, "/mnt/stays/marker"), "disk 2\n");
    let words = said(&bed, &["/bin/busybox", "cat", "/mnt/pulled/large"]);
    assert!(words.contains("Input/output error"), "{}", words.len());
    // What is left of it can be taken away, and the port takes another disk.
    remove(&bed, &disk(3, "/mnt/pulled"));
    remove(&bed, &Resource::ScsiDevice(lun(3)));
    remove(&bed, &disk(4, "/mnt/stays"));
    remove(&bed, &Resource::ScsiDevice(lun(4)));
    bed.assert_alive();
}
