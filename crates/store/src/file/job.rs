//! Disk work handed out, so that no change of the store waits for the device.
//!
//! ```text
//!            take_jobs()                    any thread: job.run()
//! queue ──► Write   what was queued, in order ──────────────► written()
//!      └──► Sync    everything written becomes durable ──────► durable()
//!           Rewrite a full block compressed, a sparse one compacted, beside the old file
//!                                           complete(result) ──► take_jobs() again
//! ```
//! Writes of messages, new files and syncs go on side by side. A write that moves names (a purge,
//! the renaming of a rewritten block, an index) goes alone. A rewritten block takes its place only
//! if its old file did not change meanwhile.
//! Not here: the queue (`disk::queue`), how a block is rewritten (`reseal.rs`).
//! Laws: at most one job of each kind is under way; jobs may complete in any order and arbitrarily
//!       late; a job that never completes costs durability and memory up to `max_waiting`, nothing
//!       else; after a failed write or sync no job is handed out any more.

use std::any::Any;
use std::collections::VecDeque;

use crate::disk::Disk;
use crate::disk::queue::{Carried, Step};
use crate::error::{Error, Result};
use crate::file::commit::Synced;
use crate::file::reseal::{Purpose, Rewritten};
use crate::file::{FileStore, MSGS};

/// Full blocks that may wait for their final form before appends are told that the disk is behind.
const MAX_UNSEALED: usize = 16;

/// What a [`Job`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// Hands changes to the operating system; the shorter the wait, the sooner messages may be
    /// acknowledged.
    Write,
    /// Waits for the device.
    Sync,
    /// Reads, compresses and writes a whole block; nobody waits for it.
    Rewrite,
}

/// Work for an I/O thread, without the store.
pub struct Job {
    kind: JobKind,
    is_heavy: bool,
    bytes: usize,
    work: Box<dyn FnOnce() -> JobResult + Send>,
}

/// What a [`Job`] came to; for the store that handed it out.
pub struct JobResult(Box<dyn Any + Send>);

impl Job {
    /// What it does.
    pub fn kind(&self) -> JobKind {
        self.kind
    }

    /// Whether it waits for the device or moves names, other than a [`JobKind::Write`] that only
    /// hands bytes to the operating system.
    pub fn is_heavy(&self) -> bool {
        self.is_heavy
    }

    /// Bytes it writes, if that is known.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Does it. Blocks for as long as the device takes.
    pub fn run(self) -> JobResult {
        (self.work)()
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("kind", &self.kind).field("bytes", &self.bytes).finish()
    }
}

impl std::fmt::Debug for JobResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JobResult")
    }
}

enum Outcome<D: Disk> {
    Ran { carried: Carried<D::File>, covers: u64, newest: u32 },
    Synced(Synced),
    Rewritten(Rewritten<D::File>),
}

/// What is under way, and what waits besides the queue.
#[derive(Default)]
pub(super) struct Jobs {
    /// A write is under way; whether it must be alone.
    pub(super) run: Option<bool>,
    /// The block being rewritten; whether its file is still the one that was read.
    rewrite: Option<(u32, bool)>,
    /// Blocks to be rewritten.
    pub(super) waiting: VecDeque<(u32, Purpose)>,
}

impl Jobs {
    /// A block's file changed.
    pub(super) fn spoil(&mut self, index: u32) {
        if let Some((_, valid)) = self.rewrite.as_mut().filter(|(i, _)| *i == index) {
            *valid = false;
        }
    }

    /// Asks for a block to be rewritten.
    pub(super) fn ask(&mut self, index: u32, purpose: Purpose) {
        let known = self.waiting.iter().any(|w| w.0 == index)
            || self.rewrite.is_some_and(|(i, _)| i == index);
        if !known {
            self.waiting.push_back((index, purpose));
        }
    }
}

impl<D: Disk> FileStore<D> {
    /// From now on nothing waits for the disk but reads and [`Self::close`]: changes are queued,
    /// and the owner runs what [`Self::take_jobs`] hands out.
    pub fn hand_out_jobs(&mut self) {
        self.trust_blocks();
        if self.disk.is_deferred() {
            // It was opened on a full disk.
            return;
        }
        self.disk.defer(true);
        // Opening may have left files to go, and in memory what has to be durable before they do.
        let doomed = std::mem::take(&mut self.commit.dirty.doomed);
        if self.flush().is_ok() && !doomed.is_empty() {
            doomed.into_iter().for_each(|path| self.disk.note(Step::Doom(path)));
            // Until they are gone not everything is done: newer ones may not go before them.
            self.changed();
        }
    }

    /// Whether a job that was handed out is not completed yet.
    pub fn is_under_way(&self) -> bool {
        self.commit.under_way || self.jobs.run.is_some() || self.jobs.rewrite.is_some()
    }

    /// Whether something is queued that nobody carries out yet: a read that found damage changes
    /// the store, too.
    pub fn has_jobs(&self) -> bool {
        self.jobs.run.is_none() && self.disk.is_deferred() && !self.disk.is_empty()
    }

    /// Work to run now, on any threads, in any order, at the same time. Call it after changes and
    /// after each [`Self::complete`].
    pub fn take_jobs(&mut self) -> Result<Vec<Job>> {
        if !self.disk.is_deferred() {
            return Ok(Vec::new());
        }
        self.check_open()?;
        self.flush()?;
        let mut jobs = Vec::new();
        if self.jobs.run.is_none()
            && !self.commit.under_way
            && let Some(sync) = self.make_room()
        {
            // What waits has to wait for this anyway.
            jobs.push(job::<D>(JobKind::Sync, true, 0, move || Outcome::Synced(sync.run())));
            return Ok(jobs);
        }
        jobs.extend(self.take_writes());
        if self.jobs.run.is_none() && self.disk.is_empty() {
            // Not every change needs the disk.
            self.commit.written = self.commit.changes;
            self.note_durable();
        }
        // What must be alone is not kept waiting by what begins after it.
        if self.jobs.run != Some(true) && !self.disk.is_heavy() {
            let sync = if self.commit.under_way || self.commit.dirty.is_empty() {
                None
            } else if self.commit.full.is_some() {
                self.sync_when_full()
            } else {
                Some(self.start_sync())
            };
            if let Some(sync) = sync {
                jobs.push(job::<D>(JobKind::Sync, true, 0, move || Outcome::Synced(sync.run())));
            }
            // What cannot be rewritten stays as it is.
            if self.jobs.rewrite.is_none()
                && self.commit.full.is_none()
                && let Ok(Some(rewrite)) = self.next_rewrite()
            {
                let bytes = rewrite.bytes();
                self.jobs.rewrite = Some((rewrite.index(), true));
                let work = move || Outcome::Rewritten(rewrite.run());
                jobs.push(job::<D>(JobKind::Rewrite, true, bytes, work));
            }
        }
        Ok(jobs)
    }

    fn take_writes(&mut self) -> Option<Job> {
        if self.jobs.run.is_some() {
            return None;
        }
        let alone = !self.commit.under_way && self.jobs.rewrite.is_none();
        let steps = self.disk.take(alone)?;
        self.jobs.run = Some(steps.is_heavy);
        let all = self.disk.is_empty();
        let covers = if all { self.commit.changes } else { self.commit.written };
        let newest = if all { self.newest } else { self.commit.newest };
        // What is settled on the way includes what was changed before.
        let settles = steps.is_heavy;
        let dirty = if settles { std::mem::take(&mut self.commit.dirty) } else { <_>::default() };
        let (disk, bytes) = (self.disk.base().clone(), steps.bytes());
        let work = move || Outcome::Ran { carried: steps.carry_out(&disk, dirty), covers, newest };
        Some(job::<D>(JobKind::Write, settles, bytes, work))
    }

    /// Takes the outcome of a job.
    ///
    /// A full disk is an error that passes: the same work is handed out again, better not at once.
    /// Any other failed write, and every failed sync, closes the store for writing.
    pub fn complete(&mut self, result: JobResult) -> Result<()> {
        let Ok(outcome) = result.0.downcast::<Outcome<D>>() else {
            return Err(Error::corrupt("job", "its result is another kind of store's"));
        };
        let done = match *outcome {
            Outcome::Ran { carried, covers, newest } => {
                self.complete_writes(carried, covers, newest)
            }
            Outcome::Synced(synced) => self.complete_sync(synced).map(|_| ()),
            Outcome::Rewritten(rewritten) => {
                let valid = self.jobs.rewrite.take().is_some_and(|(_, valid)| valid);
                self.complete_rewrite(rewritten, valid)
            }
        };
        self.note_durable();
        done
    }

    /// What was written and is not dirty is durable.
    fn note_durable(&mut self) {
        // A write that goes alone has taken the list of what is dirty along.
        let elsewhere = self.commit.under_way || self.jobs.run == Some(true);
        let failed = self.commit.check().is_err();
        if !elsewhere && !failed && self.commit.dirty.is_empty() {
            self.commit.settle(self.commit.written);
        }
    }

    fn complete_writes(
        &mut self,
        mut carried: Carried<D::File>,
        covers: u64,
        newest: u32,
    ) -> Result<()> {
        self.jobs.run = None;
        self.disk.finish(&mut carried);
        let Carried { dirty, settled, left_out, result, .. } = carried;
        if left_out {
            self.indexed = None;
        }
        self.commit.dirty.merge(dirty);
        if let Some(ticket) = settled {
            self.commit.settle(ticket);
        }
        if let Err(e) = result {
            let error = Error::io("write", MSGS, e);
            match &error {
                Error::DiskFull { file, what } => self.commit.full = Some((file.clone(), what)),
                _ => self.commit.latch(&error),
            }
            return Err(error);
        }
        self.commit.full = None;
        if newest >= self.commit.witnesses {
            self.commit.newest = newest;
        }
        self.commit.written = self.commit.written.max(covers);
        Ok(())
    }

    /// Runs every job here and now.
    pub(super) fn drain(&mut self) -> Result<()> {
        if self.is_under_way() {
            return Err(Error::UnderWay);
        }
        loop {
            let jobs = self.take_jobs()?;
            if jobs.is_empty() {
                return Ok(());
            }
            let mut outcome = Ok(());
            for job in jobs {
                outcome = outcome.and(self.complete(job.run()));
            }
            outcome?;
        }
    }

    /// Whether the disk keeps up.
    pub(super) fn check_room(&self) -> Result<()> {
        if !self.disk.is_deferred() {
            return Ok(());
        }
        let end = self.tail.start + self.tail.buf.len() as u64;
        let waiting = self.disk.bytes() + end.saturating_sub(self.tail.flushed) as usize;
        let unsealed = self.jobs.waiting.len();
        if waiting > self.options.max_waiting || unsealed > MAX_UNSEALED {
            return Err(Error::Busy { waiting, unsealed });
        }
        Ok(())
    }
}

fn job<D: Disk>(
    kind: JobKind,
    is_heavy: bool,
    bytes: usize,
    work: impl FnOnce() -> Outcome<D> + Send + 'static,
) -> Job {
    Job { kind, is_heavy, bytes, work: Box::new(move || JobResult(Box::new(work()))) }
}
