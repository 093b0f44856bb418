//! What a request asks, borrowed from the buffer it arrived in.
//!
//! Member names and types are those of hcsshim `internal/guest/prot/protocol.go`. A member that is absent or null keeps
//! the value it starts with here.

use super::MessageType;
use super::execute::{self, Execute};
use super::modify::{self, Modify};
use super::specification::{self, Create};
use crate::failure::{Cause, Failure};
use crate::json::{Cursor, Error, Field};
use crate::kernel::StringList;

/// One request.
#[derive(Debug)]
pub struct Request<'a> {
    /// The container it is about; [`NULL_CONTAINER`] is the utility VM.
    pub container: &'a str,
    /// What to do.
    pub ask: Ask<'a>,
}

/// The container id that means the utility VM itself.
pub const NULL_CONTAINER: &str = "00000000-0000-0000-0000-000000000000";

/// What a request asks for.
#[derive(Debug)]
pub enum Ask<'a> {
    /// Agree on a protocol version.
    Negotiate {
        /// Lowest version the host speaks.
        minimum: u32,
        /// Highest version the host speaks.
        maximum: u32,
    },
    /// Make a container whose init is loaded and waits.
    Create(Create<'a>),
    /// Does nothing; the init starts with ExecuteProcess.
    Start,
    /// SIGTERM to init, or power off.
    ShutdownGraceful,
    /// SIGKILL to init, or power off.
    ShutdownForced,
    /// Run a program.
    ExecuteProcess(Execute<'a>),
    /// Tell when a process has exited.
    WaitForProcess {
        /// Which process.
        pid: u32,
        /// How long to wait; [`INFINITE_WAIT`] has no end.
        timeout_ms: u32,
    },
    /// Send a signal.
    SignalProcess {
        /// Which process.
        pid: u32,
        /// Which signal; 0 means KILL.
        signal: i32,
    },
    /// Set a terminal's window size.
    ResizeConsole {
        /// Which process.
        pid: u32,
        /// Rows.
        height: u16,
        /// Columns.
        width: u16,
    },
    /// Tell about a container.
    GetProperties {
        /// Which properties.
        types: StringList<'a>,
    },
    /// Change a resource.
    ModifySettings(Modify<'a>),
    /// Change what a container may use: OCI `linux.resources`, when there are any.
    UpdateContainer(Option<Cursor<'a>>),
    /// Tell what everything is doing.
    DumpStacks,
    /// Forget a container.
    DeleteContainerState,
}

/// `TimeoutInMs` of a wait without end (hcsshim `prot.InfiniteWaitTimeout`).
pub const INFINITE_WAIT: u32 = u32::MAX;

impl<'a> Request<'a> {
    /// Reads the body of a message of type `message`; `checked` is what [`json::check`](crate::json::check) said of it.
    ///
    /// # Errors
    ///
    /// [`Cause::NotImplemented`] for a type that is not handled, [`Cause::Unreadable`] for a body that is not understood.
    pub fn parse(
        message: MessageType,
        body: &'a mut [u8],
        checked: Result<(), Error>,
    ) -> Result<Self, Failure> {
        if message.is_handled() && message != MessageType::DUMP_STACKS {
            checked?;
        }
        let mut container = "";
        match ask(message, body, &mut container)? {
            Some(ask) => Ok(Self { container, ask }),
            None => Err(Cause::NotImplemented(message).into()),
        }
    }
}

/// Reads the body of a message; `None` for a type that is not handled.
fn ask<'a>(
    message: MessageType,
    body: &'a mut [u8],
    container: &mut &'a str,
) -> Result<Option<Ask<'a>>, Error> {
    Ok(Some(match message {
        // Its body is not even looked at (gcs-protocol §7.10).
        MessageType::DUMP_STACKS => Ask::DumpStacks,
        MessageType::START => base(body, container, Ask::Start)?,
        MessageType::SHUTDOWN_GRACEFUL => base(body, container, Ask::ShutdownGraceful)?,
        MessageType::SHUTDOWN_FORCED => base(body, container, Ask::ShutdownForced)?,
        MessageType::DELETE_CONTAINER_STATE => base(body, container, Ask::DeleteContainerState)?,
        MessageType::NEGOTIATE_PROTOCOL => negotiate(body)?,
        MessageType::CREATE => specification::create(body, container)?,
        MessageType::EXECUTE_PROCESS => execute::execute(body, container)?,
        MessageType::WAIT_FOR_PROCESS => wait(body, container)?,
        MessageType::SIGNAL_PROCESS => signal(body, container)?,
        MessageType::RESIZE_CONSOLE => resize(body, container)?,
        MessageType::GET_PROPERTIES => properties(body, container)?,
        MessageType::MODIFY_SETTINGS => modify::modify(body, container)?,
        MessageType::UPDATE_CONTAINER => modify::update(body, container)?,
        _ => return Ok(None),
    }))
}

/// Reads a request that has nothing but its container.
fn base<'a>(body: &'a mut [u8], container: &mut &'a str, ask: Ask<'a>) -> Result<Ask<'a>, Error> {
    Cursor::new(body).object(&mut [("ContainerId", Field::Text(container))])?;
    Ok(ask)
}

fn negotiate<'a>(body: &'a mut [u8]) -> Result<Ask<'a>, Error> {
    let (mut minimum, mut maximum) = (0, 0);
    Cursor::new(body).object(&mut [
        ("MinimumVersion", Field::U32(&mut minimum)),
        ("MaximumVersion", Field::U32(&mut maximum)),
    ])?;
    Ok(Ask::Negotiate { minimum, maximum })
}

fn wait<'a>(body: &'a mut [u8], container: &mut &'a str) -> Result<Ask<'a>, Error> {
    let (mut pid, mut timeout_ms) = (0, 0);
    Cursor::new(body).object(&mut [
        ("ContainerId", Field::Text(container)),
        ("ProcessId", Field::U32(&mut pid)),
        ("TimeoutInMs", Field::U32(&mut timeout_ms)),
    ])?;
    Ok(Ask::WaitForProcess { pid, timeout_ms })
}

fn signal<'a>(body: &'a mut [u8], container: &mut &'a str) -> Result<Ask<'a>, Error> {
    let (mut pid, mut signal) = (0, 0);
    Cursor::new(body).object(&mut [
        ("ContainerId", Field::Text(container)),
        ("ProcessId", Field::U32(&mut pid)),
        (
            "Options",
            Field::Object(&mut [("Signal", Field::I32(&mut signal))]),
        ),
    ])?;
    Ok(Ask::SignalProcess { pid, signal })
}

fn resize<'a>(body: &'a mut [u8], container: &mut &'a str) -> Result<Ask<'a>, Error> {
    let (mut pid, mut height, mut width) = (0, 0, 0);
    Cursor::new(body).object(&mut [
        ("ContainerId", Field::Text(container)),
        ("ProcessId", Field::U32(&mut pid)),
        ("Height", Field::U16(&mut height)),
        ("Width", Field::U16(&mut width)),
    ])?;
    Ok(Ask::ResizeConsole { pid, height, width })
}

/// The query is a document. An empty string is none and asks for nothing.
fn properties<'a>(body: &'a mut [u8], container: &mut &'a str) -> Result<Ask<'a>, Error> {
    let mut query = None;
    Cursor::new(body).object(&mut [
        ("ContainerId", Field::Text(container)),
        (
            "Query",
            Field::Other(&mut |cursor| {
                query = cursor.document_unless_empty()?;
                Ok(())
            }),
        ),
    ])?;
    let mut types = StringList::default();
    if let Some(mut query) = query {
        query.object(&mut [("PropertyTypes", Field::Strings(&mut types))])?;
    }
    Ok(Ask::GetProperties { types })
}
