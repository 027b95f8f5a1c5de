//! Messages that cross accounts: requests to imported services, and the answers to them.
//!
//! A request enters the exporter's account under its subject there, with a reply subject of the
//! server's own (`_R_.xxxxxx.yyyyyy`) and the requester's identity in a header; an answer on that
//! subject goes back under the reply subject the requester gave. Services may be imported through
//! several accounts; each hop is one more dispatch inside the first.
//!
//! Laws: a request goes through a service export at most once, and through at most `MAX_HOPS`; an
//!       answer that was delivered, or cannot be, ends what was kept for it, unless more may come.
//! Reference: client.go processServiceImport; accounts.go processServiceImportResponse,
//! newServiceReply.   Contract: ACC-006, ACC-011..017, SUBJ-010.

use super::{Run, RunMsg, Shown};
use crate::account::definition::ResponseType;
use crate::account::export::ServiceExport;
use crate::account::latency::{Outcome, Sample, TraceHeader};
use crate::account::request_info::{ClientInfo, Identity, stamp};
use crate::account::response::{Response, Tracking};
use crate::account::{Account, ServiceImport};
use crate::session::trace;
use crate::stats::Traffic;
use crate::sub::{Sub, Target};
use crate::worker::{NEVER, Worker};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use stdx::time::Mono;
use wire::encode;

/// Accounts one message may go through. Far more than configurations have; keeps the stack small.
const MAX_HOPS: u32 = 64;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// One step of a message from account to account.
pub(crate) struct Hop<'a> {
    before: Option<&'a Hop<'a>>,
    export: Option<&'a Arc<ServiceExport>>,
    number: u32,
    /// Whether the import shares who asks.
    share: bool,
    /// Whether the first import did.
    detailed: bool,
    /// Whether the request names the server by now.
    server: bool,
    /// The requester's account.
    account: &'a str,
}

impl Hop<'_> {
    fn went_through(&self, export: Option<&Arc<ServiceExport>>) -> bool {
        let same = match (self.export, export) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        same || self.before.is_some_and(|before| before.went_through(export))
    }
}

/// A message as it enters the next account, in bytes of its own.
struct Parcel {
    data: Bytes,
    subject: Range<usize>,
    msg: RunMsg,
}

impl Parcel {
    fn new(subject: &[u8], reply: Option<&[u8]>, header: &[u8], payload: &[u8]) -> Self {
        Self::build(subject, b"", reply, header, payload)
    }

    /// A message that the server itself publishes.
    // Compat(CORE-045): the reference leaves the place of a missing reply subject empty in these,
    // so that two blanks stand in a row.
    fn of_the_server(subject: &[u8], reply: Option<&[u8]>, header: &[u8], payload: &[u8]) -> Self {
        let blank: &[u8] = if reply.is_none() { b" " } else { b"" };
        Self::build(subject, blank, reply, header, payload)
    }

    fn build(
        subject: &[u8],
        blank: &[u8],
        reply: Option<&[u8]>,
        header: &[u8],
        payload: &[u8],
    ) -> Self {
        let room = subject.len() + reply.map_or(0, <[u8]>::len) + header.len() + payload.len() + 48;
        let mut data = Vec::with_capacity(room);
        data.extend_from_slice(subject);
        data.extend_from_slice(blank);
        let header_len = (!header.is_empty()).then_some(header.len());
        encode::delivery_sizes(&mut data, reply, header_len, header.len() + payload.len());
        let body = data.len();
        data.extend_from_slice(header);
        data.extend_from_slice(payload);
        let end = data.len();
        data.extend_from_slice(b"\r\n");
        let reply_len = reply.map_or(0, <[u8]>::len);
        let start = subject.len();
        // Messages are far below 4 GiB: the parser's limit is an i32 at most.
        let range = |from: usize, to: usize| from as u32..to as u32;
        let msg = RunMsg {
            reply: range(start + blank.len(), start + blank.len() + reply_len),
            body: range(body, end),
            tail: range(start, data.len()),
            header_len: header.len() as u32,
            has_reply: reply.is_some(),
            has_header: header_len.is_some(),
        };
        Self { data: data.into(), subject: 0..start, msg }
    }
}

impl Worker {
    /// Sends the messages to a service of another account.
    #[cold]
    pub(super) fn ask_service(
        &mut self,
        import: &Arc<ServiceImport>,
        importer: &Arc<Account>,
        run: &Run<'_>,
    ) -> Traffic {
        let export = import.terms.export.as_ref();
        let mut got = Traffic::default();
        let looped = run.via.is_some_and(|hop| hop.number >= MAX_HOPS || hop.went_through(export));
        let Some(exporter) = import.exporter.upgrade().filter(|_| !looped) else { return got };
        for msg in run.msgs {
            if self.ask(import, importer, &exporter, run, msg) {
                got.add(1, msg.len() as u64);
            }
        }
        self.uncounted.add(got.msgs, got.bytes);
        got
    }

    /// Sends one request across; whether somebody got it.
    fn ask(
        &mut self,
        import: &ServiceImport,
        importer: &Arc<Account>,
        exporter: &Arc<Account>,
        run: &Run<'_>,
        msg: &RunMsg,
    ) -> bool {
        let terms = &import.terms;
        let (header, payload) = msg.body(run.data).split_at(msg.header_len().unwrap_or(0));
        let picked = self.picked(terms.export.as_ref(), header, run);
        let reply = run.reply(msg);
        let only = run.trace.is_some_and(|trace| trace.is_only());
        let mut awaited = None;
        match reply {
            // An acknowledgement's subject says where it goes; it is not rewritten.
            Some(reply) if reply.starts_with(b"$JS.ACK.") => {}
            Some(reply) => {
                let tracking = self.tracking(run, picked).filter(|_| !only);
                let response = self.response(importer, reply, terms.export.clone(), tracking);
                let response = Response { share: terms.share, ..response };
                awaited = Some(self.await_answer(importer, exporter, response));
            }
            None => {
                if let Some(tracking) = self.tracking(run, picked) {
                    self.sample_without_reply(exporter, import, tracking);
                }
            }
        }
        let system = exporter.is_system();
        let hop = match run.via {
            None => Hop {
                before: None,
                export: terms.export.as_ref(),
                number: 1,
                share: terms.share,
                detailed: terms.share,
                server: terms.share || system,
                account: &importer.name,
            },
            Some(before) => Hop {
                before: Some(before),
                export: terms.export.as_ref(),
                number: before.number + 1,
                share: terms.share,
                detailed: before.detailed,
                server: before.server || (!before.share && (terms.share || system)),
                account: before.account,
            },
        };
        let header = self.request_header(header, &hop, importer, run);
        let subject = self.crossed_subject(exporter, run.subject, Some(import));
        let reply = awaited.as_deref().or(reply);
        let header = header.as_deref().unwrap_or_default();
        let delivered = match run.trace {
            None => {
                let parcel = Parcel::new(&subject, reply, header, payload);
                self.enter_account(exporter, &parcel, run, &hop)
            }
            Some(_) => {
                let allowed = terms.export.as_ref().is_some_and(|export| export.allow_trace);
                let crossing = self.cross(exporter, &subject, header, allowed, run);
                crossing.is_some_and(|(header, trace)| {
                    let parcel = Parcel::new(&subject, reply, &header, payload);
                    self.enter_account(exporter, &parcel, &Run { trace, ..*run }, &hop)
                })
            }
        };
        self.mapped[1] = subject;
        // Nobody has a request that is only traced, so nobody answers it.
        if (!delivered || only)
            && let Some(awaited) = awaited
        {
            exporter.drop_response(&awaited, Outcome::NoResponder, self.now);
        }
        delivered
    }

    /// The request's header block with who asked, or as it came if the server itself asked.
    fn request_header<'a>(
        &self,
        block: &'a [u8],
        hop: &Hop<'_>,
        importer: &Account,
        run: &Run<'_>,
    ) -> Option<std::borrow::Cow<'a, [u8]>> {
        let Some(origin) = run.origin else { return Some(block.into()) };
        let identity = Identity {
            account: Some(hop.account),
            service: hop.before.map(|_| importer.name.as_str()),
            detailed: hop.detailed,
            server: hop.server,
        };
        let json = ClientInfo::of(origin, &identity, &self.broker.info()).json();
        let mut out = Vec::with_capacity(block.len() + json.len() + 40);
        stamp(block, &json, &mut out);
        Some(out.into())
    }

    /// Passes answers to the accounts whose requests they answer.
    // Compat(ACC-011): the responder counts as having reached somebody, in any case.
    #[cold]
    pub(super) fn pass_answers(&mut self, exporter: &Arc<Account>, run: &Run<'_>) -> Traffic {
        let mut got = Traffic::default();
        for msg in run.msgs {
            self.pass_answer(exporter, run, msg);
            got.add(1, msg.len() as u64);
        }
        self.uncounted.add(got.msgs, got.bytes);
        got
    }

    fn pass_answer(&mut self, exporter: &Arc<Account>, run: &Run<'_>, msg: &RunMsg) {
        if run.via.is_some_and(|hop| hop.number >= MAX_HOPS) {
            return;
        }
        let answer = exporter.responses.answer(exporter, run.subject, run.origin, self.now);
        let Some(answer) = answer else { return };
        let Some(requester) = answer.requester.upgrade() else {
            exporter.drop_response(run.subject, Outcome::NoResponder, self.now);
            return;
        };
        let hop = Hop {
            before: run.via,
            export: answer.export.as_ref(),
            number: run.via.map_or(1, |hop| hop.number + 1),
            share: answer.share,
            detailed: answer.share,
            server: answer.share,
            account: &exporter.name,
        };
        let subject = self.crossed_subject(&requester, &answer.to, None);
        let delivered = match run.reply(msg) {
            // The common answer: the same bytes, under another subject.
            None if run.trace.is_none() => {
                let run = Run {
                    subject: &subject,
                    msgs: std::slice::from_ref(msg),
                    whole: None,
                    via: Some(&hop),
                    ..*run
                };
                self.dispatch_across(&requester, &run)
            }
            reply => {
                let (header, payload) = msg.body(run.data).split_at(msg.header_len().unwrap_or(0));
                let mut awaited = None;
                if let Some(reply) = reply.filter(|reply| !reply.starts_with(b"$JS.ACK.")) {
                    let response = self.response(exporter, reply, answer.export.clone(), None);
                    awaited = Some(self.await_answer(exporter, &requester, response));
                }
                let reply = awaited.as_deref().or(reply);
                let delivered = match run.trace {
                    None => {
                        let parcel = Parcel::new(&subject, reply, header, payload);
                        self.enter_account(&requester, &parcel, run, &hop)
                    }
                    // Compat(TRACE-007): what becomes of an answer is never told.
                    Some(_) => {
                        let crossing = self.cross(&requester, &subject, header, false, run);
                        crossing.is_some_and(|(header, trace)| {
                            let parcel = Parcel::new(&subject, reply, &header, payload);
                            self.enter_account(&requester, &parcel, &Run { trace, ..*run }, &hop)
                        })
                    }
                };
                if !delivered && let Some(awaited) = awaited {
                    requester.drop_response(&awaited, Outcome::NoResponder, self.now);
                }
                delivered
            }
        };
        self.mapped[1] = subject;
        let last = answer.kind == ResponseType::Singleton || msg.len() == 0;
        if !delivered || last {
            exporter.drop_response(run.subject, Outcome::NoResponder, self.now);
        } else {
            exporter.responses.refresh(run.subject, self.now.mono);
        }
        if let Some(sample) = answer.sample {
            self.samples.push(sample);
        }
    }

    /// What `subject` becomes in the account it enters; that account's mappings apply (SUBJ-010).
    fn crossed_subject(
        &mut self,
        account: &Account,
        subject: &[u8],
        import: Option<&ServiceImport>,
    ) -> Vec<u8> {
        let mut out = std::mem::take(&mut self.mapped[1]);
        out.clear();
        match import {
            Some(import) => import.terms.rewrite.apply(subject, &mut out),
            None => out.extend_from_slice(subject),
        }
        if account.has_mappings() {
            let mut mapped = Vec::new();
            if account.map_subject(&out, || self.random(), &mut mapped) {
                return mapped;
            }
        }
        out
    }

    fn enter_account(
        &mut self,
        account: &Arc<Account>,
        parcel: &Parcel,
        run: &Run<'_>,
        hop: &Hop<'_>,
    ) -> bool {
        let reply = parcel.msg.reply(&parcel.data);
        let shown = run.inside.map(|shown| Shown { subject: shown.subject, reply });
        let run = Run {
            data: &parcel.data,
            subject: parcel.data.get(parcel.subject.clone()).unwrap_or_default(),
            msgs: std::slice::from_ref(&parcel.msg),
            whole: None,
            origin: run.origin,
            via: Some(hop),
            inside: shown.as_ref(),
            trace: run.trace,
        };
        self.dispatch_across(account, &run)
    }

    /// Dispatches inside a dispatch, and counts what was sent on the account it was sent in.
    fn dispatch_across(&mut self, account: &Arc<Account>, run: &Run<'_>) -> bool {
        let outer = std::mem::take(&mut self.uncounted);
        let got = self.dispatch(account, run);
        let sent = self.counted(got);
        account.counters.add(self.id, Traffic::default(), sent);
        self.broker.counters.add(self.id, Traffic::default(), sent);
        self.uncounted = outer;
        got.msgs > 0
    }

    /// Takes out of what a dispatch delivered what does not count as sent.
    #[inline]
    pub(crate) fn counted(&mut self, got: Traffic) -> Traffic {
        if self.uncounted == Traffic::default() {
            return got;
        }
        let not = std::mem::take(&mut self.uncounted);
        Traffic {
            msgs: got.msgs.saturating_sub(not.msgs),
            bytes: got.bytes.saturating_sub(not.bytes),
        }
    }

    /// Whether the service measures this request, and the headers that decided it.
    fn picked(
        &mut self,
        export: Option<&Arc<ServiceExport>>,
        header: &[u8],
        run: &Run<'_>,
    ) -> Option<TraceHeader> {
        let latency = export?.latency.as_ref()?;
        run.origin?;
        latency.picks(header, || ((u128::from(self.random()) * 100) >> 64) as u64)
    }

    fn tracking(&self, run: &Run<'_>, picked: Option<TraceHeader>) -> Option<Tracking> {
        let (requestor, header) = (run.origin?.clone(), picked?);
        Some(Tracking { requestor, header })
    }

    fn response(
        &self,
        requester: &Arc<Account>,
        reply: &[u8],
        export: Option<Arc<ServiceExport>>,
        tracking: Option<Tracking>,
    ) -> Response {
        let (requester, to, asked) = (Arc::downgrade(requester), reply.into(), self.now);
        Response { requester, to, export, share: false, asked, tracking }
    }

    /// Enters an awaited answer in both accounts; returns the reply subject for the responder.
    fn await_answer(
        &mut self,
        requester: &Arc<Account>,
        exporter: &Arc<Account>,
        response: Response,
    ) -> Arc<[u8]> {
        let prefix = self.reply_prefix(exporter);
        let to = response.to.clone();
        let tracked = response.tracking.is_some();
        let broker = self.broker.clone();
        let (subject, due) = exporter.responses.insert(response, || {
            let mut name = prefix.to_vec();
            self.base62(6, &mut name);
            if tracked {
                // Tells servers that see the answer pass which of them measures.
                name.push(b'.');
                name.extend_from_slice(broker.name_hash.as_bytes());
                name.extend_from_slice(b".T");
            }
            name
        });
        requester.expected.insert(&to, exporter, subject.clone());
        self.due = self.due.min(due);
        subject
    }

    /// The account's `_R_.xxxxxx.`, made up and subscribed to when it is first needed.
    fn reply_prefix<'a>(&mut self, account: &'a Arc<Account>) -> &'a [u8] {
        account.reply_prefix.get_or_init(|| {
            let mut prefix = b"_R_.".to_vec();
            self.base62(6, &mut prefix);
            prefix.push(b'.');
            let filter = [&prefix, &b">"[..]].concat();
            let answers = Arc::new(Sub::new(Target::Responses, b"", &filter, None, None));
            account.subscribe(&answers);
            prefix.into_boxed_slice()
        })
    }

    /// A reply subject of the account that nobody else has, and that is not awaited.
    pub(super) fn new_reply(&mut self, account: &Arc<Account>) -> Vec<u8> {
        let mut name = self.reply_prefix(account).to_vec();
        self.base62(6, &mut name);
        name
    }

    /// Appends `len` random characters.
    fn base62(&mut self, len: usize, out: &mut Vec<u8>) {
        for _ in 0..len {
            let digit = (u128::from(self.random()) * 62) >> 64;
            out.extend(BASE62.get(digit as usize));
        }
    }

    fn sample_without_reply(
        &self,
        exporter: &Arc<Account>,
        import: &ServiceImport,
        tracking: Tracking,
    ) {
        let latency = import.terms.export.as_ref().and_then(|export| export.latency.as_ref());
        let Some(latency) = latency else { return };
        self.samples.push(Sample {
            account: exporter.clone(),
            subject: latency.subject.clone(),
            outcome: Outcome::NoReply,
            requestor: tracking.requestor,
            share: import.terms.share,
            header: tracking.header,
            asked: self.now,
            done: self.now,
        });
    }

    /// When [`Worker::on_timer`] has something to do.
    pub fn next_deadline(&self) -> Option<Mono> {
        (self.due != NEVER).then_some(self.due)
    }

    /// Whether the deadline came forward since it was last waited for. Cheap enough to ask after
    /// every read.
    #[inline]
    pub fn deadline_moved(&mut self) -> bool {
        let moved = self.due < self.waited_for;
        self.waited_for = self.due;
        moved
    }

    /// The deadline passed: answers that did not come are given up. Writes out what follows.
    pub fn on_timer(&mut self) {
        self.flush_touched();
    }

    /// Gives up overdue answers and publishes the latency samples that wait.
    #[cold]
    pub(crate) fn tend_services(&mut self) {
        let broker = self.broker.clone();
        if self.due <= self.now.mono {
            let now = self.now;
            let next = broker.accounts().iter().filter_map(|a| a.expire_responses(now)).min();
            self.due = next.unwrap_or(NEVER);
        }
        for sample in self.samples.take() {
            let mut id = Vec::with_capacity(22);
            self.base62(22, &mut id);
            let id = String::from_utf8_lossy(&id);
            let json = sample.json(&broker.info(), &id, self.now.wall);
            // Wire: the reference writes an empty reply here, which shows as two blanks.
            let subject = sample.subject.as_bytes();
            self.publish(&sample.account, subject, Some(b""), b"", json.as_bytes());
        }
    }

    /// Publishes a message of the server's own inside an account. It leaves with the next flush.
    pub fn publish(
        &mut self,
        account: &Arc<Account>,
        subject: &[u8],
        reply: Option<&[u8]>,
        header: &[u8],
        payload: &[u8],
    ) -> bool {
        self.look_at_the_log();
        if self.trace && account.is_system() {
            trace::trace_of_the_server(&self.broker, subject, reply, header, payload);
        }
        let parcel = Parcel::of_the_server(subject, reply, header, payload);
        let run = Run {
            data: &parcel.data,
            subject: parcel.data.get(parcel.subject.clone()).unwrap_or_default(),
            msgs: std::slice::from_ref(&parcel.msg),
            whole: None,
            origin: None,
            via: None,
            inside: None,
            trace: None,
        };
        self.dispatch_across(account, &run)
    }
}
