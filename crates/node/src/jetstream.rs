//! JetStream as the options want it.
//!
//! Law: defaults that the configuration leaves out are the reference's, but for durability: what
//!      was stored is on the disk within a tenth of a second, not within two minutes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use broker::account::{Account, GLOBAL};
use config::Options;
use config::options::{AccountJetStream, JetStreamBatchLimits, StoreCipher};
use jetstream::{BatchLimits, Clock, Config, Engine, Host, Keys, Member, Room, Shared, StartError};
use jetstream_api::JetStreamAccountLimits;
use jetstream_api::validate::AccountLimits;
use stdx::time::Now;

use crate::Node;

/// How long a stored message may wait for the disk if `sync_interval` is not set.
const SYNC_WITHIN: Duration = Duration::from_millis(100);
/// What may wait for one stream: messages, and bytes.
const BUFFERED_MSGS: u64 = 100_000;
const BUFFERED_SIZE: u64 = 128 << 20;
/// Requests on the API that may wait.
const REQUESTS: usize = 10_000;

/// What the host knows and JetStream needs.
pub struct Facts {
    /// The clock of a thread.
    pub clock: Clock,
    /// Unpredictable bytes.
    pub entropy: broker::worker::Entropy,
    /// Threads that own streams.
    pub shards: usize,
    /// Network threads, which have the first numbers.
    pub workers: usize,
    /// The time.
    pub now: Now,
    /// Bytes of memory the machine has, if that is known.
    pub memory: Option<u64>,
    /// Bytes free on the disk of the store directory, if that is known.
    pub disk: Option<u64>,
}

/// The store directory, with the reference's own folder in it.
pub fn store_dir(options: &Options) -> PathBuf {
    let root = options.jetstream.store_dir.as_ref().filter(|dir| !dir.is_empty());
    let root = root.map_or_else(|| std::env::temp_dir().join("nats"), PathBuf::from);
    root.join("jetstream")
}

fn some(n: Option<i64>) -> Option<u64> {
    n.and_then(|n| u64::try_from(n).ok())
}

fn positive(n: Option<i64>) -> Option<i64> {
    n.filter(|n| *n > 0)
}

fn queue_limit(n: Option<i64>) -> Option<usize> {
    some(positive(n)).and_then(|n| usize::try_from(n).ok())
}

/// Three quarters of what there is, as the reference takes where nothing is configured.
fn share(of: Option<u64>) -> Option<u64> {
    of.map(|n| n / 4 * 3)
}

/// Bytes that streams may use.
fn room(options: &Options, facts: &Facts) -> Room {
    let js = &options.jetstream;
    Room {
        memory: some(js.max_memory).or_else(|| share(facts.memory)),
        store: some(js.max_store).or_else(|| share(facts.disk)),
    }
}

fn config(options: &Options, facts: &Facts, name: &str, id: &str) -> Config {
    let js = &options.jetstream;
    let key = js.key.as_ref().filter(|key| !key.is_empty());
    let room = room(options, facts);
    Config {
        store_dir: store_dir(options),
        max_memory: room.memory,
        max_store: room.store,
        domain: js.domain.clone().filter(|d| !d.is_empty()),
        strict: js.strict.unwrap_or(true),
        sync_always: js.sync_always,
        sync_within: js.sync_interval.map_or(SYNC_WITHIN, |_| options.jetstream_sync_interval()),
        encryption: key.map(|key| Keys {
            cipher: match js.cipher {
                Some(StoreCipher::Aes) => store::Cipher::Aes,
                Some(StoreCipher::ChaCha) | None => store::Cipher::ChaCha,
            },
            key: key.clone().into_bytes(),
            previous: js.prev_key.clone().map(String::into_bytes),
        }),
        max_buffered_msgs: some(js.max_buffered_msgs).filter(|n| *n > 0).unwrap_or(BUFFERED_MSGS),
        max_buffered_size: some(js.max_buffered_size).filter(|n| *n > 0).unwrap_or(BUFFERED_SIZE),
        max_duplicate_window: js.limits.duplicate_window.map(config::lang::unit::Nanos::to_std),
        max_ack_pending: positive(js.limits.max_ack_pending),
        max_request_batch: positive(js.limits.max_request_batch),
        ack_v2: options.effective_feature_flags().get("js_ack_fc_v2").copied().unwrap_or(false),
        request_queue_limit: queue_limit(js.request_queue_limit).unwrap_or(REQUESTS),
        info_queue_limit: queue_limit(js.info_queue_limit)
            .or(queue_limit(js.request_queue_limit))
            .unwrap_or(REQUESTS),
        batches: batches(&js.limits.batch),
        server_name: name.to_owned(),
        server_id: id.to_owned(),
        max_pending: usize::try_from(options.max_pending()).unwrap_or(usize::MAX),
        max_payload: usize::try_from(options.max_payload()).unwrap_or(usize::MAX),
    }
}

/// What is not positive leaves the usual limit.
fn batches(of: &JetStreamBatchLimits) -> BatchLimits {
    let count = |n: Option<i64>| some(positive(n)).and_then(|n| usize::try_from(n).ok());
    BatchLimits {
        in_stream: count(of.max_inflight_per_stream),
        in_server: count(of.max_inflight_total),
        messages: some(positive(of.max_msgs)),
        idle: of.timeout.map(config::lang::unit::Nanos::to_std).filter(|idle| !idle.is_zero()),
    }
}

fn limits(of: &AccountJetStream) -> JetStreamAccountLimits {
    JetStreamAccountLimits {
        max_memory: of.max_memory,
        max_storage: of.max_store,
        max_streams: of.max_streams,
        max_consumers: of.max_consumers,
        max_ack_pending: of.max_ack_pending,
        memory_max_stream_bytes: of.memory_max_stream_bytes,
        storage_max_stream_bytes: of.store_max_stream_bytes,
        max_bytes_required: of.max_bytes_required,
    }
}

impl Node {
    /// Starts JetStream, if the options want it.
    ///
    /// # Errors
    /// Its store directory cannot be used.
    pub fn start_jetstream(&self, facts: &Facts) -> Result<Option<Engine>, StartError> {
        let options = self.options();
        if !options.jetstream.enabled {
            return Ok(None);
        }
        let members = self.jetstream_members(&options);
        let info = self.broker.info();
        let host = Host {
            broker: Arc::clone(&self.broker),
            clock: facts.clock.clone(),
            entropy: facts.entropy,
            shards: facts.shards,
            first_worker: facts.workers,
            now: facts.now,
            admits_later: self.claims().is_some(),
        };
        let config = config(&options, facts, &info.server_name, &info.server_id);
        stdx::notice!(self.log(), "Starting JetStream");
        stdx::notice!(self.log(), "  Store Directory: \"{}\"", config.store_dir.display());
        let engine = Engine::start(config, &host, members)?;
        self.jetstream.store(Some(engine.shared().clone()));
        Ok(Some(engine))
    }

    /// Notes that JetStream does not run any more.
    pub fn jetstream_stopped(&self) {
        self.jetstream.store(None);
    }

    /// Has JetStream follow the limits and accounts of the options in force. Waits for streams that
    /// are recovered. `false`, and nothing is changed, if it has to be started anew: an account that
    /// has it is gone.
    pub fn revise_jetstream(&self, shared: &Arc<Shared>) -> bool {
        let options = self.options();
        let accounts = self.broker.accounts();
        let is_there = |of: &Arc<Account>| accounts.iter().any(|account| Arc::ptr_eq(account, of));
        if !shared.accounts().iter().all(|member| is_there(&member.account)) {
            return false;
        }
        // What was found out at the start stays.
        let (wanted, now) = (&options.jetstream, shared.room());
        shared.set_room(Room {
            memory: some(wanted.max_memory).or(now.memory),
            store: some(wanted.max_store).or(now.store),
        });
        // Where operators are trusted, tokens say who has it.
        if self.claims().is_none() {
            let members = self.jetstream_members(&options);
            let wanted = accounts.iter().map(|account| {
                let member = members.iter().find(|m| Arc::ptr_eq(&m.account, account));
                (account, member.map(|member| AccountLimits::untiered(member.limits)))
            });
            let mut wanted: Vec<_> = wanted.collect();
            // Who gets less makes room for who gets more.
            wanted.sort_by_key(|(account, limits)| shared.is_growth(account, limits.as_ref()));
            for (account, limits) in wanted {
                if let Err(error) = shared.admit(account, limits) {
                    stdx::error!(
                        self.log(),
                        "Error enabling jetstream on configured accounts: {error}"
                    );
                }
            }
        }
        true
    }

    /// Who may use it.
    fn jetstream_members(&self, options: &Options) -> Vec<Member> {
        let mut members: Vec<Member> = options
            .accounts
            .iter()
            .filter_map(|account| {
                Some(Member {
                    limits: limits(account.jetstream.as_ref()?),
                    account: self.broker.account(&account.name)?,
                })
            })
            .collect();
        let system = options.system_account();
        let configured = self.claims().is_none();
        if configured
            && !options.accounts.iter().any(|a| a.name != GLOBAL && Some(a.name.as_str()) != system)
        {
            members.push(Member {
                account: self.broker.global().clone(),
                limits: limits(&AccountJetStream::default()),
            });
        }
        members
    }
}
