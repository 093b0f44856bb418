//! What is fed.

/// One decoder, or one party of a conversation, under hostile input.
pub struct Target {
    /// What it is called on the command line.
    pub name: &'static str,
    /// One line on what it feeds.
    pub about: &'static str,
    /// Good examples to begin with.
    pub corpus: fn() -> Vec<Vec<u8>>,
    /// Words of the format.
    pub words: &'static [&'static [u8]],
    /// The longest input that makes sense.
    pub max_bytes: usize,
    /// Must return, whatever the bytes.
    pub run: fn(&[u8]),
}

/// All targets, in the order in which they run.
pub const TARGETS: &[Target] = &[];

/// The target of that name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
