//! What clients asked and were told, and whether one register can have told it.
//!
//! Every write writes a value of its own, so all that was seen of a value belongs together: one write
//! and its reads. Such a cluster has a zone: from the first moment by which one of its operations had
//! ended to the last moment at which one began. Where the first lies before the second (a forward
//! zone), the register held this value all that time. A history is linearizable exactly if no value
//! is read that nobody wrote, or before its write began, no two forward zones overlap, and no other
//! zone lies within a forward one.
//!
//! Source: Gibbons and Korach, Testing shared memories, 1997.
//! Laws: a client's request that was never answered may have taken effect at any later time, or not
//!       at all; a swap counts as a read and, if it swapped, as a write beside it.

use crate::check::{Checked, broken};
use crate::machine::Op;

/// One client's request.
#[derive(Clone, Copy, Debug)]
struct Request {
    op: Op,
    start: u64,
    /// When it was answered, and what the register held before.
    answer: Option<(u64, u64)>,
}

/// All requests, by number.
#[derive(Clone, Debug, Default)]
pub struct History {
    requests: Vec<Option<Request>>,
    /// Which of them were applied.
    applied: Vec<bool>,
}

/// What was seen of one value.
#[derive(Clone, Copy, Debug)]
struct Cluster {
    value: u64,
    /// When its write began.
    written: Option<u64>,
    /// Whether anybody saw it, or was told that it was written.
    seen: bool,
    first_end: u64,
    last_start: u64,
    first_read_end: u64,
}

impl Cluster {
    fn new(value: u64) -> Self {
        Self {
            value,
            written: None,
            seen: false,
            first_end: u64::MAX,
            last_start: 0,
            first_read_end: u64::MAX,
        }
    }

    fn is_forward(&self) -> bool {
        self.first_end < self.last_start
    }
}

impl History {
    /// A client asks.
    pub fn invoke(&mut self, id: u64, op: Op, now: u64) {
        let at = id as usize;
        if self.requests.len() <= at {
            self.requests.resize(at + 1, None);
        }
        self.requests[at] = Some(Request { op, start: now, answer: None });
    }

    /// A client is told that its request was carried out, and what the register held before.
    pub fn respond(&mut self, id: u64, before: u64, now: u64) {
        if let Some(Some(request)) = self.requests.get_mut(id as usize) {
            request.answer = Some((now, before));
        }
    }

    /// An entry takes effect for the first time anywhere. No client here asks twice, so nothing may
    /// take effect twice, but for what was forwarded, which is delivered at least once.
    pub fn applied(&mut self, id: u64, op: Op) -> Checked {
        let at = id as usize;
        if self.applied.len() <= at {
            self.applied.resize(at + 1, false);
        }
        if std::mem::replace(&mut self.applied[at], true) && op != Op::Touch {
            return broken(
                "one effect per request",
                format!("request {id} {op:?} is carried out twice"),
            );
        }
        Ok(())
    }

    /// Whether one register can have told all this.
    pub fn check(&self) -> Checked {
        let mut clusters = self.clusters();
        clusters.retain(|c| c.seen);
        for c in &clusters {
            let Some(written) = c.written else {
                return unlinear(format!("{} was read and never written", c.value));
            };
            if c.first_read_end < written {
                return unlinear(format!("{} was read before it was written", c.value));
            }
        }
        let mut forward: Vec<&Cluster> = clusters.iter().filter(|c| c.is_forward()).collect();
        forward.sort_unstable_by_key(|c| (c.first_end, c.last_start));
        for pair in forward.windows(2) {
            if let [a, b] = pair
                && b.first_end < a.last_start
            {
                let detail = format!("{} and {} were there at the same time", a.value, b.value);
                return unlinear(detail);
            }
        }
        for c in clusters.iter().filter(|c| !c.is_forward()) {
            let after = forward.partition_point(|f| f.first_end < c.last_start);
            if let Some(f) = after.checked_sub(1).and_then(|at| forward.get(at))
                && c.first_end < f.last_start
            {
                return unlinear(format!("{} was there while {} was", c.value, f.value));
            }
        }
        Ok(())
    }

    fn clusters(&self) -> Vec<Cluster> {
        // One for every value that was written or that somebody says to have read.
        let answers = self.requests.iter().flatten().filter_map(|request| request.answer);
        let most = answers.map(|(_, before)| before).max().unwrap_or(0);
        let values = most.max(self.requests.len() as u64) + 1;
        let mut clusters: Vec<Cluster> = (0..values).map(Cluster::new).collect();
        // The register holds nothing at first: as if that had been written before the start.
        if let Some(first) = clusters.first_mut() {
            (first.written, first.seen, first.first_end) = (Some(0), true, 0);
        }
        for (id, request) in self.requests.iter().enumerate() {
            let Some(Request { op, start, answer }) = *request else { continue };
            let (end, before) = answer.unwrap_or((u64::MAX, 0));
            let read = matches!(op, Op::Read | Op::Swap(..)) && answer.is_some();
            if read && let Some(c) = clusters.get_mut(before as usize) {
                c.seen = true;
                c.first_end = c.first_end.min(end);
                c.last_start = c.last_start.max(start);
                c.first_read_end = c.first_read_end.min(end);
            }
            let writes = match op {
                Op::Write => true,
                // One that was not answered may have swapped.
                Op::Swap(from) => answer.is_none() || before == from,
                Op::Read | Op::Touch => false,
            };
            if writes && let Some(c) = clusters.get_mut(id) {
                c.written = Some(start);
                c.seen |= answer.is_some();
                c.first_end = c.first_end.min(end);
                c.last_start = c.last_start.max(start);
            }
        }
        clusters
    }
}

fn unlinear(detail: String) -> Checked {
    broken("linearizability", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests as (operation, start, end, held before); no end means never answered.
    type Told = (Op, u64, Option<u64>, u64);

    fn judge(requests: &[Told]) -> Checked {
        let mut history = History::default();
        for (at, &(op, start, end, before)) in requests.iter().enumerate() {
            let id = at as u64 + 1;
            history.invoke(id, op, start);
            if let Some(end) = end {
                history.respond(id, before, end);
            }
        }
        history.check()
    }

    #[test]
    fn what_one_register_can_have_told_passes() {
        let (w, r) = (Op::Write, Op::Read);
        let good: &[&[Told]] = &[
            &[],
            &[(r, 1, Some(2), 0)],
            &[(w, 1, Some(2), 0), (r, 3, Some(4), 1)],
            // Concurrent: either order.
            &[(w, 1, Some(9), 0), (r, 2, Some(3), 0), (r, 4, Some(5), 1)],
            // Never answered, and yet carried out, late.
            &[(w, 1, None, 0), (w, 3, Some(4), 0), (r, 5, Some(6), 2), (r, 7, Some(8), 1)],
            &[(w, 1, None, 0), (w, 3, Some(4), 0), (r, 5, Some(6), 2)],
            &[(w, 1, Some(2), 0), (Op::Swap(1), 3, Some(4), 1), (r, 5, Some(6), 2)],
            &[(w, 1, Some(2), 0), (Op::Swap(9), 3, Some(4), 1), (r, 5, Some(6), 1)],
        ];
        for history in good {
            assert_eq!(judge(history), Ok(()), "{history:?}");
        }
    }

    #[test]
    fn what_no_register_can_have_told_fails() {
        let (w, r) = (Op::Write, Op::Read);
        let bad: &[&[Told]] = &[
            // From nowhere, from the future, forgotten.
            &[(r, 1, Some(2), 7)],
            &[(r, 1, Some(2), 2), (w, 3, Some(4), 0)],
            &[(w, 1, Some(2), 0), (r, 3, Some(4), 0)],
            // Overwritten, and yet read again.
            &[(w, 1, Some(2), 0), (w, 3, Some(4), 0), (r, 5, Some(6), 1)],
            &[(w, 1, None, 0), (r, 2, Some(3), 1), (w, 4, Some(5), 0), (r, 6, Some(7), 1)],
            // Two readers see two writes in different orders.
            &[
                (w, 1, Some(20), 0),
                (w, 1, Some(20), 0),
                (r, 2, Some(3), 1),
                (r, 4, Some(5), 2),
                (r, 6, Some(7), 1),
            ],
            // A swap of what had been swapped away.
            &[(w, 1, Some(2), 0), (Op::Swap(1), 3, Some(4), 1), (Op::Swap(1), 5, Some(6), 1)],
        ];
        for history in bad {
            assert!(judge(history).is_err(), "{history:?}");
        }
    }

    #[test]
    fn an_effect_may_happen_once() {
        let mut history = History::default();
        assert_eq!(history.applied(1, Op::Read), Ok(()));
        assert_eq!(history.applied(2, Op::Touch), Ok(()));
        assert_eq!(history.applied(2, Op::Touch), Ok(()));
        assert!(history.applied(1, Op::Read).is_err());
    }
}
