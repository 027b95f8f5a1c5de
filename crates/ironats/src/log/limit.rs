//! Saying a thing once a second instead of a thousand times.
//!
//! Laws: the same text passes at most once per window; memory is bounded whatever the texts are.
//! Reference: log.go RateLimitErrorf, RateLimitWarnf, RateLimitDebugf; server.go
//! startRateLimitLogExpiration (Contract: LOG-008; callers leave connection ids out of the text).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use stdx::time::Mono;

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
