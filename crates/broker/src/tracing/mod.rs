//! Message tracing: what becomes of one message inside this server, told to who asks for it.
//!
//! A traced message is dispatched alone; each step adds an event, and when the last step is done
//! the whole is published to the destination, in the publisher's account. A message to be *only*
//! traced is delivered to nobody.
//!
//! Not here: what asks for tracing (`header`), who may ask (`session::traced`), the way to
//! receivers (`dispatch::traced`).
//! Laws: one document per message and server; the first event is the publisher's; what another
//!       account does not allow to be traced is not told.
//! Reference: msgtrace.go.   Contract: TRACE-*.

mod event;
pub mod header;

pub(crate) use event::reason;

use crate::account::Account;
use crate::conn::Conn;
use crate::sub::Sub;
use crate::worker::Worker;
use event::{Event, Request, What};
use header::Asked;
use parking_lot::Mutex;
use std::sync::Arc;
use stdx::time::{Now, Timestamp};

/// What the reference numbers a client as.
const CLIENT: u8 = 0;

/// Publishes what became of traced messages, in the name of this server.
pub trait Herald: Send + Sync {
    /// Takes a report; called on network threads, so it must not block.
    fn publish(&self, report: Report);
}

/// What became of one message.
pub struct Report {
    /// In which account it is published.
    pub account: Arc<Account>,
    /// Where.
    pub dest: Box<[u8]>,
    /// Which compressions whoever asked understands; empty for none.
    pub accept: String,
    /// The document's members as JSON, behind the `server` that comes first.
    pub members: String,
}

/// Where an account sends the events of messages that carry a `traceparent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceTarget {
    /// The subject.
    pub subject: String,
    /// Percent of the messages, 1 to 100.
    pub sampling: u8,
}

/// One message that is traced.
pub struct Trace {
    account: Arc<Account>,
    dest: Box<[u8]>,
    only: bool,
    accept: String,
    request: Request,
    state: Mutex<State>,
}

struct State {
    events: Vec<Event>,
    /// Parts of the server that still have to say something.
    open: usize,
}

/// What is known of a message that is to be traced.
pub(crate) struct Traced<'a> {
    pub asked: Asked,
    /// Where the events go.
    pub dest: &'a [u8],
    pub subject: &'a [u8],
    /// Bytes of header and payload.
    pub size: usize,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Trace {
    /// Begins with the event of the publisher.
    pub(crate) fn new(account: &Arc<Account>, by: &Conn, traced: Traced<'_>, now: Now) -> Self {
        let Traced { asked, dest, subject, size } = traced;
        let ingress = What::Ingress {
            kind: CLIENT,
            cid: by.id,
            name: by.facts.lock().name.clone(),
            acc: account.name.clone(),
            subj: text(subject),
            error: String::new(),
        };
        Self {
            account: account.clone(),
            dest: dest.into(),
            only: asked.is_only(),
            accept: asked.value("Accept-Encoding").unwrap_or_default().to_owned(),
            request: Request { header: asked.fields, msgsize: size },
            state: Mutex::new(State { events: vec![Event::new(ingress, now.wall)], open: 1 }),
        }
    }

    /// Whether the message is not to be delivered.
    pub fn is_only(&self) -> bool {
        self.only
    }

    fn add(&self, what: What, at: Timestamp) {
        self.state.lock().events.push(Event::new(what, at));
    }

    /// The publisher was refused.
    pub(crate) fn refused(&self, why: &str) {
        if let Some(first) = self.state.lock().events.first_mut()
            && let (What::Ingress { error, .. }, _) = first.parts()
        {
            why.clone_into(error);
        }
    }

    /// Its subject was mapped.
    pub(crate) fn mapped(&self, to: &[u8], now: Now) {
        self.add(What::Mapping { to: text(to) }, now.wall);
    }

    /// It leaves for an account that imports a stream.
    pub(crate) fn exported(&self, importer: &str, to: &[u8], now: Now) {
        self.add(What::StreamExport { acc: importer.to_owned(), to: text(to) }, now.wall);
    }

    /// It crosses as a request or an answer.
    pub(crate) fn crossed(&self, into: &str, from: &[u8], to: &[u8], now: Now) {
        let (acc, from, to) = (into.to_owned(), text(from), text(to));
        self.add(What::ServiceImport { acc, from, to }, now.wall);
    }

    /// A client's subscription got it, or did not and why.
    pub(crate) fn egress(&self, sub: &Sub, conn: &Conn, error: Option<&'static str>, now: Now) {
        let (name, account) = {
            let facts = conn.facts.lock();
            (facts.name.clone(), facts.account.clone())
        };
        let egress = What::Egress {
            kind: CLIENT,
            cid: conn.id,
            name,
            acc: if account == self.account.name { String::new() } else { account },
            sub: text(sub.filter()),
            queue: text(sub.queue().unwrap_or_default()),
            error: error.unwrap_or_default(),
        };
        self.add(egress, now.wall);
    }

    /// A stream is about to take it.
    pub fn enter_stream(self: &Arc<Self>, stream: &str) -> StreamTrace {
        let mut state = self.state.lock();
        let at = state.events.len();
        state.open += 1;
        let what = What::JetStream {
            stream: stream.to_owned(),
            subject: String::new(),
            nointerest: false,
            error: String::new(),
        };
        // The stream's own thread puts the time in.
        let last = state.events.first_mut().map_or(Timestamp(0), |first| *first.parts().1);
        state.events.push(Event::new(what, last));
        StreamTrace { trace: self.clone(), at }
    }

    /// A part of the server has said what it had to; the last one's words make the document go.
    pub(crate) fn finish(&self, worker: &Worker) {
        let events = {
            let mut state = self.state.lock();
            state.open = state.open.saturating_sub(1);
            if state.open > 0 {
                return;
            }
            std::mem::take(&mut state.events)
        };
        // Without a system account nobody tells of a server's inside.
        if let Some(herald) = worker.broker.herald() {
            herald.publish(Report {
                account: self.account.clone(),
                dest: self.dest.clone(),
                accept: self.accept.clone(),
                members: event::members(&self.request, &events),
            });
        }
    }
}

/// A traced message on its way through a stream.
pub struct StreamTrace {
    trace: Arc<Trace>,
    at: usize,
}

impl StreamTrace {
    /// Whether the message is not to be stored.
    pub fn is_only(&self) -> bool {
        self.trace.only
    }

    /// What the stream did with it: the subject it is stored on, once that was decided; whether
    /// nobody was interested; why it was refused.
    pub fn end(
        self,
        stored_on: Option<&[u8]>,
        no_interest: bool,
        refused: Option<String>,
        worker: &Worker,
    ) {
        if let Some(event) = self.trace.state.lock().events.get_mut(self.at)
            && let (What::JetStream { subject, nointerest, error, .. }, ts) = event.parts()
        {
            if let Some(stored_on) = stored_on {
                *subject = text(stored_on);
                *ts = worker.now.wall;
            }
            *nointerest = no_interest;
            *error = refused.unwrap_or_default();
        }
        self.trace.finish(worker);
    }
}

/// The header block as a stream keeps it: what is delivered later is not traced again.
pub fn without_trace(block: &[u8]) -> Vec<u8> {
    header::replace(block, header::DEST, header::DISABLED)
}
