//! Where account tokens come from.
//!
//! Not here: those that need files or sockets (`ironats::resolver`), what tokens say (`claims`).
//! Law: a resolver gives texts; whether one is a token, and trusted, is found out by who asked.
//! Reference: accounts.go AccountResolver, MemAccResolver.   Contract: AUTH-017.

use crate::Node;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Why a resolver has no token to give. The text goes to the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(pub String);

/// A token on its way.
pub type Fetching = Pin<Box<dyn Future<Output = Result<String, FetchError>> + Send>>;

/// Where account tokens come from.
pub trait Resolver: Send + Sync {
    /// Asks for the token of the account with this key.
    fn fetch(&self, key: &str) -> Fetching;

    /// Keeps a token, if the resolver keeps any: one from the configuration, or from elsewhere.
    ///
    /// # Errors
    /// Why it cannot be kept.
    fn keep(&self, key: &str, token: &str) -> Result<(), FetchError>;

    /// Forgets the token of an account, if the resolver keeps any.
    fn forget(&self, key: &str) {
        let _ = key;
    }

    /// Begins to serve requests about claims, if the resolver does that itself: then `true`.
    ///
    /// # Errors
    /// It cannot work.
    fn start(&self, node: &Arc<Node>) -> Result<bool, FetchError> {
        let _ = node;
        Ok(false)
    }

    /// Looks again at what it keeps, if that may have changed behind its back.
    fn rescan(&self) {}

    /// Whether an account that is not there now will never be.
    fn is_fixed(&self) -> bool {
        false
    }
}

/// What the configuration lists.
#[derive(Debug, Default)]
pub struct Memory {
    tokens: Mutex<HashMap<String, String>>,
}

impl Resolver for Memory {
    fn fetch(&self, key: &str) -> Fetching {
        let found = self.tokens.lock().get(key).cloned();
        let found = found.ok_or_else(|| FetchError("account missing".to_owned()));
        Box::pin(std::future::ready(found))
    }

    fn keep(&self, key: &str, token: &str) -> Result<(), FetchError> {
        self.tokens.lock().insert(key.to_owned(), token.to_owned());
        Ok(())
    }

    fn forget(&self, key: &str) {
        self.tokens.lock().remove(key);
    }

    fn is_fixed(&self) -> bool {
        true
    }
}
