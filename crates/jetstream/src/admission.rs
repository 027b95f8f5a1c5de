//! Accounts that get or lose JetStream while it runs.
//!
//! Laws: an account's streams take messages before its requests are answered; an account that lost
//!       JetStream keeps its streams, asleep, and finds them when it gets it back; what cannot be
//!       given changes nothing.
//! Reference: jetstream.go configJetStream, enableJetStream, disableJetStream.   Contract: ACC-019.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc;

use broker::account::Account;
use jetstream_api::validate::AccountLimits;

use crate::account::JsAccount;
use crate::engine::directories;
use crate::enough::Insufficient;
use crate::event::Event;
use crate::gate;
use crate::recover::open_found;
use crate::shard::Shard;
use crate::shared::Shared;

impl Shared {
    /// Lets an account use as much of JetStream as `limits` say; `None`: nothing. Waits until its
    /// streams are recovered, so it is not for network threads.
    ///
    /// # Errors
    /// The server has less than that. What the account could use before stays.
    pub fn admit(
        self: &Arc<Self>,
        account: &Arc<Account>,
        limits: Option<AccountLimits>,
    ) -> Result<(), Insufficient> {
        let _one = self.admissions.lock();
        let name = &account.name;
        let known = self.account(name).filter(|known| Arc::ptr_eq(&known.account, account));
        match (limits, known) {
            (Some(limits), Some(known)) => {
                let before = known.api_limits();
                self.has_enough(Some(&before), &limits)?;
                *known.limits.lock() = limits;
            }
            (Some(limits), None) => {
                self.has_enough(None, &limits)?;
                self.wake(account, limits);
            }
            (None, Some(known)) => self.put_to_sleep(&known),
            (None, None) => {
                if !self.listening.lock().contains_key(name) {
                    self.answer_as(&self.without(account));
                }
            }
        }
        Ok(())
    }

    fn without(&self, account: &Arc<Account>) -> Arc<JsAccount> {
        Arc::new(JsAccount::without(account.clone(), self.facts(account)))
    }

    /// Answers an account's requests, as those of `account` from now on.
    pub(crate) fn answer_as(self: &Arc<Self>, account: &Arc<JsAccount>) {
        let listening = gate::listen(self, account);
        self.listening.lock().insert(account.account.name.clone(), listening);
    }

    fn wake(self: &Arc<Self>, account: &Arc<Account>, limits: AccountLimits) {
        let name = &account.name;
        let asleep = self.asleep.lock().remove(name);
        let member = match asleep.filter(|asleep| Arc::ptr_eq(&asleep.account, account)) {
            Some(member) => {
                *member.limits.lock() = limits;
                member
            }
            None => {
                let facts = self.facts(account);
                let member = Arc::new(JsAccount::new(account.clone(), facts, limits));
                self.recover_account(&member);
                member
            }
        };
        self.accounts.write().insert(name.clone(), member.clone());
        self.answer_as(&member);
        self.on_every_shard(name, Shard::wake_streams);
    }

    fn put_to_sleep(self: &Arc<Self>, member: &Arc<JsAccount>) {
        let name = &member.account.name;
        self.accounts.write().remove(name);
        self.answer_as(&self.without(&member.account));
        self.on_every_shard(name, Shard::put_streams_to_sleep);
        self.asleep.lock().insert(name.clone(), member.clone());
    }

    fn on_every_shard(&self, name: &str, act: fn(&mut Shard, &str)) {
        for queue in &self.queues {
            let name = name.to_owned();
            queue.push_event(Event::Run(Box::new(move |shard| act(shard, &name))));
        }
    }

    /// Opens the streams that lie on the disk.
    fn recover_account(self: &Arc<Self>, member: &Arc<JsAccount>) {
        let owner = &member.account.name;
        // What was coming in when the server ended.
        let _ = std::fs::remove_dir_all(self.snapshots_dir(owner));
        let (done, finished) = mpsc::channel();
        for name in directories(&self.account_dir(owner).join("streams")) {
            let shard = self.shard_of(owner, &name);
            let Some(queue) = self.queues.get(shard).cloned() else { continue };
            if self.passes_over(owner, &name) {
                continue;
            }
            let (shared, member, done) = (self.clone(), member.clone(), done.clone());
            self.io.run(move || {
                let now = shared.started;
                let read = Arc::<AtomicU64>::default();
                let found = open_found(&shared, &member.account.name, &name, now, &read);
                queue.push_event(Event::Run(Box::new(move |shard| {
                    // Nobody waits for it when the server ends.
                    let _ = done.send(shard.recover_stream(&member, &name, found));
                })));
            });
        }
        drop(done);
        let (mut recovered, mut asked) = (0, 0);
        for opened in finished {
            asked += 1;
            recovered += usize::from(opened);
        }
        if asked > 0 {
            let log = &self.broker.log;
            stdx::notice!(log, "  Restored {recovered} of {asked} streams of account {owner}");
        }
    }
}

impl Shared {
    /// Accounts that have something in the store directory.
    pub fn stored_accounts(&self) -> Vec<String> {
        directories(&self.config.store_dir)
    }
}

impl Shard {
    fn places_of(&self, account: &str) -> Vec<u32> {
        let all = self.places.iter().enumerate();
        all.filter(|(_, place)| {
            place.as_deref().is_some_and(|place| place.account.account.name == account)
        })
        .map(|(at, _)| at as u32)
        .collect()
    }

    fn wake_streams(&mut self, account: &str) {
        for at in self.places_of(account) {
            let (shared, queue) = (self.shared.clone(), self.queue.clone());
            if let Some(place) = self.place(at) {
                place.listen(&shared, &queue, at);
            }
            self.begin_drawing(at);
        }
    }

    fn put_streams_to_sleep(&mut self, account: &str) {
        for at in self.places_of(account) {
            if let Some(place) = self.place(at) {
                place.deafen();
            }
        }
    }
}
