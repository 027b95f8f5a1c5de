//! Durations as the configuration spells them (`1h2m`, `500ms`), sizes with a letter (`10G`).
//!
//! Laws: nanoseconds in 64 bits, like the reference; text that is refused is refused with Go's words.
//! Reference: time.ParseDuration, time.Duration.String, opts.go getStorageSize.   Parity: CONF-019.

use std::fmt;
use std::time::Duration;

/// A length of time in nanoseconds; configurations may spell negative ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub i64);

impl Nanos {
    /// Whole seconds.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.wrapping_mul(1_000_000_000))
    }

    /// Whole milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.wrapping_mul(1_000_000))
    }

    /// Seconds as a float.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The standard type; negative becomes zero.
    pub fn to_std(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        f.write_str(&stdx::go_text::duration(Duration::from_nanos(self.0.unsigned_abs())))
    }
}

/// Why a text is not a duration, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not a duration at all, or out of range.
    #[error("time: invalid duration {0}")]
    Invalid(String),
    /// A number without its unit.
    #[error("time: missing unit in duration {0}")]
    MissingUnit(String),
    /// A unit that does not exist.
    #[error("time: unknown unit {unit} in duration {text}")]
    UnknownUnit {
        /// The unit, quoted.
        unit: String,
        /// The whole text, quoted.
        text: String,
    },
}

/// A duration such as `-1.5h`, `300ms` or `2h45m`.
pub fn duration(text: &str) -> Result<Nanos, DurationError> {
    let quoted = stdx::go_text::quote(text.as_bytes());
    let invalid = || DurationError::Invalid(quoted.clone());
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or_default()),
        Some(b'+') => (false, text.get(1..).unwrap_or_default()),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(Nanos(0));
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(behind) => digits(behind),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        if unit.is_empty() {
            return Err(DurationError::MissingUnit(quoted));
        }
        let Some(scale) = scale(unit) else {
            let unit = stdx::go_text::quote(unit.as_bytes());
            return Err(DurationError::UnknownUnit { unit, text: quoted });
        };
        total = amount(whole, fraction, scale)
            .and_then(|nanos| total.checked_add(nanos))
            .filter(|total| *total <= 1 << 63)
            .ok_or_else(invalid)?;
        rest = after;
    }
    if negative {
        return Ok(Nanos((total as i64).wrapping_neg()));
    }
    i64::try_from(total).map(Nanos).map_err(|_| invalid())
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn scale(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

fn amount(whole: &str, fraction: &str, scale: u64) -> Option<u64> {
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let nanos = whole.checked_mul(scale).filter(|n| *n <= 1 << 63)?;
    // Go stops reading the fraction before it overflows; 18 digits are beyond a nanosecond of any
    // unit.
    let fraction = fraction.get(..fraction.len().min(18)).unwrap_or_default();
    if fraction.is_empty() {
        return Some(nanos);
    }
    let value: f64 = fraction.parse().ok()?;
    let part = value * (scale as f64 / 10f64.powi(fraction.len() as i32));
    nanos.checked_add(part as u64).filter(|n| *n <= 1 << 63)
}
