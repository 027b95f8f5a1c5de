//! What OCSP responders send, and certificates as OCSP reads them.

use crate::{Shape, Target};
use net::ocsp::{Answer, Certificate, question};
use std::sync::LazyLock;

/// A certificate and its issuer, as the corpus has them: lengths of four bytes each before them.
const CHAIN: &[u8] = include_bytes!("ocsp.chain");

static CERTIFICATES: LazyLock<Option<(Certificate, Certificate)>> = LazyLock::new(|| {
    let (length, rest) = CHAIN.split_first_chunk::<4>()?;
    let (leaf, issuer) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((Certificate::new(leaf)?, Certificate::new(issuer)?))
});

/// Answers about a certificate.
pub(super) const OCSP: Target = Target {
    name: "ocsp",
    words: &["\x30\x03\x0a\x01\x03", "\x0a\x01\x00", "20261121195100Z", "\u{80}\0"],
    run: |bytes| {
        let Some((certificate, issuer)) = &*CERTIFICATES else {
            panic!("the corpus has no certificates");
        };
        if let Some(read) = Certificate::new(bytes) {
            question(&read, issuer);
            return Shape::of("certificate").and(Shape::count(read.responders.len()));
        }
        match Answer::verify(bytes, certificate, issuer, 1_795_290_711) {
            Ok(answer) => Shape::of(answer.status.name()),
            Err(why) => Shape::of(&why.to_string()),
        }
    },
};
