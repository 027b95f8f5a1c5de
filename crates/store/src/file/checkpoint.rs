//! Writing the index: now, or by a job from a picture of what it is made of.
//!
//! ```text
//! owner     head and picture (`picture_size`) ──► queue
//! job       encode (150 ns a subject), seal, sign ──► index.db.tmp ──► index.db
//! ```
//! Not here: its layout and reading it (`index_db.rs`), when it is written (the owner decides).
//! Laws: what the index describes is durable before it; whoever made it is known by its hash
//!       (`resume.rs`).
//! Reference: filestore.go _writeFullState.   Parity: FSTORE-006.

use std::io;
use std::sync::Arc;

use crate::codec::{put_uvarint, put_varint};
use crate::crypt::Secret;
use crate::disk::queue::Files;
use crate::disk::{Disk, replace};
use crate::error::{Error, Result};
use crate::file::index_db::{INDEX, IndexBlock, MAGIC, SCHEDULES, VERSION, WHEEL};
use crate::file::own::{OWN, Own, frame, sealed};
use crate::file::{FileStore, MSGS};
use crate::hash::HashKey;
use crate::proof::prove;
use crate::seqset::SeqSet;
use crate::subjects::{Place, Subjects};
use crate::wheel::Wheel;

/// Everything in an index but the subjects.
struct Head {
    msgs: u64,
    bytes: u64,
    first_seq: u64,
    first_ts: i64,
    last_seq: u64,
    last_ts: i64,
    num_subjects: u64,
    blocks: Vec<IndexBlock>,
    last_block: u32,
    checksum: [u8; 8],
}

impl Head {
    /// The plain index body.
    fn encode(&self, subjects: &Subjects) -> Vec<u8> {
        let mut out = vec![MAGIC, VERSION];
        let base = self.first_ts;
        put_uvarint(&mut out, self.msgs);
        put_uvarint(&mut out, self.bytes);
        put_uvarint(&mut out, self.first_seq);
        put_varint(&mut out, base);
        put_uvarint(&mut out, self.last_seq);
        put_varint(&mut out, self.last_ts);
        put_uvarint(&mut out, self.num_subjects);
        for (id, text) in subjects.iter() {
            let t = subjects.totals(id);
            put_uvarint(&mut out, text.len() as u64);
            out.extend_from_slice(text);
            put_uvarint(&mut out, t.total);
            let (first, last) = (self.block_of(t.first), self.block_of(t.last));
            put_uvarint(&mut out, u64::from(first.min(last)));
            put_uvarint(&mut out, u64::from(last.max(first)));
        }
        put_uvarint(&mut out, self.blocks.len() as u64);
        for b in &self.blocks {
            b.encode(base, &mut out);
        }
        put_uvarint(&mut out, u64::from(self.last_block));
        out.extend_from_slice(&self.checksum);
        out
    }

    fn own(&self) -> Own {
        Own {
            last_seq: self.last_seq,
            last_ts: self.last_ts,
            last_block: self.last_block,
            blocks: self.blocks.clone(),
        }
    }

    fn block_of(&self, place: Place) -> u32 {
        match place {
            Place::Block(index) => index,
            Place::Exact(seq) | Place::Bound(seq) => {
                let at = self.blocks.partition_point(|b| b.last < seq);
                self.blocks.get(at).or(self.blocks.last()).map_or(0, |b| b.index)
            }
        }
    }
}

/// What a checkpoint writes, in this order.
struct Draft<D: Disk> {
    head: Head,
    secret: Option<Secret>,
    name: String,
    disk: D,
    /// Deadlines, and the sequence up to which they are known.
    wheel: Option<(Wheel, u64)>,
    schedules: Option<Vec<u8>>,
}

impl<D: Disk> Draft<D> {
    fn files(&self, subjects: &Subjects) -> io::Result<Files> {
        let mut body = sealed(self.head.encode(subjects), self.secret.as_ref(), &self.disk)?;
        let hash = HashKey::new(&self.name).hash(&[&body]);
        body.extend_from_slice(&hash);
        let own = sealed(self.head.own().encode(), self.secret.as_ref(), &self.disk)?;
        let mut files = vec![(INDEX, body), (OWN, frame(hash, &own, &self.name))];
        let key = HashKey::new(&self.name);
        let wheel = self.wheel.iter().map(|(wheel, high)| (WHEEL, wheel.encode(*high)));
        let schedules = self.schedules.iter().map(|bytes| (SCHEDULES, bytes.clone()));
        for (path, mut bytes) in wheel.chain(schedules) {
            prove(&mut bytes, &key);
            files.push((path, bytes));
        }
        Ok(files)
    }
}

impl<D: Disk> FileStore<D> {
    /// Writes the index while open, so that a later crash finds a newer one.
    ///
    /// Where jobs are handed out it is made and written by one, and the caller only takes a picture,
    /// some 20 ns for each of [`FileStore::picture_size`].
    pub fn checkpoint(&mut self) -> Result<()> {
        self.check_open()?;
        self.mend_late();
        self.mark_limits()?;
        self.barrier()?;
        // By an index nobody would look at the damage again.
        if self.late.is_empty() { self.write_index() } else { Ok(()) }
    }

    /// The parts that a checkpoint copies, at most: subjects, blocks, pieces of the sets of deleted
    /// sequences, seconds in which messages expire, schedules.
    pub fn picture_size(&self) -> u64 {
        let blocks = self.blocks.len() as u64;
        let span = (self.last_seq + 1).saturating_sub(self.first_seq);
        let deleted = span.saturating_sub(self.msgs);
        let pieces = deleted.min(span / SeqSet::PIECE + 2 * blocks);
        let slots = self.ttls.as_ref().map_or(0, Wheel::slots);
        let schedules = self.schedules.as_ref().map_or(0, |s| s.len());
        self.subjects.len() as u64 + blocks + pieces + (slots + schedules) as u64
    }

    /// Bytes of records that a crash now would have to read, as no index knows of them.
    pub fn unindexed(&self) -> u64 {
        let known = self.indexed.filter(|_| self.index_on_disk);
        let (block, len) = known.unwrap_or_default();
        let new = self.blocks.iter().rev().take_while(|b| b.index >= block);
        new.map(|b| b.len).sum::<u64>().saturating_sub(len)
    }

    /// Whether it holds something and this server has written no index of it yet, so that nothing
    /// would tell of its last block.
    pub fn is_unlisted(&self) -> bool {
        self.indexed.is_none() && self.last_seq > 0
    }

    /// Whether a block that went took the last index along.
    pub fn has_lost_index(&self) -> bool {
        self.indexed.is_some() && !self.index_on_disk
    }

    /// Writes index.db and the wheels, durably. The blocks must be synced, or about to be.
    pub(super) fn write_index(&mut self) -> Result<()> {
        let high = self.last_seq + 1;
        let draft = Draft {
            head: self.head(),
            secret: self.secret.clone(),
            name: self.settings.name.clone(),
            disk: self.disk.base().clone(),
            wheel: self.ttls.clone().map(|wheel| (wheel, high)),
            // They are encoded as fast as they could be copied.
            schedules: self.schedules.as_ref().map(|s| s.encode(high)),
        };
        if self.disk.is_deferred() {
            let subjects = self.subjects.picture();
            let paths = [INDEX, OWN, WHEEL, SCHEDULES];
            self.disk.make(&paths, Arc::new(move || draft.files(&subjects)));
        } else {
            let files = draft.files(&self.subjects).map_err(|e| Error::io("write", INDEX, e))?;
            for (path, bytes) in files {
                replace(&self.disk, path, &bytes).map_err(|e| Error::io("write", path, e))?;
            }
        }
        self.index_on_disk = true;
        self.lists_blocks = true;
        self.owned = Some((self.last_seq, self.last_ts));
        self.indexed = self.blocks.back().map(|b| (b.index, b.len));
        self.disk.sync_dir(MSGS).map_err(|e| Error::io("sync", MSGS, e))
    }

    /// The plain index body as of now.
    pub(super) fn encode_index(&mut self) -> Vec<u8> {
        self.head().encode(&self.subjects)
    }

    fn head(&self) -> Head {
        let blocks = self.blocks.iter().map(IndexBlock::of);
        let (last_block, checksum) =
            self.blocks.back().map_or((0, [0; 8]), |b| (b.index, b.checksum));
        Head {
            msgs: self.msgs,
            bytes: self.bytes,
            first_seq: self.first_seq,
            first_ts: self.first_ts,
            last_seq: self.last_seq,
            last_ts: self.last_ts,
            num_subjects: self.subjects.len() as u64,
            blocks: blocks.collect(),
            last_block,
            checksum,
        }
    }
}
