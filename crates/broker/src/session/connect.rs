//! INFO, CONNECT and logging in.
//!
//! Laws: before a login nothing but CONNECT has an effect, unless the server asks nothing of its
//!       clients or lets somebody stand in for those without credentials; a login that needs an
//!       expensive hash is handed out (`SlowLogin`), and no bytes are taken until it is back.
//! Reference: client.go processConnect.   Contract: CORE-013..024, AUTH-*.

use super::{Phase, Session};
use crate::account::Account;
use crate::conn::{Conn, Transport, flag};
use crate::worker::Worker;
use auth::authenticate::callout::{Asked, Delegation};
use auth::authenticate::jwt::Waiting;
use auth::jwt::authorization as callout;
use auth::{AuthError, AuthRequest, Authenticator, CertificateFacts, ConnectionType, Identity};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use wire::connect::Connect;
use wire::error::{CloseReason, text};
use wire::info::Info;

/// A login to be verified off the network thread.
pub struct SlowLogin {
    authenticator: Arc<Authenticator>,
    attempt: Attempt,
    /// What it lacked was asked for once.
    waited: bool,
    /// Somebody outside decides.
    delegation: Option<Delegation>,
    conn: Arc<Conn>,
}

/// What a client presented.
#[derive(Clone)]
pub(super) struct Attempt {
    connect: Connect,
    nonce: String,
    way: ConnectionType,
    certificate: Option<Arc<CertificateFacts>>,
    address: Option<IpAddr>,
    /// When, in Unix seconds.
    now: i64,
    /// Made by the server for a client that sent no CONNECT.
    implicit: bool,
    /// For a client that is connected already.
    again: bool,
}

impl Attempt {
    /// The same for a client that is connected already.
    pub(super) fn again(self) -> Self {
        Self { again: true, ..self }
    }

    pub(super) fn request(&self) -> AuthRequest<'_> {
        AuthRequest {
            username: &self.connect.user,
            password: &self.connect.pass,
            token: &self.connect.auth_token,
            nkey: &self.connect.nkey,
            jwt: &self.connect.jwt,
            signature: &self.connect.sig,
            proxy_signature: &self.connect.proxy_sig,
            nonce: self.nonce.as_bytes(),
            connection_type: self.way,
            certificate: self.certificate.as_deref(),
            address: self.address,
            now: self.now,
        }
    }
}

impl Attempt {
    /// What who decides about it is told. A token means something only where operators are trusted;
    /// it need not be the client's own.
    fn asked(&self, conn: &Conn, delegation: &Delegation) -> Asked {
        let connect = &self.connect;
        let token = delegation.token();
        let signed = !connect.sig.is_empty();
        let facts = conn.facts.lock();
        Asked {
            client: callout::Client {
                host: self.address.map_or_else(String::new, |address| address.to_string()),
                id: conn.id,
                user: delegation.named.raw().to_owned(),
                name: connect.name.clone(),
                tags: token.map(|token| token.tags.clone()).unwrap_or_default(),
                name_tag: token.map(|token| token.name.clone()).unwrap_or_default(),
                kind: "Client".to_owned(),
                client_type: "nats".to_owned(),
                nonce: if signed { self.nonce.clone() } else { String::new() },
                ..callout::Client::default()
            },
            options: callout::ConnectOptions {
                jwt: token.map(|token| token.jwt.clone()).unwrap_or_default(),
                nkey: connect.nkey.clone(),
                sig: connect.sig.clone(),
                auth_token: connect.auth_token.clone(),
                user: connect.user.clone(),
                pass: connect.pass.clone(),
                name: connect.name.clone(),
                lang: connect.lang.clone(),
                version: connect.version.clone(),
                protocol: connect.protocol,
            },
            tls: facts.tls.as_ref().map(|tls| {
                callout::ClientTls::verified(&tls.version, &tls.cipher_suite, &tls.chain)
            }),
        }
    }
}

/// What came of a slow login.
pub struct LoginResult {
    attempt: Attempt,
    authenticator: Arc<Authenticator>,
    outcome: Result<Identity, AuthError>,
    /// The account that was asked about it, if any was.
    asked: Option<Arc<str>>,
}

/// How far a slow login came.
pub enum Verified {
    /// It is decided.
    Done(Box<LoginResult>),
    /// Something has to be waited for, and the login to be run again after it.
    Wait(Box<SlowLogin>, Waiting),
}

impl SlowLogin {
    /// Verifies; takes milliseconds of CPU.
    pub fn run(mut self: Box<Self>) -> Verified {
        let request = self.attempt.request();
        let outcome = match &self.delegation {
            None => self.authenticator.authenticate(&request),
            Some(delegation) => self.authenticator.settle(delegation, &request),
        };
        if let Err(AuthError::AccountMissing(account)) = &outcome
            && !self.waited
            && let Some(operators) = self.authenticator.operators()
        {
            let waiting = operators.directory.fetch(account);
            self.waited = true;
            return Verified::Wait(self, waiting);
        }
        if let Err(AuthError::AccountMissing(account)) = &outcome
            && let Some(delegation) = &self.delegation
        {
            let refused = delegation.no_account(account);
            return self.done(Err(refused));
        }
        if self.delegation.is_none() {
            match self.authenticator.delegate(&request, &outcome) {
                Ok(None) => {}
                Ok(Some(delegation)) => return self.call_out(delegation),
                Err(error) => return self.done(Err(error)),
            }
        }
        self.done(outcome)
    }

    fn done(self, outcome: Result<Identity, AuthError>) -> Verified {
        let Self { attempt, authenticator, delegation, .. } = self;
        let asked = delegation.map(|delegation| delegation.account().clone());
        Verified::Done(Box::new(LoginResult { attempt, outcome, authenticator, asked }))
    }

    /// Asks who decides.
    fn call_out(mut self: Box<Self>, delegation: Delegation) -> Verified {
        let asked = self.attempt.asked(&self.conn, &delegation);
        match self.authenticator.ask(&delegation, asked, self.attempt.now) {
            Ok(waiting) => {
                self.delegation = Some(delegation);
                self.waited = false;
                Verified::Wait(self, waiting)
            }
            Err(error) => self.done(Err(error)),
        }
    }
}

impl Session {
    /// What INFO says to this connection; `first` for the one it is greeted with.
    pub(super) fn info(&self, worker: &Worker, first: bool) -> Info {
        let mut info = (*worker.broker.info()).clone();
        info.client_id = self.conn.id;
        if !self.hides_ip {
            info.client_ip = self.conn.peer().map_or_else(String::new, |p| p.ip().to_string());
        }
        info.max_payload = self.limits.max_payload;
        // Later INFOs have none: it was good for one login.
        if first {
            info.nonce.clone_from(&self.nonce);
        }
        if let Some((required, available, verify)) = self.tls_flags {
            (info.tls_required, info.tls_available, info.tls_verify) =
                (required, available, verify);
        }
        if self.conn.transport == Transport::InProcess && info.tls_required {
            info.tls_required = false;
            info.tls_available = true;
        }
        // Compat(AUTH-007): somebody stands in for clients without credentials, so the greeting
        // asks for none; later INFOs tell the plain truth.
        info.auth_required = if first { self.auth_required } else { info.auth_required };
        info
    }

    pub(super) fn connect(&mut self, json: &[u8], worker: &mut Worker) {
        // What an earlier CONNECT said holds until this one says otherwise (CORE-018).
        let mut connect = self.said.as_deref().cloned().unwrap_or_default();
        if let Err(error) = connect.update(json) {
            stdx::error!(worker.broker.log, "{} - {error}", self.conn.label());
            self.close(CloseReason::ProtocolViolation);
            return;
        }
        self.connect_received = true;
        self.said = Some(Box::new(connect.clone()));
        self.introduce(&connect, worker);
        self.auth_deadline = None;
        if self.phase == Phase::Ready {
            // A second CONNECT may change the account: subscriptions made so far go (CORE-018).
            self.drop_subscriptions();
        }
        self.login(connect, false, worker);
    }

    /// Runs the whole login for a client whose first verb is not CONNECT (CORE-022).
    pub(super) fn login_implicitly(&mut self, worker: &mut Worker) {
        if self.auth_required {
            self.auth_violation(&auth::Who::Nobody, worker);
            return;
        }
        self.auth_deadline = None;
        self.login(Connect::default(), true, worker);
    }

    fn login(&mut self, connect: Connect, implicit: bool, worker: &mut Worker) {
        let attempt = self.attempt_with(connect, implicit, worker);
        let authenticator = worker.broker.authenticator();
        if authenticator.is_slow(&attempt.request()) {
            self.verify_apart(authenticator, attempt);
            return;
        }
        let outcome = authenticator.authenticate(&attempt.request());
        self.finish_login(LoginResult { attempt, outcome, authenticator, asked: None }, worker);
    }

    fn attempt_with(&self, connect: Connect, implicit: bool, worker: &Worker) -> Attempt {
        let way = match self.conn.transport {
            Transport::Tcp => ConnectionType::Standard,
            Transport::InProcess => ConnectionType::InProcess,
        };
        Attempt {
            connect,
            nonce: self.nonce.clone(),
            way,
            certificate: self.certificate.clone(),
            address: self.conn.peer().map(|peer| peer.ip()),
            now: worker.now.wall.0.div_euclid(1_000_000_000),
            implicit,
            again: false,
        }
    }

    /// What the client presented when it came in.
    pub(super) fn attempt(&self, worker: &Worker) -> Attempt {
        let connect = self.said.as_deref().cloned();
        self.attempt_with(connect.unwrap_or_default(), self.said.is_none(), worker)
    }

    /// Has a login verified off the network thread.
    pub(super) fn verify_apart(&mut self, authenticator: Arc<Authenticator>, attempt: Attempt) {
        self.phase = Phase::Verifying;
        let (waited, delegation, conn) = (false, None, self.conn.clone());
        let login = SlowLogin { authenticator, attempt, waited, delegation, conn };
        self.slow_login = Some(Box::new(login));
    }

    /// A login waiting to be verified off the network thread, if there is one.
    pub fn take_slow_login(&mut self) -> Option<Box<SlowLogin>> {
        self.slow_login.take()
    }

    /// Goes on where a login left off.
    pub fn finish_login(&mut self, result: LoginResult, worker: &mut Worker) {
        let LoginResult { attempt, outcome, authenticator, asked } = result;
        if self.phase == Phase::Closing {
            return;
        }
        let current = worker.broker.authenticator();
        if !Arc::ptr_eq(&current, &authenticator) {
            // The users changed while a hash was computed.
            let slow = current.is_slow(&attempt.request());
            if slow {
                self.verify_apart(current, attempt);
            } else {
                let outcome = current.authenticate(&attempt.request());
                let authenticator = current;
                let result = LoginResult { attempt, outcome, authenticator, asked: None };
                self.finish_login(result, worker);
            }
            return;
        }
        let identity = match outcome {
            Ok(identity) => identity,
            Err(error) => {
                let who = worker.broker.authenticator().who(&attempt.request());
                self.keep_presented(&attempt);
                self.tell_refusal(&error, worker);
                let told = worker.broker.authenticator();
                let told = told.refusing_account(&error, asked.as_deref());
                let told = told.and_then(|account| worker.broker.account(account));
                let told = told.map(|account| (account, error.to_string()));
                self.refuse_login(&who, reason_of(&error), told.as_ref(), worker);
                return;
            }
        };
        let identity = worker.broker.authenticator().protect_callout(identity);
        if attempt.again {
            self.phase = Phase::Ready;
            if *identity.account != *self.account.name {
                self.close(CloseReason::ClientClosed);
                return;
            }
            self.admitted_by = Some(authenticator);
            self.stay(&identity, worker);
            return;
        }
        let connect = &attempt.connect;
        if connect.new_account || !connect.account.is_empty() {
            self.keep_presented(&attempt);
            self.auth_violation(&attempt.request().who(), worker);
            return;
        }
        if let Some(user) = &identity.overridden_user {
            stdx::warning!(
                worker.broker.log,
                "{} - User {} found in connect proto, but user required from cert",
                self.conn.label(),
                stdx::go_text::quote(user.as_bytes())
            );
        }
        if !self.enter_account(&attempt, &identity, worker) {
            return;
        }
        // From here on a change of the account finds the client; one that came before did not.
        if let Some(token) = &identity.token
            && let Some(operators) = worker.broker.authenticator().operators()
            && !operators.admits_still(&identity.account, token)
        {
            self.auth_violation(&identity.who, worker);
            return;
        }
        if self.max_subscriptions() == Some(0) {
            let reason = CloseReason::MaxSubscriptionsExceeded;
            self.refuse(text::MAX_SUBSCRIPTIONS, reason, worker);
            return;
        }
        self.admitted_by = Some(authenticator);
        self.phase = Phase::Ready;
        self.conn.set(flag::ADMITTED, true);
        if !attempt.implicit {
            self.adopt(connect, &identity, worker);
        }
    }

    /// Writes down why a login failed; the client is not told.
    fn tell_refusal(&self, error: &AuthError, worker: &Worker) {
        let log = &worker.broker.log;
        match error {
            AuthError::Callout(text) => stdx::warning!(log, "{text}"),
            AuthError::CalloutTimeout(_) => stdx::debug!(log, "{error}"),
            _ if error.is_notable() => stdx::error!(log, "{} - {error}", self.conn.label()),
            _ => stdx::debug!(log, "{} - {error}", self.conn.label()),
        }
    }

    /// Joins the identity's account; `false` if that has no room.
    fn enter_account(
        &mut self,
        attempt: &Attempt,
        identity: &Identity,
        worker: &mut Worker,
    ) -> bool {
        let account = worker.broker.account_or_new(&identity.account);
        self.leave_account(worker);
        if !account.admit_client() {
            // Compat(CORE-059): it is told of as one of the account's, who nobody is yet.
            {
                let mut facts = self.conn.facts.lock();
                facts.account.clone_from(&account.name);
                let shown = identity.token.as_ref().map_or("", |token| token.shown_jwt());
                shown.clone_into(&mut facts.presented);
                facts.who = attempt.request().who();
            }
            self.account = account;
            let reason = CloseReason::MaxAccountConnectionsExceeded;
            self.refuse(text::MAX_ACCOUNT_CONNECTIONS, reason, worker);
            return false;
        }
        self.counted = true;
        self.account = account;
        self.take_limits(identity, worker);
        self.take_permissions(identity.permissions.clone());
        // Subscriptions that come know what they are denied.
        self.conn.set(flag::REVISED, false);
        *self.conn.denies.lock() = None;
        let mut facts = self.conn.facts.lock();
        facts.account.clone_from(&self.account.name);
        facts.who = identity.who.clone();
        facts.permissions.clone_from(&identity.permissions);
        facts.token.clone_from(&identity.token);
        facts.proxy.clone_from(&identity.proxy);
        drop(facts);
        if let Some(witness) = worker.broker.witness() {
            witness.counted(&self.account, self.account.clients.load(Ordering::Relaxed));
            witness.joined(&self.conn, &self.account);
        }
        true
    }

    /// What the account and the user's token allow, and for how long.
    pub(super) fn take_limits(&mut self, identity: &Identity, worker: &Worker) {
        let token = identity.token.as_deref();
        self.token_limits = token.map_or((None, None), |t| (t.subscriptions, t.payload));
        self.expires = token.and_then(|t| t.ends_in).map(|rest| worker.now.mono + rest);
        self.conn.facts.lock().expires = self.expires;
        self.limits.max_payload = self.max_payload();
    }

    /// Bytes a message may have: the least that anybody says. Negative: no limit.
    pub(super) fn max_payload(&self) -> i64 {
        let account = self.account.limits.payload(self.settings.max_payload);
        let token = self.token_limits.1.map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        match token {
            Some(token) if account < 0 || token < account => token,
            _ => account,
        }
    }

    /// Subscriptions it may have; `None`: no limit.
    pub(super) fn max_subscriptions(&self) -> Option<u64> {
        let account = self.account.limits.subscriptions(self.settings.max_subscriptions);
        [account, self.token_limits.0].into_iter().flatten().min()
    }

    /// Gives back its place in the account, if it has one.
    pub(super) fn leave_account(&mut self, worker: &Worker) {
        if !std::mem::take(&mut self.counted) {
            return;
        }
        let left = self.account.clients.fetch_sub(1, Ordering::Relaxed).saturating_sub(1);
        if let Some(witness) = worker.broker.witness() {
            witness.counted(&self.account, left);
        }
    }

    /// Takes over what CONNECT says, and answers it.
    fn adopt(&mut self, connect: &Connect, identity: &Identity, worker: &mut Worker) {
        self.verbose = connect.verbose;
        self.pedantic = connect.pedantic;
        self.no_responders = connect.no_responders;
        let headers = connect.headers && self.settings.headers;
        self.conn.set(flag::HEADERS, headers);
        self.limits.headers = headers;
        self.conn.set(flag::NO_ECHO, !connect.echo);
        self.describe(connect, identity);
        self.restart_pings(worker);
        if !(0..=1).contains(&connect.protocol) {
            self.refuse_connect(text::BAD_CLIENT_PROTOCOL, worker);
            self.close(CloseReason::BadClientProtocolVersion);
            return;
        }
        self.conn.set(flag::ASYNC_INFO, connect.protocol >= 1);
        if connect.no_responders && !self.headers() {
            self.refuse_connect(text::NO_RESPONDERS_HEADERS, worker);
            self.close(CloseReason::NoRespondersRequiresHeaders);
            return;
        }
        if self.verbose {
            self.send_ok(worker);
        }
    }

    /// Says what is wrong with a CONNECT.
    fn refuse_connect(&self, message: &str, worker: &mut Worker) {
        self.send_error(message, worker);
        stdx::error!(worker.broker.log, "{} - {message}", self.conn.label());
    }

    pub(super) fn auth_violation(&mut self, who: &auth::Who, worker: &mut Worker) {
        self.refuse_login(who, CloseReason::AuthenticationViolation, None, worker);
    }

    /// Turns a client away. `told` is the account that is told of it, if not the client's own, and
    /// what it is told.
    pub(super) fn refuse_login(
        &mut self,
        who: &auth::Who,
        reason: CloseReason,
        told: Option<&(Arc<Account>, String)>,
        worker: &mut Worker,
    ) {
        let label = self.conn.label();
        if who.raw().is_empty() {
            stdx::error!(worker.broker.log, "{label} - authentication error");
        } else {
            stdx::error!(worker.broker.log, "{label} - authentication error - {}", who.describe());
        }
        self.conn.facts.lock().who = who.clone();
        self.send_error(text::AUTHORIZATION, worker);
        self.close(reason);
        if let Some(witness) = worker.broker.witness() {
            let told = match told {
                Some((account, why)) => (account, Some(why.clone())),
                None => (&self.account, None),
            };
            let told = self.connect_received.then_some(told);
            witness.refused(&self.conn, &self.account, told, reason);
        }
    }

    /// Writes down the token that a client is turned away with.
    fn keep_presented(&self, attempt: &Attempt) {
        let shown = auth::identity::shown_in_vain(&attempt.connect.jwt);
        shown.clone_into(&mut self.conn.facts.lock().presented);
    }

    /// Writes down what the client says of itself for monitoring, whether or not it may come in.
    fn introduce(&self, connect: &Connect, worker: &Worker) {
        let mut facts = self.conn.facts.lock();
        facts.rtt = Some(worker.now.mono.since(self.conn.start_mono));
        facts.name.clone_from(&connect.name);
        facts.lang.clone_from(&connect.lang);
        facts.version.clone_from(&connect.version);
    }

    /// Writes down what the client says of itself for the log (CORE-053).
    fn describe(&self, connect: &Connect, identity: &Identity) {
        let mut client = String::new();
        if !connect.version.is_empty() {
            client = format!("v{}", connect.version);
        }
        for part in [&connect.lang, &connect.name] {
            if !part.is_empty() {
                if !client.is_empty() {
                    client.push(':');
                }
                client.push_str(part);
            }
        }
        let user = identity.who.label();
        let name = identity.token.as_ref().map_or("", |token| &token.account_name);
        let account = match name {
            "" => self.account.name.clone(),
            name => format!("{}/{name}", self.account.name),
        };
        let mut facts = self.conn.facts.lock();
        facts.label.clear();
        for part in [client, if user.is_empty() { user } else { format!("{account}/{user}") }] {
            if !part.is_empty() {
                facts.label.push_str(" - ");
                facts.label.push_str(&stdx::go_text::quote(part.as_bytes()));
            }
        }
    }
}

/// How a connection ends whose login failed.
pub(super) fn reason_of(error: &AuthError) -> CloseReason {
    match error {
        AuthError::ProxyNotTrusted => CloseReason::ProxyNotTrusted,
        AuthError::ProxyRequired => CloseReason::ProxyRequired,
        _ => CloseReason::AuthenticationViolation,
    }
}
