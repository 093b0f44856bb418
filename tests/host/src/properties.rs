//! What GetProperties tells about a container (gcs-protocol §10).

use crate::json::{Members, Slip};
use serde_json::Value;
use std::fmt;

/// A property to ask for (hcsshim `internal/guest/prot`, `PropertyType`). A Linux guest answers the first two.
///
/// # Example
///
/// ```no_run
/// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
/// let asked = [PropertyType::ProcessList, PropertyType::Memory];
/// let properties = guest.properties(&asked)?;
/// assert!(properties.metrics.is_none(), "those were not asked for");
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertyType {
    /// The container's processes.
    ProcessList,
    /// Resource use; a Linux guest fills [`Properties::metrics`].
    Statistics,
    /// Memory of the VM.
    Memory,
    /// The processor group.
    CpuGroup,
    /// Whether changes wait for a restart.
    PendingUpdates,
    /// Whether the container ends with its last handle.
    TerminateOnLastHandleClosed,
    /// Directories of the host.
    MappedDirectory,
    /// The VM's id.
    SystemGuid,
    /// Network adapters.
    Network,
    /// Pipes of the host.
    MappedPipe,
    /// Disks of the host.
    MappedVirtualDisk,
}

impl fmt::Display for PropertyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ProcessList => "ProcessList",
            Self::Statistics => "Statistics",
            Self::Memory => "Memory",
            Self::CpuGroup => "CpuGroup",
            Self::PendingUpdates => "PendingUpdates",
            Self::TerminateOnLastHandleClosed => "TerminateOnLastHandleClosed",
            Self::MappedDirectory => "MappedDirectory",
            Self::SystemGuid => "SystemGUID",
            Self::Network => "Network",
            Self::MappedPipe => "MappedPipe",
            Self::MappedVirtualDisk => "MappedVirtualDisk",
        })
    }
}

/// The answer.
///
/// # Example
///
/// ```no_run
/// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
/// let Properties { process_list, metrics, .. } = guest.properties(&[PropertyType::Statistics])?;
/// assert!(process_list.is_empty(), "it was not asked for");
/// assert!(metrics.is_some());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    /// The container's processes, in no particular order.
    pub process_list: Vec<ProcessDetails>,
    /// Resource use, if it was asked for.
    pub metrics: Option<Metrics>,
    /// Whether changes wait for a restart.
    pub are_updates_pending: bool,
    /// Disks mapped into the container, by controller and place; null when the guest does not tell.
    pub mapped_virtual_disks: Value,
    /// Everything the guest sent; null when it sent nothing.
    pub document: Value,
}

/// One process.
///
/// # Example
///
/// ```no_run
/// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
/// # let process = guest.create_process(&ProcessConfig::new(["cat"]))?;
/// let all = guest.properties(&[PropertyType::ProcessList])?.process_list;
/// let cat: &ProcessDetails = all.iter().find(|one| one.pid == process.pid()).expect("it runs");
/// assert!(cat.memory_commit_bytes > 0);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessDetails {
    /// Its id in the VM.
    pub pid: u32,
    /// Its program's name, if the guest tells.
    pub image_name: Option<String>,
    /// When it was made, by RFC 3339, if the guest tells.
    pub created: Option<String>,
    /// Processor time in user mode, in units of 100 ns.
    pub user_time_100ns: u64,
    /// Processor time in the kernel, in units of 100 ns.
    pub kernel_time_100ns: u64,
    /// Memory charged to it.
    pub memory_commit_bytes: u64,
    /// Memory that is its own.
    pub memory_private_bytes: u64,
}

/// Resource use of a container: the parts of `io.containerd.cgroups.v1.Metrics` its readers look at. The whole
/// document is in [`Metrics::document`].
///
/// # Example
///
/// ```no_run
/// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
/// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
/// # let container = guest.create_container("Metrics", &init)?;
/// # let init = container.create_process(&ProcessConfig::init())?;
/// let metrics: Metrics = container.statistics()?;
/// assert!(metrics.memory_max_bytes >= metrics.memory_usage_bytes);
/// assert!(metrics.document["memory"].is_object());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Processes.
    pub pids_current: u64,
    /// Most processes, 0 when there is no limit.
    pub pids_limit: u64,
    /// Processor time in nanoseconds.
    pub cpu_total_ns: u64,
    /// Processor time in user mode in nanoseconds.
    pub cpu_user_ns: u64,
    /// Processor time in the kernel in nanoseconds.
    pub cpu_kernel_ns: u64,
    /// Memory in use.
    pub memory_usage_bytes: u64,
    /// Most memory that was in use.
    pub memory_max_bytes: u64,
    /// Most memory that may be in use.
    pub memory_limit_bytes: u64,
    /// How often memory was not given because of that limit.
    pub memory_failures: u64,
    /// Memory of programs.
    pub memory_program_bytes: u64,
    /// Memory of files that were written, and on the whole machine of those that were read.
    pub memory_file_bytes: u64,
    /// Memory the kernel needs.
    pub memory_kernel_bytes: u64,
    /// Processes that were killed because memory ran out.
    pub memory_kills: u64,
    /// Pages that were brought in.
    pub faults: u64,
    /// Those among them that a disk was read for.
    pub major_faults: u64,
    /// Periods whose quota of processor time was used up.
    pub throttled_periods: u64,
    /// What was read from disks.
    pub disks: Vec<DiskMetrics>,
    /// Everything the guest sent.
    pub document: Value,
}

/// What was read from one disk.
///
/// # Example
///
/// ```no_run
/// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
/// let metrics = guest.properties(&[PropertyType::Statistics])?.metrics.expect("asked for");
/// let read: u64 = metrics.disks.iter().map(|disk: &DiskMetrics| disk.read_bytes).sum();
/// assert!(read > 0, "the root is a disk");
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskMetrics {
    /// The device's major number.
    pub major: u64,
    /// The device's minor number.
    pub minor: u64,
    /// Bytes.
    pub read_bytes: u64,
    /// Requests.
    pub reads: u64,
}

impl Properties {
    /// Reads the document inside a response.
    pub(crate) fn parse(document: &Value) -> Result<Self, Slip> {
        let members = Members::of(document, "Properties")?;
        let process_list = members
            .list("ProcessList")?
            .iter()
            .map(ProcessDetails::parse)
            .collect::<Result<_, _>>()?;
        let metrics = members.get("LCOWMetrics").map(Metrics::parse).transpose()?;
        Ok(Self {
            process_list,
            metrics,
            are_updates_pending: members.boolean("AreUpdatesPending")?,
            mapped_virtual_disks: members
                .get("MappedVirtualDiskControllers")
                .cloned()
                .unwrap_or_default(),
            document: document.clone(),
        })
    }
}

impl ProcessDetails {
    fn parse(value: &Value) -> Result<Self, Slip> {
        let members = Members::of(value, "ProcessList")?;
        let pid = members.u32("ProcessId")?.unwrap_or(0);
        if i32::try_from(pid).is_err() {
            // The second form of the host's decoder holds process ids in 32 signed bits.
            return Err(Slip::new(format!("ProcessId {pid} is above 2147483647")));
        }
        Ok(Self {
            pid,
            image_name: members.string("ImageName")?.map(str::to_owned),
            created: members.string("CreateTimestamp")?.map(str::to_owned),
            user_time_100ns: members.u64("UserTime100ns")?.unwrap_or(0),
            kernel_time_100ns: members.u64("KernelTime100ns")?.unwrap_or(0),
            memory_commit_bytes: members.u64("MemoryCommitBytes")?.unwrap_or(0),
            memory_private_bytes: members.u64("MemoryWorkingSetPrivateBytes")?.unwrap_or(0),
        })
    }
}

impl Metrics {
    fn parse(value: &Value) -> Result<Self, Slip> {
        check_numbers(value)?;
        let members = Members::of(value, "LCOWMetrics")?;
        let pids = members.object("pids")?;
        let cpu = members.object("cpu")?.object("usage")?;
        let throttling = members.object("cpu")?.object("throttling")?;
        let all_memory = members.object("memory")?;
        let memory = all_memory.object("usage")?;
        let killer = members.object("memory_oom_control")?;
        let number = |members: &Members<'_>, name| Ok(members.u64(name)?.unwrap_or(0));
        Ok(Self {
            memory_failures: number(&memory, "failcnt")?,
            memory_program_bytes: number(&all_memory, "rss")?,
            memory_file_bytes: number(&all_memory, "cache")?,
            memory_kernel_bytes: number(&all_memory.object("kernel")?, "usage")?,
            memory_kills: number(&killer, "oom_kill")?,
            faults: number(&all_memory, "pg_fault")?,
            major_faults: number(&all_memory, "pg_maj_fault")?,
            throttled_periods: number(&throttling, "throttled_periods")?,
            disks: disks(&members.object("blkio")?)?,
            pids_current: pids.u64("current")?.unwrap_or(0),
            pids_limit: pids.u64("limit")?.unwrap_or(0),
            cpu_total_ns: cpu.u64("total")?.unwrap_or(0),
            cpu_user_ns: cpu.u64("user")?.unwrap_or(0),
            cpu_kernel_ns: cpu.u64("kernel")?.unwrap_or(0),
            memory_usage_bytes: memory.u64("usage")?.unwrap_or(0),
            memory_max_bytes: memory.u64("max")?.unwrap_or(0),
            memory_limit_bytes: memory.u64("limit")?.unwrap_or(0),
            document: value.clone(),
        })
    }
}

/// Reads the bytes and the requests of each disk, which stand in two lists.
fn disks(members: &Members<'_>) -> Result<Vec<DiskMetrics>, Slip> {
    let mut disks = Vec::<DiskMetrics>::new();
    for (list, is_bytes) in [
        ("io_service_bytes_recursive", true),
        ("io_serviced_recursive", false),
    ] {
        for entry in members.list(list)? {
            let entry = Members::of(entry, list)?;
            let major = entry.u64("major")?.unwrap_or(0);
            let minor = entry.u64("minor")?.unwrap_or(0);
            let value = entry.u64("value")?.unwrap_or(0);
            let known = |disk: &DiskMetrics| (disk.major, disk.minor) == (major, minor);
            let at = disks.iter().position(known).unwrap_or_else(|| {
                disks.push(DiskMetrics {
                    major,
                    minor,
                    ..DiskMetrics::default()
                });
                disks.len() - 1
            });
            if is_bytes {
                disks[at].read_bytes += value;
            } else {
                disks[at].reads += value;
            }
        }
    }
    Ok(disks)
}

/// Every number of the metrics is an unsigned 64-bit integer. The depth is bounded by the parser that made `value`.
fn check_numbers(value: &Value) -> Result<(), Slip> {
    match value {
        Value::Number(number) if !number.is_u64() => {
            Err(Slip::new(format!("LCOWMetrics holds {number}, not a u64")))
        }
        Value::Array(list) => list.iter().try_for_each(check_numbers),
        Value::Object(map) => map.values().try_for_each(check_numbers),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_process_id_of_2_to_the_31_is_refused() {
        let with = |pid: u32| Properties::parse(&json!({"ProcessList": [{"ProcessId": pid}]}));
        assert_eq!(
            with(0x7fff_ffff).expect("largest").process_list[0].pid,
            0x7fff_ffff
        );
        assert!(with(0x8000_0000).is_err());
    }

    #[test]
    fn bytes_and_requests_of_a_disk_come_together() {
        let entry = |minor: u64, value: u64| json!({"op": "Read", "major": 254, "minor": minor, "value": value});
        let document = json!({"LCOWMetrics": {"blkio": {
            "io_service_bytes_recursive": [entry(0, 4096), entry(16, 8192)],
            "io_serviced_recursive": [entry(16, 2), entry(0, 1)],
        }}});
        let metrics = Properties::parse(&document).expect("well-formed").metrics;
        let disk = |minor, read_bytes, reads| DiskMetrics {
            major: 254,
            minor,
            read_bytes,
            reads,
        };
        assert_eq!(
            metrics.expect("asked for").disks,
            [disk(0, 4096, 1), disk(16, 8192, 2)]
        );
    }

    #[test]
    fn metrics_hold_integers_only() {
        let with = |text: &str| {
            let value = serde_json::from_str(text).expect("JSON");
            Properties::parse(&value)
        };
        let whole = with(r#"{"LCOWMetrics":{"memory":{"usage":{"limit":18446744073709551615}}}}"#)
            .expect("u64");
        assert_eq!(
            whole.metrics.expect("asked for").memory_limit_bytes,
            u64::MAX
        );
        assert!(with(r#"{"LCOWMetrics":{"memory":{"cache":1.5e6}}}"#).is_err());
        assert!(with(r#"{"LCOWMetrics":{"memory":{"cache":-1}}}"#).is_err());
    }
}
