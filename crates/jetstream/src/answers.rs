//! Answers that wait until what they promise is as safe as configured.
//!
//! Laws: answers leave in the order they were given; none leaves before its stream was flushed.

use std::ops::Range;

use broker::Worker;
use broker::account::Account;
use broker::dispatch::Inside;
use bytes::Bytes;
use std::sync::Arc;

/// One answer among the bytes of all.
#[derive(Clone, Debug)]
struct Answer {
    /// The stream it depends on.
    stream: u32,
    reply: Range<usize>,
    body: Range<usize>,
    /// How much of the body is a header block; with one it promises something by itself.
    header_len: usize,
    /// It does not depend on what was stored.
    is_told: bool,
    /// What is said instead if what it promised did not come true; otherwise nothing is.
    otherwise: Option<Range<usize>>,
}

/// Answers of one batch.
#[derive(Default)]
pub(crate) struct Answers {
    bytes: Vec<u8>,
    list: Vec<Answer>,
}

/// Room kept between batches.
const KEEP: usize = 1 << 20;

impl Answers {
    pub(crate) fn push(&mut self, stream: u32, reply: &[u8], body: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(reply);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(body);
        let end = self.bytes.len();
        self.list.push(Answer {
            stream,
            reply: start..middle,
            body: middle..end,
            header_len: 0,
            is_told: false,
            otherwise: None,
        });
    }

    /// An answer that need not wait for what was stored.
    pub(crate) fn push_told(&mut self, stream: u32, reply: &[u8], body: &[u8]) {
        self.push(stream, reply, body);
        if let Some(last) = self.list.last_mut() {
            last.is_told = true;
        }
    }

    /// An answer with another one for the case that what it promises does not come true.
    pub(crate) fn push_with(&mut self, stream: u32, reply: &[u8], body: &[u8], otherwise: &[u8]) {
        self.push(stream, reply, body);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(otherwise);
        let end = self.bytes.len();
        if let Some(last) = self.list.last_mut() {
            last.otherwise = Some(start..end);
        }
    }

    /// A header alone, which is not sent at all if what it depends on fails.
    pub(crate) fn push_header(&mut self, stream: u32, reply: &[u8], header: &[u8]) {
        self.push(stream, reply, header);
        if let Some(last) = self.list.last_mut() {
            last.header_len = header.len();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Moves the answers from `from` on behind those of `to`.
    pub(crate) fn move_tail(&mut self, from: usize, to: &mut Self) {
        for answer in self.list.drain(from.min(self.list.len())..) {
            to.copy(&self.bytes, &answer);
        }
    }

    fn copy(&mut self, bytes: &[u8], answer: &Answer) {
        let part = |range: &Range<usize>| bytes.get(range.clone()).unwrap_or_default();
        let (stream, reply, body) = (answer.stream, part(&answer.reply), part(&answer.body));
        match &answer.otherwise {
            Some(otherwise) => self.push_with(stream, reply, body, part(otherwise)),
            None => self.push(stream, reply, body),
        }
        if let Some(last) = self.list.last_mut() {
            (last.header_len, last.is_told) = (answer.header_len, answer.is_told);
        }
    }

    /// Takes out the answers of `stream`; what need not wait only if `all`.
    pub(crate) fn split_off(&mut self, stream: u32, all: bool) -> Self {
        let mut out = Self::default();
        self.list.retain(|answer| {
            let theirs = answer.stream == stream && (all || !answer.is_told);
            if theirs {
                out.copy(&self.bytes, answer);
            }
            !theirs
        });
        out
    }

    /// What the answers promised may not have come true: publishers are told `refusal`, others what
    /// was meant for this case, or nothing.
    pub(crate) fn disappoint(&mut self, refusal: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(refusal);
        let refusal = start..self.bytes.len();
        self.list.retain_mut(|answer| {
            let is_publish = !answer.is_told && answer.header_len == 0;
            let instead = answer.otherwise.take().or_else(|| is_publish.then(|| refusal.clone()));
            if let Some(instead) = instead {
                (answer.body, answer.header_len, answer.is_told) = (instead, 0, true);
            }
            answer.is_told
        });
    }

    /// Sends them. `account_of` names each stream's account.
    pub(crate) fn release(
        &mut self,
        worker: &mut Worker,
        mut account_of: impl FnMut(u32) -> Option<Arc<Account>>,
    ) {
        if self.list.is_empty() {
            return;
        }
        let data = Bytes::from(std::mem::take(&mut self.bytes));
        let mut last: Option<(u32, Arc<Account>)> = None;
        for answer in self.list.drain(..) {
            if last.as_ref().is_none_or(|(stream, _)| *stream != answer.stream) {
                last = account_of(answer.stream).map(|account| (answer.stream, account));
            }
            let Some((_, account)) = &last else { continue };
            let to = data.get(answer.reply).unwrap_or_default();
            let inside = Inside {
                to,
                shown: None,
                reply: None,
                data: &data,
                body: answer.body,
                header_len: answer.header_len,
            };
            worker.publish_inside(account, &inside);
        }
        // Small answers were copied into the outboxes: the buffer is ours again.
        if let Ok(buffer) = data.try_into_mut() {
            self.bytes = buffer.into();
            self.bytes.clear();
            self.bytes.shrink_to(KEEP);
        }
    }
}
