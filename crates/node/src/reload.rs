//! Putting new options in force in a running server.
//!
//! All that can fail happens in `prepare`, which changes nothing; `put_in_force` cannot fail.
//!
//! Not here: what may change at all (`config::diff`), files, TLS and the log (the host), what a
//! session does about it (`broker::session::review`).
//! Laws: accounts are in force before the users in them are, and both before sessions look again.
//! Contract: RELOAD-001, RELOAD-002, RELOAD-006.

use crate::start::{StartError, authenticator};
use crate::{Node, accounts, translate};
use auth::Authenticator;
use broker::account::AccountDefinition;
use broker::settings::Settings;
use config::Options;
use config::diff::{Plan, Step};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use stdx::time::Timestamp;
use wire::info::Info;

/// How long a reload waits for sessions to follow. Who is later does so before its next frame.
const PATIENCE: Duration = Duration::from_secs(5);

/// Options that can be put in force, and what they come to.
pub struct Prepared {
    options: Options,
    settings: Settings,
    info: Info,
    users: Option<Authenticator>,
    accounts: Option<Vec<AccountDefinition>>,
}

impl Node {
    /// Makes everything that `plan` needs of `options`, and changes nothing.
    ///
    /// # Errors
    /// The options do not make a server.
    pub fn prepare(&self, options: Options, plan: &Plan) -> Result<Prepared, StartError> {
        let users = (plan.needs(Step::Auth) || plan.needs(Step::Accounts))
            .then(|| authenticator(&options, &self.stand_in, self.claims(), &self.inquiry))
            .transpose()?;
        // Where operators are trusted, tokens define accounts.
        let configured = plan.needs(Step::Accounts) && self.claims().is_none();
        let accounts = configured.then(|| accounts::definitions(&options));
        if let Some(accounts) = &accounts {
            self.broker.check_accounts(accounts).map_err(|e| StartError::accounts(&e))?;
        }
        let in_force = self.broker.authenticator();
        let required = users.as_ref().unwrap_or(&in_force).auth_required_at_all();
        let mut info = (*self.broker.info()).clone();
        let (host, port) = translate::advertised(&options)?;
        // A port of the system's choice stays.
        let advertised = options.client.advertise.as_deref().is_some_and(|text| !text.is_empty());
        if plan.needs(Step::Info) {
            info.host = host;
            if port != 0 || advertised {
                info.port = port;
            }
        }
        let tls = options.tls.as_ref();
        info.auth_required = required;
        info.tls_required = tls.is_some() && !options.client.allow_non_tls;
        info.tls_available = tls.is_some() && options.client.allow_non_tls;
        info.tls_verify = tls.is_some_and(|tls| tls.verify || tls.map);
        let settings = translate::settings(&options);
        info.max_payload = settings.max_payload;
        Ok(Prepared { options, settings, info, users, accounts })
    }

    /// Puts options in force, and has every session follow.
    pub fn put_in_force(&self, prepared: Prepared, now: Timestamp) {
        let Prepared { options, settings, info, users, accounts } = prepared;
        self.broker.set_settings(settings);
        self.broker.set_info(info);
        let options = Arc::new(options);
        let before = self.options.swap(options.clone());
        if let Some(claims) = self.claims() {
            claims.follow(&before, &options);
        }
        if let Some(accounts) = accounts
            && let Err(errors) = self.broker.define_accounts(&accounts)
        {
            // They were good a moment ago, and nobody else defines any.
            for error in errors {
                stdx::error!(self.log(), "{error}");
            }
        }
        if let Some(users) = users {
            self.broker.set_authenticator(users);
        }
        self.reload_claims();
        self.broker.revise(PATIENCE);
        self.loaded.store(now.0, Ordering::Relaxed);
    }

    /// Has INFO say whether JetStream runs.
    pub fn tell_jetstream(&self) {
        let mut info = (*self.broker.info()).clone();
        let runs = self.has_jetstream();
        if info.jetstream != runs {
            info.jetstream = runs;
            self.broker.set_info(info);
        }
    }

    /// Whether JetStream runs.
    pub fn has_jetstream(&self) -> bool {
        self.jetstream.load().is_some()
    }

    /// When the options in force were put there.
    pub(crate) fn loaded(&self) -> Timestamp {
        Timestamp(self.loaded.load(Ordering::Relaxed))
    }

    /// Has monitoring tell of the cache of OCSP answers. The first one stays.
    pub fn set_ocsp_facts(
        &self,
        facts: impl Fn() -> Option<monitor::OcspCacheFacts> + Send + Sync + 'static,
    ) {
        let _ = self.ocsp_facts.set(Box::new(facts));
    }

    /// Notes when the main certificate ends.
    pub fn set_tls_not_after(&self, at: Option<Timestamp>) {
        self.tls_not_after.store(at.map_or(0, |at| at.0), Ordering::Relaxed);
    }

    pub(crate) fn tls_not_after(&self) -> Option<Timestamp> {
        Some(Timestamp(self.tls_not_after.load(Ordering::Relaxed))).filter(|at| at.0 != 0)
    }
}
