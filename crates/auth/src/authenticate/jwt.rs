//! Logins with a user's token, where operators are trusted: the token, its account, its signer, the
//! nonce.
//!
//! Not here: which account tokens are trusted and where they come from (`Directory`), whether one
//! may still be connected later (`recheck` of the host, by `TokenFacts`).
//! Laws: a user is let in by nobody but a key that its account vouches for, and an account only
//!       while the directory knows it; a user with a signing key that has a template gets exactly
//!       the template.
//! Reference: auth.go processClientOrLeafAuthentication (JWT part).
//! Contract: AUTH-012..016, AUTH-023.

use super::proxy::Proxied;
use super::{AuthError, AuthRequest};
use crate::connection_type::ConnectionTypes;
use crate::identity::{Identity, TokenFacts, Who};
use crate::jwt::limits::{UserLimits, limit};
use crate::jwt::scope::Scope;
use crate::jwt::share::is_revoked;
use crate::jwt::{AccountClaims, UserClaims, template, window};
use crate::nkey::UserKey;
use crate::permission::Permissions;
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Something that takes a while.
pub type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An account whose token was found good.
#[derive(Debug)]
pub struct TrustedAccount {
    /// What its token says.
    pub claims: AccountClaims,
    /// Whether its identity key may not sign users.
    // Compat(AUTH-014)
    pub strict: bool,
    /// What users may do of whom nothing is said.
    pub default_permissions: Option<Arc<Permissions>>,
}

impl TrustedAccount {
    /// The account of these claims.
    pub fn new(claims: AccountClaims, strict: bool) -> Self {
        let defaults = claims.nats.default_permissions.config();
        let default_permissions = defaults.map(|config| Arc::new(Permissions::new(config)));
        Self { claims, strict, default_permissions }
    }

    /// Whether users signed by `key` belong to it.
    pub fn knows_signer(&self, key: &str) -> bool {
        self.claims.nats.scope(key).is_some() || (!self.strict && self.claims.subject == key)
    }

    /// Whether a user's token that was issued at `issued_at` does not count any more.
    pub fn has_revoked(&self, user: &str, issued_at: i64) -> bool {
        is_revoked(&self.claims.nats.revocations, user, issued_at)
    }
}

/// Why somebody who was let in has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The account took the token back.
    Revoked,
    /// The account wants nonces signed.
    Bearer,
    /// The account does not know the token's signer any more, or knows it with another template.
    Signer,
}

impl TrustedAccount {
    /// Whether who came in with `token` may stay, now that the account is what it is.
    ///
    /// # Errors
    /// Why not.
    pub fn recheck(&self, token: &TokenFacts) -> Result<(), Gone> {
        if token.bearer && self.claims.nats.limits.disallow_bearer {
            Err(Gone::Bearer)
        } else if self.has_revoked(&token.subject, token.issued_at) {
            Err(Gone::Revoked)
        } else if token.signing_key && !self.knows_signer(&token.issuer) {
            Err(Gone::Signer)
        } else {
            Ok(())
        }
    }

    /// Signing keys that `now` has with another template, or not at all.
    pub fn altered_signers(&self, now: &Self) -> BTreeSet<String> {
        let keys = &self.claims.nats.signing_keys.0;
        let altered = |(key, scope): &(&String, &Option<Scope>)| {
            now.claims.nats.signing_keys.0.get(*key) != Some(*scope)
        };
        keys.iter().filter(altered).map(|(key, _)| key.clone()).collect()
    }
}

/// Where accounts are looked up.
pub trait Directory: Send + Sync {
    /// An account that may be used as things stand; `None`: [`Directory::fetch`] may help.
    fn known(&self, key: &str) -> Option<Arc<TrustedAccount>>;
    /// Asks for an account's token; when it ends, `known` tells what came of it.
    fn fetch(&self, key: &str) -> Waiting;
    /// The second of the day at `now` (Unix seconds) in a time zone; empty: that of the server.
    /// `None`: there is no such zone.
    fn second_of_day(&self, zone: &str, now: i64) -> Option<u32>;
}

/// What it takes to log in with tokens.
#[derive(Clone)]
pub struct Operators {
    /// Accounts.
    pub directory: Arc<dyn Directory>,
    /// The only accounts that may log in; `None`: any.
    pub pinned: Option<BTreeSet<String>>,
    /// Logins refused because of `pinned`.
    pub pinned_fails: Arc<AtomicU64>,
    /// The token of users without one; empty for none.
    pub default_sentinel: String,
}

impl std::fmt::Debug for Operators {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operators").field("pinned", &self.pinned).finish_non_exhaustive()
    }
}

impl Operators {
    /// Whether who logged in to `account` with `token` may stay, though the account may have changed
    /// meanwhile.
    pub fn admits_still(&self, account: &str, token: &TokenFacts) -> bool {
        self.directory.known(account).is_some_and(|account| account.recheck(token).is_ok())
    }

    fn is_pinned_out(&self, account: &str) -> bool {
        self.pinned.as_ref().is_some_and(|pinned| !pinned.contains(account))
    }

    /// The token that counts, read and timely.
    fn token<'a>(&'a self, request: &AuthRequest<'a>) -> Result<(&'a str, UserClaims), AuthError> {
        // Compat(AUTH-015): what is no token at all is as good as none.
        let (token, claims) = match UserClaims::decode(request.jwt) {
            Ok(claims) => (request.jwt, claims),
            Err(_) if self.default_sentinel.is_empty() => return Err(AuthError::NoToken),
            Err(_) => (
                self.default_sentinel.as_str(),
                UserClaims::decode(&self.default_sentinel).map_err(AuthError::Token)?,
            ),
        };
        let issues = claims.validate(request.now);
        if issues.block(true) {
            return Err(AuthError::TokenInvalid(issues.text()));
        }
        Ok((token, claims))
    }

    /// Decides.
    pub(super) fn authenticate(
        &self,
        request: &AuthRequest<'_>,
        proxied: &Proxied,
    ) -> Result<Identity, AuthError> {
        let (token, claims) = self.token(request)?;
        if claims.nats.limits.proxy_required && *proxied == Proxied::No {
            return Err(AuthError::ProxyRequired);
        }
        let zone = |zone: &str, now| self.directory.second_of_day(zone, now);
        if let Some(issue) = unknown_zone(&claims, request.now, zone) {
            return Err(AuthError::TokenInvalid(issue));
        }
        let key = claims.account();
        if self.is_pinned_out(key) {
            self.pinned_fails.fetch_add(1, Ordering::Relaxed);
            return Err(AuthError::NotPinned(key.to_owned()));
        }
        let account =
            self.directory.known(key).ok_or_else(|| AuthError::AccountMissing(key.to_owned()))?;
        let limits = limits(&claims, &account)?;
        if limits.proxy_required && *proxied == Proxied::No {
            return Err(AuthError::ProxyRequired);
        }
        if limits.bearer_token && account.claims.nats.limits.disallow_bearer {
            return Err(AuthError::BearerRefused);
        }
        check_connection_type(&limits, request)?;
        if !limits.bearer_token {
            let user = UserKey::new(&claims.subject).ok_or(AuthError::Unknown)?;
            user.verify(request.nonce, request.signature)?;
        }
        if account.has_revoked(&claims.subject, claims.issued_at) {
            return Err(AuthError::Revoked);
        }
        if !window::admits(&limits.src, request.address) {
            let address = request.address.map_or_else(String::new, |address| address.to_string());
            return Err(AuthError::Source(address));
        }
        let window = stay(&limits, request.now, zone)?;
        // Compat(AUTH-012): named by the rest of what was presented, decided by the token.
        let who = Who::of(request.nkey, request.username, Some(&claims.subject), "");
        Ok(Identity { who, ..identity(token, claims, &limits, &account, window, request.now) })
    }
}

/// What is wrong with a token that names a time zone that there is not, whether or not it has times.
pub(super) fn unknown_zone(
    claims: &UserClaims,
    now: i64,
    second_of_day: impl Fn(&str, i64) -> Option<u32>,
) -> Option<String> {
    let zone = claims.nats.limits.locale.as_str();
    let is_known = zone.is_empty() || second_of_day(zone, now).is_some();
    let what = "could not parse iana time zone by name: unknown time zone";
    (!is_known).then(|| format!("{what} {zone}"))
}

/// How long the user may stay, for the time of the day.
pub(super) fn stay(
    limits: &UserLimits,
    now: i64,
    second_of_day: impl Fn(&str, i64) -> Option<u32>,
) -> Result<Option<Duration>, AuthError> {
    if limits.times.is_empty() {
        return Ok(None);
    }
    let second = second_of_day(&limits.locale, now).ok_or(AuthError::OutsideTimes)?;
    let rest = window::remaining(&limits.times, second).ok_or(AuthError::OutsideTimes)?;
    Ok(rest.map(|seconds| Duration::from_secs(seconds.into())))
}

/// What the user may do: what its token says, or the template of the key that signed it.
pub(super) fn limits(
    claims: &UserClaims,
    account: &TrustedAccount,
) -> Result<UserLimits, AuthError> {
    if !account.knows_signer(&claims.issuer) {
        return Err(AuthError::SignerUnknown);
    }
    let of = &account.claims;
    let Some(Some(scope)) = of.nats.scope(&claims.issuer) else {
        return Ok(claims.nats.limits.clone());
    };
    if !claims.has_empty_permissions() {
        return Err(AuthError::ScopedWithLimits);
    }
    let values = template::Values {
        name: &claims.name,
        subject: &claims.subject,
        tags: &claims.nats.tags,
        account_name: &of.name,
        account_subject: &of.subject,
        account_tags: &of.nats.tags,
    };
    template::fill(&scope.template, values).map_err(AuthError::Template)
}

pub(super) fn check_connection_type(
    limits: &UserLimits,
    request: &AuthRequest<'_>,
) -> Result<(), AuthError> {
    let (types, unknown) = ConnectionTypes::from_names(&limits.allowed_connection_types);
    // Only ways that this server does not know: not every way.
    let none_known = unknown.is_some() && types == ConnectionTypes::default();
    if none_known || !types.allows(request.connection_type) {
        return Err(AuthError::ConnectionType);
    }
    Ok(())
}

fn identity(
    token: &str,
    claims: UserClaims,
    limits: &UserLimits,
    account: &TrustedAccount,
    window: Option<Duration>,
    now: i64,
) -> Identity {
    let own = limits.permissions().map(|config| Arc::new(Permissions::new(config)));
    let default_permissions = own.is_none();
    let rest = (claims.expires != 0).then(|| {
        Duration::from_secs(u64::try_from(claims.expires.saturating_sub(now)).unwrap_or(0))
    });
    let facts = TokenFacts {
        jwt: token.to_owned(),
        default_permissions,
        bearer: limits.bearer_token,
        account_name: account.claims.name.clone(),
        subscriptions: limit(limits.subs),
        payload: limit(limits.payload),
        ends_in: [window, rest].into_iter().flatten().min(),
        signing_key: !claims.nats.issuer_account.is_empty(),
        issued_at: claims.issued_at,
        name: claims.name,
        tags: claims.nats.tags,
        issuer: claims.issuer,
        subject: claims.subject,
    };
    Identity {
        account: account.claims.subject.as_str().into(),
        who: Who::Jwt(facts.subject.as_str().into()),
        permissions: own.or_else(|| account.default_permissions.clone()),
        overridden_user: None,
        token: Some(Arc::new(facts)),
        proxy: None,
    }
}
