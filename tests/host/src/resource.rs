//! Resources of a VM that ModifySettings adds and removes (gcs-protocol §11, hcsshim `internal/protocol/guestresource`).

use crate::vm::DiskAddress;
use serde_json::{Map, Value, json};

/// A resource.
///
/// # Example
///
/// ```
/// use mote_host::vm::DiskAddress;
/// use mote_host::{MappedDisk, Resource};
/// let address = DiskAddress { controller: 0, lun: 1 };
/// let disk = Resource::MappedVirtualDisk(MappedDisk::new(address, "/run/mounts/m1"));
/// let tree = Resource::CombinedLayers {
///     root: "/run/tree".into(),
///     layers: vec!["/run/mounts/m1".into()],
///     scratch: None,
/// };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A file system on a disk, or the disk as a block device.
    MappedVirtualDisk(MappedDisk),
    /// A disk, to be let go before it is pulled.
    ScsiDevice(DiskAddress),
    /// A file system on a device of persistent memory.
    VPMemDevice {
        /// Its number.
        device: u32,
        /// Where it is mounted.
        mount_path: String,
        /// First byte and length of the part that counts.
        window: Option<(u64, u64)>,
    },
    /// Several directories as one tree.
    CombinedLayers {
        /// Where it is mounted.
        root: String,
        /// The directories, topmost first.
        layers: Vec<String>,
        /// The scratch directory; without one the tree is read-only.
        scratch: Option<String>,
    },
}

/// Settings of a mapped disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedDisk {
    /// Which disk.
    pub address: DiskAddress,
    /// Where it is mounted, or the path of the block device.
    pub mount_path: String,
    /// A partition, counted from 1; 0 is the whole disk.
    pub partition: u64,
    /// Whether writes are refused.
    pub read_only: bool,
    /// Whether it is shown as a block device.
    pub block_device: bool,
}

impl MappedDisk {
    /// A whole disk whose file system is mounted at a path, where writes are kept in memory.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::MappedDisk;
    /// use mote_host::vm::DiskAddress;
    /// let disk = MappedDisk {
    ///     read_only: true,
    ///     ..MappedDisk::new(DiskAddress { controller: 0, lun: 1 }, "/run/mounts/m1")
    /// };
    /// ```
    #[must_use]
    pub fn new(address: DiskAddress, mount_path: impl Into<String>) -> Self {
        Self {
            address,
            mount_path: mount_path.into(),
            partition: 0,
            read_only: false,
            block_device: false,
        }
    }
}

impl Resource {
    /// Returns the request that does something with the resource.
    pub(crate) fn request(&self, request_type: &str) -> Value {
        let (resource_type, settings) = match self {
            Self::MappedVirtualDisk(disk) => ("MappedVirtualDisk", disk.settings()),
            Self::ScsiDevice(address) => ("SCSIDevice", Value::Object(address_settings(*address))),
            Self::VPMemDevice {
                device,
                mount_path,
                window,
            } => {
                let mut settings = json!({"DeviceNumber": device, "MountPath": mount_path});
                if let Some((start, bytes)) = window {
                    settings["MappingInfo"] =
                        json!({"DeviceOffsetInBytes": start, "DeviceSizeInBytes": bytes});
                }
                ("VPMemDevice", settings)
            }
            Self::CombinedLayers {
                root,
                layers,
                scratch,
            } => {
                let layers: Vec<_> = layers.iter().map(|path| json!({"Path": path})).collect();
                let mut settings = json!({"ContainerRootPath": root, "Layers": layers});
                if let Some(scratch) = scratch {
                    settings["ScratchPath"] = json!(scratch);
                }
                ("CombinedLayers", settings)
            }
        };
        json!({"RequestType": request_type, "ResourceType": resource_type, "Settings": settings})
    }
}

/// Zeroes are left out, as the real host does.
fn address_settings(address: DiskAddress) -> Map<String, Value> {
    let mut settings = Map::new();
    for (name, number) in [("Controller", address.controller), ("Lun", address.lun)] {
        if number != 0 {
            settings.insert(name.into(), number.into());
        }
    }
    settings
}

impl MappedDisk {
    fn settings(&self) -> Value {
        let mut settings = address_settings(self.address);
        settings.insert("MountPath".into(), self.mount_path.clone().into());
        if self.partition != 0 {
            settings.insert("Partition".into(), self.partition.into());
        }
        for (name, is_set) in [
            ("ReadOnly", self.read_only),
            ("BlockDev", self.block_device),
        ] {
            if is_set {
                settings.insert(name.into(), true.into());
            }
        }
        Value::Object(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeroes_are_left_out_as_in_the_recorded_requests() {
        let disk = MappedDisk {
            read_only: true,
            ..MappedDisk::new(
                DiskAddress {
                    controller: 0,
                    lun: 0,
                },
                "/run/mounts/scsi/m0",
            )
        };
        assert_eq!(
            Resource::MappedVirtualDisk(disk).request("Add"),
            json!({"RequestType": "Add", "ResourceType": "MappedVirtualDisk",
                "Settings": {"MountPath": "/run/mounts/scsi/m0", "ReadOnly": true}})
        );
        let address = DiskAddress {
            controller: 0,
            lun: 1,
        };
        assert_eq!(
            Resource::ScsiDevice(address).request("Remove")["Settings"],
            json!({"Lun": 1})
        );
    }
}
