use mote_host::{
    ContainerConfig, ContainerExit, ExitType, GuestConnection, ProcessConfig, PropertyType, Result,
};

/// Takes a container through its life: created, started, used, ended, forgotten.
fn container(guest: &GuestConnection) -> Result<()> {
    let init = ProcessConfig::new(["/bin/busybox", "cat"]);
    let config = ContainerConfig::new(&init)
        .memory_limit(16 << 20)
        .pids_limit(8);
    let container = guest.create_container("example", &config)?;
    assert_eq!((container.id(), container.os()), ("example", "linux"));
    container.start()?;
    let init = container.create_process(&ProcessConfig::init())?;

    let more = ProcessConfig::new(["/bin/busybox", "echo", "in a container"]);
    assert_eq!(
        container.create_process(&more)?.output(b"")?.stdout,
        b"in a container\n"
    );
    let properties = container.properties(&[PropertyType::ProcessList])?;
    assert!(
        properties
            .process_list
            .iter()
            .any(|process| process.pid == init.pid())
    );
    assert!(container.statistics()?.memory_usage_bytes > 0);
    assert!(!container.has_pending_updates()?);

    // A process that runs already can be taken up again, without its streams.
    let same = container.open_process(init.pid())?;
    container.pause()?;
    container.resume()?;
    container.shutdown()?;
    assert_eq!((init.wait()?, same.wait()?), (143, 143));
    assert_eq!(
        container.wait()?,
        ContainerExit::Notified(ExitType::Graceful)
    );
    assert!(
        container
            .terminate()
            .is_err_and(|error| error.is_already_stopped())
    );
    guest.delete_container_state("example")
}
