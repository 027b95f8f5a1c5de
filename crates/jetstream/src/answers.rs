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
        self.list.push(Answer { stream, reply: start..middle, body: middle..end, header_len: 0 });
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
            let reply = self.bytes.get(answer.reply).unwrap_or_default();
            let body = self.bytes.get(answer.body).unwrap_or_default();
            to.push(answer.stream, reply, body);
            if let Some(last) = to.list.last_mut() {
                last.header_len = answer.header_len;
            }
        }
    }

    /// Takes out the answers that depend on `stream`.
    pub(crate) fn split_off(&mut self, stream: u32) -> Self {
        let mut out = Self::default();
        self.list.retain(|answer| {
            let theirs = answer.stream == stream;
            if theirs {
                let reply = self.bytes.get(answer.reply.clone()).unwrap_or_default();
                let body = self.bytes.get(answer.body.clone()).unwrap_or_default();
                out.push(stream, reply, body);
                if let Some(last) = out.list.last_mut() {
                    last.header_len = answer.header_len;
                }
            }
            !theirs
        });
        out
    }

    /// Gives every answer another text: what they promised did not come true.
    pub(crate) fn replace_bodies(&mut self, body: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(body);
        let end = self.bytes.len();
        self.list.retain(|answer| answer.header_len == 0);
        for answer in &mut self.list {
            answer.body = start..end;
        }
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
