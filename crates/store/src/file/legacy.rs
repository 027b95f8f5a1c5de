//! `<n>.idx`: what servers before 2.10 kept beside each block instead of tombstones.
//!
//! ```text
//! 0x16 | version | uv msgs | uv bytes | uv first | sv first ts | uv last | sv last ts | uv deleted
//! | 8 bytes hash of the block's last record | version 1: (uv sequence - first)*, version 2: set
//! ```
//! Encrypted it is sealed as a whole under the block's key, with the nonce of the key file.
//! Laws: what such a file calls removed stays removed, even if the block grew after it was written;
//!       the files go only after tombstones that say the same are durable.
//! Reference: filestore.go readIndexInfo.   Parity: FSTORE-027.

use crate::codec::Reader;
use crate::disk::{Disk, read_all};
use crate::error::Result;
use crate::file::index_db::IndexBlock;
use crate::file::recover::Prior;
use crate::file::{FileStore, MSGS, key_path};
use crate::record::ERASED;
use crate::seqset::SeqSet;

const MAGIC: u8 = 0x16;
const MAX_IDX: u64 = 256 << 20;

fn idx_path(index: u32) -> String {
    format!("{MSGS}/{index}.idx")
}

/// What the file of block `index` says; `None` if it does not decode or contradicts itself.
pub(crate) fn decode(bytes: &[u8], index: u32) -> Option<IndexBlock> {
    let mut r = Reader::new(bytes);
    let (MAGIC, version @ 1..=2) = (r.u8()?, r.u8()?) else { return None };
    let (msgs, size) = (r.uvarint()?, r.uvarint()?);
    let (first, first_ts) = (r.uvarint()? & !ERASED, r.varint()?);
    let (last, last_ts) = (r.uvarint()? & !ERASED, r.varint()?);
    let count = r.uvarint()?;
    r.take(8)?;
    let mut deleted = SeqSet::default();
    if count > 0 && version == 2 {
        deleted = SeqSet::decode(r.rest())?.0;
    } else {
        for _ in 0..count {
            // Those below the first are counted but not written: the number of messages tells
            // whether the list is whole.
            let Some(seq) = r.uvarint() else { break };
            deleted.insert((seq & !ERASED).checked_add(first)?);
        }
    }
    let index = IndexBlock {
        index,
        bytes: size,
        first,
        first_ts,
        last,
        last_ts,
        ttls: 0,
        schedules: 0,
        deleted,
    };
    let inside = index.deleted.count_range(first, last) == index.deleted.len();
    (inside && last < 1 << 62 && first <= last + 1 && index.msgs() == msgs).then_some(index)
}

impl<D: Disk> FileStore<D> {
    /// What the files beside these blocks say together; `None` if there are none.
    pub(super) fn read_legacy(&mut self, indices: &[u32]) -> Option<Prior> {
        let files = self.disk.list(MSGS).ok()?;
        let mut prior = Prior { is_legacy: true, ..Prior::default() };
        for &index in indices {
            let path = idx_path(index);
            if !files.iter().any(|f| path.ends_with(&format!("/{}", f.name))) {
                continue;
            }
            let Some(block) = self.read_idx(index, &path) else { continue };
            if block.last > prior.last_seq {
                (prior.last_seq, prior.last_ts) = (block.last, block.last_ts);
            }
            prior.blocks.push(block);
        }
        (!prior.blocks.is_empty()).then_some(prior)
    }

    fn read_idx(&self, index: u32, path: &str) -> Option<IndexBlock> {
        let bytes = read_all(&self.disk, path, MAX_IDX).ok()?;
        let plain = decode(&bytes, index);
        let Some(encryption) = &self.options.encryption else { return plain };
        // A store that is about to be encrypted keeps them in the clear.
        plain.or_else(|| {
            let key = read_all(&self.disk, &key_path(index), 1 << 16).ok()?;
            let context = format!("{}:{index}", self.settings.name);
            let secret = encryption.open(&context, &key, path).ok()?.secret;
            decode(&secret.unseal_with_own_nonce(&bytes)?, index)
        })
    }

    /// Writes tombstones for what only the files of servers before 2.10 call removed; then these go.
    pub(super) fn retire_legacy(&mut self, names: &[String]) -> Result<()> {
        if self.unmarked.contains(self.last_seq) {
            self.write_tombstone(self.last_seq, self.last_ts)?;
        }
        self.mark_limits()?;
        for name in names {
            self.doom(format!("{MSGS}/{name}"));
        }
        self.changed();
        self.barrier()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{put_uvarint, put_varint};
    use proptest::prelude::*;

    fn file(version: u8) -> Vec<u8> {
        let mut out = vec![MAGIC, version];
        put_uvarint(&mut out, 3);
        put_uvarint(&mut out, 120);
        put_uvarint(&mut out, 10);
        put_varint(&mut out, 1000);
        put_uvarint(&mut out, 14);
        put_varint(&mut out, 2000);
        put_uvarint(&mut out, 2);
        out.extend_from_slice(&[7; 8]);
        match version {
            1 => {
                put_uvarint(&mut out, 1);
                put_uvarint(&mut out, 3);
            }
            _ => SeqSet::from_iter([11, 13]).encode(&mut out),
        }
        out
    }

    // Contract: FSTORE-027
    #[test]
    fn both_versions_are_read() {
        for version in 1..=2 {
            let block = decode(&file(version), 4).unwrap();
            assert_eq!((block.first, block.last, block.msgs()), (10, 14, 3), "version {version}");
            assert_eq!(block.deleted.iter().collect::<Vec<_>>(), [11, 13]);
        }
        assert!(decode(&file(3), 4).is_none());
    }

    // Contract: FSTORE-027
    #[test]
    fn a_file_of_server_2_9_10_counts_what_it_does_not_write() {
        let bytes = [
            22, 1, 23, 245, 14, 9, 190, 144, 161, 210, 141, 160, 139, 234, 49, 40, 200, 240, 199,
            211, 141, 160, 139, 234, 49, 11, 46, 230, 104, 143, 82, 66, 15, 115, 11, 21, 26, 31, 6,
            16, 8, 9, 1,
        ];
        let block = decode(&bytes, 1).unwrap();
        assert_eq!((block.first, block.last, block.msgs()), (9, 40, 23));
        let deleted: Vec<u64> = block.deleted.iter().collect();
        assert_eq!(deleted, [10, 15, 17, 18, 20, 25, 30, 35, 40]);
        assert!(decode(&bytes[..bytes.len() - 1], 1).is_none(), "cut short");
    }

    proptest! {
        #[test]
        fn decoding_anything_is_safe(bytes in proptest::collection::vec(any::<u8>(), 0..100), at in 0usize..100, version in 1u8..=2) {
            let mut framed = vec![MAGIC, version];
            framed.extend_from_slice(&bytes);
            let _ = decode(&framed, 1);
            let mut near = file(version);
            let at = at % near.len();
            near[at] = near[at].wrapping_add(1);
            let _ = decode(&near, 1);
            near.truncate(at);
            prop_assert!(decode(&near, 1).is_none());
        }
    }
}
