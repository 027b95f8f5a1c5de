//! Choosing one member of a queue group for each message.
//!
//! Laws: a random start, then the next member that can take it (SUBJ-003); a message is lost to
//!       the group only when no member can take it; a member sees a publisher's order.
//! Hot path: one pass over the members per run, one lock per member chosen.

use super::Run;
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

    /// Many messages: draw a member for each, then serve member by member. Where a member may not
    /// take what it is drawn for, message by message, because what one leaves to another has to
    /// reach that one in order.
    fn spread(&mut self, members: &[Handle], account: &Arc<Account>, run: &Run<'_>) -> Traffic {
        let mut sent = Traffic::default();
        if members.iter().any(|member| may_refuse(&member.0, run)) {
            for msg in 0..run.msgs.len() {
                let got = self.probe(members, account, run, msg);
                sent.add(got.msgs, got.bytes);
            }
            return sent;
        }
        let mut picks = std::mem::take(&mut self.picks);
        picks.clear();
        for _ in run.msgs {
            let pick = self.pick(members.len());
            picks.push(pick as u32);
        }
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
                // It was closed in this moment; what it took are the first. The next member has
                // not been served and takes the rest in order.
                let of_it = picks.iter_mut().filter(|pick| **pick == index);
                of_it.skip(got.msgs as usize).for_each(|pick| *pick += 1);
            }
        }
        // What the last member left, too.
        for msg in 0..picks.len() {
            if picks.get(msg) == Some(&(members.len() as u32)) {
                let got = self.probe(members, account, run, msg);
                sent.add(got.msgs, got.bytes);
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
