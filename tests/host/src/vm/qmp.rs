//! QEMU's monitor: one command, one answer, over a Unix socket in the run directory (QEMU `docs/interop/qmp-spec`).
//!
//! A connection is made for each command and ended after it: commands are rare, and a monitor that is held open would
//! keep others out.

use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The monitor's socket in the run directory.
pub(super) const SOCKET: &str = "qmp";

/// How long QEMU may take for one line. It answers from its main loop, which a guest cannot hold.
const LINE_LIMIT: Duration = Duration::from_secs(30);

/// Longest line that is read; QEMU's answers to our commands have hundreds of bytes.
const LONGEST_LINE_BYTES: u64 = 1024 * 1024;

/// Sends one command with its arguments (an object, or null for none) and returns what QEMU returned.
pub(super) fn execute(socket: &Path, command: &str, arguments: &Value) -> io::Result<Value> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(LINE_LIMIT))?;
    stream.set_write_timeout(Some(LINE_LIMIT))?;
    let mut session = Session {
        reader: BufReader::new(stream.try_clone()?),
        writer: stream,
    };
    let greeting = session.read()?;
    if greeting.get("QMP").is_none() {
        return Err(invalid(format!("not a QMP greeting: {greeting}")));
    }
    session.call("qmp_capabilities", &Value::Null)?;
    session.call(command, arguments)
}

#[derive(Debug)]
struct Session {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Session {
    fn call(&mut self, command: &str, arguments: &Value) -> io::Result<Value> {
        let mut request = json!({ "execute": command });
        if !arguments.is_null() {
            request["arguments"] = arguments.clone();
        }
        self.writer.write_all(format!("{request}\n").as_bytes())?;
        loop {
            let mut answer = self.read()?;
            if let Some(error) = answer.get("error") {
                let words = error["desc"].as_str().unwrap_or("no words");
                return Err(io::Error::other(format!("QEMU refused {command}: {words}")));
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            // Events come between; nobody here waits for one.
        }
    }

    fn read(&mut self) -> io::Result<Value> {
        let mut line = Vec::new();
        io::Read::take(&mut self.reader, LONGEST_LINE_BYTES).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        serde_json::from_slice(&line).map_err(|error| invalid(format!("not JSON: {error}")))
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::thread;

    /// A monitor that says these lines, each after one it has read but the first; returns what it was asked.
    fn scripted(
        lines: &'static [&'static str],
    ) -> (tempfile::TempDir, thread::JoinHandle<Vec<Value>>) {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(directory.path().join(SOCKET)).expect("bound");
        let monitor = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("dialled");
            let mut requests = BufReader::new(stream.try_clone().expect("duplicated")).lines();
            let mut asked = Vec::new();
            for (index, line) in lines.iter().enumerate() {
                if index > 0 {
                    let request = requests.next().expect("asked").expect("readable");
                    asked.push(serde_json::from_str(&request).expect("JSON"));
                }
                stream.write_all(line.as_bytes()).expect("taken");
                stream.write_all(b"\n").expect("taken");
            }
            asked
        });
        (directory, monitor)
    }

    #[test]
    fn negotiates_asks_and_skips_events() {
        let (directory, monitor) = scripted(&[
            r#"{"QMP": {"version": {}, "capabilities": []}}"#,
            r#"{"return": {}}"#,
            "{\"event\": \"STOP\", \"timestamp\": {}}\n{\"return\": {\"running\": false}}",
        ]);
        let answer = execute(&directory.path().join(SOCKET), "query-status", &Value::Null);
        assert_eq!(answer.expect("answered")["running"], false);
        let asked = monitor.join().expect("ended");
        assert_eq!(asked[0], json!({ "execute": "qmp_capabilities" }));
        assert_eq!(asked[1], json!({ "execute": "query-status" }));
    }

    #[test]
    fn a_refusal_carries_qemus_words() {
        let (directory, monitor) = scripted(&[
            r#"{"QMP": {}}"#,
            r#"{"return": {}}"#,
            r#"{"error": {"class": "GenericError", "desc": "no such bus"}}"#,
        ]);
        let socket = directory.path().join(SOCKET);
        let error = execute(&socket, "device_add", &json!({ "driver": "x" })).expect_err("refused");
        assert!(
            error.to_string().contains("device_add: no such bus"),
            "{error}"
        );
        monitor.join().expect("ended");
    }

    #[test]
    fn what_is_no_monitor_is_named() {
        let (directory, monitor) = scripted(&[r#"{"hello": 1}"#]);
        let error = execute(&directory.path().join(SOCKET), "stop", &Value::Null).expect_err("bad");
        assert!(error.to_string().contains("not a QMP greeting"), "{error}");
        monitor.join().expect("ended");
    }
}
