//! The window of a push consumer with flow control, and its sign of life.
//!
//! Laws: at most one request is outstanding; the window doubles with each answer, up to 32 MiB.
//! Reference: consumer.go needFlowControl, processFlowControl, sendIdleHeartbeat.

use jetstream_api::AckPolicy;
use jetstream_api::subject::FlowPrefix;
use store::MessageStore;

use super::ack::AckOf;
use super::{Consumer, Cx, Mode, status};
use crate::out::{Out, Outgoing};

const LIMIT: i64 = 32 << 20;
const REQUEST: &[u8] = b"NATS/1.0 100 FlowControl Request\r\n\r\n";

/// What was sent and not confirmed.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    /// Bytes that may be on their way.
    window: i64,
    /// Bytes that are.
    outstanding: i64,
    /// Subject the answer to the last request comes to; empty if none is open.
    id: String,
    /// Bytes that answer confirms.
    asked_at: i64,
}

impl Default for Flow {
    fn default() -> Self {
        Self { window: LIMIT / 16, outstanding: 0, id: String::new(), asked_at: 0 }
    }
}

impl Flow {
    /// Whether nothing more may be sent.
    pub(super) fn is_closed(&self) -> bool {
        self.outstanding > self.window
    }

    /// The open request's subject.
    pub(super) fn stalled(&self) -> Option<&str> {
        Some(self.id.as_str()).filter(|id| !id.is_empty())
    }

    /// Notes a message; `true` if the client must be asked. `full`: it acknowledges by answering,
    /// and as many messages wait for that as may.
    fn sent(&mut self, size: i64, full: bool) -> bool {
        self.outstanding += size;
        if self.id.is_empty() {
            return full || self.outstanding > self.window / 2;
        }
        if self.outstanding - self.asked_at >= self.window {
            self.asked_at += size;
        }
        false
    }

    fn asked(&mut self, id: String) {
        self.id = id;
        self.asked_at = self.outstanding;
    }

    /// Notes the answer to `id`; `false` if that is not the open request.
    fn answered(&mut self, id: &[u8]) -> bool {
        if self.id.is_empty() || self.id.as_bytes() != id {
            return false;
        }
        self.window = (self.window * 2).min(LIMIT);
        self.outstanding = (self.outstanding - self.asked_at).max(0);
        self.id.clear();
        self.asked_at = 0;
        true
    }
}

impl Consumer {
    /// The answer to a flow control request, on the subject it came to. `true` if messages may go.
    pub fn handle_flow_reply<S: MessageStore, O: Out>(
        &mut self,
        subject: &[u8],
        header: &[u8],
        cx: &mut Cx<'_, S, O>,
    ) -> bool {
        let known =
            self.push_mut().and_then(|p| p.flow.as_mut()).is_some_and(|f| f.answered(subject));
        if !known {
            return false;
        }
        if self.config.ack_policy == AckPolicy::FlowControl {
            let field = |name| wire::header::get(header, name).and_then(number).unwrap_or(0);
            let (consumer_seq, seq) =
                (field(b"Nats-Last-Consumer".as_slice()), field(b"Nats-Last-Stream"));
            if seq > 0 {
                self.acknowledge(AckOf { seq, consumer_seq, deliveries: 1 }, false, cx);
            }
        }
        true
    }

    /// Notes a message sent to the subscriber.
    pub(super) fn note_pushed<S, O: Out>(&mut self, size: usize, cx: &mut Cx<'_, S, O>) {
        let full = self.config.ack_policy == AckPolicy::FlowControl && self.is_full();
        let heartbeat = self.config.idle_heartbeat.as_duration();
        let Mode::Push(push) = &mut self.mode else { return };
        if push.heartbeat.is_some() {
            push.heartbeat = Some(cx.now.mono + heartbeat);
        }
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        if push.flow.as_mut().is_some_and(|f| f.sent(size, full)) {
            self.ask_for_flow(cx);
        }
    }

    fn ask_for_flow<S, O: Out>(&mut self, cx: &mut Cx<'_, S, O>) {
        let facts = cx.facts;
        let prefix = if facts.ack_v2 {
            let domain = facts.domain.as_deref().unwrap_or_default();
            FlowPrefix::v2(domain, &facts.account_hash, &cx.stream.name, &self.name)
        } else {
            FlowPrefix::v1(&cx.stream.name, &self.name)
        };
        let mut id = Vec::new();
        prefix.write(&super::pin::digits::<4>(cx.out.random()), &mut id);
        let id = String::from_utf8(id).unwrap_or_default();
        let to = self.config.deliver_subject.as_bytes();
        let mut request = Outgoing::new(to, REQUEST, b"");
        request.reply = Some(id.as_bytes());
        cx.out.send(request);
        if let Some(flow) = self.push_mut().and_then(|p| p.flow.as_mut()) {
            flow.asked(id);
        }
    }

    /// Tells a subscriber, or a client that waits, that the consumer is alive.
    pub(super) fn send_heartbeat<S, O: Out>(&self, to: &[u8], cx: &mut Cx<'_, S, O>) {
        let stalled = match &self.mode {
            Mode::Push(push) => push.flow.as_ref().and_then(Flow::stalled),
            Mode::Pull(_) => None,
        };
        let consumer_seq = self.progress.delivered.consumer;
        let header = status::heartbeat(consumer_seq, self.next.saturating_sub(1), stalled);
        cx.out.send(Outgoing::new(to, &header, b""));
    }

    /// A push consumer was silent for as long as it may be.
    pub(super) fn push_is_silent<S, O: Out>(&mut self, cx: &mut Cx<'_, S, O>) {
        let heartbeat = self.config.idle_heartbeat.as_duration();
        let acks_by_answer = self.config.ack_policy == AckPolicy::FlowControl;
        let waits = acks_by_answer && !self.progress.pending.is_empty();
        let Mode::Push(push) = &mut self.mode else { return };
        push.heartbeat = Some(cx.now.mono + heartbeat);
        let open = push.flow.as_ref().is_some_and(|f| f.stalled().is_some());
        if push.active {
            self.send_heartbeat(self.config.deliver_subject.as_bytes(), cx);
            if waits && !open {
                self.ask_for_flow(cx);
            }
        }
    }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: CONS-016
    #[test]
    fn the_window_opens_as_answers_come() {
        let mut flow = Flow::default();
        assert!(!flow.sent(1 << 20, false), "half the window");
        assert!(flow.sent(1, false));
        flow.asked("a".into());
        assert!(!flow.sent(1 << 20, false), "one request at a time");
        assert!(flow.is_closed());
        assert!(!flow.answered(b"b") && flow.answered(b"a") && !flow.answered(b"a"));
        assert_eq!((flow.window, flow.outstanding), (4 << 20, 1 << 20));
        for _ in 0..9 {
            flow.asked("a".into());
            flow.answered(b"a");
        }
        assert_eq!(flow.window, LIMIT);
    }
}
