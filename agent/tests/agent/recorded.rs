//! The recorded frames of the reference guest and its host (`tests/data/gcs`, gcs-protocol §14), and where mote differs.

use crate::stage::*;
use agent::kernel::{ExitStatus, Signal};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// One recorded frame.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) name: String,
    pub(crate) message: u32,
    pub(crate) id: u64,
    pub(crate) body: String,
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/gcs")
}

fn load(name: &str) -> Recorded {
    let text = fs::read_to_string(directory().join(format!("{name}.json"))).expect(name);
    let value: Value = serde_json::from_str(&text).expect(name);
    Recorded {
        name: name.into(),
        message: u32::from_str_radix(&value["type_hex"].as_str().unwrap()[2..], 16).unwrap(),
        id: value["id"].as_u64().unwrap(),
        body: value["body"].as_str().unwrap().into(),
    }
}

/// Every recorded request, by name.
pub(crate) fn requests() -> Vec<Recorded> {
    let mut names: Vec<String> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.strip_suffix("-request.json")?.to_owned()))
        .collect();
    names.sort();
    names
        .iter()
        .map(|name| load(&format!("{name}-request")))
        .collect()
}

/// Sends a recorded request under its recorded id and returns the response.
fn play(stage: &mut Stage, name: &str) -> Frame {
    let request = load(&format!("{name}-request"));
    stage.send_bytes(&frame(request.message, request.id, request.body.as_bytes()));
    let response = stage
        .receive()
        .unwrap_or_else(|| panic!("{name}: no response"));
    assert_eq!(response.id, request.id, "{name}");
    response
}

/// Compares a response with the recorded one, member by member, except error texts and the position in error records.
fn assert_like(name: &str, ours: &Frame) {
    let theirs = load(name);
    assert_eq!(ours.message, theirs.message, "{name}");
    let expected: Value = serde_json::from_str(&theirs.body).unwrap();
    assert_eq!(comparable(&ours.body), comparable(&expected), "{name}");
}

fn comparable(body: &Value) -> Value {
    let mut body = body.clone();
    let Some(members) = body.as_object_mut() else {
        return body;
    };
    if members.contains_key("ErrorMessage") {
        members.insert("ErrorMessage".into(), json!("…"));
    }
    if let Some(records) = members
        .get_mut("ErrorRecords")
        .and_then(Value::as_array_mut)
    {
        for record in records {
            let record = record.as_object_mut().unwrap();
            for position in ["FileName", "Line", "Message"] {
                assert!(record.contains_key(position));
                record.insert(position.into(), json!("…"));
            }
            record.remove("StackTrace");
            record.remove("FunctionName");
        }
    }
    body
}

fn assert_plays(stage: &mut Stage, name: &str) {
    let response = play(stage, name);
    assert_like(&format!("{name}-response"), &response);
}

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
    // Intended difference: no network, so NamespaceAddRequestSupported is not announced.
    let response = play(&mut stage, "main-00-negotiate");
    let mut theirs: Value = serde_json::from_str(&load("main-00-negotiate-response").body).unwrap();
    theirs["Capabilities"]["GuestDefinedCapabilities"]
        .as_object_mut()
        .unwrap()
        .remove("NamespaceAddRequestSupported");
    assert_eq!(response.body, theirs);

    assert_plays(&mut stage, "main-01-create");
    assert_eq!(
        stage.kernel.at(101).args,
        ["sh", "-c", "cat; echo err-line >&2; exit 7"]
    );
    assert_eq!(stage.kernel.at(101).env, ["PATH=/usr/bin:/bin"]);
    assert_plays(&mut stage, "main-02-start");
    assert_plays(&mut stage, "main-03-exec-init");
    let wait = load("main-04-wait-init-request");
    stage.send_bytes(&frame(wait.message, wait.id, wait.body.as_bytes()));
    stage.assert_silent();
    assert_plays(&mut stage, "main-05-properties-processlist");
    assert_plays(&mut stage, "properties-empty-query");

    // Intended difference: a terminal is refused by name.
    assert_eq!(
        play(&mut stage, "main-07-exec-tty").result(),
        NOT_IMPLEMENTED
    );

    stage.kernel.set_next_pid(103);
    assert_plays(&mut stage, "exec-nostdio");
    let wait = load("wait-sigkilled-request");
    stage.send_bytes(&frame(wait.message, wait.id, wait.body.as_bytes()));
    assert_plays(&mut stage, "main-11-kill-no-options");
    assert_like("wait-sigkilled-response", &stage.receive().unwrap());
    assert_plays_renumbered(&mut stage, "signal-exited-process", 102, 103);

    assert_plays(&mut stage, "main-12-exec-external");
    assert_eq!(stage.kernel.at(104).args, ["sh", "-c", "echo ext; exit 3"]);
    let wait = load("main-13-wait-external-request");
    stage.send_bytes(&frame(wait.message, wait.id, wait.body.as_bytes()));
    stage.kernel.exit(104, ExitStatus::Exited(3));
    stage.run();
    assert_like("main-13-wait-external-response", &stage.receive().unwrap());

    let stacks = play(&mut stage, "main-14-dumpstacks");
    assert_eq!(stacks.result(), 0);
    assert!(stacks.body["GuestStacks"].is_string());
    assert_eq!(play(&mut stage, "dumpstacks-with-otsc").result(), 0);

    stage.kernel.exit(101, ExitStatus::Exited(7));
    stage.run();
    assert_like("main-04-wait-init-response", &stage.receive().unwrap());
    let notice = stage.receive().unwrap();
    assert_eq!(notice.id, 0);
    assert_like("main-15-exit-notification-unexpected", &notice);
    assert_plays(&mut stage, "main-16-shutdown-after-exit");
    assert_plays(&mut stage, "main-17-delete-container-state");
    assert_plays(&mut stage, "delete-container-state-unknown");
    assert_plays(&mut stage, "shutdown-unknown-container");
}

fn assert_plays_renumbered(stage: &mut Stage, name: &str, theirs: u32, ours: u32) {
    let request = load(&format!("{name}-request"));
    let body = request.body.replace(&theirs.to_string(), &ours.to_string());
    stage.send_bytes(&frame(request.message, request.id, body.as_bytes()));
    assert_like(&format!("{name}-response"), &stage.receive().unwrap());
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
    let wait = load("main-08-wait-tty-request");
    stage.send_bytes(&frame(wait.message, wait.id, wait.body.as_bytes()));
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
    assert_eq!(play(&mut stage, "negotiate-range-3-9").body["Version"], 4);
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
        "error-properties-uvm",
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
    let wait = load("error-wait-timeout-request");
    stage.send_bytes(&frame(wait.message, wait.id, wait.body.as_bytes()));
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
    stage.kernel.exit(external, ExitStatus::Exited(0));
    stage.run();
    stage.ask(WAIT, &wait_request(NULL_ID, external, INFINITE));
    assert_plays(&mut stage, "error-wait-external-again");
    assert_eq!(stage.ask(DELETE, &base(ID)).result(), 0);
    assert_plays(&mut stage, "error-wait-after-delete");
    stage.kernel.set_next_pid(401);
    assert_plays(&mut stage, "exec-external-commandline");
    assert_eq!(stage.kernel.at(401).args, ["sh", "-c", "exit 5"]);
}

/// Each difference from the recordings that is wanted, with its reason.
#[test]
fn intended_differences() {
    let mut stage = stage();
    // The host ends the bridge over an activity id that is no GUID, so the zero GUID is answered instead.
    stage.ask(NEGOTIATE, &json!({"MaximumVersion": 4}));
    for name in [
        "lowercase-keys",
        "start-duplicate-keys",
        "start-lone-surrogate",
    ] {
        let response = play(&mut stage, name);
        assert_eq!(
            (response.result(), &response.body["ActivityId"]),
            (0, &json!(NULL_ID))
        );
    }
    // There is no memory or processor accounting yet: statistics are truthfully absent.
    stage.create(ID);
    for name in [
        "main-06-properties-statistics",
        "properties-processlist-statistics-memory",
    ] {
        let response = play(&mut stage, name);
        assert!(
            !response.body["Properties"]
                .as_str()
                .unwrap()
                .contains("LCOWMetrics")
        );
    }
    // Resources are refused by name, and the host rolls back.
    for request in requests() {
        if request.message == MODIFY {
            stage.send_bytes(&frame(request.message, request.id, request.body.as_bytes()));
            let response = stage.receive().unwrap();
            assert_eq!(response.result(), NOT_IMPLEMENTED, "{}", request.name);
        }
    }
    // Nothing has a terminal whose size could be set.
    stage.kernel.set_next_pid(102);
    let further = json!({"OciProcess": {"args": ["sh"], "cwd": "/"}});
    stage.execute(ID, &json!({}));
    assert_eq!(stage.execute(ID, &further), 102);
    assert_eq!(play(&mut stage, "main-09-resize-console").result(), FAIL);
    // Terminals are refused by name, and so is a host that takes the guest for Windows: its pipes have no ports.
    assert_eq!(
        play(&mut stage, "exec-external-tty").result(),
        NOT_IMPLEMENTED
    );
    assert_eq!(play(&mut stage, "exec-external-windows").result(), FAIL);
    // A guest that did not ask for host create refuses it as the reference guest does, by its schema version.
    assert_eq!(play(&mut stage, "host-create").result(), INVALID_JSON);
    assert_eq!(play(&mut stage, "host-start").result(), 0);
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
        let request = load(&format!("{name}-request"));
        for byte in frame(request.message, request.id, request.body.as_bytes()) {
            stage.send_bytes(&[byte]);
        }
        assert_eq!(stage.receive().unwrap().result(), 0, "{name}");
    }
}
