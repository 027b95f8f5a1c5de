//! Choosing one member of a queue group for each message.
//!
//! Laws: a random start, then the next member that can take it (SUBJ-003); a message is lost to
//!       the group only when no member can take it.
//! Hot path: one pass over the members per run, one lock per member chosen.

use super::{Run, RunMsg};
use crate::account::Account;
use crate::stats::Traffic;
use crate::sub::Handle;
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

    /// Many messages: draw a member for each, then serve member by member. What a member did not
    /// take is offered to the others.
    fn spread(&mut self, members: &[Handle], account: &Arc<Account>, run: &Run<'_>) -> Traffic {
        let mut lots = std::mem::take(&mut self.lots);
        lots.draw(run.msgs, members.len(), || self.random());
        let mut sent = Traffic::default();
        let mut from = 0;
        for (member, until) in members.iter().zip(&lots.ends) {
            let msgs = lots.sorted.get(from..*until as usize).unwrap_or_default();
            from = *until as usize;
            if msgs.is_empty() {
                continue;
            }
            let whole = run.whole.map(|_| msgs.iter().map(|msg| msg.len() as u64).sum());
            let got = self.deliver_run(&member.0, account, &Run { msgs, whole, ..*run });
            sent.add(got.msgs, got.bytes);
            // Taken in order, so the refused ones are the last.
            for msg in msgs.get(got.msgs as usize..).unwrap_or_default() {
                let got = self.probe(members, account, &run.only(msg));
                sent.add(got.msgs, got.bytes);
            }
        }
        self.lots = lots;
        sent
    }
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
