//! What carries a guest's connections to this process.

use super::accelerator::is_kvm_usable;
use super::config::{VmConfig, Vmm, Vsock};
use super::kernel_vsock::{self, Numbers, Unusable};
use super::launch_error::LaunchError;
use super::{tool, watchdog};
use crate::listener::PortSpace;
use std::path::{Path, PathBuf};

/// A back end that is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BackEnd {
    /// vhost-device-vsock.
    Daemon(PathBuf),
    /// The kernel's, with these numbers.
    Kernel(Numbers),
    /// The VMM's own.
    BuiltIn,
}

impl BackEnd {
    /// Returns the host ports of a VM.
    pub(super) fn ports(&self, run_directory: &Path) -> PortSpace {
        match self {
            Self::Daemon(_) | Self::BuiltIn => PortSpace::new(run_directory.join(watchdog::VSOCK)),
            Self::Kernel(numbers) => PortSpace::kernel(numbers.cid, numbers.choice),
        }
    }

    /// Returns the program that runs beside the VMM, if there is one.
    pub(super) fn daemon(&self) -> Option<&Path> {
        match self {
            Self::Daemon(program) => Some(program),
            Self::Kernel(_) | Self::BuiltIn => None,
        }
    }
}

/// A back end, and why it is not the one that would have been preferred.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) back_end: BackEnd,
    pub(super) passed_over: Option<String>,
}

impl From<BackEnd> for Choice {
    fn from(back_end: BackEnd) -> Self {
        Self {
            back_end,
            passed_over: None,
        }
    }
}

/// Chooses one: what was asked for, else the kernel's where it can be used, else the daemon.
pub(super) fn choose(config: &VmConfig) -> Result<Choice, LaunchError> {
    match config.vmm {
        Vmm::Qemu => {}
        Vmm::CloudHypervisor => return built_in("Cloud Hypervisor"),
        Vmm::Firecracker => return built_in("Firecracker"),
    }
    let daemon = || tool::find_vsock_daemon(config.vsock_daemon.as_deref());
    match config.vsock {
        Vsock::Daemon => Ok(BackEnd::Daemon(daemon()?).into()),
        Vsock::Kernel => match kernel_vsock::probe() {
            Ok(numbers) => Ok(BackEnd::Kernel(numbers).into()),
            Err(unusable) => Err(LaunchError::Unsuitable {
                vmm: "the kernel's vhost-vsock",
                reason: unusable.to_string(),
            }),
        },
        Vsock::Detect => detect(kernel_vsock::probe(), daemon),
    }
}

/// Prefers the kernel's back end, which needs no process beside QEMU.
fn detect(
    kernel: Result<Numbers, Unusable>,
    daemon: impl FnOnce() -> Result<PathBuf, LaunchError>,
) -> Result<Choice, LaunchError> {
    let unusable = match kernel {
        Ok(numbers) => return Ok(BackEnd::Kernel(numbers).into()),
        Err(unusable) => unusable,
    };
    match daemon() {
        Ok(program) => Ok(Choice {
            back_end: BackEnd::Daemon(program),
            passed_over: match unusable {
                Unusable::Absent => None,
                Unusable::Refused { .. } => Some(format!(
                    "the kernel's vhost-vsock is passed over: {unusable}\n"
                )),
            },
        }),
        Err(missing) => Err(LaunchError::NoBackEnd {
            kernel: unusable.to_string(),
            daemon: Box::new(missing),
        }),
    }
}

fn built_in(vmm: &'static str) -> Result<Choice, LaunchError> {
    if is_kvm_usable() {
        return Ok(BackEnd::BuiltIn.into());
    }
    Err(LaunchError::Unsuitable {
        vmm,
        reason: "it needs KVM: a processor with vmx or svm, and a /dev/kvm this user can open; \
                 QEMU runs without"
            .into(),
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
        let kernel = BackEnd::Kernel(Numbers { cid: 9, choice: 0 });
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
            Ok(choice) => assert!(is_kvm_usable() && choice.back_end == BackEnd::BuiltIn),
            Err(error) => assert!(error.to_string().contains("needs KVM"), "{error}"),
        }
    }

    fn refused() -> Unusable {
        Unusable::Refused {
            tried: "the device cannot be opened".into(),
            source: std::io::ErrorKind::PermissionDenied.into(),
        }
    }

    fn missing() -> Result<PathBuf, LaunchError> {
        Err(LaunchError::NotFound {
            what: "vhost-device-vsock",
            tried: Vec::new(),
            hint: "install it",
        })
    }

    #[test]
    fn the_kernels_back_end_comes_before_the_daemon() {
        let numbers = Numbers { cid: 9, choice: 1 };
        let choice = detect(Ok(numbers), || Ok("/d".into())).expect("there is one");
        assert_eq!(choice.back_end, BackEnd::Kernel(numbers));
        assert_eq!(choice.passed_over, None);
    }

    #[test]
    fn the_daemon_is_taken_where_the_kernel_has_none_and_with_a_word_where_it_refuses() {
        let choice = detect(Err(Unusable::Absent), || Ok("/d".into())).expect("there is one");
        assert_eq!(choice.back_end, BackEnd::Daemon("/d".into()));
        assert_eq!(choice.passed_over, None);
        let choice = detect(Err(refused()), || Ok("/d".into())).expect("there is one");
        let word = choice.passed_over.expect("it says why");
        assert!(word.contains("permission denied"), "{word}");
    }

    #[test]
    fn without_any_back_end_both_are_named() {
        for unusable in [Unusable::Absent, refused()] {
            let word = unusable.to_string();
            let error = detect(Err(unusable), missing).expect_err("there is none");
            let words = error.to_string();
            assert!(words.contains("vhost-device-vsock not found"), "{words}");
            assert!(words.contains(&word), "{words}");
        }
    }
}
