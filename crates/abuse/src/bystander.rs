//! An honest pair beside the offenders: one publishes numbers, the other must get each of them,
//! in order and soon.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{Client, Frame};

/// A running pair.
pub struct Bystander {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

/// What the pair saw.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Messages that went from one to the other.
    pub messages: u64,
    /// The longest that one of them took.
    pub worst: Duration,
}

impl Bystander {
    /// Connects the pair (with these CONNECT fields) and lets it talk.
    pub fn start(addr: SocketAddr, connect: &serde_json::Value) -> Self {
        let mut subscriber = Client::connected(addr, connect);
        let mut publisher = Client::connected(addr, connect);
        subscriber.send("SUB bystander.* 1\r\nSUB bystander.q workers 2\r\n");
        subscriber.flush();
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = std::thread::spawn(move || {
            let (mut messages, mut worst) = (0u64, Duration::ZERO);
            while !told.load(Ordering::Relaxed) {
                let sent = Instant::now();
                publisher.publish(&format!("bystander.{}", messages % 7), messages.to_string());
                let got = subscriber.msg();
                worst = worst.max(sent.elapsed());
                assert_eq!(got.text(), messages.to_string(), "a bystander lost a message");
                messages += 1;
                if messages % 64 == 0 {
                    // Reads, and so answers, what the server asks of the publisher.
                    assert_eq!(publisher.ping(), Vec::<Frame>::new());
                }
            }
            // Neither was told anything else.
            assert_eq!(publisher.flush(), Vec::<Frame>::new());
            assert_eq!(subscriber.flush(), Vec::<Frame>::new());
            Seen { messages, worst }
        });
        Self { stop, thread }
    }

    /// As [`Bystander::start`] without credentials.
    pub fn anonymous(addr: SocketAddr) -> Self {
        Self::start(addr, &json!({}))
    }

    /// Ends the talk; panics if anything was lost, late beyond all patience, or out of order.
    pub fn finish(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
