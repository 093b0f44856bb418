//! Firecracker's command line and its configuration file (its `docs/getting-started.md`; platform facts: the guest's
//! command line has 2048 bytes at most with what Firecracker appends, disks have no serial, the VM ends by a reset).

use super::api;
use super::command_line::{self, CommandLine};
use super::config::VmConfig;
use super::launch_error::LaunchError;
use super::watchdog;
use crate::listener::PortSpace;
use serde_json::{Value, json};
use std::path::Path;

/// The configuration file in the run directory.
pub(super) const CONFIGURATION: &str = "firecracker.json";

/// Longest guest command line that leaves room for what Firecracker appends: its limit is 2048, and it adds a word of some
/// 40 bytes per device.
const LONGEST_COMMAND_LINE: usize = 1024;

/// Returns the command line.
pub(super) fn command_line(program: &Path, run: &Path) -> CommandLine {
    let mut line = CommandLine::of(program);
    line.option("--api-sock", "", &run.join(api::SOCKET));
    line.option("--config-file", "", &run.join(CONFIGURATION));
    line
}

/// Returns the configuration.
pub(super) fn configuration(
    config: &VmConfig,
    kernel: &Path,
    run: &Path,
    ports: &PortSpace,
) -> Result<Value, LaunchError> {
    let words = command_line::of_guest(config, ports);
    if words.len() > LONGEST_COMMAND_LINE {
        return Err(LaunchError::Unsuitable {
            vmm: "Firecracker",
            reason: format!(
                "the guest's command line has {} bytes, more than {LONGEST_COMMAND_LINE}",
                words.len()
            ),
        });
    }
    let mut boot = json!({
        "kernel_image_path": text(kernel)?,
        "boot_args": words,
    });
    if let Some(initrd) = command_line::initrd(config, run) {
        boot["initrd_path"] = text(&initrd)?.into();
    }
    let drives = config
        .disks
        .iter()
        .enumerate()
        .map(|(index, disk)| {
            Ok(json!({
                "drive_id": format!("disk{index}"),
                "path_on_host": text(disk)?,
                "is_root_device": false,
                "is_read_only": true,
            }))
        })
        .collect::<Result<Vec<_>, LaunchError>>()?;
    Ok(json!({
        "boot-source": boot,
        "drives": drives,
        "machine-config": { "vcpu_count": 1, "mem_size_mib": config.memory_mib },
        "vsock": { "guest_cid": 3, "uds_path": text(&run.join(watchdog::VSOCK))? },
    }))
}

/// JSON carries text only.
fn text(path: &Path) -> Result<&str, LaunchError> {
    path.to_str().ok_or_else(|| LaunchError::Unsuitable {
        vmm: "Firecracker",
        reason: format!("{} is not UTF-8", path.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(config: &VmConfig) -> Result<Value, LaunchError> {
        let ports = PortSpace::new("/run/x/vsock");
        configuration(config, Path::new("/k"), Path::new("/run/x"), &ports)
    }

    #[test]
    fn launches_as_recorded() {
        let config = VmConfig::new().disk("/a.ext4");
        let line = command_line(Path::new("/bin/fc"), Path::new("/run/x"));
        let words: Vec<_> = line
            .0
            .iter()
            .map(|word| word.to_str().expect("ASCII"))
            .collect();
        assert_eq!(
            words.join(" "),
            "/bin/fc --api-sock /run/x/api --config-file /run/x/firecracker.json"
        );
        assert_eq!(
            of(&config).expect("suitable").to_string(),
            "{\"boot-source\":{\"kernel_image_path\":\"/k\",\"boot_args\":\"panic=-1 quiet -- -e 1 /bin/vsockexec -e 109 \
             /bin/gcs -v4 -log-format json -loglevel info\"},\"drives\":[{\"drive_id\":\"disk0\",\
             \"path_on_host\":\"/a.ext4\",\"is_root_device\":false,\"is_read_only\":true}],\
             \"machine-config\":{\"vcpu_count\":1,\"mem_size_mib\":64},\
             \"vsock\":{\"guest_cid\":3,\"uds_path\":\"/run/x/vsock\"}}"
        );
    }

    #[test]
    fn a_command_line_that_would_not_fit_is_refused() {
        let fixed = of(&VmConfig::new()).expect("suitable")["boot-source"]["boot_args"]
            .as_str()
            .expect("text")
            .len();
        let with = |bytes: usize| of(&VmConfig::new().kernel_options("x".repeat(bytes)));
        assert!(with(LONGEST_COMMAND_LINE - fixed - 1).is_ok());
        assert!(with(LONGEST_COMMAND_LINE - fixed).is_err());
    }
}
