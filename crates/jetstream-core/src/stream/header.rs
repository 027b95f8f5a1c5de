//! The header fields of a published message that a stream acts on, found in one pass.
//!
//! Laws: names compare exactly; of several fields of one name the first counts, as in the
//!       reference's lookups.
//! Reference: stream.go getMsgId and its neighbours.   Hot path for messages with headers.

/// Fields a stream acts on; the values are slices of the block.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fields<'a> {
    pub(crate) msg_id: Option<&'a [u8]>,
    pub(crate) expected_stream: Option<&'a [u8]>,
    pub(crate) expected_last_seq: Option<&'a [u8]>,
    pub(crate) expected_last_subject_seq: Option<&'a [u8]>,
    pub(crate) expected_last_subject: Option<&'a [u8]>,
    pub(crate) expected_last_msg_id: Option<&'a [u8]>,
    pub(crate) rollup: Option<&'a [u8]>,
    pub(crate) ttl: Option<&'a [u8]>,
    pub(crate) incr: Option<&'a [u8]>,
    pub(crate) batch_id: Option<&'a [u8]>,
    pub(crate) batch_seq: Option<&'a [u8]>,
    pub(crate) batch_commit: Option<&'a [u8]>,
    pub(crate) schedule: Option<&'a [u8]>,
    pub(crate) schedule_zone: Option<&'a [u8]>,
    pub(crate) schedule_ttl: Option<&'a [u8]>,
    pub(crate) schedule_rollup: Option<&'a [u8]>,
    pub(crate) schedule_target: Option<&'a [u8]>,
    pub(crate) schedule_source: Option<&'a [u8]>,
    pub(crate) schedule_next: Option<&'a [u8]>,
    pub(crate) scheduler: Option<&'a [u8]>,
    pub(crate) stream_source: Option<&'a [u8]>,
    pub(crate) request_info: bool,
    pub(crate) api_level: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    /// The fields of a header block.
    pub(crate) fn of(block: &'a [u8]) -> Self {
        let mut found = Self::default();
        for (name, value) in wire::header::fields(block) {
            let Some(rest) = name.strip_prefix(b"Nats-") else { continue };
            let slot = match rest {
                b"Msg-Id" => &mut found.msg_id,
                b"Expected-Stream" => &mut found.expected_stream,
                b"Expected-Last-Sequence" => &mut found.expected_last_seq,
                b"Expected-Last-Subject-Sequence" => &mut found.expected_last_subject_seq,
                b"Expected-Last-Subject-Sequence-Subject" => &mut found.expected_last_subject,
                b"Expected-Last-Msg-Id" => &mut found.expected_last_msg_id,
                b"Rollup" => &mut found.rollup,
                b"TTL" => &mut found.ttl,
                b"Incr" => &mut found.incr,
                b"Batch-Id" => &mut found.batch_id,
                b"Batch-Sequence" => &mut found.batch_seq,
                b"Batch-Commit" => &mut found.batch_commit,
                b"Schedule" => &mut found.schedule,
                b"Schedule-Time-Zone" => &mut found.schedule_zone,
                b"Schedule-TTL" => &mut found.schedule_ttl,
                b"Schedule-Rollup" => &mut found.schedule_rollup,
                b"Schedule-Target" => &mut found.schedule_target,
                b"Schedule-Source" => &mut found.schedule_source,
                b"Schedule-Next" => &mut found.schedule_next,
                b"Scheduler" => &mut found.scheduler,
                b"Stream-Source" => &mut found.stream_source,
                b"Required-Api-Level" => &mut found.api_level,
                b"Request-Info" => {
                    found.request_info = true;
                    continue;
                }
                _ => continue,
            };
            slot.get_or_insert(value);
        }
        found
    }
}

/// A decimal number as the reference reads one: digits only, otherwise as if it were absent.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    text.iter().try_fold(0u64, |n, b| {
        let digit = b.checked_sub(b'0').filter(|d| *d <= 9)?;
        n.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// An expected sequence; what is no number is one that no stream has.
pub(crate) fn sequence(text: &[u8]) -> Option<u64> {
    (!text.is_empty()).then(|| number(text).unwrap_or(u64::MAX))
}

/// The block without every field called `name`; empty if no field is left.
pub(crate) fn without(block: &[u8], name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(block.len());
    if wire::header::fields(block).any(|(n, _)| n != name) {
        wire::header::set(block, name, None, &mut out);
    }
    out
}

/// The block with `name` set to `value`, after everything else.
pub(crate) fn with(block: &[u8], name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(block.len() + name.len() + value.len() + 16);
    wire::header::set(block, name, Some(value), &mut out);
    out
}

/// The block with one more field at its end.
pub(crate) fn append(block: &[u8], name: &[u8], value: &[u8]) -> Vec<u8> {
    let fields = block.strip_suffix(b"\r\n").unwrap_or(wire::header::LINE);
    let parts = [fields, name, b": ", value.trim_ascii(), b"\r\n\r\n"];
    parts.concat()
}

/// The block with the value of the first field called `name` exchanged where it stands; a field at
/// the end if there is none.
pub(crate) fn exchange(block: &[u8], name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut at = 0;
    for line in block.split_inclusive(|b| *b == b'\n') {
        let rest = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(b":"));
        if let Some(rest) = rest.filter(|_| at > 0) {
            let start = at + name.len() + 1 + usize::from(rest.starts_with(b" "));
            let old = block.get(start..at + line.len()).unwrap_or_default();
            let end = start + memchr::memchr(b'\r', old).unwrap_or(old.len());
            let (head, tail) = (block.get(..start), block.get(end..));
            return [head.unwrap_or_default(), value, tail.unwrap_or_default()].concat();
        }
        at += line.len();
    }
    append(block, name, value)
}

/// The block without the lines of fields that `unwanted` names; empty if no field is left. What
/// stays is not touched.
pub(crate) fn without_any(block: &[u8], unwanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(block.len());
    for (number, line) in block.split_inclusive(|b| *b == b'\n').enumerate() {
        let name = memchr::memchr(b':', line).and_then(|at| line.get(..at));
        if number == 0 || !name.is_some_and(&unwanted) {
            out.extend_from_slice(line);
        }
    }
    let is_empty = wire::header::fields(&out).next().is_none();
    if is_empty { Vec::new() } else { out }
}

/// A block whose first line carries a status (`NATS/1.0 503 ...`) starts plainly when stored
/// (PUB-020); `None` if there is nothing to change.
pub(crate) fn without_status(block: &[u8]) -> Option<Vec<u8>> {
    let end = memchr::memchr(b'\r', block)?;
    if end <= 8 || !block.starts_with(b"NATS/1.0") {
        return None;
    }
    let mut out = b"NATS/1.0".to_vec();
    out.extend_from_slice(block.get(end..)?);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_name_counts() {
        let block = b"NATS/1.0\r\nNats-Msg-Id: a\r\nNats-Msg-Id: b\r\nnats-ttl: 3\r\n\r\n";
        let fields = Fields::of(block);
        assert_eq!(fields.msg_id, Some(&b"a"[..]));
        assert_eq!(fields.ttl, None);
    }

    #[test]
    fn numbers_are_digits_only() {
        let cases: [(&[u8], Option<u64>); 7] = [
            (b"0", Some(0)),
            (b"12", Some(12)),
            (b"", None),
            (b"-1", None),
            (b"1x", None),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
        ];
        for (text, expected) in cases {
            assert_eq!(number(text), expected, "{text:?}");
        }
    }

    #[test]
    fn fields_are_added_exchanged_and_filtered() {
        assert_eq!(append(b"", b"A", b"1"), b"NATS/1.0\r\nA: 1\r\n\r\n");
        assert_eq!(
            append(b"NATS/1.0\r\nA:1\r\n\r\n", b"A", b"2 "),
            b"NATS/1.0\r\nA:1\r\nA: 2\r\n\r\n"
        );
        assert_eq!(
            exchange(b"NATS/1.0\r\nA:1\r\nB: 2\r\n\r\n", b"A", b"33"),
            b"NATS/1.0\r\nA:33\r\nB: 2\r\n\r\n"
        );
        assert_eq!(
            exchange(b"NATS/1.0\r\nB: 2\r\n\r\n", b"A", b"3"),
            b"NATS/1.0\r\nB: 2\r\nA: 3\r\n\r\n"
        );
        let block = b"NATS/1.0\r\nX-1:a\r\nB:  2\r\nX-2: c\r\n\r\n";
        assert_eq!(
            without_any(block, |name| name.starts_with(b"X-")),
            b"NATS/1.0\r\nB:  2\r\n\r\n"
        );
        assert_eq!(without_any(block, |_| true), b"");
    }

    #[test]
    fn fields_and_statuses_are_taken_out() {
        assert_eq!(without(b"NATS/1.0\r\nA: 1\r\nB: 2\r\n\r\n", b"A"), b"NATS/1.0\r\nB: 2\r\n\r\n");
        assert_eq!(without(b"NATS/1.0\r\nA: 1\r\n\r\n", b"A"), b"");
        assert_eq!(
            without_status(b"NATS/1.0 503 No\r\nA: 1\r\n\r\n").as_deref(),
            Some(&b"NATS/1.0\r\nA: 1\r\n\r\n"[..])
        );
        assert_eq!(without_status(b"NATS/1.0\r\nA: 1\r\n\r\n"), None);
    }
}
