//! Accounts that are defined by tokens: which are known, what their tokens say, when they end.
//!
//! Not here: the tokens themselves (`auth::jwt`), where they come from (`resolver`), what becomes
//! of the broker's accounts (`apply`, `define`).
//! Laws: an account is known once a trusted operator's signature on its token was verified, and
//!       until that token ends; what was learned is in force before a login that waited for it goes
//!       on; one change at a time.
//! Reference: server.go lookupOrFetchAccount, verifyAccountClaims.   Contract: AUTH-011..023.

pub mod answer;
mod apply;
mod define;
mod facts;
mod fetch;
mod jetstream;
mod reload;
pub mod update;

pub use facts::AccountToken;
pub(crate) use facts::account_facts;

use crate::Node;
use crate::resolver::Resolver;
use auth::authenticate::jwt::{Directory, TrustedAccount, Waiting};
use auth::jwt::{AccountClaims, JwtError};
use broker::account::SYSTEM;
use config::Options;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use stdx::time::Timestamp;

/// What the host gives a server that trusts operators.
#[derive(Clone)]
pub struct Surroundings {
    /// Where tokens come from; none if only logins of known accounts make sense.
    pub resolver: Option<Arc<dyn Resolver>>,
    /// The time.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// The second of the day in a zone at a time (Unix seconds); empty: that of the server.
    pub second_of_day: fn(&str, i64) -> Option<u32>,
    /// Runs something beside the network threads, waited for or not.
    pub spawn: Arc<dyn Fn(Waiting) -> Waiting + Send + Sync>,
    /// Runs something that waits for the disk.
    pub apart: Arc<dyn Fn(Box<dyn FnOnce() + Send>) -> Waiting + Send + Sync>,
}

/// Why an account's token does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    /// It is no token.
    #[error(transparent)]
    Token(#[from] JwtError),
    /// Nobody who is trusted signed it, it is out of its time, or it is another account's.
    #[error("account validation failed")]
    Invalid,
    /// There is none.
    #[error("{0}")]
    Fetch(String),
    /// There is nobody to ask.
    #[error("account resolver missing")]
    NoResolver,
    /// The server is going down.
    #[error("the server ends")]
    Ending,
}

/// Whom the server trusts.
#[derive(Debug, Default)]
struct Trust {
    keys: BTreeSet<String>,
    /// Signing keys of operators that want signing keys to be used.
    strict: BTreeSet<String>,
}

impl Trust {
    fn new(options: &Options) -> Self {
        let strict = options.operator.claims.iter().filter(|claims| claims.nats.strict);
        Self {
            keys: options.operator.all_trusted_keys().into_iter().collect(),
            strict: strict.flat_map(|claims| claims.nats.signing_keys.clone()).collect(),
        }
    }
}

/// How an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Its token is in force.
    Good,
    /// Its token ended.
    Expired,
    /// It was deleted.
    Removed,
}

/// One known account.
#[derive(Clone, Debug)]
struct Entry {
    token: Arc<str>,
    account: Arc<TrustedAccount>,
    updated: Timestamp,
    /// Not everything it imports is there.
    incomplete: bool,
    standing: Standing,
    /// When its imports have to be looked at again, in Unix seconds.
    until: Option<i64>,
}

impl Entry {
    /// When something of it ends, in Unix seconds.
    fn next_end(&self) -> Option<i64> {
        let expires = self.account.claims.expires;
        let own = (expires > 0 && self.standing == Standing::Good).then_some(expires);
        [own, self.until].into_iter().flatten().min()
    }
}

/// Nothing ends.
const NEVER: i64 = i64::MAX;

/// Known accounts.
pub struct Registry {
    surroundings: Surroundings,
    trust: Mutex<Arc<Trust>>,
    accounts: RwLock<HashMap<String, Entry>>,
    changing: Mutex<()>,
    next_end: AtomicI64,
    pinned_fails: Arc<AtomicU64>,
    /// The system account was not to be had yet.
    bootstrapping: AtomicBool,
    node: OnceLock<Weak<Node>>,
}

impl Registry {
    /// Knows nobody yet.
    pub(crate) fn new(options: &Options, surroundings: Surroundings) -> Arc<Self> {
        Arc::new(Self {
            surroundings,
            trust: Mutex::new(Arc::new(Trust::new(options))),
            accounts: RwLock::default(),
            changing: Mutex::default(),
            next_end: AtomicI64::new(NEVER),
            pinned_fails: Arc::default(),
            bootstrapping: AtomicBool::new(false),
            node: OnceLock::new(),
        })
    }

    fn node(&self) -> Option<Arc<Node>> {
        self.node.get().and_then(Weak::upgrade)
    }

    /// Logins refused because only other accounts may log in.
    pub fn pinned_fails(&self) -> &Arc<AtomicU64> {
        &self.pinned_fails
    }

    /// The time, in Unix seconds.
    fn now(&self) -> i64 {
        (self.surroundings.now)().0.div_euclid(1_000_000_000)
    }

    /// Whether an account is known, in force or not.
    pub fn has(&self, key: &str) -> bool {
        self.accounts.read().contains_key(key)
    }

    /// Reads a token and verifies that it is one of the account `key` that counts now.
    fn verify(&self, key: &str, token: &str) -> Result<TrustedAccount, ClaimsError> {
        let claims = AccountClaims::decode(token)?;
        let trust = self.trust.lock().clone();
        let good = trust.keys.contains(&claims.issuer)
            && claims.subject == key
            && !claims.validate(self.now()).block(true);
        if !good {
            return Err(ClaimsError::Invalid);
        }
        let strict = trust.strict.contains(&claims.issuer);
        Ok(TrustedAccount::new(claims, strict))
    }
}

/// Accounts as logins look them up.
pub struct Lookup(pub Arc<Registry>);

impl Directory for Lookup {
    fn known(&self, key: &str) -> Option<Arc<TrustedAccount>> {
        let accounts = self.0.accounts.read();
        let entry = accounts.get(key).filter(|entry| entry.standing == Standing::Good)?;
        let expires = entry.account.claims.expires;
        (expires == 0 || expires > self.0.now()).then(|| entry.account.clone())
    }

    fn fetch(&self, key: &str) -> Waiting {
        let (registry, key) = (self.0.clone(), key.to_owned());
        // Whoever waits may be a network thread, which must not read files or define accounts.
        (self.0.surroundings.spawn)(Box::pin(async move {
            if let Err(error) = registry.refresh(&key, None).await
                && let Some(node) = registry.node()
            {
                stdx::debug!(node.log(), "Account [{key}] is not available: {error}");
            }
        }))
    }

    fn second_of_day(&self, zone: &str, now: i64) -> Option<u32> {
        (self.0.surroundings.second_of_day)(zone, now)
    }
}

impl Registry {
    /// Sees to tokens that ended meanwhile. To be called about once a second.
    pub fn tick(&self) {
        if self.now() >= self.next_end.load(Ordering::Relaxed) {
            self.end_due();
        }
    }
}

/// Why a server that trusts operators cannot start.
#[derive(Debug, thiserror::Error)]
pub enum CannotStart {
    /// The configuration lists all there is, and the system account is not among it.
    #[error("error resolving system account: {0}")]
    SystemAccount(ClaimsError),
    /// The resolver cannot work.
    #[error("Could not start resolver: {0}")]
    Resolver(String),
}

impl Node {
    /// Keeps what the configuration lists, and brings the system account in.
    ///
    /// # Errors
    /// The configuration lists all there is, and the system account is not among it.
    pub async fn start_claims(self: &Arc<Self>) -> Result<(), CannotStart> {
        let Some(claims) = &self.claims else { return Ok(()) };
        let _ = claims.node.set(Arc::downgrade(self));
        let options = self.options();
        self.announce_operators(&options);
        let Some(resolver) = &claims.surroundings.resolver else {
            update::register(self);
            return Ok(());
        };
        match resolver.start(self) {
            Ok(true) => {}
            Ok(false) => update::register(self),
            Err(error) => return Err(CannotStart::Resolver(error.to_string())),
        }
        for (key, token) in &options.operator.resolver_preload {
            if let Err(error) = resolver.keep(key, token) {
                stdx::warning!(self.log(), "Preloaded account [{key}] is not kept: {error}");
            }
        }
        let Some(system) = options.system_account().filter(|name| *name != SYSTEM) else {
            return Ok(());
        };
        match claims.refresh(system, None).await {
            Ok(()) => Ok(()),
            Err(error) if resolver.is_fixed() => Err(CannotStart::SystemAccount(error)),
            Err(_) => {
                stdx::notice!(self.log(), "Using bootstrapping system account");
                claims.stand_in(system);
                claims.bootstrapping.store(true, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    fn announce_operators(&self, options: &Options) {
        let log = self.log();
        let claims = &options.operator.claims;
        if claims.is_empty() {
            return;
        }
        let time = |seconds: i64| Timestamp(seconds.saturating_mul(1_000_000_000));
        stdx::notice!(log, "Trusted Operators");
        for operator in claims {
            let quote = |text: &str| stdx::go_text::quote(text.as_bytes());
            stdx::notice!(log, "  System  : {}", quote(&operator.audience));
            stdx::notice!(log, "  Operator: {}", quote(&operator.name));
            stdx::notice!(log, "  Issued  : {}", time(operator.issued_at).rfc3339());
            match operator.expires {
                0 => stdx::notice!(log, "  Expires : Never"),
                at => stdx::notice!(log, "  Expires : {}", time(at).rfc3339()),
            }
        }
        if options.system_account().is_none_or(|name| name == SYSTEM) {
            stdx::warning!(log, "Trusted Operators should utilize a System Account");
        }
        for (key, token) in &options.operator.resolver_preload {
            self.announce_preload(key, token);
        }
    }

    fn announce_preload(&self, key: &str, token: &str) {
        let Ok(claims) = AccountClaims::decode(token) else {
            stdx::error!(self.log(), "Preloaded account [{key}] not valid");
            return;
        };
        let now = self.claims.as_ref().map_or(0, |claims| claims.now());
        let issues = claims.validate(now);
        if issues.block(true) {
            stdx::warning!(self.log(), "Account [{key}] has validation issues:");
            for issue in &issues.0 {
                stdx::warning!(self.log(), "  - {}", issue.description);
            }
        }
    }
}

impl Registry {
    /// Asks for a system account once more that was not to be had at the start; whether there is
    /// still one to ask for.
    pub async fn bootstrap(self: &Arc<Self>) -> bool {
        if !self.bootstrapping.load(Ordering::Relaxed) {
            return false;
        }
        let Some(node) = self.node() else { return false };
        let options = node.options();
        let Some(system) = options.system_account() else { return false };
        let Some(resolver) = self.surroundings.resolver.clone() else { return false };
        // Not through `ask`: a warning each second helps nobody.
        let Ok(token) = resolver.fetch(system).await else { return true };
        if self.refresh(system, Some(token)).await.is_err() {
            return true;
        }
        stdx::notice!(node.log(), "System account fetched and updated");
        self.bootstrapping.store(false, Ordering::Relaxed);
        false
    }
}

impl Node {
    /// Keeps what the configuration lists now, and looks at every known account again.
    pub(crate) fn reload_claims(&self) {
        let Some(claims) = &self.claims else { return };
        let options = self.options();
        *claims.trust.lock() = Arc::new(Trust::new(&options));
        if let Some(resolver) = &claims.surroundings.resolver {
            for (key, token) in &options.operator.resolver_preload {
                if let Err(error) = resolver.keep(key, token) {
                    stdx::warning!(self.log(), "Preloaded account [{key}] is not kept: {error}");
                }
            }
        }
        claims.refresh_all();
    }
}
