//! Start-up: which ports are dialled, when, and what happens when nobody answers (gcs-protocol §2).

use crate::stage::*;
use fakes::vsock::Answer;
use hal::vsock::Port;
use serde_json::json;

fn dialled(stage: &Stage) -> Vec<u32> {
    stage
        .vsock
        .dials
        .iter()
        .map(|(Port(port), _)| *port)
        .collect()
}

#[test]
fn entropy_log_and_bridge_are_dialled_in_this_order_and_none_waits_for_another() {
    let mut stage = Stage::new(4096);
    for port in [1, 109, BRIDGE] {
        stage.vsock.on_call(port, Answer::Ring);
    }
    stage.run();
    assert_eq!(dialled(&stage), [1, 109, BRIDGE]);
}

#[test]
fn dialling_before_the_first_step_is_what_the_step_would_have_done() {
    let mut stage = Stage::new(4096);
    stage.agent.dial(stage.now, &mut stage.vsock);
    assert_eq!(dialled(&stage), [1, 109, BRIDGE]);
    stage.run();
    assert_eq!(dialled(&stage), [1, 109, BRIDGE]);
    assert!(stage.vsock.host(BRIDGE).is_some());
}

#[test]
fn an_agent_that_has_not_begun_dials_nobody() {
    let mut stage = Stage::new(4096);
    agent::Agent::new().dial(stage.now, &mut stage.vsock);
    assert!(dialled(&stage).is_empty());
}

#[test]
fn the_step_that_negotiates_takes_no_request_after_that_one() {
    let mut stage = Stage::connected();
    let negotiate =
        json!({"ContainerId": "", "ActivityId": NULL_ID, "MinimumVersion": 4, "MaximumVersion": 4});
    let bridge = stage.bridge.unwrap();
    let both = [
        frame(NEGOTIATE, 0, negotiate.to_string().as_bytes()),
        frame(START, 1, base("x").to_string().as_bytes()),
    ];
    stage.vsock.host_write(bridge, &both.concat());
    assert!(!stage.agent.is_negotiated());
    for answered in [0, 1] {
        let Stage {
            agent,
            vsock,
            kernel,
            now,
            ..
        } = &mut stage;
        agent.step(*now, vsock, kernel);
        assert!(stage.agent.is_negotiated());
        assert_eq!(stage.receive().unwrap().id, answered);
        stage.assert_silent();
    }
}

#[test]
fn entropy_is_read_to_its_end_and_let_go() {
    let mut stage = Stage::connected();
    let entropy = stage.vsock.host(1).unwrap();
    stage.vsock.host_write(entropy, &[7; 300]);
    stage.run();
    stage.vsock.host_write(entropy, &[8; 212]);
    stage.vsock.host_end(entropy);
    stage.run();
    assert_eq!(
        stage.kernel.entropy,
        [[7; 300].as_slice(), &[8; 212]].concat()
    );
    assert!(!stage.vsock.is_held(entropy));
}

#[test]
fn no_more_entropy_is_taken_than_the_limit() {
    let mut stage = Stage::connected();
    let entropy = stage.vsock.host(1).unwrap();
    stage.vsock.host_write(entropy, &[7; 10_000]);
    stage.run();
    assert_eq!(stage.kernel.entropy.len(), agent::limits::MAX_ENTROPY_BYTES);
    assert!(!stage.vsock.is_held(entropy));
}

#[test]
fn a_host_that_takes_neither_entropy_nor_log_gets_its_bridge() {
    let mut stage = Stage::new(4096);
    stage.vsock.on_call(1, Answer::Ring);
    stage.vsock.on_call(109, Answer::Ring);
    stage.connect();
    assert!(stage.agent.can_log(), "it may still be taken");
    stage.wait_ms(9_999);
    assert!(stage.agent.can_log());
    stage.wait_ms(1);
    assert!(!stage.agent.can_log(), "given up");
    assert_eq!(dialled(&stage), [1, 109, BRIDGE]);
}

#[test]
fn the_bridge_is_dialled_again_eight_milliseconds_after_it_was_refused() {
    let mut stage = Stage::new(4096);
    stage.vsock.on_call(BRIDGE, Answer::Refuse);
    stage.run();
    assert_eq!(dialled(&stage), [1, 109, BRIDGE]);
    stage.wait_ms(7);
    assert_eq!(dialled(&stage).len(), 3);
    stage.wait_ms(1);
    assert_eq!(dialled(&stage).len(), 4);
}
