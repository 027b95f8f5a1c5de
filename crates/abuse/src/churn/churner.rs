//! One thread that opens, uses, neglects and kills connections as its generator tells it.
//!
//! Laws: it counts every connection it was greeted on; at a pause it holds none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Shared;
use crate::random::Random;
use serde_json::json;
use socket2::SockRef;
use testkit::Client;

/// Connections one churner holds at most.
const HELD: usize = 12;

/// A churning thread.
pub(super) struct Churner {
    resting: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Churner {
    pub(super) fn start(shared: Arc<Shared>, seed: u64, number: u64) -> Self {
        let resting = Arc::new(AtomicBool::new(false));
        let rests = resting.clone();
        let thread = std::thread::spawn(move || {
            let random = Random::new(seed);
            Turn { shared, random, number, held: Vec::new(), sids: 0 }.live(&rests);
        });
        Self { resting, thread }
    }

    pub(super) fn is_resting(&self) -> bool {
        self.resting.load(Ordering::Acquire)
    }

    /// Panics if the thread did.
    pub(super) fn check(&self) {
        assert!(!self.thread.is_finished(), "a churner ended early: see its panic above");
    }

    pub(super) fn join(self) {
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
}

struct Turn {
    shared: Arc<Shared>,
    random: Random,
    number: u64,
    held: Vec<Client>,
    sids: u64,
}

impl Turn {
    fn live(&mut self, resting: &AtomicBool) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            if self.shared.pause.load(Ordering::Acquire) {
                self.held.drain(..).for_each(drop);
                resting.store(true, Ordering::Release);
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            resting.store(false, Ordering::Release);
            self.act();
            // The pace: some hundred acts a second over all churners.
            std::thread::sleep(Duration::from_millis(self.random.below(20)));
        }
    }

    fn act(&mut self) {
        if self.held.len() >= HELD {
            return self.let_go();
        }
        match self.random.below(100) {
            0..25 => self.open(false),
            25..30 => self.open(true),
            30..55 => self.use_one(),
            55..75 => self.let_go(),
            75..79 => self.slow_reader(),
            79..83 => self.intruder(),
            83..87 => self.garbage(),
            87..90 => self.hold_silent(),
            90..93 => self.half_handshake(),
            93..97 => self.lost_request(),
            _ => self.drain(),
        }
    }

    fn greeted(&self) -> Client {
        let client = Client::greeted(self.shared.addr);
        self.shared.connects.fetch_add(1, Ordering::Relaxed);
        client
    }

    fn user(&mut self) -> &'static str {
        if self.random.below(2) == 0 { "one" } else { "two" }
    }

    fn logged_in(&mut self, tls: bool) -> Client {
        let mut client = self.greeted();
        if tls {
            let config = self.shared.authority.client_config(None);
            client = client.start_tls(config, "localhost").unwrap();
        }
        let echo = self.random.below(4) > 0;
        let user = self.user();
        let name = format!("churner {}", self.number);
        client.connect(&json!({"user": user, "pass": "pw", "name": name, "echo": echo}));
        client.flush();
        client
    }

    fn open(&mut self, tls: bool) {
        let mut client = self.logged_in(tls);
        let lines = self.subscriptions();
        client.send(lines);
        self.held.push(client);
    }

    fn subscriptions(&mut self) -> String {
        let mut lines = String::new();
        for _ in 0..=self.random.below(40) {
            self.sids += 1;
            let (n, sid) = (self.random.below(50), self.sids);
            let line = match self.random.below(8) {
                0 => format!("SUB live.{n}.* {sid}\r\n"),
                1 => format!("SUB one.live.> {sid}\r\n"),
                2 => format!("SUB live.> churners {sid}\r\n"),
                3 => format!("SUB churn.{n} {sid}\r\nUNSUB {sid} {}\r\n", 1 + n),
                4 => format!("SUB churn.{n}.> {sid}\r\nUNSUB {sid}\r\n"),
                5 => format!("SUB svc.{n} {sid}\r\n"),
                6 => format!("SUB *.*.small.{n} {sid}\r\n"),
                _ => format!("SUB churn.{n} g{} {sid}\r\n", n % 3),
            };
            lines.push_str(&line);
        }
        lines
    }

    /// More subscriptions, or publishes, or reading for a while, on one that may be gone.
    fn use_one(&mut self) {
        if self.held.is_empty() {
            return self.open(false);
        }
        let at = self.random.below(self.held.len() as u64) as usize;
        match self.random.below(4) {
            0 => {
                let lines = self.subscriptions();
                let _ = self.held[at].try_send(lines);
            }
            1 => {
                let mut burst = String::new();
                for _ in 0..self.random.below(200) {
                    burst.push_str(&format!("PUB churn.{} 5\r\nhello\r\n", self.random.below(50)));
                }
                let _ = self.held[at].try_send(burst);
            }
            2 => {
                let (first, last) = (self.sids.saturating_sub(100), self.sids);
                let lines: String = (first..last).map(|sid| format!("UNSUB {sid}\r\n")).collect();
                let _ = self.held[at].try_send(lines);
            }
            _ => {
                for _ in 0..50 {
                    if self.held[at].try_frame(Duration::from_millis(1)).is_err() {
                        break;
                    }
                }
            }
        }
    }

    /// Ends one: closed, killed, or closed for writing only.
    fn let_go(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let at = self.random.below(self.held.len() as u64) as usize;
        let mut client = self.held.swap_remove(at);
        match self.random.below(3) {
            0 => {}
            1 => {
                let _ = SockRef::from(client.tcp()).set_linger(Some(Duration::ZERO));
            }
            _ => {
                client.shutdown_write();
                let _ = client.try_frame(Duration::from_millis(5));
            }
        }
    }

    /// Wants everything that is published in bulk and reads none of it.
    fn slow_reader(&mut self) {
        let mut client = self.greeted();
        let _ = SockRef::from(client.tcp()).set_recv_buffer_size(4096);
        client.connect(&json!({"user": "two", "pass": "pw", "name": "slow"}));
        client.flush();
        client.send("SUB bulk.> 1\r\n");
        self.held.push(client);
    }

    fn intruder(&mut self) {
        let mut client = self.greeted();
        client.connect(&json!({"user": "one", "pass": "guess"}));
        let said = client.expect_closed();
        let said: Vec<String> = said.iter().map(ToString::to_string).collect();
        assert_eq!(said, ["-ERR 'Authorization Violation'"]);
    }

    fn garbage(&mut self) {
        let mut client =
            if self.random.below(2) == 0 { self.greeted() } else { self.logged_in(false) };
        let length = self.random.below(2000) as usize;
        let mut bytes = vec![b'!'];
        bytes.extend(self.random.bytes(length));
        let _ = client.try_send(bytes);
        client.expect_closed();
    }

    fn hold_silent(&mut self) {
        let client = self.greeted();
        self.held.push(client);
    }

    fn half_handshake(&mut self) {
        let mut client = self.greeted();
        client.send([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
        self.held.push(client);
    }

    /// Asks a service of the other account, and is gone before the answer.
    fn lost_request(&mut self) {
        let mut client = self.greeted();
        client.connect(&json!({"user": "two", "pass": "pw"}));
        client.flush();
        let n = self.random.below(50);
        client.send(format!("SUB inbox.{n} 1\r\nPUB svc.{n} inbox.{n} 2\r\nhi\r\n"));
        let _ = client.try_frame(Duration::from_millis(2));
    }

    /// Leaves in good order.
    fn drain(&mut self) {
        let mut client = self.logged_in(false);
        client.send("SUB churn.> 1\r\nUNSUB 1\r\n");
        client.flush();
    }
}
