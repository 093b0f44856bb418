//! The guest's log: JSON objects on port 109 (gcs-protocol §2.2).

use super::journal::{Journal, Source};
use crate::once::lock;
use serde_json::{Deserializer, Value};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// Most records that are kept; older ones are dropped.
const MAX_RECORDS: usize = 4096;

/// Longest record; a longer one is taken as last words.
const LONGEST_RECORD_BYTES: usize = 1024 * 1024;

/// Most bytes of last words that are kept.
const LAST_WORDS_BYTES: u64 = 64 * 1024;

/// How serious a record is. `fatal` and `panic` are read as errors.
///
/// # Example
///
/// ```no_run
/// # fn example(vm: &mote_host::Vm) -> mote_host::Result<()> { use mote_host::*;
/// use mote_host::vm::LogLevel;
/// assert!(LogLevel::Error > LogLevel::Info);
/// assert!(vm.log().iter().all(|record| record.level < LogLevel::Error), "all is well");
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Bytes.
    Trace,
    /// Messages.
    Debug,
    /// Life-cycle.
    Info,
    /// Something was refused.
    Warning,
    /// Something was lost.
    Error,
}

impl LogLevel {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "trace" => Self::Trace,
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warn" | "warning" => Self::Warning,
            "error" | "fatal" | "panic" => Self::Error,
            _ => return None,
        })
    }
}

/// One record.
///
/// # Example
///
/// ```no_run
/// # fn example(vm: &mote_host::Vm) -> mote_host::Result<()> { use mote_host::*;
/// let record = vm.log().into_iter().next().expect("it has said something");
/// println!("{record}");
/// assert!(record.fields.is_object() && !record.message.is_empty());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// How serious it is.
    pub level: LogLevel,
    /// The guest's time, RFC 3339, if it gave one.
    pub time: Option<String>,
    /// The text.
    pub message: String,
    /// All members, as they came.
    pub fields: Value,
}

impl fmt::Display for LogRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            LogLevel::Trace => "trace",
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warning => "warning",
            LogLevel::Error => "error",
        };
        write!(f, "{level:7} {}", self.message)?;
        for (name, value) in self.fields.as_object().into_iter().flatten() {
            if !matches!(
                name.as_str(),
                "level" | "time" | "msg" | "message" | "Message"
            ) {
                write!(f, " {name}={value}")?;
            }
        }
        Ok(())
    }
}

/// The last records of one guest.
#[derive(Debug)]
pub(super) struct Log {
    records: Mutex<VecDeque<LogRecord>>,
    journal: Arc<Journal>,
    reader: Mutex<Option<JoinHandle<()>>>,
    /// Copy what comes to standard error.
    echo: bool,
}

impl Log {
    pub(super) fn new(journal: &Arc<Journal>, echo: bool) -> Self {
        Self {
            records: Mutex::default(),
            journal: Arc::clone(journal),
            reader: Mutex::default(),
            echo,
        }
    }

    /// Reads the stream to its end in a thread of its own, for which [`Log::finish`] waits.
    pub(super) fn follow(self: &Arc<Self>, stream: impl Read + Send + 'static) -> io::Result<()> {
        let log = Arc::clone(self);
        let reader = thread::Builder::new()
            .name("mote-guest-log".into())
            .spawn(move || log.fill_from(stream))?;
        *lock(&self.reader) = Some(reader);
        Ok(())
    }

    /// Waits for the end of the stream, which is there when the VM has ended.
    pub(super) fn finish(&self) {
        let reader = lock(&self.reader).take();
        // A thread that panicked has nothing more to tell.
        let _ = reader.map(JoinHandle::join);
    }

    /// Reads the stream to its end. What is no record ends the structured part: the rest is the guest's last words.
    fn fill_from(&self, mut stream: impl Read) {
        let mut unread = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            // A stream that fails has said all it will say.
            let count = stream.read(&mut buffer).unwrap_or(0);
            unread.extend_from_slice(&buffer[..count]);
            let Some(used) = self.take_records(&unread) else {
                break;
            };
            unread.drain(..used);
            if count == 0 && unread.trim_ascii().is_empty() {
                return;
            }
            if count == 0 || unread.len() > LONGEST_RECORD_BYTES {
                break;
            }
        }
        // As above.
        let _ = stream.take(LAST_WORDS_BYTES).read_to_end(&mut unread);
        self.push(LogRecord {
            level: LogLevel::Error,
            time: None,
            message: format!(
                "gcs terminated: {}",
                String::from_utf8_lossy(unread.trim_ascii())
            ),
            fields: Value::Null,
        });
    }

    /// Takes the whole records at the start of `bytes` and returns their length; `None` when what follows them is none.
    fn take_records(&self, bytes: &[u8]) -> Option<usize> {
        let mut values = Deserializer::from_slice(bytes).into_iter::<Value>();
        let mut used = 0;
        while let Some(value) = values.next() {
            match value {
                Ok(value) => self.push(LogRecord::parse(&value)?),
                Err(error) if error.is_eof() => break,
                Err(_) => return None,
            }
            used = values.byte_offset();
        }
        Some(used)
    }

    fn push(&self, record: LogRecord) {
        if self.echo {
            // Nothing can be said about a standard error that does not take what is said.
            let _ = writeln!(std::io::stderr(), "guest: {record}");
        }
        self.journal.push(Source::Guest, record.to_string());
        let mut records = lock(&self.records);
        if records.len() == MAX_RECORDS {
            records.pop_front();
        }
        records.push_back(record);
    }

    pub(super) fn records(&self) -> Vec<LogRecord> {
        lock(&self.records).iter().cloned().collect()
    }

    /// Returns the records as lines.
    pub(super) fn text(&self) -> String {
        use fmt::Write as _;
        lock(&self.records)
            .iter()
            .fold(String::new(), |mut text, record| {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{record}");
                text
            })
    }
}

impl LogRecord {
    /// Reads a record; `None` when its members are not what they must be.
    fn parse(value: &Value) -> Option<Self> {
        let members = value.as_object()?;
        let text = |name: &str| match members.get(name) {
            None => Some(None),
            Some(value) => value.as_str().map(Some),
        };
        let level = match text("level")? {
            Some(name) => LogLevel::from_name(name)?,
            None => LogLevel::Info,
        };
        let message = match (text("msg")?, text("message")?, text("Message")?) {
            (Some(text), _, _) | (_, Some(text), _) | (_, _, Some(text)) => text,
            _ => "",
        };
        Some(Self {
            level,
            time: text("time")?.map(str::to_owned),
            message: message.to_owned(),
            fields: value.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn read(bytes: &[u8]) -> Vec<LogRecord> {
        let log = Log::new(&Arc::default(), false);
        log.fill_from(bytes);
        log.records()
    }

    #[test]
    fn reads_records_and_their_levels() {
        let records = read(
            b"{\"level\":\"warning\",\"msg\":\"a\",\"pid\":3}\n{\"message\":\"b\"}\n{\"level\":\"panic\"}",
        );
        let levels: Vec<_> = records.iter().map(|record| record.level).collect();
        assert_eq!(levels, [LogLevel::Warning, LogLevel::Info, LogLevel::Error]);
        assert_eq!(records[0].to_string(), "warning a pid=3");
        assert_eq!(records[1].message, "b");
    }

    #[test]
    fn what_was_said_before_the_end_is_there_when_it_has_finished() {
        let log = Arc::new(Log::new(&Arc::default(), false));
        log.finish();
        let (mut guest, host) = UnixStream::pair().expect("made");
        log.follow(host).expect("started");
        guest.write_all(b"{\"msg\":\"a\"}").expect("taken");
        drop(guest);
        log.finish();
        assert_eq!(log.records().len(), 1);
    }

    #[test]
    fn takes_what_is_no_record_as_last_words() {
        for (bytes, expected) in [
            (&b"{\"msg\":\"a\"}\n{\"level\":\"loud\"}\nrest"[..], "loud"),
            (&b"{\"msg\":\"a\"}\n{\"msg\":1}"[..], "terminated"),
            (&b"{\"msg\":\"a\"}\npanic at x"[..], "terminated"),
        ] {
            let records = read(bytes);
            assert_eq!(records.len(), 2, "{records:?}");
            assert_eq!(records[1].level, LogLevel::Error);
            assert!(records[1].message.contains(expected), "{records:?}");
        }
    }
}
