//! `ironats-abuse`: hostile crowds and long churn, from the command line.
//!
//! Not here: the runs themselves (`crowd`, `churn`); their short slices run in `cargo test`.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use abuse::crowd::{self, Manner};
use abuse::{churn, crash, memory, stuck};
use testkit::{ServerBuilder, binary};

const USAGE: &str = "\
usage: cargo run --release -p ironats-abuse -- churn [options]
       cargo run --release -p ironats-abuse -- crowd [options]
       cargo run --release -p ironats-abuse -- crash [options]
       cargo run --release -p ironats-abuse -- stuck [options]

churn: connects, subscriptions, publishers, slow readers, kills; exact counts after every round,
       no growth, no message lost to a healthy subscriber
  --seconds N        length (default 600)
  --rounds N         rounds it is divided into (default: one per 30 s, at least 3)
  --churners N       threads that churn (default 4)
  --seed N           what they do follows from it (default: the clock)

crowd: sockets that never log in, and what each costs
  --sockets N        how many (default 10000)

crash: kills the server under JetStream load and looks at what is left, again and again
  --rounds N         how often (default 100)
  --seconds N        the longest life between two kills (default 1)
  --seed N           when it is killed follows from it (default: the clock)

stuck: treats consumers of all kinds badly, then well; each must come to its end
  --seconds N        how long badly (default 60)
  --seed N           what is done follows from it (default: the clock)

all:
  --peer             against NATS_PEER instead of ours

Our binary is NATS_SERVER_BIN, or nats-server in the target directory of this program.
";

struct Options {
    command: String,
    seconds: Option<u64>,
    rounds: Option<u32>,
    churners: u64,
    seed: u64,
    sockets: usize,
    peer: bool,
}

fn parse() -> Result<Options, lexopt::Error> {
    use lexopt::prelude::*;
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
    let mut o = Options {
        command: String::new(),
        seconds: None,
        rounds: None,
        churners: 4,
        seed: clock,
        sockets: 10_000,
        peer: false,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("seconds") => o.seconds = Some(parser.value()?.parse()?),
            Long("rounds") => o.rounds = Some(parser.value()?.parse()?),
            Long("churners") => o.churners = parser.value()?.parse()?,
            Long("seed") => o.seed = parser.value()?.parse()?,
            Long("sockets") => o.sockets = parser.value()?.parse()?,
            Long("peer") => o.peer = true,
            Value(command) if o.command.is_empty() => o.command = command.string()?,
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(o)
}

fn main() -> ExitCode {
    let options = match parse() {
        Ok(options) => options,
        Err(e) => {
            eprintln!("{e}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let binary = if options.peer {
        let Some(path) = binary::peer_or_notice("abuse of the reference") else {
            return ExitCode::FAILURE;
        };
        path
    } else {
        binary::ours()
    };
    let limit = memory::raise_file_limit();
    match options.command.as_str() {
        "churn" => churn(&options, binary),
        "crowd" => crowd(&options, &binary, limit),
        "crash" => crash(&options, binary),
        "stuck" => stuck(&options, binary),
        _ => {
            eprint!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn churn(options: &Options, binary: std::path::PathBuf) -> ExitCode {
    let seconds = options.seconds.unwrap_or(600);
    println!("churn: {seconds} s, seed {}", options.seed);
    let rounds = options.rounds.unwrap_or((seconds / 30).max(3) as u32);
    let report = churn::run(&churn::Options {
        binary,
        length: Duration::from_secs(seconds),
        rounds,
        churners: options.churners,
        seed: options.seed,
        progress: true,
    });
    println!(
        "all held: {} connects; {} messages published by honest peers, {} received and checked, \
         none lost; worst {:?}; {} slow consumers cut off",
        report.connects, report.published, report.received, report.worst, report.slow_consumers
    );
    ExitCode::SUCCESS
}

fn crowd(options: &Options, binary: &std::path::Path, limit: u64) -> ExitCode {
    let sockets = options.sockets.min(usize::try_from(limit).unwrap_or(usize::MAX) - 100);
    let mut good = true;
    for manner in [Manner::Silent, Manner::AlmostConnect, Manner::HalfHandshake] {
        let server = crowd::server(ServerBuilder::of(binary), manner);
        let cost = crowd::gather(&server, manner, sockets);
        let mib = cost.rss.map(|bytes| format!("{:.1}", bytes as f64 / f64::from(1 << 20)));
        println!(
            "{manner:?}: {} sockets, {} bytes each; rss before, with and after them: {} MiB; \
             bystander: {} messages, worst {:?}",
            cost.sockets,
            cost.bytes_each,
            mib.join(", "),
            cost.bystander.messages,
            cost.bystander.worst
        );
        good &= cost.bytes_each <= crowd::BOUND;
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn crash(options: &Options, binary: std::path::PathBuf) -> ExitCode {
    println!("crash: seed {}", options.seed);
    let report = crash::run(&crash::Options {
        binary,
        rounds: options.rounds.unwrap_or(100),
        life: Duration::from_secs(options.seconds.unwrap_or(1)),
        seed: options.seed,
        progress: true,
    });
    println!(
        "all held: {} publishes acknowledged and kept, {} unknown; {} deliveries; {} acks confirmed, \
         {} of them delivered again; slowest start {:?}",
        report.acked,
        report.unknown,
        report.delivered,
        report.confirmed,
        report.repeated,
        report.slowest
    );
    ExitCode::SUCCESS
}

fn stuck(options: &Options, binary: std::path::PathBuf) -> ExitCode {
    println!("stuck: seed {}", options.seed);
    let length = Duration::from_secs(options.seconds.unwrap_or(60));
    let report = stuck::run(&stuck::Options { binary, length, seed: options.seed });
    println!(
        "{} consumers, {} messages published, {} deliveries; the slowest consumer took {:?}; {} stuck",
        report.consumers,
        report.published,
        report.delivered,
        report.slowest,
        report.stuck.len()
    );
    report.stuck.iter().for_each(|text| println!("{text}"));
    if report.stuck.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
