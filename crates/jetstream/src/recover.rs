//! Opening streams: new ones, and those found on the disk at the start.
//!
//! Laws: what cannot be opened is left as it is, named in the log, and does not keep the rest from
//!       starting.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use jetstream_api::{Compression, StorageType, StreamConfig};
use jetstream_core::stream::{CutBatch, Storage, Stream, cut_batch, settings};
use stdx::time::Timestamp;
use store::meta::Document;
use store::{FileStore, MemStore, Message, MessageStore, Options, Recovery};

use crate::account::{Entry, JsAccount};
use crate::api::open_files;
use crate::engine::directories;
use crate::meta;
use crate::place::{Disk, Place};
use crate::shard::Shard;
use crate::shared::Shared;
use crate::unmade::{is_unmade_consumer, is_unmade_stream};

/// Opens the store of a stream. Waits for the disk: a job for the pool.
pub(crate) fn open_storage(
    shared: &Shared,
    account: &str,
    config: &StreamConfig,
    created: Timestamp,
    now: Timestamp,
    bytes_read: Option<Arc<AtomicU64>>,
) -> store::Result<(Storage<Disk>, Recovery)> {
    let settings = settings(config);
    if config.storage == StorageType::Memory {
        let store = Box::new(MemStore::new(settings));
        return Ok((Storage::Memory(store), Recovery::default()));
    }
    let options = Options {
        compression: match config.compression {
            Compression::None => store::Compression::None,
            Compression::S2 => store::Compression::S2,
        },
        encryption: shared.encryption(account),
        read_budget: shared.read_budget.clone(),
        bytes_read,
        log: shared.broker.log.clone(),
        ..Options::default()
    };
    let disk = shared.disk(shared.stream_dir(account, &config.name));
    let document = meta::stream(config, created);
    let (store, recovery) = FileStore::open(disk, settings, options, &document, now)?;
    Ok((Storage::File(Box::new(store)), recovery))
}

/// A stream that lay on the disk, opened.
pub(crate) struct Found {
    config: Arc<StreamConfig>,
    created: Timestamp,
    storage: Storage<Disk>,
    /// A batch that was cut, with what was to follow.
    cut: Option<(CutBatch, Vec<Message>)>,
}

/// What is told of a stream that lies on the disk and could not be opened.
pub(crate) struct Unfound {
    /// Why.
    pub(crate) why: String,
    /// For want of room alone, and its configuration, if that could be read.
    pub(crate) lacks_room: Option<Arc<StreamConfig>>,
}

/// Why a stream that lies on the disk stays out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unopened {
    #[error("{0}")]
    Store(#[from] store::Error),
    #[error("{0}")]
    Storage(store::Error, Box<StreamConfig>),
    #[error("its configuration does not decode: {0}")]
    Document(#[from] jetstream_api::DecodeError),
}

impl Unopened {
    fn lacks_room(self, name: &str) -> Option<Arc<StreamConfig>> {
        let config = match self {
            Self::Storage(store::Error::DiskFull { .. }, config) => *config,
            Self::Store(store::Error::DiskFull { .. }) => {
                StreamConfig { name: name.to_owned(), ..StreamConfig::default() }
            }
            _ => return None,
        };
        Some(Arc::new(config))
    }
}

/// Waits for descriptors this often, and this long: a stream is not left out for want of some.
const FILES_AGAIN: Duration = Duration::from_millis(250);
const FILES_LOOKS: usize = 1_200;

impl Shared {
    /// Whether a directory of a stream is only what is left of one that could not be made.
    pub(crate) fn passes_over(&self, account: &str, name: &str) -> bool {
        let dir = self.stream_dir(account, name);
        let is_unmade = is_unmade_stream(&dir);
        if is_unmade {
            stdx::debug!(self.broker.log, "  Stream '{account} > {name}' was never made");
        }
        is_unmade
    }
}

/// Opens a stream that lies on the disk; the error is for the operator.
pub(crate) fn open_found(
    shared: &Shared,
    account: &str,
    name: &str,
    now: Timestamp,
    bytes_read: &Arc<AtomicU64>,
) -> Result<Found, Unfound> {
    let mut looks = 0;
    loop {
        match open_once(shared, account, name, now, bytes_read) {
            Err(Unopened::Store(e) | Unopened::Storage(e, _))
                if e.is_out_of_files() && looks < FILES_LOOKS =>
            {
                if looks == 0 {
                    stdx::warning!(
                        shared.broker.log,
                        "  Stream '{account} > {name}' waits to be opened: {e}"
                    );
                }
                looks += 1;
                std::thread::sleep(FILES_AGAIN);
            }
            opened => {
                let dir = shared.stream_dir(account, name);
                return opened.map_err(|e| {
                    let why = format!("{e} (in '{}', which is left as it is)", dir.display());
                    Unfound { why, lacks_room: e.lacks_room(name) }
                });
            }
        }
    }
}

fn open_once(
    shared: &Shared,
    account: &str,
    name: &str,
    now: Timestamp,
    bytes_read: &Arc<AtomicU64>,
) -> Result<Found, Unopened> {
    let begun = Instant::now();
    let disk = shared.disk(shared.stream_dir(account, name));
    let encryption = shared.encryption(account);
    let text = store::meta::read(&disk, &Document::stream(name), encryption.as_ref())?;
    let (config, created) = meta::read_stream(&text)?;
    let opened = open_storage(shared, account, &config, created, now, Some(bytes_read.clone()));
    let (mut storage, recovery) =
        opened.map_err(|e| Unopened::Storage(e, Box::new(config.clone())))?;
    let msgs = storage.state().msgs;
    if msgs > 0 {
        stdx::notice!(
            shared.broker.log,
            "  Restored {msgs} messages for stream '{account} > {name}' in {:?} ({})",
            begun.elapsed(),
            in_words(&recovery)
        );
    }
    let single = config.allow_atomic && config.num_replicas <= 1;
    let cut = single.then(|| cut_batch(&mut storage)).flatten().map(|cut| {
        let rest = staged(shared, account, name, &cut, now);
        (cut, rest)
    });
    // What else was staged belongs to batches that nobody can go on with.
    let _ = std::fs::remove_dir_all(batches_dir(shared, account, name));
    Ok(Found { config: Arc::new(config), created, storage, cut })
}

/// What had to be read, for the operator.
fn in_words(recovery: &Recovery) -> String {
    match recovery {
        Recovery { from_index: true, .. } => "by its index".into(),
        Recovery { resumed: true, .. } => "by its index and what came after it".into(),
        Recovery { blocks, .. } => format!("by reading {blocks} blocks"),
    }
}

/// Where the reference keeps what is not committed yet.
fn batches_dir(shared: &Shared, account: &str, name: &str) -> PathBuf {
    shared.stream_dir(account, name).join("batches")
}

/// The messages that were to follow those of a cut batch, if the reference left them.
fn staged(
    shared: &Shared,
    account: &str,
    name: &str,
    cut: &CutBatch,
    now: Timestamp,
) -> Vec<Message> {
    let dir = batches_dir(shared, account, name);
    directories(&dir)
        .into_iter()
        .find_map(|batch| {
            let config = StreamConfig { name: batch.clone(), ..StreamConfig::default() };
            let options = Options {
                encryption: shared.encryption(account),
                log: shared.broker.log.clone(),
                ..Options::default()
            };
            let document = meta::stream(&config, Timestamp::default());
            let disk = shared.disk(dir.join(&batch));
            let (mut store, _) =
                FileStore::open(disk, settings(&config), options, &document, now).ok()?;
            let last = store.state().last_seq;
            let all: Vec<Message> = (1..=last).map_while(|seq| store.load(seq).ok()).collect();
            let whole = all.len() as u64 == last && last > cut.stored;
            let ours = all
                .iter()
                .all(|m| wire::header::get(&m.header, b"Nats-Batch-Id") == Some(cut.id.as_slice()));
            let ended = all
                .last()
                .is_some_and(|m| wire::header::get(&m.header, b"Nats-Batch-Commit").is_some());
            let stored = usize::try_from(cut.stored).ok()?;
            (whole && ours && ended).then(|| all.into_iter().skip(stored).collect())
        })
        .unwrap_or_default()
}

impl Shard {
    /// Takes in a stream whose store is open.
    pub(crate) fn take_in(
        &mut self,
        account: &Arc<JsAccount>,
        config: &Arc<StreamConfig>,
        created: Timestamp,
        storage: Storage<Disk>,
    ) -> u32 {
        let facts = account.facts.clone();
        let stream = Stream::new(config.clone(), created, facts, storage);
        let at = self.settle_in(|generation| Place::new(stream, account.clone(), generation));
        let (shared, queue, index) = (self.shared.clone(), self.queue.clone(), self.index);
        let now = self.now;
        let mut streams = account.streams();
        let entry = streams.entry(config.name.clone()).or_insert_with(|| Entry {
            shard: index,
            place: None,
            config: config.clone(),
            consumers: Arc::default(),
        });
        entry.place = Some(at);
        // The one that decided about the name was another copy.
        entry.config = config.clone();
        let consumers = entry.consumers.clone();
        drop(streams);
        if let Some(place) = self.place(at) {
            place.consumers = consumers;
            place.promise(&shared);
            place.listen(&shared, &queue, at);
        }
        if let Some(place) = self.place(at) {
            place.stream.store().hand_out_jobs();
            place.begin_upkeep(now.mono);
            place.stream.recover_schedules(now);
        }
        self.open_links(at);
        self.touch(at);
        self.close_others(at);
        self.rest_later(at);
        at
    }

    /// Takes in a stream that lay on the disk, with its consumers; `false` if it stays out.
    pub(crate) fn recover_stream(
        &mut self,
        account: &Arc<JsAccount>,
        name: &str,
        found: Result<Found, Unfound>,
    ) -> bool {
        let owner = account.account.name.clone();
        match found {
            Ok(found) => {
                let at = self.take_in(account, &found.config, found.created, found.storage);
                if let Some((cut, rest)) = &found.cut {
                    self.mend(at, cut, rest);
                }
                self.recover_consumers(at, &owner, name);
                if let Some(place) = self.place(at) {
                    // Thousands may follow; it opens them again when it is used.
                    place.stream.store().close_files();
                }
                true
            }
            Err(Unfound { why, lacks_room }) => {
                let again = lacks_room.as_ref().map_or("", |_| "; it is tried again");
                let log = &self.lent.worker.broker.log;
                stdx::warning!(log, "  Error recovering stream '{owner} > {name}': {why}{again}");
                self.shared.broken.lock().push((owner, name.to_owned(), why));
                if let Some(config) = lacks_room {
                    self.open_later(account, name, config);
                }
                false
            }
        }
    }

    /// Makes a batch whole that the end of the server cut.
    fn mend(&mut self, at: u32, cut: &CutBatch, rest: &[Message]) {
        let now = self.now;
        let Some(place) = self.places.get_mut(at as usize).and_then(Option::as_deref_mut) else {
            return;
        };
        let mut out = self.lent.out(at, &place.account.account);
        stdx::notice!(
            out.lent.worker.broker.log,
            "  Restoring partial batch write for stream '{} > {}' ({} stored, {} to follow)",
            place.account.account.name,
            place.stream.config().name,
            cut.stored,
            rest.len()
        );
        place.stream.mend_batch(cut, rest, now, &mut out);
        self.touch(at);
    }

    /// Opens the consumers of a stream that lie on the disk.
    fn recover_consumers(&mut self, at: u32, owner: &str, stream: &str) {
        let log = self.lent.worker.broker.log.clone();
        let dir = self.shared.stream_dir(owner, stream);
        let encryption = self.shared.encryption(owner);
        for name in directories(&dir.join("obs")) {
            if is_unmade_consumer(&dir.join("obs").join(&name)) {
                stdx::debug!(log, "    Consumer '{owner} > {stream} > {name}' was never made");
                continue;
            }
            let disk = self.shared.disk(dir.clone());
            let place = Document::consumer(stream, &name);
            let read = store::meta::read(&disk, &place, encryption.as_ref())
                .map_err(|e| e.to_string())
                .and_then(|text| meta::read_consumer(&text).map_err(|e| e.to_string()));
            let (config, created) = match read {
                Ok(read) => read,
                Err(error) => {
                    stdx::warning!(
                        log,
                        "    Error recovering consumer '{owner} > {stream} > {name}': {error} (in '{}'; making a consumer of this name sets it aside)",
                        dir.display()
                    );
                    continue;
                }
            };
            let files = open_files(&self.shared, owner, stream, &name, &config, created);
            let opened = self.open_consumer(at, &name, config, created, false, files);
            if let Err(error) = opened {
                stdx::warning!(
                    log,
                    "    Error restoring consumer '{owner} > {stream} > {name}': {error}"
                );
            }
        }
        if let Some(place) = self.place(at) {
            place.free_unneeded();
        }
        self.touch(at);
    }
}
