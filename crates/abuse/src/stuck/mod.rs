//! No consumer may get stuck: consumers of all kinds, treated badly for a while, then well; in the
//! end each must have delivered what its policy owes, and its info must say that nothing is left.
//!
//! Not here: a server that is killed (`crash`).
//! Laws: what is done follows from the seed, as far as the server's timing allows; a consumer is
//!       judged by its own info, and by what came to its client.

mod cast;
mod player;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use testkit::ServerBuilder;

use cast::Cast;
use player::Player;

/// How long, and against what.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server.
    pub binary: PathBuf,
    /// How long consumers are treated badly.
    pub length: Duration,
    /// What is done follows from it.
    pub seed: u64,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Consumers there were.
    pub consumers: usize,
    /// Messages published.
    pub published: u64,
    /// Deliveries, first ones and others.
    pub delivered: u64,
    /// How long the slowest consumer took until nothing was left.
    pub slowest: Duration,
    /// What did not come to its end, with the last info.
    pub stuck: Vec<String>,
}

/// How long a consumer that is treated well may take. The longest wait that a policy asks for is
/// some seconds.
const PATIENCE: Duration = Duration::from_secs(60);

const CONFIG: &str = r#"
jetstream { store_dir: "{dir}/js", max_mem: 256MB, max_file: 1GB }
"#;

/// Runs it.
pub fn run(options: &Options) -> Report {
    let server = ServerBuilder::of(&options.binary).config(CONFIG).start();
    let mut player = Player::new(&server, Cast::new(), options.seed);
    player.stage();
    let end = Instant::now() + options.length;
    while Instant::now() < end {
        player.misbehave(&server);
    }
    let begun = Instant::now();
    player.make_up();
    let mut left = player.consumers();
    let mut slowest = Duration::ZERO;
    while !left.is_empty() && begun.elapsed() < PATIENCE {
        left.retain(|&at| {
            let done = player.is_done(at);
            if done {
                slowest = slowest.max(begun.elapsed());
            }
            !done
        });
        player.serve(&left);
    }
    let mut stuck: Vec<String> = left.into_iter().map(|at| player.describe(at)).collect();
    stuck.extend(player.owed());
    Report {
        consumers: player.consumers().len(),
        published: player.published(),
        delivered: player.delivered(),
        slowest,
        stuck,
    }
}
