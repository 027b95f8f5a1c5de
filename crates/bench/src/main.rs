//! `ironats-bench`: ours and the reference in turn, on the same scenarios, with a cheap load.
//!
//! Not here: the scenarios and their goals (`scenario`), the load itself (`flow`, `request`,
//! `hold`, `stream`, `client`), what is read from the system (`measure`), the tables (`report`).
//! Laws: servers run interleaved (ours, peer, ours, peer, ...) so that drift of the machine hits
//!       both; every figure shown is a median over the rounds; every run starts a fresh server.

#![expect(clippy::unwrap_used, reason = "a load generator that cannot go on should say so and end")]

mod client;
mod conn;
mod flow;
mod hold;
mod measure;
mod report;
mod request;
mod scenario;
mod stream;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use report::Report;
use scenario::Scenario;

const USAGE: &str = "\
usage: cargo run --release -p ironats-bench -- [options]

  --list             name the scenarios and their goals
  --only A,B         run only scenarios whose name contains one of these
  --rounds N         rounds per scenario (default 3; figures are medians)
  --seconds S        length of one throughput run (default 1.0)
  --server WHICH     ours, peer or both (default both; peer needs NATS_PEER)
  --conf TEXT        configuration lines for both servers
  --json FILE        also write every run as one JSON line
  --strict           exit 1 if a goal is missed

Our binary is NATS_SERVER_BIN, or nats-server in the target directory of this program.
";

struct Options {
    list: bool,
    only: Vec<String>,
    rounds: usize,
    seconds: f64,
    ours: bool,
    peer: bool,
    conf: String,
    json: Option<PathBuf>,
    strict: bool,
}

fn parse() -> Result<Options, lexopt::Error> {
    use lexopt::prelude::*;
    let mut o = Options {
        list: false,
        only: Vec::new(),
        rounds: 3,
        seconds: 1.0,
        ours: true,
        peer: true,
        conf: String::new(),
        json: None,
        strict: false,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("list") => o.list = true,
            Long("only") => {
                o.only = parser.value()?.string()?.split(',').map(str::to_owned).collect();
            }
            Long("rounds") => o.rounds = parser.value()?.parse()?,
            Long("seconds") => o.seconds = parser.value()?.parse()?,
            Long("server") => match parser.value()?.string()?.as_str() {
                "ours" => o.peer = false,
                "peer" => o.ours = false,
                "both" => {}
                other => return Err(format!("--server takes ours, peer or both: {other}").into()),
            },
            Long("conf") => o.conf = parser.value()?.string()?,
            Long("json") => o.json = Some(parser.value()?.into()),
            Long("strict") => o.strict = true,
            Short('h') | Long("help") => {
                print!("{USAGE}");
                std::process::exit(0);
            }
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(o)
}

fn main() -> ExitCode {
    let options = match parse() {
        Ok(o) => o,
        Err(e) => {
            eprintln!("{e}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let wanted = |s: &Scenario| {
        options.only.is_empty() || options.only.iter().any(|o| s.name.contains(o.as_str()))
    };
    let scenarios: Vec<Scenario> = scenario::all().into_iter().filter(wanted).collect();
    if options.list {
        scenarios.iter().for_each(|s| println!("{s}"));
        return ExitCode::SUCCESS;
    }
    measure::raise_file_limit();
    let mut servers = Vec::new();
    if options.ours {
        servers.push(("ours", testkit::binary::ours()));
    }
    if options.peer
        && let Some(path) = testkit::binary::peer_or_notice("comparison with the reference")
    {
        servers.push(("peer", path));
    }
    let length = Duration::from_secs_f64(options.seconds);
    let mut report = Report::new(options.json.as_deref());
    for scenario in &scenarios {
        for round in 0..options.rounds {
            for (name, path) in &servers {
                report.progress(&scenario.name, round, name);
                let result = scenario.run(path, &options.conf, length);
                report.add(scenario, name, round, result);
            }
        }
        report.print(scenario);
    }
    let missed = report.close();
    if options.strict && missed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
