//! Cost and allocations of a message that is delivered and acknowledged.
//!
//! `cargo bench -p ironats-jetstream-core` prints one line each: nanoseconds and allocations per
//! message, pull with explicit acknowledgements, without, and push, over the memory store; the
//! store's own share is the first line.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench may")]
#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use jetstream_api::subject::Ack;
use jetstream_api::{AckPolicy, ConsumerConfig, Nanos, StreamConfig};
use jetstream_core::consumer::{AckOf, Consumer, Cx};
use jetstream_core::{Facts, Out, Outgoing};
use stdx::log::Log;
use stdx::time::{Mono, Now, Timestamp};
use store::{Filter, MemStore, MessageStore, NewMessage, Settings};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MESSAGES: u64 = 200_000;
const BATCH: u64 = 100;

/// Keeps the last batch's acknowledgements, as a client does.
struct Client {
    replies: Vec<u8>,
    ends: Vec<usize>,
    got: u64,
    buffers: Vec<Vec<u8>>,
    log: Log,
}

impl Out for Client {
    fn scratch(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }
    fn give_back(&mut self, buffer: Vec<u8>) {
        self.buffers.push(buffer);
    }
    fn send(&mut self, message: Outgoing<'_>) -> bool {
        if let Some(reply) = message.reply {
            self.replies.extend_from_slice(reply);
            self.ends.push(self.replies.len());
            self.got += 1;
        }
        true
    }
    fn has_interest(&mut self, _: &[u8]) -> bool {
        true
    }
    fn random(&mut self) -> u64 {
        7
    }
    fn log(&self) -> &Log {
        &self.log
    }
}

fn store() -> MemStore {
    let mut store =
        MemStore::new(Settings { name: "S".into(), first_seq: 1, ..Settings::default() });
    let payload = [b'x'; 128];
    for i in 0..MESSAGES {
        let subject = if i % 2 == 0 { b"orders.new".as_slice() } else { b"orders.old" };
        MessageStore::append(&mut store, &NewMessage::new(subject, b"", &payload), Timestamp(1))
            .unwrap();
    }
    store
}

fn now() -> Now {
    Now { mono: Mono(1), wall: Timestamp(1_700_000_000_000_000_000) }
}

fn run(what: &str, config: ConsumerConfig, expected: u64) {
    let mut store = store();
    let stream = StreamConfig { name: "S".into(), ..StreamConfig::default() };
    let (facts, mut done) = (Facts::default(), Vec::new());
    let mut out =
        Client { replies: vec![], ends: vec![], got: 0, buffers: vec![], log: Log::discard() };
    let mut cx = Cx {
        facts: &facts,
        stream: &stream,
        store: &mut store,
        out: &mut out,
        done: &mut done,
        max_payload: 1 << 20,
        late_interest: false,
        now: now(),
    };
    let acks = config.ack_policy == AckPolicy::Explicit;
    let mut consumer = Consumer::new(config, "C", now().wall, &mut cx).unwrap();
    let (start, before) = (Instant::now(), ALLOCATIONS.load(Relaxed));
    let (mut replies, mut ends) = (Vec::new(), Vec::new());
    while cx.out.got < expected {
        if consumer.config().is_pull() {
            consumer.handle_pull(b"", b"100", b"_INBOX.abcdefghijklmnop.1", &mut cx);
        }
        consumer.deliver(usize::try_from(BATCH).unwrap(), &mut cx);
        std::mem::swap(&mut replies, &mut cx.out.replies);
        std::mem::swap(&mut ends, &mut cx.out.ends);
        if acks {
            let mut from = 0;
            for &end in &ends {
                let ack = Ack::parse(&replies[from..end]).unwrap();
                consumer.handle_ack(AckOf::from(&ack), b"", b"", &mut cx);
                from = end;
            }
        }
        replies.clear();
        ends.clear();
    }
    report(what, expected, start, before);
}

fn report(what: &str, messages: u64, start: Instant, before: u64) {
    let ns = start.elapsed().as_nanos() as f64 / messages as f64;
    let allocations = (ALLOCATIONS.load(Relaxed) - before) as f64 / messages as f64;
    println!("{what:<44} {ns:>8.0} ns  {allocations:>6.3} allocations per message");
}

fn main() {
    let mut plain = store();
    let (start, before) = (Instant::now(), ALLOCATIONS.load(Relaxed));
    for seq in 1..=MESSAGES {
        assert!(MessageStore::next(&mut plain, &Filter::All, seq).unwrap().is_some());
    }
    report("the store alone: next", MESSAGES, start, before);
    let pull = ConsumerConfig {
        durable_name: "C".into(),
        ack_policy: AckPolicy::Explicit,
        ack_wait: Nanos::from_secs(30),
        max_waiting: 512,
        max_ack_pending: 1000,
        ..ConsumerConfig::default()
    };
    let none = ConsumerConfig { ack_policy: AckPolicy::None, max_ack_pending: 0, ..pull.clone() };
    run("pull, explicit acknowledgements", pull.clone(), MESSAGES);
    run("pull, no acknowledgements", none.clone(), MESSAGES);
    run(
        "push, no acknowledgements",
        ConsumerConfig { deliver_subject: "d".into(), ..none },
        MESSAGES,
    );
    let filtered = ConsumerConfig { filter_subject: "orders.new".into(), ..pull.clone() };
    run("pull, explicit, one of two subjects", filtered, MESSAGES / 2);
    many(&pull);
}

/// One message stored, fifty idle consumers told.
fn many(pull: &ConsumerConfig) {
    let mut store = store();
    let stream = StreamConfig { name: "S".into(), ..StreamConfig::default() };
    let (facts, mut done) = (Facts::default(), Vec::new());
    let mut out =
        Client { replies: vec![], ends: vec![], got: 0, buffers: vec![], log: Log::discard() };
    let mut cx = Cx {
        facts: &facts,
        stream: &stream,
        store: &mut store,
        out: &mut out,
        done: &mut done,
        max_payload: 1 << 20,
        late_interest: false,
        now: now(),
    };
    let config = ConsumerConfig { filter_subject: "orders.*".into(), ..pull.clone() };
    let mut consumers: Vec<Consumer> =
        (0..50).map(|_| Consumer::new(config.clone(), "C", now().wall, &mut cx).unwrap()).collect();
    let (start, before) = (Instant::now(), ALLOCATIONS.load(Relaxed));
    for i in 0..10_000 {
        let seq = MESSAGES + 1 + i;
        for consumer in &mut consumers {
            consumer.handle_new(seq, seq, [b"orders.new".as_slice()]);
        }
    }
    report("50 idle consumers told of a message", 10_000, start, before);
}
