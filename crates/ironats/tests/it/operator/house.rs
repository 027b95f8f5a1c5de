//! An operator with its accounts and users, and a server that trusts it.

use crate::{url, within};
use auth::jwt::limits::{OperatorLimits, UserLimits};
use auth::jwt::{AccountClaims, OperatorClaims, UserClaims};
use data_encoding::BASE64URL_NOPAD;
use ironats::Server;
use nkeys::KeyPair;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// The time, in Unix seconds.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// An account and its keys.
pub(crate) struct Account {
    pub(crate) key: KeyPair,
    pub(crate) claims: AccountClaims,
}

impl Account {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::new_account();
        let mut claims = AccountClaims::about(key.public_key());
        claims.name = name.to_owned();
        claims.nats.limits = OperatorLimits::unlimited();
        Self { key, claims }
    }

    pub(crate) fn id(&self) -> String {
        self.key.public_key()
    }
}

/// A user's token and key.
pub(crate) struct Login {
    pub(crate) jwt: String,
    pub(crate) key: KeyPair,
}

impl Login {
    /// A user of `account` signed by `signer`, as `change` makes it.
    pub(crate) fn of(
        account: &Account,
        signer: &KeyPair,
        change: impl FnOnce(&mut UserClaims),
    ) -> Self {
        let key = KeyPair::new_user();
        let mut claims = UserClaims::about(key.public_key());
        claims.name = "user".to_owned();
        claims.nats.limits = UserLimits::unlimited();
        if signer.public_key() != account.id() {
            claims.nats.issuer_account = account.id();
        }
        change(&mut claims);
        let jwt = claims.encode(signer, now()).unwrap();
        Self { jwt, key }
    }

    pub(crate) fn plain(account: &Account) -> Self {
        Self::of(account, &account.key, |_| {})
    }

    /// The text of a credentials file.
    pub(crate) fn creds(&self) -> String {
        let (jwt, seed) = (&self.jwt, self.key.seed().unwrap());
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }
}

/// An operator, its system account, and a server.
pub(crate) struct House {
    pub(crate) operator: KeyPair,
    pub(crate) claims: OperatorClaims,
    pub(crate) system: Account,
    pub(crate) server: Option<Server>,
}

impl House {
    pub(crate) fn new() -> Self {
        let operator = KeyPair::new_operator();
        let system = Account::new("SYS");
        let mut claims = OperatorClaims::about(operator.public_key());
        claims.name = "O".to_owned();
        claims.nats.system_account = system.id();
        Self { operator, claims, system, server: None }
    }

    /// The operator's token for an account.
    pub(crate) fn sign(&self, account: &Account) -> String {
        account.claims.clone().encode(&self.operator, now()).unwrap()
    }

    /// The configuration, with `accounts` and the system account in memory.
    pub(crate) fn memory(&self, accounts: &[&Account]) -> String {
        let mut conf = format!("{}\nresolver: MEMORY\nresolver_preload {{\n", self.operator_conf());
        for account in accounts.iter().copied().chain([&self.system]) {
            conf.push_str(&format!("  {}: {}\n", account.id(), self.sign(account)));
        }
        conf + "}\n"
    }

    pub(crate) fn operator_conf(&self) -> String {
        let jwt = self.claims.clone().encode(&self.operator, now()).unwrap();
        format!("operator: {jwt}")
    }

    pub(crate) fn start(&mut self, conf: &str) {
        self.server = Some(crate::server(conf));
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// The official client, logged in.
    pub(crate) async fn client(&self, login: &Login) -> async_nats::Client {
        let options = async_nats::ConnectOptions::with_credentials(&login.creds()).unwrap();
        within(Box::pin(options.connect(url(self.server())))).await.unwrap()
    }

    /// A connection that has been greeted.
    pub(crate) async fn peer(&self) -> Peer {
        Peer::open(self.server()).await
    }

    /// What a login leads to: `PONG`, or the error.
    pub(crate) async fn try_login(&self, login: &Login) -> String {
        let mut peer = self.peer().await;
        peer.login(login, "").await;
        peer.line().await
    }
}

/// A raw connection.
pub(crate) struct Peer {
    stream: BufReader<TcpStream>,
    pub(crate) nonce: String,
    pub(crate) info: serde_json::Value,
}

impl Peer {
    pub(crate) async fn open(server: &Server) -> Self {
        let stream = TcpStream::connect(server.client_address().unwrap()).await.unwrap();
        let mut peer = Self {
            stream: BufReader::new(stream),
            nonce: String::new(),
            info: serde_json::Value::Null,
        };
        let line = peer.line().await;
        peer.info = serde_json::from_str(line.strip_prefix("INFO ").unwrap()).unwrap();
        peer.nonce = peer.info["nonce"].as_str().unwrap_or_default().to_owned();
        peer
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next line; `(end)` when the connection is closed.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        match within(self.stream.read_line(&mut line)).await {
            Ok(0) | Err(_) => "(end)".to_owned(),
            Ok(_) => line.trim_end().to_owned(),
        }
    }

    /// Sends CONNECT with a token and the signed nonce, with `more` fields, and PING.
    pub(crate) async fn login(&mut self, login: &Login, more: &str) {
        let signature = login.key.sign(self.nonce.as_bytes()).unwrap();
        let signature = BASE64URL_NOPAD.encode(&signature);
        let jwt = &login.jwt;
        self.send(&format!(
            "CONNECT {{\"verbose\":false,\"protocol\":0,\"jwt\":\"{jwt}\",\"sig\":\"{signature}\"{more}}}\r\nPING\r\n"
        ))
        .await;
    }

    /// Logs in and waits for it.
    pub(crate) async fn enter(server: &Server, login: &Login) -> Self {
        let mut peer = Self::open(server).await;
        peer.login(login, "").await;
        assert_eq!(peer.line().await, "PONG");
        peer
    }

    /// Everything until the connection is closed.
    pub(crate) async fn rest(&mut self) -> String {
        let mut all = Vec::new();
        // A reset is an end as well.
        let _ = within(self.stream.read_to_end(&mut all)).await;
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Whether the connection is still served.
    pub(crate) async fn is_served(&mut self) -> bool {
        self.send("PING\r\n").await;
        self.line().await == "PONG"
    }
}

/// Asks again and again until `done`, for things that no event tells of.
pub(crate) async fn eventually(what: &str, mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("in vain: {what}");
}
