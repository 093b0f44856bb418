//! Every call of hcsshim's interfaces (gcs-protocol §12): the message it sends, the answer it reads, and what becomes of a
//! refusal, of a guest that hangs up, and of a connection that is closed.

use crate::guest::{DONE, Guest, NEGOTIATED, converse, patient, play};
use mote_host::{
    Container, ContainerConfig, Error, GuestConnection, Hresult, MessageType, Process,
    ProcessConfig, PropertyType, Resource, Result, Timeouts,
};
use serde_json::{Value, json};
use std::time::Duration;

const REFUSED: &str = r#"{"Result":-2147467259,"ErrorMessage":"not today"}"#;

/// What calls are made on.
struct Objects {
    guest: GuestConnection,
    container: Container,
    process: Process,
}

/// A call: its name, its message, and how it is made. What it returns is shown as text.
type Call = (&'static str, MessageType, fn(&Objects) -> Result<String>);

const STATISTICS: &[PropertyType] = &[PropertyType::Statistics];

fn shown<T: std::fmt::Debug>(result: Result<T>) -> Result<String> {
    result.map(|value| format!("{value:?}"))
}

fn layers() -> Resource {
    Resource::CombinedLayers {
        root: "/r".into(),
        layers: vec!["/l".into()],
        scratch: None,
    }
}

/// All calls that ask the guest something, but Negotiate and those that make an object.
const CALLS: [Call; 24] = [
    (
        "GuestConnection.modify",
        MessageType::MODIFY_SETTINGS,
        |all| shown(all.guest.modify(&json!({}))),
    ),
    (
        "GuestConnection.modify_service_settings",
        MessageType::MODIFY_SERVICE_SETTINGS,
        |all| {
            shown(
                all.guest
                    .modify_service_settings("LogForwardService", &json!({})),
            )
        },
    ),
    ("GuestConnection.add", MessageType::MODIFY_SETTINGS, |all| {
        shown(all.guest.add(&layers()))
    }),
    (
        "GuestConnection.remove",
        MessageType::MODIFY_SETTINGS,
        |all| shown(all.guest.remove(&layers())),
    ),
    (
        "GuestConnection.properties",
        MessageType::GET_PROPERTIES,
        |all| shown(all.guest.properties(STATISTICS)),
    ),
    (
        "GuestConnection.dump_stacks",
        MessageType::DUMP_STACKS,
        |all| shown(all.guest.dump_stacks()),
    ),
    (
        "GuestConnection.delete_container_state",
        MessageType::DELETE_CONTAINER_STATE,
        |all| shown(all.guest.delete_container_state("c")),
    ),
    (
        "GuestConnection.update_container",
        MessageType::UPDATE_CONTAINER,
        |all| shown(all.guest.update_container("c", &json!({}))),
    ),
    ("Container.start", MessageType::START, |all| {
        shown(all.container.start())
    }),
    (
        "Container.shutdown",
        MessageType::SHUTDOWN_GRACEFUL,
        |all| shown(all.container.shutdown()),
    ),
    ("Container.terminate", MessageType::SHUTDOWN_FORCED, |all| {
        shown(all.container.terminate())
    }),
    ("Container.modify", MessageType::MODIFY_SETTINGS, |all| {
        shown(all.container.modify(&json!({})))
    }),
    ("Container.properties", MessageType::GET_PROPERTIES, |all| {
        shown(all.container.properties(STATISTICS))
    }),
    (
        "Container.properties_v2",
        MessageType::GET_PROPERTIES,
        |all| shown(all.container.properties_v2(STATISTICS)),
    ),
    (
        "Container.process_list",
        MessageType::GET_PROPERTIES,
        |all| shown(all.container.process_list()),
    ),
    ("Container.statistics", MessageType::GET_PROPERTIES, |all| {
        shown(all.container.statistics())
    }),
    (
        "Container.has_pending_updates",
        MessageType::GET_PROPERTIES,
        |all| shown(all.container.has_pending_updates()),
    ),
    (
        "Container.mapped_virtual_disks",
        MessageType::GET_PROPERTIES,
        |all| shown(all.container.mapped_virtual_disks()),
    ),
    (
        "Container.create_process",
        MessageType::EXECUTE_PROCESS,
        |all| {
            let config = ProcessConfig::new(["x"]).without_stdio();
            shown(
                all.container
                    .create_process(&config)
                    .map(|process| process.pid()),
            )
        },
    ),
    (
        "GuestConnection.create_process",
        MessageType::EXECUTE_PROCESS,
        |all| {
            let config = ProcessConfig::new(["x"]).without_stdio();
            shown(
                all.guest
                    .create_process(&config)
                    .map(|process| process.pid()),
            )
        },
    ),
    (
        "GuestConnection.create_container",
        MessageType::CREATE,
        |all| {
            let config = ContainerConfig::new(&ProcessConfig::new(["x"]));
            let container = all.guest.create_container("new", &config);
            shown(container.map(|container| container.id().to_owned()))
        },
    ),
    ("Process.kill", MessageType::SIGNAL_PROCESS, |all| {
        shown(all.process.kill())
    }),
    ("Process.signal", MessageType::SIGNAL_PROCESS, |all| {
        shown(all.process.signal(15))
    }),
    (
        "Process.resize_console",
        MessageType::RESIZE_CONSOLE,
        |all| shown(all.process.resize_console(80, 24)),
    ),
];

/// Runs a conversation about the objects; `guest` has its part behind their making.
fn about<T>(
    timeouts: Timeouts,
    guest: impl FnOnce(Guest) + Send,
    host: impl FnOnce(Objects) -> T,
) -> T {
    play(
        timeouts,
        |mut actor| {
            actor.exchange(MessageType::NEGOTIATE_PROTOCOL, NEGOTIATED);
            // It is never answered: the process runs.
            actor.expect(MessageType::WAIT_FOR_PROCESS);
            guest(actor);
        },
        |connection| {
            let guest = connection.expect("negotiated");
            let container = guest.open_container("c").expect("registered");
            let process = container.open_process(7).expect("waited for");
            host(Objects {
                guest,
                container,
                process,
            })
        },
    )
}

/// What the guest answers when it does as it is asked, and what the call makes of it.
fn success(name: &str) -> (&'static str, &'static str) {
    const PROPERTIES: &str = r#"{"Properties":"{\"ProcessList\":[{\"ProcessId\":7}],\"LCOWMetrics\":{\"pids\":{\"current\":5}},\"AreUpdatesPending\":true,\"MappedVirtualDiskControllers\":{\"0\":{}}}"}"#;
    match name {
        "GuestConnection.dump_stacks" => (r#"{"GuestStacks":"idle"}"#, "idle"),
        "Container.create_process" | "GuestConnection.create_process" => {
            (r#"{"ProcessId":9}"#, "9")
        }
        "GuestConnection.create_container" => (DONE, "new"),
        "Process.kill" | "Process.signal" => (DONE, "true"),
        "Container.statistics" => (PROPERTIES, "pids_current: 5"),
        "Container.has_pending_updates" => (PROPERTIES, "true"),
        "Container.process_list" => (PROPERTIES, "pid: 7"),
        "Container.mapped_virtual_disks" => (PROPERTIES, r#""0": Object"#),
        "Container.properties_v2" => (PROPERTIES, r#""AreUpdatesPending": Bool(true)"#),
        name if name.ends_with(".properties") => (PROPERTIES, "are_updates_pending: true"),
        _ => (DONE, "()"),
    }
}

#[test]
fn every_call_sends_its_message_and_returns_the_guests_answer() {
    for (name, message, call) in CALLS {
        let (answer, expected) = success(name);
        about(
            patient(),
            |mut actor| {
                actor.exchange(message, answer);
                if message == MessageType::EXECUTE_PROCESS {
                    actor.expect(MessageType::WAIT_FOR_PROCESS);
                }
                actor.stay();
            },
            |all| {
                let returned = call(&all).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert!(returned.contains(expected), "{name}: {returned}");
            },
        );
    }
}

#[test]
fn every_call_tells_the_guests_refusal_with_its_message_and_its_words() {
    for (name, message, call) in CALLS {
        about(
            patient(),
            |mut actor| {
                actor.exchange(message, REFUSED);
                actor.exchange(MessageType::DUMP_STACKS, DONE);
                actor.stay();
            },
            |all| {
                let error = call(&all).expect_err(name);
                assert_eq!(error.hresult(), Some(Hresult::FAIL), "{name}");
                let text = error.to_string();
                assert!(text.contains("not today"), "{name}: {text}");
                assert!(text.contains(&message.to_string()), "{name}: {text}");
                all.guest.dump_stacks().expect("the bridge is up");
            },
        );
    }
}

#[test]
fn every_call_fails_when_the_guest_hangs_up_instead_of_answering() {
    for (name, message, call) in CALLS {
        about(
            patient(),
            |mut actor| {
                actor.expect(message);
                actor.hang_up();
            },
            |all| {
                let error = call(&all).expect_err(name);
                assert!(error.is_bridge_ended(), "{name}: {error}");
                assert!(all.process.wait().expect_err("its wait").is_bridge_ended());
            },
        );
    }
}

#[test]
fn every_call_fails_at_once_on_a_connection_that_is_closed() {
    about(patient(), Guest::stay, |all| {
        all.guest.close();
        for (name, _, call) in CALLS {
            let error = call(&all).expect_err(name);
            assert!(error.is_bridge_ended(), "{name}: {error}");
            assert!(error.to_string().contains("closed by the host"), "{error}");
        }
    });
}

#[test]
fn calls_that_can_be_abandoned_time_out_and_leave_the_bridge_up() {
    let hasty = Timeouts {
        abandonable_call: Duration::from_millis(20),
        ..patient()
    };
    let abandonable = [
        MessageType::GET_PROPERTIES,
        MessageType::SHUTDOWN_GRACEFUL,
        MessageType::SHUTDOWN_FORCED,
        MessageType::RESIZE_CONSOLE,
    ];
    for (name, message, call) in CALLS {
        if !abandonable.contains(&message) {
            continue;
        }
        about(hasty, Guest::stay, |all| {
            let error = call(&all).expect_err(name);
            assert!(error.is_timeout(), "{name}: {error}");
            assert_eq!(all.guest.end_reason(), None, "{name}");
        });
    }
}

#[test]
fn what_is_gone_already_is_no_error_where_hcsshim_sees_none() {
    const SYSTEM_NOT_FOUND: &str = r#"{"Result":-1070137074}"#;
    const NOT_FOUND: &str = r#"{"Result":-2147023728}"#;
    about(
        patient(),
        |mut actor| {
            actor.exchange(MessageType::SHUTDOWN_GRACEFUL, SYSTEM_NOT_FOUND);
            actor.exchange(MessageType::SHUTDOWN_FORCED, SYSTEM_NOT_FOUND);
            actor.exchange(MessageType::SIGNAL_PROCESS, NOT_FOUND);
            actor.exchange(MessageType::WAIT_FOR_PROCESS, NOT_FOUND);
            actor.exchange(MessageType::DELETE_CONTAINER_STATE, SYSTEM_NOT_FOUND);
            actor.stay();
        },
        |all| {
            all.container.shutdown().expect("taken as ended");
            all.container.terminate().expect("taken as ended");
            assert!(!all.process.kill().expect("no error"), "not delivered");
            let gone = all.container.open_process(8).expect("waited for");
            assert_eq!(gone.wait().expect("taken as ended"), 0);
            let error = all.guest.delete_container_state("c").expect_err("unknown");
            assert!(
                error.is_not_exist() && !error.is_already_stopped(),
                "{error}"
            );
        },
    );
}

#[test]
fn an_answer_without_what_was_asked_for_is_named() {
    about(
        patient(),
        |mut actor| {
            actor.exchange(MessageType::GET_PROPERTIES, DONE);
            actor.exchange(MessageType::GET_PROPERTIES, DONE);
            actor.stay();
        },
        |all| {
            let error = all.container.statistics().expect_err("there are none");
            assert!(matches!(error, Error::Missing("LCOWMetrics")), "{error}");
            let document = all.container.properties_v2(STATISTICS).expect("answered");
            assert_eq!(document, Value::Null);
        },
    );
}

#[test]
fn what_needs_the_vmm_is_refused_where_it_is_not_known() {
    about(patient(), Guest::stay, |all| {
        for result in [all.container.pause(), all.container.resume()] {
            let error = result.expect_err("the VM is not this library's");
            assert!(matches!(error, Error::InvalidRequest { .. }), "{error}");
        }
    });
}

#[test]
fn what_needs_no_guest_is_answered_without_one() {
    converse(Guest::stay, |host| {
        assert_eq!(
            (host.os(), host.protocol(), host.is_oci()),
            ("linux", 4, false)
        );
        assert!(host.capabilities().signal_process);
        let container = host.open_container("c").expect("registered");
        assert_eq!((container.id(), container.os()), ("c", "linux"));
        assert!(container.is_oci());
    });
}
