//! What is asked next.
//!
//! Few names and small numbers on purpose: requests must meet each other's traces.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::Msg;

use super::{batch, bucket, config, fields, origin, priority};
use crate::random::Random;

/// What the steps are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Everything.
    All,
    /// Streams, messages, direct gets.
    Streams,
    /// Consumers and their acknowledgements, over streams that change little.
    Consumers,
    /// Fields of configurations and requests with values that nobody expects.
    Fields,
    /// Priority groups and pull requests that wait.
    Priorities,
    /// Batches, counters, schedules.
    Batches,
    /// Mirrors and sources.
    Origins,
    /// What clients make of streams: buckets of keys and of objects.
    Buckets,
    /// Accounts that may use little.
    Limits,
}

impl Flavour {
    /// All of them, by the names they are asked for with.
    pub const NAMES: [(&str, Self); 9] = [
        ("all", Self::All),
        ("streams", Self::Streams),
        ("consumers", Self::Consumers),
        ("fields", Self::Fields),
        ("priorities", Self::Priorities),
        ("batches", Self::Batches),
        ("origins", Self::Origins),
        ("buckets", Self::Buckets),
        ("limits", Self::Limits),
    ];

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(n, _)| *n == name).map(|(_, flavour)| *flavour)
    }

    /// The one a seed gets if nobody chose.
    pub fn of_seed(seed: u64) -> Self {
        Self::NAMES[(seed % Self::NAMES.len() as u64) as usize].1
    }
}

/// One step.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Ask {
        subject: String,
        headers: String,
        payload: Vec<u8>,
        /// What the reply subject has behind the inbox's name.
        suffix: String,
        end: End,
    },
    /// An answer to a delivery, by its place among those remembered.
    Ack {
        which: usize,
        body: String,
    },
    Wait(Duration),
}

/// When an answer is whole.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// After one message.
    One,
    /// After so many messages, or a status.
    Fetch(usize),
    /// After a status.
    Batch,
    /// Never.
    Nothing,
    /// Whatever comes is compared later, with what nobody asked for.
    Later,
}

impl End {
    pub(super) fn is_reached(&self, got: &[Msg]) -> bool {
        let status = |m: &Msg| {
            let line = m.header_text();
            let code = line.strip_prefix("NATS/1.0 ").map_or("", |l| l.get(..3).unwrap_or(""));
            !code.is_empty() && code != "100"
        };
        match self {
            Self::One => !got.is_empty(),
            Self::Fetch(n) => {
                let beats = got.iter().filter(|m| is_heartbeat(m)).count();
                got.len() - beats >= *n || got.last().is_some_and(status)
            }
            Self::Batch => got.last().is_some_and(status),
            Self::Nothing | Self::Later => false,
        }
    }
}

impl Step {
    /// Whether it can be repeated without changing anything.
    pub(super) fn is_question(&self) -> bool {
        let Self::Ask { subject, .. } = self else { return false };
        is_question(subject)
    }

    /// The stream it is about, if it names one.
    pub(super) fn stream(&self) -> &str {
        let Self::Ask { subject, .. } = self else { return "" };
        STREAMS
            .iter()
            .copied()
            .find(|s| {
                subject.split('.').any(|token| token == *s || token == s.to_ascii_lowercase())
            })
            .unwrap_or("")
    }
}

impl Step {
    /// The same, answered otherwise.
    pub(super) fn with_end(self, end: End) -> Self {
        match self {
            Self::Ask { subject, headers, payload, suffix, .. } => {
                Self::Ask { subject, headers, payload, suffix, end }
            }
            other => other,
        }
    }

    /// The same, with more behind the reply subject.
    pub(super) fn with_suffix(self, suffix: String) -> Self {
        match self {
            Self::Ask { subject, headers, payload, end, .. } => {
                Self::Ask { subject, headers, payload, suffix, end }
            }
            other => other,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask { subject, headers, payload, suffix, end } => {
                let (stream, payload) = (self.stream(), payload.escape_ascii().to_string());
                let payload = payload.replace("\\\"", "\"");
                let later = if matches!(end, End::Later) { " (later)" } else { "" };
                let headers = headers.replace("\r\n", "; ");
                write!(f, "  [{stream}] {subject} {suffix} {headers}{payload}{later}")
            }
            Self::Ack { which, body } => write!(f, "  ack {which} {body}"),
            Self::Wait(length) => write!(f, "  wait {length:?}"),
        }
    }
}

/// Whether it only says that somebody is still there.
pub(super) fn is_heartbeat(m: &Msg) -> bool {
    m.header_text().starts_with("NATS/1.0 100 Idle")
}

/// Whether requests on this subject change nothing.
pub(super) fn is_question(subject: &str) -> bool {
    let kinds = [".INFO", ".NAMES", ".LIST", ".MSG.GET.", ".DIRECT.GET."];
    subject.starts_with("$JS.API.") && kinds.iter().any(|k| subject.contains(k))
}

pub(super) const STREAMS: &[&str] = &["S0", "S1", "S2"];
const PAUSE: &str = "$JS.API.CONSUMER.PAUSE.";
const RESET: &str = "$JS.API.CONSUMER.RESET.";
const CONSUMERS: &[&str] = &["c0", "c1", "c2"];

/// What was created last under a name, to be changed a little.
pub(super) struct Generator {
    random: Random,
    flavour: Flavour,
    streams: BTreeMap<String, Value>,
    consumers: BTreeMap<(String, String), Value>,
    /// Last sequences that both servers told.
    lasts: BTreeMap<String, u64>,
    made: u64,
    /// Steps that come next.
    settle: Vec<Step>,
    /// Consumers that have filters.
    filtered: BTreeSet<(String, String)>,
    /// Consumers that are paused, as the end of their requests' subjects.
    paused: BTreeSet<String>,
    /// Consumers that deliver the last message of each subject, in the same form.
    lasting: BTreeSet<String>,
}

impl Generator {
    pub(super) fn new(seed: u64, flavour: Flavour) -> Self {
        Self {
            random: Random::new(seed),
            flavour,
            streams: BTreeMap::new(),
            consumers: BTreeMap::new(),
            lasts: BTreeMap::new(),
            made: 0,
            settle: Vec::new(),
            filtered: BTreeSet::new(),
            paused: BTreeSet::new(),
            lasting: BTreeSet::new(),
        }
    }

    /// The next step; `acks` deliveries can be acknowledged.
    pub(super) fn next(&mut self, acks: usize) -> Step {
        let step = self.any(acks);
        // One of the reference that is resumed waits for the next message or request.
        if let Step::Ask { subject, .. } = &step
            && let Some(consumer) = subject.strip_prefix(PAUSE)
            && self.paused.contains(consumer)
        {
            let (stream, name) = consumer.split_once('.').unwrap_or_default();
            self.consumers.remove(&(stream.to_owned(), name.to_owned()));
            return ask(format!("$JS.API.CONSUMER.DELETE.{consumer}"), "");
        }
        // One of the reference that delivers the last of each subject counts them so after a reset,
        // and delivers them all.
        if let Step::Ask { subject, .. } = &step
            && let Some(consumer) = subject.strip_prefix(RESET)
            && self.lasting.contains(consumer)
        {
            return ask(format!("$JS.API.CONSUMER.INFO.{consumer}"), "");
        }
        step
    }

    fn any(&mut self, acks: usize) -> Step {
        self.made += 1;
        if let Some(step) = self.settle.pop() {
            return step;
        }
        let only = matches!(self.flavour, Flavour::Priorities | Flavour::Buckets);
        let stream = if only { "S0" } else { self.random.of(STREAMS) }.to_owned();
        let last = self.lasts.get(&stream).copied().unwrap_or(0);
        let known = self.streams.contains_key(&stream);
        let r = &mut self.random;
        match self.flavour {
            Flavour::Fields => return fields::next(r, &stream, known, last),
            Flavour::Priorities => return priority::next(r, known, last, acks),
            Flavour::Batches => return batch::next(r, &stream, known, last),
            Flavour::Origins => {
                let step = origin::next(r, &stream, known, last, acks);
                if !step.is_question() {
                    let info = |name: &&str| ask(format!("$JS.API.STREAM.INFO.{name}"), "");
                    self.settle = STREAMS.iter().map(info).collect();
                }
                return step;
            }
            Flavour::Buckets => return bucket::next(r, known, last, acks),
            Flavour::All | Flavour::Streams | Flavour::Consumers | Flavour::Limits => {}
        }
        let kind = self.random.below(100);
        let about_streams = match self.flavour {
            Flavour::Streams => kind < 35,
            Flavour::Consumers => kind < 4,
            _ => kind < 20,
        };
        if about_streams || !self.streams.contains_key(&stream) {
            return self.of_stream(&stream);
        }
        let about_consumers = self.flavour != Flavour::Streams;
        if self.flavour == Flavour::Limits && self.made.is_multiple_of(4) {
            return ask("$JS.API.INFO".into(), "");
        }
        match self.random.below(100) {
            0..40 => self.publish(&stream),
            40..75 if about_consumers => self.of_consumer(&stream, acks),
            75..99 => self.of_message(&stream),
            _ => Step::Wait(Duration::from_millis(self.random.below(100))),
        }
    }

    /// Looks at what the servers said.
    pub(super) fn learn(&mut self, step: &Step, answer: &str) {
        let Step::Ask { payload, subject, .. } = step else { return };
        if subject.starts_with("$JS.API.STREAM.CREATE")
            && !answer.contains("\"error\"")
            && let Ok(config) = serde_json::from_slice::<Value>(payload)
            && let Some(name) = config["name"].as_str()
        {
            self.streams.insert(name.to_owned(), config.clone());
        }
        if let Some(name) = subject.strip_prefix("$JS.API.STREAM.DELETE.")
            && answer.contains("\"success\": true")
        {
            self.streams.remove(name);
            self.lasts.remove(name);
        }
        let body = answer.lines().skip(1).collect::<String>();
        let Ok(json) = serde_json::from_str::<Value>(&body) else { return };
        if let (Some(stream), Some(seq)) = (json["stream"].as_str(), json["seq"].as_u64()) {
            self.lasts.insert(stream.to_owned(), seq);
        }
        // When a stream that lost its origin asks again, is chance.
        if self.flavour == Flavour::Origins
            && subject == "$JS.API.STREAM.DELETE.S0"
            && answer.contains("\"success\": true")
        {
            self.settle = self.forget("");
        }
        // After that, the reference's consumers count what is gone as waiting.
        if let Some(name) = subject.strip_prefix("$JS.API.STREAM.PURGE.")
            && json["purged"] == 1
            && String::from_utf8_lossy(payload).contains("\"keep\"")
        {
            self.settle = self.forget(name);
        }
        if let Some(consumer) = subject.strip_prefix(PAUSE)
            && json["paused"] == true
        {
            self.paused.insert(consumer.to_owned());
        }
        if subject.starts_with("$JS.API.CONSUMER.") && json["config"].is_object() {
            self.learn_consumer(&json);
        }
    }

    /// A consumer of the reference that loses its filters hears of nothing any more: it goes.
    fn learn_consumer(&mut self, json: &Value) {
        let (Some(stream), Some(name)) = (json["stream_name"].as_str(), json["name"].as_str())
        else {
            return;
        };
        let at = format!("{stream}.{name}");
        let note = |names: &mut BTreeSet<String>, is: bool| {
            if is {
                names.insert(at.clone())
            } else {
                names.remove(&at)
            };
        };
        note(&mut self.paused, json["config"]["pause_until"].is_string());
        note(&mut self.lasting, json["config"]["deliver_policy"] == "last_per_subject");
        let (consumer, config) = ((stream.to_owned(), name.to_owned()), &json["config"]);
        if config["filter_subject"].is_string() || config["filter_subjects"].is_array() {
            self.filtered.insert(consumer);
        } else if self.filtered.remove(&consumer) {
            self.consumers.remove(&consumer);
            self.settle.push(ask(format!("$JS.API.CONSUMER.DELETE.{stream}.{name}"), ""));
        }
    }

    /// What makes both servers equal again after they differed about a stream.
    pub(super) fn forget(&mut self, stream: &str) -> Vec<Step> {
        let is_all = stream.is_empty() || self.flavour == Flavour::Origins;
        let names = if is_all { STREAMS.to_vec() } else { vec![stream] };
        names
            .into_iter()
            .map(|name| {
                self.streams.remove(name);
                self.consumers.retain(|(s, _), _| s != name);
                self.lasts.remove(name);
                ask(format!("$JS.API.STREAM.DELETE.{name}"), "")
            })
            .collect()
    }

    fn of_stream(&mut self, stream: &str) -> Step {
        let r = &mut self.random;
        let known = self.streams.contains_key(stream);
        let roll = r.below(100);
        if !known && roll < 80 || roll < 5 {
            let config = config::stream(r, stream);
            return ask(format!("$JS.API.STREAM.CREATE.{stream}"), config.to_string());
        }
        match roll {
            0..8 => {
                self.streams.remove(stream);
                self.consumers.retain(|(s, _), _| s != stream);
                let body = if r.one_in(20) { "x" } else { "" };
                ask(format!("$JS.API.STREAM.DELETE.{stream}"), body)
            }
            8..30 => {
                let mut config = self.streams.get(stream).cloned().unwrap_or(json!({}));
                if r.one_in(10) {
                    config = config::stream(r, stream);
                } else {
                    let other = config::stream(r, stream);
                    let fields = other.as_object().map(|o| o.keys().cloned().collect::<Vec<_>>());
                    let fields = fields.unwrap_or_default();
                    let field = &fields[r.below(fields.len() as u64) as usize];
                    config[field] = other[field].clone();
                }
                ask(format!("$JS.API.STREAM.UPDATE.{stream}"), config.to_string())
            }
            30..60 => {
                let bodies = [
                    "",
                    "{}",
                    r#"{"deleted_details":true}"#,
                    r#"{"subjects_filter":">"}"#,
                    r#"{"subjects_filter":"s0.*"}"#,
                    r#"{"subjects_filter":">","offset":1}"#,
                    r#"{"subjects_filter":">","offset":100}"#,
                    r#"{"subjects_filter":"nothing.here"}"#,
                    r#"{"offset":-1}"#,
                    "{",
                    "[]",
                    "null",
                ];
                let few = if r.one_in(2) { 4 } else { bodies.len() };
                ask(format!("$JS.API.STREAM.INFO.{stream}"), r.of(&bodies[..few]))
            }
            60..68 => {
                let bodies = [
                    "",
                    r#"{"offset":1}"#,
                    r#"{"offset":99}"#,
                    r#"{"subject":"s0.a"}"#,
                    r#"{"subject":"s1.>"}"#,
                    r#"{"subject":"none"}"#,
                    r#"{"subject":"s0..a"}"#,
                    r#"{"offset":-3}"#,
                    "{}",
                    "zz",
                ];
                let body = r.of(&bodies);
                ask(format!("$JS.API.STREAM.{}", r.of(&["NAMES", "LIST"])), body)
            }
            68..84 => {
                let last = self.lasts.get(stream).copied().unwrap_or(0);
                let mut body = json!({});
                if r.one_in(2) {
                    body["filter"] = config::filter(r, stream).into();
                }
                match r.below(5) {
                    0 | 1 => body["seq"] = (last.saturating_sub(3) + r.below(6)).into(),
                    2 | 3 => body["keep"] = r.below(4).into(),
                    _ => {}
                }
                let body = if r.one_in(4) { String::new() } else { body.to_string() };
                ask(format!("$JS.API.STREAM.PURGE.{stream}"), body)
            }
            84..88 => ask("$JS.API.INFO".into(), r.of(&["", "x", "{}"])),
            88..92 => {
                ask(format!("$JS.API.STREAM.{}.nope", r.of(&["INFO", "PURGE", "DELETE"])), "")
            }
            92..96 => {
                let what = [
                    "$JS.API.STREAM.LEADER.STEPDOWN.S0",
                    "$JS.API.STREAM.PEER.REMOVE.S0",
                    "$JS.API.META.LEADER.STEPDOWN",
                    "$JS.API.SERVER.REMOVE",
                    "$JS.API.CONSUMER.LEADER.STEPDOWN.S0.c0",
                    "$JS.API.STREAM.CREATE.a*b",
                    "$JS.API.STREAM.NOPE",
                    "$JS.API.STREAM.CREATE",
                    "$JS.API.STREAM.INFO",
                    "$JS.API.nope",
                ];
                Step::Ask {
                    subject: (*r.of(&what)).to_owned(),
                    headers: String::new(),
                    payload: r.of(&["", "{}"]).into(),
                    suffix: String::new(),
                    end: End::Fetch(1),
                }
            }
            _ => {
                let body = r.of(&["", "{", "{\"name\":\"S9\"}", "{\"bogus\":1}", "7"]);
                let verb = r.of(&["CREATE", "UPDATE"]);
                ask(format!("$JS.API.STREAM.{verb}.{stream}"), body)
            }
        }
    }

    fn publish(&mut self, stream: &str) -> Step {
        let last = self.lasts.get(stream).copied().unwrap_or(0);
        let r = &mut self.random;
        let mut headers = String::new();
        let near = |r: &mut Random| (last + r.below(3)).saturating_sub(1);
        while r.one_in(3) {
            let line = match r.below(16) {
                0..3 => format!("Nats-Msg-Id: m{}", r.below(12)),
                3 => format!("Nats-Expected-Stream: {}", r.of(STREAMS)),
                4 => format!("Nats-Expected-Last-Sequence: {}", near(r)),
                5 => format!("Nats-Expected-Last-Subject-Sequence: {}", near(r)),
                6 => format!(
                    "Nats-Expected-Last-Subject-Sequence: {}\r\nNats-Expected-Last-Subject-Sequence-Subject: {}",
                    near(r),
                    config::filter(r, stream)
                ),
                7 => format!("Nats-Expected-Last-Msg-Id: m{}", r.below(12)),
                8..10 => format!("Nats-Rollup: {}", r.of(&["all", "sub", "all", "sub", "bad"])),
                10..12 => {
                    format!("Nats-TTL: {}", r.of(&["1h", "never", "3600", "0", "1ms", "-1", "bad"]))
                }
                12 => format!("Nats-Required-Api-Level: {}", r.of(&["0", "1", "4", "99", "x"])),
                13 => format!("Nats-Incr: {}", r.of(&["1", "+2", "-3", "x"])),
                14 => r
                    .of(&[
                        "Nats-Expected-Last-Sequence: x",
                        "Nats-Expected-Last-Subject-Sequence: -1",
                        "Nats-Msg-Id:",
                        "Nats-Expected-Stream:",
                    ])
                    .to_owned(),
                _ => format!("Foo: {}", r.below(9)),
            };
            headers.push_str(&line);
            headers.push_str("\r\n");
        }
        let size = if r.one_in(10) { r.below(2000) } else { r.below(40) };
        let payload = "x".repeat(size as usize);
        let subject = config::subject(r, stream);
        message(subject, headers, payload)
    }

    fn of_message(&mut self, stream: &str) -> Step {
        let last = self.lasts.get(stream).copied().unwrap_or(0);
        let r = &mut self.random;
        let seq =
            if r.one_in(8) { r.below(4) } else { last.saturating_sub(r.below(6)) + r.below(2) };
        match r.below(10) {
            0..2 => {
                let mut body = json!({"seq": seq});
                if r.one_in(2) {
                    body["no_erase"] = true.into();
                }
                let body = if r.one_in(20) { "{}".to_owned() } else { body.to_string() };
                ask(format!("$JS.API.STREAM.MSG.DELETE.{stream}"), body)
            }
            2..5 => {
                let body = self.get(stream, seq);
                ask(format!("$JS.API.STREAM.MSG.GET.{stream}"), body.to_string())
            }
            _ => self.direct(stream, seq),
        }
    }

    fn get(&mut self, stream: &str, seq: u64) -> Value {
        let r = &mut self.random;
        match r.below(8) {
            0..3 => json!({"seq": seq}),
            3 => json!({"last_by_subj": config::subject(r, stream)}),
            4 => json!({"last_by_subj": config::filter(r, stream)}),
            5 => json!({"seq": seq, "next_by_subj": config::filter(r, stream)}),
            6 => json!({"next_by_subj": config::filter(r, stream)}),
            _ => json!({"seq": seq, "last_by_subj": config::subject(r, stream)}),
        }
    }

    fn direct(&mut self, stream: &str, seq: u64) -> Step {
        let roll = self.random.below(10);
        if roll < 3 {
            let body = self.get(stream, seq).to_string();
            return single(format!("$JS.API.DIRECT.GET.{stream}"), body);
        }
        let r = &mut self.random;
        if roll < 5 {
            let subject = config::subject(r, stream);
            return single(format!("$JS.API.DIRECT.GET.{stream}.{subject}"), String::new());
        }
        let mut body = json!({});
        if r.one_in(2) {
            let mut filters = vec![config::filter(r, stream)];
            while r.one_in(3) {
                filters.push(config::filter(r, stream));
            }
            body["multi_last"] = filters.into();
            match r.below(5) {
                0 => body["up_to_seq"] = seq.into(),
                1 => {
                    body["up_to_time"] =
                        r.of(&["2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"]).into();
                }
                _ => {}
            }
        } else if r.one_in(8) {
            body["start_time"] = r.of(&["2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"]).into();
        } else {
            body["seq"] = seq.into();
        }
        if body.get("multi_last").is_none() && r.one_in(2) {
            body["next_by_subj"] = config::filter(r, stream).into();
        }
        if body.get("multi_last").is_none() || r.one_in(3) {
            body["batch"] = r.below(5).into();
        }
        if r.one_in(6) {
            body["max_bytes"] = r.of(&["1", "100", "1000"]).parse::<u64>().unwrap_or(1).into();
        }
        if r.one_in(10) {
            body["no_hdr"] = true.into();
        }
        let batch = body["batch"].as_u64().unwrap_or(0) > 0 || body.get("multi_last").is_some();
        Step::Ask {
            subject: format!("$JS.API.DIRECT.GET.{stream}"),
            headers: String::new(),
            payload: body.to_string().into(),
            suffix: String::new(),
            end: if batch { End::Batch } else { End::Fetch(1) },
        }
    }

    fn of_consumer(&mut self, stream: &str, acks: usize) -> Step {
        let last = self.lasts.get(stream).copied().unwrap_or(0);
        let r = &mut self.random;
        let name = r.of(CONSUMERS).to_owned();
        let config = self.consumers.get(&(stream.to_owned(), name.clone()));
        let known = config.is_some();
        // The reference forgets what is too large for a request then.
        let forgets = config.is_some_and(|c| c["deliver_policy"] == "last_per_subject");
        let roll = r.below(100);
        if !known && roll < 60 || roll < 6 {
            let mut config = config::consumer(r, &name, last);
            let mut action = r.of(&["", "", "", "create", "update", "bad"]);
            if known && r.one_in(2) {
                let old = self.consumers[&(stream.to_owned(), name.clone())].clone();
                let other = config;
                config = old;
                let fields: Vec<String> =
                    other.as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default();
                let field = &fields[r.below(fields.len() as u64) as usize];
                config[field] = other[field].clone();
                action = r.of(&["", "update"]);
            }
            if action != "bad" && action != "update" {
                self.consumers.insert((stream.to_owned(), name.clone()), config.clone());
            }
            let mut body = json!({"stream_name": stream, "config": config});
            if !action.is_empty() {
                body["action"] = action.into();
            }
            if r.one_in(12) {
                body["pedantic"] = true.into();
            }
            return ask(format!("$JS.API.CONSUMER.CREATE.{stream}.{name}"), body.to_string());
        }
        let ack = acks > 0 && roll < 55;
        match roll {
            _ if ack && roll < 30 => {
                let body = r.of(&[
                    "",
                    "+ACK",
                    "-NAK",
                    "+TERM",
                    "+TERM why not",
                    "+WPI",
                    "+NXT",
                    "+NXT 2",
                    r#"+NXT {"batch":1,"no_wait":true}"#,
                    r#"-NAK {"delay":3600000000000}"#,
                    "+ACK x",
                    "huh",
                    r#"-NAK {"delay":1}"#,
                ]);
                Step::Ack { which: r.below(acks as u64) as usize, body: body.to_owned() }
            }
            0..65 => {
                let batch = 1 + r.below(4);
                let mut body = json!({"batch": batch, "no_wait": true});
                if r.one_in(5) {
                    body = json!({"batch": batch, "expires": 20_000_000 + r.below(2) * 30_000_000});
                }
                if r.one_in(8) && !forgets {
                    body["max_bytes"] = (1 + r.below(300)).into();
                }
                if r.one_in(12) {
                    body["group"] = r.of(&["g", "h"]).into();
                }
                if r.one_in(12) {
                    body["min_pending"] = r.below(4).into();
                }
                if r.one_in(16) {
                    body["priority"] = r.below(12).into();
                }
                if r.one_in(20) {
                    body["idle_heartbeat"] = 10_000_000.into();
                }
                let body = match r.below(30) {
                    0 => String::from("{"),
                    1 => String::from("-1"),
                    2 => String::from(r#"{"batch":-1}"#),
                    3 => String::from(r#"{"batch":0,"no_wait":true}"#),
                    _ => body.to_string(),
                };
                fetch(format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"), body, batch as usize)
            }
            65..82 => ask(
                format!("$JS.API.CONSUMER.INFO.{stream}.{name}"),
                if r.one_in(20) { "x" } else { "" },
            ),
            82..86 => {
                let verb = r.of(&["NAMES", "LIST"]);
                let body = r.of(&["", r#"{"offset":1}"#, r#"{"offset":9}"#, "{}", "{"]);
                ask(format!("$JS.API.CONSUMER.{verb}.{stream}"), body)
            }
            86..90 => {
                self.consumers.remove(&(stream.to_owned(), name.clone()));
                ask(format!("$JS.API.CONSUMER.DELETE.{stream}.{name}"), "")
            }
            90..93 => {
                let body = r.of(&[
                    "",
                    "{}",
                    r#"{"pause_until":"2100-01-01T00:00:00Z"}"#,
                    r#"{"pause_until":"2020-01-01T00:00:00Z"}"#,
                    "x",
                    r#"{"pause_until":"bad"}"#,
                ]);
                ask(format!("$JS.API.CONSUMER.PAUSE.{stream}.{name}"), body)
            }
            93..97 => {
                let seq = last.saturating_sub(2) + r.below(4);
                let bodies = [String::new(), "{}".into(), format!("{{\"seq\":{seq}}}"), "x".into()];
                let body = &bodies[r.below(4) as usize];
                ask(format!("$JS.API.CONSUMER.RESET.{stream}.{name}"), body.as_str())
            }
            97..99 => {
                let body = r.of(&["", "{}", r#"{"group":"g"}"#, r#"{"group":"h"}"#]);
                ask(format!("$JS.API.CONSUMER.UNPIN.{stream}.{name}"), body)
            }
            _ => {
                let body = r.of(&["", "{", "{}", r#"{"stream_name":"S9","config":{}}"#]);
                ask(format!("$JS.API.CONSUMER.CREATE.{stream}.{name}"), body)
            }
        }
    }
}

/// A request with one answer.
pub(super) fn ask(subject: String, payload: impl Into<Vec<u8>>) -> Step {
    Step::Ask {
        subject,
        headers: String::new(),
        payload: payload.into(),
        suffix: String::new(),
        end: End::One,
    }
}

/// A request that may have no answer.
pub(super) fn single(subject: String, payload: impl Into<Vec<u8>>) -> Step {
    fetch(subject, payload, 1)
}

/// A request with several answers.
pub(super) fn fetch(subject: String, payload: impl Into<Vec<u8>>, count: usize) -> Step {
    message(subject, String::new(), payload).with_end(End::Fetch(count))
}

/// A message with headers.
pub(super) fn message(subject: String, headers: String, payload: impl Into<Vec<u8>>) -> Step {
    Step::Ask {
        subject,
        headers,
        payload: payload.into(),
        suffix: String::new(),
        end: End::Fetch(1),
    }
}
