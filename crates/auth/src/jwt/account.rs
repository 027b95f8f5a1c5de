//! What an operator says of an account.
//!
//! Reference: jwt v2 account_claims.go.

use super::limits::{OperatorLimits, Permissions};
use super::scope::{Scope, SigningKeys};
use super::share::{Export, Import, Revocations};
use super::token::{Body, Claims, is_zero};
use nkeys::KeyPairType;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The claims of an account.
pub type AccountClaims = Claims<Account>;

/// What belongs to one account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    /// What it uses of others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<Import>,
    /// What it offers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<Export>,
    /// Its limits.
    pub limits: OperatorLimits,
    /// Keys that sign for it.
    #[serde(skip_serializing_if = "SigningKeys::is_empty")]
    pub signing_keys: SigningKeys,
    /// Users whose tokens do not count any more.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub revocations: Revocations,
    /// What users may do of whom nothing is said.
    pub default_permissions: Permissions,
    /// Its subject mappings.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub mappings: BTreeMap<String, Vec<WeightedMapping>>,
    /// Who decides about its users.
    pub authorization: ExternalAuthorization,
    /// Where traces of its messages go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<MessageTrace>,
    /// `system` or `owner`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster_traffic: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub info_url: String,
    /// Tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// `account`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Of the token.
    #[serde(skip_serializing_if = "is_zero")]
    pub version: i64,
}

/// One destination of a mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WeightedMapping {
    /// Where to.
    pub subject: String,
    /// Its share in percent; 0 for all.
    #[serde(skip_serializing_if = "is_nothing")]
    pub weight: u8,
    /// The cluster it counts in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
}

fn is_nothing(n: &u8) -> bool {
    *n == 0
}

impl WeightedMapping {
    /// Its share in percent.
    pub fn share(&self) -> u8 {
        if self.weight == 0 { 100 } else { self.weight }
    }
}

/// A service that decides who the users of an account are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExternalAuthorization {
    /// Users it does not decide about, itself above all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub auth_users: Vec<String>,
    /// Accounts it may put users in; `*` for any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_accounts: Vec<String>,
    /// The key it is written to in secret.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub xkey: String,
}

/// Where traces of messages go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MessageTrace {
    /// The subject.
    #[serde(rename = "dest", skip_serializing_if = "String::is_empty")]
    pub destination: String,
    /// How many of a hundred; 0 for all.
    #[serde(skip_serializing_if = "is_zero")]
    pub sampling: i64,
}

impl Body for Account {
    const KIND: &'static str = "account";
    const ISSUERS: &'static [KeyPairType] = &[KeyPairType::Account, KeyPairType::Operator];
    const ISSUER_NAMES: &'static str = "account operator";
    const SUBJECT: Option<KeyPairType> = Some(KeyPairType::Account);

    fn stamp(&mut self, kind: &str, version: i64) {
        (self.kind, self.version) = (kind.to_owned(), version);
    }
}

impl Account {
    /// What users signed by `key` may do, if it is a signing key; the inner `None` means that their
    /// own tokens say.
    pub fn scope(&self, key: &str) -> Option<Option<&Scope>> {
        self.signing_keys.0.get(key).map(Option::as_ref)
    }
}
