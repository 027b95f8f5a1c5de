//! Which peers the thread pauses for, so that their small writes gather before they are read, and
//! how much is read of such a peer at once.
//!
//! A peer that writes one message at a time costs a wake-up, a read, a delivery and a write for
//! each of them, and slows itself down by waking us. While it keeps that up, it is paced.
//!
//! Pauses alone do not make its writes cheap: what is in the socket is acknowledged whenever some
//! is read, and as long as everything is, the peer's kernel sends each write as a segment of its
//! own (about 3 us). So a paced peer is given a ration: a little more than it used to send as long
//! as it uses all of it, less once it does not. That keeps something waiting on its side, where
//! one write is appended to the last (0.5 us), and leaves it as fast as it can be.
//!
//! Not here: the pauses (`pause`).
//! Laws: a peer that hears anything while it speaks may be waiting for what it hears, and is not
//!       paced; pacing that does not keep up the rate found before it ends at once, and is not
//!       tried again for a while.

use std::time::Duration;
use stdx::time::Mono;

/// Small reads before pacing begins, and how long they may take together.
const STREAK: u32 = 64;
const STREAK_TIME: Duration = Duration::from_micros(1600);
/// A read above this is not small.
const SMALL: usize = 1024;
/// A read above this is a batch: its peer gathers by itself.
const BATCH: usize = 16 << 10;
/// A paced read is due to bring what came in this time at most: after a longer one its peer did
/// not run, which says nothing about pacing.
const DUE: Duration = Duration::from_micros(120);
/// What pacing is trusted with when it begins, and at most: a read that brought enough adds one, a
/// thin one takes two away, and with nothing left it ends.
const TRUST: u32 = 8;
const TRUST_MAX: u32 = 32;
/// A paced read above this is no longer that of a peer that writes little by little.
const OUTGROWN: usize = 64 << 10;
/// A ration is for the time since the last read, but not for more than this.
const RATION_TIME: Duration = Duration::from_micros(400);
/// And never less than this.
const RATION_MIN: u64 = 2048;
/// How long after pacing ended it may begin again: at first, and at most.
const REST: Duration = Duration::from_millis(1);
const REST_MAX: Duration = Duration::from_secs(1);
/// Pacing that gathered in this many reads was right.
const PROVEN: u32 = 64;

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
    /// When the streak began, or the last paced read came.
    since: Mono,
    /// Before this no pacing begins.
    rest_until: Mono,
    rest: Duration,
    /// Small reads of the streak, or paced reads that brought enough.
    reads: u32,
    /// Bytes of the streak.
    bytes: u32,
    /// Bytes in [`STREAK_TIME`] before pacing began.
    rate: u32,
    /// While it is paced: the bytes that may be read of it in [`STREAK_TIME`].
    ration: u32,
    /// What is left of the trust.
    trust: u32,
    /// Messages the peer had been sent by the last read.
    heard: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            since: Mono(0),
            rest_until: Mono(0),
            rest: REST,
            reads: 0,
            bytes: 0,
            rate: 0,
            ration: 0,
            trust: 0,
            heard: 0,
        }
    }
}

impl Pace {
    /// Messages the peer had been sent by the last read.
    pub(crate) fn heard(&self) -> u64 {
        self.heard
    }

    /// How much may be read of a paced peer now.
    pub(crate) fn ration(&self, now: Mono) -> u64 {
        let time = now.since(self.since).min(RATION_TIME);
        share(self.ration, time).max(RATION_MIN)
    }

    /// Takes note of a read of `bytes`, of at most `ration` if there was one, from a peer that has
    /// been sent `heard` messages so far.
    pub(crate) fn after_read(
        &mut self,
        now: Mono,
        bytes: usize,
        ration: Option<u64>,
        heard: u64,
    ) -> Change {
        let spoke_only = std::mem::replace(&mut self.heard, heard) == heard;
        match ration {
            Some(ration) if self.is_on() => self.while_on(now, bytes, ration, spoke_only),
            _ => self.while_off(now, bytes, spoke_only),
        }
    }

    /// Whether the peer is paced.
    pub(crate) fn is_on(&self) -> bool {
        self.trust > 0
    }

    fn while_off(&mut self, now: Mono, bytes: usize, spoke_only: bool) -> Change {
        // A larger read between small ones is this thread's own delay.
        if bytes > BATCH || !spoke_only || self.reads == 0 {
            self.reads = u32::from(bytes <= SMALL && spoke_only);
            (self.since, self.bytes) = (now, 0);
            return Change::None;
        }
        self.reads += u32::from(bytes <= SMALL);
        self.bytes = self.bytes.saturating_add(bytes as u32);
        let took = now.since(self.since);
        if took > STREAK_TIME {
            self.reads = 0;
        }
        if self.reads < STREAK {
            return Change::None;
        }
        self.reads = 0;
        if now < self.rest_until {
            return Change::None;
        }
        let took = took.as_nanos().max(1) as u64;
        let rate = u64::from(self.bytes) * STREAK_TIME.as_nanos() as u64 / took;
        self.rate = u32::try_from(rate).unwrap_or(u32::MAX);
        (self.since, self.ration, self.trust) = (now, self.rate, TRUST);
        Change::Begin
    }

    fn while_on(&mut self, now: Mono, bytes: usize, ration: u64, spoke_only: bool) -> Change {
        if bytes > OUTGROWN {
            self.reads = PROVEN;
        }
        if !spoke_only || bytes > OUTGROWN {
            return self.stop(now);
        }
        let took = now.since(std::mem::replace(&mut self.since, now)).min(DUE);
        // Towards more slowly, towards less at once: mostly something is left over.
        self.ration = if bytes as u64 >= ration {
            self.ration.saturating_add(self.ration / 50 + 1)
        } else {
            self.ration - self.ration / 6
        };
        if bytes as u64 >= share(self.rate, took).min(ration) / 2 {
            self.trust = (self.trust + 1).min(TRUST_MAX);
            self.reads = self.reads.saturating_add(1);
        } else {
            self.trust = self.trust.saturating_sub(2);
        }
        if self.is_on() { Change::None } else { self.stop(now) }
    }

    /// Ends pacing; how well it went decides when it may begin again.
    fn stop(&mut self, now: Mono) -> Change {
        self.rest = if self.reads >= PROVEN { REST } else { (self.rest * 2).min(REST_MAX) };
        self.rest_until = now + self.rest;
        (self.trust, self.reads, self.bytes) = (0, 0, 0);
        Change::End
    }
}

/// The part of `bytes` in [`STREAK_TIME`] that falls to `time`.
fn share(bytes: u32, time: Duration) -> u64 {
    u64::from(bytes) * time.as_nanos() as u64 / STREAK_TIME.as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: u64 = 1_000;

    fn feed(pace: &mut Pace, at: &mut u64, every_us: u64, bytes: usize, reads: u32) -> Change {
        for _ in 0..reads {
            *at += every_us * US;
            let ration = pace.is_on().then(|| pace.ration(Mono(*at)));
            let change = pace.after_read(Mono(*at), bytes, ration, 0);
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
        assert!(pace.is_on());
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
    fn a_larger_read_between_small_ones_does_not_begin_anew() {
        let (mut pace, mut at) = (Pace::default(), 0);
        for _ in 0..4 {
            assert_eq!(feed(&mut pace, &mut at, 3, 150, STREAK / 5), Change::None);
            assert_eq!(feed(&mut pace, &mut at, 200, 8000, 1), Change::None);
        }
        assert_eq!(feed(&mut pace, &mut at, 3, 150, STREAK), Change::Begin);
        assert!(at < 1_600 * US, "{at}");
    }

    #[test]
    fn a_peer_that_hears_something_is_not_paced() {
        let mut pace = Pace::default();
        for n in 0..1000 {
            assert_eq!(pace.after_read(Mono(n * 3 * US), 20, None, n / 40), Change::None);
        }
        let (mut pace, mut at) = (Pace::default(), 0);
        assert_eq!(feed(&mut pace, &mut at, 3, 150, STREAK), Change::Begin);
        assert_eq!(pace.after_read(Mono(at + US), 100, Some(2048), 1), Change::End);
    }

    #[test]
    fn pacing_that_loses_rate_ends_and_rests_longer_each_time() {
        let (mut pace, mut at) = (Pace::default(), 0);
        let mut rests = Vec::new();
        for _ in 0..12 {
            let start = at;
            while feed(&mut pace, &mut at, 3, 150, STREAK) != Change::Begin {}
            rests.push(at - start);
            // Sixteen in flight over another connection: the reads bring too little.
            assert_eq!(feed(&mut pace, &mut at, 100, 200, TRUST), Change::End);
        }
        assert!(rests[11] >= 900_000 * US, "{rests:?}");
        assert!(rests[1] < 4_000 * US, "{rests:?}");
    }

    #[test]
    fn a_peer_that_does_not_run_now_and_then_is_paced_all_the_same() {
        let (mut pace, mut at) = (Pace::default(), 0);
        assert_eq!(feed(&mut pace, &mut at, 3, 150, STREAK), Change::Begin);
        for _ in 0..1000 {
            // Away for 4 ms; the first write after it wakes the thread.
            assert_eq!(feed(&mut pace, &mut at, 4000, 150, 1), Change::None);
            assert_eq!(feed(&mut pace, &mut at, 100, 5000, 10), Change::None);
        }
    }

    #[test]
    fn the_ration_finds_the_speed_of_the_peer() {
        let (mut pace, mut at) = (Pace::default(), 0);
        assert_eq!(feed(&mut pace, &mut at, 3, 150, STREAK), Change::Begin);
        let (mut held, mut got) = (0, 0);
        for round in 0..2000u64 {
            at += 100 * US;
            // Four times what it sent before it was paced.
            held += 20_000;
            let ration = pace.ration(Mono(at));
            let read = held.min(ration);
            held -= read;
            assert_eq!(
                pace.after_read(Mono(at), read as usize, Some(ration), 0),
                Change::None,
                "{round}"
            );
            if round >= 1000 {
                got += read;
                // What waits is never more than a few milliseconds of it.
                assert!(held < 20_000 * 30, "{held}");
            }
        }
        assert!(got > 1000 * 19_000, "{got}");
    }

    #[test]
    fn a_peer_that_came_to_send_much_is_let_go() {
        let (mut pace, mut at) = (Pace::default(), 0);
        assert_eq!(feed(&mut pace, &mut at, 3, 150, STREAK), Change::Begin);
        assert_eq!(feed(&mut pace, &mut at, 100, OUTGROWN + 1, 1), Change::End);
    }

    #[test]
    fn slowing_down_ends_it() {
        let (mut pace, mut at) = (Pace::default(), 0);
        assert_eq!(feed(&mut pace, &mut at, 3, 150, STREAK), Change::Begin);
        assert_eq!(feed(&mut pace, &mut at, 1000, 150, TRUST), Change::End);
        assert!(!pace.is_on());
    }
}
