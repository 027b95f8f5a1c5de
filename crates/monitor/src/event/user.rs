//! Who a user is and what it may do, as it may ask itself.
//!
//! Reference: events.go `UserInfo`; auth.go `Permissions`; client.go publicPermissions.

use serde::Serialize;

use crate::json::{self, is_empty};

/// Subjects allowed and denied.
#[derive(Clone, Debug, Default, Serialize)]
pub struct UserSubjects {
    /// Only these; all if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Not these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

/// Limits of answers to requests.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct UserResponses {
    /// Messages to one reply subject.
    pub max: i64,
    /// Nanoseconds after the request.
    pub ttl: i64,
}

/// What a user may do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct UserPermissions {
    /// Publish.
    pub publish: UserSubjects,
    /// Subscribe.
    pub subscribe: UserSubjects,
    /// Answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub responses: Option<UserResponses>,
}

/// A user.
#[derive(Clone, Debug, Default, Serialize)]
pub struct UserFacts {
    /// Its name or key.
    pub user: String,
    /// Its account.
    pub account: String,
    /// That account's tag; its name when it has none.
    #[serde(skip_serializing_if = "is_empty")]
    pub account_name: String,
    /// The name its JWT gives it.
    #[serde(skip_serializing_if = "is_empty")]
    pub user_name: String,
    /// What it may do; `None` for everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<UserPermissions>,
    /// Nanoseconds until it has to log in again; 0 for never.
    #[serde(skip_serializing_if = "is_empty")]
    pub expires: i64,
}

/// The document of `$SYS.REQ.USER.INFO`.
pub fn user_info(facts: &UserFacts) -> Vec<u8> {
    json::compact(facts)
}
