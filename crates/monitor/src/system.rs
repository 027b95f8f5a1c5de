//! Requests to `$SYS.REQ.SERVER.PING.<service>`, `$SYS.REQ.SERVER.<id>.<service>` and
//! `$SYS.REQ.ACCOUNT.<account>.<service>`.
//!
//! Not here: subscribing to those subjects, compression of answers, the services `STATSZ` and
//! `IDZ`, which are events and not documents.
//! Laws: a server that the request does not mean stays silent.
//! Reference: events.go zReq, filterRequest, `ServerAPIResponse`, `EventFilterOptions`;
//! monitor.go profilez.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use stdx::go_text;
use stdx::time::Now;

use crate::counts::Endpoint;
use crate::json;
use crate::request::{RequestError, request, request_of};
use crate::source::Source;

/// The longest CPU profile that could be asked for, in nanoseconds.
const PROFILE_NS_MAX: i64 = 15_000_000_000;

/// What a request can pick servers by.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerIdentity<'a> {
    /// The server's name.
    pub name: &'a str,
    /// The client listener's host.
    pub host: &'a str,
    /// The cluster's name; empty without one.
    pub cluster: &'a str,
    /// The server's tags.
    pub tags: &'a [String],
    /// The JetStream domain; empty without one.
    pub domain: &'a str,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Filter {
    server_name: String,
    cluster: String,
    host: String,
    exact_match: bool,
    tags: Vec<String>,
    domain: String,
}

impl Filter {
    fn means(&self, server: &ServerIdentity<'_>) -> bool {
        let fits = |asked: &str, found: &str| match self.exact_match {
            _ if asked.is_empty() => true,
            true => asked == found,
            false => found.contains(asked),
        };
        fits(&self.server_name, server.name)
            && fits(&self.host, server.host)
            && fits(&self.cluster, server.cluster)
            && self.tags.iter().all(|tag| server.tags.contains(tag))
            && (self.domain.is_empty() || self.domain == server.domain)
    }
}

#[derive(Debug, Serialize)]
struct ApiError {
    code: u16,
    description: String,
}

/// What is asked for: options in the reference's own names and types (anything else is passed
/// over or refused as serde does).
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// `VARZ`, `CONNZ`, …
    pub service: &'a str,
    /// The account whose documents are asked for; `None` for the server's.
    pub account: Option<&'a str>,
    /// The options; empty for none.
    pub body: &'a [u8],
}

/// Whether a request with options `body` means the server `identity`.
pub fn is_meant(body: &[u8], identity: &ServerIdentity<'_>) -> bool {
    let filter: Filter = serde_json::from_slice(body).unwrap_or_default();
    filter.means(identity)
}

/// An answer, and whether it is a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What was asked for.
    Document(Vec<u8>),
    /// Why it cannot be had.
    Refusal(Vec<u8>),
}

/// Answers `question`. `server` makes the JSON object of the answering server, which leads the
/// answer; it is asked for only if there is one. `None`: stay silent.
pub fn answer(
    question: &Question<'_>,
    server: &mut dyn FnMut() -> String,
    identity: &ServerIdentity<'_>,
    source: &dyn Source,
    now: Now,
) -> Option<Answer> {
    let Question { service, account, body } = *question;
    // Asked before any work is done: one request reaches every server of a super-cluster.
    if !is_meant(body, identity) {
        return None;
    }
    let data = match (account, service) {
        (Some(account), service) => request_of(account, service, body, source, now),
        (None, "PROFILEZ") => options(body).map(|asked| profile(&asked, source)),
        (None, service) => request(endpoint(service)?, body, source, now),
    };
    match data {
        Ok(document) => Some(Answer::Document(envelope(&server(), Some(&document), None))),
        Err(refusal) => {
            let code = refusal.code()?;
            // Wire: a refusal has an empty document beside it, a bad body has none.
            let nothing: Option<&[u8]> =
                (!matches!(refusal, RequestError::Body(_))).then_some(b"null");
            let text = refusal.to_string();
            Some(Answer::Refusal(envelope(&server(), nothing, Some((code, &text)))))
        }
    }
}

/// `{"server":…,"data":…,"error":…}`, with what there is of the last two. `server` and `data` are
/// JSON.
pub fn envelope(server: &str, data: Option<&[u8]>, error: Option<(u16, &str)>) -> Vec<u8> {
    let mut out = format!("{{\"server\":{server}").into_bytes();
    if let Some(data) = data {
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(data);
    }
    if let Some((code, description)) = error {
        out.extend_from_slice(b",\"error\":");
        let error = ApiError { code, description: description.to_owned() };
        out.extend_from_slice(&json::compact(&error));
    }
    out.push(b'}');
    out
}

fn endpoint(service: &str) -> Option<Endpoint> {
    match service {
        "VARZ" => Some(Endpoint::Varz),
        "SUBSZ" => Some(Endpoint::Subsz),
        "CONNZ" => Some(Endpoint::Connz),
        "ROUTEZ" => Some(Endpoint::Routez),
        "GATEWAYZ" => Some(Endpoint::Gatewayz),
        "LEAFZ" => Some(Endpoint::Leafz),
        "ACCOUNTZ" => Some(Endpoint::Accountz),
        "JSZ" => Some(Endpoint::Jsz),
        "HEALTHZ" => Some(Endpoint::Healthz),
        "EXPVARZ" => Some(Endpoint::Expvarz),
        "IPQUEUESZ" => Some(Endpoint::IpQueuesz),
        "RAFTZ" => Some(Endpoint::Raftz),
        _ => None,
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ProfilezOptions {
    name: String,
    duration: i64,
}

#[derive(Debug, Serialize)]
struct Profilez {
    profile: Option<String>,
    error: String,
}

fn options(body: &[u8]) -> Result<ProfilezOptions, RequestError> {
    if body.is_empty() {
        return Ok(ProfilezOptions::default());
    }
    Ok(serde_json::from_slice(body)?)
}

fn profile(asked: &ProfilezOptions, source: &dyn Source) -> Vec<u8> {
    let failed = |error: String| Profilez { profile: None, error };
    let document = match asked.name.as_str() {
        "" => failed("Profile name not specified".into()),
        "cpu" if !(1..=PROFILE_NS_MAX).contains(&asked.duration) => {
            let shown = std::time::Duration::from_nanos(asked.duration.unsigned_abs());
            let sign = if asked.duration < 0 { "-" } else { "" };
            failed(format!(
                "Duration {sign}{} should be between 0s and 15s",
                go_text::duration(shown)
            ))
        }
        "cpu" => failed(format!("Failed to start CPU profile: {}", crate::profiling::NO_SAMPLER)),
        "goroutine" | "threadcreate" => Profilez {
            profile: Some(BASE64.encode(source.stacks().as_bytes())),
            error: String::new(),
        },
        other => failed(format!("Profile {} not found", go_text::quote(other.as_bytes()))),
    };
    json::compact(&document)
}
