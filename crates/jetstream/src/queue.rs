//! The way from network threads to a shard: messages as bytes one behind the other, so that
//! handing one over neither allocates nor counts references.
//!
//! Laws: what one thread pushed comes out in its order; the lock is held for copying only; the
//!       shard is woken once per sleep.
//! Hot path.

use std::sync::OnceLock;
use std::thread::Thread;

use broker::sub::InternalMessage;
use bytes::Bytes;
use parking_lot::Mutex;

use crate::event::Event;

/// Whom a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) kind: Kind,
    /// The stream's place on its shard.
    pub(crate) stream: u32,
    /// The consumer's place on its stream, or what else the kind says.
    pub(crate) part: u32,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A message for a stream.
    Publish,
    /// The same, but the stream is too far behind: its publisher is told.
    Refuse,
    /// An acknowledgement.
    Ack,
    /// A request for messages.
    Pull,
    /// A direct get.
    Direct,
    /// A reply to a flow control request.
    Flow,
    /// A message of the origin of a mirror or source.
    Sourced,
    /// Position `part` in the batch's events.
    Event,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Publish,
        Self::Refuse,
        Self::Ack,
        Self::Pull,
        Self::Direct,
        Self::Flow,
        Self::Sourced,
        Self::Event,
    ];
}

/// One message as the shard sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) tag: Tag,
    pub(crate) subject: &'a [u8],
    pub(crate) reply: Option<&'a [u8]>,
    pub(crate) header: &'a [u8],
    pub(crate) payload: &'a [u8],
}

/// Frames and events in the order they were pushed.
#[derive(Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    pub(crate) events: Vec<Option<Event>>,
    at: usize,
}

const HEAD: usize = 32;
/// Room kept between batches.
const KEEP: usize = 1 << 20;

fn put(out: &mut Vec<u8>, tag: Tag, m: &InternalMessage<'_>) {
    let reply = m.reply.unwrap_or_default();
    let lens = [m.subject.len(), reply.len(), m.header.len(), m.payload.len()];
    out.reserve(HEAD + lens.iter().sum::<usize>());
    out.extend_from_slice(&[tag.kind as u8, u8::from(m.reply.is_some()), 0, 0]);
    out.extend_from_slice(&tag.stream.to_le_bytes());
    out.extend_from_slice(&tag.part.to_le_bytes());
    for len in lens {
        // Bounded by the server's maximum payload, itself far below 4 GiB.
        out.extend_from_slice(&(len as u32).to_le_bytes());
    }
    out.extend_from_slice(&[0; 4]);
    for part in [m.subject, reply, m.header, m.payload] {
        out.extend_from_slice(part);
    }
}

impl Batch {
    /// The next frame, if there is one.
    pub(crate) fn next(&mut self) -> Option<Frame<'_>> {
        let rest = self.bytes.get(self.at..)?;
        let head = rest.get(..HEAD)?;
        let word = |at: usize| -> u32 {
            let bytes = head.get(at..at + 4).and_then(|b| b.try_into().ok());
            u32::from_le_bytes(bytes.unwrap_or_default())
        };
        let kind = *Kind::ALL.get(usize::from(*head.first()?))?;
        let tag = Tag { kind, stream: word(4), part: word(8) };
        let mut from = HEAD;
        let mut take = |len: u32| {
            let part = rest.get(from..from + len as usize).unwrap_or_default();
            from += len as usize;
            part
        };
        let (subject, reply) = (take(word(12)), take(word(16)));
        let (header, payload) = (take(word(20)), take(word(24)));
        let reply = (head.get(1) == Some(&1)).then_some(reply);
        self.at += from;
        Some(Frame { tag, subject, reply, header, payload })
    }

    /// Empties it, keeping a moderate amount of room.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEEP);
        self.events.clear();
        self.at = 0;
    }
}

#[derive(Default)]
struct Inner {
    batch: Batch,
    /// The shard sleeps, or is about to: whoever pushes next wakes it.
    asleep: bool,
    closed: bool,
}

/// One shard's queue.
#[derive(Default)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    thread: OnceLock<Thread>,
}

impl Queue {
    /// Names the thread that empties it.
    pub(crate) fn served_by(&self, thread: Thread) {
        let _ = self.thread.set(thread);
    }

    /// Copies a message in.
    pub(crate) fn push(&self, tag: Tag, message: &InternalMessage<'_>) {
        let mut inner = self.inner.lock();
        if inner.closed {
            return;
        }
        put(&mut inner.batch.bytes, tag, message);
        let wake = std::mem::take(&mut inner.asleep);
        drop(inner);
        if wake {
            self.wake();
        }
    }

    /// Queues something else, in order with the messages.
    pub(crate) fn push_event(&self, event: Event) {
        let mut inner = self.inner.lock();
        if inner.closed {
            return;
        }
        let part = inner.batch.events.len() as u32;
        inner.batch.events.push(Some(event));
        let nothing =
            InternalMessage { subject: b"", reply: None, header: b"", payload: b"", origin: None };
        put(&mut inner.batch.bytes, Tag { kind: Kind::Event, stream: 0, part }, &nothing);
        let wake = std::mem::take(&mut inner.asleep);
        drop(inner);
        if wake {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Takes everything that waits; if there is nothing, the caller is marked asleep and must park
    /// or call [`Self::awake`].
    pub(crate) fn take(&self, batch: &mut Batch) -> bool {
        let mut inner = self.inner.lock();
        if inner.batch.bytes.is_empty() {
            inner.asleep = true;
            return false;
        }
        std::mem::swap(&mut inner.batch, batch);
        true
    }

    /// The shard stays awake though the queue was empty.
    pub(crate) fn awake(&self) {
        self.inner.lock().asleep = false;
    }

    /// Nothing is taken in any more.
    pub(crate) fn close(&self) {
        self.inner.lock().closed = true;
    }
}

/// Bytes an event carries that were borrowed from a message.
pub(crate) fn owned(part: &[u8]) -> Bytes {
    Bytes::copy_from_slice(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let queue = Queue::default();
        let tag = |part| Tag { kind: Kind::Publish, stream: 7, part };
        let mut batch = Batch::default();
        assert!(!queue.take(&mut batch));
        queue.awake();
        for i in 0..3u32 {
            let payload = vec![b'x'; i as usize];
            let reply: Option<&[u8]> = (i != 1).then_some(b"r");
            let message = InternalMessage {
                subject: b"a.b",
                reply,
                header: b"NATS/1.0\r\n\r\n",
                payload: &payload,
                origin: None,
            };
            queue.push(tag(i), &message);
        }
        queue.push_event(Event::Stop);
        assert!(queue.take(&mut batch));
        for i in 0..3u32 {
            let frame = batch.next().unwrap();
            assert_eq!(frame.tag, tag(i));
            assert_eq!((frame.subject, frame.reply.is_some()), (&b"a.b"[..], i != 1));
            assert_eq!((frame.header.len(), frame.payload.len()), (12, i as usize));
        }
        assert_eq!(batch.next().unwrap().tag.kind, Kind::Event);
        assert!(batch.next().is_none());
        assert!(matches!(batch.events.first(), Some(Some(Event::Stop))));
        batch.clear();
        assert!(!queue.take(&mut batch));
    }
}
