//! What this server puts behind the bytes of files that have no hash in the reference's format.
//!
//! `o.dat`, `thw.db` and `sched.db` say how much they hold; the reference reads that from the front
//! and leaves alone what follows. A file that the reference wrote has no such end.
//! Wire: `<file> | "own1" | 8-byte hash of all before`.
//! Laws: bytes that were changed after this server wrote them never look like those it wrote.

use crate::hash::HashKey;

const MAGIC: &[u8; 4] = b"own1";
pub(crate) const LEN: usize = 12;

/// What stands behind some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Behind<'a> {
    /// Proof that these are what was written.
    Proof(&'a [u8]),
    /// Proof of something else.
    Contradiction,
    /// No proof.
    Nothing,
}

/// What is put behind `bytes`.
pub(crate) fn proof(bytes: &[u8], key: &HashKey) -> [u8; LEN] {
    let mut out = [0; LEN];
    let (magic, hash) = out.split_at_mut(MAGIC.len());
    magic.copy_from_slice(MAGIC);
    hash.copy_from_slice(&key.hash(&[bytes, MAGIC]));
    out
}

/// Puts it there.
pub(crate) fn prove(bytes: &mut Vec<u8>, key: &HashKey) {
    let proof = proof(bytes, key);
    bytes.extend_from_slice(&proof);
}

/// Looks what stands there.
pub(crate) fn look<'a>(bytes: &'a [u8], key: &HashKey) -> Behind<'a> {
    match bytes.split_last_chunk::<LEN>() {
        Some((front, end)) if end.starts_with(MAGIC) => {
            if proof(front, key) == *end {
                Behind::Proof(front)
            } else {
                Behind::Contradiction
            }
        }
        _ => Behind::Nothing,
    }
}
