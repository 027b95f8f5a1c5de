//! An account's leave for another to import something.
//!
//! Reference: jwt v2 activation_claims.go.

use super::token::{Body, Claims, is_zero};
use nkeys::KeyPairType;
use serde::{Deserialize, Serialize};

/// The claims of an activation.
pub type ActivationClaims = Claims<Activation>;

/// What may be imported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Activation {
    /// The exported subjects.
    #[serde(rename = "subject", skip_serializing_if = "String::is_empty")]
    pub import_subject: String,
    /// `stream` or `service`.
    #[serde(rename = "kind", skip_serializing_if = "String::is_empty")]
    pub import_kind: String,
    /// The account, if a signing key issued the token.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer_account: String,
    /// Tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// `activation`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Of the token.
    #[serde(skip_serializing_if = "is_zero")]
    pub version: i64,
}

impl Body for Activation {
    const KIND: &'static str = "activation";
    const ISSUERS: &'static [KeyPairType] = &[KeyPairType::Account, KeyPairType::Operator];
    const ISSUER_NAMES: &'static str = "account operator";
    const SUBJECT: Option<KeyPairType> = Some(KeyPairType::Account);

    fn stamp(&mut self, kind: &str, version: i64) {
        (self.kind, self.version) = (kind.to_owned(), version);
    }
}
