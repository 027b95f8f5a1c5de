//! What a mirror does with the messages of its origin: it gives them the places they have there.
//!
//! Laws: a message has the sequence and the time it has at the origin; what the origin no longer
//!       has, or a filter leaves out, is a gap here as well.
//! Reference: stream.go processInboundMirrorMsg, skipMsgs.
//! Parity: SRC-001, SRC-002.   Hot path.

use jetstream_api::subject::Ack;
use stdx::time::{Now, Timestamp};
use store::disk::Disk;
use store::{Error, MessageStore};

use super::ingest::Via;
use super::origin::{Begun, Delivery, Origin, Role, Step};
use super::source::{Scratch, plain_header, rename};
use super::{Incoming, Limits, Stream};
use crate::out::Out;

/// A mirror this close to its origin answers for it.
const CAUGHT_UP: u64 = 10;

impl<D: Disk> Stream<D> {
    /// The consumer at the origin is there. What it has passed already is a gap.
    pub fn begin_drawing<O: Out>(
        &mut self,
        origin: &mut Origin,
        begun: Begun,
        now: Now,
        out: &mut O,
    ) -> Step {
        match origin.role {
            Role::Source => origin.seq = origin.seq.max(begun.passed),
            Role::Mirror => {
                if let Err(error) = self.skip_to(begun.passed, now) {
                    self.note_trouble(&error);
                    return origin.retry(None, now, out);
                }
                origin.seq = self.last_seq;
            }
        }
        origin.lag = begun.pending;
        Step::Nothing
    }

    /// Uses up the sequences up to `seq` without messages.
    fn skip_to(&mut self, seq: u64, now: Now) -> Result<(), Error> {
        let Some(missing) = seq.checked_sub(self.last_seq).filter(|n| *n > 0) else {
            return Ok(());
        };
        self.store.skip_many(self.last_seq + 1, missing, now.wall)?;
        self.last_seq = seq;
        Ok(())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the pieces of one delivery and its surroundings"
    )]
    pub(super) fn draw_mirror<O: Out>(
        &mut self,
        origin: &mut Origin,
        m: &Incoming<'_>,
        ack: &Ack<'_>,
        delivery: Delivery,
        limits: &Limits,
        scratch: &mut Scratch,
        now: Now,
        out: &mut O,
    ) -> Step {
        if self.last_seq != origin.seq {
            // It was purged or restored meanwhile.
            return origin.retry(None, now, out);
        }
        if delivery == Delivery::AfterGap
            && let Err(error) = self.skip_to(ack.stream_seq - 1, now)
        {
            self.note_trouble(&error);
            return origin.retry(None, now, out);
        }
        let header = if m.header.is_empty() {
            m.header
        } else {
            plain_header(m.header, None, &mut scratch.header);
            &scratch.header
        };
        let subject = rename(&origin.transforms, m.subject, &mut scratch.subject, out);
        let copy = Incoming { subject, reply: None, header, payload: m.payload };
        let via = Via::Mirror(ack.stream_seq, Timestamp(ack.ts));
        match self.take_drawn(&copy, via, limits, now, out) {
            Ok(_) => {
                origin.done(ack);
                Step::Nothing
            }
            Err(refused) => {
                let step = origin.retry(None, now, out);
                origin.error = refused.into_error();
                step
            }
        }
    }
}

impl Origin {
    /// Whether a mirror has what its origin has, but for what is on its way.
    pub fn is_caught_up(&self) -> bool {
        self.is_drawing() && self.lag < CAUGHT_UP
    }
}
