//! Terminals: who gets one, the two streams it has, its window (gcs-protocol §7.6, §9.4).

use crate::stage::*;
use agent::kernel::{End, ExitStatus, OutputStream, Signal};
use agent::limits::DRAIN_MS;
use fakes::kernel::State;
use serde_json::{Value, json};

fn tty(pipes: &Value) -> Value {
    let mut parameters = json!({"OciProcess": {"args": ["sh"], "cwd": "/", "terminal": true}});
    for (name, value) in pipes.as_object().expect("members") {
        parameters[name] = value.clone();
    }
    parameters
}

/// A container with an exec that has a terminal, with its input and output asked for.
fn stage() -> (Stage, u32) {
    let mut stage = Stage::negotiated();
    stage.create("x");
    stage.execute("x", &json!({}));
    let parameters = tty(&json!({"CreateStdInPipe": true, "CreateStdOutPipe": true}));
    let pid = stage.execute("x", &parameters);
    (stage, pid)
}

fn resize(id: &str, pid: u32, height: u32, width: u32) -> Value {
    json!({"ContainerId": id, "ProcessId": pid, "Height": height, "Width": width})
}

#[test]
fn an_exec_s_terminal_is_its_process_s_terminal_member() {
    let (mut stage, pid) = stage();
    assert!(stage.kernel.at(pid).terminal);
    assert_eq!(stage.kernel.at(pid).stdio.stdin, End::Pipe);
    assert_eq!(stage.kernel.at(pid).stdio.stdout, End::Pipe);
    let parameters = json!({"OciProcess": {"args": ["sh"], "cwd": "/"}, "EmulateConsole": true});
    let pid = stage.execute("x", &parameters);
    assert!(!stage.kernel.at(pid).terminal, "EmulateConsole is external");
}

#[test]
fn an_init_s_terminal_is_its_specification_s() {
    let mut stage = Stage::negotiated();
    let mut own = specification();
    own["process"]["terminal"] = true.into();
    own["process"]["consoleSize"] = json!({"height": 24, "width": 80});
    let response = stage.ask(CREATE, &create_with("x", &own));
    assert_eq!(response.result(), 0, "{}", response.error());
    let init = stage.execute(
        "x",
        &json!({"CreateStdInPipe": true, "CreateStdOutPipe": true}),
    );
    assert!(stage.kernel.at(init).terminal);
    assert_eq!(stage.kernel.at(init).window, [24, 80]);
}

#[test]
fn an_external_process_s_terminal_is_emulate_console() {
    let mut stage = Stage::negotiated();
    let parameters = json!({"CommandArgs": ["sh"], "EmulateConsole": true, "ConsoleSize": [30, 100],
        "CreateStdInPipe": true, "CreateStdOutPipe": true});
    let pid = stage.execute(NULL_ID, &parameters);
    assert!(stage.kernel.at(pid).terminal);
    assert_eq!(stage.kernel.at(pid).window, [30, 100]);
}

#[test]
fn an_exec_s_console_size_is_its_window() {
    let (mut stage, _) = stage();
    let parameters = json!({"OciProcess": {"args": ["sh"], "cwd": "/", "terminal": true,
        "consoleSize": {"width": 132, "height": 43}}});
    let pid = stage.execute("x", &parameters);
    assert_eq!(stage.kernel.at(pid).window, [43, 132]);
}

#[test]
fn a_console_size_without_a_terminal_means_nothing() {
    let mut stage = Stage::negotiated();
    for size in [
        json!([30, 100]),
        json!([]),
        json!([30]),
        json!([1, 2, 3]),
        json!(null),
    ] {
        let parameters = json!({"CommandArgs": ["sh"], "ConsoleSize": size});
        let pid = stage.execute(NULL_ID, &parameters);
        assert_eq!(stage.kernel.at(pid).window, [0, 0], "{size}");
    }
}

#[test]
fn a_console_size_that_is_none_is_refused() {
    let mut stage = Stage::negotiated();
    for size in [
        json!("80x24"),
        json!([65536, 1]),
        json!([-1, 1]),
        json!(["1"]),
    ] {
        let parameters = json!({"CommandArgs": ["sh"], "ConsoleSize": size});
        let response = stage.ask(EXECUTE, &execute_request(NULL_ID, &parameters));
        assert_eq!(response.result(), INVALID_JSON, "{size}");
    }
}

#[test]
fn a_terminal_s_bytes_go_in_by_stdin_and_come_out_by_stdout() {
    let (mut stage, pid) = stage();
    let [stdin, stdout, _] = STREAMS.map(|port| stage.vsock.host(port));
    let (stdin, stdout) = (stdin.expect("asked for"), stdout.expect("asked for"));
    stage.vsock.host_write(stdin, b"ls\r");
    stage.run();
    assert_eq!(stage.kernel.read(pid), b"ls\r");
    stage
        .kernel
        .write(pid, OutputStream::Stdout, b"ls\r\nbin\r\n");
    stage.run();
    assert_eq!(stage.vsock.host_read(stdout), b"ls\r\nbin\r\n");
}

#[test]
fn a_terminal_s_stderr_is_dialled_never_used_and_ends_with_the_process() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    stage.execute("x", &json!({}));
    let all = json!({"CreateStdInPipe": true, "CreateStdOutPipe": true, "CreateStdErrPipe": true});
    let pid = stage.execute("x", &tty(&all));
    let [_, stdout, stderr] = stage.streams();
    stage.kernel.write(pid, OutputStream::Stdout, b"all");
    stage.run();
    assert_eq!(stage.vsock.host_read(stdout), b"all");
    assert_eq!(stage.vsock.host_read(stderr), b"");
    assert!(!stage.vsock.host_sees_end(stderr));
    stage.exit(pid, 0);
    assert!(stage.vsock.host_sees_end(stderr));
}

#[test]
fn a_terminal_without_connections_runs_all_the_same() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    stage.execute("x", &json!({}));
    let pid = stage.execute("x", &tty(&json!({})));
    assert_eq!(stage.kernel.at(pid).stdio.stdout, End::Null);
    assert_eq!(stage.kernel.at(pid).state, State::Running);
    stage.send_wait("x", pid, INFINITE);
    stage.exit(pid, 4);
    assert_eq!(stage.receive().expect("the answer").body["ExitCode"], 4);
}

#[test]
fn the_end_of_a_terminal_s_input_stops_the_copying_and_nothing_else() {
    let (mut stage, pid) = stage();
    let [stdin, stdout, _] = STREAMS.map(|port| stage.vsock.host(port));
    stage.vsock.host_write(stdin.expect("asked for"), b"last");
    stage.vsock.host_end(stdin.expect("asked for"));
    stage.run();
    assert_eq!(stage.kernel.read(pid), b"last");
    assert!(stage.kernel.at(pid).signals.is_empty());
    assert_eq!(stage.kernel.at(pid).state, State::Running);
    stage.kernel.write(pid, OutputStream::Stdout, b"on");
    stage.run();
    assert_eq!(stage.vsock.host_read(stdout.expect("asked for")), b"on");
}

#[test]
fn a_host_that_closes_a_terminal_s_output_hangs_it_up() {
    let (mut stage, pid) = stage();
    let stdout = stage.vsock.host(STREAMS[1]).expect("asked for");
    stage.vsock.host_close(stdout);
    stage.run();
    assert!(stage.kernel.is_output_closed(pid, OutputStream::Stdout));
}

#[test]
fn an_exit_is_told_when_the_terminal_s_output_is_out() {
    let (mut stage, pid) = stage();
    stage.vsock.set_window(1024);
    let stdout = stage.vsock.host(STREAMS[1]).expect("asked for");
    stage.send_wait("x", pid, INFINITE);
    stage.kernel.write(pid, OutputStream::Stdout, &[b'o'; 4000]);
    stage.kernel.exit(pid, ExitStatus::Killed(Signal::KILL));
    stage.run();
    stage.assert_silent();
    let mut read = 0;
    for _ in 0..10_000 {
        read += stage.vsock.host_read(stdout).len();
        stage.run();
        if read == 4000 {
            break;
        }
        stage.assert_silent();
    }
    assert_eq!(read, 4000);
    stage.vsock.host_close(stdout);
    stage.run();
    assert_eq!(stage.receive().expect("the answer").body["ExitCode"], 137);
}

#[test]
fn a_terminal_whose_output_is_never_read_delays_its_exit_for_a_bounded_time() {
    let (mut stage, pid) = stage();
    stage.vsock.set_window(1024);
    stage.send_wait("x", pid, INFINITE);
    stage.kernel.write(pid, OutputStream::Stdout, &[b'o'; 4000]);
    stage.exit(pid, 1);
    stage.wait_ms(DRAIN_MS);
    assert_eq!(stage.receive().expect("the answer").body["ExitCode"], 1);
}

#[test]
fn windows_of_init_exec_and_external_processes_are_resized() {
    let mut stage = Stage::negotiated();
    let mut own = specification();
    own["process"]["terminal"] = true.into();
    stage.ask(CREATE, &create_with("x", &own));
    let init = stage.execute("x", &json!({}));
    let exec = stage.execute("x", &tty(&json!({})));
    let external = json!({"CommandArgs": ["sh"], "EmulateConsole": true});
    let external = stage.execute(NULL_ID, &external);
    for (id, pid) in [("x", init), ("x", exec), (NULL_ID, external)] {
        for (height, width) in [(1, 2), (0, 0), (65535, 65535)] {
            let response = stage.ask(RESIZE, &resize(id, pid, height, width));
            assert_eq!(response.result(), 0, "{}", response.error());
            assert_eq!(stage.kernel.at(pid).window, [height as u16, width as u16]);
        }
    }
}

#[test]
fn a_created_init_s_window_is_resized_before_it_runs() {
    let mut stage = Stage::negotiated();
    let mut own = specification();
    own["process"]["terminal"] = true.into();
    stage.kernel.set_next_pid(50);
    stage.ask(CREATE, &create_with("x", &own));
    assert_eq!(stage.ask(RESIZE, &resize("x", 50, 5, 6)).result(), 0);
    assert_eq!(stage.kernel.at(50).window, [5, 6]);
}

#[test]
fn a_process_without_a_terminal_has_no_window() {
    let mut stage = Stage::negotiated();
    let pid = stage.quiet("a");
    let response = stage.ask(RESIZE, &resize(NULL_ID, pid, 1, 2));
    assert_eq!(
        (response.result(), response.error()),
        (FAIL, "the process has no terminal")
    );
}

#[test]
fn windows_of_nobody_are_refused() {
    let (mut stage, pid) = stage();
    let nobody = stage.ask(RESIZE, &resize("x", pid + 1, 1, 2));
    assert_eq!(nobody.result(), NOT_FOUND);
    let nowhere = stage.ask(RESIZE, &resize("y", pid, 1, 2));
    assert_eq!(nowhere.result(), NO_CONTAINER);
    let elsewhere = stage.ask(RESIZE, &resize(NULL_ID, pid, 1, 2));
    assert_eq!(elsewhere.result(), NOT_FOUND, "it is the container's");
}

#[test]
fn a_window_has_no_more_than_65535_rows() {
    let (mut stage, pid) = stage();
    let response = stage.ask(RESIZE, &resize("x", pid, 65536, 2));
    assert_eq!(response.result(), INVALID_JSON);
}

/// §7.6: after the terminal has been closed it succeeds silently; what never was a terminal has no window, running or not.
#[test]
fn a_closed_terminal_is_resized_in_silence_and_what_had_none_is_refused() {
    for (terminal, result) in [(true, 0), (false, FAIL)] {
        let mut stage = Stage::negotiated();
        let mut own = specification();
        own["process"]["terminal"] = terminal.into();
        stage.ask(CREATE, &create_with("x", &own));
        let init = stage.execute("x", &json!({}));
        let process = json!({"args": ["a"], "terminal": terminal});
        let exec = stage.execute("x", &json!({"OciProcess": process}));
        let command = json!({"CommandArgs": ["a"], "EmulateConsole": terminal});
        let external = stage.execute(NULL_ID, &command);
        for (id, pid) in [("x", exec), (NULL_ID, external), ("x", init)] {
            stage.exit(pid, 0);
            let request = resize(id, pid, 1, 2);
            assert_eq!(stage.ask(RESIZE, &request).result(), result, "{pid}");
        }
        // An exec that was waited for is forgotten, an init is not.
        stage.ask(WAIT, &wait_request("x", exec, INFINITE));
        assert_eq!(
            stage.ask(RESIZE, &resize("x", exec, 1, 2)).result(),
            NOT_FOUND
        );
        stage.ask(WAIT, &wait_request("x", init, INFINITE));
        assert_eq!(stage.ask_beside(RESIZE, &resize("x", init, 1, 2)), result);
    }
}

#[test]
fn a_terminal_s_relay_and_resizing_allocate_nothing() {
    let (mut stage, pid) = stage();
    let [stdin, stdout, _] = STREAMS.map(|port| stage.vsock.host(port));
    let (stdin, stdout) = (stdin.expect("asked for"), stdout.expect("asked for"));
    let request = resize("x", pid, 40, 120).to_string();
    for _ in 0..2 {
        stage.vsock.host_write(stdin, &[b'i'; 50_000]);
        stage
            .kernel
            .write(pid, OutputStream::Stdout, &[b'o'; 50_000]);
        let id = stage.next_id;
        stage.next_id += 1;
        let bridge = stage.bridge.expect("it stands");
        stage
            .vsock
            .host_write(bridge, &frame(RESIZE, id, request.as_bytes()));
        let before = fakes::alloc::calls();
        stage.run();
        assert_eq!(fakes::alloc::calls() - before, 0);
        stage.kernel.read(pid);
        stage.vsock.host_read(stdout);
        assert_eq!(stage.receive().expect("the answer").result(), 0);
    }
}
