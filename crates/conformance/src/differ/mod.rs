//! The same seeded conversation with two servers' JetStream, answer by answer.
//!
//! Steps follow from a seed and from what both servers have said alike; whatever differs by nature
//! (times, random ids) is taken out (`plain`), and what is left must be equal. Where it is not,
//! the difference is kept with what led to it, the stream it concerns is deleted on both sides,
//! and the conversation goes on.
//!
//! Not here: conversations written by hand (`script`).
//! Laws: one step at a time, sent to both and answered by both before the next; a question that
//!       changes nothing is asked again before its answers count as different, because the
//!       reference does some of its work after it has answered.

mod config;
mod generate;
mod plain;
mod random;
mod side;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use testkit::{ServerBuilder, golden};

pub use generate::Flavour;
use generate::{Generator, Step};
use side::Side;

/// What is compared, and for how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server that is right.
    pub peer: PathBuf,
    /// The server that is examined.
    pub ours: PathBuf,
    /// The whole conversation follows from it.
    pub seed: u64,
    /// How many steps.
    pub steps: usize,
    /// After how many differences it is enough.
    pub most: usize,
    /// What the steps are about.
    pub flavour: Flavour,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Steps that were taken.
    pub steps: usize,
    /// Answers that were compared.
    pub answers: usize,
    /// Each difference, ready to be read.
    pub differences: Vec<String>,
}

const CONFIG: &str = r#"
server_name: differ
jetstream { store_dir: "{dir}/js", max_mem: 64MB, max_file: 256MB }
"#;

/// How long work after an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Steps of one stream that are shown with a difference.
const SHOWN: usize = 25;

/// Runs one conversation.
pub fn run(options: &Options) -> Report {
    let start = |binary: &PathBuf| ServerBuilder::of(binary).config(CONFIG).start();
    let (mut peer, mut ours) = (Side::new(start(&options.peer)), Side::new(start(&options.ours)));
    let mut generator = Generator::new(options.seed, options.flavour);
    let mut report = Report::default();
    let mut history: Vec<String> = Vec::new();
    while report.steps < options.steps && report.differences.len() < options.most {
        let step = generator.next(peer.acks());
        report.steps += 1;
        history.push(step.to_string());
        let asked = Instant::now();
        let (theirs, mine) = loop {
            peer.send(&step);
            ours.send(&step);
            let (theirs, mine) = (peer.answer(&step), ours.answer(&step));
            report.answers += 1;
            if theirs == mine || !step.is_question() || asked.elapsed() > PATIENCE {
                break (theirs, mine);
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        generator.learn(&step, &theirs);
        let difference = golden::difference(&theirs, &mine)
            .filter(|_| !is_on_purpose(&step, &theirs, &mine))
            .or_else(|| (report.steps % 50 == 0).then(|| aside(&mut peer, &mut ours)).flatten());
        if let Some(difference) = difference {
            let stream = step.stream().to_owned();
            let led: Vec<&String> =
                history.iter().filter(|s| stream.is_empty() || s.contains(&stream)).collect();
            let led = &led[led.len().saturating_sub(SHOWN)..];
            let led: Vec<&str> = led.iter().map(|s| s.as_str()).collect();
            report.differences.push(format!(
                "seed {} step {} (- peer, + ours)\n{}\n{difference}\n  peer: {}\n  ours: {}\n",
                options.seed,
                report.steps,
                led.join("\n"),
                theirs.replace('\n', " "),
                mine.replace('\n', " "),
            ));
            for step in generator.forget(&stream) {
                peer.send(&step);
                ours.send(&step);
                let _ = (peer.answer(&step), ours.answer(&step));
            }
            peer.forget();
            ours.forget();
            history.clear();
        }
    }
    report
}

/// Differences that docs/differences.md names.
fn is_on_purpose(step: &Step, theirs: &str, mine: &str) -> bool {
    // The reference says nothing at all to a reset of a consumer that is not there.
    step.to_string().contains(".CONSUMER.RESET.")
        && theirs == "(nothing)"
        && mine.contains("\"error\"")
}

/// What came without being asked for, compared once both had time to say it.
fn aside(peer: &mut Side, ours: &mut Side) -> Option<String> {
    let asked = Instant::now();
    loop {
        let (theirs, mine) = (peer.aside(), ours.aside());
        if theirs == mine || asked.elapsed() > PATIENCE {
            peer.forget_aside();
            ours.forget_aside();
            return golden::difference(&theirs, &mine).map(|d| format!("unasked:\n{d}"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
