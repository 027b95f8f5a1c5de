//! Other servers, as far as their statistics reach this one.
//!
//! Laws: a server is heard of by its numbered messages only, and each has to have a higher number
//!       than the last; one that says nothing for [`FORGOTTEN_AFTER`] is forgotten; however many
//!       names somebody makes up, no more than [`SERVERS_MOST`] are remembered.
//! Reference: events.go updateRemoteServer, checkRemoteServers, remoteServerShutdown.
//! Contract: SYS-007, SYS-026.

use super::context::Context;
use super::options::object;
use super::requests::complain;
use super::service::OwnedRequest;
use monitor::Source;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;
use stdx::time::Mono;

/// A server that says nothing for so long is gone.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(150);
/// How often that is looked at.
const SWEEP_EVERY: Duration = Duration::from_secs(90);
/// Servers remembered at most.
const SERVERS_MOST: usize = 1 << 16;

/// What was last heard of a server.
#[derive(Clone, Copy, Debug)]
struct Heard {
    seq: u64,
    at: Mono,
}

/// Servers by id.
#[derive(Debug, Default)]
pub(super) struct Remotes {
    servers: BTreeMap<String, Heard>,
    swept: Option<Mono>,
}

/// What became of a server's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// The first of it.
    New,
    /// As expected.
    Known,
    /// It or a later one was here before.
    OutOfOrder,
    /// There are too many to remember one more.
    Ignored,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    id: String,
    seq: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    server: Named,
    /// The account it is about, if it is about one.
    acc: String,
}

impl Remotes {
    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.servers.len() as u64
    }

    /// Takes note of message `seq` of the server `id`.
    pub(super) fn heard(&mut self, id: &str, seq: u64, at: Mono) -> Update {
        if let Some(known) = self.servers.get_mut(id) {
            if seq <= known.seq {
                return Update::OutOfOrder;
            }
            *known = Heard { seq, at };
            return Update::Known;
        }
        if self.servers.len() >= SERVERS_MOST {
            return Update::Ignored;
        }
        self.servers.insert(id.to_owned(), Heard { seq, at });
        Update::New
    }

    /// Forgets a server.
    pub(super) fn gone(&mut self, id: &str) {
        self.servers.remove(id);
    }

    /// Takes those out that said nothing for long, if it is time to look; when the next time is.
    pub(super) fn forget(&mut self, now: Mono) -> (Vec<String>, Mono) {
        let swept = *self.swept.get_or_insert(now);
        if now.since(swept) < SWEEP_EVERY {
            return (Vec::new(), swept + SWEEP_EVERY);
        }
        self.swept = Some(now);
        let silent = self.servers.iter().filter(|(_, h)| now.since(h.at) > FORGOTTEN_AFTER);
        let silent: Vec<String> = silent.map(|(id, _)| id.clone()).collect();
        self.servers.retain(|_, heard| now.since(heard.at) <= FORGOTTEN_AFTER);
        (silent, now + SWEEP_EVERY)
    }

    /// As [`Remotes::forget`], and says so.
    pub(super) fn sweep(context: &mut Context<'_>) -> Mono {
        let now = context.now().mono;
        let (silent, next) = context.system().remotes.lock().forget(now);
        for id in silent {
            let id = stdx::go_text::quote(id.as_bytes());
            stdx::debug!(context.node().log(), "Detected orphan remote server: {id}");
        }
        next
    }
}

/// Statistics of another server.
pub(super) fn updated(context: &mut Context<'_>, request: &OwnedRequest) {
    let log = context.node().log().clone();
    if request.payload.is_empty() {
        stdx::debug!(log, "Received empty server info for remote server update");
        return;
    }
    let Some(message) = object::<Message>(&request.payload) else {
        stdx::debug!(log, "Received bad server info for remote server update");
        return;
    };
    if message.server.id != context.node().server_id() {
        note(context, &message.server);
    }
}

/// Takes note of a message of another server.
fn note(context: &Context<'_>, Named { id, seq }: &Named) {
    let now = context.now().mono;
    let update = context.system().remotes.lock().heard(id, *seq, now);
    match update {
        Update::OutOfOrder => {
            let id = stdx::go_text::quote(id.as_bytes());
            stdx::error!(
                context.node().log(),
                "Received out of order remote server update from: {id}"
            );
        }
        Update::New => context.system().announce(),
        Update::Known | Update::Ignored => {}
    }
}

/// How many clients an account has on another server.
// What accounts may have is enforced by each server alone as long as there are no clusters.
pub(super) fn connections(context: &mut Context<'_>, request: &OwnedRequest) {
    if request.payload.is_empty() {
        return complain(context, "no message body provided");
    }
    let Some(message) = object::<Message>(&request.payload) else {
        return complain(context, "unmarshalling account connection event message");
    };
    if context.node().broker.account(&message.acc).is_none() {
        return;
    }
    if message.server.id == context.node().server_id() {
        return complain(context, "processing our own account connection event message: ignored");
    }
    note(context, &message.server);
}

/// Another server ends, or is about to.
pub(super) fn ended(context: &mut Context<'_>, request: &OwnedRequest) {
    if object::<Named>(&request.payload).is_none() {
        stdx::debug!(context.node().log(), "Received bad server info for remote server shutdown");
        return;
    }
    context.system().remotes.lock().gone(request.token(2));
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: SYS-026
    #[test]
    fn what_was_said_before_does_not_count() {
        let mut remotes = Remotes::default();
        assert_eq!(remotes.heard("A", 5, Mono(0)), Update::New);
        assert_eq!(remotes.heard("A", 5, Mono(1)), Update::OutOfOrder);
        assert_eq!(remotes.heard("A", 4, Mono(1)), Update::OutOfOrder);
        assert_eq!(remotes.heard("A", 6, Mono(1)), Update::Known);
        assert_eq!(remotes.heard("B", 1, Mono(1)), Update::New);
        assert_eq!(remotes.len(), 2);
        remotes.gone("A");
        assert_eq!(remotes.heard("A", 1, Mono(2)), Update::New);
    }

    // Contract: SYS-007
    #[test]
    fn silent_servers_are_forgotten() {
        let mut remotes = Remotes::default();
        let at = |s| Mono(0) + Duration::from_secs(s);
        assert_eq!(remotes.forget(at(0)), (vec![], at(90)));
        remotes.heard("A", 1, at(10));
        remotes.heard("B", 1, at(100));
        assert_eq!(remotes.forget(at(90)), (vec![], at(180)));
        assert_eq!(remotes.forget(at(180)), (vec!["A".to_owned()], at(270)));
        assert_eq!((remotes.len(), remotes.heard("B", 2, at(181))), (1, Update::Known));
    }
}
