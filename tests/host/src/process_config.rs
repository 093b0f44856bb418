//! What process to run: the two forms the protocol has for it (gcs-protocol §7.3).

use crate::request::UTILITY_VM;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A process to run. All three streams are relayed unless switched off.
#[derive(Clone, Debug)]
pub struct ProcessConfig {
    args: Vec<String>,
    env: BTreeMap<String, String>,
    cwd: String,
    user: (u32, u32),
    groups: Vec<u32>,
    username: Option<String>,
    terminal: bool,
    console_size: Option<(u16, u16)>,
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

impl ProcessConfig {
    /// A program with its arguments, the program first. The environment is empty but for a `PATH`, the working
    /// directory is `/`.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let config = ProcessConfig::new(["echo", "hello"]);
    /// assert_eq!(guest.create_process(&config)?.output(b"")?.stdout, b"hello\n");
    /// # Ok(()) }
    /// ```
    pub fn new<S: Into<String>>(args: impl IntoIterator<Item = S>) -> Self {
        Self {
            args: args.into_iter().map(Into::into).collect(),
            env: BTreeMap::from([(
                "PATH".to_owned(),
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            )]),
            cwd: "/".into(),
            user: (0, 0),
            groups: Vec::new(),
            username: None,
            terminal: false,
            console_size: None,
            stdin: true,
            stdout: true,
            stderr: true,
        }
    }

    /// A container's init process: everything but the streams stands in the container's specification.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let config = ContainerConfig::new(&ProcessConfig::new(["echo", "hello"]));
    /// let container = guest.create_container("init", &config)?;
    /// let init = container.create_process(&ProcessConfig::init())?;
    /// assert_eq!(init.output(b"")?.stdout, b"hello\n");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn init() -> Self {
        Self::new::<String>([])
    }

    /// Sets an environment variable.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let config = ProcessConfig::new(["sh", "-c", "echo $WHO"]).env("WHO", "me");
    /// assert_eq!(guest.create_process(&config)?.output(b"")?.stdout, b"me\n");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Empties the environment, `PATH` included.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let config = ProcessConfig::new(["/bin/env"]).without_env().env("ONLY", "this");
    /// assert_eq!(guest.create_process(&config)?.output(b"")?.stdout, b"ONLY=this\n");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn without_env(mut self) -> Self {
        self.env.clear();
        self
    }

    /// Sets the working directory.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let config = ProcessConfig::new(["pwd"]).cwd("/data");
    /// assert_eq!(guest.create_process(&config)?.output(b"")?.stdout, b"/data\n");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn cwd(mut self, directory: impl Into<String>) -> Self {
        self.cwd = directory.into();
        self
    }

    /// Sets user and group id. The protocol knows them for processes of containers only: one of the VM itself is 0/0
    /// whatever is said here.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let init = ProcessConfig::new(["/bin/busybox", "id", "-u"]).user(33, 33);
    /// let container = guest.create_container("user", &ContainerConfig::new(&init))?;
    /// let init = container.create_process(&ProcessConfig::init())?;
    /// assert_eq!(init.output(b"")?.stdout, b"33\n");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn user(mut self, uid: u32, gid: u32) -> Self {
        self.user = (uid, gid);
        self
    }

    /// Returns user and group id.
    ///
    /// # Example
    ///
    /// ```
    /// let config = mote_host::ProcessConfig::new(["true"]).user(33, 34);
    /// assert_eq!(config.ids(), (33, 34));
    /// ```
    #[must_use]
    pub const fn ids(&self) -> (u32, u32) {
        self.user
    }

    /// Has the guest look the user up, in the `/etc/passwd` and `/etc/group` of the container's root: `USER` or `USER:GROUP`, names or
    /// numbers. Counts before [`ProcessConfig::user`], and as that for processes of containers only.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let init = ProcessConfig::new(["/bin/busybox", "id", "-u"]).username("root");
    /// let container = guest.create_container("username", &ContainerConfig::new(&init))?;
    /// let init = container.create_process(&ProcessConfig::init())?;
    /// assert_eq!(init.output(b"")?.stdout, b"0\n");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn username(mut self, name: impl Into<String>) -> Self {
        self.username = Some(name.into());
        self
    }

    /// Returns whether the user is 0 of the VM itself, whom a process has without a container.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::ProcessConfig;
    /// assert!(ProcessConfig::new(["true"]).is_root());
    /// assert!(!ProcessConfig::new(["true"]).username("web").is_root());
    /// ```
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.user == (0, 0) && self.username.is_none() && self.groups.is_empty()
    }

    /// Sets the groups beside the user's own. As [`ProcessConfig::user`], for processes of containers only.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let init = ProcessConfig::new(["/bin/busybox", "id", "-G"]).user(33, 33).groups([4, 24]);
    /// let container = guest.create_container("groups", &ContainerConfig::new(&init))?;
    /// let init = container.create_process(&ProcessConfig::init())?;
    /// assert_eq!(init.output(b"")?.stdout, b"33 4 24\n");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn groups(mut self, gids: impl IntoIterator<Item = u32>) -> Self {
        self.groups = gids.into_iter().collect();
        self
    }

    /// Gives the process a terminal; standard error goes where standard output goes.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let config = ProcessConfig::new(["/bin/busybox", "tty"]).terminal();
    /// let output = guest.create_process(&config)?.output(b"")?;
    /// assert!(output.stdout.starts_with(b"/dev/"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn terminal(mut self) -> Self {
        self.terminal = true;
        self.stderr = false;
        self
    }

    /// Returns whether the process gets a terminal.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::ProcessConfig;
    /// assert!(!ProcessConfig::new(["sh"]).has_terminal());
    /// assert!(ProcessConfig::new(["sh"]).terminal().has_terminal());
    /// ```
    #[must_use]
    pub const fn has_terminal(&self) -> bool {
        self.terminal
    }

    /// Sets the size of the terminal's window when the process starts.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let config = ProcessConfig::new(["/bin/busybox", "stty", "size"]).terminal().console_size(120, 40);
    /// let output = guest.create_process(&config)?.output(b"")?;
    /// assert_eq!(output.stdout, b"40 120\r\n");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn console_size(mut self, width: u16, height: u16) -> Self {
        self.console_size = Some((width, height));
        self
    }

    /// Leaves standard input unconnected.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let process = guest.create_process(&ProcessConfig::new(["cat"]).without_stdin())?;
    /// assert!(process.stdin().is_none());
    /// assert_eq!(process.wait()?, 0, "it reads nothing");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn without_stdin(mut self) -> Self {
        self.stdin = false;
        self
    }

    /// Leaves standard output unconnected.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let process = guest.create_process(&ProcessConfig::new(["echo", "unheard"]).without_stdout())?;
    /// assert!(process.stdout().is_none());
    /// assert_eq!(process.output(b"")?.stdout, b"");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn without_stdout(mut self) -> Self {
        self.stdout = false;
        self
    }

    /// Leaves standard error unconnected.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let process = guest.create_process(&ProcessConfig::new(["true"]).without_stderr())?;
    /// assert!(process.stderr().is_none() && process.stdout().is_some());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn without_stderr(mut self) -> Self {
        self.stderr = false;
        self
    }

    /// Leaves all three streams unconnected.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let process = guest.create_process(&ProcessConfig::new(["true"]).without_stdio())?;
    /// assert_eq!(process.wait()?, 0);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn without_stdio(self) -> Self {
        self.without_stdin().without_stdout().without_stderr()
    }

    pub(crate) const fn wanted(&self) -> [bool; 3] {
        [self.stdin, self.stdout, self.stderr]
    }

    /// Returns the process member of an OCI specification.
    pub(crate) fn oci_process(&self) -> Value {
        let env: Vec<String> = self
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut process = Map::new();
        if self.terminal {
            process.insert("terminal".into(), true.into());
        }
        if let Some((width, height)) = self.console_size {
            let size = json!({"height": height, "width": width});
            process.insert("consoleSize".into(), size);
        }
        let mut user = json!({ "uid": self.user.0, "gid": self.user.1 });
        if !self.groups.is_empty() {
            user["additionalGids"] = json!(self.groups);
        }
        if let Some(name) = &self.username {
            user["username"] = name.as_str().into();
        }
        process.insert("user".into(), user);
        process.insert("args".into(), self.args.clone().into());
        if !env.is_empty() {
            process.insert("env".into(), env.into());
        }
        process.insert("cwd".into(), self.cwd.clone().into());
        Value::Object(process)
    }

    /// Returns the `ProcessParameters` document for a process of this container (or of the VM itself).
    pub(crate) fn parameters(&self, container_id: &str) -> Value {
        let mut parameters = Map::new();
        if container_id == UTILITY_VM {
            parameters.insert("CommandArgs".into(), self.args.clone().into());
            parameters.insert("WorkingDirectory".into(), self.cwd.clone().into());
            if !self.env.is_empty() {
                parameters.insert("Environment".into(), json!(self.env));
            }
            if self.terminal {
                parameters.insert("EmulateConsole".into(), true.into());
            }
            if let Some((width, height)) = self.console_size {
                parameters.insert("ConsoleSize".into(), json!([height, width]));
            }
        }
        for (name, wanted) in [
            ("CreateStdInPipe", self.stdin),
            ("CreateStdOutPipe", self.stdout),
            ("CreateStdErrPipe", self.stderr),
        ] {
            if wanted {
                parameters.insert(name.into(), true.into());
            }
        }
        if container_id != UTILITY_VM && !self.args.is_empty() {
            parameters.insert("OciProcess".into(), self.oci_process());
        }
        Value::Object(parameters)
    }
}
