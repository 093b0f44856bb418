use mote_host::{ContainerConfig, Error, GuestConnection, Hresult, ProcessConfig, Result};

/// Asks errors what hcsshim's users ask them.
fn error(guest: &GuestConnection) -> Result<()> {
    let absent = guest
        .delete_container_state("absent")
        .expect_err("there is none");
    assert!(absent.is_not_exist() && !absent.is_timeout() && !absent.is_pending());
    assert_eq!(absent.hresult(), Some(Hresult::SYSTEM_NOT_FOUND));

    let program = guest.create_process(&ProcessConfig::new(["/no/such/program"]));
    assert!(program.is_err_and(|error| error.is_program_not_found()));
    let directory = guest.create_process(&ProcessConfig::new(["/bin"]));
    assert!(directory.is_err_and(|error| error.is_access_denied()));

    let config = ContainerConfig::new(&ProcessConfig::new(["/bin/busybox", "true"]));
    guest.create_container("twice", &config)?;
    let again = guest
        .create_container("twice", &config)
        .expect_err("it exists");
    assert!(matches!(again, Error::AlreadyExists(_)) && again.is_already_exists());
    Ok(())
}
