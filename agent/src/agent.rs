//! The agent: everything the session knows, and the one function that moves it.

use crate::bridge::Bridge;
use crate::channel::Channels;
use crate::config::Config;
use crate::entropy::Entropy;
use crate::failure::{Cause, Failure};
use crate::frame::{Arrival, Header};
use crate::json;
use crate::kernel::{self, Kernel};
use crate::limits::{MAX_FRAME_BYTES, MIN_BODY_BYTES, STEP_QUOTA};
use crate::log_stream::LogStream;
use crate::message::MessageType;
use crate::message::guid::Activity as ActivityId;
use crate::message::request::Request;
use crate::outgoing::{Outgoing, Tag};
use crate::session::Session;
use crate::world::{Earliest, World};
use core::fmt;
use core::time::Duration;
use hal::clock::Instant;
use hal::vsock::{self, Vsock};

/// The memory the agent works in besides itself, sized by the owner from the machine's RAM.
pub struct Buffers {
    /// One request's body: [`MIN_BODY_BYTES`] to [`crate::limits::MAX_BODY_BYTES`].
    pub body: &'static mut [u8],
    /// Frames on their way out: at least [`MAX_FRAME_BYTES`]. Twice that lets a request be decoded while the answer to
    /// the one before is still leaving.
    pub outgoing: &'static mut [u8],
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Whether anything happened; if so there may be more to do at once.
    pub moved: bool,
    /// When the next step is due even if nothing happens.
    pub next_deadline: Instant,
}

/// The agent. It is large and lives in a static: [`Agent::new`] is constant (and all zeros, so it takes no room in the
/// image), [`Agent::begin`] fills in what is known at run time.
pub struct Agent {
    setup: Setup,
    dialled: bool,
    entropy: Entropy,
    log: LogStream,
    bridge: Bridge,
    outgoing: Outgoing,
    session: Session,
    channels: Channels,
}

/// What the owner has told. The layout is fixed, so that "pending" is all zeros (see [`Agent`]).
#[derive(Clone, Copy)]
#[repr(u8)]
enum Setup {
    Pending,
    Known(Config, Option<Duration>),
}

impl Agent {
    /// Returns an agent that does nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            setup: Setup::Pending,
            dialled: false,
            entropy: Entropy::new(),
            log: LogStream::new(),
            bridge: Bridge::new(),
            outgoing: Outgoing::new(),
            session: Session::new(),
            channels: Channels::new(),
        }
    }

    /// Gives the agent its configuration and its memory. From the next step on it dials, if [`Agent::dial`] did not.
    ///
    /// # Panics
    ///
    /// If a buffer is smaller than its minimum: a mistake of the caller, not of a peer.
    pub fn begin(&mut self, config: Config, buffers: Buffers) {
        assert!(buffers.body.len() >= MIN_BODY_BYTES);
        assert!(buffers.outgoing.len() >= MAX_FRAME_BYTES);
        self.setup = Setup::Known(config, None);
        self.bridge.begin(buffers.body);
        self.outgoing.begin(buffers.outgoing);
    }

    /// Tells the wall time at [`Instant::ZERO`], for log lines, once the agent has begun.
    pub const fn set_epoch(&mut self, epoch: Option<Duration>) {
        if let Setup::Known(_, known) = &mut self.setup {
            *known = epoch;
        }
    }

    /// Dials the host, once, in the order in which it accepts: entropy, log, bridge (gcs-protocol §2). The host listens
    /// on all three before it starts a machine, so none waits for the one before it. A step would do it as well; whoever
    /// has more to set up before the first one does that while the host answers.
    pub fn dial<V: Vsock>(&mut self, now: Instant, vsock: &mut V) {
        let Setup::Known(config, _) = self.setup else {
            return;
        };
        if !self.dialled {
            self.dialled = true;
            self.entropy.begin(config.entropy, now, vsock);
            self.log.dial(config.log, now, vsock);
            self.bridge.dial(&config, now, vsock);
        }
    }

    /// Takes what happened in `vsock` and `kernel` and does what follows from it; a bounded amount of work.
    pub fn step<V: Vsock, K: Kernel>(
        &mut self,
        now: Instant,
        vsock: &mut V,
        kernel: &mut K,
    ) -> Activity {
        let mut earliest = Earliest(Instant::NEVER);
        let Setup::Known(config, _) = self.setup else {
            return Activity {
                moved: false,
                next_deadline: earliest.0,
            };
        };
        let mut world = World { now, vsock, kernel };
        let world = &mut world;
        let mut moved = self.take_connection_events(world);
        moved |= self.take_kernel_events(world);
        moved |= !self.dialled;
        self.dial(now, world.vsock);
        moved |= self.log.dial(config.log, now, world.vsock);
        earliest.note(self.log.next_dial());
        moved |= self.bridge.dial(&config, now, world.vsock);
        earliest.note(self.bridge.next_dial());
        moved |= self
            .session
            .launch(&mut self.outgoing, &mut earliest, world);
        moved |= self.take_requests(world);
        moved |= self.session.carry(world);
        moved |= self.channels.carry(&mut earliest, world);
        moved |= self
            .session
            .settle(&mut self.outgoing, &mut earliest, world);
        moved |= self.bridge.write(&mut self.outgoing, world);
        moved |= self.log.write(world.vsock);
        self.power_off(&mut earliest, world);
        world.vsock.flush();
        // Nobody waits for these as for an answer.
        self.session.tell_of_negotiation();
        moved |= self.entropy.read(&mut earliest, world);
        earliest.note(world.vsock.next_deadline());
        Activity {
            moved,
            next_deadline: earliest.0,
        }
    }

    fn take_connection_events<V: Vsock, K: Kernel>(&mut self, world: &mut World<'_, V, K>) -> bool {
        for taken in 0..STEP_QUOTA {
            let Some(event) = world.vsock.poll(world.now) else {
                return taken > 0;
            };
            self.on_connection_event(event, world);
        }
        true
    }

    fn on_connection_event<V: Vsock, K: Kernel>(
        &mut self,
        event: vsock::Event,
        world: &mut World<'_, V, K>,
    ) {
        use vsock::Event;
        if Channels::has(event.id()) {
            self.channels.on_event(event, world);
            return;
        }
        match event {
            // Those the host dials are programs'.
            Event::Incoming { id, .. } => world.vsock.abort(id),
            Event::Connected(id) if self.bridge.is(id) => self.bridge.on_connected(),
            Event::Connected(id) if self.log.is(id) => self.log.on_connected(),
            Event::Connected(id) if self.entropy.is(id) => self.entropy.on_connected(),
            Event::Connected(id) => self.session.on_connected(id, world.now),
            Event::Failed(id, _) if self.bridge.is(id) => self.bridge.on_connect_failed(world.now),
            Event::Failed(id, _) if self.log.is(id) => {
                log::warn!("the host takes no log");
                self.on_log_lost(world);
            }
            Event::Failed(id, _) if self.entropy.is(id) => self.entropy.on_connect_failed(),
            Event::Failed(id, error) => self.session.on_connect_failed(id, error, world),
            Event::Readable(id) if self.bridge.is(id) => self.bridge.on_readable(),
            // What the host might send there means nothing; entropy is read in every step.
            Event::Readable(id) if self.log.is(id) || self.entropy.is(id) => {}
            Event::Writable(id) if self.bridge.is(id) => self.bridge.on_writable(),
            Event::Writable(id) if self.log.is(id) => self.log.on_writable(),
            Event::Readable(id) | Event::Writable(id) => self.session.on_stream_ready(id),
            Event::PeerClosedReceive(id) | Event::Reset(id) | Event::Closed { id, .. }
                if self.bridge.is(id) =>
            {
                self.bridge.on_lost(&mut self.outgoing, world);
            }
            Event::PeerClosedReceive(id) | Event::Reset(id) if self.log.is(id) => {
                self.on_log_lost(world);
            }
            // Its end is found by reading.
            Event::PeerClosedReceive(id) | Event::Reset(id) if self.entropy.is(id) => {}
            Event::PeerClosedReceive(id) | Event::Reset(id) => {
                self.session.on_stream_closed(id, world);
            }
            Event::Closed { id, flushed } => {
                if !flushed {
                    log::debug!("connection {} closed before everything was taken", id.index);
                }
            }
        }
    }

    fn on_log_lost<V: Vsock, K: Kernel>(&mut self, world: &mut World<'_, V, K>) {
        let again = matches!(self.setup, Setup::Known(config, _) if config.log_redial);
        self.log.on_lost(again, world.now, world.vsock);
    }

    fn take_kernel_events<V: Vsock, K: Kernel>(&mut self, world: &mut World<'_, V, K>) -> bool {
        use kernel::Event;
        for taken in 0..STEP_QUOTA {
            let Some(event) = world.kernel.next_event() else {
                return taken > 0;
            };
            match event {
                Event::Loaded(pid, outcome) => self.session.on_loaded(pid, outcome, world),
                Event::OutputReady(pid) => self.session.on_output_ready(pid),
                Event::InputReady(pid) => self.session.on_input_ready(pid),
                Event::Exited(pid, status) => self.session.on_exited(pid, status, world),
                Event::Changed(change, outcome) => self.session.on_changed(change, outcome),
                Event::OutOfMemory(kill) => self.session.on_out_of_memory(&kill),
                Event::Dial(channel, port, patience) => {
                    self.channels.on_dial(channel, (port, patience), world);
                }
                Event::ChannelReady(channel) => self.channels.on_ready(channel),
            }
        }
        true
    }

    /// Decodes requests while any answer has room, and carries them out.
    fn take_requests<V: Vsock, K: Kernel>(&mut self, world: &mut World<'_, V, K>) -> bool {
        for taken in 0..STEP_QUOTA {
            if !self.outgoing.takes_any() || self.session.power_off().is_some() {
                return taken > 0;
            }
            let Some((arrival, body)) = self.bridge.read(&mut self.outgoing, world) else {
                return taken > 0;
            };
            match arrival {
                Arrival::Frame(header, length) => {
                    let Some(body) = body.get_mut(..length) else {
                        return true;
                    };
                    take_request(header, body, &mut self.outgoing, &mut self.session, world);
                    self.session.on_request(header.sequence);
                    if header.message == MessageType::NEGOTIATE_PROTOCOL {
                        return true;
                    }
                }
                Arrival::Oversized(header) => {
                    let failure = Failure::from(Cause::Oversized {
                        frame_bytes: header.size,
                        limit_bytes: body.len(),
                    });
                    let tag = Tag {
                        message: header.message,
                        sequence: header.sequence,
                        activity: ActivityId::default(),
                    };
                    self.outgoing.answer(&tag, Err(&failure));
                    self.session.on_request(header.sequence);
                }
            }
        }
        true
    }

    /// Ends the machine when the host has asked for it and everything has left.
    fn power_off<V: Vsock, K: Kernel>(
        &mut self,
        earliest: &mut Earliest,
        world: &mut World<'_, V, K>,
    ) {
        let Some(deadline) = self.session.power_off() else {
            return;
        };
        earliest.note(deadline);
        if self.outgoing.is_empty() || !self.bridge.is_up() {
            self.bridge.close(deadline, world);
        }
        if self.bridge.is_closed() || world.now >= deadline {
            world.kernel.power_off();
        }
    }

    /// Returns whether the host has negotiated. The step in which it does takes no request after that one: an owner that
    /// kept something back until then can still bring it.
    #[must_use]
    pub const fn is_negotiated(&self) -> bool {
        self.outgoing.is_negotiated()
    }

    /// Returns whether [`Agent::log`] would keep a line: the host takes a log, or may still turn out to.
    #[must_use]
    pub const fn can_log(&self) -> bool {
        self.log.takes_lines()
    }

    /// Returns whether the host takes the log now.
    #[must_use]
    pub const fn has_log(&self) -> bool {
        self.log.is_up()
    }

    /// Queues one line for the host's log and sends what the connection takes. Never waits; a line that does not fit is
    /// counted, and the count is reported when there is room again.
    pub fn log<V: Vsock>(
        &mut self,
        now: Instant,
        vsock: &mut V,
        level: log::Level,
        message: fmt::Arguments<'_>,
    ) {
        let epoch = match self.setup {
            Setup::Known(_, epoch) => epoch,
            Setup::Pending => None,
        };
        let time = epoch.map(|epoch| epoch + now.since(Instant::ZERO));
        self.log.line(level, time, message);
        self.log.write(vsock);
    }

    /// Sends what is left of the log. Returns whether the host has been given all of it, or takes none: for an owner that is
    /// about to end.
    pub fn finish_log<V: Vsock>(&mut self, vsock: &mut V) -> bool {
        self.log.finish(vsock)
    }
}

impl Default for Agent {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads one request, and has it carried out or refused.
fn take_request<V: Vsock, K: Kernel>(
    header: Header,
    body: &mut [u8],
    outgoing: &mut Outgoing,
    session: &mut Session,
    world: &mut World<'_, V, K>,
) {
    let checked = json::check(body);
    let tag = Tag {
        message: header.message,
        sequence: header.sequence,
        activity: match checked {
            Ok(()) => ActivityId::peek(body),
            Err(_) => ActivityId::default(),
        },
    };
    log::debug!(
        "seq={} {}, {} bytes",
        tag.sequence.0,
        tag.message,
        header.size
    );
    let request = match (header.message, outgoing.is_negotiated()) {
        (MessageType::NEGOTIATE_PROTOCOL, true) => Err(Cause::NegotiatedTwice.into()),
        (message, false) if message != MessageType::NEGOTIATE_PROTOCOL => {
            Err(Cause::NotNegotiated(message).into())
        }
        (message, _) => Request::parse(message, body, checked),
    };
    match request {
        Ok(request) => session.dispatch(&tag, request, outgoing, world),
        Err(failure) => outgoing.answer(&tag, Err(&failure)),
    }
}
