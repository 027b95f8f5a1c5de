//! Direct gets, from their queue to the stream.

use crate::queue::Frame;
use crate::shard::Shard;

const PREFIX: usize = "$JS.API.DIRECT.GET.".len();

impl Shard {
    pub(crate) fn handle_direct(&mut self, frame: &Frame<'_>) {
        let Some(reply) = frame.reply.filter(|r| !r.is_empty()) else { return };
        self.catch_up();
        let at = frame.tag.stream;
        let max_bytes = self.shared.config.max_pending;
        let Some(place) = self.places.get_mut(at as usize).and_then(Option::as_deref_mut) else {
            return;
        };
        if place.generation != frame.tag.part {
            return;
        }
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
        place.stream.direct_get(subject, frame.header, frame.payload, reply, max_bytes, &mut out);
        self.note_read(at);
    }
}
