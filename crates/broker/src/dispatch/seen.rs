//! Which subjects were asked for once, so that only those asked for again are remembered.
//!
//! A table of fingerprints, one a place: of two that share a place the later stays. It grows while
//! they push each other out, so that a publisher with many subjects in turn meets its own again.
//!
//! Laws: at most `MOST` places of two bytes; a subject may be taken for one that was seen (once in
//!       65,536), which costs a place in the cache, nothing else.
//! Hot path.

const LEAST: usize = 1 << 10;
const MOST: usize = 1 << 18;

/// Fingerprints of subjects asked for once.
#[derive(Default)]
pub(super) struct Seen {
    prints: Vec<u16>,
    pushed_out: usize,
}

impl Seen {
    /// Whether the subject of this hash was asked for before; from now on it was.
    #[inline]
    pub(super) fn again(&mut self, hash: u64) -> bool {
        if self.pushed_out >= self.prints.len() / 4 {
            self.grow();
        }
        let print = (hash >> 48) as u16 | 1;
        let mask = self.prints.len().wrapping_sub(1);
        let Some(place) = self.prints.get_mut((hash >> 24) as usize & mask) else { return false };
        if *place == print {
            return true;
        }
        self.pushed_out += usize::from(*place != 0);
        *place = print;
        false
    }

    #[cold]
    fn grow(&mut self) {
        self.pushed_out = 0;
        let places = (self.prints.len() * 4).clamp(LEAST, MOST);
        if places > self.prints.len() {
            self.prints = vec![0; places];
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
