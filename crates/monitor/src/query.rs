//! The query string of a request, read as Go's `url.ParseQuery` and `strconv` read it.
//!
//! Laws: never fails on the string itself (pairs that cannot be decoded are dropped); the first
//! value of a name wins; an empty value is an absent one.
//! Reference: monitor.go decodeBool, decodeInt, decodeUint64, decodeState, decodeSubs.

use stdx::go_text;

use crate::documents::connz::ConnState;
use crate::error::Error;

/// Decoded `name=value` pairs in the order of the request.
pub(crate) struct Query {
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Query {
    /// Splits and decodes `raw` (the text after `?`).
    pub(crate) fn parse(raw: &str) -> Self {
        let pairs = raw
            .split('&')
            // Go refuses pairs with a semicolon since 1.17, and drops what it refuses.
            .filter(|pair| !pair.is_empty() && !pair.contains(';'))
            .filter_map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Some((unescape(name, true)?, unescape(value, true)?))
            })
            .collect();
        Self { pairs }
    }

    /// The first value of `name`, or an empty string. Bytes that are not UTF-8 are replaced.
    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(self.bytes(name)).into_owned()
    }

    fn bytes(&self, name: &str) -> &[u8] {
        self.pairs
            .iter()
            .find(|(found, _)| found == name.as_bytes())
            .map_or(&[], |(_, value)| value)
    }

    /// Compat(MON-004): the spellings of `strconv.ParseBool`.
    pub(crate) fn bool(&self, name: &'static str) -> Result<bool, Error> {
        match self.bytes(name) {
            b"" | b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => Ok(false),
            b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => Ok(true),
            other => Err(Error::Bool { name, value: go_text::quote(other) }),
        }
    }

    /// A signed number; zero when absent.
    pub(crate) fn int(&self, name: &'static str) -> Result<i64, Error> {
        let value = self.bytes(name);
        if value.is_empty() {
            return Ok(0);
        }
        let digits = value.strip_prefix(b"-").or_else(|| value.strip_prefix(b"+"));
        let fault = |why| Error::Int { name, value: go_text::quote(value), why };
        let digits = digits.unwrap_or(value);
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(fault("invalid syntax"));
        }
        let text = str::from_utf8(value).unwrap_or_default();
        text.parse().map_err(|_| fault("value out of range"))
    }

    /// An unsigned number; zero when absent.
    pub(crate) fn uint64(&self, name: &'static str) -> Result<u64, Error> {
        let value = self.bytes(name);
        if value.is_empty() {
            return Ok(0);
        }
        let fault = |why| Error::Uint64 { name, value: go_text::quote(value), why };
        if !value.iter().all(u8::is_ascii_digit) {
            return Err(fault("invalid syntax"));
        }
        let text = str::from_utf8(value).unwrap_or_default();
        text.parse().map_err(|_| fault("value out of range"))
    }

    /// Which connections to list; open ones when absent.
    pub(crate) fn state(&self) -> Result<ConnState, Error> {
        let value = self.text("state");
        match value.to_lowercase().as_str() {
            "" | "open" => Ok(ConnState::Open),
            "closed" => Ok(ConnState::Closed),
            "any" | "all" => Ok(ConnState::All),
            _ => Err(Error::State(value)),
        }
    }

    /// The `subs` parameter: (names wanted, details wanted).
    pub(crate) fn subs(&self) -> Result<(bool, bool), Error> {
        if self.text("subs").eq_ignore_ascii_case("detail") {
            return Ok((false, true));
        }
        Ok((self.bool("subs")?, false))
    }
}

/// Percent-decodes; `None` if an escape is malformed. `plus_is_space` holds in queries only.
pub(crate) fn unescape(text: &str, plus_is_space: bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'%' => {
                let (pair, after) = tail.split_at_checked(2)?;
                let (high, low) = (hex(*pair.first()?)?, hex(*pair.last()?)?);
                out.push(high << 4 | low);
                rest = after;
            }
            b'+' if plus_is_space => out.push(b' '),
            other => out.push(*other),
        }
    }
    Some(out)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
