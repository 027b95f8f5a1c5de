//! Repository tasks: `cargo xtask ledger`, `tidy`, `conform`, `bench`.

fn main() {}
