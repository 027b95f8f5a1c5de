//! Answers about peers' certificates, in memory and in a file.
//!
//! Laws: an answer is verified anew each time it is used; a file that cannot be read is as good as
//!       none; a file is replaced, never written over.
//! Wire: `cache.json`: an object of `subject`, `cached_at`, `resp_status`, `resp_expires`, `resp`
//!       (base64) by the base64 SHA-256 of the certificate.
//! Reference: ocsp_responsecache.go.   Contract: TLS-015.

use super::answer::{Answer, MAX_ANSWER, Status};
use super::certificate::Certificate;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use stdx::time::Timestamp;

/// Answers that are remembered; beyond, the oldest go.
const MOST: usize = 10_000;
/// The largest file that is read.
const MAX_FILE: u64 = 256 << 20;
/// The file's name.
const FILE: &str = "cache.json";

/// What is remembered, and where.
#[derive(Clone, Debug, Default)]
pub struct CacheConfig {
    /// The directory of the file; `None`: answers are not remembered at all.
    pub directory: Option<PathBuf>,
    /// A revocation is not forgotten when it is out of date.
    pub preserve_revoked: bool,
}

/// What monitoring says of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Answers.
    pub responses: u64,
    /// Questions that it could answer.
    pub hits: u64,
    /// Questions that it could not.
    pub misses: u64,
    /// Answers by status.
    pub revoked: u64,
    /// Likewise.
    pub good: u64,
    /// Likewise.
    pub unknown: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Item {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    subject: String,
    cached_at: String,
    resp_status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resp_expires: Option<String>,
    resp: String,
}

#[derive(Default)]
struct State {
    items: BTreeMap<String, Item>,
    hits: u64,
    misses: u64,
    dirty: bool,
}

/// Answers about peers' certificates.
pub struct Cache {
    config: CacheConfig,
    state: Mutex<State>,
}

/// How the cache calls a certificate.
pub(super) fn key(certificate: &Certificate) -> String {
    data_encoding::BASE64.encode(&Sha256::digest(&certificate.der))
}

impl Cache {
    /// The cache as it was left, or an empty one.
    pub fn open(config: CacheConfig) -> Self {
        let items = config.directory.as_deref().and_then(load).unwrap_or_default();
        Self { config, state: Mutex::new(State { items, ..State::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything is remembered at all.
    pub fn is_on(&self) -> bool {
        self.config.directory.is_some()
    }

    /// An answer about the certificate called `key`, as it came.
    pub(super) fn get(&self, key: &str) -> Option<Vec<u8>> {
        if !self.is_on() {
            return None;
        }
        let mut state = self.state();
        let found = state.items.get(key).and_then(|item| decode(&item.resp));
        if found.is_some() {
            state.hits += 1;
        } else {
            state.misses += 1;
        }
        found
    }

    /// Remembers an answer.
    pub(super) fn put(&self, key: String, subject: &str, answer: &Answer, raw: &[u8], now: i64) {
        if !self.is_on() {
            return;
        }
        let mut state = self.state();
        if state.items.len() >= MOST
            && !state.items.contains_key(&key)
            && let Some(oldest) = state
                .items
                .iter()
                .min_by(|a, b| a.1.cached_at.cmp(&b.1.cached_at))
                .map(|(key, _)| key.clone())
        {
            state.items.remove(&oldest);
        }
        let item = Item {
            subject: subject.to_owned(),
            cached_at: time(now),
            resp_status: answer.status.name().to_owned(),
            resp_expires: answer.next_update.map(time),
            resp: data_encoding::BASE64.encode(raw),
        };
        state.items.insert(key, item);
        state.dirty = true;
    }

    /// Forgets an answer that does not count; what looked like a hit was none.
    pub(super) fn forget(&self, key: &str) {
        let mut state = self.state();
        state.hits = state.hits.saturating_sub(1);
        state.misses += 1;
        let revoked = Status::Revoked.name();
        let kept = self.config.preserve_revoked
            && state.items.get(key).is_some_and(|item| item.resp_status == revoked);
        if !kept && state.items.remove(key).is_some() {
            state.dirty = true;
        }
    }

    /// What is in it.
    pub fn stats(&self) -> CacheStats {
        let state = self.state();
        let count = |status: Status| {
            state.items.values().filter(|item| item.resp_status == status.name()).count() as u64
        };
        CacheStats {
            responses: state.items.len() as u64,
            hits: state.hits,
            misses: state.misses,
            revoked: count(Status::Revoked),
            good: count(Status::Good),
            unknown: count(Status::Unknown),
        }
    }

    /// Writes the file, if there is news.
    ///
    /// # Errors
    /// The directory cannot be written; there will be news the next time too.
    pub fn save(&self) -> std::io::Result<()> {
        let Some(directory) = &self.config.directory else { return Ok(()) };
        let text = {
            let mut state = self.state();
            if !state.dirty {
                return Ok(());
            }
            state.dirty = false;
            serde_json::to_vec_pretty(&state.items).map_err(std::io::Error::other)?
        };
        let written = write(directory, &text);
        if written.is_err() {
            self.state().dirty = true;
        }
        written
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let raw = data_encoding::BASE64.decode(text.as_bytes()).ok()?;
    (raw.len() <= MAX_ANSWER).then_some(raw)
}

fn time(seconds: i64) -> String {
    Timestamp(seconds.saturating_mul(1_000_000_000)).rfc3339()
}

fn load(directory: &Path) -> Option<BTreeMap<String, Item>> {
    let mut text = Vec::new();
    let file = std::fs::File::open(directory.join(FILE)).ok()?;
    file.take(MAX_FILE).read_to_end(&mut text).ok()?;
    let mut items: BTreeMap<String, Item> = serde_json::from_slice(&text).ok()?;
    while items.len() > MOST {
        items.pop_last();
    }
    Some(items)
}

fn write(directory: &Path, text: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let new = directory.join(format!("{FILE}.new"));
    std::fs::write(&new, text)?;
    std::fs::rename(new, directory.join(FILE))
}
