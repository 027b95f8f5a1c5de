//! What a server that trusts operators needs of the world: resolvers with files and sockets, the
//! time of the day.
//!
//! Not here: what tokens say and what becomes of them (`node::claims`).
//! Reference: accounts.go resolvers, jwt.go validateTimes.   Contract: AUTH-012, AUTH-017..020.

use crate::control::Spawner;
use config::Options;
use config::options::Resolver as Asked;
use node::claims::Surroundings;
use node::resolver::{Memory, Resolver};
use std::sync::Arc;
use stdx::time::{Now, Timestamp};

/// What a server that trusts operators needs; nothing if these options trust none.
pub(crate) fn surroundings(
    options: &Options,
    now: impl Fn() -> Now + Send + Sync + 'static,
    spawner: Spawner,
) -> Option<Surroundings> {
    if !options.operator.is_trusting() {
        return None;
    }
    let now = Arc::new(move || -> Timestamp { now().wall });
    let resolver: Option<Arc<dyn Resolver>> = match options.operator.account_resolver() {
        None => None,
        Some(Asked::Memory) => Some(Arc::new(Memory::default())),
        Some(_) => None,
    };
    let spawn = Arc::new(move |task| spawner.spawn(task));
    Some(Surroundings { resolver, now, second_of_day, spawn })
}

/// The second of the day at `now` (Unix seconds) in a time zone; empty: that of this machine.
pub(crate) fn second_of_day(zone: &str, now: i64) -> Option<u32> {
    let zone = match zone {
        "" | "Local" => jiff::tz::TimeZone::system(),
        name => jiff::tz::TimeZone::get(name).ok()?,
    };
    let at = jiff::Timestamp::from_second(now).ok()?;
    let time = zone.to_datetime(at).time();
    let parts = [time.hour(), time.minute(), time.second()].map(u32::try_from);
    let [Ok(hour), Ok(minute), Ok(second)] = parts else { return None };
    Some(hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: AUTH-012
    #[test]
    fn times_of_the_day_are_those_of_their_zone() {
        // 2023-11-14 22:13:20 UTC, and a summer's day with the clock put forward.
        assert_eq!(second_of_day("UTC", 1_700_000_000), Some(22 * 3600 + 13 * 60 + 20));
        assert_eq!(second_of_day("America/New_York", 1_700_000_000), Some(62_000));
        assert_eq!(second_of_day("Europe/Berlin", 1_690_000_000), Some(6 * 3600 + 26 * 60 + 40));
        assert_eq!(second_of_day("Nowhere/Land", 1_700_000_000), None);
        assert!(second_of_day("", 1_700_000_000).is_some());
    }
}
