//! `STREAM.CREATE`, `UPDATE`, `INFO`, `DELETE`, `PURGE`.

use std::collections::BTreeMap;
use std::sync::Arc;

use jetstream_api::advisory::Action;
use jetstream_api::request::{StreamInfoRequest, StreamPurgeRequest, is_document, is_empty};
use jetstream_api::response::{
    Paged, SUBJECTS_LIMIT, StreamCreate, StreamDelete, StreamInfoBody, StreamPurge, StreamUpdate,
};
use jetstream_api::validate::stream::{self as validate, Created};
use jetstream_api::validate::{AccountLimits, ServerLimits};
use jetstream_api::{
    ApiError, LostStreamData, StreamConfig, StreamConfigRequest, StreamInfo, StreamState, level,
};
use jetstream_core::stream::{Storage, settings};
use stdx::time::{Now, Timestamp};
use store::{Filter, MessageStore};

use super::Outcome;
use crate::account::{Entry, JsAccount, Known};
use crate::event::{ApiRequest, Event};
use crate::place::{Disk, Place};
use crate::recover::open_storage;
use crate::shard::Shard;
use crate::unmade::{is_unmade_stream, unmake};

/// What a stream says of itself.
pub(crate) fn info(place: &mut Place, details: bool, listed: bool, now: Now) -> StreamInfo {
    let config = place.config().clone();
    let created = Some(place.stream.created());
    let mut shown = (*config).clone();
    if !listed {
        // Compat(API-006): lists show what is stored.
        shown.metadata = level::shown(&config.metadata, crate::VERSION);
    }
    let domain = place.stream.facts().domain.clone().unwrap_or_default();
    let (mirror, sources) = crate::sourcing::infos(place, now);
    StreamInfo {
        state: state(place, details),
        config: shown,
        created,
        domain,
        mirror,
        sources,
        ts: (!listed).then_some(now.wall),
        ..StreamInfo::default()
    }
}

/// Lost sequences that an answer lists, each by itself; `lost.json` has the ranges.
const MOST_LOST: usize = 100_000;

fn state(place: &mut Place, details: bool) -> StreamState {
    let store = place.stream.store_ref();
    let s = store.state();
    let lost = store.lost();
    let lost = (!lost.is_empty()).then(|| LostStreamData {
        msgs: lost.iter().filter_map(|l| l.seqs.clone()).flatten().take(MOST_LOST).collect(),
        bytes: lost.iter().map(|l| l.bytes).sum(),
    });
    StreamState {
        messages: s.msgs,
        bytes: s.bytes,
        // Compat: a stream that never held anything begins at 0, unless it was told where.
        first_seq: if s.last_seq == 0 && !place.begun { 0 } else { s.first_seq },
        first_ts: s.first_ts,
        last_seq: s.last_seq,
        last_ts: s.last_ts,
        num_subjects: s.num_subjects as i64,
        subjects: BTreeMap::new(),
        num_deleted: s.num_deleted as i64,
        deleted: if details { store.deleted_seqs(usize::MAX) } else { Vec::new() },
        lost,
        consumer_count: super::consumer::public(place).count() as i64,
    }
}

impl Shard {
    pub(super) fn stream_create(&mut self, request: &ApiRequest, name: &str) {
        match self.begin_create(request, name) {
            Ok(Created::Same(_)) => {
                let outcome = self.created(request, name);
                self.respond(request, outcome);
            }
            Ok(Created::New(config)) => self.open_new(request, Arc::new(*config)),
            Err(error) => self.respond::<StreamCreate>(request, Err(error)),
        }
    }

    fn begin_create(&mut self, request: &ApiRequest, name: &str) -> Outcome<Created> {
        let asked: StreamConfigRequest = self.decode(&request.payload)?;
        self.enter(request, name, &asked)
    }

    /// The store of a new stream is opened where waiting for the disk keeps nobody waiting.
    fn open_new(&mut self, request: &ApiRequest, config: Arc<StreamConfig>) {
        let (shared, queue, now) = (self.shared.clone(), self.queue.clone(), self.now.wall);
        let request = request.again();
        self.shared.io.run(move || {
            let account = &request.account.account.name;
            let dir = shared.stream_dir(account, &config.name);
            let was_unmade = is_unmade_stream(&dir);
            let opened = open_storage(&shared, account, &config, now, now, None);
            let storage = opened.map(|(storage, _)| storage);
            if storage.is_err() && was_unmade {
                unmake(&shared.broker.log, &dir);
            }
            queue.push_event(Event::Run(Box::new(move |shard| {
                shard.finish_create(&request, &config, now, storage);
            })));
        });
    }

    fn finish_create(
        &mut self,
        request: &ApiRequest,
        config: &Arc<StreamConfig>,
        created: Timestamp,
        storage: store::Result<Storage<Disk>>,
    ) {
        match storage {
            Ok(storage) => {
                let at = self.take_in(&request.account, config, created, storage);
                self.begin_drawing(at);
                self.advise_stream(&request.account, &config.name, Action::Create);
                let outcome = self.created(request, &config.name);
                self.respond(request, outcome);
            }
            Err(error) => {
                let name = format!("{} > {}", request.account.account.name, config.name);
                let log = &self.lent.worker.broker.log;
                stdx::error!(log, "Error creating store for stream '{name}': {error}");
                request.account.streams().remove(&config.name);
                // Compat(API-044): the cause is for the operator.
                let error = ApiError::stream_create("error creating store for stream");
                self.respond::<StreamCreate>(request, Err(error));
            }
        }
    }

    fn created(&mut self, request: &ApiRequest, name: &str) -> Outcome<StreamCreate> {
        let at = self.find(request, name)?;
        let now = self.now;
        let place = self.place(at).ok_or_else(ApiError::stream_not_found)?;
        // Compat: only other answers name the domain.
        let info = StreamInfo { domain: String::new(), ..info(place, false, false, now) };
        Ok(StreamCreate { info: Some(info), did_create: true })
    }

    /// Decides about a create; a new stream's name and subjects are its own from then on.
    fn enter(
        &self,
        request: &ApiRequest,
        name: &str,
        asked: &StreamConfigRequest,
    ) -> Outcome<Created> {
        let mut streams = request.account.streams();
        let created = {
            let known = Known(&streams);
            let (server, account) = (self.shared.server_limits(), request.account.api_limits());
            validate::create(name, asked, &self.context(&server, &account, &known))?
        };
        if let Created::New(config) = &created {
            let entry = Entry {
                shard: self.index,
                place: None,
                config: Arc::new((**config).clone()),
                consumers: Arc::default(),
            };
            streams.insert(config.name.clone(), entry);
        }
        Ok(created)
    }

    fn context<'a>(
        &self,
        server: &'a ServerLimits,
        account: &'a AccountLimits,
        streams: &'a Known<'_>,
    ) -> validate::Context<'a> {
        validate::Context {
            server,
            used: self.shared.reserved(),
            account,
            streams,
            clustered: false,
        }
    }

    pub(super) fn stream_update(&mut self, request: &ApiRequest, name: &str) {
        let outcome = self.updated(request, name);
        self.respond_safely(request, name, outcome);
    }

    fn updated(&mut self, request: &ApiRequest, name: &str) -> Outcome<StreamUpdate> {
        let asked: StreamConfigRequest = self.decode(&request.payload)?;
        let config = {
            let streams = request.account.streams();
            let known = Known(&streams);
            let (server, account) = (self.shared.server_limits(), request.account.api_limits());
            let context = self.context(&server, &account, &known);
            // A document that is wrong is told before a stream that is missing.
            let at = self.find_in(&streams, name).ok();
            let consumers = at.and_then(|at| self.places.get(at as usize)?.as_deref());
            let consumers = consumers.into_iter().flat_map(|p| p.members.values());
            let consumers = consumers.map(|m| (m.consumer.name(), m.consumer.config()));
            Arc::new(validate::update(name, &asked, consumers, &context)?)
        };
        let at = self.find(request, name)?;
        let (now, shared, queue) = (self.now, self.shared.clone(), self.queue.clone());
        let place = self.place(at).ok_or_else(ApiError::stream_not_found)?;
        let before = place.config().retention;
        let document = crate::meta::stream(&config, place.stream.created());
        let store = place.stream.store();
        store.check_update(&settings(&config), now.wall).map_err(ApiError::stream_update)?;
        store.write_meta(&document).map_err(ApiError::stream_update)?;
        store.update(settings(&config), now.wall).map_err(ApiError::stream_update)?;
        place.stream.configure(config.clone());
        place.stream.recover_schedules(now);
        place.promise(&shared);
        place.listen(&shared, &queue, at);
        if config.retention != before {
            // Messages that every consumer is done with were kept until now.
            place.free_done();
        }
        if let Some(entry) = request.account.streams().get_mut(name) {
            entry.config = config;
        }
        self.touch(at);
        self.change_links(at);
        let place = self.place(at).ok_or_else(ApiError::stream_not_found)?;
        let info = Some(info(place, false, false, now));
        self.advise_stream(&request.account, name, Action::Modify);
        Ok(StreamUpdate { info })
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
        let now = self.now;
        let place = self.place(at).ok_or_else(ApiError::stream_not_found)?;
        let mut info = info(place, asked.deleted_details, false, now);
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
        info.cluster = Some(self.standing_alone());
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
        let account = request.account.clone();
        self.drop_stream(&account, at, name)?;
        self.advise_stream(&account, name, Action::Delete);
        Ok(StreamDelete { success: true })
    }

    /// Removes a stream with everything of it.
    pub(crate) fn drop_stream(&mut self, account: &JsAccount, at: u32, name: &str) -> Outcome<()> {
        self.end_consumers(at);
        self.end_links(at);
        let mut place = self.remove(at).ok_or_else(ApiError::stream_not_found)?;
        place.deafen();
        place.uncount_bytes();
        place.unpromise(&self.shared);
        if matches!(place.stream.store_ref(), Storage::File(_)) {
            place.end_jobs();
            drop(place);
            let dir = self.shared.stream_dir(&account.account.name, name);
            self.clear_away(&account.account.name, &dir).map_err(ApiError::stream_delete)?;
        }
        account.streams().remove(name);
        Ok(())
    }

    /// Whether a stream may come in as an archive; what it will be.
    pub(crate) fn judge_restore(
        &self,
        request: &ApiRequest,
        name: &str,
        config: &StreamConfig,
    ) -> Outcome<StreamConfig> {
        let streams = request.account.streams();
        let known = Known(&streams);
        let (server, account) = (self.shared.server_limits(), request.account.api_limits());
        validate::restore(name, config, &self.context(&server, &account, &known))
    }

    /// A stream that came in takes its name, unless somebody else has it now.
    pub(crate) fn take_name(
        &self,
        request: &ApiRequest,
        config: &Arc<StreamConfig>,
    ) -> Outcome<()> {
        let mut streams = request.account.streams();
        {
            let known = Known(&streams);
            let (server, account) = (self.shared.server_limits(), request.account.api_limits());
            validate::restored(config, &self.context(&server, &account, &known))?;
        }
        let entry = Entry {
            shard: self.index,
            place: None,
            config: config.clone(),
            consumers: Arc::default(),
        };
        streams.insert(config.name.clone(), entry);
        Ok(())
    }

    pub(super) fn stream_purge(&mut self, request: &ApiRequest, name: &str) {
        let outcome = self.purged(request, name);
        self.respond_safely(request, name, outcome);
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
        let store = place.stream.store();
        store.check_purge(&filter, asked.seq, asked.keep).map_err(ApiError::stream_general)?;
        let purged =
            store.purge(&filter, asked.seq, asked.keep).map_err(ApiError::stream_general)?;
        place.stream.refresh();
        let whole = matches!(asked.filter.as_str(), "" | ">") && asked.seq == 0 && asked.keep == 0;
        place.begun |= whole;
        let removed = place.stream.store().take_removals();
        // What consumers have not heard of, because it is not safe yet, they count anew.
        let untold = place.stream.take_stored();
        place.stream.recycle(untold);
        // Compat(RET-009): one message alone is removed as if somebody had deleted it, but from files
        // only if its subject was named.
        let all = matches!(asked.filter.as_str(), "" | ">") && asked.keep == 0;
        let is_named = matches!(filter, Filter::Literal(_));
        if removed.len() == 1 && !all && (is_named || !place.stream.store().is_file()) {
            self.tell_removed(at, &removed);
        }
        for id in self.member_ids(at) {
            let filter = asked.filter.as_bytes();
            if let Some(Err(error)) = self.with(at, id, |c, cx| c.handle_purge(filter, cx)) {
                return Err(ApiError::stream_general(error));
            }
            self.make_ready(at, id);
        }
        self.touch(at);
        Ok(StreamPurge { success: true, purged })
    }
}
