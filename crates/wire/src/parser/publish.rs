//! `PUB` and `HPUB`. Hot path: one `memchr` per control line, no allocation.
//!
//! Law: a `tail` is given only if those bytes can be forwarded as they are: single blanks, CRLF line
//! ends. Sizes reach subscribers as they were written, leading zeros included.
//! Reference: client.go processPub, processHeaderPub.   Contract: CORE-005, 006, 007, 009.

use super::again::Plain;
use super::{Frame, Limits, Publish, Step, Violation, args, control_line};

/// `PUB <subject> [reply] <size>`.
#[inline]
pub(super) fn parse_pub<'a>(input: &'a [u8], limits: &Limits) -> Step<'a> {
    plain_pub(input, limits).unwrap_or_else(|| any_pub(input, limits))
}

/// The plainest and commonest form, `PUB <subject> <size>\r\n`, in one pass; `None` for any other.
#[inline]
fn plain_pub<'a>(input: &'a [u8], limits: &Limits) -> Option<Step<'a>> {
    if !input.starts_with(b"PUB ") {
        return None;
    }
    let mut at = 4;
    loop {
        match *input.get(at)? {
            b' ' => break,
            b'\t' | b'\r' | b'\n' => return None,
            _ => at += 1,
        }
    }
    if at == 4 {
        return None;
    }
    let Plain { tail, body, end } = sized(input, 4, at, limits)?;
    let publish = Publish {
        subject: input.get(4..at)?,
        reply: None,
        header_len: None,
        body: input.get(body..end - 2)?,
        tail: input.get(tail..end),
    };
    Some(Step::Frame(Frame::Publish(publish), end))
}

/// `<size>\r\n<payload>\r\n` behind the blank at `blank`; `None` if that is not what is there.
#[inline]
pub(super) fn sized(input: &[u8], start: usize, blank: usize, limits: &Limits) -> Option<Plain> {
    let digits = blank + 1;
    let mut size = 0usize;
    let mut at = digits;
    loop {
        let v = input.get(at)?.wrapping_sub(b'0');
        if v > 9 {
            break;
        }
        // Nine digits at most, so that this cannot overflow; longer ones go the long way round.
        if at - digits >= 9 {
            return None;
        }
        size = size * 10 + usize::from(v);
        at += 1;
    }
    let length = at - digits;
    if length == 0 || at - start > limits.max_control_line {
        return None;
    }
    if *input.get(at)? != b'\r' || *input.get(at + 1)? != b'\n' {
        return None;
    }
    if limits.max_payload >= 0 && size as i64 > limits.max_payload {
        return None;
    }
    let body = at + 2;
    let end = body + size;
    let Some(b"\r\n") = input.get(end..end + 2) else {
        return None;
    };
    Some(Plain { tail: digits, body, end: end + 2 })
}

/// Any form of `PUB`.
fn any_pub<'a>(input: &'a [u8], limits: &Limits) -> Step<'a> {
    let (line, consumed) = match control_line(input, b"PUB", limits) {
        Ok(found) => found,
        Err(step) => return step,
    };
    let fields = args::Args::<3>::split(line, is_blank);
    let (subject, reply, digits) = match *fields.as_slice() {
        [subject, digits] => (subject, None, digits),
        [subject, reply, digits] => (subject, Some(reply), digits),
        _ => return Step::Invalid(Violation::Arguments("processPub Parse Error")),
    };
    let Some(size) = args::size(digits) else {
        return Step::Invalid(Violation::Arguments("processPub Bad or Missing Size"));
    };
    let after_subject = reply.map_or(0, |r| r.len() + 1) + digits.len();
    let canonical = line.len() == subject.len() + 1 + after_subject;
    finish(
        input,
        consumed,
        limits,
        Head { subject, reply, header_len: None, size, canonical, after_subject },
    )
}

/// `HPUB <subject> [reply] <header size> <total size>`.
pub(super) fn parse_hpub<'a>(input: &'a [u8], limits: &Limits) -> Step<'a> {
    let (line, consumed) = match control_line(input, b"HPUB", limits) {
        Ok(found) => found,
        Err(step) => return step,
    };
    if !limits.headers {
        return Step::Invalid(Violation::HeadersNotSupported);
    }
    let fields = args::Args::<4>::split(line, is_blank);
    let (subject, reply, hdr, total) = match *fields.as_slice() {
        [subject, hdr, total] => (subject, None, hdr, total),
        [subject, reply, hdr, total] => (subject, Some(reply), hdr, total),
        _ => return Step::Invalid(Violation::Arguments("processHeaderPub Parse Error")),
    };
    let Some(header_len) = args::size(hdr) else {
        return Step::Invalid(Violation::Arguments("processHeaderPub Bad or Missing Header Size"));
    };
    let Some(size) = args::size(total) else {
        return Step::Invalid(Violation::Arguments("processHeaderPub Bad or Missing Total Size"));
    };
    if header_len > size {
        return Step::Invalid(Violation::Arguments(
            "processHeaderPub Header Size larger then TotalSize",
        ));
    }
    let after_subject = reply.map_or(0, |r| r.len() + 1) + hdr.len() + 1 + total.len();
    let mut canonical = line.len() == subject.len() + 1 + after_subject;
    let mut forwarded = after_subject;
    if header_len == 0 {
        // Compat(CORE-007): no header at all, so it is forwarded as a plain message.
        canonical &= reply.is_none();
        forwarded = total.len();
    }
    let header_len = Some(header_len);
    finish(
        input,
        consumed,
        limits,
        Head { subject, reply, header_len, size, canonical, after_subject: forwarded },
    )
}

/// What stands between the arguments of PUB and HPUB: not CR, as elsewhere.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[derive(Clone, Copy)]
struct Head<'a> {
    subject: &'a [u8],
    reply: Option<&'a [u8]>,
    header_len: Option<u32>,
    size: u32,
    /// The arguments were written with single blanks.
    canonical: bool,
    /// Bytes at the end of the arguments that are forwarded.
    after_subject: usize,
}

/// Checks the size, waits for the payload and its CRLF, and makes the frame.
#[inline]
fn finish<'a>(input: &'a [u8], consumed: usize, limits: &Limits, head: Head<'a>) -> Step<'a> {
    if limits.max_payload >= 0 && i64::from(head.size) > limits.max_payload {
        let size = u64::from(head.size);
        return Step::Invalid(Violation::MaxPayload { size, limit: limits.max_payload });
    }
    let end = consumed + head.size as usize;
    let total = end + 2;
    let Some(body) = input.get(consumed..end) else { return Step::More { total: Some(total) } };
    match input.get(end..total) {
        Some(b"\r\n") => {}
        Some(_) => return Step::Invalid(Violation::UnknownOperation),
        None => {
            return match input.get(end) {
                None | Some(b'\r') => Step::More { total: Some(total) },
                Some(_) => Step::Invalid(Violation::UnknownOperation),
            };
        }
    }
    // The control line ended with CR LF if its last two bytes say so; a bare LF is re-encoded.
    let crlf = consumed.checked_sub(2).and_then(|at| input.get(at)) == Some(&b'\r');
    let tail = (head.canonical && crlf)
        .then(|| input.get(consumed - 2 - head.after_subject..total))
        .flatten();
    let Head { subject, reply, header_len, .. } = head;
    Step::Frame(Frame::Publish(Publish { subject, reply, header_len, body, tail }), total)
}
