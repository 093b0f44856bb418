//! QEMU's command line (platform facts: microvm needs `acpi=off` for vhost-user vsock under TCG, modern virtio-mmio and
//! shared memory; every reset ends the VM).

use super::accelerator::is_kvm_usable;
use super::command_line::{self, CommandLine};
use super::config::{Acceleration, Machine, VmConfig};
use super::hot_disk::port_name;
use super::{qmp, watchdog};
use crate::listener::PortSpace;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

impl CommandLine {
    /// QEMU's command line.
    pub(super) fn new(
        config: &VmConfig,
        qemu: &Path,
        kernel: &Path,
        run: &Path,
        ports: &PortSpace,
    ) -> Self {
        let mut line = Self::of(qemu);
        line.machine(config);
        line.memory(config.memory_mib);
        line.plain(&["-nodefaults", "-no-user-config", "-no-reboot"]);
        line.plain(&["-display", "none", "-serial", "stdio"]);
        line.plain(&["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]);
        line.monitor(run);
        line.vsock(config.machine, run, ports);
        for (index, disk) in config.disks.iter().enumerate() {
            line.disk(config.machine, index, disk);
        }
        line.disk_ports(config.disk_ports);
        line.plain(&["-kernel"]);
        line.0.push(kernel.into());
        if let Some(initrd) = command_line::initrd(config, run) {
            line.plain(&["-initrd"]);
            line.0.push(initrd.into());
        }
        line.plain(&["-append", &command_line::of_guest(config, ports)]);
        line.0.extend(config.qemu_options.iter().map(Into::into));
        line
    }

    fn machine(&mut self, config: &VmConfig) {
        let accelerator = match config.acceleration {
            Acceleration::Kvm => "kvm",
            Acceleration::Tcg => "tcg",
            Acceleration::Detect if is_kvm_usable() => "kvm",
            Acceleration::Detect => "tcg",
        };
        let machine = match config.machine {
            Machine::Microvm => "microvm,acpi=off",
            Machine::MicrovmPci => "microvm,pcie=on",
            Machine::Q35 => "q35",
        };
        let machine = format!("{machine},accel={accelerator},memory-backend=mem");
        self.plain(&["-M", &machine, "-cpu", "max"]);
        if config.machine == Machine::Microvm {
            self.plain(&["-global", "virtio-mmio.force-legacy=false"]);
        }
    }

    /// Memory the vsock daemon can map as well.
    fn memory(&mut self, mib: u32) {
        let backend = format!("memory-backend-memfd,id=mem,size={mib}M,share=on");
        self.plain(&["-m", &format!("{mib}M"), "-object", &backend]);
    }

    fn monitor(&mut self, run: &Path) {
        let mut socket = OsString::from("unix:");
        socket.push(escape_commas(run.join(qmp::SOCKET).as_os_str()));
        socket.push(",server=on,wait=off");
        self.plain(&["-qmp"]);
        self.0.push(socket);
    }

    fn vsock(&mut self, machine: Machine, run: &Path, ports: &PortSpace) {
        if let Some(cid) = ports.kernel_cid() {
            let device = match machine {
                Machine::Microvm => "vhost-vsock-device",
                Machine::MicrovmPci | Machine::Q35 => "vhost-vsock-pci",
            };
            self.plain(&["-device", &format!("{device},guest-cid={cid}")]);
            return;
        }
        let mut chardev = OsString::from("socket,id=vsock,path=");
        chardev.push(escape_commas(run.join(watchdog::VHOST).as_os_str()));
        self.plain(&["-chardev"]);
        self.0.push(chardev);
        let device = match machine {
            Machine::Microvm => "vhost-user-vsock-device,chardev=vsock",
            Machine::MicrovmPci | Machine::Q35 => "vhost-user-vsock-pci,chardev=vsock",
        };
        self.plain(&["-device", device]);
    }

    /// Ports whose slots the guest switches by the registers of PCI Express, not by ACPI's methods, which it does not read.
    fn disk_ports(&mut self, ports: usize) {
        if ports > 0 {
            let native = "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off";
            self.plain(&["-global", native]);
        }
        for index in 0..ports {
            let name = port_name(index);
            let port = format!("pcie-root-port,id={name},bus=pcie.0,chassis={index},slot={index}");
            self.plain(&["-device", &port]);
        }
    }

    fn disk(&mut self, machine: Machine, index: usize, image: &Path) {
        let mut drive = OsString::from(format!(
            "if=none,id=drive{index},format=raw,readonly=on,file="
        ));
        drive.push(escape_commas(image.as_os_str()));
        self.plain(&["-drive"]);
        self.0.push(drive);
        let device = match machine {
            Machine::Microvm => "virtio-blk-device",
            Machine::MicrovmPci | Machine::Q35 => "virtio-blk-pci",
        };
        let device = format!("{device},drive=drive{index},serial=disk{index}");
        self.plain(&["-device", &device]);
    }
}

/// Doubles commas, which end an option's value otherwise.
fn escape_commas(path: &OsStr) -> OsString {
    let mut bytes = Vec::with_capacity(path.len());
    for &byte in path.as_bytes() {
        bytes.push(byte);
        if byte == b',' {
            bytes.push(b',');
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(config: &VmConfig) -> Vec<String> {
        words_over(config, &PortSpace::new("/run/x/vsock"))
    }

    fn words_over(config: &VmConfig, ports: &PortSpace) -> Vec<String> {
        CommandLine::new(
            config,
            Path::new("/usr/bin/qemu"),
            Path::new("/k"),
            Path::new("/run/x"),
            ports,
        )
        .0
        .into_iter()
        .map(|word| word.into_string().expect("ASCII"))
        .collect()
    }

    #[test]
    fn launches_a_microvm_as_recorded() {
        let config = VmConfig::new()
            .acceleration(Acceleration::Tcg)
            .disk("a,b.ext4")
            .log_level("debug");
        assert_eq!(
            words(&config).join(" "),
            "/usr/bin/qemu -M microvm,acpi=off,accel=tcg,memory-backend=mem -cpu max \
             -global virtio-mmio.force-legacy=false -m 64M -object memory-backend-memfd,id=mem,size=64M,share=on \
             -nodefaults -no-user-config -no-reboot -display none -serial stdio \
             -device isa-debug-exit,iobase=0xf4,iosize=4 -qmp unix:/run/x/qmp,server=on,wait=off -chardev socket,id=vsock,path=/run/x/vhost \
             -device vhost-user-vsock-device,chardev=vsock \
             -drive if=none,id=drive0,format=raw,readonly=on,file=a,,b.ext4 \
             -device virtio-blk-device,drive=drive0,serial=disk0 -kernel /k -append \
             panic=-1 quiet -- -e 1 /bin/vsockexec -e 109 /bin/gcs -v4 -log-format json -loglevel debug"
        );
    }

    #[test]
    fn launches_a_q35_with_pci_devices_and_an_initrd_from_memory() {
        let config = VmConfig::new()
            .machine(Machine::Q35)
            .acceleration(Acceleration::Tcg)
            .memory_mib(128)
            .disk("0")
            .disk("1")
            .initrd_bytes(vec![0]);
        let line = words(&config).join(" ");
        for part in [
            "-M q35,accel=tcg,memory-backend=mem ",
            "size=128M",
            "-device vhost-user-vsock-pci,chardev=vsock ",
            "-device virtio-blk-pci,drive=drive1,serial=disk1 ",
            "-initrd /run/x/initrd ",
        ] {
            assert!(line.contains(part), "{part} is missing in {line}");
        }
        assert!(!line.contains("force-legacy"));
    }

    #[test]
    fn with_the_kernels_vsock_the_guest_is_told_its_ports() {
        let config = VmConfig::new().acceleration(Acceleration::Tcg);
        let line = words_over(&config, &PortSpace::kernel(77, 0)).join(" ");
        for part in [
            "-device vhost-vsock-device,guest-cid=77 ",
            "-append mote.bridge_port=1342177280 panic=-1 quiet -- -e 1342177281 /bin/vsockexec -e 1342177282 ",
        ] {
            assert!(line.contains(part), "{part} is missing in {line}");
        }
        assert!(!line.contains("vhost-user"), "{line}");
    }
}
