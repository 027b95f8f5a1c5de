//! One client at a time gets a priority group's messages: it is pinned until it falls silent.
//!
//! Reference: consumer.go assignNewPinId, setPinnedTimer, unassignPinId.

use stdx::time::{Mono, Timestamp};

use super::{Consumer, Cx};
use crate::out::Out;

/// The pinned client.
#[derive(Clone, Debug)]
pub(super) struct Pin {
    /// What its requests carry.
    pub(super) id: String,
    pub(super) group: String,
    pub(super) since: Timestamp,
    /// When it is unpinned unless it asks again.
    pub(super) until: Mono,
}

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Base 62 digits of a random number.
pub(crate) fn digits<const N: usize>(mut random: u64) -> [u8; N] {
    std::array::from_fn(|_| {
        let digit = ALPHABET.get((random % 62) as usize).copied().unwrap_or(b'0');
        random /= 62;
        digit
    })
}

/// A new identifier in the form of a NUID.
pub(crate) fn nuid(out: &mut impl Out) -> String {
    let mut text = String::with_capacity(22);
    for _ in 0..2 {
        text.extend(digits::<11>(out.random()).map(char::from));
    }
    text
}

impl Consumer {
    /// Pins the client that sends `group`'s next request that is served.
    pub(super) fn pin<S, O: Out>(&mut self, group: String, cx: &mut Cx<'_, S, O>) {
        let until = cx.now.mono + self.config.priority_timeout.as_duration();
        let pin = Pin { id: nuid(cx.out), group, since: cx.now.wall, until };
        self.advise_pinned(&pin, cx);
        if let Some(pull) = self.pull_mut() {
            pull.pin = Some(pin);
        }
    }

    /// The pinned client asked again.
    pub(super) fn keep_pin(&mut self, now: Mono) {
        let until = now + self.config.priority_timeout.as_duration();
        if let Some(pin) = self.pull_mut().and_then(|p| p.pin.as_mut()) {
            pin.until = until;
        }
    }

    /// The pinned client fell silent.
    pub(super) fn pin_expired<S, O: Out>(&mut self, cx: &mut Cx<'_, S, O>) -> bool {
        let due = |pin: &mut Pin| pin.until <= cx.now.mono;
        let Some(pin) = self.pull_mut().and_then(|p| p.pin.take_if(due)) else { return false };
        self.advise_unpinned(&pin.group, "timeout", cx);
        true
    }

    /// An administrator unpins the client of `group`. `true` if messages may go to another.
    pub fn unpin<S, O: Out>(&mut self, group: &str, cx: &mut Cx<'_, S, O>) -> bool {
        if let Some(pull) = self.pull_mut() {
            pull.pin = None;
        }
        self.advise_unpinned(group, "admin", cx);
        self.is_wanted()
    }
}
