//! The API on `$JS.API.>`: which request goes to which handler, and how answers leave.
//!
//! A request that names a stream runs on the shard of that stream; one that names none on the
//! first shard, which asks the others.
//! Reference: jetstream_api.go.   Parity: API-*.

mod account;
mod direct;
mod list;
mod message;
mod stream;

use std::sync::atomic::Ordering;

use bytes::Bytes;
use jetstream_api::response::{Body, Response};
use jetstream_api::{ApiError, Document, Unknown, json};
use jetstream_core::{Out, Outgoing};

use crate::event::ApiRequest;
use crate::shard::Shard;

pub(crate) use stream::info as stream_info;

/// The level of the API this server speaks.
pub(crate) const LEVEL: i64 = 4;

/// What a request came to.
pub(crate) type Outcome<B> = Result<B, ApiError>;

impl ApiRequest {
    /// What stands after the prefix, by token.
    fn verb(&self) -> Vec<&str> {
        let rest = self.subject.get(self.prefix..).unwrap_or_default();
        std::str::from_utf8(rest).map(|text| text.split('.').collect()).unwrap_or_default()
    }
}

/// The stream a request is about, if it names one: it decides who handles it.
pub(crate) fn stream_of(rest: &[u8]) -> Option<&str> {
    let mut tokens = std::str::from_utf8(rest).ok()?.split('.');
    match (tokens.next()?, tokens.next()?) {
        ("STREAM", "MSG" | "LEADER" | "PEER") => {
            tokens.next();
            tokens.next()
        }
        ("STREAM", "NAMES" | "LIST") => None,
        ("STREAM", _) => tokens.next(),
        ("CONSUMER", "DURABLE" | "MSG" | "LEADER") => {
            tokens.next();
            tokens.next()
        }
        ("CONSUMER", _) => tokens.next(),
        _ => None,
    }
}

impl Shard {
    pub(crate) fn handle_api(&mut self, request: ApiRequest) {
        // Everything published before it counts.
        self.settle();
        request.account.inflight().fetch_sub(1, Ordering::Relaxed);
        let verb = request.verb();
        match verb.as_slice() {
            ["INFO"] => self.account_info(&request),
            ["STREAM", "CREATE", name] => self.stream_create(&request, name),
            ["STREAM", "UPDATE", name] => self.stream_update(&request, name),
            ["STREAM", "NAMES"] => self.stream_names(&request),
            ["STREAM", "LIST"] => self.stream_list(&request),
            ["STREAM", "INFO", name] => self.stream_info(&request, name),
            ["STREAM", "DELETE", name] => self.stream_delete(&request, name),
            ["STREAM", "PURGE", name] => self.stream_purge(&request, name),
            ["STREAM", "MSG", "GET", name] => self.message_get(&request, name),
            ["STREAM", "MSG", "DELETE", name] => self.message_delete(&request, name),
            // Compat(API-034): nobody answers what nobody knows.
            _ => {}
        }
    }

    /// Answers, and counts the request.
    fn respond<B: Body>(&mut self, request: &ApiRequest, outcome: Outcome<B>) {
        let failed = outcome.is_err();
        request.account.count_request(failed);
        self.shared.api_total.fetch_add(1, Ordering::Relaxed);
        if failed {
            self.shared.api_errors.fetch_add(1, Ordering::Relaxed);
        }
        self.reply(request, outcome);
    }

    /// Answers a request that is not counted.
    fn reply<B: Body>(&mut self, request: &ApiRequest, outcome: Outcome<B>) {
        let Some(reply) = request.reply.clone() else { return };
        let body = json::to_json(&Response::from(outcome));
        let account = request.account.account.clone();
        self.out(u32::MAX, &account).send(Outgoing::new(&reply, b"", &body));
    }

    /// Decodes a body as strictly as the configuration wants it.
    fn decode<T: Document>(&self, body: &Bytes) -> Outcome<T> {
        let unknown = if self.shared.config.strict { Unknown::Refused } else { Unknown::Ignored };
        json::request(body, unknown).map_err(ApiError::invalid_json)
    }

    /// Where a stream is on this shard.
    fn find(&self, request: &ApiRequest, name: &str) -> Outcome<u32> {
        let entry = request.account.find(name).filter(|e| e.shard == self.index);
        entry.and_then(|e| e.place).ok_or_else(ApiError::stream_not_found)
    }
}
