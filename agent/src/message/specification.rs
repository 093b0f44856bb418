//! What is read of a Create request: an OCI runtime specification (gcs-protocol §7.1.1).
//!
//! Its members are those of `config.json` of the OCI runtime specification. What stands here changes what runs, or would
//! be missed by it; everything else is passed over.

use super::privilege::{capabilities, process_limits};
use super::request::Ask;
use super::resources::{Resources, resources};
use crate::json::{Cursor, Error, Field};
use crate::kernel::{CapabilitySets, ProcessLimits, StringList};
use crate::limits::MAX_GROUPS;

/// A Create request's document.
#[derive(Debug, Default)]
pub struct Create<'a> {
    /// `SchemaVersion`, major and minor.
    pub schema: (u32, u32),
    /// `OciSpecification`, when there is one.
    pub specification: Option<Specification<'a>>,
}

/// What is read of an OCI runtime specification.
#[derive(Debug, Default)]
pub struct Specification<'a> {
    /// `process`, when there is one.
    pub process: Option<OciProcess<'a>>,
    /// `root.path`, empty when there is none.
    pub root: &'a str,
    /// `hostname`, empty when there is none.
    pub hostname: &'a str,
    /// `root.readonly`.
    pub root_read_only: bool,
    /// `mounts`, an array whose elements [`mount`] reads.
    pub mounts: Option<Cursor<'a>>,
    /// The annotation [`CONTAINER_TYPE`], empty when there is none.
    pub container_type: &'a str,
    /// The annotation [`SANDBOX_ID`], empty when there is none.
    pub sandbox: &'a str,
    /// The annotation [`VIRTUAL_POD_ID`], empty when there is none.
    pub virtual_pod: &'a str,
    /// `linux.resources`.
    pub resources: Resources,
}

/// An OCI mount.
#[derive(Debug, Default)]
pub struct Mount<'a> {
    /// `destination`.
    pub destination: &'a str,
    /// `type`.
    pub kind: &'a str,
    /// `source`.
    pub source: &'a str,
    /// `options`.
    pub options: StringList<'a>,
}

/// The annotation that tells a pod's sandbox and the containers in it apart (containerd `pkg/cri/annotations`).
pub const CONTAINER_TYPE: &str = "io.kubernetes.cri.container-type";

/// The annotation that names the sandbox of a container in a pod.
pub const SANDBOX_ID: &str = "io.kubernetes.cri.sandbox-id";

/// The annotation that names the virtual pod of a container (hcsshim `pkg/annotations`); the container of that id is its
/// sandbox, whatever else is said.
pub const VIRTUAL_POD_ID: &str = "io.microsoft.cri.virtual-pod-id";

/// What is read of an OCI process.
#[derive(Debug, Default)]
pub struct OciProcess<'a> {
    /// `args`.
    pub args: StringList<'a>,
    /// `env`.
    pub env: StringList<'a>,
    /// `cwd`.
    pub cwd: &'a str,
    /// `user`.
    pub user: User<'a>,
    /// `terminal`.
    pub terminal: bool,
    /// `noNewPrivileges`.
    pub no_new_privileges: bool,
    /// `capabilities`, when they are stated.
    pub capabilities: Option<CapabilitySets>,
    /// `rlimits`.
    pub limits: ProcessLimits,
    /// `consoleSize`: height and width, 0 when absent.
    pub window: [u16; 2],
}

/// An OCI user.
#[derive(Debug, Default)]
pub struct User<'a> {
    /// `uid`.
    pub uid: u32,
    /// `gid`.
    pub gid: u32,
    /// `additionalGids`.
    pub groups: heapless::Vec<u32, MAX_GROUPS>,
    /// `username`, which is looked up in the container.
    pub name: &'a str,
}

/// Reads a Create request.
pub(super) fn create<'a>(body: &'a mut [u8], container: &mut &'a str) -> Result<Ask<'a>, Error> {
    let mut create = Create::default();
    let mut config = None;
    Cursor::new(body).object(&mut [
        ("ContainerId", Field::Text(container)),
        ("ContainerConfig", Field::Document(&mut config)),
    ])?;
    if let Some(mut config) = config {
        let (major, minor) = &mut create.schema;
        config.object(&mut [
            (
                "SchemaVersion",
                Field::Object(&mut [("Major", Field::U32(major)), ("Minor", Field::U32(minor))]),
            ),
            (
                "OciSpecification",
                Field::Other(&mut |cursor| specification(cursor, &mut create.specification)),
            ),
        ])?;
    }
    Ok(Ask::Create(create))
}

fn specification<'a>(
    cursor: &mut Cursor<'a>,
    target: &mut Option<Specification<'a>>,
) -> Result<(), Error> {
    let specification = target.insert(Specification::default());
    let present = cursor.object(&mut [
        (
            "process",
            Field::Other(&mut |cursor| oci_process(cursor, &mut specification.process)),
        ),
        ("hostname", Field::Path(&mut specification.hostname)),
        (
            "root",
            Field::Object(&mut [
                ("path", Field::Path(&mut specification.root)),
                ("readonly", Field::Flag(&mut specification.root_read_only)),
            ]),
        ),
        (
            "linux",
            Field::Object(&mut [(
                "resources",
                Field::Other(&mut |cursor| {
                    specification.resources = resources(cursor)?;
                    Ok(())
                }),
            )]),
        ),
        ("mounts", Field::Value(&mut specification.mounts)),
        (
            "annotations",
            Field::Object(&mut [
                (
                    CONTAINER_TYPE,
                    Field::Text(&mut specification.container_type),
                ),
                (SANDBOX_ID, Field::Text(&mut specification.sandbox)),
                (VIRTUAL_POD_ID, Field::Text(&mut specification.virtual_pod)),
            ]),
        ),
    ])?;
    if !present {
        *target = None;
    }
    Ok(())
}

/// Reads an element of `mounts`.
///
/// # Errors
///
/// When it is not understood.
pub fn mount<'a>(cursor: &mut Cursor<'a>) -> Result<Mount<'a>, Error> {
    let mut mount = Mount::default();
    cursor.object(&mut [
        ("destination", Field::Path(&mut mount.destination)),
        ("type", Field::Text(&mut mount.kind)),
        ("source", Field::Path(&mut mount.source)),
        ("options", Field::Strings(&mut mount.options)),
    ])?;
    Ok(mount)
}

/// Reads a process of a specification, or of an ExecuteProcess request.
pub(super) fn oci_process<'a>(
    cursor: &mut Cursor<'a>,
    target: &mut Option<OciProcess<'a>>,
) -> Result<(), Error> {
    let process = target.insert(OciProcess::default());
    let groups = &mut process.user.groups;
    let [height, width] = &mut process.window;
    let present = cursor.object(&mut [
        ("args", Field::Strings(&mut process.args)),
        ("env", Field::Strings(&mut process.env)),
        ("cwd", Field::Path(&mut process.cwd)),
        (
            "user",
            Field::Object(&mut [
                ("uid", Field::U32(&mut process.user.uid)),
                ("gid", Field::U32(&mut process.user.gid)),
                (
                    "additionalGids",
                    Field::Other(&mut |cursor| cursor.integer_list("MAX_GROUPS", groups)),
                ),
                ("username", Field::Path(&mut process.user.name)),
            ]),
        ),
        ("terminal", Field::Flag(&mut process.terminal)),
        (
            "noNewPrivileges",
            Field::Flag(&mut process.no_new_privileges),
        ),
        (
            "capabilities",
            Field::Other(&mut |cursor| capabilities(cursor, &mut process.capabilities)),
        ),
        (
            "rlimits",
            Field::Other(&mut |cursor| process_limits(cursor, &mut process.limits)),
        ),
        (
            "consoleSize",
            Field::Object(&mut [("height", Field::U16(height)), ("width", Field::U16(width))]),
        ),
    ])?;
    if !present {
        *target = None;
    }
    Ok(())
}
