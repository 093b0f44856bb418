//! GetProperties (gcs-protocol §10): every property, and what a host asks that nobody knows.

use crate::stage::*;
use agent::kernel::{DiskUsage, Throttling, UNLIMITED, Usage};
use agent::limits::{MAX_LISTED_PROCESSES, PROCESS_DETAILS_BYTES};
use core::time::Duration;
use serde_json::{Value, json};

fn query(id: &str, types: &[&str]) -> Value {
    json!({"ContainerId": id, "ActivityId": NULL_ID, "Query": json!({"PropertyTypes": types}).to_string()})
}

/// Asks and returns the document.
#[track_caller]
fn properties(stage: &mut Stage, id: &str, types: &[&str]) -> Value {
    let response = stage.ask(PROPERTIES, &query(id, types));
    assert_eq!(response.result(), 0, "{}", response.error());
    let text = response.body["Properties"].as_str().expect("a string");
    serde_json::from_str(text).expect("JSON")
}

fn metrics(stage: &mut Stage, usage: Usage) -> Value {
    let view = stage.kernel.at(101).view;
    stage.kernel.usage.insert(view.index, usage);
    properties(stage, "x", &["Statistics"])["LCOWMetrics"].clone()
}

fn container() -> Stage {
    let mut stage = Stage::negotiated();
    stage.container("x");
    stage
}

#[test]
fn asked_for_nothing_the_answer_is_an_empty_document() {
    let mut stage = container();
    for body in [
        json!({"ContainerId": "x"}),
        json!({"ContainerId": "x", "Query": ""}),
        json!({"ContainerId": "x", "Query": null}),
        json!({"ContainerId": "x", "Query": "{}"}),
        json!({"ContainerId": "x", "Query": "null"}),
        json!({"ContainerId": "x", "Query": "{\"PropertyTypes\":null}"}),
        json!({"ContainerId": "x", "Query": "{\"PropertyTypes\":[]}"}),
        json!({"ContainerId": "x", "Query": "{\"Queries\":{\"Statistics\":{}}}"}),
    ] {
        let response = stage.ask(PROPERTIES, &body);
        assert_eq!(response.body["Properties"], "{}", "{body}");
    }
}

#[test]
fn types_nobody_answers_are_passed_over_beside_those_that_are() {
    let mut stage = container();
    for name in [
        "Memory",
        "CpuGroup",
        "PendingUpdates",
        "TerminateOnLastHandleClosed",
        "MappedDirectory",
        "SystemGUID",
        "Network",
        "MappedPipe",
        "MappedVirtualDisk",
        "processlist",
        "",
        "no such property",
    ] {
        assert_eq!(properties(&mut stage, "x", &[name]), json!({}), "{name}");
        let both = properties(&mut stage, "x", &[name, "ProcessList", name]);
        assert_eq!(both["ProcessList"][0]["ProcessId"], 101, "{name}");
    }
}

#[test]
fn several_types_are_answered_at_once_in_the_order_of_the_structure() {
    let mut stage = container();
    for types in [["ProcessList", "Statistics"], ["Statistics", "ProcessList"]] {
        let response = stage.ask(PROPERTIES, &query("x", &types));
        let text = response.body["Properties"].as_str().unwrap();
        let list = text.find("ProcessList").expect("asked for");
        let metrics = text.find("LCOWMetrics").expect("asked for");
        assert!(list < metrics, "{text}");
    }
}

#[test]
fn a_query_that_is_no_json_or_no_string_is_refused_with_its_place() {
    let mut stage = container();
    for (query, place) in [
        (json!("{"), "Query"),
        (json!("[]"), "Query"),
        (json!("{\"PropertyTypes\":\"Statistics\"}"), "PropertyTypes"),
        (json!("{\"PropertyTypes\":[1]}"), "PropertyTypes"),
        (json!({"PropertyTypes": []}), "Query"),
        (json!(7), "Query"),
    ] {
        let response = stage.ask(PROPERTIES, &json!({"ContainerId": "x", "Query": query}));
        assert_eq!(response.result(), INVALID_JSON, "{query}");
        assert!(response.error().contains(place), "{}", response.error());
        assert!(response.body.get("Properties").is_none());
    }
}

#[test]
fn a_container_nobody_knows_is_refused_and_so_is_one_that_is_not_there_yet() {
    let mut stage = container();
    let ask =
        |stage: &mut Stage, id: &str| stage.ask(PROPERTIES, &query(id, &["Statistics"])).result();
    assert_eq!(ask(&mut stage, "y"), NO_CONTAINER);
    assert_eq!(ask(&mut stage, ""), NO_CONTAINER);
    stage.kernel.loads_at_once = false;
    stage.send(CREATE, &create_request("z"));
    assert_eq!(
        ask(&mut stage, "z"),
        INVALID_STATE,
        "it is still being created"
    );
}

#[test]
fn a_process_is_told_with_its_name_times_memory_and_birth() {
    let mut stage = container();
    let process = stage.kernel.at(101);
    process.args[0] = "/bin/a\"b\\c\u{1}".into();
    process.user_time = Duration::from_micros(12_345);
    process.kernel_time = Duration::from_nanos(250);
    process.memory_bytes = 1 << 20;
    process.created = Some(Duration::from_secs(951_782_399));
    assert_eq!(
        properties(&mut stage, "x", &["ProcessList"]),
        json!({"ProcessList": [{
            "ProcessId": 101,
            "ImageName": "/bin/a\"b\\c\u{1}",
            "CreateTimestamp": "2000-02-28T23:59:59.000000Z",
            "UserTime100ns": 123_450,
            "KernelTime100ns": 2,
            "MemoryCommitBytes": 1 << 20,
        }]})
    );
}

#[test]
fn numbers_of_a_process_never_leave_what_the_host_can_hold() {
    let mut stage = container();
    let most = i32::MAX as u64;
    for (units, told) in [
        (most - 1, most - 1),
        (most, most),
        (most + 1, most),
        (u64::MAX / 100, most),
    ] {
        let process = stage.kernel.at(101);
        process.user_time = Duration::from_nanos(units * 100);
        process.kernel_time = Duration::from_nanos(units * 100);
        process.memory_bytes = units;
        let list = properties(&mut stage, "x", &["ProcessList"]);
        for member in ["UserTime100ns", "KernelTime100ns", "MemoryCommitBytes"] {
            assert_eq!(list["ProcessList"][0][member], told, "{member} of {units}");
        }
    }
}

#[test]
fn each_container_tells_its_own_processes_and_the_utility_vm_those_of_nobody() {
    let mut stage = Stage::negotiated();
    let x = stage.container("x");
    let y = stage.container("y");
    let external = stage.external("tool");
    let further = json!({"OciProcess": {"args": ["sh"], "cwd": "/"}});
    let exec = stage.execute("x", &further);
    let pids = |stage: &mut Stage, id: &str| -> Vec<u64> {
        properties(stage, id, &["ProcessList"])["ProcessList"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|process| process["ProcessId"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(pids(&mut stage, "x"), [u64::from(x), u64::from(exec)]);
    assert_eq!(pids(&mut stage, "y"), [u64::from(y)]);
    assert_eq!(pids(&mut stage, NULL_ID), [u64::from(external)]);
    stage
        .kernel
        .exit(external, agent::kernel::ExitStatus::Exited(0));
    assert_eq!(properties(&mut stage, NULL_ID, &["ProcessList"]), json!({}));
}

#[test]
fn no_process_is_left_out_of_a_long_list_and_the_frame_is_never_too_long() {
    for (count, all) in [(100, true), (MAX_LISTED_PROCESSES, false)] {
        let mut stage = Stage::negotiated();
        stage.kernel.set_next_pid(4_000_000);
        stage.container("x");
        let view = stage.kernel.at(4_000_000).view;
        for nth in 1..count {
            stage.kernel.fork(4_000_000, 4_000_000 + nth as u32);
        }
        for pid in 0..count {
            let process = stage.kernel.at(4_000_000 + pid as u32);
            process.args[0] = "\u{1}".repeat(15);
            process.created = Some(Duration::from_secs(951_782_399));
            process.user_time = Duration::MAX / 1_000_000_000;
            process.kernel_time = process.user_time;
            process.memory_bytes = u64::MAX;
        }
        let disk = DiskUsage {
            major: u32::MAX,
            minor: u32::MAX,
            read_bytes: u64::MAX,
            reads: u64::MAX,
        };
        stage.kernel.disks.insert(view.index, vec![disk; 32]);
        stage.kernel.usage.insert(view.index, largest());
        // The stage refuses a frame above the host's limit.
        let told = properties(&mut stage, "x", &["ProcessList", "Statistics"]);
        let list = told["ProcessList"].as_array().expect("a list");
        assert_eq!(list.len(), count);
        let detailed = list
            .iter()
            .filter(|process| process.get("ImageName").is_some());
        let detailed = detailed.count();
        assert_eq!(detailed == count, all, "{detailed} of {count}");
        assert!(detailed * 512 > PROCESS_DETAILS_BYTES / 2 || all);
        assert!(
            list[detailed..]
                .iter()
                .all(|process| process.as_object().unwrap().len() == 1)
        );
    }
}

/// Every number at its largest.
fn largest() -> Usage {
    let long = Duration::from_nanos(u64::MAX / 4);
    Usage {
        user_time: long,
        kernel_time: long,
        throttling: Throttling {
            periods: u64::MAX,
            throttled_periods: u64::MAX,
            throttled_time: long,
        },
        tasks: u64::MAX,
        tasks_limit: u64::MAX - 1,
        memory_bytes: u64::MAX,
        program_bytes: u64::MAX,
        file_bytes: u64::MAX,
        kernel_bytes: u64::MAX,
        memory_peak_bytes: u64::MAX,
        memory_limit_bytes: u64::MAX,
        memory_failures: u64::MAX,
        memory_kills: u64::MAX,
        faults: u64::MAX,
        major_faults: u64::MAX,
    }
}

#[test]
fn statistics_stand_in_the_order_of_the_structure() {
    let mut stage = container();
    let view = stage.kernel.at(101).view;
    let disk = DiskUsage {
        major: 254,
        minor: 16,
        read_bytes: 8192,
        reads: 2,
    };
    stage.kernel.disks.insert(view.index, vec![disk]);
    stage.kernel.usage.insert(view.index, largest());
    let response = stage.ask(PROPERTIES, &query("x", &["Statistics"]));
    let text = response.body["Properties"].as_str().unwrap();
    let mut from = 0;
    for name in [
        "LCOWMetrics",
        "pids",
        "current",
        "limit",
        "cpu",
        "usage",
        "total",
        "kernel",
        "user",
        "throttling",
        "periods",
        "throttled_periods",
        "throttled_time",
        "memory",
        "cache",
        "rss",
        "pg_fault",
        "pg_maj_fault",
        "hierarchical_memory_limit",
        "hierarchical_swap_limit",
        "usage",
        "limit",
        "usage",
        "max",
        "failcnt",
        "swap",
        "limit",
        "kernel",
        "usage",
        "kernel_tcp",
        "blkio",
        "io_service_bytes_recursive",
        "op",
        "major",
        "minor",
        "value",
        "io_serviced_recursive",
        "op",
        "major",
        "minor",
        "value",
        "memory_oom_control",
        "oom_kill",
    ] {
        let quoted = format!("\"{name}\":");
        let at = text[from..].find(&quoted);
        from += at.unwrap_or_else(|| panic!("{name} behind {}", &text[..from])) + quoted.len();
    }
}

#[test]
fn what_is_zero_is_left_out_and_its_object_stays() {
    let mut stage = container();
    assert_eq!(
        metrics(
            &mut stage,
            Usage {
                tasks_limit: UNLIMITED,
                memory_limit_bytes: UNLIMITED,
                ..Usage::default()
            }
        ),
        json!({
            "pids": {},
            "cpu": {"usage": {}, "throttling": {}},
            "memory": {
                "hierarchical_memory_limit": UNLIMITED,
                "hierarchical_swap_limit": UNLIMITED,
                "usage": {"limit": UNLIMITED},
                "swap": {"limit": UNLIMITED},
                "kernel": {},
                "kernel_tcp": {},
            },
            "blkio": {},
            "memory_oom_control": {},
        })
    );
}

#[test]
fn each_number_stands_where_the_host_looks_for_it() {
    let mut stage = container();
    let usage = Usage {
        user_time: Duration::from_nanos(3),
        kernel_time: Duration::from_nanos(4),
        throttling: Throttling {
            periods: 5,
            throttled_periods: 6,
            throttled_time: Duration::from_nanos(7),
        },
        tasks: 8,
        tasks_limit: 9,
        memory_bytes: 10,
        program_bytes: 11,
        file_bytes: 12,
        kernel_bytes: 13,
        memory_peak_bytes: 14,
        memory_limit_bytes: 15,
        memory_failures: 16,
        memory_kills: 17,
        faults: 18,
        major_faults: 19,
    };
    let told = metrics(&mut stage, usage);
    for (place, value) in [
        ("/cpu/usage/total", 7),
        ("/cpu/usage/user", 3),
        ("/cpu/usage/kernel", 4),
        ("/cpu/throttling/periods", 5),
        ("/cpu/throttling/throttled_periods", 6),
        ("/cpu/throttling/throttled_time", 7),
        ("/pids/current", 8),
        ("/pids/limit", 9),
        ("/memory/usage/usage", 10),
        ("/memory/rss", 11),
        ("/memory/cache", 12),
        ("/memory/kernel/usage", 13),
        ("/memory/usage/max", 14),
        ("/memory/usage/limit", 15),
        ("/memory/hierarchical_memory_limit", 15),
        ("/memory/usage/failcnt", 16),
        ("/memory_oom_control/oom_kill", 17),
        ("/memory/pg_fault", 18),
        ("/memory/pg_maj_fault", 19),
    ] {
        assert_eq!(told.pointer(place), Some(&json!(value)), "{place}");
    }
}

#[test]
fn reads_of_each_disk_are_told() {
    let mut stage = container();
    let view = stage.kernel.at(101).view;
    let disk = |minor, read_bytes, reads| DiskUsage {
        major: 254,
        minor,
        read_bytes,
        reads,
    };
    stage
        .kernel
        .disks
        .insert(view.index, vec![disk(0, 4096, 1), disk(16, 65536, 3)]);
    let told = properties(&mut stage, "x", &["Statistics"]);
    assert_eq!(
        told["LCOWMetrics"]["blkio"],
        json!({
            "io_service_bytes_recursive": [
                {"op": "Read", "major": 254, "value": 4096},
                {"op": "Read", "major": 254, "minor": 16, "value": 65536},
            ],
            "io_serviced_recursive": [
                {"op": "Read", "major": 254, "value": 1},
                {"op": "Read", "major": 254, "minor": 16, "value": 3},
            ],
        })
    );
}
