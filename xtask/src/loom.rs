//! `cargo xtask loom`: the models of `crates/model`, with loom's atomics and locks in the product's
//! code, in a target directory of their own.

use std::path::PathBuf;
use std::process::Command;

use crate::tree;

/// Passes its arguments on to the test program.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or(tree::root().join("target"), PathBuf::from);
    let status = Command::new(cargo)
        .current_dir(tree::root())
        .env("RUSTFLAGS", "--cfg ironats_loom")
        .env("CARGO_TARGET_DIR", target.join("loom"))
        .args(["test", "--profile", "fuzz", "--package", "ironats-model", "--lib", "--"])
        .args(args)
        .status()
        .map_err(|e| e.to_string())?;
    let broke = "loom: threads can meet in an order that breaks a law";
    if status.success() { Ok(()) } else { Err(broke.to_owned()) }
}
