//! What VM to launch.

use crate::timeouts::Timeouts;
use std::path::PathBuf;

/// QEMU's model of a machine.
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
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets who runs the VM.
    #[must_use]
    pub fn vmm(mut self, vmm: Vmm) -> Self {
        self.vmm = vmm;
        self
    }

    /// Sets what carries the guest's connections.
    #[must_use]
    pub fn vsock(mut self, vsock: Vsock) -> Self {
        self.vsock = vsock;
        self
    }

    /// Sets QEMU's machine.
    #[must_use]
    pub fn machine(mut self, machine: Machine) -> Self {
        self.machine = machine;
        self
    }

    /// Sets what executes the guest's instructions.
    #[must_use]
    pub fn acceleration(mut self, acceleration: Acceleration) -> Self {
        self.acceleration = acceleration;
        self
    }

    /// Sets the size of memory.
    #[must_use]
    pub fn memory_mib(mut self, mib: u32) -> Self {
        self.memory_mib = mib;
        self
    }

    /// Attaches one more disk, read-only. The first one is the root file system; the others get the serials `disk1`,
    /// `disk2` …
    #[must_use]
    pub fn disk(mut self, image: impl Into<PathBuf>) -> Self {
        self.disks.push(image.into());
        self
    }

    /// Makes so many ports for disks that are attached while the VM runs ([`crate::Vm::attach_disk`]). There is nothing to
    /// plug them into on a [`Machine::Microvm`], nor does it number the buses behind ports on a [`Machine::MicrovmPci`].
    #[must_use]
    pub fn disk_ports(mut self, ports: usize) -> Self {
        self.disk_ports = ports;
        self
    }

    /// Loads an initrd from a file.
    #[must_use]
    pub fn initrd(mut self, archive: impl Into<PathBuf>) -> Self {
        self.initrd = Some(archive.into());
        self
    }

    /// Loads an initrd from memory; see [`crate::initrd`].
    #[must_use]
    pub fn initrd_bytes(mut self, archive: Vec<u8>) -> Self {
        self.initrd_bytes = Some(archive);
        self
    }

    /// Sets the guest image. Without it: `MOTE_KERNEL`, then `mote-guest` near the running program.
    #[must_use]
    pub fn kernel(mut self, image: impl Into<PathBuf>) -> Self {
        self.kernel = Some(image.into());
        self
    }

    /// Adds words to the guest's command line, before those hcsshim would pass.
    #[must_use]
    pub fn kernel_options(mut self, options: impl Into<String>) -> Self {
        self.kernel_options = options.into();
        self
    }

    /// Sets the guest's log level: `trace` to `error`.
    #[must_use]
    pub fn log_level(mut self, level: impl Into<String>) -> Self {
        self.log_level = level.into();
        self
    }

    /// Sets the VMM's binary. Without it: `MOTE_QEMU` (`MOTE_CLOUD_HYPERVISOR`, `MOTE_FIRECRACKER`), then
    /// `qemu-system-x86_64` (`cloud-hypervisor`, `firecracker`) on the PATH.
    #[must_use]
    pub fn vmm_program(mut self, binary: impl Into<PathBuf>) -> Self {
        self.vmm_program = Some(binary.into());
        self
    }

    /// Adds one more word to QEMU's command line.
    #[must_use]
    pub fn qemu_option(mut self, word: impl Into<String>) -> Self {
        self.qemu_options.push(word.into());
        self
    }

    /// Sets the vsock daemon. Without it: `MOTE_VSOCK_DAEMON`, then `vhost-device-vsock` near the running program, then
    /// on the PATH.
    #[must_use]
    pub fn vsock_daemon(mut self, binary: impl Into<PathBuf>) -> Self {
        self.vsock_daemon = Some(binary.into());
        self
    }

    /// Sets the directory of the VM's sockets. It must not exist: it is made for the VM and removed with everything in
    /// it when the VM ends, whoever ends it. Without it: one with a random name below `XDG_RUNTIME_DIR` or the
    /// directory for temporary files.
    #[must_use]
    pub fn run_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.run_directory = Some(directory.into());
        self
    }

    /// Sets the time limits.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Copies the console, the guest's log and the VMM's words to standard error as they come.
    #[must_use]
    pub fn verbose(mut self, verbose: bool) -> Self {
        self.verbose = verbose;
        self
    }
}
