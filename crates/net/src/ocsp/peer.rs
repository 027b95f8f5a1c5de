//! Whether a peer's certificate is still good.
//!
//! Laws: a peer with a certificate that can be asked about gets in only with a good answer, unless
//!       the configuration says otherwise; without a word of the responder a revocation that is
//!       known counts.
//! Reference: ocsp_peer.go peerOCSPValid, certOCSPGood.   Contract: TLS-014, TLS-016.

use super::answer::{Answer, Status, question};
use super::cache::{self, Cache};
use super::certificate::Certificate;
use super::chain;
use super::fetch::{FetchError, fetch};
use crate::tls::HandshakeFailure;
use rustls::ServerConnection;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use stdx::log::Log;

/// `ocsp_peer` of a `tls` block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// How long to wait for a responder.
    pub patience: Duration,
    /// How far clocks may be apart, in seconds.
    pub skew: i64,
    /// How long an answer counts that does not tell, in seconds.
    pub unset: i64,
    /// Say what is wrong, and let the peer in.
    pub warn_only: bool,
    /// A certificate that the responder does not know is good.
    pub unknown_is_good: bool,
    /// A responder that cannot be reached has nothing against it.
    pub allow_when_unreachable: bool,
}

/// A peer that may not come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its certificate.
    pub peer: Facts,
    /// The certificate of its chain that is not good.
    pub link: Facts,
    /// Why not.
    pub reason: String,
}

/// What events say of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its subject.
    pub subject: String,
    /// Its issuer.
    pub issuer: String,
    /// Base64 of its SHA-256.
    pub fingerprint: String,
    /// All of it, DER.
    pub raw: Vec<u8>,
}

impl Facts {
    fn of(certificate: &Certificate) -> Self {
        Self {
            subject: certificate.subject.clone(),
            issuer: certificate.issuer.clone(),
            fingerprint: cache::key(certificate),
            raw: certificate.der.clone(),
        }
    }
}

/// Looks at peers' certificates after the handshake.
pub struct Peers {
    check: PeerCheck,
    rejected: Box<dyn Fn(&Rejected) + Send + Sync>,
}

impl Peers {
    /// `rejected` is told whom `check` keeps out.
    pub fn new(check: PeerCheck, rejected: impl Fn(&Rejected) + Send + Sync + 'static) -> Self {
        Self { check, rejected: Box::new(rejected) }
    }

    /// Whether the peer of a finished handshake may come in.
    ///
    /// # Errors
    /// Its certificate is not good any more, or nobody can say so.
    pub async fn let_in(&self, connection: &ServerConnection) -> Result<(), HandshakeFailure> {
        let chain = connection.peer_certificates().unwrap_or_default();
        self.check.check(chain).await.map_err(|rejected| {
            (self.rejected)(&rejected);
            HandshakeFailure::NotOcspValid
        })
    }
}

/// Looks at the certificates of peers.
pub struct PeerCheck {
    config: PeerConfig,
    authorities: Vec<Certificate>,
    cache: Arc<Cache>,
    log: Log,
}

impl PeerCheck {
    /// Checks by these rules; `authorities` are those that peers are verified against, DER.
    pub fn new<'a>(
        config: PeerConfig,
        authorities: impl IntoIterator<Item = &'a [u8]>,
        cache: Arc<Cache>,
        log: Log,
    ) -> Self {
        let authorities = authorities.into_iter().filter_map(Certificate::new).collect();
        Self { config, authorities, cache, log }
    }

    /// Whether a peer with this verified chain may come in.
    ///
    /// # Errors
    /// It may not.
    pub async fn check(&self, presented: &[impl AsRef<[u8]>]) -> Result<(), Box<Rejected>> {
        let chain: Vec<Certificate> =
            presented.iter().filter_map(|der| Certificate::new(der.as_ref())).collect();
        let Some(peer) = chain.first().filter(|_| chain.len() == presented.len()) else {
            stdx::error!(self.log, "Peer certificate is nil, rejecting OCSP peer");
            return Err(Box::new(Rejected {
                peer: Facts::default(),
                link: Facts::default(),
                reason: "Empty chainlink found".into(),
            }));
        };
        for (certificate, issuer) in chain::links(&chain, &self.authorities) {
            if !certificate.has_responders() {
                continue;
            }
            let verdict = match issuer {
                Some(issuer) => self.link(certificate, issuer).await,
                None => Err("Empty chainlink found".into()),
            };
            if let Err(reason) = verdict {
                stdx::debug!(self.log, "{reason}");
                stdx::debug!(self.log, "No OCSP valid chains, thus peer is invalid");
                let (peer, link) = (Facts::of(peer), Facts::of(certificate));
                return Err(Box::new(Rejected { peer, link, reason }));
            }
        }
        Ok(())
    }

    /// Whether a certificate is good; why not.
    async fn link(&self, certificate: &Certificate, issuer: &Certificate) -> Result<(), String> {
        let subject = &certificate.subject;
        let key = cache::key(certificate);
        stdx::debug!(self.log, "Checking OCSP peer cache for [{subject}], key [{key}]");
        let mut known_revoked = false;
        let mut answer = None;
        if let Some(raw) = self.cache.get(&key) {
            match Answer::verify(&raw, certificate, issuer, now()) {
                Ok(cached) => {
                    known_revoked = cached.status == Status::Revoked;
                    if self.is_current(&cached) {
                        answer = Some(cached);
                    } else {
                        self.cache.forget(&key);
                    }
                }
                Err(_) => self.cache.forget(&key),
            }
        }
        let answer = match answer {
            Some(answer) => answer,
            None => match self.ask(certificate, issuer, known_revoked).await? {
                Some((answer, raw)) => {
                    self.cache.put(key, subject, &answer, &raw, now());
                    answer
                }
                None => return Ok(()),
            },
        };
        let good = match answer.status {
            Status::Good => true,
            Status::Unknown => self.config.unknown_is_good,
            Status::Revoked => false,
        };
        if good {
            stdx::debug!(self.log, "OCSP verify pass for [{subject}]");
            return Ok(());
        }
        let status = answer.status.name();
        stdx::warning!(self.log, "OCSP verify fail for [{subject}] with CA status [{status}]");
        self.unless_warn_only(subject, format!("Invalid OCSP response status: {status}"))
    }

    /// Asks the responders; `None` if the certificate may pass without an answer.
    async fn ask(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        known_revoked: bool,
    ) -> Result<Option<(Answer, Vec<u8>)>, String> {
        let subject = &certificate.subject;
        let raw = match self.fetch(certificate, issuer).await {
            Ok(raw) => raw,
            Err(error) => {
                stdx::warning!(
                    self.log,
                    "Attempt to obtain OCSP response from CA responder for [{subject}] failed: \
                     exhausted OCSP responders: {error}"
                );
                if !self.config.warn_only && self.config.allow_when_unreachable {
                    let what = if known_revoked {
                        "cached revocation exists so rejecting"
                    } else {
                        "no cached revocation so allowing"
                    };
                    stdx::warning!(
                        self.log,
                        "Failed to obtain OCSP CA response for [{subject}] but \
                         AllowWhenCAUnreachable set; {what}"
                    );
                    if !known_revoked {
                        return Ok(None);
                    }
                }
                let reason = "Failed OCSP response fetch".to_owned();
                return self.unless_warn_only(subject, reason).map(|()| None);
            }
        };
        match Answer::verify(&raw, certificate, issuer, now()) {
            Ok(answer) if self.is_current(&answer) => Ok(Some((answer, raw))),
            Ok(_) => {
                stdx::warning!(
                    self.log,
                    "New OCSP CA response obtained for [{subject}] but not current"
                );
                let reason = "OCSP response not in effectivity window".to_owned();
                self.unless_warn_only(subject, reason).map(|()| None)
            }
            Err(error) => {
                stdx::error!(self.log, "Could not parse OCSP CA response for [{subject}]: {error}");
                let reason = "Failed OCSP response parse".to_owned();
                self.unless_warn_only(subject, reason).map(|()| None)
            }
        }
    }

    async fn fetch(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
    ) -> Result<Vec<u8>, FetchError> {
        let question = question(certificate, issuer);
        let mut failed = FetchError::Nobody;
        for url in &certificate.responders {
            stdx::debug!(self.log, "Trying OCSP responder url [{url}]");
            match fetch(url, &question, self.config.patience).await {
                Ok(raw) => return Ok(raw),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn is_current(&self, answer: &Answer) -> bool {
        answer.is_current(now(), self.config.skew, self.config.unset)
    }

    fn unless_warn_only(&self, subject: &str, reason: String) -> Result<(), String> {
        if !self.config.warn_only {
            return Err(reason);
        }
        stdx::warning!(
            self.log,
            "OCSP verify fail for [{subject}] but WarnOnly is true so allowing"
        );
        Ok(())
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
