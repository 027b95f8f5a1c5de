//! Why a handshake failed, in the words of the reference's log lines.
//!
//! Not here: the alert the peer gets (rustls sends it).
//! Reference: client.go doTLSHandshake, isClientProbeTLSHandshakeError; Go's crypto/tls errors.

use super::pin::NotPinned;
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

/// A handshake that failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HandshakeFailure {
    /// The peer took too long.
    #[error("i/o timeout")]
    Timeout,
    /// The peer went away.
    #[error("EOF")]
    Closed,
    /// The socket failed.
    #[error("{0}")]
    Socket(String),
    /// TLS failed; with the certificates that were refused, if some were.
    #[error("{}{}", text(.cause), detail(.refused.as_deref()))]
    Tls {
        /// What rustls says.
        cause: Error,
        /// Subjects and hashes of the refused chain.
        refused: Option<String>,
    },
    /// The handshake succeeded, but the certificate is not good any more, or nobody can say so.
    #[error("client not OCSP valid")]
    NotOcspValid,
    /// The handshake succeeded, but the key is not one of the pinned ones.
    #[error(transparent)]
    NotPinned(#[from] NotPinned),
}

impl HandshakeFailure {
    /// Sorts out an error of the socket or, inside it, of rustls.
    pub fn from_io(error: &std::io::Error, refused: Option<String>) -> Self {
        let inner = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
        match (inner, error.kind()) {
            (Some(cause), _) => Self::Tls { cause: cause.clone(), refused },
            (None, std::io::ErrorKind::TimedOut) => Self::Timeout,
            (None, std::io::ErrorKind::UnexpectedEof) => Self::Closed,
            (None, _) => Self::Socket(error.to_string()),
        }
    }

    /// Whether a health check or a port scan looks like this, so that it is not worth an error.
    // Compat(TLS-019)
    pub fn is_probe(&self) -> bool {
        matches!(self, Self::Timeout | Self::Tls { cause: Error::InvalidMessage(_), .. })
    }
}

fn detail(refused: Option<&str>) -> String {
    refused.map(|text| format!(" ({text})")).unwrap_or_default()
}

fn text(cause: &Error) -> String {
    match cause {
        Error::InvalidMessage(_) => {
            "tls: first record does not look like a TLS handshake".to_owned()
        }
        Error::AlertReceived(alert) => format!("remote error: tls: {}", alert_text(*alert)),
        Error::NoCertificatesPresented => "tls: client didn't provide a certificate".to_owned(),
        Error::InvalidCertificate(error) => {
            format!("tls: failed to verify certificate: x509: {}", certificate_text(error))
        }
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => {
            "tls: no cipher suite supported by both client and server".to_owned()
        }
        Error::PeerIncompatible(PeerIncompatible::NoKxGroupsInCommon) => {
            "tls: no key exchanges supported by both client and server".to_owned()
        }
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => "tls: client offered only unsupported versions".to_owned(),
        other => format!("tls: {other}"),
    }
}

fn certificate_text(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => "certificate signed by unknown authority".to_owned(),
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            "certificate has expired or is not yet valid".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "certificate specifies an incompatible key usage".to_owned()
        }
        CertificateError::UnhandledCriticalExtension => "unhandled critical extension".to_owned(),
        CertificateError::BadEncoding => "malformed certificate".to_owned(),
        CertificateError::BadSignature => {
            "certificate signed by unknown authority (possibly because of a bad signature)"
                .to_owned()
        }
        CertificateError::Revoked => "certificate revoked".to_owned(),
        // An authority's own certificate that nobody trusts, and chains that lead nowhere.
        _ => "certificate signed by unknown authority".to_owned(),
    }
}

/// Alerts in Go's words.
fn alert_text(alert: AlertDescription) -> String {
    let text = match alert {
        AlertDescription::CloseNotify => "close notify",
        AlertDescription::UnexpectedMessage => "unexpected message",
        AlertDescription::BadRecordMac => "bad record MAC",
        AlertDescription::RecordOverflow => "record overflow",
        AlertDescription::HandshakeFailure => "handshake failure",
        AlertDescription::BadCertificate => "bad certificate",
        AlertDescription::UnsupportedCertificate => "unsupported certificate",
        AlertDescription::CertificateRevoked => "revoked certificate",
        AlertDescription::CertificateExpired => "expired certificate",
        AlertDescription::CertificateUnknown => "unknown certificate",
        AlertDescription::IllegalParameter => "illegal parameter",
        AlertDescription::UnknownCA => "unknown certificate authority",
        AlertDescription::AccessDenied => "access denied",
        AlertDescription::DecodeError => "error decoding message",
        AlertDescription::DecryptError => "error decrypting message",
        AlertDescription::ProtocolVersion => "protocol version not supported",
        AlertDescription::InsufficientSecurity => "insufficient security level",
        AlertDescription::InternalError => "internal error",
        AlertDescription::InappropriateFallback => "inappropriate fallback",
        AlertDescription::UserCanceled => "user canceled",
        AlertDescription::NoRenegotiation => "no renegotiation",
        AlertDescription::MissingExtension => "missing extension",
        AlertDescription::UnsupportedExtension => "unsupported extension",
        AlertDescription::UnrecognisedName => "unrecognized name",
        AlertDescription::CertificateRequired => "certificate required",
        AlertDescription::NoApplicationProtocol => "no application protocol",
        other => return format!("alert({})", u8::from(other)),
    };
    text.to_owned()
}
