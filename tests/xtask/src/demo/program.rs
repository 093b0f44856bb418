//! Programs in the VM: what they print, read and return, and how one is ended while another runs.

use super::transcript::{Details, Transcript, output};
use anyhow::{Context, Result, bail, ensure};
use mote_host::{GuestConnection, Output, ProcessConfig};
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};

const BUSYBOX: &str = "/bin/busybox";
/// What `sha256sum` is given to read.
const STREAM_BYTES: usize = 16 << 20;
/// No step of the demo takes seconds; what takes so long will not end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Ends a process whatever it does.
const SIGKILL: i32 = 9;

pub(super) fn play(transcript: &mut Transcript, guest: &GuestConnection) -> Result<()> {
    transcript.step("busybox uname -a", || {
        let found = busybox(guest, &["uname", "-a"], b"")?;
        succeeded(&found)?;
        ensure!(
            found.stdout.starts_with(b"Linux "),
            "uname printed something else"
        );
        Ok(((), output(&found.stdout)))
    })?;
    transcript.step("busybox sha256sum, 16 MiB to its standard input", || {
        sha256sum(guest)
    })?;
    transcript.step("busybox ls -l /bin", || {
        let found = busybox(guest, &["ls", "-l", "/bin"], b"")?;
        succeeded(&found)?;
        ensure!(
            String::from_utf8_lossy(&found.stdout).contains("busybox"),
            "busybox is not listed"
        );
        Ok(((), output(&found.stdout)))
    })?;
    transcript.step("busybox cat /no/such/file", || {
        let found = busybox(guest, &["cat", "/no/such/file"], b"")?;
        ensure!(found.exit_code == 1, "exit code {}, not 1", found.exit_code);
        ensure!(!found.stderr.is_empty(), "nothing on its standard error");
        let mut details = output(&found.stderr);
        details.push(format!("exit code {}", found.exit_code));
        Ok(((), details))
    })?;
    transcript.step("a program that does not exist", || no_such_program(guest))?;
    transcript.step("a program that spins, killed while another answers", || {
        spin(guest)
    })
}

fn busybox(guest: &GuestConnection, arguments: &[&str], input: &[u8]) -> Result<Output> {
    let config = ProcessConfig::new(std::iter::once(&BUSYBOX).chain(arguments).copied());
    Ok(guest.create_process(&config)?.output(input)?)
}

fn succeeded(found: &Output) -> Result<()> {
    let complaint = String::from_utf8_lossy(&found.stderr);
    ensure!(
        found.exit_code == 0,
        "exit code {}: {}",
        found.exit_code,
        complaint.trim_end()
    );
    Ok(())
}

fn sha256sum(guest: &GuestConnection) -> Result<((), Details)> {
    // Not all alike, and without an end that could be lost unnoticed.
    let input: Vec<u8> = (0..STREAM_BYTES as u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let expected: String = Sha256::digest(&input)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let started = Instant::now();
    let found = busybox(guest, &["sha256sum"], &input)?;
    let seconds = started.elapsed().as_secs_f64();
    succeeded(&found)?;
    let line = String::from_utf8_lossy(&found.stdout);
    let digest = line.split_whitespace().next().unwrap_or_default();
    ensure!(
        digest == expected,
        "the guest's digest is {digest}, the host's {expected}"
    );
    let rate = STREAM_BYTES as f64 / f64::from(1 << 20) / seconds;
    Ok((
        (),
        vec![
            digest.to_owned(),
            format!("equal to the host's; {rate:.0} MiB/s with the hashing"),
        ],
    ))
}

fn no_such_program(guest: &GuestConnection) -> Result<((), Details)> {
    match guest.create_process(&ProcessConfig::new(["/bin/no-such-program"])) {
        Ok(process) => bail!("it was started, as process {}", process.pid()),
        Err(error) if error.is_program_not_found() => Ok(((), vec![error.to_string()])),
        Err(error) => Err(error).context("not the error of a program that does not exist"),
    }
}

fn spin(guest: &GuestConnection) -> Result<((), Details)> {
    let spinning = guest.create_process(&ProcessConfig::new(["/bin/spin"]).without_stdio())?;
    let started = Instant::now();
    let found = busybox(guest, &["echo", "still here"], b"")?;
    let answered = started.elapsed();
    succeeded(&found)?;
    ensure!(
        found.stdout == b"still here\n",
        "the other printed {:?}",
        String::from_utf8_lossy(&found.stdout)
    );
    ensure!(
        spinning.exit_code().is_err(),
        "the spinning program ended by itself"
    );
    ensure!(spinning.signal(SIGKILL)?, "the signal was not delivered");
    let code = spinning.wait_timeout(PATIENCE)?;
    ensure!(
        code == 128 + SIGKILL as u32,
        "it ended with {code}, not 137"
    );
    Ok((
        (),
        vec![
            format!(
                "echo answered {:?} after {:.1} ms",
                "still here",
                answered.as_secs_f64() * 1e3
            ),
            format!(
                "process {} ended with exit code {code} (128 + SIGKILL)",
                spinning.pid()
            ),
        ],
    ))
}
