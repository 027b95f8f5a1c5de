//! Between streams and the disk: which job runs where, and which answers wait for it.
//!
//! | job | runs |
//! |---|---|
//! | write (to the page cache) | here, at once: the answers wait for it |
//! | write that waits for the device or moves names (a purge, an index) | on the pool, alone |
//! | sync | on the pool; at once with `sync_interval: always`, else when it is due |
//! | rewrite of a block | on the pool |
//!
//! Laws: an answer leaves when its change is written, or durable with `sync_interval: always`;
//!       what was stored by a write that failed for good is answered with why.
//! Not here: what is different while a disk is full (`full.rs`).

use std::thread;
use std::time::Duration;

use jetstream_core::stream::refusal as pub_refusal;
use stdx::time::Mono;
use store::{Error, Job, JobKind, JobResult, MessageStore, Ticket};

use crate::event::Event;
use crate::place::Place;
use crate::queue::Batch;
use crate::shard::Shard;
use crate::shared::Shared;

/// A store that nothing happened to for this long gives back what it can do without.
const IDLE: Duration = Duration::from_secs(10);
/// Jobs that are under way at the end may take this many looks of [`LOOK`].
const LOOKS: usize = 3_000;
const LOOK: Duration = Duration::from_millis(10);

impl Place {
    /// Every change up to this one is as safe as configured.
    pub(crate) fn safe(&self, shared: &Shared) -> Ticket {
        let store = self.stream.store_ref();
        if self.waits_for_disk(shared) { store.durable() } else { store.written() }
    }
}

impl Shard {
    /// Writes what a stream stored; its answers go, or wait for the disk.
    pub(crate) fn flush(&mut self, at: u32) {
        let now = self.now.mono;
        let Some(place) = self.place(at) else { return };
        place.touched = false;
        if !place.waits_for_room(now) {
            match self.run_jobs(at) {
                Ok(()) => self.note_writable(at),
                Err(error) => self.disk_failed(at, &error),
            }
        }
        let shared = self.shared.clone();
        let Some(place) = self.places.get_mut(at as usize).and_then(Option::as_deref_mut) else {
            return;
        };
        place.count_bytes();
        let ticket = place.stream.store_ref().ticket();
        if place.safe(&shared) < ticket {
            let theirs = self.lent.answers.split_off(at, place.full.is_none());
            if !theirs.is_empty() {
                place.held.push_back((ticket, theirs));
            }
        }
    }

    /// Runs or sends off what the store hands out.
    pub(crate) fn run_jobs(&mut self, at: u32) -> store::Result<()> {
        loop {
            let always = self.shared.config.sync_always;
            let Some(place) = self.place(at) else { return Ok(()) };
            let jobs = place.stream.store().take_jobs()?;
            let (mut wrote, mut outcome) = (false, Ok(()));
            for job in jobs {
                match job.kind() {
                    JobKind::Write if !job.is_heavy() => {
                        wrote = true;
                        let Some(place) = self.place(at) else { return Ok(()) };
                        // The others are under way whatever becomes of this one.
                        outcome = place.stream.store().complete(job.run());
                    }
                    JobKind::Sync if !always => self.sync_later(at, job),
                    JobKind::Write | JobKind::Sync | JobKind::Rewrite => self.send_off(at, job),
                }
            }
            outcome?;
            if !wrote {
                break;
            }
        }
        // What moves names goes alone: it is not kept waiting by a sync that is not due yet.
        if let Some(place) = self.place(at)
            && place.stream.store_ref().written() < place.stream.store_ref().ticket()
        {
            self.start_sync(at);
        }
        Ok(())
    }

    fn sync_later(&mut self, at: u32, job: Job) {
        let due = self.now.mono + self.shared.config.sync_within;
        let Some(place) = self.place(at) else { return };
        place.sync = Some(Box::new(job));
        let generation = place.generation;
        self.syncs.push_back((due, at, generation));
    }

    fn start_sync(&mut self, at: u32) {
        if let Some(job) = self.place(at).and_then(|p| p.sync.take()) {
            self.send_off(at, *job);
        }
    }

    fn send_off(&mut self, at: u32, job: Job) {
        let queue = self.queue.clone();
        let Some((generation, gate)) = self.place(at).map(|p| (p.generation, p.gate())) else {
            return;
        };
        self.shared.io.run(move || {
            let ended = gate.read();
            if *ended {
                return;
            }
            let result = job.run();
            drop(ended);
            queue.push_event(Event::Job { stream: at, generation, result });
        });
    }

    /// A job came back.
    pub(crate) fn handle_job(&mut self, at: u32, generation: u32, result: JobResult) {
        let Some(place) = self.place(at).filter(|p| p.generation == generation) else { return };
        let done = place.stream.store().complete(result);
        if let Err(error) = done.and_then(|()| self.run_jobs(at)) {
            return self.disk_failed(at, &error);
        }
        self.note_writable(at);
        self.release_held(at);
        self.keep_up(at, false);
        self.rest_later(at);
    }

    /// Does for the store what is due.
    fn keep_up(&mut self, at: u32, quiet: bool) {
        let now = self.now.mono;
        let Some(place) = self.place(at) else { return };
        let kept = place.keep_up(now, quiet);
        if let Err(error) = kept.and_then(|did| if did { self.run_jobs(at) } else { Ok(()) }) {
            self.disk_failed(at, &error);
        }
    }

    pub(crate) fn release_held(&mut self, at: u32) {
        let shared = self.shared.clone();
        let Some(place) = self.places.get_mut(at as usize).and_then(Option::as_deref_mut) else {
            return;
        };
        let safe = place.safe(&shared);
        let account = place.account.account.clone();
        while place.held.front().is_some_and(|(ticket, _)| *ticket <= safe) {
            if let Some((_, mut answers)) = place.held.pop_front() {
                answers.release(&mut self.lent.worker, |_| Some(account.clone()));
            }
        }
    }

    /// The disk refused. What was stored may be on it or not: its publishers hear why.
    pub(crate) fn disk_failed(&mut self, at: u32, error: &Error) {
        if matches!(error, Error::DiskFull { .. }) {
            return self.disk_is_full(at, error);
        }
        let mut theirs = self.lent.answers.split_off(at, true);
        let Some(place) = self.places.get_mut(at as usize).and_then(Option::as_deref_mut) else {
            return;
        };
        if !std::mem::replace(&mut place.told_failure, true) {
            let name = format!("{} > {}", place.account.account.name, place.name());
            stdx::error!(
                self.lent.worker.broker.log,
                "JetStream cannot write stream '{name}' any more: {error}; mend the disk, then start the server again"
            );
        }
        place.stream.fail(&error.to_string());
        let refusal = place.stream.closed_for_writing();
        let refusal = refusal.map_or_else(Vec::new, |why| pub_refusal(place.name(), &why));
        let account = place.account.account.clone();
        for (_, mut answers) in std::mem::take(&mut place.held) {
            answers.disappoint(&refusal);
            answers.release(&mut self.lent.worker, |_| Some(account.clone()));
        }
        theirs.disappoint(&refusal);
        theirs.release(&mut self.lent.worker, |_| Some(account.clone()));
    }

    /// Sends off the syncs that are due.
    pub(crate) fn start_due_syncs(&mut self) {
        while self.syncs.front().is_some_and(|(due, ..)| *due <= self.now.mono) {
            let Some((_, at, generation)) = self.syncs.pop_front() else { break };
            let Some(place) = self.place(at).filter(|p| p.generation == generation) else {
                continue;
            };
            if place.sync.is_some() {
                self.start_sync(at);
            }
        }
    }

    /// When a sync is due.
    pub(crate) fn next_sync(&self) -> Option<Mono> {
        let first = |line: &std::collections::VecDeque<(Mono, u32, u32)>| {
            line.front().map(|&(due, _, _)| due)
        };
        let lines = [&self.syncs, &self.fulls, &self.rests];
        lines.into_iter().filter_map(first).min()
    }

    /// The store may rest, unless something happens.
    pub(crate) fn rest_later(&mut self, at: u32) {
        let due = self.now.mono + IDLE;
        let Some(place) = self.place(at).filter(|p| !p.resting) else { return };
        place.resting = true;
        let generation = place.generation;
        self.rests.push_back((due, at, generation));
    }

    /// The store was read, and may have kept something of it.
    pub(crate) fn note_read(&mut self, at: u32) {
        let now = self.now.mono;
        let Some(place) = self.place(at) else { return };
        place.used = now;
        let has_jobs = place.stream.store_ref().has_jobs();
        if !place.resting {
            self.rest_later(at);
        }
        if has_jobs {
            // It found damage: what it noted of that goes to the disk now, not with the next message.
            self.touch(at);
        }
        self.note_open(at);
    }

    /// Lets stores rest that nothing happened to.
    pub(crate) fn rest_idle(&mut self) {
        let now = self.now.mono;
        while self.rests.front().is_some_and(|(due, ..)| *due <= now) {
            let Some((_, at, generation)) = self.rests.pop_front() else { break };
            let Some(place) = self.place(at).filter(|p| p.generation == generation) else {
                continue;
            };
            place.resting = false;
            if now.since(place.used) < IDLE || place.stream.store_ref().is_under_way() {
                self.rest_later(at);
                continue;
            }
            self.keep_up(at, true);
            match self.place(at) {
                Some(place) if !place.stream.store_ref().is_under_way() => place.rest(),
                _ => self.rest_later(at),
            }
        }
    }

    /// At the end: what is under way comes back, what was to come later goes now.
    pub(crate) fn await_jobs(&mut self) {
        for at in 0..self.places.len() as u32 {
            self.start_sync(at);
        }
        let mut batch = Batch::default();
        for _ in 0..LOOKS {
            let busy = |p: &Option<Box<Place>>| {
                p.as_deref().is_some_and(|p| p.stream.store_ref().is_under_way())
            };
            if !self.places.iter().any(busy) {
                return;
            }
            if self.queue.take(&mut batch) {
                for event in batch.events.iter_mut().filter_map(Option::take) {
                    if matches!(event, Event::Job { .. }) {
                        self.handle_event(event);
                    }
                }
                batch.clear();
                for at in 0..self.places.len() as u32 {
                    self.start_sync(at);
                }
            } else {
                self.queue.awake();
                thread::park_timeout(LOOK);
            }
        }
    }
}
