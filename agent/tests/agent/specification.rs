//! Parts of an OCI specification that are refused because a program would miss them, and parts that are read past (gcs-protocol §7.1).

use crate::stage::*;
use agent::kernel::Writes;
use serde_json::{Value, json};

fn with_mounts(mounts: &Value) -> Value {
    let mut specification = specification();
    specification["mounts"] = mounts.clone();
    create_with("x", &specification)
}

fn with_annotations(id: &str, annotations: &Value) -> Value {
    let mut specification = specification();
    specification["annotations"] = annotations.clone();
    create_with(id, &specification)
}

fn in_pod(id: &str, kind: &str, sandbox: &str) -> Value {
    with_annotations(
        id,
        &json!({"io.kubernetes.cri.container-type": kind, "io.kubernetes.cri.sandbox-id": sandbox}),
    )
}

#[test]
fn the_file_systems_every_container_lists_are_read_past() {
    let mounts = json!([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": null},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": []},
        {"destination": "/dev2", "type": "devtmpfs"},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"},
        {"destination": "/sys/fs/cgroup", "type": "cgroup2", "uidMappings": [{"size": 1}]},
    ]);
    for mounts in [mounts, json!([]), Value::Null] {
        let mut stage = Stage::negotiated();
        assert_eq!(stage.ask(CREATE, &with_mounts(&mounts)).result(), 0);
    }
}

#[test]
fn a_mount_whose_files_would_be_missed_is_refused_by_its_place_and_destination() {
    let proc = json!({"destination": "/proc", "type": "proc", "source": "proc"});
    for mount in [
        json!({"destination": "/data", "type": "bind", "source": "host"}),
        json!({"destination": "/data", "type": "none", "options": ["ro", "bind"]}),
        json!({"destination": "/data", "type": "bind", "source": "/host", "options": ["noexec"]}),
        json!({"destination": "/data", "type": "bind", "source": "sandbox:///data"}),
        json!({"destination": "/data", "type": "bind", "source": "hugepages://2M/data"}),
        json!({"options": ["rbind"], "destination": "/data"}),
        json!({"destination": "/data", "type": "tmpfs", "options": ["ro"]}),
        json!({"destination": "/data", "type": "tmpfs", "options": ["mode=10000"]}),
        json!({"destination": "/data", "type": "tmpfs", "options": ["mode="]}),
        json!({"destination": "/data", "type": "tmpfs", "options": ["huge=always"]}),
        json!({"destination": "/data", "source": "sandbox:///data"}),
        json!({"destination": "/data", "type": "ext4", "source": "/dev/sdb"}),
    ] {
        let mut stage = Stage::negotiated();
        let response = stage.ask(CREATE, &with_mounts(&json!([proc, mount, mount])));
        assert_eq!(response.result(), NOT_IMPLEMENTED, "{mount}");
        assert_eq!(
            response.error(),
            "not supported: OciSpecification.mounts[1], at \"/data\""
        );
        assert!(stage.kernel.processes.is_empty() && stage.kernel.views.is_empty());
        assert_eq!(stage.create("x").result(), 0, "the id is free");
    }
}

#[test]
fn mounts_become_changes_of_the_view_in_their_order() {
    let mut stage = Stage::negotiated();
    let mounts = json!([
        {"destination": "/data", "type": "bind", "source": "/run/mounts/scsi/m3", "options": ["rbind", "rprivate", "ro"]},
        {"destination": "/etc/hosts", "type": "none", "source": "uvm:///etc/hosts", "options": ["bind", "rw"]},
        {"destination": "/dev/shm", "type": "tmpfs", "options": ["size=64k"]},
        {"destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/tmp", "type": "tmpfs"},
        {"destination": "/cache", "type": "bind", "source": "/run/mounts/scsi/m3"},
    ]);
    assert_eq!(stage.ask(CREATE, &with_mounts(&mounts)).result(), 0);
    let changes: Vec<_> = stage.kernel.changes.iter().map(|c| &c.change[..]).collect();
    let view = "View { index: 1, generation: 0 }";
    assert_eq!(
        changes,
        [
            format!("Bind({view}, \"/run/mounts/scsi/m3\", Refused, \"/data\")"),
            format!("Bind({view}, \"/etc/hosts\", Kept, \"/etc/hosts\")"),
            format!("Memory({view}, 493, \"/run\")"),
            format!("Memory({view}, 1023, \"/tmp\")"),
            format!("Bind({view}, \"/run/mounts/scsi/m3\", Kept, \"/cache\")"),
        ]
    );
}

#[test]
fn a_root_that_is_read_only_refuses_writes() {
    for (read_only, writes) in [
        (json!(true), Writes::Refused),
        (json!(false), Writes::Kept),
        (json!(null), Writes::Kept),
    ] {
        let mut stage = Stage::negotiated();
        let mut specification = specification();
        specification["root"]["readonly"] = read_only;
        let request = create_with("x", &specification);
        assert_eq!(stage.ask(CREATE, &request).result(), 0);
        assert_eq!(stage.kernel.writes, writes);
    }
}

#[test]
fn a_long_destination_is_cut_with_a_mark() {
    let mut stage = Stage::negotiated();
    let mounts = json!([{"destination": format!("/{}", "d".repeat(5000)), "type": "bind"}]);
    let response = stage.ask(CREATE, &with_mounts(&mounts));
    assert!(response.error().contains("/ddd") && response.error().contains("...\""));
    assert!(response.error().len() < 200);
}

#[test]
fn mounts_of_wrong_types_are_no_readable_specification() {
    for mounts in [
        json!({}),
        json!(["/data"]),
        json!([{"destination": 1}]),
        json!([{"type": ["bind"]}]),
        json!([{"options": "bind"}]),
        json!([{"options": [1]}]),
    ] {
        let mut stage = Stage::negotiated();
        let response = stage.ask(CREATE, &with_mounts(&mounts));
        assert_eq!(response.result(), INVALID_JSON, "{mounts}");
    }
}

#[test]
fn a_container_joins_a_pod_whose_sandbox_is_there() {
    let mut stage = Stage::negotiated();
    assert_eq!(
        stage.ask(CREATE, &in_pod("pod", "sandbox", "pod")).result(),
        0
    );
    assert_eq!(
        stage.ask(CREATE, &in_pod("a", "container", "pod")).result(),
        0
    );
    assert_eq!(
        stage.ask(CREATE, &in_pod("b", "container", "pod")).result(),
        0
    );
}

#[test]
fn a_container_of_an_unknown_pod_is_refused() {
    let mut stage = Stage::negotiated();
    assert_eq!(stage.create("alone").result(), 0);
    assert_eq!(
        stage.ask(CREATE, &in_pod("pod", "sandbox", "pod")).result(),
        0
    );
    assert_eq!(
        stage.ask(CREATE, &in_pod("a", "container", "pod")).result(),
        0
    );
    // Neither a container of its own nor one in a pod is a sandbox.
    for sandbox in ["nope", "alone", "a", ""] {
        let response = stage.ask(CREATE, &in_pod("x", "container", sandbox));
        assert_eq!(response.result(), FAIL);
        assert_eq!(
            response.error(),
            format!("annotation io.kubernetes.cri.sandbox-id: there is no sandbox \"{sandbox}\"")
        );
    }
    stage.ask(DELETE, &base("pod"));
    assert_eq!(stage.receive().unwrap().message, NOTIFICATION);
    let response = stage.ask(CREATE, &in_pod("x", "container", "pod"));
    assert_eq!(response.result(), FAIL, "a deleted sandbox is none");
    assert_eq!(stage.create("x").result(), 0, "the id is free");
}

#[test]
fn a_container_of_a_pod_is_made_with_its_sandbox_and_no_other_is() {
    const POD: &str = "io.microsoft.cri.virtual-pod-id";
    let mut stage = Stage::negotiated();
    let mut sandbox_of = |request: &Value| {
        assert_eq!(stage.ask(CREATE, request).result(), 0);
        stage.kernel.sandbox.map(|view| view.index)
    };
    // Views are numbered from 1.
    assert_eq!(sandbox_of(&in_pod("alone", "", "")), None);
    assert_eq!(sandbox_of(&in_pod("one", "sandbox", "one")), None);
    let other = with_annotations("other", &json!({POD: "other"}));
    assert_eq!(sandbox_of(&other), None);
    assert_eq!(sandbox_of(&in_pod("a", "container", "other")), Some(3));
    assert_eq!(sandbox_of(&in_pod("b", "container", "one")), Some(2));
    assert_eq!(sandbox_of(&in_pod("c", "", "one")), None);
}

#[test]
fn an_unknown_kind_of_container_is_refused() {
    let mut stage = Stage::negotiated();
    let response = stage.ask(CREATE, &in_pod("x", "Sandbox", "x"));
    assert_eq!(response.result(), FAIL);
    assert_eq!(
        response.error(),
        "annotation io.kubernetes.cri.container-type: \"Sandbox\" is no kind of container"
    );
}

#[test]
fn what_changes_nothing_a_program_could_miss_is_read_past() {
    let mut specification = specification();
    specification["process"]["rlimits"] =
        json!([{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]);
    specification["process"]["capabilities"] = json!({"bounding": ["CAP_KILL"]});
    specification["process"]["noNewPrivileges"] = json!(true);
    specification["annotations"] = json!({"io.microsoft.lcow.shm.size-kb": "64", "other": ""});
    specification["linux"] = json!({"namespaces": [{"type": "pid"}], "resources": {}});
    let mut stage = Stage::negotiated();
    assert_eq!(
        stage
            .ask(CREATE, &create_with("x", &specification))
            .result(),
        0
    );
}

/// The specification with these resources.
fn with_resources(resources: &serde_json::Value) -> serde_json::Value {
    let mut specification = specification();
    specification["linux"] = json!({"resources": resources});
    create_with("x", &specification)
}

#[test]
fn limits_of_a_container_are_set_before_its_init_is_loaded() {
    let mut stage = Stage::negotiated();
    // As a host sends them: periods and quotas are filled in, devices are left out (gcs-protocol §7.1.1).
    let resources = json!({
        "memory": {"limit": 1 << 28},
        "cpu": {"shares": 2048, "quota": -1, "period": 100_000},
        "pids": {"limit": 50},
    });
    assert_eq!(stage.ask(CREATE, &with_resources(&resources)).result(), 0);
    let view = stage.kernel.at(101).view;
    let [(limited, limits)] = &stage.kernel.limits[..] else {
        panic!("{:?}", stage.kernel.limits);
    };
    assert_eq!(*limited, view);
    assert_eq!(limits.memory_bytes, Some(1 << 28));
    assert_eq!(limits.tasks, Some(50));
    assert_eq!(limits.cpu_weight.map(|weight| weight.shares()), Some(2048));
    assert_eq!(limits.cpu_quota_us, Some(agent::kernel::UNLIMITED));
}

#[test]
fn a_limit_that_cannot_be_kept_is_refused_by_name_and_nothing_is_made() {
    let mut stage = Stage::negotiated();
    for (resources, name) in [
        (
            json!({"memory": {"disableOOMKiller": true}}),
            "disableOOMKiller",
        ),
        (json!({"cpu": {"realtimeRuntime": 1}}), "realtimeRuntime"),
        (json!({"cpu": {"cpus": "1"}}), "cpus"),
        (json!({"cpu": {"quota": 10}}), "quota"),
        (json!({"cpu": {"period": 10}}), "period"),
        (json!({"blockIO": {"weight": 10}}), "blockIO"),
        (json!({"unified": {"cpu.max": "max"}}), "unified"),
    ] {
        let response = stage.ask(CREATE, &with_resources(&resources));
        assert_eq!(response.result(), NOT_IMPLEMENTED, "{resources}");
        assert!(response.error().contains(name), "{}", response.error());
        assert!(stage.kernel.views.is_empty() && stage.kernel.processes.is_empty());
    }
}

#[test]
fn a_kernel_that_refuses_a_limit_leaves_no_container() {
    let mut stage = Stage::negotiated();
    stage.kernel.limits_refusal = Some(agent::kernel::Refusal::Unsupported("this limit"));
    let response = stage.ask(CREATE, &with_resources(&json!({"pids": {"limit": 1}})));
    assert_eq!(response.result(), NOT_IMPLEMENTED);
    assert!(response.error().contains("this limit"));
    assert!(stage.kernel.views.is_empty());
    assert_eq!(stage.create("x").result(), 0, "the id is free");
}

/// §7.1.1: a container whose id is the virtual pod's is a sandbox, whatever kind it says it is.
#[test]
fn the_container_a_virtual_pod_is_named_after_is_its_sandbox() {
    const POD: &str = "io.microsoft.cri.virtual-pod-id";
    const KIND: &str = "io.kubernetes.cri.container-type";
    for kind in ["", "sandbox", "container", "anything"] {
        let mut stage = Stage::negotiated();
        let sandbox = with_annotations("pod", &json!({KIND: kind, POD: "pod"}));
        assert_eq!(stage.ask(CREATE, &sandbox).result(), 0, "{kind}");
        let workload = in_pod("x", "container", "pod");
        assert_eq!(stage.ask(CREATE, &workload).result(), 0, "{kind}");
    }
    let mut stage = Stage::negotiated();
    let other = with_annotations("x", &json!({KIND: "container", POD: "pod"}));
    assert_eq!(stage.ask(CREATE, &other).result(), FAIL, "not the sandbox");
    let null = with_annotations("x", &json!({POD: null}));
    assert_eq!(stage.ask(CREATE, &null).result(), 0);
}

/// §7.1.1, §7.3: the name goes to the kernel, which has the container's files; an exec's own one, or none.
#[test]
fn a_user_s_name_is_handed_to_the_kernel_as_it_stands() {
    for name in ["", "alice", "7", "alice:staff", "\u{e9}:0"] {
        let mut stage = Stage::negotiated();
        let mut own = specification();
        own["process"]["user"]["username"] = name.into();
        let response = stage.ask(CREATE, &create_with("x", &own));
        assert_eq!(response.result(), 0, "{}", response.error());
        let init = stage.execute("x", &json!({}));
        assert_eq!(stage.kernel.at(init).user, name);
        assert_eq!(stage.kernel.at(init).credentials.uid, 1, "and the ids too");
        let exec = json!({"args": ["a"], "user": {"uid": 5, "username": name}});
        let exec = stage.execute("x", &json!({"OciProcess": exec}));
        assert_eq!(stage.kernel.at(exec).user, name);
        let external = stage.external("a");
        assert_eq!(stage.kernel.at(external).user, "");
    }
}

#[test]
fn a_container_s_name_is_its_specification_s_host_name() {
    let named = |name: &Value| {
        let mut specification = specification();
        specification["hostname"] = name.clone();
        create_with("x", &specification)
    };
    for (name, given) in [
        (json!("box"), Some("box")),
        (json!(""), None),
        (Value::Null, None),
    ] {
        let mut stage = Stage::negotiated();
        assert_eq!(stage.ask(CREATE, &named(&name)).result(), 0, "{name}");
        let names: Vec<_> = stage.kernel.names.values().map(String::as_str).collect();
        assert_eq!(names, Vec::from_iter(given), "{name}");
    }
    for bad in [json!("a\0b"), json!(1)] {
        let mut stage = Stage::negotiated();
        assert_ne!(stage.ask(CREATE, &named(&bad)).result(), 0, "{bad}");
        assert!(stage.kernel.views.is_empty());
    }
}
