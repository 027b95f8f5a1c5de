//! Running a compiled transform on a subject.
//!
//! Hot path: touches the subject, the compiled parts and the caller's buffer; nothing else
//! allocates, and randomness is handed in.
//! Laws: the destination is appended to the buffer, what was there stays.
//! Reference: subject_transform.go TransformTokenizedSubject, getHashPartition, Match.

use super::{Part, Transform};
use crate::token::{self, SEPARATOR};

impl Transform {
    /// Appends the destination of `subject` to `out`. The source must match `subject`; a token
    /// that is missing is taken as empty. `random` is asked once per `{{random(n)}}`.
    pub fn apply(&self, subject: &[u8], mut random: impl FnMut() -> u32, out: &mut Vec<u8>) {
        for (i, part) in self.parts.iter().enumerate() {
            if i > 0 {
                out.push(SEPARATOR);
            }
            part.write(subject, &mut random, out);
        }
        if let Some(from) = self.tail_from {
            if !self.parts.is_empty() {
                out.push(SEPARATOR);
            }
            out.extend_from_slice(tail(subject, from));
        }
    }

    /// As `apply`, but only if `subject` has no empty and no wildcard token and the source matches
    /// it; says whether it did.
    pub fn apply_if_match(
        &self,
        subject: &[u8],
        random: impl FnMut() -> u32,
        out: &mut Vec<u8>,
    ) -> bool {
        let fits =
            crate::is_valid_literal(subject) && token::matches(subject, self.source.as_bytes());
        if fits {
            self.apply(subject, random, out);
        }
        fits
    }
}

/// What is left of `subject` from the token `from` on.
fn tail(subject: &[u8], from: usize) -> &[u8] {
    let mut tokens = token::tokens(subject);
    for _ in 0..from {
        tokens.next();
    }
    tokens.rest().unwrap_or_default()
}

impl Part {
    fn write(&self, subject: &[u8], random: &mut impl FnMut() -> u32, out: &mut Vec<u8>) {
        let at = |index: &usize| token::nth(subject, *index).unwrap_or_default();
        match self {
            Self::Literal(text) => out.extend_from_slice(text),
            Self::Token(i) => out.extend_from_slice(at(i)),
            Self::Partition { buckets, of } => {
                let mut hash = Fnv1a::default();
                if of.is_empty() {
                    hash.write(subject);
                } else {
                    of.iter().for_each(|i| hash.write(at(i)));
                }
                // A negative count wraps around, as it does in the reference.
                write_number(hash.0.checked_rem(*buckets as u32).unwrap_or(0), out);
            }
            Self::Random(ceiling) => {
                let number = random() >> 1;
                write_number(number.checked_rem(ceiling.unsigned_abs()).unwrap_or(0), out);
            }
            Self::SplitFromLeft(i, n) => split_at(at(i), |_| *n, out),
            Self::SplitFromRight(i, n) => split_at(at(i), |len| len.saturating_sub(*n), out),
            Self::SliceFromLeft(i, n) => slice_from_left(at(i), *n, out),
            Self::SliceFromRight(i, n) => slice_from_right(at(i), *n, out),
            Self::Left(i, n) => {
                let token = at(i);
                out.extend_from_slice(
                    inside(token, *n).and_then(|n| token.get(..n)).unwrap_or(token),
                );
            }
            Self::Right(i, n) => {
                let token = at(i);
                let start = inside(token, *n).map(|n| token.len() - n);
                out.extend_from_slice(start.and_then(|n| token.get(n..)).unwrap_or(token));
            }
            Self::Split(i, delimiter) => split(at(i), delimiter, out),
        }
    }
}

/// `size` if it cuts the token in two, that is if it lies strictly between zero and its length.
fn inside(token: &[u8], size: i32) -> Option<usize> {
    usize::try_from(size).ok().filter(|&n| n > 0 && n < token.len())
}

fn split_at(token: &[u8], position: impl Fn(i32) -> i32, out: &mut Vec<u8>) {
    let len = i32::try_from(token.len()).unwrap_or(i32::MAX);
    let cut = inside(token, position(len)).and_then(|n| token.split_at_checked(n));
    match cut {
        Some((left, right)) => {
            out.extend_from_slice(left);
            out.push(SEPARATOR);
            out.extend_from_slice(right);
        }
        None => out.extend_from_slice(token),
    }
}

fn slice_from_left(token: &[u8], size: i32, out: &mut Vec<u8>) {
    match inside(token, size) {
        Some(n) => join(token.chunks(n), out),
        None => out.extend_from_slice(token),
    }
}

fn slice_from_right(token: &[u8], size: i32, out: &mut Vec<u8>) {
    match inside(token, size) {
        Some(n) => join(token.rchunks(n).rev(), out),
        None => out.extend_from_slice(token),
    }
}

fn join<'a>(pieces: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    for (i, piece) in pieces.enumerate() {
        if i > 0 {
            out.push(SEPARATOR);
        }
        out.extend_from_slice(piece);
    }
}

/// Cuts at each `delimiter`; an empty one cuts between characters.
fn split(token: &[u8], delimiter: &[u8], out: &mut Vec<u8>) {
    if delimiter.is_empty() {
        return join(characters(token), out);
    }
    let (mut rest, mut first) = (token, true);
    loop {
        let cut = rest.windows(delimiter.len()).position(|w| w == delimiter);
        let Some((piece, found)) = cut.and_then(|at| rest.split_at_checked(at)) else {
            out.extend_from_slice(rest);
            return;
        };
        out.extend_from_slice(piece);
        rest = found.get(delimiter.len()..).unwrap_or_default();
        // Compat(SUBJ-011): empty pieces do not make empty tokens, with one exception: after two
        // or more leading delimiters the first piece with text gets a separator before it.
        let next_has_text = !rest.is_empty() && !rest.starts_with(delimiter);
        if next_has_text && !(first && piece.is_empty()) {
            out.push(SEPARATOR);
        }
        first = false;
    }
}

/// The UTF-8 characters of `text`; each byte that is part of none stands alone.
fn characters(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid();
        let whole = valid
            .char_indices()
            .map(move |(at, c)| valid.as_bytes().get(at..at + c.len_utf8()).unwrap_or_default());
        whole.chain(chunk.invalid().chunks(1))
    })
}

fn write_number(number: u32, out: &mut Vec<u8>) {
    let mut digits = [0; 10];
    let (mut at, mut rest) = (digits.len(), number);
    while let Some(slot) = at.checked_sub(1).and_then(|i| digits.get_mut(i)) {
        *slot = b'0' + (rest % 10) as u8;
        at -= 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// FNV-1a, 32 bits.
// Compat(SUBJ-012)
struct Fnv1a(u32);

impl Default for Fnv1a {
    fn default() -> Self {
        Self(0x811c_9dc5)
    }
}

impl Fnv1a {
    fn write(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.0 = (self.0 ^ u32::from(b)).wrapping_mul(0x0100_0193);
        }
    }
}
