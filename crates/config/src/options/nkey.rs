//! Whether a text is a public nkey (or a seed) of a certain kind.
//!
//! Not here: signatures and keys themselves (`auth`); configurations only name keys.
//! Reference: nkeys IsValidPublic*Key, DecodeSeed.

use data_encoding::BASE32_NOPAD;

const OPERATOR: u8 = 14 << 3;
const ACCOUNT: u8 = 0;
const USER: u8 = 20 << 3;
const CURVE: u8 = 23 << 3;
const SERVER: u8 = 13 << 3;
const CLUSTER: u8 = 2 << 3;
const SEED: u8 = 18 << 3;

/// Whether `text` is a user's public key (`U…`).
pub fn is_public_user(text: &str) -> bool {
    prefix(text) == Some(USER)
}

/// Whether `text` is an account's public key (`A…`).
pub fn is_public_account(text: &str) -> bool {
    prefix(text) == Some(ACCOUNT)
}

/// Whether `text` is an operator's public key (`O…`).
pub fn is_public_operator(text: &str) -> bool {
    prefix(text) == Some(OPERATOR)
}

/// Whether `text` is a public curve key (`X…`).
pub fn is_public_curve(text: &str) -> bool {
    prefix(text) == Some(CURVE)
}

/// Whether `text` is any public key.
pub fn is_public(text: &str) -> bool {
    matches!(prefix(text), Some(OPERATOR | ACCOUNT | USER | CURVE | SERVER | CLUSTER))
}

/// Whether `text` is a user's seed (`SU…`).
pub fn is_user_seed(text: &str) -> bool {
    let Some(raw) = decode(text) else { return false };
    match raw.as_slice() {
        [a, b, seed @ ..] => {
            let kind = (a & 0x07) << 5 | (b & 0xf8) >> 3;
            a & 0xf8 == SEED && kind == USER && seed.len() == 32
        }
        _ => false,
    }
}

fn prefix(text: &str) -> Option<u8> {
    decode(text)?.first().copied()
}

/// The bytes of a key, its checksum verified and removed.
fn decode(text: &str) -> Option<Vec<u8>> {
    if text.len() > 128 {
        return None;
    }
    let mut raw = BASE32_NOPAD.decode(text.as_bytes()).ok()?;
    let high = raw.pop()?;
    let low = raw.pop()?;
    (raw.len() >= 2 && crc16(&raw) == u16::from_le_bytes([low, high])).then_some(raw)
}

/// CRC-16/XMODEM.
fn crc16(data: &[u8]) -> u16 {
    data.iter().fold(0, |crc, byte| {
        let mut crc = crc ^ u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 != 0 { crc << 1 ^ 0x1021 } else { crc << 1 };
        }
        crc
    })
}
