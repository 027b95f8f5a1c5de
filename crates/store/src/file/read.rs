//! Reading: a span of records around the wanted one, never a whole plain block for one message.
//!
//! Not here: which message is wanted (`query.rs`), what happens with damage (`damage.rs`).
//! Laws: nothing is returned whose hash and sequence were not checked; a span begins at a record
//!       whose position was proven.
//! Reference: filestore.go msgForSeq, cacheLookup, loadBlock.

use std::sync::Arc;

use bytes::Bytes;
use stdx::warning;

use crate::block::column::{Column, Marks};
use crate::block::scan::{Hole, Scan, scan};
use crate::block::shape::{doubts, drop_doubtful};
use crate::block::{Block, Form};
use crate::compress::{decompress_block, is_compressed, plain_size, salvage_block};
use crate::crypt::Secret;
use crate::disk::queue::QueuedFile;
use crate::disk::{Disk, DiskFile, Open};
use crate::error::{Error, Result};
use crate::file::part::{Part, Parts};
use crate::file::{FileStore, block_path};
use crate::message::Message;
use crate::record::{Kind, Record};

/// Bytes read at once by a reader that moves forward.
pub(super) const AHEAD: u64 = 256 << 10;
/// Files kept open besides the tail.
const OPEN_FILES: usize = 16;
/// No block file is larger.
pub(super) const MAX_FILE: u64 = 128 << 20;

impl<D: Disk> FileStore<D> {
    /// The message with this sequence.
    pub fn load(&mut self, seq: u64) -> Result<Message> {
        let mut damage = None;
        for _ in 0..3 {
            let at = match (self.locate(seq), damage.take()) {
                (Ok(at), _) => at,
                (Err(Error::NotFound), Some(found)) => return Err(found),
                (Err(e), _) => return Err(e),
            };
            match self.try_load(at, seq) {
                Ok(Some(m)) => return Ok(m),
                Ok(None) => damage = Some(self.heal_read(at, seq)?),
                Err(Error::Rescanned) => {
                    let (file, offset) =
                        (block_path(self.blocks.get(at).map_or(0, |b| b.index)), 0);
                    damage = Some(Error::Damaged { file, offset, seq });
                }
                Err(e) => return Err(e),
            }
        }
        Err(damage.unwrap_or(Error::NotFound))
    }

    fn try_load(&mut self, at: usize, seq: u64) -> Result<Option<Message>> {
        if let Some(m) = self.pick_from_window(at, seq) {
            return Ok(Some(m));
        }
        if let Some(m) = self.pick_from_parts(at, seq) {
            return Ok(Some(m));
        }
        if self.keep_part(at, seq)?
            && let Some(m) = self.pick_from_parts(at, seq)
        {
            return Ok(Some(m));
        }
        let span = self.span_of(at, seq);
        if matches!(span, Err(Error::Cold(_)))
            && let Some(m) = self.pick_from_tail(at, seq)
        {
            return Ok(Some(m));
        }
        let (span, offset) = span?;
        if let Some(m) = self.pick(at, seq, &span, 0, offset) {
            return Ok(Some(m));
        }
        // The cursor may have led elsewhere: look once more, from a mark.
        self.cursor = super::Cursor::default();
        self.window = None;
        self.drop_arrived();
        if let Some(parts) = &mut self.parts {
            parts.forget(self.blocks[at].index);
        }
        let (span, offset) = self.span_of(at, seq)?;
        match self.pick(at, seq, &span, 0, offset) {
            None if self.blocks[at].is_holed => self.pick_behind_hole(at, seq),
            picked => Ok(picked),
        }
    }

    /// The message if it lies behind damage that could not be set aside, past which no record leads.
    fn pick_behind_hole(&mut self, at: usize, seq: u64) -> Result<Option<Message>> {
        let bytes = Bytes::from(self.content(at)?);
        let found = scan(&bytes, &self.blocks[at].hash, &self.subjects.hasher());
        let Ok(place) = found.messages.binary_search_by_key(&seq, |m| m.seq) else {
            return Ok(None);
        };
        let offset = found.messages[place].offset as usize;
        self.window = Some((self.blocks[at].index, 0, bytes.clone()));
        Ok(self.pick(at, seq, &bytes, offset, 0))
    }

    /// The message if it is the one after the last that was read, or that one itself, and all of
    /// it is in memory.
    fn pick_from_window(&mut self, at: usize, seq: u64) -> Option<Message> {
        let index = self.blocks.get(at)?.index;
        let offset = self.cursor.offset_of(index, seq)?;
        // Taken out while the store is lent; counting a reference would cost more than the rest.
        let (block, start, bytes) = self.window.take()?;
        let found = match offset.checked_sub(start) {
            Some(skip) if block == index => self.pick(at, seq, &bytes, skip as usize, start),
            _ => None,
        };
        self.window = Some((block, start, bytes));
        found
    }

    /// Position of the block in which `seq` is present.
    pub(super) fn locate(&self, seq: u64) -> Result<usize> {
        if self.closed {
            return Err(Error::Closed);
        }
        if seq > self.last_seq {
            return Err(Error::Eof);
        }
        let at = self.block_at(seq).ok_or(Error::NotFound)?;
        if self.blocks[at].contains(seq) { Ok(at) } else { Err(Error::NotFound) }
    }

    /// Offset and length to read for `seq`, which has marks.
    fn bounds(&self, block: &Block, seq: u64) -> (u64, u64) {
        if self.cursor.follows(block.index, seq) {
            return (self.cursor.offset, AHEAD.min(block.len.saturating_sub(self.cursor.offset)));
        }
        let span = block.marks.as_ref().and_then(|m| m.span(seq));
        let (start, end) = span.unwrap_or((0, None));
        let end = end.map_or(block.len, u64::from);
        (u64::from(start), end.saturating_sub(u64::from(start)))
    }

    /// Bytes that contain the record of `seq`, and the offset of their first record.
    fn span_of(&mut self, at: usize, seq: u64) -> Result<(Bytes, u64)> {
        if self.blocks[at].marks.is_none() {
            self.rebuild_block_index(at)?;
        }
        let (offset, len) = self.bounds(&self.blocks[at], seq);
        let bytes = self.read_plain(at, offset, len)?;
        let index = self.blocks[at].index;
        self.window = Some((index, offset, bytes.clone()));
        Ok((bytes, offset))
    }

    /// The message, if it was appended lately: to a block that was not looked through since the store
    /// was opened, and has to be read for that.
    fn pick_from_tail(&self, at: usize, seq: u64) -> Option<Message> {
        let block = self.blocks.get(at).filter(|b| Some(b.index) == self.tail_index())?;
        let mut rest = self.tail.buf.as_slice();
        while let Some(record) = Record::parse(rest) {
            let (found, after) = rest.split_at_checked(record.len())?;
            if record.kind == Kind::Message && record.seq == seq {
                let bytes = Bytes::copy_from_slice(found);
                let record = Record::parse(&bytes).filter(|r| r.is_intact(&block.hash))?;
                return Some(Message::from_record(&record, &bytes));
            }
            rest = after;
        }
        None
    }

    /// The message, if its part of the block is kept.
    fn pick_from_parts(&mut self, at: usize, seq: u64) -> Option<Message> {
        let block = self.blocks.get(at)?;
        let (bytes, offset, proven) = self.parts.as_ref()?.find(block.index, seq)?;
        let record = Record::parse(bytes.get(offset..)?)?;
        let good = record.seq == seq
            && (proven || record.is_intact(&block.hash) && self.subject_agrees(at, &record));
        let message = good.then(|| Message::from_record(&record, bytes))?;
        if !proven {
            self.parts.as_mut()?.note_proven(seq);
        }
        Some(message)
    }

    /// Keeps the part of the block around `seq`, if it was asked for before; true if it did.
    fn keep_part(&mut self, at: usize, seq: u64) -> Result<bool> {
        let Some((index, start, len)) = self.part_of(at, seq) else { return Ok(false) };
        if self.awaits_other(index, u64::from(start)) {
            return Ok(false);
        }
        let budget = &self.options.read_budget;
        let parts = self.parts.get_or_insert_with(|| Box::new(Parts::new(budget.clone())));
        if !parts.is_wanted(index, start, len as usize) {
            return Ok(false);
        }
        let read = self.read_plain(at, u64::from(start), u64::from(len));
        let Some(parts) = &mut self.parts else { return Ok(false) };
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(e @ Error::Cold(_)) => {
                parts.want(index, start);
                return Err(e);
            }
            Err(_) => return Ok(false),
        };
        let mut messages = Vec::new();
        let mut here = 0;
        while let Some(record) = bytes.get(here..).and_then(Record::parse) {
            let ascends = messages.last().is_none_or(|&(last, _)| last < record.seq);
            if record.kind == Kind::Message && ascends {
                messages.push((record.seq, here as u32));
            }
            here += record.len();
        }
        match Part::new(index, bytes, &messages) {
            Some(part) => parts.keep(part),
            None => parts.refuse(index, start),
        }
        Ok(true)
    }

    /// Block, offset and length of the part of a block around `seq`, if it may be kept.
    fn part_of(&self, at: usize, seq: u64) -> Option<(u32, u32, u32)> {
        let block = self.blocks.get(at)?;
        let index = block.index;
        if block.form != Form::Plain || self.cursor.follows(index, seq) {
            return None;
        }
        let (start, end) = block.marks.as_ref()?.part(seq)?;
        let end = match end {
            Some(end) => end,
            // The tail's last part still grows.
            None if Some(index) == self.tail_index() => return None,
            None => u32::try_from(block.len).ok()?,
        };
        Some((index, start, end.checked_sub(start)?))
    }

    /// Walks `span`, whose first byte lies at `start`, from `here` to the record of `seq`, proving
    /// the one it returns.
    fn pick(
        &mut self,
        at: usize,
        seq: u64,
        span: &Bytes,
        mut here: usize,
        start: u64,
    ) -> Option<Message> {
        while let Some(record) = span.get(here..).and_then(Record::parse) {
            let next = here + record.len();
            if record.kind == Kind::Message && record.seq == seq {
                let block = self.blocks.get(at)?;
                if !record.is_intact(&block.hash) || !self.subject_agrees(at, &record) {
                    return None;
                }
                self.cursor = super::Cursor {
                    block: block.index,
                    seq: seq + 1,
                    offset: start + next as u64,
                    last: (seq, start + here as u64),
                };
                return Some(Message::from_record(&record, span));
            }
            here = next;
        }
        None
    }

    /// The split between subject and payload is not hashed: the column knows the subject.
    fn subject_agrees(&self, at: usize, record: &Record<'_>) -> bool {
        let Some(column) = &self.blocks[at].column else { return true };
        let id = column.get(record.seq);
        id == 0 || self.subjects.text(id) == record.subject()
    }

    /// Plain bytes of a block at an offset; fewer at its end.
    pub(super) fn read_plain(&mut self, at: usize, offset: u64, len: u64) -> Result<Bytes> {
        let block = &self.blocks[at];
        let index = block.index;
        if Some(index) == self.tail_index() && offset >= self.tail.start {
            let from = (offset - self.tail.start) as usize;
            let rest = self.tail.buf.get(from..).unwrap_or_default();
            let part = rest.get(..(len as usize).min(rest.len())).unwrap_or_default();
            return Ok(Bytes::copy_from_slice(part));
        }
        if self.form_of(at)? == Form::Compressed {
            let whole = self.whole_plain(at)?;
            let start = (offset as usize).min(whole.len());
            let end = (start + len as usize).min(whole.len());
            return Ok(whole.slice(start..end));
        }
        let is_tail = Some(index) == self.tail_index();
        let wanted = len;
        let len = if is_tail { len.min(self.tail.start - offset) } else { len };
        let mut bytes = self.read_file(at, offset, len)?;
        if is_tail && wanted > len {
            let rest = (wanted - len) as usize;
            bytes.extend_from_slice(
                self.tail.buf.get(..rest.min(self.tail.buf.len())).unwrap_or_default(),
            );
        }
        Ok(Bytes::from(bytes))
    }

    /// How a block is kept; learns its plain length with it.
    pub(super) fn form_of(&mut self, at: usize) -> Result<Form> {
        let block = &self.blocks[at];
        if block.form != Form::Unknown {
            return Ok(block.form);
        }
        let index = block.index;
        self.ensure_secret(at)?;
        let head = self.read_file(at, 0, 16)?;
        let file = self.file_of(index)?;
        let size = file.size().map_err(|e| Error::io("stat", &block_path(index), e))?;
        let packed = is_compressed(&head);
        let (form, len) = if packed {
            (Form::Compressed, plain_size(&head).unwrap_or(0))
        } else {
            (Form::Plain, size)
        };
        let block = &mut self.blocks[at];
        block.form = form;
        if block.len == 0 {
            block.len = len;
        }
        Ok(form)
    }

    /// All plain bytes of a sealed block, kept for the next call.
    pub(super) fn whole_plain(&mut self, at: usize) -> Result<Bytes> {
        let index = self.blocks[at].index;
        if let Some((cached, bytes)) = &self.plain
            && *cached == index
        {
            return Ok(bytes.clone());
        }
        self.ensure_secret(at)?;
        self.check_whole(at)?;
        let file = self.file_of(index)?;
        let (plain, _) = read_block(&*file, self.blocks[at].secret.as_ref(), &block_path(index))?;
        let bytes = Bytes::from(plain.bytes);
        self.plain = Some((index, bytes.clone()));
        Ok(bytes)
    }

    /// All plain bytes of any block, what is queued for the tail included.
    pub(super) fn content(&mut self, at: usize) -> Result<Vec<u8>> {
        if at + 1 == self.blocks.len() {
            self.flush()?;
            let len = self.blocks[at].len;
            return self.read_file(at, 0, len);
        }
        self.whole_plain(at).map(|b| b.to_vec())
    }

    /// Scans a block to rebuild its marks and column; damage found on the way is dealt with.
    pub(super) fn rebuild_block_index(&mut self, at: usize) -> Result<()> {
        let bytes = match self.content(at) {
            Ok(bytes) => bytes,
            Err(e @ (Error::BadKeyFile(_) | Error::WrongKey(_) | Error::Corrupt { .. })) => {
                warning!(self.options.log, "Filestore [{}] {e}", self.settings.name);
                return self.rescan();
            }
            Err(e) if e.is_missing() => return self.rescan(),
            Err(e) => return Err(e),
        };
        if self.blocks[at].form == Form::Plain {
            self.plain = None;
        }
        let mut found = scan(&bytes, &self.blocks[at].hash, &self.subjects.hasher());
        if let Some(shape) = self.read_shape(self.blocks[at].index) {
            drop_doubtful(&mut found, &doubts(&bytes, &shape, &self.blocks[at].hash));
        }
        if self.disagrees(at, &found, &bytes) {
            let file = block_path(self.blocks[at].index);
            warning!(
                self.options.log,
                "Filestore [{}] {file} does not agree with the index, reading every block anew",
                self.settings.name
            );
            return self.rescan();
        }
        self.index_block(at, &found, &bytes);
        Ok(())
    }

    /// Whether a scan lacks a message the accounts have, or holds a subject they do not.
    fn disagrees(&self, at: usize, found: &Scan, bytes: &[u8]) -> bool {
        let block = &self.blocks[at];
        let is_new = |h: &Hole| !block.is_holed && !self.is_known_hole(block.index, h.offset);
        if found.holes.iter().any(is_new) {
            return true;
        }
        let mut present = 0;
        for m in &found.messages {
            if !block.contains(m.seq) {
                continue;
            }
            present += 1;
            if m.subject_len > 0 && self.subjects.find(m.subject(bytes)).is_none() {
                return true;
            }
        }
        present != block.msgs
    }

    fn index_block(&mut self, at: usize, found: &Scan, bytes: &[u8]) {
        let mut column = Column::default();
        let mut marks = Marks::default();
        let block = &self.blocks[at];
        for m in &found.messages {
            marks.note(m.seq, m.offset);
            if block.contains(m.seq) {
                let id = self.subjects.find(m.subject(bytes)).unwrap_or(0);
                column.push(m.seq, id);
            }
        }
        column.shrink();
        marks.shrink();
        let block = &mut self.blocks[at];
        block.column = Some(Box::new(column));
        block.marks = Some(marks);
        block.tombstones = Some(found.tombstones.len() as u32);
        if block.len == 0 {
            block.len = bytes.len() as u64;
        }
        self.columns.insert(block.index);
        self.touch_column(at);
        self.trim_columns();
    }

    /// Makes sure that a block's column is in memory.
    pub(super) fn ensure_column(&mut self, at: usize) -> Result<()> {
        if self.blocks.get(at).is_some_and(|b| b.column.is_none()) {
            self.rebuild_block_index(at)?;
        }
        self.touch_column(at);
        Ok(())
    }

    fn touch_column(&mut self, at: usize) {
        self.clock += 1;
        if let Some(block) = self.blocks.get_mut(at) {
            block.used = self.clock;
        }
    }

    /// Drops the columns used least recently until they fit their budget.
    pub(super) fn trim_columns(&mut self) {
        let tail = self.tail_index();
        let size = |b: &Block| b.column.as_ref().map_or(0, |c| c.memory());
        let mut held: Vec<(u64, u32, usize)> = Vec::new();
        let mut total = 0;
        for &index in &self.columns {
            if let Some(b) = self.position_of(index).and_then(|at| self.blocks.get(at)) {
                total += size(b);
                held.push((b.used, index, size(b)));
            }
        }
        if total <= self.options.column_budget {
            return;
        }
        held.sort_unstable();
        let newest = held.last().map(|h| h.1);
        for (_, index, size) in held {
            if total <= self.options.column_budget || Some(index) == newest {
                break;
            }
            if Some(index) == tail {
                continue;
            }
            if let Some(at) = self.position_of(index) {
                self.blocks[at].column = None;
                self.columns.remove(&index);
                total -= size;
            }
        }
    }

    /// The file of a block, if it is open.
    pub(super) fn open_file(&self, index: u32) -> Option<Arc<QueuedFile<D>>> {
        if Some(index) == self.tail_index()
            && let Some(file) = &self.tail.file
        {
            return Some(Arc::clone(file));
        }
        self.files.iter().find(|(i, _)| *i == index).map(|(_, file)| Arc::clone(file))
    }

    /// An open file of a block.
    pub(super) fn file_of(&mut self, index: u32) -> Result<Arc<QueuedFile<D>>> {
        if let Some(file) = self.open_file(index) {
            return Ok(file);
        }
        let path = block_path(index);
        let file = self.disk.open(&path, Open::Read).map_err(|e| Error::io("open", &path, e))?;
        let file = Arc::new(file);
        self.remember_file(index, Arc::clone(&file));
        Ok(file)
    }

    pub(super) fn remember_file(&mut self, index: u32, file: Arc<QueuedFile<D>>) {
        self.files.retain(|(i, _)| *i != index);
        if self.files.len() >= OPEN_FILES {
            self.files.pop_front();
        }
        self.files.push_back((index, file));
    }

    /// Forgets everything read from a block whose file changed.
    pub(super) fn forget_reads(&mut self, index: u32) {
        self.generation += 1;
        self.jobs.spoil(index);
        self.files.retain(|(i, _)| *i != index);
        if self.plain.as_ref().is_some_and(|(i, _)| *i == index) {
            self.plain = None;
        }
        if self.window.as_ref().is_some_and(|(i, ..)| *i == index) {
            self.window = None;
        }
        if let Some(parts) = &mut self.parts {
            parts.forget(index);
        }
        self.drop_arrived();
        if self.cursor.block == index {
            self.cursor = super::Cursor::default();
        }
    }
}

/// Plain bytes of a block file.
pub(super) struct Plain {
    pub(super) bytes: Vec<u8>,
    /// The compressed form was damaged: these are the parts that could be read.
    pub(super) salvaged: bool,
}

/// Reads, decrypts and decompresses a whole block file.
pub(super) fn read_block<F: DiskFile>(
    file: &F,
    secret: Option<&Secret>,
    path: &str,
) -> Result<(Plain, Form)> {
    read_block_into(file, secret, path, Vec::new())
}

/// The same, into a buffer whose memory is used again.
pub(super) fn read_block_into<F: DiskFile>(
    file: &F,
    secret: Option<&Secret>,
    path: &str,
    mut bytes: Vec<u8>,
) -> Result<(Plain, Form)> {
    let size = file.size().map_err(|e| Error::io("stat", path, e))?;
    if size > MAX_FILE {
        return Err(Error::corrupt(path, "block file is larger than a block can be"));
    }
    bytes.resize(size as usize, 0);
    let n = file.read_at(&mut bytes, 0).map_err(|e| Error::io("read", path, e))?;
    bytes.truncate(n);
    if let Some(secret) = secret {
        secret.apply(0, &mut bytes);
    }
    if !is_compressed(&bytes) {
        return Ok((Plain { bytes, salvaged: false }, Form::Plain));
    }
    match decompress_block(&bytes, path) {
        Ok(bytes) => Ok((Plain { bytes, salvaged: false }, Form::Compressed)),
        Err(e @ Error::Unknown { .. }) => Err(e),
        Err(_) => Ok((Plain { bytes: salvage_block(&bytes), salvaged: true }, Form::Compressed)),
    }
}
