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

/// Why a text is not a URL, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parse {}: {reason}", quote(text))]
pub struct UrlError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Parses a URL, refusing what Go's parser refuses.
pub fn parse(text: &str) -> Result<Url, UrlError> {
    try_parse(text).map_err(|reason| UrlError { text: text.into(), reason })
}

fn try_parse(text: &str) -> Result<Url, String> {
    let (body, fragment) = text.split_once('#').unwrap_or((text, ""));
    if body.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return Err("net/url: invalid control character in URL".into());
    }
    check_escapes(fragment)?;
    let (scheme, rest) = split_scheme(body)?;
    let mut url = Url { scheme: scheme.to_ascii_lowercase(), ..Url::default() };
    let tail = text.get(text.len() - (text.len() - body.len()) - rest.len()..).unwrap_or_default();
    let path = rest.split_once('?').map_or(rest, |(path, _)| path);
    if !path.starts_with('/') {
        if url.scheme.is_empty() {
            if path.split('/').next().unwrap_or_default().contains(':') {
                return Err("first path segment in URL cannot contain colon".into());
            }
            check_escapes(path)?;
        }
        url.path = tail.into();
        return Ok(url);
    }
    let has_authority =
        path.starts_with("//") && (!url.scheme.is_empty() || !path.starts_with("///"));
    if !has_authority {
        check_escapes(path)?;
        url.path = tail.into();
        return Ok(url);
    }
    let behind = path.get(2..).unwrap_or_default();
    let (authority, after) = behind.split_at(behind.find('/').unwrap_or(behind.len()));
    read_authority(&mut url, authority)?;
    check_escapes(after)?;
    url.path = tail.get(2 + authority.len()..).unwrap_or_default().into();
    Ok(url)
}

fn split_scheme(text: &str) -> Result<(&str, &str), String> {
    for (i, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if i > 0 => {}
            ':' if i == 0 => return Err("missing protocol scheme".into()),
            ':' => {
                let (scheme, rest) = text.split_at(i);
                return Ok((scheme, rest.get(1..).unwrap_or_default()));
            }
            _ => break,
        }
    }
    Ok(("", text))
}

fn read_authority(url: &mut Url, authority: &str) -> Result<(), String> {
    let (userinfo, host) = match authority.rsplit_once('@') {
        Some((userinfo, host)) => (Some(userinfo), host),
        None => (None, authority),
    };
    check_host(host)?;
    url.host = host.into();
    if let Some(userinfo) = userinfo {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&b);
        if !userinfo.bytes().all(allowed) {
            return Err("net/url: invalid userinfo".into());
        }
        let (user, password) = match userinfo.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (userinfo, None),
        };
        url.user = Some(decode(user)?);
        url.password = password.map(decode).transpose()?;
    }
    Ok(())
}

fn check_host(host: &str) -> Result<(), String> {
    if host.rfind('[').is_some_and(|at| at > 0) {
        return Err("invalid IP-literal".into());
    }
    let port = match host.strip_prefix('[') {
        Some(_) => {
            let end = host.rfind(']').ok_or("missing ']' in host")?;
            check_literal(host.get(1..end).unwrap_or_default())?;
            host.get(end + 1..).unwrap_or_default()
        }
        None => host.rfind(':').and_then(|at| host.get(at..)).unwrap_or_default(),
    };
    let digits = port.strip_prefix(':');
    if !port.is_empty() && !digits.is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit())) {
        return Err(format!("invalid port {} after host", quote(port)));
    }
    check_escapes(host)?;
    // In a host only bytes outside ASCII may be escaped.
    for (at, _) in host.match_indices('%') {
        let high = host.as_bytes().get(at + 1).copied().unwrap_or_default();
        let escape = host.get(at..at + 3).unwrap_or_default();
        let low = high.is_ascii_digit() && high < b'8';
        if !host.starts_with('[') && low && escape != "%25" {
            return Err(format!("invalid URL escape {}", quote(escape)));
        }
    }
    let allowed = |c: char| {
        !c.is_ascii() || c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:[]<>\"%".contains(c)
    };
    match host.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(format!("invalid character {} in host name", quote(&c.to_string()))),
        None => Ok(()),
    }
}

/// What stands between brackets is an IPv6 address, perhaps with a zone.
fn check_literal(literal: &str) -> Result<(), String> {
    let (address, zone) = match literal.split_once("%25") {
        Some((address, zone)) => (address, Some(zone)),
        None => (literal, None),
    };
    if zone == Some("") || address.parse::<std::net::Ipv6Addr>().is_err() {
        return Err(format!("invalid host: {}", quote(literal)));
    }
    Ok(())
}

fn check_escapes(text: &str) -> Result<(), String> {
    for (at, _) in text.match_indices('%') {
        let escape = text.as_bytes().get(at..(at + 3).min(text.len())).unwrap_or_default();
        if escape.len() < 3 || !escape.iter().skip(1).all(u8::is_ascii_hexdigit) {
            let escape = stdx::go_text::quote(escape);
            return Err(format!("invalid URL escape {escape}"));
        }
    }
    Ok(())
}

fn decode(text: &str) -> Result<String, String> {
    check_escapes(text)?;
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16)).unwrap_or(0);
        out.push(if byte == b'%' { (digit() * 16 + digit()) as u8 } else { byte });
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// A URL of kind `kind` (`route`, `gateway`, …), or its error text.
pub(crate) fn of_kind(text: &str, kind: &str) -> Result<Url, String> {
    let text = text.trim();
    parse(text).map_err(|_| format!("error parsing {kind} url [{}]", quote(text)))
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
