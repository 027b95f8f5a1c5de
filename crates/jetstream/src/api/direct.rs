//! Direct gets, from their queue to the stream.

use jetstream_core::stream::DirectGet;
use store::ColdRead;

use crate::place::Disk;
use crate::queue::Frame;
use crate::reads::{Asked, Turn};
use crate::shard::Shard;

const PREFIX: usize = "$JS.API.DIRECT.GET.".len();

impl Shard {
    pub(crate) fn handle_direct(&mut self, frame: &Frame<'_>) {
        let Some(reply) = frame.reply.filter(|r| !r.is_empty()) else { return };
        self.catch_up();
        let at = frame.tag.stream;
        if self.place(at).is_none_or(|p| p.generation != frame.tag.part) {
            return;
        }
        let Turn::Now { defers } = self.turn(at, reply) else {
            self.stand_in_line(at, reply, Asked::direct(frame));
            return self.read_for_later(frame);
        };
        match self.direct_get(frame, defers) {
            (Some(get), Some(read)) => self.begin_line(at, reply, Asked::Begun(get), read),
            (_, Some(read)) => self.await_read(at, read, None),
            _ => {}
        }
        self.note_read(at);
    }

    /// Answers a direct get; if it has to wait for the disk, it is returned with what to read.
    pub(crate) fn direct_get(
        &mut self,
        frame: &Frame<'_>,
        defers: bool,
    ) -> (Option<Box<DirectGet>>, Option<ColdRead<Disk>>) {
        let (at, reply) = (frame.tag.stream, frame.reply.unwrap_or_default());
        let max_bytes = self.shared.config.max_pending;
        let Some(place) = self.places.get_mut(at as usize).and_then(Option::as_deref_mut) else {
            return (None, None);
        };
        let subject = named(frame);
        let mut out = self.lent.out(at, &place.account.account);
        let (header, body) = (frame.header, frame.payload);
        place.stream.store().defer_reads(defers);
        let waits = place.stream.direct_get(subject, header, body, reply, max_bytes, &mut out);
        place.stream.store().defer_reads(false);
        (waits, place.stream.store().take_cold())
    }

    /// Has read what a direct get will want that others are before.
    fn read_for_later(&mut self, frame: &Frame<'_>) {
        let at = frame.tag.stream;
        let Some(place) = self.place(at).filter(|p| !p.reads_enough()) else { return };
        place.stream.store().defer_reads(true);
        place.stream.foresee_direct_get(named(frame), frame.header, frame.payload);
        place.stream.store().defer_reads(false);
        if let Some(read) = place.stream.store().take_cold() {
            self.await_read(at, read, None);
        }
    }
}

/// What the subject of a direct get names, if it names a subject. Before that stands the name of the
/// stream, or of the one that it mirrors.
fn named<'a>(frame: &Frame<'a>) -> Option<&'a [u8]> {
    frame.subject.get(PREFIX..)?.splitn(2, |b| *b == b'.').nth(1)
}
