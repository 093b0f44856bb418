//! What is read of an OCI runtime specification's `linux.resources`: the limits of a container.
//!
//! Limits are kept or refused, never passed over. What is passed over limits something this machine does not have, so that
//! it is kept without doing anything (`devices`, `hugepageLimits`, `network`, `rdma`, and of `memory` what is about swap space
//! and kernel memory, which counts in `limit`), or is a wish (`memory.reservation`).

use crate::json::{Cursor, Error};
use crate::kernel::{CpuWeight, Limits, UNLIMITED};

/// The limits a host asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Those that can be kept.
    pub limits: Limits,
    /// One that cannot.
    pub missed: Option<&'static str>,
}

/// Microseconds a quota and its period must have (Linux kernel/sched/core.c `min_cfs_quota_period`,
/// `max_cfs_quota_period`).
const MIN_CPU_US: i64 = 1_000;
const MAX_CPU_PERIOD_US: i64 = 1_000_000;

/// Reads `linux.resources`. As in Go's form of it, 0 means that nothing is asked for; below 0 there is no limit.
///
/// # Errors
///
/// Where the document is not what the specification says.
pub fn resources(cursor: &mut Cursor<'_>) -> Result<Resources, Error> {
    let mut read = Resources::default();
    if !cursor.begin_object()? {
        return Ok(read);
    }
    while let Some(member) = cursor.next_member(&["memory", "cpu", "pids", "blockIO", "unified"])? {
        if cursor.begin_object()? {
            match member {
                "memory" => memory(cursor, &mut read)?,
                "cpu" => cpu(cursor, &mut read)?,
                "pids" => {
                    let mut limit = 0;
                    while cursor.next_member(&["limit"])?.is_some() {
                        cursor.integer(&mut limit)?;
                    }
                    read.limits.tasks = asked(limit);
                }
                _ => {
                    let any = cursor.pass_members()?;
                    let name = match member {
                        "blockIO" => "linux.resources.blockIO",
                        _ => "linux.resources.unified",
                    };
                    read.miss_if(any, name);
                }
            }
        }
    }
    Ok(read)
}

impl Resources {
    fn miss_if(&mut self, is_asked: bool, name: &'static str) {
        if is_asked {
            self.missed = Some(name);
        }
    }
}

fn memory(cursor: &mut Cursor<'_>, read: &mut Resources) -> Result<(), Error> {
    let (mut limit, mut survives) = (0, false);
    while let Some(member) = cursor.next_member(&["limit", "disableOOMKiller"])? {
        match member {
            "limit" => cursor.integer(&mut limit)?,
            _ => cursor.boolean(&mut survives)?,
        }
    }
    read.limits.memory_bytes = asked(limit);
    read.miss_if(survives, "linux.resources.memory.disableOOMKiller");
    Ok(())
}

fn cpu(cursor: &mut Cursor<'_>, read: &mut Resources) -> Result<(), Error> {
    let (mut shares, mut quota, mut period, mut other) = (0, 0, 0, 0);
    while let Some(member) = cursor.next_member(&[
        "shares",
        "quota",
        "period",
        "burst",
        "realtimeRuntime",
        "idle",
        "cpus",
        "mems",
    ])? {
        match member {
            "shares" => cursor.integer(&mut shares)?,
            "quota" => cursor.integer(&mut quota)?,
            "period" => cursor.integer(&mut period)?,
            "cpus" | "mems" => {
                let mut list = "";
                cursor.string(&mut list)?;
                // There is one processor and one memory.
                read.miss_if(
                    !matches!(list, "" | "0"),
                    "linux.resources.cpu.cpus and mems other than 0",
                );
            }
            _ => {
                cursor.integer(&mut other)?;
                let name = match member {
                    "burst" => "linux.resources.cpu.burst",
                    "idle" => "linux.resources.cpu.idle",
                    _ => "linux.resources.cpu.realtimeRuntime",
                };
                read.miss_if(other > 0, name);
            }
        }
    }
    read.limits.cpu_weight = asked(shares).map(CpuWeight::from_shares);
    read.limits.cpu_quota_us = asked(quota);
    read.limits.cpu_period_us = u32::try_from(period).ok().filter(|&period| period > 0);
    read.miss_if(
        (1..MIN_CPU_US).contains(&quota),
        "linux.resources.cpu.quota below 1000",
    );
    let kept = period == 0 || (MIN_CPU_US..=MAX_CPU_PERIOD_US).contains(&period);
    read.miss_if(!kept, "linux.resources.cpu.period outside 1000 to 1000000");
    Ok(())
}

/// Turns a number of the document into a limit.
const fn asked(limit: i64) -> Option<u64> {
    match limit {
        0 => None,
        1.. => Some(limit as u64),
        _ => Some(UNLIMITED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn read(text: &str) -> Resources {
        let mut bytes = String::from(text).into_bytes();
        crate::json::check(&bytes).expect("JSON");
        resources(&mut Cursor::new(&mut bytes)).expect("resources")
    }

    fn missed(text: &str) -> Option<&'static str> {
        read(text).missed
    }

    #[test]
    fn what_is_not_asked_for_stays_as_it_is() {
        for text in [
            "null",
            "{}",
            r#"{"memory":null,"cpu":{},"pids":{"limit":0},"blockIO":{},"unified":{}}"#,
            r#"{"memory":{"limit":0},"cpu":{"shares":0,"quota":0,"period":0,"cpus":"","mems":""}}"#,
            r#"{"devices":[{"allow":false,"access":"rwm"}],"hugepageLimits":[{"pageSize":"2MB","limit":1}],"network":{"classID":1},"rdma":{"x":{}}}"#,
        ] {
            assert_eq!(read(text), Resources::default(), "{text}");
        }
    }

    #[test]
    fn limits_are_read_in_their_units() {
        let all = read(
            r#"{"memory":{"limit":268435456,"swap":-1,"reservation":7},"pids":{"limit":9},
                "cpu":{"shares":512,"quota":-1,"period":100000,"cpus":"0"}}"#,
        );
        assert_eq!(all.missed, None);
        assert_eq!(
            all.limits,
            Limits {
                memory_bytes: Some(268_435_456),
                tasks: Some(9),
                cpu_weight: Some(CpuWeight::from_shares(512)),
                cpu_quota_us: Some(UNLIMITED),
                cpu_period_us: Some(100_000),
            }
        );
        let none = read(r#"{"memory":{"limit":-1},"pids":{"limit":-1}}"#).limits;
        assert_eq!(
            (none.memory_bytes, none.tasks),
            (Some(UNLIMITED), Some(UNLIMITED))
        );
    }

    #[test]
    fn shares_outside_the_range_become_the_nearest_inside() {
        for (asked, kept) in [
            (1, 2),
            (2, 2),
            (3, 3),
            (262_143, 262_143),
            (262_144, 262_144),
            (262_145, 262_144),
        ] {
            assert_eq!(CpuWeight::from_shares(asked).shares(), kept);
        }
    }

    #[test]
    fn a_quota_and_its_period_have_bounds() {
        let cpu = |quota: i64, period: i64| {
            missed(&std::format!(
                r#"{{"cpu":{{"quota":{quota},"period":{period}}}}}"#
            ))
        };
        assert!(cpu(999, 0).expect("below").contains("quota"));
        assert_eq!(cpu(1_000, 0), None);
        assert_eq!(cpu(1_001, 0), None);
        for (period, kept) in [
            (999, false),
            (1_000, true),
            (1_001, true),
            (999_999, true),
            (1_000_000, true),
            (1_000_001, false),
            (-1, false),
            (1 << 40, false),
        ] {
            assert_eq!(cpu(-1, period).is_none(), kept, "{period}");
        }
    }

    #[test]
    fn what_would_not_be_kept_is_named() {
        for (text, name) in [
            (
                r#"{"memory":{"disableOOMKiller":true}}"#,
                "disableOOMKiller",
            ),
            (r#"{"cpu":{"realtimeRuntime":1}}"#, "realtimeRuntime"),
            (r#"{"cpu":{"burst":1}}"#, "burst"),
            (r#"{"cpu":{"idle":1}}"#, "idle"),
            (r#"{"cpu":{"cpus":"0-1"}}"#, "cpus"),
            (r#"{"cpu":{"mems":"1"}}"#, "mems"),
            (r#"{"blockIO":{"weight":10}}"#, "blockIO"),
            (r#"{"unified":{"memory.high":"1"}}"#, "unified"),
        ] {
            assert!(missed(text).expect(text).contains(name), "{text}");
        }
        assert_eq!(missed(r#"{"memory":{"disableOOMKiller":false}}"#), None);
        assert_eq!(missed(r#"{"cpu":{"realtimeRuntime":0}}"#), None);
    }
}
