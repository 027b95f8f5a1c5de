//! Killing a server under JetStream load, again and again, over one store directory.
//!
//! A run has rounds. In each, publishers with pipelined acks fill three kinds of streams, pull
//! consumers take from two of them and acknowledge, and after a random moment the process is
//! killed (`SIGKILL`). The next round starts the server over what is left and looks at it before
//! the load goes on. After the last round nothing is killed until the consumers have everything.
//!
//! Laws: a message whose ack was read is there after the kill, with its bytes and at its sequence,
//!       until a consumer acknowledged it or a later one replaced it; nothing is stored, delivered
//!       or counted that was never published; a consumer gets everything in the end; `healthz` is
//!       good after every start.
//! Not here: losing power, where the disk forgets what it was told (`store`'s tests).

mod book;
mod check;
mod work;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::server::Signal;
use testkit::{Client, DEADLINE, Server, ServerBuilder};

use crate::random::Random;
use book::{Book, Kind};

/// How often and how fast.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server to run against.
    pub binary: PathBuf,
    /// How often it is killed.
    pub rounds: u32,
    /// The longest that it lives in a round.
    pub life: Duration,
    /// When it is killed, and what is sent, follow from it.
    pub seed: u64,
    /// Whether to print a line per round.
    pub progress: bool,
}

/// What is known after a run in which everything held.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Publishes whose ack was read.
    pub acked: u64,
    /// Publishes of which nobody knows, for the kill came first.
    pub unknown: u64,
    /// Deliveries, repeated ones included.
    pub delivered: u64,
    /// Acknowledgements that were confirmed.
    pub confirmed: u64,
    /// Deliveries after a confirmed acknowledgement: what a kill took back.
    pub repeated: u64,
    /// The longest start.
    pub slowest: Duration,
}

/// Runs all rounds; panics with what was seen at the first thing that is wrong.
pub fn run(options: &Options) -> Report {
    let dir = testkit::tempdir().unwrap();
    let mut random = Random::new(options.seed);
    let books: Vec<Arc<Book>> = Kind::ALL.iter().map(|kind| Arc::new(Book::new(*kind))).collect();
    let mut report = Report::default();
    for round in 0..=options.rounds {
        let last = round == options.rounds;
        let started = Instant::now();
        let server = start(options, dir.path().to_str().unwrap());
        report.slowest = report.slowest.max(started.elapsed());
        let mut client = server.client();
        if round == 0 {
            books.iter().for_each(|book| create(&mut client, book.kind));
        }
        assert_eq!(server.get("/healthz").status, 200, "healthz in round {round}");
        for book in &books {
            check::after_start(&mut client, book, last);
        }
        let life = options.life.as_millis() as u64;
        let life = Duration::from_millis(20 + random.below(life));
        live(server, &books, life, last, &mut random);
        if options.progress {
            let counts: Vec<String> = books.iter().map(|b| b.summary()).collect();
            println!("round {round}: lived {life:?}; {}", counts.join("; "));
        }
    }
    for book in &books {
        book.add_to(&mut report);
    }
    report
}

fn start(options: &Options, dir: &str) -> Server {
    let config = format!("jetstream {{ store_dir: \"{dir}\" }}");
    ServerBuilder::of(&options.binary).monitoring().config(&config).start()
}

/// Load until the kill; in the last round, until the consumers have everything.
fn live(
    mut server: Server,
    books: &[Arc<Book>],
    life: Duration,
    last: bool,
    random: &mut Random,
) {
    let stop = Arc::new(AtomicBool::new(false));
    let addr = server.addr();
    let mut threads = Vec::new();
    for book in books {
        let kind = book.kind;
        if !last {
            let (book, stop, seed) = (book.clone(), stop.clone(), random.below(u64::MAX));
            threads.push(std::thread::spawn(move || work::publish(addr, &book, seed, &stop)));
        }
        if kind.is_consumed() {
            let (book, stop, seed) = (book.clone(), stop.clone(), random.below(u64::MAX));
            threads.push(std::thread::spawn(move || work::consume(addr, &book, seed, &stop)));
        }
    }
    if last {
        let mut client = server.client();
        for book in books.iter().filter(|b| b.kind.is_consumed()) {
            check::catches_up(&mut client, book);
        }
    } else {
        std::thread::sleep(life);
        server.signal(Signal::KILL);
        server.wait_exit(DEADLINE);
    }
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
}

fn create(client: &mut Client, kind: Kind) {
    let name = kind.name();
    let mut config = json!({
        "name": name, "subjects": [format!("{}.>", kind.prefix())], "storage": "file",
        "retention": "limits", "num_replicas": 1, "allow_direct": true,
    });
    match kind {
        Kind::Limits => {}
        Kind::Queue => config["retention"] = "workqueue".into(),
        Kind::Values => config["max_msgs_per_subject"] = 1.into(),
    }
    let made = ask(client, &format!("$JS.API.STREAM.CREATE.{name}"), &config.to_string());
    assert!(made["error"].is_null(), "{made}");
    if kind.is_consumed() {
        let config = json!({"stream_name": name, "config": {
            "durable_name": "c", "ack_policy": "explicit", "ack_wait": 2_000_000_000u64,
            "max_ack_pending": 2000,
        }});
        let subject = format!("$JS.API.CONSUMER.CREATE.{name}.c");
        let made = ask(client, &subject, &config.to_string());
        assert!(made["error"].is_null(), "{made}");
    }
}

/// One request, one answer.
fn ask(client: &mut Client, subject: &str, body: &str) -> Value {
    client.send(format!("SUB ask.answer 9\r\nPUB {subject} ask.answer {}\r\n{body}\r\n", body.len()));
    let answer = client.msg();
    client.send("UNSUB 9\r\n");
    serde_json::from_slice(&answer.payload)
        .unwrap_or_else(|_| panic!("{subject}: {}{}", answer.header_text(), answer.text()))
}
