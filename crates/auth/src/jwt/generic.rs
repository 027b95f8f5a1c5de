//! Claims of kinds of their own: a request signed by an operator, above all.
//!
//! Reference: jwt v2 genericlaims.go.

use super::token::{Body, Claims};
use nkeys::KeyPairType;
use serde_json::{Map, Value};

/// Claims whose body is whatever was written.
pub type GenericClaims = Claims<Map<String, Value>>;

impl Body for Map<String, Value> {
    const KIND: &'static str = "generic";
    const ISSUERS: &'static [KeyPairType] = &[];
    const ISSUER_NAMES: &'static str = "";
    const SUBJECT: Option<KeyPairType> = None;

    fn stamp(&mut self, kind: &str, version: i64) {
        self.entry("type").or_insert_with(|| kind.into());
        self.insert("version".to_owned(), version.into());
    }
}
