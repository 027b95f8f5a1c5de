//! A shard: the streams it owns, and one event after the other.
//!
//! ```text
//! take a batch -> each frame to its machine -> flush every stream that stored something
//!              -> answers -> consumers -> flush the clients' outboxes
//! ```
//! Laws: a stream belongs to one shard; nothing is answered before it is flushed; with
//!       `sync_interval: always` nothing is answered before it is durable.
//! Hot path.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use broker::Worker;
use jetstream_api::ApiError;
use jetstream_core::stream::{Incoming, refusal};
use stdx::time::{Mono, Now};

use crate::answers::Answers;
use crate::event::Event;
use crate::ingress::weight;
use crate::late::Lates;
use crate::members::Timers;
use crate::out::Lent;
use crate::place::Place;
use crate::queue::{Batch, Frame, Kind, Queue};
use crate::random::Random;
use crate::reads::Waiter;
use crate::shared::Shared;
use crate::transfer::Transfers;

/// Expired messages are looked for at most this often.
const EXPIRE_EVERY: Duration = Duration::from_millis(50);
/// Messages taken between two flushes at most.
const SETTLE_EVERY: usize = 1024;
/// As many messages a direct get counts for: its client can go on while the rest is answered.
const GET_COSTS: usize = 32;

/// Streams that share a thread.
pub(crate) struct Shard {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) lent: Lent,
    pub(crate) places: Vec<Option<Box<Place>>>,
    free: Vec<u32>,
    generation: u32,
    /// Streams that stored something since the last flush.
    touched: Vec<u32>,
    /// Streams whose changes wait to be put on the disk, in the order in which it is due.
    pub(crate) syncs: VecDeque<(Mono, u32, u32)>,
    /// Streams whose disk is full, and when it is asked again.
    pub(crate) fulls: VecDeque<(Mono, u32, u32)>,
    /// Streams that wait for room to be opened.
    pub(crate) lates: Lates,
    /// Streams that may rest if nothing happens to them until then.
    pub(crate) rests: VecDeque<(Mono, u32, u32)>,
    /// Streams that may hold open files, in the order in which they opened them.
    pub(crate) opened: VecDeque<(u32, u32)>,
    /// Consumers whose state waits to be written.
    pub(crate) writes: VecDeque<(Mono, u32, u32)>,
    /// Consumers whose state somebody waits for.
    pub(crate) urgent: Vec<(u32, u32)>,
    /// Consumers that have something to deliver, or may have.
    pub(crate) ready: VecDeque<(u32, u32)>,
    pub(crate) timers: Timers,
    /// Streams whose places at their sources wait to be written.
    pub(crate) drawn: VecDeque<(Mono, u32, u32)>,
    /// Streams on their way out and in.
    pub(crate) transfers: Transfers,
    /// Scratch: what a consumer is done with, and who was woken.
    pub(crate) done: Vec<u64>,
    pub(crate) woken: Vec<u32>,
    /// The last number given to a consumer.
    last_member: u32,
    pub(crate) now: Now,
    stopping: bool,
}

impl Shard {
    pub(crate) fn new(index: usize, shared: Arc<Shared>, worker: Worker, seed: u64) -> Self {
        let queue = shared.queues.get(index).cloned().unwrap_or_default();
        Self {
            index,
            now: worker.now,
            shared,
            queue,
            lent: Lent {
                worker,
                answers: Answers::default(),
                scratch: Vec::new(),
                random: Random::new(seed),
            },
            places: Vec::new(),
            free: Vec::new(),
            generation: 0,
            touched: Vec::new(),
            syncs: VecDeque::new(),
            fulls: VecDeque::new(),
            lates: Lates::new(),
            rests: VecDeque::new(),
            opened: VecDeque::new(),
            writes: VecDeque::new(),
            urgent: Vec::new(),
            ready: VecDeque::new(),
            timers: Timers::default(),
            drawn: VecDeque::new(),
            transfers: Transfers::default(),
            done: Vec::new(),
            woken: Vec::new(),
            last_member: 0,
            stopping: false,
        }
    }

    /// The stream at a place.
    pub(crate) fn place(&mut self, at: u32) -> Option<&mut Place> {
        self.places.get_mut(at as usize)?.as_deref_mut()
    }

    /// Handles a batch.
    pub(crate) fn handle(&mut self, batch: &mut Batch, now: Now) {
        self.now = now;
        self.lent.worker.now = now;
        let mut since = 0;
        while let Some(frame) = batch.next() {
            if frame.tag.kind == Kind::Event {
                let at = frame.tag.part as usize;
                if let Some(event) = batch.events.get_mut(at).and_then(Option::take) {
                    self.handle_event(event);
                }
                continue;
            }
            self.handle_frame(&frame);
            since += if frame.tag.kind == Kind::Direct { GET_COSTS } else { 1 };
            if since >= SETTLE_EVERY {
                since = 0;
                self.settle();
            }
        }
        self.settle();
    }

    fn handle_frame(&mut self, frame: &Frame<'_>) {
        if self.shared.files.is_full() {
            self.make_room(frame.tag.stream);
        }
        match frame.tag.kind {
            Kind::Publish => self.handle_publish(frame),
            Kind::Refuse => self.handle_refused(frame),
            Kind::Direct => self.handle_direct(frame),
            Kind::Ack => self.handle_ack(frame),
            Kind::Pull => self.handle_pull(frame),
            Kind::Flow => self.handle_flow(frame),
            Kind::Sourced => self.handle_sourced(frame),
            Kind::Event => {}
        }
    }

    fn handle_publish(&mut self, frame: &Frame<'_>) {
        let at = frame.tag.stream;
        let Some(place) = self.places.get_mut(at as usize).and_then(Option::as_deref_mut) else {
            return;
        };
        if place.generation != frame.tag.part {
            return;
        }
        place.backlog.took(weight(frame.subject, frame.reply, frame.header, frame.payload));
        let limits = place.limits(&self.shared);
        let message = Incoming {
            subject: frame.subject,
            reply: frame.reply,
            header: frame.header,
            payload: frame.payload,
        };
        let mut out = self.lent.out(at, &place.account.account);
        place.stream.publish(&message, &limits, self.now, &mut out);
        self.touch(at);
    }

    /// Too much waits for the stream: its publisher is told (PUB-021).
    fn handle_refused(&mut self, frame: &Frame<'_>) {
        use jetstream_core::{Out, Outgoing};
        let Some(reply) = frame.reply else { return };
        let at = frame.tag.stream;
        let Some(place) = self.places.get(at as usize).and_then(Option::as_deref) else { return };
        let body = refusal(place.name(), &ApiError::stream_too_many_requests());
        let account = place.account.account.clone();
        let header = b"NATS/1.0 429 Too Many Requests\r\n\r\n";
        self.lent.out(at, &account).send(Outgoing::new(reply, header, &body));
    }

    pub(crate) fn handle_event(&mut self, event: Event) {
        match event {
            Event::Stop => self.stopping = true,
            Event::Api(request) => self.handle_api(&request),
            Event::Job { stream, generation, result } => {
                self.handle_job(stream, generation, result);
            }
            Event::Read { stream, generation, fetched } => {
                self.handle_read(stream, generation, *fetched);
            }
            Event::Interest { stream, consumer } => self.handle_interest(stream, consumer),
            Event::Written { stream, consumer, failed } => {
                self.handle_written(stream, consumer, failed);
            }
            Event::Traced(publish) => self.handle_traced(*publish),
            Event::Run(task) => task(self),
        }
    }

    /// Notes that a stream stored or removed something.
    pub(crate) fn touch(&mut self, at: u32) {
        if let Some(place) = self.places.get_mut(at as usize).and_then(Option::as_deref_mut)
            && !std::mem::replace(&mut place.touched, true)
        {
            place.used = self.now.mono;
            let is_noted = place.opened;
            self.touched.push(at);
            if !is_noted {
                self.note_open(at);
            }
        }
    }

    /// Flushes what was stored, then answers, then lets the clients have it.
    pub(crate) fn settle(&mut self) {
        // Telling the consumers may free messages, which is another change.
        while !self.touched.is_empty() {
            let mut touched = std::mem::take(&mut self.touched);
            for &at in &touched {
                self.flush(at);
                self.tell_consumers(at);
                self.set_deadline(at);
            }
            touched.clear();
            if self.touched.is_empty() {
                self.touched = touched;
                break;
            }
        }
        self.release();
        self.lent.worker.flush_touched();
    }

    /// Sees to it that what was published before counts, without letting the clients have it yet.
    pub(crate) fn catch_up(&mut self) {
        if !self.touched.is_empty() {
            self.settle();
        }
    }

    fn release(&mut self) {
        let places = &self.places;
        self.lent.answers.release(&mut self.lent.worker, |at| {
            Some(places.get(at as usize)?.as_deref()?.account.account.clone())
        });
    }

    /// Notes when the stream has something to do by itself.
    pub(crate) fn set_deadline(&mut self, at: u32) {
        let now = self.now;
        let Some(place) = self.places.get_mut(at as usize).and_then(Option::as_deref_mut) else {
            return;
        };
        let deadline = place.stream.next_expiry().map(|due| {
            let ns = u64::try_from(due.0.saturating_sub(now.wall.0)).unwrap_or(0);
            // Many expire together: looked at no more often than this.
            now.mono + Duration::from_nanos(ns).max(EXPIRE_EVERY)
        });
        let deadline = deadline.into_iter().chain(place.stream.next_batch_expiry()).min();
        // An earlier look does no harm.
        if deadline.is_some_and(|new| place.deadline.is_none_or(|old| new < old)) {
            let before = std::mem::replace(&mut place.deadline, deadline);
            self.timers.moved(at, 0, before, deadline);
        }
    }

    pub(crate) fn expire(&mut self, at: u32) {
        let now = self.now;
        let Some(place) = self.place(at) else { return };
        place.deadline = None;
        let cold = if place.stream.expire(now) { None } else { place.stream.store().take_cold() };
        self.fire(at);
        self.touch(at);
        if let Some(read) = cold {
            self.await_read(at, read, Some(Waiter::Expiry));
        }
    }

    /// Does what is due, and says when it has something to do again.
    pub(crate) fn tick(&mut self, now: Now) -> Option<Mono> {
        self.now = now;
        self.lent.worker.now = now;
        self.start_due_syncs();
        self.ask_full_disks();
        self.open_due();
        self.rest_idle();
        while let Some((at, id)) = self.timers.pop(now.mono) {
            if id == 0 {
                self.expire(at);
            } else if !self.tick_link(at, id) {
                self.tick_member(at, id);
            }
        }
        self.write_states();
        self.tick_transfers();
        self.write_left_off();
        self.settle();
        let more = self.deliver();
        self.settle();
        if more {
            return Some(now.mono);
        }
        let sync = self.next_sync();
        let others = [self.next_write(), self.transfers.next(), self.next_left_off()];
        let others = others.into_iter().flatten().chain(self.next_late());
        sync.into_iter().chain(self.timers.next()).chain(others).min()
    }

    /// A number for a new consumer.
    pub(crate) fn next_member(&mut self) -> u32 {
        self.last_member = self.last_member.wrapping_add(1).max(1);
        self.last_member
    }

    /// Whether it was asked to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Finds a place for a stream, whose generation is given.
    pub(crate) fn settle_in(&mut self, make: impl FnOnce(u32) -> Place) -> u32 {
        self.generation = self.generation.wrapping_add(1);
        let place = Box::new(make(self.generation));
        match self.free.pop() {
            Some(at) => {
                if let Some(slot) = self.places.get_mut(at as usize) {
                    *slot = Some(place);
                }
                at
            }
            None => {
                self.places.push(Some(place));
                (self.places.len() - 1) as u32
            }
        }
    }

    /// Takes a stream from its place.
    pub(crate) fn remove(&mut self, at: u32) -> Option<Box<Place>> {
        let mut place = self.places.get_mut(at as usize)?.take()?;
        self.free.push(at);
        self.dismiss_readers(at, &mut place);
        Some(place)
    }

    /// Writes everything out and closes the stores.
    pub(crate) fn close(&mut self) {
        for at in 0..self.places.len() as u32 {
            self.close_consumers(at);
            self.close_left_off(at);
        }
        self.lent.worker.flush_touched();
        self.await_jobs();
        let (done, closed) = mpsc::channel();
        for mut place in self.places.iter_mut().filter_map(Option::take) {
            let (done, log) = (done.clone(), self.lent.worker.broker.log.clone());
            self.shared.io.run(move || {
                place.deafen();
                if let Err(error) = place.stream.store().close() {
                    let name = format!("{} > {}", place.account.account.name, place.name());
                    stdx::error!(log, "JetStream cannot close '{name}': {error}");
                }
                let _ = done.send(());
            });
        }
        drop(done);
        // Ends when every job gave up its sender.
        closed.iter().for_each(drop);
    }
}
