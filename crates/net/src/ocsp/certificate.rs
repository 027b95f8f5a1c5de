//! What OCSP has to know of a certificate.
//!
//! Reference: ocsp.go hasOCSPStatusRequest; certidp.go CertOCSPEligible, GetSubjectDNForm.

use super::der::{self, BIT_STRING, INTEGER, Reader, SEQUENCE};
use super::signature::{self, Key};
use crate::tls::distinguished_name;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// `id-ad-ocsp`.
const OCSP_ACCESS: &str = "1.3.6.1.5.5.7.48.1";
/// `id-pe-tlsfeature`.
const TLS_FEATURE: &str = "1.3.6.1.5.5.7.1.24";
/// `status_request` among TLS features.
const STATUS_REQUEST: &[u8] = &[5];

/// A certificate, read for OCSP.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// All of it, DER.
    pub der: Vec<u8>,
    /// Its subject as logs and events print it.
    pub subject: String,
    /// Its issuer, likewise.
    pub issuer: String,
    /// Where its status can be asked for: `http` URLs.
    pub responders: Vec<String>,
    /// A server that has it must staple.
    pub must_staple: bool,
    /// It may sign other certificates.
    pub is_authority: bool,
    /// It may sign answers in the name of its issuer.
    pub(super) signs_answers: bool,
    pub(super) serial: Vec<u8>,
    pub(super) subject_der: Vec<u8>,
    pub(super) issuer_der: Vec<u8>,
    pub(super) key: Key,
    /// From when to when it is good, in Unix seconds.
    pub(super) validity: (i64, i64),
}

impl Certificate {
    /// Reads a certificate; `None` if it is none.
    pub fn new(der: &[u8]) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let mut this = Self {
            der: der.to_vec(),
            subject: distinguished_name(parsed.subject()).to_rdn_sequence(),
            issuer: distinguished_name(parsed.issuer()).to_rdn_sequence(),
            responders: Vec::new(),
            must_staple: false,
            is_authority: parsed.is_ca(),
            signs_answers: false,
            serial: parsed.raw_serial().to_vec(),
            subject_der: parsed.subject().as_raw().to_vec(),
            issuer_der: parsed.issuer().as_raw().to_vec(),
            key: Key::new(parsed.public_key().raw)?,
            validity: (
                parsed.validity().not_before.timestamp(),
                parsed.validity().not_after.timestamp(),
            ),
        };
        for extension in parsed.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::AuthorityInfoAccess(access) => {
                    for place in &access.accessdescs {
                        if let GeneralName::URI(url) = &place.access_location
                            && place.access_method.to_id_string() == OCSP_ACCESS
                        {
                            this.responders.push((*url).to_owned());
                        }
                    }
                }
                ParsedExtension::ExtendedKeyUsage(usage) => {
                    this.signs_answers = usage.ocsp_signing;
                }
                _ if extension.oid.to_id_string() == TLS_FEATURE => {
                    this.must_staple = asks_for_staples(extension.value);
                }
                _ => {}
            }
        }
        Some(this)
    }

    /// Whether `issuer` has signed it.
    pub fn is_signed_by(&self, issuer: &Self) -> bool {
        self.issuer_der == issuer.subject_der
            && signature::signed(&self.der).is_some_and(|signed| issuer.key.has_signed(&signed))
    }

    /// Whether nobody else vouches for it.
    pub fn is_self_issued(&self) -> bool {
        self.issuer_der == self.subject_der
    }

    /// Whether its status can be asked for at all.
    pub fn has_responders(&self) -> bool {
        self.responders.iter().any(|url| is_web(url))
    }
}

/// Whether a URL leads to a responder of the web.
pub(super) fn is_web(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

fn asks_for_staples(value: &[u8]) -> bool {
    let mut outer = Reader::new(value);
    let Some(list) = outer.expect(SEQUENCE) else { return false };
    let mut features = der::inside(&list);
    while let Some(feature) = features.expect(INTEGER) {
        if feature.content == STATUS_REQUEST {
            return true;
        }
    }
    false
}

/// The bits of a BIT STRING of whole bytes.
pub(super) fn bits<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    reader.expect(BIT_STRING)?.content.strip_prefix(&[0])
}
