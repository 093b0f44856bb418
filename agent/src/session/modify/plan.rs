//! What the settings of a resource of the utility VM come to: a change of the kernel's, nothing, or a refusal by name
//! (gcs-protocol §11.1 to §11.5).

use super::Verb;
use crate::failure::{Cause, CutText, Failure};
use crate::kernel::{Action, Change, Medium, Part, Writes};
use crate::message::modify::Settings;
use crate::session::mount::Options;

/// The last SCSI controller and logical unit a host attaches disks to (gcs-protocol §11.1).
const LAST_CONTROLLER: u8 = 3;
const LAST_UNIT: u8 = 63;

/// A kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Disk,
    Device,
    Memory,
    Layers,
    /// There is no 9p, so none was ever mounted; whatever is at the path is taken away.
    Directory,
    /// There is none, so whatever is removed of it is gone.
    Network,
    Constraints,
    PodMemoryLimit,
    /// It is known, and not for this machine. A policy that is not enforced must not be accepted.
    Refused,
}

static KINDS: [(&str, Kind); 11] = [
    ("MappedVirtualDisk", Kind::Disk),
    ("SCSIDevice", Kind::Device),
    ("VPMemDevice", Kind::Memory),
    ("CombinedLayers", Kind::Layers),
    ("MappedDirectory", Kind::Directory),
    ("Network", Kind::Network),
    ("ContainerConstraints", Kind::Constraints),
    ("PodCgroupMemoryLimit", Kind::PodMemoryLimit),
    ("VPCIDevice", Kind::Refused),
    ("SecurityPolicy", Kind::Refused),
    ("SecurityPolicyFragment", Kind::Refused),
];

/// Returns the kind of resource with this name, and the name as it stands here.
#[inline(never)]
pub(super) fn kind_of(name: &str) -> Option<(&'static str, Kind)> {
    KINDS.iter().find(|known| known.0 == name).copied()
}

/// What a modification comes to.
pub(super) enum Step<'a> {
    /// There is nothing to do.
    Done,
    /// The kernel has to change something.
    Change(Change<'a>),
    /// This is not done with this kind.
    WrongVerb,
}

/// Says what settings come to.
pub(super) fn plan<'a>(
    name: &'static str,
    kind: Kind,
    verb: Verb,
    settings: &Settings<'a>,
) -> Result<Step<'a>, Failure> {
    let refusal = match kind {
        Kind::Disk | Kind::Device if settings.controller > LAST_CONTROLLER => {
            Some(Cause::Invalid("Controller is above 3"))
        }
        Kind::Disk | Kind::Device if settings.unit > LAST_UNIT => {
            Some(Cause::Invalid("Lun is above 63"))
        }
        _ if verb == Verb::Add => refusal(kind, settings),
        _ => None,
    };
    if let Some(cause) = refusal {
        return Err(cause.into());
    }
    let scsi = Medium::Scsi(settings.controller, settings.unit);
    let action = match (kind, verb) {
        // Memory does not grow or shrink, so all limits are as they should be (gcs-protocol §11.10).
        (Kind::PodMemoryLimit, Verb::Update) => return Ok(Step::Done),
        // What was never there is removed (gcs-protocol §11.6).
        (Kind::Network, Verb::Remove) => return Ok(Step::Done),
        (Kind::Network | Kind::Refused, _) | (Kind::Directory, Verb::Add) => {
            return Err(Cause::Refused(name).into());
        }
        (Kind::Device, Verb::Remove) => Action::Eject(scsi),
        (Kind::Device | Kind::PodMemoryLimit, _) | (_, Verb::Update) => {
            return Ok(Step::WrongVerb);
        }
        (_, Verb::Remove) if settings.path.is_empty() => return Ok(Step::Done),
        (_, Verb::Remove) => Action::Unmount,
        (Kind::Layers, Verb::Add) => Action::Unite,
        (_, Verb::Add) => {
            let medium = match kind {
                Kind::Memory => Medium::Pmem(settings.device),
                _ => scsi,
            };
            let part = match (settings.window, settings.partition) {
                (Some((start, bytes)), _) if kind == Kind::Memory => Part::Window { start, bytes },
                (_, 0) => Part::Whole,
                (_, number) => Part::Partition(number),
            };
            let refuses = kind == Kind::Memory
                || settings.read_only
                || Options::read(settings.options).writes() == Writes::Refused;
            if settings.block_device {
                Action::BlockDevice(medium, part)
            } else if refuses {
                Action::Mount(medium, part, Writes::Refused)
            } else {
                Action::Mount(medium, part, Writes::Kept)
            }
        }
    };
    Ok(Step::Change(Change {
        action,
        path: settings.path,
        source: settings.scratch,
        layers: settings.layers,
    }))
}

/// Finds what cannot be done of what is to be added.
fn refusal(kind: Kind, settings: &Settings<'_>) -> Option<Cause> {
    match kind {
        Kind::Layers if settings.path.is_empty() => {
            Some(Cause::Missing("CombinedLayers.ContainerRootPath"))
        }
        Kind::Layers if settings.layers.is_empty() => Some(Cause::Missing("CombinedLayers.Layers")),
        Kind::Layers if settings.layers.iter().any(<[u8]>::is_empty) => {
            Some(Cause::Missing("Path of one of CombinedLayers.Layers"))
        }
        Kind::Memory if settings.verity => Some(Cause::Unsupported("VPMemDevice.VerityInfo")),
        Kind::Disk if settings.encrypted => Some(Cause::Unsupported("MappedVirtualDisk.Encrypted")),
        Kind::Disk if settings.verity => Some(Cause::Unsupported("MappedVirtualDisk.VerityInfo")),
        Kind::Disk if !matches!(settings.file_system, "" | "ext4") => Some(Cause::Unsupported(
            "MappedVirtualDisk.Filesystem other than ext4",
        )),
        Kind::Disk => {
            let refused = Options::read(settings.options).refused()?;
            let text = core::str::from_utf8(refused).unwrap_or_default();
            Some(Cause::MountOption(CutText::of(text)))
        }
        _ => None,
    }
}
