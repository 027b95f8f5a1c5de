//! `STREAM.RESTORE`: a stream comes in as an archive, in chunks, each answered once it is unpacked.
//!
//! ```text
//! chunk -> unpacked on the pool into a folder beside the streams -> answered -> the next chunk
//! the end -> the name is taken -> the folder becomes the stream's -> consumers -> answered
//! ```
//! Laws: what waits for the disk is bounded; nothing of the account changes before the archive is
//!       whole; a folder that lies where the stream is to be is set aside, not removed.
//! Reference: jetstream_api.go processStreamRestore; stream.go RestoreStream.
//! Parity: API-013, SNAP-004, SNAP-005, SNAP-006.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use broker::sub::{Internal, InternalMessage};
use bytes::Bytes;
use jetstream_api::advisory::{Action, RestoreComplete, RestoreCreate};
use jetstream_api::request::{StreamRestoreRequest, is_empty};
use jetstream_api::response::{StreamCreate, StreamRestore};
use jetstream_api::subject::Event as Advised;
use jetstream_api::validate::is_asset_name;
use jetstream_api::{ApiError, StorageType, StreamConfig, StreamInfo, json};
use jetstream_core::stream::Storage;
use jetstream_core::{Out, Outgoing};
use stdx::time::{Mono, Timestamp};
use store::Unpacker;
use store::meta::Document;

use super::client_of;
use crate::account::JsAccount;
use crate::api::{open_files, stream_info};
use crate::engine::directories;
use crate::event::{ApiRequest, Event};
use crate::ingress::Listening;
use crate::meta;
use crate::place::Disk;
use crate::queue::{Queue, owned};
use crate::recover::open_storage;
use crate::shard::Shard;

/// Who sends nothing for so long is gone.
const SENT_WITHIN: Duration = Duration::from_secs(5);
/// Bytes that may wait to be unpacked: clients wait for answers, so this is far more than they send.
const MAX_WAITING: usize = 64 << 20;
/// Streams that may come in at the same time on one shard.
const MAX_RESTORES: usize = 256;

/// What was sent.
struct Chunk {
    bytes: Bytes,
    reply: Option<Bytes>,
}

/// A folder that goes with its restore.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // It may have become the stream's.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A stream on its way in.
pub(super) struct Restore {
    request: ApiRequest,
    config: Arc<StreamConfig>,
    _listening: Listening,
    start: Timestamp,
    folder: Arc<Folder>,
    /// Where it is while nothing is unpacked.
    unpacker: Option<Unpacker<Disk>>,
    chunks: VecDeque<Chunk>,
    waiting: Arc<AtomicUsize>,
    received: u64,
    pub(super) deadline: Option<Mono>,
}

/// Chunks as they are published.
struct Chunks {
    queue: Arc<Queue>,
    id: u64,
    waiting: Arc<AtomicUsize>,
}

impl Internal for Chunks {
    fn deliver(&self, m: &InternalMessage<'_>) -> bool {
        let id = self.id;
        let before = self.waiting.fetch_add(m.payload.len(), Ordering::Relaxed);
        if before > MAX_WAITING {
            let flood = "chunks are sent faster than they are answered";
            self.queue
                .push_event(Event::Run(Box::new(move |shard| shard.restore_given_up(id, flood))));
            return true;
        }
        let chunk = Chunk { bytes: owned(m.payload), reply: m.reply.map(owned) };
        self.queue.push_event(Event::Run(Box::new(move |shard| shard.chunk_came(id, chunk))));
        true
    }
}

/// An archive that became a stream's folder, opened.
struct Opened {
    created: Timestamp,
    storage: Storage<Disk>,
}

impl Shard {
    pub(crate) fn stream_restore(&mut self, request: &ApiRequest, name: &str) {
        if let Err(error) = self.begin_restore(request, name) {
            self.respond::<StreamRestore>(request, Err(error));
        }
    }

    fn begin_restore(&mut self, request: &ApiRequest, name: &str) -> Result<(), ApiError> {
        if is_empty(&request.payload) {
            return Err(ApiError::bad_request());
        }
        let mut asked: StreamRestoreRequest = self.decode(&request.payload)?;
        if asked.config.name.is_empty() {
            name.clone_into(&mut asked.config.name);
        }
        // Backups name what a server told of itself as well.
        jetstream_api::level::drop_shown(&mut asked.config.metadata);
        let config = self.judge_restore(request, name, &asked.config)?;
        if config.storage == StorageType::Memory {
            return Err(ApiError::stream_restore("a backup cannot be restored to memory"));
        }
        if self.transfers.restores.len() >= MAX_RESTORES {
            return Err(ApiError::stream_restore("too many restores are under way"));
        }
        let owner = request.account.account.name.clone();
        let nuid = self.lent.random.nuid(self.now);
        let dir = self.shared.snapshots_dir(&owner).join(format!("snap-{nuid}"));
        if let Err(error) = std::fs::create_dir_all(&dir) {
            let log = &self.lent.worker.broker.log;
            stdx::error!(log, "JetStream cannot create '{}' for a restore: {error}", dir.display());
            return Err(ApiError::temp_storage_failed());
        }
        stdx::notice!(
            self.lent.worker.broker.log,
            "Starting restore for stream '{owner} > {name}'"
        );
        let id = self.transfers.next_id();
        let subject = format!("$JS.SNAPSHOT.RESTORE.{name}.{nuid}");
        let waiting = Arc::<AtomicUsize>::default();
        let chunks = Chunks { queue: self.queue.clone(), id, waiting: waiting.clone() };
        let account = request.account.clone();
        let listening = Listening::custom(&account.account, subject.as_bytes(), Arc::new(chunks));
        let room = self.room_for(request);
        let restore = Restore {
            request: request.again(),
            config: Arc::new(config),
            _listening: listening,
            start: self.now.wall,
            unpacker: Some(Unpacker::new(self.shared.disk(&dir), room)),
            folder: Arc::new(Folder(dir)),
            chunks: VecDeque::new(),
            waiting,
            received: 0,
            deadline: Some(self.now.mono + SENT_WITHIN),
        };
        self.transfers.restores.insert(id, restore);
        let (client, domain) =
            (client_of(request), account.facts.domain.clone().unwrap_or_default());
        let stream = name.to_owned();
        self.advise(&account, &Advised::RestoreCreate { stream: name }, || RestoreCreate {
            stream,
            client,
            domain,
        });
        self.respond(request, Ok(StreamRestore { deliver_subject: subject }));
        Ok(())
    }

    /// What account and server have room for.
    fn room_for(&self, request: &ApiRequest) -> u64 {
        let account = request.account.left(StorageType::File);
        let used = self.shared.used(StorageType::File);
        let server = self.shared.max_bytes(StorageType::File).map(|max| max.saturating_sub(used));
        account.into_iter().chain(server).min().unwrap_or(u64::MAX)
    }

    fn chunk_came(&mut self, id: u64, chunk: Chunk) {
        let Some(restore) = self.transfers.restores.get_mut(&id) else { return };
        if chunk.reply.is_none() {
            let why = "it requires a reply subject for each chunk";
            return self.restore_given_up(id, why);
        }
        restore.chunks.push_back(chunk);
        self.unpack_next(id);
    }

    /// Unpacks the next chunk where waiting for the disk keeps nobody waiting.
    fn unpack_next(&mut self, id: u64) {
        let Some(restore) = self.transfers.restores.get_mut(&id) else { return };
        if restore.unpacker.is_none() {
            return;
        }
        let Some(chunk) = restore.chunks.pop_front() else { return };
        let Some(mut unpacker) = restore.unpacker.take() else { return };
        restore.deadline = None;
        if chunk.bytes.is_empty() {
            return self.archive_is_whole(id, unpacker, chunk.reply);
        }
        let (queue, folder) = (self.queue.clone(), restore.folder.clone());
        self.shared.io.run(move || {
            let done = unpacker.push(&chunk.bytes);
            drop(folder);
            queue.push_event(Event::Run(Box::new(move |shard: &mut Self| {
                shard.chunk_unpacked(id, unpacker, &chunk, done);
            })));
        });
    }

    fn chunk_unpacked(
        &mut self,
        id: u64,
        unpacker: Unpacker<Disk>,
        chunk: &Chunk,
        done: store::Result<()>,
    ) {
        let due = self.now.mono + SENT_WITHIN;
        let Some(restore) = self.transfers.restores.get_mut(&id) else { return };
        restore.waiting.fetch_sub(chunk.bytes.len(), Ordering::Relaxed);
        if let Err(error) = done {
            return self.end_restore(id, chunk.reply.as_ref(), Err(refused(&error)));
        }
        restore.unpacker = Some(unpacker);
        restore.received += chunk.bytes.len() as u64;
        restore.deadline = Some(due);
        let account = restore.request.account.account.clone();
        if let Some(reply) = &chunk.reply {
            self.lent.out(u32::MAX, &account).send(Outgoing::new(reply, b"", b""));
        }
        self.unpack_next(id);
    }

    /// Everything was sent: the name is taken, then the folder becomes the stream's.
    fn archive_is_whole(&mut self, id: u64, unpacker: Unpacker<Disk>, reply: Option<Bytes>) {
        let Some(restore) = self.transfers.restores.get(&id) else { return };
        let (request, config) = (restore.request.again(), restore.config.clone());
        let folder = restore.folder.clone();
        if let Err(error) = self.take_name(&request, &config) {
            return self.end_restore(id, reply.as_ref(), Err(error));
        }
        let (shared, queue, now) = (self.shared.clone(), self.queue.clone(), self.now.wall);
        self.shared.io.run(move || {
            let owner = &request.account.account.name;
            let opened = unpacker
                .finish()
                .map_err(|e| refused(&e))
                .and_then(|text| move_in(&shared, owner, &config, &folder.0, &text, now));
            drop(folder);
            queue.push_event(Event::Run(Box::new(move |shard: &mut Self| {
                let outcome =
                    opened.and_then(|opened| shard.settle_restored(&request, &config, opened));
                if outcome.is_err() {
                    request.account.streams().remove(&config.name);
                }
                shard.end_restore(id, reply.as_ref(), outcome);
            })));
        });
    }

    /// Takes the stream in, with its consumers.
    fn settle_restored(
        &mut self,
        request: &ApiRequest,
        config: &Arc<StreamConfig>,
        opened: Opened,
    ) -> Result<(), ApiError> {
        let at = self.take_in(&request.account, config, opened.created, opened.storage);
        if let Err(why) = self.restore_consumers(at, &request.account, &config.name) {
            let _ = self.drop_stream(&request.account.clone(), at, &config.name);
            return Err(ApiError::stream_restore(why));
        }
        self.begin_drawing(at);
        self.advise_stream(&request.account, &config.name, Action::Create);
        Ok(())
    }

    fn restore_consumers(
        &mut self,
        at: u32,
        account: &JsAccount,
        stream: &str,
    ) -> Result<(), String> {
        let (owner, limits) = (&account.account.name, &account.api_limits());
        let dir = self.shared.stream_dir(owner, stream);
        for name in directories(&dir.join("obs")) {
            let failed = |why: &dyn std::fmt::Display| {
                format!(
                    "error restoring consumer [{}]: {why}",
                    stdx::go_text::quote(name.as_bytes())
                )
            };
            if !is_asset_name(&name) {
                return Err(failed(&"its name cannot be one"));
            }
            let place = Document::consumer(stream, &name);
            // It is in the clear until its files are opened.
            let text =
                store::meta::read(&self.shared.disk(&dir), &place, None).map_err(|e| failed(&e))?;
            let (config, created) = meta::read_consumer(&text).map_err(|e| failed(&e))?;
            let config = self
                .judge_restored(at, &name, config, limits)
                .map_err(|e| failed(&e.description))?;
            let files = open_files(&self.shared, owner, stream, &name, &config, created);
            self.open_consumer(at, &name, config, created, false, files)
                .map_err(|e| failed(&e.description))?;
        }
        if let Some(place) = self.place(at) {
            place.free_unneeded();
        }
        self.touch(at);
        Ok(())
    }

    /// Answers the last chunk, and tells those who listen.
    fn end_restore(&mut self, id: u64, reply: Option<&Bytes>, outcome: Result<(), ApiError>) {
        let Some(restore) = self.transfers.restores.remove(&id) else { return };
        let (account, name) = (restore.request.account.clone(), restore.config.name.clone());
        let owner = account.account.name.clone();
        let log = self.lent.worker.broker.log.clone();
        match &outcome {
            Ok(()) => stdx::notice!(
                log,
                "Completed restore of {} bytes for stream '{owner} > {name}'",
                restore.received
            ),
            Err(error) => stdx::warning!(
                log,
                "Restore failed for stream '{owner} > {name}' after {} bytes: {}",
                restore.received,
                error.description
            ),
        }
        let (start, end) = (Some(restore.start), Some(self.now.wall));
        let client = client_of(&restore.request);
        let domain = account.facts.domain.clone().unwrap_or_default();
        self.advise(&account, &Advised::RestoreComplete { stream: &name }, || RestoreComplete {
            stream: name.clone(),
            start,
            end,
            bytes: i64::try_from(restore.received).unwrap_or(i64::MAX),
            client,
            domain,
        });
        let outcome = outcome.and_then(|()| {
            let now = self.now;
            let at = self.find(&restore.request, &name)?;
            let place = self.place(at).ok_or_else(ApiError::stream_not_found)?;
            let info = stream_info(place, false, false, now);
            // Compat: no more than that is told of it.
            let (domain, mirror, sources) = Default::default();
            let info = StreamInfo { domain, mirror, sources, ..info };
            Ok(StreamCreate { info: Some(info), did_create: false })
        });
        if let Some(reply) = reply {
            self.catch_up();
            let body = json::to_json(&jetstream_api::response::Response::from(outcome));
            self.lent.out(u32::MAX, &account.account).send(Outgoing::new(reply, b"", &body));
        }
        self.drop_folder(restore);
    }

    /// It ends without an answer: nobody waits for one.
    fn restore_given_up(&mut self, id: u64, why: &str) {
        let Some(restore) = self.transfers.restores.remove(&id) else { return };
        let owner = &restore.request.account.account.name;
        let log = &self.lent.worker.broker.log;
        stdx::warning!(log, "Restore for stream '{owner} > {}': {why}", restore.config.name);
        self.drop_folder(restore);
    }

    pub(super) fn restore_is_late(&mut self, id: u64) {
        self.restore_given_up(id, "it is stalled");
    }

    /// Removing a folder is the pool's.
    fn drop_folder(&self, restore: Restore) {
        let folder = restore.folder;
        self.shared.io.run(move || drop(folder));
    }
}

/// What is said of an archive that cannot be unpacked.
fn refused(error: &store::Error) -> ApiError {
    match error {
        store::Error::SnapshotTooLarge { .. } => ApiError::storage_resources_exceeded(),
        other => ApiError::stream_restore(other),
    }
}

/// Makes a folder the stream's and opens its store. Waits for the disk.
fn move_in(
    shared: &crate::shared::Shared,
    owner: &str,
    config: &StreamConfig,
    folder: &Path,
    text: &[u8],
    now: Timestamp,
) -> Result<Opened, ApiError> {
    let failed = |e: &dyn std::fmt::Display| ApiError::stream_restore(e);
    let (was, created) = meta::read_stream(text).map_err(|e| failed(&e))?;
    if was.name != config.name {
        return Err(ApiError::stream_restore("stream names do not match"));
    }
    let dir = shared.stream_dir(owner, &config.name);
    let parent = shared.account_dir(owner).join("streams");
    std::fs::create_dir_all(&parent).map_err(|e| failed(&e))?;
    if dir.exists() {
        // A stream that could not be opened lies there: it may be all there is of something.
        let aside = shared.aside_dir(owner, &config.name, now);
        std::fs::create_dir_all(aside.parent().unwrap_or(&parent)).map_err(|e| failed(&e))?;
        std::fs::rename(&dir, &aside).map_err(|e| failed(&e))?;
        let log = &shared.broker.log;
        stdx::warning!(
            log,
            "A restore replaces '{}': moved to '{}'",
            dir.display(),
            aside.display()
        );
    }
    std::fs::rename(folder, &dir).map_err(|e| failed(&e))?;
    let created = if created == Timestamp::default() { now } else { created };
    std::fs::File::open(&parent).and_then(|f| f.sync_all()).map_err(|e| failed(&e))?;
    let open = || {
        let (mut storage, _) = open_storage(shared, owner, config, created, now, None)?;
        // The archive's document is of the stream as it was.
        storage.write_meta(&meta::stream(config, created))?;
        storage.update(jetstream_core::stream::settings(config), now)?;
        Ok(storage)
    };
    match open() {
        Ok(storage) => Ok(Opened { created, storage }),
        Err(error) => {
            let _ = std::fs::remove_dir_all(&dir);
            let error: store::Error = error;
            Err(failed(&error))
        }
    }
}
