//! What JetStream looks like from outside, for those who watch the server.
//!
//! Each shard tells of its own streams; whoever asks waits for them, but not for ever.
//! Parity: META-032 (single server), MON rows on JetStream.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use jetstream_api::json::to_json;
use jetstream_api::validate::AccountLimits;
use jetstream_api::{JetStreamAccountLimits, StorageType, StreamState};
use stdx::time::Timestamp;

use crate::account::JsAccount;
use crate::api::stream_info;
use crate::event::Event;
use crate::shard::Shard;
use crate::shared::Shared;

/// How long a busy shard may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Only this account.
    pub account: Option<String>,
    /// Describe streams.
    pub streams: bool,
    /// Describe their consumers.
    pub consumers: bool,
    /// With their configurations.
    pub configs: bool,
}

/// One account.
#[derive(Clone, Debug, Default)]
pub struct AccountSnapshot {
    /// Its name.
    pub name: String,
    /// Bytes in memory.
    pub memory: u64,
    /// Bytes on disk.
    pub storage: u64,
    /// Bytes in memory promised to its streams.
    pub reserved_memory: u64,
    /// Bytes on disk promised to its streams.
    pub reserved_storage: u64,
    /// Bytes in memory and on disk it may use; negative for any number.
    pub granted: [i64; 2],
    /// Requests answered.
    pub requests: u64,
    /// Of them, with an error.
    pub errors: u64,
    /// Its streams.
    pub streams: Vec<StreamSnapshot>,
}

/// One stream.
#[derive(Clone, Debug, Default)]
pub struct StreamSnapshot {
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created: Timestamp,
    /// Its configuration as JSON; empty unless streams are described.
    pub config: Vec<u8>,
    /// Its state as JSON; empty unless streams are described.
    pub state: Vec<u8>,
    /// Messages it holds.
    pub messages: u64,
    /// Bytes it holds.
    pub bytes: u64,
    /// Consumers it has.
    pub consumers: u64,
    /// What it mirrors and what it draws from, as JSON; empty unless streams are described.
    pub origins: Origins,
    /// Its consumers.
    pub members: Vec<MemberSnapshot>,
    /// Why it takes no more messages, if a write failed.
    pub failure: Option<String>,
}

/// What a stream mirrors, and what it draws from.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// How far its mirror has come, as JSON.
    pub mirror: Option<Vec<u8>>,
    /// How far each source has come, as JSON.
    pub sources: Vec<Vec<u8>>,
}

/// One consumer.
#[derive(Clone, Debug, Default)]
pub struct MemberSnapshot {
    /// Its name.
    pub name: String,
    /// A server made it for a mirror or source.
    pub direct: bool,
    /// What it says of itself as JSON; empty unless that is asked for.
    pub info: Vec<u8>,
}

/// The whole.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Accounts, by name.
    pub accounts: Vec<AccountSnapshot>,
    /// Streams that were there but could not be opened: account, name, reason.
    pub broken: Vec<(String, String, String)>,
}

impl Shared {
    /// What JetStream looks like now. Blocks for as long as shards take to answer.
    pub fn snapshot(&self, ask: &Ask) -> Snapshot {
        let accounts = self.accounts();
        let wanted =
            |a: &&Arc<JsAccount>| ask.account.as_ref().is_none_or(|n| *n == a.account.name);
        let accounts: Vec<Arc<JsAccount>> = accounts.iter().filter(wanted).cloned().collect();
        let (told, answers) = mpsc::channel();
        for queue in &self.queues {
            let (told, ask) = (told.clone(), ask.clone());
            queue.push_event(Event::Run(Box::new(move |shard: &mut Shard| {
                let _ = told.send(shard.tell_streams(&ask));
            })));
        }
        drop(told);
        let mut streams: Vec<(String, StreamSnapshot)> = Vec::new();
        for _ in &self.queues {
            match answers.recv_timeout(PATIENCE) {
                Ok(some) => streams.extend(some),
                Err(_) => break,
            }
        }
        streams.sort_by(|a, b| a.1.name.cmp(&b.1.name));
        let accounts = accounts.iter().map(|account| {
            let (requests, errors) = account.requests();
            let entries = account.streams();
            let reserved = |storage| JsAccount::reserved(&entries, storage);
            let mine = streams.iter().filter(|(owner, _)| *owner == account.account.name);
            AccountSnapshot {
                name: account.account.name.clone(),
                memory: account.used(StorageType::Memory),
                storage: account.used(StorageType::File),
                granted: {
                    let limits = account.limits.lock();
                    [total(&limits, |l| l.max_memory), total(&limits, |l| l.max_storage)]
                },
                reserved_memory: reserved(StorageType::Memory),
                reserved_storage: reserved(StorageType::File),
                requests,
                errors,
                streams: mine.map(|(_, stream)| stream.clone()).collect(),
            }
        });
        Snapshot { accounts: accounts.collect(), broken: self.broken.lock().clone() }
    }

    /// Requests answered on this server, and how many of them with an error.
    pub fn api_counts(&self) -> (u64, u64) {
        (self.api_total.load(Ordering::Relaxed), self.api_errors.load(Ordering::Relaxed))
    }
}

/// What all tiers grant together; -1 if one of them grants without limit.
fn total(limits: &AccountLimits, of: fn(&JetStreamAccountLimits) -> i64) -> i64 {
    let add = |sum: i64, limits| match of(limits) {
        limit if limit < 0 || sum < 0 => -1,
        limit => sum.saturating_add(limit),
    };
    limits.tiers.values().fold(0, add)
}

impl Shard {
    fn tell_streams(&mut self, ask: &Ask) -> Vec<(String, StreamSnapshot)> {
        self.catch_up();
        let now = self.now;
        let mut told = Vec::new();
        for at in 0..self.places.len() as u32 {
            let Some(place) = self.place(at) else { continue };
            let owner = place.account.account.name.clone();
            if ask.account.as_ref().is_some_and(|name| *name != owner) {
                continue;
            }
            let info = stream_info(place, false, true, now);
            let StreamState { messages, bytes, .. } = info.state;
            let described = |json: Vec<u8>| if ask.streams { json } else { Vec::new() };
            let mut stream = StreamSnapshot {
                name: info.config.name.clone(),
                created: place.stream.created(),
                config: described(to_json(&info.config)),
                state: described(to_json(&info.state)),
                messages,
                bytes,
                consumers: info.state.consumer_count as u64,
                origins: if ask.streams {
                    Origins {
                        mirror: info.mirror.as_ref().map(to_json),
                        sources: info.sources.iter().map(to_json).collect(),
                    }
                } else {
                    Origins::default()
                },
                members: Vec::new(),
                failure: place.trouble(),
            };
            let ids: Vec<(String, u32)> =
                place.names.iter().map(|(name, id)| (name.to_owned(), *id)).collect();
            for (name, id) in ids {
                let direct = self
                    .place(at)
                    .and_then(|p| p.members.get(&id))
                    .is_some_and(|m| m.consumer.config().direct);
                let info = if ask.consumers {
                    self.consumer_document(at, id, ask.configs).unwrap_or_default()
                } else {
                    Vec::new()
                };
                stream.members.push(MemberSnapshot { name, direct, info });
            }
            told.push((owner, stream));
        }
        told
    }
}
