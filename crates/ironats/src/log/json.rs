//! One log line as a JSON object, for programs that read logs (`log_format: json`).
//!
//! Wire: `{"time":…,"level":…,"pid":…,"peer":…,"cid":…,"msg":…}` and LF. `time` is UTC in RFC 3339
//! with nanoseconds, left out with `logtime: false`; `peer` and `cid` stand only where the line is
//! about a connection, and are not repeated in `msg`.
//! Laws: a line is one object whatever its text holds; names and order never change.

use serde::Serialize;
use stdx::log::Level;

use super::line::Line;

#[derive(Serialize)]
struct Object<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    level: &'static str,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cid: Option<u64>,
    msg: &'a str,
}

/// Appends the object of a line, and LF.
pub(super) fn append(out: &mut Vec<u8>, pid: u32, time: bool, line: &Line) {
    let text = line.text.trim_end_matches(['\r', '\n']);
    let about = connection(text);
    let object = Object {
        time: time.then(|| line.at.rfc3339()),
        level: level(line.level),
        pid,
        peer: about.map(|about| about.0),
        cid: about.map(|about| about.1),
        msg: about.map_or(text, |about| about.2),
    };
    // Text and numbers always become JSON, and writing to memory cannot fail.
    let _ = serde_json::to_writer(&mut *out, &object);
    out.push(b'\n');
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Fatal => "fatal",
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Notice => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// Whom a line is about: `address - cid:7 - text`.
fn connection(text: &str) -> Option<(&str, u64, &str)> {
    let (peer, rest) = text.split_once(" - cid:")?;
    let (cid, rest) = rest.split_once(" - ")?;
    let plain = !peer.is_empty() && !peer.contains(' ');
    Some((peer, cid.parse().ok().filter(|_| plain)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stdx::time::Timestamp;

    fn shown(level: Level, time: bool, text: &str) -> String {
        let mut out = Vec::new();
        let line = Line { level, at: Timestamp(1_795_248_000_123_456_789), text: text.into() };
        append(&mut out, 7, time, &line);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_is_one_object() {
        assert_eq!(
            shown(Level::Notice, true, "Server is ready"),
            "{\"time\":\"2026-11-21T08:00:00.123456789Z\",\"level\":\"info\",\"pid\":7,\
             \"msg\":\"Server is ready\"}\n"
        );
        for (kind, name) in [
            (Level::Fatal, "fatal"),
            (Level::Error, "error"),
            (Level::Warn, "warn"),
            (Level::Debug, "debug"),
            (Level::Trace, "trace"),
        ] {
            let want = format!("{{\"level\":\"{name}\",\"pid\":7,\"msg\":\"a\"}}\n");
            assert_eq!(shown(kind, false, "a\r\n"), want);
        }
    }

    #[test]
    fn a_connection_has_its_own_fields() {
        assert_eq!(
            shown(Level::Error, false, "127.0.0.1:4222 - cid:12 - authentication error"),
            "{\"level\":\"error\",\"pid\":7,\"peer\":\"127.0.0.1:4222\",\"cid\":12,\
             \"msg\":\"authentication error\"}\n"
        );
        for text in ["a b - cid:1 - c", "a - cid:x - c", "a - cid:1", " - cid:1 - c"] {
            let want = format!("{{\"level\":\"warn\",\"pid\":7,\"msg\":\"{text}\"}}\n");
            assert_eq!(shown(Level::Warn, false, text), want);
        }
    }

    #[test]
    fn nothing_breaks_out_of_a_line() {
        let text = "a\nb\"c\\d\u{1}\u{2028}\"}\r\n{\"level\":\"fatal\"}";
        let out = shown(Level::Trace, false, text);
        assert_eq!(out.matches('\n').count(), 1);
        let read: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(read["msg"], text);
        assert_eq!(read["level"], "trace");
    }
}
