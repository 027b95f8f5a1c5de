//! What an operator says of itself.
//!
//! Reference: jwt v2 operator_claims.go.

use super::token::{Body, Claims, is_zero};
use nkeys::KeyPairType;
use serde::{Deserialize, Serialize};

/// The claims of an operator.
pub type OperatorClaims = Claims<Operator>;

/// Who vouches for accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Operator {
    /// Other keys that sign for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signing_keys: Vec<String>,
    /// Where account tokens are served.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account_server_url: String,
    /// Where its servers are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operator_service_urls: Vec<String>,
    /// The system account's key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub system_account: String,
    /// The oldest server that may be used: `major.minor.update`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub assert_server_version: String,
    /// Whether its identity key signs nothing but itself.
    #[serde(rename = "strict_signing_key_usage", skip_serializing_if = "is_false")]
    pub strict: bool,
    /// Tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// `operator`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Of the token.
    #[serde(skip_serializing_if = "is_zero")]
    pub version: i64,
}

fn is_false(on: &bool) -> bool {
    !*on
}

impl Body for Operator {
    const KIND: &'static str = "operator";
    const ISSUERS: &'static [KeyPairType] = &[KeyPairType::Operator];
    const ISSUER_NAMES: &'static str = "operator";
    const SUBJECT: Option<KeyPairType> = Some(KeyPairType::Operator);

    fn stamp(&mut self, kind: &str, version: i64) {
        (self.kind, self.version) = (kind.to_owned(), version);
    }
}

impl OperatorClaims {
    /// The keys whose accounts are trusted.
    pub fn trusted_keys(&self) -> Vec<String> {
        let own = (!self.nats.strict).then(|| self.subject.clone());
        own.into_iter().chain(self.nats.signing_keys.iter().cloned()).collect()
    }
}

/// Reads `major.minor.update`; nothing asserts nothing.
///
/// # Errors
/// The reference's text.
pub fn parse_version(text: &str) -> Result<(u64, u64, u64), String> {
    if text.is_empty() {
        return Ok((0, 0, 0));
    }
    let parts: Vec<&str> = text.split('.').collect();
    let [major, minor, update] = parts[..] else {
        return Err(
            "asserted server version must be of the form <major>.<minor>.<update>".to_owned()
        );
    };
    let number = |part: &str| {
        part.parse::<i64>().map_err(|_| format!("asserted server version cant parse {part} to int"))
    };
    let all = [number(major)?, number(minor)?, number(update)?];
    match all.map(u64::try_from) {
        [Ok(major), Ok(minor), Ok(update)] => Ok((major, minor, update)),
        _ => Err(format!("asserted server version can'b contain negative values: {text}")),
    }
}
