//! Logins that somebody outside decides: the question, and what follows from the answer.
//!
//! Not here: how question and answer travel (`Asker`, the host's).
//! Laws: nobody is let in by an answer that is not about this client, this server and this login,
//!       or that was not signed by whom the configuration or the account names; the first answer
//!       counts; whoever lands in the account of the service cannot answer for it.
//! Reference: auth_callout.go.   Contract: AUTH-024..029.

use super::jwt::{
    Operators, TrustedAccount, Waiting, check_connection_type, limits, stay, unknown_zone,
};
use super::{AuthError, AuthRequest, Authenticator};
use crate::GLOBAL_ACCOUNT;
use crate::identity::{Identity, TokenFacts, Who};
use crate::jwt::authorization::{
    Client, ClientTls, ConnectOptions, Request, RequestClaims, ResponseClaims, Server,
};
use crate::jwt::limits::UserLimits;
use crate::jwt::{UserClaims, window};
use crate::permission::Permissions;
use nkeys::{KeyPair, XKey};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use stdx::go_text::quote;

/// The subject of questions.
pub const SUBJECT: &str = "$SYS.REQ.USER.AUTH";
/// The header of a question that is encrypted: the server's public curve key.
pub const XKEY_HEADER: &str = "Nats-Server-Xkey";

/// The audience of questions.
const AUDIENCE: &str = "nats-authorization-request";
/// How every token begins, and nothing encrypted does.
const TOKEN_START: &[u8] = b"eyJ";

/// Where the first answer is put.
pub type Answer = OnceLock<Vec<u8>>;

/// The keys of this server.
pub struct ServerKeys {
    /// Signs questions.
    pub pair: KeyPair,
    /// Encrypts them.
    pub curve: XKey,
}

/// A question on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The account it is asked in.
    pub account: Arc<str>,
    /// The token, encrypted or not.
    pub body: Vec<u8>,
    /// The value of [`XKEY_HEADER`], if it is encrypted.
    pub xkey: Option<String>,
}

/// How questions travel, and what else the host knows.
pub trait Asker: Send + Sync {
    /// Asks; ends with the first answer, or when `patience` is over.
    fn ask(&self, question: Question, patience: Duration, answer: Arc<Answer>) -> Waiting;
    /// Whether there is such an account.
    fn knows(&self, account: &str) -> bool;
    /// This server, as questions name it.
    fn server(&self) -> Server;
    /// As [`super::jwt::Directory::second_of_day`].
    fn second_of_day(&self, zone: &str, now: i64) -> Option<u32>;
}

/// `auth_callout` of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CalloutConfig {
    /// The public account key that signs users.
    pub issuer: String,
    /// The account in which questions are asked.
    pub account: String,
    /// Users the service itself uses; the configuration decides about them.
    pub auth_users: Vec<String>,
    /// Public curve key to encrypt questions for.
    pub xkey: Option<String>,
    /// Accounts of the configuration whose users are decided about; empty for all.
    pub allowed_accounts: Vec<String>,
}

/// What it takes to have logins decided outside.
#[derive(Clone)]
pub struct Callouts {
    /// In the configuration; `None` where operators' accounts say it.
    pub config: Option<CalloutConfig>,
    /// How questions travel.
    pub asker: Arc<dyn Asker>,
    /// Whose questions they are.
    pub keys: Arc<ServerKeys>,
    /// How long an answer may take.
    pub patience: Duration,
    /// The server's tags.
    pub tags: Vec<String>,
}

impl std::fmt::Debug for Callouts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callouts").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What a client is, and what it said.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// What the server knows.
    pub client: Client,
    /// What it said.
    pub options: ConnectOptions,
    /// Its TLS.
    pub tls: Option<ClientTls>,
}

/// One login that is decided outside.
pub struct Delegation {
    /// The account that is asked.
    account: Arc<str>,
    /// It, where operators are trusted.
    operated: Option<Arc<TrustedAccount>>,
    /// Who signs users: the configured issuer, or the account.
    issuer: String,
    /// Whom questions are encrypted for.
    xkey: Option<XKey>,
    /// The user's key that only this question names.
    user: String,
    /// Where the answer is put.
    answer: Arc<Answer>,
    /// How the question names the client.
    pub named: Who,
    /// How it is named if the answer does not say.
    who: Who,
    /// The token that it came with, where users have tokens.
    came_with: Option<Arc<TokenFacts>>,
}

fn refused(text: impl Into<String>) -> AuthError {
    AuthError::Callout(text.into())
}

/// As the reference shows its errors: the first letter large.
fn title(text: impl AsRef<str>) -> AuthError {
    let mut chars = text.as_ref().chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    refused(first + chars.as_str())
}

impl Delegation {
    /// The account that is asked.
    pub fn account(&self) -> &Arc<str> {
        &self.account
    }

    /// The token that the login counts by, where users have tokens.
    pub fn token(&self) -> Option<&TokenFacts> {
        self.came_with.as_deref()
    }

    /// The answer puts the client in an account that cannot be had.
    pub fn no_account(&self, name: &str) -> AuthError {
        title(no_account(name, &q(&self.account)))
    }
}

impl Authenticator {
    /// With these, logins may be decided outside.
    #[must_use]
    pub fn with_callouts(mut self, callouts: Callouts) -> Self {
        self.callouts = Some(callouts);
        self
    }

    /// The account whose service turned a login away, as far as `error`, whoever was `asked` and the
    /// configuration say.
    pub fn refusing_account<'a>(
        &'a self,
        error: &'a AuthError,
        asked: Option<&'a str>,
    ) -> Option<&'a str> {
        match error {
            AuthError::CalloutTimeout(account) => Some(account),
            AuthError::Callout(_) if asked.is_some() => asked,
            AuthError::Callout(_) => Some(&self.callouts.as_ref()?.config.as_ref()?.account),
            _ => None,
        }
    }

    /// Whether the configuration has logins decided outside.
    pub(super) fn calls_out(&self) -> bool {
        self.required && self.callouts.as_ref().is_some_and(|callouts| callouts.config.is_some())
    }

    /// Whether `outcome` is to be decided outside, and how.
    ///
    /// # Errors
    /// It would be, but a key is none.
    pub fn delegate(
        &self,
        request: &AuthRequest<'_>,
        outcome: &Result<Identity, AuthError>,
    ) -> Result<Option<Delegation>, AuthError> {
        let Some(callouts) = &self.callouts else { return Ok(None) };
        if let Some(operators) = &self.operators {
            let Ok(identity) = outcome else { return Ok(None) };
            return operators.delegate(identity, request);
        }
        let Some(config) = callouts.config.as_ref().filter(|_| self.required) else {
            return Ok(None);
        };
        let (account, who) = match outcome {
            Ok(identity) => (&*identity.account, identity.who.clone()),
            Err(AuthError::ProxyRequired | AuthError::ProxyNotTrusted) => return Ok(None),
            // Who is not found belongs to nobody, and to everybody.
            Err(_) => (GLOBAL_ACCOUNT, self.who(request)),
        };
        let allowed = &config.allowed_accounts;
        let is_theirs = account != GLOBAL_ACCOUNT
            && !allowed.is_empty()
            && !allowed.iter().any(|allowed| allowed == account);
        if is_theirs || config.auth_users.iter().any(|user| user == who.raw()) {
            return Ok(None);
        }
        Ok(Some(Delegation {
            account: config.account.as_str().into(),
            operated: None,
            issuer: config.issuer.clone(),
            xkey: curve(config.xkey.as_deref())?,
            user: KeyPair::new_user().public_key(),
            answer: Arc::default(),
            named: request.who(),
            who,
            came_with: None,
        }))
    }

    /// Asks; ends with the first answer, or when the time for it is over.
    ///
    /// # Errors
    /// The question cannot be written.
    pub fn ask(
        &self,
        delegation: &Delegation,
        asked: Asked,
        now: i64,
    ) -> Result<Waiting, AuthError> {
        let callouts = self.callouts.as_ref().ok_or_else(|| refused(""))?;
        let mut server = callouts.asker.server();
        server.tags.clone_from(&callouts.tags);
        if delegation.xkey.is_some() {
            server.xkey = callouts.keys.curve.public_key();
        }
        let mut claims = RequestClaims::about(delegation.issuer.clone());
        claims.audience = AUDIENCE.to_owned();
        let patience = i64::try_from(callouts.patience.as_secs()).unwrap_or(i64::MAX);
        claims.expires = now.saturating_add(patience);
        claims.nats = Request {
            server_id: server,
            user_nkey: delegation.user.clone(),
            client_info: asked.client,
            connect_opts: asked.options,
            client_tls: asked.tls,
            ..Request::default()
        };
        let account = &delegation.account;
        let failed = |what: &str, error: String| {
            refused(format!("Error {what} auth request claim on account {}: {error}", q(account)))
        };
        let token = claims.encode(&callouts.keys.pair, now);
        let token = token.map_err(|error| failed("encoding", error.to_string()))?;
        let (body, xkey) = match &delegation.xkey {
            None => (token.into_bytes(), None),
            Some(theirs) => {
                let own = &callouts.keys.curve;
                let sealed = own.seal(token.as_bytes(), theirs);
                let sealed = sealed.map_err(|error| failed("encrypting", error.to_string()))?;
                (sealed, Some(own.public_key()))
            }
        };
        let question = Question { account: account.clone(), body, xkey };
        Ok(callouts.asker.ask(question, callouts.patience, delegation.answer.clone()))
    }

    /// Decides by the answer, if there is one.
    ///
    /// # Errors
    /// It does not let the client in.
    pub fn settle(
        &self,
        delegation: &Delegation,
        request: &AuthRequest<'_>,
    ) -> Result<Identity, AuthError> {
        let callouts = self.callouts.as_ref().ok_or_else(|| refused(""))?;
        let Some(answer) = delegation.answer.get() else {
            return Err(AuthError::CalloutTimeout(delegation.account.to_string()));
        };
        let claims = read_answer(answer, delegation, callouts, request.now).map_err(title)?;
        let proxy = self.is_proxied(request);
        if claims.nats.limits.proxy_required && proxy.is_none() {
            return Err(AuthError::ProxyRequired);
        }
        if let Some(issue) = claims.first_issue(request.now) {
            return Err(refused(format!("Error validating user JWT: {issue}")));
        }
        let zone = |zone: &str, now| callouts.asker.second_of_day(zone, now);
        if let Some(issue) = unknown_zone(&claims, request.now, zone) {
            return Err(refused(format!("Error validating user JWT: {issue}")));
        }
        if claims.subject != delegation.user {
            return Err(refused(format!(
                "Expected authorized user of {} but got {} on account {}",
                q(&delegation.user),
                q(&claims.subject),
                q(&delegation.account)
            )));
        }
        let identity = match &self.operators {
            Some(operators) => settle_operated(operators, delegation, claims, request),
            None => settle_configured(callouts, delegation, claims, request),
        };
        Ok(Identity { proxy, ..identity? })
    }

    /// Whoever is in the account of the service cannot answer for it.
    pub fn protect_callout(&self, mut identity: Identity) -> Identity {
        let of_config = self.callouts.as_ref().and_then(|callouts| callouts.config.as_ref());
        let is_it = match (&self.operators, of_config) {
            (Some(operators), _) => operators
                .directory
                .known(&identity.account)
                .is_some_and(|account| !account.claims.nats.authorization.auth_users.is_empty()),
            (None, Some(config)) => self.required && config.account == *identity.account,
            (None, None) => false,
        };
        if is_it && self.callouts.is_some() {
            let before = identity.permissions.as_ref().map(|permissions| permissions.config());
            let mut config = before.cloned().unwrap_or_default();
            config.publish.deny.push(SUBJECT.to_owned());
            identity.permissions = Some(Arc::new(Permissions::new(config)));
        }
        identity
    }
}

fn q(text: &str) -> String {
    quote(text.as_bytes())
}

fn curve(text: Option<&str>) -> Result<Option<XKey>, AuthError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let key = XKey::from_public_key(text);
    key.map(Some).map_err(|error| refused(format!("auth callout xkey {}: {error}", q(text))))
}

impl Operators {
    /// Whether the user's account has its logins decided outside.
    fn delegate(
        &self,
        identity: &Identity,
        request: &AuthRequest<'_>,
    ) -> Result<Option<Delegation>, AuthError> {
        let Some(account) = self.directory.known(&identity.account) else { return Ok(None) };
        let external = &account.claims.nats.authorization;
        let subject = identity.token.as_ref().map_or("", |token| token.subject.as_str());
        if external.auth_users.is_empty() || external.auth_users.iter().any(|user| user == subject)
        {
            return Ok(None);
        }
        Ok(Some(Delegation {
            account: identity.account.clone(),
            issuer: identity.account.to_string(),
            xkey: curve(Some(&external.xkey))?,
            operated: Some(account),
            user: KeyPair::new_user().public_key(),
            answer: Arc::default(),
            named: identity.who.clone(),
            who: request.who_beside_token(),
            came_with: identity.token.clone(),
        }))
    }
}

/// The user's token out of an answer.
fn read_answer(
    answer: &[u8],
    delegation: &Delegation,
    callouts: &Callouts,
    now: i64,
) -> Result<UserClaims, String> {
    let account = &delegation.account;
    if answer.is_empty() {
        let why = "no reason supplied";
        return Err(format!("auth callout violation: {} on account {}", q(why), q(account)));
    }
    let mut opened = None;
    if let Some(theirs) = &delegation.xkey
        && !answer.starts_with(TOKEN_START)
    {
        let plain = callouts.keys.curve.open(answer, theirs).map_err(|error| {
            format!("error decrypting auth callout response on account {}: {error}", q(account))
        })?;
        opened = Some(plain);
    }
    let token = std::str::from_utf8(opened.as_deref().unwrap_or(answer));
    let token = token.map_err(|_| "not an authorization request claim".to_owned())?;
    let claims = ResponseClaims::decode(token).map_err(|error| error.to_string())?;
    if let Some(issue) = claims.first_issue(now) {
        return Err(format!("authorization response had validation errors: {issue}"));
    }
    if claims.subject != delegation.user {
        let why = "auth callout response is not for expected user";
        return Err(format!("auth callout violation: {why}"));
    }
    if claims.audience != callouts.keys.pair.public_key() {
        return Err("auth callout violation: auth callout response is not for server".to_owned());
    }
    if !claims.nats.error.is_empty() {
        return Err(format!("auth callout service returned an error: {}", claims.nats.error));
    }
    // Only the account itself could have encrypted the answer.
    if let Some(operated) = delegation.operated.as_ref().filter(|_| opened.is_none()) {
        let of = &claims.nats.issuer_account;
        let signer = if of.is_empty() { &claims.issuer } else { of };
        if **signer != **account && !operated.knows_signer(signer) {
            return Err("auth callout signing key is unknown".to_owned());
        }
    }
    UserClaims::decode(&claims.nats.jwt).map_err(|error| error.to_string())
}

/// The configuration names the signer, the token's audience is the account.
fn settle_configured(
    callouts: &Callouts,
    delegation: &Delegation,
    claims: UserClaims,
    request: &AuthRequest<'_>,
) -> Result<Identity, AuthError> {
    let on = q(&delegation.account);
    let zone = |zone: &str, now| callouts.asker.second_of_day(zone, now);
    let limits = claims.nats.limits.clone();
    let stay = timely(&limits, request, &on, zone)?;
    if !claims.nats.issuer_account.is_empty() {
        let text = format!("error non operator mode account {on}: attempted to use issuer_account");
        return Err(title(text));
    }
    if claims.issuer != delegation.issuer {
        let (want, got) = (q(&delegation.issuer), q(&claims.issuer));
        return Err(title(format!(
            "wrong issuer for auth callout response on account {on}, expected {want} got {got}"
        )));
    }
    if !callouts.asker.knows(&claims.audience) {
        return Err(title(no_account(&claims.audience, &on)));
    }
    let account = claims.audience.as_str().into();
    Ok(admitted(delegation, account, claims, &limits, None, stay, request.now))
}

fn no_account(name: &str, on: &str) -> String {
    let why = "account missing";
    format!("no valid account {} for auth callout response on account {on}: {why}", q(name))
}

/// The token's signer says which account it is; the account that was asked says which it may be.
fn settle_operated(
    operators: &Operators,
    delegation: &Delegation,
    claims: UserClaims,
    request: &AuthRequest<'_>,
) -> Result<Identity, AuthError> {
    let on = q(&delegation.account);
    let zone = |zone: &str, now| operators.directory.second_of_day(zone, now);
    let stay = timely(&claims.nats.limits, request, &on, zone)?;
    let target = claims.account();
    let allowed = delegation.operated.as_ref().is_some_and(|asked| {
        let allowed = &asked.claims.nats.authorization.allowed_accounts;
        matches!(allowed.as_slice(), [any] if any == "*") || allowed.iter().any(|a| a == target)
    });
    if target != delegation.issuer && !allowed {
        return Err(title(format!(
            "account {} not permitted as valid account option for auth callout for account {on}",
            q(&claims.issuer)
        )));
    }
    let Some(account) = operators.directory.known(target) else {
        // Perhaps it only has to be asked for.
        return Err(AuthError::AccountMissing(target.to_owned()));
    };
    let limits = limits(&claims, &account).map_err(|error| match error {
        AuthError::SignerUnknown => {
            title(format!("user JWT issuer {} is not known", q(&claims.issuer)))
        }
        AuthError::Template(cause) => {
            refused(format!("User JWT generated invalid permissions: {cause}"))
        }
        other => title(other.to_string()),
    })?;
    // A template may say more than the token.
    let stay = [stay, timely(&limits, request, &on, zone)?].into_iter().flatten().min();
    let name = account.claims.subject.as_str().into();
    Ok(admitted(delegation, name, claims, &limits, Some(&account), stay, request.now))
}

/// Whether the client may come now, in this way and from there, and how long it may stay.
fn timely(
    limits: &UserLimits,
    request: &AuthRequest<'_>,
    on: &str,
    zone: impl Fn(&str, i64) -> Option<u32>,
) -> Result<Option<Duration>, AuthError> {
    let rest = stay(limits, request.now, zone).map_err(|_| {
        title(format!("authorized user on account {on} outside of valid connect times"))
    })?;
    check_connection_type(limits, request).map_err(|_| {
        title(format!("authorized user on account {on} using invalid connection type"))
    })?;
    if !window::admits(&limits.src, request.address) {
        return Err(title(format!("authorized user on account {on} outside of its networks")));
    }
    Ok(rest)
}

fn admitted(
    delegation: &Delegation,
    account: Arc<str>,
    claims: UserClaims,
    limits: &UserLimits,
    target: Option<&TrustedAccount>,
    stay: Option<Duration>,
    now: i64,
) -> Identity {
    let own = limits.permissions().map(|config| Arc::new(Permissions::new(config)));
    let defaults = target.and_then(|target| target.default_permissions.clone());
    let rest = (claims.expires != 0).then(|| {
        Duration::from_secs(u64::try_from(claims.expires.saturating_sub(now)).unwrap_or(0))
    });
    // What a service leaves out is no limit.
    let limit = |n: i64| u64::try_from(n).ok().filter(|n| *n > 0);
    let who = match claims.name.as_str() {
        "" => delegation.who.clone(),
        name => Who::User(name.into()),
    };
    let came_with = delegation.came_with.as_deref();
    let facts = TokenFacts {
        // The token is not the client's, who never sees it.
        jwt: String::new(),
        // Compat(SYS-017): these two stay what the token says that it came with.
        name: came_with.map(|token| token.name.clone()).unwrap_or_default(),
        tags: came_with.map(|token| token.tags.clone()).unwrap_or_default(),
        account_name: target.map(|target| target.claims.name.clone()).unwrap_or_default(),
        default_permissions: own.is_none(),
        bearer: limits.bearer_token,
        subscriptions: limit(limits.subs),
        payload: limit(limits.payload),
        ends_in: [stay, rest].into_iter().flatten().min(),
        signing_key: !claims.nats.issuer_account.is_empty(),
        issued_at: claims.issued_at,
        issuer: claims.issuer,
        subject: claims.subject,
    };
    Identity {
        account,
        who,
        permissions: own.or(defaults),
        overridden_user: None,
        token: Some(Arc::new(facts)),
        proxy: None,
    }
}
