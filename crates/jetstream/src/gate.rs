//! Requests on the API as they come: whose they are, and how many may wait.
//!
//! | account | |
//! |---|---|
//! | with JetStream | requests go to the shard of their stream |
//! | without | is told so, unless it imports the API of another one |
//! | system | purges accounts; is told that it has none for the rest |
//!
//! Laws: what waits is bounded; beyond that a request is refused, not dropped, as long as refusals
//!       are bounded as well; what is dropped is counted and told.
//! Reference: jetstream_api.go apiDispatch, account.go serviceImportShadowed.
//! Parity: API-035, API-040, API-049.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use broker::account::Account;
use broker::sub::{Internal, InternalMessage};
use jetstream_api::ApiError;
use jetstream_api::advisory::ApiLimitReached;
use jetstream_api::subject::Event as Advised;

use crate::account::{JsAccount, Standing};
use crate::api;
use crate::event::{ApiRequest, Event};
use crate::ingress::Listening;
use crate::queue::owned;
use crate::shard::Shard;
use crate::shared::Shared;

/// Refusals that may wait: they are small.
const REFUSALS: usize = 10_000;

/// What waits to be handled, and what was too much.
#[derive(Default)]
pub(crate) struct Waiting {
    requests: AtomicUsize,
    infos: AtomicUsize,
    refusals: AtomicUsize,
    /// Refused or dropped since it was told last.
    dropped: AtomicU64,
}

/// How a request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// It does not: it was handled before, or never counted.
    None,
    /// For what asks only.
    Info,
    /// For the rest.
    Request,
    /// To be refused.
    Refusal,
}

impl Waiting {
    fn of(&self, line: Line) -> Option<&AtomicUsize> {
        match line {
            Line::None => None,
            Line::Info => Some(&self.infos),
            Line::Request => Some(&self.requests),
            Line::Refusal => Some(&self.refusals),
        }
    }

    fn enters(&self, line: Line, limit: usize) -> bool {
        let Some(count) = self.of(line) else { return true };
        if count.fetch_add(1, Ordering::Relaxed) < limit {
            return true;
        }
        count.fetch_sub(1, Ordering::Relaxed);
        false
    }

    fn leaves(&self, line: Line) {
        if let Some(count) = self.of(line) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Requests on the API of one account.
struct Gate {
    shared: Arc<Shared>,
    account: Arc<JsAccount>,
    prefix: usize,
}

/// Listens for an account's requests.
pub(crate) fn listen(shared: &Arc<Shared>, account: &Arc<JsAccount>) -> Vec<Listening> {
    let domain = shared.config.domain.as_ref().map(|d| format!("$JS.{d}.API."));
    let prefixes = std::iter::once("$JS.API.".to_owned()).chain(domain);
    let listens = |prefix: String| {
        let gate = Gate { shared: shared.clone(), account: account.clone(), prefix: prefix.len() };
        let subject = format!("{prefix}>");
        Listening::custom(&account.account, subject.as_bytes(), Arc::new(gate))
    };
    prefixes.map(listens).collect()
}

impl Gate {
    /// Whether somebody else answers.
    fn is_elsewhere(&self, subject: &[u8], rest: &[u8]) -> bool {
        let own = rest.starts_with(b"DIRECT.GET.") || rest.starts_with(b"CONSUMER.MSG.NEXT.");
        match self.account.standing {
            // Streams and consumers listen to these themselves, or nobody does (DGET-010).
            Standing::Member => own || imports(&self.account.account, subject),
            Standing::Stranger => own || imports(&self.account.account, subject),
            Standing::System => false,
        }
    }
}

/// Whether the account imports that part of another one's API.
fn imports(account: &Account, subject: &[u8]) -> bool {
    account.imports_service(|from| from.starts_with(b"$JS.") && subject::matches(subject, from))
}

impl Internal for Gate {
    fn deliver(&self, m: &InternalMessage<'_>) -> bool {
        let rest = m.subject.get(self.prefix..).unwrap_or_default();
        if self.is_elsewhere(m.subject, rest) {
            return false;
        }
        let shared = &self.shared;
        let shard = match self.account.standing {
            Standing::Member => api::stream_of(rest)
                .map_or(0, |stream| shared.shard_of(&self.account.account.name, stream)),
            Standing::Stranger | Standing::System => 0,
        };
        let Some(queue) = shared.queues.get(shard) else { return true };
        let asks = rest.starts_with(b"STREAM.INFO.") || rest.starts_with(b"CONSUMER.INFO.");
        let (line, limit) = if asks {
            (Line::Info, shared.config.info_queue_limit)
        } else {
            (Line::Request, shared.config.request_queue_limit)
        };
        let waiting = &shared.waiting;
        let mut line = line;
        if !waiting.enters(line, limit) {
            if waiting.dropped.fetch_add(1, Ordering::Relaxed) == 0
                && let Some(first) = shared.queues.first()
            {
                first.push_event(Event::Run(Box::new(Shard::tell_limit)));
            }
            line = Line::Refusal;
            if m.reply.is_none() || !waiting.enters(line, REFUSALS) {
                return true;
            }
        }
        let client = m.origin.map(|conn| broker::account::client_info(conn, &shared.broker.info()));
        self.account.inflight().fetch_add(1, Ordering::Relaxed);
        queue.push_event(Event::Api(Box::new(ApiRequest {
            account: self.account.clone(),
            subject: owned(m.subject),
            prefix: self.prefix,
            reply: m.reply.map(owned),
            header: owned(m.header),
            payload: if line == Line::Refusal { Default::default() } else { owned(m.payload) },
            client,
            line,
        })));
        true
    }
}

impl Shard {
    /// A request is taken out of its line; `false` if it is answered with that.
    pub(crate) fn admit(&mut self, request: &ApiRequest) -> bool {
        if request.line != Line::None {
            request.account.inflight().fetch_sub(1, Ordering::Relaxed);
            self.shared.waiting.leaves(request.line);
        }
        if request.line == Line::Refusal {
            self.refuse_as(request, ApiError::stream_too_many_requests());
            return false;
        }
        match request.account.standing {
            Standing::Member => true,
            Standing::Stranger => {
                // Compat: consumers answer this one, and there are none.
                let rest = request.subject.get(request.prefix..).unwrap_or_default();
                if rest.starts_with(b"CONSUMER.RESET.") {
                    return false;
                }
                self.refuse_as(request, ApiError::not_enabled_for_account());
                false
            }
            Standing::System => {
                self.handle_system(request);
                false
            }
        }
    }

    /// Tells that requests were refused.
    fn tell_limit(&mut self) {
        let dropped = self.shared.waiting.dropped.swap(0, Ordering::Relaxed);
        let (server, domain) =
            (self.shared.config.server_name.clone(), self.shared.config.domain.clone());
        let log = &self.lent.worker.broker.log;
        stdx::warning!(log, "JetStream API queue limit reached, refusing {dropped} requests");
        let Some(system) = self.shared.broker.accounts().into_iter().find(|a| a.is_system()) else {
            return;
        };
        self.advise_in(&system, &Advised::ApiLimitReached, || ApiLimitReached {
            server,
            domain: domain.unwrap_or_default(),
            dropped: i64::try_from(dropped).unwrap_or(i64::MAX),
        });
    }
}
