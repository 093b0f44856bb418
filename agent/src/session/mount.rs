//! `mounts` of a container's specification: files and directories of the utility VM shown in it, and empty trees in
//! memory.

use crate::failure::{Cause, CutText, Failure};
use crate::json::Cursor;
use crate::kernel::{Action, Change, Kernel, StringList, View, Writes};
use crate::message::specification::{Mount, mount};
use hal::clock::Instant;

/// Types of mounts that are read past: file systems a kernel makes of nothing. What a program finds at their usual places
/// is the kernel's affair, and nothing of the host's is missed.
static KERNEL_FILE_SYSTEMS: [&str; 7] = [
    "proc", "sysfs", "devpts", "devtmpfs", "mqueue", "cgroup", "cgroup2",
];

/// Places of trees in memory that every view has anyway.
static OWN_MEMORY: [&str; 2] = ["/dev", "/dev/shm"];

/// What an option of a mount says. None of these is said by `rw`, which is so anyway, and by who learns of mounts made
/// later (mount(8)): there is one tree of mounts, so everybody does.
const BINDS: u8 = 1;
const READ_ONLY: u8 = 2;
/// It changes nothing about a tree in memory, where there are no programs, devices or times of access of anybody's.
const IN_MEMORY: u8 = 4;

static KNOWN_OPTIONS: [(&[u8], u8); 19] = [
    (b"rw", 0),
    (b"shared", 0),
    (b"rshared", 0),
    (b"private", 0),
    (b"rprivate", 0),
    (b"slave", 0),
    (b"rslave", 0),
    (b"unbindable", 0),
    (b"runbindable", 0),
    (b"bind", BINDS),
    (b"rbind", BINDS),
    (b"ro", READ_ONLY),
    (b"nosuid", IN_MEMORY),
    (b"nodev", IN_MEMORY),
    (b"noexec", IN_MEMORY),
    (b"noatime", IN_MEMORY),
    (b"relatime", IN_MEMORY),
    (b"strictatime", IN_MEMORY),
    (b"nodiratime", IN_MEMORY),
];

/// What the options of a mount say together.
pub(super) struct Options<'a> {
    said: u8,
    /// Permissions of a tree in memory.
    mode: u16,
    /// One that only a tree in memory can have.
    pub(super) in_memory: Option<&'a [u8]>,
    /// One that is not known.
    pub(super) unknown: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    /// Reads options. The `size` of a tree in memory is what the container may use.
    #[inline(never)]
    pub(super) fn read(list: StringList<'a>) -> Self {
        let mut options = Self {
            said: 0,
            mode: 0o1777,
            in_memory: None,
            unknown: None,
        };
        for option in list.iter() {
            let known = KNOWN_OPTIONS.iter().find(|known| known.0 == option);
            let mode = option.strip_prefix(b"mode=").and_then(octal);
            options.mode = mode.unwrap_or(options.mode);
            match known {
                Some((_, IN_MEMORY)) => options.in_memory = Some(option),
                Some((_, says)) => options.said |= says,
                None if mode.is_some() || option.starts_with(b"size=") => {
                    options.in_memory = Some(option);
                }
                None => options.unknown = Some(option),
            }
        }
        options
    }

    /// Returns one that a disk or a bind cannot have.
    pub(super) fn refused(&self) -> Option<&'a [u8]> {
        self.unknown.or(self.in_memory)
    }

    pub(super) const fn writes(&self) -> Writes {
        if self.said & READ_ONLY != 0 {
            Writes::Refused
        } else {
            Writes::Kept
        }
    }
}

/// Returns whether a name is one of some.
#[inline(never)]
fn is_among(names: &[&str], name: &str) -> bool {
    names.contains(&name)
}

/// Reads permissions.
fn octal(digits: &[u8]) -> Option<u16> {
    let mut mode = 0;
    for digit in digits {
        if !matches!(digit, b'0'..=b'7') || mode > 0o777 {
            return None;
        }
        mode = mode << 3 | u16::from(digit - b'0');
    }
    (!digits.is_empty()).then_some(mode)
}

/// Has the kernel make the mounts of a view, in their order.
///
/// # Errors
///
/// For the first one that cannot be made. The view is to be removed then.
pub(super) fn make_mounts<K: Kernel>(
    view: View,
    mut mounts: Cursor<'_>,
    kernel: &mut K,
) -> Result<(), Failure> {
    if !mounts.begin_array()? {
        return Ok(());
    }
    let mut index = 0;
    while mounts.next_element() {
        let mount = mount(&mut mounts)?;
        let destination = mount.destination;
        let change = plan(view, &mount).ok_or_else(|| {
            let destination = CutText::of(destination);
            Cause::Mount(index, destination)
        })?;
        if let Some(change) = change {
            // Nothing is waited for: what is to be shown must be there by now.
            kernel.change(&change, Instant::ZERO)?;
        }
        index += 1;
    }
    Ok(())
}

/// Says what a mount comes to: a change, nothing, or (`None`) something that is not done here.
#[inline(never)]
fn plan<'a>(view: View, mount: &Mount<'a>) -> Option<Option<Change<'a>>> {
    if !mount.destination.starts_with('/') {
        return None;
    }
    let options = Options::read(mount.options);
    if mount.kind == "bind" || options.said & BINDS != 0 {
        let source = mount.source.strip_prefix("uvm://").unwrap_or(mount.source);
        if !source.starts_with('/') || options.refused().is_some() {
            return None;
        }
        return Some(Some(Change {
            source,
            ..Change::at(Action::Bind(view, options.writes()), mount.destination)
        }));
    }
    if mount.kind == "tmpfs" {
        if is_among(&OWN_MEMORY, mount.destination) {
            return Some(None);
        }
        if options.unknown.is_some() || options.writes() == Writes::Refused {
            return None;
        }
        let action = Action::Memory(view, options.mode);
        return Some(Some(Change::at(action, mount.destination)));
    }
    is_among(&KERNEL_FILE_SYSTEMS, mount.kind).then_some(None)
}
