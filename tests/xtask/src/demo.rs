//! One job from end to end.
use anyhow::Result;
use std::process::ExitCode;
pub(crate) fn run() -> Result<ExitCode> {
    crate::tool::prepare()?;
    anyhow::bail!("waits for the host library")
}
