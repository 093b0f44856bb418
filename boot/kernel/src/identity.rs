//! On whose behalf a process runs (credentials(7)): real, effective and saved ids of user and group, those files are asked
//! for with, and what follows from them; what it may do besides (`capability`) stands with the latter.

use crate::capability::{Capabilities, Sets};
use crate::errno::Errno;
use crate::fs;
use agent::kernel::Credentials;

/// "Leave it as it is" in setresuid(2) and its kin.
const UNCHANGED: u32 = u32::MAX;

/// Ids of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    /// Whose process it is.
    pub(crate) real: u32,
    /// On whose behalf it acts.
    pub(crate) effective: u32,
    /// On whose behalf it may act again.
    pub(crate) saved: u32,
}

impl Ids {
    /// All three are the same.
    pub(crate) const fn all(id: u32) -> Self {
        Self {
            real: id,
            effective: id,
            saved: id,
        }
    }

    /// Returns them in the order calls have them.
    pub(crate) const fn list(self) -> [u32; 3] {
        [self.real, self.effective, self.saved]
    }

    /// What setuid(2) makes of them; `may_all` is for those who may take on any id.
    pub(crate) fn set(self, id: u32, may_all: bool) -> Result<Self, Errno> {
        match id {
            UNCHANGED => Err(Errno::EINVAL),
            _ if may_all => Ok(Self::all(id)),
            _ if id == self.real || id == self.saved => Ok(Self {
                effective: id,
                ..self
            }),
            _ => Err(Errno::EPERM),
        }
    }

    /// What setreuid(2) makes of them.
    pub(crate) fn set_two(self, [real, effective]: [u32; 2], may_all: bool) -> Result<Self, Errno> {
        let mut new = self;
        if real != UNCHANGED {
            new.real = real;
            if !may_all && real != self.real && real != self.effective {
                return Err(Errno::EPERM);
            }
        }
        if effective != UNCHANGED {
            new.effective = effective;
            if !may_all && !self.list().contains(&effective) {
                return Err(Errno::EPERM);
            }
        }
        if real != UNCHANGED || effective != UNCHANGED && effective != self.real {
            new.saved = new.effective;
        }
        Ok(new)
    }

    /// What setresuid(2) makes of them.
    pub(crate) fn set_three(self, wanted: [u32; 3], may_all: bool) -> Result<Self, Errno> {
        let old = self.list();
        let mut new = old;
        for (new, wanted) in new.iter_mut().zip(wanted) {
            if wanted != UNCHANGED {
                *new = wanted;
            }
        }
        if !may_all && !new.iter().all(|id| old.contains(id)) {
            return Err(Errno::EPERM);
        }
        let [real, effective, saved] = new;
        Ok(Self {
            real,
            effective,
            saved,
        })
    }
}

/// On whose behalf a process runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    /// User and group that files are asked for with, further groups, and capabilities.
    pub(crate) files: fs::Credentials,
    /// Users.
    pub(crate) user: Ids,
    /// Groups.
    pub(crate) group: Ids,
    /// Whether what it knows is more than its user may know (PR_SET_DUMPABLE 0): `/proc` shows it as root's.
    pub(crate) is_secret: bool,
    /// Whether it became a user who has too many tasks already: it executes nothing then (Linux `PF_NPROC_EXCEEDED`).
    pub(crate) is_crowded: bool,
    /// Whether no program it executes may do more than it does (PR_SET_NO_NEW_PRIVS).
    pub(crate) no_new_privileges: bool,
    /// Whether the agent stated its capabilities: they do not follow from whose program it starts then.
    has_stated: bool,
}

impl Identity {
    /// Makes that of a program the agent starts.
    pub(crate) fn new(credentials: &Credentials) -> Self {
        Self {
            files: fs::Credentials {
                uid: credentials.uid,
                gid: credentials.gid,
                groups: credentials.groups.clone(),
                capabilities: Sets::of_agent(credentials.uid, credentials.capabilities.as_ref()),
            },
            user: Ids::all(credentials.uid),
            group: Ids::all(credentials.gid),
            no_new_privileges: credentials.no_new_privileges,
            has_stated: credentials.capabilities.is_some(),
            ..Self::default()
        }
    }

    /// Makes it another user's altogether, as if the agent had known the number.
    pub(crate) fn become_user(&mut self, user: u32, group: u32) {
        self.user = Ids::all(user);
        self.group = Ids::all(group);
        if !self.has_stated {
            self.files.capabilities = Sets::of_agent(user, None);
        }
        self.settle();
    }

    /// Returns whether it has all of these capabilities.
    pub(crate) const fn can(&self, capabilities: Capabilities) -> bool {
        self.files.can(capabilities)
    }

    /// Returns whether it has one of these capabilities.
    pub(crate) const fn can_any(&self, capabilities: Capabilities) -> bool {
        self.files.capabilities.effective.intersects(capabilities)
    }

    /// Returns whether it acts on another's behalf than whose it is.
    pub(crate) const fn is_secure(&self) -> bool {
        self.user.real != self.user.effective || self.group.real != self.group.effective
    }

    /// Returns whether it may send `other` a signal (kill(2)).
    pub(crate) fn may_signal(&self, other: &Self) -> bool {
        let own = [self.user.effective, self.user.real];
        other.is_one_of(own) || self.can(Capabilities::KILL)
    }

    /// Returns whether an open file may send it a signal for somebody who had these users, the effective and the real one:
    /// there only ids count (Linux `sigio_perm`).
    pub(crate) fn may_get_from(&self, users: [u32; 2]) -> bool {
        users[0] == 0 || self.is_one_of(users)
    }

    fn is_one_of(&self, users: [u32; 2]) -> bool {
        users.contains(&self.user.saved) || users.contains(&self.user.real)
    }

    /// Returns whether it may say how much of the processor `other` has (setpriority(2)).
    pub(crate) fn owns(&self, other: &Self) -> bool {
        let id = self.user.effective;
        id == other.user.real || id == other.user.effective || self.can(Capabilities::SYS_NICE)
    }

    /// Makes it act by the ids it has now, files included.
    pub(crate) const fn settle(&mut self) {
        self.files.uid = self.user.effective;
        self.files.gid = self.group.effective;
    }

    /// Makes it that of a new program, which acts on behalf of `user` and `group` if it says so (execve(2)).
    pub(crate) fn execute(&mut self, user: Option<u32>, group: Option<u32>) {
        let is_restrained = self.no_new_privileges;
        if !is_restrained {
            self.user.effective = user.unwrap_or(self.user.effective);
            self.group.effective = group.unwrap_or(self.group.effective);
        }
        let is_set_id = self.is_secure();
        let sets = &mut self.files.capabilities;
        let gains = sets.execute(self.user, is_set_id, is_restrained);
        if is_restrained && (gains || is_set_id) {
            self.user.effective = self.user.real;
            self.group.effective = self.group.real;
        }
        self.user.saved = self.user.effective;
        self.group.saved = self.group.effective;
        self.settle();
        self.is_secret = self.is_secure();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent::kernel::CapabilitySets;

    const USER: Ids = Ids {
        real: 1000,
        effective: 0,
        saved: 7,
    };

    #[test]
    fn setuid_sets_all_for_who_may_and_else_goes_back_and_forth() {
        assert_eq!(Ids::all(0).set(5, true), Ok(Ids::all(5)));
        assert_eq!(
            USER.set(7, false),
            Ok(Ids {
                effective: 7,
                ..USER
            })
        );
        assert_eq!(
            USER.set(1000, false),
            Ok(Ids {
                effective: 1000,
                ..USER
            })
        );
        assert_eq!(USER.set(6, false), Err(Errno::EPERM));
        assert_eq!(USER.set(UNCHANGED, true), Err(Errno::EINVAL));
    }

    #[test]
    fn setreuid_keeps_the_effective_id_as_saved_when_it_may_be_needed() {
        let keep = [UNCHANGED, UNCHANGED];
        assert_eq!(USER.set_two(keep, false), Ok(USER));
        // Back to whose it is: the saved one stays.
        let back = Ids {
            effective: 1000,
            ..USER
        };
        assert_eq!(USER.set_two([UNCHANGED, 1000], false), Ok(back));
        let swapped = Ids {
            real: 0,
            effective: 1000,
            saved: 1000,
        };
        assert_eq!(USER.set_two([0, 1000], false), Ok(swapped));
        // The saved id may not become the real one.
        assert_eq!(USER.set_two([7, UNCHANGED], false), Err(Errno::EPERM));
        assert_eq!(USER.set_two([UNCHANGED, 8], false), Err(Errno::EPERM));
        assert_eq!(
            USER.set_two([9, 8], true),
            Ok(Ids {
                real: 9,
                effective: 8,
                saved: 8
            })
        );
    }

    #[test]
    fn setresuid_takes_any_of_the_three_and_for_who_may_any_at_all() {
        let wanted = [7, 1000, 0];
        let new = Ids {
            real: 7,
            effective: 1000,
            saved: 0,
        };
        assert_eq!(USER.set_three(wanted, false), Ok(new));
        assert_eq!(USER.set_three([UNCHANGED; 3], false), Ok(USER));
        assert_eq!(
            USER.set_three([UNCHANGED, 8, UNCHANGED], false),
            Err(Errno::EPERM)
        );
        assert!(USER.set_three([1, 2, 3], true).is_ok());
    }

    #[test]
    fn a_program_acts_as_its_owner_unless_new_rights_are_refused() {
        let credentials = Credentials {
            uid: 1000,
            gid: 100,
            ..Credentials::default()
        };
        for (refused, effective) in [(false, 0), (true, 1000)] {
            let mut identity = Identity::new(&credentials);
            identity.no_new_privileges = refused;
            identity.execute(Some(0), None);
            assert_eq!(
                identity.user,
                Ids {
                    real: 1000,
                    effective,
                    saved: effective
                }
            );
            assert_eq!(identity.files.uid, effective);
            assert_eq!(
                (identity.is_secure(), identity.is_secret),
                (!refused, !refused)
            );
            assert_eq!(identity.group, Ids::all(100));
        }
    }

    #[test]
    fn signals_go_to_who_has_one_s_user_as_its_real_or_saved_one() {
        let user = |real: u32, effective: u32, saved: u32| Identity {
            user: Ids {
                real,
                effective,
                saved,
            },
            files: fs::Credentials {
                capabilities: Sets::of_agent(effective, None),
                ..fs::Credentials::default()
            },
            ..Identity::default()
        };
        assert!(user(5, 5, 5).may_signal(&user(5, 0, 0)));
        assert!(user(5, 5, 5).may_signal(&user(1, 0, 5)));
        assert!(!user(5, 5, 5).may_signal(&user(1, 5, 1)));
        assert!(user(5, 0, 5).may_signal(&user(1, 1, 1)));
        assert!(!user(0, 5, 5).may_signal(&user(1, 1, 1)));
        assert!(user(0, 5, 5).may_signal(&user(0, 0, 0)));
    }

    #[test]
    fn a_named_user_can_do_what_its_number_could() {
        for (before, after, sets) in [
            (0, 5, Sets::USER),
            (5, 0, Sets::ROOT),
            (0, 0, Sets::ROOT),
            (5, 6, Sets::USER),
        ] {
            let mut identity = Identity::new(&Credentials {
                uid: before,
                ..Credentials::default()
            });
            identity.become_user(after, 1);
            identity.execute(None, None);
            assert_eq!(identity.files.capabilities, sets, "{before} {after}");
        }
    }

    #[test]
    fn a_named_user_has_what_was_stated_as_one_with_a_number_has() {
        let ended = |first: u32, user: u32, no_new_privileges: bool| {
            let mut identity = Identity::new(&Credentials {
                uid: first,
                no_new_privileges,
                capabilities: Some(CapabilitySets {
                    bounding: 0xf,
                    effective: 0x3,
                    permitted: 0x7,
                    inheritable: 0x3,
                    ambient: 0x1,
                }),
                ..Credentials::default()
            });
            if first != user {
                identity.become_user(user, 1);
            }
            identity.execute(None, None);
            identity.files.capabilities
        };
        for (user, no_new_privileges, permitted) in [
            (0, false, 0xf),
            (0, true, 0x7),
            (5, false, 0x1),
            (5, true, 0x1),
        ] {
            let numbered = ended(user, user, no_new_privileges);
            assert_eq!(numbered.permitted.bits(), permitted, "{user}");
            assert_eq!(numbered.ambient.bits(), 0x1, "{user}");
            for first in [0, 5, 7] {
                let named = ended(first, user, no_new_privileges);
                assert_eq!(named, numbered, "{first} {user}");
            }
        }
    }
}
