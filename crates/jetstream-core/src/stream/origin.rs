//! What a mirror or a source draws from: the consumer it has made there, and how that goes on.
//!
//! ```text
//! Idle -> Waiting -> Asked -> Drawing -> Waiting ...
//! ```
//! Everything goes through subjects (a request to make a consumer, its answer, deliveries), so that
//! an origin in another account, domain or server is no different from one beside us.
//!
//! Laws: at most one request is open; whatever goes wrong ends in `Waiting` with a deadline;
//!       nothing here knows what a stream does with a message (`mirror`, `source`).
//! Reference: stream.go setupMirrorConsumer, trySetupSourceConsumer, processInboundSourceMsg.
//! Parity: SRC-006 to SRC-011.

use std::time::Duration;

use jetstream_api::response::{ConsumerCreate, Response};
use jetstream_api::validate::{short_hash, source_index_name};
use jetstream_api::{AckPolicy, ApiError, Nanos, StreamSource, StreamSourceInfo, json};
use stdx::time::{Mono, Now, Timestamp};
use subject::Transform;

use super::origin_request::{self as request, Named};
use crate::out::{Facts, Out};

/// Silence after which the consumer counts as gone.
const STALLED: Duration = Duration::from_secs(10);
/// How long the answer to a request may take.
const ANSWER: Duration = Duration::from_secs(30);
/// Time between two requests.
const THRESHOLD: Duration = Duration::from_secs(2);
/// More of it for each failure in a row, up to `MAX_BACKOFF`.
const BACKOFF: Duration = Duration::from_secs(10);
const MAX_BACKOFF: Duration = Duration::from_secs(120);

/// What the stream is to its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Its copy, with the same sequences and times.
    Mirror,
    /// One of those that draw from it.
    Source,
}

/// Where the stream stands that draws.
#[derive(Clone, Copy, Debug, Default)]
pub struct Position {
    /// Messages it holds.
    pub msgs: u64,
    /// First sequence.
    pub first_seq: u64,
    /// Last sequence ever given.
    pub last_seq: u64,
    /// Time of the last message.
    pub last_ts: Option<Timestamp>,
}

/// What has to be done for an origin.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// End what was listened to, and send a request whose answer comes to `inbox`.
    Ask(Box<Ask>),
    /// Take deliveries from this subject; the answer is no longer waited for.
    Listen(String),
    /// End whatever was listened to.
    Stop,
}

/// A request to the origin's API.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Where the answer comes to.
    pub inbox: String,
    /// Whom it is for.
    pub subject: String,
    /// Header block, or empty.
    pub header: Vec<u8>,
    /// Body.
    pub body: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Waiting(Mono),
    Asked { until: Mono, sourcing: bool },
    Drawing { check: Mono },
}

/// One origin of a stream.
pub struct Origin {
    pub(super) role: Role,
    pub(super) source: StreamSource,
    index_name: String,
    /// The part of the consumer's name that stays the same.
    id: String,
    pub(super) transforms: Vec<Transform>,
    phase: Phase,
    /// The consumer there; empty if there is none.
    consumer: String,
    /// The last sequence of the origin that is done with.
    pub(super) seq: u64,
    /// The consumer's number of the last delivery.
    pub(super) delivered: u64,
    /// Begin there instead of behind `seq`: it could not be stored.
    again_from: Option<u64>,
    pub(super) lag: u64,
    pub(super) error: Option<ApiError>,
    heard: Option<Mono>,
    asked: Option<Mono>,
    fails: u32,
}

/// What a delivery is to the one who draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Old, or not for us.
    Ignored,
    /// The next one.
    Next,
    /// The next one, behind messages that the origin no longer has, or that a filter left out.
    AfterGap,
    /// Something was missed.
    Missed,
}

impl Origin {
    /// An origin that was not asked for anything yet. `siblings` are all sources of the stream.
    pub fn new(
        role: Role,
        source: &StreamSource,
        siblings: &[StreamSource],
        stream: &str,
        facts: &Facts,
    ) -> Self {
        // Checked when the configuration was: one without destination leaves the subject alone.
        let transforms = source.subject_transforms.iter();
        let transforms = transforms.filter(|t| !t.dest.is_empty());
        let mut this = Self {
            role,
            index_name: source_index_name(source),
            id: String::new(),
            transforms: transforms.filter_map(|t| Transform::new(&t.src, &t.dest).ok()).collect(),
            source: source.clone(),
            phase: Phase::Idle,
            consumer: String::new(),
            seq: 0,
            delivered: 0,
            again_from: None,
            lag: 0,
            error: None,
            heard: None,
            asked: None,
            fails: 0,
        };
        this.id = this.consumer_id(siblings, stream, facts);
        this
    }

    /// The part of its consumer's name that stays the same: of stream, account and domain, and of
    /// what it selects if a sibling draws from the same stream.
    pub fn consumer_id(&self, siblings: &[StreamSource], stream: &str, facts: &Facts) -> String {
        let mut id = format!("{stream} {}", facts.account);
        if let Some(domain) = facts.domain.as_deref().filter(|d| !d.is_empty()) {
            id = format!("{id} {domain}");
        }
        let id = short_hash(&id);
        if self.role == Role::Mirror {
            return id;
        }
        let same = siblings.iter().filter(|s| s.name == self.source.name).count();
        if same > 1 { short_hash(&format!("{id} {}", self.index_name)) } else { short_hash(&id) }
    }

    /// What the stream is to it.
    pub fn role(&self) -> Role {
        self.role
    }

    /// What tells it apart from its siblings, also in headers.
    pub fn index_name(&self) -> &str {
        &self.index_name
    }

    /// The stable part of its consumer's name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its configuration.
    pub fn source(&self) -> &StreamSource {
        &self.source
    }

    /// The last sequence of the origin that is done with.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Goes on behind a sequence, if that is further than it knows.
    pub fn go_on_behind(&mut self, seq: u64) {
        self.seq = self.seq.max(seq);
    }

    /// Whether deliveries are listened to.
    pub fn is_drawing(&self) -> bool {
        matches!(self.phase, Phase::Drawing { .. })
    }

    /// When [`Self::tick`] has something to do.
    pub fn next_deadline(&self) -> Option<Mono> {
        match self.phase {
            Phase::Idle => None,
            Phase::Waiting(at) | Phase::Asked { until: at, .. } | Phase::Drawing { check: at } => {
                Some(at)
            }
        }
    }

    /// Asks soon, unless it did already.
    pub fn begin<O: Out>(&mut self, now: Now, out: &mut O) {
        if self.phase == Phase::Idle {
            self.wait(now, out);
        }
    }

    /// Time passed.
    pub fn tick<O: Out>(
        &mut self,
        stream: &str,
        facts: &Facts,
        at: Position,
        now: Now,
        out: &mut O,
    ) -> Step {
        if self.next_deadline().is_none_or(|due| due > now.mono) {
            return Step::Nothing;
        }
        match self.phase {
            Phase::Idle => Step::Nothing,
            Phase::Waiting(_) => self.ask(stream, facts, at, true, now, out),
            Phase::Asked { .. } => {
                let text = "no answer to the consumer request";
                self.failed(self.setup_error(text), now, out)
            }
            Phase::Drawing { .. } => {
                let due = self.heard.map_or(now.mono, |heard| heard + STALLED);
                if due > now.mono {
                    self.phase = Phase::Drawing { check: due };
                    return Step::Nothing;
                }
                self.retry(None, now, out)
            }
        }
    }

    fn ask<O: Out>(
        &mut self,
        stream: &str,
        facts: &Facts,
        at: Position,
        sourcing: bool,
        now: Now,
        out: &mut O,
    ) -> Step {
        self.asked = Some(now.mono);
        self.error = None;
        self.consumer.clear();
        self.phase = Phase::Asked { until: now.mono + ANSWER, sourcing };
        if self.role == Role::Mirror {
            self.seq = at.last_seq;
        }
        let named = Named { stream, facts, id: &self.id };
        let inbox = format!("$JSC.R.{}", request::suffix(out.random()));
        let from = self.again_from.unwrap_or(self.seq + 1);
        let asked = match &self.source.consumer {
            Some(own) => {
                self.consumer.clone_from(&own.name);
                request::reset(&self.source, &own.name)
            }
            None => {
                let start = request::start(self.role, &self.source, from, at);
                let random = (out.random(), out.random());
                request::create(self.role, &self.source, &named, start, sourcing, random)
            }
        };
        Step::Ask(Box::new(Ask { inbox, ..asked }))
    }

    /// Nobody took the request: the API is not there, or not yet.
    pub fn unheard<O: Out>(&mut self, now: Now, out: &mut O) -> Step {
        self.error = Some(self.setup_error("no responders"));
        self.wait(now, out);
        Step::Stop
    }

    /// The answer to the request. With [`Step::Listen`] comes the sequence the consumer there has
    /// already passed, and how many messages wait.
    pub fn handle_answer<O: Out>(
        &mut self,
        body: &[u8],
        stream: &str,
        facts: &Facts,
        at: Position,
        now: Now,
        out: &mut O,
    ) -> (Step, Begun) {
        let Phase::Asked { sourcing, .. } = self.phase else {
            return (Step::Nothing, Begun::default());
        };
        let answer: Response<ConsumerCreate> = match json::unmarshal(body) {
            Ok(answer) => answer,
            Err(error) => {
                return (self.failed(ApiError::invalid_json(error), now, out), Begun::default());
            }
        };
        if let Some(error) = answer.error {
            let old = [ApiError::required_api_level(), ApiError::invalid_json("")];
            let unknown = old.iter().any(|e| e.is(&error));
            if sourcing && unknown && self.source.consumer.is_none() {
                return (self.ask(stream, facts, at, false, now, out), Begun::default());
            }
            return (self.failed(error, now, out), Begun::default());
        }
        let info = answer.body.info;
        let Some((info, config)) = info.and_then(|mut i| i.config.take().map(|c| (i, c))) else {
            let error = self.setup_error("invalid consumer create response");
            return (self.failed(error, now, out), Begun::default());
        };
        let deliver = match &self.source.consumer {
            Some(_) if config.ack_policy != AckPolicy::FlowControl => {
                let error = match self.role {
                    Role::Mirror => ApiError::mirror_consumer_requires_ack_fc(),
                    Role::Source => ApiError::source_consumer_requires_ack_fc(),
                };
                return (self.failed(error, now, out), Begun::default());
            }
            Some(own) => own.deliver_subject.clone(),
            None => config.deliver_subject,
        };
        self.consumer = info.name;
        self.fails = 0;
        self.delivered = 0;
        self.again_from = None;
        self.heard = Some(now.mono);
        self.phase = Phase::Drawing { check: now.mono + STALLED };
        let begun = Begun { passed: info.delivered.stream_seq, pending: info.num_pending };
        (Step::Listen(deliver), begun)
    }

    /// Judges a delivery by what its reply subject says, as a source sees it.
    pub(super) fn judge(&mut self, ack: &jetstream_api::subject::Ack<'_>) -> Delivery {
        if ack.consumer != self.consumer.as_bytes() || ack.delivered > 1 {
            return Delivery::Ignored;
        }
        let follows = ack.consumer_seq == self.delivered.wrapping_add(1);
        if ack.stream_seq <= self.seq {
            // Old, but the consumer counts it.
            if follows {
                self.delivered += 1;
            }
            return Delivery::Ignored;
        }
        match self.role {
            Role::Mirror if ack.stream_seq == self.seq + 1 => Delivery::Next,
            _ if follows && self.role == Role::Mirror => Delivery::AfterGap,
            _ if follows => Delivery::Next,
            Role::Mirror => Delivery::Missed,
            Role::Source if ack.consumer_seq > self.delivered => Delivery::Missed,
            Role::Source => Delivery::Ignored,
        }
    }

    /// Notes a delivery that was stored, or deliberately was not.
    pub(super) fn done(&mut self, ack: &jetstream_api::subject::Ack<'_>) {
        self.seq = ack.stream_seq;
        self.delivered = ack.consumer_seq;
        self.lag = ack.pending.saturating_sub(1);
    }

    /// Notes a sign of life.
    #[inline]
    pub(super) fn hear(&mut self, now: Mono) {
        self.heard = Some(now);
    }

    /// A flow control request, which has a reply, or a sign of life.
    pub(super) fn handle_control<O: Out>(
        &mut self,
        reply: &[u8],
        header: &[u8],
        now: Now,
        out: &mut O,
    ) -> Step {
        if !reply.is_empty() {
            self.confirm(reply, out);
            return Step::Nothing;
        }
        let last = wire::header::get(header, b"Nats-Last-Consumer").and_then(super::header::number);
        if last.is_some_and(|last| last > 0 && last != self.delivered) {
            return self.retry(None, now, out);
        }
        if let Some(stalled) = wire::header::get(header, b"Nats-Consumer-Stalled") {
            self.confirm(stalled, out);
        }
        Step::Nothing
    }

    /// Says how far it has come, once that is as safe as configured.
    fn confirm<O: Out>(&self, to: &[u8], out: &mut O) {
        let mut header = out.scratch();
        header.clear();
        header.extend_from_slice(b"NATS/1.0\r\nNats-Last-Consumer: ");
        super::pub_ack::push_number(&mut header, self.delivered);
        header.extend_from_slice(b"\r\nNats-Last-Stream: ");
        super::pub_ack::push_number(&mut header, self.seq);
        header.extend_from_slice(b"\r\n\r\n");
        out.confirm(to, &header);
        out.give_back(header);
    }

    /// The consumer is of no use any more: another one is made, from `seq` on if that is given.
    pub fn retry<O: Out>(&mut self, seq: Option<u64>, now: Now, out: &mut O) -> Step {
        self.again_from = seq;
        self.consumer.clear();
        self.wait(now, out);
        Step::Stop
    }

    fn failed<O: Out>(&mut self, error: ApiError, now: Now, out: &mut O) -> Step {
        self.fails = self.fails.saturating_add(1);
        self.error = Some(error);
        self.consumer.clear();
        self.wait(now, out);
        Step::Stop
    }

    fn setup_error(&self, text: &str) -> ApiError {
        match self.role {
            Role::Mirror => ApiError::mirror_consumer_setup_failed(text),
            Role::Source => ApiError::source_consumer_setup_failed(text),
        }
    }

    fn wait<O: Out>(&mut self, now: Now, out: &mut O) {
        let rest = self
            .asked
            .map_or(Duration::ZERO, |asked| THRESHOLD.saturating_sub(now.mono.since(asked)));
        let backoff = BACKOFF.saturating_mul(self.fails).min(MAX_BACKOFF);
        let jitter = Duration::from_millis(100 + out.random() % 100);
        self.phase = Phase::Waiting(now.mono + rest + backoff + jitter);
    }

    /// A request that ends its consumer, if it is one that was made for it.
    pub fn farewell<O: Out>(&self, out: &mut O) -> Option<Ask> {
        if self.source.consumer.is_some() {
            return None;
        }
        let stable = request::stable_name(self.role, &self.id);
        let name = if self.consumer.is_empty() { &stable } else { &self.consumer };
        let inbox = format!("$JSC.R.{}", request::suffix(out.random()));
        Some(Ask { inbox, ..request::delete(&self.source, name) })
    }

    /// What the stream says of it.
    pub fn info(&self, now: Now) -> StreamSourceInfo {
        let active = self.heard.map(|heard| now.mono.since(heard).as_nanos());
        StreamSourceInfo {
            name: self.source.name.clone(),
            external: self.source.external.clone(),
            lag: self.lag,
            active: Nanos(active.map_or(-1, |ns| i64::try_from(ns).unwrap_or(i64::MAX))),
            error: self.error.clone(),
            filter_subject: self.source.filter_subject.clone(),
            subject_transforms: self.source.subject_transforms.clone(),
        }
    }
}

/// Where the consumer that was made begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// Sequences that it will not deliver.
    pub passed: u64,
    /// Messages that it will.
    pub pending: u64,
}
