//! What time makes of a connection.

use super::{Connection, LONGEST_QUESTION, Owed, Reaction, State};
use crate::clock::Instant;
use crate::virtio::vsock::repeat::Repeat;
use crate::vsock::ConnectError;

impl Connection {
    /// Returns when `on_time` is to be called.
    pub(crate) fn timer(&self) -> Instant {
        match &self.state {
            State::Dialling {
                redial, deadline, ..
            } => redial.at().min(*deadline),
            State::Open => self.answer_time().min(self.question.at()),
            State::Draining { deadline } => {
                self.answer_time().min(self.question.at()).min(*deadline)
            }
            State::Lingering { deadline } => *deadline,
            State::Free | State::Offered | State::Accepting | State::Over { .. } | State::Ended => {
                Instant::NEVER
            }
        }
    }

    /// Does what is due.
    pub(crate) fn on_time(&mut self, now: Instant) -> Reaction {
        match &self.state {
            State::Dialling { deadline, .. } if now >= *deadline => {
                self.fail(ConnectError::TimedOut);
                return Reaction::Reset;
            }
            State::Dialling { redial, .. } if redial.is_due(now) => return Reaction::Redial,
            State::Draining { deadline } if now >= *deadline => return self.finish(false, now),
            State::Lingering { deadline } if now >= *deadline => {
                self.leave();
                return Reaction::Reset;
            }
            _ => {}
        }
        if now >= self.answer_time() {
            self.answer_waits = false;
            self.answer = self.answer.later(now, LONGEST_QUESTION);
            self.owed |= Owed::CREDIT_UPDATE;
        }
        if self.question.is_due(now) {
            if self.needs_credit() {
                self.owed |= Owed::CREDIT_REQUEST;
                self.question = self.question.later(now, LONGEST_QUESTION);
            } else {
                self.question = Repeat::OFF;
            }
        }
        Reaction::None
    }
}
