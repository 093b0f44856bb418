//! Options about the VM: its machine, memory, disks and images.

use crate::failure::{Failure, Result};
use crate::image;
use clap::{Args, ValueEnum};
use mote_host::oci::ImageDefaults;
use mote_host::vm::{Vmm, Vsock};
use mote_host::{Machine, Timeouts, VmConfig, initrd};
use std::path::PathBuf;
use std::time::Duration;

/// How long the VM may take to boot and dial, in seconds. Generous: the guest needs tens of milliseconds.
const BOOT_SECONDS: &str = "30";

/// How long the guest may take for what it has to answer at once, and for what may take it a while (mounts wait for disks, the
/// dump of a large VM is long). A person waits for it.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const WORK_LIMIT: Duration = Duration::from_secs(60);

/// How long the VM may take to power off before the plug is pulled.
const POWER_OFF_LIMIT: Duration = Duration::from_secs(2);

/// Disks that can be attached to a named VM while it runs, where its machine takes any.
const DISK_PORTS: usize = 8;

#[derive(Args, Clone, Debug)]
pub(crate) struct VmOptions {
    /// QEMU machine: microvm boots faster, q35 has PCI and takes disks while it runs
    #[arg(long, value_enum, default_value = "microvm", help_heading = "Machine")]
    machine: MachineName,

    /// Who runs the VM; cloud-hypervisor and firecracker need KVM
    #[arg(long, value_enum, default_value = "qemu", help_heading = "Machine")]
    vmm: VmmName,

    /// What carries the VM's connections under QEMU: the kernel's vhost-vsock or vhost-device-vsock [default: the former
    /// where it can be used]
    #[arg(long, value_enum, value_name = "BACK-END", help_heading = "Machine")]
    vsock: Option<VsockName>,

    /// Memory of the VM
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..), help_heading = "Machine")]
    memory: u32,

    /// Processors of the VM; the guest uses one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = parse_processors, help_heading = "Machine")]
    cpus: u32,

    /// ext4 disk image; the first one is the root file system (may be repeated). Disks are read-only: what programs write
    /// stays in the VM's memory
    #[arg(long = "disk", value_name = "FILE", help_heading = "Machine")]
    disks: Vec<PathBuf>,

    /// Say that disks are read-only; they always are, this is for fingers used to other tools
    #[arg(long, help_heading = "Machine")]
    ro: bool,

    /// cpio archive (newc) to use as root file system when there is no disk
    #[arg(long, value_name = "FILE", help_heading = "Machine")]
    initrd: Option<PathBuf>,

    /// OCI image layout or `docker save` tar (plain or compressed) to use as root file system; its entrypoint, command,
    /// environment, directory and user are the defaults
    #[arg(long, value_name = "LAYOUT[:TAG]", conflicts_with_all = ["disks", "initrd"], help_heading = "Machine")]
    oci: Option<String>,

    /// Guest image [default: MOTE_KERNEL, else mote-guest near this program]
    #[arg(long, value_name = "FILE", help_heading = "Machine")]
    kernel: Option<PathBuf>,

    /// How long the VM may take to boot and reach this machine
    #[arg(long, value_name = "SECONDS", default_value = BOOT_SECONDS, value_parser = super::parse_seconds, help_heading = "Machine")]
    boot_timeout: Duration,

    /// Copy the guest's console and log, and the VMM's words, to standard error
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum VmmName {
    Qemu,
    CloudHypervisor,
    Firecracker,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum VsockName {
    Daemon,
    Kernel,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MachineName {
    Microvm,
    Q35,
}

fn parse_processors(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(1) => Ok(1),
        Ok(0) | Err(_) => Err(format!("expected a number, got {text:?}")),
        Ok(_) => {
            Err("the guest has no use for more than one processor; run more VMs instead".into())
        }
    }
}

/// What the options come to.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) config: VmConfig,
    /// What the image says about the program.
    pub(crate) image: ImageDefaults,
    /// The disk that is the root, where it is one.
    pub(crate) root: Option<PathBuf>,
    /// All disks.
    pub(crate) disks: Vec<PathBuf>,
}

impl VmOptions {
    /// The memory of the VM.
    pub(crate) const fn memory_mib(&self) -> u32 {
        self.memory
    }

    /// The machine's name.
    pub(crate) const fn machine(&self) -> &'static str {
        match self.machine {
            MachineName::Microvm => "microvm",
            MachineName::Q35 => "q35",
        }
    }

    /// Returns how many disks can be attached while the VM runs.
    pub(crate) const fn disk_ports(&self) -> usize {
        match (self.vmm, self.machine) {
            (VmmName::Qemu, MachineName::Q35) => DISK_PORTS,
            _ => 0,
        }
    }

    /// Prepares the VM: finds its files, and converts an image that has not been before.
    pub(crate) fn plan(&self) -> Result<Plan> {
        let mut disks = self.disks.clone();
        let mut defaults = ImageDefaults::default();
        if let Some(reference) = &self.oci {
            let (disk, image) = image::prepare(reference)?;
            disks.push(disk);
            defaults = image;
        }
        for disk in &mut disks {
            *disk = std::path::absolute(&disk)
                .map_err(|error| Failure::io(format!("--disk {}", disk.display()), &error))?;
            image::check_disk(disk)?;
        }
        let mut config = VmConfig::new()
            .machine(match self.machine {
                MachineName::Microvm => Machine::Microvm,
                MachineName::Q35 => Machine::Q35,
            })
            .vmm(match self.vmm {
                VmmName::Qemu => Vmm::Qemu,
                VmmName::CloudHypervisor => Vmm::CloudHypervisor,
                VmmName::Firecracker => Vmm::Firecracker,
            })
            .vsock(match self.vsock {
                None => Vsock::Detect,
                Some(VsockName::Daemon) => Vsock::Daemon,
                Some(VsockName::Kernel) => Vsock::Kernel,
            })
            .memory_mib(self.memory)
            .verbose(self.verbose)
            .log_level(if self.verbose { "debug" } else { "info" })
            .timeouts(Timeouts {
                call: WORK_LIMIT,
                abandonable_call: ANSWER_LIMIT,
                dial: self.boot_timeout,
                power_off: POWER_OFF_LIMIT,
            });
        for disk in &disks {
            config = config.disk(disk);
        }
        if let Some(kernel) = &self.kernel {
            config = config.kernel(kernel);
        }
        config = match &self.initrd {
            Some(archive) => config.initrd(archive),
            None if disks.is_empty() => config.initrd_bytes(initrd::busybox()?),
            None => config,
        };
        Ok(Plan {
            config,
            image: defaults,
            root: disks.first().cloned(),
            disks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_processor_is_taken_and_more_are_refused_by_name() {
        assert_eq!(parse_processors("1"), Ok(1));
        assert!(
            parse_processors("2")
                .expect_err("refused")
                .contains("more VMs")
        );
        assert!(parse_processors("0").is_err());
        assert!(parse_processors("x").is_err());
    }
}
