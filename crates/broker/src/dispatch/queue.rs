//! Choosing one member of a queue group for each message.
//!
//! Laws: a random start, then the next member that can take it (SUBJ-003); a message is lost to
//!       the group only when no member can take it; a member sees a publisher's order.
//! Hot path: one pass over the members per run, one lock per member chosen.

use super::{Run, RunMsg};
use crate::account::Account;
use crate::conn::flag;
use crate::stats::Traffic;
use crate::sub::{Handle, Sub, Target};
use crate::worker::Worker;
use std::sync::Arc;

impl Worker {
    /// Delivers each message of the run to one of `members`.
    pub(super) fn deliver_queue(
        &mut self,
        members: &[Handle],
        account: &Arc<Account>,
        run: &Run<'_>,
    ) -> Traffic {
        match (members, run.msgs) {
            ([], _) | (_, []) => Traffic::default(),
            ([only], _) => self.deliver_run(&only.0, account, run),
            (_, [_]) => self.probe(members, account, run),
            _ => self.spread(members, account, run),
        }
    }

    /// One message: try members from a random one on.
    fn probe(&mut self, members: &[Handle], account: &Arc<Account>, run: &Run<'_>) -> Traffic {
        let start = below(self.random(), members.len());
        for i in 0..members.len() {
            let Some(member) = members.get((start + i) % members.len()) else { continue };
            let got = self.deliver_run(&member.0, account, run);
            if got.msgs > 0 {
                return got;
            }
        }
        Traffic::default()
    }

    /// Many messages: draw a member for each, then serve member by member. Where a member may not
    /// take what it is drawn for, message by message, because what one leaves to another has to
    /// reach that one in order.
    fn spread(&mut self, members: &[Handle], account: &Arc<Account>, run: &Run<'_>) -> Traffic {
        let mut sent = Traffic::default();
        if members.iter().any(|member| may_refuse(&member.0, run)) {
            for msg in run.msgs {
                let got = self.probe(members, account, &run.only(msg));
                sent.add(got.msgs, got.bytes);
            }
            return sent;
        }
        let mut lots = std::mem::take(&mut self.lots);
        lots.draw(run.msgs, members.len(), || self.random());
        let mut from = 0;
        // What a member that was closed in this moment did not take; the next one, which has not
        // been served yet, gets it in order with its own.
        let mut left = Vec::new();
        for (member, until) in members.iter().zip(&lots.ends) {
            let drawn = lots.sorted.get(from..*until as usize).unwrap_or_default();
            from = *until as usize;
            let merged = (!left.is_empty()).then(|| in_order(std::mem::take(&mut left), drawn));
            let msgs = merged.as_deref().unwrap_or(drawn);
            if msgs.is_empty() {
                continue;
            }
            let whole = run.whole.map(|_| msgs.iter().map(|msg| msg.len() as u64).sum());
            let got = self.deliver_run(&member.0, account, &Run { msgs, whole, ..*run });
            sent.add(got.msgs, got.bytes);
            // Taken in order, so the refused ones are the last.
            left.extend_from_slice(msgs.get(got.msgs as usize..).unwrap_or_default());
        }
        for msg in &left {
            let got = self.probe(members, account, &run.only(msg));
            sent.add(got.msgs, got.bytes);
        }
        self.lots = lots;
        sent
    }
}

/// Messages of one run in the order they were published.
#[cold]
fn in_order(mut some: Vec<RunMsg>, others: &[RunMsg]) -> Vec<RunMsg> {
    some.extend_from_slice(others);
    some.sort_by_key(RunMsg::place);
    some
}

/// Whether a member may leave messages of the run to others, as far as can be known now.
#[inline]
fn may_refuse(sub: &Arc<Sub>, run: &Run<'_>) -> bool {
    let Target::Conn(conn) = &sub.target else { return true };
    let flags = conn.flags();
    let own = || run.origin.is_some_and(|origin| Arc::ptr_eq(origin, conn));
    sub.shadow().is_some()
        || sub.is_closed()
        || sub.counted().max() > 0
        || (flags & flag::NO_ECHO != 0 && own())
        || conn.is_denied(sub, run.subject)
        || (flags & flag::NO_STALL != 0 && conn.outbox.lock().stalls_producers())
}

/// A random number below `most`: multiply-shift keeps the choice even without a division.
#[inline]
fn below(random: u64, most: usize) -> usize {
    ((u128::from(random) * most as u128) >> 64) as usize
}

/// Scratch: which member gets which messages.
#[derive(Default)]
pub(crate) struct Lots {
    picks: Vec<u32>,
    /// Where each member's messages end in `sorted`.
    ends: Vec<u32>,
    /// The messages by member, each member's in order.
    sorted: Vec<RunMsg>,
}

impl Lots {
    /// Draws a member for each message, and sorts them by counting.
    fn draw(&mut self, msgs: &[RunMsg], members: usize, mut random: impl FnMut() -> u64) {
        self.ends.clear();
        self.ends.resize(members, 0);
        self.picks.clear();
        for _ in msgs {
            let pick = below(random(), members);
            self.picks.push(pick as u32);
            // Counted where the next member's begin.
            if let Some(count) = self.ends.get_mut(pick + 1) {
                *count += 1;
            }
        }
        let mut begin = 0;
        for count in &mut self.ends {
            begin += *count;
            *count = begin;
        }
        self.sorted.resize(msgs.len(), RunMsg::default());
        for (msg, pick) in msgs.iter().zip(&self.picks) {
            let Some(next) = self.ends.get_mut(*pick as usize) else { continue };
            if let Some(place) = self.sorted.get_mut(*next as usize) {
                place.clone_from(msg);
            }
            *next += 1;
        }
    }
}
