//! Where each key of the configuration stands.
//!
//! Laws: not part of what the options say: two sets of options that differ only here are equal.

use crate::lang::Position;

/// Dotted key paths (`cluster`, `tls.ocsp_peer`) and their places, in reading order.
#[derive(Clone, Debug, Default)]
pub struct KeyIndex {
    seen: Vec<(String, Position)>,
}

impl KeyIndex {
    /// Remembers that `path` stands at `position`.
    pub fn record(&mut self, path: impl Into<String>, position: &Position) {
        self.seen.push((path.into(), position.clone()));
    }

    /// Where `path` stands, if it was written.
    pub fn position(&self, path: &str) -> Option<&Position> {
        self.seen.iter().rev().find(|(seen, _)| seen == path).map(|(_, position)| position)
    }

    /// Every path and place.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Position)> {
        self.seen.iter().map(|(path, position)| (path.as_str(), position))
    }
}

impl PartialEq for KeyIndex {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
