//! `/jsz` of a server without JetStream.
//!
//! Laws: the parameters are checked even though nothing can be listed.
//! Reference: monitor.go `JSInfo`, Jsz, HandleJsz.

use serde::{Deserialize, Serialize};
use stdx::time::{Now, Timestamp};

use crate::error::Error;
use crate::json;
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

#[derive(Debug, Default, Serialize)]
struct Api {
    level: u64,
    total: u64,
    errors: u64,
}

#[derive(Debug, Default, Serialize)]
struct Config {
    max_memory: u64,
    max_storage: u64,
}

/// The document.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Jsz {
    memory: u64,
    storage: u64,
    reserved_memory: u64,
    reserved_storage: u64,
    accounts: u64,
    ha_assets: u64,
    api: Api,
    server_id: String,
    #[serde(serialize_with = "json::time")]
    now: Timestamp,
    disabled: bool,
    config: Config,
    streams: u64,
    consumers: u64,
    messages: u64,
    bytes: u64,
    total: u64,
}

/// Makes the document.
pub(crate) fn jsz(options: &JszOptions, source: &dyn Source, now: Now) -> Result<Jsz, Error> {
    if options.leader_only {
        return Err(Error::NotLeader);
    }
    Ok(Jsz { server_id: source.server_id(), now: now.wall, disabled: true, ..Jsz::default() })
}
