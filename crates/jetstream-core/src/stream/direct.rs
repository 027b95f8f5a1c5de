//! Direct gets: stored messages, answered as messages.
//!
//! One message, a batch that follows a filter, or the last of many subjects as they were at one
//! point; a batch ends in a `204 EOB`.
//! Reference: stream.go processDirectGetRequest, getDirectRequest, getDirectMulti.
//! Parity: DGET-*.

use jetstream_api::request::MsgGetRequest;
use jetstream_api::{json, level};
use store::disk::Disk;
use store::{Error, Filter, Message, MessageStore};

use super::Stream;
use crate::out::{Out, Outgoing};

/// Subjects that one request may ask the last messages of.
const MAX_RESULTS: usize = 1024;

const LEVEL: &str = "412 Required Api Level";
const EMPTY: &str = "408 Empty Request";
const MALFORMED: &str = "408 Malformed Request";
const BAD: &str = "408 Bad Request";
const NOT_FOUND: &str = "404 Message Not Found";
const NO_RESULTS: &str = "404 No Results";
const TOO_MANY: &str = "413 Too Many Results";

/// Why a request is answered with a status alone.
struct Status(String);

impl From<&str> for Status {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// What a batch tells beside each message.
#[derive(Clone, Copy)]
struct Step {
    pending: u64,
    last: u64,
}

impl<D: Disk> Stream<D> {
    /// Answers a direct get. `subject` is what the request's subject names, if it names one;
    /// `max_bytes` bounds a batch that does not say so itself.
    pub fn direct_get<O: Out>(
        &mut self,
        subject: Option<&[u8]>,
        header: &[u8],
        body: &[u8],
        reply: &[u8],
        max_bytes: usize,
        out: &mut O,
    ) {
        let asked = asked(subject, header, body);
        let done = asked.and_then(|asked| {
            if asked.multi_last.is_empty() {
                self.get(&asked, reply, max_bytes, out)
            } else {
                self.get_last_of_many(&asked, reply, max_bytes, out)
            }
        });
        if let Err(Status(status)) = done {
            let header = format!("NATS/1.0 {status}\r\n\r\n");
            out.send(Outgoing::new(reply, header.as_bytes(), b""));
        }
    }

    fn get<O: Out>(
        &mut self,
        asked: &MsgGetRequest,
        reply: &[u8],
        max_bytes: usize,
        out: &mut O,
    ) -> Result<(), Status> {
        let mut seq = match asked.start_time {
            Some(time) => self.store.seq_at_time(time).map_err(|_| NOT_FOUND)?,
            None => asked.seq,
        };
        let batch = usize::try_from(asked.batch).unwrap_or(0);
        let filter = Filter::parse(asked.next_by_subj.as_bytes());
        let mut step = Step { pending: 0, last: 0 };
        if batch > 0 {
            step.pending = self.store.num_pending(&filter, seq, false).map_err(|_| NOT_FOUND)?;
        }
        let max_bytes = bound(asked, max_bytes);
        let (mut sent, mut bytes) = (0, 0);
        while sent < batch.max(1) {
            let found = if asked.next_by_subj.is_empty() && seq == 0 {
                self.store.prev(&Filter::parse(asked.last_by_subj.as_bytes()), u64::MAX)
            } else if asked.next_by_subj.is_empty() && batch == 0 {
                self.store.load(seq).map(Some)
            } else {
                self.store.next(&filter, seq)
            };
            let message = match found {
                Ok(Some(message)) => message,
                Ok(None) | Err(_) if sent > 0 => break,
                Ok(None) | Err(_) => return Err(NOT_FOUND.into()),
            };
            seq = message.seq + 1;
            step.pending = step.pending.saturating_sub(1);
            self.send_located(&message, reply, asked.no_hdr, (batch > 0).then_some(step), out);
            step.last = message.seq;
            sent += 1;
            bytes += size(&message);
            if bytes >= max_bytes {
                break;
            }
        }
        if batch > 0 {
            let end = format!(
                "NATS/1.0 204 EOB\r\nNats-Num-Pending: {}\r\nNats-Last-Sequence: {}\r\n\r\n",
                step.pending, step.last
            );
            out.send(Outgoing::new(reply, end.as_bytes(), b""));
        }
        Ok(())
    }

    fn get_last_of_many<O: Out>(
        &mut self,
        asked: &MsgGetRequest,
        reply: &[u8],
        max_bytes: usize,
        out: &mut O,
    ) -> Result<(), Status> {
        let state = self.store.state();
        let up_to = match asked.up_to_time {
            Some(time) => {
                let after = self.store.seq_at_time(time).map_err(|_| NO_RESULTS)?;
                // Compat(DGET-005): nothing is older than the first message.
                if after <= state.first_seq {
                    return Err(NO_RESULTS.into());
                }
                after - 1
            }
            None if asked.up_to_seq > 0 => asked.up_to_seq,
            None => state.last_seq,
        };
        let filter = Filter::any_of(asked.multi_last.iter().map(String::as_bytes));
        let seqs = match self.store.multi_last(&filter, up_to, MAX_RESULTS) {
            Ok(seqs) if seqs.is_empty() => return Err(NO_RESULTS.into()),
            Ok(seqs) => seqs,
            Err(Error::TooManyResults) => return Err(TOO_MANY.into()),
            Err(error) => return Err(Status(format!("500 {error}"))),
        };
        let batch = usize::try_from(asked.batch).unwrap_or(0);
        let max_bytes = bound(asked, max_bytes);
        let mut step = Step { pending: seqs.len() as u64, last: 0 };
        let (mut sent, mut bytes) = (0, 0);
        for seq in seqs {
            step.pending = step.pending.saturating_sub(1);
            if seq < asked.seq {
                continue;
            }
            let message = self.store.load(seq).map_err(|_| NOT_FOUND)?;
            self.send_located(&message, reply, false, Some(step), out);
            step.last = seq;
            bytes += size(&message);
            sent += 1;
            if bytes >= max_bytes || sent == batch {
                break;
            }
        }
        let end = format!(
            "NATS/1.0 204 EOB\r\nNats-Num-Pending: {}\r\nNats-Last-Sequence: {}\r\n\
             Nats-UpTo-Sequence: {up_to}\r\n\r\n",
            step.pending, step.last
        );
        out.send(Outgoing::new(reply, end.as_bytes(), b""));
        Ok(())
    }

    /// Sends a message with headers that say where it is stored.
    fn send_located<O: Out>(
        &self,
        message: &Message,
        reply: &[u8],
        bare: bool,
        step: Option<Step>,
        out: &mut O,
    ) {
        let mut header = out.scratch();
        header.clear();
        if !bare {
            self.locate(message, step, &mut header);
        }
        out.send(Outgoing::new(reply, &header, &message.payload));
        out.give_back(header);
    }

    fn locate(&self, message: &Message, step: Option<Step>, header: &mut Vec<u8>) {
        match message.header.strip_suffix(b"\r\n") {
            Some(own) => header.extend_from_slice(own),
            None => header.extend_from_slice(wire::header::LINE),
        }
        let number = |header: &mut Vec<u8>, name: &[u8], n: u64| {
            header.extend_from_slice(name);
            wire::encode::decimal(header, n);
            header.extend_from_slice(b"\r\n");
        };
        header.extend_from_slice(b"Nats-Stream: ");
        header.extend_from_slice(self.config.name.as_bytes());
        header.extend_from_slice(b"\r\nNats-Subject: ");
        header.extend_from_slice(&message.subject);
        number(header, b"\r\nNats-Sequence: ", message.seq);
        header.extend_from_slice(b"Nats-Time-Stamp: ");
        message.ts.put_rfc3339(header);
        header.extend_from_slice(b"\r\n");
        if let Some(step) = step {
            number(header, b"Nats-Num-Pending: ", step.pending);
            number(header, b"Nats-Last-Sequence: ", step.last);
        }
        header.extend_from_slice(b"\r\n");
    }
}

fn size(m: &Message) -> usize {
    m.subject.len() + m.header.len() + m.payload.len()
}

/// Bytes after which a batch ends.
fn bound(asked: &MsgGetRequest, max_bytes: usize) -> usize {
    usize::try_from(asked.max_bytes).ok().filter(|n| *n > 0).unwrap_or(max_bytes)
}

/// What is asked for, if it makes sense.
fn asked(subject: Option<&[u8]>, header: &[u8], body: &[u8]) -> Result<MsgGetRequest, Status> {
    if level::refuses(wire::header::get(header, level::REQUIRED_HEADER.as_bytes())) {
        return Err(LEVEL.into());
    }
    if body.is_empty() && subject.is_none() {
        return Err(EMPTY.into());
    }
    let mut asked = MsgGetRequest::default();
    if !body.is_empty() {
        asked = json::unmarshal(body).map_err(|_| MALFORMED)?;
    }
    let (seq, last) = (asked.seq > 0, !asked.last_by_subj.is_empty());
    let (next, multi) = (!asked.next_by_subj.is_empty(), !asked.multi_last.is_empty());
    let (time, batch) = (asked.start_time.is_some(), asked.batch > 0);
    if let Some(subject) = subject {
        let until = asked.up_to_seq != 0 || asked.up_to_time.is_some();
        if subject.is_empty() || seq || last || next || multi || time || until || asked.batch != 0 {
            return Err(BAD.into());
        }
        asked.last_by_subj = String::from_utf8_lossy(subject).into_owned();
        return Ok(asked);
    }
    if !(seq || last || next || multi || time) {
        return Err(EMPTY.into());
    }
    let conflict = (seq && (last || time))
        || (last && (time || next || batch || multi))
        || (next && multi)
        || (asked.up_to_seq > 0 && asked.up_to_time.is_some());
    if conflict { Err(BAD.into()) } else { Ok(asked) }
}
