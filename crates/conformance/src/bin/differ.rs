//! `differ`: seeded JetStream conversations with ours and with `NATS_PEER`, compared.

use std::path::PathBuf;
use std::process::ExitCode;

use conformance::differ::{self, Flavour};

const USAGE: &str = "\
usage: differ [--seed N] [--seeds N] [--steps N] [--most N] [--only FLAVOUR] [--shown N] [--trace yes]

Our binary is NATS_SERVER_BIN, or nats-server in the target directory of this program; the other
one is NATS_PEER, which has to be a 2.14. Flavours: all, streams, consumers, fields, priorities, batches,
origins, buckets, limits; each seed has its own if none is named.
";

fn main() -> ExitCode {
    let Some(peer) = testkit::binary::peer_of_version("2.14", "differ") else {
        return ExitCode::FAILURE;
    };
    let Some(mut options) = parse(peer) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let (first, seeds, only) = (options.0.seed, options.1, options.2);
    let mut found = 0;
    for seed in first..first + seeds {
        options.0.seed = seed;
        options.0.flavour = only.unwrap_or_else(|| Flavour::of_seed(seed));
        let mut report = differ::run(&options.0);
        let once = report.differences.len();
        if once > 0 {
            report = differ::confirm(&options.0, report);
        }
        for text in &report.differences {
            println!("{text}");
        }
        found += report.differences.len();
        println!(
            "seed {seed} {:?}: {} steps, {} answers, {} differences, {once} before they were looked for again",
            options.0.flavour,
            report.steps,
            report.answers,
            report.differences.len()
        );
    }
    if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(peer: PathBuf) -> Option<(differ::Options, u64, Option<Flavour>)> {
    let mut options = differ::Options {
        peer,
        ours: testkit::binary::ours(),
        seed: 1,
        steps: 3000,
        most: 10,
        flavour: Flavour::All,
        shown: 25,
        traced: false,
    };
    let (mut seeds, mut only) = (1, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next()?;
        match arg.as_str() {
            "--seed" => options.seed = value.parse().ok()?,
            "--seeds" => seeds = value.parse().ok()?,
            "--steps" => options.steps = value.parse().ok()?,
            "--most" => options.most = value.parse().ok()?,
            "--shown" => options.shown = value.parse().ok()?,
            "--trace" => options.traced = value == "yes",
            "--only" => only = Some(Flavour::named(&value)?),
            _ => return None,
        }
    }
    Some((options, seeds, only))
}
