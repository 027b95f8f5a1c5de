//! `ironats-fuzz [TARGET] [--seconds N] [--seed S] [--keep]`: mutates corpora for a while.
//!
//! Without a target every one gets its turn. The seed is printed; with the same seed, corpus and
//! number of runs a session does the same. Inputs with new shapes are written to the corpus only
//! with `--keep`; an input that breaks its target is always written, to `fuzz/broken/`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fuzz::{Shape, Target, driver, targets};

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
    let result = driver::session(
        target,
        seed,
        |runs| runs % 64 == 0 && Instant::now() >= end,
        |input| {
            if keep {
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
            println!("  {:?}", String::from_utf8_lossy(&broken.input));
            false
        }
    }
}

fn write(dir: &Path, input: &[u8]) -> std::path::PathBuf {
    let name = format!("{:016x}", Shape::of(&format!("{input:?}")).0 ^ input.len() as u64);
    let path = dir.join(name);
    if let Err(e) = fs::create_dir_all(dir).and_then(|()| fs::write(&path, input)) {
        eprintln!("{}: {e}", path.display());
    }
    path
}
