//! `nats-server`: parse flags, run, exit code.

fn main() {}
