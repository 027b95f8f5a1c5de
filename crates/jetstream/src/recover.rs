//! Opening streams: new ones, and those found on the disk at the start.
//!
//! Laws: what cannot be opened is left as it is, named in the log, and does not keep the rest from
//!       starting.

use std::sync::Arc;

use jetstream_api::{ApiError, Compression, StorageType, StreamConfig};
use jetstream_core::stream::{Storage, Stream, settings};
use stdx::time::Timestamp;
use store::meta::Document;
use store::{FileStore, MemStore, Options};

use crate::account::{Entry, JsAccount};
use crate::api::Outcome;
use crate::engine::directories;
use crate::meta;
use crate::place::{Disk, Place};
use crate::shard::Shard;

impl Shard {
    /// Opens a stream's store and takes the stream in.
    pub(crate) fn open_stream(
        &mut self,
        account: &Arc<JsAccount>,
        config: &Arc<StreamConfig>,
        created: Timestamp,
        is_new: bool,
    ) -> Outcome<u32> {
        let storage = self.open_storage(account, config, created).map_err(|error| {
            let name = format!("{} > {}", account.account.name, config.name);
            stdx::error!(
                self.worker.broker.log,
                "Error creating store for stream '{name}': {error}"
            );
            // Compat(API-044): the cause is for the operator.
            ApiError::stream_create("error creating store for stream")
        })?;
        let facts = account.facts.clone();
        let stream = Stream::new(config.clone(), created, facts, storage);
        let at = self.settle_in(|generation| Place::new(stream, account.clone(), generation));
        let (shared, queue, index) = (self.shared.clone(), self.queue.clone(), self.index);
        if let Some(place) = self.place(at) {
            place.promise(&shared);
            place.listen(&shared, &queue, at);
        }
        let mut streams = account.streams();
        let entry = streams.entry(config.name.clone()).or_insert_with(|| Entry {
            shard: index,
            place: None,
            config: config.clone(),
            consumers: Arc::default(),
        });
        entry.place = Some(at);
        if let Some(place) = self.places.get_mut(at as usize).and_then(Option::as_deref_mut) {
            place.consumers = entry.consumers.clone();
        }
        drop(streams);
        self.open_links(at);
        if is_new {
            self.begin_drawing(at);
            self.touch(at);
        }
        Ok(at)
    }

    fn open_storage(
        &self,
        account: &JsAccount,
        config: &StreamConfig,
        created: Timestamp,
    ) -> store::Result<Storage<Disk>> {
        let settings = settings(config);
        if config.storage == StorageType::Memory {
            return Ok(Storage::Memory(Box::new(MemStore::new(settings))));
        }
        let name = &account.account.name;
        let options = Options {
            compression: match config.compression {
                Compression::None => store::Compression::None,
                Compression::S2 => store::Compression::S2,
            },
            encryption: self.shared.encryption(name),
            log: self.worker.broker.log.clone(),
            ..Options::default()
        };
        let disk = Disk::new(self.shared.stream_dir(name, &config.name));
        let document = meta::stream(config, created);
        let (store, _) = FileStore::open(disk, settings, options, &document, self.now.wall)?;
        Ok(Storage::File(Box::new(store)))
    }

    /// Opens a stream that lies on the disk.
    pub(crate) fn recover_stream(&mut self, account: &Arc<JsAccount>, name: &str) -> bool {
        let log = self.worker.broker.log.clone();
        let owner = account.account.name.clone();
        let disk = Disk::new(self.shared.stream_dir(&owner, name));
        let encryption = self.shared.encryption(&owner);
        let text = match store::meta::read(&disk, &Document::stream(name), encryption.as_ref()) {
            Ok(text) => text,
            Err(error) => {
                stdx::warning!(log, "  Error recovering stream '{owner} > {name}': {error}");
                return false;
            }
        };
        let (config, created) = match meta::read_stream(&text) {
            Ok(read) => read,
            Err(error) => {
                stdx::warning!(log, "  Error unmarshalling stream metafile '{name}': {error}");
                return false;
            }
        };
        match self.open_stream(account, &Arc::new(config), created, false) {
            Ok(at) => {
                self.recover_consumers(at, &owner, name);
                true
            }
            Err(_) => false,
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
    }
}
