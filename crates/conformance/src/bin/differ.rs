//! `differ`: seeded JetStream conversations with ours and with `NATS_PEER`, compared.

use std::path::PathBuf;
use std::process::ExitCode;

use conformance::differ::{self, Flavour};

const USAGE: &str = "\
usage: differ [--seed N] [--seeds N] [--steps N] [--most N] [--only streams|consumers]

Our binary is NATS_SERVER_BIN, or nats-server in the target directory of this program; the other
one is NATS_PEER, which has to be a 2.14.
";

fn main() -> ExitCode {
    let Some(peer) = testkit::binary::peer_of_version("2.14", "differ") else {
        return ExitCode::FAILURE;
    };
    let Some(mut options) = parse(peer) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let (first, seeds) = (options.0.seed, options.1);
    let mut found = 0;
    for seed in first..first + seeds {
        options.0.seed = seed;
        let report = differ::run(&options.0);
        for text in &report.differences {
            println!("{text}");
        }
        found += report.differences.len();
        println!(
            "seed {seed}: {} steps, {} answers, {} differences",
            report.steps,
            report.answers,
            report.differences.len()
        );
    }
    if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(peer: PathBuf) -> Option<(differ::Options, u64)> {
    let mut options = differ::Options {
        peer,
        ours: testkit::binary::ours(),
        seed: 1,
        steps: 3000,
        most: 10,
        flavour: Flavour::All,
    };
    let mut seeds = 1;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next()?;
        match arg.as_str() {
            "--seed" => options.seed = value.parse().ok()?,
            "--seeds" => seeds = value.parse().ok()?,
            "--steps" => options.steps = value.parse().ok()?,
            "--most" => options.most = value.parse().ok()?,
            "--only" if value == "streams" => options.flavour = Flavour::Streams,
            "--only" if value == "consumers" => options.flavour = Flavour::Consumers,
            _ => return None,
        }
    }
    Some((options, seeds))
}
