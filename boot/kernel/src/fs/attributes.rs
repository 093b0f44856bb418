//! What stat(2) says of a file, and who may do what with it.

use crate::capability::Capabilities;
use crate::errno::Errno;
use crate::fs::credentials::Credentials;
use core::time::Duration;

/// What kind of file it is; the value is the type part of `st_mode` (inode(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// Named pipe.
    Fifo = 0o010_000,
    /// Character device.
    Character = 0o020_000,
    /// Directory.
    Directory = 0o040_000,
    /// Block device.
    Block = 0o060_000,
    /// Regular file.
    Regular = 0o100_000,
    /// Symbolic link.
    Symlink = 0o120_000,
    /// Socket.
    Socket = 0o140_000,
}

impl Kind {
    /// Returns the kind in `st_mode`.
    #[must_use]
    pub const fn from_mode(mode: u16) -> Option<Self> {
        Some(match mode & 0o170_000 {
            0o010_000 => Self::Fifo,
            0o020_000 => Self::Character,
            0o040_000 => Self::Directory,
            0o060_000 => Self::Block,
            0o100_000 => Self::Regular,
            0o120_000 => Self::Symlink,
            0o140_000 => Self::Socket,
            _ => return None,
        })
    }

    /// Returns the `d_type` of getdents64(2).
    #[must_use]
    pub const fn entry_type(self) -> u8 {
        (self as u16 >> 12) as u8
    }
}

bitflags::bitflags! {
    /// What somebody wants to do with a file; the values are those of access(2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Access: u8 {
        /// Execute a file, pass through a directory.
        const EXECUTE = 1;
        /// Write.
        const WRITE = 2;
        /// Read.
        const READ = 4;
    }
}

/// What stat(2) says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Kind.
    pub kind: Kind,
    /// Permission bits with set-user-id, set-group-id and sticky: `st_mode & 0o7777`.
    pub permissions: u16,
    /// Owner.
    pub uid: u32,
    /// Owner's group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Names.
    pub links: u32,
    /// Number of the file, unique on its device.
    pub number: u64,
    /// Number of the device it lies on.
    pub device: u64,
    /// For a device file, which one.
    pub special: u64,
    /// 512-byte units of storage.
    pub blocks: u64,
    /// Last read, since 1970-01-01 UTC.
    pub accessed: Duration,
    /// Last change of content.
    pub modified: Duration,
    /// Last change of content or attributes.
    pub changed: Duration,
}

/// The program runs on behalf of its owner, of its group (execve(2)); whoever is in the group may execute it. In a directory
/// with the second one new files get its group.
pub(super) const SET_USER: u16 = 0o4000;
pub(super) const SET_GROUP: u16 = 0o2000;
const GROUP_EXECUTE: u16 = 0o010;

impl Attributes {
    /// Returns the user and the group that a program file says it runs on behalf of.
    #[must_use]
    pub fn acts_for(&self) -> [Option<u32>; 2] {
        let has = |bits: u16| self.permissions & bits == bits;
        [
            has(SET_USER).then_some(self.uid),
            // Without the right to execute the bit means something else: mandatory locking, once.
            has(SET_GROUP | GROUP_EXECUTE).then_some(self.gid),
        ]
    }

    /// Makes a program one that runs on nobody's behalf but its caller's.
    pub(super) const fn give_up_rights(&mut self) {
        self.permissions &= !SET_USER;
        if self.permissions & GROUP_EXECUTE != 0 {
            self.permissions &= !SET_GROUP;
        }
    }

    /// Does that once somebody has written to it who may not keep them (Linux `file_remove_privs`).
    pub(super) fn lose_rights(&mut self, who: &Credentials) {
        if !who.can(Capabilities::FSETID) && matches!(self.kind, Kind::Regular) {
            self.give_up_rights();
        }
    }

    /// Makes a program one that does not run on its group's behalf, unless `who` is in that group.
    pub(super) fn give_up_group(&mut self, who: &Credentials) {
        if self.acts_for()[1].is_some() && !who.is_in(self.gid) && !who.can(Capabilities::FSETID) {
            self.permissions &= !SET_GROUP;
        }
    }

    /// Returns `st_mode`.
    #[must_use]
    pub const fn mode(&self) -> u16 {
        self.kind as u16 | self.permissions
    }

    /// Returns whether `who` may do all of `wanted`.
    ///
    /// # Errors
    ///
    /// EACCES.
    pub fn permit(&self, who: &Credentials, wanted: Access) -> Result<(), Errno> {
        let granted = if who.uid == self.uid {
            self.permissions >> 6
        } else if who.is_in(self.gid) {
            self.permissions >> 3
        } else {
            self.permissions
        };
        let granted = Access::from_bits_truncate((granted & 7) as u8);
        if granted.contains(wanted) || self.is_passed_over(who, wanted) {
            Ok(())
        } else {
            Err(Errno::EACCES)
        }
    }

    /// Returns whether `who` may pass over what the permissions say: in everything but executing what nobody may execute, or
    /// in reading and searching (capabilities(7)).
    fn is_passed_over(&self, who: &Credentials, wanted: Access) -> bool {
        let is_directory = matches!(self.kind, Kind::Directory);
        let is_executable = self.permissions & 0o111 != 0 || is_directory;
        let reads = if is_directory {
            Access::READ | Access::EXECUTE
        } else {
            Access::READ
        };
        who.can(Capabilities::DAC_OVERRIDE) && (is_executable || !wanted.contains(Access::EXECUTE))
            || who.can(Capabilities::DAC_READ_SEARCH) && reads.contains(wanted)
    }

    /// Returns whether `who` may change the attributes.
    ///
    /// # Errors
    ///
    /// EPERM.
    pub fn permit_owner(&self, who: &Credentials) -> Result<(), Errno> {
        if who.uid == self.uid || who.can(Capabilities::FOWNER) {
            Ok(())
        } else {
            Err(Errno::EPERM)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::Sets;

    fn file(permissions: u16) -> Attributes {
        Attributes {
            kind: Kind::Regular,
            permissions,
            uid: 10,
            gid: 20,
            size: 0,
            links: 1,
            number: 1,
            device: 1,
            special: 0,
            blocks: 0,
            accessed: Duration::ZERO,
            modified: Duration::ZERO,
            changed: Duration::ZERO,
        }
    }

    fn user(uid: u32, gid: u32) -> Credentials {
        Credentials {
            uid,
            gid,
            groups: [30].into_iter().collect(),
            capabilities: Sets::of_agent(uid, None),
        }
    }

    /// Somebody who has one capability.
    fn able(effective: Capabilities) -> Credentials {
        let capabilities = Sets {
            effective,
            ..Sets::USER
        };
        Credentials {
            capabilities,
            ..user(1, 1)
        }
    }

    #[test]
    fn who_may_only_read_and_search_passes_over_nothing_else() {
        let reader = able(Capabilities::DAC_READ_SEARCH);
        assert!(file(0).permit(&reader, Access::READ).is_ok());
        for wanted in [Access::WRITE, Access::EXECUTE, Access::READ | Access::WRITE] {
            assert!(file(0).permit(&reader, wanted).is_err(), "{wanted:?}");
        }
        let directory = Attributes {
            kind: Kind::Directory,
            ..file(0)
        };
        let search = Access::READ | Access::EXECUTE;
        assert!(directory.permit(&reader, search).is_ok());
        assert!(directory.permit(&reader, Access::WRITE).is_err());
        assert!(
            file(0)
                .permit(&able(Capabilities::FOWNER), Access::READ)
                .is_err()
        );
        assert!(file(0).permit_owner(&able(Capabilities::FOWNER)).is_ok());
        assert!(
            file(0)
                .permit_owner(&able(Capabilities::DAC_OVERRIDE))
                .is_err()
        );
        assert!(
            file(0)
                .permit(&able(Capabilities::DAC_OVERRIDE), Access::WRITE)
                .is_ok()
        );
    }

    #[test]
    fn the_first_class_that_matches_decides_alone() {
        let attributes = file(0o047);
        assert!(attributes.permit(&user(10, 1), Access::READ).is_err());
        assert!(attributes.permit(&user(1, 20), Access::READ).is_ok());
        assert!(attributes.permit(&user(1, 20), Access::WRITE).is_err());
        assert!(attributes.permit(&user(1, 1), Access::all()).is_ok());
    }

    #[test]
    fn a_supplementary_group_counts_as_the_group() {
        let mut attributes = file(0o040);
        attributes.gid = 30;
        assert!(attributes.permit(&user(1, 1), Access::READ).is_ok());
    }

    #[test]
    fn root_may_not_execute_what_nobody_may_execute() {
        assert!(file(0o600).permit(&user(0, 0), Access::EXECUTE).is_err());
        assert!(file(0o601).permit(&user(0, 0), Access::EXECUTE).is_ok());
        assert!(file(0).permit(&user(0, 0), Access::WRITE).is_ok());
    }

    #[test]
    fn only_the_owner_or_root_changes_attributes() {
        assert!(file(0o777).permit_owner(&user(10, 1)).is_ok());
        assert!(file(0o777).permit_owner(&user(0, 1)).is_ok());
        assert_eq!(file(0o777).permit_owner(&user(11, 20)), Err(Errno::EPERM));
    }
}
