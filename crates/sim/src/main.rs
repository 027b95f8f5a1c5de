//! The simulator from the command line.
//!
//! ```text
//! sim run [--from N] [--seeds N] [--seconds N] [--keep-going]   seeds from N on, or fresh ones
//! sim slice [--seconds N]        stories, planted bugs, seeds that once failed, fresh seeds
//! sim replay SEED [--bug NAME]   one seed, with a trace (the last SIM_LINES lines of it)
//! sim minimise SEED [--bug NAME] the smallest plan under which the seed still fails
//! sim meta [--seeds N]           a seed always takes the same steps
//! sim bugs [NAME]                every planted bug is found
//! sim regress [FILE]             seeds that once failed, one per line
//! sim stories                    scenarios told by hand
//! sim fleet [--from N] [--seeds N] several groups on the same servers
//! ```

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use raft::Bug;
use sim::options::{BadOption, Kind, Options, bug, seed};
use sim::planted::BUGS;
use sim::run::{run_seed, silence_panics};
use sim::scenario::STORIES;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    command(&words).unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::from(2)
    })
}

/// Carries out a command; an error if it was not understood.
fn command(words: &[&str]) -> Result<ExitCode, BadOption> {
    const RUN: &[(&str, Kind)] = &[
        ("--from", Kind::Number),
        ("--seeds", Kind::Number),
        ("--seconds", Kind::Number),
        ("--keep-going", Kind::Flag),
    ];
    const FLEET: &[(&str, Kind)] = &[("--from", Kind::Number), ("--seeds", Kind::Number)];
    const BUG: &[(&str, Kind)] = &[("--bug", Kind::Bug)];
    let read = Options::read;
    Ok(match words {
        ["run", rest @ ..] => run(&read(rest, RUN)?),
        ["slice", rest @ ..] => slice(&read(rest, &[("--seconds", Kind::Number)])?),
        ["minimise", word, rest @ ..] => minimise(seed(word)?, read(rest, BUG)?.bug),
        ["replay", word, rest @ ..] => replay(seed(word)?, read(rest, BUG)?.bug),
        ["meta", rest @ ..] => {
            meta(read(rest, &[("--seeds", Kind::Number)])?.number("--seeds").unwrap_or(200))
        }
        ["bugs"] => bugs(None),
        ["bugs", name] => bugs(Some(bug(name)?)),
        ["regress"] => regress(REGRESSIONS),
        ["regress", file] => match std::fs::read_to_string(file) {
            Ok(text) => regress(&text),
            Err(error) => {
                eprintln!("cannot read {file}: {error}");
                ExitCode::from(2)
            }
        },
        ["stories"] => stories(),
        ["fleet", rest @ ..] => {
            let options = read(rest, FLEET)?;
            let from = options.number("--from").unwrap_or(0);
            fleet(from, options.number("--seeds").unwrap_or(200))
        }
        _ => {
            eprintln!("usage: sim run|slice|replay|minimise|meta|bugs|regress|stories|fleet");
            ExitCode::from(2)
        }
    })
}

/// Seeds that once failed.
const REGRESSIONS: &str = include_str!("../testdata/regressions.txt");

fn run(options: &Options) -> ExitCode {
    silence_panics();
    let seconds = options.number("--seconds").map(Duration::from_secs);
    let most = if seconds.is_some() { u64::MAX } else { 1000 };
    let count = options.number("--seeds").unwrap_or(most);
    fresh(options.number("--from"), count, seconds, options.has("--keep-going"))
}

/// Runs seeds from `from` on, or from where nobody has been.
fn fresh(from: Option<u64>, count: u64, seconds: Option<Duration>, keep_going: bool) -> ExitCode {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let unseen = (clock.as_nanos() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1;
    let from = from.unwrap_or(unseen);
    let start = Instant::now();
    let mut reported = Instant::now();
    let (mut done, mut steps, mut elections, mut commits, mut completions) = (0u64, 0, 0, 0, 0);
    let mut failed = Vec::new();
    while done < count && seconds.is_none_or(|limit| start.elapsed() < limit) {
        let seed = from.wrapping_add(done);
        match run_seed(seed, None, false).0 {
            Ok(outcome) => {
                steps += outcome.steps;
                elections += outcome.elections;
                commits += outcome.commits;
                completions += outcome.completions;
            }
            Err(violation) => {
                println!("seed {seed}: {}: {}", violation.rule, violation.detail);
                failed.push(seed);
                if !keep_going {
                    show(seed, None);
                    break;
                }
            }
        }
        done += 1;
        if reported.elapsed() > Duration::from_secs(60) {
            reported = Instant::now();
            println!("{done} seeds, {} failed, {:.0?}", failed.len(), start.elapsed());
        }
    }
    let elapsed = start.elapsed();
    println!(
        "{done} seeds from {from} in {:.1} s ({:.0} per second): {} failed; {steps} steps, {elections} elections, {commits} commits, {completions} client operations",
        elapsed.as_secs_f64(),
        done as f64 / elapsed.as_secs_f64(),
        failed.len(),
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What a merge has to pass: everything that is fixed, then fresh seeds for the rest of the time. The
/// base is printed, so that `run --from` repeats them.
fn slice(options: &Options) -> ExitCode {
    silence_panics();
    let start = Instant::now();
    let seconds = options.number("--seconds").unwrap_or(60);
    let meta = meta(50);
    let fixed = [stories(), fleet(0, 100), bugs(None), regress(REGRESSIONS), meta];
    let left = seconds.saturating_sub(start.elapsed().as_secs()).max(5);
    let fresh = fresh(None, u64::MAX, Some(Duration::from_secs(left)), true);
    let bad = fixed.into_iter().chain([fresh]).filter(|code| *code != ExitCode::SUCCESS).count();
    if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn minimise(seed: u64, bug: Option<Bug>) -> ExitCode {
    silence_panics();
    let Some(smaller) = sim::minimise::minimise(seed, bug) else {
        println!("seed {seed} holds: there is nothing to make smaller");
        return ExitCode::FAILURE;
    };
    for line in &smaller.trace {
        println!("{line}");
    }
    println!("{:#?}", smaller.plan);
    println!(
        "{} of {} steps: {}: {}",
        smaller.steps, smaller.steps_before, smaller.violation.rule, smaller.violation.detail
    );
    ExitCode::SUCCESS
}

/// Runs a seed again with a trace and prints its end.
fn show(seed: u64, bug: Option<Bug>) {
    let lines = std::env::var("SIM_LINES").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let (result, trace) = run_seed(seed, bug, true);
    let skipped = trace.len().saturating_sub(lines);
    for line in trace.iter().skip(skipped) {
        println!("{line}");
    }
    match result {
        Ok(outcome) => println!("seed {seed} holds: {outcome:?}"),
        Err(violation) => println!(
            "seed {seed} at {}: {}: {}\nreplay: sim replay {seed}",
            env!("CARGO_PKG_VERSION"),
            violation.rule,
            violation.detail
        ),
    }
}

fn replay(seed: u64, bug: Option<Bug>) -> ExitCode {
    silence_panics();
    show(seed, bug);
    if run_seed(seed, bug, false).0.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The same seed twice takes the same steps, with and without a trace.
fn meta(seeds: u64) -> ExitCode {
    silence_panics();
    for seed in 0..seeds {
        let (first, trace) = run_seed(seed, None, true);
        let (second, again) = run_seed(seed, None, true);
        let (third, _) = run_seed(seed, None, false);
        if first != second || second != third || trace != again {
            println!("seed {seed} is not deterministic: {first:?} {second:?} {third:?}");
            return ExitCode::FAILURE;
        }
    }
    println!("{seeds} seeds took the same steps three times");
    ExitCode::SUCCESS
}

/// Plants every bug (or one) and counts the seeds until it is found.
fn bugs(only: Option<Bug>) -> ExitCode {
    silence_panics();
    let mut missed = 0;
    for &(name, bug, limit) in BUGS {
        if only.is_some_and(|only| only != bug) {
            continue;
        }
        let start = Instant::now();
        let found =
            (0..limit).find_map(|seed| Some((seed, run_seed(seed, Some(bug), false).0.err()?)));
        match found {
            Some((seed, violation)) => println!(
                "{name:26} found by seed {seed:5} (limit {limit}) in {:6.1?}: {}: {}",
                start.elapsed(),
                violation.rule,
                violation.detail
            ),
            None => {
                missed += 1;
                println!("{name:26} MISSED in {limit} seeds, {:.1?}", start.elapsed());
            }
        }
    }
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs every seed of a list; lines are a seed and why it is there.
fn regress(text: &str) -> ExitCode {
    silence_panics();
    let seeds = text.lines().filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let (mut count, mut failed) = (0, 0);
    for seed in seeds {
        count += 1;
        if let Err(violation) = run_seed(seed, None, false).0 {
            failed += 1;
            println!("seed {seed}: {}: {}", violation.rule, violation.detail);
        }
    }
    println!("{count} seeds that once failed: {failed} fail");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs seeds of several groups on the same servers.
fn fleet(from: u64, seeds: u64) -> ExitCode {
    silence_panics();
    let (mut failed, mut strayed) = (0, 0);
    for seed in from..from.saturating_add(seeds) {
        match std::panic::catch_unwind(|| sim::fleet::run(seed, None)) {
            Ok(Ok(astray)) => strayed += astray,
            Ok(Err(violation)) => {
                failed += 1;
                println!("fleet {seed}: {}: {}", violation.rule, violation.detail);
            }
            Err(_) => {
                failed += 1;
                println!("fleet {seed}: an assertion of the core failed");
            }
        }
    }
    println!("{seeds} fleets from {from}: {failed} failed, {strayed} messages went astray");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Tells every story.
fn stories() -> ExitCode {
    let mut failed = 0;
    for (name, story) in STORIES {
        match story(None) {
            Ok(()) => println!("{name} ends well"),
            Err(violation) => {
                failed += 1;
                println!("{name}: {}: {}", violation.rule, violation.detail);
            }
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
