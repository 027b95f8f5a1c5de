//! `index.own`: what this server knows of a store besides its index, in case that and blocks are gone.
//!
//! Its first eight bytes are the hash of the index that this server wrote last (`resume.rs`); all of
//! it once was. What follows is the index again without its subjects, so that sequences are not
//! given twice, and a block that is missing can be named with what it held.
//! Wire: `8 bytes hash of index.db | "own2" | body, sealed where the index is | 8-byte hash of all
//! before`; the body: `uv last | sv last ts | uv last block | uv blocks | (as in index.db)*`.
//! Laws: it claims no block that was dropped since: before one goes, the list of blocks does. A file
//!       that is torn, damaged or missing proves nothing.

use std::io;
use std::sync::Arc;

use crate::codec::{Reader, put_uvarint, put_varint};
use crate::crypt::Secret;
use crate::disk::queue::Files;
use crate::disk::{Disk, read_all, replace};
use crate::error::Result;
use crate::file::index_db::{IndexBlock, VERSION, decode_block};
use crate::file::recover::Prior;
use crate::file::{FileStore, MSGS};
use crate::hash::HashKey;

pub(super) const OWN: &str = "msgs/index.own";
const MAGIC: &[u8; 4] = b"own2";
const LIMIT: u64 = 1 << 30;
const HASH: usize = 8;

/// What an `index.own` says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own {
    pub(crate) last_seq: u64,
    pub(crate) last_ts: i64,
    pub(crate) last_block: u32,
    /// Every block, if none was dropped since.
    pub(crate) blocks: Vec<IndexBlock>,
}

impl Own {
    /// The body, in the clear.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_uvarint(&mut out, self.last_seq);
        put_varint(&mut out, self.last_ts);
        put_uvarint(&mut out, u64::from(self.last_block));
        put_uvarint(&mut out, self.blocks.len() as u64);
        self.blocks.iter().for_each(|block| block.encode(0, &mut out));
        out
    }

    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        let mut r = Reader::new(body);
        let (last_seq, last_ts) = (r.uvarint()?, r.varint()?);
        let last_block = u32::try_from(r.uvarint()?).ok()?;
        let mut own = Self { last_seq, last_ts, last_block, blocks: Vec::new() };
        for _ in 0..r.uvarint()? {
            let block = decode_block(&mut r, VERSION, 0)?;
            let before = own.blocks.last().map_or(0, |b| b.index);
            if block.index <= before || block.last > last_seq {
                return None;
            }
            own.blocks.push(block);
        }
        (r.remaining() == 0).then_some(own)
    }
}

/// The file for an index with this hash, and a body that is sealed if the index is.
pub(crate) fn frame(index: [u8; HASH], body: &[u8], name: &str) -> Vec<u8> {
    let mut out = index.to_vec();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(body);
    let hash = HashKey::new(name).hash(&[&out]);
    out.extend_from_slice(&hash);
    out
}

/// What is framed so, if it is whole.
pub(crate) fn unframe<'a>(bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (rest, hash) = bytes.split_last_chunk::<HASH>()?;
    let body = rest.get(HASH..)?.strip_prefix(MAGIC)?;
    (HashKey::new(name).hash(&[rest]) == *hash).then_some(body)
}

impl<D: Disk> FileStore<D> {
    /// What our own file says of a store whose index cannot be used; `None` if that proves nothing.
    pub(super) fn read_own(&self) -> Option<Own> {
        let bytes = read_all(&self.disk, OWN, LIMIT).ok()?;
        let body = unframe(&bytes, &self.settings.name)?;
        match &self.secret {
            Some(secret) => Own::decode(&secret.unseal(body)?),
            None => Own::decode(body),
        }
    }

    /// What is known where there is no index, but something else of this store.
    pub(super) fn prior_without_index(&mut self, indices: &[u32]) -> Option<Prior> {
        let own = self.read_own().unwrap_or_default();
        // An empty store has a block as well: where there is none, it was taken away. What was
        // delivered was stored.
        let delivered = if indices.is_empty() { self.delivered_last() } else { 0 };
        let last_seq = own.last_seq.max(delivered);
        if last_seq == 0 {
            return None;
        }
        self.next_index = self.next_index.max(own.last_block.saturating_add(1));
        Some(Prior { last_seq, last_ts: own.last_ts, blocks: own.blocks, ..Prior::default() })
    }

    /// The highest sequence that any consumer's file says was delivered.
    fn delivered_last(&self) -> u64 {
        let names = self.disk.list("obs").unwrap_or_default();
        let states = names.iter().filter(|e| e.is_dir).filter_map(|e| {
            let encryption = self.options.encryption.as_ref();
            crate::consumer::peek(&self.disk, &self.settings.name, &e.name, encryption)
        });
        states.map(|state| state.delivered.stream).max().unwrap_or(0)
    }

    /// Before a block goes for good: its place in our own file does.
    pub(super) fn disown_blocks(&mut self) {
        if !std::mem::take(&mut self.lists_blocks) {
            return;
        }
        // Not what was stored since: that may not be durable yet.
        let known = self.owned.or_else(|| self.read_own().map(|own| (own.last_seq, own.last_ts)));
        let (last_seq, last_ts) = known.unwrap_or_default();
        let last_block = self.tail_index().unwrap_or(0);
        let own = Own { last_seq, last_ts, last_block, blocks: Vec::new() };
        // Whoever makes room by a removal must not wait for this: it can be done without.
        let _ = self.disk.remove_file(OWN);
        self.touch_dir(MSGS);
        let (name, secret) = (self.settings.name.clone(), self.secret.clone());
        let base = self.disk.base().clone();
        let make = move || -> io::Result<Files> {
            let body = sealed(own.encode(), secret.as_ref(), &base)?;
            // The index it was made with is gone as well.
            Ok(vec![(OWN, frame([0; HASH], &body, &name))])
        };
        if last_seq == 0 {
            return;
        }
        if self.disk.is_deferred() {
            self.disk.make(&[OWN], Arc::new(make));
        } else if let Ok(files) = make() {
            let _ = files.iter().try_for_each(|(path, bytes)| replace(&self.disk, path, bytes));
        }
    }

    /// Before sequences are taken back: nothing says any more that they were given.
    pub(super) fn disown_sequences(&mut self) -> Result<()> {
        self.lists_blocks = false;
        self.owned = None;
        match self.disk.remove_file(OWN) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(crate::Error::io("remove", OWN, e))
            }
            _ => Ok(()),
        }
    }
}

/// The body as it is kept.
pub(super) fn sealed<D: Disk>(
    body: Vec<u8>,
    secret: Option<&Secret>,
    disk: &D,
) -> io::Result<Vec<u8>> {
    match secret {
        Some(secret) => secret.seal(&body, &|out| disk.random(out)).map_err(io::Error::other),
        None => Ok(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read_and_what_is_damaged_is_not() {
        let block = |index, first, last| IndexBlock {
            index,
            bytes: 90,
            first,
            first_ts: -5,
            last,
            last_ts: 1_700_000_000_000_000_000,
            ttls: 1,
            schedules: 2,
            deleted: [first + 1].into_iter().collect(),
        };
        let own = Own {
            last_seq: 30,
            last_ts: 7,
            last_block: 9,
            blocks: vec![block(2, 1, 10), block(9, 11, 30)],
        };
        let file = frame([3; 8], &own.encode(), "S");
        let read = Own::decode(unframe(&file, "S").unwrap()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{own:?}"));
        assert!(unframe(&file, "T").is_none(), "another stream's");
        for at in 0..file.len() {
            let mut bad = file.clone();
            bad[at] ^= 1;
            assert!(unframe(&bad, "S").is_none(), "byte {at}");
            assert!(unframe(&file[..at], "S").is_none(), "cut to {at}");
        }
    }

    proptest! {
        #[test]
        fn decoding_anything_is_safe(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Own::decode(&bytes);
            let _ = unframe(&bytes, "S");
        }
    }
}
