//! When a scheduled message is due: `@at`, `@every`, cron with six fields and a time zone.
//!
//! Laws: the time zones are those built into the program, so that every replica decides alike, wherever
//! it runs; missed times come to one.
//! Reference: scheduler.go `parseMsgSchedule`; cron.go.

mod cron;
#[cfg(test)]
mod tests;

use jiff::tz::TimeZone;
use stdx::time::Timestamp;

use crate::duration;
use crate::error::ApiError;
use crate::time::{self, Nanos};

use cron::Cron;

const SECOND: i64 = 1_000_000_000;

/// When a message is due.
#[derive(Clone, Debug)]
pub struct Schedule {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    At(Timestamp),
    Every(Nanos),
    Cron(Box<Cron>, TimeZone),
}

impl Schedule {
    /// Reads the values of `Nats-Schedule` and `Nats-Schedule-Time-Zone`; nothing for an empty
    /// pattern.
    ///
    /// # Errors
    /// 10223 for a time zone that does not exist, 10189 for a pattern that says nothing, or a time
    /// zone where the pattern has none.
    pub fn parse(pattern: &[u8], zone: Option<&[u8]>) -> Result<Option<Self>, ApiError> {
        let zone = match zone {
            Some(name) => {
                Some(time_zone(name).ok_or_else(ApiError::message_schedules_time_zone_invalid)?)
            }
            None => None,
        };
        if pattern.is_empty() {
            return Ok(None);
        }
        let kind =
            Self::kind(pattern, zone).ok_or_else(ApiError::message_schedules_pattern_invalid)?;
        Ok(Some(Self { kind }))
    }

    fn kind(pattern: &[u8], zone: Option<TimeZone>) -> Option<Kind> {
        if let Some(at) = pattern.strip_prefix(b"@at ") {
            return zone.is_none().then(|| time::parse(at).ok().map(Kind::At)).flatten();
        }
        if let Some(every) = pattern.strip_prefix(b"@every ") {
            let every = duration::parse(every).filter(|every| every.0 >= SECOND)?;
            return zone.is_none().then_some(Kind::Every(every));
        }
        let fields = match pattern {
            b"@yearly" | b"@annually" => "0 0 0 1 1 *",
            b"@monthly" => "0 0 0 1 * *",
            b"@weekly" => "0 0 0 * * 0",
            b"@daily" | b"@midnight" => "0 0 0 * * *",
            b"@hourly" => "0 0 * * * *",
            other => std::str::from_utf8(other).ok()?,
        };
        Some(Kind::Cron(Box::new(Cron::parse(fields)?), zone.unwrap_or(TimeZone::UTC)))
    }

    /// True if the message is due again and again.
    pub fn repeats(&self) -> bool {
        !matches!(self.kind, Kind::At(_))
    }

    /// When the message is due next after `last`; nothing for a pattern that has no time within five
    /// years. What was missed before `now` is left out.
    pub fn next(&self, last: Timestamp, now: Timestamp) -> Option<Timestamp> {
        match &self.kind {
            Kind::At(at) => Some(*at),
            Kind::Every(every) => {
                let next = round(last).saturating_add(every.0);
                let next = if next < now.0 { round(now).saturating_add(every.0) } else { next };
                Some(Timestamp(next))
            }
            Kind::Cron(cron, zone) => {
                let next = cron.next(last, zone)?;
                if next < now { cron.next(Timestamp(round(now)), zone) } else { Some(next) }
            }
        }
    }

    /// A time as the reference prints it for this pattern: in the pattern's own time zone.
    pub fn text(&self, at: Timestamp) -> String {
        let offset = match &self.kind {
            Kind::Cron(_, zone) => jiff::Timestamp::from_second(at.0.div_euclid(SECOND))
                .map_or(0, |secs| zone.to_offset(secs).seconds()),
            Kind::At(_) | Kind::Every(_) => 0,
        };
        if offset == 0 {
            return at.rfc3339();
        }
        let local = Timestamp(at.0.saturating_add(i64::from(offset) * SECOND)).rfc3339();
        let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs() / 60);
        let local = local.trim_end_matches('Z');
        format!("{local}{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// To the nearest whole second, halves up.
fn round(at: Timestamp) -> i64 {
    at.0.saturating_add(SECOND / 2).div_euclid(SECOND).saturating_mul(SECOND)
}

/// A zone of the database, by its exact name.
fn time_zone(name: &[u8]) -> Option<TimeZone> {
    let name = std::str::from_utf8(name).ok()?;
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    let zone = jiff::tz::TimeZoneDatabase::bundled().get(name).ok()?;
    // Names are files to the reference: their case counts.
    (zone.iana_name() == Some(name)).then_some(zone)
}
