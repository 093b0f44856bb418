//! Disks that come and go while a VM runs: QEMU is told to plug one into a free PCI Express port. The guest learns of it
//! when it is asked to mount it, and pulls it when it is asked to let it go ([`crate::Resource`]).

use super::Vm;
use crate::error::{Error, Result};
use crate::once::lock;
use serde_json::{Value, json};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long a guest may take to let a disk go.
const PULL_LIMIT: Duration = Duration::from_secs(10);

/// How often that is looked at. QEMU tells of it by an event, for which a monitor would have to be held open.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Where a disk is, as the host counts: what the guest finds it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DiskAddress {
    /// SCSI controller, at most 3.
    pub controller: u8,
    /// Logical unit, at most 63.
    pub lun: u8,
}

impl DiskAddress {
    /// Returns the serial by which the guest finds a disk with this address.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::vm::DiskAddress;
    /// assert_eq!(DiskAddress { controller: 0, lun: 9 }.serial(), "scsi-0-9");
    /// ```
    #[must_use]
    pub fn serial(self) -> String {
        format!("scsi-{}-{}", self.controller, self.lun)
    }
}

/// Which disk is in which port.
pub(super) type Ports = Vec<Option<DiskAddress>>;

/// The name of a port on QEMU's command line.
pub(super) fn port_name(index: usize) -> String {
    format!("port{index}")
}

impl Vm {
    /// Attaches a raw disk image, read-only, to the running VM, which must have a free port
    /// ([`crate::VmConfig::disk_ports`]).
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`] when a disk has this address, [`Error::Io`] when there is no free port or with QEMU's
    /// words.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// use mote_host::vm::DiskAddress;
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let (tree, image) = (directory.path().join("tree"), directory.path().join("image"));
    /// # std::fs::create_dir(&tree).expect("new");
    /// # disk::build_ext4(&tree, &image)?;
    /// let vm = Vm::start(config.machine(Machine::Q35).disk_ports(1))?;
    /// let guest = vm.connect()?;
    /// let address = DiskAddress { controller: 0, lun: 9 };
    /// vm.attach_disk(&image, address)?;
    /// let disk = Resource::MappedVirtualDisk(MappedDisk::new(address, "/mnt/more"));
    /// guest.add(&disk)?;
    /// guest.remove(&disk)?;
    /// guest.remove(&Resource::ScsiDevice(address))?;
    /// vm.detach_disk(address)?;
    /// # Ok(()) }
    /// ```
    pub fn attach_disk(&self, image: &Path, address: DiskAddress) -> Result<()> {
        let mut ports = lock(&self.disk_ports);
        if ports.contains(&Some(address)) {
            return Err(Error::AlreadyExists(address.serial()));
        }
        let free = ports.iter().position(Option::is_none).ok_or_else(|| {
            let words = "every port has a disk; VmConfig::disk_ports makes more";
            Error::io("cannot attach a disk", std::io::Error::other(words))
        })?;
        let serial = address.serial();
        let image = std::path::absolute(image)
            .map_err(|error| Error::io(format!("cannot find {}", image.display()), error))?;
        let node = json!({
            "driver": "raw", "node-name": serial, "read-only": true,
            "file": {"driver": "file", "filename": image.to_string_lossy(), "read-only": true},
        });
        self.qmp("blockdev-add", &node)?;
        let device = json!({
            "driver": "virtio-blk-pci", "id": serial, "bus": port_name(free), "drive": serial, "serial": serial,
        });
        if let Err(error) = self.qmp("device_add", &device) {
            // What was added is of no use without the device; the first error counts.
            let _ = self.qmp("blockdev-del", &json!({"node-name": serial}));
            return Err(error);
        }
        ports[free] = Some(address);
        Ok(())
    }

    /// Takes a disk away that was attached to the running VM. A guest that was asked to let it go has done so by now; from
    /// any other it is asked here, and waited for.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] when the guest keeps it, [`Error::Io`] with QEMU's words.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// use mote_host::vm::DiskAddress;
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let (tree, image) = (directory.path().join("tree"), directory.path().join("image"));
    /// # std::fs::create_dir(&tree).expect("new");
    /// # disk::build_ext4(&tree, &image)?;
    /// let vm = Vm::start(config.machine(Machine::Q35).disk_ports(1))?;
    /// let guest = vm.connect()?;
    /// let address = DiskAddress { controller: 0, lun: 9 };
    /// vm.attach_disk(&image, address)?;
    /// // A guest that has not looked at it need not let it go.
    /// vm.detach_disk(address)?;
    /// # Ok(()) }
    /// ```
    pub fn detach_disk(&self, address: DiskAddress) -> Result<()> {
        let mut ports = lock(&self.disk_ports);
        let serial = address.serial();
        // An error says that it is gone, or is being waited for: the next step tells.
        let _ = self.qmp("device_del", &json!({"id": serial}));
        let since = Instant::now();
        // The image stays in use for a moment after its device has gone.
        while self.has_device(&serial)?
            || self
                .qmp("blockdev-del", &json!({"node-name": serial}))
                .is_err()
        {
            if since.elapsed() > PULL_LIMIT {
                return Err(Error::Timeout {
                    operation: "guest to let a disk go",
                    after: PULL_LIMIT,
                });
            }
            thread::sleep(LOOK_AGAIN);
        }
        for port in &mut *ports {
            if *port == Some(address) {
                *port = None;
            }
        }
        Ok(())
    }

    fn has_device(&self, id: &str) -> Result<bool> {
        let all = self.qmp("qom-list", &json!({"path": "/machine/peripheral"}))?;
        let is_it = |device: &Value| device["name"] == id;
        Ok(all.as_array().is_some_and(|all| all.iter().any(is_it)))
    }
}
