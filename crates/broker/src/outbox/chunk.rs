//! Pooled pieces of an outbox.
//!
//! Laws: a pool never keeps more than its bound; a chunk's bytes from `start` are still owed.
//! Hot path.

use super::frames;
use bytes::Bytes;
use std::sync::Arc;

const SMALL: usize = 4 * 1024;
const LARGE: usize = 64 * 1024;
/// Chunks kept per class and thread: 256 KiB of small and 4 MiB of large ones.
const KEEP_SMALL: usize = 64;
const KEEP_LARGE: usize = 64;
/// Encoded buffers kept, lent ones included; of about the size of a read each.
const KEEP_ENCODED: usize = 8;

/// Bytes in order: own ones that can grow, or a shared slice of a read buffer.
pub struct Chunk {
    body: Body,
    start: usize,
}

enum Body {
    Own(Vec<u8>),
    Shared(Bytes),
    /// Encoded once for several peers.
    Encoded(Arc<Vec<u8>>),
}

impl Chunk {
    pub(super) fn shared(bytes: Bytes) -> Self {
        Self { body: Body::Shared(bytes), start: 0 }
    }

    pub(super) fn encoded(encoded: Arc<Vec<u8>>) -> Self {
        Self { body: Body::Encoded(encoded), start: 0 }
    }

    /// Its own buffer, to append to.
    #[inline]
    pub(super) fn own(&mut self) -> Option<&mut Vec<u8>> {
        match &mut self.body {
            Body::Own(own) => Some(own),
            Body::Shared(_) | Body::Encoded(_) => None,
        }
    }

    /// The bytes still owed.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        let all: &[u8] = match &self.body {
            Body::Own(own) => own,
            Body::Shared(shared) => shared,
            Body::Encoded(encoded) => encoded,
        };
        all.get(self.start..).unwrap_or_default()
    }

    /// Marks `n` more bytes as written.
    pub(super) fn advance(&mut self, n: usize) {
        self.start += n;
    }

    /// Appends all of `bytes` if they fit.
    #[inline]
    pub(super) fn append(&mut self, bytes: &[u8]) -> bool {
        match &mut self.body {
            Body::Own(own) if own.capacity() - own.len() >= bytes.len() => {
                own.extend_from_slice(bytes);
                true
            }
            Body::Own(_) | Body::Shared(_) | Body::Encoded(_) => false,
        }
    }

    /// Appends as much as fits; returns how much that was.
    pub(super) fn append_some(&mut self, bytes: &[u8]) -> usize {
        match &mut self.body {
            Body::Own(own) => {
                let n = bytes.len().min(own.capacity() - own.len());
                own.extend_from_slice(bytes.get(..n).unwrap_or_default());
                n
            }
            Body::Shared(_) | Body::Encoded(_) => 0,
        }
    }
}

/// Free chunks of one thread.
#[derive(Default)]
pub struct Pool {
    small: Vec<Vec<u8>>,
    large: Vec<Vec<u8>>,
    /// Buffers encoded for several peers; free where nobody else holds one.
    encoded: Vec<Arc<Vec<u8>>>,
}

impl Pool {
    /// A chunk sized for an outbox that already owes `pending` bytes: small for request and reply,
    /// large under load.
    pub(super) fn take(&mut self, pending: usize) -> Chunk {
        let own = if pending < SMALL {
            self.small.pop().unwrap_or_else(|| Vec::with_capacity(SMALL))
        } else {
            self.large.pop().unwrap_or_else(|| Vec::with_capacity(LARGE))
        };
        Chunk { body: Body::Own(own), start: 0 }
    }

    /// `prefix` and each of `tails`, `about` so many bytes, in a buffer that peers can share.
    pub(crate) fn encode<'a>(
        &mut self,
        prefix: &[u8],
        mut tails: impl Iterator<Item = &'a [u8]>,
        about: usize,
    ) -> Arc<Vec<u8>> {
        let free = self.encoded.iter().position(|kept| Arc::strong_count(kept) == 1);
        let mut buffer = free.map(|at| self.encoded.swap_remove(at)).unwrap_or_default();
        // Nobody else holds it, so it is not copied.
        let bytes = Arc::make_mut(&mut buffer);
        bytes.clear();
        bytes.reserve(about + frames::PADDED);
        while let Some(tail) = frames::append(bytes, prefix, &mut tails, usize::MAX) {
            bytes.extend_from_slice(prefix);
            bytes.extend_from_slice(tail);
        }
        if self.encoded.len() < KEEP_ENCODED {
            self.encoded.push(buffer.clone());
        }
        buffer
    }

    /// Takes a written chunk back.
    pub(super) fn give(&mut self, chunk: Chunk) {
        let Body::Own(mut own) = chunk.body else { return };
        own.clear();
        let (class, keep) = if own.capacity() >= LARGE {
            (&mut self.large, KEEP_LARGE)
        } else {
            (&mut self.small, KEEP_SMALL)
        };
        if class.len() < keep {
            class.push(own);
        }
    }

    /// Frees what is kept (an idle thread gives its memory back).
    pub fn trim(&mut self) {
        self.small = Vec::new();
        self.large = Vec::new();
        self.encoded = Vec::new();
    }
}
