//! Responses, from facts to bytes. Pure.
//!
//! Laws: every response has a length, so it can be followed by another; a header value cannot
//!       break out of its line.

use std::fmt::Write;

use stdx::time::Timestamp;

use super::head::Refusal;

/// What a handler answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status, 200 to 599.
    pub status: u16,
    /// `Content-Type`; none is sent if empty.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// How the connection goes on after the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Close,
    KeepAlive,
}

/// The bytes before the body.
pub(super) fn head(response: &Response, is_1_0: bool, next: Next, now: Timestamp) -> Vec<u8> {
    let version = if is_1_0 { "HTTP/1.0" } else { "HTTP/1.1" };
    let mut text = format!("{version} {} {}\r\n", response.status, reason(response.status));
    if !response.content_type.is_empty() {
        line(&mut text, "Content-Type", response.content_type);
    }
    for (name, value) in &response.headers {
        line(&mut text, name, value);
    }
    line(&mut text, "Date", &date(now));
    line(&mut text, "Content-Length", &response.body.len().to_string());
    match (is_1_0, next) {
        (false, Next::Close) => line(&mut text, "Connection", "close"),
        (true, Next::KeepAlive) => line(&mut text, "Connection", "keep-alive"),
        (false, Next::KeepAlive) | (true, Next::Close) => {}
    }
    text.push_str("\r\n");
    text.into_bytes()
}

fn line(text: &mut String, name: &str, value: &str) {
    let value = value.replace(['\r', '\n'], " ");
    let _ = write!(text, "{name}: {value}\r\n");
}

/// The whole answer to a head that was refused.
pub(super) fn refusal(why: Refusal) -> Vec<u8> {
    let body = why.body();
    format!(
        "HTTP/1.1 {why}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

/// A `Date` header: `Sat, 21 Nov 2026 08:00:00 GMT`.
fn date(now: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let at = now.civil();
    let days = now.0.div_euclid(86_400_000_000_000);
    let pick = |names: &[&'static str], index: i64| {
        usize::try_from(index).ok().and_then(|index| names.get(index).copied()).unwrap_or("")
    };
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        pick(&DAYS, days.rem_euclid(7)),
        at.day,
        pick(&MONTHS, i64::from(at.month) - 1),
        at.year,
        at.hour,
        at.minute,
        at.second
    )
}
