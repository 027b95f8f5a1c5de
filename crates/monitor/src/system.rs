//! Requests to `$SYS.REQ.SERVER.PING.<service>` and `$SYS.REQ.SERVER.<id>.<service>`.
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
use crate::request::{RequestError, request};
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

/// Answers a request for `service` (`VARZ`, `CONNZ`, …) with options `body`. `server` is the JSON
/// object of the answering server, which leads the answer; it is asked for only if there is one.
/// `None`: stay silent.
pub fn answer(
    service: &str,
    body: &[u8],
    server: &mut dyn FnMut() -> String,
    identity: &ServerIdentity<'_>,
    source: &dyn Source,
    now: Now,
) -> Option<Vec<u8>> {
    // Asked before any work is done: one request reaches every server of a super-cluster.
    let filter: Filter = serde_json::from_slice(body).unwrap_or_default();
    if !filter.means(identity) {
        return None;
    }
    let data = match service {
        "PROFILEZ" => options(body).map(|asked| profile(&asked, source)),
        _ => request(endpoint(service)?, body, source, now),
    };
    let code = match &data {
        Ok(_) => 200,
        Err(refusal) => refusal.code()?,
    };
    let mut out = format!("{{\"server\":{}", server()).into_bytes();
    match data {
        Ok(document) => {
            out.extend_from_slice(b",\"data\":");
            out.extend_from_slice(&document);
        }
        Err(refusal) => {
            // Wire: a refusal has an empty document beside it, a bad body has none.
            if !matches!(refusal, RequestError::Body(_)) {
                out.extend_from_slice(b",\"data\":null");
            }
            out.extend_from_slice(b",\"error\":");
            let error = ApiError { code, description: refusal.to_string() };
            out.extend_from_slice(&json::compact(&error));
        }
    }
    out.push(b'}');
    Some(out)
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
