//! Opening streams: new ones, and those found on the disk at the start.
//!
//! Laws: what cannot be opened is left as it is, named in the log, and does not keep the rest from
//!       starting.

use std::sync::Arc;

use jetstream_api::{Compression, StorageType, StreamConfig};
use jetstream_core::stream::{Storage, Stream, settings};
use stdx::time::Timestamp;
use store::meta::Document;
use store::{FileStore, MemStore, Options};

use crate::account::{Entry, JsAccount};
use crate::engine::directories;
use crate::meta;
use crate::place::{Disk, Place};
use crate::shard::Shard;
use crate::shared::Shared;

/// Opens the store of a stream. Waits for the disk: a job for the pool.
pub(crate) fn open_storage(
    shared: &Shared,
    account: &str,
    config: &StreamConfig,
    created: Timestamp,
    now: Timestamp,
) -> store::Result<Storage<Disk>> {
    let settings = settings(config);
    if config.storage == StorageType::Memory {
        return Ok(Storage::Memory(Box::new(MemStore::new(settings))));
    }
    let options = Options {
        compression: match config.compression {
            Compression::None => store::Compression::None,
            Compression::S2 => store::Compression::S2,
        },
        encryption: shared.encryption(account),
        log: shared.broker.log.clone(),
        ..Options::default()
    };
    let disk = Disk::new(shared.stream_dir(account, &config.name));
    let document = meta::stream(config, created);
    let (store, _) = FileStore::open(disk, settings, options, &document, now)?;
    Ok(Storage::File(Box::new(store)))
}

/// A stream that lay on the disk, opened.
pub(crate) struct Found {
    config: Arc<StreamConfig>,
    created: Timestamp,
    storage: Storage<Disk>,
}

/// Opens a stream that lies on the disk; the error is for the operator.
pub(crate) fn open_found(
    shared: &Shared,
    account: &str,
    name: &str,
    now: Timestamp,
) -> Result<Found, String> {
    let disk = Disk::new(shared.stream_dir(account, name));
    let encryption = shared.encryption(account);
    let text = store::meta::read(&disk, &Document::stream(name), encryption.as_ref())
        .map_err(|e| e.to_string())?;
    let (config, created) = meta::read_stream(&text).map_err(|e| e.to_string())?;
    let storage =
        open_storage(shared, account, &config, created, now).map_err(|e| e.to_string())?;
    Ok(Found { config: Arc::new(config), created, storage })
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
        let mut streams = account.streams();
        let entry = streams.entry(config.name.clone()).or_insert_with(|| Entry {
            shard: index,
            place: None,
            config: config.clone(),
            consumers: Arc::default(),
        });
        entry.place = Some(at);
        let consumers = entry.consumers.clone();
        drop(streams);
        if let Some(place) = self.place(at) {
            place.consumers = consumers;
            place.promise(&shared);
            place.listen(&shared, &queue, at);
        }
        if let Some(place) = self.place(at) {
            place.stream.store().hand_out_jobs();
        }
        self.open_links(at);
        self.touch(at);
        self.rest_later(at);
        at
    }

    /// Takes in a stream that lay on the disk, with its consumers; `false` if it stays out.
    pub(crate) fn recover_stream(
        &mut self,
        account: &Arc<JsAccount>,
        name: &str,
        found: Result<Found, String>,
    ) -> bool {
        let owner = account.account.name.clone();
        match found {
            Ok(found) => {
                let at = self.take_in(account, &found.config, found.created, found.storage);
                self.recover_consumers(at, &owner, name);
                true
            }
            Err(error) => {
                let log = &self.worker.broker.log;
                stdx::warning!(log, "  Error recovering stream '{owner} > {name}': {error}");
                self.shared.broken.lock().push((owner, name.to_owned(), error));
                false
            }
        }
    }

    /// Opens the consumers of a stream that lie on the disk.
    fn recover_consumers(&mut self, at: u32, owner: &str, stream: &str) {
        let log = self.worker.broker.log.clone();
        let dir = self.shared.stream_dir(owner, stream);
        let encryption = self.shared.encryption(owner);
        for name in directories(&dir.join("obs")) {
            let disk = Disk::new(dir.clone());
            let place = Document::consumer(stream, &name);
            let read = store::meta::read(&disk, &place, encryption.as_ref())
                .map_err(|e| e.to_string())
                .and_then(|text| meta::read_consumer(&text).map_err(|e| e.to_string()));
            let (config, created) = match read {
                Ok(read) => read,
                Err(error) => {
                    stdx::warning!(
                        log,
                        "    Error recovering consumer '{owner} > {stream} > {name}': {error}"
                    );
                    continue;
                }
            };
            if let Err(error) = self.open_consumer(at, &name, config, created, false) {
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
