//! What a user may publish and subscribe to (CONF-109).
//!
//! Reference: opts.go parseUserPermissions, parsePermSubjects, parseAllowResponses,
//! parseSubjectPermission, checkPermSubjectArray.

use super::reader::{Reader, quote, text};
use super::subjects;
use crate::diagnostic::Diagnostic;
use crate::lang::unit::{self, Nanos};
use crate::lang::{Token, Value};

/// Subjects allowed and denied. `None` is "not given": everything is allowed, nothing denied.
/// An empty list of allowed subjects allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectPermission {
    /// Allowed subjects (for subscriptions also `subject queue`).
    pub allow: Option<Vec<String>>,
    /// Denied subjects.
    pub deny: Option<Vec<String>>,
}

/// The permission to answer requests on their reply subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponsePermission {
    /// Answers per request; negative is unlimited.
    pub max_msgs: i64,
    /// For how long; negative is for ever.
    pub expires: Nanos,
}

impl Default for ResponsePermission {
    fn default() -> Self {
        Self { max_msgs: 1, expires: Nanos::from_secs(120) }
    }
}

/// A user's permissions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Publishing. In a cluster's permissions: imports.
    pub publish: Option<SubjectPermission>,
    /// Subscribing. In a cluster's permissions: exports.
    pub subscribe: Option<SubjectPermission>,
    /// Answering requests.
    pub responses: Option<ResponsePermission>,
}

impl Permissions {
    pub(super) const KEYS: &[&str] = &[
        "publish",
        "pub",
        "import",
        "subscribe",
        "sub",
        "export",
        "allow_responses",
        "publish_allow_responses",
    ];

    /// Reads a permissions map.
    pub(super) fn read(token: &Token, r: &mut Reader<'_>) -> Option<Self> {
        let Value::Map(map) = &token.value else {
            let found = token.value.display();
            r.error(token, format!("Expected permissions to be a map/struct, got {found}"));
            return None;
        };
        let mut permissions = Self::default();
        for (key, token) in map.written() {
            match key.to_lowercase().as_str() {
                "pub" | "publish" | "import" => {
                    if let Some(read) = subject_permission(token, r, false) {
                        permissions.publish = read;
                    }
                }
                "sub" | "subscribe" | "export" => {
                    if let Some(read) = subject_permission(token, r, true) {
                        permissions.subscribe = read;
                    }
                }
                "publish_allow_responses" | "allow_responses" => match token.value {
                    Value::Bool(true) => permissions.responses = Some(Default::default()),
                    Value::Bool(false) => {}
                    _ => permissions.responses = allow_responses(token, r),
                },
                _ => {
                    let text = format!("Unknown field {} parsing permissions", quote(key));
                    r.unknown_as(key, token, Self::KEYS, &text);
                }
            }
        }
        if permissions.responses.is_some() {
            // Answering is the exception to a denial, so without a list nothing else is allowed.
            let publish = permissions.publish.get_or_insert_default();
            publish.allow.get_or_insert_default();
        }
        Some(permissions)
    }
}

/// `None` after an error; `Some(None)` for an empty map, which says nothing.
fn subject_permission(
    token: &Token,
    r: &mut Reader<'_>,
    queues: bool,
) -> Option<Option<SubjectPermission>> {
    let Value::Map(map) = &token.value else {
        let allow = subjects_of(token, r, queues)?;
        return Some(Some(SubjectPermission { allow, deny: None }));
    };
    if map.is_empty() {
        return Some(None);
    }
    let mut permission = SubjectPermission::default();
    for (key, token) in map.written() {
        match key.to_lowercase().as_str() {
            "allow" => {
                if let Some(subjects) = subjects_of(token, r, queues) {
                    permission.allow = subjects;
                }
            }
            "deny" => {
                if let Some(subjects) = subjects_of(token, r, queues) {
                    permission.deny = subjects;
                }
            }
            _ => {
                let text = format!(
                    "Unknown field name {} parsing subject permissions, only 'allow' or 'deny' \
                     are permitted",
                    quote(key)
                );
                r.unknown_as(key, token, &[], &text);
            }
        }
    }
    Some(Some(permission))
}

/// One subject or an array of them; `Some(None)` for an empty array, which says nothing.
pub(super) fn subjects_of(
    token: &Token,
    r: &mut Reader<'_>,
    queues: bool,
) -> Option<Option<Vec<String>>> {
    let mut subjects = Vec::new();
    match &token.value {
        Value::String(_) => subjects.push(text(token)),
        Value::Array(items) => {
            for item in items.iter() {
                let Some(subject) = item.value.as_text() else {
                    r.error(item, "Subject in permissions array cannot be cast to string");
                    return None;
                };
                subjects.push(subject);
            }
        }
        other => {
            let found = other.type_name();
            r.error(
                token,
                format!(
                    "Expected subject permissions to be a subject, or array of subjects, got {found}"
                ),
            );
            return None;
        }
    }
    match check_subjects(&subjects, queues) {
        Ok(()) => Some((!subjects.is_empty()).then_some(subjects)),
        Err(text) => {
            r.push(Diagnostic::at(&token.position, text));
            None
        }
    }
}

/// Whether all are subjects, or with `queues` subjects followed by a queue name.
pub(crate) fn check_subjects(subjects: &[String], queues: bool) -> Result<(), String> {
    for subject in subjects {
        if subjects::is_valid(subject) {
            continue;
        }
        let parts: Vec<&str> = subject.split_whitespace().collect();
        match parts.as_slice() {
            [subject, queue] if queues => {
                if !subjects::is_valid(subject) {
                    return Err(format!("subject {} is not a valid subject", quote(subject)));
                }
                if !subjects::is_valid(queue) {
                    return Err(format!("queue {} is not a valid queue", quote(queue)));
                }
            }
            _ => return Err(format!("subject {} is not a valid subject", quote(subject))),
        }
    }
    Ok(())
}

fn allow_responses(token: &Token, r: &mut Reader<'_>) -> Option<ResponsePermission> {
    let Value::Map(map) = &token.value else {
        r.error(token, "error parsing response permissions, expected a boolean or a map");
        return None;
    };
    const KEYS: &[&str] =
        &["max", "max_msgs", "max_messages", "max_responses", "expires", "expiration", "ttl"];
    let mut permission = ResponsePermission::default();
    for (key, token) in map.written() {
        match key.to_lowercase().as_str() {
            // Zero leaves the default, negative is without limit.
            "max" | "max_msgs" | "max_messages" | "max_responses" => {
                if let Some(max) = r.integer(token).filter(|max| *max != 0) {
                    permission.max_msgs = max;
                }
            }
            "expires" | "expiration" | "ttl" => {
                let Some(spelled) = token.value.as_text() else {
                    r.error(token, "error parsing expires, not a duration string");
                    return None;
                };
                match unit::duration(&spelled) {
                    Ok(Nanos(0)) => {}
                    Ok(ttl) => permission.expires = ttl,
                    Err(e) => {
                        r.error(token, format!("error parsing expires: {e}"));
                        return None;
                    }
                }
            }
            _ => {
                let text = format!("Unknown field {} parsing permissions", quote(key));
                r.unknown_as(key, token, KEYS, &text);
            }
        }
    }
    Some(permission)
}
