//! Certificates for TLS tests: one authority, a server and clients signed by it.
//!
//! Laws: generated in memory for each test; keys never outlive the temporary directory they are
//!       written to.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate authority that signs for tests.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, both PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub cert_pem: String,
    /// The private key, PKCS#8.
    pub key_pem: String,
    /// The certificate as DER.
    pub cert_der: Vec<u8>,
}

/// What goes into a leaf certificate.
#[derive(Clone, Debug, Default)]
pub struct Leaf<'a> {
    /// Common name.
    pub common_name: &'a str,
    /// Organisational units.
    pub units: &'a [&'a str],
    /// DNS subject alternative names.
    pub dns: &'a [&'a str],
    /// Email subject alternative names.
    pub email: &'a [&'a str],
    /// URI subject alternative names.
    pub uri: &'a [&'a str],
    /// Where its status can be asked for.
    pub responder: &'a str,
    /// Whether a server that has it must staple.
    pub must_staple: bool,
}

impl Authority {
    /// A fresh authority with this common name.
    pub fn new(common_name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(2099, 1, 1);
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        Self { issuer: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    /// The authority's own certificate, PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A server certificate for `localhost` and `127.0.0.1`.
    pub fn server(&self) -> Identity {
        let leaf = Leaf { common_name: "localhost", dns: &["localhost"], ..Leaf::default() };
        self.sign(&leaf, true)
    }

    /// A server certificate for `localhost` and `127.0.0.1` with what else `leaf` says.
    pub fn server_with(&self, leaf: &Leaf<'_>) -> Identity {
        let dns = if leaf.dns.is_empty() { &["localhost"] } else { leaf.dns };
        self.sign(&Leaf { dns, ..leaf.clone() }, true)
    }

    /// The authority's key.
    pub fn key(&self) -> &KeyPair {
        self.issuer.key()
    }

    /// A certificate for clients and servers alike with the names of `leaf`.
    pub fn client(&self, leaf: &Leaf<'_>) -> Identity {
        self.sign(leaf, false)
    }

    fn sign(&self, leaf: &Leaf<'_>, loopback: bool) -> Identity {
        let mut params = CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(2099, 1, 1);
        params.distinguished_name.push(DnType::CommonName, leaf.common_name);
        for unit in leaf.units {
            params.distinguished_name.push(DnType::OrganizationalUnitName, *unit);
        }
        let ia5 = |s: &str| s.try_into().unwrap();
        let sans = &mut params.subject_alt_names;
        sans.extend(leaf.dns.iter().map(|n| SanType::DnsName(ia5(n))));
        sans.extend(leaf.email.iter().map(|n| SanType::Rfc822Name(ia5(n))));
        sans.extend(leaf.uri.iter().map(|n| SanType::URI(ia5(n))));
        if loopback {
            sans.push(SanType::IpAddress([127, 0, 0, 1].into()));
        }
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        if !leaf.responder.is_empty() {
            // AuthorityInfoAccess: one description, with the method for OCSP and a URI.
            let url = leaf.responder.as_bytes();
            let length = |n: usize| u8::try_from(n).unwrap();
            let mut place = vec![0x06, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 0x86, length(url.len())];
            place.extend(url);
            let size = length(place.len());
            let access = [vec![0x30, length(place.len() + 2), 0x30, size], place].concat();
            let oid = [1, 3, 6, 1, 5, 5, 7, 1, 1];
            params.custom_extensions.push(CustomExtension::from_oid_content(&oid, access));
        }
        if leaf.must_staple {
            let features = vec![0x30, 3, 2, 1, 5];
            let oid = [1, 3, 6, 1, 5, 5, 7, 1, 24];
            params.custom_extensions.push(CustomExtension::from_oid_content(&oid, features));
        }
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Identity {
            cert_pem: cert.pem(),
            key_pem: key.serialize_pem(),
            cert_der: cert.der().to_vec(),
        }
    }

    /// A client configuration that trusts this authority and shows `identity` if asked.
    pub fn client_config(&self, identity: Option<&Identity>) -> Arc<rustls::ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem().as_bytes()).unwrap()).unwrap();
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match identity {
            None => builder.with_no_client_auth(),
            Some(id) => {
                let cert = CertificateDer::from(id.cert_der.clone());
                let key = PrivateKeyDer::from_pem_slice(id.key_pem.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![cert], key).unwrap()
            }
        })
    }

    /// Writes `ca.pem`, `server.pem` and `server-key.pem` into `dir` and returns their paths.
    pub fn write_server(&self, dir: &Path) -> [PathBuf; 3] {
        let id = self.server();
        let paths = ["ca.pem", "server.pem", "server-key.pem"].map(|n| dir.join(n));
        fs::write(&paths[0], self.pem()).unwrap();
        fs::write(&paths[1], &id.cert_pem).unwrap();
        fs::write(&paths[2], &id.key_pem).unwrap();
        paths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_leaves_with_their_names() {
        let ca = Authority::new("test ca");
        let id = ca.client(&Leaf { common_name: "derek", units: &["eng"], ..Leaf::default() });
        assert!(id.cert_pem.starts_with("-----BEGIN CERTIFICATE-----"));
        let config = ca.client_config(Some(&id));
        assert!(config.client_auth_cert_resolver.has_certs());
    }
}
