//! What carries a guest's connections to this process.

use super::accelerator::is_kvm_usable;
use super::config::{VmConfig, Vmm, Vsock};
use super::launch_error::LaunchError;
use super::{tool, watchdog};
use crate::listener::PortSpace;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The device of the kernel's back end.
const DEVICE: &str = "/dev/vhost-vsock";

/// The first id a guest may have.
const FIRST_CID: u32 = 3;

/// A back end that is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BackEnd {
    /// vhost-device-vsock.
    Daemon(PathBuf),
    /// The kernel's; numbers drawn for the guest's id and its ports.
    Kernel { cid: u32, choice: u32 },
    /// The VMM's own.
    BuiltIn,
}

impl BackEnd {
    /// Returns the host ports of a VM.
    pub(super) fn ports(&self, run_directory: &Path) -> PortSpace {
        match self {
            Self::Daemon(_) | Self::BuiltIn => PortSpace::new(run_directory.join(watchdog::VSOCK)),
            Self::Kernel { cid, choice } => PortSpace::kernel(*cid, *choice),
        }
    }

    /// Returns the program that runs beside the VMM, if there is one.
    pub(super) fn daemon(&self) -> Option<&Path> {
        match self {
            Self::Daemon(program) => Some(program),
            Self::Kernel { .. } | Self::BuiltIn => None,
        }
    }
}

/// Chooses one.
pub(super) fn choose(config: &VmConfig) -> Result<BackEnd, LaunchError> {
    match config.vmm {
        Vmm::Qemu => {}
        Vmm::CloudHypervisor => return built_in("Cloud Hypervisor"),
        Vmm::Firecracker => return built_in("Firecracker"),
    }
    let daemon = || tool::find_vsock_daemon(config.vsock_daemon.as_deref());
    match config.vsock {
        Vsock::Daemon => daemon().map(BackEnd::Daemon),
        Vsock::Kernel => kernel(),
        Vsock::Detect => daemon()
            .map(BackEnd::Daemon)
            .or_else(|missing| kernel().map_err(|_| missing)),
    }
}

fn built_in(vmm: &'static str) -> Result<BackEnd, LaunchError> {
    if is_kvm_usable() {
        return Ok(BackEnd::BuiltIn);
    }
    Err(LaunchError::Unsuitable {
        vmm,
        reason: "it needs KVM: a processor with vmx or svm, and a /dev/kvm this user can open; \
                 QEMU runs without"
            .into(),
    })
}

fn kernel() -> Result<BackEnd, LaunchError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(DEVICE)
        .map_err(|source| LaunchError::Unreadable {
            what: "the kernel's vsock back end",
            path: DEVICE.into(),
            source,
        })?;
    let mut random = [0; 8];
    // Without it every VM asks for the same numbers, and the second one is refused by the kernel.
    let _ = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut random));
    let [a, b, c, d, e, f, g, h] = random;
    Ok(BackEnd::Kernel {
        // Below 2^31, which every tool can print.
        cid: FIRST_CID
            + (u32::from_le_bytes([a, b, c, d]) >> 1) % (i32::MAX.cast_unsigned() - FIRST_CID),
        choice: u32::from_le_bytes([e, f, g, h]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_daemon_is_a_program_of_its_own() {
        let run = Path::new("/run/x");
        let daemon = BackEnd::Daemon("/d".into());
        assert_eq!(daemon.daemon(), Some(Path::new("/d")));
        assert_eq!(daemon.ports(run).kernel_cid(), None);
        let kernel = BackEnd::Kernel { cid: 9, choice: 0 };
        assert_eq!(
            (kernel.daemon(), kernel.ports(run).kernel_cid()),
            (None, Some(9))
        );
        assert_eq!(BackEnd::BuiltIn.daemon(), None);
    }

    #[test]
    fn a_vmm_that_needs_kvm_says_so_where_there_is_none() {
        let config = VmConfig::new().vmm(Vmm::Firecracker);
        match choose(&config) {
            Ok(back_end) => assert!(is_kvm_usable() && back_end == BackEnd::BuiltIn),
            Err(error) => assert!(error.to_string().contains("needs KVM"), "{error}"),
        }
    }
}
