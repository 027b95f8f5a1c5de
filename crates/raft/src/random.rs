//! The node's own number sequence, seeded by whoever starts it: timer jitter and inbox names.
//!
//! Laws: the same seed gives the same run; the driver seeds from the operating system in
//!       production, so inbox names cannot be guessed.

use std::time::Duration;

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A duration in `[min, max)`; `min` if the range is empty.
    pub(crate) fn between(&mut self, min: Duration, max: Duration) -> Duration {
        let span = max.saturating_sub(min).as_nanos().min(u128::from(u64::MAX)) as u64;
        if span == 0 {
            return min;
        }
        min + Duration::from_nanos(self.next() % span)
    }
}
