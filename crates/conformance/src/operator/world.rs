//! An operator, its accounts and their users, as they follow from a seed: keys, what tokens say,
//! and the tokens themselves.
//!
//! Tokens are written here, not by the product's encoder, so that they can say anything.

use data_encoding::BASE64URL_NOPAD;
use nkeys::{KeyPair, KeyPairType};
use serde_json::{Value, json};

use crate::random::Random;

/// An account.
pub(super) struct Account {
    pub(super) name: &'static str,
    pub(super) key: KeyPair,
    /// Signs for it.
    pub(super) signing: KeyPair,
    /// Signs for it, with a template.
    pub(super) scoped: KeyPair,
    /// What its token says under `nats`.
    pub(super) body: Value,
    /// What it says beside that: `exp`, `nbf`, `name`.
    pub(super) frame: Value,
}

impl Account {
    pub(super) fn id(&self) -> String {
        self.key.public_key()
    }
}

/// A user.
pub(super) struct User {
    pub(super) key: KeyPair,
    pub(super) jwt: String,
    /// What is odd about it, for who reads a difference.
    pub(super) label: String,
}

/// Everybody there is.
pub(super) struct World {
    pub(super) operator: KeyPair,
    pub(super) signing: KeyPair,
    /// Whom nobody trusts.
    pub(super) stranger: KeyPair,
    pub(super) strict: bool,
    /// Whether the servers keep a directory of tokens. The reference keeps those that nobody who is
    /// trusted signed, too.
    pub(super) keeps: bool,
    /// The system account is the first one.
    pub(super) accounts: Vec<Account>,
    pub(super) users: Vec<User>,
    /// When it began, in Unix seconds.
    pub(super) now: i64,
    names: Vec<(String, String)>,
}

fn key(r: &mut Random, kind: KeyPairType) -> KeyPair {
    let mut raw = [0u8; 32];
    for byte in &mut raw {
        *byte = r.below(256) as u8;
    }
    KeyPair::new_from_raw(kind, raw).expect("a seed of 32 bytes")
}

/// A token that says `claims`, signed by `signer`.
pub(super) fn token(signer: &KeyPair, claims: &Value) -> String {
    let header = BASE64URL_NOPAD.encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let body = BASE64URL_NOPAD.encode(claims.to_string().as_bytes());
    let text = format!("{header}.{body}");
    let signature = signer.sign(text.as_bytes()).expect("signing");
    format!("{text}.{}", BASE64URL_NOPAD.encode(&signature))
}

/// Claims of `kind` about `subject`; `more` goes over what every token says.
pub(super) fn claims(
    kind: &str,
    issuer: &str,
    subject: &str,
    issued: i64,
    nats: &Value,
    more: &Value,
) -> Value {
    let mut all =
        json!({"jti": format!("{subject}{issued}"), "iat": issued, "iss": issuer, "sub": subject});
    all["nats"] = nats.clone();
    all["nats"]["type"] = kind.into();
    all["nats"]["version"] = 2.into();
    merge(&mut all, more);
    all
}

/// Puts the members of `more` over those of `into`.
pub(super) fn merge(into: &mut Value, more: &Value) {
    if let Value::Object(more) = more {
        for (name, value) in more {
            into[name] = value.clone();
        }
    }
}

/// What an account's token says that limits nothing.
pub(super) fn unlimited(signing: &KeyPair) -> Value {
    json!({
        "signing_keys": [signing.public_key()],
        "limits": {
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
            "wildcards": true, "conn": -1, "leaf": -1,
        },
        "default_permissions": {"pub": {}, "sub": {}},
        "authorization": {},
    })
}

/// What a user's token says that limits nothing.
pub(super) fn free() -> Value {
    json!({"pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1})
}

impl World {
    pub(super) fn new(r: &mut Random, now: i64) -> Self {
        let (operator, signing) = (key(r, KeyPairType::Operator), key(r, KeyPairType::Operator));
        let stranger = key(r, KeyPairType::Operator);
        let accounts = ["SYS", "A", "B", "C"].map(|name| {
            let signing = key(r, KeyPairType::Account);
            Account {
                name,
                key: key(r, KeyPairType::Account),
                scoped: key(r, KeyPairType::Account),
                body: unlimited(&signing),
                frame: json!({"name": name}),
                signing,
            }
        });
        let strict = r.one_in(6);
        let mut world = Self {
            operator,
            signing,
            stranger,
            strict,
            keeps: false,
            accounts: accounts.into(),
            users: Vec::new(),
            now,
            names: Vec::new(),
        };
        let mut names = vec![
            (world.operator.public_key(), "<O>".to_owned()),
            (world.signing.public_key(), "<O.signing>".to_owned()),
            (world.stranger.public_key(), "<stranger>".to_owned()),
        ];
        for account in &world.accounts {
            names.push((account.id(), format!("<{}>", account.name)));
            names.push((account.signing.public_key(), format!("<{}.signing>", account.name)));
            names.push((account.scoped.public_key(), format!("<{}.scoped>", account.name)));
        }
        world.names = names;
        world.add_user(r, "system", |world, key| {
            let (by, mut body) = (&world.accounts[0].signing, free());
            body["issuer_account"] = world.accounts[0].id().into();
            let name = json!({"name": "system"});
            token(by, &claims("user", &by.public_key(), key, now, &body, &name))
        });
        world
    }

    /// Makes a user whose token is what `write` makes of its public key.
    pub(super) fn add_user(
        &mut self,
        r: &mut Random,
        label: &str,
        write: impl FnOnce(&Self, &str) -> String,
    ) -> usize {
        let key = key(r, KeyPairType::User);
        let jwt = write(self, &key.public_key());
        let at = self.users.len();
        self.names.push((key.public_key(), format!("<u{at}>")));
        self.users.push(User { key, jwt, label: label.to_owned() });
        at
    }

    /// The key that signs for the operator.
    pub(super) fn vouching(&self) -> &KeyPair {
        if self.strict { &self.signing } else { &self.operator }
    }

    /// The operator's token.
    pub(super) fn operator_token(&self) -> String {
        let nats = json!({
            "signing_keys": [self.signing.public_key()],
            "system_account": self.accounts[0].id(),
            "strict_signing_key_usage": self.strict,
        });
        let id = self.operator.public_key();
        token(&self.operator, &claims("operator", &id, &id, self.now, &nats, &json!({"name": "O"})))
    }

    /// An account's token as it should be, issued at `issued`.
    pub(super) fn account_token(&self, at: usize, issued: i64) -> String {
        self.account_token_by(self.vouching(), at, issued)
    }

    /// An account's token signed by `signer`.
    pub(super) fn account_token_by(&self, signer: &KeyPair, at: usize, issued: i64) -> String {
        let account = &self.accounts[at];
        let (issuer, id) = (signer.public_key(), account.id());
        token(signer, &claims("account", &issuer, &id, issued, &account.body, &account.frame))
    }

    /// `text` with names in the place of the keys that are known here, and with tokens shortened.
    pub(super) fn readable(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (key, name) in &self.names {
            if text.contains(key.as_str()) {
                text = text.replace(key.as_str(), name);
            }
        }
        shorten(&text)
    }
}

/// Tokens are long; a hash tells them apart.
fn shorten(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("eyJ") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let is_part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let len = from.bytes().take_while(|b| is_part(b)).count();
        let (token, after) = from.split_at(len);
        if len > 100 {
            let hash = token.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, b| {
                (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
            });
            out.push_str(&format!("<token {hash:x}>"));
        } else {
            out.push_str(token);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}
