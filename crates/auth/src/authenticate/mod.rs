//! The decision whether a client may connect, and as whom.
//!
//! First a credential is chosen by what is configured and what was presented (`Credential`), then
//! it is verified. Choosing is cheap; verifying a bcrypt hash is not, and `is_slow` tells before.
//! Not here: claims, callouts and proxies come before and after this step; limits of accounts.
//! Laws: every way in, `no_auth_user` included, passes the connection type check; nobody is
//!       accepted by the absence of a credential that was configured; the error never tells a
//!       client which part was wrong.
//! Reference: auth.go processClientOrLeafAuthentication.

pub mod callout;
pub mod jwt;
pub mod proxy;
mod review;
#[cfg(test)]
mod tests;

pub use review::Review;

use self::proxy::{Proxied, Proxies};
use crate::GLOBAL_ACCOUNT;
use crate::certificate::{CertificateFacts, find_user};
use crate::connection_type::{ConnectionType, ConnectionTypes};
use crate::dn::DistinguishedName;
use crate::identity::{Identity, Who};
use crate::jwt::JwtError;
use crate::jwt::template::TemplateError;
use crate::nkey::{SignatureError, UserKey};
use crate::password::Secret;
use crate::permission::{Permissions, PermissionsConfig};
use crate::user::{AuthConfig, AuthConfigError, NkeyUser, User};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use stdx::go_text::quote;

/// What a client presents.
#[derive(Clone, Copy, Debug)]
pub struct AuthRequest<'a> {
    /// `user` of CONNECT; empty if absent, as are the other texts.
    pub username: &'a str,
    /// `pass` of CONNECT.
    pub password: &'a str,
    /// `auth_token` of CONNECT.
    pub token: &'a str,
    /// `nkey` of CONNECT.
    pub nkey: &'a str,
    /// `jwt` of CONNECT.
    pub jwt: &'a str,
    /// `sig` of CONNECT.
    pub signature: &'a str,
    /// `proxy_sig` of CONNECT.
    pub proxy_signature: &'a str,
    /// The nonce of the INFO that the client got.
    pub nonce: &'a [u8],
    /// How it came in.
    pub connection_type: ConnectionType,
    /// Its verified certificate, if it came over TLS and has one.
    pub certificate: Option<&'a CertificateFacts>,
    /// Where it comes from, if it has an address.
    pub address: Option<IpAddr>,
    /// The time, in Unix seconds.
    pub now: i64,
}

impl AuthRequest<'_> {
    /// How logs call the client, by what it presented. Whose its token is, is not known.
    pub fn who(&self) -> Who {
        self.who_as("")
    }

    /// The same for the user with this key, if it presented a token.
    pub fn who_as(&self, key: &str) -> Who {
        let jwt = (!self.jwt.is_empty()).then_some(key);
        Who::of(self.nkey, self.username, jwt, self.token)
    }

    /// The same if its token does not name it.
    pub fn who_beside_token(&self) -> Who {
        Who::of(self.nkey, self.username, None, self.token)
    }
}

/// Why a client is refused. The text is for debug lines only; towards the client there is one
/// answer, `CLIENT_ERROR`.
// Compat(CORE-024)
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// It presented nothing that could be checked.
    #[error("Credentials missing")]
    Missing,
    /// No such user, nkey or token.
    #[error("User, nkey or token not known")]
    Unknown,
    /// The user exists, but may not come in this way.
    #[error("Connection type not allowed")]
    ConnectionType,
    /// Wrong password or token.
    #[error("Password or token not valid")]
    WrongSecret,
    /// The nonce is not signed by the nkey.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Users are told by certificate, and there is none.
    #[error("User required in cert, no peer certificates found")]
    NoCertificate,
    /// The certificate stands for no user.
    #[error("User in cert not found")]
    CertificateUnknown,
    /// Operators are trusted, and it presented no token.
    #[error("Authentication requires a user JWT")]
    NoToken,
    /// What stands in for a missing token is none.
    #[error("User JWT not valid: {0}")]
    Token(JwtError),
    /// The token is out of its time, or makes no sense.
    #[error("User JWT no longer valid: {0}")]
    TokenInvalid(String),
    /// Only other accounts may log in.
    #[error("Account {0} not listed as operator pinned account")]
    NotPinned(String),
    /// The account is not known, not trusted or expired.
    #[error("Account JWT lookup error: account {0} is missing, not trusted or expired")]
    AccountMissing(String),
    /// The account does not know the key that signed the token.
    #[error("User JWT issuer is not known")]
    SignerUnknown,
    /// The signing key has a template, and the token has limits of its own.
    #[error("User JWT is not valid: scoped users require no permissions or limits set")]
    ScopedWithLimits,
    /// The signing key's template does not fit the user.
    #[error("User JWT generated invalid permissions")]
    Template(#[source] TemplateError),
    /// The account wants nonces signed.
    #[error("Account does not allow bearer tokens")]
    BearerRefused,
    /// The account took the token back.
    #[error("User authentication revoked")]
    Revoked,
    /// It may not come from this address.
    #[error("Bad src Ip {0}")]
    Source(String),
    /// It may not come at this time of the day.
    #[error("Outside connect times")]
    OutsideTimes,
    /// What it came through is no trusted proxy.
    #[error("proxy is not trusted")]
    ProxyNotTrusted,
    /// It has to come through a trusted proxy.
    #[error("proxy connection required")]
    ProxyRequired,
    /// Whoever decides did not let it in.
    #[error("{0}")]
    Callout(String),
    /// Whoever decides did not answer in time.
    #[error("Authorization callout response not received in time on account {}", quote(.0.as_bytes()))]
    CalloutTimeout(String),
}

impl AuthError {
    /// What every refused client is told.
    pub const CLIENT_ERROR: &'static str = "Authorization Violation";

    /// The reason of the closed connection, as monitoring and events print it.
    pub fn close_reason(&self) -> &'static str {
        "Authentication Failure"
    }

    /// Whether an operator should see it in any log: the credentials are good, and misused.
    pub fn is_notable(&self) -> bool {
        matches!(self, Self::Source(_) | Self::OutsideTimes)
    }
}

/// Decides who may connect; immutable, a reload builds a new one.
#[derive(Debug)]
pub struct Authenticator {
    users: HashMap<String, UserEntry>,
    /// Users whose name is a distinguished name, in the order of the configuration.
    dn_users: Vec<(DistinguishedName, String)>,
    nkeys: HashMap<String, NkeyEntry>,
    username: String,
    password: Secret,
    token: Secret,
    no_auth_user: String,
    hides_no_auth_user: bool,
    tls_map: bool,
    required: bool,
    global: Arc<str>,
    operators: Option<jwt::Operators>,
    callouts: Option<callout::Callouts>,
    proxies: Proxies,
}

#[derive(Debug)]
struct UserEntry {
    name: String,
    password: Secret,
    grant: Grant,
}

#[derive(Debug)]
struct NkeyEntry {
    key: UserKey,
    grant: Grant,
}

/// What a user gets.
#[derive(Debug)]
struct Grant {
    account: Arc<str>,
    permissions: Option<Arc<Permissions>>,
    connection_types: ConnectionTypes,
}

/// The credential that decides.
#[derive(Clone, Copy)]
enum Credential<'a> {
    /// Nothing is asked for.
    Open,
    /// Stands in for a client without credentials; nothing to verify.
    NoAuthUser(&'a UserEntry),
    NoAuthNkey(&'a NkeyEntry),
    Nkey(&'a NkeyEntry),
    Password(&'a UserEntry),
    Certificate(&'a UserEntry),
    SingleToken,
    SingleUser,
}

// === impl Authenticator ===

impl Authenticator {
    /// Compiles a configuration.
    pub fn new(config: AuthConfig) -> Result<Self, AuthConfigError> {
        config.check()?;
        let required = config.requires_auth();
        let mut interned = Interned::default();
        let (mut users, mut dn_users, mut nkeys) = (HashMap::new(), Vec::new(), HashMap::new());
        for User { name, password, account, permissions, connection_types } in config.users {
            if let Ok(dn) = DistinguishedName::parse(&name)
                && !dn.is_empty()
            {
                dn_users.push((dn, name.clone()));
            }
            let grant = interned.grant(&account, permissions, connection_types);
            users.insert(name.clone(), UserEntry { name, password, grant });
        }
        for NkeyUser { nkey, account, permissions, connection_types } in config.nkeys {
            let key = UserKey::new(&nkey).ok_or_else(|| AuthConfigError::BadNkey(nkey.clone()))?;
            let grant = interned.grant(&account, permissions, connection_types);
            nkeys.insert(nkey, NkeyEntry { key, grant });
        }
        Ok(Self {
            users,
            dn_users,
            nkeys,
            username: config.username,
            password: config.password,
            token: config.token,
            no_auth_user: config.no_auth_user,
            hides_no_auth_user: config.hides_no_auth_user,
            tls_map: config.tls_map,
            required,
            global: interned.account(""),
            operators: None,
            callouts: None,
            proxies: Proxies::new(config.proxies),
        })
    }

    /// With these, users log in with tokens and nothing else.
    #[must_use]
    pub fn with_operators(mut self, operators: jwt::Operators) -> Self {
        self.required = true;
        self.operators = Some(operators);
        self
    }

    /// What logins with tokens are decided by, if any are.
    pub fn operators(&self) -> Option<&jwt::Operators> {
        self.operators.as_ref()
    }

    /// Whether INFO says `auth_required`: clients need credentials, and nobody stands in for those
    /// without.
    // Compat(AUTH-007)
    pub fn auth_required(&self) -> bool {
        self.required && (self.no_auth_user.is_empty() || self.hides_no_auth_user)
    }

    /// Whether clients log in at all, even if somebody stands in for those without credentials:
    /// what INFO says after the first one.
    // Compat(AUTH-007)
    pub fn auth_required_at_all(&self) -> bool {
        self.required
    }

    /// Whether nkeys may log in, so that INFO needs a nonce.
    pub fn needs_nonce(&self) -> bool {
        self.operators.is_some() || !self.nkeys.is_empty() || !self.proxies.is_empty()
    }

    /// Whether `authenticate` would compute a bcrypt hash or verify a chain of tokens for this
    /// request, which takes a millisecond or more and should not keep a network thread.
    pub fn is_slow(&self, request: &AuthRequest<'_>) -> bool {
        if self.operators.is_some() {
            return !(request.jwt.is_empty() && self.has_no_sentinel());
        }
        if self.calls_out() {
            return true;
        }
        match self.choose(request) {
            Ok(Credential::Password(user) | Credential::Certificate(user)) => {
                user.password.is_bcrypt()
            }
            Ok(Credential::SingleUser) => {
                self.password.is_bcrypt() && self.username == request.username
            }
            Ok(Credential::SingleToken) => self.token.is_bcrypt(),
            Ok(
                Credential::Open
                | Credential::NoAuthUser(_)
                | Credential::NoAuthNkey(_)
                | Credential::Nkey(_),
            )
            | Err(_) => false,
        }
    }

    /// How logs call a client that is refused: by its certificate where users are told by it, else
    /// by what it presented.
    pub fn who(&self, request: &AuthRequest<'_>) -> Who {
        if self.operators.is_some() {
            return request.who();
        }
        match self.choose(request) {
            Ok(Credential::Certificate(user)) => Who::User(user.name.as_str().into()),
            _ => request.who(),
        }
    }

    fn has_no_sentinel(&self) -> bool {
        self.operators.as_ref().is_none_or(|operators| operators.default_sentinel.is_empty())
    }

    /// Decides.
    pub fn authenticate(&self, request: &AuthRequest<'_>) -> Result<Identity, AuthError> {
        let proxied = self.proxies.check(request.nonce, request.proxy_signature);
        if proxied == Proxied::Falsely {
            return Err(AuthError::ProxyNotTrusted);
        }
        let identity = self.identify(request, &proxied)?;
        Ok(Identity { proxy: proxied.by(), ..identity })
    }

    /// Whether the client came through a trusted proxy.
    fn is_proxied(&self, request: &AuthRequest<'_>) -> Option<Arc<str>> {
        self.proxies.check(request.nonce, request.proxy_signature).by()
    }

    fn identify(
        &self,
        request: &AuthRequest<'_>,
        proxied: &Proxied,
    ) -> Result<Identity, AuthError> {
        if let Some(operators) = &self.operators {
            return operators.authenticate(request, proxied);
        }
        let chosen = self.choose(request)?;
        if *proxied == Proxied::No && self.needs_proxy(&chosen) {
            return Err(AuthError::ProxyRequired);
        }
        let secret = |secret: &Secret, text: &str| match secret.matches(text) {
            true => Ok(()),
            false => Err(AuthError::WrongSecret),
        };
        // The identity is named by the credential that was verified, whatever else was presented.
        Ok(match chosen {
            Credential::Open => self.global_identity(request.who()),
            Credential::NoAuthUser(user) => {
                // Compat(AUTH-007): the reference fills in the configured password, so that a
                // user with a bcrypt hash cannot stand in. Accepting would open closed servers.
                if user.password.is_bcrypt() {
                    return Err(AuthError::WrongSecret);
                }
                user.grant.identity(Who::User(user.name.as_str().into()))
            }
            Credential::NoAuthNkey(user) => {
                user.grant.identity(Who::Nkey(user.key.as_str().into()))
            }
            Credential::Nkey(user) => {
                user.key.verify(request.nonce, request.signature)?;
                user.grant.identity(Who::Nkey(user.key.as_str().into()))
            }
            Credential::Password(user) => {
                secret(&user.password, request.password)?;
                user.grant.identity(Who::User(user.name.as_str().into()))
            }
            Credential::Certificate(user) => {
                secret(&user.password, request.password)?;
                let named = !request.username.is_empty();
                Identity {
                    overridden_user: named.then(|| request.username.to_owned()),
                    ..user.grant.identity(Who::User(user.name.as_str().into()))
                }
            }
            Credential::SingleToken => {
                secret(&self.token, request.token)?;
                self.global_identity(Who::Token)
            }
            Credential::SingleUser => {
                if self.username != request.username {
                    return Err(AuthError::Unknown);
                }
                secret(&self.password, request.password)?;
                self.global_identity(Who::User(self.username.as_str().into()))
            }
        })
    }

    fn needs_proxy(&self, chosen: &Credential<'_>) -> bool {
        let named = |name: &str| self.proxies.users.contains(name);
        match chosen {
            Credential::Open => false,
            Credential::NoAuthUser(user)
            | Credential::Password(user)
            | Credential::Certificate(user) => named(&user.name),
            Credential::NoAuthNkey(user) | Credential::Nkey(user) => named(user.key.as_str()),
            Credential::SingleToken | Credential::SingleUser => self.proxies.required,
        }
    }

    /// Finds the credential that decides, without verifying it.
    // Compat(AUTH-001): nkeys, then users (by certificate or by name), then the token, then the
    // single user.
    fn choose(&self, request: &AuthRequest<'_>) -> Result<Credential<'_>, AuthError> {
        if !self.required {
            return Ok(Credential::Open);
        }
        let anonymous =
            request.username.is_empty() && request.password.is_empty() && request.token.is_empty();
        let way = request.connection_type;
        if !self.nkeys.is_empty() {
            if anonymous
                && request.nkey.is_empty()
                && let Some(user) = self.nkeys.get(&self.no_auth_user)
            {
                return user.grant.admits(way, Credential::NoAuthNkey(user));
            }
            if !request.nkey.is_empty() {
                let user = self.nkeys.get(request.nkey).ok_or(AuthError::Unknown)?;
                let skip = *request.nkey == *self.no_auth_user;
                let chosen =
                    if skip { Credential::NoAuthNkey(user) } else { Credential::Nkey(user) };
                return user.grant.admits(way, chosen);
            }
        }
        if !self.users.is_empty() {
            if self.tls_map {
                return self.by_certificate(request).map(Credential::Certificate);
            }
            if anonymous && let Some(user) = self.users.get(&self.no_auth_user) {
                return user.grant.admits(way, Credential::NoAuthUser(user));
            }
            if !request.username.is_empty() {
                let user = self.users.get(request.username).ok_or(AuthError::Unknown)?;
                return user.grant.admits(way, Credential::Password(user));
            }
        }
        if !self.token.is_empty() {
            Ok(Credential::SingleToken)
        } else if !self.username.is_empty() {
            Ok(Credential::SingleUser)
        } else {
            Err(AuthError::Missing)
        }
    }

    fn by_certificate(&self, request: &AuthRequest<'_>) -> Result<&UserEntry, AuthError> {
        let facts = request.certificate.ok_or(AuthError::NoCertificate)?;
        // Users that may not come in this way are passed over, another one may match.
        let way = request.connection_type;
        let admitted = |name: &str| {
            self.users.get(name).filter(|user| user.grant.connection_types.allows(way))
        };
        let by_dn =
            self.dn_users.iter().filter_map(|(dn, name)| admitted(name).map(|user| (dn, user)));
        find_user(facts, admitted, &by_dn)
            .map(|(user, _)| user)
            .ok_or(AuthError::CertificateUnknown)
    }

    fn global_identity(&self, who: Who) -> Identity {
        Identity {
            account: self.global.clone(),
            who,
            permissions: None,
            overridden_user: None,
            token: None,
            proxy: None,
        }
    }
}

impl Grant {
    fn admits<'a>(
        &self,
        way: ConnectionType,
        credential: Credential<'a>,
    ) -> Result<Credential<'a>, AuthError> {
        if self.connection_types.allows(way) {
            Ok(credential)
        } else {
            Err(AuthError::ConnectionType)
        }
    }

    fn identity(&self, who: Who) -> Identity {
        Identity {
            account: self.account.clone(),
            who,
            permissions: self.permissions.clone(),
            overridden_user: None,
            token: None,
            proxy: None,
        }
    }
}

/// Users share the names of their accounts, and equal permissions.
#[derive(Default)]
struct Interned {
    accounts: HashMap<String, Arc<str>>,
    permissions: Vec<Arc<Permissions>>,
}

impl Interned {
    fn account(&mut self, name: &str) -> Arc<str> {
        let name = if name.is_empty() { GLOBAL_ACCOUNT } else { name };
        self.accounts.entry(name.to_owned()).or_insert_with(|| name.into()).clone()
    }

    fn grant(
        &mut self,
        account: &str,
        permissions: Option<PermissionsConfig>,
        connection_types: ConnectionTypes,
    ) -> Grant {
        let permissions = permissions.map(|config| {
            // Defaults repeat from one user to the next, so the last few are worth a look.
            let known = self.permissions.iter().rev().take(8).find(|p| *p.config() == config);
            known.cloned().unwrap_or_else(|| {
                let compiled = Arc::new(Permissions::new(config));
                self.permissions.push(compiled.clone());
                compiled
            })
        });
        Grant { account: self.account(account), permissions, connection_types }
    }
}
