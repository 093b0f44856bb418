//! What is read of a Create request: an OCI runtime specification (gcs-protocol §7.1.1).
//!
//! Its members are those of `config.json` of the OCI runtime specification. What stands here changes what runs, or would
//! be missed by it; everything else is passed over.

use super::request::Ask;
use crate::json::{Cursor, Error};
use crate::kernel::StringList;
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
    /// The first of `mounts` that the program would miss.
    pub missed_mount: Option<Mount<'a>>,
    /// The annotation [`CONTAINER_TYPE`], empty when there is none.
    pub container_type: &'a str,
    /// The annotation [`SANDBOX_ID`], empty when there is none.
    pub sandbox: &'a str,
}

/// What is read of an OCI mount.
#[derive(Debug)]
pub struct Mount<'a> {
    /// Its place in `mounts`.
    pub index: usize,
    /// `destination`.
    pub destination: &'a str,
}

/// The annotation that tells a pod's sandbox and the containers in it apart (containerd `pkg/cri/annotations`).
pub const CONTAINER_TYPE: &str = "io.kubernetes.cri.container-type";

/// The annotation that names the sandbox of a container in a pod.
pub const SANDBOX_ID: &str = "io.kubernetes.cri.sandbox-id";

/// Types of mounts that are read past: file systems a kernel makes of nothing. What a program finds at their usual places
/// is the kernel's affair, and nothing of the host's is missed.
const KERNEL_FILE_SYSTEMS: [&str; 8] = [
    "proc", "sysfs", "tmpfs", "devpts", "devtmpfs", "mqueue", "cgroup", "cgroup2",
];

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
    /// `username`, which would have to be looked up in the container.
    pub name: &'a str,
}

/// Reads a Create request.
pub(super) fn create<'a>(body: &'a mut [u8], container: &mut &'a str) -> Result<Ask<'a>, Error> {
    let mut create = Create::default();
    let mut cursor = Cursor::new(body);
    if cursor.begin_object()? {
        while let Some(member) = cursor.next_member(&["ContainerId", "ContainerConfig"])? {
            if member == "ContainerId" {
                cursor.string(container)?;
            } else if let Some(mut config) = cursor.document()? {
                create = container_config(&mut config)?;
            }
        }
    }
    Ok(Ask::Create(create))
}

fn container_config<'a>(config: &mut Cursor<'a>) -> Result<Create<'a>, Error> {
    let mut create = Create::default();
    if !config.begin_object()? {
        return Ok(create);
    }
    while let Some(member) = config.next_member(&["SchemaVersion", "OciSpecification"])? {
        if member == "SchemaVersion" {
            if config.begin_object()? {
                while let Some(member) = config.next_member(&["Major", "Minor"])? {
                    match member {
                        "Major" => config.integer(&mut create.schema.0)?,
                        _ => config.integer(&mut create.schema.1)?,
                    }
                }
            }
        } else {
            create.specification = specification(config)?;
        }
    }
    Ok(create)
}

fn specification<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Specification<'a>>, Error> {
    if !cursor.begin_object()? {
        return Ok(None);
    }
    let mut specification = Specification::default();
    while let Some(member) = cursor.next_member(&["process", "root", "mounts", "annotations"])? {
        match member {
            "process" => specification.process = oci_process(cursor)?,
            "root" => {
                if cursor.begin_object()? {
                    while cursor.next_member(&["path"])?.is_some() {
                        cursor.path(&mut specification.root)?;
                    }
                }
            }
            "mounts" => specification.missed_mount = missed_mount(cursor)?,
            _ => annotations(cursor, &mut specification)?,
        }
    }
    Ok(Some(specification))
}

/// Finds the first mount that brings something of the host's or of another file system's into the container.
fn missed_mount<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Mount<'a>>, Error> {
    if !cursor.begin_array()? {
        return Ok(None);
    }
    let mut missed = None;
    let mut index = 0;
    while cursor.next_element() {
        let (mut destination, mut kind, mut binds) = ("", "", false);
        if cursor.begin_object()? {
            while let Some(member) = cursor.next_member(&["destination", "type", "options"])? {
                match member {
                    "destination" => cursor.string(&mut destination)?,
                    "type" => cursor.string(&mut kind)?,
                    _ => {
                        let mut options = StringList::default();
                        cursor.string_list(&mut options)?;
                        binds = options
                            .iter()
                            .any(|option| matches!(option, b"bind" | b"rbind"));
                    }
                }
            }
        }
        if missed.is_none() && (binds || !KERNEL_FILE_SYSTEMS.contains(&kind)) {
            missed = Some(Mount { index, destination });
        }
        index += 1;
    }
    Ok(missed)
}

fn annotations<'a>(
    cursor: &mut Cursor<'a>,
    specification: &mut Specification<'a>,
) -> Result<(), Error> {
    if !cursor.begin_object()? {
        return Ok(());
    }
    while let Some(member) = cursor.next_member(&[CONTAINER_TYPE, SANDBOX_ID])? {
        match member {
            CONTAINER_TYPE => cursor.string(&mut specification.container_type)?,
            _ => cursor.string(&mut specification.sandbox)?,
        }
    }
    Ok(())
}

/// Reads a process of a specification, or of an ExecuteProcess request.
pub(super) fn oci_process<'a>(cursor: &mut Cursor<'a>) -> Result<Option<OciProcess<'a>>, Error> {
    if !cursor.begin_object()? {
        return Ok(None);
    }
    let mut process = OciProcess::default();
    while let Some(member) = cursor.next_member(&["args", "env", "cwd", "user", "terminal"])? {
        match member {
            "args" => cursor.string_list(&mut process.args)?,
            "env" => cursor.string_list(&mut process.env)?,
            "cwd" => cursor.path(&mut process.cwd)?,
            "user" => user(cursor, &mut process.user)?,
            _ => cursor.boolean(&mut process.terminal)?,
        }
    }
    Ok(Some(process))
}

fn user<'a>(cursor: &mut Cursor<'a>, user: &mut User<'a>) -> Result<(), Error> {
    if !cursor.begin_object()? {
        return Ok(());
    }
    while let Some(member) = cursor.next_member(&["uid", "gid", "additionalGids", "username"])? {
        match member {
            "uid" => cursor.integer(&mut user.uid)?,
            "gid" => cursor.integer(&mut user.gid)?,
            "username" => cursor.string(&mut user.name)?,
            _ => cursor.integer_list("MAX_GROUPS", &mut user.groups)?,
        }
    }
    Ok(())
}
