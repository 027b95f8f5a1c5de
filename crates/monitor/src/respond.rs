//! One HTTP request in, one HTTP response out.
//!
//! Not here: sockets, request parsing, chunking (`net::http`).
//! Laws: the method does not matter (Compat MON-027; HEAD is the listener's business); an unknown
//! path is 404; only JSON answers carry the cross-origin header.
//! Reference: server.go startMonitoring, normalizeBasePath; monitor.go ResponseHandler.

use serde::Serialize;
use stdx::time::Now;

use crate::counts::Endpoint;
use crate::documents::account::{account_statz, accountz};
use crate::documents::connz::{ConnzOptions, connz};
use crate::documents::gatewayz::{GatewayzOptions, gatewayz};
use crate::documents::healthz::{HealthzOptions, healthz};
use crate::documents::jsz::{JszOptions, jsz};
use crate::documents::leafz::{LeafzOptions, leafz};
use crate::documents::metrics;
use crate::documents::queuez::{QueuezOptions, queuez};
use crate::documents::routez::{RoutezOptions, routez};
use crate::documents::subsz::{SubszOptions, subsz};
use crate::documents::varz::varz;
use crate::documents::{expvar, root};
use crate::error::Error;
use crate::json;
use crate::query::{Query, unescape};
use crate::source::Source;

const JSON: &str = "application/json";
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
pub(crate) const HTML: &str = "text/html; charset=utf-8";

/// What to send back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body; a HEAD request gets its length only.
    pub body: Vec<u8>,
}

impl Response {
    pub(crate) fn plain(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type, headers: Vec::new(), body: body.into() }
    }

    fn json(status: u16, body: Vec<u8>) -> Self {
        let headers = vec![("Access-Control-Allow-Origin", "*".to_owned())];
        Self { status, content_type: JSON, headers, body }
    }

    fn indented<T: Serialize>(document: &T) -> Self {
        Self::json(200, json::indented(document, b"  "))
    }

    pub(crate) fn not_found() -> Self {
        let mut response = Self::plain(404, TEXT, "404 page not found\n");
        response.headers.push(("X-Content-Type-Options", "nosniff".to_owned()));
        response
    }

    pub(crate) fn redirect(to: &str) -> Self {
        let link = json::html(to);
        let body = format!("<a href=\"{link}\">Temporary Redirect</a>.\n\n");
        let mut response = Self::plain(307, HTML, body);
        response.headers.push(("Location", to.to_owned()));
        response
    }
}

impl From<Error> for Response {
    fn from(refusal: Error) -> Self {
        Self::plain(400, TEXT, refusal.to_string())
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Undecoded, without the query.
    pub path: &'a str,
    /// Without `?`.
    pub query: &'a str,
    /// The `Accept` header; empty without one.
    pub accept: &'a str,
}

/// As [`respond`], for one who says what it understands: that matters to `/metrics` only.
pub fn respond_to(asked: Asked<'_>, source: &dyn Source, base_path: &str, now: Now) -> Response {
    let mut response = respond(asked.path, asked.query, source, base_path, now);
    if response.content_type == metrics::CONTENT_TYPE && metrics::wants_plain(asked.accept) {
        response = Response::plain(200, metrics::PLAIN_TYPE, metrics::plain(source));
    }
    response
}

/// Answers a request for `path` (undecoded, without the query) with `query` (without `?`).
/// `base_path` is `http_base_path` as configured.
pub fn respond(
    path: &str,
    query: &str,
    source: &dyn Source,
    base_path: &str,
    now: Now,
) -> Response {
    const PLAIN: &[u8] = b"-_.~/$&+,:;=@!*'()";
    let Some(decoded) = unescape(path, false) else {
        return Response::plain(400, TEXT, "400 Bad Request");
    };
    let Ok(decoded) = String::from_utf8(decoded) else { return Response::not_found() };
    // Compat(MON-001): what was escaped is no `.`, `..` or slash of the path.
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || PLAIN.contains(&b) || b"[]%".contains(&b);
    let escaped =
        if path.bytes().all(is_plain) { path.to_owned() } else { escape(&decoded, PLAIN) };
    let mut clean = clean(&escaped);
    // A trailing slash is significant: it leads nowhere.
    if escaped.ends_with('/') && clean != "/" {
        clean.push('/');
    }
    if clean != escaped {
        let mut to = escape(&clean, PLAIN);
        if !query.is_empty() {
            to.push('?');
            to.push_str(&escape(query, b"-_.~/$&+,:;=@!*'()%?[]{}|^\"`\\"));
        }
        return Response::redirect(&to);
    }
    if decoded.matches('/').count() != escaped.matches('/').count() {
        return Response::not_found();
    }
    let path = decoded;
    let base = normalize_base(base_path);
    if source.metrics_enabled() && path.strip_prefix(base.trim_end_matches('/')) == Some("/metrics")
    {
        return Response::plain(200, metrics::CONTENT_TYPE, metrics::page(source));
    }
    let Some(endpoint) = endpoint(&path, &base) else { return Response::not_found() };
    answer(endpoint, &Query::parse(query), source, &base, now).unwrap_or_else(Response::from)
}

/// Which endpoint `path` means below `base`.
fn endpoint(path: &str, base: &str) -> Option<Endpoint> {
    if path == base {
        return Some(Endpoint::Root);
    }
    let below = path.strip_prefix(base.trim_end_matches('/'))?;
    Endpoint::at(below).filter(|endpoint| *endpoint != Endpoint::Root)
}

fn answer(
    endpoint: Endpoint,
    query: &Query,
    source: &dyn Source,
    base: &str,
    now: Now,
) -> Result<Response, Error> {
    let count = || source.request_counts().add(endpoint);
    let response = match endpoint {
        Endpoint::Root => {
            count();
            Response::plain(200, HTML, root::page(base, &source.varz().version))
        }
        Endpoint::Varz => {
            count();
            Response::indented(&varz(source, now))
        }
        Endpoint::Connz => {
            // Compat(MON-006): here and for routes, refused parameters are not counted.
            let options = ConnzOptions::from_query(query)?;
            count();
            Response::indented(&connz(&options, source, now)?)
        }
        Endpoint::Routez => {
            let options = RoutezOptions::from_query(query)?;
            count();
            Response::indented(&routez(options, source, now))
        }
        Endpoint::Gatewayz => {
            count();
            Response::indented(&gatewayz(&GatewayzOptions::from_query(query)?, source, now))
        }
        Endpoint::Leafz => {
            count();
            Response::indented(&leafz(&LeafzOptions::from_query(query)?, source, now))
        }
        Endpoint::Subsz => {
            count();
            Response::indented(&subsz(&SubszOptions::from_query(query)?, source, now)?)
        }
        Endpoint::Accountz => {
            count();
            Response::indented(&accountz(&query.text("acc"), source, now)?)
        }
        Endpoint::AccountStatz => {
            count();
            Response::indented(&account_statz(&[], query.bool("unused")?, source, now))
        }
        Endpoint::Jsz => {
            count();
            Response::indented(&jsz(&JszOptions::from_query(query)?, source, now)?)
        }
        Endpoint::Healthz => {
            count();
            health(&HealthzOptions::from_query(query)?, source)
        }
        // Compat(MON-018): free text under the JSON content type.
        Endpoint::Stacksz => Response::json(200, source.stacks().into_bytes()),
        Endpoint::IpQueuesz => {
            let document = queuez(&QueuezOptions::from_query(query)?, source);
            Response::json(200, json::indented(&document, b"   "))
        }
        Endpoint::Raftz => Response::plain(404, TEXT, "No Raft nodes registered"),
        Endpoint::Expvarz => {
            Response::plain(200, "application/json; charset=utf-8", expvar::body(source))
        }
    };
    Ok(response)
}

fn health(options: &HealthzOptions, source: &dyn Source) -> Response {
    if options.js_enabled {
        stdx::warning!(
            source.log(),
            "Healthcheck: js-enabled deprecated, use js-enabled-only instead"
        );
    }
    let mut document = healthz(options, source);
    if let Some(complaint) = document.complaint() {
        stdx::warning!(source.log(), "{complaint}");
    }
    let status = std::mem::take(&mut document.status_code);
    Response::json(status, json::compact(&document))
}

/// A base path as requests see it: one leading slash, no trailing one, no `.` or `..`.
fn normalize_base(configured: &str) -> String {
    clean(configured)
}

/// The shortest path that names the same place, as Go's `path.Clean` of a rooted path.
fn clean(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            name => kept.push(name),
        }
    }
    format!("/{}", kept.join("/"))
}

/// Text fit for a `Location` header: letters, digits and `plain`, the rest percent-encoded, so
/// neither a line break nor a byte outside ASCII gets in.
fn escape(text: &str, plain: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
