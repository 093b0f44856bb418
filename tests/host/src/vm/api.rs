//! The HTTP API of Cloud Hypervisor and Firecracker: one request, one answer, over a Unix socket in the run directory.
//!
//! As little of HTTP/1.1 as that takes (RFC 9112): a length in front of every body, one request per connection.

use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The API's socket in the run directory.
pub(super) const SOCKET: &str = "api";

/// How long the VMM may take for anything.
const LIMIT: Duration = Duration::from_secs(30);

/// Longest line of a head, and longest body, that are read.
const LONGEST_LINE_BYTES: u64 = 16 * 1024;
const LONGEST_BODY_BYTES: u64 = 1024 * 1024;

/// Sends a request and returns the answer's body, null when there is none.
pub(super) fn request(socket: &Path, method: &str, path: &str, body: &Value) -> io::Result<Value> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes())?;
    answer(BufReader::new(stream), &format!("{method} {path}"))
}

fn answer(mut reader: impl BufRead, asked: &str) -> io::Result<Value> {
    let status = line(&mut reader)?;
    let code: u16 = status
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1)?.parse().ok())
        .ok_or_else(|| invalid(format!("{asked}: not an HTTP answer: {status:?}")))?;
    let mut length = 0;
    loop {
        let header = line(&mut reader)?;
        if header.is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value
                .trim()
                .parse()
                .map_err(|_| invalid(format!("{asked}: a length that is no number: {value:?}")))?;
        }
    }
    if length > LONGEST_BODY_BYTES {
        return Err(invalid(format!("{asked}: a body of {length} bytes")));
    }
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;
    if body.len() as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if !(200..300).contains(&code) {
        let words = String::from_utf8_lossy(&body);
        return Err(io::Error::other(format!(
            "the VMM refused {asked} ({code}): {}",
            words.trim()
        )));
    }
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&body).map_err(|error| invalid(format!("{asked}: not JSON: {error}")))
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    reader
        .by_ref()
        .take(LONGEST_LINE_BYTES)
        .read_until(b'\n', &mut bytes)?;
    if !bytes.ends_with(b"\n") {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;
    use std::os::unix::net::UnixListener;
    use std::thread::{self, JoinHandle};

    /// An API that gives these answers, one per connection, and returns the first line and the body of each request.
    pub(in crate::vm) fn scripted(
        directory: &Path,
        answers: &'static [&'static str],
    ) -> JoinHandle<Vec<(String, String)>> {
        let listener = UnixListener::bind(directory.join(SOCKET)).expect("bound");
        thread::spawn(move || {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("dialled");
                let mut reader = BufReader::new(stream.try_clone().expect("duplicated"));
                let first = line(&mut reader).expect("a request");
                let mut length = 0;
                loop {
                    let header = line(&mut reader).expect("a header");
                    if header.is_empty() {
                        break;
                    }
                    if let Some(value) = header.strip_prefix("Content-Length: ") {
                        length = value.parse().expect("a number");
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).expect("a body");
                asked.push((first, String::from_utf8(body).expect("UTF-8")));
                stream.write_all(answer.as_bytes()).expect("taken");
            }
            asked
        })
    }

    #[test]
    fn asks_and_reads_the_answer() {
        let directory = tempfile::tempdir().expect("a directory");
        let api = scripted(
            directory.path(),
            &[
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n{\"state\":\"Running\"}",
                "HTTP/1.1 204 No Content\r\n\r\n",
            ],
        );
        let socket = directory.path().join(SOCKET);
        let answer = request(&socket, "GET", "/", &Value::Null).expect("answered");
        assert_eq!(answer["state"], "Running");
        let body = json!({ "state": "Paused" });
        assert_eq!(
            request(&socket, "PATCH", "/vm", &body).expect("answered"),
            Value::Null
        );
        let asked = api.join().expect("ended");
        assert_eq!(asked[0], ("GET / HTTP/1.1".into(), String::new()));
        assert_eq!(asked[1], ("PATCH /vm HTTP/1.1".into(), body.to_string()));
    }

    #[test]
    fn a_refusal_carries_the_vmms_words() {
        let text = "HTTP/1.1 400 Bad Request\r\ncontent-length: 8\r\n\r\nnot now\n";
        let error = answer(text.as_bytes(), "PUT /x").expect_err("refused");
        assert_eq!(error.to_string(), "the VMM refused PUT /x (400): not now");
    }

    #[test]
    fn what_is_cut_short_or_too_long_is_an_error() {
        for text in [
            "",
            "SSH-2.0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
        ] {
            assert!(answer(text.as_bytes(), "GET /").is_err(), "{text:?}");
        }
    }
}
