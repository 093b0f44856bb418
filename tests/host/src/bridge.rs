//! The bridge: one connection, many calls at once (gcs-protocol §3).
//!
//! A call registers what it expects under the next id and writes its frame; one reader thread decodes what comes and
//! answers the call with that id. The reader is as unforgiving as hcsshim's: whatever the guest gets wrong ends the
//! bridge with a reason, every outstanding call fails with it, and every container counts as ended.

use crate::container::ContainerExit;
use crate::error::{Error, Result};
use crate::frame::{self, Frame};
use crate::message::{Kind, MessageType};
use crate::once::{Once, lock};
use crate::request;
use crate::response::{Answer, Expected, decode, decode_notification};
use crate::timeouts::Timeouts;
use std::collections::HashMap;
use std::io::{BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The reader thread's buffer: the longest frame a guest may send, so that most frames cost one system call.
const READ_BUFFER_BYTES: usize = frame::MAX_GUEST_FRAME_BYTES;

/// The answer to a call, as it comes once.
pub(crate) type Reply = Once<Result<Answer>>;

/// One bridge connection. Shared by the reader thread and everything that can be asked over it.
#[derive(Debug)]
pub(crate) struct Bridge {
    stream: UnixStream,
    writer: Mutex<Writer>,
    table: Mutex<Table>,
    /// Why the bridge has ended, for those who wait for nothing else.
    ended: Once<Arc<str>>,
    timeouts: Timeouts,
}

#[derive(Debug)]
struct Writer {
    stream: UnixStream,
    /// Ids count up on the wire, so the id is given while the writer is held.
    next_id: u64,
}

#[derive(Debug, Default)]
struct Table {
    calls: HashMap<u64, Call>,
    /// Containers whose one notification has not come yet.
    containers: HashMap<String, Once<ContainerExit>>,
    /// Why the bridge has ended, once it has.
    end: Option<Arc<str>>,
}

#[derive(Debug)]
struct Call {
    operation: &'static str,
    expected: Expected,
    reply: Reply,
}

/// What happens when a call is not answered in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// The bridge is ended: the guest is broken.
    Final,
    /// The call fails; a late response is swallowed.
    Abandonable,
}

impl Bridge {
    /// Takes over a connected stream and starts the reader thread.
    pub(crate) fn start(stream: UnixStream, timeouts: Timeouts) -> Result<Arc<Self>> {
        let duplicate = |stream: &UnixStream| {
            stream
                .try_clone()
                .map_err(|error| Error::io("cannot duplicate the bridge's descriptor", error))
        };
        let reader = duplicate(&stream)?;
        let writer = duplicate(&stream)?;
        // A guest that stops reading must not hold a caller for longer than a call may take.
        writer
            .set_write_timeout(Some(timeouts.call))
            .map_err(|error| Error::io("cannot limit writes to the bridge", error))?;
        let bridge = Arc::new(Self {
            stream,
            writer: Mutex::new(Writer {
                stream: writer,
                next_id: 0,
            }),
            table: Mutex::default(),
            ended: Once::new(),
            timeouts,
        });
        let reader_bridge = Arc::clone(&bridge);
        thread::Builder::new()
            .name("mote-bridge".into())
            .spawn(move || {
                let reason = reader_bridge.receive(reader);
                reader_bridge.end(&reason);
            })
            .map_err(|error| Error::io("cannot start the bridge's reader thread", error))?;
        Ok(bridge)
    }

    /// Sends a request; the answer comes later.
    pub(crate) fn send(
        &self,
        operation: MessageType,
        body: &[u8],
        expected: Expected,
    ) -> Result<Reply> {
        let name = operation.name().unwrap_or("request");
        let mut writer = lock(&self.writer);
        let id = writer.next_id;
        let bytes = frame::encode(operation.0, id, body).ok_or_else(|| Error::InvalidRequest {
            operation: name,
            reason: format!("a body of {} bytes does not fit a frame", body.len()),
        })?;
        let reply = Once::new();
        {
            // Registered before it is written, so that no response can be faster.
            let mut table = lock(&self.table);
            if let Some(reason) = &table.end {
                return Err(ended(name, reason));
            }
            table.calls.insert(
                id,
                Call {
                    operation: name,
                    expected,
                    reply: reply.clone(),
                },
            );
        }
        writer.next_id += 1;
        let written = writer.stream.write_all(&bytes);
        drop(writer);
        if let Err(error) = written {
            // Half a frame may be out: nothing that follows would be understood. The call fails with the rest.
            self.end(&format!("writing {name} failed: {error}"));
        }
        Ok(reply)
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn call(
        &self,
        operation: MessageType,
        body: &[u8],
        expected: Expected,
        patience: Patience,
    ) -> Result<Answer> {
        let limit = match patience {
            Patience::Final => self.timeouts.call,
            Patience::Abandonable => self.timeouts.abandonable_call,
        };
        let reply = self.send(operation, body, expected)?;
        if let Some(answer) = reply.wait_timeout(limit) {
            return answer;
        }
        let timeout = Error::Timeout {
            operation: operation.name().unwrap_or("request"),
            after: limit,
        };
        if patience == Patience::Final {
            self.end(&format!("no answer to {operation} within {limit:?}"));
        }
        Err(timeout)
    }

    /// Asks the VM to power off. No answer is waited for: there is none.
    pub(crate) fn shut_down_vm(&self) -> Result<()> {
        let body = request::plain(request::UTILITY_VM);
        self.send(MessageType::SHUTDOWN_GRACEFUL, &body, Expected::Base)
            .map(drop)
    }

    /// Registers a container for its notification. The registration stays until the notification or the end of the
    /// bridge, also when creating the container fails: the real host keeps it too.
    pub(crate) fn expect_exit(&self, container_id: &str) -> Result<Once<ContainerExit>> {
        let mut table = lock(&self.table);
        if let Some(reason) = &table.end {
            return Err(ended("Create", reason));
        }
        if table.containers.contains_key(container_id) {
            return Err(Error::AlreadyExists(container_id.to_owned()));
        }
        let exit = Once::new();
        table
            .containers
            .insert(container_id.to_owned(), exit.clone());
        Ok(exit)
    }

    /// Returns why the bridge has ended; `None` while it is up.
    pub(crate) fn end_reason(&self) -> Option<Arc<str>> {
        lock(&self.table).end.clone()
    }

    /// Waits for the bridge to end; `None` when it is still up after `limit`.
    pub(crate) fn wait_end(&self, limit: Duration) -> Option<Arc<str>> {
        self.ended.wait_timeout(limit)
    }

    /// Ends the bridge. Only the first reason counts.
    pub(crate) fn end(&self, reason: &str) {
        let reason: Arc<str> = reason.into();
        let (calls, containers) = {
            let mut table = lock(&self.table);
            if table.end.is_some() {
                return;
            }
            table.end = Some(Arc::clone(&reason));
            (
                std::mem::take(&mut table.calls),
                std::mem::take(&mut table.containers),
            )
        };
        // The peer may be gone already, which is as good as shut down.
        let _ = self.stream.shutdown(Shutdown::Both);
        for call in calls.into_values() {
            call.reply.set(Err(ended(call.operation, &reason)));
        }
        for exit in containers.into_values() {
            exit.set(ContainerExit::BridgeEnded(Arc::clone(&reason)));
        }
        self.ended.set(reason);
    }

    /// Reads frames until the stream or the guest's good conduct ends; returns why.
    fn receive(&self, stream: UnixStream) -> String {
        let mut reader = BufReader::with_capacity(READ_BUFFER_BYTES, stream);
        loop {
            let frame = match frame::read(&mut reader) {
                Ok(Some(frame)) => frame,
                Ok(None) => return "the guest closed the connection".into(),
                Err(error) => return error.to_string(),
            };
            if let Err(slip) = self.on_frame(&frame) {
                return format!("protocol error by the guest: {slip}");
            }
        }
    }

    fn on_frame(&self, frame: &Frame) -> Result<(), String> {
        let message_type = MessageType(frame.message_type);
        match message_type.kind() {
            Kind::Response => self.on_response(frame),
            Kind::Notification if message_type == MessageType::CONTAINER_NOTIFICATION => {
                self.on_notification(frame)
            }
            Kind::Notification => Err(format!("unknown notification {message_type}")),
            Kind::Request => Err(format!("a request ({message_type})")),
            Kind::Unknown => Err(format!("{message_type} is of no known kind")),
        }
    }

    /// Responses are matched by id alone; the message number is not looked at.
    fn on_response(&self, frame: &Frame) -> Result<(), String> {
        let Some(call) = lock(&self.table).calls.remove(&frame.id) else {
            return Err(format!(
                "a response with id {}, which no request has outstanding",
                frame.id
            ));
        };
        let operation = call.operation;
        match decode(call.expected, &frame.body) {
            Ok(Ok(answer)) => call.reply.set(Ok(answer)),
            Ok(Err(refused)) => {
                let message = match refused.message.as_str() {
                    "" => refused.hresult.meaning().unwrap_or("no text").to_owned(),
                    text => text.to_owned(),
                };
                call.reply.set(Err(Error::Guest {
                    operation,
                    hresult: refused.hresult,
                    message,
                }));
            }
            Err(slip) => {
                let slip = format!("response to {operation}, id {}: {slip}", frame.id);
                call.reply.set(Err(ended(operation, &slip.as_str().into())));
                return Err(slip);
            }
        }
        Ok(())
    }

    fn on_notification(&self, frame: &Frame) -> Result<(), String> {
        let notification =
            decode_notification(&frame.body).map_err(|slip| format!("notification: {slip}"))?;
        let exit = lock(&self.table)
            .containers
            .remove(&notification.container_id);
        match exit {
            Some(exit) => exit.set(ContainerExit::Notified(notification.exit_type)),
            None => {
                return Err(format!(
                    "a notification for {:?}, which is unknown or was notified before",
                    notification.container_id
                ));
            }
        }
        Ok(())
    }
}

fn ended(operation: &'static str, reason: &Arc<str>) -> Error {
    Error::BridgeEnded {
        operation,
        reason: Arc::clone(reason),
    }
}
