//! What an account says of one of its users.
//!
//! Reference: jwt v2 user_claims.go.

use super::limits::UserLimits;
use super::token::{Body, Claims, is_zero};
use nkeys::KeyPairType;
use serde::{Deserialize, Serialize};

/// The claims of a user.
pub type UserClaims = Claims<User>;

/// Who may connect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct User {
    /// What it may do.
    #[serde(flatten)]
    pub limits: UserLimits,
    /// The account, if a signing key issued the token.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer_account: String,
    /// Tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// `user`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Of the token.
    #[serde(skip_serializing_if = "is_zero")]
    pub version: i64,
}

impl Body for User {
    const KIND: &'static str = "user";
    const ISSUERS: &'static [KeyPairType] = &[KeyPairType::Account];
    const ISSUER_NAMES: &'static str = "account";
    const SUBJECT: Option<KeyPairType> = Some(KeyPairType::User);

    fn stamp(&mut self, kind: &str, version: i64) {
        (self.kind, self.version) = (kind.to_owned(), version);
    }
}

impl UserClaims {
    /// The account it belongs to.
    pub fn account(&self) -> &str {
        if self.nats.issuer_account.is_empty() { &self.issuer } else { &self.nats.issuer_account }
    }

    /// Whether it leaves everything to its signing key's template.
    pub fn has_empty_permissions(&self) -> bool {
        self.nats.limits == UserLimits::default()
    }
}
