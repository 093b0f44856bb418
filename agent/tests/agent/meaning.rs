//! What the agent reads of every recorded request is what another JSON reader finds in it (gcs-protocol §14).

use crate::frames::{Recorded, requests};
use crate::stage::*;
use agent::json;
use agent::kernel::StringList;
use agent::message::MessageType;
use agent::message::execute::Execute;
use agent::message::request::{Ask, Request};
use agent::message::specification::{Create, OciProcess};
use serde_json::{Map, Value};

/// Returns a member by its name in any case; null when there is none, or `of` is no object.
fn member(of: &Value, name: &str) -> Value {
    let same = |key: &&String| key.eq_ignore_ascii_case(name);
    of.as_object()
        .and_then(|map| map.get(name).or_else(|| map.get(map.keys().find(same)?)))
        .cloned()
        .unwrap_or_default()
}

/// Returns the document that travels in a string.
fn document(of: &Value, name: &str) -> Value {
    serde_json::from_str(text(&member(of, name)).as_str()).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().into()
}

fn number(of: &Value, name: &str) -> i64 {
    member(of, name).as_i64().unwrap_or_default()
}

fn flag(of: &Value, name: &str) -> bool {
    member(of, name).as_bool().unwrap_or_default()
}

fn strings(of: &Value, name: &str) -> Vec<String> {
    let list = member(of, name);
    list.as_array().into_iter().flatten().map(text).collect()
}

fn listed(list: StringList<'_>) -> Vec<String> {
    list.iter()
        .map(|bytes| String::from_utf8(bytes.to_vec()).expect("UTF-8"))
        .collect()
}

fn assert_process(ours: Option<&OciProcess<'_>>, theirs: &Value, name: &str) {
    assert_eq!(ours.is_some(), theirs.is_object(), "{name}");
    let Some(ours) = ours else {
        return;
    };
    let user = member(theirs, "user");
    assert_eq!(listed(ours.args), strings(theirs, "args"), "{name}");
    assert_eq!(listed(ours.env), strings(theirs, "env"), "{name}");
    assert_eq!(ours.cwd, text(&member(theirs, "cwd")), "{name}");
    assert_eq!(ours.terminal, flag(theirs, "terminal"), "{name}");
    assert_eq!(i64::from(ours.user.uid), number(&user, "uid"), "{name}");
    assert_eq!(i64::from(ours.user.gid), number(&user, "gid"), "{name}");
    assert_eq!(ours.user.name, text(&member(&user, "username")), "{name}");
}

fn assert_create(ours: &Create<'_>, body: &Value, name: &str) {
    let config = document(body, "ContainerConfig");
    let version = member(&config, "SchemaVersion");
    let (major, minor) = ours.schema;
    let theirs = (number(&version, "Major"), number(&version, "Minor"));
    assert_eq!((i64::from(major), i64::from(minor)), theirs, "{name}");
    let theirs = member(&config, "OciSpecification");
    assert_eq!(ours.specification.is_some(), theirs.is_object(), "{name}");
    if let Some(ours) = &ours.specification {
        assert_process(ours.process.as_ref(), &member(&theirs, "process"), name);
        let root = member(&theirs, "root");
        assert_eq!(ours.root, text(&member(&root, "path")), "{name}");
        let annotations = member(&theirs, "annotations");
        let kind = member(&annotations, "io.kubernetes.cri.container-type");
        let sandbox = member(&annotations, "io.kubernetes.cri.sandbox-id");
        assert_eq!(ours.container_type, text(&kind), "{name}");
        assert_eq!(ours.sandbox, text(&sandbox), "{name}");
    }
}

fn assert_execute(ours: &Execute<'_>, body: &Value, name: &str) {
    let settings = member(body, "Settings");
    let theirs = document(&settings, "ProcessParameters");
    assert_eq!(listed(ours.args), strings(&theirs, "CommandArgs"), "{name}");
    assert_eq!(
        ours.line.is_some(),
        member(&theirs, "CommandLine").is_string(),
        "{name}"
    );
    assert_eq!(
        ours.cwd,
        text(&member(&theirs, "WorkingDirectory")),
        "{name}"
    );
    let mut environment = listed(ours.env);
    environment.sort();
    let map = member(&theirs, "Environment");
    let variables = map.as_object().into_iter().flat_map(Map::iter);
    let variables: Vec<String> = variables
        .map(|(key, value)| format!("{key}={}", text(value)))
        .collect();
    assert_eq!(environment, variables, "{name}");
    assert_eq!(ours.terminal, flag(&theirs, "EmulateConsole"), "{name}");
    assert_eq!(
        ours.in_utility_vm,
        flag(&theirs, "CreateInUtilityVM"),
        "{name}"
    );
    let pipes = ["CreateStdInPipe", "CreateStdOutPipe", "CreateStdErrPipe"];
    assert_eq!(ours.pipes, pipes.map(|pipe| flag(&theirs, pipe)), "{name}");
    let relay = member(&settings, "VsockStdioRelaySettings");
    let ports = ["StdIn", "StdOut", "StdErr"].map(|port| number(&relay, port));
    assert_eq!(ours.ports.map(i64::from), ports, "{name}");
    assert_process(ours.process.as_ref(), &member(&theirs, "OciProcess"), name);
}

fn assert_meaning(recorded: &Recorded) {
    let name = &recorded.name;
    let mut bytes = recorded.body.clone().into_bytes();
    let checked = json::check(&bytes);
    let message = MessageType(recorded.message);
    let request = match Request::parse(message, &mut bytes, checked) {
        Ok(request) => request,
        Err(failure) => {
            let refused = name.starts_with("error-") || !message.is_handled();
            assert!(refused, "{name}: {}", failure.cause);
            return;
        }
    };
    // The other reader refuses half a surrogate pair, which Go reads as a replacement character.
    let readable = recorded.body.replace("\\ud800", "\u{fffd}");
    let body: Value = serde_json::from_str(&readable).expect(name);
    let pid = number(&body, "ProcessId");
    match &request.ask {
        // Neither looks at its container.
        Ask::Negotiate { minimum, maximum } => {
            let theirs = (
                number(&body, "MinimumVersion"),
                number(&body, "MaximumVersion"),
            );
            assert_eq!((i64::from(*minimum), i64::from(*maximum)), theirs, "{name}");
            return;
        }
        Ask::DumpStacks => return,
        Ask::Create(create) => assert_create(create, &body, name),
        Ask::ExecuteProcess(execute) => assert_execute(execute, &body, name),
        Ask::WaitForProcess {
            pid: ours,
            timeout_ms,
        } => {
            let theirs = (pid, number(&body, "TimeoutInMs"));
            assert_eq!((i64::from(*ours), i64::from(*timeout_ms)), theirs, "{name}");
        }
        Ask::SignalProcess { pid: ours, signal } => {
            let theirs = (pid, number(&member(&body, "Options"), "Signal"));
            assert_eq!((i64::from(*ours), i64::from(*signal)), theirs, "{name}");
        }
        Ask::ResizeConsole {
            pid: ours,
            height,
            width,
        } => {
            let theirs = (pid, number(&body, "Height"), number(&body, "Width"));
            let ours = (i64::from(*ours), i64::from(*height), i64::from(*width));
            assert_eq!(ours, theirs, "{name}");
        }
        // What they say beside their container stands in the conversations.
        Ask::GetProperties { .. } | Ask::ModifySettings(_) | Ask::UpdateContainer(_) => {}
        Ask::Start | Ask::ShutdownGraceful | Ask::ShutdownForced | Ask::DeleteContainerState => {}
    }
    assert_eq!(
        request.container,
        text(&member(&body, "ContainerId")),
        "{name}"
    );
}

#[test]
fn every_recorded_request_means_what_another_reader_finds_in_it() {
    let requests = requests();
    assert!(requests.len() > 90, "{} requests", requests.len());
    requests.iter().for_each(assert_meaning);
}

#[test]
fn members_are_looked_up_in_any_case_as_the_recorded_guest_does() {
    let mut stage = Stage::negotiated();
    let body = r#"{"containerID":"x","activityid":"","CONTAINERCONFIG":"{\"schemaversion\":{\"MAJOR\":2,\"minor\":1},\"OCISPECIFICATION\":{\"Process\":{\"ARGS\":[\"a\"]},\"Root\":{\"PATH\":\"/r\"}}}"}"#;
    assert_eq!(stage.ask_text(CREATE, body).result(), 0);
    assert_eq!(stage.kernel.at(101).args, ["a"]);
}
