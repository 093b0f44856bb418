//! Capabilities (capabilities(7)): what a process may do beyond what its ids allow, in parts that can be given up one by one.
//!
//! ```text
//!   bounding ─┐                        ┌─► permitted ─► effective, which is what is asked for
//! inheritable ┴─ execve of root's ─────┤
//!     ambient ── execve of a user's ───┘
//! ```
//!
//! Files have none of their own: an attribute `security.capability` is kept, and means nothing to execve.

use crate::errno::Errno;
use crate::identity::Ids;
use agent::kernel::CapabilitySets;

bitflags::bitflags! {
    /// A set of capabilities, by their numbers (linux/capability.h). Those that nothing here asks for have no name.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Capabilities: u64 {
        /// Give files to others.
        const CHOWN = 1;
        /// Pass over permissions of files.
        const DAC_OVERRIDE = 1 << 1;
        /// Pass over those to read and to search.
        const DAC_READ_SEARCH = 1 << 2;
        /// Do what a file's owner may.
        const FOWNER = 1 << 3;
        /// Keep a program acting for its owner while it is changed.
        const FSETID = 1 << 4;
        /// Send signals to everybody.
        const KILL = 1 << 5;
        /// Take on any group.
        const SETGID = 1 << 6;
        /// Take on any user.
        const SETUID = 1 << 7;
        /// Change what is inherited and bounded.
        const SETPCAP = 1 << 8;
        /// Take the ports below 1024.
        const NET_BIND_SERVICE = 1 << 10;
        /// Change the root directory.
        const SYS_CHROOT = 1 << 18;
        /// See what others do.
        const SYS_PTRACE = 1 << 19;
        /// Much.
        const SYS_ADMIN = 1 << 21;
        /// Have more of the processor.
        const SYS_NICE = 1 << 23;
        /// Raise limits.
        const SYS_RESOURCE = 1 << 24;
        /// Hang up terminals.
        const SYS_TTY_CONFIG = 1 << 26;
        /// Make device files.
        const MKNOD = 1 << 27;
        /// Give capabilities to files.
        const SETFCAP = 1 << 31;
        /// Every one there is (`CAP_LAST_CAP` is 40).
        const ALL = (1 << 41) - 1;
        /// Those about files, which go with the user that files are asked for with (`CAP_FS_SET`): CHOWN to FSETID,
        /// LINUX_IMMUTABLE, MKNOD, MAC_OVERRIDE.
        const OF_FILES = 0x1f | 1 << 9 | 1 << 27 | 1 << 32;
    }
}

impl Capabilities {
    /// Returns the capability with this number.
    pub(crate) fn one(number: u64) -> Option<Self> {
        let bit = 1_u64.checked_shl(u32::try_from(number).ok()?)?;
        Self::from_bits(bit)
    }
}

bitflags::bitflags! {
    /// How capabilities follow from ids (`SECBIT_*`, linux/securebits.h). Each has a lock beside it.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Secure: u8 {
        /// Root gets none by execve.
        const NO_ROOT = 1;
        /// Changes of ids change none.
        const NO_FIX_UP = 1 << 2;
        /// Those permitted stay when the last id ceases to be root's; until execve.
        const KEEP = 1 << 4;
        /// None becomes ambient.
        const NO_AMBIENT = 1 << 6;
        /// No more changes of KEEP.
        const KEEP_LOCKED = 1 << 5;
        /// All locks.
        const LOCKS = 0xaa;
    }
}

/// The capabilities of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sets {
    /// What it has.
    pub effective: Capabilities,
    /// What it may have again.
    pub permitted: Capabilities,
    /// What a program it executes as root may have besides those in bounds.
    pub inheritable: Capabilities,
    /// What a program it executes can get at most.
    pub bounding: Capabilities,
    /// What a program it executes as a user has.
    pub ambient: Capabilities,
    /// What follows from ids.
    pub secure: Secure,
}

impl Sets {
    /// Those of root.
    pub const ROOT: Self = Self {
        effective: Capabilities::ALL,
        permitted: Capabilities::ALL,
        inheritable: Capabilities::empty(),
        bounding: Capabilities::ALL,
        ambient: Capabilities::empty(),
        secure: Secure::empty(),
    };

    /// Those of a user.
    pub const USER: Self = Self {
        effective: Capabilities::empty(),
        permitted: Capabilities::empty(),
        ..Self::ROOT
    };

    /// Makes those of a program the agent starts as `user`, which it may have stated. Numbers of which there is no
    /// capability mean nothing.
    pub(crate) fn of_agent(user: u32, stated: Option<&CapabilitySets>) -> Self {
        let Some(stated) = stated else {
            return if user == 0 { Self::ROOT } else { Self::USER };
        };
        let set = Capabilities::from_bits_truncate;
        let permitted = set(stated.permitted);
        let inheritable = set(stated.inheritable);
        Self {
            effective: set(stated.effective) & permitted,
            permitted,
            inheritable,
            bounding: set(stated.bounding),
            ambient: set(stated.ambient) & permitted & inheritable,
            secure: Secure::empty(),
        }
    }

    /// What setuid(2) and its kin make of them (Linux `cap_emulate_setxuid`).
    pub(crate) fn change_users(&mut self, old: Ids, new: Ids) {
        if self.secure.contains(Secure::NO_FIX_UP) {
            return;
        }
        let is_root = |ids: Ids| ids.list().contains(&0);
        if is_root(old) && !is_root(new) {
            if !self.secure.contains(Secure::KEEP) {
                self.permitted = Capabilities::empty();
                self.effective = Capabilities::empty();
            }
            self.ambient = Capabilities::empty();
        }
        match (old.effective, new.effective) {
            (0, 1..) => self.effective = Capabilities::empty(),
            (1.., 0) => self.effective = self.permitted,
            _ => {}
        }
    }

    /// What setfsuid(2) makes of them.
    pub(crate) fn change_file_user(&mut self, old: u32, new: u32) {
        if self.secure.contains(Secure::NO_FIX_UP) {
            return;
        }
        match (old, new) {
            (0, 1..) => self.effective -= Capabilities::OF_FILES,
            (1.., 0) => self.effective |= self.permitted & Capabilities::OF_FILES,
            _ => {}
        }
    }

    /// Returns those that access(2) asks with on behalf of `user`, whose the process is.
    pub(crate) fn of_asker(&self, user: u32) -> Capabilities {
        match (self.secure.contains(Secure::NO_FIX_UP), user) {
            (true, _) => self.effective,
            (false, 0) => self.permitted,
            (false, _) => Capabilities::empty(),
        }
    }

    /// What capset(2) makes of them.
    ///
    /// # Errors
    ///
    /// EPERM for more than it may have.
    pub(crate) fn set(
        &mut self,
        effective: Capabilities,
        permitted: Capabilities,
        inheritable: Capabilities,
    ) -> Result<(), Errno> {
        let may_inherit = self.effective.contains(Capabilities::SETPCAP)
            || (self.inheritable | self.permitted).contains(inheritable);
        let is_bounded = (self.inheritable | self.bounding).contains(inheritable);
        let is_permitted = self.permitted.contains(permitted) && permitted.contains(effective);
        if !may_inherit || !is_bounded || !is_permitted {
            return Err(Errno::EPERM);
        }
        self.effective = effective;
        self.permitted = permitted;
        self.inheritable = inheritable;
        self.ambient &= permitted & inheritable;
        Ok(())
    }

    /// Makes one ambient.
    ///
    /// # Errors
    ///
    /// EPERM for one that is not permitted and inherited.
    pub(crate) fn raise_ambient(&mut self, one: Capabilities) -> Result<(), Errno> {
        let is_permitted = (self.permitted & self.inheritable).contains(one);
        if !is_permitted || self.secure.contains(Secure::NO_AMBIENT) {
            return Err(Errno::EPERM);
        }
        self.ambient |= one;
        Ok(())
    }

    /// Sets how capabilities follow from ids.
    ///
    /// # Errors
    ///
    /// EPERM for what is locked or unknown, and without SETPCAP.
    pub(crate) fn set_secure(&mut self, bits: u64) -> Result<(), Errno> {
        let wanted = u8::try_from(bits).map_err(|_| Errno::EPERM)?;
        let wanted = Secure::from_bits_retain(wanted);
        let locks = self.secure & Secure::LOCKS;
        let locked = Secure::from_bits_retain(locks.bits() >> 1);
        let is_locked = (self.secure ^ wanted).intersects(locked) || !wanted.contains(locks);
        if is_locked || !self.effective.contains(Capabilities::SETPCAP) {
            return Err(Errno::EPERM);
        }
        self.secure = wanted;
        Ok(())
    }

    /// What execve(2) makes of them for a program that acts for `user`; `restrained` says that it may not get more than there
    /// was (Linux `cap_bprm_creds_from_file`). Returns whether it would have got more.
    pub(crate) fn execute(&mut self, user: Ids, is_set_id: bool, restrained: bool) -> bool {
        let is_root = !self.secure.contains(Secure::NO_ROOT);
        let [real, effective] = [user.real, user.effective].map(|id| is_root && id == 0);
        let mut permitted = if real || effective {
            self.bounding | self.inheritable
        } else {
            Capabilities::empty()
        };
        let gains = !self.permitted.contains(permitted);
        if restrained && (gains || is_set_id) {
            permitted &= self.permitted;
        }
        if is_set_id {
            self.ambient = Capabilities::empty();
        }
        self.permitted = permitted | self.ambient;
        self.effective = if effective {
            self.permitted
        } else {
            self.ambient
        };
        self.secure -= Secure::KEEP;
        gains
    }
}

impl Default for Sets {
    fn default() -> Self {
        Self::ROOT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILL: Capabilities = Capabilities::KILL;
    const BOTH: Capabilities = KILL.union(Capabilities::CHOWN);
    const NONE: Capabilities = Capabilities::empty();
    const ALL: Capabilities = Capabilities::ALL;
    const ROOT: Ids = Ids::all(0);
    const USER: Ids = Ids::all(5);

    fn acting(user: u32) -> Ids {
        Ids {
            effective: user,
            ..ROOT
        }
    }

    #[test]
    fn there_are_forty_one_and_no_more() {
        assert_eq!(Capabilities::one(0), Some(Capabilities::CHOWN));
        assert!(Capabilities::one(40).is_some());
        for number in [41, 63, 64, 1 << 32, u64::MAX] {
            assert_eq!(Capabilities::one(number), None, "{number}");
        }
    }

    #[test]
    fn they_go_with_the_last_id_of_root_and_wait_while_there_is_one() {
        let mut sets = Sets::ROOT;
        sets.change_users(ROOT, acting(5));
        assert_eq!((sets.effective, sets.permitted), (NONE, ALL));
        sets.change_users(acting(5), ROOT);
        assert_eq!(sets, Sets::ROOT);
        sets.change_users(ROOT, USER);
        assert_eq!(sets, Sets::USER);
        for (secure, effective, permitted) in
            [(Secure::KEEP, NONE, ALL), (Secure::NO_FIX_UP, ALL, ALL)]
        {
            let mut sets = Sets {
                secure,
                ..Sets::ROOT
            };
            sets.change_users(ROOT, USER);
            assert_eq!((sets.effective, sets.permitted), (effective, permitted));
        }
    }

    #[test]
    fn those_about_files_follow_the_user_that_files_are_asked_for_with() {
        let mut sets = Sets::ROOT;
        sets.change_file_user(0, 5);
        assert_eq!(sets.effective, ALL - Capabilities::OF_FILES);
        sets.change_file_user(5, 0);
        assert_eq!(sets, Sets::ROOT);
        sets.permitted = KILL;
        sets.effective = NONE;
        sets.change_file_user(5, 0);
        assert_eq!(sets.effective, NONE);
        assert_eq!((sets.of_asker(0), sets.of_asker(5)), (KILL, NONE));
    }

    #[test]
    fn what_was_given_up_does_not_come_back() {
        let mut sets = Sets::ROOT;
        assert_eq!(sets.set(KILL, BOTH, NONE), Ok(()));
        assert_eq!(sets.set(BOTH, BOTH, NONE), Ok(()));
        assert_eq!(sets.set(NONE, KILL, NONE), Ok(()));
        assert_eq!(sets.set(NONE, BOTH, NONE), Err(Errno::EPERM));
        assert_eq!(sets.set(BOTH, KILL, NONE), Err(Errno::EPERM));
        // What is permitted may be inherited; another only by who may change that.
        assert_eq!(sets.set(NONE, KILL, BOTH), Err(Errno::EPERM));
        assert_eq!(sets.set(NONE, KILL, KILL), Ok(()));
        let mut bounded = Sets {
            bounding: KILL,
            ..Sets::ROOT
        };
        assert_eq!(bounded.set(ALL, ALL, BOTH), Err(Errno::EPERM));
        assert_eq!(bounded.set(ALL, ALL, KILL), Ok(()));
    }

    #[test]
    fn an_ambient_one_is_permitted_and_inherited_as_long_as_it_is_there() {
        let mut sets = Sets {
            inheritable: KILL,
            ..Sets::ROOT
        };
        assert_eq!(sets.raise_ambient(BOTH), Err(Errno::EPERM));
        assert_eq!(sets.raise_ambient(KILL), Ok(()));
        assert_eq!(sets.set(NONE, KILL, NONE), Ok(()));
        assert_eq!(sets.ambient, NONE);
        let mut sets = Sets {
            inheritable: KILL,
            secure: Secure::NO_AMBIENT,
            ..Sets::ROOT
        };
        assert_eq!(sets.raise_ambient(KILL), Err(Errno::EPERM));
    }

    #[test]
    fn what_is_locked_stays_as_it_is() {
        let mut sets = Sets::ROOT;
        assert_eq!(sets.set_secure(0x100), Err(Errno::EPERM));
        assert_eq!(sets.set_secure(0x03), Ok(()));
        for bits in [0x02, 0x01, 0x00] {
            assert_eq!(sets.set_secure(bits), Err(Errno::EPERM), "{bits:#x}");
        }
        assert_eq!(sets.set_secure(0x13), Ok(()));
        sets.effective = NONE;
        assert_eq!(sets.set_secure(0x13), Err(Errno::EPERM));
    }

    #[test]
    fn a_program_of_root_has_those_in_bounds_and_a_user_s_the_ambient_ones() {
        let before = Sets {
            permitted: BOTH,
            effective: BOTH,
            inheritable: KILL,
            bounding: BOTH,
            ambient: KILL,
            secure: Secure::KEEP,
        };
        let after = |user: Ids, is_set_id: bool, restrained: bool, secure: Secure| {
            let mut sets = Sets { secure, ..before };
            sets.execute(user, is_set_id, restrained);
            assert!(!sets.secure.contains(Secure::KEEP));
            (sets.effective, sets.permitted, sets.ambient)
        };
        let keep = Secure::KEEP;
        assert_eq!(after(ROOT, false, false, keep), (BOTH, BOTH, KILL));
        assert_eq!(after(USER, false, false, keep), (KILL, KILL, KILL));
        // Root's process that acts for a user has them to take on again.
        assert_eq!(after(acting(5), true, false, keep), (NONE, BOTH, NONE));
        assert_eq!(
            after(ROOT, false, false, Secure::NO_ROOT),
            (KILL, KILL, KILL)
        );
        let mut few = Sets {
            permitted: KILL,
            bounding: ALL,
            ambient: NONE,
            ..before
        };
        assert!(few.execute(ROOT, false, true));
        assert_eq!((few.effective, few.permitted), (KILL, KILL));
        assert!(few.execute(ROOT, false, false));
        assert_eq!(few.permitted, ALL);
    }
}
