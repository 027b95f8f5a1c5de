//! Runs a target on its corpus and on mutations of it.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::mutate::{Random, mutate};
use crate::{Shape, Target};

/// A run of one input must not take more of the processor's time than this; a machine that is busy
/// with others proves nothing.
pub const HANG: Duration = Duration::from_secs(2);

/// Inputs held in memory to mutate; further ones take the place of earlier ones.
pub const POOL: usize = 4096;

/// What a session did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Session {
    /// Inputs run.
    pub runs: u64,
    /// Inputs in the corpus at the start.
    pub corpus: usize,
    /// Inputs with a shape not seen before.
    pub found: usize,
}

/// An input that broke a target.
#[derive(Debug)]
pub struct Broken {
    /// The smallest input found that still breaks it.
    pub input: Vec<u8>,
    /// `panicked` or `took ...`.
    pub how: String,
}

/// The folder of a target's corpus.
pub fn corpus_dir(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

/// The committed inputs of a target, in a stable order.
pub fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(corpus_dir(target)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    paths.iter().filter_map(|p| fs::read(p).ok()).collect()
}

/// Runs the corpus, then mutations until `until` says stop; new shapes go to `keep`.
pub fn session(
    target: &Target,
    seed: u64,
    mut until: impl FnMut(u64) -> bool,
    mut keep: impl FnMut(&[u8]),
) -> Result<Session, Broken> {
    let mut random = Random::new(seed);
    let mut pool = corpus(target);
    let mut shapes = BTreeSet::new();
    let mut session = Session { corpus: pool.len(), ..Session::default() };
    if pool.is_empty() {
        pool.push(Vec::new());
    }
    for input in &pool {
        shapes.insert(one(target, input)?);
        session.runs += 1;
    }
    while !until(session.runs) {
        let mut input = pool[random.below(pool.len())].clone();
        let other = pool[random.below(pool.len())].clone();
        mutate(&mut random, &mut input, &other, target.words);
        session.runs += 1;
        if shapes.insert(one(target, &input)?) {
            session.found += 1;
            keep(&input);
            if pool.len() < POOL {
                pool.push(input);
            } else {
                let at = random.below(POOL);
                pool[at] = input;
            }
        }
    }
    Ok(session)
}

fn one(target: &Target, input: &[u8]) -> Result<Shape, Broken> {
    match attempt(target, input) {
        Ok(shape) => Ok(shape),
        Err(how) => {
            // The first panic has been told; the many of the search for a smaller one need not.
            let hook = panic::take_hook();
            panic::set_hook(Box::new(|_| {}));
            let input = smaller(target, input);
            panic::set_hook(hook);
            Err(Broken { input, how })
        }
    }
}

fn attempt(target: &Target, input: &[u8]) -> Result<Shape, String> {
    let start = thread_time();
    let shape = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let took = thread_time().saturating_sub(start);
    match shape {
        Err(_) => Err("panicked".to_owned()),
        Ok(_) if took > HANG => Err(format!("took {took:?}")),
        Ok(shape) => Ok(shape),
    }
}

/// Processor time of this thread so far.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Takes bytes away as long as the target still breaks.
fn smaller(target: &Target, input: &[u8]) -> Vec<u8> {
    let mut best = input.to_vec();
    let mut cut = best.len() / 2;
    while cut > 0 {
        let mut at = 0;
        while at < best.len() {
            let mut candidate = best.clone();
            candidate.drain(at..(at + cut).min(candidate.len()));
            if attempt(target, &candidate).is_err() {
                best = candidate;
            } else {
                at += cut;
            }
        }
        cut /= 2;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAGILE: Target = Target {
        name: "no such folder",
        words: &["boom"],
        run: |bytes| {
            assert!(!bytes.windows(4).any(|w| w == b"boom"), "found it");
            Shape::count(bytes.len())
        },
    };

    #[test]
    fn a_panic_is_found_and_made_small() {
        let broken = session(&FRAGILE, 1, |runs| runs > 100_000, |_| {}).unwrap_err();
        assert_eq!((broken.input.as_slice(), broken.how.as_str()), (&b"boom"[..], "panicked"));
    }
}
