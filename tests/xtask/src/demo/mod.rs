//! One job from end to end: boot, dial, negotiate, run programs, run a container, power off.
//!
//! Everything happens in one VM, over the same library that the `mote` command uses. A step that does not do what it
//! should ends the demo with its name.

mod container;
mod program;
mod transcript;

use crate::{place, program as programs, tool};
use anyhow::{Context, Result, ensure};
use mote_host::disk::build_ext4;
use mote_host::initrd::find_busybox;
use mote_host::vm::Acceleration;
use mote_host::{GuestConnection, Machine, Vm, VmConfig};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use transcript::Transcript;

/// The guest's RAM.
const MEMORY_MIB: u32 = 64;
/// Names that busybox goes by on the disk.
const APPLETS: [&str; 8] = [
    "cat",
    "echo",
    "ls",
    "sh",
    "sha256sum",
    "sleep",
    "true",
    "uname",
];

/// Builds what is needed and plays it.
pub(crate) fn run() -> Result<ExitCode> {
    let image = tool::prepare()?;
    let folder = tempfile::tempdir().context("no room for the demo's disk")?;
    let disk = make_disk(folder.path())?;

    let mut transcript = Transcript::begin(&format!(
        "mote: {} ({} bytes) on QEMU microvm,acpi=off, {MEMORY_MIB} MiB",
        place::shown(&image.path),
        image.bytes
    ));
    let config = VmConfig::new()
        .machine(Machine::Microvm)
        .acceleration(Acceleration::Tcg)
        .memory_mib(MEMORY_MIB)
        .kernel(&image.path)
        .disk(&disk);
    let vm = transcript.step("the VMM starts the image", || {
        Ok((Vm::start(config)?, Vec::new()))
    })?;
    let result = play(&mut transcript, &vm);
    if result.is_err() {
        eprintln!(
            "\nthe guest's console ended with:\n{}",
            vm.console().trim_end()
        );
    }
    result?;
    print_totals(&transcript, &vm, image.bytes);
    Ok(ExitCode::SUCCESS)
}

fn play(transcript: &mut Transcript, vm: &Vm) -> Result<()> {
    let guest = transcript.step("the guest dials, host and guest negotiate", || greet(vm))?;
    program::play(transcript, &guest)?;
    container::play(transcript, &guest)?;
    transcript.step("the VM powers off", || {
        let exit = vm.power_off()?;
        ensure!(!exit.by_host && exit.status == Some(0), "{exit}");
        Ok(((), vec![exit.to_string()]))
    })
}

fn greet(vm: &Vm) -> Result<(GuestConnection, Vec<String>)> {
    let guest = vm.connect()?;
    let timeline = vm.timeline();
    let since = |moment: Option<std::time::Instant>| {
        let moment = moment.context("the time line has a gap")?;
        anyhow::Ok(moment.duration_since(timeline.launched_at).as_secs_f64() * 1e3)
    };
    let details = vec![
        format!(
            "dialled {:.1} ms after QEMU was started",
            since(timeline.dialled_at)?
        ),
        format!(
            "protocol {} negotiated after {:.1} ms",
            guest.protocol(),
            since(timeline.negotiated_at)?
        ),
        format!("os {}; {}", guest.os(), capabilities(&guest)),
    ];
    Ok((guest, details))
}

fn capabilities(guest: &GuestConnection) -> String {
    let capabilities = guest.capabilities();
    let all = [
        ("create for the VM", capabilities.send_host_create),
        ("start for the VM", capabilities.send_host_start),
        ("network adapters", capabilities.namespace_add_request),
        ("signals", capabilities.signal_process),
        ("stacks", capabilities.dump_stacks),
        ("delete state", capabilities.delete_container_state),
    ];
    let can: Vec<_> = all
        .iter()
        .filter(|(_, can)| *can)
        .map(|(name, _)| *name)
        .collect();
    format!("it can: {}", can.join(", "))
}

/// A disk with busybox under some of its names, a program of ours, and the directories that programs expect.
fn make_disk(folder: &Path) -> Result<std::path::PathBuf> {
    let root = folder.join("root");
    for directory in ["bin", "etc", "dev", "proc", "tmp"] {
        fs::create_dir_all(root.join(directory))?;
    }
    fs::copy(find_busybox()?.0, root.join("bin/busybox"))?;
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    for name in programs::DEMO {
        fs::copy(
            place::image_folder().join(name),
            root.join("bin").join(name),
        )?;
    }
    let image = folder.join("root.ext4");
    build_ext4(&root, &image)?;
    Ok(image)
}

fn print_totals(transcript: &Transcript, vm: &Vm, image_bytes: u64) {
    let (steps, time) = transcript.totals();
    let timeline = vm.timeline();
    let negotiated = timeline
        .negotiated_at
        .map(|moment| moment.duration_since(timeline.launched_at));
    println!("\n  {steps} steps in {:.0} ms", milliseconds(time));
    println!(
        "  start of QEMU to negotiated: {:.1} ms",
        milliseconds(negotiated.unwrap_or_default())
    );
    println!("  image: {image_bytes} bytes; guest RAM: {MEMORY_MIB} MiB\n");
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
