//! A stream's links to those that it draws from: subscriptions, requests, deadlines.
//!
//! Laws: a link listens to one subject at a time, under a number of its own, so that what an older
//!       subscription left in the queue is not mistaken; after every event its deadline is seen to.
//! Not here: when to ask and what a delivery means (`jetstream_core::stream::Origin`).
//! Parity: SRC-*.   Hot path: `handle_sourced`.

use broker::account::Account;
use jetstream_api::StreamSourceInfo;
use jetstream_core::stream::{Ask, Incoming, Origin, Role, Scratch, Step};
use jetstream_core::{Out, Outgoing};
use std::sync::Arc;
use stdx::time::{Mono, Now};

use crate::ingress::Listening;
use crate::out::ShardOut;
use crate::place::{Disk, Place};
use crate::queue::{Frame, Kind, Tag};
use crate::shard::Shard;

/// The streams that a stream draws from.
#[derive(Default)]
pub(crate) struct Links {
    list: Vec<Link>,
    scratch: Scratch,
    /// Direct gets for the stream that this one mirrors.
    directs: Vec<Listening>,
    /// The link that got the last message; mostly the next one as well.
    last: usize,
}

/// One stream to draw from.
struct Link {
    /// Names it among the shard's deadlines.
    id: u32,
    origin: Origin,
    /// What it listens to: answers or deliveries, as the origin's phase says.
    listening: Option<Listening>,
    /// Names that subscription.
    number: u32,
    deadline: Option<Mono>,
}

impl Links {
    /// Ends every subscription.
    pub(crate) fn deafen(&mut self) {
        self.directs.clear();
        for link in &mut self.list {
            link.listening = None;
            link.number = 0;
        }
    }

    /// Those that it draws from.
    pub(crate) fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.list.iter().map(|link| &link.origin)
    }

    pub(crate) fn origins_mut(&mut self) -> impl Iterator<Item = &mut Origin> {
        self.list.iter_mut().map(|link| &mut link.origin)
    }

    fn find(&mut self, number: u32) -> Option<usize> {
        if self.list.get(self.last).is_none_or(|l| l.number != number) {
            self.last = self.list.iter().position(|l| l.number == number)?;
        }
        Some(self.last)
    }
}

/// What a stream says of its origins.
pub(crate) fn infos(place: &Place, now: Now) -> (Option<StreamSourceInfo>, Vec<StreamSourceInfo>) {
    let Some(links) = &place.links else { return (None, Vec::new()) };
    let mut infos: Vec<_> = links.list.iter().map(|l| l.origin.info(now)).collect();
    if place.config().mirror.is_some() { (infos.pop(), Vec::new()) } else { (None, infos) }
}

/// The origins that a configuration names.
fn origins(place: &Place) -> Vec<Origin> {
    let (config, facts) = (place.config(), place.stream.facts());
    if config.sealed {
        return Vec::new();
    }
    let make = |role, source| Origin::new(role, source, &config.sources, &config.name, facts);
    let mirror = config.mirror.iter().map(|m| make(Role::Mirror, m));
    mirror.chain(config.sources.iter().map(|s| make(Role::Source, s))).collect()
}

impl Shard {
    /// Makes the links that the stream's configuration names; they do nothing yet.
    pub(crate) fn open_links(&mut self, at: u32) {
        let Some(place) = self.place(at) else { return };
        let wanted = origins(place);
        if wanted.is_empty() {
            return;
        }
        let ids: Vec<u32> = wanted.iter().map(|_| self.next_member()).collect();
        let Some(place) = self.place(at) else { return };
        let mut links = Box::<Links>::default();
        links.list = wanted
            .into_iter()
            .zip(ids)
            .map(|(origin, id)| Link { id, origin, listening: None, number: 0, deadline: None })
            .collect();
        resume(place, &mut links.list);
        place.links = Some(links);
        self.recall_sources(at);
    }

    /// Lets the links ask, unless they did.
    pub(crate) fn begin_drawing(&mut self, at: u32) {
        let count = self.place(at).and_then(|p| p.links.as_ref()).map_or(0, |l| l.list.len());
        for index in 0..count {
            self.with_link(at, index, |link, _, now, out| {
                link.origin.begin(now, out);
                Step::Nothing
            });
        }
    }

    /// The configuration changed: links that stay the same go on, others end or begin.
    pub(crate) fn change_links(&mut self, at: u32) {
        let Some(place) = self.place(at) else { return };
        let wanted = origins(place);
        let config = place.config().clone();
        let facts = place.stream.facts().clone();
        let mut old = place.links.take().unwrap_or_default();
        let mut kept = Vec::new();
        let mut new = Vec::new();
        for origin in wanted {
            let same = old.list.iter().position(|link| {
                let there = &link.origin;
                there.source() == origin.source()
                    && there.id() == origin.consumer_id(&config.sources, &config.name, &facts)
            });
            match same {
                Some(index) => kept.push(old.list.swap_remove(index)),
                None => new.push(origin),
            }
        }
        for link in old.list.drain(..) {
            self.end_link(at, link);
        }
        if kept.is_empty() && new.is_empty() {
            return;
        }
        let mut added: Vec<Link> = new
            .into_iter()
            .map(|origin| {
                let id = self.next_member();
                Link { id, origin, listening: None, number: 0, deadline: None }
            })
            .collect();
        let Some(place) = self.place(at) else { return };
        resume(place, &mut added);
        kept.append(&mut added);
        // In the order of the configuration, for those who look.
        let place_of = |link: &Link| config.sources.iter().position(|s| s == link.origin.source());
        kept.sort_by_key(place_of);
        let mut links = Links { list: kept, ..*old };
        links.last = 0;
        if !config.mirror_direct {
            links.directs.clear();
        }
        place.links = Some(Box::new(links));
        self.begin_drawing(at);
        self.answer_for_origin(at);
    }

    /// The stream goes: its consumers elsewhere go with it (SRC-014).
    pub(crate) fn end_links(&mut self, at: u32) {
        let Some(links) = self.place(at).and_then(|p| p.links.take()) else { return };
        for link in links.list {
            self.end_link(at, link);
        }
    }

    fn end_link(&mut self, at: u32, mut link: Link) {
        link.listening = None;
        self.timers.moved(at, link.id, link.deadline, None);
        let Some(account) = self.place(at).map(|p| p.account.account.clone()) else { return };
        let mut out = self.lent.out(at, &account);
        if let Some(ask) = link.origin.farewell(&mut out) {
            out.send(message(&ask));
        }
    }

    /// A link's deadline passed. `false` if there is no such link.
    pub(crate) fn tick_link(&mut self, at: u32, id: u32) -> bool {
        let Some(links) = self.place(at).and_then(|p| p.links.as_mut()) else { return false };
        let Some(index) = links.list.iter().position(|l| l.id == id) else { return false };
        if let Some(link) = links.list.get_mut(index) {
            link.deadline = None;
        }
        self.with_link(at, index, |link, stream, now, out| {
            let (config, facts) = (stream.config().clone(), stream.facts().clone());
            link.origin.tick(&config.name, &facts, stream.position(), now, out)
        });
        true
    }

    pub(crate) fn handle_sourced(&mut self, frame: &Frame<'_>) {
        let at = frame.tag.stream;
        let now = self.now;
        let Some(place) = self.places.get_mut(at as usize).and_then(Option::as_deref_mut) else {
            return;
        };
        let limits = place.limits(&self.shared);
        let Place { stream, account, links: Some(links), .. } = place else { return };
        let Some(index) = links.find(frame.tag.part) else { return };
        let Links { list, scratch, directs, .. } = &mut **links;
        let Some(link) = list.get_mut(index) else { return };
        let mut out = self.lent.out(at, &account.account);
        let origin = &mut link.origin;
        let step = if origin.is_drawing() {
            let message = Incoming {
                subject: frame.subject,
                reply: frame.reply,
                header: frame.header,
                payload: frame.payload,
            };
            stream.draw(origin, &message, &limits, scratch, now, &mut out)
        } else {
            let (config, facts) = (stream.config().clone(), stream.facts().clone());
            let position = stream.position();
            let (step, begun) =
                origin.handle_answer(frame.payload, &config.name, &facts, position, now, &mut out);
            match step {
                Step::Listen(subject) => match stream.begin_drawing(origin, begun, now, &mut out) {
                    Step::Nothing => Step::Listen(subject),
                    trouble => trouble,
                },
                step => step,
            }
        };
        let answers = stream.config().mirror_direct && directs.is_empty() && origin.is_caught_up();
        if step != Step::Nothing {
            self.carry_out(at, index, step);
        }
        if answers {
            self.answer_for_origin(at);
        }
        // Also for what only confirms: it waits until what came before is safe. A mere sign of life
        // does not keep the store from resting.
        if frame.reply.is_some() || !self.lent.answers.is_empty() {
            self.touch(at);
            self.note_drawn(at);
        }
    }

    /// Lends a link everything it needs, then does what it wants.
    fn with_link(
        &mut self,
        at: u32,
        index: usize,
        work: impl FnOnce(
            &mut Link,
            &mut jetstream_core::stream::Stream<Disk>,
            Now,
            &mut ShardOut<'_>,
        ) -> Step,
    ) {
        let now = self.now;
        let Some(place) = self.places.get_mut(at as usize).and_then(Option::as_deref_mut) else {
            return;
        };
        let Place { stream, account, links: Some(links), .. } = place else { return };
        let Some(link) = links.list.get_mut(index) else { return };
        let mut out = self.lent.out(at, &account.account);
        let step = work(link, stream, now, &mut out);
        self.carry_out(at, index, step);
    }

    fn carry_out(&mut self, at: u32, index: usize, step: Step) {
        match step {
            Step::Nothing => {}
            Step::Stop => self.listen_to(at, index, None),
            Step::Listen(subject) => self.listen_to(at, index, Some(&subject)),
            Step::Ask(ask) => {
                self.listen_to(at, index, Some(&ask.inbox));
                let Some(account) = self.account_of(at) else { return };
                if !self.lent.out(at, &account).send(message(&ask)) {
                    return self
                        .with_link(at, index, |link, _, now, out| link.origin.unheard(now, out));
                }
            }
        }
        self.set_link_deadline(at, index);
    }

    fn account_of(&mut self, at: u32) -> Option<Arc<Account>> {
        Some(self.place(at)?.account.account.clone())
    }

    fn listen_to(&mut self, at: u32, index: usize, subject: Option<&str>) {
        let number = self.next_member();
        let queue = self.queue.clone();
        let Some(place) = self.place(at) else { return };
        let account = place.account.account.clone();
        let Some(link) = place.links.as_mut().and_then(|l| l.list.get_mut(index)) else { return };
        // The old one ends first: a durable consumer asks whether somebody still listens.
        link.listening = None;
        link.number = number;
        let tag = Tag { kind: Kind::Sourced, stream: at, part: number };
        link.listening =
            subject.map(|s| Listening::others(&account, s.as_bytes(), None, queue, tag));
    }

    fn set_link_deadline(&mut self, at: u32, index: usize) {
        let Some(links) = self.place(at).and_then(|p| p.links.as_mut()) else { return };
        let Some(link) = links.list.get_mut(index) else { return };
        let deadline = link.origin.next_deadline();
        if deadline != link.deadline {
            let before = std::mem::replace(&mut link.deadline, deadline);
            let id = link.id;
            self.timers.moved(at, id, before, deadline);
        }
    }

    /// A mirror that has caught up answers direct gets for its origin, if it is to.
    fn answer_for_origin(&mut self, at: u32) {
        let queue = self.queue.clone();
        let Some(place) = self.place(at) else { return };
        let (config, generation) = (place.config().clone(), place.generation);
        let account = place.account.account.clone();
        let (Some(links), Some(mirror)) = (&mut place.links, &config.mirror) else { return };
        let close = links.list.first().is_some_and(|l| l.origin.is_caught_up());
        if !config.mirror_direct || !close || !links.directs.is_empty() {
            return;
        }
        let tag = Tag { kind: Kind::Direct, stream: at, part: generation };
        for end in ["", ".>"] {
            let subject = format!("$JS.API.DIRECT.GET.{}{end}", mirror.name);
            let group = Some(b"_sys_".as_slice());
            let queue = queue.clone();
            links.directs.push(Listening::others(&account, subject.as_bytes(), group, queue, tag));
        }
    }
}

fn message(ask: &Ask) -> Outgoing<'_> {
    let mut message = Outgoing::new(ask.subject.as_bytes(), &ask.header, &ask.body);
    message.reply = Some(ask.inbox.as_bytes());
    message
}

/// Finds out where the stream left off with its sources.
fn resume(place: &mut Place, links: &mut [Link]) {
    let sources = links.iter_mut().map(|l| &mut l.origin);
    let mut sources: Vec<_> = sources.filter(|o| o.role() == Role::Source).collect();
    place.stream.resume(&mut sources);
}
