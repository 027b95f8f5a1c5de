//! Answers packed as the requester can take them.
//!
//! Wire: `Accept-Encoding` names what the requester takes, in any case and order; Snappy's framed
//!       format goes before gzip. What is asked for and not known is answered as `identity`.
//! Reference: events.go getAcceptEncoding, internalSendLoop.   Contract: SYS-012.

use std::io::Write;

const ACCEPT: &[u8] = b"Accept-Encoding";
const CONTENT: &[u8] = b"Content-Encoding";
/// The start of a Snappy stream.
const SNAPPY_START: &[u8] = b"\xff\x06\x00\x00sNaPpY";
/// Plain bytes of a Snappy chunk at most.
const SNAPPY_CHUNK: usize = 1 << 16;
const SNAPPY_COMPRESSED: u8 = 0;

/// How an answer is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Snappy,
    Gzip,
    Identity,
}

impl Encoding {
    /// What the value of `Accept-Encoding` asks for.
    fn asked(accepted: &[u8]) -> Option<Self> {
        let value = accepted.to_ascii_lowercase();
        if value.is_empty() {
            return None;
        }
        let has = |name: &[u8]| value.windows(name.len()).any(|part| part == name);
        Some(match () {
            () if has(b"snappy") || has(b"s2") => Self::Snappy,
            () if has(b"gzip") => Self::Gzip,
            () => Self::Identity,
        })
    }

    fn name(self) -> &'static [u8] {
        match self {
            Self::Snappy => b"snappy",
            Self::Gzip => b"gzip",
            Self::Identity => b"identity",
        }
    }
}

/// The header block and payload for `document`, the answer to a request with `header`.
pub(super) fn packed(header: &[u8], document: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    packed_for(wire::header::get(header, ACCEPT).unwrap_or_default(), document)
}

/// The same, for a reader who accepts `accepted`.
pub(crate) fn packed_for(accepted: &[u8], document: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let Some(encoding) = Encoding::asked(accepted) else { return (Vec::new(), document) };
    let payload = match encoding {
        Encoding::Snappy => snappy(&document),
        Encoding::Gzip => gzip(&document),
        Encoding::Identity => document,
    };
    let mut block = Vec::with_capacity(48);
    wire::header::set(b"", CONTENT, Some(encoding.name()), &mut block);
    (block, payload)
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    // Memory takes everything.
    let _ = out.write_all(plain);
    out.finish().unwrap_or_default()
}

fn snappy(plain: &[u8]) -> Vec<u8> {
    let mut out = SNAPPY_START.to_vec();
    for chunk in plain.chunks(SNAPPY_CHUNK) {
        let packed = minlz::encode_snappy(chunk);
        // Wire: type, length of what follows in three bytes, checksum, block.
        let [a, b, c, _] = (packed.len() as u32 + 4).to_le_bytes();
        out.extend_from_slice(&[SNAPPY_COMPRESSED, a, b, c]);
        out.extend_from_slice(&masked_checksum(chunk).to_le_bytes());
        out.extend_from_slice(&packed);
    }
    out
}

/// Rotated and offset, as the format wants it.
fn masked_checksum(plain: &[u8]) -> u32 {
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, plain) as u32;
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn ask(accepted: &str, document: &[u8]) -> (String, Vec<u8>) {
        let header = format!("NATS/1.0\r\nAccept-Encoding: {accepted}\r\n\r\n");
        let (block, payload) = packed(header.as_bytes(), document.to_vec());
        (String::from_utf8_lossy(&block).into_owned(), payload)
    }

    fn block(encoding: &str) -> String {
        format!("NATS/1.0\r\nContent-Encoding: {encoding}\r\n\r\n")
    }

    // Contract: SYS-012
    #[test]
    fn gzip_unpacks_to_the_document() {
        let document = b"abc".repeat(70_000);
        let (header, payload) = ask("br, GZip", &document);
        assert_eq!(header, block("gzip"));
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&*payload).read_to_end(&mut plain).unwrap_or_default();
        assert_eq!(plain, document);
    }

    // Contract: SYS-012
    #[test]
    fn snappy_comes_in_chunks_with_their_checksums() {
        let document = b"abcdefgh".repeat(20_000);
        for accepted in ["gzip, snappy", "S2"] {
            let (header, payload) = ask(accepted, &document);
            assert_eq!(header, block("snappy"));
            let mut rest = payload.strip_prefix(SNAPPY_START).unwrap_or_default();
            let mut plain = Vec::new();
            while let [0, a, b, c, after @ ..] = rest {
                let length = u32::from_le_bytes([*a, *b, *c, 0]) as usize;
                let (sum, chunk) = after[..length].split_at(4);
                let part = minlz::decode(chunk).unwrap_or_default();
                assert_eq!(sum, masked_checksum(&part).to_le_bytes());
                plain.extend_from_slice(&part);
                rest = &after[length..];
            }
            assert!(rest.is_empty() && plain == document);
        }
        // From the format's description: the checksum of no bytes.
        assert_eq!(masked_checksum(b""), 0xa282_ead8);
    }

    // Contract: SYS-012
    #[test]
    fn what_is_not_known_is_said_and_what_is_not_asked_is_not() {
        assert_eq!(ask("br", b"x"), (block("identity"), b"x".to_vec()));
        assert_eq!(packed(b"NATS/1.0\r\nX: y\r\n\r\n", b"x".to_vec()), (vec![], b"x".to_vec()));
        assert_eq!(packed(b"", b"x".to_vec()), (vec![], b"x".to_vec()));
    }
}
