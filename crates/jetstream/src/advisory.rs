//! Advisories of a shard: what it did, told to those who listen.
//!
//! Law: nothing is written, and no identifier made, unless somebody listens.
//! Parity: ADV-001, API-041.

use std::sync::Arc;

use broker::account::Account;
use jetstream_api::advisory::{Action, Advisory, ApiAudit, Fact, StreamAction};
use jetstream_api::client_info::ClientInfo;
use jetstream_api::json;
use jetstream_api::subject::Event;
use jetstream_core::{Out, Outgoing};

use crate::account::JsAccount;
use crate::event::ApiRequest;
use crate::shard::Shard;

impl Shard {
    /// Tells that something happened in an account.
    pub(crate) fn advise<F: Fact>(
        &mut self,
        account: &JsAccount,
        event: &Event<'_>,
        fact: impl FnOnce() -> F,
    ) {
        self.advise_in(&account.account, event, fact);
    }

    /// The same in an account that need not have JetStream.
    pub(crate) fn advise_in<F: Fact>(
        &mut self,
        account: &Arc<Account>,
        event: &Event<'_>,
        fact: impl FnOnce() -> F,
    ) {
        let subject = event.subject();
        if !account.is_wanted(subject.as_bytes()) {
            return;
        }
        let now = self.now;
        let advisory =
            Advisory { id: self.lent.random.nuid(now), timestamp: now.wall, fact: fact() };
        let body = json::to_json(&advisory);
        self.lent.out(u32::MAX, account).send(Outgoing::new(subject.as_bytes(), b"", &body));
    }

    /// Tells what became of a stream.
    pub(crate) fn advise_stream(&mut self, account: &JsAccount, stream: &str, action: Action) {
        let event = match action {
            Action::Create => Event::StreamCreated { stream },
            Action::Delete => Event::StreamDeleted { stream },
            Action::Modify => Event::StreamUpdated { stream },
        };
        let domain = account.facts.domain.clone().unwrap_or_default();
        self.advise(account, &event, || StreamAction { stream: stream.to_owned(), action, domain });
    }

    /// Tells how a request was answered.
    pub(crate) fn audit(&mut self, request: &ApiRequest, answer: &[u8]) {
        let (server, now) = (self.shared.config.server_name.clone(), self.shared.started);
        let account = request.account.clone();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.advise(&account, &Event::Api, || ApiAudit {
            server: server.clone(),
            client: match &request.client {
                Some(json) => json::unmarshal::<ClientInfo>(json.as_bytes()).ok(),
                // One of this server's own streams asks.
                None => Some(ClientInfo {
                    start: Some(now),
                    acc: account.account.name.clone(),
                    server: server.clone(),
                    kind: "JetStream".to_owned(),
                    ..ClientInfo::default()
                }),
            },
            subject: text(&request.subject),
            request: text(&request.payload),
            response: text(answer),
            domain: account.facts.domain.clone().unwrap_or_default(),
        });
    }
}
