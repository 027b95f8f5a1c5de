//! What a server asks about a client, and what it is answered.
//!
//! Reference: jwt v2 authorization_claims.go.   Contract: AUTH-025.

use super::token::{Body, Claims, is_key_of, is_zero};
use super::user::UserClaims;
use data_encoding::BASE64;
use nkeys::KeyPairType;
use serde::{Deserialize, Serialize};

/// The claims of a question.
pub type RequestClaims = Claims<Request>;
/// The claims of an answer.
pub type ResponseClaims = Claims<Response>;

/// The server that asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// The host of its client listener.
    pub host: String,
    /// Its public key.
    pub id: String,
    /// Its version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Its cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// Its tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Its public curve key, if the question is encrypted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub xkey: String,
}

/// What the server knows of the client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Client {
    /// Its address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// Its number.
    #[serde(skip_serializing_if = "is_none")]
    pub id: u64,
    /// The user it says it is, or was found to be.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// What it calls itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Tags of its token.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The name in its token.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name_tag: String,
    /// `Client` or `Leafnode`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// `nats`, `mqtt` or `websocket`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub client_type: String,
    /// Its MQTT client id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mqtt_id: String,
    /// What it signed, if it did.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nonce: String,
}

/// What the client's CONNECT says. Secrets are among it: they are what the question is about.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectOptions {
    /// `jwt`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jwt: String,
    /// `nkey`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nkey: String,
    /// `sig`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sig: String,
    /// `auth_token`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub auth_token: String,
    /// `user`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `pass`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pass: String,
    /// `name`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `lang`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub lang: String,
    /// `version`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// `protocol`.
    pub protocol: i64,
}

impl std::fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectOptions").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How the client's connection is encrypted, and with which certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientTls {
    /// The protocol's version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The cipher suite.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cipher: String,
    /// Certificates nobody verified, PEM.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certs: Vec<String>,
    /// Chains that were verified, the client's own certificate first, PEM.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verified_chains: Vec<Vec<String>>,
}

impl ClientTls {
    /// A connection with a chain of certificates, DER, that was verified.
    pub fn verified(version: &str, cipher: &str, chain: &[Box<[u8]>]) -> Self {
        let chain: Vec<String> = chain.iter().map(|der| pem(der)).collect();
        Self {
            version: version.to_owned(),
            cipher: cipher.to_owned(),
            certs: Vec::new(),
            verified_chains: if chain.is_empty() { Vec::new() } else { vec![chain] },
        }
    }
}

fn pem(der: &[u8]) -> String {
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in der.chunks(48) {
        text.push_str(&BASE64.encode(line));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

/// A question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Request {
    /// Who asks.
    pub server_id: Server,
    /// The key that the user's token in the answer must be about.
    pub user_nkey: String,
    /// The client.
    pub client_info: Client,
    /// What it said.
    pub connect_opts: ConnectOptions,
    /// Its TLS, if it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_tls: Option<ClientTls>,
    /// `authorization_request`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Of the token.
    #[serde(skip_serializing_if = "is_zero")]
    pub version: i64,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Response {
    /// The user's token, if the client may come in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jwt: String,
    /// Why not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// The account, if a signing key signed the answer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer_account: String,
    /// `authorization_response`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Of the token.
    #[serde(skip_serializing_if = "is_zero")]
    pub version: i64,
}

fn is_none(n: &u64) -> bool {
    *n == 0
}

impl Body for Request {
    const KIND: &'static str = "authorization_request";
    const ISSUERS: &'static [KeyPairType] = &[KeyPairType::Server];
    const ISSUER_NAMES: &'static str = "server";
    const SUBJECT: Option<KeyPairType> = None;

    fn stamp(&mut self, kind: &str, version: i64) {
        (self.kind, self.version) = (kind.to_owned(), version);
    }
}

impl Body for Response {
    const KIND: &'static str = "authorization_response";
    const ISSUERS: &'static [KeyPairType] = &[KeyPairType::Account];
    const ISSUER_NAMES: &'static str = "account";
    const SUBJECT: Option<KeyPairType> = None;

    fn stamp(&mut self, kind: &str, version: i64) {
        (self.kind, self.version) = (kind.to_owned(), version);
    }
}

impl ResponseClaims {
    /// The first thing that is wrong with it at `now` (Unix seconds).
    pub fn first_issue(&self, now: i64) -> Option<&'static str> {
        let body = &self.nats;
        let account = &body.issuer_account;
        if !is_key_of(&self.subject, &[KeyPairType::User]) {
            Some("Subject must be a user public key")
        } else if !is_key_of(&self.audience, &[KeyPairType::Server]) {
            Some("Audience must be a server public key")
        } else if body.error.is_empty() && body.jwt.is_empty() {
            Some("Error or Jwt is required")
        } else if !body.error.is_empty() && !body.jwt.is_empty() {
            Some("Only Error or Jwt can be set")
        } else if !account.is_empty() && !is_key_of(account, &[KeyPairType::Account]) {
            Some("issuer_account is not an account public key")
        } else {
            self.untimely(now)
        }
    }
}

impl UserClaims {
    /// The first thing that is wrong with it at `now` (Unix seconds), the time included.
    pub fn first_issue(&self, now: i64) -> Option<String> {
        self.validate(now).0.into_iter().next().map(|issue| issue.description)
    }
}
