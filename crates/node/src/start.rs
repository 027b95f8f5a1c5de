//! Building a server from its options.

use crate::accounts;
use crate::claims::Registry;
use crate::system::System;
use crate::translate;
use crate::{Host, Node};
use arc_swap::ArcSwap;
use auth::Authenticator;
use broker::Broker;
use broker::account::AccountError;
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
    /// What clients are to be told is no address.
    #[error(transparent)]
    Advertise(#[from] translate::Unadvertised),
    /// The accounts do not fit together.
    #[error("{0}")]
    Accounts(String),
}

impl StartError {
    pub(crate) fn accounts(errors: &[AccountError]) -> Self {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Self::Accounts(lines.join("\n"))
    }
}

impl Node {
    /// A server that is not listening yet.
    pub fn new(options: Options, host: Host, log: Log) -> Result<Self, StartError> {
        let claims = host
            .operators
            .clone()
            .filter(|_| options.operator.is_trusting())
            .map(|surroundings| Registry::new(&options, surroundings));
        let authenticator = authenticator(&options, &host.stand_in, claims.as_ref())?;
        if translate::auth(&options, &host.stand_in).has_plaintext_passwords() {
            stdx::warning!(log, "Plaintext passwords detected, use nkeys or bcrypt");
        }
        let info = translate::info(&options, &host, authenticator.auth_required_at_all())?;
        let settings = translate::settings(&options);
        // Network threads, then those of JetStream, then the one of the system account.
        let system_worker = host.workers + host.shards;
        let broker = Broker::new(settings, info, authenticator, log.clone(), system_worker + 1);
        broker.set_system_account(options.system_account());
        let definitions = accounts::definitions(&options);
        broker.define_accounts(&definitions).map_err(|errors| StartError::accounts(&errors))?;
        if options.system_account() == Some(broker::account::SYSTEM) {
            stdx::debug!(log, "Created system account: \"{}\"", broker::account::SYSTEM);
        }
        Ok(Self {
            system: System::new(&broker),
            system_worker,
            broker: Arc::new(broker),
            options: ArcSwap::from_pointee(options),
            workers: host.workers,
            started: host.now,
            loaded: host.now.wall.0.into(),
            stand_in: host.stand_in,
            log,
            requests: RequestCounts::default(),
            process: host.process,
            ocsp_facts: std::sync::OnceLock::new(),
            tls_not_after: host.tls_not_after.map_or(0, |at| at.0).into(),
            jetstream: arc_swap::ArcSwapOption::empty(),
            claims,
            accepting: std::sync::atomic::AtomicBool::new(false),
        })
    }
}

/// Who may log in.
pub(crate) fn authenticator(
    options: &Options,
    stand_in: &str,
    claims: Option<&Arc<Registry>>,
) -> Result<Authenticator, StartError> {
    let authenticator = Authenticator::new(translate::auth(options, stand_in))?;
    Ok(match claims {
        Some(claims) => authenticator.with_operators(translate::operators(options, claims)),
        None => authenticator,
    })
}
