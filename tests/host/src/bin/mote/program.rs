//! The program to run, as the options and the image say it.

use crate::failure::Result;
use crate::user::User;
use mote_host::{Container, ContainerConfig, GuestConnection, Process, ProcessConfig};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

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

impl Program {
    /// Returns the library's form. `root` is the disk whose `/etc/passwd` and `/etc/group` know the names.
    pub(crate) fn config(&self, root: Option<&Path>) -> Result<ProcessConfig> {
        let identity = self.user.identity(root)?;
        let mut config = ProcessConfig::new(self.args.clone())
            .without_env()
            .cwd(&self.cwd)
            .user(identity.uid, identity.gid)
            .groups(identity.groups);
        if let Some(name) = identity.username {
            config = config.username(name);
        }
        if let Some(home) = identity.home {
            config = config.env("HOME", home);
        }
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
    if shell == Shell::VmIfPossible && !limits.is_any() && config.is_root() {
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
