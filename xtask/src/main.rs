//! Repository tasks: `cargo xtask ledger`, `tidy`, `fuzz`, `loom`, `sim`.
//!
//! Not here: anything the product needs; this crate depends on nothing, so it builds in a moment.

mod fuzz;
mod ledger;
mod loom;
mod rust_text;
mod sim;
mod tidy;
mod tree;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <task>

  ledger [--rows] [--write]          contract rows by area: shown, deferred, open
  ledger --check [--results FILE]... fail on claims that do not hold (FILE: output of cargo test)
  tidy                               house rules that are not clippy's
  fuzz [TARGET] [--seconds N] [--seed S] [--keep]
                                     mutate the corpora of fuzz/corpus against their targets
  loom [NAME]                        models of what threads share, under every order they can meet in
  sim [--seconds N]                  consensus: stories, planted bugs, seeds that once failed, fresh ones
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rest = args.get(1..).unwrap_or_default();
    let result = match args.first().map(String::as_str) {
        Some("ledger") => ledger::run(rest),
        Some("tidy") => tidy::run(rest),
        Some("fuzz") => fuzz::run(rest),
        Some("loom") => loom::run(rest),
        Some("sim") => sim::run(rest),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
