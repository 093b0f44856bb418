//! Every request in every state of a container (gcs-protocol §8.1), and every way to its one notification.

use crate::stage::*;
use agent::kernel::{ExitStatus, OutputStream, Signal};
use agent::limits::WAIT_GRACE_MS;
use fakes::kernel::State;
use serde_json::{Value, json};

/// A container's init in these conversations.
const INIT: u32 = 101;

fn signal(pid: u32, number: i32) -> Value {
    json!({"ContainerId": "x", "ProcessId": pid, "Options": {"Signal": number}})
}

fn exec_init() -> Value {
    execute_request("x", &json!({}))
}

fn exec_further() -> Value {
    execute_request("x", &json!({"OciProcess": {"args": ["a"], "cwd": "/"}}))
}

/// What each request is answered with in one state. `None`: not at once.
struct Row {
    create: u32,
    start: u32,
    exec_init: u32,
    exec_further: u32,
    wait: Option<u32>,
    signal: u32,
    properties: u32,
    delete: u32,
    graceful: u32,
    forced: u32,
}

/// Asks everything, each of a container of its own in that state.
fn assert_row(state: impl Fn() -> Stage, row: &Row) {
    for (message, body, result) in [
        (CREATE, create_request("x"), row.create),
        (START, base("x"), row.start),
        (EXECUTE, exec_init(), row.exec_init),
        (EXECUTE, exec_further(), row.exec_further),
        (SIGNAL, signal(INIT, 1), row.signal),
        (PROPERTIES, base("x"), row.properties),
        (DELETE, base("x"), row.delete),
        (SHUTDOWN_GRACEFUL, base("x"), row.graceful),
        (SHUTDOWN_FORCED, base("x"), row.forced),
    ] {
        let response = state().ask(message, &body);
        assert_eq!(
            response.result(),
            result,
            "{message:x}: {}",
            response.error()
        );
    }
    let mut stage = state();
    stage.send_wait("x", INIT, INFINITE);
    let result = stage.receive().map(|frame| frame.result());
    assert_eq!(result, row.wait, "wait");
}

fn created() -> Stage {
    let mut stage = Stage::negotiated();
    assert_eq!(stage.create("x").result(), 0);
    stage
}

fn running() -> Stage {
    let mut stage = created();
    assert_eq!(stage.execute("x", &json!({})), INIT);
    stage
}

fn terminated() -> Stage {
    let mut stage = running();
    stage.send_wait("x", INIT, INFINITE);
    stage.exit(INIT, 7);
    assert_eq!(stage.receive().unwrap().body["ExitCode"], 7);
    assert_eq!(stage.receive().unwrap().message, NOTIFICATION);
    stage
}

/// §8.1, the column "absent".
#[test]
fn of_a_container_that_is_not_there_only_creation_and_start_succeed() {
    assert_row(
        Stage::negotiated,
        &Row {
            create: 0,
            start: 0,
            exec_init: NO_CONTAINER,
            exec_further: NO_CONTAINER,
            wait: Some(NO_CONTAINER),
            signal: NO_CONTAINER,
            properties: NO_CONTAINER,
            delete: NO_CONTAINER,
            graceful: NO_CONTAINER,
            forced: NO_CONTAINER,
        },
    );
}

/// §8.1, the column "Creating"; §17, "still being created" keeps its code.
#[test]
fn of_a_container_being_created_everything_is_refused_by_its_state() {
    let creating = || {
        let mut stage = Stage::negotiated();
        stage.kernel.loads_at_once = false;
        stage.send(CREATE, &create_request("x"));
        stage.assert_silent();
        stage
    };
    assert_row(
        creating,
        &Row {
            create: EXISTS,
            start: 0,
            exec_init: INVALID_STATE,
            exec_further: INVALID_STATE,
            wait: Some(INVALID_STATE),
            signal: INVALID_STATE,
            properties: INVALID_STATE,
            delete: INVALID_STATE,
            graceful: INVALID_STATE,
            forced: INVALID_STATE,
        },
    );
}

/// §8.1, the column "Created".
#[test]
fn a_created_container_can_be_run_joined_waited_for_signalled_ended_and_deleted() {
    assert_row(
        created,
        &Row {
            create: EXISTS,
            start: 0,
            exec_init: 0,
            exec_further: 0,
            wait: None,
            signal: 0,
            properties: 0,
            delete: 0,
            graceful: 0,
            forced: 0,
        },
    );
}

/// §8.1, the column "Running".
#[test]
fn a_running_container_takes_everything_but_a_second_init_and_its_deletion() {
    assert_row(
        running,
        &Row {
            create: EXISTS,
            start: 0,
            exec_init: INVALID_STATE,
            exec_further: 0,
            wait: None,
            signal: 0,
            properties: 0,
            delete: INVALID_STATE,
            graceful: 0,
            forced: 0,
        },
    );
}

/// §8.1, the column "Terminated".
#[test]
fn a_terminated_container_tells_its_code_and_can_be_deleted() {
    assert_row(
        terminated,
        &Row {
            create: EXISTS,
            start: 0,
            exec_init: STOPPED,
            exec_further: STOPPED,
            wait: Some(0),
            signal: NOT_FOUND,
            properties: 0,
            delete: 0,
            graceful: STOPPED,
            forced: STOPPED,
        },
    );
}

/// §8.1: a failed Create leaves nothing behind.
#[test]
fn an_id_whose_creation_failed_can_be_created_again() {
    let mut stage = Stage::negotiated();
    stage.kernel.miss("init", 13, "permission denied");
    assert_ne!(stage.create("x").result(), 0);
    let mut other = specification();
    other["process"]["args"] = json!(["other"]);
    assert_eq!(stage.ask(CREATE, &create_with("x", &other)).result(), 0);
}

/// §8.1, §8.4: every path to the end of a container, and the one notification of each.
#[test]
fn every_way_to_end_a_container_notifies_exactly_once_with_its_type() {
    type Way = fn(&mut Stage);
    let ways: [(&str, Way, &str); 12] = [
        (
            "exits by itself",
            |s| s.kernel.exit(INIT, ExitStatus::Exited(0)),
            "UnexpectedExit",
        ),
        (
            "dies",
            |s| s.kernel.exit(INIT, ExitStatus::Killed(Signal::SEGV)),
            "UnexpectedExit",
        ),
        (
            "graceful",
            |s| {
                s.send(SHUTDOWN_GRACEFUL, &base("x"));
            },
            "GracefulExit",
        ),
        (
            "forced",
            |s| {
                s.send(SHUTDOWN_FORCED, &base("x"));
            },
            "ForcedExit",
        ),
        (
            "TERM",
            |s| {
                s.send(SIGNAL, &signal(INIT, 15));
            },
            "GracefulExit",
        ),
        (
            "KILL",
            |s| {
                s.send(SIGNAL, &signal(INIT, 9));
            },
            "ForcedExit",
        ),
        (
            "kill without options",
            |s| {
                s.send(SIGNAL, &json!({"ContainerId": "x", "ProcessId": INIT}));
            },
            "ForcedExit",
        ),
        (
            "HUP and then by itself",
            |s| {
                s.send(SIGNAL, &signal(INIT, 1));
                s.kernel.exit(INIT, ExitStatus::Exited(0));
            },
            "UnexpectedExit",
        ),
        (
            "graceful, ignored, forced",
            |s| {
                s.kernel.ignored = vec![Signal::TERM];
                s.send(SHUTDOWN_GRACEFUL, &base("x"));
                s.send(SHUTDOWN_FORCED, &base("x"));
            },
            "ForcedExit",
        ),
        (
            "graceful, ignored, by itself",
            |s| {
                s.kernel.ignored = vec![Signal::TERM];
                s.send(SHUTDOWN_GRACEFUL, &base("x"));
                s.kernel.exit(INIT, ExitStatus::Exited(0));
            },
            "GracefulExit",
        ),
        (
            "deleted while it runs",
            |s| {
                s.send(DELETE, &base("x"));
            },
            "UnexpectedExit",
        ),
        (
            "forced twice",
            |s| {
                s.send(SHUTDOWN_FORCED, &base("x"));
                s.send(SHUTDOWN_FORCED, &base("x"));
            },
            "ForcedExit",
        ),
    ];
    for waits in [0, 1, 3] {
        for (name, way, exit_type) in ways {
            let mut stage = running();
            for _ in 0..waits {
                stage.send_wait("x", INIT, INFINITE);
            }
            way(&mut stage);
            stage.run();
            stage.wait_ms(WAIT_GRACE_MS);
            // As the legacy shim does after every exit.
            stage.send(SHUTDOWN_GRACEFUL, &base("x"));
            stage.send(SHUTDOWN_FORCED, &base("x"));
            stage.send(DELETE, &base("x"));
            stage.wait_ms(60_000);
            let frames: Vec<Frame> = std::iter::from_fn(|| stage.receive()).collect();
            let notices: Vec<usize> = (0..frames.len())
                .filter(|&index| frames[index].message == NOTIFICATION)
                .collect();
            assert_eq!(notices.len(), 1, "{name}, {waits} waits: {frames:#?}");
            assert_eq!(frames[notices[0]].body["Type"], exit_type, "{name}");
            let waited: Vec<usize> = (0..frames.len())
                .filter(|&index| frames[index].message == 0x2010_0601)
                .collect();
            assert_eq!(waited.len(), waits, "{name}");
            assert!(waited.iter().all(|&wait| wait < notices[0]), "{name}");
            assert!(stage.kernel.views.is_empty(), "{name}");
        }
    }
}

/// §8.4: a container that was created and never executed notifies at once, however it is ended.
#[test]
fn a_container_shut_down_before_its_first_execute_notifies_once() {
    for (message, exit_type) in [
        (SHUTDOWN_GRACEFUL, "GracefulExit"),
        (SHUTDOWN_FORCED, "ForcedExit"),
    ] {
        let mut stage = created();
        assert_eq!(stage.ask(message, &base("x")).result(), 0);
        assert_eq!(stage.receive().unwrap().body["Type"], exit_type);
        assert_eq!(stage.ask(message, &base("x")).result(), STOPPED);
        assert_eq!(stage.ask(EXECUTE, &exec_init()).result(), STOPPED);
        let code = if message == SHUTDOWN_FORCED { 137 } else { 143 };
        let wait = wait_request("x", INIT, INFINITE);
        assert_eq!(stage.ask(WAIT, &wait).body["ExitCode"], code);
        assert_eq!(stage.ask(DELETE, &base("x")).result(), 0);
        stage.wait_ms(60_000);
        stage.assert_silent();
    }
}

/// §8.4: a wait on a created container is answered before its notification.
#[test]
fn a_wait_on_a_container_that_never_ran_is_answered_before_the_notification() {
    let mut stage = created();
    let wait = stage.send_wait("x", INIT, INFINITE);
    assert_eq!(stage.ask(SHUTDOWN_FORCED, &base("x")).result(), 0);
    assert_eq!(stage.receive().unwrap().id, wait);
    assert_eq!(stage.receive().unwrap().message, NOTIFICATION);
}

/// §8.4: a container that was created and is deleted ends as any other does.
#[test]
fn the_deletion_of_a_created_container_answers_its_waits_and_notifies_once() {
    let mut stage = created();
    let wait = stage.send_wait("x", INIT, INFINITE);
    assert_eq!(stage.ask(DELETE, &base("x")).result(), 0);
    let answer = stage.receive().unwrap();
    assert_eq!((answer.id, &answer.body["ExitCode"]), (wait, &json!(137)));
    assert_eq!(stage.receive().unwrap().message, NOTIFICATION);
    assert!(stage.kernel.views.is_empty());
    stage.wait_ms(60_000);
    stage.assert_silent();
}

/// §8.1, §7.11: a deleted id is free, and what still ends under it disturbs nobody.
#[test]
fn an_id_is_free_again_when_what_it_named_has_ended() {
    let mut stage = running();
    stage.kernel.ignored = vec![Signal::KILL];
    assert_eq!(stage.ask(DELETE, &base("x")).result(), INVALID_STATE);
    assert_eq!(stage.ask(DELETE, &base("x")).result(), NO_CONTAINER);
    assert_eq!(stage.create("x").result(), EXISTS, "its init still ends");
    stage.kernel.exit(INIT, ExitStatus::Killed(Signal::KILL));
    stage.run();
    assert_eq!(stage.receive().unwrap().message, NOTIFICATION);
    assert_eq!(stage.create("x").result(), 0);
    assert_eq!(stage.execute("x", &json!({})), INIT + 1);
    stage.wait_ms(60_000);
    stage.assert_silent();
}

/// §8.3: when init goes, everything else of the container goes, and outside nothing does.
#[test]
fn the_processes_of_other_containers_outlive_an_init() {
    let mut stage = running();
    stage.create("y");
    let other = stage.execute("y", &json!({}));
    let mut further = exec_further();
    further["ContainerId"] = json!("y");
    let further = stage.ask(EXECUTE, &further).body["ProcessId"]
        .as_u64()
        .unwrap() as u32;
    stage.exit(INIT, 0);
    for pid in [other, further] {
        assert_eq!(stage.kernel.at(pid).state, State::Running);
        assert!(stage.kernel.at(pid).signals.is_empty());
    }
}

/// §8.5: an external process ends without a notification.
#[test]
fn the_end_of_an_external_process_notifies_nobody() {
    let mut stage = Stage::negotiated();
    let pid = stage.quiet("a");
    stage.send_wait(NULL_ID, pid, INFINITE);
    stage.exit(pid, 3);
    assert_eq!(stage.receive().unwrap().body["ExitCode"], 3);
    stage.wait_ms(60_000);
    stage.assert_silent();
}

/// §8.3: a further process's exit is not the container's.
#[test]
fn the_end_of_a_further_process_notifies_nobody_and_its_container_runs_on() {
    let mut stage = running();
    let further = stage.ask(EXECUTE, &exec_further()).body["ProcessId"]
        .as_u64()
        .unwrap() as u32;
    stage.send_wait("x", further, INFINITE);
    stage.kernel.exit(further, ExitStatus::Killed(Signal::TERM));
    stage.run();
    assert_eq!(stage.receive().unwrap().body["ExitCode"], 143);
    stage.wait_ms(60_000);
    stage.assert_silent();
    assert_eq!(stage.kernel.at(INIT).state, State::Running);
}

/// §8.6: process ids are unique over all containers, not zero, below 2^31.
#[test]
fn process_ids_are_those_of_the_kernel_and_unique_over_all_containers() {
    let mut stage = Stage::negotiated();
    let mut pids = Vec::new();
    for id in ["x", "y"] {
        stage.create(id);
        pids.push(stage.execute(id, &json!({})));
        let further = json!({"OciProcess": {"args": ["a"], "cwd": "/"}});
        pids.push(stage.execute(id, &further));
    }
    pids.push(stage.quiet("z"));
    let count = pids.len();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), count);
    assert!(pids.iter().all(|pid| (1..1 << 31).contains(pid)));
}

/// §7.7: the machine ends without a response, and takes no further request.
#[test]
fn nothing_is_carried_out_once_the_machine_is_to_end() {
    let mut stage = created();
    let end = frame(SHUTDOWN_FORCED, 8, base(NULL_ID).to_string().as_bytes());
    let execute = frame(EXECUTE, 9, exec_init().to_string().as_bytes());
    stage.send_bytes(&[end, execute].concat());
    stage.wait_ms(5000);
    assert!(stage.kernel.powered_off);
    assert_ne!(stage.kernel.at(INIT).state, State::Running);
}

/// §8.2: the normal sequence, as the legacy shim and the newer one end it.
#[test]
fn the_normal_sequence_of_a_container_is_answered_step_by_step() {
    let mut stage = Stage::negotiated();
    assert_eq!(stage.create("x").result(), 0);
    assert_eq!(stage.ask(START, &base("x")).result(), 0);
    let pipes =
        json!({"CreateStdInPipe": true, "CreateStdOutPipe": true, "CreateStdErrPipe": true});
    let pid = stage.execute("x", &pipes);
    let wait = stage.send_wait("x", pid, INFINITE);
    let [stdin, stdout, stderr] = stage.streams();
    stage.vsock.host_write(stdin, b"in");
    stage.vsock.host_end(stdin);
    stage.run();
    assert_eq!(stage.kernel.read(pid), b"in");
    stage.kernel.write(pid, OutputStream::Stdout, b"out");
    stage.kernel.write(pid, OutputStream::Stderr, b"err");
    stage.exit(pid, 3);
    assert_eq!(stage.vsock.host_read(stdout), b"out");
    assert_eq!(stage.vsock.host_read(stderr), b"err");
    stage.run();
    let answer = stage.receive().unwrap();
    assert_eq!((answer.id, &answer.body["ExitCode"]), (wait, &json!(3)));
    assert_eq!(stage.receive().unwrap().body["Type"], "UnexpectedExit");
    for message in [SHUTDOWN_GRACEFUL, SHUTDOWN_FORCED] {
        assert_eq!(stage.ask(message, &base("x")).result(), STOPPED);
    }
    assert_eq!(stage.ask(DELETE, &base("x")).result(), 0);
    stage.wait_ms(60_000);
    stage.assert_silent();
}

/// §7.3: the host waits under the id it has asked under, which the Linux guest answers with "not found".
#[test]
fn an_external_process_asked_for_under_a_container_is_known_under_both_ids() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    stage.create("y");
    let beside = json!({"CommandArgs": ["a"], "CreateInUtilityVM": true, "EmulateConsole": true});
    let first = stage.execute("x", &beside);
    assert_eq!(stage.kernel.at(first).view, agent::kernel::View::UTILITY_VM);
    let waits = ["x", NULL_ID, "x"].map(|id| stage.send_wait(id, first, INFINITE));
    let window = |id: &str| json!({"ContainerId": id, "ProcessId": first, "Height": 3, "Width": 4});
    let elsewhere = stage.ask(WAIT, &wait_request("y", first, 0));
    assert_eq!(elsewhere.result(), NOT_FOUND);
    for id in ["x", NULL_ID] {
        assert_eq!(stage.ask(RESIZE, &window(id)).result(), 0);
        let mut hangup = signal(first, 1);
        hangup["ContainerId"] = id.into();
        assert_eq!(stage.ask(SIGNAL, &hangup).result(), 0);
    }
    stage.exit(first, 7);
    for id in waits {
        let answer = stage.receive().expect("an answer");
        assert_eq!((answer.id, &answer.body["ExitCode"]), (id, &json!(7)));
    }
    stage.assert_silent();
    // An exit code nobody has waited for is told once, under one of them.
    for (id, other) in [("x", NULL_ID), (NULL_ID, "x")] {
        let pid = stage.execute("x", &beside);
        stage.exit(pid, 9);
        let told = stage.ask(WAIT, &wait_request(id, pid, 0));
        assert_eq!(told.body["ExitCode"], 9);
        for id in [id, other] {
            let again = stage.ask(WAIT, &wait_request(id, pid, 0));
            assert_eq!(again.result(), NOT_FOUND);
        }
    }
    let last = stage.execute("x", &beside);
    assert_eq!(stage.ask_beside(DELETE, &base("x")), 0);
    stage.kernel.at(last);
    assert_eq!(
        stage.ask_beside(WAIT, &wait_request("x", last, 0)),
        NO_CONTAINER
    );
    assert_eq!(
        stage.ask_beside(WAIT, &wait_request(NULL_ID, last, 0)),
        TIMEOUT
    );
}

/// §7.3: whether there is such a container does not matter to a program outside of all.
#[test]
fn an_external_process_asked_for_under_an_unknown_id_is_waited_for_under_the_null_one() {
    let mut stage = Stage::negotiated();
    let beside = json!({"CommandArgs": ["a"], "CreateInUtilityVM": true});
    let pid = stage.execute("nobody", &beside);
    stage.exit(pid, 1);
    let wait = |id| wait_request(id, pid, 0);
    assert_eq!(stage.ask(WAIT, &wait("nobody")).result(), NO_CONTAINER);
    assert_eq!(stage.ask(WAIT, &wait(NULL_ID)).body["ExitCode"], 1);
}
