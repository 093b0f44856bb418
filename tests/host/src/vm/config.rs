//! What VM to launch.

use crate::timeouts::Timeouts;
use std::path::PathBuf;

/// QEMU's model of a machine.
///
/// # Example
///
/// ```no_run
/// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
/// let vm = Vm::start(config.machine(Machine::Q35))?;
/// vm.connect()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Machine {
    /// `microvm` without ACPI: virtio-mmio, the fastest to boot.
    #[default]
    Microvm,
    /// `microvm` with its devices on PCI Express: no I/O ports of PCI, no table that tells of it, nothing assigned.
    MicrovmPci,
    /// `q35`: PCI Express.
    Q35,
}

/// What executes the guest's instructions.
///
/// # Example
///
/// ```no_run
/// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
/// use mote_host::vm::Acceleration;
/// let vm = Vm::start(config.acceleration(Acceleration::Tcg))?;
/// vm.connect()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acceleration {
    /// KVM where the processor has vmx or svm and /dev/kvm opens, else TCG.
    #[default]
    Detect,
    /// QEMU's translator.
    Tcg,
    /// The host's processor.
    Kvm,
}

/// Who runs the VM.
///
/// # Example
///
/// ```no_run
/// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
/// use mote_host::vm::Vmm;
/// match Vm::start(config.vmm(Vmm::Firecracker)) {
///     Ok(vm) => drop(vm.connect()?),
///     Err(error) => println!("{error}"), // It is not installed, or there is no KVM.
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vmm {
    /// `qemu-system-x86_64`.
    #[default]
    Qemu,
    /// `cloud-hypervisor`; needs KVM. [`VmConfig::machine`] means nothing to it.
    CloudHypervisor,
    /// `firecracker`; needs KVM. [`VmConfig::machine`] means nothing to it.
    Firecracker,
}

/// What carries the guest's connections to this process. Cloud Hypervisor and Firecracker do so themselves.
///
/// # Example
///
/// ```no_run
/// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
/// use mote_host::vm::Vsock;
/// match Vm::start(config.vsock(Vsock::Kernel)) {
///     Ok(vm) => drop(vm.connect()?),
///     Err(error) => assert!(error.to_string().contains("vhost-vsock"), "{error}"),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vsock {
    /// The kernel's vhost-vsock where it can be used (it is tried out), else vhost-device-vsock.
    #[default]
    Detect,
    /// vhost-device-vsock: Unix sockets only this user can reach.
    Daemon,
    /// The kernel's vhost-vsock: needs /dev/vhost-vsock.
    Kernel,
}

/// A VM to launch. The defaults are a microvm with 64 MiB and nothing attached.
#[derive(Clone, Debug)]
pub struct VmConfig {
    pub(super) vmm: Vmm,
    pub(super) vsock: Vsock,
    pub(super) machine: Machine,
    pub(super) acceleration: Acceleration,
    pub(super) memory_mib: u32,
    pub(super) disks: Vec<PathBuf>,
    pub(super) disk_ports: usize,
    pub(super) initrd: Option<PathBuf>,
    pub(super) initrd_bytes: Option<Vec<u8>>,
    pub(super) kernel: Option<PathBuf>,
    pub(super) kernel_options: String,
    pub(super) log_level: String,
    pub(super) vmm_program: Option<PathBuf>,
    pub(super) qemu_options: Vec<String>,
    pub(super) vsock_daemon: Option<PathBuf>,
    pub(super) run_directory: Option<PathBuf>,
    pub(super) timeouts: Timeouts,
    pub(super) verbose: bool,
}

impl Default for VmConfig {
    fn default() -> Self {
        Self {
            vmm: Vmm::default(),
            vsock: Vsock::default(),
            machine: Machine::default(),
            acceleration: Acceleration::default(),
            memory_mib: 64,
            disks: Vec::new(),
            disk_ports: 0,
            initrd: None,
            initrd_bytes: None,
            kernel: None,
            kernel_options: String::new(),
            log_level: "info".into(),
            vmm_program: None,
            qemu_options: Vec::new(),
            vsock_daemon: None,
            run_directory: None,
            timeouts: Timeouts::default(),
            verbose: false,
        }
    }
}

impl VmConfig {
    /// The defaults.
    ///
    /// # Example
    ///
    /// ```
    /// let config = mote_host::VmConfig::new().disk("root.ext4").memory_mib(128);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets who runs the VM.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// use mote_host::vm::Vmm;
    /// let vm = Vm::start(config.vmm(Vmm::Qemu))?;
    /// vm.connect()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn vmm(mut self, vmm: Vmm) -> Self {
        self.vmm = vmm;
        self
    }

    /// Sets what carries the guest's connections.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// use mote_host::vm::Vsock;
    /// let vm = Vm::start(config.vsock(Vsock::Detect))?;
    /// vm.connect()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn vsock(mut self, vsock: Vsock) -> Self {
        self.vsock = vsock;
        self
    }

    /// Sets QEMU's machine.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// let vm = Vm::start(config.machine(Machine::MicrovmPci))?;
    /// vm.connect()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn machine(mut self, machine: Machine) -> Self {
        self.machine = machine;
        self
    }

    /// Sets what executes the guest's instructions.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// use mote_host::vm::Acceleration;
    /// let vm = Vm::start(config.acceleration(Acceleration::Detect))?;
    /// vm.connect()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn acceleration(mut self, acceleration: Acceleration) -> Self {
        self.acceleration = acceleration;
        self
    }

    /// Sets the size of memory.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// let vm = Vm::start(config.memory_mib(16))?;
    /// let metrics = vm.connect()?.properties(&[PropertyType::Statistics])?.metrics.expect("asked for");
    /// assert!(metrics.memory_limit_bytes < 16 << 20, "some of it is the kernel's");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn memory_mib(mut self, mib: u32) -> Self {
        self.memory_mib = mib;
        self
    }

    /// Attaches one more disk, read-only. The first one is the root file system; the others get the serials `disk1`,
    /// `disk2` …
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// // `config` has the root already.
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// # let (tree, image) = (directory.path().join("tree"), directory.path().join("image"));
    /// # std::fs::create_dir(&tree).expect("new");
    /// # disk::build_ext4(&tree, &image)?;
    /// let vm = Vm::start(config.disk(image))?;
    /// let guest = vm.connect()?;
    /// let address = vm::DiskAddress { controller: 0, lun: 1 };
    /// guest.add(&Resource::MappedVirtualDisk(MappedDisk::new(address, "/mnt/second")))?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn disk(mut self, image: impl Into<PathBuf>) -> Self {
        self.disks.push(image.into());
        self
    }

    /// Makes so many ports for disks that are attached while the VM runs ([`crate::Vm::attach_disk`]). There is nothing to
    /// plug them into on a [`Machine::Microvm`], nor does it number the buses behind ports on a [`Machine::MicrovmPci`].
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// let vm = Vm::start(config.machine(Machine::Q35).disk_ports(4))?;
    /// vm.connect()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn disk_ports(mut self, ports: usize) -> Self {
        self.disk_ports = ports;
        self
    }

    /// Loads an initrd from a file.
    ///
    /// # Example
    ///
    /// ```
    /// let config = mote_host::VmConfig::new().initrd("/boot/initrd.cpio");
    /// ```
    #[must_use]
    pub fn initrd(mut self, archive: impl Into<PathBuf>) -> Self {
        self.initrd = Some(archive.into());
        self
    }

    /// Loads an initrd from memory; see [`crate::initrd`].
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::VmConfig;
    /// use mote_host::initrd::Archive;
    /// let archive = Archive::new().file("bin/init", 0o755, b"...").finish();
    /// let config = VmConfig::new().initrd_bytes(archive);
    /// ```
    #[must_use]
    pub fn initrd_bytes(mut self, archive: Vec<u8>) -> Self {
        self.initrd_bytes = Some(archive);
        self
    }

    /// Sets the guest image. Without it: `MOTE_KERNEL`, then `mote-guest` near the running program.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// let error = Vm::start(config.kernel("/no/such/image")).expect_err("there is none");
    /// assert!(error.to_string().contains("/no/such/image"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn kernel(mut self, image: impl Into<PathBuf>) -> Self {
        self.kernel = Some(image.into());
        self
    }

    /// Adds words to the guest's command line, before those hcsshim would pass.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// let vm = Vm::start(config.kernel_options("mote.debug_exit"))?;
    /// let _guest = vm.connect()?;
    /// // README.md lists the options; this one makes the end of the VM tell how the guest ended.
    /// assert_eq!(vm.power_off()?.status, Some(33));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn kernel_options(mut self, options: impl Into<String>) -> Self {
        self.kernel_options = options.into();
        self
    }

    /// Sets the guest's log level: `trace` to `error`.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// use mote_host::vm::LogLevel;
    /// let vm = Vm::start(config.log_level("error"))?;
    /// vm.connect()?;
    /// assert!(vm.log().iter().all(|record| record.level == LogLevel::Error));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn log_level(mut self, level: impl Into<String>) -> Self {
        self.log_level = level.into();
        self
    }

    /// Sets the VMM's binary. Without it: `MOTE_QEMU` (`MOTE_CLOUD_HYPERVISOR`, `MOTE_FIRECRACKER`), then
    /// `qemu-system-x86_64` (`cloud-hypervisor`, `firecracker`) on the PATH.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// let error = Vm::start(config.vmm_program("/no/such/qemu")).expect_err("there is none");
    /// assert!(error.to_string().contains("/no/such/qemu"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn vmm_program(mut self, binary: impl Into<PathBuf>) -> Self {
        self.vmm_program = Some(binary.into());
        self
    }

    /// Adds one more word to QEMU's command line.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// let vm = Vm::start(config.qemu_option("-name").qemu_option("example"))?;
    /// vm.connect()?;
    /// assert_eq!(vm.qmp("query-name", &serde_json::Value::Null)?["name"], "example");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn qemu_option(mut self, word: impl Into<String>) -> Self {
        self.qemu_options.push(word.into());
        self
    }

    /// Sets the vsock daemon. Without it: `MOTE_VSOCK_DAEMON`, then `vhost-device-vsock` near the running program, then
    /// on the PATH.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// use mote_host::vm::Vsock;
    /// let config = config.vsock(Vsock::Daemon).vsock_daemon("/no/such/daemon");
    /// let error = Vm::start(config).expect_err("there is none");
    /// assert!(error.to_string().contains("/no/such/daemon"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn vsock_daemon(mut self, binary: impl Into<PathBuf>) -> Self {
        self.vsock_daemon = Some(binary.into());
        self
    }

    /// Sets the directory of the VM's sockets. It must not exist: it is made for the VM and removed with everything in
    /// it when the VM ends, whoever ends it. Without it: one with a random name below `XDG_RUNTIME_DIR` or the
    /// directory for temporary files.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// # let directory = tempfile::tempdir().expect("a directory");
    /// let place = directory.path().join("vm");
    /// let vm = Vm::start(config.run_directory(&place))?;
    /// assert!(place.is_dir());
    /// drop(vm);
    /// assert!(!place.exists());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn run_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.run_directory = Some(directory.into());
        self
    }

    /// Sets the time limits.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// use std::time::Duration;
    /// let timeouts = Timeouts { power_off: Duration::from_secs(60), ..Timeouts::default() };
    /// let vm = Vm::start(config.timeouts(timeouts))?;
    /// let _guest = vm.connect()?;
    /// vm.power_off()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Copies the console, the guest's log and the VMM's words to standard error as they come.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// let vm = Vm::start(config.verbose(true))?;
    /// vm.connect()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn verbose(mut self, verbose: bool) -> Self {
        self.verbose = verbose;
        self
    }
}
