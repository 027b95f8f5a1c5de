//! Saying a thing once a second instead of a thousand times.
//!
//! Laws: the same text passes at most once per window; memory is bounded whatever the texts are.
//! Reference: log.go RateLimitErrorf, RateLimitWarnf, RateLimitDebugf; server.go
//! startRateLimitLogExpiration (Contract: LOG-008; callers leave connection ids out of the text).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::time::Mono;

/// Time within which a text is not repeated.
const WINDOW: Duration = Duration::from_secs(1);
/// Texts remembered at a time; beyond it texts pass unremembered.
const TEXTS_MAX: usize = 4096;

/// Texts said lately. One per server.
#[derive(Debug, Default)]
pub struct RateLimit {
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    at: HashMap<String, Mono>,
    swept: Mono,
}

impl RateLimit {
    /// Whether `text` may be said at `now`; if so, it counts as said.
    pub fn allows(&self, text: &str, now: Mono) -> bool {
        // A panic elsewhere cannot leave the map half changed.
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(said.swept) >= WINDOW {
            said.at.retain(|_, at| now.since(*at) < WINDOW);
            said.swept = now;
        }
        match said.at.get_mut(text) {
            Some(at) if now.since(*at) < WINDOW => false,
            Some(at) => {
                *at = now;
                true
            }
            None => {
                if said.at.len() < TEXTS_MAX {
                    said.at.insert(text.to_owned(), now);
                }
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: LOG-008
    #[test]
    fn the_same_text_passes_once_a_second() {
        let limit = RateLimit::default();
        let at = |millis: u64| Mono(millis * 1_000_000);
        for (millis, text, passes) in [
            (5, "a", true),
            (6, "a", false),
            (6, "b", true),
            (1004, "a", false),
            (1005, "a", true),
            (1006, "b", true),
            (2004, "a", false),
            (9000, "a", true),
        ] {
            assert_eq!(limit.allows(text, at(millis)), passes, "{text} at {millis}");
        }
    }

    #[test]
    fn a_flood_of_different_texts_does_not_fill_memory() {
        let limit = RateLimit::default();
        for number in 0..20_000 {
            assert!(limit.allows(&format!("text {number}"), Mono(1)));
        }
        assert!(format!("{limit:?}").matches("text ").count() <= 4096);
    }
}
