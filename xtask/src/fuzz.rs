//! `cargo xtask fuzz`: the fuzz driver, optimised and with every check on.
//!
//! Not here: the targets and the driver (`fuzz/`).

use std::process::Command;

use crate::tree;

/// Passes its arguments on.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(tree::root())
        .args(["run", "--quiet", "--profile", "fuzz", "--package", "ironats-fuzz", "--"])
        .args(args)
        .status()
        .map_err(|e| e.to_string())?;
    if status.success() { Ok(()) } else { Err("fuzz: a target broke or did not start".to_owned()) }
}
