//! Reads that would wait for the disk, handed out instead of being done.
//!
//! ```text
//! defer_reads(true); a question ──► Error::Cold ──► take_cold() ──► run() on an I/O thread
//!                    asked again  ◄──────────────── complete_read() ◄──┘
//! ```
//! A question is asked as ever. What it needs is looked for in memory, then in the system's page
//! cache, which costs no more than a read. Only if the device would have to be waited for does it
//! end in [`Error::Cold`], having changed nothing; what was wanted can be read elsewhere, and the
//! question asked again. So any question that only reads can be deferred, however many reads it
//! takes, and what happens to the store meanwhile needs no special case.
//!
//! Not here: what is read, and how it is proven (`read.rs`).
//! Laws: a question whose read came back finds it, so that it gets further each time; what came
//!       back after its file changed is dropped.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::block::Form;
use crate::crypt::Secret;
use crate::disk::queue::{Queue, QueuedFile};
use crate::disk::{Disk, DiskFile, Open, read_all};
use crate::error::{Error, Result};
use crate::file::read::{AHEAD, MAX_FILE, read_block};
use crate::file::{FileStore, block_path, key_path, shape_path};

/// What a read reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// Bytes of a block file.
    Span { offset: u64, len: usize },
    /// A whole block, decompressed.
    Whole,
    /// What opens it.
    Key,
}

/// Tells reads apart: who wants the same can wait for the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColdKey {
    block: u32,
    what: What,
}

/// One read, without the store.
pub struct ColdRead<D: Disk> {
    disk: Queue<D>,
    key: ColdKey,
    /// `None` if it is to be opened first.
    file: Option<Arc<QueuedFile<D>>>,
    secret: Option<Secret>,
    generation: u64,
    /// Its reader moves forward.
    ahead: bool,
}

/// What a [`ColdRead`] read.
pub struct Fetched<D: Disk> {
    key: ColdKey,
    file: Option<Arc<QueuedFile<D>>>,
    generation: u64,
    bytes: Result<(Vec<u8>, Form)>,
}

/// What is on its way, and what came back.
pub(super) struct Cold<D: Disk> {
    wanted: Option<ColdRead<D>>,
    arrived: Option<Arrived>,
}

/// What came back, for the question that wanted it.
enum Arrived {
    /// Bytes of a block file, in the clear.
    Span {
        block: u32,
        offset: u64,
        bytes: Vec<u8>,
    },
    /// What is the matter is found out by whoever may wait.
    InCache(ColdKey),
    Failed(ColdKey, Error),
}

impl<D: Disk> ColdRead<D> {
    /// What it reads.
    pub fn key(&self) -> ColdKey {
        self.key
    }

    /// Bytes it will read, if that is known.
    pub fn bytes(&self) -> Option<usize> {
        match self.key.what {
            What::Span { len, .. } => Some(len),
            What::Whole | What::Key => None,
        }
    }

    /// Reads, and decrypts and decompresses. Blocks for as long as the device takes.
    pub fn run(mut self) -> Fetched<D> {
        let bytes = self.read();
        let Self { key, file, generation, .. } = self;
        Fetched { key, file, generation, bytes }
    }

    fn read(&mut self) -> Result<(Vec<u8>, Form)> {
        let index = self.key.block;
        if self.key.what == What::Key {
            // Whoever wants it opens it; by then the system has it in memory.
            let _ = read_all(&self.disk, &key_path(index), 1 << 16);
            return Ok((Vec::new(), Form::Unknown));
        }
        let path = block_path(index);
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => {
                let opened = self.disk.open(&path, Open::Read);
                Arc::new(opened.map_err(|e| Error::io("open", &path, e))?)
            }
        };
        self.file = Some(Arc::clone(&file));
        match self.key.what {
            What::Span { offset, len } => self
                .read_span(&file, offset, len)
                .map(|bytes| (bytes, Form::Unknown))
                .map_err(|e| Error::io("read", &path, e)),
            What::Whole | What::Key => {
                // Whoever looks through the block looks at this as well.
                let _ = read_all(&self.disk, &shape_path(index), 64 << 20);
                let (plain, form) = read_block(&*file, self.secret.as_ref(), &path)?;
                // What could only be read in part is healed by the store, not here.
                let whole = (!plain.salvaged).then_some((plain.bytes, form));
                whole.ok_or_else(|| Error::corrupt(&path, "compressed block is damaged"))
            }
        }
    }

    fn read_span(&self, file: &QueuedFile<D>, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let n = file.read_at(&mut bytes, offset)?;
        bytes.truncate(n);
        if let Some(secret) = &self.secret {
            secret.apply(offset, &mut bytes);
        }
        if self.ahead && n == len {
            file.read_ahead(offset + n as u64, AHEAD);
        }
        Ok(bytes)
    }
}

impl<D: Disk> Fetched<D> {
    /// What was read.
    pub fn key(&self) -> ColdKey {
        self.key
    }
}

impl<D: Disk> FileStore<D> {
    /// From now on questions end in [`Error::Cold`] where they would wait for the disk, or no
    /// longer. Only for questions, the removal of single messages and [`Self::expire`]: nothing else
    /// is prepared for that.
    pub fn defer_reads(&mut self, on: bool) {
        self.defers = on;
    }

    /// Does what cannot be left half done: waits for the disk if it has to.
    pub(super) fn waiting<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let defers = std::mem::take(&mut self.defers);
        let done = work(self);
        self.defers = defers;
        done
    }

    /// The read that the last question wanted; one that could be answered without may still want
    /// it, for those after it.
    pub fn take_cold(&mut self) -> Option<ColdRead<D>> {
        self.cold.as_mut()?.wanted.take()
    }

    /// Takes what was read; whoever wanted it asks again.
    pub fn complete_read(&mut self, fetched: Fetched<D>) {
        let Fetched { key, file, generation, bytes } = fetched;
        if self.closed || generation != self.generation {
            // Files were written anew meanwhile.
            return;
        }
        let is_tail = Some(key.block) == self.tail_index();
        if let Some(file) = file
            && !is_tail
            && !self.files.iter().any(|(index, _)| *index == key.block)
            && self.position_of(key.block).is_some()
        {
            self.remember_file(key.block, file);
        }
        let arrived = match (bytes, key.what) {
            (Ok((bytes, _)), What::Span { offset, .. }) => {
                Arrived::Span { block: key.block, offset, bytes }
            }
            (Ok((bytes, form)), What::Whole) => {
                self.learn_form(key.block, form, bytes.len());
                self.plain = Some((key.block, Bytes::from(bytes)));
                return;
            }
            (Ok(_), What::Key) | (Err(Error::Corrupt { .. } | Error::Unknown { .. }), _) => {
                Arrived::InCache(key)
            }
            (Err(e), _) => Arrived::Failed(key, e),
        };
        self.cold_mut().arrived = Some(arrived);
    }

    /// Whoever wanted what came back has asked again: it is kept no longer.
    pub fn forget_read(&mut self) {
        self.drop_arrived();
    }

    fn cold_mut(&mut self) -> &mut Cold<D> {
        self.cold.get_or_insert_with(|| Box::new(Cold { wanted: None, arrived: None }))
    }

    fn learn_form(&mut self, index: u32, form: Form, len: usize) {
        let Some(at) = self.position_of(index) else { return };
        if let Some(block) = self.blocks.get_mut(at)
            && block.form == Form::Unknown
        {
            block.form = form;
            if block.len == 0 {
                block.len = len as u64;
            }
        }
    }

    /// Whether something of this block came back that begins elsewhere.
    pub(super) fn awaits_other(&self, index: u32, start: u64) -> bool {
        let arrived = self.cold.as_ref().and_then(|c| c.arrived.as_ref());
        matches!(arrived, Some(Arrived::Span { block, offset, .. })
            if *block == index && *offset != start)
    }

    /// What came back did not prove itself, or its file changed.
    pub(super) fn drop_arrived(&mut self) {
        if let Some(cold) = &mut self.cold {
            cold.arrived = None;
        }
    }

    /// Plain bytes of a block's file, fewer at its end; does not wait for them if reads are deferred.
    pub(super) fn read_file(&mut self, at: usize, offset: u64, len: u64) -> Result<Vec<u8>> {
        let len = len.min(MAX_FILE) as usize;
        if self.defers {
            return self.read_file_now(at, offset, len);
        }
        let index = self.blocks[at].index;
        let file = self.file_of(index)?;
        let mut bytes = vec![0; len];
        let n = file
            .read_at(&mut bytes, offset)
            .map_err(|e| Error::io("read", &block_path(index), e))?;
        bytes.truncate(n);
        if let Some(secret) = &self.blocks[at].secret {
            secret.apply(offset, &mut bytes);
        }
        Ok(bytes)
    }

    fn read_file_now(&mut self, at: usize, offset: u64, len: usize) -> Result<Vec<u8>> {
        let index = self.blocks[at].index;
        let key = ColdKey { block: index, what: What::Span { offset, len } };
        let mut bytes = self.take_span(key, offset)?;
        bytes.truncate(len);
        let had = bytes.len();
        if had == len {
            return Ok(bytes);
        }
        let Some(file) = self.file_now(index)? else { return Err(self.want(at, key)) };
        bytes.resize(len, 0);
        let rest = bytes.get_mut(had..).unwrap_or_default();
        let from = offset + had as u64;
        match file.read_now(rest, from) {
            Ok(n) => {
                let rest = rest.get_mut(..n).unwrap_or_default();
                if let Some(secret) = &self.blocks[at].secret {
                    secret.apply(from, rest);
                }
                bytes.truncate(had + n);
                Ok(bytes)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(self.want(at, key)),
            Err(e) => Err(Error::io("read", &block_path(index), e)),
        }
    }

    /// What came back for this read, as much as it is; or why nothing did.
    fn take_span(&mut self, key: ColdKey, from: u64) -> Result<Vec<u8>> {
        let Some(cold) = &mut self.cold else { return Ok(Vec::new()) };
        let fits = match &cold.arrived {
            Some(Arrived::Span { block, offset, .. }) => *block == key.block && *offset == from,
            Some(Arrived::Failed(failed, _)) => *failed == key,
            _ => false,
        };
        match cold.arrived.take_if(|_| fits) {
            Some(Arrived::Span { bytes, .. }) => Ok(bytes),
            Some(Arrived::Failed(_, e)) => Err(e),
            _ => Ok(Vec::new()),
        }
    }

    /// Whether a whole block, or what opens it, may be waited for: reads are not deferred, or it
    /// came back and is in the system's memory.
    pub(super) fn check_whole(&mut self, at: usize) -> Result<()> {
        let key = ColdKey { block: self.blocks[at].index, what: What::Whole };
        self.check_read(at, key)
    }

    /// The same for what opens it.
    pub(super) fn check_key(&mut self, at: usize) -> Result<()> {
        let key = ColdKey { block: self.blocks[at].index, what: What::Key };
        self.check_read(at, key)
    }

    fn check_read(&mut self, at: usize, key: ColdKey) -> Result<()> {
        if !self.defers {
            return Ok(());
        }
        let is_it = |a: &mut Arrived| match a {
            Arrived::InCache(found) | Arrived::Failed(found, _) => *found == key,
            Arrived::Span { .. } => false,
        };
        match self.cold.as_mut().and_then(|c| c.arrived.take_if(is_it)) {
            Some(Arrived::Failed(_, e)) => Err(e),
            Some(_) => Ok(()),
            None => Err(self.want(at, key)),
        }
    }

    /// An open file of a block, if none has to be waited for.
    fn file_now(&mut self, index: u32) -> Result<Option<Arc<QueuedFile<D>>>> {
        if let Some(file) = self.open_file(index) {
            return Ok(Some(file));
        }
        let path = block_path(index);
        match self.disk.open_now(&path) {
            Ok(file) => {
                let file = Arc::new(file);
                self.remember_file(index, Arc::clone(&file));
                Ok(Some(file))
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(Error::io("open", &path, e)),
        }
    }

    fn want(&mut self, at: usize, key: ColdKey) -> Error {
        let secret = self.blocks[at].secret.clone();
        let ahead = matches!(key.what, What::Span { offset, .. } if self.cursor.leads_to(key.block, offset));
        let read = ColdRead {
            disk: self.disk.clone(),
            key,
            file: self.open_file(key.block),
            secret,
            generation: self.generation,
            ahead,
        };
        self.cold_mut().wanted = Some(read);
        Error::Cold(self.blocks[at].first)
    }
}
