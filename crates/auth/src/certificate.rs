//! What a client certificate says, and which user it stands for.
//!
//! Not here: parsing and verifying certificates (the TLS room does, and fills `CertificateFacts`).
//! Laws: only certificates that were verified against the configured CA come here.
//! Reference: auth.go checkClientTLSCertSubject; opts.go pinned certificates.

use crate::dn::DistinguishedName;

/// The facts of a verified certificate, the peer's own (leaf) one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Mail addresses among the alternative names.
    pub emails: Vec<String>,
    /// DNS names among the alternative names.
    pub dns_names: Vec<String>,
    /// URIs among the alternative names.
    pub uris: Vec<String>,
    /// The subject.
    pub subject: DistinguishedName,
    /// SHA-256 of the subject's public key info, DER.
    pub spki_sha256: [u8; 32],
    /// SHA-256 of the certificate, DER.
    pub cert_sha256: [u8; 32],
}

/// Where the name was found that made the match, for debug lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappedBy {
    /// A mail address.
    Email,
    /// A DNS name.
    DnsName,
    /// A URI.
    Uri,
    /// The subject, compared as a distinguished name.
    DistinguishedName,
    /// The subject as text with its domain components at the end.
    RdnSequence,
    /// The subject as text.
    Subject,
}

/// Finds the user a certificate stands for: `named` looks a user up by name, `users` lists those
/// that may come in this way, with their names as distinguished names where they are such.
// Compat(AUTH-009): the order of the attempts is contract.
pub(crate) fn find_user<'a, T: Copy>(
    facts: &CertificateFacts,
    named: impl Fn(&str) -> Option<T>,
    users: &(impl Iterator<Item = (&'a DistinguishedName, T)> + Clone),
) -> Option<(T, MappedBy)> {
    let lists = [
        (&facts.emails, MappedBy::Email),
        (&facts.dns_names, MappedBy::DnsName),
        (&facts.uris, MappedBy::Uri),
    ];
    for (names, by) in lists {
        // An empty name is no identity.
        let mut names = names.iter().filter(|name| !name.is_empty());
        if let Some(user) = names.find_map(|name| named(name)) {
            return Some((user, by));
        }
    }
    let subject = &facts.subject;
    if subject.is_empty() {
        return None;
    }
    if subject.is_comparable() {
        let exact = users.clone().find(|(dn, _)| dn.same(subject));
        // Deliberate difference: among several reorderings the first configured user is taken, the
        // reference takes any.
        let found = exact.or_else(|| users.clone().find(|(dn, _)| dn.same_in_any_order(subject)));
        if let Some((_, user)) = found {
            return Some((user, MappedBy::DistinguishedName));
        }
    }
    let text = subject.to_rdn_sequence();
    let components = subject.domain_components();
    if !components.is_empty()
        && let Some(user) = named(&format!("{text},{components}"))
    {
        return Some((user, MappedBy::RdnSequence));
    }
    if text.is_empty() {
        return None;
    }
    named(&text).map(|user| (user, MappedBy::Subject))
}
