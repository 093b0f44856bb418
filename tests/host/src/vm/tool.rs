//! Finding the programs and the image a VM needs.

use super::config::Vmm;
use super::launch_error::LaunchError;
use std::env;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Finds the VMM: as told, its variable, the PATH.
pub(super) fn find_vmm(vmm: Vmm, told: Option<&Path>) -> Result<PathBuf, LaunchError> {
    let (name, variable, hint) = match vmm {
        Vmm::Qemu => (
            "qemu-system-x86_64",
            "MOTE_QEMU",
            "install it (`apt-get install qemu-system-x86`) or set MOTE_QEMU",
        ),
        Vmm::CloudHypervisor => (
            "cloud-hypervisor",
            "MOTE_CLOUD_HYPERVISOR",
            "install it (https://www.cloudhypervisor.org) or set MOTE_CLOUD_HYPERVISOR",
        ),
        Vmm::Firecracker => (
            "firecracker",
            "MOTE_FIRECRACKER",
            "install it (https://firecracker-microvm.github.io) or set MOTE_FIRECRACKER",
        ),
    };
    let mut candidates = on_path(name);
    if vmm == Vmm::Qemu {
        // Where Red Hat's distributions keep it.
        candidates.push("/usr/libexec/qemu-kvm".into());
    }
    find(name, told, variable, candidates, hint, is_executable)
}

/// Finds the vsock daemon: as told, `MOTE_VSOCK_DAEMON`, near the running program, the PATH.
pub(super) fn find_vsock_daemon(told: Option<&Path>) -> Result<PathBuf, LaunchError> {
    let name = "vhost-device-vsock";
    let mut candidates = near_program(&[name, "tools/bin/vhost-device-vsock"]);
    candidates.extend(on_path(name));
    find(
        "vhost-device-vsock",
        told,
        "MOTE_VSOCK_DAEMON",
        candidates,
        "install it (`cargo xtask setup`, or `cargo install vhost-device-vsock`) or set MOTE_VSOCK_DAEMON",
        is_executable,
    )
}

/// Finds util-linux's setpriv, which can tie a process to its parent's life. Busybox's cannot, and is passed over.
pub(super) fn find_setpriv() -> Option<PathBuf> {
    let is_capable = |path: &PathBuf| {
        is_executable(path) && fs::canonicalize(path).is_ok_and(|file| !file.ends_with("busybox"))
    };
    on_path("setpriv").into_iter().find(is_capable)
}

/// Finds the guest image: as told, `MOTE_KERNEL`, near the running program.
pub(super) fn find_kernel(told: Option<&Path>) -> Result<PathBuf, LaunchError> {
    find(
        "guest image mote-guest",
        told,
        "MOTE_KERNEL",
        near_program(&["mote-guest", "image/mote-guest"]),
        "build it (`cargo xtask image`), or name it with --kernel or MOTE_KERNEL",
        Path::is_file,
    )
}

/// Checks that a file can be opened, so that the error names it here and not in QEMU's words.
pub(super) fn check_readable(what: &'static str, path: &Path) -> Result<(), LaunchError> {
    match File::open(path) {
        Ok(_) => Ok(()),
        Err(source) => Err(LaunchError::Unreadable {
            what,
            path: path.to_owned(),
            source,
        }),
    }
}

fn find(
    what: &'static str,
    told: Option<&Path>,
    variable: &str,
    candidates: Vec<PathBuf>,
    hint: &'static str,
    is_good: impl Fn(&Path) -> bool,
) -> Result<PathBuf, LaunchError> {
    let named = told
        .map(Path::to_owned)
        .or_else(|| env::var_os(variable).map(PathBuf::from));
    if let Some(path) = named {
        // What was named is used or refused, never replaced by something that happens to be there.
        check_readable(what, &path)?;
        return Ok(path);
    }
    match candidates.iter().find(|path| is_good(path)) {
        Some(path) => Ok(path.clone()),
        None => Err(LaunchError::NotFound {
            what,
            tried: candidates,
            hint,
        }),
    }
}

fn on_path(name: &str) -> Vec<PathBuf> {
    env::var_os("PATH")
        .map(|path| {
            env::split_paths(&path)
                .filter(|directory| directory.is_absolute())
                .map(|directory| directory.join(name))
                .collect()
        })
        .unwrap_or_default()
}

/// Returns these names in the running program's directory and those above it: `target/debug/mote` finds
/// `target/image/mote-guest`.
fn near_program(names: &[&str]) -> Vec<PathBuf> {
    /// A test lies two directories below `target`, an installed program beside what it needs.
    const LEVELS: usize = 3;
    let program = env::current_exe().unwrap_or_default();
    program
        .ancestors()
        .skip(1)
        .take(LEVELS)
        .flat_map(|directory| names.iter().map(|name| directory.join(name)))
        .collect()
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
