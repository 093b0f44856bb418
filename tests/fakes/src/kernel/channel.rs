//! A program's connection with the host: its end in the test's hands.

use super::FakeKernel;
use agent::kernel::{ChannelId, Event, Over};
use core::num::NonZeroU64;
use core::time::Duration;
use hal::vsock::{Address, Direction, Port};
use std::collections::VecDeque;

/// The program's end of a channel.
#[derive(Debug)]
pub struct Channel {
    /// Where it is connected, once it is.
    pub local: Option<Address>,
    /// The host's port, of one that was admitted.
    pub from: Option<Port>,
    /// What was sent and not taken.
    pub sent: VecDeque<u8>,
    /// What came and was not read.
    pub received: VecDeque<u8>,
    /// How much the program's socket holds.
    pub room: usize,
    /// Whether the program sends, and receives.
    pub sends: bool,
    /// See `sends`.
    pub receives: bool,
    /// What the host has ended, in order.
    pub hung_up: Vec<Direction>,
    /// How it ended.
    pub over: Option<Over>,
    pub(super) wants_room: bool,
}

impl FakeKernel {
    /// A program wants to be connected; returns its channel's number.
    pub fn dial(&mut self, port: u32, patience: Duration) -> usize {
        let number = self.open_channel(None);
        let id = id_of(number);
        self.events.push_back(Event::Dial(id, Port(port), patience));
        number
    }

    /// The program sends.
    pub fn send(&mut self, channel: usize, bytes: &[u8]) {
        assert!(self.channels[channel].sends, "it has not ended that");
        self.channels[channel].sent.extend(bytes);
        self.events.push_back(Event::ChannelReady(id_of(channel)));
    }

    /// The program reads everything that has come.
    pub fn receive(&mut self, channel: usize) -> Vec<u8> {
        let end = &mut self.channels[channel];
        let bytes = end.received.drain(..).collect();
        if core::mem::take(&mut end.wants_room) {
            self.events.push_back(Event::ChannelReady(id_of(channel)));
        }
        bytes
    }

    /// The program ends a direction, or both.
    pub fn let_go(&mut self, channel: usize, directions: &[Direction]) {
        for direction in directions {
            match direction {
                Direction::Send => self.channels[channel].sends = false,
                Direction::Receive => self.channels[channel].receives = false,
            }
        }
        self.events.push_back(Event::ChannelReady(id_of(channel)));
    }

    pub(super) fn open_channel(&mut self, from: Option<Port>) -> usize {
        self.channels.push(Channel {
            local: None,
            from,
            sent: VecDeque::new(),
            received: VecDeque::new(),
            room: 64 * 1024,
            sends: true,
            receives: true,
            hung_up: Vec::with_capacity(2),
            over: None,
            wants_room: false,
        });
        self.channels.len() - 1
    }

    /// Returns a channel that is not over.
    pub(super) fn channel(&mut self, id: ChannelId) -> &mut Channel {
        let channel = &mut self.channels[id.0.get() as usize - 1];
        assert_eq!(channel.over, None, "nobody speaks of what is over");
        channel
    }
}

/// Returns the name of a channel.
pub(super) fn id_of(number: usize) -> ChannelId {
    ChannelId(NonZeroU64::new(number as u64 + 1).expect("not 0"))
}
