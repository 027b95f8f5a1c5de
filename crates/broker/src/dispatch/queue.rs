//! Choosing one member of a queue group for each message.
//!
//! Laws: a random start, then the next member that can take it (SUBJ-003); a message is lost to
//!       the group only when no member can take it.
//! Hot path: one pass over the members per run, one lock per member chosen.

use super::Run;
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
            ([only], _) => self.deliver_run(&only.0, account, run, |_| true),
            (_, [_]) => self.probe(members, account, run, 0),
            _ => self.spread(members, account, run),
        }
    }

    /// One message: try members from a random one on.
    fn probe(
        &mut self,
        members: &[Handle],
        account: &Arc<Account>,
        run: &Run<'_>,
        msg: usize,
    ) -> Traffic {
        let start = self.pick(members.len());
        for i in 0..members.len() {
            let Some(member) = members.get((start + i) % members.len()) else { continue };
            let got = self.deliver_run(&member.0, account, run, |at| at == msg);
            if got.msgs > 0 {
                return got;
            }
        }
        Traffic::default()
    }

    /// Many messages: draw a member for each, then serve member by member. What a member did not
    /// take is offered to the others.
    fn spread(&mut self, members: &[Handle], account: &Arc<Account>, run: &Run<'_>) -> Traffic {
        let mut picks = std::mem::take(&mut self.picks);
        picks.clear();
        for _ in run.msgs {
            let pick = self.pick(members.len());
            picks.push(pick as u32);
        }
        let mut sent = Traffic::default();
        for (index, member) in members.iter().enumerate() {
            let index = index as u32;
            let wanted = picks.iter().filter(|pick| **pick == index).count() as u64;
            if wanted == 0 {
                continue;
            }
            let mine = |at: usize| picks.get(at) == Some(&index);
            let got = self.deliver_run(&member.0, account, run, mine);
            sent.add(got.msgs, got.bytes);
            if got.msgs < wanted {
                // Taken in order, so the refused ones are the last.
                let refused = picks
                    .iter()
                    .enumerate()
                    .filter(|(_, pick)| **pick == index)
                    .map(|(at, _)| at)
                    .skip(got.msgs as usize);
                for msg in refused.collect::<Vec<_>>() {
                    let got = self.probe(members, account, run, msg);
                    sent.add(got.msgs, got.bytes);
                }
            }
        }
        self.picks = picks;
        sent
    }

    #[inline]
    fn pick(&mut self, members: usize) -> usize {
        // Multiply-shift keeps the choice even without a division.
        ((u128::from(self.random()) * members as u128) >> 64) as usize
    }
}
