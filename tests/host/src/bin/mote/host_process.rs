//! What a process of this machine uses (proc_pid_stat(5), proc_pid_statm(5)).

use std::fs;

/// Ticks per second of the times in `/proc/<pid>/stat`: part of the ABI, 100 on x86-64.
const TICKS_PER_SECOND: u64 = 100;

/// Bytes of a page of `/proc/<pid>/statm` on x86-64.
const PAGE_BYTES: u64 = 4096;

/// Returns the memory a process has in RAM.
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}

/// Returns the processor time a process has used.
pub(crate) fn cpu_microseconds(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before the fields may contain anything but ends in `)`.
    let (_, fields) = text.rsplit_once(')')?;
    let times = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = times.filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(ticks * (1_000_000 / TICKS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_time() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).expect("running") > 0);
        assert!(cpu_microseconds(pid).is_some());
        assert_eq!(resident_bytes(u32::MAX), None);
    }
}
