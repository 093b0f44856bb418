//! How does a machine become ours?
fn main() {}
