//! Who signed whom.

use super::certificate::Certificate;

/// Longest chain that is followed.
const LONGEST: usize = 16;

/// The certificate among `candidates` that signed `certificate`.
pub fn issuer_of<'a>(
    certificate: &Certificate,
    candidates: impl IntoIterator<Item = &'a Certificate>,
) -> Option<&'a Certificate> {
    candidates.into_iter().find(|issuer| certificate.is_signed_by(issuer))
}

/// The links of a chain from the peer's certificate up: each certificate with its issuer. The chain
/// was verified by TLS; who is not found in it comes from the authorities.
pub(super) fn links<'a>(
    presented: &'a [Certificate],
    authorities: &'a [Certificate],
) -> Vec<(&'a Certificate, Option<&'a Certificate>)> {
    let mut links = Vec::new();
    let mut next = presented.first();
    while let Some(certificate) = next {
        if certificate.is_self_issued() || links.len() == LONGEST {
            break;
        }
        let issuer = issuer_of(certificate, authorities.iter().chain(presented));
        links.push((certificate, issuer));
        next = issuer;
    }
    links
}
