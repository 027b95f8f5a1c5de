//! Who asked: the `Nats-Request-Info` header of requests that cross accounts, and the same facts in
//! latency samples.
//!
//! Laws: the header of a crossing request is the server's own: whatever the client sent under that
//!       name, in any case, is gone; everything else in its header block stays byte for byte.
//! Reference: client.go getClientInfo, processServiceImport; events.go ClientInfo.
//! Contract: ACC-014.

use crate::conn::{Conn, Kind};
use serde::Serialize;
use std::time::Duration;
use stdx::time::Timestamp;
use wire::header;
use wire::info::Info;

/// The header's name.
pub(crate) const NAME: &str = "Nats-Request-Info";

/// What may be said of a requester.
#[derive(Clone, Copy, Default)]
pub(crate) struct Identity<'a> {
    /// Its account, where the connection's own record is not to be used.
    pub account: Option<&'a str>,
    /// The account a chained request came through last.
    pub service: Option<&'a str>,
    /// Whether the importer shares who asks.
    pub detailed: bool,
    /// Whether server and cluster are named even if not.
    pub server: bool,
}

/// A client as other accounts get to see it, in the reference's field order.
#[derive(Serialize)]
pub(crate) struct ClientInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    host: String,
    #[serde(skip_serializing_if = "is_zero")]
    id: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    acc: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    svc: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    lang: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    ver: String,
    #[serde(skip_serializing_if = "is_zero")]
    rtt: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    server: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    cluster: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    jwt: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    issuer_key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name_tag: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    client_type: &'static str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde asks for")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// All that may be said of a client to its own account, as JSON.
pub fn client_info(conn: &Conn, info: &Info) -> String {
    let identity = Identity { detailed: true, server: true, ..Identity::default() };
    ClientInfo::of(conn, &identity, info).json()
}

impl ClientInfo {
    /// What `identity` lets be said of `conn`; `info` is what this server says of itself.
    pub(crate) fn of(conn: &Conn, identity: &Identity<'_>, info: &Info) -> Self {
        let facts = conn.facts.lock();
        let rtt = facts.rtt.unwrap_or_default().as_nanos();
        let account = identity.account.unwrap_or(&facts.account).to_owned();
        let mut this = Self {
            start: None,
            host: String::new(),
            id: 0,
            acc: account,
            svc: identity.service.unwrap_or_default().to_owned(),
            user: String::new(),
            name: String::new(),
            lang: String::new(),
            ver: String::new(),
            rtt: u64::try_from(rtt).unwrap_or(u64::MAX),
            server: String::new(),
            cluster: String::new(),
            jwt: String::new(),
            issuer_key: String::new(),
            name_tag: String::new(),
            tags: Vec::new(),
            kind: "",
            client_type: "",
        };
        if identity.detailed {
            let Timestamp(start) = conn.start;
            this.start = Some(Timestamp(start).rfc3339());
            this.host = conn.peer().map_or_else(String::new, |peer| peer.ip().to_string());
            this.id = conn.id;
            facts.who.raw().clone_into(&mut this.user);
            this.name.clone_from(&facts.name);
            this.lang.clone_from(&facts.lang);
            this.ver.clone_from(&facts.version);
            if let Some(token) = &facts.token {
                token.shown_jwt().clone_into(&mut this.jwt);
                token.signer(&facts.account).clone_into(&mut this.issuer_key);
                this.name_tag.clone_from(&token.name);
                this.tags.clone_from(&token.tags);
            }
            this.kind = match conn.kind {
                Kind::Client => "Client",
                Kind::System => "System",
            };
            this.client_type = "nats";
        }
        if identity.detailed || identity.server {
            this.server.clone_from(&info.server_name);
            this.cluster.clone_from(&info.cluster);
        }
        this
    }

    /// The round trip time, zero if unknown.
    pub(crate) fn rtt(&self) -> Duration {
        Duration::from_nanos(self.rtt)
    }

    /// As JSON.
    pub(crate) fn json(&self) -> String {
        stdx::go_text::escape_json(&serde_json::to_string(self).unwrap_or_default())
    }
}

/// Appends the header block `block` (which may be empty) with the server's own request info.
pub(crate) fn stamp(block: &[u8], json: &str, out: &mut Vec<u8>) {
    if block.is_empty() {
        out.extend_from_slice(header::LINE);
    }
    for line in block.strip_suffix(b"\r\n").unwrap_or(block).split_inclusive(|b| *b == b'\n') {
        let name = line.split(|b| *b == b':').next().unwrap_or_default();
        if !(name.len() < line.len() && name.trim_ascii().eq_ignore_ascii_case(NAME.as_bytes())) {
            out.extend_from_slice(line);
        }
    }
    out.extend_from_slice(NAME.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(json.as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: ACC-014
    #[test]
    fn nobody_else_writes_the_header() {
        let cases = [
            ("", "NATS/1.0\r\nNats-Request-Info: {}\r\n\r\n"),
            ("NATS/1.0\r\n\r\n", "NATS/1.0\r\nNats-Request-Info: {}\r\n\r\n"),
            (
                "NATS/1.0 503\r\nX:1\r\nnats-request-info: a\r\nNats-Request-Info:b\r\nY: 2\r\n\r\n",
                "NATS/1.0 503\r\nX:1\r\nY: 2\r\nNats-Request-Info: {}\r\n\r\n",
            ),
            (
                "NATS/1.0\r\nX: Nats-Request-Info: no\r\nNATS-REQUEST-INFO : c\r\n\r\n",
                "NATS/1.0\r\nX: Nats-Request-Info: no\r\nNats-Request-Info: {}\r\n\r\n",
            ),
        ];
        for (block, want) in cases {
            let mut out = Vec::new();
            stamp(block.as_bytes(), "{}", &mut out);
            assert_eq!(String::from_utf8_lossy(&out), want);
        }
    }
}
