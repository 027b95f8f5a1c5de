//! Choosing among several certificates by the server name that a client asks for.
//!
//! Laws: the first certificate that covers the name and that the client can verify is taken, else
//!       the first one.
//! Reference: Go's tls.Config.getCertificate, ClientHelloInfo.SupportsCertificate.

use arc_swap::ArcSwap;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The certificates of a listener, in the configured order.
#[derive(Debug)]
pub(super) struct Resolver {
    certificates: Vec<Named>,
}

#[derive(Debug)]
struct Named {
    /// With the staple of the moment.
    key: ArcSwap<CertifiedKey>,
    dns_names: Vec<String>,
}

impl Resolver {
    pub(super) fn new(keys: Vec<CertifiedKey>) -> Self {
        let named = |key: CertifiedKey| Named {
            dns_names: key.cert.first().map(|leaf| dns_names(leaf)).unwrap_or_default(),
            key: ArcSwap::from_pointee(key),
        };
        Self { certificates: keys.into_iter().map(named).collect() }
    }

    /// Staples an OCSP answer to the first certificate from now on.
    // Compat(TLS-013): only the first one is stapled.
    pub(super) fn staple(&self, answer: Vec<u8>) {
        let Some(first) = self.certificates.first() else { return };
        let mut key = (**first.key.load()).clone();
        key.ocsp = Some(answer);
        first.key.store(Arc::new(key));
    }

    /// The chain of the first certificate.
    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.certificates.first().map(|first| first.key.load().cert.clone()).unwrap_or_default()
    }
}

impl ResolvesServerCert for Resolver {
    // Compat(TLS-010)
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let usable =
            |c: &&Named| c.key.load().key.choose_scheme(hello.signature_schemes()).is_some();
        let covers = |c: &&Named| {
            hello.server_name().is_none_or(|name| c.dns_names.iter().any(|p| fits(name, p)))
        };
        let chosen = self.certificates.iter().find(|c| usable(c) && covers(c));
        chosen.or(self.certificates.first()).map(|c| c.key.load_full())
    }
}

fn dns_names(leaf: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else { return vec![] };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return vec![] };
    let dns = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    dns.collect()
}

/// Whether `name` is covered by `pattern`, whose leftmost label may be `*`.
fn fits(name: &str, pattern: &str) -> bool {
    let name = name.trim_end_matches('.');
    match pattern.strip_prefix("*.") {
        Some(parent) => {
            name.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent))
        }
        None => name.eq_ignore_ascii_case(pattern),
    }
}
