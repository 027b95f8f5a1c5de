//! `/jsz`: JetStream, its accounts, streams and consumers.
//!
//! Laws: the parameters are checked even though nothing can be listed.
//! Reference: monitor.go `JSInfo`, Jsz, HandleJsz.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use stdx::time::{Now, Timestamp};

use crate::error::Error;
use crate::json::{self, is_empty};
use crate::query::Query;
use crate::source::Source;

/// What is asked; the field names are those of `$SYS` requests.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct JszOptions {
    /// Only this account.
    pub account: String,
    /// List accounts.
    pub accounts: bool,
    /// List streams.
    pub streams: bool,
    /// List consumers.
    pub consumer: bool,
    /// List direct consumers.
    pub direct_consumer: bool,
    /// Show configurations.
    pub config: bool,
    /// Only if this server leads the meta group.
    pub leader_only: bool,
    /// Accounts to skip.
    pub offset: i64,
    /// Accounts to show.
    pub limit: i64,
    /// Show Raft groups.
    pub raft: bool,
    /// Only streams this server leads.
    pub stream_leader_only: bool,
}

impl JszOptions {
    pub(crate) fn from_query(query: &Query) -> Result<Self, Error> {
        Ok(Self {
            accounts: query.bool("accounts")?,
            streams: query.bool("streams")?,
            consumer: query.bool("consumers")?,
            direct_consumer: query.bool("direct-consumers")?,
            config: query.bool("config")?,
            offset: query.int("offset")?,
            limit: query.int("limit")?,
            leader_only: query.bool("leader-only")?,
            raft: query.bool("raft")?,
            stream_leader_only: query.bool("stream-leader-only")?,
            account: query.text("acc"),
        })
    }
}

/// What a source knows of JetStream.
#[derive(Clone, Debug, Default)]
pub struct JetStreamFacts {
    /// How it is configured.
    pub config: JetStreamConfig,
    /// Limits of the configuration.
    pub limits: BTreeMap<String, i64>,
    /// Bytes promised to streams in memory.
    pub reserved_memory: u64,
    /// Bytes promised to streams on disk.
    pub reserved_storage: u64,
    /// Requests answered, and how many of them with an error.
    pub requests: (u64, u64),
    /// Its accounts, by name.
    pub accounts: Vec<JetStreamAccount>,
}

/// How JetStream is configured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct JetStreamConfig {
    /// Bytes of memory storage.
    pub max_memory: i64,
    /// Bytes of file storage.
    pub max_storage: i64,
    /// Where files are.
    #[serde(skip_serializing_if = "is_empty")]
    pub store_dir: String,
    /// Nanoseconds a change may wait for the disk.
    #[serde(skip_serializing_if = "is_empty")]
    pub sync_interval: i64,
    /// Every change is on the disk before it is answered.
    #[serde(skip_serializing_if = "is_empty")]
    pub sync_always: bool,
    /// The domain.
    #[serde(skip_serializing_if = "is_empty")]
    pub domain: String,
    /// Streams may be compressed.
    #[serde(skip_serializing_if = "is_empty")]
    pub compress_ok: bool,
    /// Unknown fields of requests are refused.
    #[serde(skip_serializing_if = "is_empty")]
    pub strict: bool,
}

/// One account.
#[derive(Clone, Debug, Default)]
pub struct JetStreamAccount {
    /// Its name.
    pub name: String,
    /// Bytes in memory.
    pub memory: u64,
    /// Bytes on disk.
    pub storage: u64,
    /// Bytes in memory and on disk it may use; negative for any number.
    pub granted: [i64; 2],
    /// Requests answered, and how many of them with an error.
    pub requests: (u64, u64),
    /// Its streams, by name.
    pub streams: Vec<JetStreamStream>,
}

/// One stream.
#[derive(Clone, Debug, Default)]
pub struct JetStreamStream {
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created: Timestamp,
    /// Its configuration, as JSON.
    pub config: Option<Box<RawValue>>,
    /// Its state, as JSON.
    pub state: Option<Box<RawValue>>,
    /// Messages it holds.
    pub messages: u64,
    /// Bytes it holds.
    pub bytes: u64,
    /// Consumers it has.
    pub consumer_count: u64,
    /// Those of them that clients made.
    pub public_consumers: u64,
    /// What these say of themselves.
    pub consumers: Vec<Box<RawValue>>,
    /// What the others say of themselves: servers made them for mirrors and sources.
    pub direct_consumers: Vec<Box<RawValue>>,
    /// What it mirrors.
    pub mirror: Option<Box<RawValue>>,
    /// What it draws from.
    pub sources: Vec<Box<RawValue>>,
}

#[derive(Debug, Default, Serialize)]
struct Api {
    level: u64,
    total: u64,
    errors: u64,
}

/// What is used, in the reference's order.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Stats {
    memory: u64,
    storage: u64,
    reserved_memory: u64,
    reserved_storage: u64,
    accounts: u64,
    ha_assets: u64,
    api: Api,
}

#[derive(Debug, Serialize)]
struct Cluster {
    leader: String,
}

#[derive(Debug, Serialize)]
struct StreamDetail {
    name: String,
    #[serde(serialize_with = "json::time")]
    created: Timestamp,
    cluster: Cluster,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    consumer_detail: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    direct_consumer_detail: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mirror: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sources: Vec<Box<RawValue>>,
}

#[derive(Debug, Serialize)]
struct AccountDetail {
    name: String,
    id: String,
    #[serde(flatten)]
    stats: Stats,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stream_detail: Vec<StreamDetail>,
}

/// The document.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Jsz {
    #[serde(flatten)]
    stats: Stats,
    server_id: String,
    #[serde(serialize_with = "json::time")]
    now: Timestamp,
    #[serde(skip_serializing_if = "is_empty")]
    disabled: bool,
    config: JetStreamConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<BTreeMap<String, i64>>,
    streams: u64,
    #[serde(skip_serializing_if = "is_empty")]
    streams_leader: u64,
    consumers: u64,
    #[serde(skip_serializing_if = "is_empty")]
    consumers_leader: u64,
    messages: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    account_details: Vec<AccountDetail>,
    total: u64,
}

/// Accounts shown if the request does not say how many.
const LIMIT: i64 = 1024;
/// The level of the API.
const LEVEL: u64 = 4;

impl JetStreamFacts {
    /// What all accounts use together.
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            memory: self.accounts.iter().map(|a| a.memory).sum(),
            storage: self.accounts.iter().map(|a| a.storage).sum(),
            reserved_memory: self.reserved_memory,
            reserved_storage: self.reserved_storage,
            accounts: self.accounts.len() as u64,
            ha_assets: 0,
            api: Api { level: LEVEL, total: self.requests.0, errors: self.requests.1 },
        }
    }

    /// The part of `/varz`.
    pub fn varz(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut all = serde_json::Map::new();
        all.insert("config".to_owned(), value(&self.config));
        all.insert("stats".to_owned(), value(&self.stats()));
        all.insert("limits".to_owned(), value(&self.limits));
        all
    }
}

fn value(document: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(document).unwrap_or_default()
}

/// Makes the document.
pub(crate) fn jsz(options: &JszOptions, source: &dyn Source, now: Now) -> Result<Jsz, Error> {
    let server_id = source.server_id();
    let Some(facts) = source.jetstream(options) else {
        if options.leader_only {
            return Err(Error::NotLeader);
        }
        return Ok(Jsz { server_id, now: now.wall, disabled: true, ..Jsz::default() });
    };
    // Compat(META-032): alone, a server leads whatever there is to lead.
    let streams = facts.accounts.iter().flat_map(|a| &a.streams);
    let sum = |what: fn(&JetStreamStream) -> u64| streams.clone().map(what).sum();
    let mut shown: Vec<&JetStreamAccount> = facts.accounts.iter().collect();
    let described = options.streams || options.consumer;
    if shown.iter().any(|a| a.name == options.account) {
        shown.retain(|a| a.name == options.account);
    } else if options.accounts || described && options.account.is_empty() {
        // Compat(MON-025): a negative limit is none, and then nothing is skipped either.
        if options.limit >= 0 {
            let offset = usize::try_from(options.offset).unwrap_or(0);
            let limit = if options.limit > 0 { options.limit } else { LIMIT };
            let limit = usize::try_from(limit).unwrap_or(0);
            shown = shown.into_iter().skip(offset).take(limit).collect();
        }
    } else {
        shown.clear();
    }
    let led = |count: u64| if options.raft { count } else { 0 };
    let details = shown.iter().map(|a| detail(a, options, &source.server_name())).collect();
    Ok(Jsz {
        stats: facts.stats(),
        server_id,
        now: now.wall,
        disabled: false,
        config: facts.config.clone(),
        limits: Some(facts.limits.clone()),
        streams: streams.clone().count() as u64,
        streams_leader: led(streams.clone().count() as u64),
        consumers: sum(|s| s.consumer_count),
        consumers_leader: led(sum(|s| s.public_consumers)),
        messages: sum(|s| s.messages),
        bytes: sum(|s| s.bytes),
        account_details: details,
        total: facts.accounts.len() as u64,
    })
}

/// One account alone.
pub(crate) fn jsz_account(
    options: &JszOptions,
    source: &dyn Source,
) -> Result<impl Serialize, Error> {
    let facts = source.jetstream(options).ok_or(Error::JetStreamDisabled)?;
    let name = &options.account;
    match facts.accounts.iter().find(|account| account.name == *name) {
        Some(account) => Ok(detail(account, options, &source.server_name())),
        None if source.account(name).is_none() => Err(Error::AccountNotFound(quoted(name))),
        None => Err(Error::AccountWithoutJetStream(quoted(name))),
    }
}

fn quoted(name: &str) -> String {
    stdx::go_text::quote(name.as_bytes())
}

fn detail(account: &JetStreamAccount, options: &JszOptions, leader: &str) -> AccountDetail {
    let described = options.streams || options.consumer;
    let direct = options.consumer && options.direct_consumer;
    let streams = account.streams.iter().filter(|_| described).map(|s| StreamDetail {
        name: s.name.clone(),
        created: s.created,
        cluster: Cluster { leader: leader.to_owned() },
        config: s.config.clone().filter(|_| options.config),
        state: s.state.clone(),
        consumer_detail: if options.consumer { s.consumers.clone() } else { Vec::new() },
        direct_consumer_detail: if direct { s.direct_consumers.clone() } else { Vec::new() },
        mirror: s.mirror.clone(),
        sources: s.sources.clone(),
    });
    AccountDetail {
        name: account.name.clone(),
        id: account.name.clone(),
        stats: Stats {
            memory: account.memory,
            storage: account.storage,
            // Compat(MON-025): what it may use, and no limit as the largest number there is.
            reserved_memory: account.granted[0] as u64,
            reserved_storage: account.granted[1] as u64,
            accounts: 0,
            ha_assets: 0,
            api: Api { level: 0, total: account.requests.0, errors: account.requests.1 },
        },
        stream_detail: streams.collect(),
    }
}
