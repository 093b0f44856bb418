//! Users and groups: numbers, or names that the root's `/etc/passwd` and `/etc/group` know. A disk's are read here, those of an
//! initrd by the guest.

use crate::failure::{Failure, Result};
use mote_host::disk;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::str::FromStr;

/// A user and perhaps a group, each a number or a name.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct User {
    user: String,
    group: Option<String>,
}

impl User {
    /// User 0, group 0.
    pub(crate) fn root() -> Self {
        Self {
            user: "0".into(),
            group: None,
        }
    }
}

/// Who a program runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The groups beside that one.
    pub(crate) groups: Vec<u32>,
    /// The user and perhaps the group as they were given, where only the guest can read its root.
    pub(crate) username: Option<String>,
    /// The user's directory, where the root has an entry for him.
    pub(crate) home: Option<String>,
}

impl FromStr for User {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group.to_owned())),
            None => (text, None),
        };
        if user.is_empty() || group.as_deref() == Some("") {
            return Err(format!("expected USER or USER:GROUP, got {text:?}"));
        }
        Ok(Self {
            user: user.into(),
            group,
        })
    }
}

impl User {
    /// Looks the user up on the disk that is the root. A name must be known there; a number need not be.
    pub(crate) fn identity(&self, root: Option<&Path>) -> Result<Identity> {
        let is_root = ["0", "root"].contains(&self.user.as_str());
        if is_root && self.group.is_none() {
            return Ok(Identity::default());
        }
        match root {
            Some(disk) => self.identity_of(&Database::read(disk)?),
            None => Ok(self.identity_by_guest()),
        }
    }

    /// Leaves names to the guest: the root is an initrd.
    fn identity_by_guest(&self) -> Identity {
        let group = self.group.as_deref().unwrap_or("0");
        match (number(&self.user), number(group)) {
            (Some(uid), Some(gid)) => Identity {
                uid,
                gid,
                ..Identity::default()
            },
            _ => Identity {
                username: Some(match &self.group {
                    Some(group) => format!("{}:{group}", self.user),
                    None => self.user.clone(),
                }),
                ..Identity::default()
            },
        }
    }

    fn identity_of(&self, database: &Database<'_>) -> Result<Identity> {
        let entry = database.user(&self.user);
        let uid = match (number(&self.user), &entry) {
            (Some(uid), _) => uid,
            (None, Some(entry)) => entry.uid,
            (None, None) => return Err(unknown(&self.user, "/etc/passwd", database)),
        };
        let gid = match &self.group {
            // As other runtimes do: the group of the user's entry, 0 when there is none.
            None => entry.as_ref().map_or(0, |entry| entry.gid),
            Some(group) => number(group)
                .or_else(|| database.group(group))
                .ok_or_else(|| unknown(group, "/etc/group", database))?,
        };
        // Who names a group wants that one alone.
        let groups = match (&self.group, &entry) {
            (None, Some(entry)) => database.groups_of(entry.name, gid),
            _ => Vec::new(),
        };
        Ok(Identity {
            uid,
            gid,
            groups,
            username: None,
            home: entry.map(|entry| entry.home.to_owned()),
        })
    }
}

/// Returns the number that needs no look-up.
fn number(name: &str) -> Option<u32> {
    if name == "root" {
        return Some(0);
    }
    name.parse().ok()
}

fn unknown(name: &str, file: &str, database: &Database<'_>) -> Failure {
    let disk = database.disk.display();
    Failure::new(format!("{file} of {disk} does not know {name:?}"))
        .hint("give the user and the group as numbers")
}

/// A disk's users and groups.
struct Database<'a> {
    disk: &'a Path,
    passwd: String,
    group: String,
}

/// A line of `/etc/passwd`.
struct Entry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl<'a> Database<'a> {
    /// Reads both files; one that is not there is empty.
    fn read(disk: &'a Path) -> Result<Self> {
        let text = |file| -> Result<String> {
            let bytes = disk::read_file(disk, file)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        Ok(Self {
            disk,
            passwd: text("/etc/passwd")?,
            group: text("/etc/group")?,
        })
    }

    /// Finds a user by name, or by number.
    fn user(&self, wanted: &str) -> Option<Entry<'_>> {
        let number = wanted.parse::<u32>().ok();
        self.passwd.lines().find_map(|line| {
            // name:password:uid:gid:comment:home:shell
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, _, home, ..] = fields[..] else {
                return None;
            };
            let entry = Entry {
                name,
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
                home,
            };
            let is_wanted = name == wanted || number == Some(entry.uid);
            is_wanted.then_some(entry)
        })
    }

    /// Returns name, number and members of each group.
    fn all_groups(&self) -> impl Iterator<Item = (&str, u32, &str)> {
        self.group.lines().filter_map(|line| {
            // name:password:gid:member,member
            let mut fields = line.split(':');
            let name = fields.next()?;
            let gid = fields.nth(1)?.parse().ok()?;
            Some((name, gid, fields.next().unwrap_or("")))
        })
    }

    fn group(&self, wanted: &str) -> Option<u32> {
        self.all_groups()
            .find_map(|(name, gid, _)| (name == wanted).then_some(gid))
    }

    /// Returns the groups that name a user as a member, but his own.
    fn groups_of(&self, user: &str, own: u32) -> Vec<u32> {
        self.all_groups()
            .filter(|&(_, gid, members)| gid != own && members.split(',').any(|one| one == user))
            .map(|(_, gid, _)| gid)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> Database<'static> {
        Database {
            disk: Path::new("root.ext4"),
            passwd: "root:x:0:0::/root:/bin/sh\nbroken\nweb:x:33:34:,,:/srv/web:/bin/sh\nbad:x:many:1::/:\n"
                .into(),
            group: "root:x:0:\nweb:x:34:web\nlog:x:55:other,web\nadm:x:4:other,webber\nx\n".into(),
        }
    }

    fn identity(text: &str) -> Result<Identity> {
        let user: User = text.parse().expect("well formed");
        user.identity_of(&database())
    }

    fn ids(text: &str) -> (u32, u32, Vec<u32>) {
        let identity = identity(text).expect("known");
        (identity.uid, identity.gid, identity.groups)
    }

    #[test]
    fn names_are_looked_up_with_their_groups_and_their_home() {
        assert_eq!(ids("web"), (33, 34, vec![55]));
        let home = identity("web").expect("known").home;
        assert_eq!(home.as_deref(), Some("/srv/web"));
        for (unknown, file) in [("bad", "/etc/passwd"), ("web:nobody", "/etc/group")] {
            let words = identity(unknown).expect_err("unknown").to_string();
            assert!(words.contains(file) && words.contains("numbers"), "{words}");
        }
    }

    #[test]
    fn a_number_has_the_groups_of_its_entry_if_there_is_one() {
        assert_eq!(ids("33"), (33, 34, vec![55]));
        assert_eq!(ids("1000"), (1000, 0, vec![]));
    }

    #[test]
    fn a_group_that_is_named_is_the_only_one() {
        assert_eq!(ids("web:log"), (33, 55, vec![]));
        assert_eq!(ids("web:7"), (33, 7, vec![]));
        assert_eq!(ids("0:log"), (0, 55, vec![]));
        assert_eq!(ids("1000:root"), (1000, 0, vec![]));
    }

    #[test]
    fn without_a_disk_names_are_left_to_the_guest() {
        let identity = |text: &str| {
            let user: User = text.parse().expect("well formed");
            let identity = user.identity(None).expect("nothing is looked up");
            (identity.uid, identity.gid, identity.username)
        };
        assert_eq!(identity("1000"), (1000, 0, None));
        assert_eq!(identity("1000:50"), (1000, 50, None));
        assert_eq!(identity("root:root"), (0, 0, None));
        assert_eq!(identity("nobody"), (0, 0, Some("nobody".into())));
        assert_eq!(identity("7:log"), (0, 0, Some("7:log".into())));
        for bad in ["", ":", "1:", ":1"] {
            assert!(bad.parse::<User>().is_err(), "{bad}");
        }
    }
}
