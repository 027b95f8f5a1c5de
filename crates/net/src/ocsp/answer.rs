//! Questions to a responder, and its answers.
//!
//! Laws: an answer counts only if the issuer signed it, or somebody whom the issuer has allowed to;
//!       and only for the certificate that was asked about.
//! Reference: RFC 6960; golang.org/x/crypto/ocsp; certidp.go ValidDelegationCheck, OCSPResponseCurrent.
//! Contract: TLS-013, TLS-014.

use super::certificate::Certificate;
use super::der::{
    self, ENUMERATED, GENERALIZED_TIME, INTEGER, NULL, OCTET_STRING, OID, Reader, SEQUENCE,
    explicit,
};
use super::signature;
use sha1::{Digest, Sha1};
use sha2::Sha256;

/// `id-sha1`, content of the identifier.
const SHA1_OID: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
/// `id-sha256`.
const SHA256_OID: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
/// `id-pkix-ocsp-basic`.
const BASIC_OID: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
/// The largest answer that is looked at.
pub const MAX_ANSWER: usize = 64 << 10;

/// What a responder says of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It has not been revoked.
    Good,
    /// It has been revoked.
    Revoked,
    /// The responder does not know it.
    Unknown,
}

impl Status {
    /// As logs and the cache print it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
        }
    }
}

/// An answer that was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it says.
    pub status: Status,
    /// Since when that is known, in Unix seconds.
    pub this_update: i64,
    /// When there will be news, in Unix seconds.
    pub next_update: Option<i64>,
}

/// Why an answer does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is not an answer at all.
    #[error("malformed OCSP response")]
    Malformed,
    /// The responder did not want to answer.
    #[error("error from server: {0}")]
    Refused(&'static str),
    /// It is about other certificates.
    #[error("no response matching the supplied certificate")]
    Other,
    /// Nobody signed it whose word counts.
    #[error("bad OCSP signature")]
    Signature,
    /// It is from the future, or there should be news by now.
    #[error("response is not current")]
    NotCurrent,
}

/// The question for the status of `certificate`, which `issuer` signed.
pub fn question(certificate: &Certificate, issuer: &Certificate) -> Vec<u8> {
    let algorithm = der::write(SEQUENCE, &[&der::write(OID, &[SHA1_OID]), &[NULL, 0]]);
    let name = der::write(OCTET_STRING, &[&Sha1::digest(&issuer.subject_der)]);
    let key = der::write(OCTET_STRING, &[&Sha1::digest(&issuer.key.bits)]);
    let serial = der::write(INTEGER, &[&certificate.serial]);
    let id = der::write(SEQUENCE, &[&algorithm, &name, &key, &serial]);
    let list = der::write(SEQUENCE, &[&der::write(SEQUENCE, &[&id])]);
    der::write(SEQUENCE, &[&der::write(SEQUENCE, &[&list])])
}

impl Answer {
    /// Reads and verifies an answer about `certificate`, at `now` in Unix seconds.
    ///
    /// # Errors
    /// It does not count. Whether it is still current is [`Answer::is_current`]'s to say.
    pub fn verify(
        data: &[u8],
        certificate: &Certificate,
        issuer: &Certificate,
        now: i64,
    ) -> Result<Self, AnswerError> {
        let basic = basic(data)?;
        let signed = signature::signed(basic).ok_or(AnswerError::Malformed)?;
        if !issuer.key.has_signed(&signed) {
            let delegate = delegate(signed.rest, issuer, now).ok_or(AnswerError::Signature)?;
            if !delegate.key.has_signed(&signed) {
                return Err(AnswerError::Signature);
            }
        }
        let mut singles = singles(signed.data).ok_or(AnswerError::Malformed)?;
        while !singles.is_empty() {
            let single = singles.expect(SEQUENCE).ok_or(AnswerError::Malformed)?;
            if let Some(answer) = about(der::inside(&single), certificate, issuer)? {
                return Ok(answer);
            }
        }
        Err(AnswerError::Other)
    }

    /// Whether it counts at `now`: `skew` is how far clocks may be apart, `unset` how long an answer
    /// counts that does not tell. All in seconds.
    pub fn is_current(&self, now: i64, skew: i64, unset: i64) -> bool {
        let end = self.next_update.unwrap_or(self.this_update.saturating_add(unset));
        end >= now.saturating_sub(skew) && self.this_update <= now.saturating_add(skew)
    }
}

/// The signed part of a response that is one.
fn basic(data: &[u8]) -> Result<&[u8], AnswerError> {
    let mut outer = Reader::new(data);
    let whole = outer.expect(SEQUENCE).ok_or(AnswerError::Malformed)?;
    let mut parts = der::inside(&whole);
    let status = parts.expect(ENUMERATED).ok_or(AnswerError::Malformed)?;
    match status.content {
        [0] => {}
        [1] => return Err(AnswerError::Refused("malformed")),
        [2] => return Err(AnswerError::Refused("internal error")),
        [3] => return Err(AnswerError::Refused("try later")),
        [5] => return Err(AnswerError::Refused("signature required")),
        [6] => return Err(AnswerError::Refused("unauthorized")),
        _ => return Err(AnswerError::Malformed),
    }
    let read = || {
        let bytes = parts.expect(explicit(0))?;
        let bytes = der::inside(&bytes).expect(SEQUENCE)?;
        let mut bytes = der::inside(&bytes);
        let kind = bytes.expect(OID)?;
        let response = bytes.expect(OCTET_STRING)?;
        (kind.content == BASIC_OID).then_some(response.content)
    };
    let mut read = read;
    read().ok_or(AnswerError::Malformed)
}

/// The certificate among `rest` that may sign for `issuer`.
fn delegate(mut rest: Reader<'_>, issuer: &Certificate, now: i64) -> Option<Certificate> {
    let certificates = rest.optional(explicit(0))?;
    let list = der::inside(&certificates).expect(SEQUENCE)?;
    let first = Certificate::new(der::inside(&list).expect(SEQUENCE)?.whole)?;
    let valid = (first.validity.0..=first.validity.1).contains(&now);
    // The issuer's own certificate may come along too.
    let same = first.der == issuer.der;
    (same || (valid && first.signs_answers && first.is_signed_by(issuer))).then_some(first)
}

/// The single answers in response data.
fn singles(data: &[u8]) -> Option<Reader<'_>> {
    let whole = Reader::new(data).expect(SEQUENCE)?;
    let mut parts = der::inside(&whole);
    let _version = parts.optional(explicit(0));
    let responder = parts.next()?;
    if responder.tag != explicit(1) && responder.tag != explicit(2) {
        return None;
    }
    let _produced_at = parts.expect(GENERALIZED_TIME)?;
    parts.expect(SEQUENCE).map(|list| der::inside(&list))
}

/// What a single answer says, if it is about `certificate`.
fn about(
    mut parts: Reader<'_>,
    certificate: &Certificate,
    issuer: &Certificate,
) -> Result<Option<Answer>, AnswerError> {
    let mut read = || {
        let id = parts.expect(SEQUENCE)?;
        let status = match parts.next()?.tag {
            0x80 => Status::Good,
            0xa1 => Status::Revoked,
            0x82 => Status::Unknown,
            _ => return None,
        };
        let this_update = der::time(parts.expect(GENERALIZED_TIME)?.content)?;
        let next_update = match parts.optional(explicit(0)) {
            None => None,
            Some(next) => Some(der::time(der::inside(&next).expect(GENERALIZED_TIME)?.content)?),
        };
        let is_it = identifies(der::inside(&id), certificate, issuer)?;
        Some((is_it, Answer { status, this_update, next_update }))
    };
    let (is_it, answer) = read().ok_or(AnswerError::Malformed)?;
    Ok(is_it.then_some(answer))
}

/// Whether a certificate is meant.
fn identifies(mut id: Reader<'_>, certificate: &Certificate, issuer: &Certificate) -> Option<bool> {
    let algorithm = id.expect(SEQUENCE)?;
    let algorithm = der::inside(&algorithm).expect(OID)?.content;
    let (name, key) = (id.expect(OCTET_STRING)?.content, id.expect(OCTET_STRING)?.content);
    let serial = id.expect(INTEGER)?.content;
    let (subject, bits) = (&issuer.subject_der, &issuer.key.bits);
    let issued = match algorithm {
        SHA1_OID => {
            name == Sha1::digest(subject).as_slice() && key == Sha1::digest(bits).as_slice()
        }
        SHA256_OID => {
            name == Sha256::digest(subject).as_slice() && key == Sha256::digest(bits).as_slice()
        }
        _ => false,
    };
    Some(issued && serial == certificate.serial)
}
