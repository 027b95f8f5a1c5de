//! A stream in memory, a consumer on it, clients that listen, and a clock that is told.

use std::collections::BTreeSet;
use std::time::Duration;

use jetstream_api::{
    AckPolicy, ConsumerConfig, ConsumerInfo, Nanos, RetentionPolicy, StreamConfig,
};
use stdx::log::Log;
use stdx::time::{Mono, Now, Timestamp};
use store::{MemStore, MessageStore, NewMessage, Retention, Settings};

use crate::consumer::{AckOf, Consumer, Cx, Tick};
use crate::out::{Facts, Out, Outgoing};

pub(super) const MS: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1_000 * MS;
const EPOCH: i64 = 1_700_000_000_000_000_000;

/// Something a client got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub to: String,
    pub subject: String,
    pub reply: String,
    pub header: String,
    pub payload: String,
}

/// What happened, and who listens.
pub(super) struct Clients {
    pub sent: Vec<Sent>,
    pub listening: BTreeSet<String>,
    seed: u64,
    log: Log,
}

impl Out for Clients {
    fn send(&mut self, message: Outgoing<'_>) -> bool {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !self.has_interest(message.to) {
            return false;
        }
        self.sent.push(Sent {
            to: text(message.to),
            subject: text(message.subject),
            reply: text(message.reply.unwrap_or_default()),
            header: text(message.header),
            payload: text(message.payload),
        });
        true
    }
    fn has_interest(&mut self, subject: &[u8]) -> bool {
        self.listening.iter().any(|l| subject::matches(subject, l.as_bytes()))
    }
    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
        self.seed >> 20
    }
    fn log(&self) -> &Log {
        &self.log
    }
}

pub(super) struct World {
    pub facts: Facts,
    pub stream: StreamConfig,
    pub store: MemStore,
    pub out: Clients,
    pub done: Vec<u64>,
    pub now: Now,
    pub late_interest: bool,
    pub consumer: Option<Consumer>,
}

/// A pull consumer with explicit acknowledgements, as one gets it without asking for more.
pub(super) fn pull() -> ConsumerConfig {
    ConsumerConfig {
        durable_name: "C".into(),
        name: "C".into(),
        ack_policy: AckPolicy::Explicit,
        ack_wait: Nanos::from_secs(30),
        max_deliver: -1,
        max_waiting: 512,
        max_ack_pending: 1000,
        ..ConsumerConfig::default()
    }
}

/// A push consumer that delivers to `d`.
pub(super) fn push() -> ConsumerConfig {
    ConsumerConfig { deliver_subject: "d".into(), max_waiting: 0, ..pull() }
}

impl World {
    /// A stream that keeps everything, without a consumer; `in.>` and `d` listen.
    pub(super) fn empty() -> Self {
        Self::with_stream(StreamConfig { name: "S".into(), ..StreamConfig::default() })
    }

    pub(super) fn with_stream(stream: StreamConfig) -> Self {
        let retention = match stream.retention {
            RetentionPolicy::Limits => Retention::Limits,
            RetentionPolicy::Interest => Retention::Interest,
            RetentionPolicy::WorkQueue => Retention::WorkQueue,
        };
        let per_subject = u64::try_from(stream.max_msgs_per_subject).ok().filter(|n| *n > 0);
        let settings = Settings {
            name: "S".into(),
            first_seq: 1,
            retention,
            max_msgs_per_subject: per_subject,
            ..Settings::default()
        };
        Self {
            facts: Facts::default(),
            stream,
            store: MemStore::new(settings),
            out: Clients {
                sent: Vec::new(),
                listening: ["in.>", "d"].map(String::from).into(),
                seed: 1,
                log: Log::discard(),
            },
            done: Vec::new(),
            now: Now { mono: Mono(SECOND), wall: Timestamp(EPOCH) },
            late_interest: false,
            consumer: None,
        }
    }

    pub(super) fn new(config: ConsumerConfig) -> Self {
        let mut world = Self::empty();
        world.create(config);
        world
    }

    /// Calls into the consumer with everything around it.
    pub(super) fn with<T>(
        &mut self,
        call: impl FnOnce(&mut Consumer, &mut Cx<'_, MemStore, Clients>) -> T,
    ) -> T {
        let mut consumer = self.consumer.take().expect("a consumer");
        let result = self.around(|cx| call(&mut consumer, cx));
        self.consumer = Some(consumer);
        result
    }

    fn around<T>(&mut self, call: impl FnOnce(&mut Cx<'_, MemStore, Clients>) -> T) -> T {
        call(&mut Cx {
            facts: &self.facts,
            stream: &self.stream,
            store: &mut self.store,
            out: &mut self.out,
            done: &mut self.done,
            max_payload: 1 << 20,
            late_interest: self.late_interest,
            now: self.now,
        })
    }

    pub(super) fn create(&mut self, config: ConsumerConfig) {
        let created = self.now.wall;
        let consumer = self.around(|cx| Consumer::new(config, "C", created, cx)).unwrap();
        self.consumer = Some(consumer);
        self.deliver();
    }

    /// Ends the consumer and begins it again from what was kept.
    pub(super) fn restart(&mut self) {
        let old = self.consumer.take().expect("a consumer");
        let state = store::ConsumerState::decode(&old.state().encode(self.now.wall)).unwrap();
        assert_eq!(state.validate().map_err(|e| e.to_string()), Ok(()));
        let (config, created) = (old.config().clone(), old.created());
        let new = self.around(|cx| Consumer::restore(config, "C", created, &state, cx)).unwrap();
        self.consumer = Some(new);
        self.deliver();
    }

    /// Ends the consumer and begins it again after its state was lost.
    pub(super) fn lose(&mut self) {
        let old = self.consumer.take().expect("a consumer");
        let (config, created) = (old.config().clone(), old.created());
        let new = self.around(|cx| Consumer::anew(config, "C", created, cx)).unwrap();
        self.consumer = Some(new);
        self.deliver();
    }

    pub(super) fn deliver(&mut self) {
        while self.with(|c, cx| c.deliver(3, cx)) {}
    }

    pub(super) fn publish(&mut self, subject: &str, payload: &str) -> u64 {
        self.publish_with(subject, "", payload)
    }

    pub(super) fn publish_with(&mut self, subject: &str, header: &str, payload: &str) -> u64 {
        let message = NewMessage::new(subject.as_bytes(), header.as_bytes(), payload.as_bytes());
        let (seq, _) = MessageStore::append(&mut self.store, &message, self.now.wall).unwrap();
        if let Some(consumer) = &mut self.consumer
            && consumer.handle_new(seq, seq, [subject.as_bytes()])
        {
            self.deliver();
        }
        seq
    }

    pub(super) fn remove(&mut self, seq: u64) {
        let Ok(message) = MessageStore::load(&mut self.store, seq) else { return };
        MessageStore::remove(&mut self.store, seq, false).unwrap();
        if self.with(|c, cx| c.handle_removed(seq, &message.subject, cx)) {
            self.deliver();
        }
    }

    pub(super) fn pull(&mut self, reply: &str, request: &str) {
        if self.with(|c, cx| c.handle_pull(b"", request.as_bytes(), reply.as_bytes(), cx)) {
            self.deliver();
        }
    }

    /// Acknowledges a delivery by the subject it came with.
    pub(super) fn ack(&mut self, on: &str, body: &str) {
        self.ack_for(on, body, "");
    }

    pub(super) fn ack_for(&mut self, on: &str, body: &str, reply: &str) {
        let ack = jetstream_api::subject::Ack::parse(on.as_bytes()).expect(on);
        let of = AckOf::from(&ack);
        if self.with(|c, cx| c.handle_ack(of, body.as_bytes(), reply.as_bytes(), cx)) {
            self.deliver();
        }
    }

    /// Lets time pass, stopping at each deadline; `true` if the consumer wants to be deleted.
    pub(super) fn advance(&mut self, by: Duration) -> bool {
        let end = self.now.mono + by;
        for _ in 0..100_000 {
            let deadline = self.consumer.as_ref().and_then(Consumer::next_deadline);
            let at = deadline.filter(|at| *at <= end).unwrap_or(end).max(self.now.mono);
            let step = at.since(self.now.mono);
            self.now = Now { mono: at, wall: self.now.wall + step };
            if deadline.is_none_or(|d| d > end) {
                return false;
            }
            let Tick { deliver, delete } = self.with(Consumer::tick);
            if delete {
                return true;
            }
            if deliver {
                self.deliver();
            }
            // What is due exactly now is over a moment later.
            if self.consumer.as_ref().and_then(Consumer::next_deadline) == Some(at) {
                self.now.mono.0 += 1;
                self.now.wall.0 += 1;
            }
        }
        panic!(
            "deadlines do not move: {:?}",
            self.consumer.as_ref().and_then(Consumer::next_deadline)
        );
    }

    pub(super) fn wait_ms(&mut self, ms: u64) -> bool {
        self.advance(Duration::from_millis(ms))
    }

    pub(super) fn info(&mut self) -> ConsumerInfo {
        self.with(Consumer::info)
    }

    /// What clients got since the last call.
    pub(super) fn take(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.out.sent)
    }

    /// The same in short: `to: payload#deliveries`, or `to: status`.
    pub(super) fn heard(&mut self) -> Vec<String> {
        let sent = self.take();
        sent.iter().map(Sent::short).collect()
    }
}

impl Sent {
    /// How often the message was delivered, as its reply subject says.
    pub(super) fn deliveries(&self) -> u64 {
        self.token(4)
    }

    pub(super) fn seq(&self) -> u64 {
        self.token(5)
    }

    pub(super) fn pending(&self) -> u64 {
        self.token(8)
    }

    pub(super) fn token(&self, n: usize) -> u64 {
        self.reply.split('.').nth(n).and_then(|t| t.parse().ok()).unwrap_or(0)
    }

    fn short(&self) -> String {
        let status = self.header.strip_prefix("NATS/1.0 ").map(|h| {
            h.trim_end()
                .replace("\r\n", "|")
                .replace("Nats-Pending-Messages: ", "m")
                .replace("Nats-Pending-Bytes: ", "b")
        });
        match status {
            Some(status) => format!("{}: {status}", self.to),
            None if self.reply.is_empty() => format!("{}: {}", self.to, self.payload),
            None => format!("{}: {}#{}", self.to, self.payload, self.deliveries()),
        }
    }
}
