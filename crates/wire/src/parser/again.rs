//! The messages that follow one on the same subject. Hot path: two comparisons per message.
//!
//! Not here: every other form (`publish`).
//! Law: what is accepted here is what the parser accepts, with the same bounds.

use super::Limits;
use super::publish::sized;

/// Where the parts of a message of the plainest form lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain {
    /// The size, where what can be forwarded begins.
    pub tail: usize,
    /// The payload.
    pub body: usize,
    /// Behind its CRLF.
    pub end: usize,
}

/// The messages that follow one on the same subject, as long as they are of the plainest form. The
/// end says nothing about what comes then: [`super::parse`] it.
#[derive(Debug)]
pub struct Again<'a> {
    input: &'a [u8],
    limits: &'a Limits,
    /// `PUB <subject> ` of the first one.
    head: &'a [u8],
    /// The control line of the last one: most have the same size.
    line: &'a [u8],
    size: usize,
    at: usize,
}

impl<'a> Again<'a> {
    /// Those in `input` from `at` on; `head` is `PUB <subject> ` as it was written.
    #[inline]
    pub fn new(input: &'a [u8], at: usize, head: &'a [u8], limits: &'a Limits) -> Self {
        Self { input, limits, head, line: &[], size: 0, at }
    }
}

impl Iterator for Again<'_> {
    type Item = Plain;

    #[inline]
    fn next(&mut self) -> Option<Plain> {
        let rest = self.input.get(self.at..)?;
        let start = self.at;
        if !self.line.is_empty() && begins(rest, self.line) {
            let end = self.line.len() + self.size;
            let Some(b"\r\n") = rest.get(end..end + 2) else { return None };
            self.at += end + 2;
            let (tail, body) = (start + self.head.len(), start + self.line.len());
            return Some(Plain { tail, body, end: self.at });
        }
        if self.head.is_empty() || !begins(rest, self.head) {
            return None;
        }
        let found = sized(rest, 4, self.head.len() - 1, self.limits)?;
        self.line = rest.get(..found.body)?;
        self.size = found.end - 2 - found.body;
        self.at += found.end;
        Some(Plain { tail: start + found.tail, body: start + found.body, end: self.at })
    }
}

/// `input.starts_with(head)`, without a call for the usual lengths.
#[inline]
fn begins(input: &[u8], head: &[u8]) -> bool {
    let Some(seen) = input.get(..head.len()) else { return false };
    match head.len() {
        8..=16 => {
            seen.first_chunk::<8>() == head.first_chunk::<8>()
                && seen.last_chunk::<8>() == head.last_chunk::<8>()
        }
        17..=32 => {
            seen.first_chunk::<16>() == head.first_chunk::<16>()
                && seen.last_chunk::<16>() == head.last_chunk::<16>()
        }
        _ => seen == head,
    }
}
