//! Cloud Hypervisor's command line (its `docs/`; platform facts: virtio-pci with MSI-X only, hybrid vsock over a Unix
//! socket, COM1 off unless asked for, no escape for commas in an option's value).

use super::api;
use super::command_line::{self, CommandLine};
use super::config::VmConfig;
use super::launch_error::LaunchError;
use super::watchdog;
use crate::listener::PortSpace;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Returns the command line.
pub(super) fn command_line(
    config: &VmConfig,
    program: &Path,
    kernel: &Path,
    run: &Path,
    ports: &PortSpace,
) -> Result<CommandLine, LaunchError> {
    let vsock = run.join(watchdog::VSOCK);
    for path in config.disks.iter().map(AsRef::as_ref).chain([run]) {
        let path: &Path = path;
        if path.as_os_str().as_bytes().contains(&b',') {
            return Err(LaunchError::Unsuitable {
                vmm: "Cloud Hypervisor",
                reason: format!(
                    "{} has a comma, which its options cannot carry",
                    path.display()
                ),
            });
        }
    }
    let mut line = CommandLine::of(program);
    line.option("--api-socket", "path=", &run.join(api::SOCKET));
    line.option("--kernel", "", kernel);
    if let Some(initrd) = command_line::initrd(config, run) {
        line.option("--initramfs", "", &initrd);
    }
    line.plain(&["--cmdline", &command_line::of_guest(config, ports)]);
    line.plain(&["--cpus", "boot=1"]);
    line.plain(&["--memory", &format!("size={}M", config.memory_mib)]);
    line.plain(&["--serial", "tty", "--console", "off"]);
    line.option("--vsock", "cid=3,socket=", &vsock);
    if !config.disks.is_empty() {
        line.plain(&["--disk"]);
    }
    for (index, disk) in config.disks.iter().enumerate() {
        let mut value = std::ffi::OsString::from(format!("readonly=on,serial=disk{index},path="));
        value.push(disk);
        line.0.push(value);
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(config: &VmConfig) -> Result<String, LaunchError> {
        let ports = PortSpace::new("/run/x/vsock");
        let line = command_line(
            config,
            Path::new("/bin/ch"),
            Path::new("/k"),
            Path::new("/run/x"),
            &ports,
        )?;
        let words: Vec<String> = line
            .0
            .into_iter()
            .map(|word| word.into_string().expect("ASCII"))
            .collect();
        Ok(words.join(" "))
    }

    #[test]
    fn launches_as_recorded() {
        let config = VmConfig::new()
            .memory_mib(128)
            .disk("/a.ext4")
            .disk("/b.ext4")
            .initrd("/i");
        assert_eq!(
            words(&config).expect("suitable"),
            "/bin/ch --api-socket path=/run/x/api --kernel /k --initramfs /i --cmdline panic=-1 quiet -- -e 1 \
             /bin/vsockexec -e 109 /bin/gcs -v4 -log-format json -loglevel info --cpus boot=1 --memory size=128M \
             --serial tty --console off --vsock cid=3,socket=/run/x/vsock \
             --disk readonly=on,serial=disk0,path=/a.ext4 readonly=on,serial=disk1,path=/b.ext4"
        );
    }

    #[test]
    fn a_comma_in_a_path_is_refused_by_name() {
        let error = words(&VmConfig::new().disk("/a,b.ext4")).expect_err("unsuitable");
        assert!(error.to_string().contains("/a,b.ext4"), "{error}");
    }
}
