//! Protocol lines for the log (`-V`).
//!
//! Law: secrets of a CONNECT never reach the log (CORE-026).
//! Reference: client.go traceMsgInternal, traceInOp.   Contract: CORE-026, CORE-062, LOG-006, LOG-007.

use super::Session;
use crate::account::SYSTEM;
use crate::settings::Settings;
use crate::worker::Worker;
use wire::parser::{Frame, Publish};

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

impl Session {
    fn is_traced(&self) -> bool {
        self.settings.trace_verbose || self.account.name != SYSTEM
    }

    #[cold]
    pub(super) fn trace_frame(&self, frame: &Frame<'_>, worker: &Worker) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let line = match frame {
            Frame::Publish(_) | Frame::Ignored => return,
            Frame::Subscribe { subject, queue: None, sid } => {
                format!("SUB {} {}", text(subject), text(sid))
            }
            Frame::Subscribe { subject, queue: Some(queue), sid } => {
                format!("SUB {} {} {}", text(subject), text(queue), text(sid))
            }
            Frame::Unsubscribe { sid, max: None } => format!("UNSUB {}", text(sid)),
            Frame::Unsubscribe { sid, max: Some(max) } => format!("UNSUB {} {max}", text(sid)),
            Frame::Connect(json) => format!("CONNECT {}", redacted(&text(json))),
            Frame::Ping => "PING".into(),
            Frame::Pong => "PONG".into(),
            Frame::Error(message) => format!("-ERR {}", text(message)),
        };
        if self.is_traced() {
            stdx::trace!(worker.broker.log, "{} - <<- [{line}]", self.conn.label());
        }
    }

    #[cold]
    pub(super) fn trace_publish(&self, p: &Publish<'_>, subject: &[u8], worker: &Worker) {
        if !self.is_traced() {
            return;
        }
        let verb = if p.header_len.is_some() { "HPUB" } else { "PUB" };
        let mut line = format!("{verb} {}", String::from_utf8_lossy(p.subject));
        if let Some(reply) = p.reply {
            line.push(' ');
            line.push_str(&String::from_utf8_lossy(reply));
        }
        if let Some(header_len) = p.header_len {
            line.push_str(&format!(" {header_len}"));
        }
        let label = self.conn.label();
        stdx::trace!(worker.broker.log, "{label} - <<- [{line} {}]", p.body.len());
        if let Some(payload) = payload(&self.settings, p.body, p.header_len.map(|n| n as usize)) {
            stdx::trace!(worker.broker.log, "{label} - <<- MSG_PAYLOAD: [{payload}]");
        }
        if subject != p.subject {
            let text = String::from_utf8_lossy;
            let (from, to) = (text(p.subject), text(subject));
            stdx::trace!(worker.broker.log, "{label} - <<- [MAPPING {from} -> {to}]");
        }
    }

    #[cold]
    pub(super) fn trace_out(&self, line: &str, worker: &Worker) {
        self.trace_line("->>", line, worker);
    }

    #[cold]
    pub(super) fn trace_line(&self, way: &str, line: &str, worker: &Worker) {
        if self.is_traced() {
            stdx::trace!(worker.broker.log, "{} - {way} [{line}]", self.conn.label());
        }
    }
}

/// A CONNECT document with the values of its secrets replaced.
fn redacted(json: &str) -> String {
    let Ok(serde_json::Value::Object(mut object)) = serde_json::from_str(json) else {
        // What cannot be read cannot be redacted.
        return "[REDACTED]".into();
    };
    for (key, value) in object.iter_mut() {
        let key = key.to_ascii_lowercase();
        if SECRETS.contains(&key.as_str()) || key.starts_with("pass") {
            *value = "[REDACTED]".into();
        }
    }
    serde_json::Value::Object(object).to_string()
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
