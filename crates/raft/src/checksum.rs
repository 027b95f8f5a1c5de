//! The checksum of a group's files: HighwayHash-64 keyed with the SHA-256 of the group's name.
//!
//! Reference: raft.go initRaftNode (hh), encodeSnapshot.

use highway::{HighwayHash, HighwayHasher, Key};
use sha2::{Digest, Sha256};

/// A group's keyed checksum.
#[derive(Clone, Copy, Debug)]
pub struct Checksum {
    key: Key,
}

impl Checksum {
    /// The checksum of the group called `group`.
    pub fn new(group: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(group.as_bytes()).into();
        let mut key = [0u64; 4];
        for (word, bytes) in key.iter_mut().zip(digest.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Self { key: Key(key) }
    }

    /// The eight checksum bytes of `bytes`, in the order files keep them.
    pub fn hash(&self, bytes: &[u8]) -> [u8; 8] {
        HighwayHasher::new(self.key).hash64(bytes).to_le_bytes()
    }
}
