//! Identifiers nobody has to keep secret: NUIDs, suffixes of inboxes.

use stdx::time::Now;

/// A small generator (xorshift64*), seeded by the host.
pub(crate) struct Random(u64);

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// `len` characters.
    pub(crate) fn text(&mut self, len: usize) -> String {
        (0..len)
            .map(|_| {
                char::from(DIGITS.get((self.next() >> 32) as usize % 62).copied().unwrap_or(b'0'))
            })
            .collect()
    }

    /// An identifier of 22 characters, as the clients' libraries make them.
    pub(crate) fn nuid(&mut self, now: Now) -> String {
        self.0 ^= now.wall.0 as u64;
        self.0 |= 1;
        self.text(22)
    }
}
