//! Protocol lines for the log (`-V`).
//!
//! Law: secrets of a CONNECT never reach the log (CORE-026).
//! Reference: client.go traceMsgInternal, traceInOp.   Contract: CORE-026, CORE-062, LOG-006, LOG-007.

use super::Session;
use crate::broker::Broker;
use crate::settings::Settings;
use crate::worker::Worker;
use wire::parser::{self, Frame, Publish};

/// CONNECT fields whose values are secrets.
const SECRETS: [&str; 7] = ["pass", "password", "auth_token", "sig", "proxy_sig", "nkey", "jwt"];

/// A payload as the log shows it, quoted; `None` if there is nothing to show.
pub(crate) fn payload(
    settings: &Settings,
    body: &[u8],
    header_len: Option<usize>,
) -> Option<String> {
    let mut body = body;
    if settings.trace_headers {
        body = body.get(..header_len.filter(|n| *n > 0)?)?;
        body = body.strip_suffix(b"\r\n\r\n").unwrap_or(body);
    }
    if body.is_empty() {
        return None;
    }
    let max = settings.max_traced_msg_len;
    match body.get(..max) {
        Some(start) if max > 0 && body.len() > max => {
            let quoted = stdx::go_text::quote(start);
            Some(format!("{}...\"", quoted.strip_suffix('"').unwrap_or(&quoted)))
        }
        _ => Some(stdx::go_text::quote(body)),
    }
}

/// What the server itself publishes in the system account; only for those who asked for more than
/// the traffic of clients (LOG-006).
#[cold]
pub(crate) fn trace_of_the_server(
    broker: &Broker,
    subject: &[u8],
    reply: Option<&[u8]>,
    header: &[u8],
    payload: &[u8],
) {
    let settings = broker.settings();
    if !settings.trace_verbose {
        return;
    }
    let text = String::from_utf8_lossy;
    let (subject, reply) = (text(subject), text(reply.unwrap_or_default()));
    let whole = header.len() + payload.len();
    if header.is_empty() {
        stdx::trace!(broker.log, "SYSTEM - <<- [PUB {subject} {reply} {whole}]");
    } else {
        let header = header.len();
        stdx::trace!(broker.log, "SYSTEM - <<- [HPUB {subject} {reply} {header} {whole}]");
    }
    let body = [header, payload].concat();
    if let Some(shown) = self::payload(&settings, &body, Some(header.len())) {
        stdx::trace!(broker.log, "SYSTEM - <<- MSG_PAYLOAD: [{shown}]");
    }
}

impl Session {
    /// A frame that begins `written`; what the reference does not speak of is passed over.
    #[cold]
    pub(super) fn trace_frame(&self, frame: &Frame<'_>, written: &[u8], worker: &Worker) {
        match frame {
            Frame::Publish(_) | Frame::Info(_) | Frame::Ignored | Frame::Error(_) => {}
            Frame::Subscribe { .. } | Frame::Unsubscribe { .. } => {
                self.trace_written(written, worker);
            }
            Frame::Connect(json) => {
                let json = redacted(&String::from_utf8_lossy(json));
                self.trace_line("<<-", &format!("CONNECT {json}"), worker);
            }
            Frame::Ping => self.trace_line("<<-", "PING", worker),
            Frame::Pong => self.trace_line("<<-", "PONG", worker),
        }
    }

    /// The control line with arguments that begins `written`, as it was written.
    #[cold]
    pub(super) fn trace_written(&self, written: &[u8], worker: &Worker) {
        let Some((verb, args)) = parser::written(written) else { return };
        let verb = match verb.to_ascii_uppercase().as_slice() {
            b"PUB" => "PUB",
            b"HPUB" => "HPUB",
            b"SUB" => "SUB",
            b"UNSUB" => "UNSUB",
            _ => return,
        };
        self.trace_line("<<-", &format!("{verb} {}", String::from_utf8_lossy(args)), worker);
    }

    /// What came of a message's line: its mapping, and its payload.
    #[cold]
    pub(super) fn trace_publish(&self, p: &Publish<'_>, subject: &[u8], worker: &Worker) {
        let label = self.conn.label();
        if subject != p.subject {
            let text = String::from_utf8_lossy;
            let (from, to) = (text(p.subject), text(subject));
            stdx::trace!(worker.broker.log, "{label} - <<- [MAPPING {from} -> {to}]");
        }
        if let Some(payload) = payload(&self.settings, p.body, p.header_len.map(|n| n as usize)) {
            stdx::trace!(worker.broker.log, "{label} - <<- MSG_PAYLOAD: [{payload}]");
        }
    }

    /// The end of a subscription.
    #[cold]
    pub(super) fn trace_unsubscribed(&self, sid: &[u8], worker: &Worker) {
        let sid = String::from_utf8_lossy(sid);
        self.trace_line("<->", &format!("DELSUB {sid}"), worker);
    }

    #[cold]
    pub(super) fn trace_out(&self, line: &str, worker: &Worker) {
        self.trace_line("->>", line, worker);
    }

    #[cold]
    pub(super) fn trace_line(&self, way: &str, line: &str, worker: &Worker) {
        stdx::trace!(worker.broker.log, "{} - {way} [{line}]", self.conn.label());
    }
}

/// A CONNECT document, as written but for the values of its secrets.
fn redacted(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    let mut from = 0;
    let read = wire::json::members(json, |name, value| {
        let name = name.to_ascii_lowercase();
        if SECRETS.contains(&name.as_str()) || name.starts_with("pass") {
            let at = value.as_ptr().addr().wrapping_sub(json.as_ptr().addr());
            shown.push_str(json.get(from..at).unwrap_or_default());
            shown.push_str("\"[REDACTED]\"");
            from = at + value.len();
        }
        Ok::<(), serde_json::Error>(())
    });
    // What cannot be read cannot be redacted.
    if read.is_err() {
        return "[REDACTED]".into();
    }
    shown.push_str(json.get(from..).unwrap_or_default());
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: CORE-026
    #[test]
    fn secrets_are_redacted() {
        let json = r#"{"user":"u","pass":"p","auth_token":"t","Sig":"s","nkey":"k","name":"n"}"#;
        let shown = redacted(json);
        assert_eq!(
            shown,
            r#"{"user":"u","pass":"[REDACTED]","auth_token":"[REDACTED]","Sig":"[REDACTED]","nkey":"[REDACTED]","name":"n"}"#
        );
        assert_eq!(redacted("{\"pass\":\"secret"), "[REDACTED]");
    }

    // Contract: CORE-062
    #[test]
    fn payloads_are_cut_and_headers_shown_alone() {
        let mut settings = Settings { max_traced_msg_len: 3, ..Settings::default() };
        assert_eq!(payload(&settings, b"hello", None).as_deref(), Some("\"hel...\""));
        assert_eq!(payload(&settings, b"hel", None).as_deref(), Some("\"hel\""));
        assert_eq!(payload(&settings, b"", None), None);
        settings.max_traced_msg_len = 0;
        settings.trace_headers = true;
        assert_eq!(payload(&settings, b"hello", None), None);
        let shown = payload(&settings, b"NATS/1.0\r\nA: b\r\n\r\nx", Some(18));
        assert_eq!(shown.as_deref(), Some("\"NATS/1.0\\r\\nA: b\""));
    }
}
