//! `Nats-Stream-Source`: where a message was drawn from.
//!
//! `<stream[:hash][:C=hash]> <sequence> <filters> <destinations> <original subject>`, lists joined by
//! form feeds; before 2.10 the acknowledgement's subject.
//! Reference: stream.go `genSourceHeader`, `streamAndSeq`.

use crate::subject::Ack;

/// Where a message was drawn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceHeader<'a> {
    /// The stream, with what tells it apart from one elsewhere.
    pub stream: &'a [u8],
    /// Its sequence there.
    pub seq: u64,
    /// Filters and destinations; old forms do not have them.
    pub selection: Option<(&'a [u8], &'a [u8])>,
    /// Its subject there; old forms do not have it.
    pub subject: Option<&'a [u8]>,
}

impl<'a> SourceHeader<'a> {
    /// Reads a value in any of its forms. A sequence that is no number counts as -1, as the
    /// reference has it.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        if value.starts_with(crate::subject::ACK_PREFIX) {
            let ack = Ack::parse(value)?;
            return Some(Self {
                stream: ack.stream,
                seq: ack.stream_seq,
                selection: None,
                subject: None,
            });
        }
        let fields: Vec<&[u8]> = value.splitn(6, |b| *b == b' ').collect();
        let (stream, seq, rest) = match fields.as_slice() {
            [stream, seq] => (*stream, *seq, None),
            [stream, seq, filters, dests, rest @ ..] => {
                (*stream, *seq, Some((*filters, *dests, rest.first().copied())))
            }
            _ => return None,
        };
        Some(Self {
            stream,
            seq: sequence(seq),
            selection: rest.map(|(filters, dests, _)| (filters, dests)),
            subject: rest.and_then(|(_, _, subject)| subject),
        })
    }

    /// The source among its siblings (see `validate::source_index_name`); old forms do not say.
    pub fn index_name(&self) -> Option<Vec<u8>> {
        self.selection.map(|(filters, dests)| [self.stream, filters, dests].join(&b' '))
    }
}

/// Appends the value for a message with `seq` and `subject` from the source called `index_name`.
pub fn write(index_name: &str, seq: u64, subject: &[u8], out: &mut Vec<u8>) {
    let (stream, selection) = index_name.split_once(' ').unwrap_or((index_name, "> >"));
    out.extend_from_slice(stream.as_bytes());
    out.push(b' ');
    out.extend_from_slice(seq.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(selection.as_bytes());
    out.push(b' ');
    out.extend_from_slice(subject);
}

fn sequence(digits: &[u8]) -> u64 {
    let number = digits.iter().try_fold(0u64, |n, d| {
        d.is_ascii_digit().then(|| n.wrapping_mul(10).wrapping_add(u64::from(d - b'0')))
    });
    number.filter(|_| !digits.is_empty()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut out = Vec::new();
        write("S:fjFyEjc1 a\u{c}b c\u{c}d", 42, b"orders.new", &mut out);
        assert_eq!(out, b"S:fjFyEjc1 42 a\x0cb c\x0cd orders.new");
        let read = SourceHeader::parse(&out).expect("five fields");
        assert_eq!(read.stream, b"S:fjFyEjc1");
        assert_eq!((read.seq, read.subject), (42, Some(&b"orders.new"[..])));
        assert_eq!(read.index_name().as_deref(), Some(&b"S:fjFyEjc1 a\x0cb c\x0cd"[..]));
    }

    #[test]
    fn old_forms_are_read() {
        let read = SourceHeader::parse(b"S 7").expect("two fields");
        assert_eq!((read.stream, read.seq, read.index_name()), (&b"S"[..], 7, None));
        let read = SourceHeader::parse(b"$JS.ACK.S.C.1.9.9.1700000000.0").expect("an ack subject");
        assert_eq!((read.stream, read.seq), (&b"S"[..], 9));
        let read = SourceHeader::parse(b"S x > >").expect("four fields");
        assert_eq!((read.seq, read.subject), (u64::MAX, None));
        assert_eq!(SourceHeader::parse(b"S"), None);
        assert_eq!(SourceHeader::parse(b"S 1 >"), None);
        assert_eq!(SourceHeader::parse(b"$JS.ACK.S.C.1"), None);
    }
}
