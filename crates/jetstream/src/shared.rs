//! What all shards of one server's JetStream share.
//!
//! Laws: everything here is read-only after the start, or guards itself; no lock is held while a
//!       shard works.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use broker::Broker;
use broker::account::Account;
use hashbrown::HashMap;
use jetstream_api::validate::{ServerLimits, Used, short_hash};
use jetstream_api::{Nanos, StorageType};
use jetstream_core::Facts;
use jetstream_core::stream::{BatchLimits, OpenBatches};
use parking_lot::{Mutex, RwLock};
use stdx::time::Timestamp;
use store::disk::real::OpenFiles;
use store::{Encryption, ReadBudget};

use crate::account::JsAccount;
use crate::gate::Waiting;
use crate::ingress::Bounds;
use crate::ingress::Listening;
use crate::io::IoPool;
use crate::place::Disk;
use crate::queue::Queue;

/// What the host decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// The directory of all accounts.
    pub store_dir: PathBuf,
    /// Bytes of memory storage at the start; `None` for no limit.
    pub max_memory: Option<u64>,
    /// Bytes of file storage at the start; `None` for no limit.
    pub max_store: Option<u64>,
    /// The domain, if any.
    pub domain: Option<String>,
    /// Unknown fields of requests are refused.
    pub strict: bool,
    /// Every change is on the disk before it is answered.
    pub sync_always: bool,
    /// How long a change may wait to be put on the disk otherwise.
    pub sync_within: Duration,
    /// Encryption at rest: cipher, key, previous key.
    pub encryption: Option<Keys>,
    /// Messages and bytes that may wait for one stream.
    pub max_buffered_msgs: u64,
    /// Bytes that may wait for one stream.
    pub max_buffered_size: u64,
    /// Largest duplicate window; `None` for no limit.
    pub max_duplicate_window: Option<Duration>,
    /// Most unacknowledged messages of a consumer; `None` for no limit.
    pub max_ack_pending: Option<i64>,
    /// Most messages of one pull request; `None` for no limit.
    pub max_request_batch: Option<i64>,
    /// Acknowledgements name the domain and the account.
    pub ack_v2: bool,
    /// Requests that may wait to be handled.
    pub request_queue_limit: usize,
    /// The same for those that only ask for a stream's or consumer's state.
    pub info_queue_limit: usize,
    /// What batches may use.
    pub batches: BatchLimits,
    /// The server's name.
    pub server_name: String,
    /// The server's public key.
    pub server_id: String,
    /// The largest message a client may send.
    pub max_payload: usize,
    /// Bytes that may wait for one client: what bounds a batch that says nothing itself.
    pub max_pending: usize,
}

/// Keys of encryption at rest.
#[derive(Clone)]
pub struct Keys {
    /// The cipher of new files.
    pub cipher: store::Cipher,
    /// The key.
    pub key: Vec<u8>,
    /// The key before it, for files that were not converted yet.
    pub previous: Option<Vec<u8>>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({:?})", self.cipher)
    }
}

/// Bytes that streams may use; `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// In memory.
    pub memory: Option<u64>,
    /// On the disk.
    pub store: Option<u64>,
}

/// What all shards share.
pub struct Shared {
    /// Accounts and connections.
    pub broker: Arc<Broker>,
    /// What the host decided.
    pub config: Config,
    pub(crate) accounts: RwLock<HashMap<String, Arc<JsAccount>>>,
    pub(crate) queues: Vec<Arc<Queue>>,
    pub(crate) io: IoPool,
    /// What the stores may keep of what they read, all together.
    pub(crate) read_budget: ReadBudget,
    /// What the stores may hold open, all together.
    pub(crate) files: OpenFiles,
    /// When JetStream started.
    pub started: Timestamp,
    /// Streams that could not be opened: account, name, reason.
    pub(crate) broken: Mutex<Vec<(String, String, String)>>,
    /// Bytes that streams may hold: what the configuration says, until a reload says otherwise.
    pub(crate) max_memory: AtomicU64,
    pub(crate) max_store: AtomicU64,
    pub(crate) promised_memory: AtomicI64,
    pub(crate) promised_file: AtomicI64,
    pub(crate) api_total: AtomicU64,
    pub(crate) api_errors: AtomicU64,
    pub(crate) waiting: Waiting,
    /// One account at a time gets or loses JetStream.
    pub(crate) admissions: Mutex<()>,
    /// Accounts that lost JetStream; their streams wait for them.
    pub(crate) asleep: Mutex<HashMap<String, Arc<JsAccount>>>,
    /// What listens for requests, by account.
    pub(crate) listening: Mutex<HashMap<String, Vec<Listening>>>,
    pub(crate) open_batches: Arc<OpenBatches>,
}

/// What machines of an account have to know.
pub(crate) fn facts(
    config: &Config,
    open_batches: &Arc<OpenBatches>,
    account: &Account,
) -> Arc<Facts> {
    Arc::new(Facts {
        account: account.name.clone(),
        account_hash: short_hash(&account.name),
        domain: config.domain.clone(),
        server_name: config.server_name.clone(),
        server_id: config.server_id.clone(),
        ack_v2: config.ack_v2,
        max_payload: Some(config.max_payload),
        batches: config.batches,
        open_batches: open_batches.clone(),
    })
}

impl Shared {
    /// What machines of an account have to know.
    pub(crate) fn facts(&self, account: &Account) -> Arc<Facts> {
        facts(&self.config, &self.open_batches, account)
    }

    /// Bytes that streams of all accounts may hold; `None` for no limit.
    pub fn max_bytes(&self, storage: StorageType) -> Option<u64> {
        let max = match storage {
            StorageType::Memory => &self.max_memory,
            StorageType::File => &self.max_store,
        };
        Some(max.load(Ordering::Relaxed)).filter(|max| *max != u64::MAX)
    }

    /// How much may wait for one stream.
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds { msgs: self.config.max_buffered_msgs, bytes: self.config.max_buffered_size }
    }

    /// The directory of an account.
    pub(crate) fn account_dir(&self, account: &str) -> PathBuf {
        self.config.store_dir.join(account)
    }

    /// The directory of a stream.
    pub(crate) fn stream_dir(&self, account: &str, stream: &str) -> PathBuf {
        self.account_dir(account).join("streams").join(stream)
    }

    /// A directory within the store directory, which the engine holds.
    pub(crate) fn disk(&self, dir: impl Into<PathBuf>) -> Disk {
        Disk::held(dir, self.files.clone())
    }

    /// Where an account's streams are put together that come in as archives.
    pub(crate) fn snapshots_dir(&self, account: &str) -> PathBuf {
        self.account_dir(account).join("__snapshots__")
    }

    /// Where what lies in a stream's place is put aside.
    pub(crate) fn aside_dir(&self, account: &str, stream: &str, now: Timestamp) -> PathBuf {
        self.account_dir(account).join("set-aside").join(format!("{stream}-{}", now.0))
    }

    /// How files of an account are encrypted.
    pub(crate) fn encryption(&self, account: &str) -> Option<Encryption> {
        let keys = self.config.encryption.as_ref()?;
        Some(Encryption {
            cipher: keys.cipher,
            key: keys.key.clone(),
            previous: keys.previous.clone(),
            info: account.to_owned(),
        })
    }

    /// The shard that owns a stream.
    pub(crate) fn shard_of(&self, account: &str, stream: &str) -> usize {
        let name = account.bytes().chain([0]).chain(stream.bytes());
        // FNV-1a: any even spread will do, and it must not depend on a seed.
        let hash = name.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        (hash >> 32) as usize % self.queues.len().max(1)
    }

    /// An account's JetStream.
    pub fn account(&self, name: &str) -> Option<Arc<JsAccount>> {
        self.accounts.read().get(name).cloned()
    }

    /// Changes how many bytes streams may use.
    pub fn set_room(&self, room: Room) {
        self.max_memory.store(room.memory.unwrap_or(u64::MAX), Ordering::Relaxed);
        self.max_store.store(room.store.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Bytes that streams may use.
    pub fn room(&self) -> Room {
        Room {
            memory: self.max_bytes(StorageType::Memory),
            store: self.max_bytes(StorageType::File),
        }
    }

    /// What the server's configuration allows.
    pub(crate) fn server_limits(&self) -> ServerLimits {
        let bytes = |n: Option<u64>| n.map_or(i64::MAX, |n| i64::try_from(n).unwrap_or(i64::MAX));
        ServerLimits {
            duplicate_window: self.config.max_duplicate_window.map_or(Nanos::ZERO, Nanos::from),
            max_ack_pending: self.config.max_ack_pending.unwrap_or(0),
            max_request_batch: self.config.max_request_batch.unwrap_or(0),
            max_memory: bytes(self.max_bytes(StorageType::Memory)),
            max_storage: bytes(self.max_bytes(StorageType::File)),
        }
    }

    /// What the streams of all accounts were promised.
    pub(crate) fn reserved(&self) -> Used {
        Used {
            memory: self.promised(StorageType::Memory).load(Ordering::Relaxed),
            storage: self.promised(StorageType::File).load(Ordering::Relaxed),
        }
    }

    /// Bytes promised to streams with a limit of their own.
    pub(crate) fn promised(&self, storage: StorageType) -> &AtomicI64 {
        match storage {
            StorageType::Memory => &self.promised_memory,
            StorageType::File => &self.promised_file,
        }
    }

    /// Bytes that all accounts use.
    pub fn used(&self, storage: StorageType) -> u64 {
        self.accounts.read().values().map(|a| a.used(storage)).sum()
    }

    /// All accounts that have JetStream, by name.
    pub fn accounts(&self) -> Vec<Arc<JsAccount>> {
        let mut all: Vec<_> = self.accounts.read().values().cloned().collect();
        all.sort_by(|a, b| a.account.name.cmp(&b.account.name));
        all
    }
}
