//! Storing: one record at the end of the tail block. Hot path: no allocation beyond the tail
//! buffer, no clock, no system call.
//!
//! Not here: writing the buffer out (`commit.rs`), limits (`limits.rs`).
//! Laws: the next sequence is `last_seq + 1`; a block never grows past `block_size` unless it
//! holds a single record.
//! Reference: filestore.go storeRawMsg, skipMsg, SkipMsgs.

use stdx::time::Timestamp;

use crate::block::{Block, Form};
use crate::disk::{Disk, Open};
use crate::error::{Error, Result};
use crate::file::{Appended, FileStore, MSGS, Ticket, block_path, key_path};
use crate::message::header_value;
use crate::record::{self, EMPTY, ERASED, MAX_RECORD, TOMBSTONE, record_len};

/// A message to store.
#[derive(Clone, Copy, Debug)]
pub struct NewMessage<'a> {
    /// Literal subject, at most 65,535 bytes.
    pub subject: &'a [u8],
    /// NATS header block, or empty.
    pub header: &'a [u8],
    /// Payload.
    pub payload: &'a [u8],
    /// Time to live in seconds if positive.
    pub ttl: i64,
    /// When its schedule fires first, if it carries one.
    pub schedule: Option<Timestamp>,
}

impl<'a> NewMessage<'a> {
    /// A message without time to live or schedule.
    pub fn new(subject: &'a [u8], header: &'a [u8], payload: &'a [u8]) -> Self {
        Self { subject, header, payload, ttl: 0, schedule: None }
    }

    pub(crate) fn record_len(&self) -> u64 {
        record_len(self.subject.len(), self.header.len(), self.payload.len())
    }
}

impl<D: Disk> FileStore<D> {
    /// Stores a message at the next sequence; it is visible at once, written by the next flush,
    /// durable when its ticket completes. Limits are applied as the discard policy says.
    pub fn append(&mut self, message: &NewMessage<'_>, now: Timestamp) -> Result<Appended> {
        let seq = self.last_seq + 1;
        self.append_checked(message, seq, now, true)
    }

    /// Stores a message at a given sequence and time (replication).
    ///
    /// `check_discard` is false where the leader has already judged the limits.
    pub fn append_at(
        &mut self,
        message: &NewMessage<'_>,
        seq: u64,
        ts: Timestamp,
        check_discard: bool,
    ) -> Result<Appended> {
        self.append_checked(message, seq, ts, check_discard)
    }

    fn append_checked(
        &mut self,
        message: &NewMessage<'_>,
        seq: u64,
        ts: Timestamp,
        check_discard: bool,
    ) -> Result<Appended> {
        self.check_open()?;
        self.check_room()?;
        self.check_full()?;
        let len = message.record_len();
        if len > MAX_RECORD || message.subject.len() > usize::from(u16::MAX) {
            return Err(Error::MsgTooLarge(len));
        }
        if check_discard && self.settings.discard_new {
            self.check_discard_new(message, len)?;
        }
        if seq != self.last_seq + 1 {
            return Err(Error::SequenceMismatch { expected: self.last_seq + 1, got: seq });
        }
        self.write_message(message, seq, ts.0, len)?;
        self.after_append(message, seq, ts.0)?;
        Ok(Appended { seq, ticket: self.changed() })
    }

    fn write_message(&mut self, m: &NewMessage<'_>, seq: u64, ts: i64, len: u64) -> Result<()> {
        self.ensure_tail(len)?;
        let Some(block) = self.blocks.back_mut() else { return Err(Error::Closed) };
        let offset = block.len;
        self.newest = block.index;
        block.checksum = record::put_message(
            &mut self.tail.buf,
            &block.hash,
            seq,
            ts,
            m.subject,
            m.header,
            m.payload,
        );
        block.len += len;
        if block.msgs == 0 {
            (block.first, block.first_ts) = (seq, ts);
            block.deleted.clear();
        }
        (block.last, block.last_ts) = (seq, ts);
        block.msgs += 1;
        block.bytes += len;
        if !m.header.is_empty() {
            // Never expiring counts too: it keeps the block from going as a whole.
            block.ttls += u64::from(m.ttl != 0);
            block.schedules += u64::from(m.schedule.is_some());
        }
        let id = if m.subject.is_empty() { 0 } else { self.subjects.add(m.subject, seq) };
        if let Some(column) = &mut block.column {
            column.push(seq, id);
        }
        if let Some(marks) = &mut block.marks {
            marks.note(seq, offset as u32);
        }
        if self.msgs == 0 {
            (self.first_seq, self.first_ts) = (seq, ts);
        }
        self.msgs += 1;
        self.bytes += len;
        (self.last_seq, self.last_ts) = (seq, ts);
        Ok(())
    }

    fn after_append(&mut self, m: &NewMessage<'_>, seq: u64, ts: i64) -> Result<()> {
        self.enforce_after_append(m.subject)?;
        if m.header.is_empty() && m.ttl <= 0 && self.schedules.is_none() {
            return Ok(());
        }
        if m.ttl > 0
            && let Some(wheel) = &mut self.ttls
        {
            wheel.add(seq, ts.saturating_add(m.ttl.saturating_mul(1_000_000_000)));
        }
        if let Some(schedules) = &mut self.schedules {
            match m.schedule {
                Some(at) => schedules.add(seq, m.subject, at.0),
                None if header_value(m.header, b"Nats-Scheduler").is_none() => {
                    schedules.remove_subject(m.subject);
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Uses up the next sequence without storing anything.
    ///
    /// `touch` moves the last time too (interest retention, nobody interested).
    pub fn skip(&mut self, seq: u64, now: Timestamp, touch: bool) -> Result<Appended> {
        self.check_open()?;
        self.check_room()?;
        self.check_full()?;
        let next = self.last_seq + 1;
        if seq != 0 && seq != next {
            return Err(Error::SequenceMismatch { expected: next, got: seq });
        }
        let moves = touch || self.last_ts == 0;
        let ts = if moves { now.0 } else { self.last_ts };
        self.ensure_tail(EMPTY as u64)?;
        self.skip_in_tail(next, next, ts);
        if moves {
            self.last_ts = ts;
        }
        Ok(Appended { seq: next, ticket: self.changed() })
    }

    /// Uses up `num` sequences from `seq` on with one record.
    pub fn skip_many(&mut self, seq: u64, num: u64, now: Timestamp) -> Result<Ticket> {
        self.check_open()?;
        self.check_room()?;
        self.check_full()?;
        let next = self.last_seq + 1;
        if seq != 0 && seq != next {
            return Err(Error::SequenceMismatch { expected: next, got: seq });
        }
        if num == 0 {
            return Ok(self.ticket());
        }
        const MAX_INTERIOR: u64 = 64 << 10;
        self.ensure_tail(0)?;
        let crowded = self.blocks.back().is_some_and(|b| {
            b.msgs > 0
                && (b.deleted.len().saturating_add(num) > MAX_INTERIOR
                    || b.len + EMPTY as u64 > self.block_size)
        });
        if crowded || self.blocks.is_empty() {
            self.roll()?;
        }
        let ts = if self.last_ts == 0 { now.0 } else { self.last_ts };
        self.skip_in_tail(next, next.saturating_add(num - 1), ts);
        self.last_ts = ts;
        Ok(self.changed())
    }

    fn skip_in_tail(&mut self, first: u64, last: u64, ts: i64) {
        let Some(block) = self.blocks.back_mut() else { return };
        self.newest = block.index;
        block.checksum = record::put_empty(&mut self.tail.buf, &block.hash, last | ERASED, ts);
        block.len += EMPTY as u64;
        if block.msgs == 0 {
            (block.first, block.first_ts) = (last + 1, 0);
        } else {
            block.deleted.insert_range(first, last);
        }
        (block.last, block.last_ts) = (last, ts);
        self.last_seq = last;
        if self.msgs == 0 {
            (self.first_seq, self.first_ts) = (last + 1, 0);
        }
    }

    /// Notes in the tail that `seq` was removed.
    pub(super) fn write_tombstone(&mut self, seq: u64, ts: i64) -> Result<()> {
        self.ensure_tail(EMPTY as u64)?;
        if let Some(block) = self.blocks.back_mut() {
            block.checksum =
                record::put_empty(&mut self.tail.buf, &block.hash, seq | TOMBSTONE, ts);
            block.len += EMPTY as u64;
            block.tombstones = block.tombstones.map(|n| n + 1);
        }
        self.changed();
        Ok(())
    }

    /// Makes sure that the tail takes a record of `len` bytes.
    pub(super) fn ensure_tail(&mut self, len: u64) -> Result<()> {
        if self.tail.file.is_none() && !self.blocks.is_empty() {
            // It was at rest.
            self.open_tail()?;
        }
        let fits = self.blocks.back().is_some_and(|b| b.len == 0 || b.len + len <= self.block_size);
        if fits { Ok(()) } else { self.roll() }
    }

    /// Seals the tail and starts a new block.
    pub(super) fn roll(&mut self) -> Result<()> {
        self.flush()?;
        if let Some(index) = self.tail_index() {
            self.seal(index)?;
            if let Some(file) = self.tail.file.take()
                && self.position_of(index).is_some()
            {
                self.remember_file(index, file);
            }
        }
        self.roll_plain()
    }

    /// Starts a new block without touching the one before it.
    pub(super) fn roll_plain(&mut self) -> Result<()> {
        let block = self.new_block()?;
        self.adopt_tail(block)?;
        for (seq, ts) in std::mem::take(&mut self.carried) {
            self.write_tombstone(seq, ts)?;
        }
        Ok(())
    }

    /// Creates the file (and key file) of the next block.
    fn new_block(&mut self) -> Result<Block> {
        let index = self.next_index;
        let mut block = Block::new(&self.settings.name, index, self.last_seq, self.last_ts);
        block.form = Form::Plain;
        block.marks = Some(crate::block::column::Marks::default());
        block.column = Some(Box::default());
        block.tombstones = Some(0);
        if let Some(encryption) = &self.options.encryption {
            let context = format!("{}:{index}", self.settings.name);
            let disk = &self.disk;
            let (secret, file) = encryption.generate(&context, &|out| disk.random(out))?;
            let path = key_path(index);
            crate::disk::replace(&self.disk, &path, &file)
                .map_err(|e| Error::io("write", &path, e))?;
            // Without its key a block is noise: the name must not come after the block's.
            self.disk.sync_dir(MSGS).map_err(|e| Error::io("sync", MSGS, e))?;
            block.secret = Some(secret);
        }
        self.next_index = index + 1;
        Ok(block)
    }

    fn adopt_tail(&mut self, block: Block) -> Result<()> {
        let path = block_path(block.index);
        let file =
            self.disk.open(&path, Open::Create).map_err(|e| Error::io("create", &path, e))?;
        let file = std::sync::Arc::new(file);
        self.touch(&file);
        self.touch_dir(MSGS);
        self.tail.file = Some(file);
        self.tail.buf.clear();
        (self.tail.start, self.tail.flushed) = (0, 0);
        self.columns.insert(block.index);
        self.blocks.push_back(block);
        self.trim_columns();
        Ok(())
    }
}
