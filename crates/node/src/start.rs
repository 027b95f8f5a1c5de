//! Building a server from its options.

use crate::translate;
use crate::{Host, Node};
use arc_swap::ArcSwap;
use auth::Authenticator;
use broker::Broker;
use config::Options;
use monitor::RequestCounts;
use std::sync::Arc;
use stdx::log::Log;

/// Why a server cannot start with its options.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The users do not make sense together.
    #[error(transparent)]
    Auth(#[from] auth::user::AuthConfigError),
}

impl Node {
    /// A server that is not listening yet.
    pub fn new(options: Options, host: Host, log: Log) -> Result<Self, StartError> {
        let users = translate::auth(&options);
        let plaintext = users.has_plaintext_passwords();
        let authenticator = Authenticator::new(users)?;
        if plaintext {
            stdx::warning!(log, "Plaintext passwords detected, use nkeys or bcrypt");
        }
        let info = translate::info(&options, &host, authenticator.auth_required_at_all());
        let settings = translate::settings(&options);
        let broker = Broker::new(settings, info, authenticator, log.clone(), host.workers);
        for account in &options.accounts {
            broker.account_or_new(&account.name);
        }
        Ok(Self {
            broker: Arc::new(broker),
            options: ArcSwap::from_pointee(options),
            started: host.now,
            loaded: host.now.wall,
            log,
            requests: RequestCounts::default(),
            process: host.process,
            tls_not_after: host.tls_not_after,
            accepting: std::sync::atomic::AtomicBool::new(false),
        })
    }
}
