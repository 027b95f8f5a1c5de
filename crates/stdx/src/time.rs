//! The only spelling of time in pure rooms: a `Now` is passed in, never read.
//!
//! Laws: `Now::mono` never goes back; `Timestamp` is nanoseconds since the Unix epoch, UTC.

use std::time::Duration;

/// One instant as a machine sees it: a monotonic reading and the wall clock beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds since an arbitrary start; never goes back.
    pub mono: Mono,
    /// The wall clock.
    pub wall: Timestamp,
}

/// Monotonic nanoseconds since an arbitrary start (process start in production, zero in tests).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

impl Mono {
    /// Time elapsed since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Mono {
    type Output = Self;
    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Nanoseconds since the Unix epoch, UTC. Covers the years 1677 to 2262.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// A civil (proleptic Gregorian, UTC) date and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Year, e.g. 2026.
    pub year: i64,
    /// Month, 1 to 12.
    pub month: u32,
    /// Day of the month, 1 to 31.
    pub day: u32,
    /// Hour, 0 to 23.
    pub hour: u32,
    /// Minute, 0 to 59.
    pub minute: u32,
    /// Second, 0 to 59.
    pub second: u32,
    /// Nanosecond, 0 to 999,999,999.
    pub nanos: u32,
}

impl Timestamp {
    /// The civil date and time in UTC.
    pub fn civil(self) -> Civil {
        let secs = self.0.div_euclid(1_000_000_000);
        let nanos = self.0.rem_euclid(1_000_000_000) as u32;
        let days = secs.div_euclid(86_400);
        let of_day = secs.rem_euclid(86_400) as u32;
        let (year, month, day) = civil_from_days(days);
        Civil {
            year,
            month,
            day,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
            nanos,
        }
    }

    /// RFC 3339 in UTC with trailing zeros of the fraction trimmed, as Go's `RFC3339Nano` prints it.
    pub fn rfc3339(self) -> String {
        let mut text = Vec::with_capacity(30);
        self.put_rfc3339(&mut text);
        // Digits and punctuation only.
        String::from_utf8(text).unwrap_or_default()
    }

    /// Appends what [`Self::rfc3339`] gives.
    pub fn put_rfc3339(self, out: &mut Vec<u8>) {
        let c = self.civil();
        // 64 bits of nanoseconds reach from 1677 to 2262.
        put_digits(out, c.year as u32, 4);
        for (before, number) in [(b'-', c.month), (b'-', c.day), (b'T', c.hour)] {
            out.push(before);
            put_digits(out, number, 2);
        }
        for number in [c.minute, c.second] {
            out.push(b':');
            put_digits(out, number, 2);
        }
        if c.nanos != 0 {
            out.push(b'.');
            put_digits(out, c.nanos, 9);
            while out.last() == Some(&b'0') {
                out.pop();
            }
        }
        out.push(b'Z');
    }
}

/// Appends `number` with leading zeros to `width` digits (at most 9).
fn put_digits(out: &mut Vec<u8>, mut number: u32, width: usize) {
    let mut digits = [b'0'; 9];
    for place in digits.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(digits.get(digits.len() - width..).unwrap_or_default());
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)))
    }
}

/// Days since 1970-01-01 to (year, month, day); Howard Hinnant's public-domain algorithm.
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let month = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_matches_known_instants() {
        assert_eq!(Timestamp(0).rfc3339(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp(1_763_689_995_109_238_000).rfc3339(), "2025-11-21T01:53:15.109238Z");
        assert_eq!(Timestamp(951_782_400_500_000_000).rfc3339(), "2000-02-29T00:00:00.5Z");
        assert_eq!(Timestamp(-1).rfc3339(), "1969-12-31T23:59:59.999999999Z");
    }
}
