//! Limits of containers, and the numbers a host is told.

use e2e::{Bed, DEADLINE};
use mote_host::{
    Container, ContainerConfig, ContainerExit, ExitType, Metrics, Process, ProcessConfig,
    PropertyType,
};
use serde_json::{Value, json};
use std::time::Instant;

/// A container with these resources, and its init.
#[track_caller]
fn run(bed: &Bed, id: &str, resources: &Value, args: &[&str]) -> (Container, Process) {
    let config = ContainerConfig::from_oci(json!({
        "ociVersion": "1.0.2",
        "process": {"args": args, "env": ["PATH=/bin"], "cwd": "/"},
        "root": {"path": "/"},
        "linux": {"resources": resources},
    }));
    let container = bed
        .guest
        .create_container(id, &config)
        .unwrap_or_else(|error| panic!("{error}\n{}", bed.vm.console()));
    container.start().expect("started");
    let init = container
        .create_process(&ProcessConfig::init())
        .expect("it runs");
    (container, init)
}

fn metrics(container: &Container) -> Metrics {
    let properties = container
        .properties(&[PropertyType::Statistics])
        .expect("answered");
    properties.metrics.expect("asked for")
}

#[test]
fn a_container_over_its_memory_limit_ends_alone() {
    let bed = Bed::busybox();
    let (neighbour, cat) = run(&bed, "neighbour", &json!({}), &["/bin/busybox", "cat"]);
    let limit = 8 << 20;
    let resources = json!({"memory": {"limit": limit}});
    let (small, init) = run(&bed, "small", &resources, &["/programs/memory", "16"]);
    let output = init.output_within(b"", DEADLINE).expect("ended");
    assert_eq!(output.exit_code, 137);
    let ended = small.wait_timeout(DEADLINE).expect("notified");
    assert_eq!(ended, ContainerExit::Notified(ExitType::Unexpected));
    let told = metrics(&small);
    assert_eq!(told.memory_limit_bytes, limit);
    assert_eq!(told.memory_kills, 1);
    assert!(told.memory_failures > 0);
    assert!(told.memory_max_bytes <= limit && told.memory_max_bytes > limit - (1 << 20));
    let told = bed.await_log("killed for its");
    let words = [&told.fields["cid"], &told.fields["pid"]].map(|field| field.as_str());
    let pid = init.pid().to_string();
    assert_eq!(words, [Some("small"), Some(pid.as_str())], "{told}");
    assert!(told.message.ends_with("KiB of 8192"), "{told}");
    assert_eq!(metrics(&neighbour).memory_kills, 0);
    let output = cat.output_within(b"still here", DEADLINE).expect("ended");
    assert_eq!(output.stdout, b"still here");
    // What fits into it runs.
    let (_fits, init) = run(&bed, "fits", &resources, &["/programs/memory", "3"]);
    let output = init.output_within(b"", DEADLINE).expect("ended");
    assert_eq!(output.exit_code, 0, "{output:?}");
    bed.assert_alive();
}

#[test]
fn a_container_makes_no_more_processes_than_it_may() {
    let bed = Bed::busybox();
    let resources = json!({"pids": {"limit": 3}});
    let script = "sleep 1000 & sleep 1000 & sleep 1000 & wait";
    let args = ["/bin/busybox", "sh", "-c", script];
    let (container, init) = run(&bed, "few", &resources, &args);
    // The shell cannot make the third, and says so.
    let output = init.output_within(b"", DEADLINE).expect("ended");
    assert_ne!(output.exit_code, 0);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("fork"), "{said}");
    drop(container);

    let (container, init) = run(
        &bed,
        "one",
        &json!({"pids": {"limit": 1}}),
        &["/bin/busybox", "cat"],
    );
    let told = metrics(&container);
    assert_eq!((told.pids_current, told.pids_limit), (1, 1));
    let error = container
        .create_process(&ProcessConfig::new(["/bin/busybox", "true"]))
        .expect_err("there is one already");
    assert!(error.to_string().contains("pids.limit = 1"), "{error}");
    drop(init);
    bed.assert_alive();
}

#[test]
fn numbers_of_a_container_grow_with_what_it_does() {
    let bed = Bed::busybox();
    let (container, init) = run(&bed, "worker", &json!({}), &["/bin/busybox", "cat"]);
    let before = metrics(&container);
    assert_eq!(before.pids_current, 1);
    assert!(before.memory_program_bytes > 0);
    assert!(
        before
            .disks
            .iter()
            .all(|disk| disk.read_bytes > 0 && disk.reads > 0)
    );
    let run = |args: &[&str]| {
        let process = container
            .create_process(&ProcessConfig::new(args.iter().copied()))
            .expect("it runs");
        process.output_within(b"", DEADLINE).expect("ended")
    };
    assert_eq!(run(&["/programs/memory", "4"]).exit_code, 0);
    let touched = metrics(&container);
    assert!(touched.memory_max_bytes >= before.memory_usage_bytes + (4 << 20));
    // What an ended process had comes back piece by piece; init itself has grown by what of its file others read.
    while metrics(&container).memory_usage_bytes >= before.memory_usage_bytes + (3 << 20) {
        bed.assert_alive();
    }
    assert!(touched.faults >= before.faults + 2048);
    assert!(touched.cpu_total_ns > before.cpu_total_ns);
    assert_eq!(
        touched.cpu_total_ns,
        touched.cpu_user_ns + touched.cpu_kernel_ns
    );
    assert_eq!(
        run(&[
            "/bin/busybox",
            "dd",
            "if=/dev/zero",
            "of=/tmp/file",
            "bs=1M",
            "count=2"
        ])
        .exit_code,
        0
    );
    let written = metrics(&container);
    assert!(written.memory_file_bytes >= before.memory_file_bytes + (2 << 20));
    // The machine's own numbers hold everybody's.
    let machine = bed
        .guest
        .properties(&[PropertyType::Statistics, PropertyType::ProcessList])
        .expect("answered");
    assert!(
        machine.process_list.is_empty(),
        "none is outside a container"
    );
    let machine = machine.metrics.expect("asked for");
    assert!(machine.cpu_total_ns >= written.cpu_total_ns);
    assert!(machine.memory_usage_bytes >= written.memory_file_bytes);
    assert!(machine.memory_usage_bytes < machine.memory_limit_bytes);
    assert_eq!(machine.pids_current, 1);
    let list = container.process_list().expect("answered");
    let [process] = &list[..] else {
        panic!("{list:?}");
    };
    assert_eq!(process.pid, init.pid());
    assert_eq!(process.image_name.as_deref(), Some("busybox"));
    assert!(process.created.is_some() && process.memory_commit_bytes > 0);
}

#[test]
fn reads_from_a_disk_are_counted_for_who_asked() {
    let bed = Bed::busybox();
    let (container, init) = run(&bed, "reader", &json!({}), &["/bin/busybox", "cat"]);
    let before: u64 = metrics(&container)
        .disks
        .iter()
        .map(|disk| disk.read_bytes)
        .sum();
    let process = container
        .create_process(&ProcessConfig::new([
            "/bin/busybox",
            "sha256sum",
            "/programs/std-hello",
        ]))
        .expect("it runs");
    assert_eq!(
        process
            .output_within(b"", DEADLINE)
            .expect("ended")
            .exit_code,
        0
    );
    let after = metrics(&container);
    let read: u64 = after.disks.iter().map(|disk| disk.read_bytes).sum();
    let size = std::fs::metadata(e2e::program("std-hello"))
        .expect("it was built")
        .len();
    assert!(read >= before + size, "{before} then {read}, for {size}");
    assert!(after.major_faults > 0 && after.major_faults <= after.faults);
    drop(init);
}

/// The ratio of what both have had, however fast the machine is.
#[test]
fn two_containers_that_spin_share_the_processor_by_weight() {
    let bed = Bed::busybox();
    let shares = |shares: u64| json!({"cpu": {"shares": shares}});
    let (light, first) = run(&bed, "light", &shares(512), &["/programs/spin"]);
    let (heavy, second) = run(&bed, "heavy", &shares(2048), &["/programs/spin"]);
    // One more in the light one gives it no more.
    let third = light
        .create_process(&ProcessConfig::new(["/programs/spin"]))
        .expect("it runs");
    let start = (metrics(&light).cpu_total_ns, metrics(&heavy).cpu_total_ns);
    let (mut slow, mut fast) = (0, 0);
    while slow + fast < 1_500_000_000 {
        bed.assert_alive();
        slow = metrics(&light).cpu_total_ns - start.0;
        fast = metrics(&heavy).cpu_total_ns - start.1;
    }
    let ratio = fast as f64 / slow as f64;
    assert!(
        (3.4..4.7).contains(&ratio),
        "{ratio}: {fast} ns to {slow} ns"
    );
    for process in [first, second, third] {
        process.kill().expect("delivered");
    }
}

#[test]
fn a_quota_of_processor_time_is_kept() {
    let bed = Bed::busybox();
    let resources = json!({"cpu": {"quota": 10_000, "period": 100_000}});
    let (limited, init) = run(&bed, "limited", &resources, &["/programs/spin"]);
    let start = Instant::now();
    // A tenth of each period. A turn may have been too long, by as much as the host lets the VM stand, and the next periods
    // pay for it: sooner or later the sum is far below what a program without a quota has.
    loop {
        bed.assert_alive();
        let (told, passed) = (metrics(&limited), start.elapsed());
        let is_kept = told.cpu_total_ns < passed.as_nanos() as u64 / 5;
        if told.throttled_periods >= 10 && is_kept {
            break;
        }
        assert!(passed < DEADLINE, "{told:?}");
    }
    init.kill().expect("delivered");
}

#[test]
fn a_dump_tells_of_containers_and_callers() {
    let bed = Bed::busybox();
    let (container, _init) = run(&bed, "dumped", &json!({}), &["/bin/busybox", "cat"]);
    let text = bed.guest.dump_stacks().expect("answered");
    for part in ["container dumped", "callers:", "files:", "view 1:", "heap:"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    drop(container);
}

/// What a process of an OCI specification says of itself.
fn tell(bed: &Bed, id: &str, process: &Value) -> String {
    let script = "grep -E '^(Cap|NoNew)' /proc/self/status; ulimit -Sn; ulimit -Hn; ulimit -c";
    let mut process = process.clone();
    process["args"] = json!(["/bin/busybox", "sh", "-c", script]);
    process["env"] = json!(["PATH=/bin"]);
    process["cwd"] = json!("/");
    let config = ContainerConfig::from_oci(json!({
        "ociVersion": "1.0.2",
        "process": process,
        "root": {"path": "/"},
    }));
    let container = bed.guest.create_container(id, &config).expect("created");
    container.start().expect("started");
    let init = container
        .create_process(&ProcessConfig::init())
        .expect("it runs");
    let output = init.output_within(b"", DEADLINE).expect("ended");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_program_has_the_capabilities_and_the_limits_that_its_specification_states() {
    let bed = Bed::busybox();
    let kill = ["CAP_KILL", "CAP_NOT_YET"];
    let told = tell(
        &bed,
        "user",
        &json!({
            "user": {"uid": 1000, "gid": 1000},
            "capabilities": {"bounding": ["CAP_KILL", "CAP_CHOWN"], "permitted": kill, "effective": kill,
                "inheritable": kill, "ambient": kill},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88},
                {"type": "RLIMIT_CORE", "soft": 0, "hard": u64::MAX}],
            "noNewPrivileges": true,
        }),
    );
    for line in [
        "CapInh:\t0000000000000020",
        "CapPrm:\t0000000000000020",
        "CapEff:\t0000000000000020",
        "CapBnd:\t0000000000000021",
        "CapAmb:\t0000000000000020",
        "NoNewPrivs:\t1\n77\n88\n0",
    ] {
        assert!(told.contains(line), "{line} in {told}");
    }
    // Root without a capability is somebody whom permissions hold.
    let told = tell(
        &bed,
        "root",
        &json!({"capabilities": {"bounding": [], "permitted": []}}),
    );
    assert!(told.contains("CapEff:\t0000000000000000"), "{told}");
    let told = tell(&bed, "usual", &json!({}));
    assert!(told.contains("CapEff:\t000001ffffffffff"), "{told}");
    assert!(told.contains("NoNewPrivs:\t0\n1024\n"), "{told}");
}

#[test]
fn a_limit_that_is_none_is_refused_by_name() {
    let bed = Bed::busybox();
    for (limit, reason) in [
        (json!({"type": "RLIMIT_FISH", "soft": 1, "hard": 1}), "type"),
        (json!({"type": "RLIMIT_AS", "soft": 2, "hard": 1}), "soft"),
    ] {
        let config = ContainerConfig::from_oci(json!({
            "ociVersion": "1.0.2",
            "process": {"args": ["/bin/busybox"], "cwd": "/", "rlimits": [limit]},
            "root": {"path": "/"},
        }));
        let refused = bed.guest.create_container(reason, &config);
        let refused = refused.err().map(|error| error.to_string());
        let told = refused.unwrap_or_default();
        assert!(
            told.contains("process.rlimits") && told.contains(reason),
            "{told}"
        );
    }
    bed.assert_alive();
}
