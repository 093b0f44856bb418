//! What goes out on the bridge: responses and notifications, whole frames in order.

use crate::failure::{Cause, Failure};
use crate::frame::Sequence;
use crate::limits::{MAX_FRAME_BYTES, SMALL_RESPONSE_BYTES};
use crate::message::MessageType;
use crate::message::guid::Activity;
use crate::message::response::{self, Answer, ExitNotification, Response};
use crate::outbox::{Full, Outbox};

/// What must be remembered of a request to answer it, now or later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag {
    pub(crate) message: MessageType,
    pub(crate) sequence: Sequence,
    pub(crate) activity: Activity,
}

/// The way out.
pub(crate) struct Outgoing {
    outbox: Outbox,
    buffer: Option<&'static mut [u8]>,
    /// Whether this connection has agreed on a version. Nothing but answers to what it asks itself may leave before.
    negotiated: bool,
}

impl Outgoing {
    pub(crate) const fn new() -> Self {
        Self {
            outbox: Outbox::new(),
            buffer: None,
            negotiated: false,
        }
    }

    pub(crate) fn begin(&mut self, buffer: &'static mut [u8]) {
        self.buffer = Some(buffer);
    }

    /// Keeps what is owed to the host of a connection that is gone: what it has not taken of what it was to be told since it
    /// negotiated. It leaves when the session goes on, behind the answer that says so.
    pub(crate) fn on_connection_lost(&mut self) {
        let Some(buffer) = self.buffer.as_deref_mut() else {
            return;
        };
        if core::mem::take(&mut self.negotiated) {
            let dropped = self.outbox.keep(buffer);
            if dropped > 0 {
                log::warn!("{dropped} long answers were lost with the bridge");
            }
        }
        self.outbox.clear();
    }

    /// Forgets what an earlier host was owed.
    pub(crate) const fn on_new_host(&mut self) {
        self.outbox.forget_kept();
    }

    pub(crate) const fn on_negotiated(&mut self) {
        self.negotiated = true;
    }

    pub(crate) const fn is_negotiated(&self) -> bool {
        self.negotiated
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Returns whether any response fits, so that a request may be decoded. Until a version is agreed on, all are small.
    pub(crate) fn takes_any(&self) -> bool {
        self.has_room(if self.negotiated {
            MAX_FRAME_BYTES
        } else {
            SMALL_RESPONSE_BYTES
        })
    }

    /// Returns whether a deferred answer or a notification may leave.
    pub(crate) fn takes_deferred(&self) -> bool {
        self.negotiated && self.has_room(SMALL_RESPONSE_BYTES)
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.buffer
            .as_deref()
            .is_some_and(|buffer| self.outbox.has_room(buffer, bytes))
    }

    /// Queues the answer to a request. One of the two questions above was asked before.
    pub(crate) fn answer(&mut self, tag: &Tag, outcome: Result<Answer<'_>, &Failure>) {
        if let Err(failure) = outcome {
            log::warn!(
                "seq={} {} refused: {}",
                tag.sequence.0,
                tag.message,
                failure.cause
            );
        }
        let response = Response {
            activity: tag.activity,
            outcome,
        };
        if self.push(tag, &response).is_err() {
            // Only DumpStacks and GetProperties have no bound below a frame.
            let failure = Failure::from(Cause::Limit("MAX_FRAME_BYTES", MAX_FRAME_BYTES));
            let refusal = Response {
                activity: tag.activity,
                outcome: Err(&failure),
            };
            if self.push(tag, &refusal).is_err() {
                log::error!("seq={} {}: no room to answer", tag.sequence.0, tag.message);
            }
        }
    }

    /// Queues the notification that a container has ended.
    pub(crate) fn notify(&mut self, notification: &ExitNotification<'_>) {
        let Some(buffer) = self.buffer.as_deref_mut() else {
            return;
        };
        let queued = self
            .outbox
            .push(buffer, MessageType::NOTIFICATION, Sequence(0), |room| {
                response::write(notification, room)
            });
        if queued.is_err() {
            log::error!("no room for an exit notification");
        }
    }

    fn push(&mut self, tag: &Tag, response: &Response<'_>) -> Result<(), Full> {
        let buffer = self.buffer.as_deref_mut().ok_or(Full)?;
        self.outbox
            .push(buffer, tag.message.response(), tag.sequence, |room| {
                response::write(response, room)
            })
    }

    /// Returns what is to leave next.
    pub(crate) fn pending(&self) -> &[u8] {
        self.buffer
            .as_deref()
            .map_or(&[], |buffer| self.outbox.pending(buffer))
    }

    /// Takes note that `count` bytes have left.
    pub(crate) fn advance(&mut self, count: usize) {
        if let Some(buffer) = self.buffer.as_deref() {
            self.outbox.advance(buffer, count);
        }
        if self.negotiated {
            self.outbox.release();
        }
    }
}
