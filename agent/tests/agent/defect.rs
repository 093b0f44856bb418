//! The defects of the Linux guest (gcs-protocol §17), each by name, and what happens here instead.

use crate::stage::*;
use agent::kernel::{ExitStatus, OutputStream, Signal};
use agent::limits::DRAIN_MS;
use fakes::vsock::Answer;
use serde_json::{Value, json};

/// §17: "External ExecuteProcess without any command crashes the guest agent".
#[test]
fn an_external_process_without_a_command_is_refused() {
    let mut stage = Stage::negotiated();
    for parameters in [
        json!({}),
        json!({"CommandArgs": []}),
        json!({"CommandArgs": null, "CommandLine": null}),
        json!({"CommandLine": ""}),
        json!({"CommandLine": "  \t"}),
        json!({"CommandLine": ";"}),
        json!({"CreateInUtilityVM": true}),
    ] {
        let response = stage.ask(EXECUTE, &execute_request(NULL_ID, &parameters));
        assert_eq!(response.result(), INVALID_ARGUMENT, "{parameters}");
    }
    let none = stage.ask(EXECUTE, &base(NULL_ID));
    assert_eq!(none.result(), INVALID_ARGUMENT);
    assert_eq!(stage.ask(START, &base("x")).result(), 0);
}

/// §17: "Create without `OciSpecification`, or a spec without `linux`, `process` or `root`, crashes the guest agent".
#[test]
fn a_specification_that_lacks_parts_is_refused_by_the_part() {
    let mut stage = Stage::negotiated();
    let refused = stage.ask(CREATE, &create_with("x", &Value::Null));
    assert_eq!(refused.result(), INVALID_ARGUMENT);
    assert!(refused.error().contains("OciSpecification"));
    for part in ["process", "root"] {
        let mut specification = specification();
        specification.as_object_mut().unwrap().remove(part);
        let refused = stage.ask(CREATE, &create_with("x", &specification));
        assert_eq!(refused.result(), INVALID_ARGUMENT, "{part}");
        assert!(refused.error().contains(part), "{}", refused.error());
    }
    // The specification of these conversations has no `linux`, and needs none.
    assert!(specification().get("linux").is_none());
    assert_eq!(stage.create("x").result(), 0);
}

/// §17: "If the bridge is down when a pending WaitForProcess completes, the guest agent panics".
#[test]
fn a_wait_that_completes_while_the_bridge_is_down_does_no_harm() {
    let mut stage = Stage::negotiated();
    let init = stage.container("x");
    for ms in [10, INFINITE] {
        stage.send_wait("x", init, ms);
    }
    let bridge = stage.bridge.take().unwrap();
    stage.vsock.on_call(BRIDGE, Answer::Refuse);
    stage.vsock.host_reset(bridge);
    stage.run();
    stage.wait_ms(100);
    stage.exit(init, 4);
    stage.vsock.on_call(BRIDGE, Answer::Accept);
    stage.wait_ms(100);
    stage.bridge = stage.vsock.host(BRIDGE);
    let again = stage.ask(NEGOTIATE, &json!({"MaximumVersion": 4}));
    assert_eq!(again.result(), 0);
    let results: Vec<u32> = std::iter::from_fn(|| stage.receive())
        .filter(|frame| frame.message != NOTIFICATION)
        .map(|frame| frame.result())
        .collect();
    assert_eq!(results, [0, 0], "the exit code is preferred");
}

/// §17: "Create followed by ShutdownForced without ExecuteProcess never yields a notification".
#[test]
fn a_container_ended_before_it_ran_notifies() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    assert_eq!(stage.ask(SHUTDOWN_FORCED, &base("x")).result(), 0);
    assert_eq!(stage.receive().unwrap().message, NOTIFICATION);
}

/// §17: "A privileged workload, or one with a `blockdev://` mount, crashes the guest agent when `linux.resources` is absent".
#[test]
fn a_privileged_workload_needs_no_resources_and_a_block_device_mount_is_refused_by_name() {
    let mut stage = Stage::negotiated();
    let mut sandbox = specification();
    sandbox["annotations"] = json!({"io.kubernetes.cri.container-type": "sandbox"});
    assert_eq!(stage.ask(CREATE, &create_with("pod", &sandbox)).result(), 0);
    let mut workload = specification();
    workload["annotations"] = json!({
        "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.sandbox-id": "pod",
        "io.microsoft.virtualmachine.lcow.privileged": "true"
    });
    workload["linux"] = json!({});
    let mut with_device = workload.clone();
    with_device["mounts"] =
        json!([{"destination": "blockdev:///dev/x", "source": "/dev/sdb", "type": "bind"}]);
    let refused = stage.ask(CREATE, &create_with("work", &with_device));
    assert_eq!(refused.result(), NOT_IMPLEMENTED);
    assert!(refused.error().contains("blockdev:///dev/x"));
    assert_eq!(
        stage.ask(CREATE, &create_with("work", &workload)).result(),
        0
    );
}

/// §17: "If the host drops an init stdout/stderr connection early, init's exit is never reported; Shutdown fails too".
#[test]
fn an_init_whose_output_the_host_drops_is_still_shut_down_and_reported() {
    for (number, reset) in [(0, false), (1, true)] {
        let mut stage = Stage::negotiated();
        let init = stage.container("x");
        stage.send_wait("x", init, INFINITE);
        let [_, stdout, stderr] = stage.streams();
        let dials = stage.vsock.dials.len();
        for stream in [stdout, stderr] {
            if reset {
                stage.vsock.host_reset(stream);
            } else {
                stage.vsock.host_close(stream);
            }
        }
        stage.run();
        assert!(
            !stage.kernel.write(init, OutputStream::Stdout, b"x"),
            "EPIPE"
        );
        assert_eq!(
            stage.ask(SHUTDOWN_GRACEFUL, &base("x")).result(),
            0,
            "{number}"
        );
        assert_eq!(stage.receive().unwrap().body["ExitCode"], 143);
        assert_eq!(stage.receive().unwrap().body["Type"], "GracefulExit");
        assert_eq!(stage.vsock.dials.len(), dials, "nothing is dialled again");
    }
}

/// §17: "Only one standalone container per UVM without a network namespace id".
#[test]
fn standalone_containers_need_no_network_namespace_to_be_many() {
    let mut stage = Stage::negotiated();
    for number in 0..16 {
        let id = format!("c{number}");
        assert_eq!(stage.create(&id).result(), 0);
        stage.execute(&id, &json!({}));
    }
}

/// §17: "namespaces announced by Network/Add stay registered … an empty namespace entry remains forever".
#[test]
fn nothing_of_a_namespace_is_kept_beyond_its_container() {
    let mut stage = Stage::negotiated();
    let mut networked = specification();
    networked["windows"] = json!({"layerFolders": null, "network": {"networkNamespace": "a1b2c3d4-0000-4000-8000-000000000001"}});
    for _ in 0..3 {
        assert_eq!(stage.ask(CREATE, &create_with("x", &networked)).result(), 0);
        assert_eq!(stage.ask(DELETE, &base("x")).result(), 0);
        assert_eq!(stage.receive().unwrap().message, NOTIFICATION);
        assert!(stage.kernel.views.is_empty());
    }
}

/// §17: "A host Create that failed leaves the id registered" on the host; here it leaves nothing.
#[test]
fn a_create_that_failed_leaves_no_id() {
    let mut stage = Stage::negotiated();
    assert_ne!(
        stage.ask(CREATE, &create_with("x", &Value::Null)).result(),
        0
    );
    assert_eq!(stage.ask(DELETE, &base("x")).result(), NO_CONTAINER);
    assert_eq!(stage.create("x").result(), 0);
}

/// §17: "Container is still being created" keeps its code.
#[test]
fn still_being_created_is_a_state_and_no_failure() {
    let mut stage = Stage::negotiated();
    stage.kernel.loads_at_once = false;
    stage.send(CREATE, &create_request("x"));
    assert_eq!(stage.ask(PROPERTIES, &base("x")).result(), INVALID_STATE);
}

/// §17: "an exec whose children keep its stdio open makes WaitForProcess hang forever".
#[test]
fn a_process_whose_children_keep_its_output_open_is_reported_after_a_time() {
    let mut stage = Stage::negotiated();
    let pid = stage.external("parent");
    let [_, stdout, stderr] = stage.streams();
    stage.send_wait(NULL_ID, pid, INFINITE);
    stage.kernel.write(pid, OutputStream::Stdout, b"mine");
    stage.kernel.leave(pid, ExitStatus::Exited(2));
    stage.run();
    assert_eq!(stage.vsock.host_read(stdout), b"mine");
    stage.run();
    stage.wait_ms(DRAIN_MS - 1);
    stage.assert_silent();
    stage.wait_ms(1);
    assert_eq!(stage.receive().unwrap().body["ExitCode"], 2);
    assert!(!stage.vsock.is_held(stdout) && !stage.vsock.is_held(stderr));
}

/// §17: "a body that fails to decode as the base still goes to the handler".
#[test]
fn a_body_whose_base_is_unreadable_is_not_carried_out() {
    let mut stage = Stage::negotiated();
    let pid = stage.quiet("spin");
    let body = format!("{{\"ContainerId\":7,\"ProcessId\":{pid}}}");
    assert_eq!(stage.ask_text(SIGNAL, &body).result(), INVALID_JSON);
    assert!(stage.kernel.at(pid).signals.is_empty());
}

/// §17: "the guest does not enforce the 64 KiB limit on its side".
#[test]
fn no_answer_is_longer_than_the_host_accepts() {
    let mut stage = Stage::negotiated();
    stage.kernel.report = "\u{1}<>".repeat(100_000);
    let stacks = stage.ask(DUMP, &base(NULL_ID));
    assert_eq!(stacks.result(), 0);
    assert!(stacks.text.len() + 16 <= 65536);
}

/// §17: an external process killed by a signal reports 128 and the signal, not Go's -1.
#[test]
fn a_killed_external_process_tells_its_signal() {
    let mut stage = Stage::negotiated();
    let pid = stage.quiet("spin");
    stage.send_wait(NULL_ID, pid, INFINITE);
    stage.kernel.exit(pid, ExitStatus::Killed(Signal::KILL));
    stage.run();
    assert_eq!(stage.receive().unwrap().body["ExitCode"], 137);
}
