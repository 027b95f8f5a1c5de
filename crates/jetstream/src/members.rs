//! What a shard does with the consumers of its streams.
//!
//! Laws: after every event of a consumer its deadline, its place in the line and its files are
//!       seen to; messages leave a stream when no consumer needs them any more.
//! Hot path: acknowledgements, pulls, deliveries.

#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a path is less general in its lifetimes than the closure"
)]

use std::time::Duration;

use jetstream_api::RetentionPolicy;
use jetstream_api::subject::Ack;
use jetstream_core::consumer::{AckOf, Consumer, Cx};
use jetstream_core::stream::{Storage, Stored};
use stdx::time::Mono;
use store::{ColdRead, MessageStore, Removed};

use crate::event::Event;
use crate::out::ShardOut;
use crate::place::{Disk, Place};
use crate::queue::Frame;
use crate::reads::{PATIENCE, Waiter};
use crate::shard::Shard;

/// Messages one consumer delivers before the next has its turn.
const BUDGET: usize = 256;
/// Messages delivered between two looks at the queue.
const ROUND: usize = 4096;
/// A consumer's state is written at most this often.
const WRITE_EVERY: Duration = Duration::from_millis(100);
/// Confirmations that wait for a disk that refuses; whoever gets none acknowledges again.
const MOST_UNCONFIRMED: usize = 4096;
/// The same after the disk refused it.
const WRITE_AGAIN: Duration = Duration::from_millis(500);

/// The disk has to be waited for.
struct Cold;

/// What a consumer is lent.
pub(crate) type Context<'a, 'b> = Cx<'a, Storage<Disk>, ShardOut<'b>>;

impl Shard {
    /// Lends a consumer everything it needs, then sees to what follows from the event.
    pub(crate) fn with<R>(
        &mut self,
        at: u32,
        id: u32,
        work: impl FnOnce(&mut Consumer, &mut Context<'_, '_>) -> R,
    ) -> Option<R> {
        let now = self.now;
        let place = self.places.get_mut(at as usize)?.as_deref_mut()?;
        let member = place.members.get_mut(&id)?;
        let (stream, facts, store) = place.stream.parts();
        let mut out = self.lent.out(at, &place.account.account);
        let mut cx = Cx {
            facts,
            stream,
            store,
            out: &mut out,
            done: &mut self.done,
            max_payload: self.shared.config.max_payload as u64,
            late_interest: false,
            now,
        };
        let result = work(&mut member.consumer, &mut cx);
        let deadline = member.consumer.next_deadline();
        if deadline != member.deadline {
            let before = std::mem::replace(&mut member.deadline, deadline);
            self.timers.moved(at, id, before, deadline);
        }
        if member.file.is_some() && !member.writing && member.consumer.take_dirty() {
            member.writing = true;
            self.write_later(now.mono + WRITE_EVERY, at, id);
        }
        if !self.done.is_empty() {
            self.free_acknowledged(at);
        }
        Some(result)
    }

    /// Lends what a consumer needs before it is one.
    pub(crate) fn with_stream<R>(
        &mut self,
        at: u32,
        work: impl FnOnce(&mut Context<'_, '_>) -> R,
    ) -> Option<R> {
        let now = self.now;
        let place = self.places.get_mut(at as usize)?.as_deref_mut()?;
        let (stream, facts, store) = place.stream.parts();
        let mut out = self.lent.out(at, &place.account.account);
        let mut cx = Cx {
            facts,
            stream,
            store,
            out: &mut out,
            done: &mut self.done,
            max_payload: self.shared.config.max_payload as u64,
            late_interest: false,
            now,
        };
        Some(work(&mut cx))
    }

    /// Puts a consumer in the line of those that deliver.
    pub(crate) fn make_ready(&mut self, at: u32, id: u32) {
        let Some(member) = self.place(at).and_then(|p| p.members.get_mut(&id)) else { return };
        if !std::mem::replace(&mut member.ready, true) {
            self.ready.push_back((at, id));
        }
    }

    /// Lets consumers deliver, each its share. `true` if there is more to do.
    pub(crate) fn deliver(&mut self) -> bool {
        let mut left = ROUND / BUDGET;
        while left > 0 {
            let Some((at, id)) = self.ready.pop_front() else { return false };
            left -= 1;
            let Some(member) = self.place(at).and_then(|p| p.members.get_mut(&id)) else {
                continue;
            };
            member.ready = false;
            if !member.reading && self.deliver_from(at, id) {
                self.make_ready(at, id);
                // Its client can work on these while the next are gathered.
                self.lent.worker.flush_touched();
            }
        }
        !self.ready.is_empty()
    }

    /// Lets a consumer deliver its share. `true` if it has more to do.
    pub(crate) fn deliver_from(&mut self, at: u32, id: u32) -> bool {
        self.make_room(at);
        let delivered = self.with(at, id, |consumer, cx| {
            let defers = consumer.waits_for_disk().is_none_or(|reads| reads < PATIENCE);
            cx.store.defer_reads(defers);
            let more = consumer.deliver(BUDGET, cx);
            cx.store.defer_reads(false);
            (more, consumer.waits_for_disk().is_some(), cx.store.take_cold())
        });
        self.note_read(at);
        let Some((more, waits, cold)) = delivered else { return false };
        if let Some(read) = cold
            && let Some(member) = self.place(at).and_then(|p| p.members.get_mut(&id))
        {
            member.reading = waits;
            self.await_read(at, read, waits.then_some(Waiter::Consumer(id)));
        }
        more
    }

    /// Tells the consumers of a stream what was stored and what left.
    pub(crate) fn tell_consumers(&mut self, at: u32) {
        let Some(place) = self.place(at) else { return };
        if place.full.is_some() {
            // Nobody learns of what may be lost yet.
            return;
        }
        let stored = place.stream.take_stored();
        if place.members.is_empty() {
            return place.stream.recycle(stored);
        }
        let removed = place.stream.store().take_removals();
        let mut subjects = stored.subjects.as_slice();
        let mut woken = std::mem::take(&mut self.woken);
        for &(first, last) in &stored.runs {
            let count = ((last - first + 1) as usize).min(subjects.len());
            let (own, rest) = subjects.split_at(count);
            subjects = rest;
            let Some(place) = self.place(at) else { break };
            for (id, member) in &mut place.members {
                let own = own.iter().map(|(_, s)| &**s);
                if member.consumer.handle_new(first, last, own) {
                    woken.push(*id);
                }
            }
        }
        if !removed.is_empty() {
            self.tell_removed(at, &removed);
        }
        if !stored.rollups.is_empty() {
            self.tell_rolled(at, &stored);
        }
        for id in woken.drain(..) {
            self.make_ready(at, id);
        }
        self.woken = woken;
        if let Some(place) = self.place(at) {
            place.stream.recycle(stored);
        }
    }

    pub(crate) fn tell_removed(&mut self, at: u32, removed: &[Removed]) {
        let ids = self.member_ids(at);
        for id in ids {
            self.with(at, id, |consumer, cx| {
                for m in removed {
                    consumer.handle_removed(m.seq, &m.subject, cx);
                }
            });
            // Room for another may have become free.
            self.make_ready(at, id);
        }
    }

    fn tell_rolled(&mut self, at: u32, stored: &Stored) {
        let trouble = self.member_ids(at).into_iter().find_map(|id| {
            let told = self.with(at, id, |consumer, cx| {
                let now = cx.now.wall;
                stored.rolled.iter().for_each(|m| consumer.handle_rolled(m.seq, &m.subject, now));
                stored.rollups.iter().try_for_each(|subject| consumer.follow_rollup(subject, cx))
            });
            // Room for another may have become free.
            self.make_ready(at, id);
            told?.err()
        });
        if let (Some(error), Some(place)) = (trouble, self.place(at)) {
            place.stream.note_trouble(&error);
        }
    }

    /// The stream goes, and its consumers with it.
    pub(crate) fn end_consumers(&mut self, at: u32) {
        for id in self.member_ids(at) {
            self.with(at, id, |consumer, cx| consumer.delete(cx));
            let Some(mut member) = self.place(at).and_then(|p| p.members.remove(&id)) else {
                continue;
            };
            member.deafen();
            self.timers.moved(at, id, member.deadline, None);
        }
    }

    /// The server stops: whoever waits is told, states are kept.
    pub(crate) fn close_consumers(&mut self, at: u32) {
        for id in self.member_ids(at) {
            self.with(at, id, |consumer, cx| consumer.shut_down(cx));
            let now = self.now.wall;
            let log = self.lent.worker.broker.log.clone();
            let Some(member) = self.place(at).and_then(|p| p.members.get_mut(&id)) else {
                continue;
            };
            member.deafen();
            let Some(file) = &member.file else { continue };
            // A state that is on its way is written in any case: this one is newer.
            if !member.consumer.take_dirty() && !member.writing {
                continue;
            }
            if let Err(error) = file.lock().write_state(&member.consumer.state(), now) {
                let name = member.consumer.name();
                stdx::error!(log, "JetStream cannot write the state of consumer '{name}': {error}");
            }
        }
    }

    /// What a consumer says of itself, as JSON; how it is configured if `configs`.
    pub(crate) fn consumer_document(&mut self, at: u32, id: u32, configs: bool) -> Option<Vec<u8>> {
        let mut info = self.with(at, id, |consumer, cx| consumer.info(cx))?;
        if !configs {
            info.config = None;
        }
        Some(jetstream_api::json::to_json(&info))
    }

    /// The consumers of a stream.
    pub(crate) fn member_ids(&mut self, at: u32) -> Vec<u32> {
        self.place(at).map(|p| p.members.keys().copied().collect()).unwrap_or_default()
    }

    pub(crate) fn handle_ack(&mut self, frame: &Frame<'_>) {
        let (at, id) = (frame.tag.stream, frame.tag.part);
        let place = self.places.get(at as usize).and_then(Option::as_deref);
        let Some(member) = place.and_then(|p| Some((p, p.members.get(&id)?))) else { return };
        let (stream, name) = (member.0.name().as_bytes(), member.1.consumer.name().as_bytes());
        let parsed = Ack::parse(frame.subject);
        let Some(ack) = parsed.filter(|ack| ack.stream == stream && ack.consumer == name) else {
            return self.tell_nobody(frame);
        };
        let of = AckOf::from(&ack);
        let reply = frame.reply.unwrap_or_default();
        let answers = self.lent.answers.len();
        let more = self.with(at, id, |c, cx| c.handle_ack(of, frame.payload, reply, cx));
        if self.shared.config.sync_always && self.lent.answers.len() > answers {
            self.confirm_later(at, id, answers);
        }
        if more == Some(true) {
            self.make_ready(at, id);
        }
    }

    /// Compat(CONS-044): other subjects than those of acknowledgements are nobody's.
    fn tell_nobody(&mut self, frame: &Frame<'_>) {
        use jetstream_core::{Out, Outgoing};
        let Some(reply) = frame.reply.filter(|r| !r.is_empty()) else { return };
        let Some(place) = self.place(frame.tag.stream) else { return };
        let account = place.account.account.clone();
        let mut header = b"NATS/1.0 503\r\nNats-Subject: ".to_vec();
        header.extend_from_slice(frame.subject);
        header.extend_from_slice(b"\r\n\r\n");
        self.lent.out(frame.tag.stream, &account).send(Outgoing::new(reply, &header, b""));
    }

    pub(crate) fn handle_pull(&mut self, frame: &Frame<'_>) {
        // Compat(API-032): nobody could get the answer.
        let Some(reply) = frame.reply.filter(|r| !r.is_empty()) else { return };
        let (at, id) = (frame.tag.stream, frame.tag.part);
        let more = self.with(at, id, |c, cx| c.handle_pull(frame.header, frame.payload, reply, cx));
        if more == Some(true) {
            self.make_ready(at, id);
        }
    }

    pub(crate) fn handle_flow(&mut self, frame: &Frame<'_>) {
        let (at, id) = (frame.tag.stream, frame.tag.part);
        let more = self.with(at, id, |c, cx| c.handle_flow_reply(frame.subject, frame.header, cx));
        if more == Some(true) {
            self.make_ready(at, id);
        }
    }

    pub(crate) fn handle_interest(&mut self, at: u32, id: u32) {
        use jetstream_core::Out;
        let more = self.with(at, id, |c, cx| {
            let config = c.config();
            let (subject, group) = (&config.deliver_subject, &config.deliver_group);
            let active = cx.out.has_subscriber(subject.as_bytes(), group.as_bytes());
            c.handle_interest(active, cx.now)
        });
        if more == Some(true) {
            self.make_ready(at, id);
        }
    }

    /// A consumer's deadline passed.
    pub(crate) fn tick_member(&mut self, at: u32, id: u32) {
        if let Some(member) = self.place(at).and_then(|p| p.members.get_mut(&id)) {
            member.deadline = None;
        }
        let Some(tick) = self.with(at, id, |c, cx| c.tick(cx)) else { return };
        if tick.delete {
            self.delete_consumer(at, id);
        } else if tick.deliver {
            self.make_ready(at, id);
        }
    }

    /// Messages that a consumer is done with leave, unless another one needs them.
    fn free_acknowledged(&mut self, at: u32) {
        let mut done = std::mem::take(&mut self.done);
        let cold = self.place(at).and_then(|place| place.free_or_wait(&done));
        self.touch(at);
        done.clear();
        self.done = done;
        if let Some(read) = cold {
            self.await_read(at, read, Some(Waiter::Freeing));
        }
    }

    /// Goes on with what waited for a read.
    pub(crate) fn free_waiting(&mut self, at: u32) {
        let Some(place) = self.place(at) else { return };
        let waiting = place.reads.as_mut().map(|reads| std::mem::take(&mut reads.freeing));
        // Who was done with them may have gone meanwhile, and who is left is another one.
        let cold = place.free_now(waiting.unwrap_or_default().make_contiguous(), true);
        self.touch(at);
        if let Some(read) = cold {
            self.await_read(at, read, Some(Waiter::Freeing));
        }
    }

    /// Writes the states that are due.
    pub(crate) fn write_states(&mut self) {
        for (at, id) in std::mem::take(&mut self.urgent) {
            self.write_state(at, id);
        }
        while self.writes.front().is_some_and(|(due, ..)| *due <= self.now.mono) {
            if let Some((_, at, id)) = self.writes.pop_front() {
                self.write_state(at, id);
            }
        }
    }

    /// With `sync_interval: always` an acknowledgement is confirmed once it is on the disk.
    fn confirm_later(&mut self, at: u32, id: u32, from: usize) {
        let place = self.places.get_mut(at as usize).and_then(Option::as_deref_mut);
        let Some(member) = place.and_then(|p| p.members.get_mut(&id)) else { return };
        // What changed nothing waits as well: what it repeats may be on its way.
        if member.file.is_none() || !member.writing {
            return;
        }
        if member.unconfirmed.is_empty() {
            self.urgent.push((at, id));
        }
        self.lent.answers.move_tail(from, &mut member.unconfirmed);
    }

    fn write_state(&mut self, at: u32, id: u32) {
        let (now, queue) = (self.now.wall, self.queue.clone());
        let Some(member) = self.place(at).and_then(|p| p.members.get_mut(&id)) else { return };
        let Some(file) = member.file.clone() else { return };
        // One at a time: an older state must not come after a newer one.
        if std::mem::replace(&mut member.under_way, true) {
            return;
        }
        member.confirming = std::mem::take(&mut member.unconfirmed);
        member.consumer.take_dirty();
        let state = member.consumer.state();
        self.shared.io.run(move || {
            let written = file.lock().write_state(&state, now);
            let failed = written.err().map(|error| error.to_string().into());
            queue.push_event(Event::Written { stream: at, consumer: id, failed });
        });
    }

    fn write_later(&mut self, due: Mono, at: u32, id: u32) {
        let place = self.writes.partition_point(|(other, ..)| *other <= due);
        self.writes.insert(place, (due, at, id));
    }

    /// A consumer's state was written; it may have changed meanwhile.
    pub(crate) fn handle_written(&mut self, at: u32, id: u32, failed: Option<Box<str>>) {
        let every = if failed.is_some() { WRITE_AGAIN } else { WRITE_EVERY };
        let due = self.now.mono + every;
        let place = self.places.get_mut(at as usize).and_then(Option::as_deref_mut);
        let Some((stream, member)) =
            place.and_then(|p| Some((p.stream.config().clone(), p.members.get_mut(&id)?)))
        else {
            return;
        };
        member.under_way = false;
        let mut confirming = std::mem::take(&mut member.confirming);
        let log = &self.lent.worker.broker.log;
        let (stream, name) = (&stream.name, member.consumer.name());
        match &failed {
            // Nobody hears of an acknowledgement that may be lost; it is safe once a later state is.
            Some(_) if member.unconfirmed.len() > MOST_UNCONFIRMED => {}
            Some(_) => confirming.move_tail(0, &mut member.unconfirmed),
            None => confirming.move_tail(0, &mut self.lent.answers),
        }
        match (&member.trouble, &failed) {
            (None, Some(why)) => stdx::error!(
                log,
                "JetStream cannot write the state of consumer '{stream} > {name}': {why}; it is tried again"
            ),
            (Some(_), None) => stdx::notice!(
                log,
                "JetStream writes the state of consumer '{stream} > {name}' again"
            ),
            _ => {}
        }
        let tries_again = failed.is_some();
        member.trouble = failed;
        let confirms = !member.unconfirmed.is_empty();
        member.writing = member.consumer.take_dirty() || confirms || tries_again;
        if confirms && !tries_again {
            self.urgent.push((at, id));
        } else if member.writing {
            self.write_later(due, at, id);
        }
    }

    /// When a state has to be written.
    pub(crate) fn next_write(&self) -> Option<Mono> {
        self.writes.front().map(|(due, ..)| *due)
    }
}

impl Place {
    /// Removes messages that no consumer needs, once one is done with them. From one on for which the
    /// disk has to be waited for, they wait: what has to be read, if nobody reads it yet.
    fn free_or_wait(&mut self, seqs: &[u64]) -> Option<ColdRead<Disk>> {
        if self.config().retention == RetentionPolicy::Limits {
            return None;
        }
        if let Some(reads) = self.reads.as_mut().filter(|reads| !reads.freeing.is_empty()) {
            reads.freeing.extend(seqs);
            return None;
        }
        // The one that is done with them may be the only one that could need them.
        self.free_now(seqs, self.members.len() > 1)
    }

    /// Removes those of these messages that nobody needs, up to one that has to wait; unless
    /// `others` may need some, nobody is asked.
    fn free_now(&mut self, seqs: &[u64], others: bool) -> Option<ColdRead<Disk>> {
        self.stream.store().defer_reads(true);
        let cold = seqs.iter().position(|&seq| self.free(seq, others).is_err());
        self.stream.store().defer_reads(false);
        let waits = seqs.get(cold?..).unwrap_or_default();
        self.reads.get_or_insert_default().freeing.extend(waits);
        self.stream.store().take_cold()
    }

    fn free(&mut self, seq: u64, others: bool) -> Result<(), Cold> {
        if others {
            match self.stream.store().load(seq) {
                Ok(message) if self.is_needed(seq, &message.subject) => return Ok(()),
                Ok(_) => {}
                Err(store::Error::Cold(_)) => return Err(Cold),
                Err(_) => return Ok(()),
            }
        }
        match self.stream.store().remove(seq, false) {
            Ok(_) => Ok(()),
            Err(store::Error::Cold(_)) => Err(Cold),
            Err(error) => {
                self.stream.note_trouble(&error);
                Ok(())
            }
        }
    }

    fn is_needed(&self, seq: u64, subject: &[u8]) -> bool {
        self.members.values().any(|m| m.consumer.needs_ack(seq, subject))
    }

    /// Removes what no consumer needs any more: after one left, and after a start that may have
    /// come between an acknowledgement and the removal.
    pub(crate) fn free_unneeded(&mut self) {
        match self.config().retention {
            RetentionPolicy::Limits => {}
            RetentionPolicy::Interest => self.free_all(false),
            // What nobody ever wanted stays in a work queue: its consumer may be yet to come.
            RetentionPolicy::WorkQueue => self.free_all(true),
        }
    }

    /// Removes what consumers are done with, after interest became what keeps messages.
    // Compat(STREAM-003): what no consumer selects was stored before, and stays.
    pub(crate) fn free_done(&mut self) {
        if self.config().retention != RetentionPolicy::Limits {
            self.free_all(true);
        }
    }

    fn free_all(&mut self, only_theirs: bool) {
        if only_theirs && self.members.is_empty() {
            return;
        }
        let mut seq = self.stream.store_ref().state().first_seq;
        while let Ok(Some(m)) = self.stream.store().next(&store::Filter::All, seq) {
            seq = m.seq + 1;
            let theirs = |p: &Self| {
                p.members.values().any(|member| member.consumer.filter().matches(&m.subject))
            };
            if self.is_needed(m.seq, &m.subject) || only_theirs && !theirs(self) {
                continue;
            }
            if let Err(error) = self.stream.store().remove(m.seq, false) {
                self.stream.note_trouble(&error);
            }
        }
    }

    /// Tells the stream what its consumers want.
    pub(crate) fn note_filters(&mut self) {
        let mut interest: Vec<Box<[u8]>> = Vec::new();
        let mut filtered = false;
        for member in self.members.values() {
            let filters = member.consumer.config().filters();
            filtered |= !filters.is_empty();
            if filters.is_empty() {
                interest.push(Box::default());
            }
            interest.extend(filters.iter().map(|f| Box::from(f.as_bytes())));
        }
        self.stream.set_interest(interest);
        self.stream.want_subjects(filtered);
        let any = !self.members.is_empty();
        self.stream.store().record_removals(any);
    }
}

/// Deadlines of consumers and streams; a stream's own have the id 0.
#[derive(Default)]
pub(crate) struct Timers(std::collections::BTreeSet<(Mono, u32, u32)>);

impl Timers {
    pub(crate) fn moved(&mut self, at: u32, id: u32, before: Option<Mono>, now: Option<Mono>) {
        if let Some(before) = before {
            self.0.remove(&(before, at, id));
        }
        if let Some(now) = now {
            self.0.insert((now, at, id));
        }
    }

    /// The next that is due.
    pub(crate) fn pop(&mut self, now: Mono) -> Option<(u32, u32)> {
        let &(due, at, id) = self.0.first()?;
        (due <= now).then(|| {
            self.0.pop_first();
            (at, id)
        })
    }

    pub(crate) fn next(&self) -> Option<Mono> {
        self.0.first().map(|(due, ..)| *due)
    }
}
