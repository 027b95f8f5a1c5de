//! Permissions as they are configured, and whether their subjects are legal.
//!
//! Not here: checking a publish or a subscription (`super`).
//! Laws: response limits are never zero.
//! Reference: auth.go Permissions, validatePermissionSubjects; opts.go checkPermSubjectArray,
//! parseAllowResponses.

use std::time::Duration;
use stdx::go_text::quote;

/// What a user may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PermissionsConfig {
    /// Subjects it may publish to.
    pub publish: SubjectPermission,
    /// Subjects it may subscribe to; an entry may be qualified by a queue: `subject queue`.
    pub subscribe: SubjectPermission,
    /// Whether it may answer requests on any reply subject.
    // Compat(SUBJ-008): with this, an empty publish allow list allows nothing.
    pub responses: Option<ResponsePermission>,
}

/// What is allowed and what is taken away again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectPermission {
    /// Empty for everything.
    pub allow: Vec<String>,
    /// Goes before `allow`.
    pub deny: Vec<String>,
}

impl SubjectPermission {
    /// Only these.
    pub fn allow<S: Into<String>>(subjects: impl IntoIterator<Item = S>) -> Self {
        Self { allow: subjects.into_iter().map(Into::into).collect(), deny: vec![] }
    }

    /// All but these.
    pub fn deny<S: Into<String>>(subjects: impl IntoIterator<Item = S>) -> Self {
        Self { allow: vec![], deny: subjects.into_iter().map(Into::into).collect() }
    }
}

/// How many messages may be published to a reply subject, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponsePermission {
    max_msgs: i64,
    expires_ns: i64,
}

impl ResponsePermission {
    /// Messages to one reply subject unless configured.
    pub const DEFAULT_MAX_MSGS: i64 = 1;
    /// Nanoseconds after the request unless configured: two minutes.
    pub const DEFAULT_EXPIRES_NS: i64 = 120_000_000_000;

    /// Takes the configured values: zero stands for the default, a negative value for no limit.
    // Compat(SUBJ-008)
    pub fn new(max_msgs: i64, expires_ns: i64) -> Self {
        Self {
            max_msgs: if max_msgs == 0 { Self::DEFAULT_MAX_MSGS } else { max_msgs },
            expires_ns: if expires_ns == 0 { Self::DEFAULT_EXPIRES_NS } else { expires_ns },
        }
    }

    /// The number of messages as configured; negative for no limit.
    pub fn max_msgs(self) -> i64 {
        self.max_msgs
    }

    /// The time in nanoseconds as configured; negative for no limit.
    pub fn expires_ns(self) -> i64 {
        self.expires_ns
    }

    /// The number of messages; `None` for no limit.
    pub fn limit(self) -> Option<u64> {
        u64::try_from(self.max_msgs).ok()
    }

    /// The time after the request; `None` for no limit.
    pub fn ttl(self) -> Option<Duration> {
        u64::try_from(self.expires_ns).ok().map(Duration::from_nanos)
    }
}

impl Default for ResponsePermission {
    fn default() -> Self {
        Self::new(0, 0)
    }
}

/// An illegal subject or queue name; the texts are those of the reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{list}: {cause}")]
pub struct PermissionError {
    /// `publish allow`, `subscribe deny` and so on.
    pub list: &'static str,
    /// What is illegal.
    pub cause: BadSubject,
}

/// One illegal entry of a permission list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSubject {
    /// Not a legal subject.
    #[error("subject {} is not a valid subject", quote(.0.as_bytes()))]
    Subject(String),
    /// Not a legal queue name.
    #[error("queue {} is not a valid queue", quote(.0.as_bytes()))]
    Queue(String),
}

impl PermissionsConfig {
    /// Checks every entry.
    pub fn check(&self) -> Result<(), PermissionError> {
        check_list("publish allow", &self.publish.allow, check_publish_entry)?;
        check_list("publish deny", &self.publish.deny, check_publish_entry)?;
        check_list("subscribe allow", &self.subscribe.allow, check_subscribe_entry)?;
        check_list("subscribe deny", &self.subscribe.deny, check_subscribe_entry)
    }
}

fn check_list(
    list: &'static str,
    entries: &[String],
    check: impl Fn(&str) -> Result<(), BadSubject>,
) -> Result<(), PermissionError> {
    entries
        .iter()
        .try_for_each(|entry| check(entry))
        .map_err(|cause| PermissionError { list, cause })
}

/// Checks one entry of a publish list: a subject.
pub fn check_publish_entry(entry: &str) -> Result<(), BadSubject> {
    if subject::is_valid(entry.as_bytes()) {
        Ok(())
    } else {
        Err(BadSubject::Subject(entry.to_owned()))
    }
}

/// Checks one entry of a subscribe list: a subject, or a subject and a queue.
// Compat(SUBJ-006)
pub fn check_subscribe_entry(entry: &str) -> Result<(), BadSubject> {
    if subject::is_valid(entry.as_bytes()) {
        return Ok(());
    }
    let fields: Vec<&str> = entry.split_whitespace().collect();
    match fields[..] {
        [subject, _] if !subject::is_valid(subject.as_bytes()) => {
            Err(BadSubject::Subject(subject.to_owned()))
        }
        [_, queue] if !subject::validate::is_valid_queue(queue.as_bytes()) => {
            Err(BadSubject::Queue(queue.to_owned()))
        }
        [_, _] => Ok(()),
        _ => Err(BadSubject::Subject(entry.to_owned())),
    }
}
