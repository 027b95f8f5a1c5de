//! Messages that are traced, into a stream and back to who asked.
//!
//! Laws: the stream takes such a message as any other, in its order; the trace ends whatever
//!       happens to the stream meanwhile.
//! Reference: stream.go processInboundJetStreamMsg.   Contract: TRACE-002, TRACE-012.

use broker::sub::InternalMessage;
use broker::tracing::{StreamTrace, without_trace};
use bytes::Bytes;
use jetstream_core::stream::Incoming;

use crate::event::TracedPublish;
use crate::ingress::weight;
use crate::queue::{Tag, owned};
use crate::shard::Shard;

impl TracedPublish {
    /// Copies a message for the stream in `tag`.
    pub(crate) fn new(tag: Tag, m: &InternalMessage<'_>, trace: StreamTrace) -> Self {
        Self {
            stream: tag.stream,
            generation: tag.part,
            subject: owned(m.subject),
            reply: m.reply.map(owned),
            // What is delivered out of the stream later is not traced again.
            header: match trace.is_only() {
                true => owned(m.header),
                false => Bytes::from(without_trace(m.header)),
            },
            payload: owned(m.payload),
            trace,
        }
    }

    /// What it counts for while it waits.
    pub(crate) fn weight(&self) -> u64 {
        weight(&self.subject, self.reply.as_deref(), &self.header, &self.payload)
    }
}

impl Shard {
    pub(crate) fn handle_traced(&mut self, m: TracedPublish) {
        let Some(place) = self.places.get_mut(m.stream as usize).and_then(Option::as_deref_mut)
        else {
            return m.trace.end(None, false, Some("stream closed".to_owned()), &self.lent.worker);
        };
        if place.generation != m.generation {
            return m.trace.end(None, false, Some("stream closed".to_owned()), &self.lent.worker);
        }
        place.backlog.took(m.weight());
        let limits = place.limits(&self.shared);
        let message = Incoming {
            subject: &m.subject,
            reply: m.reply.as_deref(),
            header: &m.header,
            payload: &m.payload,
        };
        let mut out = self.lent.out(m.stream, &place.account.account);
        let only = m.trace.is_only();
        let told = place.stream.publish_traced(&message, only, &limits, self.now, &mut out);
        m.trace.end(told.subject.as_deref(), told.no_interest, told.refused, &self.lent.worker);
        self.touch(m.stream);
    }
}
