//! JetStream's part of what operators see.
//!
//! Law: a stream that a client made badly, or that damage took, is named, but does not keep the
//!      server from starting.

use std::collections::BTreeMap;

use jetstream::Shared;
use jetstream::snapshot::{AccountSnapshot, Ask, MemberSnapshot, Snapshot, StreamSnapshot};
use monitor::{
    HealthError, HealthErrorKind, HealthzOptions, JetStreamAccount, JetStreamConfig,
    JetStreamFacts, JetStreamHealth, JetStreamStream, JszOptions,
};
use serde_json::value::RawValue;

use crate::Node;

fn raw(json: Vec<u8>) -> Option<Box<RawValue>> {
    RawValue::from_string(String::from_utf8(json).ok()?).ok()
}

fn bytes(limit: Option<u64>) -> i64 {
    limit.map_or(-1, |n| i64::try_from(n).unwrap_or(i64::MAX))
}

fn config(shared: &Shared, options: &config::Options) -> JetStreamConfig {
    let (config, room) = (&shared.config, shared.room());
    let is_given = |limit: Option<i64>| limit.is_some_and(|limit| limit > 0);
    let given = is_given(options.jetstream.max_memory) && is_given(options.jetstream.max_store);
    JetStreamConfig {
        max_memory: bytes(room.memory),
        max_storage: bytes(room.store),
        store_dir: config.store_dir.display().to_string(),
        sync_interval: i64::try_from(config.sync_within.as_nanos()).unwrap_or(i64::MAX),
        sync_always: config.sync_always,
        domain: config.domain.clone().unwrap_or_default(),
        // As in the reference: told only where the configuration sets both limits.
        compress_ok: given,
        strict: config.strict,
    }
}

fn limits(shared: &Shared) -> BTreeMap<String, i64> {
    let mut limits = BTreeMap::new();
    let config = &shared.config;
    let window = config.max_duplicate_window.map(|d| i64::try_from(d.as_nanos()).unwrap_or(0));
    for (name, value) in [
        ("max_request_batch", config.max_request_batch),
        ("max_ack_pending", config.max_ack_pending),
        ("duplicate_window", window),
    ] {
        if let Some(value) = value {
            limits.insert(name.to_owned(), value);
        }
    }
    limits
}

fn stream(of: StreamSnapshot) -> JetStreamStream {
    let public = of.members.iter().filter(|m| !m.direct).count() as u64;
    let (direct, members): (Vec<_>, Vec<_>) = of.members.into_iter().partition(|m| m.direct);
    let infos = |members: Vec<MemberSnapshot>| {
        members.into_iter().filter_map(|m| raw(m.info)).collect::<Vec<_>>()
    };
    JetStreamStream {
        name: of.name,
        created: of.created,
        config: raw(of.config),
        state: raw(of.state),
        messages: of.messages,
        bytes: of.bytes,
        consumer_count: of.consumers,
        public_consumers: public,
        consumers: infos(members),
        direct_consumers: infos(direct),
        mirror: of.origins.mirror.and_then(raw),
        sources: of.origins.sources.into_iter().filter_map(raw).collect(),
    }
}

fn account(of: AccountSnapshot) -> JetStreamAccount {
    JetStreamAccount {
        name: of.name,
        memory: of.memory,
        storage: of.storage,
        granted: of.granted,
        requests: (of.requests, of.errors),
        streams: of.streams.into_iter().map(stream).collect(),
    }
}

impl Node {
    pub(crate) fn jetstream_facts(&self, options: &JszOptions) -> Option<JetStreamFacts> {
        let shared = self.jetstream.load_full()?;
        let ask = Ask {
            account: None,
            streams: options.streams || options.consumer,
            consumers: options.consumer,
            configs: options.config,
        };
        let snapshot = shared.snapshot(&ask);
        let reserved = |of: fn(&AccountSnapshot) -> u64| snapshot.accounts.iter().map(of).sum();
        Some(JetStreamFacts {
            config: config(&shared, &self.options()),
            limits: limits(&shared),
            reserved_memory: reserved(|a| a.reserved_memory),
            reserved_storage: reserved(|a| a.reserved_storage),
            requests: shared.api_counts(),
            accounts: snapshot.accounts.into_iter().map(account).collect(),
        })
    }

    pub(crate) fn check_jetstream(&self, options: &HealthzOptions) -> JetStreamHealth {
        let Some(shared) = self.jetstream.load_full() else { return JetStreamHealth::Off };
        if options.js_enabled || options.js_enabled_only || options.js_meta_only {
            return JetStreamHealth::Healthy;
        }
        check(options, &shared.snapshot(&Ask::default()))
    }
}

fn fault(kind: HealthErrorKind, options: &HealthzOptions, error: String) -> HealthError {
    HealthError {
        kind,
        account: options.account.clone(),
        stream: options.stream.clone(),
        consumer: options.consumer.clone(),
        error,
    }
}

/// What was asked about must be there; everything there must take messages.
fn check(options: &HealthzOptions, snapshot: &Snapshot) -> JetStreamHealth {
    let (account, stream, consumer) = (&options.account, &options.stream, &options.consumer);
    let quote = |text: &str| stdx::go_text::quote(text.as_bytes());
    let missing = |kind, error| JetStreamHealth::Faults(404, vec![fault(kind, options, error)]);
    let mut accounts: Vec<&AccountSnapshot> = snapshot.accounts.iter().collect();
    if !account.is_empty() {
        // Compat(MON-021): an account without streams is not found.
        accounts.retain(|a| a.name == *account && !a.streams.is_empty());
        if accounts.is_empty() {
            let error = format!("JetStream account {} not found", quote(account));
            let asked = HealthzOptions { account: account.clone(), ..HealthzOptions::default() };
            let fault = fault(HealthErrorKind::Account, &asked, error);
            return JetStreamHealth::Faults(404, vec![fault]);
        }
    }
    if !stream.is_empty() {
        let found = accounts.iter().flat_map(|a| &a.streams).find(|s| s.name == *stream);
        let Some(found) = found else {
            let text = format!(
                "JetStream stream {} not found on account {}",
                quote(stream),
                quote(account)
            );
            return missing(HealthErrorKind::Stream, text);
        };
        if !consumer.is_empty() && !found.members.iter().any(|m| m.name == *consumer) {
            let text = format!(
                "JetStream consumer {} not found for stream {} on account {}",
                quote(consumer),
                quote(stream),
                quote(account)
            );
            return missing(HealthErrorKind::Consumer, text);
        }
    }
    let mut faults = Vec::new();
    for (owner, name, why) in &snapshot.broken {
        if (account.is_empty() || owner == account) && (stream.is_empty() || name == stream) {
            let text = format!("JetStream stream '{owner} > {name}' could not be recovered: {why}");
            faults.push(of_stream(owner, name, text));
        }
    }
    for a in accounts {
        for s in a.streams.iter().filter(|s| stream.is_empty() || s.name == *stream) {
            if let Some(why) = &s.failure {
                let text = format!("JetStream stream '{} > {}' write error: {why}", a.name, s.name);
                faults.push(of_stream(&a.name, &s.name, text));
            }
        }
    }
    if faults.is_empty() { JetStreamHealth::Healthy } else { JetStreamHealth::Faults(503, faults) }
}

fn of_stream(account: &str, stream: &str, error: String) -> HealthError {
    HealthError {
        kind: HealthErrorKind::Stream,
        account: account.to_owned(),
        stream: stream.to_owned(),
        consumer: String::new(),
        error,
    }
}
