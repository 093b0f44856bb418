//! `--limit-memory` and `--limit-pids`: what a program and its children may use.

use crate::program::Limits;
use clap::Args;

/// Bytes of the units people write.
const UNITS: [(&str, u64); 3] = [("k", 1 << 10), ("m", 1 << 20), ("g", 1 << 30)];

#[derive(Args, Clone, Debug)]
pub(crate) struct LimitOptions {
    /// Most memory the program and its children may use; what goes beyond is refused to them
    #[arg(long, value_name = "BYTES[k|m|g]", value_parser = parse_bytes, help_heading = "Limits")]
    limit_memory: Option<u64>,

    /// Most processes the program may be, its children and itself
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Limits")]
    limit_pids: Option<u64>,
}

impl LimitOptions {
    /// Returns the limits.
    pub(crate) const fn limits(&self) -> Limits {
        Limits {
            memory_bytes: self.limit_memory,
            pids: self.limit_pids,
        }
    }
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let (number, unit) = UNITS
        .iter()
        .find_map(|(name, unit)| Some((lower.strip_suffix(name)?, *unit)))
        .unwrap_or((&lower, 1));
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .filter(|&bytes| bytes > 0)
        .ok_or_else(|| format!("expected a number above 0, with k, m or g behind it, got {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes_with_and_without_a_unit() {
        assert_eq!(parse_bytes("4096"), Ok(4096));
        assert_eq!(parse_bytes("16M"), Ok(16 << 20));
        assert_eq!(parse_bytes("1g"), Ok(1 << 30));
        for bad in [
            "",
            "m",
            "0",
            "-1",
            "1t",
            "1.5m",
            "99999999999999999999",
            "17179869184g",
        ] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }
}
