//! The same seeded life of an operator's house with two servers: accounts that change, users that
//! come and go and talk, and what everybody hears of it.
//!
//! Steps follow from a seed. After each, all connections of both servers are read until they have
//! heard alike, or the time for that is over; what differs by nature is taken out (`plain`).
//!
//! Not here: conversations written by hand (`script`), JetStream's (`differ`).
//! Laws: one step at a time, and both servers have settled before the next; tokens are written
//!       here (`world`), the same ones for both.

mod meant;
mod people;
mod plain;
pub mod scene;
mod side;
mod step;
mod world;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use testkit::ServerBuilder;

use crate::random::Random;
use side::Side;
use step::Step;
use world::World;

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
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Steps that were compared.
    pub steps: usize,
    /// Logins that were let in.
    pub entered: usize,
    /// Logins that were turned away.
    pub refused: usize,
    /// The first difference, ready to be read.
    pub difference: Option<String>,
}

/// How long the two may take to have heard alike.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Steps that are shown with a difference.
const SHOWN: usize = 14;

/// Runs one conversation.
pub fn run(options: &Options) -> Report {
    let mut r = Random::new(options.seed);
    let mut world = World::new(&mut r, unix_now());
    let config = config(&mut r, &mut world);
    let start = |binary: &PathBuf| ServerBuilder::of(binary).config(&config).start();
    let mut peer = Side::new(start(&options.peer), &world);
    let mut ours = Side::new(start(&options.ours), &world);
    let mut report = Report::default();
    let mut history: Vec<String> = Vec::new();
    let mut serial = 10;
    while report.steps < options.steps {
        serial += 1;
        let step = step::next(&mut r, &mut world, serial);
        if let Step::Say { slot, .. } = step
            && !peer.is_live(slot)
        {
            continue;
        }
        report.steps += 1;
        history.push(shown(&step, &world));
        let (theirs, mine) = take(&step, &world, &mut peer, &mut ours);
        if let Step::Enter { slot, .. } = step {
            let counted =
                if peer.is_live(slot) { &mut report.entered } else { &mut report.refused };
            *counted += 1;
        }
        let (theirs, mine) = meant::without(&theirs, &mine);
        let Some(difference) = difference(&theirs, &mine) else { continue };
        if meant::is_full(&theirs, &mine) {
            break;
        }
        let led = history[history.len().saturating_sub(SHOWN)..].join("\n");
        let tail = |log: String| {
            let lines: Vec<&str> = log.lines().collect();
            lines[lines.len().saturating_sub(3)..].join("\n    ")
        };
        report.difference = Some(format!(
            "seed {} step {} (- peer, + ours)\n{led}\n{difference}\n  peer's log:\n    {}\n  ours:\n    {}\n",
            options.seed,
            report.steps,
            world.readable(&tail(peer.log())),
            world.readable(&tail(ours.log())),
        ));
        // From here on they are no longer alike.
        break;
    }
    report
}

fn unix_now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or_default()
}

/// The lines that only one of them has; all of them if only their order differs.
fn difference(theirs: &str, mine: &str) -> Option<String> {
    if theirs == mine {
        return None;
    }
    let only = |sign: &str, of: &str, other: &str| -> Vec<String> {
        let missing = of.lines().filter(|line| !other.lines().any(|own| own == *line));
        missing.map(|line| format!("  {sign} {line}")).collect()
    };
    let lines = [only("-", theirs, mine), only("+", mine, theirs)].concat();
    if lines.is_empty() {
        return Some(format!("in another order:\n{theirs}\n  and ours:\n{mine}"));
    }
    Some(lines.join("\n"))
}

fn config(r: &mut Random, world: &mut World) -> String {
    let kind = r.below(3);
    world.keeps = kind > 0;
    let resolver = match kind {
        0 => "resolver: MEMORY",
        1 => "resolver { type: full, dir: \"{dir}/jwt\", allow_delete: true }",
        _ => "resolver { type: full, dir: \"{dir}/jwt\" }",
    };
    let mut config = format!(
        "server_name: house\noperator: {}\n{resolver}\nresolver_preload {{\n",
        world.operator_token()
    );
    // The reference asks others for an account that is not there, and waits for them.
    let some = if r.one_in(6) { 3 } else { 4 };
    for (at, account) in world.accounts.iter().enumerate().take(some) {
        config.push_str(&format!(
            "  {}: {}\n",
            account.id(),
            world.account_token(at, world.now - 1000)
        ));
    }
    config.push_str("}\n");
    if r.one_in(3) {
        config.push_str("jetstream { store_dir: \"{dir}/js\", max_mem: 64MB, max_file: 64MB }\n");
    }
    config
}

fn shown(step: &Step, world: &World) -> String {
    let mut text = world.readable(&step.to_string());
    if let Step::Enter { user, .. } = step {
        let user = &world.users[*user];
        text.push_str(&format!("\n    {}", world.readable(&user.label)));
    }
    text
}

/// Takes a step on both sides, and tells what was heard.
fn take(step: &Step, world: &World, peer: &mut Side, ours: &mut Side) -> (String, String) {
    let mut both = [peer, ours];
    for side in &mut both {
        side.begin();
        match step {
            Step::Enter { slot, user, signature, more } => {
                side.enter(world, *slot, *user, *signature, more);
            }
            Step::Leave { slot } => side.leave(*slot),
            Step::Say { slot, bytes } => side.say(*slot, bytes),
            Step::Ask { subject, body, .. } => side.ask(subject, body, world),
        }
    }
    let began = Instant::now();
    loop {
        let [theirs, mine] = both.each_mut().map(|side| {
            side.look(world);
            side.heard(world)
        });
        if theirs == mine || began.elapsed() > PATIENCE {
            return (theirs, mine);
        }
        std::thread::sleep(Duration::from_millis(20));
        if let Step::Ask { subject, body, changes: false, .. } = step {
            for side in &mut both {
                side.ask(subject, body, world);
            }
        }
    }
}
