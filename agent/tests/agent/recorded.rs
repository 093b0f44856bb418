//! The recorded sessions, played again (gcs-protocol §14): requests in, our responses compared with the recorded ones.

use crate::frames::*;
use crate::stage::*;
use agent::kernel::{ExitStatus, Signal, UNLIMITED, Usage};
use core::time::Duration;
use serde_json::json;

const ID: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";

/// A stage that listens on every port of the recordings.
fn stage() -> Stage {
    let mut stage = Stage::connected();
    for port in BRIDGE + 1..BRIDGE + 10 {
        stage.vsock.on_call(port, fakes::vsock::Answer::Accept);
    }
    stage
}

#[test]
fn the_main_session_is_answered_as_recorded() {
    let mut stage = stage();
    assert_plays(&mut stage, "main-00-negotiate");
    assert_plays(&mut stage, "main-01-create");
    assert_eq!(
        stage.kernel.at(101).args,
        ["sh", "-c", "cat; echo err-line >&2; exit 7"]
    );
    assert_eq!(stage.kernel.at(101).env, ["PATH=/usr/bin:/bin"]);
    assert_plays(&mut stage, "main-02-start");
    assert_plays(&mut stage, "main-03-exec-init");
    send(&mut stage, "main-04-wait-init");
    stage.assert_silent();
    assert_plays(&mut stage, "main-05-properties-processlist");
    assert_plays(&mut stage, "properties-empty-query");

    assert_plays(&mut stage, "main-07-exec-tty");
    assert!(stage.kernel.at(102).terminal);
    send(&mut stage, "main-08-wait-tty");
    stage.assert_silent();
    assert_plays(&mut stage, "main-09-resize-console");
    assert_eq!(stage.kernel.at(102).window, [40, 120]);
    assert_plays(&mut stage, "main-10-signal-sigterm");
    assert_like("main-08-wait-tty-response", &stage.receive().unwrap());

    assert_plays(&mut stage, "exec-nostdio");
    send(&mut stage, "wait-sigkilled");
    assert_plays(&mut stage, "main-11-kill-no-options");
    assert_like("wait-sigkilled-response", &stage.receive().unwrap());
    assert_plays_renumbered(&mut stage, "signal-exited-process", 102, 103);

    assert_plays(&mut stage, "main-12-exec-external");
    assert_eq!(stage.kernel.at(104).args, ["sh", "-c", "echo ext; exit 3"]);
    send(&mut stage, "main-13-wait-external");
    stage.exit(104, 3);
    assert_like("main-13-wait-external-response", &stage.receive().unwrap());

    let stacks = play(&mut stage, "main-14-dumpstacks");
    assert_eq!(stacks.result(), 0);
    assert!(stacks.body["GuestStacks"].is_string());
    assert_eq!(play(&mut stage, "dumpstacks-with-otsc").result(), 0);

    stage.exit(101, 7);
    assert_like("main-04-wait-init-response", &stage.receive().unwrap());
    let notice = stage.receive().unwrap();
    assert_eq!(notice.id, 0);
    assert_like("main-15-exit-notification-unexpected", &notice);
    assert_plays(&mut stage, "main-16-shutdown-after-exit");
    assert_plays(&mut stage, "main-17-delete-container-state");
    assert_plays(&mut stage, "delete-container-state-unknown");
    assert_plays(&mut stage, "shutdown-unknown-container");
}

/// The recording's process has a terminal; what it says of signals and waits holds for one that has none.
#[test]
fn signals_are_answered_as_recorded() {
    let mut stage = Stage::negotiated();
    for (id, pid) in [(ID, 101), (&"3".repeat(64)[..], 106)] {
        stage.kernel.set_next_pid(pid);
        stage.create(id);
        stage.execute(id, &json!({}));
        let further = json!({"OciProcess": {"args": ["sh"], "cwd": "/"}});
        assert_eq!(stage.execute(id, &further), pid + 1);
    }
    send(&mut stage, "main-08-wait-tty");
    assert_plays(&mut stage, "main-10-signal-sigterm");
    assert_like("main-08-wait-tty-response", &stage.receive().unwrap());
    assert_plays(&mut stage, "signal-exited-process");
    assert_eq!(play(&mut stage, "signal-sigkill").result(), 0);
}

#[test]
fn notifications_are_worded_as_recorded() {
    for (digit, request, status, notification) in [
        (
            "1",
            "shutdown-graceful",
            ExitStatus::Killed(Signal::TERM),
            "exit-notification-graceful",
        ),
        (
            "2",
            "shutdown-forced",
            ExitStatus::Killed(Signal::KILL),
            "exit-notification-forced",
        ),
    ] {
        let mut stage = Stage::negotiated();
        let id = digit.repeat(64);
        stage.kernel.ignored = vec![Signal::TERM, Signal::KILL];
        stage.create(&id);
        let init = stage.execute(&id, &json!({}));
        stage.send_wait(&id, init, INFINITE);
        assert_plays(&mut stage, request);
        stage.kernel.exit(init, status);
        stage.run();
        stage.receive().unwrap();
        assert_like(notification, &stage.receive().unwrap());
    }
}

#[test]
fn requests_before_negotiation_are_answered_as_recorded() {
    let mut stage = stage();
    assert_plays(&mut stage, "error-before-negotiation");
    assert_plays(&mut stage, "error-negotiate-too-old");
    assert_plays(&mut stage, "error-negotiate-too-new");
    assert_plays(&mut stage, "error-empty-body");
    assert_plays(&mut stage, "negotiate-range-3-9");
    assert_plays(&mut stage, "error-negotiate-twice");
}

#[test]
fn errors_are_answered_as_recorded() {
    let mut stage = Stage::negotiated();
    for name in [
        "error-unknown-type-updatecontainer",
        "error-create-bad-config",
        "error-create-config-object",
        "error-create-low-schema",
        "error-exec-bad-params",
        "error-exec-unknown-container",
        "error-properties-bad-query",
        "error-wait-unknown-container",
        "error-wait-unknown-external",
        "start-unknown-container",
        "start-null-body",
        "start-null-activityid",
    ] {
        assert_plays(&mut stage, name);
    }
    let response = play(&mut stage, "modifyservicesettings");
    assert_like("error-notimpl-modifyservicesettings-response", &response);
}

#[test]
fn the_second_recorded_session_is_answered_as_recorded() {
    let mut stage = stage();
    stage.kernel.set_next_pid(301);
    stage.kernel.ignored = vec![Signal::KILL];
    assert_eq!(
        stage.ask(NEGOTIATE, &json!({"MaximumVersion": 4})).result(),
        0
    );
    assert_eq!(stage.create(ID).result(), 0);
    assert_plays(&mut stage, "error-create-duplicate");
    stage.execute(ID, &json!({}));
    send(&mut stage, "error-wait-timeout");
    stage.wait_ms(50);
    assert_like("error-wait-timeout-response", &stage.receive().unwrap());
    assert_plays(&mut stage, "error-wait-unknown-pid");
    assert_plays(&mut stage, "error-signal-unknown-pid");
    assert_plays(&mut stage, "error-resize-not-tty");
    assert_plays(&mut stage, "signal-options-null");
    stage.kernel.exit(301, ExitStatus::Killed(Signal::KILL));
    stage.run();
    assert_plays(&mut stage, "wait-init-again");
    assert_eq!(stage.receive().unwrap().body["Type"], "ForcedExit");
    let external = stage.quiet("true");
    assert_eq!(external, 302);
    stage.exit(external, 0);
    stage.ask(WAIT, &wait_request(NULL_ID, external, INFINITE));
    assert_plays(&mut stage, "error-wait-external-again");
    assert_eq!(stage.ask(DELETE, &base(ID)).result(), 0);
    assert_plays(&mut stage, "error-wait-after-delete");
    stage.kernel.set_next_pid(401);
    assert_plays(&mut stage, "exec-external-commandline");
    assert_eq!(stage.kernel.at(401).args, ["sh", "-c", "exit 5"]);
}

#[test]
fn activity_ids_that_are_no_guids_are_answered_otherwise_than_recorded() {
    let mut stage = Stage::negotiated();
    for name in [
        "lowercase-keys",
        "start-duplicate-keys",
        "start-lone-surrogate",
    ] {
        assert_plays(&mut stage, name);
    }
}

/// The recording's numbers, so that ours can be compared.
#[test]
fn statistics_are_told_as_recorded() {
    let mut stage = Stage::negotiated();
    let mut create = create_request(ID);
    let config = create["ContainerConfig"].as_str().unwrap();
    create["ContainerConfig"] = config.replace("\"init\"", "\"sh\"").into();
    assert_eq!(stage.ask(CREATE, &create).result(), 0);
    let usage = Usage {
        user_time: Duration::from_nanos(1_000_000),
        kernel_time: Duration::from_nanos(500_000),
        tasks: 2,
        tasks_limit: UNLIMITED,
        memory_bytes: 1_048_576,
        program_bytes: 524_288,
        file_bytes: 262_144,
        kernel_bytes: 16_384,
        memory_peak_bytes: 2_097_152,
        memory_limit_bytes: UNLIMITED,
        faults: 300,
        major_faults: 2,
        ..Usage::default()
    };
    let view = stage.kernel.at(101).view;
    stage.kernel.usage.insert(view.index, usage);
    assert_plays(&mut stage, "main-06-properties-statistics");
    assert_plays(&mut stage, "properties-processlist-statistics-memory");
}

/// Intended difference: the utility VM tells its own.
#[test]
fn the_utility_vm_tells_its_properties() {
    let mut stage = Stage::negotiated();
    let response = play(&mut stage, "error-properties-uvm");
    assert_eq!(response.result(), 0);
    assert!(
        response.body["Properties"]
            .as_str()
            .unwrap()
            .contains("LCOWMetrics")
    );
}

/// The recording's host goes away before the answer; ours is a process with a terminal.
#[test]
fn an_external_process_gets_its_terminal() {
    let mut stage = stage();
    assert_plays(&mut stage, "main-00-negotiate");
    let response = play(&mut stage, "exec-external-tty");
    assert_eq!(response.result(), 0, "{}", response.error());
    let pid = response.body["ProcessId"].as_u64().unwrap() as u32;
    assert!(stage.kernel.at(pid).terminal);
}

/// A host that takes the guest for Windows sends GUIDs, and its pipes have no ports.
#[test]
fn pipes_of_a_windows_guest_are_refused() {
    let mut stage = Stage::negotiated();
    let refused = play(&mut stage, "exec-external-windows");
    assert_eq!(refused.result(), FAIL);
    assert!(refused.error().contains("without a port"));
}

/// A guest that did not ask for host create refuses it as the reference guest does, by its schema version.
#[test]
fn a_host_create_that_was_not_asked_for_is_refused() {
    let mut stage = Stage::negotiated();
    assert_eq!(play(&mut stage, "host-create").result(), INVALID_JSON);
    assert_eq!(play(&mut stage, "host-start").result(), 0);
}

/// The two responses of other guests that were made by hand: ours has the members of the smallest acceptable one, and asks for
/// nothing that the reference guest does not ask for.
#[test]
fn our_negotiation_is_neither_smaller_than_acceptable_nor_asks_for_host_create() {
    let ours = Stage::connected().ask(
        NEGOTIATE,
        &json!({"MaximumVersion": 4, "ActivityId": NULL_ID}),
    );
    let smallest = body_of("negotiate-minimal-response");
    for member in smallest.as_object().unwrap().keys() {
        assert!(ours.body.get(member).is_some(), "{member}");
    }
    let (ours, theirs) = (&ours.body["Capabilities"], &smallest["Capabilities"]);
    for member in theirs.as_object().unwrap().keys() {
        assert!(ours.get(member).is_some(), "{member}");
    }
    assert_eq!(ours["RuntimeOsType"], theirs["RuntimeOsType"]);
    let asking = body_of("negotiate-hostcreate-response");
    for member in [
        "SendHostCreateMessage",
        "SendHostStartMessage",
        "HvSocketConfigOnStartup",
    ] {
        assert_eq!(asking["Capabilities"][member], true);
        assert!(ours.get(member).is_none(), "{member}");
    }
}

fn body_of(name: &str) -> serde_json::Value {
    serde_json::from_str(&load(name).body).unwrap()
}

#[test]
fn containers_of_a_container_manager_are_created() {
    let mut stage = Stage::negotiated();
    let early = play(&mut stage, "create-cri-workload");
    assert_eq!(early.result(), FAIL, "its sandbox comes first");
    // Intended difference: no network, so its namespace need not have been announced.
    assert_eq!(play(&mut stage, "create-cri-sandbox").result(), 0);
    assert_eq!(stage.kernel.at(101).args, ["/pause"]);
    assert_eq!(play(&mut stage, "create-cri-workload").result(), 0);
    assert_eq!(stage.kernel.at(102).args, ["/bin/app"]);
    assert_eq!(play(&mut stage, "start-with-ocsc").result(), 0);
}

#[test]
fn the_main_session_survives_one_byte_at_a_time() {
    let mut stage = Stage::connected();
    for name in ["main-00-negotiate", "main-01-create", "main-02-start"] {
        for byte in load(&format!("{name}-request")).bytes() {
            stage.send_bytes(&[byte]);
        }
        assert_eq!(stage.receive().unwrap().result(), 0, "{name}");
    }
}
