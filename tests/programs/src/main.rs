//! User programs.
fn main() {}
