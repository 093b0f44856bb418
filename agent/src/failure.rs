//! Why a request fails, with what a person needs to know, and where in the agent it was decided.

use crate::json;
use crate::kernel::{LoadError, Refusal};
use crate::limits::{ERROR_NAME_BYTES, ERROR_TEXT_BYTES};
use crate::message::MessageType;
use crate::message::specification::{CONTAINER_TYPE, SANDBOX_ID};
use crate::message::words::WordError;
use core::fmt;
use core::panic::Location;
use hal::limits::MAX_CONNECTIONS;
use hal::vsock::{ConnectError, Port};

/// Why a request fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A message that is not handled.
    NotImplemented(MessageType),
    /// A message before NegotiateProtocol.
    NotNegotiated(MessageType),
    /// NegotiateProtocol on a connection that has a version.
    NegotiatedTwice,
    /// Something mote does not do; the name says what.
    Unsupported(&'static str),
    /// A resource that there is not, or not of what was asked about: its name.
    Resource(CutText<ERROR_NAME_BYTES>),
    /// A resource that is known and not supported: its name.
    Refused(&'static str),
    /// A resource cannot be changed in this way: its name, and the request type.
    RequestType(CutText<ERROR_NAME_BYTES>, CutText<ERROR_NAME_BYTES>),
    /// A modification has no settings.
    NoSettings,
    /// A mount option that is not supported.
    MountOption(CutText<ERROR_NAME_BYTES>),
    /// A member has a value that it cannot have: which, and why.
    Invalid(&'static str),
    /// A change of this resource came to nothing; who is to blame, if that is known.
    Change(&'static str, LoadError, CutText<ERROR_NAME_BYTES>),
    /// A mount whose files the program would miss: its place in the list and where it belongs.
    Mount(usize, CutText<ERROR_NAME_BYTES>),
    /// A kind of container that there is not.
    ContainerType(CutText<ERROR_NAME_BYTES>),
    /// A container is to join a pod, but there is no such sandbox.
    NoSandbox(CutText<ERROR_NAME_BYTES>),
    /// A body that is not understood.
    Unreadable(json::Error),
    /// A body longer than the buffer.
    Oversized {
        /// Bytes of the frame.
        frame_bytes: u32,
        /// Bytes of the body buffer.
        limit_bytes: usize,
    },
    /// A schema version below 2.1.
    Schema(u32, u32),
    /// No common protocol version.
    Versions {
        /// The host's lowest.
        minimum: u32,
        /// The host's highest.
        maximum: u32,
    },
    /// A member without which the request means nothing.
    Missing(&'static str),
    /// A signal number that is none.
    BadSignal(i32),
    /// A command line without words.
    CommandLine(WordError),
    /// A table is full: its name and size.
    Limit(&'static str, usize),
    /// There is no such container.
    NoContainer,
    /// There is such a container already.
    ContainerExists,
    /// The container is not created yet.
    Creating,
    /// The container's init has exited.
    ContainerStopped,
    /// The container's init is running.
    ContainerRuns,
    /// The container's init was started before.
    InitStarted,
    /// There is no such process in that container, or not any more.
    NoProcess(u32),
    /// A WaitForProcess came to its end before the process did: after this many milliseconds.
    TimedOut(u32),
    /// A pipe was asked for without a port.
    NoPort(&'static str),
    /// There is no room for a connection to the host.
    NoConnection,
    /// The host did not take a standard stream.
    Dial {
        /// Which.
        stream: &'static str,
        /// Where.
        port: Port,
        /// Why.
        error: ConnectError,
    },
    /// The process was killed before it was started.
    Killed,
    /// The program cannot be loaded.
    Load(LoadError),
    /// The kernel refuses.
    Kernel(Refusal),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotImplemented(message) => write!(f, "not implemented: {message}"),
            Self::NotNegotiated(message) => write!(f, "{message} before NegotiateProtocol"),
            Self::NegotiatedTwice => f.write_str("the protocol version is negotiated already"),
            Self::Unsupported(what) => write!(f, "not supported: {what}"),
            Self::Resource(name) => write!(
                f,
                "ResourceType \"{}\" cannot be modified here",
                name.as_str()
            ),
            Self::Refused(name) => write!(f, "not supported: ModifySettings of {name}"),
            Self::RequestType(resource, request) => write!(
                f,
                "RequestType \"{}\" is not for ResourceType \"{}\"",
                request.as_str(),
                resource.as_str()
            ),
            Self::NoSettings => f.write_str("missing: Settings"),
            Self::MountOption(option) => {
                write!(f, "not supported: mount option \"{}\"", option.as_str())
            }
            Self::Invalid(what) => f.write_str(what),
            Self::Change(resource, error, by) => write!(
                f,
                "{resource} \"{}\": {}{}",
                error.path,
                error.reason,
                by.as_str()
            ),
            Self::Mount(index, destination) => write!(
                f,
                "not supported: OciSpecification.mounts[{index}], at \"{}\"",
                destination.as_str()
            ),
            Self::ContainerType(name) => write!(
                f,
                "annotation {CONTAINER_TYPE}: \"{}\" is no kind of container",
                name.as_str()
            ),
            Self::NoSandbox(id) => write!(
                f,
                "annotation {SANDBOX_ID}: there is no sandbox \"{}\"",
                id.as_str()
            ),
            Self::Unreadable(error) => error.fmt(f),
            Self::Oversized {
                frame_bytes,
                limit_bytes,
            } => write!(
                f,
                "frame of {frame_bytes} bytes: its body is longer than the limit of {limit_bytes} bytes"
            ),
            Self::Schema(major, minor) => {
                write!(f, "schema version {major}.{minor} is below 2.1")
            }
            Self::Versions { minimum, maximum } => write!(
                f,
                "protocol version 4 is not among those of the host, {minimum} to {maximum}"
            ),
            Self::Missing(member) => write!(f, "missing: {member}"),
            Self::BadSignal(number) => write!(f, "{number} is no signal a host may send"),
            Self::CommandLine(error) => error.fmt(f),
            Self::Limit(name, size) => write!(f, "limit reached: {name} = {size}"),
            Self::NoContainer => f.write_str("no such container"),
            Self::ContainerExists => f.write_str("the container exists already"),
            Self::Creating => f.write_str("the container is still being created"),
            Self::ContainerStopped => f.write_str("the container's init has exited"),
            Self::ContainerRuns => f.write_str(
                "the container was running; it is killed and its id is free once it has ended",
            ),
            Self::InitStarted => f.write_str("the container's init was started before"),
            Self::NoProcess(pid) => write!(f, "no process {pid} here"),
            Self::TimedOut(ms) => write!(f, "the process has not exited within {ms} ms"),
            Self::NoPort(stream) => write!(f, "a pipe for {stream} was asked for without a port"),
            Self::NoConnection => write!(
                f,
                "limit reached: MAX_CONNECTIONS = {MAX_CONNECTIONS}, or as many as the memory allows"
            ),
            Self::Dial {
                stream,
                port,
                error,
            } => {
                let why = match error {
                    ConnectError::TimedOut => "nobody answered",
                    ConnectError::Refused => "refused",
                    ConnectError::TransportReset => "transport reset",
                };
                write!(f, "connecting {stream} to host port {}: {why}", port.0)
            }
            Self::Killed => f.write_str("the process was killed before it was started"),
            Self::Load(error) => write!(f, "exec \"{}\": {}", error.path, error.reason),
            Self::Kernel(refusal) => refusal.fmt(f),
        }
    }
}

/// A cause and the place in the agent's source where it was noticed, for the host's error record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub cause: Cause,
    /// Where.
    pub place: &'static Location<'static>,
}

impl From<Cause> for Failure {
    #[track_caller]
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            place: Location::caller(),
        }
    }
}

impl From<json::Error> for Failure {
    #[track_caller]
    fn from(error: json::Error) -> Self {
        Cause::Unreadable(error).into()
    }
}

impl From<Refusal> for Failure {
    #[track_caller]
    fn from(refusal: Refusal) -> Self {
        Cause::Kernel(refusal).into()
    }
}

impl Failure {
    /// Returns the text the host's user reads, cut with a mark when it is too long.
    #[must_use]
    pub fn text(&self) -> CutText<ERROR_TEXT_BYTES> {
        CutText::new(format_args!("{}", self.cause))
    }

    /// Returns the source file's name without its directory.
    #[must_use]
    pub fn file_name(&self) -> &'static str {
        let path = self.place.file();
        path.rsplit_once('/').map_or(path, |(_, name)| name)
    }
}

/// What ends a text that was cut.
const CUT_MARK: &str = "...";

/// A text of at most `N` bytes; what does not fit is cut with a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutText<const N: usize> {
    text: heapless::String<N>,
    cut: bool,
}

impl<const N: usize> CutText<N> {
    /// Formats a text.
    #[must_use]
    pub fn new(text: fmt::Arguments<'_>) -> Self {
        let mut cut = Self {
            text: heapless::String::new(),
            cut: false,
        };
        // The only error is that of a cut text, which is marked below.
        let _ = fmt::write(&mut cut, text);
        if cut.cut {
            // Room was kept for the mark.
            let _ = cut.text.push_str(CUT_MARK);
        }
        cut
    }

    /// Copies a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::new(format_args!("{text}"))
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<const N: usize> fmt::Write for CutText<N> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = N - CUT_MARK.len() - self.text.len();
        let mut end = s.len().min(room);
        while !s.is_char_boundary(end) {
            end -= 1;
        }
        self.cut = end < s.len();
        self.text.push_str(&s[..end]).or(Err(fmt::Error))?;
        if self.cut { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    #[test]
    fn a_text_is_kept_below_and_at_its_room_and_cut_with_a_mark_above() {
        for (length, expected) in [(4, 4), (5, 5), (6, 8), (100, 8)] {
            let text = "x".repeat(length);
            let cut = CutText::<8>::new(format_args!("{text}"));
            assert_eq!(cut.as_str().len(), expected);
            assert_eq!(cut.as_str().ends_with("..."), length > 5);
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let cut = CutText::<8>::new(format_args!("{}", "\u{20ac}".repeat(9)));
        assert_eq!(cut.as_str(), "\u{20ac}...");
    }

    #[test]
    fn a_load_error_reads_as_the_host_expects_it() {
        let failure = Failure::from(Cause::Load(LoadError {
            errno: 2,
            reason: "no such file or directory",
            path: heapless::String::try_from("/no/such").unwrap(),
            holder: None,
        }));
        assert_eq!(
            failure.text().as_str(),
            "exec \"/no/such\": no such file or directory"
        );
        assert_eq!(failure.file_name(), "failure.rs");
        let _: String = failure.text().as_str().into();
    }
}
