//! Direct gets: messages by sequence, subject or time, answered as messages.
//!
//! Reference: stream.go processDirectGetRequest, processDirectGetLastBySubjectRequest,
//! getDirectMulti, getDirectRequest.   Parity: DGET-*.

use jetstream_api::json;
use jetstream_api::request::MsgGetRequest;
use jetstream_core::{Out, Outgoing};
use store::{Error, Filter, Message, MessageStore};

use crate::queue::Frame;
use crate::shard::Shard;

const EMPTY: &[u8] = b"NATS/1.0 408 Empty Request\r\n\r\n";
const MALFORMED: &[u8] = b"NATS/1.0 408 Malformed Request\r\n\r\n";
const BAD: &[u8] = b"NATS/1.0 408 Bad Request\r\n\r\n";
const NOT_FOUND: &[u8] = b"NATS/1.0 404 Message Not Found\r\n\r\n";

/// The headers that say where a message is stored, added to its own.
fn located(stream: &str, m: &Message, no_header: bool) -> Vec<u8> {
    if no_header {
        return Vec::new();
    }
    let mut out = Vec::with_capacity(m.header.len() + 128);
    match m.header.strip_suffix(b"\r\n") {
        Some(own) => out.extend_from_slice(own),
        None => out.extend_from_slice(b"NATS/1.0\r\n"),
    }
    let seq = m.seq.to_string();
    let time = m.ts.rfc3339();
    let fields: [(&str, &[u8]); 4] = [
        ("Nats-Stream", stream.as_bytes()),
        ("Nats-Subject", &m.subject),
        ("Nats-Sequence", seq.as_bytes()),
        ("Nats-Time-Stamp", time.as_bytes()),
    ];
    for (name, value) in fields {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// What a direct get comes to.
enum Got {
    Status(&'static [u8]),
    Message(Message, bool),
}

impl Shard {
    pub(crate) fn handle_direct(&mut self, frame: &Frame<'_>) {
        let Some(reply) = frame.reply.filter(|r| !r.is_empty()) else { return };
        let at = frame.tag.stream;
        self.settle();
        let Some(place) = self.place(at).filter(|p| p.generation == frame.tag.part) else {
            return;
        };
        let name = place.config().name.clone();
        let head = "$JS.API.DIRECT.GET.".len() + name.len() + 1;
        let by_subject = frame.subject.get(head..).filter(|s| !s.is_empty());
        let got = direct(place.stream.store(), by_subject, frame.payload);
        let account = place.account.account.clone();
        let mut out = self.out(at, &account);
        match got {
            Got::Status(header) => out.send(Outgoing::new(reply, header, b"")),
            Got::Message(m, no_header) => {
                let header = located(&name, &m, no_header);
                out.send(Outgoing::new(reply, &header, &m.payload))
            }
        };
    }
}

fn direct(store: &mut impl MessageStore, subject: Option<&[u8]>, body: &[u8]) -> Got {
    let asked = if body.is_empty() {
        match subject {
            Some(_) => MsgGetRequest::default(),
            None => return Got::Status(EMPTY),
        }
    } else {
        match json::unmarshal::<MsgGetRequest>(body) {
            Ok(asked) => asked,
            Err(_) => return Got::Status(MALFORMED),
        }
    };
    let found = match subject {
        Some(subject) => store.prev(&Filter::parse(subject), u64::MAX),
        None => found(store, &asked),
    };
    match found {
        Ok(Some(m)) => Got::Message(m, asked.no_hdr),
        Ok(None) | Err(Error::NotFound | Error::Eof) => Got::Status(NOT_FOUND),
        Err(_) => Got::Status(BAD),
    }
}

fn found(store: &mut impl MessageStore, asked: &MsgGetRequest) -> store::Result<Option<Message>> {
    let seq = match asked.start_time {
        Some(time) => store.seq_at_time(time)?,
        None => asked.seq,
    };
    if !asked.next_by_subj.is_empty() {
        store.next(&Filter::parse(asked.next_by_subj.as_bytes()), seq)
    } else if seq > 0 {
        store.load(seq).map(Some)
    } else {
        store.prev(&Filter::parse(asked.last_by_subj.as_bytes()), u64::MAX)
    }
}
