//! Hot path. One message and the requests that wait: who gets it.
//!
//! Laws: a request is charged only for what its client got.
//! Reference: consumer.go nextWaiting.

use jetstream_api::PriorityPolicy;
use store::MessageStore;

use super::pull::{end, is_heard, is_young};
use super::wait::Request;
use super::{Consumer, Cx, Pull, status};
use crate::out::{Out, Outgoing};

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Served {
    /// A client got it.
    Yes,
    /// No request takes it.
    No,
    /// No request takes it, and the interest of some is not known yet.
    Later,
}

/// What a turn of the request at the head means.
enum Turn {
    /// It gets the message; `pin`: and its client is pinned with it.
    Take { pin: bool },
    /// Another one is first.
    Pass,
    /// It ends, with this status if anybody listens.
    End(Option<&'static str>),
}

impl Consumer {
    /// Offers a message to the requests in turn. `size` is what it counts for one's limit.
    pub(super) fn serve<S: MessageStore, O: Out>(
        &mut self,
        message: Outgoing<'_>,
        size: usize,
        pending: u64,
        cx: &mut Cx<'_, S, O>,
    ) -> Served {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let (mut passed, mut later) = (0, false);
        loop {
            let turn = match self.pull_mut().and_then(|p| p.waiting.head()) {
                None => return if later { Served::Later } else { Served::No },
                Some(_) => self.turn(size, pending, cx),
            };
            let served = match turn {
                Turn::Pass => Served::No,
                Turn::End(why) => {
                    self.end_head(why, cx);
                    continue;
                }
                Turn::Take { pin } => match self.hand_to_head(message, size, pin, cx) {
                    Some(served) => served,
                    None => {
                        self.end_head(None, cx);
                        continue;
                    }
                },
            };
            let by_priority = self.by_priority();
            let Some(pull) = self.pull_mut() else { return served };
            if served == Served::Yes {
                if passed > 0 && by_priority {
                    pull.waiting.sort();
                }
                return served;
            }
            later |= served == Served::Later;
            pull.waiting.cycle();
            passed += 1;
            if passed >= pull.waiting.len() {
                return if later { Served::Later } else { Served::No };
            }
        }
    }

    fn end_head<S, O: Out>(&mut self, why: Option<&str>, cx: &mut Cx<'_, S, O>) {
        let ended = self.pull_mut().and_then(|p| p.waiting.remove_head());
        if let (Some(why), Some(request)) = (why, ended) {
            end(&request, why, cx.out);
        }
    }

    /// What the request at the head is to do with a message of `size` bytes.
    fn turn<S, O: Out>(&mut self, size: i64, pending: u64, cx: &mut Cx<'_, S, O>) -> Turn {
        let policy = self.config.priority_policy;
        let ack_pending = self.progress.pending.len();
        let Some(Pull { waiting, pin, .. }) = self.pull_mut() else { return Turn::End(None) };
        let Some(head) = waiting.head() else { return Turn::End(None) };
        if head.is_expired(cx.now.mono) {
            return Turn::End(Some("408 Request Timeout"));
        }
        let mut pins = false;
        match policy {
            PriorityPolicy::PinnedClient => {
                let held = head.group.as_ref().map_or("", |g| g.id.as_str());
                match pin {
                    Some(pin) if pin.id == held => {}
                    Some(_) if held.is_empty() => return Turn::Pass,
                    None if held.is_empty() => pins = true,
                    _ => return Turn::End(Some("423 Nats-Wrong-Pin-Id")),
                }
            }
            PriorityPolicy::Overflow if !overflows(head, pending, ack_pending) => {
                return Turn::Pass;
            }
            _ => {}
        }
        if head.max_bytes > 0 && size > head.max_bytes {
            return Turn::End(Some("409 Message Size Exceeds MaxBytes"));
        }
        // Others are known to listen by getting the message.
        if pins && !is_heard(head, cx) {
            return Turn::End(None);
        }
        Turn::Take { pin: pins }
    }

    /// Sends; `None` if nobody listens.
    fn hand_to_head<S, O: Out>(
        &mut self,
        message: Outgoing<'_>,
        size: i64,
        pins: bool,
        cx: &mut Cx<'_, S, O>,
    ) -> Option<Served> {
        let by_priority = self.by_priority();
        let is_pinned = self.config.priority_policy == PriorityPolicy::PinnedClient;
        if pins {
            self.pin_head(cx);
        }
        let Pull { waiting, pin, .. } = self.pull_mut()?;
        let head = waiting.head()?;
        let mut header = Vec::new();
        let mut sent = Outgoing { to: &head.reply, ..message };
        if is_pinned {
            // Compat(CONS-058): nobody is pinned by a request that names no group.
            let id = pin.as_ref().map_or("", |pin| pin.id.as_str());
            status::put_field(&mut header, message.header, "Nats-Pin-Id", id.as_bytes());
            sent.header = &header;
            sent.shared = None;
        }
        if !cx.out.send(sent) {
            return is_young(head, cx).then_some(Served::Later);
        }
        if let Some(done) = waiting.served(size, cx.now.mono, by_priority)
            && done.max_bytes > 0
        {
            end(&done, "409 Batch Completed", cx.out);
        }
        Some(Served::Yes)
    }

    fn pin_head<S, O: Out>(&mut self, cx: &mut Cx<'_, S, O>) {
        let group = self
            .pull_mut()
            .and_then(|p| p.waiting.head())
            .and_then(|r| r.group.as_ref())
            .map(|g| g.group.clone());
        let Some(group) = group.filter(|g| !g.is_empty()) else { return };
        self.pin(group, cx);
        if let Some(Pull { waiting, pin: Some(pin), .. }) = self.pull_mut()
            && let Some(group) = waiting.head_mut().and_then(|r| r.group.as_mut())
        {
            group.id.clone_from(&pin.id);
        }
    }
}

/// Whether there is enough work for a request that only helps out. `pending` does not count the
/// message at hand.
pub(super) fn overflows(request: &Request, pending: u64, ack_pending: usize) -> bool {
    let Some(group) = &request.group else { return true };
    let reached = |min: i64, n: u64| min > 0 && u64::try_from(min).is_ok_and(|min| min <= n);
    (group.min_pending <= 0 && group.min_ack_pending <= 0)
        || reached(group.min_pending, pending + 1)
        || reached(group.min_ack_pending, ack_pending as u64)
}
