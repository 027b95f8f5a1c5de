//! URLs of other servers, as far as a configuration needs them.
//!
//! Laws: refuses what Go's `net/url` refuses, keeps what it keeps; credentials never appear in
//!       `redacted`.
//! Reference: net/url Parse; opts.go parseURL, parseURLs.

use super::reader::{Reader, quote};
use crate::lang::Token;

/// A URL taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Url {
    /// Scheme, lower case; empty if there is none.
    pub scheme: String,
    /// User, percent-decoded.
    pub user: Option<String>,
    /// Password, percent-decoded.
    pub password: Option<String>,
    /// `host` or `host:port`.
    pub host: String,
    /// Path, query and fragment, as written.
    pub path: String,
}

impl Url {
    /// The port, if written.
    pub fn port(&self) -> Option<&str> {
        let behind_v6 = self.host.rfind(']').map_or(0, |at| at + 1);
        let rest = self.host.get(behind_v6..).unwrap_or_default();
        rest.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.is_empty())
    }

    /// The host without port and brackets.
    pub fn hostname(&self) -> &str {
        let host = match self.host.rfind(']') {
            Some(at) => self.host.get(..=at).unwrap_or_default(),
            None => self.host.rsplit_once(':').map_or(self.host.as_str(), |(host, _)| host),
        };
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Whether this is `ws://` or `wss://`.
    pub fn is_websocket(&self) -> bool {
        self.scheme == "ws" || self.scheme == "wss"
    }

    /// The URL without credentials, for messages.
    pub fn redacted(&self) -> String {
        let scheme =
            if self.scheme.is_empty() { String::new() } else { format!("{}:", self.scheme) };
        let user = match (&self.user, &self.password) {
            (None, _) => String::new(),
            (Some(user), None) => format!("{user}@"),
            (Some(user), Some(_)) => format!("{user}:xxxxx@"),
        };
        let slashes = if self.host.is_empty() && user.is_empty() { "" } else { "//" };
        format!("{scheme}{slashes}{user}{}{}", self.host, self.path)
    }
}

/// Parses a URL; `None` where Go's parser fails.
pub fn parse(text: &str) -> Option<Url> {
    if text.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return None;
    }
    let (scheme, rest) = split_scheme(text)?;
    let mut url = Url { scheme: scheme.to_ascii_lowercase(), ..Url::default() };
    let (before_fragment, fragment) =
        rest.split_once('#').map_or((rest, None), |(a, b)| (a, Some(b)));
    if fragment.is_some_and(|f| !percent_ok(f)) {
        return None;
    }
    let body = before_fragment.split_once('?').map_or(before_fragment, |(a, _)| a);
    let Some(behind) =
        body.strip_prefix("//").filter(|_| !body.starts_with("///") || !scheme.is_empty())
    else {
        return opaque(url, rest, body);
    };
    let end = behind.find('/').unwrap_or(behind.len());
    let (authority, path) = behind.split_at(end);
    if !percent_ok(path) {
        return None;
    }
    let start = rest.len() - rest.strip_prefix("//").map_or(0, str::len) + end;
    url.path = rest.get(start..).unwrap_or_default().into();
    authority_into(&mut url, authority)?;
    Some(url)
}

fn opaque(mut url: Url, rest: &str, body: &str) -> Option<Url> {
    let rooted = body.starts_with('/');
    if !rooted && url.scheme.is_empty() {
        let first = body.split('/').next().unwrap_or_default();
        if first.contains(':') {
            return None;
        }
    }
    if (rooted || url.scheme.is_empty()) && !percent_ok(body) {
        return None;
    }
    url.path = rest.into();
    Some(url)
}

fn split_scheme(text: &str) -> Option<(&str, &str)> {
    for (i, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if i > 0 => {}
            ':' if i == 0 => return None,
            ':' => return Some((text.get(..i)?, text.get(i + 1..)?)),
            _ => break,
        }
    }
    Some(("", text))
}

fn authority_into(url: &mut Url, authority: &str) -> Option<()> {
    let host = match authority.rsplit_once('@') {
        Some((userinfo, host)) => {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&b);
            if !userinfo.bytes().all(allowed) {
                return None;
            }
            match userinfo.split_once(':') {
                Some((user, password)) => {
                    url.user = Some(decode(user)?);
                    url.password = Some(decode(password)?);
                }
                None => url.user = Some(decode(userinfo)?),
            }
            host
        }
        None => authority,
    };
    let port = if host.starts_with('[') {
        let end = host.rfind(']')?;
        host.get(end + 1..)?
    } else {
        if let Some((_, after)) = host.split_once('[') {
            let _ = after;
            return None;
        }
        host.rfind(':').and_then(|at| host.get(at..)).unwrap_or_default()
    };
    let port_ok = port.is_empty()
        || port.strip_prefix(':').is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit()));
    let bytes_ok = host
        .bytes()
        .all(|b| b >= 0x80 || b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]<>\"%".contains(&b));
    if !port_ok || !bytes_ok || host.contains('%') && !host.starts_with('[') && !host_escapes(host)
    {
        return None;
    }
    url.host = host.into();
    Some(())
}

/// In a host only bytes outside ASCII may be escaped.
fn host_escapes(host: &str) -> bool {
    percent_ok(host)
        && host.match_indices('%').all(|(at, _)| {
            matches!(host.as_bytes().get(at + 1), Some(b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F'))
        })
}

fn percent_ok(text: &str) -> bool {
    text.match_indices('%').all(|(at, _)| {
        text.as_bytes()
            .get(at + 1..at + 3)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

fn decode(text: &str) -> Option<String> {
    if !percent_ok(text) {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// A URL of kind `kind` (`route`, `gateway`, …), or its error text.
pub(crate) fn of_kind(text: &str, kind: &str) -> Result<Url, String> {
    let text = text.trim();
    parse(text).ok_or_else(|| format!("error parsing {kind} url [{}]", quote(text)))
}

/// An array of URLs; one written twice is kept once, with a warning (CONF-023).
pub(crate) fn list(reader: &mut Reader<'_>, token: &Token, kind: &str) -> Option<Vec<Url>> {
    let items = reader.array(token)?;
    let mut seen = Vec::new();
    let mut urls = Vec::new();
    let before = reader.found.errors.len();
    for item in items {
        let Some(text) = reader.string(item) else { continue };
        if seen.contains(&text) {
            reader.warn_use(item, &text, &format!("Duplicate {kind} entry detected"));
            continue;
        }
        match of_kind(&text, kind) {
            Ok(url) => urls.push(url),
            Err(error) => reader.error(item, error),
        }
        seen.push(text);
    }
    (reader.found.errors.len() == before).then_some(urls)
}
