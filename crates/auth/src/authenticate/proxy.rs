//! Clients that come through a proxy which signs the server's nonce.
//!
//! Laws: a signature by no trusted key refuses the client; who must come through a proxy does not
//!       come in any other way.
//! Reference: auth.go proxyCheck.   Contract: AUTH-030.

use crate::base64;
use nkeys::KeyPair;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Which proxies are trusted, and who needs one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyConfig {
    /// Their public keys.
    pub trusted: Vec<String>,
    /// Whether whoever has the only user's password, or the token, needs one.
    pub required: bool,
    /// Users, by name or nkey, that need one.
    pub users: BTreeSet<String>,
}

/// How a client comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proxied {
    /// Directly, or through something that nobody vouches for.
    No,
    /// Through the proxy with this key.
    By(Arc<str>),
    /// Through something that says it is a proxy, and is none.
    Falsely,
}

impl Proxied {
    /// The key of the trusted proxy.
    pub fn by(self) -> Option<Arc<str>> {
        match self {
            Self::By(key) => Some(key),
            Self::No | Self::Falsely => None,
        }
    }
}

/// The trusted keys.
#[derive(Default)]
pub(super) struct Proxies {
    keys: Vec<(Arc<str>, KeyPair)>,
    pub(super) required: bool,
    pub(super) users: BTreeSet<String>,
}

impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(key, _)| key)).finish()
    }
}

impl Proxies {
    /// Keys that are none are left out: the configuration was checked before.
    pub(super) fn new(config: ProxyConfig) -> Self {
        let key = |text: String| {
            let pair = KeyPair::from_public_key(&text).ok()?;
            Some((text.into(), pair))
        };
        let keys = config.trusted.into_iter().filter_map(key).collect();
        Self { keys, required: config.required, users: config.users }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Who signed the nonce.
    pub(super) fn check(&self, nonce: &[u8], signature: &str) -> Proxied {
        if signature.is_empty() || self.keys.is_empty() {
            return Proxied::No;
        }
        let Ok(bytes) = base64::url(signature.as_bytes()) else { return Proxied::Falsely };
        let signer = self.keys.iter().find(|(_, key)| key.verify(nonce, &bytes).is_ok());
        signer.map_or(Proxied::Falsely, |(key, _)| Proxied::By(key.clone()))
    }
}
