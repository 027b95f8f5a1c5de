//! Which peers the thread pauses for, so that their small writes gather before they are read.
//!
//! A peer that writes one message at a time costs a wake-up, a read, a delivery and a write for
//! each of them, and slows itself down by waking us. While it keeps that up, it is paced.
//!
//! Not here: the pauses (`pause`).
//! Laws: a peer that hears anything while it speaks may be waiting for what it hears, and is not
//!       paced; pacing that does not keep up the rate found before it ends at once, and is not
//!       tried again for a while.

use std::time::Duration;
use stdx::time::Mono;

/// Small reads in a row before pacing begins, and how long they may take together.
const STREAK: u32 = 64;
const STREAK_TIME: Duration = Duration::from_micros(1600);
/// A read above this is not small.
const SMALL: usize = 1024;
/// Paced reads between two looks at the rate.
const WINDOW: u32 = 8;
/// How long after pacing ended it may begin again: at first, and at most.
const REST: Duration = Duration::from_millis(1);
const REST_MAX: Duration = Duration::from_secs(1);
/// Pacing that lasted this long was right.
const PROVEN: Duration = Duration::from_millis(50);

/// What follows from a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    /// Paced from now on.
    Begin,
    /// No longer paced.
    End,
}

/// One connection's pace.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Since when the streak or the pacing goes on.
    since: Mono,
    /// Before this no pacing begins.
    rest_until: Mono,
    rest: Duration,
    /// When the current window of paced reads began.
    window_since: Mono,
    /// Reads of the streak or the window.
    reads: u32,
    /// Bytes of the streak or the window.
    bytes: u32,
    /// Bytes in [`STREAK_TIME`] before pacing began.
    rate: u32,
    /// Messages the peer had been sent by the last read.
    heard: u64,
    on: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            since: Mono(0),
            rest_until: Mono(0),
            rest: REST,
            window_since: Mono(0),
            reads: 0,
            bytes: 0,
            rate: 0,
            heard: 0,
            on: false,
        }
    }
}

impl Pace {
    /// Messages the peer had been sent by the last read.
    pub(crate) fn heard(&self) -> u64 {
        self.heard
    }

    /// Takes note of a read of `bytes` from a peer that has been
    /// sent `heard` messages so far.
    pub(crate) fn after_read(&mut self, now: Mono, bytes: usize, heard: u64) -> Change {
        let spoke_only = std::mem::replace(&mut self.heard, heard) == heard;
        if self.on {
            self.while_on(now, bytes, spoke_only)
        } else {
            self.while_off(now, bytes, spoke_only)
        }
    }

    fn while_off(&mut self, now: Mono, bytes: usize, spoke_only: bool) -> Change {
        if bytes > SMALL || !spoke_only || self.reads == 0 {
            self.reads = u32::from(bytes <= SMALL && spoke_only);
            (self.since, self.bytes) = (now, 0);
            return Change::None;
        }
        self.reads += 1;
        self.bytes += bytes as u32;
        if self.reads < STREAK {
            return Change::None;
        }
        let took = now.since(self.since);
        let bytes = std::mem::take(&mut self.bytes);
        self.reads = 0;
        if took > STREAK_TIME || now < self.rest_until {
            return Change::None;
        }
        let took = took.as_nanos().max(1) as u64;
        let rate = u64::from(bytes) * STREAK_TIME.as_nanos() as u64 / took;
        self.rate = u32::try_from(rate).unwrap_or(u32::MAX);
        (self.since, self.window_since) = (now, now);
        self.on = true;
        Change::Begin
    }

    fn while_on(&mut self, now: Mono, bytes: usize, spoke_only: bool) -> Change {
        if !spoke_only {
            self.stop(now);
            return Change::End;
        }
        self.reads += 1;
        self.bytes = self.bytes.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        if self.reads < WINDOW {
            return Change::None;
        }
        let took = now.since(self.window_since).as_nanos() as u64;
        let expected = u64::from(self.rate) * took / STREAK_TIME.as_nanos() as u64;
        let enough = u64::from(self.bytes) >= expected / 2;
        (self.window_since, self.reads, self.bytes) = (now, 0, 0);
        if enough {
            return Change::None;
        }
        self.stop(now);
        Change::End
    }

    /// Ends pacing; how well it went decides when it may begin again.
    fn stop(&mut self, now: Mono) {
        self.rest =
            if now.since(self.since) >= PROVEN { REST } else { (self.rest * 2).min(REST_MAX) };
        self.rest_until = now + self.rest;
        (self.on, self.reads, self.bytes) = (false, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: u64 = 1_000;

    fn feed(pace: &mut Pace, at: &mut u64, every_us: u64, bytes: usize, reads: u32) -> Change {
        for _ in 0..reads {
            *at += every_us * US;
            let change = pace.after_read(Mono(*at), bytes, 0);
            if change != Change::None {
                return change;
            }
        }
        Change::None
    }

    #[test]
    fn a_fast_streak_of_small_reads_begins_it() {
        let (mut pace, mut at) = (Pace::default(), 0);
        assert_eq!(feed(&mut pace, &mut at, 3, 150, STREAK), Change::Begin);
        assert!(pace.on);
        // At the rate found before, it goes on.
        assert_eq!(feed(&mut pace, &mut at, 100, 5000, 1000), Change::None);
    }

    #[test]
    fn slow_or_large_reads_do_not() {
        let (mut pace, mut at) = (Pace::default(), 0);
        assert_eq!(feed(&mut pace, &mut at, 40, 150, 1000), Change::None);
        assert_eq!(feed(&mut pace, &mut at, 3, SMALL + 1, 1000), Change::None);
    }

    #[test]
    fn a_peer_that_hears_something_is_not_paced() {
        let mut pace = Pace::default();
        for n in 0..1000 {
            assert_eq!(pace.after_read(Mono(n * 3 * US), 20, n / 40), Change::None);
        }
        let (mut pace, mut at) = (Pace::default(), 0);
        assert_eq!(feed(&mut pace, &mut at, 3, 150, STREAK), Change::Begin);
        assert_eq!(pace.after_read(Mono(at + US), 100, 1), Change::End);
    }

    #[test]
    fn pacing_that_loses_rate_ends_and_rests_longer_each_time() {
        let (mut pace, mut at) = (Pace::default(), 0);
        let mut rests = Vec::new();
        for _ in 0..12 {
            let start = at;
            while feed(&mut pace, &mut at, 3, 150, STREAK) != Change::Begin {}
            rests.push(at - start);
            // Sixteen in flight over another connection: the window closes on too little.
            assert_eq!(feed(&mut pace, &mut at, 100, 200, WINDOW), Change::End);
        }
        assert!(rests[11] >= 900_000 * US, "{rests:?}");
        assert!(rests[1] < 4_000 * US, "{rests:?}");
    }

    #[test]
    fn slowing_down_ends_it() {
        let (mut pace, mut at) = (Pace::default(), 0);
        assert_eq!(feed(&mut pace, &mut at, 3, 150, STREAK), Change::Begin);
        assert_eq!(feed(&mut pace, &mut at, 1000, 150, WINDOW), Change::End);
        assert!(!pace.on);
    }
}
