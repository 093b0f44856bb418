//! The words a VMM is started with, and those its guest is.

use super::config::VmConfig;
use crate::listener::{BRIDGE_PORT, PortSpace};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The file in the run directory that holds an initrd given as bytes.
pub(super) const INITRD: &str = "initrd";

/// Program and arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CommandLine(pub(super) Vec<OsString>);

impl CommandLine {
    /// A program without arguments.
    pub(super) fn of(program: &Path) -> Self {
        Self(vec![program.into()])
    }

    /// Adds words.
    pub(super) fn plain(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(Into::into));
    }

    /// Adds an option whose value is, or ends in, a path.
    pub(super) fn option(&mut self, name: &str, before: &str, path: &Path) {
        let mut value = OsString::from(before);
        value.push(path);
        self.plain(&[name]);
        self.0.push(value);
    }
}

/// Returns where the initrd is, if there is one.
pub(super) fn initrd(config: &VmConfig, run: &Path) -> Option<PathBuf> {
    match config.initrd_bytes {
        Some(_) => Some(run.join(INITRD)),
        None => config.initrd.clone(),
    }
}

/// Returns the guest's command line: the words hcsshim passes to its Linux guest (gcs-protocol §2.1), as far as they mean
/// something here.
pub(super) fn of_guest(config: &VmConfig, ports: &PortSpace) -> String {
    let mut options = String::new();
    if !config.kernel_options.is_empty() {
        options = format!("{} ", config.kernel_options);
    }
    if ports.bridge_port() != BRIDGE_PORT {
        options.push_str(&format!("mote.bridge_port={} ", ports.bridge_port()));
    }
    format!(
        "{options}panic=-1 quiet -- -e {} /bin/vsockexec -e {} /bin/gcs -v4 -log-format json -loglevel {}",
        ports.entropy_port(),
        ports.log_port(),
        config.log_level
    )
}
