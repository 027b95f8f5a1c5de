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

/// Why a request is not answered to the end.
enum Stop {
    /// It is answered with a status alone.
    Status(String),
    /// The disk has to be waited for.
    Cold,
}

impl From<&str> for Stop {
    fn from(text: &str) -> Self {
        Self::Status(text.to_owned())
    }
}

/// The store says no: that has this status, unless it was only not to wait.
fn or(status: &str) -> impl FnOnce(Error) -> Stop + '_ {
    move |error| if matches!(error, Error::Cold(_)) { Stop::Cold } else { status.into() }
}

/// What a batch tells beside each message.
#[derive(Clone, Copy, Default)]
struct Step {
    pending: u64,
    last: u64,
}

/// How far an answer has come.
#[derive(Default)]
struct Progress {
    /// Where it begins, and what there is, was found out.
    has_begun: bool,
    /// Where to go on.
    seq: u64,
    /// The last of each subject, and how many of them are done with.
    lasts: Vec<u64>,
    done: usize,
    up_to: u64,
    step: Step,
    sent: usize,
    bytes: usize,
}

/// A direct get that is being answered.
#[derive(Clone, Copy)]
struct Call<'a> {
    asked: &'a MsgGetRequest,
    reply: &'a [u8],
    /// What bounds a batch that does not say so itself.
    max_bytes: usize,
}

/// A direct get that waits for the disk.
pub struct DirectGet {
    asked: MsgGetRequest,
    reply: Box<[u8]>,
    max_bytes: usize,
    progress: Progress,
}

impl DirectGet {
    /// Where its answer goes.
    pub fn reply(&self) -> &[u8] {
        &self.reply
    }

    /// How far it has come; it differs once it came further.
    pub fn mark(&self) -> (u64, usize) {
        (self.progress.seq, self.progress.done)
    }

    /// Bytes it holds, about.
    pub fn weight(&self) -> usize {
        let asked = &self.asked;
        let texts: usize = asked.multi_last.iter().map(|s| s.len() + size_of::<String>()).sum();
        let filters = asked.last_by_subj.len() + asked.next_by_subj.len() + self.reply.len();
        size_of::<Self>() + texts + filters + self.progress.lasts.len() * size_of::<u64>()
    }

    /// Ends the answer on this reply subject: the stream is gone.
    pub fn unanswered<O: Out>(reply: &[u8], out: &mut O) {
        tell(NOT_FOUND, reply, out);
    }
}

impl<D: Disk> Stream<D> {
    /// Answers a direct get. `subject` is what the request's subject names, if it names one;
    /// `max_bytes` bounds a batch that does not say so itself. With reads that are deferred it may
    /// have to go on later: then it is returned.
    pub fn direct_get<O: Out>(
        &mut self,
        subject: Option<&[u8]>,
        header: &[u8],
        body: &[u8],
        reply: &[u8],
        max_bytes: usize,
        out: &mut O,
    ) -> Option<Box<DirectGet>> {
        let asked = match asked(subject, header, body) {
            Ok(asked) => asked,
            Err(status) => {
                tell(status, reply, out);
                return None;
            }
        };
        let mut progress = Progress::default();
        let is_done = self.go_on(Call { asked: &asked, reply, max_bytes }, &mut progress, out);
        let waits = || Box::new(DirectGet { asked, reply: reply.into(), max_bytes, progress });
        (!is_done).then(waits)
    }

    /// Goes on with a direct get; true if it is done.
    pub fn resume_direct_get<O: Out>(&mut self, get: &mut DirectGet, out: &mut O) -> bool {
        let DirectGet { asked, reply, max_bytes, progress } = get;
        self.go_on(Call { asked, reply, max_bytes: *max_bytes }, progress, out)
    }

    /// Asks for what a direct get will ask for, so that what is cold is known.
    pub fn foresee_direct_get(&mut self, subject: Option<&[u8]>, header: &[u8], body: &[u8]) {
        let Ok(asked) = asked(subject, header, body) else { return };
        if asked.batch == 0 && asked.multi_last.is_empty() && asked.start_time.is_none() {
            let filter = Filter::parse(asked.next_by_subj.as_bytes());
            // Whatever the answer is, it is given when it is the request's turn.
            let _ = self.next_of(&asked, &filter, asked.seq, 0);
        }
    }

    fn go_on<O: Out>(&mut self, call: Call<'_>, progress: &mut Progress, out: &mut O) -> bool {
        let done = if call.asked.multi_last.is_empty() {
            self.get(call, progress, out)
        } else {
            self.get_last_of_many(call, progress, out)
        };
        match done {
            Ok(()) => true,
            Err(Stop::Status(status)) => {
                tell(&status, call.reply, out);
                true
            }
            Err(Stop::Cold) => false,
        }
    }

    fn get<O: Out>(
        &mut self,
        call: Call<'_>,
        progress: &mut Progress,
        out: &mut O,
    ) -> Result<(), Stop> {
        let Call { asked, reply, .. } = call;
        let batch = usize::try_from(asked.batch).unwrap_or(0);
        let filter = Filter::parse(asked.next_by_subj.as_bytes());
        if !progress.has_begun {
            progress.seq = match asked.start_time {
                Some(time) => self.store.seq_at_time(time).map_err(or(NOT_FOUND))?,
                None => asked.seq,
            };
            if batch > 0 {
                let pending = self.store.num_pending(&filter, progress.seq, false);
                progress.step.pending = pending.map_err(or(NOT_FOUND))?;
            }
            progress.has_begun = true;
        }
        let max_bytes = bound(asked, call.max_bytes);
        while progress.sent < batch.max(1) {
            let found = self.next_of(asked, &filter, progress.seq, batch);
            let message = match found {
                Ok(Some(message)) => message,
                Err(Error::Cold(reached)) => {
                    // What it selects is not before.
                    if !asked.next_by_subj.is_empty() {
                        progress.seq = progress.seq.max(reached);
                    }
                    return Err(Stop::Cold);
                }
                Ok(None) | Err(_) if progress.sent > 0 => break,
                Ok(None) | Err(_) => return Err(NOT_FOUND.into()),
            };
            progress.seq = message.seq + 1;
            let step = &mut progress.step;
            step.pending = step.pending.saturating_sub(1);
            self.send_located(&message, reply, asked.no_hdr, (batch > 0).then_some(*step), out);
            step.last = message.seq;
            progress.sent += 1;
            progress.bytes += size(&message);
            if progress.bytes >= max_bytes {
                break;
            }
        }
        if batch > 0 {
            let end = format!(
                "NATS/1.0 204 EOB\r\nNats-Num-Pending: {}\r\nNats-Last-Sequence: {}\r\n\r\n",
                progress.step.pending, progress.step.last
            );
            out.send(Outgoing::new(reply, end.as_bytes(), b""));
        }
        Ok(())
    }

    fn next_of(
        &mut self,
        asked: &MsgGetRequest,
        filter: &Filter,
        seq: u64,
        batch: usize,
    ) -> store::Result<Option<Message>> {
        if asked.next_by_subj.is_empty() && seq == 0 {
            self.store.prev(&Filter::parse(asked.last_by_subj.as_bytes()), u64::MAX)
        } else if asked.next_by_subj.is_empty() && batch == 0 {
            self.store.load(seq).map(Some)
        } else {
            self.store.next(filter, seq)
        }
    }

    fn get_last_of_many<O: Out>(
        &mut self,
        call: Call<'_>,
        progress: &mut Progress,
        out: &mut O,
    ) -> Result<(), Stop> {
        let Call { asked, reply, .. } = call;
        if !progress.has_begun {
            progress.up_to = self.up_to(asked)?;
            let filter = Filter::any_of(asked.multi_last.iter().map(String::as_bytes));
            progress.lasts = match self.store.multi_last(&filter, progress.up_to, MAX_RESULTS) {
                Ok(seqs) if seqs.is_empty() => return Err(NO_RESULTS.into()),
                Ok(seqs) => seqs,
                Err(Error::TooManyResults) => return Err(TOO_MANY.into()),
                Err(Error::Cold(_)) => return Err(Stop::Cold),
                Err(error) => return Err(Stop::Status(format!("500 {error}"))),
            };
            progress.step.pending = progress.lasts.len() as u64;
            progress.has_begun = true;
        }
        let batch = usize::try_from(asked.batch).unwrap_or(0);
        let max_bytes = bound(asked, call.max_bytes);
        while let Some(&seq) = progress.lasts.get(progress.done) {
            let mut step = progress.step;
            step.pending = step.pending.saturating_sub(1);
            if seq >= asked.seq {
                let message = self.store.load(seq).map_err(or(NOT_FOUND))?;
                self.send_located(&message, reply, false, Some(step), out);
                step.last = seq;
                progress.bytes += size(&message);
                progress.sent += 1;
            }
            progress.step = step;
            progress.done += 1;
            if progress.sent > 0 && (progress.bytes >= max_bytes || progress.sent == batch) {
                break;
            }
        }
        let Progress { step, up_to, .. } = progress;
        let end = format!(
            "NATS/1.0 204 EOB\r\nNats-Num-Pending: {}\r\nNats-Last-Sequence: {}\r\n\
             Nats-UpTo-Sequence: {up_to}\r\n\r\n",
            step.pending, step.last
        );
        out.send(Outgoing::new(reply, end.as_bytes(), b""));
        Ok(())
    }

    /// The sequence up to which the last messages are asked for.
    fn up_to(&mut self, asked: &MsgGetRequest) -> Result<u64, Stop> {
        let state = self.store.state();
        let Some(time) = asked.up_to_time else {
            return Ok(if asked.up_to_seq > 0 { asked.up_to_seq } else { state.last_seq });
        };
        let after = self.store.seq_at_time(time).map_err(or(NO_RESULTS))?;
        // Compat(DGET-005): nothing is older than the first message.
        if after <= state.first_seq { Err(NO_RESULTS.into()) } else { Ok(after - 1) }
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

fn tell<O: Out>(status: &str, reply: &[u8], out: &mut O) {
    let header = format!("NATS/1.0 {status}\r\n\r\n");
    out.send(Outgoing::new(reply, header.as_bytes(), b""));
}

/// What is asked for, if it makes sense; otherwise the status that says why not.
fn asked(
    subject: Option<&[u8]>,
    header: &[u8],
    body: &[u8],
) -> Result<MsgGetRequest, &'static str> {
    if level::refuses(wire::header::get(header, level::REQUIRED_HEADER.as_bytes())) {
        return Err(LEVEL);
    }
    if body.is_empty() && subject.is_none() {
        return Err(EMPTY);
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
            return Err(BAD);
        }
        asked.last_by_subj = String::from_utf8_lossy(subject).into_owned();
        return Ok(asked);
    }
    if !(seq || last || next || multi || time) {
        return Err(EMPTY);
    }
    let conflict = (seq && (last || time))
        || (last && (time || next || batch || multi))
        || (next && multi)
        || (asked.up_to_seq > 0 && asked.up_to_time.is_some());
    if conflict { Err(BAD) } else { Ok(asked) }
}
