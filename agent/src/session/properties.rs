//! The properties of a container or of the utility VM: the document of a GetProperties response (gcs-protocol §10).
//!
//! Names, order and omissions are those of hcsshim `internal/hcs/schema2` `ProcessDetails` and of containerd's
//! `io.containerd.cgroups.v1.Metrics`, which the host reads into. What is asked for and not known here is passed over, as in
//! the reference guest.

use super::report::escaped_bytes;
use crate::clock::Timestamp;
use crate::kernel::{Kernel, ProcessInfo, StringList, UNLIMITED, Usage, View};
use crate::limits::PROCESS_DETAILS_BYTES;
use core::fmt::{self, Write};
use core::time::Duration;

/// Property types that are answered (hcsshim `prot.PropertyType`).
const PROCESS_LIST: &[u8] = b"ProcessList";
const STATISTICS: &[u8] = b"Statistics";

/// The document. Asked for nothing it knows, it is `{}`.
pub(super) struct Properties<'a, K> {
    pub(super) kernel: &'a K,
    pub(super) view: View,
    /// The types that are asked for.
    pub(super) types: StringList<'a>,
}

/// Returns the first type that is not answered, so that it can be logged.
pub(super) fn passed_over(types: StringList<'_>) -> Option<&str> {
    types
        .iter()
        .find(|name| *name != PROCESS_LIST && *name != STATISTICS)
        .and_then(|name| core::str::from_utf8(name).ok())
}

impl<K: Kernel> fmt::Display for Properties<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asks = |wanted: &[u8]| self.types.iter().any(|name| name == wanted);
        let mut out = Members {
            out: f,
            is_first: true,
            bytes: 0,
        };
        out.begin("{")?;
        if asks(PROCESS_LIST) {
            self.process_list(&mut out)?;
        }
        if asks(STATISTICS)
            && let Some(usage) = self.kernel.usage(self.view)
        {
            self.metrics(&usage, &mut out)?;
        }
        out.close()
    }
}

impl<K: Kernel> Properties<'_, K> {
    /// Writes all processes; when there are very many, the last of them without details.
    fn process_list(&self, out: &mut Members<'_>) -> fmt::Result {
        let processes = (0..).map_while(|nth| self.kernel.process(self.view, nth));
        let mut is_any = false;
        for process in processes {
            out.element("ProcessList", &mut is_any)?;
            out.number("ProcessId", u64::from(process.pid.0))?;
            if out.bytes < PROCESS_DETAILS_BYTES {
                details(&process, out)?;
            }
            out.close()?;
        }
        out.end_list(is_any)
    }

    fn metrics(&self, usage: &Usage, out: &mut Members<'_>) -> fmt::Result {
        let nanos = |time: Duration| time.as_nanos() as u64;
        out.open("LCOWMetrics")?;
        out.open("pids")?;
        out.number("current", usage.tasks)?;
        if usage.tasks_limit != UNLIMITED {
            out.number("limit", usage.tasks_limit)?;
        }
        out.close()?;
        out.open("cpu")?;
        out.open("usage")?;
        out.number("total", nanos(usage.user_time + usage.kernel_time))?;
        out.number("kernel", nanos(usage.kernel_time))?;
        out.number("user", nanos(usage.user_time))?;
        out.close()?;
        out.open("throttling")?;
        out.number("periods", usage.throttling.periods)?;
        out.number("throttled_periods", usage.throttling.throttled_periods)?;
        out.number("throttled_time", nanos(usage.throttling.throttled_time))?;
        out.close()?;
        out.close()?;
        out.open("memory")?;
        out.number("cache", usage.file_bytes)?;
        out.number("rss", usage.program_bytes)?;
        out.number("pg_fault", usage.faults)?;
        out.number("pg_maj_fault", usage.major_faults)?;
        out.number("hierarchical_memory_limit", usage.memory_limit_bytes)?;
        // There is no swap space, and so no limit of it.
        out.number("hierarchical_swap_limit", UNLIMITED)?;
        out.open("usage")?;
        out.number("limit", usage.memory_limit_bytes)?;
        out.number("usage", usage.memory_bytes)?;
        out.number("max", usage.memory_peak_bytes)?;
        out.number("failcnt", usage.memory_failures)?;
        out.close()?;
        out.open("swap")?;
        out.number("limit", UNLIMITED)?;
        out.close()?;
        out.open("kernel")?;
        out.number("usage", usage.kernel_bytes)?;
        out.close()?;
        out.open("kernel_tcp")?;
        out.close()?;
        out.close()?;
        out.open("blkio")?;
        self.disks("io_service_bytes_recursive", Column::Bytes, out)?;
        self.disks("io_serviced_recursive", Column::Requests, out)?;
        out.close()?;
        out.open("memory_oom_control")?;
        out.number("oom_kill", usage.memory_kills)?;
        out.close()?;
        out.close()
    }

    fn disks(&self, name: &str, column: Column, out: &mut Members<'_>) -> fmt::Result {
        let disks = (0..).map_while(|nth| self.kernel.disk_usage(self.view, nth));
        let mut is_any = false;
        for disk in disks {
            out.element(name, &mut is_any)?;
            out.text("op", "Read")?;
            out.number("major", u64::from(disk.major))?;
            out.number("minor", u64::from(disk.minor))?;
            let value = match column {
                Column::Bytes => disk.read_bytes,
                Column::Requests => disk.reads,
            };
            out.number("value", value)?;
            out.close()?;
        }
        out.end_list(is_any)
    }
}

/// What is told of each disk.
#[derive(Clone, Copy)]
enum Column {
    Bytes,
    Requests,
}

/// Writes what is known of a process besides its id. The host's second form holds these numbers in 32 signed bits and
/// ends the bridge over a larger one, so the largest stands for all above it.
fn details(process: &ProcessInfo, out: &mut Members<'_>) -> fmt::Result {
    const MOST: u64 = i32::MAX as u64;
    let ticks = |time: Duration| (time.as_nanos() as u64 / 100).min(MOST);
    if !process.name.is_empty() {
        out.text("ImageName", &process.name)?;
    }
    if let Some(created) = process.created {
        out.name("CreateTimestamp")?;
        write!(out, "\"{}\"", Timestamp(created))?;
    }
    out.number("UserTime100ns", ticks(process.user_time))?;
    out.number("KernelTime100ns", ticks(process.kernel_time))?;
    out.number("MemoryCommitBytes", process.memory_bytes.min(MOST))
}

/// Writes the members of objects.
struct Members<'a> {
    out: &'a mut dyn Write,
    is_first: bool,
    /// Bytes of the response so far.
    bytes: usize,
}

impl Write for Members<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes += text.chars().map(escaped_bytes).sum::<usize>();
        self.out.write_str(text)
    }
}

impl Members<'_> {
    fn name(&mut self, name: &str) -> fmt::Result {
        let comma = if core::mem::take(&mut self.is_first) {
            ""
        } else {
            ","
        };
        write!(self, "{comma}\"{name}\":")
    }

    /// Writes a number, unless it is zero.
    fn number(&mut self, name: &str, value: u64) -> fmt::Result {
        if value == 0 {
            return Ok(());
        }
        self.name(name)?;
        write!(self, "{value}")
    }

    /// Writes a string.
    fn text(&mut self, name: &str, value: &str) -> fmt::Result {
        self.name(name)?;
        self.write_str("\"")?;
        for character in value.chars() {
            match character {
                '"' | '\\' => write!(self, "\\{character}")?,
                '\0'..' ' => write!(self, "\\u{:04x}", u32::from(character))?,
                _ => self.write_char(character)?,
            }
        }
        self.write_str("\"")
    }

    /// Begins an object.
    fn open(&mut self, name: &str) -> fmt::Result {
        self.name(name)?;
        self.begin("{")
    }

    /// Begins an object with what stands before it.
    fn begin(&mut self, text: &str) -> fmt::Result {
        self.is_first = true;
        self.write_str(text)
    }

    /// Begins an object of the list `name`, with the first one the list: an empty one is left out.
    fn element(&mut self, name: &str, is_any: &mut bool) -> fmt::Result {
        if core::mem::replace(is_any, true) {
            return self.begin(",{");
        }
        self.name(name)?;
        self.begin("[{")
    }

    fn end_list(&mut self, is_any: bool) -> fmt::Result {
        self.write_str(if is_any { "]" } else { "" })
    }

    fn close(&mut self) -> fmt::Result {
        self.is_first = false;
        self.write_str("}")
    }
}
