//! HighwayHash-64 as the reference keys it: SHA-256 of a name.
//!
//! Reference: filestore.go hashKeyForBlock, newFileStoreWithCreated.

use highway::{HighwayHash, HighwayHasher, Key};
use sha2::{Digest, Sha256};

/// Bytes that are hashed in one piece.
const JOINED: usize = 192;

/// The key of one file family: a stream, one of its blocks, or one of its consumers.
#[derive(Clone, Debug)]
pub(crate) struct HashKey(Key);

impl HashKey {
    /// The key made from `name`: "<stream>", "<stream>-<block>", or "<stream>/<consumer>".
    pub(crate) fn new(name: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(name.as_bytes()).into();
        let mut words = [0u64; 4];
        for (word, chunk) in words.iter_mut().zip(digest.chunks_exact(8)) {
            *word = crate::codec::u64_at(chunk, 0);
        }
        Self(Key(words))
    }

    pub(crate) fn hash(&self, parts: &[&[u8]]) -> [u8; 8] {
        // Short ones in one piece: what is left over between pieces costs more than the copy.
        let mut joined = [0; JOINED];
        let mut len = 0;
        for part in parts {
            let Some(place) = joined.get_mut(len..len + part.len()) else {
                return self.hash_apart(parts);
            };
            place.copy_from_slice(part);
            len += part.len();
        }
        self.hash_apart(&[joined.get(..len).unwrap_or_default()])
    }

    fn hash_apart(&self, parts: &[&[u8]]) -> [u8; 8] {
        let mut hasher = HighwayHasher::new(self.0);
        for part in parts {
            hasher.append(part);
        }
        hasher.finalize64().to_le_bytes()
    }
}

/// Lower-case hex, as `meta.sum` holds it.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, b| {
        for nibble in [b >> 4, b & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
        text
    })
}
