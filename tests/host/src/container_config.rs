//! What container to create: its OCI specification (gcs-protocol §7.1).

use crate::process_config::ProcessConfig;
use serde_json::{Value, json};

/// A container to create: its init process and its root directory in the VM.
#[derive(Clone, Debug)]
pub struct ContainerConfig {
    specification: Value,
}

impl ContainerConfig {
    /// A container whose init process is `init` and whose root is the whole root file system of the VM.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let config = ContainerConfig::new(&ProcessConfig::new(["true"]));
    /// let container = guest.create_container("new", &config)?;
    /// assert_eq!(container.create_process(&ProcessConfig::init())?.wait()?, 0);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn new(init: &ProcessConfig) -> Self {
        Self::from_oci(json!({
            "ociVersion": "1.0.2",
            "process": init.oci_process(),
            "root": { "path": "/" },
            "linux": {},
        }))
    }

    /// A container with this OCI runtime specification.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let config = ContainerConfig::from_oci(serde_json::json!({
    ///     "ociVersion": "1.0.2",
    ///     "process": { "args": ["/bin/pwd"], "cwd": "/data", "user": { "uid": 1, "gid": 1 } },
    ///     "root": { "path": "/" },
    ///     "linux": {},
    /// }));
    /// let container = guest.create_container("from-oci", &config)?;
    /// let init = container.create_process(&ProcessConfig::init())?;
    /// assert_eq!(init.output(b"")?.stdout, b"/data\n");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn from_oci(specification: Value) -> Self {
        Self { specification }
    }

    /// Sets the directory of the VM that is the container's root.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let config = ContainerConfig::new(&ProcessConfig::new(["/busybox", "pwd"])).root("/bin");
    /// let container = guest.create_container("root", &config)?;
    /// let init = container.create_process(&ProcessConfig::init())?;
    /// assert_eq!(init.output(b"")?.stdout, b"/\n");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn root(mut self, path: &str) -> Self {
        self.specification["root"]["path"] = path.into();
        self
    }

    /// Limits the memory of the container's processes together.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let config = ContainerConfig::new(&ProcessConfig::new(["cat"])).memory_limit(8 << 20);
    /// let container = guest.create_container("memory-limit", &config)?;
    /// assert_eq!(container.statistics()?.memory_limit_bytes, 8 << 20);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.specification["linux"]["resources"]["memory"]["limit"] = bytes.into();
        self
    }

    /// Limits the number of the container's processes.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let config = ContainerConfig::new(&ProcessConfig::new(["cat"])).pids_limit(4);
    /// let container = guest.create_container("pids-limit", &config)?;
    /// assert_eq!(container.statistics()?.pids_limit, 4);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn pids_limit(mut self, count: u64) -> Self {
        self.specification["linux"]["resources"]["pids"]["limit"] = count.into();
        self
    }

    /// Returns the `ContainerConfig` document.
    pub(crate) fn document(&self, id: &str) -> Value {
        json!({
            "SchemaVersion": { "Major": 2, "Minor": 1 },
            "OciBundlePath": format!("/run/gcs/c/{id}"),
            "OciSpecification": self.specification,
        })
    }
}
