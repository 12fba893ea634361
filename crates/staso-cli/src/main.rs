//! The one binary `staso`.
fn main() {}
