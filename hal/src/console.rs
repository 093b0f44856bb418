//! The serial console: where the log goes before there is a host to talk to, and where last words go.

/// A byte sink that takes everything it is given, in bounded time.
pub trait Console {
    /// Writes `bytes`. What an absent or stuck device does not take within a bounded number of polls is dropped.
    fn write(&mut self, bytes: &[u8]);
}
