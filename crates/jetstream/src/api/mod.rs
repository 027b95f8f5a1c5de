//! The API on `$JS.API.>`: which request goes to which handler, and how answers leave.
//!
//! A request that names a stream runs on the shard of that stream; one that names none on the
//! first shard, which asks the others.
//! Reference: jetstream_api.go.   Parity: API-*.

mod account;
mod account_purge;
mod consumer;
mod direct;
mod list;
mod message;
mod stream;

use std::sync::atomic::Ordering;

use bytes::Bytes;
use jetstream_api::response::{
    AccountInfoBody, Body, ConsumerCreate, ConsumerDelete, ConsumerInfoBody,
    ConsumerLeaderStepDown, ConsumerList, ConsumerNames, ConsumerPause, ConsumerReset,
    ConsumerUnpin, MsgDelete, MsgGet, Response, StreamCreate, StreamDelete, StreamInfoBody,
    StreamLeaderStepDown, StreamList, StreamNames, StreamPurge, StreamRemovePeer, StreamRestore,
    StreamSnapshot, StreamUpdate,
};
use jetstream_api::subject::Request;
use jetstream_api::{ApiError, ClusterInfo, Document, Unknown, json, level};
use jetstream_core::{Out, Outgoing};

use crate::answers::Answers;
use crate::event::ApiRequest;
use crate::shard::Shard;

pub(crate) use consumer::open_files;
pub(crate) use stream::info as stream_info;

/// What a request came to.
pub(crate) type Outcome<B> = Result<B, ApiError>;

/// The stream a request is about, if it names one: it decides who handles it.
pub(crate) fn stream_of(rest: &[u8]) -> Option<&str> {
    match Request::parse(rest)? {
        Request::StreamCreate { stream }
        | Request::StreamUpdate { stream }
        | Request::StreamInfo { stream }
        | Request::StreamDelete { stream }
        | Request::StreamPurge { stream }
        | Request::StreamSnapshot { stream }
        | Request::StreamRestore { stream }
        | Request::MsgDelete { stream }
        | Request::MsgGet { stream }
        | Request::StreamRemovePeer { stream }
        | Request::StreamLeaderStepDown { stream }
        | Request::ConsumerCreateEphemeral { stream }
        | Request::ConsumerCreate { stream, .. }
        | Request::ConsumerCreateDurable { stream, .. }
        | Request::ConsumerNames { stream }
        | Request::ConsumerList { stream }
        | Request::ConsumerInfo { stream, .. }
        | Request::ConsumerDelete { stream, .. }
        | Request::ConsumerPause { stream, .. }
        | Request::ConsumerUnpin { stream, .. }
        | Request::ConsumerReset { stream, .. }
        | Request::ConsumerNext { stream, .. }
        | Request::ConsumerLeaderStepDown { stream, .. }
        | Request::DirectGet { stream }
        | Request::DirectGetLast { stream, .. } => Some(stream),
        Request::AccountInfo
        | Request::StreamNames
        | Request::StreamList
        | Request::MetaLeaderStepDown
        | Request::ServerRemove
        | Request::AccountPurge { .. }
        | Request::StreamMove { .. }
        | Request::StreamCancelMove { .. } => None,
    }
}

impl Shard {
    pub(crate) fn handle_api(&mut self, request: &ApiRequest) {
        // Everything published before it counts.
        self.settle();
        if !self.admit(request) {
            return;
        }
        let subject = request.subject.clone();
        let rest = subject.get(request.prefix..).unwrap_or_default();
        // Compat(API-034): nobody answers what nobody knows.
        let Some(asked) = Request::parse(rest) else { return };
        let level = wire::header::get(&request.header, level::REQUIRED_HEADER.as_bytes());
        if level::refuses(level) {
            return self.refuse_as(request, ApiError::required_api_level());
        }
        match asked {
            Request::AccountInfo => self.account_info(request),
            Request::StreamCreate { stream } => self.stream_create(request, stream),
            Request::StreamUpdate { stream } => self.stream_update(request, stream),
            Request::StreamNames => self.stream_names(request),
            Request::StreamList => self.stream_list(request),
            Request::StreamInfo { stream } => self.stream_info(request, stream),
            Request::StreamDelete { stream } => self.stream_delete(request, stream),
            Request::StreamPurge { stream } => self.stream_purge(request, stream),
            Request::MsgGet { stream } => self.message_get(request, stream),
            Request::MsgDelete { stream } => self.message_delete(request, stream),
            Request::ConsumerCreateEphemeral { .. }
            | Request::ConsumerCreate { .. }
            | Request::ConsumerCreateDurable { .. } => self.consumer_create(request, &asked),
            Request::ConsumerNames { stream } => self.consumer_names(request, stream),
            Request::ConsumerList { stream } => self.consumer_list(request, stream),
            Request::ConsumerInfo { stream, consumer } => {
                self.consumer_info(request, stream, consumer);
            }
            Request::ConsumerDelete { stream, consumer } => {
                self.consumer_delete(request, stream, consumer);
            }
            Request::ConsumerPause { stream, consumer } => {
                self.consumer_pause(request, stream, consumer);
            }
            Request::ConsumerUnpin { stream, consumer } => {
                self.consumer_unpin(request, stream, consumer);
            }
            Request::ConsumerReset { stream, consumer } => {
                self.consumer_reset(request, stream, consumer);
            }
            Request::StreamSnapshot { stream } => self.stream_snapshot(request, stream),
            Request::StreamRestore { stream } => self.stream_restore(request, stream),
            _ => self.refuse_alone(request, &asked),
        }
    }

    /// Who is behind an asset: this server and nobody else.
    fn standing_alone(&self) -> ClusterInfo {
        ClusterInfo { leader: self.shared.config.server_name.clone(), ..ClusterInfo::default() }
    }

    /// Refuses a request with the document that would answer it.
    pub(crate) fn refuse_as(&mut self, request: &ApiRequest, error: ApiError) {
        let rest = request.subject.get(request.prefix..).unwrap_or_default();
        let Some(asked) = Request::parse(rest) else { return };
        match asked {
            Request::AccountInfo => self.refuse::<AccountInfoBody>(request, error),
            Request::StreamCreate { .. } => self.refuse::<StreamCreate>(request, error),
            Request::StreamUpdate { .. } => self.refuse::<StreamUpdate>(request, error),
            Request::StreamNames => self.refuse::<StreamNames>(request, error),
            Request::StreamList => self.refuse::<StreamList>(request, error),
            Request::StreamInfo { .. } => self.refuse::<StreamInfoBody>(request, error),
            Request::StreamDelete { .. } => self.refuse::<StreamDelete>(request, error),
            Request::StreamPurge { .. } => self.refuse::<StreamPurge>(request, error),
            Request::StreamSnapshot { .. } => self.refuse::<StreamSnapshot>(request, error),
            Request::StreamRestore { .. } => self.refuse::<StreamRestore>(request, error),
            Request::MsgGet { .. } => self.refuse::<MsgGet>(request, error),
            Request::MsgDelete { .. } => self.refuse::<MsgDelete>(request, error),
            Request::ConsumerCreateEphemeral { .. }
            | Request::ConsumerCreate { .. }
            | Request::ConsumerCreateDurable { .. } => {
                self.refuse::<ConsumerCreate>(request, error);
            }
            Request::ConsumerNames { .. } => self.refuse::<ConsumerNames>(request, error),
            Request::ConsumerList { .. } => self.refuse::<ConsumerList>(request, error),
            Request::ConsumerInfo { .. } => self.refuse::<ConsumerInfoBody>(request, error),
            Request::ConsumerDelete { .. } => self.refuse::<ConsumerDelete>(request, error),
            Request::ConsumerPause { .. } => self.refuse::<ConsumerPause>(request, error),
            Request::ConsumerUnpin { .. } => self.refuse::<ConsumerUnpin>(request, error),
            Request::ConsumerReset { .. } => self.refuse::<ConsumerReset>(request, error),
            _ => self.refuse_alone(request, &asked),
        }
    }

    /// What needs a cluster, whoever asks.
    fn refuse_alone(&mut self, request: &ApiRequest, asked: &Request<'_>) {
        let error = ApiError::cluster_required();
        match asked {
            Request::StreamLeaderStepDown { .. } => {
                self.refuse::<StreamLeaderStepDown>(request, error);
            }
            Request::StreamRemovePeer { .. } => self.refuse::<StreamRemovePeer>(request, error),
            Request::ConsumerLeaderStepDown { .. } => {
                self.refuse::<ConsumerLeaderStepDown>(request, error);
            }
            // Silence: only leaders of a cluster answer these.
            _ => {}
        }
    }

    pub(crate) fn refuse<B: Body>(&mut self, request: &ApiRequest, error: ApiError) {
        self.respond::<B>(request, Err(error));
    }

    /// Answers, and counts the request.
    pub(crate) fn respond<B: Body>(&mut self, request: &ApiRequest, outcome: Outcome<B>) {
        // What the request changed is written before it is answered.
        self.catch_up();
        self.count(request, outcome.is_err());
        let body = self.reply(request, outcome);
        self.audit(request, &body);
    }

    /// Answers a request that removed something from a stream, once that is as safe as what is
    /// published: before, a crash could bring it back.
    pub(crate) fn respond_safely<B: Body>(
        &mut self,
        request: &ApiRequest,
        name: &str,
        outcome: Outcome<B>,
    ) {
        self.catch_up();
        let shared = self.shared.clone();
        let at = self.find(request, name).ok().filter(|_| outcome.is_ok());
        let waits = at.and_then(|at| {
            let place = self.places.get_mut(at as usize)?.as_deref_mut()?;
            let ticket = place.stream.store_ref().ticket();
            let safe = place.safe(&shared) >= ticket || place.stream.failure().is_some();
            (!safe).then_some((at, ticket))
        });
        let Some((at, ticket)) = waits else { return self.respond(request, outcome) };
        self.count(request, false);
        let body = json::to_json(&Response::from(outcome));
        self.audit(request, &body);
        let Some(reply) = &request.reply else { return };
        let failed: Outcome<B> = Err(ApiError::stream_general("the disk failed"));
        let mut answers = Answers::default();
        answers.push_with(at, reply, &body, &json::to_json(&Response::from(failed)));
        if let Some(place) = self.place(at) {
            place.held.push_back((ticket, answers));
        }
    }

    fn count(&self, request: &ApiRequest, failed: bool) {
        request.account.count_request(failed);
        self.shared.api_total.fetch_add(1, Ordering::Relaxed);
        if failed {
            self.shared.api_errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Answers a request that is not counted.
    pub(super) fn reply<B: Body>(&mut self, request: &ApiRequest, outcome: Outcome<B>) -> Vec<u8> {
        let body = json::to_json(&Response::from(outcome));
        let Some(reply) = request.reply.clone() else { return body };
        let account = request.account.account.clone();
        self.lent.out(u32::MAX, &account).send(Outgoing::new(&reply, b"", &body));
        body
    }

    /// Decodes a body as strictly as the configuration wants it.
    pub(crate) fn decode<T: Document>(&self, body: &Bytes) -> Outcome<T> {
        let unknown = if self.shared.config.strict { Unknown::Refused } else { Unknown::Ignored };
        json::request(body, unknown).map_err(ApiError::invalid_json)
    }

    /// Where a stream is on this shard, with the account's table at hand.
    fn find_in(&self, streams: &crate::account::Streams, name: &str) -> Outcome<u32> {
        let entry = streams.get(name).filter(|e| e.shard == self.index);
        entry.and_then(|e| e.place).ok_or_else(ApiError::stream_not_found)
    }

    /// Where a stream is on this shard.
    pub(crate) fn find(&self, request: &ApiRequest, name: &str) -> Outcome<u32> {
        let entry = request.account.find(name).filter(|e| e.shard == self.index);
        entry.and_then(|e| e.place).ok_or_else(ApiError::stream_not_found)
    }
}
