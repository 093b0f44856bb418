//! `/proc/PID/limits`.

use super::Part;
use crate::rlimit::{Limits, Resource};
use core::fmt::{self, Write};

/// Names and units, by the number of the resource (asm-generic/resource.h).
const RESOURCES: [(&str, &str); 16] = [
    ("cpu time", "seconds"),
    ("file size", "bytes"),
    ("data size", "bytes"),
    ("stack size", "bytes"),
    ("core file size", "bytes"),
    ("resident set", "bytes"),
    ("processes", "processes"),
    ("open files", "files"),
    ("locked memory", "bytes"),
    ("address space", "bytes"),
    ("file locks", "locks"),
    ("pending signals", "signals"),
    ("msgqueue size", "bytes"),
    ("nice priority", ""),
    ("realtime priority", ""),
    ("realtime timeout", "us"),
];

/// A limit, or that there is none.
struct Limit(u64);

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            u64::MAX => f.pad("unlimited"),
            limit => fmt::Display::fmt(&limit, f),
        }
    }
}

/// Writes a line for each resource.
pub(super) fn tell(limits: &Limits, out: &mut Part) -> fmt::Result {
    writeln!(
        out,
        "{:<25} {:<20} {:<20} {:<10}",
        "Limit", "Soft Limit", "Hard Limit", "Units"
    )?;
    for (number, (name, unit)) in (0..).zip(RESOURCES) {
        let Some(resource) = Resource::from_number(number) else {
            continue;
        };
        let (soft, hard) = limits.get(resource);
        writeln!(
            out,
            "Max {name:<21} {:<20} {:<20} {unit:<10}",
            Limit(soft),
            Limit(hard)
        )?;
    }
    Ok(())
}
