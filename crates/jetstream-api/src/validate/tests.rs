//! Conversations with the reference, held again with the rules.
//!
//! `testdata/*.txt` was recorded from a server: a request's subject and body, and below it the
//! configuration (`= json`) or the error (`! code err_code text`) of its answer. An account is played
//! here with just enough behind it that the rules can be asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{AccountLimits, Consumers, ServerLimits, Used, consumer, stream};
use crate::json::{self, Unknown};
use crate::subject::Request;
use crate::{
    ApiError, ConsumerConfig, CreateConsumerRequest, JetStreamAccountLimits, Nanos, StorageType,
    StreamConfig, StreamConfigRequest, level, to_json,
};

type ConsumerMap = BTreeMap<String, Arc<ConsumerConfig>>;

/// An account and the server it is on.
#[derive(Default)]
struct Played {
    server: ServerLimits,
    account: AccountLimits,
    streams: BTreeMap<String, Arc<StreamConfig>>,
    consumers: BTreeMap<String, ConsumerMap>,
    listened: BTreeSet<String>,
}

/// A stream's consumers, and who listens.
struct Behind<'a> {
    consumers: &'a ConsumerMap,
    listened: &'a BTreeSet<String>,
}

impl Consumers for Behind<'_> {
    fn consumer(&self, name: &str) -> Option<Arc<ConsumerConfig>> {
        self.consumers.consumer(name)
    }
    fn counted(&self) -> usize {
        self.consumers.counted()
    }
    fn is_free(&self, filters: &[&str], except: &str) -> bool {
        self.consumers.is_free(filters, except)
    }
    fn is_bound(&self, deliver_subject: &str) -> bool {
        self.listened.contains(deliver_subject)
    }
}

impl Played {
    fn new(server: ServerLimits, account: AccountLimits) -> Self {
        Self { server, account, ..Self::default() }
    }

    fn reset(&mut self) {
        self.streams.clear();
        self.consumers.clear();
        self.listened.clear();
    }

    fn used(&self) -> Used {
        let sum = |storage| {
            let all = self.streams.values().filter(|s| s.storage == storage);
            all.map(|s| s.max_bytes.max(0)).sum()
        };
        Used { memory: sum(StorageType::Memory), storage: sum(StorageType::File) }
    }

    fn answer(&mut self, subject: &str, body: &str) -> Result<Vec<u8>, ApiError> {
        let request = Request::parse(subject.as_bytes()).expect("a known subject");
        match request {
            Request::StreamCreate { stream } => self.create(stream, body),
            Request::StreamUpdate { stream } => self.update(stream, body),
            _ => self.consume(&request, body),
        }
    }

    fn context(&self) -> stream::Context<'_> {
        stream::Context {
            server: &self.server,
            used: self.used(),
            account: &self.account,
            streams: &self.streams,
            clustered: false,
        }
    }

    fn create(&mut self, name: &str, body: &str) -> Result<Vec<u8>, ApiError> {
        let request: StreamConfigRequest =
            json::request(body.as_bytes(), Unknown::Refused).map_err(ApiError::invalid_json)?;
        let config = match stream::create(name, &request, &self.context())? {
            stream::Created::New(config) => Arc::new(config),
            stream::Created::Same(config) => config,
        };
        self.streams.insert(name.to_owned(), Arc::clone(&config));
        Ok(shown_stream(&config))
    }

    fn update(&mut self, name: &str, body: &str) -> Result<Vec<u8>, ApiError> {
        let request: StreamConfigRequest =
            json::request(body.as_bytes(), Unknown::Refused).map_err(ApiError::invalid_json)?;
        let consumers = self.consumers.get(name).into_iter().flatten();
        let consumers = consumers.map(|(name, config)| (name.as_str(), &**config));
        let config = stream::update(name, &request, consumers, &self.context())?;
        let answer = shown_stream(&config);
        self.streams.insert(name.to_owned(), Arc::new(config));
        Ok(answer)
    }

    fn consume(&mut self, subject: &Request<'_>, body: &str) -> Result<Vec<u8>, ApiError> {
        let mut request: CreateConsumerRequest =
            json::request(body.as_bytes(), Unknown::Refused).map_err(ApiError::invalid_json)?;
        consumer::check_subject(subject, &mut request, false)?;
        let name = request.stream_name.clone();
        let stream = self.streams.get(&name).ok_or_else(ApiError::stream_not_found)?;
        let consumers = self.consumers.entry(name).or_default();
        let context = consumer::Context {
            server: &self.server,
            account: &self.account,
            stream,
            consumers: &Behind { consumers, listened: &self.listened },
            clustered: false,
        };
        let made = consumer::create(request, &context, || "RANDOM".to_owned())?;
        let (consumer::Created::New(name, config) | consumer::Created::Changed(name, config)) =
            made;
        let mut shown = (*config).clone();
        shown.metadata = level::shown(&shown.metadata, "2.14.5");
        consumers.insert(name, Arc::new(*config));
        Ok(to_json(&shown))
    }
}

fn shown_stream(config: &StreamConfig) -> Vec<u8> {
    let mut shown = config.clone();
    shown.metadata = level::shown(&shown.metadata, "2.14.5");
    to_json(&shown)
}

/// Replaces `<<text*times>>`.
fn expanded(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("<<") {
        let (inside, after) = after.split_once(">>").expect("an end");
        let (text, times) = inside.rsplit_once('*').expect("a count");
        out.push_str(before);
        out.push_str(&text.repeat(times.parse().expect("a number")));
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Holds the conversation again; returns the number of answers compared.
fn play(text: &str, mut played: Played) -> usize {
    let mut macros = Vec::new();
    let mut wrong = Vec::new();
    let mut compared = 0;
    let mut last = None;
    for (at, line) in text.lines().enumerate() {
        if line.is_empty() {
            played.reset();
        } else if line.starts_with('#') {
        } else if let Some(definition) = line.strip_prefix("let ") {
            macros.push(definition.split_once(' ').expect("a name and a text"));
        } else if let Some(subject) = line.strip_prefix("SUB ") {
            played.listened.insert(subject.to_owned());
        } else if line.starts_with("= ") || line.starts_with("! ") {
            let mut want = line.to_owned();
            // A later one may hold an earlier one.
            for (name, value) in macros.iter().rev() {
                want = want.replace(name, value);
            }
            let (request, answer): (String, Result<Vec<u8>, ApiError>) =
                last.take().expect("a request above");
            let got = match answer {
                Ok(config) => format!("= {}", String::from_utf8(config).expect("JSON")),
                Err(e) => format!("! {} {} {}", e.code, e.err_code, e.description),
            };
            compared += 1;
            if got != expanded(&want) {
                wrong.push(format!("line {}: {request}\n  want {want}\n   got {got}", at + 1));
            }
        } else {
            let (subject, body) = line.split_once(' ').expect("a subject and a body");
            let answer = played.answer(&expanded(subject), &expanded(body));
            last = Some((line.to_owned(), answer));
        }
    }
    assert!(wrong.is_empty(), "{} wrong answers\n{}", wrong.len(), wrong.join("\n"));
    compared
}

fn plain_server() -> ServerLimits {
    ServerLimits { max_memory: 64_000_000, max_storage: 1_000_000_000, ..ServerLimits::default() }
}

// Contract: STREAM-001, STREAM-002, STREAM-003, STREAM-005, STREAM-006, STREAM-007, STREAM-008
// Contract: STREAM-009, STREAM-010, STREAM-011, STREAM-012, STREAM-013, STREAM-017, STREAM-018
// Contract: STREAM-020, STREAM-021, STREAM-022, STREAM-023, STREAM-024, STREAM-025, STREAM-034
// Contract: STREAM-035, STREAM-038, STREAM-039, STREAM-040, STREAM-041, STREAM-042, STREAM-043
// Contract: STREAM-080
#[test]
fn streams_get_the_configuration_or_the_error_of_the_reference() {
    let played = Played::new(plain_server(), AccountLimits::unlimited());
    let compared = play(include_str!("../../testdata/stream.txt"), played);
    assert!(compared > 500, "{compared}");
}

// Contract: API-021, API-022, API-023, API-024, API-025, CONS-001, CONS-005, CONS-006, CONS-010
// Contract: CONS-023, CONS-024, CONS-031
#[test]
fn consumers_get_the_configuration_or_the_error_of_the_reference() {
    let played = Played::new(plain_server(), AccountLimits::unlimited());
    let compared = play(include_str!("../../testdata/consumer.txt"), played);
    assert!(compared > 500, "{compared}");
}

// Contract: STREAM-009, STREAM-016
#[test]
fn limits_of_server_and_account_are_those_of_the_reference() {
    let server = ServerLimits {
        duplicate_window: Nanos::from_secs(60),
        max_ack_pending: 500,
        max_request_batch: 100,
        ..plain_server()
    };
    let account = JetStreamAccountLimits {
        max_memory: 1_000_000,
        max_storage: 10_000_000,
        max_streams: 3,
        max_consumers: 4,
        max_ack_pending: 300,
        max_bytes_required: true,
        memory_max_stream_bytes: 500_000,
        storage_max_stream_bytes: 6_000_000,
    };
    let played = Played::new(server, AccountLimits::untiered(account));
    let compared = play(include_str!("../../testdata/limits.txt"), played);
    assert!(compared > 60, "{compared}");
}
