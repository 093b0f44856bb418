//! A container from creation to the last trace of it.

use super::transcript::Transcript;
use anyhow::{Context, Result, ensure};
use mote_host::{
    Container, ContainerConfig, ContainerExit, ExitType, GuestConnection, Process, ProcessConfig,
};
use std::time::Duration;

const ID: &str = "mote-demo";
const EXIT_CODE: u32 = 7;
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn play(transcript: &mut Transcript, guest: &GuestConnection) -> Result<()> {
    let code = EXIT_CODE.to_string();
    let init = ProcessConfig::new(["/bin/exit", code.as_str()]);
    let container = transcript.step("a container is created", || {
        let container = guest.create_container(ID, &ContainerConfig::new(&init))?;
        let id = container.id().to_owned();
        Ok((
            container,
            vec![format!("id {id}, init `/bin/exit {EXIT_CODE}`")],
        ))
    })?;
    transcript.step("the container is started", || {
        Ok((container.start()?, Vec::new()))
    })?;
    let process = transcript.step("its init is executed", || {
        let process = container.create_process(&ProcessConfig::init())?;
        let pid = process.pid();
        Ok((process, vec![format!("process {pid}")]))
    })?;
    transcript.step("its exit code and its exit notification come", || {
        end(&container, &process)
    })?;
    transcript.step("its state is deleted", || {
        guest.delete_container_state(ID)?;
        let again = container.properties(&[]);
        let error = again.err().context("the guest still knows the container")?;
        ensure!(error.is_not_exist(), "{error}");
        Ok(((), vec![format!("asked about it again: {error}")]))
    })
}

fn end(container: &Container, process: &Process) -> Result<((), Vec<String>)> {
    let found = process.output(b"")?;
    ensure!(
        found.exit_code == EXIT_CODE,
        "exit code {}, not {EXIT_CODE}",
        found.exit_code
    );
    let exit = container.wait_timeout(PATIENCE)?;
    ensure!(
        exit == ContainerExit::Notified(ExitType::Unexpected),
        "notified of {exit:?}"
    );
    Ok((
        (),
        vec![format!(
            "exit code {}, notified: init ended by itself",
            found.exit_code
        )],
    ))
}
