//! Building a server from its options.

use crate::accounts;
use crate::callout::Inquiry;
use crate::claims::Registry;
use crate::herald::Reports;
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
        let inquiry = Inquiry::new(host.callout.clone());
        let authenticator = authenticator(&options, &host.stand_in, claims.as_ref(), &inquiry)?;
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
        let system = System::new(&broker);
        broker.set_herald(Arc::new(Reports::new(system.clone())));
        let broker = Arc::new(broker);
        inquiry.attach(&system, &broker);
        warn_of_callout(&options, &broker, &log);
        Ok(Self {
            system,
            system_worker,
            broker,
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
            inquiry,
            accepting: std::sync::atomic::AtomicBool::new(false),
        })
    }
}

/// What of `auth_callout` names nobody.
fn warn_of_callout(options: &Options, broker: &Broker, log: &Log) {
    let block = options.authorization.as_ref();
    let Some(callout) = block.and_then(|block| block.callout.as_ref()) else { return };
    let quote = |text: &str| stdx::go_text::quote(text.as_bytes());
    if broker.account(&callout.account).is_none() {
        stdx::error!(log, "Authorization callout account {} not valid", quote(&callout.account));
    }
    for user in &callout.auth_users {
        let named = options.users.iter().any(|known| known.username == *user);
        if !named && !options.nkeys.iter().any(|known| known.nkey == *user) {
            stdx::error!(log, "Authorization callout user {} not valid", quote(user));
        }
    }
}

/// Who may log in.
pub(crate) fn authenticator(
    options: &Options,
    stand_in: &str,
    claims: Option<&Arc<Registry>>,
    inquiry: &Arc<Inquiry>,
) -> Result<Authenticator, StartError> {
    let users = Authenticator::new(translate::auth(options, stand_in))?;
    let users = users.with_callouts(inquiry.callouts(options));
    Ok(match claims {
        None => users,
        Some(claims) => users.with_operators(translate::operators(options, claims)),
    })
}
