//! Six fields: second, minute, hour, day of the month, month, day of the week.
//!
//! A time is due if its local reading matches; so what the clock shows twice is due twice, and what it
//! never shows, never.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use stdx::time::Timestamp;

/// Years ahead that are looked at.
const HORIZON: i16 = 5;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The values of one field as bits, and whether it was left open with a star.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Field {
    bits: u64,
    star: bool,
}

impl Field {
    fn has(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|value| value < 64 && self.bits & (1 << value) != 0)
    }
}

/// What a field may hold.
struct Bounds {
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

/// A pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cron {
    second: Field,
    minute: Field,
    hour: Field,
    day: Field,
    month: Field,
    weekday: Field,
}

impl Cron {
    /// Reads six fields.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [second, minute, hour, day, month, weekday] = fields.as_slice() else { return None };
        let plain = |min, max| Bounds { min, max, names: &[] };
        Some(Self {
            second: field(second, &plain(0, 59))?,
            minute: field(minute, &plain(0, 59))?,
            hour: field(hour, &plain(0, 23))?,
            day: field(day, &plain(1, 31))?,
            month: field(month, &Bounds { min: 1, max: 12, names: &MONTHS })?,
            weekday: field(weekday, &Bounds { min: 0, max: 6, names: &DAYS })?,
        })
    }

    /// The first whole second after `last` that matches.
    pub(super) fn next(&self, last: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        // Walking second by second through five years would find nothing, late.
        if [self.second, self.minute, self.hour, self.month].iter().any(|field| field.bits == 0) {
            return None;
        }
        let mut at = last.0.div_euclid(1_000_000_000).checked_add(1)?;
        let horizon = local(at, zone)?.year().checked_add(HORIZON)?;
        loop {
            let here = local(at, zone)?;
            if here.year() > horizon {
                return None;
            }
            at = if !self.month.has(here.month()) {
                start_of(
                    here.date().first_of_month().checked_add(jiff::Span::new().months(1)),
                    zone,
                )?
            } else if !self.has_day(here.date()) {
                start_of(here.date().tomorrow(), zone)?
            } else if !self.hour.has(here.hour()) {
                at + 3600 - i64::from(here.minute()) * 60 - i64::from(here.second())
            } else if !self.minute.has(here.minute()) {
                at + 60 - i64::from(here.second())
            } else if !self.second.has(here.second()) {
                at + 1
            } else {
                return at.checked_mul(1_000_000_000).map(Timestamp);
            };
        }
    }

    /// Both days count if one of them was left open; otherwise one of them is enough.
    fn has_day(&self, date: Date) -> bool {
        let day = self.day.has(date.day());
        let weekday = self.weekday.has(date.weekday().to_sunday_zero_offset());
        if self.day.star || self.weekday.star { day && weekday } else { day || weekday }
    }
}

fn local(secs: i64, zone: &TimeZone) -> Option<jiff::civil::DateTime> {
    Some(zone.to_datetime(jiff::Timestamp::from_second(secs).ok()?))
}

/// The first second of a day.
fn start_of(date: Result<Date, jiff::Error>, zone: &TimeZone) -> Option<i64> {
    Some(date.ok()?.to_zoned(zone.clone()).ok()?.timestamp().as_second())
}

/// A list of ranges.
fn field(text: &str, bounds: &Bounds) -> Option<Field> {
    let mut all = Field::default();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let one = range(part, bounds)?;
        all.bits |= one.bits;
        all.star |= one.star;
    }
    Some(all)
}

/// `*`, `?`, a value or `low-high`, each maybe with `/step`; a single value with a step goes up to
/// the end.
fn range(text: &str, bounds: &Bounds) -> Option<Field> {
    let (span, step) = match text.split_once('/') {
        Some((span, step)) => (span, Some(number(step)?)),
        None => (text, None),
    };
    let (low, high) = match span.split_once('-') {
        Some((low, high)) => (low, Some(high)),
        None => (span, None),
    };
    let open = matches!(low, "*" | "?");
    let (low, high) = if open {
        // A second part of an open range is not looked at, but there may be only one.
        high.is_none_or(|high| !high.contains('-')).then_some(())?;
        (bounds.min, bounds.max)
    } else {
        let low = value(low, bounds)?;
        match high {
            Some(high) => (low, value(high, bounds)?),
            None if step.is_some() => (low, bounds.max),
            None => (low, low),
        }
    };
    let star = open && step.is_none_or(|step| step <= 1);
    let step = step.unwrap_or(1);
    if low < bounds.min || high > bounds.max || low > high || step == 0 {
        return None;
    }
    let step = usize::try_from(step).ok()?;
    let bits = (low..=high).step_by(step).fold(0u64, |bits, value| bits | (1 << value));
    Some(Field { bits, star })
}

fn value(text: &str, bounds: &Bounds) -> Option<u32> {
    let named = bounds.names.iter().position(|name| name.eq_ignore_ascii_case(text));
    match named.and_then(|at| u32::try_from(at).ok()) {
        Some(at) => Some(at + bounds.min),
        None => number(text),
    }
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok()
}
