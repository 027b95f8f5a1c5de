//! What the system account asks: `ACCOUNT.PURGE`, which removes everything of an account.
//!
//! Each shard drops the streams it owns, then the next one; the first takes the directory away and
//! answers.
//! Parity: API-017, API-018, API-019, API-020, API-035 (single server).

use std::sync::Arc;

use jetstream_api::ApiError;
use jetstream_api::advisory::Action;
use jetstream_api::response::{AccountInfoBody, AccountPurge, System};
use jetstream_api::subject::Request;

use super::Outcome;
use crate::account::JsAccount;
use crate::event::{ApiRequest, Event};
use crate::shard::Shard;
use crate::transfer::remove_tree;

impl Shard {
    /// A request of the system account, which has no streams.
    pub(crate) fn handle_system(&mut self, request: &ApiRequest) {
        let subject = request.subject.clone();
        let rest = subject.get(request.prefix..).unwrap_or_default();
        match Request::parse(rest) {
            Some(Request::AccountPurge { account }) => self.account_purge(request, account),
            // Silence: only leaders of a cluster answer these.
            Some(
                Request::MetaLeaderStepDown
                | Request::ServerRemove
                | Request::StreamMove { .. }
                | Request::StreamCancelMove { .. },
            ) => {}
            Some(Request::AccountInfo) => {
                self.refuse::<AccountInfoBody>(request, ApiError::not_enabled_for_account());
            }
            _ => self.refuse::<System>(request, ApiError::not_enabled_for_account()),
        }
    }

    fn account_purge(&mut self, request: &ApiRequest, name: &str) {
        if name.contains(['\\', '/']) {
            let why = "account name can not contain path separators";
            return self.refuse::<AccountPurge>(request, ApiError::stream_general(why));
        }
        let account = self.shared.account(name);
        let streams = account.as_ref().map_or(0, |account| account.streams().len());
        let log = &self.lent.worker.broker.log;
        stdx::notice!(
            log,
            "Purge request for account {name} (streams: {streams}, hasAccount: {})",
            account.is_some()
        );
        self.purge_next(request.again(), name.to_owned(), account, 0);
    }

    /// Drops what this shard has of the account, then asks the shard after it.
    fn purge_next(
        &mut self,
        request: ApiRequest,
        name: String,
        account: Option<Arc<JsAccount>>,
        asked: usize,
    ) {
        if let Some(account) = &account
            && let Err(error) = self.drop_streams(account)
        {
            return self.refuse::<AccountPurge>(&request, error);
        }
        let next = asked + 1;
        if let Some(queue) = account.as_ref().and_then(|_| self.shared.queues.get(next)).cloned() {
            return queue.push_event(Event::Run(Box::new(move |shard: &mut Self| {
                shard.purge_next(request, name, account, next);
            })));
        }
        self.shared.broken.lock().retain(|(owner, ..)| *owner != name);
        let dir = self.shared.account_dir(&name);
        let queue = self.queue.clone();
        self.shared.io.run(move || {
            let removed = remove_tree(&dir);
            queue.push_event(Event::Run(Box::new(move |shard: &mut Self| {
                let outcome = removed.map(|()| AccountPurge { initiated: true });
                shard.respond(&request, outcome.map_err(ApiError::stream_general));
            })));
        });
    }

    fn drop_streams(&mut self, account: &Arc<JsAccount>) -> Outcome<()> {
        let own: Vec<(String, u32)> = account
            .streams()
            .iter()
            .filter(|(_, entry)| entry.shard == self.index)
            .filter_map(|(name, entry)| Some((name.clone(), entry.place?)))
            .collect();
        for (name, at) in own {
            self.drop_stream(account, at, &name)?;
            self.advise_stream(account, &name, Action::Delete);
        }
        Ok(())
    }
}
