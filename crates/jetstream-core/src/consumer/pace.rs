//! How fast messages may go: a rate in bits, or the pace at which they were stored.
//!
//! Laws: a message larger than what a rate lets through at once still goes, after a full pause.
//! Not here: waiting (`Consumer::gate`).

use std::time::Duration;

use stdx::time::{Mono, Timestamp};

/// A bucket of bytes that fills at a rate.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    bytes_per_sec: f64,
    capacity: f64,
    level: f64,
    at: Mono,
}

impl Bucket {
    /// A bucket for `bits` a second; `None` without a limit. It holds the largest message.
    pub(super) fn new(bits: u64, max_msg_size: i32, max_payload: u64, now: Mono) -> Option<Self> {
        let capacity = match u64::try_from(max_msg_size) {
            Ok(max) if max > 0 => max,
            _ => max_payload.max(1),
        } as f64;
        let bytes_per_sec = (bits / 8).max(1) as f64;
        (bits > 0).then_some(Self { bytes_per_sec, capacity, level: capacity, at: now })
    }

    /// Takes `size` bytes; when to come back if they are not there yet.
    pub(super) fn take(&mut self, size: usize, now: Mono) -> Result<(), Mono> {
        let filled = now.since(self.at).as_secs_f64() * self.bytes_per_sec;
        self.level = (self.level + filled).min(self.capacity);
        self.at = now;
        let size = size as f64;
        let missing = size.min(self.capacity) - self.level;
        if missing > 0.0 {
            let nanos = (missing / self.bytes_per_sec * 1e9).ceil().min(3.6e12) as u64;
            return Err(now + Duration::from_nanos(nanos.max(1)));
        }
        self.level -= size;
        Ok(())
    }

    /// Gives back what was taken for a message that nobody got.
    pub(super) fn give_back(&mut self, size: usize) {
        self.level += size as f64;
    }
}

/// Messages stored before the consumer began keep their distance in time.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    /// Over once this was looked at.
    until: u64,
    /// When the last message was stored, and when it was sent.
    last: Option<(Timestamp, Mono)>,
}

impl Replay {
    pub(super) fn until(seq: u64) -> Self {
        Self { until: seq, last: None }
    }

    /// Whether the stream's part that has a pace is behind `next`.
    pub(super) fn is_over(&self, next: u64) -> bool {
        next > self.until
    }

    /// When a message stored at `ts` may go, if not now. Up to a millisecond is no wait.
    pub(super) fn due(&self, ts: Timestamp, now: Mono) -> Option<Mono> {
        let (stored, sent) = self.last?;
        let distance =
            Duration::from_nanos(u64::try_from(ts.0.saturating_sub(stored.0)).unwrap_or(0));
        let due = sent + distance;
        (distance > Duration::from_millis(1) && due > now).then_some(due)
    }

    pub(super) fn sent(&mut self, ts: Timestamp, now: Mono) {
        self.last = Some((ts, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    // Contract: CONS-017
    #[test]
    fn a_rate_is_kept_over_time() {
        // 8,000 bits are 1,000 bytes a second.
        let mut bucket = Bucket::new(8_000, 500, 0, Mono(0)).unwrap();
        let (mut now, mut sent) = (Mono(0), 0);
        while now.0 < 10 * SECOND {
            match bucket.take(250, now) {
                Ok(()) => sent += 250,
                Err(due) => now = due,
            }
        }
        assert!((10_000..=10_750).contains(&sent), "{sent}");
        assert!(Bucket::new(0, 500, 0, Mono(0)).is_none());
    }

    #[test]
    fn what_is_larger_than_the_bucket_is_not_stuck() {
        let mut bucket = Bucket::new(8_000, 100, 0, Mono(0)).unwrap();
        assert_eq!(bucket.take(1_000, Mono(0)), Ok(()));
        assert!(bucket.take(1, Mono(SECOND / 2)).is_err());
        assert_eq!(bucket.take(1, Mono(2 * SECOND)), Ok(()));
    }

    // Contract: CONS-018
    #[test]
    fn distances_are_kept() {
        let mut replay = Replay::until(9);
        assert_eq!(replay.due(Timestamp(5), Mono(100)), None, "the first goes at once");
        replay.sent(Timestamp(0), Mono(100));
        assert_eq!(replay.due(Timestamp(2_000_000), Mono(200)), Some(Mono(2_000_100)));
        assert_eq!(replay.due(Timestamp(2_000_000), Mono(2_000_100)), None);
        assert_eq!(replay.due(Timestamp(900_000), Mono(100)), None);
        assert!(replay.is_over(10) && !replay.is_over(9));
    }
}
