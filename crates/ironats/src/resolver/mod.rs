//! What a server that trusts operators needs of the world: resolvers with files and sockets, the
//! time of the day.
//!
//! Not here: what tokens say and what becomes of them (`node::claims`).
//! Reference: accounts.go resolvers, jwt.go validateTimes.   Contract: AUTH-012, AUTH-017..020.

mod directory;
mod flight;
mod service;
mod store;
mod sync;
mod url;

use crate::control::Control;
use auth::authenticate::jwt::Waiting;
use config::Options;
use config::options::Resolver as Asked;
use directory::{Directory, DirectoryResolver};
use node::claims::Surroundings;
use node::resolver::{Memory, Resolver};
use std::sync::Arc;
use stdx::time::{Now, Timestamp};
use url::UrlResolver;

/// What a server that trusts operators needs; nothing if these options trust none.
pub(crate) fn surroundings(
    options: &Options,
    now: impl Fn() -> Now + Send + Sync + 'static,
    control: &Control,
) -> Result<Option<Surroundings>, ResolverError> {
    if !options.operator.is_trusting() {
        return Ok(None);
    }
    let now: directory::Clock = Arc::new(move || -> Timestamp { now().wall });
    let resolver: Option<Arc<dyn Resolver>> = match options.operator.account_resolver() {
        None => None,
        Some(Asked::Memory) => Some(Arc::new(Memory::default())),
        Some(Asked::Url(url)) => Some(Arc::new(reach(&url, options, control)?)),
        Some(asked @ (Asked::Full { .. } | Asked::Cache { .. })) => {
            match Directory::open(&asked, now.clone()) {
                None => None,
                Some(Err(error)) => return Err(ResolverError(error.to_string())),
                Some(Ok(directory)) => {
                    let directory = Arc::new(directory);
                    control.spawn(sync::run(Arc::downgrade(&directory)));
                    Some(Arc::new(DirectoryResolver(directory)))
                }
            }
        }
    };
    let spawner = control.spawner();
    let spawn: Arc<dyn Fn(Waiting) -> Waiting + Send + Sync> = Arc::new(move |task| {
        let running = spawner.spawn(task);
        Box::pin(async move {
            // A task that panicked has ended, too.
            let _ = running.await;
        })
    });
    let apart: Arc<dyn Fn(Box<dyn FnOnce() + Send>) -> Waiting + Send + Sync> = {
        let spawner = control.spawner();
        Arc::new(move |work| {
            let working = spawner.spawn_blocking(work);
            Box::pin(async move {
                // Work that panicked has ended, too.
                let _ = working.await;
            })
        })
    };
    Ok(Some(Surroundings { resolver, now, second_of_day, spawn, apart }))
}

/// A web server that has account tokens, if somebody is there.
fn reach(url: &str, options: &Options, control: &Control) -> Result<UrlResolver, ResolverError> {
    let failed = |error: &dyn std::fmt::Display| ResolverError(error.to_string());
    let tls = crate::tls::outgoing(options.operator.resolver_tls.as_ref());
    // Without TLS nobody needs the authorities of the system.
    let tls = match tls {
        Err(_) if url.to_ascii_lowercase().starts_with("http://") => {
            let insecure = net::tls::ClientTlsConfig { insecure: true, ..Default::default() };
            net::tls::client(&insecure)
        }
        other => other,
    };
    let resolver = UrlResolver::new(url, tls.map_err(|error| failed(&error))?);
    match control.wait_for(resolver.probe()) {
        Some(Err(error)) => Err(failed(&error)),
        _ => Ok(resolver),
    }
}

/// A resolver cannot be made. Remedy: a directory that the server may write to, or a web server that
/// answers.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ResolverError(String);

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
