//! Giving a block that stopped growing its final form, on another thread.
//!
//! The new file is written and synced beside the old one; the store renames it, through its queue,
//! unless the old file changed meanwhile. Then what was written is dropped, and nothing is lost but
//! the work.
//! Not here: the same at once (`rewrite.rs`).
//! Laws: nothing is rewritten from bytes unproven; what says that records are gone is durable
//!       before the file without them takes its place.

use std::sync::Arc;

use stdx::warning;

use crate::block::shape::{doubts, encode};
use crate::block::{Block, Form};
use crate::compress::{Compression, compress_block};
use crate::crypt::Secret;
use crate::disk::queue::{Queue, QueuedFile};
use crate::disk::{Disk, DiskFile, Open, read_all};
use crate::error::{Error, Result};
use crate::file::read::read_block;
use crate::file::{FileStore, MSGS, block_path, shape_path};
use crate::hash::HashKey;
use crate::record::{Kind, Record};
use crate::seqset::SeqSet;

/// Why a block is rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is full.
    Seal,
    /// More than half of it is dead.
    Compact,
}

/// What a block still holds, and which tombstones matter.
pub(super) struct Keep {
    present: Option<(u64, u64)>,
    deleted: SeqSet,
    last: u64,
    last_seq: u64,
}

impl Keep {
    pub(super) fn new(block: &Block, last_seq: u64) -> Self {
        Self {
            present: (block.msgs > 0).then_some((block.first, block.last)),
            deleted: block.deleted.clone(),
            last: block.last,
            last_seq,
        }
    }

    /// Whether a message is present.
    pub(super) fn contains(&self, seq: u64) -> bool {
        let within = self.present.is_some_and(|(first, last)| first <= seq && seq <= last);
        within && !self.deleted.contains(seq)
    }

    /// A tombstone is kept if its record may still lie in this block or an earlier one, or if it
    /// may be the last witness of the last sequence.
    fn tombstone(&self, seq: u64) -> bool {
        seq >= self.last_seq || (seq <= self.last && !self.contains(seq))
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }
}

/// The records of a block that stay, and where the proven ones end.
pub(super) fn sift(
    plain: &[u8],
    key: &HashKey,
    keep: &Keep,
    tombstone: impl Fn(u64) -> bool,
) -> (Vec<u8>, usize) {
    let mut kept = Vec::with_capacity(plain.len());
    let (mut here, mut last_message) = (0, 0);
    while let Some(record) = plain.get(here..).and_then(|rest| Record::verify(rest, key)) {
        here += record.len();
        let stays = match record.kind {
            Kind::Message => {
                last_message = last_message.max(record.seq);
                keep.contains(record.seq)
            }
            Kind::Tombstone => tombstone(record.seq),
            // The newest sequence may have no other witness.
            Kind::Erased => record.seq > last_message && record.seq >= keep.last(),
        };
        if stays {
            kept.extend_from_slice(record.bytes());
        }
    }
    (kept, here)
}

/// One block to be rewritten, without the store.
pub(super) struct Rewrite<D: Disk> {
    disk: Queue<D>,
    file: Arc<QueuedFile<D>>,
    index: u32,
    len: u64,
    secret: Option<Secret>,
    hash: HashKey,
    pack: bool,
    keep: Option<Keep>,
}

/// What came of it.
pub(super) struct Rewritten<F> {
    index: u32,
    compacted: bool,
    outcome: Result<New<F>>,
}

/// A block's new form.
enum New<F> {
    /// As it is.
    Same { shape: Option<Vec<u8>> },
    /// Another file, beside it.
    Staged { file: F, form: Form, len: u64, shape: Option<Vec<u8>> },
    /// No record of it matters.
    Empty,
    /// It holds more than proven records.
    Damaged,
}

/// Where a rewritten block waits for its name; opening the store removes what is left there.
fn staged_path(index: u32) -> String {
    format!("{MSGS}/{index}.new")
}

impl<D: Disk> Rewrite<D> {
    pub(super) fn index(&self) -> u32 {
        self.index
    }

    /// Bytes of the block as it is.
    pub(super) fn bytes(&self) -> usize {
        usize::try_from(self.len).unwrap_or(usize::MAX)
    }

    /// Reads, compresses and writes. Blocks for as long as the device takes.
    pub(super) fn run(self) -> Rewritten<D::File> {
        let outcome = self.rewrite();
        if outcome.is_err() {
            // Whatever lies there holds nothing that is not elsewhere.
            let _ = self.disk.base().remove_file(&staged_path(self.index));
        }
        Rewritten { index: self.index, compacted: self.keep.is_some(), outcome }
    }

    fn rewrite(&self) -> Result<New<D::File>> {
        let path = block_path(self.index);
        let (plain, form) = read_block(&*self.file, self.secret.as_ref(), &path)?;
        if plain.salvaged {
            return Ok(New::Damaged);
        }
        let Some(keep) = &self.keep else {
            let shape = self.shape(&plain.bytes);
            if form == Form::Compressed || !self.pack || plain.bytes.len() <= 8 {
                return Ok(New::Same { shape });
            }
            return self.stage(&plain.bytes, shape);
        };
        let (kept, here) = sift(&plain.bytes, &self.hash, keep, |seq| keep.tombstone(seq));
        if here < plain.bytes.len() {
            return Ok(New::Damaged);
        }
        if kept.is_empty() && keep.present.is_none() {
            return Ok(New::Empty);
        }
        if kept.len() == plain.bytes.len() {
            return Ok(New::Same { shape: None });
        }
        self.stage(&kept, Some(encode(&kept, &self.hash)))
    }

    /// The lengths of a block's records, unless an older note doubts what is there.
    fn shape(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let old = read_all(&self.disk, &shape_path(self.index), 64 << 20).ok();
        let doubtful = old.is_some_and(|old| !doubts(plain, &old, &self.hash).is_empty());
        (!doubtful).then(|| encode(plain, &self.hash))
    }

    fn stage(&self, plain: &[u8], shape: Option<Vec<u8>>) -> Result<New<D::File>> {
        let pack = self.pack && plain.len() > 8;
        let mut bytes = if pack { compress_block(plain) } else { plain.to_vec() };
        if let Some(secret) = &self.secret {
            secret.apply(0, &mut bytes);
        }
        let path = staged_path(self.index);
        let write = || {
            let file = self.disk.base().open(&path, Open::Create)?;
            file.write_at(&bytes, 0)?;
            file.sync_data()?;
            Ok(file)
        };
        let file = write().map_err(|e| Error::io("write", &path, e))?;
        let form = if pack { Form::Compressed } else { Form::Plain };
        Ok(New::Staged { file, form, len: plain.len() as u64, shape })
    }
}

impl<D: Disk> FileStore<D> {
    /// The next block to be rewritten, if there is one.
    pub(super) fn next_rewrite(&mut self) -> Result<Option<Rewrite<D>>> {
        while let Some((index, purpose)) = self.jobs.waiting.pop_front() {
            let Some(at) = self.position_of(index).filter(|at| at + 1 < self.blocks.len()) else {
                continue;
            };
            self.form_of(at)?;
            self.ensure_secret(at)?;
            let file = self.file_of(index)?;
            let block = &self.blocks[at];
            return Ok(Some(Rewrite {
                disk: self.disk.clone(),
                file,
                index,
                len: block.len,
                secret: block.secret.clone(),
                hash: block.hash.clone(),
                pack: self.options.compression == Compression::S2,
                keep: (purpose == Purpose::Compact).then(|| Keep::new(block, self.last_seq)),
            }));
        }
        Ok(None)
    }

    /// Takes a rewritten block over, if its old file is still the one that was read.
    pub(super) fn complete_rewrite(
        &mut self,
        rewritten: Rewritten<D::File>,
        valid: bool,
    ) -> Result<()> {
        let Rewritten { index, compacted, outcome } = rewritten;
        let at = self.position_of(index).filter(|at| valid && at + 1 < self.blocks.len());
        let (new, at) = match (outcome, at) {
            (Ok(new), Some(at)) if !self.closed => (new, at),
            (Ok(New::Staged { .. }), _) => {
                let _ = self.disk.remove_file(&staged_path(index));
                return Ok(());
            }
            (Err(e), Some(_)) => {
                // The old file is whole and stays.
                let name = &self.settings.name;
                warning!(self.options.log, "Filestore [{name}] block {index} stays as it is: {e}");
                return Ok(());
            }
            _ => return Ok(()),
        };
        match new {
            New::Same { shape } => {
                self.blocks[at].no_compact |= compacted;
                self.put_shape(index, shape)
            }
            New::Staged { file, form, len, shape } => {
                if compacted {
                    self.settle_before_compaction(at)?;
                    self.invalidate_index()?;
                    // What a limit removed goes without a tombstone, and the list still has it.
                    self.disown_blocks();
                }
                self.take_staged(at, file, form, len, compacted)?;
                self.put_shape(index, shape)
            }
            New::Empty if self.blocks[at].msgs == 0 => {
                self.settle_before_compaction(at)?;
                self.unlink_block(index);
                Ok(())
            }
            New::Empty => Ok(()),
            New::Damaged if self.blocks[at].is_holed => {
                // Known, and not to be mended now.
                self.blocks[at].no_compact = true;
                Ok(())
            }
            New::Damaged => match self.rescan() {
                Err(Error::Rescanned) => Ok(()),
                other => other,
            },
        }
    }

    fn take_staged(
        &mut self,
        at: usize,
        file: D::File,
        form: Form,
        len: u64,
        compacted: bool,
    ) -> Result<()> {
        let index = self.blocks[at].index;
        let (staged, path) = (staged_path(index), block_path(index));
        self.disk.adopt(&staged, file);
        self.disk.rename(&staged, &path).map_err(|e| Error::io("rename", &path, e))?;
        self.touch_dir(MSGS);
        self.forget_reads(index);
        let block = &mut self.blocks[at];
        (block.form, block.len) = (form, len);
        if compacted {
            // About other offsets now.
            let _ = self.disk.remove_file(&shape_path(index));
            (block.marks, block.column, block.tombstones) = (None, None, None);
            block.no_compact = true;
            self.columns.remove(&index);
            self.changed();
        }
        Ok(())
    }

    fn put_shape(&mut self, index: u32, shape: Option<Vec<u8>>) -> Result<()> {
        shape.map_or(Ok(()), |bytes| self.tell_shape(index, bytes))
    }
}
