//! Connections between programs and the host (vsock(7)), as the agent carries them.

use core::num::NonZeroU64;

/// Names a program's connection with the host, from the call that asked for it until [`Kernel::end_channel`].
///
/// [`Kernel::end_channel`]: super::Kernel::end_channel
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelId(pub NonZeroU64);

/// Why a channel is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Both sides have ended it, and everything was carried.
    Closed,
    /// It was cut off: something may be lost.
    Reset,
    /// The host refused it.
    Refused,
    /// Nobody answered.
    TimedOut,
    /// There is no place for another connection.
    Full,
}
