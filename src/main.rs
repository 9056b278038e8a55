//! The `proxbox-api` binary.

fn main() {}
