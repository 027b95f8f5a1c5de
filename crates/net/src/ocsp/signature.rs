//! Signatures over DER: of answers and of certificates, which have the same outer shape.

use super::certificate::bits;
use super::der::{self, Reader, SEQUENCE};
use rustls::crypto::aws_lc_rs;

/// A public key: what it is for, and its bits.
#[derive(Clone, Debug)]
pub(super) struct Key {
    algorithm: Vec<u8>,
    pub(super) bits: Vec<u8>,
}

/// Something that is signed.
pub(super) struct Signed<'a> {
    /// What is signed, with its head.
    pub data: &'a [u8],
    /// The identifier of the algorithm.
    algorithm: &'a [u8],
    signature: &'a [u8],
    /// What stands behind the signature.
    pub rest: Reader<'a>,
}

/// Takes something signed apart: what is signed, how, and the signature.
pub(super) fn signed(data: &[u8]) -> Option<Signed<'_>> {
    let whole = Reader::new(data).expect(SEQUENCE)?;
    let mut parts = der::inside(&whole);
    let data = parts.expect(SEQUENCE)?.whole;
    let algorithm = parts.expect(SEQUENCE)?.content;
    let signature = bits(&mut parts)?;
    Some(Signed { data, algorithm, signature, rest: parts })
}

impl Key {
    /// Reads a SubjectPublicKeyInfo.
    pub(super) fn new(info: &[u8]) -> Option<Self> {
        let whole = Reader::new(info).expect(SEQUENCE)?;
        let mut parts = der::inside(&whole);
        let algorithm = parts.expect(SEQUENCE)?.content.to_vec();
        Some(Self { algorithm, bits: bits(&mut parts)?.to_vec() })
    }

    /// Whether the signature is this key's, by an algorithm that TLS would take too.
    pub(super) fn has_signed(&self, signed: &Signed<'_>) -> bool {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        algorithms.all.iter().any(|algorithm| {
            algorithm.signature_alg_id().as_ref() == signed.algorithm
                && algorithm.public_key_alg_id().as_ref() == self.algorithm
                && algorithm.verify_signature(&self.bits, signed.data, signed.signature).is_ok()
        })
    }
}
