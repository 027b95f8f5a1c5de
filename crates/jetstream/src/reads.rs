//! Reads that wait for the disk: they run on the I/O pool, and whoever wanted one asks again when it
//! came back. Meanwhile the shard goes on with everything else.
//!
//! | who waits | meanwhile | asks again |
//! |---|---|---|
//! | a consumer | delivers nothing | from the message it stopped at |
//! | who sent a direct get or `MSG.GET`, or makes a consumer | those of the same requester stand in line behind, and what they want is read too | from where the answer stopped |
//! | messages that consumers are done with | those that follow wait as well | with the first |
//! | messages that are too old | are still there | with the first that is left |
//!
//! Laws: messages leave to one requester in the order of the requests; whoever waits is asked for once
//!       what it waits for came back, whatever came of it; what waits is bounded, and beyond that
//!       the shard waits for the disk itself, so that whoever asks is slowed down.
//! Not here: what is cold (`store::file::cold`).

use std::collections::VecDeque;

use hashbrown::HashMap;
use jetstream_core::stream::DirectGet;
use store::{ColdKey, ColdRead, Fetched};

use crate::event::{ApiRequest, Event};
use crate::place::{Disk, Place};
use crate::queue::{Frame, Tag};
use crate::shard::Shard;

/// Reads that a question may take without getting further, before it waits for them.
pub(crate) const PATIENCE: u16 = 64;
/// Bytes of requests that may wait for one stream.
const MOST_WAITING: usize = 16 << 20;

/// Reads under way for one stream while more are begun for requests whose turn it is not.
const MOST_FOR_LATER: usize = 32;

/// What waits for the reads of one stream.
#[derive(Default)]
pub(crate) struct Reads {
    under_way: Vec<(ColdKey, Vec<Waiter>)>,
    lines: HashMap<Box<[u8]>, Line>,
    /// Bytes of what stands in the lines.
    bytes: usize,
    /// Messages that consumers are done with.
    pub(crate) freeing: VecDeque<u64>,
}

impl Reads {
    fn is_over(&self) -> bool {
        self.under_way.is_empty() && self.lines.is_empty() && self.freeing.is_empty()
    }
}

/// Who asks again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// A consumer.
    Consumer(u32),
    /// The line of a requester.
    Requester(Box<[u8]>),
    /// Messages that are to leave.
    Freeing,
    /// Messages that are too old.
    Expiry,
}

/// Requests of one requester, the first of which is being answered.
#[derive(Default)]
struct Line {
    asked: VecDeque<Asked>,
    /// Reads since the first one got further.
    reads: u16,
}

/// A request that is not answered yet.
pub(crate) enum Asked {
    /// A direct get that nobody looked at yet.
    Direct(Box<Direct>),
    /// One that was begun.
    Begun(Box<DirectGet>),
    /// A `MSG.GET`.
    Message(Box<ApiRequest>),
    /// A request for a new consumer.
    Consumer(Box<ApiRequest>),
}

/// The frame of a direct get.
pub(crate) struct Direct {
    tag: Tag,
    subject: Box<[u8]>,
    reply: Box<[u8]>,
    header: Box<[u8]>,
    payload: Box<[u8]>,
}

impl Direct {
    fn frame(&self) -> Frame<'_> {
        Frame {
            tag: self.tag,
            subject: &self.subject,
            reply: Some(&self.reply),
            header: &self.header,
            payload: &self.payload,
        }
    }
}

impl Asked {
    pub(crate) fn direct(frame: &Frame<'_>) -> Self {
        Self::Direct(Box::new(Direct {
            tag: frame.tag,
            subject: frame.subject.into(),
            reply: frame.reply.unwrap_or_default().into(),
            header: frame.header.into(),
            payload: frame.payload.into(),
        }))
    }

    fn weight(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Direct(d) => {
                    size_of::<Direct>()
                        + d.subject.len()
                        + d.reply.len()
                        + d.header.len()
                        + d.payload.len()
                }
                Self::Begun(get) => get.weight(),
                Self::Message(m) | Self::Consumer(m) => {
                    size_of::<ApiRequest>() + m.subject.len() + m.header.len() + m.payload.len()
                }
            }
    }
}

/// Who asks, as far as the subject of the answers tells: clients use one inbox for all of them, and
/// tell answers apart by the last token.
fn requester(reply: &[u8]) -> &[u8] {
    let end = reply.iter().rposition(|b| *b == b'.').unwrap_or(reply.len());
    reply.get(..end).unwrap_or_default()
}

impl Place {
    /// Whether an earlier request of the same requester is not answered yet.
    fn keeps_waiting(&self, reply: &[u8]) -> bool {
        self.reads.as_ref().is_some_and(|reads| reads.lines.contains_key(requester(reply)))
    }

    /// Whether what waits for its reads is as much as may.
    pub(crate) fn waits_too_much(&self) -> bool {
        self.reads.as_ref().is_some_and(|reads| reads.bytes >= MOST_WAITING)
    }

    /// Whether no more is read for requests that others are before.
    pub(crate) fn reads_enough(&self) -> bool {
        self.reads.as_ref().is_some_and(|reads| reads.under_way.len() >= MOST_FOR_LATER)
    }

    fn push_asked(&mut self, who: &[u8], asked: Asked, in_front: bool) {
        let reads = self.reads.get_or_insert_default();
        reads.bytes += asked.weight();
        let line = reads.lines.entry(who.into()).or_default();
        if in_front { line.asked.push_front(asked) } else { line.asked.push_back(asked) }
    }

    /// Requests that will not be answered by reading.
    fn take_asked(&mut self) -> Vec<Asked> {
        let reads = self.reads.take().unwrap_or_default();
        reads.lines.into_values().flat_map(|line| line.asked).collect()
    }
}

/// When a request is answered.
pub(crate) enum Turn {
    /// After others of the same requester, that wait for the disk.
    Later,
    /// Now; the disk is waited for unless it `defers`.
    Now { defers: bool },
}

impl Shard {
    /// When a request is answered. Those that wait for so much already that this one may not join
    /// them are answered now.
    pub(crate) fn turn(&mut self, at: u32, reply: &[u8]) -> Turn {
        let Some(place) = self.place(at) else { return Turn::Now { defers: false } };
        let defers = !place.waits_too_much();
        if place.keeps_waiting(reply) {
            if defers {
                return Turn::Later;
            }
            self.serve_line(at, requester(reply), false);
        }
        Turn::Now { defers }
    }

    /// A question to a stream's store was cold: `waiter` asks again once this is read. Without one
    /// it is read for those to come.
    pub(crate) fn await_read(&mut self, at: u32, read: ColdRead<Disk>, waiter: Option<Waiter>) {
        let Some(place) = self.places.get_mut(at as usize).and_then(Option::as_deref_mut) else {
            return;
        };
        let (key, generation) = (read.key(), place.generation);
        let reads = place.reads.get_or_insert_default();
        if let Some((_, waiters)) = reads.under_way.iter_mut().find(|(other, _)| *other == key) {
            waiters.extend(waiter.filter(|w| !waiters.contains(w)));
            return;
        }
        reads.under_way.push((key, waiter.into_iter().collect()));
        let queue = self.queue.clone();
        self.shared.io.read(move || {
            let fetched = Box::new(read.run());
            queue.push_event(Event::Read { stream: at, generation, fetched });
        });
    }

    /// A read came back.
    pub(crate) fn handle_read(&mut self, at: u32, generation: u32, fetched: Fetched<Disk>) {
        let Some(place) = self.place(at).filter(|p| p.generation == generation) else { return };
        let Some(reads) = &mut place.reads else { return };
        let key = fetched.key();
        let found = reads.under_way.iter().position(|(other, _)| *other == key);
        let Some(found) = found else { return };
        let (_, waiters) = reads.under_way.swap_remove(found);
        place.stream.store().complete_read(fetched);
        self.catch_up();
        for waiter in waiters {
            match waiter {
                Waiter::Consumer(id) => self.wake_reader(at, id),
                Waiter::Requester(who) => self.serve_line(at, &who, true),
                Waiter::Freeing => self.free_waiting(at),
                Waiter::Expiry => self.expire(at),
            }
        }
        let Some(place) = self.place(at) else { return };
        place.stream.store().forget_read();
        if place.reads.as_ref().is_some_and(|reads| reads.is_over()) {
            place.reads = None;
        }
        self.note_read(at);
    }

    /// What a consumer waited for is there.
    fn wake_reader(&mut self, at: u32, id: u32) {
        let Some(member) = self.place(at).and_then(|p| p.members.get_mut(&id)) else { return };
        member.reading = false;
        // At once: another read might push out what came back for this one.
        if self.deliver_from(at, id) {
            self.make_ready(at, id);
        }
    }

    /// A request is answered after those before it.
    pub(crate) fn stand_in_line(&mut self, at: u32, reply: &[u8], asked: Asked) {
        if let Some(place) = self.place(at) {
            place.push_asked(requester(reply), asked, false);
        }
    }

    /// The first request of a requester is answered once what it takes is read.
    pub(crate) fn begin_line(&mut self, at: u32, reply: &[u8], asked: Asked, read: ColdRead<Disk>) {
        self.stand_in_line(at, reply, asked);
        self.await_read(at, read, Some(Waiter::Requester(requester(reply).into())));
    }

    /// Answers a requester's requests, up to one that has to wait for the disk; with `defers` unset
    /// it is waited for.
    pub(crate) fn serve_line(&mut self, at: u32, who: &[u8], defers: bool) {
        loop {
            let Some(reads) = self.place(at).and_then(|p| p.reads.as_mut()) else { return };
            let Some(line) = reads.lines.get_mut(who) else { return };
            let Some(asked) = line.asked.pop_front() else {
                reads.lines.remove(who);
                return;
            };
            let so_far = std::mem::take(&mut line.reads);
            reads.bytes = reads.bytes.saturating_sub(asked.weight());
            let waits = match asked {
                Asked::Direct(direct) => {
                    let waits = self.direct_get(&direct.frame(), defers);
                    let (get, read) = waits;
                    get.zip(read).map(|(get, read)| (Asked::Begun(get), read, true))
                }
                Asked::Begun(mut get) => {
                    let before = get.mark();
                    let cold = self.resume_get(at, &mut get, defers && so_far < PATIENCE);
                    let is_further = get.mark() != before;
                    cold.map(|read| (Asked::Begun(get), read, is_further))
                }
                Asked::Message(request) => {
                    let cold = self.resume_message_get(&request, defers && so_far < PATIENCE);
                    cold.map(|read| (Asked::Message(request), read, false))
                }
                Asked::Consumer(request) => {
                    let cold = self.resume_consumer_create(&request, defers && so_far < PATIENCE);
                    cold.map(|read| (Asked::Consumer(request), read, false))
                }
            };
            let Some((asked, read, is_further)) = waits else { continue };
            let Some(place) = self.place(at) else { return };
            place.push_asked(who, asked, true);
            if let Some(line) = place.reads.as_mut().and_then(|r| r.lines.get_mut(who)) {
                line.reads = if is_further { 1 } else { so_far.saturating_add(1) };
            }
            return self.await_read(at, read, Some(Waiter::Requester(who.into())));
        }
    }

    /// Goes on with a direct get; what has to be read first, if something does.
    fn resume_get(&mut self, at: u32, get: &mut DirectGet, defers: bool) -> Option<ColdRead<Disk>> {
        let place = self.places.get_mut(at as usize)?.as_deref_mut()?;
        let mut out = self.lent.out(at, &place.account.account);
        place.stream.store().defer_reads(defers);
        let done = place.stream.resume_direct_get(get, &mut out);
        place.stream.store().defer_reads(false);
        if done { None } else { place.stream.store().take_cold() }
    }

    /// Tells whoever waits for a read of a stream that is gone.
    pub(crate) fn dismiss_readers(&mut self, at: u32, place: &mut Place) {
        let account = place.account.account.clone();
        for asked in place.take_asked() {
            match asked {
                Asked::Direct(direct) => {
                    DirectGet::unanswered(&direct.reply, &mut self.lent.out(at, &account));
                }
                Asked::Begun(get) => {
                    DirectGet::unanswered(get.reply(), &mut self.lent.out(at, &account));
                }
                Asked::Message(request) => {
                    self.resume_message_get(&request, false);
                }
                Asked::Consumer(request) => {
                    self.resume_consumer_create(&request, false);
                }
            }
        }
    }
}
