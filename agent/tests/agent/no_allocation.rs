//! From the first byte of a request to the last of its response, and for everything in between, nothing is allocated.

use crate::stage::*;
use agent::kernel::{ExitStatus, OutputStream};
use fakes::alloc::calls;
use serde_json::{Value, json};

/// Runs the agent until nothing moves and returns how often it asked for memory.
fn counted_run(stage: &mut Stage) -> u64 {
    let before = calls();
    stage.run();
    calls() - before
}

/// Sends a request and asserts that nothing was allocated on its way.
fn assert_free(stage: &mut Stage, message: u32, body: &Value) -> Option<Frame> {
    let id = stage.next_id;
    stage.next_id += 1;
    let bridge = stage.bridge.unwrap();
    stage
        .vsock
        .host_write(bridge, &frame(message, id, body.to_string().as_bytes()));
    assert_eq!(counted_run(stage), 0, "{message:08x}");
    stage.receive()
}

#[test]
fn no_message_stream_wait_signal_or_notification_allocates() {
    let mut stage = Stage::connected();
    assert_free(&mut stage, NEGOTIATE, &json!({"MaximumVersion": 4}));
    assert_free(&mut stage, CREATE, &create_request("x"));
    assert_free(&mut stage, START, &base("x"));
    let pipes =
        json!({"CreateStdInPipe": true, "CreateStdOutPipe": true, "CreateStdErrPipe": true});
    let init = assert_free(&mut stage, EXECUTE, &execute_request("x", &pipes))
        .unwrap()
        .body["ProcessId"]
        .as_u64()
        .unwrap() as u32;
    assert_free(&mut stage, WAIT, &wait_request("x", init, INFINITE));
    let [stdin, stdout, stderr] = stage.streams();
    stage.vsock.host_write(stdin, &[b'x'; 100_000]);
    stage
        .kernel
        .write(init, OutputStream::Stdout, &[b'y'; 100_000]);
    assert_eq!(counted_run(&mut stage), 0, "streams");
    stage.vsock.host_read(stdout);
    stage.kernel.read(init);
    assert_eq!(counted_run(&mut stage), 0, "streams");
    stage.vsock.host_read(stdout);
    let exec = json!({"OciProcess": {"args": ["a"], "env": ["A=1"], "cwd": "/"}});
    let exec = assert_free(&mut stage, EXECUTE, &execute_request("x", &exec))
        .unwrap()
        .body["ProcessId"]
        .as_u64()
        .unwrap() as u32;
    let external = json!({"CommandLine": "a 'b c'", "Environment": {"A": "1", "B": "2"}});
    assert_free(&mut stage, EXECUTE, &execute_request(NULL_ID, &external));
    assert_free(&mut stage, WAIT, &wait_request("x", exec, 10));
    stage.now = stage.now + core::time::Duration::from_millis(10);
    assert_eq!(counted_run(&mut stage), 0, "time-out");
    assert_free(
        &mut stage,
        SIGNAL,
        &json!({"ContainerId": "x", "ProcessId": exec, "Options": {"Signal": 10}}),
    );
    assert_free(
        &mut stage,
        PROPERTIES,
        &json!({"ContainerId": "x", "Query": "{\"PropertyTypes\":[\"ProcessList\",\"Statistics\",\"Memory\"]}"}),
    );
    assert_free(
        &mut stage,
        PROPERTIES,
        &json!({"ContainerId": NULL_ID, "Query": "{\"PropertyTypes\":[\"ProcessList\",\"Statistics\"]}"}),
    );
    assert_free(
        &mut stage,
        RESIZE,
        &json!({"ContainerId": "x", "ProcessId": exec, "Height": 1, "Width": 1}),
    );
    for (resource, settings) in [
        ("Network", json!({})),
        (
            "MappedVirtualDisk",
            json!({"MountPath": "/m", "Options": ["ro"]}),
        ),
        (
            "CombinedLayers",
            json!({"ContainerRootPath": "/r", "Layers": [{"Path": "/a"}]}),
        ),
        ("SCSIDevice", json!({"Lun": 1})),
        ("VPMemDevice", json!({"MountPath": "/p"})),
        ("MappedDirectory", json!({"MountPath": "/d"})),
        ("PodCgroupMemoryLimit", json!({})),
    ] {
        for verb in ["Add", "Remove", "Update"] {
            let request =
                json!({"RequestType": verb, "ResourceType": resource, "Settings": settings});
            assert_free(
                &mut stage,
                MODIFY,
                &json!({"ContainerId": NULL_ID, "Request": request}),
            );
        }
    }
    let resources = json!({"memory": {"limit": 1 << 20}});
    let request = json!({"ResourceType": "ContainerConstraints", "Settings": {"Linux": resources}});
    assert_free(
        &mut stage,
        MODIFY,
        &json!({"ContainerId": "x", "Request": request}),
    );
    assert_free(
        &mut stage,
        UPDATE,
        &json!({"ContainerId": "x", "Resources": resources.to_string()}),
    );
    assert_free(&mut stage, DUMP, &base("x"));
    assert_free(&mut stage, DELETE, &base("nobody"));
    assert_free(&mut stage, 0, &base("x"));
    stage.kernel.exit(init, ExitStatus::Exited(0));
    assert_eq!(counted_run(&mut stage), 0, "exit");
    stage.vsock.host_read(stdout);
    stage.vsock.host_close(stdout);
    stage.vsock.host_close(stderr);
    assert_eq!(counted_run(&mut stage), 0, "wait and notification");
    let frames: Vec<u32> = std::iter::from_fn(|| stage.receive())
        .map(|frame| frame.message)
        .collect();
    assert!(frames.contains(&NOTIFICATION));
    assert_free(&mut stage, SHUTDOWN_GRACEFUL, &base("x"));
    assert_free(&mut stage, DELETE, &base("x"));
    let now = stage.now;
    let before = calls();
    stage.agent.log(
        now,
        &mut stage.vsock,
        log::Level::Info,
        format_args!("line {}", 7),
    );
    assert_eq!(calls() - before, 0, "log");
}

#[test]
fn no_signal_to_an_external_process_and_no_forced_end_allocates() {
    let mut stage = Stage::connected();
    assert_free(&mut stage, NEGOTIATE, &json!({"MaximumVersion": 4}));
    let external = json!({"CommandLine": "a"});
    let external = assert_free(&mut stage, EXECUTE, &execute_request(NULL_ID, &external))
        .unwrap()
        .body["ProcessId"]
        .as_u64()
        .unwrap() as u32;
    assert_free(
        &mut stage,
        SIGNAL,
        &json!({"ContainerId": NULL_ID, "ProcessId": external, "Options": {"Signal": 9}}),
    );
    assert_free(&mut stage, DUMP, &base(NULL_ID));
    for (id, message) in [("x", SHUTDOWN_FORCED), ("y", SHUTDOWN_GRACEFUL)] {
        assert_free(&mut stage, CREATE, &create_request(id));
        assert_free(&mut stage, START, &base(id));
        assert_free(&mut stage, message, &base(id));
    }
    assert_free(&mut stage, SHUTDOWN_FORCED, &base(NULL_ID));
}

#[test]
fn no_dial_no_entropy_and_no_new_connection_allocates() {
    let mut stage = Stage::new(4096);
    let before = calls();
    stage.agent.dial(stage.now, &mut stage.vsock);
    assert_eq!(calls() - before, 0, "dials");
    assert_eq!(counted_run(&mut stage), 0, "all three are taken");
    let entropy = stage.vsock.host(1).unwrap();
    for part in [1, 300, 211] {
        stage.vsock.host_write(entropy, &vec![7; part]);
        assert_eq!(counted_run(&mut stage), 0, "entropy");
    }
    stage.vsock.host_end(entropy);
    assert_eq!(counted_run(&mut stage), 0, "its end");
    assert_eq!(stage.kernel.entropy.len(), 512);
    for _ in 0..2 {
        stage.bridge = stage.vsock.host(BRIDGE);
        assert_free(&mut stage, NEGOTIATE, &json!({"MaximumVersion": 4}));
        let bridge = stage.bridge.take().unwrap();
        stage.vsock.host_close(bridge);
        assert_eq!(counted_run(&mut stage), 0, "the bridge goes");
        stage.now = stage.now + core::time::Duration::from_millis(100);
        assert_eq!(counted_run(&mut stage), 0, "and comes again");
    }
}

#[test]
fn no_graceful_end_of_the_vm_allocates() {
    let mut stage = Stage::connected();
    assert_free(&mut stage, NEGOTIATE, &json!({"MaximumVersion": 4}));
    assert_free(&mut stage, CREATE, &create_request("x"));
    // There is no answer to this one: the host waits for the VM to end.
    assert_free(&mut stage, SHUTDOWN_GRACEFUL, &base(NULL_ID));
    stage.now = stage.now + core::time::Duration::from_secs(60);
    assert_eq!(counted_run(&mut stage), 0, "the end");
    assert!(stage.kernel.powered_off);
}
