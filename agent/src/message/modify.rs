//! What is read of a ModifySettings request: which resource, and of each kind its settings (gcs-protocol §11).
//!
//! Which settings there are depends on a member that may come behind them, so they are taken out as they are and read
//! when the rest is known. Every member of a kind that is carried out is read here: what mote does not do is refused by
//! its name, not passed over.

use super::request::Ask;
use super::resources::{Resources, resources};
use crate::json::{Cursor, Error, Field};
use crate::kernel::StringList;

/// `Request` of a ModifySettings request.
#[derive(Debug, Default)]
pub struct Modify<'a> {
    /// `RequestType`: `Add`, `Remove`, `Update` or something else; absent and empty are `Add`.
    pub request: &'a str,
    /// `ResourceType`.
    pub resource: &'a str,
    /// `Settings`, when there are any.
    pub settings: Option<Cursor<'a>>,
}

/// Reads a ModifySettings request.
pub(super) fn modify<'a>(body: &'a mut [u8], container: &mut &'a str) -> Result<Ask<'a>, Error> {
    let mut modify = Modify::default();
    Cursor::new(body).object(&mut [
        ("ContainerId", Field::Text(container)),
        (
            "Request",
            Field::Object(&mut [
                ("RequestType", Field::Text(&mut modify.request)),
                ("ResourceType", Field::Text(&mut modify.resource)),
                ("Settings", Field::Value(&mut modify.settings)),
            ]),
        ),
    ])?;
    Ok(Ask::ModifySettings(modify))
}

/// Reads an UpdateContainer request of early hosts: the constraints of a container, as a document in a string.
pub(super) fn update<'a>(body: &'a mut [u8], container: &mut &'a str) -> Result<Ask<'a>, Error> {
    let mut resources = None;
    Cursor::new(body).object(&mut [
        ("ContainerId", Field::Text(container)),
        ("Resources", Field::Document(&mut resources)),
    ])?;
    Ok(Ask::UpdateContainer(resources))
}

/// Settings of the resources of the utility VM, all kinds together: no member means one thing here and another there.
/// (hcsshim `internal/protocol/guestresource`.) Whose layers they are (`ContainerID`) makes no difference.
#[derive(Debug, Default)]
pub struct Settings<'a> {
    /// `MountPath`, or `ContainerRootPath`.
    pub path: &'a str,
    /// `Lun`.
    pub unit: u8,
    /// `Controller`.
    pub controller: u8,
    /// `DeviceNumber` of persistent memory.
    pub device: u32,
    /// `Partition`; 0 is the whole disk.
    pub partition: u64,
    /// `MappingInfo`: `DeviceOffsetInBytes` and `DeviceSizeInBytes`, when there is one.
    pub window: Option<(u64, u64)>,
    /// `ReadOnly`.
    pub read_only: bool,
    /// `Encrypted`.
    pub encrypted: bool,
    /// `Options`.
    pub options: StringList<'a>,
    /// `BlockDev`.
    pub block_device: bool,
    /// Whether there is a `VerityInfo`.
    pub verity: bool,
    /// `EnsureFilesystem`.
    pub ensure: bool,
    /// `Filesystem`.
    pub file_system: &'a str,
    /// `Path` of each of `Layers`, topmost first.
    pub layers: StringList<'a>,
    /// `ScratchPath`.
    pub scratch: &'a str,
}

impl<'a> Settings<'a> {
    /// Reads settings.
    ///
    /// # Errors
    ///
    /// When they are not understood.
    pub fn parse(cursor: &mut Cursor<'a>) -> Result<Self, Error> {
        let mut read = Self::default();
        let (mut verity, mut window, mut root) = (None, None, "");
        cursor.object(&mut [
            ("MountPath", Field::Path(&mut read.path)),
            ("Lun", Field::U8(&mut read.unit)),
            ("Controller", Field::U8(&mut read.controller)),
            ("DeviceNumber", Field::U32(&mut read.device)),
            ("Partition", Field::U64(&mut read.partition)),
            ("MappingInfo", Field::Value(&mut window)),
            ("ReadOnly", Field::Flag(&mut read.read_only)),
            ("Encrypted", Field::Flag(&mut read.encrypted)),
            ("Options", Field::Strings(&mut read.options)),
            ("BlockDev", Field::Flag(&mut read.block_device)),
            ("VerityInfo", Field::Value(&mut verity)),
            ("EnsureFilesystem", Field::Flag(&mut read.ensure)),
            ("Filesystem", Field::Text(&mut read.file_system)),
            ("ContainerRootPath", Field::Path(&mut root)),
            (
                "Layers",
                Field::Other(&mut |cursor| cursor.member_list("Path", &mut read.layers)),
            ),
            ("ScratchPath", Field::Path(&mut read.scratch)),
        ])?;
        read.verity = verity.is_some();
        if !root.is_empty() {
            read.path = root;
        }
        if let Some(mut window) = window {
            let (mut start, mut bytes) = (0, 0);
            window.object(&mut [
                ("DeviceOffsetInBytes", Field::U64(&mut start)),
                ("DeviceSizeInBytes", Field::U64(&mut bytes)),
            ])?;
            read.window = Some((start, bytes));
        }
        Ok(read)
    }
}

/// Reads the settings of `ContainerConstraints`: the limits in `Linux`. What stands in `Windows` is not for this guest.
///
/// # Errors
///
/// When the settings are not understood.
pub fn constraints(cursor: &mut Cursor<'_>) -> Result<Resources, Error> {
    let mut read = Resources::default();
    cursor.object(&mut [(
        "Linux",
        Field::Other(&mut |cursor| {
            read = resources(cursor)?;
            Ok(())
        }),
    )])?;
    Ok(read)
}
