//! The program to run, as the options and the image say it.

use crate::failure::{Failure, Result};
use mote_host::{Container, ContainerConfig, GuestConnection, Process, ProcessConfig, disk};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

/// A program with everything around it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Program {
    pub(crate) args: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) cwd: String,
    pub(crate) user: User,
    pub(crate) terminal: bool,
}

/// What a program and its children may use.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Limits {
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) pids: Option<u64>,
}

impl Limits {
    /// Whether there is any.
    pub(crate) fn is_any(self) -> bool {
        self != Self::default()
    }
}

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

impl Program {
    /// Returns the library's form. `root` is the disk whose `/etc/passwd` and `/etc/group` know the names.
    pub(crate) fn config(&self, root: Option<&Path>) -> Result<ProcessConfig> {
        let (uid, gid) = ids(&self.user, root)?;
        let mut config = ProcessConfig::new(self.args.clone())
            .without_env()
            .cwd(&self.cwd)
            .user(uid, gid);
        for (name, value) in &self.environment {
            config = config.env(name, value);
        }
        if self.terminal {
            config = config.terminal();
        }
        Ok(config)
    }
}

/// What a program runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shell {
    /// The VM itself, unless limits or a user ask for more: the protocol knows them for containers only.
    VmIfPossible,
    /// A container of its own.
    Container,
}

/// Runs a program, as the init process of a container with this id where it needs one.
pub(crate) fn start(
    guest: &GuestConnection,
    config: &ProcessConfig,
    shell: Shell,
    id: &str,
    limits: Limits,
) -> Result<(Process, Option<Container>)> {
    if shell == Shell::VmIfPossible && !limits.is_any() && config.ids() == (0, 0) {
        return Ok((guest.create_process(config)?, None));
    }
    let mut specification = ContainerConfig::new(config);
    if let Some(bytes) = limits.memory_bytes {
        specification = specification.memory_limit(bytes);
    }
    if let Some(count) = limits.pids {
        specification = specification.pids_limit(count);
    }
    let container = guest.create_container(id, &specification)?;
    container.start()?;
    let mut init = ProcessConfig::init();
    if config.has_terminal() {
        init = init.terminal();
    }
    let process = container.create_process(&init)?;
    Ok((process, Some(container)))
}

/// Looks names up where they are known.
fn ids(user: &User, root: Option<&Path>) -> Result<(u32, u32)> {
    let (uid, primary) = match user.user.parse() {
        // As other runtimes do: a number's group is that of its entry, 0 when there is none.
        Ok(uid) => (uid, None),
        Err(_) if user.user == "root" => (0, Some(0)),
        Err(_) => {
            let (uid, gid) = entry(&user.user, root, "/etc/passwd")?;
            (uid, gid)
        }
    };
    let gid = match &user.group {
        None => primary.unwrap_or(0),
        Some(group) => match group.parse() {
            Ok(gid) => gid,
            Err(_) if group == "root" => 0,
            Err(_) => entry(group, root, "/etc/group")?.0,
        },
    };
    Ok((uid, gid))
}

/// Returns the third and the fourth field of the line that begins with `name`.
fn entry(name: &str, root: Option<&Path>, file: &str) -> Result<(u32, Option<u32>)> {
    let Some(disk) = root else {
        return Err(
            Failure::new(format!("cannot look {name:?} up: the root is no disk"))
                .hint("give the user and the group as numbers"),
        );
    };
    let text = disk::read_file(disk, file)?;
    String::from_utf8_lossy(&text)
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == name).then_some(())?;
            let id = fields.nth(1)?.parse().ok()?;
            Some((id, fields.next().and_then(|field| field.parse().ok())))
        })
        .ok_or_else(|| {
            Failure::new(format!(
                "{file} of {} does not know {name:?}",
                disk.display()
            ))
            .hint("give the user and the group as numbers")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_numbers_or_names() {
        let ids = |text: &str| ids(&text.parse().expect("well formed"), None);
        assert_eq!(ids("1000").expect("numbers"), (1000, 0));
        assert_eq!(ids("1000:50").expect("numbers"), (1000, 50));
        assert_eq!(ids("root:root").expect("root is 0 everywhere"), (0, 0));
        assert!(ids("nobody").is_err(), "no disk to look in");
        for bad in ["", ":", "1:", ":1"] {
            assert!(bad.parse::<User>().is_err(), "{bad}");
        }
    }
}
