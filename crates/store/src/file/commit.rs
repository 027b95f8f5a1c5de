//! Group commit: many appends, one sync, and acknowledgements only after it.
//!
//! ```text
//! append ─ ticket 7 ┐
//! append ─ ticket 8 ├─ sync_job() ── run() on a disk thread ── complete_sync() ─► durable = 8
//! append ─ ticket 9 ┘ (queued behind: the next job covers it)
//! ```
//! Files that are no longer needed are unlinked by the job after its sync, never before: what
//! replaced them is durable first.
//! Laws: at most one job is under way; a ticket is complete only if every change up to it is
//! durable; after a failed write or sync the store accepts no change.
//! Parity: FSTORE-014, FSTORE-016.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Result};
use crate::file::{FileStore, MSGS, block_path};

/// A point in the store's history of changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

pub(super) struct Commit<F> {
    pub(super) changes: u64,
    pub(super) durable: u64,
    under_way: bool,
    files: Vec<Arc<F>>,
    dirs: BTreeSet<String>,
    pub(super) unlinks: Vec<String>,
    failure: Option<String>,
}

impl<F> Default for Commit<F> {
    fn default() -> Self {
        Self {
            changes: 0,
            durable: 0,
            under_way: false,
            files: Vec::new(),
            dirs: BTreeSet::new(),
            unlinks: Vec::new(),
            failure: None,
        }
    }
}

impl<F> Commit<F> {
    pub(super) fn check(&self) -> Result<()> {
        self.failure.as_ref().map_or(Ok(()), |why| Err(Error::Latched(why.clone())))
    }

    pub(super) fn touch(&mut self, file: &Arc<F>) {
        if !self.files.iter().any(|f| Arc::ptr_eq(f, file)) {
            self.files.push(Arc::clone(file));
        }
    }

    pub(super) fn touch_dir(&mut self, dir: &str) {
        if !self.dirs.contains(dir) {
            self.dirs.insert(dir.into());
        }
    }

    pub(super) fn latch(&mut self, error: &Error) {
        self.failure.get_or_insert_with(|| error.to_string());
    }
}

/// Work for a disk thread: makes every change up to its ticket durable.
pub struct SyncJob<D: Disk> {
    disk: D,
    files: Vec<Arc<D::File>>,
    dirs: BTreeSet<String>,
    unlinks: Vec<String>,
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
    pub fn run(self) -> Synced {
        let result = (|| {
            for file in &self.files {
                file.sync_data()?;
            }
            for dir in &self.dirs {
                self.disk.sync_dir(dir)?;
            }
            for path in &self.unlinks {
                match self.disk.remove_file(path) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
            }
            if !self.unlinks.is_empty() {
                self.disk.sync_dir(MSGS)?;
            }
            Ok(())
        })();
        Synced { covers: self.covers, result }
    }

    /// Number of files this job syncs.
    pub fn files(&self) -> usize {
        self.files.len()
    }
}

impl<D: Disk> FileStore<D> {
    /// The ticket of the last change.
    pub fn ticket(&self) -> Ticket {
        Ticket(self.commit.changes)
    }

    /// Every change up to this ticket is durable.
    pub fn durable(&self) -> Ticket {
        Ticket(self.commit.durable)
    }

    pub(super) fn changed(&mut self) -> Ticket {
        self.commit.changes += 1;
        Ticket(self.commit.changes)
    }

    /// Hands every appended record to the operating system in one write: from then on only a
    /// crash of the machine, not of the process, can lose it.
    ///
    /// When the disk is full the records stay queued and the next call tries again; any other
    /// failure closes the store for writing.
    pub fn flush(&mut self) -> Result<()> {
        self.commit.check()?;
        let Some(block) = self.blocks.back() else { return Ok(()) };
        let from = (self.tail.flushed - self.tail.start) as usize;
        let Some(fresh) = self.tail.buf.get(from..).filter(|f| !f.is_empty()) else {
            return Ok(());
        };
        let Some(file) = &self.tail.file else {
            return Err(Error::corrupt("tail", "tail block has no file"));
        };
        let written = match &block.secret {
            None => file.write_at(fresh, self.tail.flushed),
            Some(secret) => {
                let mut sealed = fresh.to_vec();
                secret.apply(self.tail.flushed, &mut sealed);
                file.write_at(&sealed, self.tail.flushed)
            }
        };
        if let Err(e) = written {
            let error = Error::io("write", &block_path(block.index), e);
            if !matches!(error, Error::DiskFull { .. }) {
                self.commit.latch(&error);
            }
            return Err(error);
        }
        self.tail.flushed = self.tail.start + self.tail.buf.len() as u64;
        self.commit.touch(file);
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
    pub fn sync_job(&mut self) -> Result<Option<SyncJob<D>>> {
        if self.commit.under_way || self.commit.durable == self.commit.changes {
            return Ok(None);
        }
        self.flush()?;
        self.commit.under_way = true;
        Ok(Some(SyncJob {
            disk: self.disk.clone(),
            files: std::mem::take(&mut self.commit.files),
            dirs: std::mem::take(&mut self.commit.dirs),
            unlinks: std::mem::take(&mut self.commit.unlinks),
            covers: self.ticket(),
        }))
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
        self.commit.durable = self.commit.durable.max(synced.covers.0);
        Ok(self.durable())
    }

    /// Flushes and syncs here and now.
    pub fn sync(&mut self) -> Result<()> {
        self.check_open()?;
        self.flush()?;
        if let Some(job) = self.sync_job()? {
            let synced = job.run();
            self.complete_sync(synced)?;
        }
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
                self.commit.touch_dir(MSGS);
                Ok(())
            }
        }
    }
}
