//! Group commit: many appends, one sync, and acknowledgements only after it.
//!
//! ```text
//! append ─ ticket 7 ┐
//! append ─ ticket 8 ├─ sync_job() ── run() on a disk thread ── complete_sync() ─► durable = 8
//! append ─ ticket 9 ┘ (queued behind: the next job covers it)
//! ```
//! Files that are no longer needed are unlinked by the job after its sync, never before: what
//! replaced them is durable first.
//! Not here: how changes reach the disk when they are handed out as jobs (`job.rs`).
//! Laws: at most one sync is under way; a ticket is complete only if every change up to it is
//! durable; after a failed write or sync the store accepts no change.
//! Parity: FSTORE-014, FSTORE-016.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::queue::{Dirty, QueuedFile, Step};
use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Result};
use crate::file::{FileStore, MSGS, block_path};

/// A point in the store's history of changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

pub(super) struct Commit<F> {
    pub(super) changes: u64,
    /// Changes handed to the operating system.
    pub(super) written: u64,
    pub(super) durable: u64,
    pub(super) under_way: bool,
    /// Changed on the disk, and not durable yet.
    pub(super) dirty: Dirty<F>,
    /// Files to be unlinked that are still there.
    doomed: usize,
    /// Changes before the first of them.
    doomed_from: u64,
    /// Blocks among them that went whole, as the first of those there were or with all of them.
    pub(super) dropped: Vec<u32>,
    /// The newest block of which a message or skipped sequence was written.
    pub(super) newest: u32,
    /// Older blocks may go, or be written anew, without the one that is newest.
    pub(super) witnesses: u32,
    /// The file there was no room for; nothing was written since.
    pub(super) full: Option<(String, &'static str)>,
    failure: Option<String>,
}

impl<F> Default for Commit<F> {
    fn default() -> Self {
        Self {
            changes: 0,
            written: 0,
            durable: 0,
            under_way: false,
            dirty: Dirty::default(),
            doomed: 0,
            doomed_from: 0,
            dropped: Vec::new(),
            newest: 0,
            witnesses: 0,
            full: None,
            failure: None,
        }
    }
}

impl<F> Commit<F> {
    pub(super) fn check(&self) -> Result<()> {
        self.failure.as_ref().map_or(Ok(()), |why| Err(Error::Latched(why.clone())))
    }

    pub(super) fn latch(&mut self, error: &Error) {
        self.failure.get_or_insert_with(|| error.to_string());
    }

    /// Everything up to this ticket is durable.
    pub(super) fn settle(&mut self, ticket: u64) {
        self.written = self.written.max(ticket);
        self.durable = self.durable.max(ticket);
        if self.durable == self.changes && self.dirty.doomed.is_empty() {
            self.doomed = 0;
            self.dropped.clear();
        }
    }
}

/// Work for a disk thread: makes every change up to its ticket durable.
pub struct SyncJob<D: Disk> {
    disk: D,
    dirty: Dirty<D::File>,
    covers: Ticket,
}

/// What a [`SyncJob`] came to; hand it to [`FileStore::complete_sync`].
#[derive(Debug)]
pub struct Synced {
    covers: Ticket,
    result: io::Result<()>,
}

impl<D: Disk> SyncJob<D> {
    /// Syncs. Blocks for as long as the device takes.
    pub fn run(mut self) -> Synced {
        let result = self.dirty.settle(&self.disk);
        Synced { covers: self.covers, result }
    }

    /// Number of files this job syncs.
    pub fn files(&self) -> usize {
        self.dirty.files.len()
    }
}

impl<D: Disk> FileStore<D> {
    /// The ticket of the last change.
    pub fn ticket(&self) -> Ticket {
        Ticket(self.commit.changes)
    }

    /// Every change up to this ticket was handed to the operating system: only a crash of the
    /// machine, not of the process, can lose it.
    pub fn written(&self) -> Ticket {
        Ticket(self.commit.written)
    }

    /// Every change up to this ticket is durable.
    pub fn durable(&self) -> Ticket {
        Ticket(self.commit.durable)
    }

    pub(super) fn changed(&mut self) -> Ticket {
        self.commit.changes += 1;
        Ticket(self.commit.changes)
    }

    /// This file is to be part of the next sync.
    pub(super) fn touch(&mut self, file: &QueuedFile<D>) {
        if self.disk.is_deferred() {
            self.disk.note(Step::Touch(Arc::clone(file.slot())));
        } else {
            self.commit.dirty.touch(file.slot());
        }
    }

    /// The names in this directory are to be part of the next sync.
    pub(super) fn touch_dir(&mut self, dir: &str) {
        if self.disk.is_deferred() {
            self.disk.note(Step::TouchDir(dir.into()));
        } else {
            self.commit.dirty.touch_dir(dir);
        }
    }

    /// Unlinks a file once everything before is durable.
    pub(super) fn doom(&mut self, path: String) {
        if self.commit.doomed == 0 {
            self.commit.doomed_from = self.commit.changes;
        }
        self.commit.doomed += 1;
        if self.disk.is_deferred() {
            self.disk.note(Step::Doom(path));
        } else {
            self.commit.dirty.doomed.push(path);
        }
    }

    /// Whether files wait to be unlinked.
    pub(super) fn has_doomed(&self) -> bool {
        self.commit.doomed > 0
    }

    /// Hands every appended record to the operating system in one write: from then on only a
    /// crash of the machine, not of the process, can lose it.
    ///
    /// When the disk is full the records stay queued and the next call tries again; any other
    /// failure closes the store for writing.
    ///
    /// Where jobs are handed out they are only queued.
    pub fn flush(&mut self) -> Result<()> {
        self.flush_tail()?;
        if !self.disk.is_deferred() {
            self.commit.written = self.commit.changes;
        }
        Ok(())
    }

    fn flush_tail(&mut self) -> Result<()> {
        self.commit.check()?;
        let Some(block) = self.blocks.back() else { return Ok(()) };
        let from = (self.tail.flushed - self.tail.start) as usize;
        let Some(fresh) = self.tail.buf.get(from..).filter(|f| !f.is_empty()) else {
            return Ok(());
        };
        let Some(file) = &self.tail.file else {
            return Err(Error::corrupt("tail", "tail block has no file"));
        };
        let file = Arc::clone(file);
        let written = if block.secret.is_none() {
            file.write_at(fresh, self.tail.flushed)
        } else {
            let mut sealed = fresh.to_vec();
            if let Some(secret) = &block.secret {
                secret.apply(self.tail.flushed, &mut sealed);
            }
            file.write_owned(Bytes::from(sealed), self.tail.flushed)
        };
        if let Err(e) = written {
            let error = Error::io("write", &block_path(block.index), e);
            if !matches!(error, Error::DiskFull { .. }) {
                self.commit.latch(&error);
            }
            return Err(error);
        }
        self.tail.flushed = self.tail.start + self.tail.buf.len() as u64;
        self.touch(&file);
        self.trim_tail();
        Ok(())
    }

    /// Keeps the newest part of the tail in memory for readers that follow it.
    fn trim_tail(&mut self) {
        const KEEP: usize = 1 << 20;
        if self.tail.buf.len() > KEEP {
            self.tail.start = self.tail.flushed;
            self.tail.buf.clear();
            self.tail.buf.shrink_to(KEEP);
        }
    }

    /// A job that makes every change so far durable; `None` if there is nothing to do, or if a
    /// job is under way (call again when it completed: everything queued meanwhile is one job).
    ///
    /// For a store that keeps no queue; otherwise [`Self::take_jobs`] hands syncs out too.
    pub fn sync_job(&mut self) -> Result<Option<SyncJob<D>>> {
        if self.disk.is_deferred()
            || self.commit.under_way
            || self.commit.durable == self.commit.changes
        {
            return Ok(None);
        }
        self.flush()?;
        Ok(Some(self.start_sync()))
    }

    /// A sync of all that was written.
    pub(super) fn start_sync(&mut self) -> SyncJob<D> {
        self.commit.under_way = true;
        SyncJob {
            disk: self.disk.base().clone(),
            dirty: std::mem::take(&mut self.commit.dirty),
            covers: self.written(),
        }
    }

    /// The same, but these files are to go later: until then what let them go is not done.
    pub(super) fn start_sync_before(&mut self, later: Vec<String>) -> SyncJob<D> {
        let mut sync = self.start_sync();
        if !later.is_empty() {
            sync.covers = sync.covers.min(Ticket(self.commit.doomed_from));
        }
        self.commit.dirty.doomed = later;
        sync
    }

    /// Takes the outcome of a job: completes tickets, or closes the store for writing.
    ///
    /// A failed sync is never tried again: the system may have dropped the data and would then
    /// report success.
    pub fn complete_sync(&mut self, synced: Synced) -> Result<Ticket> {
        self.commit.under_way = false;
        if let Err(e) = synced.result {
            let error = Error::io("sync", MSGS, e);
            self.commit.latch(&error);
            return Err(error);
        }
        self.commit.settle(synced.covers.0);
        Ok(self.durable())
    }

    /// Flushes and syncs here and now. Blocks for as long as the device takes; with jobs under way
    /// elsewhere it fails with [`Error::UnderWay`].
    pub fn sync(&mut self) -> Result<()> {
        self.check_open()?;
        if self.disk.is_deferred() {
            return self.drain();
        }
        self.flush()?;
        if let Some(job) = self.sync_job()? {
            let synced = job.run();
            self.complete_sync(synced)?;
        }
        Ok(())
    }

    /// What comes after this will be durable only after what came before.
    pub(super) fn barrier(&mut self) -> Result<()> {
        if !self.disk.is_deferred() {
            return self.sync();
        }
        self.check_open()?;
        self.flush()?;
        self.disk.note(Step::Settle(self.commit.changes));
        Ok(())
    }

    /// Removes index.db before a change that it would not notice.
    pub(super) fn invalidate_index(&mut self) -> Result<()> {
        if !self.index_on_disk {
            return Ok(());
        }
        let path = format!("{MSGS}/index.db");
        match self.disk.remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &path, e)),
            _ => {
                self.index_on_disk = false;
                self.touch_dir(MSGS);
                Ok(())
            }
        }
    }
}
