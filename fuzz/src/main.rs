//! `ironats-fuzz [TARGET] [--seconds N] [--seed S] [--keep]`: mutates corpora for a while.
//!
//! Without a target every one gets its turn. The seed is printed; with the same seed, corpus and
//! number of runs a session does the same. Inputs with new shapes are written to the corpus only
//! with `--keep`, and only a few hundred short ones; an input that breaks its target is always
//! written, to `fuzz/broken/`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fuzz::{Target, driver, targets};

/// Inputs a session adds to a corpus at most: every test run replays them all.
const KEEP_MOST: usize = 200;
/// Longer ones say little that shorter ones do not.
const KEEP_UP_TO: usize = 1024;
/// So much of an input that broke something is printed.
const SHOWN: usize = 400;

fn main() -> ExitCode {
    let (mut chosen, mut seconds, mut seed, mut keep) = (Vec::new(), 10, None, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|n| n.parse::<u64>().ok());
        match arg.as_str() {
            "--seconds" => seconds = number().unwrap_or(seconds),
            "--seed" => seed = number(),
            "--keep" => keep = true,
            name => match targets::find(name) {
                Some(target) => chosen.push(target),
                None => {
                    let names: Vec<&str> = targets::ALL.iter().map(|t| t.name).collect();
                    eprintln!("no target {name:?}; there are: {}", names.join(", "));
                    return ExitCode::from(2);
                }
            },
        }
    }
    if chosen.is_empty() {
        chosen = targets::ALL.iter().collect();
    }
    let seed = seed.unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64)
    });
    let good = chosen.iter().filter(|t| one(t, seed, Duration::from_secs(seconds), keep)).count();
    if good == chosen.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(target: &Target, seed: u64, length: Duration, keep: bool) -> bool {
    println!("{}: seed {seed}, {} s", target.name, length.as_secs());
    let end = Instant::now() + length;
    let dir = driver::corpus_dir(target);
    let mut kept = 0;
    let result = driver::session(
        target,
        seed,
        |runs| runs % 64 == 0 && Instant::now() >= end,
        |input| {
            if keep && kept < KEEP_MOST && input.len() <= KEEP_UP_TO {
                kept += 1;
                write(&dir, input);
            }
        },
    );
    match result {
        Ok(s) => {
            println!("  {} runs, corpus {}, new shapes {}", s.runs, s.corpus, s.found);
            true
        }
        Err(broken) => {
            let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("broken").join(target.name);
            let path = write(&dir, &broken.input);
            println!("  BROKEN: {}: {}", broken.how, path.display());
            let start = broken.input.get(..SHOWN).unwrap_or(&broken.input);
            println!("  {:?}", String::from_utf8_lossy(start));
            false
        }
    }
}

fn write(dir: &Path, input: &[u8]) -> std::path::PathBuf {
    // FNV-1a of every byte: two inputs never share a file, whatever they have in common.
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| {
        (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)
    });
    let name = format!("{hash:016x}");
    let path = dir.join(name);
    if let Err(e) = fs::create_dir_all(dir).and_then(|()| fs::write(&path, input)) {
        eprintln!("{}: {e}", path.display());
    }
    path
}
