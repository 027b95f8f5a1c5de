//! `STREAM.CREATE`, `UPDATE`, `INFO`, `DELETE`, `PURGE`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use jetstream_api::request::{StreamInfoRequest, StreamPurgeRequest, is_document, is_empty};
use jetstream_api::response::{
    Paged, SUBJECTS_LIMIT, StreamCreate, StreamDelete, StreamInfoBody, StreamPurge, StreamUpdate,
};
use jetstream_api::{
    ApiError, LostStreamData, StreamConfig, StreamConfigRequest, StreamInfo, StreamState,
};
use jetstream_core::stream::{Storage, settings};
use stdx::time::Timestamp;
use store::{Filter, MessageStore};

use super::Outcome;
use crate::account::Entry;
use crate::event::ApiRequest;
use crate::place::Place;
use crate::shard::Shard;

/// What a stream says of itself.
pub(crate) fn info(place: &mut Place, details: bool, now: Option<Timestamp>) -> StreamInfo {
    let config = place.config().clone();
    let created = Some(place.stream.created());
    let domain = place.stream.facts().domain.clone().unwrap_or_default();
    StreamInfo {
        state: state(place, details),
        config: (*config).clone(),
        created,
        domain,
        ts: now,
        ..StreamInfo::default()
    }
}

fn state(place: &mut Place, details: bool) -> StreamState {
    let store = place.stream.store_ref();
    let s = store.state();
    let lost = store.lost();
    let lost = (!lost.is_empty()).then(|| LostStreamData {
        msgs: lost.iter().filter_map(|l| l.seqs.clone()).flatten().collect(),
        bytes: lost.iter().map(|l| l.bytes).sum(),
    });
    StreamState {
        messages: s.msgs,
        bytes: s.bytes,
        first_seq: s.first_seq,
        first_ts: s.first_ts,
        last_seq: s.last_seq,
        last_ts: s.last_ts,
        num_subjects: s.num_subjects as i64,
        subjects: BTreeMap::new(),
        num_deleted: s.num_deleted as i64,
        deleted: if details { store.deleted_seqs(usize::MAX) } else { Vec::new() },
        lost,
        consumer_count: 0,
    }
}

impl Shard {
    pub(super) fn stream_create(&mut self, request: &ApiRequest, name: &str) {
        let outcome = self.created(request, name);
        self.respond(request, outcome);
    }

    fn created(&mut self, request: &ApiRequest, name: &str) -> Outcome<StreamCreate> {
        let asked: StreamConfigRequest = self.decode(&request.payload)?;
        if asked.config.name != name {
            return Err(ApiError::stream_mismatch());
        }
        let config = self.checked(request, asked)?;
        if let Ok(at) = self.find(request, name) {
            let now = self.now.wall;
            let place = self.place(at).ok_or_else(ApiError::stream_not_found)?;
            if **place.config() != config {
                return Err(ApiError::stream_name_exist());
            }
            return Ok(StreamCreate {
                info: Some(info(place, false, Some(now))),
                did_create: true,
            });
        }
        let config = Arc::new(config);
        self.enter(request, &config)?;
        let at = match self.open_stream(&request.account, &config, self.now.wall, true) {
            Ok(at) => at,
            Err(error) => {
                request.account.streams().remove(name);
                return Err(error);
            }
        };
        let now = self.now.wall;
        let place = self.place(at).ok_or_else(ApiError::stream_not_found)?;
        Ok(StreamCreate { info: Some(info(place, false, Some(now))), did_create: true })
    }

    /// Checks a configuration and fills in what it leaves open.
    fn checked(&self, _request: &ApiRequest, asked: StreamConfigRequest) -> Outcome<StreamConfig> {
        let mut config = asked.config;
        if config.subjects.is_empty() && config.mirror.is_none() && config.sources.is_empty() {
            config.subjects.push(config.name.clone());
        }
        for n in [
            &mut config.max_msgs,
            &mut config.max_bytes,
            &mut config.max_msgs_per_subject,
            &mut config.max_consumers,
        ] {
            if *n <= 0 {
                *n = -1;
            }
        }
        if config.max_msg_size <= 0 {
            config.max_msg_size = -1;
        }
        config.num_replicas = config.num_replicas.max(1);
        if config.duplicate_window.0 == 0 {
            config.duplicate_window = jetstream_api::Nanos::from_secs(120);
        }
        Ok(config)
    }

    /// Takes the name and the subjects for a new stream.
    fn enter(&self, request: &ApiRequest, config: &Arc<StreamConfig>) -> Outcome<()> {
        let mut streams = request.account.streams();
        let overlaps = |other: &StreamConfig| {
            config.subjects.iter().any(|a| {
                other.subjects.iter().any(|b| subject::collides(a.as_bytes(), b.as_bytes()))
            })
        };
        if streams.values().any(|e| overlaps(&e.config)) {
            return Err(ApiError::stream_subject_overlap());
        }
        let entry = Entry {
            shard: self.index,
            place: None,
            config: config.clone(),
            created: self.now.wall,
            consumers: Arc::new(AtomicUsize::new(0)),
        };
        streams.insert(config.name.clone(), entry);
        Ok(())
    }

    pub(super) fn stream_update(&mut self, request: &ApiRequest, name: &str) {
        let outcome = self.updated(request, name);
        self.respond(request, outcome);
    }

    fn updated(&mut self, request: &ApiRequest, name: &str) -> Outcome<StreamUpdate> {
        let asked: StreamConfigRequest = self.decode(&request.payload)?;
        if asked.config.name != name {
            return Err(ApiError::stream_mismatch());
        }
        let config = Arc::new(self.checked(request, asked)?);
        let at = self.find(request, name)?;
        let (now, shared, queue) = (self.now.wall, self.shared.clone(), self.queue.clone());
        let place = self.place(at).ok_or_else(ApiError::stream_not_found)?;
        let document = crate::meta::stream(&config, place.stream.created());
        let store = place.stream.store();
        store.write_meta(&document).map_err(ApiError::stream_update)?;
        store.update(settings(&config), now).map_err(ApiError::stream_update)?;
        place.stream.configure(config.clone());
        place.listen(&shared, &queue, at);
        if let Some(entry) = request.account.streams().get_mut(name) {
            entry.config = config;
        }
        Ok(StreamUpdate { info: Some(info(place, false, Some(now))) })
    }

    pub(super) fn stream_info(&mut self, request: &ApiRequest, name: &str) {
        let outcome = self.told(request, name);
        self.respond(request, outcome);
    }

    fn told(&mut self, request: &ApiRequest, name: &str) -> Outcome<StreamInfoBody> {
        let asked: StreamInfoRequest = if is_document(&request.payload) {
            self.decode(&request.payload)?
        } else {
            StreamInfoRequest::default()
        };
        let at = self.find(request, name)?;
        let now = self.now.wall;
        let place = self.place(at).ok_or_else(ApiError::stream_not_found)?;
        let mut info = info(place, asked.deleted_details, Some(now));
        let mut page = Paged::default();
        if !asked.subjects_filter.is_empty() {
            let filter = Filter::parse(asked.subjects_filter.as_bytes());
            let totals = place.stream.store_ref().subjects_totals(&filter);
            if !totals.is_empty() {
                let offset = usize::try_from(asked.page.offset).unwrap_or(0);
                page = Paged {
                    total: totals.len() as i64,
                    offset: offset as i64,
                    limit: SUBJECTS_LIMIT as i64,
                };
                let text = |s: &[u8]| String::from_utf8_lossy(s).into_owned();
                let all: BTreeMap<String, u64> =
                    totals.iter().map(|(s, n)| (text(s), *n)).collect();
                info.state.subjects = all.into_iter().skip(offset).take(SUBJECTS_LIMIT).collect();
            }
        }
        Ok(StreamInfoBody { page, info: Some(info) })
    }

    pub(super) fn stream_delete(&mut self, request: &ApiRequest, name: &str) {
        let outcome = self.removed(request, name);
        self.respond(request, outcome);
    }

    fn removed(&mut self, request: &ApiRequest, name: &str) -> Outcome<StreamDelete> {
        if !is_empty(&request.payload) {
            return Err(ApiError::not_empty_request());
        }
        let at = self.find(request, name)?;
        let mut place = self.remove(at).ok_or_else(ApiError::stream_not_found)?;
        place.deafen();
        place.uncount_bytes();
        if let Storage::File(store) = place.stream.store() {
            // Nothing of it will be read again: an error closing it changes nothing.
            let _ = store.close();
            let dir = self.shared.stream_dir(&request.account.account.name, name);
            std::fs::remove_dir_all(&dir).map_err(ApiError::stream_delete)?;
        }
        request.account.streams().remove(name);
        Ok(StreamDelete { success: true })
    }

    pub(super) fn stream_purge(&mut self, request: &ApiRequest, name: &str) {
        let outcome = self.purged(request, name);
        self.respond(request, outcome);
    }

    fn purged(&mut self, request: &ApiRequest, name: &str) -> Outcome<StreamPurge> {
        let asked: StreamPurgeRequest = if is_document(&request.payload) {
            self.decode(&request.payload)?
        } else {
            StreamPurgeRequest::default()
        };
        if asked.seq > 0 && asked.keep > 0 {
            return Err(ApiError::bad_request());
        }
        let at = self.find(request, name)?;
        let place = self.place(at).ok_or_else(ApiError::stream_not_found)?;
        if place.config().sealed {
            return Err(ApiError::stream_sealed());
        }
        if place.config().deny_purge {
            return Err(ApiError::stream_purge_failed("stream purge not permitted"));
        }
        let filter = Filter::parse(asked.filter.as_bytes());
        let purged = place
            .stream
            .store()
            .purge(&filter, asked.seq, asked.keep)
            .map_err(ApiError::stream_general)?;
        place.stream.refresh();
        self.touch(at);
        Ok(StreamPurge { success: true, purged })
    }
}
