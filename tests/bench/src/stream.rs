//! How fast bytes go through a process's standard streams.
//!
//! The clock runs from the first byte written (or the request, where only output is read) to the last byte known to have
//! arrived, and every byte is counted at the other end.

use crate::bed::Effort;
use anyhow::{Result, ensure};
use mote_host::{GuestConnection, ProcessConfig, StdioStream};
use std::io::{Read, Write};
use std::thread;
use std::time::Instant;

const MIB: usize = 1 << 20;
/// Bytes of one run.
const RUN_MIB: usize = 256;
/// What the host writes and reads at once.
const BLOCK_BYTES: usize = 256 << 10;

/// MiB/s through `busybox cat`: standard input to standard output.
///
/// # Errors
///
/// A byte that is missing, or the guest's refusal.
pub fn echo(guest: &GuestConnection, effort: Effort) -> Result<Vec<f64>> {
    runs(effort, |bytes| {
        let process =
            guest.create_process(&ProcessConfig::new(["/bin/busybox", "cat"]).without_stderr())?;
        let read = thread::scope(|scope| {
            let reader = scope.spawn(|| count(process.stdout()));
            feed(process.stdin(), bytes)?;
            process.close_stdin()?;
            reader
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        ensure!(read == bytes, "{read} of {bytes} bytes came back");
        let code = process.wait()?;
        ensure!(code == 0, "cat: exit code {code}");
        Ok(())
    })
}

/// MiB/s out of a program that only writes.
///
/// # Errors
///
/// As [`echo`].
pub fn stdout(guest: &GuestConnection, effort: Effort) -> Result<Vec<f64>> {
    runs(effort, |bytes| {
        let mib = (bytes / MIB).to_string();
        let config = ProcessConfig::new(["/bin/writer", &mib])
            .without_stdin()
            .without_stderr();
        let process = guest.create_process(&config)?;
        let read = count(process.stdout())?;
        ensure!(read == bytes, "{read} of {bytes} bytes came");
        let code = process.wait()?;
        ensure!(code == 0, "writer: exit code {code}");
        Ok(())
    })
}

/// MiB/s into a program that only reads; it says itself how much it got.
///
/// # Errors
///
/// As [`echo`].
pub fn stdin(guest: &GuestConnection, effort: Effort) -> Result<Vec<f64>> {
    runs(effort, |bytes| {
        let process =
            guest.create_process(&ProcessConfig::new(["/bin/reader"]).without_stderr())?;
        feed(process.stdin(), bytes)?;
        process.close_stdin()?;
        let mut said = String::new();
        if let Some(mut stream) = process.stdout() {
            stream.read_to_string(&mut said)?;
        }
        ensure!(
            said.trim() == bytes.to_string(),
            "the program read {said:?} of {bytes} bytes"
        );
        let code = process.wait()?;
        ensure!(code == 0, "reader: exit code {code}");
        Ok(())
    })
}

fn runs(effort: Effort, run: impl Fn(usize) -> Result<()>) -> Result<Vec<f64>> {
    run(MIB)?;
    (0..effort.repetitions(10))
        .map(|_| {
            let started = Instant::now();
            run(RUN_MIB * MIB)?;
            Ok(RUN_MIB as f64 / started.elapsed().as_secs_f64())
        })
        .collect()
}

fn feed(stream: Option<StdioStream>, bytes: usize) -> Result<()> {
    let block = vec![0x5a; BLOCK_BYTES];
    let mut left = bytes;
    if let Some(mut stream) = stream {
        while left > 0 {
            let piece = left.min(block.len());
            stream.write_all(&block[..piece])?;
            left -= piece;
        }
    }
    Ok(())
}

fn count(stream: Option<StdioStream>) -> Result<usize> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut bytes = 0;
    if let Some(mut stream) = stream {
        loop {
            match stream.read(&mut block)? {
                0 => break,
                count => bytes += count,
            }
        }
    }
    Ok(bytes)
}
