//! Coming and going for a long time: connects, subscriptions, publishers, slow readers, kills.
//!
//! A run has rounds. In each, churners do what they like; at its end they let everything go, and
//! the server must count again what it counted before the first. All the while honest publishers
//! number their messages and honest subscribers must get each of them.
//!
//! Laws: the server's counts after each round are those of the honest peers alone; memory after the
//!       last round is not above that after the first ones, but for a margin.

mod churner;
mod honest;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::certs::Authority;
use testkit::{Server, ServerBuilder, eventually};

use crate::bystander::Bystander;
use crate::memory;
use churner::Churner;
use honest::Honest;

/// How long and how hard.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server to run against.
    pub binary: PathBuf,
    /// Length of the whole run.
    pub length: Duration,
    /// Rounds it is divided into; at least 2.
    pub rounds: u32,
    /// Threads that churn.
    pub churners: u64,
    /// What their choices follow from.
    pub seed: u64,
    /// Whether to print a line per round.
    pub progress: bool,
}

/// What is known after a run in which everything held.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Connections opened, honest ones included.
    pub connects: u64,
    /// Messages that honest publishers sent.
    pub published: u64,
    /// Messages that honest subscribers got, each checked.
    pub received: u64,
    /// Slow consumers that the server cut off.
    pub slow_consumers: u64,
    /// Resident bytes after each round.
    pub rss: Vec<u64>,
    /// The longest an honest message took from one socket to the other.
    pub worst: Duration,
}

const CONFIG: &str = r#"
max_pending: 8MB
max_closed_clients: 500
write_deadline: "10s"
tls { cert_file: "{dir}/server.pem", key_file: "{dir}/server-key.pem", timeout: 2 }
allow_non_tls: true
accounts {
  ONE {
    users: [ { user: one, password: pw } ]
    exports: [ { stream: "live.>" }, { service: "svc.>" } ]
  }
  TWO {
    users: [ { user: two, password: pw } ]
    imports: [
      { stream: { account: ONE, subject: "live.>" }, prefix: one }
      { service: { account: ONE, subject: "svc.>" } }
    ]
  }
}
"#;

/// What all threads of a run share.
pub(crate) struct Shared {
    addr: std::net::SocketAddr,
    authority: Authority,
    /// Churners let everything go and wait.
    pause: AtomicBool,
    stop: AtomicBool,
    connects: AtomicU64,
}

/// Runs; panics if anything does not hold.
pub fn run(options: &Options) -> Report {
    let authority = Authority::new("churn");
    let server = ServerBuilder::of(&options.binary)
        .monitoring()
        .with_certs(&authority)
        .config(CONFIG)
        .start();
    let shared = Arc::new(Shared {
        addr: server.addr(),
        authority,
        pause: AtomicBool::new(false),
        stop: AtomicBool::new(false),
        connects: AtomicU64::new(0),
    });
    let honest = Honest::start(&shared);
    let login = serde_json::json!({"user": "two", "pass": "pw"});
    let bystander = Bystander::start(server.addr(), &login);
    shared.connects.fetch_add(2, Ordering::Relaxed);
    let base = Counts::of(&server);
    assert_eq!(base.total, shared.connects.load(Ordering::Relaxed), "{base:?}");

    let churners: Vec<_> = (0..options.churners)
        .map(|n| Churner::start(shared.clone(), options.seed.wrapping_add(n), n))
        .collect();
    let mut report = Report::default();
    for round in 0..options.rounds.max(2) {
        std::thread::sleep(options.length / options.rounds.max(2));
        let busy = Counts::of(&server);
        let rss = quiet_round(&server, &shared, &churners, &base);
        report.rss.push(rss);
        if options.progress {
            println!(
                "round {round}: {} connections and {} subscriptions while busy, {} and {} after; \
                 {} connects; rss {:.1} MiB; {} descriptors",
                busy.open,
                busy.subscriptions,
                base.open,
                base.subscriptions,
                shared.connects.load(Ordering::Relaxed),
                rss as f64 / f64::from(1 << 20),
                memory::descriptors(server.pid()),
            );
        }
    }
    shared.stop.store(true, Ordering::Relaxed);
    churners.into_iter().for_each(Churner::join);
    report.worst = bystander.finish().worst;
    (report.published, report.received) = honest.finish();
    report.slow_consumers = server.json("/varz")["slow_consumers"].as_u64().unwrap();
    report.connects = shared.connects.load(Ordering::Relaxed);
    check_growth(&report.rss);
    report
}

/// Has the churners let go, waits for the counts of the honest alone, and lets the churners go on.
fn quiet_round(server: &Server, shared: &Shared, churners: &[Churner], base: &Counts) -> u64 {
    shared.pause.store(true, Ordering::Release);
    eventually(Duration::from_secs(60), "churners let go", || {
        churners.iter().for_each(Churner::check);
        churners.iter().all(Churner::is_resting).then_some(())
    });
    let connects = shared.connects.load(Ordering::Relaxed);
    let expected = Counts { total: connects, ..base.clone() };
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let now = Counts::of(server);
        if now == expected {
            break;
        }
        assert!(
            Instant::now() < end,
            "counts after a round: {now:?}, expected {expected:?}; {}",
            server.json("/subsz?subs=1")["subscriptions_list"]
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let rss = memory::settled(server.pid());
    shared.pause.store(false, Ordering::Release);
    rss
}

/// The first third is for warming up: pools, the ring of closed connections, allocator arenas.
fn check_growth(rss: &[u64]) {
    let (warm, rest) = rss.split_at((rss.len() / 3).max(1));
    let (warm, last) = (*warm.iter().max().unwrap(), *rest.last().unwrap());
    let bound = warm + warm / 4 + (8 << 20);
    assert!(last <= bound, "memory grows: {rss:?}");
}

/// What monitoring counts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counts {
    open: u64,
    listed: u64,
    subscriptions: u64,
    indexed: u64,
    by_account: Vec<(u64, u64)>,
    total: u64,
}

impl Counts {
    fn of(server: &Server) -> Self {
        let number = |value: &Value| value.as_u64().unwrap();
        let varz = server.json("/varz");
        let by_account = ["ONE", "TWO"].map(|name| {
            let detail = server.json(&format!("/accountz?acc={name}"));
            let detail = &detail["account_detail"];
            (number(&detail["client_connections"]), number(&detail["subscriptions"]))
        });
        Self {
            open: number(&varz["connections"]),
            listed: number(&server.json("/connz?limit=1")["total"]),
            subscriptions: number(&varz["subscriptions"]),
            indexed: number(&server.json("/subsz")["num_subscriptions"]),
            by_account: by_account.to_vec(),
            total: number(&varz["total_connections"]),
        }
    }
}
