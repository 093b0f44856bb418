//! The kernel's vsock back end: whether it can be used, and with which numbers.
//!
//! That /dev/vhost-vsock exists says little: its driver may be missing, this user may not open it, a sandbox may forbid
//! sockets of its family. So everything is tried that a VM will need: the device is opened, a guest's id is given to it, and a
//! port is bound. All of it is given back; QEMU opens the device for itself.

use crate::listener::PortSpace;
use rustix::io::Errno;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;
use vhost::vhost_kern::vsock::Vsock;
use vhost::vsock::VhostVsock;
use vm_memory::GuestMemoryMmap;

/// The device.
pub(super) const DEVICE: &str = "/dev/vhost-vsock";

/// The first id a guest may have.
const FIRST_CID: u32 = 3;

/// How many ids, and how many ranges of ports, are tried when they are taken. They are drawn from thousands of ranges and
/// millions of ids: a second one that is taken means that something else is wrong.
const MAX_DRAWS: usize = 4;

/// What a VM on the kernel's back end is known by: the guest's id, and what chooses its range of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) cid: u32,
    pub(super) choice: u32,
}

/// Why the kernel's back end is not used.
#[derive(Debug)]
pub(super) enum Unusable {
    /// There is none.
    Absent,
    /// There is one that refuses.
    Refused { tried: String, source: io::Error },
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => write!(f, "there is no {DEVICE} (`modprobe vhost_vsock` makes it)"),
            Self::Refused { tried, source } => write!(f, "{tried}: {source}"),
        }
    }
}

/// Finds numbers that are free.
pub(super) fn probe() -> Result<Numbers, Unusable> {
    open(Path::new(DEVICE))?;
    let cid = draw(
        |random| FIRST_CID + (random >> 1) % (i32::MAX.cast_unsigned() - FIRST_CID),
        |cid| format!("{DEVICE} does not take the guest id {cid}"),
        give,
    )?;
    let choice = draw(
        |random| random,
        |_| "cannot listen on the host's vsock".into(),
        |choice| bind(cid, choice),
    )?;
    Ok(Numbers { cid, choice })
}

/// Opens the device. A node without a driver is none.
fn open(device: &Path) -> Result<(), Unusable> {
    match OpenOptions::new().read(true).write(true).open(device) {
        Ok(_) => Ok(()),
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                || [Errno::NODEV, Errno::NXIO]
                    .map(|errno| Some(errno.raw_os_error()))
                    .contains(&error.raw_os_error()) =>
        {
            Err(Unusable::Absent)
        }
        Err(source) => Err(Unusable::Refused {
            tried: format!("{} cannot be opened", device.display()),
            source,
        }),
    }
}

/// Draws numbers until one is free.
fn draw(
    number: impl Fn(u32) -> u32,
    tried: impl Fn(u32) -> String,
    mut take: impl FnMut(u32) -> io::Result<()>,
) -> Result<u32, Unusable> {
    let mut draws = 0;
    loop {
        let drawn = number(random());
        draws += 1;
        match take(drawn) {
            Ok(()) => return Ok(drawn),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && draws < MAX_DRAWS => {}
            Err(source) => {
                return Err(Unusable::Refused {
                    tried: tried(drawn),
                    source,
                });
            }
        }
    }
}

/// Gives a guest's id to a device of our own, which goes with it.
fn give(cid: u32) -> io::Result<()> {
    let memory = GuestMemoryMmap::<()>::new();
    let given = Vsock::new(&memory).and_then(|device| device.set_guest_cid(cid.into()));
    given.map_err(|error| match error {
        vhost::Error::VhostOpen(source) | vhost::Error::IoctlError(source) => source,
        other => io::Error::other(other.to_string()),
    })
}

/// Binds the first port of a range, for a moment.
fn bind(cid: u32, choice: u32) -> io::Result<()> {
    let ports = PortSpace::kernel(cid, choice);
    match ports.listen(ports.bridge_port()) {
        Ok(_) => Ok(()),
        Err(crate::Error::Io { source, .. }) => Err(io::Error::new(source.kind(), source)),
        Err(other) => Err(io::Error::other(other.to_string())),
    }
}

fn random() -> u32 {
    let mut bytes = [0; 4];
    // Without it every VM asks for the same numbers, and the second one is told that they are taken.
    let _ = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes));
    u32::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy() -> io::Result<()> {
        Err(io::ErrorKind::AddrInUse.into())
    }

    #[test]
    fn a_node_that_is_absent_is_no_refusal_and_one_that_is_closed_is_named() {
        assert!(matches!(
            open(Path::new("/no/such/device")),
            Err(Unusable::Absent)
        ));
        let refused = open(Path::new("/dev")).expect_err("a directory cannot be written to");
        let words = refused.to_string();
        assert!(words.contains("/dev cannot be opened: "), "{words}");
        assert!(open(Path::new("/dev/null")).is_ok());
    }

    #[test]
    fn numbers_that_are_taken_are_drawn_again_but_not_for_ever() {
        for (taken, is_found) in [(0, true), (MAX_DRAWS - 1, true), (MAX_DRAWS, false)] {
            let mut draws = 0;
            let drawn = draw(
                |random| random % 7,
                |number| format!("number {number}"),
                |_| {
                    draws += 1;
                    if draws <= taken { busy() } else { Ok(()) }
                },
            );
            assert_eq!(drawn.is_ok(), is_found, "{taken} were taken: {drawn:?}");
            assert_eq!(draws, (taken + 1).min(MAX_DRAWS));
        }
    }

    #[test]
    fn another_refusal_is_told_at_once() {
        let mut draws = 0;
        let refused = draw(
            |_| 5,
            |number| format!("the id {number} is not taken"),
            |_| {
                draws += 1;
                Err(io::ErrorKind::PermissionDenied.into())
            },
        );
        let words = refused.expect_err("refused").to_string();
        assert_eq!(words, "the id 5 is not taken: permission denied");
        assert_eq!(draws, 1);
    }

    #[test]
    fn what_the_probe_finds_is_free_and_what_it_refuses_is_named() {
        match probe() {
            Ok(numbers) => {
                assert!(numbers.cid >= FIRST_CID);
                assert!(bind(numbers.cid, numbers.choice).is_ok(), "given back");
            }
            Err(unusable) => assert!(unusable.to_string().contains("vsock"), "{unusable}"),
        }
    }
}
