//! `cargo xtask sim`: the simulator's slice, optimised.
//!
//! Not here: the simulator (`crates/sim`), whose other commands are
//! `cargo run --release -p ironats-sim -- run|replay|minimise|...`.

use std::process::Command;

use crate::tree;

/// Passes its arguments on.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(tree::root())
        .args(["run", "--quiet", "--release", "--package", "ironats-sim", "--", "slice"])
        .args(args)
        .status()
        .map_err(|e| e.to_string())?;
    let broke = "sim: an invariant broke; `sim replay SEED` shows how";
    if status.success() { Ok(()) } else { Err(broke.to_owned()) }
}
