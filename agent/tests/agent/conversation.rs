//! What is asked and answered, message by message (gcs-protocol §7).

use crate::stage::*;
use agent::kernel::{End, Refusal, Signal};
use fakes::kernel::State;
use serde_json::json;

#[test]
fn negotiation_is_answered_with_what_works() {
    let mut stage = Stage::connected();
    let response = stage.ask(
        NEGOTIATE,
        &json!({"MinimumVersion": 4, "MaximumVersion": 4}),
    );
    assert_eq!(response.body["Version"], 4);
    let capabilities = &response.body["Capabilities"];
    assert_eq!(capabilities["RuntimeOsType"], "Linux");
    assert_eq!(
        capabilities["GuestDefinedCapabilities"],
        json!({"SignalProcessSupported": true, "DumpStacksSupported": true, "DeleteContainerStateSupported": true})
    );
}

#[test]
fn a_failed_negotiation_may_be_followed_by_another() {
    let mut stage = Stage::connected();
    for (minimum, maximum) in [(1, 3), (5, 6), (0, 0)] {
        let versions = json!({"MinimumVersion": minimum, "MaximumVersion": maximum});
        assert_eq!(stage.ask(NEGOTIATE, &versions).result(), 0xc037_010c);
    }
    assert_eq!(
        stage.ask(NEGOTIATE, &json!({"MaximumVersion": 9})).result(),
        0
    );
}

#[test]
fn a_second_negotiation_and_a_request_before_the_first_are_not_implemented() {
    let mut stage = Stage::connected();
    assert_eq!(stage.ask(START, &base("x")).result(), NOT_IMPLEMENTED);
    assert_eq!(stage.ask(DUMP, &base("x")).result(), NOT_IMPLEMENTED);
    assert_eq!(
        stage.ask(NEGOTIATE, &json!({"MaximumVersion": 4})).result(),
        0
    );
    let second = stage.ask(NEGOTIATE, &json!({"MaximumVersion": 4}));
    assert_eq!(second.result(), NOT_IMPLEMENTED);
}

#[test]
fn create_hands_the_specification_to_the_kernel_and_leaves_init_stopped() {
    let mut stage = Stage::negotiated();
    let response = stage.create("x");
    assert_eq!(
        response.text,
        format!("{{\"Result\":0,\"ActivityId\":\"{NULL_ID}\",\"SelectedProtocolVersion\":0}}")
    );
    assert_eq!(stage.kernel.views[&1], "/run/gcs/c/x/rootfs");
    let init = stage.kernel.at(101);
    assert_eq!(init.state, State::Stopped);
    assert_eq!(init.view.index, 1);
    assert_eq!(init.args, ["init", "a b"]);
    assert_eq!(init.env, ["A=1", "B=\u{e9}"]);
    assert_eq!(init.cwd, "/tmp");
    assert_eq!((init.credentials.uid, init.credentials.gid), (1, 2));
    assert_eq!(init.credentials.groups, [3, 4]);
    assert!(init.credentials.no_new_privileges);
}

#[test]
fn a_container_that_is_still_loading_answers_create_later_and_refuses_everything_else_by_its_state()
{
    let mut stage = Stage::negotiated();
    stage.kernel.loads_at_once = false;
    let create = stage.send(CREATE, &create_request("x"));
    stage.assert_silent();
    assert_eq!(stage.ask(CREATE, &create_request("x")).result(), EXISTS);
    assert_eq!(stage.ask(START, &base("x")).result(), 0);
    for message in [SHUTDOWN_FORCED, DELETE, WAIT, SIGNAL, RESIZE, PROPERTIES] {
        let response = stage.ask(message, &base("x"));
        assert_eq!(response.result(), INVALID_STATE, "{message:x}");
    }
    stage.kernel.load(101);
    stage.run();
    let response = stage.receive().unwrap();
    assert_eq!((response.id, response.result()), (create, 0));
}

#[test]
fn a_container_whose_init_cannot_be_loaded_leaves_nothing_behind() {
    let mut stage = Stage::negotiated();
    stage.kernel.miss("init", 2, "no such file or directory");
    let response = stage.create("x");
    assert_eq!(response.result(), FILE_NOT_FOUND);
    assert_eq!(response.error(), "exec \"init\": no such file or directory");
    assert_eq!(stage.ask(DELETE, &base("x")).result(), NO_CONTAINER);
    assert!(stage.kernel.views.is_empty());
}

#[test]
fn init_is_started_by_the_first_execute_and_only_by_it() {
    let mut stage = Stage::negotiated();
    assert_eq!(stage.container("x"), 101);
    let init = stage.kernel.at(101);
    assert_eq!(init.state, State::Running);
    assert_eq!(init.stdio.stdin, End::Pipe);
    let dials = stage.vsock.dials.len();
    let second = stage.ask(
        EXECUTE,
        &execute_request("x", &json!({"CreateStdOutPipe": true})),
    );
    assert_eq!(second.result(), INVALID_STATE);
    assert_eq!(stage.vsock.dials.len(), dials, "refused before dialling");
}

#[test]
fn streams_that_were_not_asked_for_are_closed_for_init_and_null_for_others() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    let init = stage.execute("x", &json!({"CommandLine": "ignored 'here"}));
    assert_eq!(stage.kernel.at(init).stdio.stdout, End::Closed);
    let exec = stage.execute("x", &json!({"OciProcess": {"args": ["sleep"], "cwd": "/"}}));
    assert_eq!(stage.kernel.at(exec).stdio.stdout, End::Null);
    let view = stage.kernel.at(init).view;
    assert_eq!(stage.kernel.at(exec).view, view);
    let external = stage.quiet("true");
    assert_eq!(stage.kernel.at(external).stdio.stderr, End::Null);
}

#[test]
fn streams_are_dialled_in_order_and_before_the_program_runs() {
    let mut stage = Stage::negotiated();
    for port in STREAMS {
        stage.vsock.on_call(port, fakes::vsock::Answer::Ring);
    }
    let before = stage.vsock.dials.len();
    stage.send(EXECUTE, &execute_request(NULL_ID, &json!({"CommandArgs": ["cat"], "CreateStdInPipe": true, "CreateStdOutPipe": true, "CreateStdErrPipe": true})));
    let dials: Vec<u32> = stage.vsock.dials[before..]
        .iter()
        .map(|dial| dial.0.0)
        .collect();
    assert_eq!(dials, STREAMS);
    let [stdin, stdout, stderr] = stage.streams();
    for id in [stderr, stdin] {
        stage.vsock.answer(id, fakes::vsock::Answer::Accept);
        stage.run();
        assert_eq!(stage.kernel.at(101).state, State::Stopped);
        stage.assert_silent();
    }
    stage.vsock.answer(stdout, fakes::vsock::Answer::Accept);
    stage.run();
    assert_eq!(stage.kernel.at(101).state, State::Running);
    assert_eq!(stage.receive().unwrap().body["ProcessId"], 101);
}

#[test]
fn a_stream_nobody_takes_fails_the_request_and_takes_the_process_back() {
    let mut stage = Stage::negotiated();
    stage
        .vsock
        .on_call(STREAMS[1], fakes::vsock::Answer::Refuse);
    let parameters =
        json!({"CommandArgs": ["cat"], "CreateStdInPipe": true, "CreateStdOutPipe": true});
    let response = stage.ask(EXECUTE, &execute_request(NULL_ID, &parameters));
    assert_eq!(response.result(), FAIL);
    assert_eq!(
        response.error(),
        format!("connecting stdout to host port {}: refused", STREAMS[1])
    );
    assert_eq!(stage.kernel.at(101).state, State::Gone);
    assert_eq!(stage.vsock.host(STREAMS[0]), None, "the others are closed");
}

#[test]
fn a_stream_that_rings_for_ever_fails_the_request_at_its_time() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    stage.vsock.on_call(STREAMS[1], fakes::vsock::Answer::Ring);
    stage.send(
        EXECUTE,
        &execute_request("x", &json!({"CreateStdOutPipe": true})),
    );
    stage.wait_ms(agent::limits::STREAM_DIAL_MS - 1);
    stage.assert_silent();
    stage.wait_ms(1);
    assert_eq!(stage.receive().unwrap().result(), FAIL);
    // The init is as it was and can be tried again.
    stage
        .vsock
        .on_call(STREAMS[1], fakes::vsock::Answer::Accept);
    assert_eq!(stage.execute("x", &json!({"CreateStdOutPipe": true})), 101);
}

#[test]
fn a_program_that_does_not_exist_is_refused_at_once_and_without_dialling() {
    let mut stage = Stage::negotiated();
    stage
        .kernel
        .miss("/no/such", 2, "no such file or directory");
    let dials = stage.vsock.dials.len();
    let parameters = json!({"CommandArgs": ["/no/such"], "CreateStdOutPipe": true});
    let response = stage.ask(EXECUTE, &execute_request(NULL_ID, &parameters));
    assert_eq!(response.result(), FILE_NOT_FOUND);
    assert_eq!(
        response.error(),
        "exec \"/no/such\": no such file or directory"
    );
    assert_eq!(stage.vsock.dials.len(), dials);
}

#[test]
fn an_external_program_gets_command_environment_and_directory() {
    let mut stage = Stage::negotiated();
    let pid = stage.execute(
        "whatever",
        &json!({
            "CommandLine": "sh -c 'exit 5'", "WorkingDirectory": "/tmp", "CreateInUtilityVm": true,
            "Environment": {"B": "2", "A": "1", "E": null}
        }),
    );
    let process = stage.kernel.at(pid);
    assert_eq!(process.args, ["sh", "-c", "exit 5"]);
    assert_eq!(process.env, ["B=2", "A=1", "E="]);
    assert_eq!(process.cwd, "/tmp");
    let pid = stage.execute(
        NULL_ID,
        &json!({"CommandArgs": ["a", ""], "CommandLine": "'"}),
    );
    assert_eq!(stage.kernel.at(pid).args, ["a", ""]);
}

#[test]
fn what_the_kernel_refuses_is_refused_with_its_limit() {
    let mut stage = Stage::negotiated();
    stage.kernel.refusal = Some(Refusal::Limit("MAX_FRAMES", 5));
    let response = stage.ask(
        EXECUTE,
        &execute_request(NULL_ID, &json!({"CommandArgs": ["a"]})),
    );
    assert_eq!(response.error(), "limit reached: MAX_FRAMES = 5");
    stage.kernel.refusal = Some(Refusal::OutOfMemory);
    let response = stage.create("x");
    assert_eq!(response.error(), "out of memory");
    assert!(stage.kernel.views.is_empty());
}

#[test]
fn signals_reach_processes_in_and_outside_containers() {
    let mut stage = Stage::negotiated();
    let init = stage.container("x");
    let external = stage.quiet("spin");
    for (id, pid, options, signal) in [
        ("x", init, json!({"Signal": 1}), 1),
        ("x", init, json!({"Signal": 31}), 31),
        (NULL_ID, external, json!({"Signal": 10}), 10),
        (NULL_ID, external, json!(null), 9),
        ("x", init, json!({}), 9),
    ] {
        let request = json!({"ContainerId": id, "ProcessId": pid, "Options": options});
        assert_eq!(stage.ask(SIGNAL, &request).result(), 0);
        assert_eq!(
            stage.kernel.at(pid).signals.last(),
            Signal::from_number(signal).as_ref()
        );
    }
}

#[test]
fn signals_outside_the_list_and_to_nobody_are_refused() {
    let mut stage = Stage::negotiated();
    let init = stage.container("x");
    for signal in [-1, 32, 64, 100] {
        let request = json!({"ContainerId": "x", "ProcessId": init, "Options": {"Signal": signal}});
        assert_eq!(
            stage.ask(SIGNAL, &request).result(),
            INVALID_ARGUMENT,
            "{signal}"
        );
    }
    for (id, pid, result) in [
        ("x", 9, NOT_FOUND),
        (NULL_ID, init, NOT_FOUND),
        ("y", init, NO_CONTAINER),
    ] {
        let request = json!({"ContainerId": id, "ProcessId": pid});
        assert_eq!(stage.ask(SIGNAL, &request).result(), result);
    }
    stage.exit(init, 0);
    let gone = stage.ask(SIGNAL, &json!({"ContainerId": "x", "ProcessId": init}));
    assert_eq!(gone.result(), NOT_FOUND);
}

#[test]
fn what_is_not_implemented_is_refused_by_name() {
    let mut stage = Stage::negotiated();
    for (message, name) in [
        (0x1010_0e01, "UpdateContainer"),
        (0x1010_0f01, "LifecycleNotification"),
        (0x1020_0101, "ModifyServiceSettings"),
        (0x1010_9901, "message type 0x10109901"),
        (0, "message type 0x00000000"),
    ] {
        let response = stage.ask(message, &base("x"));
        assert_eq!(response.result(), NOT_IMPLEMENTED);
        assert_eq!(response.error(), format!("not implemented: {name}"));
    }
}

#[test]
fn the_machine_powers_off_without_an_answer() {
    for message in [SHUTDOWN_GRACEFUL, SHUTDOWN_FORCED] {
        let mut stage = Stage::negotiated();
        stage.send(message, &base(NULL_ID));
        stage.assert_silent();
        stage.run();
        assert!(stage.kernel.powered_off);
    }
}

#[test]
fn a_host_that_takes_nothing_any_more_cannot_keep_the_machine_on() {
    let mut stage = Stage::negotiated();
    stage.vsock.set_window(10);
    stage.send(START, &base("x"));
    stage.send(SHUTDOWN_FORCED, &base(NULL_ID));
    assert!(!stage.kernel.powered_off);
    stage.wait_ms(agent::limits::FAREWELL_MS);
    assert!(stage.kernel.powered_off);
}

#[test]
fn containers_live_side_by_side_up_to_their_limit_and_one_more_is_refused_by_its_name() {
    let mut stage = Stage::negotiated();
    for number in 0..agent::limits::MAX_CONTAINERS {
        assert_eq!(stage.create(&format!("c{number}")).result(), 0);
    }
    let response = stage.create("one more");
    assert_eq!(
        response.error(),
        format!(
            "limit reached: MAX_CONTAINERS = {}",
            agent::limits::MAX_CONTAINERS
        )
    );
    assert_eq!(stage.ask(DELETE, &base("c3")).result(), 0);
    assert_eq!(stage.receive().unwrap().message, NOTIFICATION);
    assert_eq!(stage.create("one more").result(), 0);
}

#[test]
fn processes_run_up_to_their_limit_and_one_more_is_refused_by_its_name() {
    let mut stage = Stage::negotiated();
    let pids: Vec<u32> = (0..agent::limits::MAX_PROCESSES)
        .map(|_| stage.quiet("spin"))
        .collect();
    let request = execute_request(NULL_ID, &json!({"CommandArgs": ["spin"]}));
    let response = stage.ask(EXECUTE, &request);
    assert_eq!(
        response.error(),
        format!(
            "limit reached: MAX_PROCESSES = {}",
            agent::limits::MAX_PROCESSES
        )
    );
    stage.exit(pids[40], 0);
    stage.quiet("spin");
}

#[test]
fn a_container_id_is_taken_below_and_at_its_limit_and_refused_above() {
    let mut stage = Stage::negotiated();
    for length in [127, 128] {
        assert_eq!(stage.create(&"c".repeat(length)).result(), 0);
    }
    let response = stage.create(&"c".repeat(129));
    assert_eq!(response.error(), "limit reached: CONTAINER_ID_BYTES = 128");
}
