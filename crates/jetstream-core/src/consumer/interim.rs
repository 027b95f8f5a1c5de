//! Interim.

use jetstream_api::Nanos;

#[derive(Debug, Default)]
pub(super) struct PriorityGroup {
    pub(super) group: String,
    pub(super) min_pending: i64,
    pub(super) min_ack_pending: i64,
    pub(super) id: String,
    pub(super) priority: i64,
}

#[derive(Debug, Default)]
pub(super) struct PullRequest {
    pub(super) expires: Nanos,
    pub(super) batch: i64,
    pub(super) max_bytes: i64,
    pub(super) no_wait: bool,
    pub(super) heartbeat: Nanos,
    pub(super) group: Option<PriorityGroup>,
}

fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let at = text.find(&format!("\"{key}\":"))? + key.len() + 3;
    let rest = text[at..].trim_start();
    if let Some(q) = rest.strip_prefix('"') {
        return q.split('"').next();
    }
    rest.split([',', '}']).next().map(str::trim)
}

impl PullRequest {
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(body).unwrap_or("").trim();
        if !text.starts_with('{') {
            let batch = text.parse().unwrap_or(1);
            return Ok(Self { batch, ..Self::default() });
        }
        let n = |k| field(text, k).and_then(|v| v.parse().ok()).unwrap_or(0);
        let s = |k| field(text, k).unwrap_or("").to_owned();
        let this = Self {
            expires: Nanos(n("expires")),
            batch: n("batch"),
            max_bytes: n("max_bytes"),
            no_wait: field(text, "no_wait") == Some("true"),
            heartbeat: Nanos(n("idle_heartbeat")),
            group: Some(PriorityGroup {
                group: s("group"),
                min_pending: n("min_pending"),
                min_ack_pending: n("min_ack_pending"),
                id: s("id"),
                priority: n("priority"),
            }),
        };
        if this.heartbeat.0 > 0 && this.heartbeat.0 * 2 > this.expires.0 {
            return Err("heartbeat value too large".into());
        }
        Ok(this)
    }
}

pub(super) enum NakDelay<'a> {
    None,
    Bad(&'a [u8]),
    After(Nanos),
}

pub(super) enum Ack<'a> {
    Ack,
    Next(&'a [u8]),
    Nak(NakDelay<'a>),
    Progress,
    Term(&'a str),
}

impl<'a> Ack<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        Some(match body {
            b"" | b"+ACK" | b"+OK" => Self::Ack,
            b"+WPI" => Self::Progress,
            _ => {
                if let Some(rest) = body.strip_prefix(b"+NXT") {
                    Self::Next(rest)
                } else if let Some(rest) = body.strip_prefix(b"-NAK") {
                    let arg = rest.trim_ascii();
                    let text = std::str::from_utf8(arg).ok()?;
                    Self::Nak(if arg.is_empty() {
                        NakDelay::None
                    } else if arg.starts_with(b"{") {
                        NakDelay::After(Nanos(field(text, "delay")?.parse().ok()?))
                    } else {
                        NakDelay::Bad(arg)
                    })
                } else {
                    Self::Term(std::str::from_utf8(body.strip_prefix(b"+TERM")?).ok()?.trim())
                }
            }
        })
    }
}
