use mote_host::{Result, Vm, VmConfig};
use std::time::Duration;

/// Launches a VM, waits for its guest, looks at it, stops it for a moment, and ends it in order.
fn vm(config: VmConfig) -> Result<()> {
    let vm = Vm::start(config.memory_mib(48))?;
    let guest = vm.connect()?;
    assert_eq!((guest.os(), guest.protocol()), ("linux", 4));
    assert!(vm.timeline().negotiated_at.is_some());
    assert!(vm.run_directory().is_dir() && vm.vmm_pid()? > 0);

    vm.pause()?;
    assert!(vm.is_paused()?);
    vm.resume()?;

    assert!(
        vm.wait(Duration::from_millis(1))
            .is_err_and(|error| error.is_timeout())
    );
    // What it says of itself comes by a connection of its own.
    let (journal, mut next) = (vm.journal(), 0);
    while !journal
        .since(0)
        .iter()
        .any(|line| line.text.contains("mote"))
    {
        let lines = journal.wait_since(next, Duration::from_secs(60));
        let last = lines.as_ref().and_then(|lines| lines.last());
        next = last.expect("a word within a minute").number + 1;
    }

    let exit = vm.power_off()?;
    assert_eq!((exit.status, exit.by_host), (Some(0), false));
    Ok(())
}
