//! What the reply subject of a fast batch's message says:
//! `<prefix>.<id>.<flow>.<ok|fail>.<seq>.<op>.$FI`.
//!
//! Hot: read for every message of a batch.
//! Reference: stream.go `getFastBatch`.

/// How such a reply subject ends.
pub const SUFFIX: &[u8] = b".$FI";

/// What a message means to its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The first message.
    Start,
    /// One more.
    Append,
    /// The last one.
    Commit,
    /// The end; this message itself is not stored.
    CommitEob,
    /// How far are you?
    Ping,
}

/// One message's place in a fast batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastBatch<'a> {
    /// The batch.
    pub id: &'a [u8],
    /// Messages between two answers that the client wishes.
    pub flow: u16,
    /// Gaps do not end the batch.
    pub gap_ok: bool,
    /// The message's number, from 1.
    pub seq: u64,
    /// What it means.
    pub operation: Operation,
}

/// The reply subject promises a fast batch and breaks the pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the reply subject of a fast batch breaks the pattern; its last tokens must be id, flow, gap mode, number and operation"
)]
pub struct BadPattern;

impl<'a> FastBatch<'a> {
    /// Reads a reply subject; nothing if it is none of a fast batch.
    ///
    /// # Errors
    /// It is one, and unreadable.
    pub fn parse(reply: &'a [u8]) -> Result<Option<Self>, BadPattern> {
        match reply.strip_suffix(SUFFIX) {
            Some(rest) if !rest.is_empty() => Self::fields(rest).map(Some).ok_or(BadPattern),
            _ => Ok(None),
        }
    }

    fn fields(rest: &'a [u8]) -> Option<Self> {
        let (rest, operation) = last(rest)?;
        let operation = match number(operation)? {
            0 => Operation::Start,
            1 => Operation::Append,
            2 => Operation::Commit,
            3 => Operation::CommitEob,
            4 => Operation::Ping,
            _ => return None,
        };
        let (rest, seq) = last(rest)?;
        let seq = number(seq).filter(|seq| !matches!(seq, 0 | &u64::MAX))?;
        let misplaced = match operation {
            Operation::Start => seq != 1,
            Operation::Append | Operation::CommitEob => seq == 1,
            Operation::Commit | Operation::Ping => false,
        };
        if misplaced {
            return None;
        }
        let (rest, gap) = last(rest)?;
        let gap_ok = match gap {
            b"ok" => true,
            b"fail" => false,
            _ => return None,
        };
        let (rest, flow) = last(rest)?;
        let flow = match number(flow) {
            Some(flow @ 1..) => u16::try_from(flow).unwrap_or(u16::MAX),
            _ if flow.len() > 19 && flow.iter().all(u8::is_ascii_digit) => u16::MAX,
            _ => 10,
        };
        let (_, id) = last(rest)?;
        Some(Self { id, flow, gap_ok, seq, operation })
    }
}

/// The last token and what stands before its dot.
fn last(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().rposition(|b| *b == b'.')?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |n, d| {
        let digit = d.is_ascii_digit().then(|| u64::from(d - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_subjects_of_fast_batches_are_read() {
        let read = |text: &'static str| FastBatch::parse(text.as_bytes());
        let base =
            FastBatch { id: b"id", flow: 50, gap_ok: true, seq: 1, operation: Operation::Start };
        assert_eq!(read("_INBOX.x.id.50.ok.1.0.$FI"), Ok(Some(base)));
        let cases = [
            (
                "p.id.50.fail.2.1.$FI",
                FastBatch { gap_ok: false, seq: 2, operation: Operation::Append, ..base },
            ),
            ("p.id.50.ok.1.2.$FI", FastBatch { operation: Operation::Commit, ..base }),
            ("p.id.50.ok.2.3.$FI", FastBatch { seq: 2, operation: Operation::CommitEob, ..base }),
            ("p.id.50.ok.9.4.$FI", FastBatch { seq: 9, operation: Operation::Ping, ..base }),
            ("p.id.0.ok.1.0.$FI", FastBatch { flow: 10, ..base }),
            ("p.id.x.ok.1.0.$FI", FastBatch { flow: 10, ..base }),
            ("p.id..ok.1.0.$FI", FastBatch { flow: 10, ..base }),
            ("p.id.70000.ok.1.0.$FI", FastBatch { flow: 65535, ..base }),
        ];
        for (text, want) in cases {
            assert_eq!(read(text), Ok(Some(want)), "{text}");
        }
    }

    #[test]
    fn other_subjects_are_none_and_broken_ones_are_told() {
        for text in ["", "_INBOX.x", ".$FI", "a.$FX", "$FI"] {
            assert_eq!(FastBatch::parse(text.as_bytes()), Ok(None), "{text}");
        }
        for text in [
            "x.$FI",
            "p.id.50.ok.1.5.$FI",
            "p.id.50.ok.1.x.$FI",
            "p.id.50.ok.0.1.$FI",
            "p.id.50.ok.18446744073709551615.1.$FI",
            "p.id.50.ok.2.0.$FI",
            "p.id.50.ok.1.1.$FI",
            "p.id.50.ok.1.3.$FI",
            "p.id.50.maybe.1.0.$FI",
            "id.50.ok.1.0.$FI",
        ] {
            assert_eq!(FastBatch::parse(text.as_bytes()), Err(BadPattern), "{text}");
        }
    }
}
