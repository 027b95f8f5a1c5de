//! `/healthz`: is this server able to work?
//!
//! Not here: the checks inside JetStream (the source answers them).
//! Laws: bad parameters are refused before anything is checked; a server whose listeners are not
//! up is not healthy whatever else is asked.
//! Reference: monitor.go `HealthStatus`, healthz, HandleHealthz; server.go readyForConnections.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::json::is_empty;
use crate::query::Query;
use crate::source::Source;

/// What is asked; the field names are those of `$SYS` requests and of the query.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct HealthzOptions {
    /// The old name of `js_enabled_only`.
    pub js_enabled: bool,
    /// Only whether JetStream is enabled, not its streams.
    pub js_enabled_only: bool,
    /// Nothing about JetStream.
    pub js_server_only: bool,
    /// Only the JetStream meta group, not streams and consumers.
    pub js_meta_only: bool,
    /// Only this account's streams.
    pub account: String,
    /// Only this stream; needs an account.
    pub stream: String,
    /// Only this consumer; needs a stream.
    pub consumer: String,
    /// List every fault instead of the first.
    pub details: bool,
}

impl HealthzOptions {
    pub(crate) fn from_query(query: &Query) -> Result<Self, Error> {
        Ok(Self {
            js_enabled: query.bool("js-enabled")?,
            js_enabled_only: query.bool("js-enabled-only")?,
            js_server_only: query.bool("js-server-only")?,
            js_meta_only: query.bool("js-meta-only")?,
            details: query.bool("details")?,
            account: query.text("account"),
            stream: query.text("stream"),
            consumer: query.text("consumer"),
        })
    }
}

/// A listener that should accept connections and does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerFault {
    /// `server`, `route`, `gateway`, `leafnode`, `websocket` or `mqtt`.
    pub name: &'static str,
    /// Why, if it was tried.
    pub error: Option<String>,
}

/// What kind of thing is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the kinds speak for themselves")]
pub enum HealthErrorKind {
    Connection,
    BadRequest,
    #[serde(rename = "JETSTREAM")]
    JetStream,
    Account,
    Stream,
    Consumer,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthError {
    /// What is at fault.
    #[serde(rename = "type")]
    pub kind: HealthErrorKind,
    /// In which account.
    #[serde(skip_serializing_if = "is_empty")]
    pub account: String,
    /// Which stream.
    #[serde(skip_serializing_if = "is_empty")]
    pub stream: String,
    /// Which consumer.
    #[serde(skip_serializing_if = "is_empty")]
    pub consumer: String,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "is_empty")]
    pub error: String,
}

/// What JetStream has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JetStreamHealth {
    /// Not configured: nothing to check.
    Off,
    /// Every check that was asked for passed.
    Healthy,
    /// Faults, in the order found, with the HTTP status of the first.
    Faults(u16, Vec<HealthError>),
}

/// The document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Healthz {
    status: &'static str,
    /// Wire: shown in `$SYS` answers; over HTTP the response line says it.
    #[serde(skip_serializing_if = "is_empty")]
    pub(crate) status_code: u16,
    #[serde(skip_serializing_if = "is_empty")]
    error: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<HealthError>,
}

impl Healthz {
    /// What the log says about a failed check.
    pub(crate) fn complaint(&self) -> Option<String> {
        if !self.error.is_empty() {
            return Some(format!("Healthcheck failed: {}", quote(&self.error)));
        }
        let count = self.errors.len();
        (count > 0).then(|| format!("Healthcheck failed: {count} errors"))
    }

    fn healthy() -> Self {
        Self { status: "ok", status_code: 200, error: String::new(), errors: Vec::new() }
    }

    fn unhealthy(
        status_code: u16,
        status: &'static str,
        details: bool,
        faults: Vec<HealthError>,
    ) -> Self {
        if details {
            return Self { status: "error", status_code, error: String::new(), errors: faults };
        }
        let error = faults.into_iter().next().map(|fault| fault.error).unwrap_or_default();
        Self { status, status_code, error, errors: Vec::new() }
    }
}

fn quote(text: &str) -> String {
    stdx::go_text::quote(text.as_bytes())
}

/// Makes the document.
pub(crate) fn healthz(options: &HealthzOptions, source: &dyn Source) -> Healthz {
    let fault = |kind, error: String| HealthError {
        kind,
        account: String::new(),
        stream: String::new(),
        consumer: String::new(),
        error,
    };
    let missing = if options.account.is_empty() && !options.stream.is_empty() {
        Some(("account", "stream"))
    } else if options.stream.is_empty() && !options.consumer.is_empty() {
        Some(("stream", "consumer"))
    } else {
        None
    };
    if let Some((absent, checked)) = missing {
        let text = format!("\"{absent}\" must not be empty when checking {checked} health");
        let faults = vec![fault(HealthErrorKind::BadRequest, text)];
        return Healthz::unhealthy(400, "error", options.details, faults);
    }
    let listeners = source.listener_faults();
    if !listeners.is_empty() {
        let faults = vec![fault(HealthErrorKind::Connection, not_ready(&listeners))];
        return Healthz::unhealthy(500, "error", options.details, faults);
    }
    if options.js_server_only {
        return Healthz::healthy();
    }
    match source.jetstream_health(options) {
        JetStreamHealth::Off | JetStreamHealth::Healthy => Healthz::healthy(),
        JetStreamHealth::Faults(code, faults) => {
            Healthz::unhealthy(code, "unavailable", options.details, faults)
        }
    }
}

fn not_ready(faults: &[ListenerFault]) -> String {
    let names: Vec<String> = faults
        .iter()
        .map(|fault| match &fault.error {
            Some(error) => format!("{}({error})", fault.name),
            None => fault.name.to_owned(),
        })
        .collect();
    format!("failed to be ready for connections after 1ms: {}", names.join(", "))
}
