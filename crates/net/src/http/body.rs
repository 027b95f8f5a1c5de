//! Request bodies: how long they are, and skipping them. Pure.
//!
//! Laws: a body is never stored; lengths are bounded before they are believed; a head that gives
//!       two different lengths is refused (request smuggling), not guessed at.
//! Reference: net/http transfer.go; the server's limit for bodies nobody read (256 KiB).

use httparse::Header;

use super::head::{Refusal, is};

/// Bytes of an unread body that are skipped; a longer one ends the connection.
pub(super) const SKIP_MAX: u64 = 256 << 10;
/// Bytes of a chunk's size line with its extensions.
const SIZE_LINE_MAX: usize = 4096;

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
}

impl Framing {
    pub(super) fn of(headers: &[Header<'_>]) -> Result<Self, Refusal> {
        let mut codings = headers.iter().filter(|header| is(header, "transfer-encoding"));
        let mut lengths = headers.iter().filter(|header| is(header, "content-length"));
        let length = match lengths.next() {
            None => None,
            Some(first) => {
                if lengths.any(|other| other.value != first.value) {
                    return Err(Refusal::BadRequest);
                }
                Some(length(first.value)?)
            }
        };
        match (codings.next(), length) {
            (None, length) => Ok(Self::Length(length.unwrap_or(0))),
            (Some(_), Some(_)) => Err(Refusal::BadRequest),
            (Some(coding), None) => {
                if codings.next().is_some() {
                    return Err(Refusal::BadRequest);
                }
                if coding.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    Ok(Self::Chunked)
                } else {
                    Err(Refusal::Transfer)
                }
            }
        }
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::Length(0)
    }
}

fn length(value: &[u8]) -> Result<u64, Refusal> {
    let digits = value.trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::BadRequest);
    }
    str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or(Refusal::BadRequest)
}

/// Skips one body that arrives in pieces.
#[derive(Debug)]
pub(super) struct Skip {
    state: State,
    skipped: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes are left of the body or of a chunk (its line end included).
    Bytes {
        left: u64,
        last: bool,
    },
    /// Inside a size line: the size so far, its digits, and the bytes of the line.
    Size {
        size: u64,
        digits: u8,
        in_extension: bool,
        line: usize,
    },
    /// After the last chunk: trailers until an empty line; bytes in the line so far.
    Trailer {
        line: usize,
    },
    Done,
}

/// What came of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The body ended after so many bytes of the piece.
    Done(usize),
    /// More is to come.
    More,
    /// Too long, or not chunks at all.
    GiveUp,
}

const SIZE_START: State = State::Size { size: 0, digits: 0, in_extension: false, line: 0 };

impl Skip {
    pub(super) fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(left) => State::Bytes { left, last: true },
            Framing::Chunked => SIZE_START,
        };
        Self { state, skipped: 0 }
    }

    /// Takes a piece.
    pub(super) fn take(&mut self, piece: &[u8]) -> Progress {
        let mut used = 0;
        loop {
            if self.state == State::Done {
                return Progress::Done(used);
            }
            if self.skipped > SKIP_MAX {
                return Progress::GiveUp;
            }
            let rest = piece.get(used..).unwrap_or_default();
            let Some(first) = rest.first() else { return Progress::More };
            let taken = match self.state {
                State::Bytes { left, last } => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let left = left - here as u64;
                    self.state = match (left, last) {
                        (0, true) => State::Done,
                        (0, false) => SIZE_START,
                        _ => State::Bytes { left, last },
                    };
                    here
                }
                State::Size { .. } | State::Trailer { .. } => {
                    let Some(next) = self.state.after(*first) else { return Progress::GiveUp };
                    self.state = next;
                    1
                }
                State::Done => 0,
            };
            used += taken;
            self.skipped += taken as u64;
        }
    }
}

impl State {
    /// The state after one byte of a line; `None` if the line makes no sense.
    fn after(self, byte: u8) -> Option<Self> {
        match self {
            Self::Size { size, digits, in_extension, line } => match byte {
                _ if line >= SIZE_LINE_MAX => None,
                b'\n' if digits == 0 => None,
                b'\n' if size == 0 => Some(Self::Trailer { line: 0 }),
                // The chunk and the line end behind it.
                b'\n' => Some(Self::Bytes { left: size.checked_add(2)?, last: false }),
                b'\r' => Some(Self::Size { size, digits, in_extension, line: line + 1 }),
                b';' | b' ' | b'\t' if digits > 0 => {
                    Some(Self::Size { size, digits, in_extension: true, line: line + 1 })
                }
                _ if in_extension => {
                    Some(Self::Size { size, digits, in_extension, line: line + 1 })
                }
                digit => {
                    let value = char::from(digit).to_digit(16)?;
                    let size = size.checked_mul(16)?.checked_add(u64::from(value))?;
                    let digits = digits.saturating_add(1);
                    Some(Self::Size { size, digits, in_extension, line: line + 1 })
                }
            },
            Self::Trailer { line } => match byte {
                _ if line >= SIZE_LINE_MAX => None,
                b'\n' if line == 0 => Some(Self::Done),
                b'\n' => Some(Self::Trailer { line: 0 }),
                b'\r' => Some(Self::Trailer { line }),
                _ => Some(Self::Trailer { line: line + 1 }),
            },
            Self::Bytes { .. } | Self::Done => None,
        }
    }
}
