//! Pull requests: which are refused, which wait, and how waiting ends.
//!
//! Laws: every request gets an answer in the end, unless nobody listens for it any more, or it asks
//!       for heartbeats and there is no room: its client misses them, rather than ask at once again.
//! Not here: the queue (`wait`), service (`serve`).
//! Reference: consumer.go processNextMsgRequest, processWaiting.

use std::time::Duration;

use jetstream_api::{PriorityPolicy, level};
use jetstream_api::pull::NextRequest;
use stdx::time::Mono;
use store::MessageStore;

use super::wait::Request;
use super::{Consumer, Cx, Mode, status};
use crate::out::{Out, Outgoing};

/// Requests are looked through no more often than this because there are too many.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Why a request is refused, in the client's words.
type Refusal = String;

impl Consumer {
    /// A pull request, or what follows `+NXT`. `true` if messages may go.
    pub fn handle_pull<S: MessageStore, O: Out>(
        &mut self,
        header: &[u8],
        body: &[u8],
        reply: &[u8],
        cx: &mut Cx<'_, S, O>,
    ) -> bool {
        if reply.is_empty() {
            return false;
        }
        match self.consider(header, body, reply, cx) {
            Ok(()) => self.is_wanted(),
            Err(refusal) => {
                if !refusal.is_empty() {
                    send_status(reply, &status::plain(refusal), cx.out);
                }
                false
            }
        }
    }

    fn consider<S: MessageStore, O: Out>(
        &mut self,
        header: &[u8],
        body: &[u8],
        reply: &[u8],
        cx: &mut Cx<'_, S, O>,
    ) -> Result<(), Refusal> {
        if matches!(self.mode, Mode::Push(_)) {
            return Err("409 Consumer is push based".into());
        }
        if level::refuses(wire::header::get(header, level::REQUIRED_HEADER.as_bytes())) {
            return Err("412 Required Api Level".into());
        }
        let asked = NextRequest::parse(body).map_err(|e| format!("400 Bad Request - {e}"))?;
        asked.check(&self.config).map_err(|refused| format!("{} {}", refused.code, refused.text))?;
        self.check_pin(&asked, cx.now.mono)?;
        let request = request(asked, reply, cx.now.mono);
        self.make_room(cx);
        self.check_haste(&request, cx)?;
        self.enqueue(request, cx.now.mono)
    }

    /// A client that thinks it is pinned, and is not, is told; the one that is stays so.
    fn check_pin(&mut self, asked: &NextRequest, now: Mono) -> Result<(), Refusal> {
        let pinned = match &self.mode {
            Mode::Pull(pull) => pull.pin.as_ref().map(|pin| pin.id == asked.group.id),
            Mode::Push(_) => None,
        };
        match pinned {
            Some(true) => self.keep_pin(now),
            Some(false) if !asked.group.id.is_empty() => return Err("423 Nats-Pin-Id mismatch".into()),
            _ => {}
        }
        Ok(())
    }

    /// Drops requests that are over, if there are as many as may be.
    fn make_room<S: MessageStore, O: Out>(&mut self, cx: &mut Cx<'_, S, O>) {
        let now = cx.now.mono;
        let max = self.max_waiting();
        let Some(pull) = self.pull_mut() else { return };
        let recently = pull.last_sweep.is_some_and(|at| now.since(at) <= SWEEP_EVERY);
        if pull.waiting.len() >= max && !recently {
            self.sweep(false, cx);
        }
    }

    /// One that must not wait is refused if there is nothing for it.
    fn check_haste<S: MessageStore, O: Out>(
        &mut self,
        request: &Request,
        cx: &mut Cx<'_, S, O>,
    ) -> Result<(), Refusal> {
        if !request.no_wait {
            return Ok(());
        }
        let ready = self.num_pending.saturating_add(self.redeliver.len() as u64);
        if ready == 0 && request.expires.is_none() {
            self.touch(cx.now.mono);
            return Err("404 No Messages".into());
        }
        if ready > 0 && self.is_wanted() {
            self.sweep(false, cx);
            let wanted = self.pull_mut().map_or(0, |p| p.waiting.wanted());
            if ready < u64::try_from(wanted).unwrap_or(0) {
                self.touch(cx.now.mono);
                return Err("408 Requests Pending".into());
            }
        }
        Ok(())
    }

    fn enqueue(&mut self, request: Request, now: Mono) -> Result<(), Refusal> {
        let max = self.max_waiting();
        let by_priority = self.by_priority();
        let Some(pull) = self.pull_mut() else { return Ok(()) };
        if pull.waiting.len() >= max {
            let silent = !request.heartbeat.is_zero();
            return Err(if silent { String::new() } else { "409 Exceeded MaxWaiting".into() });
        }
        pull.waiting.add(request, by_priority);
        pull.last_used = now;
        Ok(())
    }

    fn max_waiting(&self) -> usize {
        usize::try_from(self.config.max_waiting).unwrap_or(0)
    }

    pub(super) fn by_priority(&self) -> bool {
        self.config.priority_policy == PriorityPolicy::Prioritized
    }

    fn touch(&mut self, now: Mono) {
        if let Some(pull) = self.pull_mut() {
            pull.last_used = now;
        }
    }

    /// Looks through all requests: those that are over end, those that nobody listens for are
    /// dropped, heartbeats are sent. `exhausted`: there is nothing to deliver now.
    pub(super) fn sweep<S: MessageStore, O: Out>(&mut self, exhausted: bool, cx: &mut Cx<'_, S, O>) {
        self.look_through(exhausted, true, cx);
    }

    /// Ends those that must not wait, as there is nothing to deliver now.
    pub(super) fn end_no_wait<S: MessageStore, O: Out>(&mut self, cx: &mut Cx<'_, S, O>) {
        self.look_through(true, false, cx);
    }

    fn look_through<S: MessageStore, O: Out>(
        &mut self,
        exhausted: bool,
        interest: bool,
        cx: &mut Cx<'_, S, O>,
    ) {
        let now = cx.now.mono;
        let Some(pull) = self.pull_mut() else { return };
        if pull.waiting.is_empty() {
            return;
        }
        pull.last_sweep = Some(now);
        let mut waiting = std::mem::take(&mut pull.waiting);
        waiting.retain(|r| {
            if r.is_expired(now) {
                end(r, "408 Request Timeout", cx.out);
                return false;
            }
            if exhausted && r.no_wait && (r.expires.is_none() || r.delivered > 0) {
                send_status(&r.reply, &status::plain("404 No Messages"), cx.out);
                return false;
            }
            if interest && !is_heard(r, cx) {
                return false;
            }
            if r.next_heartbeat.is_some_and(|at| now > at) {
                self.send_heartbeat(&r.reply, cx);
                r.next_heartbeat = Some(now + r.heartbeat);
            }
            true
        });
        if let Some(pull) = self.pull_mut() {
            pull.waiting = waiting;
        }
    }
}

/// How long interest may take to arrive from leaf nodes and gateways.
const LATE_INTEREST: Duration = Duration::from_secs(10);

/// Whether somebody listens for the request's messages, or may soon be known to.
pub(super) fn is_heard<S, O: Out>(request: &Request, cx: &mut Cx<'_, S, O>) -> bool {
    cx.out.has_interest(&request.reply) || is_young(request, cx)
}

/// Whether its interest may be under way.
pub(super) fn is_young<S, O>(request: &Request, cx: &Cx<'_, S, O>) -> bool {
    cx.late_interest && cx.now.mono.since(request.received) < LATE_INTEREST
}

/// Ends a request with what it did not get.
pub(super) fn end(request: &Request, why: &str, out: &mut impl Out) {
    send_status(&request.reply, &status::with_rest(why, request.batch, request.max_bytes), out);
}

pub(super) fn send_status(to: &[u8], header: &[u8], out: &mut impl Out) {
    out.send(Outgoing::new(to, header, b""));
}

fn request(asked: NextRequest, reply: &[u8], now: Mono) -> Request {
    let heartbeat = asked.idle_heartbeat.as_duration();
    let group = asked.formal.then(|| Box::new(asked.group)).filter(|g| !g.group.is_empty());
    Request {
        reply: reply.into(),
        batch: asked.batch,
        delivered: 0,
        max_bytes: asked.max_bytes,
        expires: match asked.expires.0 {
            0 => None,
            // Over before it begins.
            ..0 => Some(Mono(0)),
            _ => Some(now + asked.expires.as_duration()),
        },
        received: now,
        heartbeat,
        next_heartbeat: (!heartbeat.is_zero()).then(|| now + heartbeat),
        no_wait: asked.no_wait,
        group,
    }
}
