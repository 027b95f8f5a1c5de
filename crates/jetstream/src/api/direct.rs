//! Direct gets, from their queue to the stream.

use jetstream_core::stream::DirectGet;

use store::ColdRead;

use crate::place::Disk;
use crate::queue::Frame;
use crate::reads::{Asked, requester};
use crate::shard::Shard;

const PREFIX: usize = "$JS.API.DIRECT.GET.".len();

impl Shard {
    pub(crate) fn handle_direct(&mut self, frame: &Frame<'_>) {
        let Some(reply) = frame.reply.filter(|r| !r.is_empty()) else { return };
        self.catch_up();
        let at = frame.tag.stream;
        let Some(place) = self.place(at).filter(|p| p.generation == frame.tag.part) else { return };
        let defers = !place.waits_too_much();
        if place.keeps_waiting(reply) {
            if defers {
                return self.stand_in_line(at, reply, Asked::direct(frame));
            }
            self.serve_line(at, requester(reply), false);
        }
        if let Some((get, read)) = self.direct_get(frame, defers) {
            self.begin_line(at, reply, Asked::Begun(get), read);
        }
        self.note_read(at);
    }

    /// Answers a direct get; if it has to wait for the disk, it is returned with what to read.
    pub(crate) fn direct_get(
        &mut self,
        frame: &Frame<'_>,
        defers: bool,
    ) -> Option<(Box<DirectGet>, ColdRead<Disk>)> {
        let (at, reply) = (frame.tag.stream, frame.reply.unwrap_or_default());
        let max_bytes = self.shared.config.max_pending;
        let place = self.places.get_mut(at as usize)?.as_deref_mut()?;
        // The name is that of the stream, or of the one that it mirrors.
        let rest = frame.subject.get(PREFIX..).unwrap_or_default();
        let subject = rest.splitn(2, |b| *b == b'.').nth(1);
        let mut out = crate::out::ShardOut {
            worker: &mut self.worker,
            account: &place.account.account,
            answers: &mut self.answers,
            scratch: &mut self.scratch,
            random: &mut self.random,
            stream: at,
        };
        let (header, body) = (frame.header, frame.payload);
        place.stream.store().defer_reads(defers);
        let waits = place.stream.direct_get(subject, header, body, reply, max_bytes, &mut out);
        place.stream.store().defer_reads(false);
        waits.and_then(|get| Some((get, place.stream.store().take_cold()?)))
    }
}
