//! Options several commands share.

pub(crate) mod limit;
pub(crate) mod process;
pub(crate) mod vm;

use std::time::Duration;

/// Reads a time limit.
pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| format!("expected a number of seconds above 0, got {text:?}"))
}
