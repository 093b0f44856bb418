//! The log stream: JSON lines, none lost silently, nothing secret (gcs-protocol §2.2).

use crate::stage::*;
use agent::Config;
use agent::limits::LOG_REDIAL_MS;
use fakes::vsock::Answer;
use serde_json::{Value, json};
use std::cell::RefCell;

impl Stage {
    /// Has the agent log a line.
    fn log(&mut self, level: log::Level, text: &str) {
        self.agent
            .log(self.now, &mut self.vsock, level, format_args!("{text}"));
    }

    /// Reads the newest log connection to what has come.
    fn read_log(&mut self) -> Vec<Value> {
        let log = self.vsock.host(109).expect("a log connection");
        let text = String::from_utf8(self.vsock.host_read(log)).expect("UTF-8");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("one document in a line"))
            .collect()
    }
}

#[test]
fn what_a_line_begins_with_is_told_as_fields() {
    let mut stage = Stage::connected();
    stage.read_log();
    for (text, line) in [
        (
            "pid=3 exited with 1",
            json!({"pid": "3", "msg": "exited with 1"}),
        ),
        (
            "cid=a<b pid=3 created",
            json!({"cid": "a<b", "pid": "3", "msg": "created"}),
        ),
        (
            "seq=7 Start refused: pid=3 is",
            json!({"seq": "7", "msg": "Start refused: pid=3 is"}),
        ),
        ("level=3 x", json!({"msg": "level=3 x"})),
        ("pid=3", json!({"msg": "pid=3"})),
        ("", json!({"msg": ""})),
    ] {
        stage.log(log::Level::Info, text);
        let mut ours = stage.read_log().remove(0);
        let members = ours.as_object_mut().unwrap();
        assert_eq!(members.remove("level"), Some(json!("info")), "{text}");
        assert!(members.remove("time").is_some(), "{text}");
        assert_eq!(ours, line, "{text}");
    }
}

#[test]
fn every_level_has_the_name_the_host_knows() {
    let mut stage = Stage::connected();
    stage.read_log();
    for (level, name) in [
        (log::Level::Error, "error"),
        (log::Level::Warn, "warning"),
        (log::Level::Info, "info"),
        (log::Level::Debug, "debug"),
        (log::Level::Trace, "trace"),
    ] {
        stage.log(level, "x");
        assert_eq!(stage.read_log()[0]["level"], name);
    }
}

#[test]
fn a_long_text_is_cut_and_the_line_is_still_a_document() {
    let mut stage = Stage::connected();
    stage.read_log();
    stage.log(log::Level::Info, &"<\u{1}\u{20ac}".repeat(1000));
    let lines = stage.read_log();
    assert_eq!(lines.len(), 1);
    assert!(lines[0]["msg"].as_str().unwrap().ends_with("..."));
}

#[test]
fn a_log_that_is_lost_is_dialled_again_where_the_command_line_asks_for_it() {
    for redial in [false, true] {
        let config = Config {
            log_redial: redial,
            ..Config::DEFAULT
        };
        let mut stage = Stage::configured(1 << 20, config);
        stage.connect();
        let lost = stage.vsock.host(109).unwrap();
        stage.vsock.host_reset(lost);
        stage.run();
        assert_eq!(stage.agent.can_log(), redial);
        assert!(!stage.agent.has_log());
        stage.log(log::Level::Info, "in the gap");
        let dials = stage.vsock.dials.len();
        stage.wait_ms(LOG_REDIAL_MS - 1);
        assert_eq!(stage.vsock.dials.len(), dials);
        stage.wait_ms(1);
        assert_eq!(stage.vsock.dials.len(), dials + usize::from(redial));
        if redial {
            assert_eq!(stage.read_log()[0]["msg"], "in the gap");
        }
    }
}

#[test]
fn a_log_nobody_takes_is_dialled_for_ever_where_the_command_line_asks_for_it() {
    let config = Config {
        log_redial: true,
        ..Config::DEFAULT
    };
    let mut stage = Stage::configured(1 << 20, config);
    stage.vsock.on_call(109, Answer::Refuse);
    stage.connect();
    for _ in 0..50 {
        stage.wait_ms(LOG_REDIAL_MS);
    }
    stage.vsock.on_call(109, Answer::Accept);
    stage.wait_ms(LOG_REDIAL_MS);
    assert!(stage.agent.has_log());
}

#[test]
fn a_line_cut_by_the_end_of_its_connection_does_not_reach_the_next_one() {
    let config = Config {
        log_redial: true,
        ..Config::DEFAULT
    };
    for window in 1..=60 {
        let mut stage = Stage::configured(1 << 20, config);
        stage.connect();
        stage.read_log();
        stage.vsock.set_window(window);
        stage.log(log::Level::Info, "first");
        stage.log(log::Level::Info, "second");
        let lost = stage.vsock.host(109).unwrap();
        stage.vsock.host_reset(lost);
        stage.vsock.set_window(1 << 16);
        stage.run();
        stage.wait_ms(LOG_REDIAL_MS);
        let lines = stage.read_log();
        assert_eq!(lines.len(), 1, "{window}");
        assert_eq!(lines[0]["msg"], "second");
    }
}

thread_local! {
    /// What this thread has logged, where it wants to know.
    static HEARD: RefCell<Option<Vec<(log::Level, String)>>> = const { RefCell::new(None) };
}

struct Listener;

impl log::Log for Listener {
    fn enabled(&self, _metadata: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        HEARD.with_borrow_mut(|heard| {
            if let Some(heard) = heard {
                heard.push((record.level(), record.args().to_string()));
            }
        });
    }

    fn flush(&self) {}
}

/// Returns what `work` logs.
fn heard(work: impl FnOnce()) -> Vec<(log::Level, String)> {
    // Another test of this file may have been first.
    let _ = log::set_logger(&Listener);
    log::set_max_level(log::LevelFilter::Trace);
    HEARD.set(Some(Vec::new()));
    work();
    HEARD.take().expect("set above")
}

#[test]
fn arguments_environment_and_payloads_are_never_logged_above_trace() {
    const SECRET: &str = "hunter2";
    let lines = heard(|| {
        let mut stage = Stage::negotiated();
        let mut specification = specification();
        specification["process"]["args"] = json!(["init", SECRET]);
        specification["process"]["env"] = json!([format!("A={SECRET}")]);
        let create = create_with("x", &specification);
        assert_eq!(stage.ask(CREATE, &create).result(), 0);
        assert_eq!(stage.ask(CREATE, &create).result(), EXISTS);
        stage.execute("x", &json!({"CreateStdOutPipe": true}));
        stage.kernel.miss("gone", 2, "no such file or directory");
        for parameters in [
            json!({"CommandArgs": ["gone", SECRET], "Environment": {"A": SECRET}}),
            json!({"CommandArgs": ["a", SECRET], "EmulateConsole": true, "CreateStdErrPipe": true}),
            json!({"CommandLine": format!("a '{SECRET}")}),
            json!({"CommandLine": format!("a {SECRET}")}),
            json!({"CommandArgs": SECRET}),
            json!({"CommandArgs": ["a"], "Environment": {"A": [SECRET]}}),
            json!({"OciProcess": {"args": ["a", SECRET], "user": {"username": ""}}}),
        ] {
            stage.ask(EXECUTE, &execute_request("x", &parameters));
            stage.ask(EXECUTE, &execute_request(NULL_ID, &parameters));
        }
        for body in [
            format!("{{\"{SECRET}"),
            format!("{{\"ContainerId\":\"x\",\"Settings\":{{\"{SECRET}\":{SECRET}}}}}"),
            SECRET.into(),
        ] {
            assert_eq!(stage.ask_text(EXECUTE, &body).result(), INVALID_JSON);
        }
        let [_, stdout, _] = STREAMS;
        let stdout = stage.vsock.host(stdout).unwrap();
        stage
            .kernel
            .write(101, agent::kernel::OutputStream::Stdout, SECRET.as_bytes());
        stage.run();
        stage.vsock.host_read(stdout);
    });
    assert!(lines.len() > 20, "{lines:#?}");
    for (level, text) in lines {
        assert!(
            level == log::Level::Trace || !text.contains(SECRET),
            "{text}"
        );
    }
}

#[test]
fn a_healthy_container_costs_four_lines_above_debug() {
    let lines = heard(|| {
        let mut stage = Stage::negotiated();
        stage.create("x");
        let init = stage.execute("x", &json!({}));
        stage.send_wait("x", init, INFINITE);
        stage
            .kernel
            .exit(init, agent::kernel::ExitStatus::Exited(0));
        stage.run();
        while stage.receive().is_some() {}
        stage.ask(DELETE, &base("x"));
    });
    let told: Vec<String> = lines
        .into_iter()
        .filter(|(level, text)| *level <= log::Level::Info && text.starts_with("cid=x "))
        .map(|(_, text)| text)
        .collect();
    assert_eq!(
        told,
        [
            "cid=x pid=101 container created",
            "cid=x container started",
            "cid=x container exited with 0",
            "cid=x container deleted"
        ]
    );
}

#[test]
fn who_is_killed_for_memory_is_told_with_the_id_of_the_container() {
    use agent::kernel::{MemoryKill, Pid, View};
    let lines = heard(|| {
        let mut stage = Stage::negotiated();
        stage.create("x");
        let init = stage.execute("x", &json!({}));
        let (pid, bytes) = (Pid(init), 7 << 20);
        let kill = |view, over| MemoryKill {
            pid,
            view,
            bytes,
            over,
        };
        let view = stage.kernel.at(init).view;
        for kill in [
            kill(view, Some(((8 << 20) - 4096, 8 << 20))),
            kill(view, None),
            kill(View::UTILITY_VM, None),
        ] {
            stage.kernel.run_out_of_memory(kill);
        }
        stage.run();
    });
    let told: Vec<String> = lines
        .into_iter()
        .filter(|(level, text)| *level == log::Level::Warn && text.contains("killed"))
        .map(|(_, text)| text)
        .collect();
    assert_eq!(
        told,
        [
            "cid=x pid=101 killed for its 7168 KiB: the container has 8188 KiB of 8192",
            "cid=x pid=101 killed for its 7168 KiB: memory ran out",
            "cid=00000000-0000-0000-0000-000000000000 pid=101 killed for its 7168 KiB: memory ran out",
        ]
    );
}

#[test]
fn log_lines_are_json_with_level_time_and_message() {
    let mut stage = Stage::connected();
    let log = stage.vsock.host(109).unwrap();
    stage.vsock.host_read(log);
    assert!(stage.agent.can_log());
    let now = stage.now;
    stage.agent.log(
        now,
        &mut stage.vsock,
        log::Level::Warn,
        format_args!("a <b>\n\"c\""),
    );
    let text = String::from_utf8(stage.vsock.host_read(log)).unwrap();
    assert!(text.ends_with('\n') && text.matches('\n').count() == 1);
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["level"], "warning");
    assert_eq!(line["time"], "2026-11-22T00:00:00.001000Z");
    assert_eq!(line["msg"], "a <b>\n\"c\"");
}

#[test]
fn lines_a_stalled_log_cannot_take_are_counted_and_the_count_is_told() {
    let mut stage = Stage::connected();
    let log = stage.vsock.host(109).unwrap();
    stage.vsock.set_window(1);
    let now = stage.now;
    for number in 0..200 {
        stage.agent.log(
            now,
            &mut stage.vsock,
            log::Level::Info,
            format_args!("{number} {}", "x".repeat(200)),
        );
    }
    stage.vsock.set_window(1 << 20);
    stage.vsock.host_read(log);
    stage.run();
    stage.agent.log(
        now,
        &mut stage.vsock,
        log::Level::Info,
        format_args!("last"),
    );
    stage.run();
    let mut text = String::from_utf8(stage.vsock.host_read(log)).unwrap();
    text.insert(0, '{');
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kept = lines.len() - 2;
    let report = lines[kept]["msg"].as_str().unwrap();
    assert!(
        report.starts_with(&format!("{} log lines", 200 - kept)),
        "{report}"
    );
    assert_eq!(lines[kept + 1]["msg"], "last");
}

#[test]
fn a_log_the_host_closes_costs_nothing_else() {
    let mut stage = Stage::negotiated();
    let log = stage.vsock.host(109).unwrap();
    stage.vsock.host_close(log);
    stage.run();
    assert!(!stage.agent.can_log());
    assert_eq!(stage.ask(START, &base("x")).result(), 0);
}

#[test]
fn an_owner_that_is_about_to_end_learns_when_the_host_has_the_whole_log() {
    let mut stage = Stage::connected();
    stage.read_log();
    let log = stage.vsock.host(109).unwrap();
    stage.vsock.set_window(10);
    stage.log(log::Level::Error, "panic: last words");
    let mut text = Vec::new();
    for _ in 0..100 {
        if stage.agent.finish_log(&mut stage.vsock) {
            break;
        }
        text.extend(stage.vsock.host_read(log));
    }
    assert!(stage.agent.finish_log(&mut stage.vsock));
    let line: Value = serde_json::from_slice(&text).expect("one document");
    assert_eq!(line["msg"], "panic: last words");
    stage.vsock.host_reset(log);
    stage.run();
    stage.log(log::Level::Error, "to nobody");
    assert!(
        stage.agent.finish_log(&mut stage.vsock),
        "nobody is waited for"
    );
}
