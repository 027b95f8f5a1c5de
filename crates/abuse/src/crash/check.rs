//! What must hold after a start.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Client, Frame};

use super::ask;
use super::book::{Book, Kind, SUBJECTS};

/// Messages in one direct get.
const BATCH: u64 = 500;

/// How long consumers may take for what is left after the last start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks at a stream after a start; at all of it if `whole`, else at what the last round left.
pub(super) fn after_start(client: &mut Client, book: &Book, whole: bool) {
    let name = book.kind.name();
    let info = ask(client, &format!("$JS.API.STREAM.INFO.{name}"), "");
    assert!(info["error"].is_null(), "{name}: {info}");
    let state = &info["state"];
    let last = state["last_seq"].as_u64().unwrap();
    let fresh = std::mem::take(&mut book.open().fresh);
    let promised = book.open().last_seq;
    assert!(last >= promised, "{name}: ends at {last}, but {promised} was acknowledged: {state}");
    let from = {
        let pages = book.open();
        let of_round = fresh.first().and_then(|n| pages.acked.get(n)).copied();
        if whole || book.kind != Kind::Limits { 1 } else { of_round.unwrap_or(last + 1) }
    };
    let stored = stored(client, book, from);
    match book.kind {
        Kind::Limits => limits(book, state, &stored, from),
        Kind::Queue => queue(book, state, &stored),
        Kind::Values => values(book, state, &stored),
    }
    // No later ack may tell a sequence that is taken.
    book.open().last_seq = last;
    if book.kind.is_consumed() {
        let info = ask(client, &format!("$JS.API.CONSUMER.INFO.{name}.c"), "");
        assert!(info["error"].is_null(), "{name}: {info}");
        let delivered = info["delivered"]["stream_seq"].as_u64().unwrap();
        let floor = info["ack_floor"]["stream_seq"].as_u64().unwrap();
        assert!(delivered <= last, "{name}: its consumer is ahead of {last}: {info}");
        assert!(floor <= delivered, "{name}: acknowledged before it was delivered: {info}");
    }
}

/// Everything acknowledged is where its ack said.
fn limits(book: &Book, state: &Value, stored: &HashMap<u64, u64>, from: u64) {
    let pages = book.open();
    for (n, seq) in pages.acked.iter().filter(|(_, seq)| **seq >= from) {
        assert_eq!(stored.get(n), Some(seq), "LIMITS: acknowledged {n} at {seq}: {state}");
    }
    if from == 1 {
        assert_eq!(state["messages"], stored.len(), "LIMITS: {state}");
    }
}

/// Everything acknowledged is there, or a consumer has acknowledged it.
fn queue(book: &Book, state: &Value, stored: &HashMap<u64, u64>) {
    let pages = book.open();
    for (n, seq) in pages.acked.iter().filter(|(n, _)| !pages.answered.contains(*n)) {
        assert_eq!(stored.get(n), Some(seq), "QUEUE: acknowledged {n} at {seq}: {state}");
    }
    assert_eq!(state["messages"], stored.len(), "QUEUE: {state}");
}

/// Each subject has one message, not older than the last that was acknowledged.
fn values(book: &Book, state: &Value, stored: &HashMap<u64, u64>) {
    let pages = book.open();
    let mut have: HashMap<u64, u64> = HashMap::new();
    for n in stored.keys() {
        let other = have.insert(n % SUBJECTS, *n);
        assert_eq!(other, None, "VALUES: {n} and {other:?} under one subject: {state}");
    }
    let mut last: HashMap<u64, u64> = HashMap::new();
    for n in pages.acked.keys() {
        last.insert(n % SUBJECTS, *n);
    }
    for (subject, n) in last {
        let found = have.get(&subject).copied();
        assert!(found >= Some(n), "VALUES: acknowledged {n}, found {found:?}: {state}");
    }
    assert_eq!(state["messages"], stored.len(), "VALUES: {state}");
}

/// Numbers and sequences of what a stream holds from a sequence on, each checked.
fn stored(client: &mut Client, book: &Book, from: u64) -> HashMap<u64, u64> {
    let name = book.kind.name();
    let mut stored = HashMap::new();
    let mut at = from;
    client.send("SUB got 8\r\n");
    loop {
        let body = format!("{{\"seq\":{at},\"batch\":{BATCH}}}");
        let len = body.len();
        client.send(format!("PUB $JS.API.DIRECT.GET.{name} got {len}\r\n{body}\r\n"));
        let mut got = 0;
        loop {
            let m = match client.frame() {
                Frame::Msg(m) => m,
                other => panic!("{name}: direct get: {other}"),
            };
            let header = m.header_text();
            if header.starts_with("NATS/1.0 204") || header.starts_with("NATS/1.0 404") {
                break;
            }
            let field = |key: &str| {
                let line = header.lines().find_map(|l| l.strip_prefix(key));
                line.unwrap_or_else(|| panic!("{name}: {header}")).trim().to_owned()
            };
            let seq: u64 = field("Nats-Sequence:").parse().unwrap();
            let n = book.number(&field("Nats-Subject:"), &m.text());
            assert!(seq >= at, "{name}: {seq} after {at}");
            let twice = stored.insert(n, seq);
            assert_eq!(twice, None, "{name}: {n} is stored at {seq} too");
            at = seq + 1;
            got += 1;
        }
        if got < BATCH {
            client.send("UNSUB 8\r\n");
            return stored;
        }
    }
}

/// Waits until a consumer has everything.
pub(super) fn catches_up(client: &mut Client, book: &Book) {
    let name = book.kind.name();
    let end = Instant::now() + PATIENCE;
    loop {
        let info = ask(client, &format!("$JS.API.CONSUMER.INFO.{name}.c"), "");
        if info["num_pending"] == 0 && info["num_ack_pending"] == 0 {
            break;
        }
        assert!(Instant::now() < end, "{name}: a consumer behind for ever: {info}");
        std::thread::sleep(Duration::from_millis(50));
    }
    let pages = book.open();
    let lost: Vec<_> = pages.acked.iter().filter(|(n, _)| !pages.delivered.contains(n)).collect();
    let some = &lost[..lost.len().min(5)];
    assert!(lost.is_empty(), "{name}: {} never delivered, such as {some:?}", lost.len());
}
