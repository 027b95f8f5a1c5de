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

mod batch;
mod bucket;
mod config;
mod fields;
mod generate;
mod origin;
mod plain;
mod priority;
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
    /// How many steps that led to a difference are shown with it.
    pub shown: usize,
    /// Each step and the answer of the server that is right go to standard error.
    pub traced: bool,
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
    /// At which step each was seen.
    pub seen_at: Vec<usize>,
}

const CONFIG: &str = r#"
server_name: differ
jetstream { store_dir: "{dir}/js", max_mem: 64MB, max_file: 256MB }
"#;

/// An account that soon has used up what it may.
const LIMITED: &str = r#"
server_name: differ
jetstream { store_dir: "{dir}/js", max_mem: 64MB, max_file: 256MB }
accounts { A {
    users: [{ user: a, password: a }]
    jetstream {
        max_mem: 3000, max_file: 5000, max_streams: 2, max_consumers: 2, max_ack_pending: 3
        max_bytes_required: false, mem_max_stream_bytes: 2000, disk_max_stream_bytes: 4000
    }
} }
no_auth_user: a
"#;

/// How long work after an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs one conversation.
pub fn run(options: &Options) -> Report {
    let config = if options.flavour == Flavour::Limits { LIMITED } else { CONFIG };
    // Who draws from others asks again after a while.
    let patience = if options.flavour == Flavour::Origins { 5 * PATIENCE } else { PATIENCE };
    let often = match options.flavour {
        _ if options.traced => 1,
        Flavour::Priorities => 10,
        _ => 50,
    };
    let start = |binary: &PathBuf| ServerBuilder::of(binary).config(config).start();
    let (mut peer, mut ours) = (Side::new(start(&options.peer)), Side::new(start(&options.ours)));
    let mut generator = Generator::new(options.seed, options.flavour);
    let mut report = Report::default();
    let mut history: Vec<String> = Vec::new();
    while report.steps < options.steps && report.differences.len() < options.most {
        let step = generator.next(peer.acks());
        let Some(own) = ours.own(&step, &peer) else { continue };
        report.steps += 1;
        history.push(step.to_string());
        let asked = Instant::now();
        let (theirs, mine) = loop {
            peer.send(&step);
            ours.send(&own);
            let (theirs, mine) = (peer.answer(&step), ours.answer(&own));
            report.answers += 1;
            if is_alike(&theirs, &mine) {
                break (theirs.clone(), theirs);
            }
            if !step.is_question() || asked.elapsed() > patience {
                break (theirs, mine);
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        if options.traced {
            eprintln!("{} {step}\n    {}", report.steps, theirs.replace('\n', " "));
        }
        generator.learn(&step, &theirs);
        let meant = is_on_purpose(&step, &theirs, &mine);
        let difference = golden::difference(&theirs, &mine)
            .or_else(|| (report.steps % often == 0).then(|| aside(&mut peer, &mut ours)).flatten());
        if let Some(difference) = difference {
            // What came unasked may be about any stream.
            let stream = if theirs == mine { String::new() } else { step.stream().to_owned() };
            if !meant {
                let led = leading(&history, &stream, options.shown);
                report.seen_at.push(report.steps);
                report.differences.push(format!(
                    "seed {} step {} {:?} (- peer, + ours)\n{led}\n{difference}\n  peer: {}\n  ours: {}\n",
                    options.seed,
                    report.steps,
                    options.flavour,
                    theirs.replace('\n', " "),
                    mine.replace('\n', " "),
                ));
            }
            // From here on they are no longer alike: both begin anew.
            for step in generator.forget(&stream) {
                peer.send(&step);
                ours.send(&step);
                let _ = (peer.answer(&step), ours.answer(&step));
            }
            peer.forget();
            ours.forget();
            history.retain(|step| !stream.is_empty() && !step.contains(&stream));
        }
    }
    report
}

/// Runs a conversation that showed differences once more, and keeps those that come again: the
/// reference does some of its work when it gets to it, and a busy machine shows that.
pub fn confirm(options: &Options, first: Report) -> Report {
    let second = run(options);
    let again = |(at, _): &(usize, String)| second.seen_at.contains(at);
    let both = first.seen_at.into_iter().zip(first.differences).filter(again);
    let (seen_at, differences) = both.unzip();
    Report { seen_at, differences, ..first }
}

/// The latest steps about a stream, and the acknowledgements among them.
fn leading(history: &[String], stream: &str, shown: usize) -> String {
    let is_about = |s: &&String| stream.is_empty() || s.contains(stream) || s.starts_with("  ack");
    let led: Vec<&str> = history.iter().filter(is_about).map(String::as_str).collect();
    led[led.len().saturating_sub(shown)..].join("\n")
}

/// Whether two answers are the same, but that the reference counts a message that fitted into no
/// request as redelivered.
fn is_alike(theirs: &str, mine: &str) -> bool {
    let redelivered = |line: &str| {
        let (_, number) = line.split_once("\"num_redelivered\": ")?;
        number.trim_end_matches(',').parse::<u64>().ok()
    };
    theirs == mine
        || theirs.lines().count() == mine.lines().count()
            && theirs.lines().zip(mine.lines()).all(|(their, my)| {
                their == my || redelivered(their).zip(redelivered(my)).is_some_and(|(t, m)| t > m)
            })
}

/// Differences that docs/differences.md names.
fn is_on_purpose(step: &Step, theirs: &str, mine: &str) -> bool {
    if theirs == mine {
        return false;
    }
    // The reference leaves a fast batch open that went backwards after a refused message, and one
    // whose message was refused for the last id.
    if let Step::Ask { suffix, .. } = step
        && suffix.ends_with("$FI")
        && (theirs == "(nothing)" && mine.contains("\"batch\"")
            || theirs.contains("10070") && mine.contains("10070")
            || mine.contains("10208") && (theirs.contains("\"gap\"") || theirs.contains("\"ack\"")))
    {
        return true;
    }
    // A small backup of the reference is over for its store before anybody takes it.
    if step.to_string().contains(".STREAM.SNAPSHOT.") && mine.contains("snapshot in progress") {
        return true;
    }
    // To the reference, a stream whose last message was deleted has no last message under `>`.
    if let Step::Ask { headers, payload, .. } = step
        && (String::from_utf8_lossy(payload).contains("\"last_by_subj\":\">\"")
            && (theirs.contains("10037") || theirs.contains("404 Message Not Found"))
            || headers.contains("Nats-Expected-Last-Subject-Sequence-Subject: >\r"))
    {
        return true;
    }
    // Where a push consumer's floor is after a rollup depends on what the reference did first.
    let is_place = |line: &str| line.contains("\"stream_seq\":");
    let but_places = |text: &str| text.lines().filter(|l| !is_place(l)).collect::<String>();
    if step.to_string().contains(".CONSUMER.INFO.")
        && theirs.contains("\"$KV.")
        && but_places(theirs) == but_places(mine)
    {
        return true;
    }
    // To the reference, a message that is deleted acknowledges all before it where one ack does.
    if step.to_string().contains(".CONSUMER.INFO.") && theirs.contains("\"ack_policy\": \"all\"") {
        return true;
    }
    if let Step::Ask { subject, payload, .. } = step
        && subject.contains(".DIRECT.GET.")
    {
        // It finds nothing in a file below a bound that lies behind the end, and does not count
        // what it sends without headers.
        let payload = String::from_utf8_lossy(payload);
        return payload.contains("up_to_seq") && theirs.contains("404 No Results")
            || payload.contains("no_hdr") && theirs.contains("204 EOB");
    }
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
            let only = |these: &[String], others: &[String]| {
                let mut left = others.to_vec();
                let mut is_extra = |m: &&String| {
                    let twin = left.iter().position(|other| other == *m);
                    twin.map(|at| left.swap_remove(at)).is_none()
                };
                these.iter().filter(|m| is_extra(m)).cloned().collect::<Vec<_>>()
            };
            let (peers, our) = (only(&theirs, &mine), only(&mine, &theirs));
            // The reference also tells of a client that is pinned by what does not fit into its request.
            let is_pin = |m: &String| m.contains(".CONSUMER.PINNED.");
            let is_meant = our.is_empty() && peers.iter().all(is_pin);
            return (!is_meant).then(|| {
                let (peers, our) = (peers.join("\n"), our.join("\n"));
                format!("unasked:\n  peer only:\n{peers}\n  ours only:\n{our}")
            });
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
