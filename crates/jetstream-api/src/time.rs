//! Durations and times as the documents hold them.
//!
//! Laws: a time before 1678 or after 2261 is kept as the nearest one that `Timestamp` can hold;
//! the year 1, Go's zero time, is [`ZERO`].
//! Reference: time.Time `MarshalJSON`, `parseStrictRFC3339`.

use stdx::time::Timestamp;

use crate::json::DecodeError;

/// Nanoseconds, as durations are written in every document; may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub i64);

impl Nanos {
    /// Nothing, which most settings take for "not set".
    pub const ZERO: Self = Self(0);

    /// Whole milliseconds.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }

    /// Whole seconds.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Negative durations count as none.
    pub fn as_duration(self) -> std::time::Duration {
        std::time::Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }
}

impl From<std::time::Duration> for Nanos {
    fn from(d: std::time::Duration) -> Self {
        Self(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// Prints as Go prints a duration: `1h0m0s`, `-5ms`.
impl std::fmt::Display for Nanos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let text = stdx::go_text::duration(std::time::Duration::from_nanos(self.0.unsigned_abs()));
        f.write_str(&text)
    }
}

/// Go's zero time, `0001-01-01T00:00:00Z`.
pub const ZERO: Timestamp = Timestamp(i64::MIN);

/// A time as JSON has it.
pub fn rfc3339(at: Timestamp) -> String {
    if at == ZERO { "0001-01-01T00:00:00Z".to_owned() } else { at.rfc3339() }
}

/// A JSON value that must be a time.
pub(crate) fn unmarshal(raw: &[u8]) -> Result<Timestamp, DecodeError> {
    let text = raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\""));
    let Some(text) = text else {
        return Err(DecodeError::new("Time.UnmarshalJSON: input is not a JSON string"));
    };
    parse(text).map_err(|problem| {
        let whole = stdx::go_text::quote(text);
        DecodeError::new(match problem {
            TimeError::Text { rest, wanted } => format!(
                "parsing time {whole} as \"2006-01-02T15:04:05Z07:00\": cannot parse {} as \"{wanted}\"",
                stdx::go_text::quote(&rest)
            ),
            TimeError::Range { what } => format!("parsing time {whole}: {what} out of range"),
            TimeError::Extra { rest } => {
                format!("parsing time {whole}: extra text: {}", stdx::go_text::quote(&rest))
            }
        })
    })
}

/// Why a text is not a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// An element is missing or malformed.
    #[error("cannot parse {rest:?} as {wanted:?}")]
    Text {
        /// What is left of the text.
        rest: Vec<u8>,
        /// The element, as the layout names it.
        wanted: &'static str,
    },
    /// A number is too great or too small.
    #[error("{what} out of range")]
    Range {
        /// Which.
        what: &'static str,
    },
    /// Something follows the time.
    #[error("extra text: {rest:?}")]
    Extra {
        /// What follows.
        rest: Vec<u8>,
    },
}

/// An RFC 3339 time: an hour of one digit and a comma before the fraction are taken, too.
///
/// # Errors
/// Which element is wrong, and the text from there on.
pub fn parse(text: &[u8]) -> Result<Timestamp, TimeError> {
    let mut cursor = Cursor { rest: text };
    let year = cursor.digits(4, "2006")?;
    cursor.literal(b'-', "-")?;
    let month = cursor.digits(2, "01")?;
    if !(1..=12).contains(&month) {
        return Err(TimeError::Range { what: "month" });
    }
    cursor.literal(b'-', "-")?;
    let day = cursor.digits(2, "02")?;
    cursor.literal(b'T', "T")?;
    let hour = cursor.hour()?;
    cursor.literal(b':', ":")?;
    let minute = cursor.bounded(60, "04", "minute")?;
    cursor.literal(b':', ":")?;
    let second = cursor.bounded(60, "05", "second")?;
    let nanos = cursor.fraction();
    let offset = cursor.zone()?;
    if !cursor.rest.is_empty() {
        return Err(TimeError::Extra { rest: cursor.rest.to_vec() });
    }
    if day < 1 || day > days_in(year, month) {
        return Err(TimeError::Range { what: "day" });
    }
    let secs = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Ok(timestamp(secs - offset, nanos))
}

fn timestamp(secs: i64, nanos: i64) -> Timestamp {
    const YEAR_ONE: i64 = -62_135_596_800;
    if secs == YEAR_ONE && nanos == 0 {
        return ZERO;
    }
    let whole = i128::from(secs) * 1_000_000_000 + i128::from(nanos);
    let held = whole.clamp(i128::from(i64::MIN) + 1, i128::from(i64::MAX));
    Timestamp(i64::try_from(held).unwrap_or(i64::MAX))
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn refuse(&self, wanted: &'static str) -> TimeError {
        TimeError::Text { rest: self.rest.to_vec(), wanted }
    }

    fn digits(&mut self, count: usize, wanted: &'static str) -> Result<i64, TimeError> {
        let Some((digits, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.refuse(wanted));
        };
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(self.refuse(wanted));
        }
        self.rest = rest;
        Ok(digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')))
    }

    fn bounded(
        &mut self,
        below: i64,
        wanted: &'static str,
        what: &'static str,
    ) -> Result<i64, TimeError> {
        let value = self.digits(2, wanted)?;
        if value < below { Ok(value) } else { Err(TimeError::Range { what }) }
    }

    fn hour(&mut self) -> Result<i64, TimeError> {
        let two = self.rest.get(1).is_some_and(u8::is_ascii_digit);
        let hour = self.digits(if two { 2 } else { 1 }, "15")?;
        if hour < 24 { Ok(hour) } else { Err(TimeError::Range { what: "hour" }) }
    }

    fn literal(&mut self, byte: u8, wanted: &'static str) -> Result<(), TimeError> {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                Ok(())
            }
            _ => Err(self.refuse(wanted)),
        }
    }

    fn fraction(&mut self) -> i64 {
        let [b'.' | b',', digits @ ..] = self.rest else { return 0 };
        let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 {
            return 0;
        }
        let mut nanos = 0;
        for at in 0..9 {
            let digit = if at < count { digits.get(at).map_or(0, |d| d - b'0') } else { 0 };
            nanos = nanos * 10 + i64::from(digit);
        }
        self.rest = digits.get(count..).unwrap_or_default();
        nanos
    }

    /// Seconds east of UTC.
    fn zone(&mut self) -> Result<i64, TimeError> {
        if let Some(rest) = self.rest.strip_prefix(b"Z") {
            self.rest = rest;
            return Ok(0);
        }
        let refused = self.refuse("Z07:00");
        let sign = match self.rest.first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(refused),
        };
        if self.rest.get(3) != Some(&b':') || self.rest.len() < 6 {
            return Err(refused);
        }
        let mut inner = Cursor { rest: self.rest.get(1..).unwrap_or_default() };
        let hours = inner.digits(2, "Z07:00").map_err(|_| refused.clone())?;
        inner.literal(b':', "Z07:00").map_err(|_| refused.clone())?;
        let minutes = inner.digits(2, "Z07:00").map_err(|_| refused.clone())?;
        self.rest = inner.rest;
        if hours > 24 {
            return Err(TimeError::Range { what: "time zone offset hour" });
        }
        if minutes > 60 {
            return Err(TimeError::Range { what: "time zone offset minute" });
        }
        Ok(sign * (hours * 3600 + minutes * 60))
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01; Howard Hinnant's public-domain algorithm.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}
