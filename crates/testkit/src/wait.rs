//! Waiting for something to become true, with a deadline.
//!
//! Not here: waiting for bytes (`client`), for log lines (`server`): those have real events.

use std::time::{Duration, Instant};

/// The default patience of every fixture: long enough for a loaded machine, short enough that a
/// hung test fails rather than blocks.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Calls `probe` until it returns `Some`, and returns what it found; panics after `deadline`.
///
/// For state that only a request can reveal (a monitoring document, a file on disk). The probe
/// runs at least once, and once more after the deadline has passed.
pub fn eventually<T>(deadline: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    let mut pause = Duration::from_millis(1);
    loop {
        let late = Instant::now() >= end;
        if let Some(found) = probe() {
            return found;
        }
        assert!(!late, "not within {deadline:?}: {what}");
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_as_soon_as_the_probe_finds_something() {
        let mut calls = 0;
        let found = eventually(DEADLINE, "third call", || {
            calls += 1;
            (calls == 3).then_some(calls)
        });
        assert_eq!(found, 3);
    }

    #[test]
    #[should_panic(expected = "never true")]
    fn panics_after_the_deadline() {
        eventually(Duration::from_millis(3), "never true", || None::<()>);
    }
}
