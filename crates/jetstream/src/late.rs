//! Streams that lie on the disk and could not be opened for want of room: they are tried again.
//!
//! Laws: the name and the subjects stay the stream's meanwhile, so that nobody else opens its files;
//!       the log hears of it once when it stays out and once when it is there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use jetstream_api::StreamConfig;
use stdx::time::Mono;

use crate::account::{Entry, JsAccount};
use crate::event::Event;
use crate::recover::{Found, Unfound, open_found};
use crate::shard::Shard;

/// It is tried again after this.
const AGAIN: Duration = Duration::from_secs(2);

/// A stream that waits for room.
pub(crate) struct Late {
    due: Mono,
    since: Mono,
    account: Arc<JsAccount>,
    name: String,
}

/// Those of a shard, in the order in which they are tried.
pub(crate) type Lates = VecDeque<Late>;

impl Shard {
    /// There was no room to open a stream.
    pub(crate) fn open_later(
        &mut self,
        account: &Arc<JsAccount>,
        name: &str,
        config: Arc<StreamConfig>,
    ) {
        let entry = Entry { shard: self.index, place: None, config, consumers: Arc::default() };
        account.streams().entry(name.to_owned()).or_insert(entry);
        let now = self.now.mono;
        let (account, name) = (account.clone(), name.to_owned());
        self.lates.push_back(Late { due: now + AGAIN, since: now, account, name });
    }

    /// When a stream is tried again.
    pub(crate) fn next_late(&self) -> Option<Mono> {
        self.lates.front().map(|late| late.due)
    }

    /// Tries those that are due.
    pub(crate) fn open_due(&mut self) {
        while self.lates.front().is_some_and(|late| late.due <= self.now.mono) {
            let Some(late) = self.lates.pop_front() else { break };
            let known = self.shared.account(&late.account.account.name);
            if !known.is_some_and(|known| Arc::ptr_eq(&known, &late.account)) {
                // It has no JetStream now.
                self.lates.push_back(Late { due: self.now.mono + AGAIN, ..late });
                continue;
            }
            let (shared, queue) = (self.shared.clone(), self.queue.clone());
            self.shared.io.run(move || {
                let (now, read) = (shared.started, Arc::<AtomicU64>::default());
                let owner = &late.account.account.name;
                let found = open_found(&shared, owner, &late.name, now, &read);
                queue.push_event(Event::Run(Box::new(move |shard| shard.opened(late, found))));
            });
        }
    }

    fn opened(&mut self, late: Late, found: Result<Found, Unfound>) {
        let Late { since, account, name, .. } = late;
        let now = self.now.mono;
        if matches!(&found, Err(unfound) if unfound.lacks_room.is_some()) {
            self.lates.push_back(Late { due: now + AGAIN, since, account, name });
            return;
        }
        let owner = account.account.name.clone();
        self.shared.broken.lock().retain(|(o, n, _)| (o, n) != (&owner, &name));
        if self.recover_stream(&account, &name, found) {
            stdx::notice!(
                self.lent.worker.broker.log,
                "JetStream opened stream '{owner} > {name}' after {} s",
                now.since(since).as_secs()
            );
            let at = account.streams().get(&name).and_then(|entry| entry.place);
            at.into_iter().for_each(|at| self.begin_drawing(at));
        } else {
            // Whoever mends it makes it anew, or starts the server again.
            account.streams().remove(&name);
        }
    }
}
