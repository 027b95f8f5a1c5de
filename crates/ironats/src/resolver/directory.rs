//! A resolver that keeps tokens in a directory, and asks others for those it does not have.
//!
//! Not here: the files (`store`), requests that change them (`service`, `sync`).
//! Laws: whoever is asked has `timeout` to answer, and the first token that is one counts; an empty
//!       answer means that one does not have it.
//! Reference: accounts.go DirAccResolver, CacheDirAccResolver, Server.fetch.
//! Contract: AUTH-019, AUTH-020.

use super::flight::Flights;
use super::service;
use super::store::{Deletion, Rules, Store, StoreError};
use auth::jwt::token::MAX_SIZE;
use config::lang::unit::Nanos;
use config::options::Resolver as Asked;
use node::Node;
use node::resolver::{FetchError, Fetching, Resolver};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use stdx::time::Timestamp;
use tokio::sync::mpsc;

/// How long others may take to answer.
const TIMEOUT: Duration = Duration::from_millis(1900);
/// How often tokens are compared with those of others.
const SYNC_EVERY: Duration = Duration::from_secs(60);
/// Tokens of a cache whose limit is not configured.
const CACHED: usize = 1000;
/// Answers that are looked at; more are let go.
const ANSWERS: usize = 64;

/// The time.
pub(super) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What both kinds of directories share.
pub(super) struct Directory {
    pub(super) store: Store,
    pub(super) now: Clock,
    /// Whether it has every account, and tells others; else it is a cache.
    pub(super) full: bool,
    /// How often a full one compares with others.
    pub(super) sync_every: Duration,
    timeout: Duration,
    flights: Flights,
    node: OnceLock<Weak<Node>>,
}

fn duration(of: Option<Nanos>) -> Option<Duration> {
    of.map(Nanos::to_std).filter(|duration| !duration.is_zero())
}

/// A limit that is not positive is none.
fn count(n: i64) -> Option<usize> {
    usize::try_from(n).ok().filter(|n| *n > 0)
}

impl Directory {
    /// Opens what the configuration asks for; `None` if that is no directory.
    pub(super) fn open(asked: &Asked, now: Clock) -> Option<Result<Self, StoreError>> {
        let (directory, limit, ttl, deletion, timeout, every) = match asked {
            Asked::Full { dir, limit, interval, allow_delete, hard_delete, timeout } => {
                let deletion = match (allow_delete, hard_delete) {
                    (false, _) => Deletion::Refused,
                    (true, false) => Deletion::Renames,
                    (true, true) => Deletion::Removes,
                };
                let limit = count(*limit).unwrap_or(usize::MAX);
                (dir, limit, None, deletion, timeout, duration(*interval))
            }
            Asked::Cache { dir, limit, ttl, timeout } => {
                let limit = count(*limit).unwrap_or(CACHED);
                (dir, limit, duration(*ttl), Deletion::Removes, timeout, None)
            }
            Asked::Memory | Asked::Url(_) => return None,
        };
        let full = matches!(asked, Asked::Full { .. });
        let directory = PathBuf::from(directory);
        let rules = Rules { directory, limit, evicts: !full, ttl, deletion };
        Some(Store::open(rules, now().0).map(|store| Self {
            store,
            now,
            full,
            sync_every: every.unwrap_or(SYNC_EVERY),
            timeout: duration(*timeout).unwrap_or(TIMEOUT),
            flights: Flights::default(),
            node: OnceLock::new(),
        }))
    }

    /// The time in Unix nanoseconds.
    pub(super) fn nanos(&self) -> i64 {
        (self.now)().0
    }

    pub(super) fn node(&self) -> Option<Arc<Node>> {
        self.node.get().and_then(Weak::upgrade)
    }

    /// Asks whoever listens for the token of an account.
    async fn ask_others(self: Arc<Self>, key: String) -> Result<String, FetchError> {
        let failed = |text: &str| FetchError(text.to_owned());
        let node = self.node().ok_or_else(|| failed("eventing shut down"))?;
        let (answered, mut answers) = mpsc::channel::<Vec<u8>>(ANSWERS);
        let inbox = format!("$SYS._INBOX_.{}", nkeys::KeyPair::new_user().public_key());
        let heard = answered.clone();
        let registration = node.system().serve(&inbox, move |_, answer| {
            // What comes when there is no room any more is too much.
            let _ = heard.try_send(answer.payload.to_vec());
        });
        let asked = node.system().post(move |context| {
            let subject = format!("$SYS.REQ.ACCOUNT.{key}.CLAIMS.LOOKUP");
            let Some(account) = context.system().account() else { return };
            let reply = Some(inbox.as_bytes());
            if !context.publish_in(&account, subject.as_bytes(), reply, b"", b"") {
                // Nobody is there to wait for.
                let _ = answered.try_send(Vec::new());
            }
        });
        drop(node);
        if !asked {
            return Err(failed("eventing shut down"));
        }
        let token = tokio::time::timeout(self.timeout, answers.recv()).await;
        drop(registration);
        match token {
            Err(_) => Err(failed("fetching jwt timed out")),
            Ok(None) => Err(failed("fetching jwt failed due to shutdown")),
            Ok(Some(token)) if token.is_empty() => Err(failed("account jwt not found")),
            Ok(Some(token)) if token.len() > MAX_SIZE => {
                Err(failed("the account jwt that came is too large"))
            }
            Ok(Some(token)) => {
                String::from_utf8(token).map_err(|_| failed("what came as account jwt is no text"))
            }
        }
    }
}

/// The directory as a resolver.
pub(super) struct DirectoryResolver(pub(super) Arc<Directory>);

impl Resolver for DirectoryResolver {
    fn fetch(&self, key: &str) -> Fetching {
        let directory = self.0.clone();
        if let Some(token) = directory.store.load(key, directory.nanos()) {
            return Box::pin(std::future::ready(Ok(token)));
        }
        let key = key.to_owned();
        self.0.flights.share(&key.clone(), move || {
            Box::pin(async move {
                let token = directory.clone().ask_others(key.clone()).await?;
                directory
                    .store
                    .save_if_newer(&key, &token, directory.nanos())
                    .map_err(|error| FetchError(error.to_string()))?;
                Ok(token)
            })
        })
    }

    fn keep(&self, key: &str, token: &str) -> Result<(), FetchError> {
        let kept = self.0.store.save_if_newer(key, token, self.0.nanos());
        kept.map(drop).map_err(|error| FetchError(error.to_string()))
    }

    fn rescan(&self) {
        if let Err(error) = self.0.store.rescan(self.0.nanos())
            && let Some(node) = self.0.node()
        {
            stdx::error!(node.log(), "DirResolver - {error}");
        }
    }

    fn start(&self, node: &Arc<Node>) -> Result<bool, FetchError> {
        let _ = self.0.node.set(Arc::downgrade(node));
        service::register(&self.0, node)?;
        Ok(true)
    }
}
