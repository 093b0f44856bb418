//! The bridge: one connection, many calls at once (gcs-protocol §3).
//!
//! A call registers what it expects under the next id and writes its frame; one reader thread decodes what comes and
//! answers the call with that id. The reader is as unforgiving as hcsshim's: whatever the guest gets wrong ends the
//! bridge with a reason, every outstanding call fails with it, and every container counts as ended.
//!
//! While it migrates, the bridge outlives its connection ([`resume`](crate::resume)): a connection that is lost only
//! interrupts the calls that are outstanding, ids count on over the next one, and waits are sent again there.

mod migration;

use crate::container::ContainerExit;
use crate::error::{Error, Result};
use crate::frame::{self, Frame, FrameError};
use crate::message::{Kind, MessageType};
use crate::once::{Once, lock};
use crate::request;
use crate::response::{Answer, Expected, decode, decode_notification};
use crate::timeouts::Timeouts;
use std::collections::HashMap;
use std::io::{BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// The reader thread's buffer: the longest frame a guest may send, so that most frames cost one system call.
const READ_BUFFER_BYTES: usize = frame::MAX_GUEST_FRAME_BYTES;

/// The answer to a call, as it comes once.
pub(crate) type Reply = Once<Result<Answer>>;

/// One bridge connection. Shared by the reader thread and everything that can be asked over it.
#[derive(Debug)]
pub(crate) struct Bridge {
    writer: Mutex<Writer>,
    table: Mutex<Table>,
    /// Wakes who waits for the bridge to be up again, or at its end.
    up_again: Condvar,
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

#[derive(Debug)]
struct Table {
    calls: HashMap<u64, Call>,
    /// Containers whose one notification has not come yet.
    containers: HashMap<String, Expectation>,
    /// The connection, to shut it down.
    stream: UnixStream,
    /// Which connection it is, so that the reader of an earlier one is not believed.
    connection: u32,
    /// Whether the bridge outlives its connection.
    migrating: bool,
    /// Why the connection was lost; until the next one is negotiated.
    lost: Option<Arc<str>>,
    /// Why the bridge has ended, once it has.
    end: Option<Arc<str>>,
}

#[derive(Debug)]
struct Call {
    operation: MessageType,
    expected: Expected,
    reply: Reply,
    /// What is sent again on the next connection.
    again: Option<Vec<u8>>,
}

/// The notification a container will send.
#[derive(Debug)]
struct Expectation {
    exit: Once<ContainerExit>,
    /// Whether the Create it was registered for was interrupted: whether there is such a container is not known.
    unsure: bool,
}

/// Why a reader thread ends.
enum Stop {
    /// The connection is lost.
    Lost(String),
    /// The guest broke the protocol.
    Slip(String),
}

/// What happens when a call is not answered in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// The bridge is ended: the guest is broken.
    Final,
    /// The call fails; a late response is swallowed.
    Abandonable,
}

/// What becomes of a request while the bridge has no connection that is negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    /// It fails: it was not sent.
    Fail,
    /// It is what ends the gap.
    Pass,
}

impl Bridge {
    /// Takes over a connected stream and starts the reader thread.
    pub(crate) fn start(stream: UnixStream, timeouts: Timeouts) -> Result<Arc<Self>> {
        let reader = duplicate(&stream)?;
        let bridge = Arc::new(Self {
            writer: Mutex::new(Writer {
                stream: writing_end(&stream, timeouts)?,
                next_id: 0,
            }),
            table: Mutex::new(Table {
                calls: HashMap::new(),
                containers: HashMap::new(),
                stream,
                connection: 0,
                migrating: false,
                lost: None,
                end: None,
            }),
            up_again: Condvar::new(),
            ended: Once::new(),
            timeouts,
        });
        bridge.spawn_reader(reader, 0)?;
        Ok(bridge)
    }

    fn spawn_reader(self: &Arc<Self>, stream: UnixStream, connection: u32) -> Result<()> {
        let bridge = Arc::clone(self);
        thread::Builder::new()
            .name("mote-bridge".into())
            .spawn(move || match bridge.receive(stream) {
                Stop::Lost(reason) => bridge.on_lost(connection, &reason),
                Stop::Slip(slip) => bridge.end(&slip),
            })
            .map(drop)
            .map_err(|error| Error::io("cannot start the bridge's reader thread", error))
    }

    /// Sends a request; the answer comes later.
    pub(crate) fn send(
        &self,
        operation: MessageType,
        body: &[u8],
        expected: Expected,
    ) -> Result<Reply> {
        let reply = Once::new();
        self.send_for(operation, body, expected, &reply, Gap::Fail)?;
        Ok(reply)
    }

    /// As [`Bridge::send`], for an answer that somebody waits for already.
    fn send_for(
        &self,
        operation: MessageType,
        body: &[u8],
        expected: Expected,
        reply: &Reply,
        gap: Gap,
    ) -> Result<()> {
        let name = name(operation);
        let mut writer = lock(&self.writer);
        let id = writer.next_id;
        let bytes = frame::encode(operation.0, id, body).ok_or_else(|| Error::InvalidRequest {
            operation: name,
            reason: format!("a body of {} bytes does not fit a frame", body.len()),
        })?;
        let connection = {
            // Registered before it is written, so that no response can be faster.
            let mut table = lock(&self.table);
            if let Some(reason) = &table.end {
                return Err(ended(name, reason));
            }
            if let (Some(reason), Gap::Fail) = (&table.lost, gap) {
                return Err(interrupted(name, reason));
            }
            let again = (expected == Expected::ExitCode).then(|| body.to_vec());
            table.calls.insert(
                id,
                Call {
                    operation,
                    expected,
                    reply: reply.clone(),
                    again,
                },
            );
            table.connection
        };
        writer.next_id += 1;
        let written = writer.stream.write_all(&bytes);
        drop(writer);
        if let Err(error) = written {
            // Half a frame may be out: nothing that follows would be understood. The call fails with the rest.
            self.on_lost(connection, &format!("writing {name} failed: {error}"));
        }
        Ok(())
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
        self.await_answer(operation, &reply, limit, patience)
    }

    fn await_answer(
        &self,
        operation: MessageType,
        reply: &Reply,
        limit: Duration,
        patience: Patience,
    ) -> Result<Answer> {
        if let Some(answer) = reply.wait_timeout(limit) {
            return answer;
        }
        let timeout = Error::Timeout {
            operation: name(operation),
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
    /// bridge, also when creating the container fails: the real host keeps it too. One whose Create was interrupted can
    /// be registered again.
    pub(crate) fn expect_exit(&self, container_id: &str) -> Result<Once<ContainerExit>> {
        let mut table = lock(&self.table);
        if let Some(reason) = &table.end {
            return Err(ended("Create", reason));
        }
        if let Some(known) = table.containers.get(container_id) {
            if known.unsure {
                return Ok(known.exit.clone());
            }
            return Err(Error::AlreadyExists(container_id.to_owned()));
        }
        let exit = Once::new();
        let expectation = Expectation {
            exit: exit.clone(),
            unsure: false,
        };
        table
            .containers
            .insert(container_id.to_owned(), expectation);
        Ok(exit)
    }

    /// Takes note of whether the guest may have a container that was registered and is not held by anybody here.
    pub(crate) fn set_unsure(&self, container_id: &str, unsure: bool) {
        if let Some(known) = lock(&self.table).containers.get_mut(container_id) {
            known.unsure = unsure;
        }
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
            // The peer may be gone already, which is as good as shut down.
            let _ = table.stream.shutdown(Shutdown::Both);
            (
                std::mem::take(&mut table.calls),
                std::mem::take(&mut table.containers),
            )
        };
        for call in calls.into_values() {
            call.reply.set(Err(ended(name(call.operation), &reason)));
        }
        for expectation in containers.into_values() {
            let ended = ContainerExit::BridgeEnded(Arc::clone(&reason));
            expectation.exit.set(ended);
        }
        self.ended.set(reason);
        self.up_again.notify_all();
    }

    /// A connection is lost. While the bridge migrates, that only interrupts what is outstanding, except waits: an
    /// answer that is still owed comes under its old id over the next connection, or was lost with this one.
    fn on_lost(&self, connection: u32, reason: &str) {
        let mut table = lock(&self.table);
        if table.connection != connection || table.end.is_some() {
            return;
        }
        if !table.migrating {
            drop(table);
            return self.end(reason);
        }
        let reason: Arc<str> = reason.into();
        // The peer may be gone already, which is as good as shut down.
        let _ = table.stream.shutdown(Shutdown::Both);
        let calls = table.calls.values();
        for call in calls.filter(|call| call.expected != Expected::ExitCode) {
            let interrupted = interrupted(name(call.operation), &reason);
            call.reply.set(Err(interrupted));
        }
        table.lost = Some(reason);
        drop(table);
        self.up_again.notify_all();
    }

    /// Reads frames until the stream or the guest's good conduct ends.
    fn receive(&self, stream: UnixStream) -> Stop {
        let mut reader = BufReader::with_capacity(READ_BUFFER_BYTES, stream);
        loop {
            let frame = match frame::read(&mut reader) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Stop::Lost("the guest closed the connection".into()),
                Err(error @ (FrameError::Cut { .. } | FrameError::Io(_))) => {
                    return Stop::Lost(error.to_string());
                }
                Err(error) => return Stop::Slip(error.to_string()),
            };
            if let Err(slip) = self.on_frame(&frame) {
                return Stop::Slip(format!("protocol error by the guest: {slip}"));
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
        let operation = name(call.operation);
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
            Some(known) => known
                .exit
                .set(ContainerExit::Notified(notification.exit_type)),
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

fn name(operation: MessageType) -> &'static str {
    operation.name().unwrap_or("request")
}

fn duplicate(stream: &UnixStream) -> Result<UnixStream> {
    stream
        .try_clone()
        .map_err(|error| Error::io("cannot duplicate the bridge's descriptor", error))
}

/// Returns the end that requests are written to. A guest that stops reading must not hold a caller for longer than a call
/// may take.
fn writing_end(stream: &UnixStream, timeouts: Timeouts) -> Result<UnixStream> {
    let writer = duplicate(stream)?;
    writer
        .set_write_timeout(Some(timeouts.call))
        .map_err(|error| Error::io("cannot limit writes to the bridge", error))?;
    Ok(writer)
}

fn interrupted(operation: &'static str, reason: &Arc<str>) -> Error {
    Error::Interrupted {
        operation,
        reason: Arc::clone(reason),
    }
}

fn ended(operation: &'static str, reason: &Arc<str>) -> Error {
    Error::BridgeEnded {
        operation,
        reason: Arc::clone(reason),
    }
}
