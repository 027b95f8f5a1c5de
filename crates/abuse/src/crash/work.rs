//! Publishers and consumers that work until the server is gone.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use testkit::client::NoFrame;
use testkit::{Client, DEADLINE, Frame};

use super::book::Book;
use crate::random::Random;

/// Publishes without an ack, at most.
const IN_FLIGHT: usize = 100;

/// How long a thread waits before it looks whether it should end.
const TICK: Duration = Duration::from_millis(50);

/// Publishes numbers and keeps which of them are acknowledged.
pub(super) fn publish(addr: SocketAddr, book: &Book, seed: u64, stop: &AtomicBool) {
    let mut random = Random::new(seed);
    let Some(mut client) = connected(addr) else { return };
    if client.try_send("SUB acks.* 1\r\n").is_err() {
        return;
    }
    let mut in_flight = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut bytes = Vec::new();
        let burst = random.below(IN_FLIGHT as u64) as usize;
        while in_flight < burst {
            let n = {
                // Counted as sent before it is: it may arrive though the write fails.
                let mut pages = book.open();
                pages.next += 1;
                pages.next - 1
            };
            let payload = Book::payload(n);
            let head = format!("PUB {} acks.{n} {}\r\n", book.subject(n), payload.len());
            bytes.extend_from_slice(format!("{head}{payload}\r\n").as_bytes());
            in_flight += 1;
        }
        if !bytes.is_empty() && client.try_send(&bytes).is_err() {
            break;
        }
        match client.try_frame(TICK) {
            Ok(frame) => in_flight -= usize::from(acked(book, &frame)),
            Err(NoFrame::Timeout) => {}
            Err(NoFrame::Closed | NoFrame::Cut) => return,
        }
    }
    // What the server said before its end is in the socket still.
    while let Ok(frame) = client.try_frame(TICK) {
        acked(book, &frame);
    }
}

/// Keeps an ack; false if the frame is none.
fn acked(book: &Book, frame: &Frame) -> bool {
    let Frame::Msg(m) = frame else { return false };
    let json: serde_json::Value = serde_json::from_slice(&m.payload)
        .unwrap_or_else(|_| panic!("a pub ack: {}{}", m.header_text(), m.text()));
    assert!(json["error"].is_null(), "{}: {json}", book.kind.name());
    let seq = json["seq"].as_u64().unwrap();
    let n = m.subject.strip_prefix("acks.").and_then(|n| n.parse().ok()).unwrap();
    let mut pages = book.open();
    assert!(seq > pages.last_seq, "{}: sequence {seq} again: {json}", book.kind.name());
    pages.last_seq = seq;
    pages.acked.insert(n, seq);
    pages.fresh.push(n);
    true
}

/// Pulls and acknowledges; some of the acknowledgements ask for a confirmation.
pub(super) fn consume(addr: SocketAddr, book: &Book, seed: u64, stop: &AtomicBool) {
    let mut random = Random::new(seed);
    let Some(mut client) = connected(addr) else { return };
    let next = format!("$JS.API.CONSUMER.MSG.NEXT.{}.c", book.kind.name());
    let pull = json!({"batch": 200, "expires": 500_000_000}).to_string();
    let pull = format!("PUB {next} pulled {}\r\n{pull}\r\n", pull.len());
    if client.try_send(format!("SUB pulled 1\r\nSUB confirmed.* 2\r\n{pull}")).is_err() {
        return;
    }
    let mut asked: HashMap<String, u64> = HashMap::new();
    let mut missing = 200;
    while !stop.load(Ordering::Relaxed) {
        let m = match client.try_frame(TICK) {
            Ok(Frame::Msg(m)) => m,
            Ok(_) | Err(NoFrame::Timeout) => continue,
            Err(NoFrame::Closed | NoFrame::Cut) => return,
        };
        let mut bytes = String::new();
        if m.sid == "2" {
            if let Some(n) = asked.remove(&m.subject) {
                book.open().confirmed.insert(n);
            }
        } else if let Some(reply) = m.reply.as_ref().filter(|r| r.starts_with("$JS.ACK.")) {
            let n = book.number(&m.subject, &m.text());
            missing -= 1;
            let mut pages = book.open();
            pages.deliveries += 1;
            pages.delivered.insert(n);
            pages.repeated += u64::from(pages.confirmed.contains(&n));
            pages.answered.insert(n);
            drop(pages);
            if random.below(4) == 0 {
                let inbox = format!("confirmed.{n}");
                bytes = format!("PUB {reply} {inbox} 4\r\n+ACK\r\n");
                asked.insert(inbox, n);
            } else {
                bytes = format!("PUB {reply} 4\r\n+ACK\r\n");
            }
        } else if !m.headers.is_empty() {
            // A status: this request is over.
            missing = 0;
        }
        if missing == 0 {
            bytes.push_str(&pull);
            missing = 200;
        }
        if !bytes.is_empty() && client.try_send(&bytes).is_err() {
            return;
        }
    }
}

/// A connection, unless the server went first.
fn connected(addr: SocketAddr) -> Option<Client> {
    let mut client = Client::try_open(addr).ok()?;
    let Ok(Frame::Info(_)) = client.try_frame(DEADLINE) else { return None };
    let hello = json!({"verbose": false, "headers": true, "no_responders": true});
    client.try_send(format!("CONNECT {hello}\r\n")).ok()?;
    Some(client)
}
