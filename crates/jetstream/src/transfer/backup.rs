//! `STREAM.SNAPSHOT`: a stream leaves as an archive, in chunks, as fast as they are acknowledged.
//!
//! ```text
//! one block off the store -> packed on the pool -> chunks, a window of them -> the next block
//! ```
//! Laws: at most one packed block and one window are in memory; publishers are served meanwhile, and
//!       what they store in blocks that were not taken yet is in the archive as well.
//! Reference: jetstream_api.go jsStreamSnapshotRequest, streamSnapshot.
//! Parity: API-012, SNAP-001, SNAP-002, SNAP-003, SNAP-006.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use broker::sub::{Internal, InternalMessage};
use jetstream_api::ApiError;
use jetstream_api::advisory::{SnapshotComplete, SnapshotCreate};
use jetstream_api::request::{StreamSnapshotRequest, is_empty};
use jetstream_api::response::StreamSnapshot;
use jetstream_api::subject::Event as Advised;
use jetstream_core::stream::Storage;
use jetstream_core::{Out, Outgoing};
use stdx::time::{Mono, Timestamp};
use store::{FileStore, Packer, SnapshotFile, SnapshotPlan, damaged_places};

use super::{Watch, client_of};
use crate::api::stream_info;
use crate::event::{ApiRequest, Event};
use crate::ingress::Listening;
use crate::place::{Disk, Place};
use crate::queue::Queue;
use crate::shard::Shard;

/// Chunks of this size, unless another one is asked for.
const CHUNK: i64 = 128 << 10;
/// Bytes that wait to be acknowledged, unless other ones are asked for.
const WINDOW: i64 = 8 << 20;
/// Who acknowledges nothing for so long is gone.
const ACK_WITHIN: Duration = Duration::from_secs(5);
/// Who asked may be about to subscribe.
const SUBSCRIBED_WITHIN: Duration = Duration::from_secs(2);

/// What is taken off the store next.
enum Step {
    /// Blocks are read to see whether they are whole.
    Check(VecDeque<u32>, usize),
    Head,
    Blocks(VecDeque<u32>),
    Index,
    Consumers(VecDeque<String>),
    End,
}

/// A stream on its way out.
pub(super) struct Backup {
    request: ApiRequest,
    asked: StreamSnapshotRequest,
    at: u32,
    generation: u32,
    start: Timestamp,
    plan: SnapshotPlan,
    step: Step,
    /// Where it is while nothing is packed.
    packer: Option<Packer>,
    /// What is packed and not sent, from `sent` on.
    packed: Vec<u8>,
    sent: usize,
    whole: bool,
    chunk: usize,
    /// Chunks that may wait for acknowledgement, and how many do.
    window: usize,
    inflight: usize,
    chunks: u64,
    /// `$JS.SNAPSHOT.ACK.<stream>.<nuid>`
    acks: String,
    listening: Option<Listening>,
    watch: Option<Watch>,
    /// Nobody subscribed to where it goes yet.
    unheard: bool,
    pub(super) deadline: Option<Mono>,
}

/// Acknowledgements of chunks.
struct Acks {
    queue: Arc<Queue>,
    id: u64,
}

impl Internal for Acks {
    fn deliver(&self, _: &InternalMessage<'_>) -> bool {
        let id = self.id;
        self.queue.push_event(Event::Run(Box::new(move |shard| shard.chunk_arrived(id))));
        true
    }
}

/// The store, if the stream has one on the disk.
fn files(place: &mut Place) -> Option<&mut FileStore<Disk>> {
    match place.stream.store() {
        Storage::File(store) => Some(store),
        Storage::Memory(_) => None,
    }
}

impl Shard {
    pub(crate) fn stream_snapshot(&mut self, request: &ApiRequest, name: &str) {
        if let Err(error) = self.begin_backup(request, name) {
            self.respond::<StreamSnapshot>(request, Err(error));
        }
    }

    fn begin_backup(&mut self, request: &ApiRequest, name: &str) -> Result<(), ApiError> {
        if is_empty(&request.payload) {
            return Err(ApiError::bad_request());
        }
        let at = self.find(request, name)?;
        let asked: StreamSnapshotRequest = self.decode(&request.payload)?;
        if !subject::is_valid_publish(asked.deliver_subject.as_bytes()) {
            return Err(ApiError::snapshot_deliver_subject_invalid());
        }
        let log = self.lent.worker.broker.log.clone();
        let place = self.place(at).ok_or_else(ApiError::stream_not_found)?;
        let generation = place.generation;
        // Compat(SNAP-008): said of a stream in memory.
        let store = files(place).ok_or_else(|| ApiError::stream_snapshot("no impl"))?;
        let plan = store.snapshot_plan().map_err(ApiError::stream_snapshot)?;
        let mut others = self.transfers.backups.values();
        if others.any(|b| b.at == at && b.generation == generation) {
            return Err(ApiError::stream_snapshot("snapshot in progress"));
        }
        let owner = &request.account.account.name;
        let what = if asked.jsck { "health check and snapshot" } else { "snapshot" };
        stdx::notice!(log, "Starting {what} for stream '{owner} > {name}'");
        let id = self.transfers.next_id();
        let size = |asked: i64, usual: i64, max: i64| {
            let size = if asked == 0 { usual } else { asked };
            usize::try_from(size.clamp(1 << 10, max)).unwrap_or(1 << 10)
        };
        let chunk = size(asked.chunk_size, CHUNK, 1 << 20);
        let window = size(asked.window_size, WINDOW, 32 << 20).max(chunk) / chunk;
        let blocks: VecDeque<u32> = plan.blocks.iter().copied().collect();
        let backup = Backup {
            request: request.again(),
            at,
            generation,
            start: self.now.wall,
            step: if asked.jsck { Step::Check(blocks, 0) } else { Step::Head },
            asked,
            plan,
            packer: Some(Packer::default()),
            packed: Vec::new(),
            sent: 0,
            whole: false,
            chunk,
            window,
            inflight: 0,
            chunks: 0,
            acks: format!("$JS.SNAPSHOT.ACK.{name}.{}", self.lent.random.nuid(self.now)),
            listening: None,
            watch: None,
            unheard: false,
            deadline: None,
        };
        let checks = backup.asked.jsck;
        self.transfers.backups.insert(id, backup);
        if checks {
            self.check_next(id);
        } else {
            self.announce_backup(id);
        }
        Ok(())
    }

    /// A backup and its stream, unless that is gone.
    fn backup(&mut self, id: u64) -> Option<(&mut Backup, Option<&mut Place>)> {
        let backup = self.transfers.backups.get_mut(&id)?;
        let place = self.places.get_mut(backup.at as usize).and_then(Option::as_deref_mut);
        let place = place.filter(|p| p.generation == backup.generation);
        Some((backup, place))
    }

    /// Reads one block for the check; the pool looks at it.
    fn check_next(&mut self, id: u64) {
        let Some((backup, place)) = self.backup(id) else { return };
        let Step::Check(blocks, found) = &mut backup.step else { return };
        let found = *found;
        let Some(index) = blocks.pop_front() else {
            let lost = place.and_then(|p| {
                files(p).map(|s| s.lost().iter().filter(|l| l.seqs.is_some()).count())
            });
            let bad = found + lost.unwrap_or(0);
            if bad > 0 {
                let why = format!("snapshot check detected {bad} bad messages");
                return self.backup_refused(id, &why);
            }
            backup.step = Step::Head;
            return self.announce_backup(id);
        };
        let Some(store) = place.and_then(files) else {
            return self.backup_refused(id, "stream closed");
        };
        let name = store.settings().name.clone();
        let bytes = match store.snapshot_block(index) {
            Ok(file) => file.map(|f| f.bytes).unwrap_or_default(),
            Err(error) => {
                return self.backup_refused(id, &format!("snapshot check failed: {error}"));
            }
        };
        let queue = self.queue.clone();
        self.shared.io.run(move || {
            let found = damaged_places(&name, index, &bytes);
            queue.push_event(Event::Run(Box::new(move |shard: &mut Self| {
                if let Some(backup) = shard.transfers.backups.get_mut(&id)
                    && let Step::Check(_, sum) = &mut backup.step
                {
                    *sum += found;
                }
                shard.check_next(id);
            })));
        });
    }

    /// It does not begin.
    fn backup_refused(&mut self, id: u64, why: &str) {
        let Some(backup) = self.transfers.backups.remove(&id) else { return };
        self.backup_warned(&backup, why);
        self.respond::<StreamSnapshot>(&backup.request, Err(ApiError::stream_snapshot(why)));
    }

    fn backup_warned(&self, backup: &Backup, why: &str) {
        let owner = &backup.request.account.account.name;
        let name = backup.acks.split('.').nth(3).unwrap_or_default();
        let log = &self.lent.worker.broker.log;
        stdx::warning!(log, "Snapshot of stream '{owner} > {name}' failed: {why}");
    }

    /// Answers the request; from now on there are chunks.
    fn announce_backup(&mut self, id: u64) {
        let (now, queue) = (self.now, self.queue.clone());
        let Some((backup, Some(place))) = self.backup(id) else {
            return self.backup_refused(id, "stream closed");
        };
        let info = stream_info(place, false, true, now);
        let account = backup.request.account.clone();
        let deliver = backup.asked.deliver_subject.clone().into_bytes();
        let acks: Arc<dyn Internal> = Arc::new(Acks { queue: queue.clone(), id });
        let subject = format!("{}.>", backup.acks);
        backup.listening = Some(Listening::custom(&account.account, subject.as_bytes(), acks));
        let changed = Self::backup_interest;
        backup.watch = Some(Watch::start(&account.account, &deliver, &queue, id, changed));
        // Clients that have all their answers by one wildcard subscribe to this subject once they were
        // answered: what came before would be lost to them. Those that do not are waited for in vain.
        backup.unheard = !account.account.is_subscribed(&deliver, b"");
        if backup.unheard {
            backup.deadline = Some(now.mono + SUBSCRIBED_WITHIN);
        }
        let (request, name) = (backup.request.again(), info.config.name.clone());
        let (state, config) = (Some(info.state.clone()), Some(info.config));
        self.respond(&request, Ok(StreamSnapshot { config, state }));
        let client = client_of(&request);
        let domain = account.facts.domain.clone().unwrap_or_default();
        self.advise(&account, &Advised::SnapshotCreate { stream: &name }, || SnapshotCreate {
            stream: name.clone(),
            state: info.state,
            client,
            domain,
        });
        self.pump(id);
    }

    /// Subscribers came or went.
    fn backup_interest(&mut self, id: u64) {
        let Some(backup) = self.transfers.backups.get_mut(&id) else { return };
        let account = &backup.request.account.account;
        let deliver = backup.asked.deliver_subject.as_bytes();
        if account.is_subscribed(deliver, b"") {
            if std::mem::take(&mut backup.unheard) {
                backup.deadline = None;
            }
            self.pump(id);
        } else if !backup.unheard && !account.is_wanted(deliver) {
            self.end_backup(id, Some("408 No Interest"));
        }
    }

    pub(super) fn backup_is_late(&mut self, id: u64) {
        let Some(backup) = self.transfers.backups.get_mut(&id) else { return };
        backup.deadline = None;
        if std::mem::take(&mut backup.unheard) {
            self.pump(id);
        } else if backup.inflight >= backup.window {
            self.end_backup(id, Some("408 No Flow Response"));
        }
    }

    fn chunk_arrived(&mut self, id: u64) {
        let Some(backup) = self.transfers.backups.get_mut(&id) else { return };
        backup.inflight = backup.inflight.saturating_sub(1);
        self.pump(id);
    }

    /// Sends what may be sent; packs more if that is all.
    fn pump(&mut self, id: u64) {
        loop {
            let now = self.now.mono;
            let Some(backup) = self.transfers.backups.get_mut(&id) else { return };
            if backup.unheard {
                return;
            }
            let waiting = backup.packed.len() - backup.sent;
            if waiting >= backup.chunk {
                if backup.inflight >= backup.window {
                    return;
                }
                backup.inflight += 1;
                backup.chunks += 1;
                backup.deadline = Some(now + ACK_WITHIN);
                let reply = format!("{}.{}.{}", backup.acks, backup.chunk, backup.chunks);
                self.send_chunk(id, Some(&reply));
            } else if backup.whole {
                if waiting > 0 {
                    // Compat(SNAP-001): the last one, if it is shorter, is not acknowledged.
                    self.send_chunk(id, None);
                }
                return self.end_backup(id, None);
            } else if backup.packer.is_none() {
                return;
            } else {
                match self.next_members(id) {
                    Ok(Some(files)) => return self.pack(id, files),
                    Ok(None) => {}
                    Err(why) => return self.end_backup(id, Some(&format!("500 {why}"))),
                }
            }
        }
    }

    fn send_chunk(&mut self, id: u64, reply: Option<&str>) {
        let Some(backup) = self.transfers.backups.get_mut(&id) else { return };
        let rest = backup.packed.get(backup.sent..).unwrap_or_default();
        let chunk = rest.get(..backup.chunk).unwrap_or(rest).to_vec();
        backup.sent += chunk.len();
        let account = backup.request.account.account.clone();
        let to = backup.asked.deliver_subject.clone().into_bytes();
        let reply = reply.map(str::as_bytes);
        self.lent
            .out(u32::MAX, &account)
            .send(Outgoing { reply, ..Outgoing::new(&to, b"", &chunk) });
    }

    /// What comes next in the archive; `None` if that step brought nothing.
    fn next_members(&mut self, id: u64) -> Result<Option<Vec<SnapshotFile>>, String> {
        let wall = self.now.wall;
        let Some((backup, place)) = self.backup(id) else { return Ok(None) };
        let place = place.ok_or_else(|| "stream closed".to_owned())?;
        let text = |e: store::Error| e.to_string();
        let store = files(place).ok_or_else(|| "stream closed".to_owned())?;
        match &mut backup.step {
            Step::Check(..) => Ok(None),
            Step::Head => {
                backup.step = Step::Blocks(backup.plan.blocks.iter().copied().collect());
                Ok(Some(store.snapshot_head().map_err(text)?.into()))
            }
            Step::Blocks(left) => {
                let Some(index) = left.pop_front() else {
                    backup.step = Step::Index;
                    return Ok(None);
                };
                Ok(store.snapshot_block(index).map_err(text)?.map(|file| vec![file]))
            }
            Step::Index => {
                let index = store.snapshot_index(&backup.plan);
                let is_kept = |id| place.members.get(id).is_some_and(|m| m.file.is_some());
                let kept = place.names.iter().filter(|(_, id)| is_kept(id));
                let names = kept.map(|(name, _)| name.to_owned()).collect();
                let none = VecDeque::new();
                backup.step = Step::Consumers(if backup.asked.no_consumers { none } else { names });
                Ok(index.map(|file| vec![file]))
            }
            Step::Consumers(left) => {
                let Some(name) = left.pop_front() else {
                    backup.step = Step::End;
                    return Ok(None);
                };
                let member = place.names.get(&name).and_then(|id| place.members.get(id));
                let Some(member) = member else { return Ok(None) };
                let consumer = &member.consumer;
                let document = crate::meta::consumer(&name, consumer.config(), consumer.created());
                let state = consumer.state().encode(wall);
                let Storage::File(store) = place.stream.store_ref() else { return Ok(None) };
                Ok(Some(store.snapshot_consumer(&name, document, state).into()))
            }
            Step::End => {
                let packer = backup.packer.take().unwrap_or_default();
                backup.packed.drain(..std::mem::take(&mut backup.sent));
                packer.finish(&mut backup.packed);
                backup.packer = Some(Packer::default());
                backup.whole = true;
                Ok(None)
            }
        }
    }

    /// Packs members where that keeps nobody waiting.
    fn pack(&mut self, id: u64, files: Vec<SnapshotFile>) {
        let Some(backup) = self.transfers.backups.get_mut(&id) else { return };
        let Some(mut packer) = backup.packer.take() else { return };
        let mut packed = std::mem::take(&mut backup.packed);
        packed.drain(..std::mem::take(&mut backup.sent));
        let queue = self.queue.clone();
        self.shared.io.run(move || {
            let done = files.iter().try_for_each(|file| packer.pack(file, &mut packed));
            drop(files);
            queue.push_event(Event::Run(Box::new(move |shard: &mut Self| {
                let Some(backup) = shard.transfers.backups.get_mut(&id) else { return };
                backup.packer = Some(packer);
                backup.packed = packed;
                match done {
                    Ok(()) => shard.pump(id),
                    Err(error) => shard.end_backup(id, Some(&format!("500 {error}"))),
                }
            })));
        });
    }

    /// The last message says how it ended.
    fn end_backup(&mut self, id: u64, failed: Option<&str>) {
        let Some(backup) = self.transfers.backups.remove(&id) else { return };
        let account = backup.request.account.clone();
        let header = match failed {
            Some(status) => format!("NATS/1.0 {status}\r\n\r\n"),
            // Compat(SNAP-001): an archive of less than one chunk ends without a status.
            None if backup.chunks == 0 => String::new(),
            None => "NATS/1.0 204\r\n\r\n".to_owned(),
        };
        let to = backup.asked.deliver_subject.as_bytes();
        self.lent.out(u32::MAX, &account.account).send(Outgoing::new(to, header.as_bytes(), b""));
        if let Some(why) = failed {
            self.backup_warned(&backup, why);
        }
        let name = backup.acks.split('.').nth(3).unwrap_or_default().to_owned();
        let (start, end) = (Some(backup.start), Some(self.now.wall));
        let domain = account.facts.domain.clone().unwrap_or_default();
        let client = client_of(&backup.request);
        self.advise(&account, &Advised::SnapshotComplete { stream: &name }, || SnapshotComplete {
            stream: name.clone(),
            start,
            end,
            client,
            domain,
        });
        if failed.is_none() {
            let log = &self.lent.worker.broker.log;
            let owner = &account.account.name;
            stdx::notice!(log, "Completed snapshot for stream '{owner} > {name}'");
        }
    }
}
