//! Text as Go prints it, where that text is part of the observable contract: durations, uptimes,
//! JSON string escaping, quoted strings.

use std::fmt::Write;
use std::time::Duration;

/// A duration as Go's `Duration.String` prints it: `415µs`, `1.5s`, `1h2m3s`, `0s`.
pub fn duration(d: Duration) -> String {
    let ns = d.as_nanos();
    if ns == 0 {
        return "0s".into();
    }
    if ns < 1_000 {
        return format!("{ns}ns");
    }
    if ns < 1_000_000 {
        return with_fraction(ns, 1_000, "µs");
    }
    if ns < 1_000_000_000 {
        return with_fraction(ns, 1_000_000, "ms");
    }
    let secs = ns / 1_000_000_000;
    let mut text = String::new();
    let (hours, minutes) = (secs / 3600, secs / 60 % 60);
    if hours > 0 {
        let _ = write!(text, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        let _ = write!(text, "{minutes}m");
    }
    text.push_str(&with_fraction(ns % 60_000_000_000, 1_000_000_000, "s"));
    text
}

fn with_fraction(value: u128, unit: u128, suffix: &str) -> String {
    let whole = value / unit;
    let rest = value % unit;
    if rest == 0 {
        return format!("{whole}{suffix}");
    }
    let width = unit.ilog10() as usize;
    let fraction = format!("{rest:0width$}");
    format!("{whole}.{}{suffix}", fraction.trim_end_matches('0'))
}

/// An uptime or idle time as the monitoring endpoints print it: `33s`, `4m5s`, `3h4m5s`,
/// `1d2h3m4s`, `1y2d3h4m5s` (a year is 365 days).
pub fn uptime(d: Duration) -> String {
    let secs = d.as_secs();
    let (minutes, hours, days, years) = (secs / 60, secs / 3600, secs / 86_400, secs / 31_536_000);
    let (s, m, h) = (secs % 60, minutes % 60, hours % 24);
    if years > 0 {
        format!("{years}y{}d{h}h{m}m{s}s", days % 365)
    } else if days > 0 {
        format!("{days}d{h}h{m}m{s}s")
    } else if hours > 0 {
        format!("{hours}h{m}m{s}s")
    } else if minutes > 0 {
        format!("{minutes}m{s}s")
    } else {
        format!("{s}s")
    }
}

/// Rewrites serialised JSON the way Go's encoder writes it by default: `<`, `>`, `&`, U+2028 and
/// U+2029 become `\u003c` and so on. They can only occur inside strings, so a plain replacement
/// over the serialised text is exact.
pub fn escape_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    out
}

/// A byte string as Go's `%q` prints it.
pub fn quote(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\x07' => out.push_str("\\a"),
                '\x08' => out.push_str("\\b"),
                '\x0c' => out.push_str("\\f"),
                '\x0b' => out.push_str("\\v"),
                c if (c as u32) < 0x20 || c == '\x7f' => {
                    let _ = write!(out, "\\x{:02x}", c as u32);
                }
                c => out.push(c),
            }
        }
        for b in chunk.invalid() {
            let _ = write!(out, "\\x{b:02x}");
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_as_go_prints_them() {
        let cases = [
            (0, "0s"),
            (999, "999ns"),
            (415_000, "415µs"),
            (1_500, "1.5µs"),
            (2_250_000, "2.25ms"),
            (1_000_000_000, "1s"),
            (61_500_000_000, "1m1.5s"),
            (3_600_000_000_000, "1h0m0s"),
        ];
        for (ns, text) in cases {
            assert_eq!(duration(Duration::from_nanos(ns)), text);
        }
    }

    #[test]
    fn uptimes_use_their_own_form() {
        assert_eq!(uptime(Duration::from_secs(33)), "33s");
        assert_eq!(uptime(Duration::from_secs(245)), "4m5s");
        assert_eq!(uptime(Duration::from_secs(93_784)), "1d2h3m4s");
        assert_eq!(uptime(Duration::from_secs(31_536_000 + 93_784)), "1y1d2h3m4s");
    }

    #[test]
    fn json_is_escaped_for_html() {
        assert_eq!(escape_json(r#"{"s":"$SYS.>&<"}"#), r#"{"s":"$SYS.\u003e\u0026\u003c"}"#);
    }

    #[test]
    fn quotes_as_go_does() {
        assert_eq!(quote(b"FOO\r\n\x00\xff"), "\"FOO\\r\\n\\x00\\xff\"");
    }
}
