//! What is read of an OCI runtime specification's `linux.resources`: the limits of a container.
//!
//! Limits are kept or refused, never passed over. What is passed over limits something this machine does not have, so that
//! it is kept without doing anything (`devices`, `hugepageLimits`, `network`, `rdma`, and of `memory` what is about swap space
//! and kernel memory, which counts in `limit`), or is a wish (`memory.reservation`).

use crate::json::{Cursor, Error, Field};
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
    let (mut memory, mut tasks) = (0, 0);
    let (mut shares, mut quota, mut period) = (0, 0, 0);
    let (mut burst, mut idle, mut realtime) = (0, 0, 0);
    let (mut survives, mut block_io, mut unified) = (false, false, false);
    let (mut cpus, mut mems) = ("", "");
    cursor.object(&mut [
        (
            "memory",
            Field::Object(&mut [
                ("limit", Field::I64(&mut memory)),
                ("disableOOMKiller", Field::Flag(&mut survives)),
            ]),
        ),
        (
            "cpu",
            Field::Object(&mut [
                ("shares", Field::I64(&mut shares)),
                ("quota", Field::I64(&mut quota)),
                ("period", Field::I64(&mut period)),
                ("burst", Field::I64(&mut burst)),
                ("idle", Field::I64(&mut idle)),
                ("realtimeRuntime", Field::I64(&mut realtime)),
                ("cpus", Field::Text(&mut cpus)),
                ("mems", Field::Text(&mut mems)),
            ]),
        ),
        (
            "pids",
            Field::Object(&mut [("limit", Field::I64(&mut tasks))]),
        ),
        (
            "blockIO",
            Field::Other(&mut |cursor| {
                block_io = cursor.skip_object()?;
                Ok(())
            }),
        ),
        (
            "unified",
            Field::Other(&mut |cursor| {
                unified = cursor.skip_object()?;
                Ok(())
            }),
        ),
    ])?;
    // There is one processor and one memory.
    let is_whole = |list| matches!(list, "" | "0");
    let is_period = period == 0 || (MIN_CPU_US..=MAX_CPU_PERIOD_US).contains(&period);
    let missed = [
        (survives, "linux.resources.memory.disableOOMKiller"),
        (
            (1..MIN_CPU_US).contains(&quota),
            "linux.resources.cpu.quota below 1000",
        ),
        (
            !is_period,
            "linux.resources.cpu.period outside 1000 to 1000000",
        ),
        (burst > 0, "linux.resources.cpu.burst"),
        (idle > 0, "linux.resources.cpu.idle"),
        (realtime > 0, "linux.resources.cpu.realtimeRuntime"),
        (
            !is_whole(cpus) || !is_whole(mems),
            "linux.resources.cpu.cpus and mems other than 0",
        ),
        (block_io, "linux.resources.blockIO"),
        (unified, "linux.resources.unified"),
    ];
    Ok(Resources {
        limits: Limits {
            memory_bytes: asked(memory),
            tasks: asked(tasks),
            cpu_weight: asked(shares).map(CpuWeight::from_shares),
            cpu_quota_us: asked(quota),
            cpu_period_us: u32::try_from(period).ok().filter(|&period| period > 0),
        },
        missed: missed
            .iter()
            .find(|(is_asked, _)| *is_asked)
            .map(|&(_, name)| name),
    })
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
