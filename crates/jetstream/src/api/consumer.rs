//! `CONSUMER.*` but for pulls.
//!
//! Reference: jetstream_api.go jsConsumer*Request; consumer.go addConsumerWithAssignment.

#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a path is less general in its lifetimes than the closure"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jetstream_api::request::{
    ConsumerPauseRequest, ConsumerResetRequest, ConsumerUnpinRequest, ConsumersRequest,
    is_document, is_empty,
};
use jetstream_api::response::{
    ConsumerCreate, ConsumerDelete, ConsumerInfoBody, ConsumerList, ConsumerNames, ConsumerPause,
    ConsumerReset, ConsumerUnpin, LIST_LIMIT, NAMES_LIMIT,
};
use jetstream_api::subject::Request;
use jetstream_api::validate::AccountLimits;
use jetstream_api::validate::consumer::is_group_name;
use jetstream_api::validate::consumer::{self as validate, Created};
use jetstream_api::{
    ApiError, ConsumerConfig, ConsumerInfo, CreateConsumerRequest, RetentionPolicy, Unknown, json,
    level, time,
};
use jetstream_core::consumer::Consumer;
use parking_lot::Mutex;
use stdx::time::Timestamp;
use store::{ColdRead, ConsumerFile, ConsumerState, Setback};

use super::Outcome;
use super::list::page;
use crate::event::{ApiRequest, Event};
use crate::member::Member;
use crate::place::{Disk, Place};
use crate::reads::Asked;
use crate::shard::Shard;
use crate::shared::Shared;
use crate::unmade::{is_unmade_consumer, unmake};

/// Consumers of a stream, as the rules of configurations look at them.
struct Known<'a>(&'a Place);

impl jetstream_api::validate::Consumers for Known<'_> {
    fn consumer(&self, name: &str) -> Option<Arc<ConsumerConfig>> {
        let id = self.0.names.get(name)?;
        Some(Arc::new(self.0.members.get(id)?.consumer.config().clone()))
    }

    fn counted(&self) -> usize {
        let counted = |c: &ConsumerConfig| !c.direct && !c.sourcing;
        self.0.members.values().filter(|m| counted(m.consumer.config())).count()
    }

    fn is_free(&self, filters: &[&str], except: &str) -> bool {
        let all: BTreeMap<String, Arc<ConsumerConfig>> = self
            .0
            .members
            .values()
            .map(|m| (m.consumer.name().to_owned(), Arc::new(m.consumer.config().clone())))
            .collect();
        jetstream_api::validate::Consumers::is_free(&all, filters, except)
    }

    fn is_bound(&self, deliver_subject: &str) -> bool {
        self.0.account.account.is_wanted(deliver_subject.as_bytes())
    }
}

/// The consumers that lists show: not those that servers made for mirrors and sources.
pub(crate) fn public(place: &Place) -> impl Iterator<Item = (&str, &u32)> {
    let is_public = |id: &u32| place.members.get(id).is_some_and(|m| !m.consumer.config().direct);
    place.names.iter().filter(move |(_, id)| is_public(id))
}

/// A consumer's files, and the state found in them.
#[derive(Default)]
pub(crate) struct Files {
    file: Option<Arc<Mutex<ConsumerFile<Disk>>>>,
    state: Option<ConsumerState>,
    /// There was a state, and nothing of it is left.
    is_lost: bool,
}

/// Whether a consumer is to outlive the process.
pub(crate) fn keeps_files(place: &Place, config: &ConsumerConfig) -> bool {
    !config.mem_storage && !config.direct && place.stream.store_ref().is_file()
}

/// Makes or opens a consumer's files. Waits for the disk.
pub(crate) fn open_files(
    shared: &Shared,
    account: &str,
    stream: &str,
    name: &str,
    config: &ConsumerConfig,
    created: Timestamp,
) -> store::Result<Files> {
    let document = crate::meta::consumer(name, config, created);
    let disk = shared.disk(shared.stream_dir(account, stream));
    let encryption = shared.encryption(account);
    let (file, state) = ConsumerFile::open(disk, stream, name, &document, encryption.as_ref())?;
    let setback = file.setback();
    if let Some(setback) = setback {
        tell_setback(shared, account, stream, name, setback);
    }
    let is_lost = setback.is_some() && state.is_none();
    Ok(Files { file: Some(Arc::new(Mutex::new(file))), state, is_lost })
}

fn tell_setback(shared: &Shared, account: &str, stream: &str, name: &str, setback: &Setback) {
    let dir = shared.stream_dir(account, stream);
    let aside = setback.aside.as_ref().map_or_else(String::new, |aside| {
        format!(", set aside as '{}'", dir.join(aside).display())
    });
    let from = if setback.from_copy {
        "goes on from the copy beside it, which may be older: what was acknowledged since is \
         delivered again"
    } else {
        "begins where it did when it was made, as no copy is left: messages are delivered again. \
         If that is not wanted, reset it to a sequence"
    };
    stdx::error!(
        shared.broker.log,
        "The state of consumer '{account} > {stream} > {name}' is damaged: '{}': {}{aside}. The consumer {from}",
        dir.join(&setback.file).display(),
        setback.why
    );
}

/// As an answer shows it.
fn shown(mut info: ConsumerInfo) -> ConsumerInfo {
    if let Some(config) = &mut info.config {
        config.metadata = level::shown(&config.metadata, crate::VERSION);
    }
    info
}

impl Shard {
    pub(super) fn consumer_create(&mut self, request: &ApiRequest, asked: &Request<'_>) {
        if let Some((at, read)) = self.create_or_wait(request, asked, true) {
            let reply = request.reply.as_deref().unwrap_or_default();
            self.begin_line(at, reply, Asked::Consumer(Box::new(request.again())), read);
        }
    }

    /// Asks again for what had to be read; what has to be read next, if something does.
    pub(crate) fn resume_consumer_create(
        &mut self,
        request: &ApiRequest,
        defers: bool,
    ) -> Option<ColdRead<Disk>> {
        let subject = request.subject.clone();
        let asked = Request::parse(subject.get(request.prefix..).unwrap_or_default())?;
        self.create_or_wait(request, &asked, defers).map(|(_, read)| read)
    }

    /// Makes or changes a consumer, unless something has to be read first.
    fn create_or_wait(
        &mut self,
        request: &ApiRequest,
        asked: &Request<'_>,
        defers: bool,
    ) -> Option<(u32, ColdRead<Disk>)> {
        let begun = self.begin_consumer(request, asked);
        if let Ok((at, Created::New(name, config))) = &begun
            && defers
            && self.place(*at).is_some_and(|place| !place.waits_too_much())
            && let Some(read) = self.foresee_consumer(*at, name, config)
        {
            return Some((*at, read));
        }
        match begun {
            Ok((at, Created::Changed(name, config))) => {
                let sourcing = config.sourcing;
                let outcome = self.change_consumer(at, &name, *config).and_then(|id| {
                    if sourcing {
                        self.begin_again(at, id)?;
                    }
                    Ok((id, self.created_consumer(at, id)?))
                });
                self.respond_created(request, at, outcome);
            }
            Ok((at, Created::New(name, config))) => {
                self.open_new_consumer(request, at, name, *config);
            }
            Err(error) => self.respond::<ConsumerCreate>(request, Err(error)),
        }
        None
    }

    /// What has to be read to tell where a new consumer begins, and how much is before it.
    fn foresee_consumer(
        &mut self,
        at: u32,
        name: &str,
        config: &ConsumerConfig,
    ) -> Option<ColdRead<Disk>> {
        let now = self.now.wall;
        // Times are those of the messages, which have to be read for that.
        if config.opt_start_time.is_none() && self.place(at)?.stream.store_ref().is_at_hand() {
            return None;
        }
        self.with_stream(at, |cx| {
            cx.store.defer_reads(true);
            let placed = Consumer::new(config.clone(), name, now, cx);
            cx.store.defer_reads(false);
            let is_cold = matches!(placed, Err(store::Error::Cold(_)));
            cx.store.take_cold().filter(|_| is_cold)
        })?
    }

    fn begin_consumer(
        &mut self,
        request: &ApiRequest,
        subject: &Request<'_>,
    ) -> Outcome<(u32, Created)> {
        let mut asked: CreateConsumerRequest = self.decode(&request.payload)?;
        validate::check_subject(subject, &mut asked, false)?;
        let stream = asked.stream_name.clone();
        let at = self.find(request, &stream)?;
        let (server, account) = (self.shared.server_limits(), request.account.api_limits());
        let mut names: Vec<String> = (0..4).map(|_| self.lent.random.text(8)).collect();
        let place = self.place(at).ok_or_else(ApiError::stream_not_found)?;
        let config = place.config().clone();
        let created = validate::create(
            asked,
            &validate::Context {
                server: &server,
                account: &account,
                stream: &config,
                consumers: &Known(place),
                clustered: false,
            },
            || names.pop().unwrap_or_default(),
        )?;
        Ok((at, created))
    }

    /// Whether a consumer that came in with its stream may be there; what it will be.
    pub(crate) fn judge_restored(
        &mut self,
        at: u32,
        name: &str,
        config: ConsumerConfig,
        limits: &AccountLimits,
    ) -> Outcome<ConsumerConfig> {
        let server = self.shared.server_limits();
        let place = self.place(at).ok_or_else(ApiError::stream_not_found)?;
        let stream = place.config().clone();
        let ephemeral = !config.is_durable();
        let mut config = config;
        if ephemeral {
            // Compat(SNAP-005): judged as if it had been meant to last.
            name.clone_into(&mut config.durable_name);
        }
        let asked = CreateConsumerRequest {
            stream_name: stream.name.clone(),
            config,
            ..CreateConsumerRequest::default()
        };
        let context = validate::Context {
            server: &server,
            account: limits,
            stream: &stream,
            consumers: &Known(place),
            clustered: false,
        };
        let (Created::New(_, mut config) | Created::Changed(_, mut config)) =
            validate::create(asked, &context, String::new)?;
        if ephemeral {
            config.durable_name.clear();
            name.clone_into(&mut config.name);
        }
        Ok(*config)
    }

    fn created_consumer(&mut self, at: u32, id: u32) -> Outcome<ConsumerCreate> {
        let info = self.with(at, id, |c, cx| c.info(cx)).map(shown);
        Ok(ConsumerCreate { info })
    }

    /// Whoever draws through this consumer begins anew, behind what it has confirmed (SRC-008).
    fn begin_again(&mut self, at: u32, id: u32) -> Outcome<()> {
        self.with(at, id, |consumer, cx| consumer.reset(0, cx))
            .transpose()
            .map_err(ApiError::consumer_store_failed)?;
        self.make_ready(at, id);
        Ok(())
    }

    /// The files of a new consumer are made where waiting for the disk keeps nobody waiting.
    fn open_new_consumer(
        &mut self,
        request: &ApiRequest,
        at: u32,
        name: String,
        config: ConsumerConfig,
    ) {
        let (shared, queue, now) = (self.shared.clone(), self.queue.clone(), self.now.wall);
        let Some(place) = self.place(at) else { return };
        let (generation, request) = (place.generation, request.again());
        if place.removing.contains(&name) {
            // Its files are on their way in or out: asked again once they are there, or gone.
            return queue.push_event(Event::Api(Box::new(request)));
        }
        let (owner, stream) = (place.account.account.name.clone(), place.config().name.clone());
        if !keeps_files(place, &config) {
            return self.finish_consumer(&request, at, &name, config, now, Ok(Files::default()));
        }
        place.removing.insert(name.clone());
        self.shared.io.run(move || {
            let dir = shared.stream_dir(&owner, &stream).join("obs").join(&name);
            let was_unmade = is_unmade_consumer(&dir);
            let files = open_files(&shared, &owner, &stream, &name, &config, now);
            if files.is_err() && was_unmade {
                unmake(&shared.broker.log, &dir);
            }
            queue.push_event(Event::Run(Box::new(move |shard: &mut Self| {
                if let Some(place) = shard.place(at).filter(|p| p.generation == generation) {
                    place.removing.remove(&name);
                    shard.finish_consumer(&request, at, &name, config, now, files);
                } else {
                    let gone = Err(ApiError::stream_not_found());
                    shard.respond::<ConsumerCreate>(&request, gone);
                }
            })));
        });
    }

    fn finish_consumer(
        &mut self,
        request: &ApiRequest,
        at: u32,
        name: &str,
        config: ConsumerConfig,
        created: Timestamp,
        files: store::Result<Files>,
    ) {
        // Somebody may have asked for the same at the same time.
        let outcome = match self.consumer_id(at, name) {
            Ok(id) => Ok(id),
            Err(_) => self.open_consumer(at, name, config, created, true, files),
        };
        let outcome = outcome.and_then(|id| Ok((id, self.created_consumer(at, id)?)));
        self.respond_created(request, at, outcome);
    }

    /// Answers; who makes or changes a consumer that is paused is told so each time.
    fn respond_created(
        &mut self,
        request: &ApiRequest,
        at: u32,
        outcome: Outcome<(u32, ConsumerCreate)>,
    ) {
        let id = outcome.as_ref().ok().map(|(id, _)| *id);
        self.respond(request, outcome.map(|(_, body)| body));
        if let Some(id) = id {
            self.with(at, id, |consumer, cx| consumer.advise_paused(cx));
        }
    }

    /// Makes a consumer, or takes in one that lay on the disk.
    pub(crate) fn open_consumer(
        &mut self,
        at: u32,
        name: &str,
        config: ConsumerConfig,
        created: Timestamp,
        is_new: bool,
        files: store::Result<Files>,
    ) -> Outcome<u32> {
        let id = self.next_member();
        let Files { file, state, is_lost } = files.map_err(|error| {
            let log = &self.lent.worker.broker.log;
            stdx::error!(log, "Error creating store for consumer '{name}': {error}");
            ApiError::consumer_store_failed("error creating store for consumer")
        })?;
        let consumer = self
            .with_stream(at, |cx| match &state {
                Some(state) => Consumer::restore(config, name, created, state, cx),
                None if is_lost => Consumer::anew(config, name, created, cx),
                None => Consumer::new(config, name, created, cx),
            })
            .ok_or_else(ApiError::stream_not_found)?
            .map_err(ApiError::consumer_create)?;
        let queue = self.queue.clone();
        let place = self.place(at).ok_or_else(ApiError::stream_not_found)?;
        let mut member = Box::new(Member::new(consumer, file));
        let (account, stream) = (place.account.account.clone(), place.config().name.clone());
        let facts = place.stream.facts().clone();
        member.listen(&account, &facts, &stream, &queue, at, id);
        place.members.insert(id, member);
        place.names.insert(name, id);
        place.consumers.store(place.members.len(), Ordering::Relaxed);
        place.note_filters();
        self.with(at, id, |consumer, cx| {
            if is_new {
                consumer.advise_created(cx);
            }
        });
        self.make_ready(at, id);
        Ok(id)
    }

    fn change_consumer(&mut self, at: u32, name: &str, config: ConsumerConfig) -> Outcome<u32> {
        let id = self.consumer_id(at, name)?;
        let queue = self.queue.clone();
        let changes = self.with(at, id, |consumer, _| {
            let old = consumer.config();
            (*old != config, old.filters() != config.filters())
        });
        let (changes, selects_others) = changes.unwrap_or((true, true));
        if !changes {
            return Ok(id);
        }
        let woken = self
            .with(at, id, |consumer, cx| consumer.update(config, cx))
            .ok_or_else(ApiError::consumer_not_found)?
            .map_err(ApiError::consumer_create)?;
        let place = self.place(at).ok_or_else(ApiError::stream_not_found)?;
        let (account, stream) = (place.account.account.clone(), place.config().name.clone());
        let facts = place.stream.facts().clone();
        if let Some(member) = place.members.get_mut(&id) {
            member.listen(&account, &facts, &stream, &queue, at, id);
            member.write_document().map_err(ApiError::consumer_store_failed)?;
        }
        place.note_filters();
        if selects_others {
            self.free_lost_interest(at);
        }
        if woken {
            self.make_ready(at, id);
        }
        Ok(id)
    }

    /// A consumer needs other messages now: those that nobody needs go, where interest keeps them.
    fn free_lost_interest(&mut self, at: u32) {
        if let Some(place) = self.place(at)
            && place.config().retention == RetentionPolicy::Interest
        {
            place.free_unneeded();
            self.touch(at);
        }
    }

    /// The number of a consumer.
    fn consumer_id(&mut self, at: u32, name: &str) -> Outcome<u32> {
        let place = self.place(at).ok_or_else(ApiError::stream_not_found)?;
        place.names.get(name).copied().ok_or_else(ApiError::consumer_not_found)
    }

    fn find_consumer(
        &mut self,
        request: &ApiRequest,
        stream: &str,
        name: &str,
    ) -> Outcome<(u32, u32)> {
        let at = self.find(request, stream)?;
        Ok((at, self.consumer_id(at, name)?))
    }

    pub(super) fn consumer_names(&mut self, request: &ApiRequest, stream: &str) {
        let outcome = self.named_consumers(request, stream);
        self.respond(request, outcome);
    }

    fn named_consumers(&mut self, request: &ApiRequest, stream: &str) -> Outcome<ConsumerNames> {
        let asked = self.consumers_request(request)?;
        let at = self.find(request, stream)?;
        let place = self.place(at).ok_or_else(ApiError::stream_not_found)?;
        let names: Vec<String> = public(place).map(|(name, _)| name.to_owned()).collect();
        let (page, range) = page(names.len(), asked.page.offset, NAMES_LIMIT);
        let consumers = names.get(range).unwrap_or_default().to_vec();
        Ok(ConsumerNames { page, consumers })
    }

    fn consumers_request(&self, request: &ApiRequest) -> Outcome<ConsumersRequest> {
        if is_document(&request.payload) {
            self.decode(&request.payload)
        } else {
            Ok(ConsumersRequest::default())
        }
    }

    pub(super) fn consumer_list(&mut self, request: &ApiRequest, stream: &str) {
        let outcome = self.listed_consumers(request, stream);
        self.respond(request, outcome);
    }

    fn listed_consumers(&mut self, request: &ApiRequest, stream: &str) -> Outcome<ConsumerList> {
        let asked = self.consumers_request(request)?;
        let at = self.find(request, stream)?;
        let place = self.place(at).ok_or_else(ApiError::stream_not_found)?;
        let ids: Vec<u32> = public(place).map(|(_, id)| *id).collect();
        let (page, range) = page(ids.len(), asked.page.offset, LIST_LIMIT);
        let ids = ids.get(range).unwrap_or_default().to_vec();
        let consumers =
            ids.iter().filter_map(|id| self.with(at, *id, |c, cx| c.info(cx))).collect();
        Ok(ConsumerList { page, consumers, ..ConsumerList::default() })
    }

    pub(super) fn consumer_info(&mut self, request: &ApiRequest, stream: &str, name: &str) {
        let outcome = self.told_consumer(request, stream, name);
        self.respond(request, outcome);
    }

    fn told_consumer(
        &mut self,
        request: &ApiRequest,
        stream: &str,
        name: &str,
    ) -> Outcome<ConsumerInfoBody> {
        if !is_empty(&request.payload) {
            return Err(ApiError::not_empty_request());
        }
        let (at, id) = self.find_consumer(request, stream, name)?;
        let info = self.with(at, id, |c, cx| c.info(cx)).map(shown);
        Ok(ConsumerInfoBody { info })
    }

    pub(super) fn consumer_delete(&mut self, request: &ApiRequest, stream: &str, name: &str) {
        let outcome = self.deleted_consumer(request, stream, name);
        self.respond(request, outcome);
    }

    fn deleted_consumer(
        &mut self,
        request: &ApiRequest,
        stream: &str,
        name: &str,
    ) -> Outcome<ConsumerDelete> {
        if !is_empty(&request.payload) {
            return Err(ApiError::not_empty_request());
        }
        let (at, id) = self.find_consumer(request, stream, name)?;
        self.delete_consumer(at, id);
        Ok(ConsumerDelete { success: true })
    }

    /// Removes a consumer with everything of it.
    pub(crate) fn delete_consumer(&mut self, at: u32, id: u32) {
        self.with(at, id, |c, cx| c.delete(cx));
        let Some(place) = self.place(at) else { return };
        let Some(mut member) = place.members.remove(&id) else { return };
        place.names.remove(member.consumer.name());
        place.consumers.store(place.members.len(), Ordering::Relaxed);
        member.deafen();
        place.note_filters();
        if place.config().retention == RetentionPolicy::Interest {
            place.free_unneeded();
        }
        let deadline = member.deadline;
        self.timers.moved(at, id, deadline, None);
        self.touch(at);
        let log = self.lent.worker.broker.log.clone();
        if let Some(file) = member.file.take() {
            let name = member.consumer.name().to_owned();
            if let Some(place) = self.place(at) {
                place.removing.insert(name.clone());
            }
            let queue = self.queue.clone();
            // In line behind a state that is being written.
            self.shared.io.run(move || {
                if let Err(error) = file.lock().remove() {
                    stdx::error!(log, "JetStream cannot remove consumer '{name}': {error}");
                }
                queue.push_event(Event::Run(Box::new(move |shard: &mut Self| {
                    if let Some(place) = shard.place(at) {
                        place.removing.remove(&name);
                    }
                })));
            });
        }
    }

    pub(super) fn consumer_pause(&mut self, request: &ApiRequest, stream: &str, name: &str) {
        let outcome = self.paused_consumer(request, stream, name);
        self.respond(request, outcome);
    }

    fn paused_consumer(
        &mut self,
        request: &ApiRequest,
        stream: &str,
        name: &str,
    ) -> Outcome<ConsumerPause> {
        let asked: ConsumerPauseRequest = if is_document(&request.payload) {
            self.decode(&request.payload)?
        } else {
            ConsumerPauseRequest::default()
        };
        let (at, id) = self.find_consumer(request, stream, name)?;
        let now = self.now.wall;
        let until = asked.pause_until.filter(|t| *t != time::ZERO);
        if self.with(at, id, |consumer, cx| consumer.pause(until, cx)) == Some(true) {
            self.make_ready(at, id);
        }
        if let Some(member) = self.place(at).and_then(|p| p.members.get_mut(&id)) {
            member.write_document().map_err(ApiError::consumer_store_failed)?;
        }
        let left = until.filter(|until| *until > now);
        Ok(ConsumerPause {
            paused: left.is_some(),
            pause_until: until,
            pause_remaining: jetstream_api::Nanos(left.map_or(0, |until| until.0 - now.0)),
        })
    }

    pub(super) fn consumer_unpin(&mut self, request: &ApiRequest, stream: &str, name: &str) {
        let outcome = self.unpinned_consumer(request, stream, name);
        self.respond(request, outcome);
    }

    fn unpinned_consumer(
        &mut self,
        request: &ApiRequest,
        stream: &str,
        name: &str,
    ) -> Outcome<ConsumerUnpin> {
        // Compat(API-030): fields that nobody knows are passed over, strict or not.
        let asked: ConsumerUnpinRequest =
            json::request(&request.payload, Unknown::Ignored).map_err(ApiError::invalid_json)?;
        if asked.group.is_empty() {
            return Err(ApiError::invalid_json("consumer group not specified"));
        }
        if !is_group_name(&asked.group) {
            return Err(ApiError::consumer_invalid_group_name());
        }
        let (at, id) = self.find_consumer(request, stream, name)?;
        let woken = self.with(at, id, |consumer, cx| {
            // Compat(API-030): whatever the group's policy is.
            if !consumer.config().priority_groups.contains(&asked.group) {
                return Err(ApiError::consumer_invalid_priority_group());
            }
            Ok(consumer.unpin(&asked.group, cx))
        });
        if woken.transpose()? == Some(true) {
            self.make_ready(at, id);
        }
        Ok(ConsumerUnpin)
    }

    pub(super) fn consumer_reset(&mut self, request: &ApiRequest, stream: &str, name: &str) {
        // Compat(API-031): the consumer itself takes it in the reference. Without somebody to
        // answer to it does nothing, and it is neither counted nor audited.
        if request.reply.is_none() {
            return;
        }
        let outcome = self.reset_consumer(request, stream, name);
        self.catch_up();
        self.reply(request, outcome);
    }

    fn reset_consumer(
        &mut self,
        request: &ApiRequest,
        stream: &str,
        name: &str,
    ) -> Outcome<ConsumerReset> {
        let asked: ConsumerResetRequest = if request.payload.is_empty() {
            ConsumerResetRequest::default()
        } else {
            json::request(&request.payload, Unknown::Ignored).map_err(ApiError::invalid_json)?
        };
        let (at, id) = self.find_consumer(request, stream, name)?;
        let reset = self
            .with(at, id, |consumer, cx| consumer.reset(asked.seq, cx))
            .ok_or_else(ApiError::consumer_not_found)?
            .map_err(ApiError::consumer_invalid_reset)?
            .map_err(ApiError::consumer_invalid_reset)?;
        self.free_lost_interest(at);
        self.make_ready(at, id);
        let info = self.with(at, id, |c, cx| c.info(cx)).map(shown);
        Ok(ConsumerReset { info, reset_seq: reset })
    }
}
