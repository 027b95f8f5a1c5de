//! Compressed blocks: `'c' 'm' 'p' | u8 algorithm | uv size | S2 stream of all but 8 bytes | 8 bytes`.
//!
//! The last eight bytes of a block (its last record's hash) stay readable without decompression.
//! Laws: decompression allocates no more than the stated size, and the stated size is bounded.
//! Reference: filestore.go StoreCompression.Compress, CompressionInfo.   Parity: FSTORE-013.

use crate::codec::{Reader, put_uvarint, u32_at};
use crate::error::{Error, Result};

/// How sealed blocks are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// S2, a faster Snappy.
    S2,
}

const MAGIC: &[u8; 3] = b"cmp";
const S2_ID: u8 = 1;
/// No block is larger: 8 MiB blocks plus one record of 32 MiB.
const MAX_PLAIN: u64 = 64 << 20;
const CHUNK: usize = 1 << 20;
const MAX_CHUNK: u64 = 4 << 20;
/// What a stream of frames begins with.
pub(crate) const STREAM_HEAD: [u8; 10] = [0xff, 6, 0, 0, b'S', b'2', b's', b'T', b'w', b'O'];

/// Whether block bytes carry the compression header.
pub(crate) fn is_compressed(bytes: &[u8]) -> bool {
    bytes.len() > 4 && bytes.starts_with(MAGIC)
}

/// The compressed form of a whole block.
pub(crate) fn compress_block(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(plain.len() / 2 + 32);
    out.extend_from_slice(MAGIC);
    out.push(S2_ID);
    put_uvarint(&mut out, plain.len() as u64);
    let (body, tail) = plain.split_at(plain.len().saturating_sub(8));
    stream_encode(body, &mut out);
    out.extend_from_slice(tail);
    out
}

/// The plain size a compression header states.
pub(crate) fn plain_size(head: &[u8]) -> Option<u64> {
    Reader::new(head.get(4..)?).uvarint().filter(|&size| size <= MAX_PLAIN)
}

/// The plain bytes of a block that carries the compression header.
pub(crate) fn decompress_block(bytes: &[u8], file: &str) -> Result<Vec<u8>> {
    let mut r = Reader::new(bytes);
    let head = r.take(3);
    let algorithm = r.u8();
    let size = r.uvarint();
    let (Some(MAGIC), Some(algorithm), Some(size)) =
        (head.and_then(|h| h.try_into().ok()), algorithm, size)
    else {
        return Err(Error::corrupt(file, "compression header is cut short"));
    };
    if size > MAX_PLAIN || r.remaining() < 8 {
        return Err(Error::corrupt(file, "compressed size is not possible"));
    }
    let (body, tail) = r.rest().split_at(r.remaining() - 8);
    let mut plain = Vec::with_capacity(size as usize);
    let whole = stream_decode(body, size as usize, &mut plain);
    plain.extend_from_slice(tail);
    let right = whole && plain.len() as u64 == size;
    // A stream that decodes to the stated size is what it is, whatever a damaged byte says.
    if algorithm != S2_ID && !right {
        return Err(Error::Unknown { file: file.into(), what: "compression", id: algorithm });
    }
    if !right {
        return Err(Error::corrupt(file, "compressed stream is damaged"));
    }
    Ok(plain)
}

/// As much of a damaged compressed block as still decompresses, gaps left out.
pub(crate) fn salvage_block(bytes: &[u8]) -> Vec<u8> {
    let mut r = Reader::new(bytes);
    let _ = (r.take(4), r.uvarint());
    let mut plain = Vec::new();
    stream_decode(r.rest(), MAX_PLAIN as usize, &mut plain);
    plain
}

/// Appends `plain` as a framed S2 stream.
pub(crate) fn stream_encode(plain: &[u8], out: &mut Vec<u8>) {
    if plain.is_empty() {
        return;
    }
    out.extend_from_slice(&STREAM_HEAD);
    frames_encode(plain, out);
}

/// Appends `plain` as frames of a stream that has begun.
pub(crate) fn frames_encode(plain: &[u8], out: &mut Vec<u8>) {
    for chunk in plain.chunks(CHUNK) {
        let packed = minlz::encode(chunk);
        let (kind, body) = if packed.len() < chunk.len() { (0u8, &packed[..]) } else { (1, chunk) };
        let len = (body.len() + 4) as u32;
        out.push(kind);
        out.extend_from_slice(&len.to_le_bytes()[..3]);
        out.extend_from_slice(&masked_crc(chunk).to_le_bytes());
        out.extend_from_slice(body);
    }
}

/// Appends what the framed stream holds; false at the first chunk that is not right.
pub(crate) fn stream_decode(stream: &[u8], limit: usize, out: &mut Vec<u8>) -> bool {
    let mut r = Reader::new(stream);
    while r.remaining() > 0 {
        let (Some(kind), Some(len)) = (r.u8(), r.array::<3>()) else { return false };
        let len = u32::from_le_bytes([len[0], len[1], len[2], 0]) as usize;
        let Some(body) = r.take(len) else { return false };
        match frame(kind, body) {
            Ok(Some(plain)) if out.len() + plain.len() <= limit => out.extend_from_slice(&plain),
            Ok(None) => {}
            _ => return false,
        }
    }
    true
}

/// What one frame holds, if it holds anything.
fn frame(kind: u8, body: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    const DAMAGED: &str = "compressed stream is damaged";
    match kind {
        0 | 1 => {
            let data = body.get(4..).ok_or(DAMAGED)?;
            let plain = if kind == 1 { Some(data.to_vec()) } else { decode_chunk(data) };
            let plain = plain.filter(|p| masked_crc(p) == u32_at(body, 0)).ok_or(DAMAGED)?;
            Ok(Some(plain))
        }
        0xff if body == b"S2sTwO" || body == b"sNaPpY" => Ok(None),
        0x80..=0xfe => Ok(None),
        _ => Err(DAMAGED),
    }
}

/// A framed stream that comes in pieces; no more than one frame waits.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    held: Vec<u8>,
    at: usize,
}

impl Frames {
    /// Takes the next bytes; [`Self::next`] has to be asked until it has nothing more.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.held.drain(..std::mem::take(&mut self.at));
        self.held.extend_from_slice(bytes);
    }

    /// What the next whole frame holds.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, &'static str> {
        loop {
            let rest = self.held.get(self.at..).unwrap_or_default();
            let Some(&[kind, a, b, c]) = rest.first_chunk::<4>() else { return Ok(None) };
            let len = u32::from_le_bytes([a, b, c, 0]) as usize;
            let Some(body) = rest.get(4..4 + len) else { return Ok(None) };
            let plain = frame(kind, body)?;
            self.at += 4 + len;
            if plain.is_some() {
                return Ok(plain);
            }
        }
    }

    /// Whether nothing of a frame waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.held.len()
    }
}

fn decode_chunk(data: &[u8]) -> Option<Vec<u8>> {
    let size = Reader::new(data).uvarint()?;
    if size > MAX_CHUNK {
        return None;
    }
    minlz::decode(data).ok()
}

fn masked_crc(data: &[u8]) -> u32 {
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, data) as u32;
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn blocks_round_trip(unit in proptest::collection::vec(any::<u8>(), 1..50), times in 1usize..3000) {
            let plain = unit.repeat(times);
            let packed = compress_block(&plain);
            prop_assert!(is_compressed(&packed));
            prop_assert_eq!(decompress_block(&packed, "f").unwrap(), plain);
        }

        #[test]
        fn decompressing_anything_is_safe(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), named in any::<bool>()) {
            if named {
                bytes.splice(0..0, b"cmp\x01".iter().copied());
            }
            let _ = decompress_block(&bytes, "f");
            let _ = salvage_block(&bytes);
        }
    }

    #[test]
    fn unknown_algorithms_are_named() {
        let err = decompress_block(b"cmp\x09\x10aaaaaaaaaaaaaaaa", "1.blk").unwrap_err();
        assert!(matches!(err, Error::Unknown { id: 9, .. }), "{err}");
    }
}
