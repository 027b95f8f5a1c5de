//! What a stream does with the messages of its sources, and where it left off with each.
//!
//! Laws: a stored message names its source and its sequence there, which is all that is needed to
//!       go on after a restart; what could not be stored is asked for again; what a stream has, it
//!       does not take twice.
//! Reference: stream.go processInboundSourceMsg, startingSequenceForSources.
//! Parity: SRC-003, SRC-004, SRC-005, SRC-013.   Hot path.

use jetstream_api::source_header::{self, SourceHeader};
use jetstream_api::subject::Ack;
use jetstream_api::validate::short_hash;
use jetstream_api::{StreamSource, SubjectTransformConfig};
use stdx::time::Now;
use store::disk::Disk;
use store::{Filter, MessageStore};
use subject::Transform;

use super::ingest::{Refusal, Via};
use super::origin::{Delivery, Origin, Position, Role, Step};
use super::{Incoming, Limits, Stream};
use crate::out::Out;

/// The header by which a message tells where it comes from.
pub(super) const HEADER: &[u8] = b"Nats-Stream-Source";

/// Buffers that one delivery after the other uses.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) subject: Vec<u8>,
    pub(super) header: Vec<u8>,
    value: Vec<u8>,
}

impl<D: Disk> Stream<D> {
    /// Where it stands, for a request to an origin.
    pub fn position(&self) -> Position {
        let state = self.store.state();
        Position {
            msgs: state.msgs,
            first_seq: state.first_seq,
            last_seq: self.last_seq,
            last_ts: state.last_ts,
        }
    }

    /// Takes what an origin's consumer delivered: a message, a request for flow control, a sign of
    /// life.
    pub fn draw<O: Out>(
        &mut self,
        origin: &mut Origin,
        m: &Incoming<'_>,
        limits: &Limits,
        scratch: &mut Scratch,
        now: Now,
        out: &mut O,
    ) -> Step {
        origin.hear(now.mono);
        let reply = m.reply.unwrap_or_default();
        if m.payload.is_empty() && m.header.starts_with(b"NATS/1.0 100 ") {
            return origin.handle_control(reply, m.header, now, out);
        }
        let Some(ack) = Ack::parse(reply) else { return Step::Nothing };
        match (origin.judge(&ack), origin.role) {
            (Delivery::Ignored, _) => Step::Nothing,
            (Delivery::Missed, _) => origin.retry(None, now, out),
            (Delivery::Next, Role::Source) => {
                self.draw_source(origin, m, &ack, limits, scratch, now, out)
            }
            (delivery, _) => self.draw_mirror(origin, m, &ack, delivery, limits, scratch, now, out),
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the pieces of one delivery and its surroundings"
    )]
    fn draw_source<O: Out>(
        &mut self,
        origin: &mut Origin,
        m: &Incoming<'_>,
        ack: &Ack<'_>,
        limits: &Limits,
        scratch: &mut Scratch,
        now: Now,
        out: &mut O,
    ) -> Step {
        scratch.value.clear();
        let name = origin.index_name();
        source_header::write(name, ack.stream_seq, m.subject, &mut scratch.value);
        plain_header(m.header, Some(&scratch.value), &mut scratch.header);
        let subject = rename(&origin.transforms, m.subject, &mut scratch.subject, out);
        let drawn = Incoming { subject, reply: None, header: &scratch.header, payload: m.payload };
        match self.take_drawn(&drawn, Via::Source, limits, now, out) {
            Ok(_) | Err(Refusal::Duplicate(_)) => {
                origin.done(ack);
                Step::Nothing
            }
            Err(refused) => {
                let step = origin.retry(Some(ack.stream_seq), now, out);
                origin.error = refused.into_error();
                step
            }
        }
    }

    /// Finds out where it left off with sources that do not know: the newest message of each says.
    pub fn resume(&mut self, origins: &mut [&mut Origin]) {
        let mut open: Vec<usize> = (0..origins.len()).collect();
        let state = self.store.state();
        if state.msgs == 0 {
            return;
        }
        let mut from = state.last_seq;
        let mut filter = self.places_of(origins, &open);
        while !open.is_empty() {
            let Ok(Some(m)) = self.store.prev(&filter, from) else { return };
            if let Some(value) = wire::header::get(&m.header, HEADER)
                && let Some(source) = SourceHeader::parse(value)
            {
                let before = open.len();
                open.retain(|at| {
                    let Some(origin) = origins.get_mut(*at) else { return false };
                    let own = names(&source, origin);
                    if own {
                        origin.seq = source.seq;
                    }
                    !own
                });
                if open.len() != before {
                    filter = self.places_of(origins, &open);
                }
            }
            let Some(before) = m.seq.checked_sub(1).filter(|seq| *seq > 0) else { return };
            from = before;
        }
    }

    /// Subjects under which messages of these origins lie here.
    fn places_of(&self, origins: &[&mut Origin], open: &[usize]) -> Filter {
        if self.transform.is_some() {
            return Filter::All;
        }
        let mut texts = Vec::new();
        for origin in open.iter().filter_map(|at| origins.get(*at)) {
            let source = origin.source();
            if source.subject_transforms.is_empty() {
                texts.push(source.filter_subject.clone().into_bytes());
            }
            texts.extend(source.subject_transforms.iter().map(place_of));
        }
        Filter::any_of(texts.iter().map(Vec::as_slice))
    }
}

impl Refusal {
    /// What an origin says of it.
    pub(super) fn into_error(self) -> Option<jetstream_api::ApiError> {
        match self {
            Self::Error(error) => Some(error),
            Self::Duplicate(_) => None,
        }
    }
}

/// Whether a stored header is about this origin; old ones name the stream only.
fn names(header: &SourceHeader<'_>, origin: &Origin) -> bool {
    match header.index_name() {
        Some(name) => name == origin.index_name().as_bytes(),
        None => {
            let StreamSource { name, external, .. } = origin.source();
            header.stream == name.as_bytes()
                || external.as_ref().is_some_and(|e| {
                    header.stream == format!("{name}:{}", short_hash(&e.api)).as_bytes()
                })
        }
    }
}

/// A filter for everything that a transform makes; all there is if that cannot be told.
fn place_of(transform: &SubjectTransformConfig) -> Vec<u8> {
    if transform.dest.is_empty() {
        return transform.src.clone().into_bytes();
    }
    let mut out = Vec::new();
    for token in transform.dest.split('.') {
        if !out.is_empty() {
            out.push(b'.');
        }
        let one = token.to_ascii_lowercase().replace(' ', "");
        if token.starts_with('$') || one.starts_with("{{wildcard(") {
            out.push(b'*');
        } else if token.contains("{{") {
            // Functions may make several tokens of one.
            return Vec::new();
        } else {
            out.extend_from_slice(token.as_bytes());
        }
    }
    out
}

/// The subject that the first fitting transform gives.
pub(super) fn rename<'a, O: Out>(
    transforms: &[Transform],
    subject: &'a [u8],
    buf: &'a mut Vec<u8>,
    out: &mut O,
) -> &'a [u8] {
    for transform in transforms {
        buf.clear();
        if transform.apply_if_match(subject, || out.random() as u32, buf) {
            return buf;
        }
    }
    subject
}

/// The header without what only its first publisher meant: expectations, batches, an older source.
/// `source` takes the place of that. Empty if nothing is left.
pub(super) fn plain_header(block: &[u8], source: Option<&[u8]>, out: &mut Vec<u8>) {
    out.clear();
    let line = memchr::memchr(b'\n', block).and_then(|at| block.get(..=at));
    out.extend_from_slice(line.unwrap_or(wire::header::LINE));
    let empty = out.len();
    let mut field = |name: &[u8], value: &[u8]| {
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    };
    for (name, value) in wire::header::fields(block) {
        let gone = name.starts_with(b"Nats-Expected-")
            || name.starts_with(b"Nats-Batch-")
            || source.is_some() && name == HEADER;
        if !gone {
            field(name, value);
        }
    }
    if let Some(source) = source {
        field(HEADER, source);
    }
    if out.len() == empty {
        out.clear();
    } else {
        out.extend_from_slice(b"\r\n");
    }
}
