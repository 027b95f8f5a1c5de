//! OCSP of the listeners: answers about our own certificates are stapled, certificates of clients
//! are asked about.
//!
//! Not here: questions and answers themselves (`net::ocsp`).
//! Laws: a server that has to staple does not start without an answer; an answer is asked for anew
//!       at half of its time; whoever replaces the TLS of a listener ends what stapled to it.
//! Reference: ocsp.go NewOCSPMonitor, run; ocsp_peer.go plugTLSOCSPPeer.
//! Contract: TLS-013..016.

use crate::control::Spawner;
use config::Options;
use config::options::{OcspCache, OcspMode, OcspOptions, OcspPeer, TlsOptions};
use net::conn::ClientTls;
use net::ocsp::{
    Answer, Cache, CacheConfig, Certificate, FetchError, PeerCheck, PeerConfig, Status, fetch,
    issuer_of, question,
};
use net::tls::TlsConfigError;
use node::Node;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use stdx::log::Log;
use stdx::time::Timestamp;
use tokio::sync::watch;

/// How long a responder may take for one of our own certificates.
const PATIENCE: Duration = Duration::from_secs(30);
/// When an answer that does not tell is asked for again.
const UNSET: Duration = Duration::from_secs(24 * 3600);
/// When an answer that has ended is asked for again.
const OVERDUE: Duration = Duration::from_secs(120);
/// Longest time that an answer without an end counts; it is asked for again much earlier.
const FOREVER: i64 = 1 << 40;

/// Why a listener cannot have its certificate.
#[derive(Debug, thiserror::Error)]
pub enum OcspError {
    /// Nothing is known of who signed the certificate. Remedy: the issuer behind it in `cert_file`,
    /// or in `ca_file`.
    #[error("no issuers found")]
    NoIssuer,
    /// Who signed it is no authority.
    #[error("{0} invalid ca basic constraints: is not ca")]
    NoAuthority(String),
    /// There is no answer to staple. Remedy: a responder that can be reached, or `mode: never`.
    #[error("bad OCSP status update for certificate at '{file}': {cause}")]
    NoStatus {
        /// The certificate's file.
        file: String,
        /// What went wrong.
        cause: String,
    },
    /// The certificate is not good. Remedy: another one.
    #[error("found existing OCSP status for certificate at '{file}': {status}")]
    NotGood {
        /// The certificate's file.
        file: String,
        /// What it is.
        status: &'static str,
    },
    /// Clients that show no certificate cannot be checked. Remedy: `verify: true`.
    #[error(
        "OCSP peer verification for client connections requires TLS verify (mTLS) to be enabled"
    )]
    NotVerified,
    /// The authorities cannot be read.
    #[error(transparent)]
    Authorities(#[from] TlsConfigError),
    /// The directory of answers cannot be made.
    #[error("could not create OCSP storage directory - {0}")]
    Directory(std::io::Error),
}

/// What staples of a listener need.
pub(crate) struct Stapling {
    certificate: Certificate,
    issuer: Certificate,
    urls: Vec<String>,
    file: String,
    /// Where answers are kept, if they are.
    kept: Option<PathBuf>,
    ends_server: bool,
    answer: Answer,
}

/// OCSP of one server.
pub(crate) struct Ocsp {
    spawner: Spawner,
    log: Log,
    cache: Mutex<Option<(OcspCache, Arc<Cache>)>>,
    node: OnceLock<Weak<Node>>,
    /// Whether a certificate was taken back that the server must not be without.
    ended: watch::Sender<bool>,
}

/// Whether to staple, and whether the server ends once the certificate is not good any more.
fn wanted(mode: Option<OcspMode>, must_staple: bool) -> Option<bool> {
    match mode {
        Some(OcspMode::Never) => None,
        Some(OcspMode::Always) => Some(true),
        Some(OcspMode::Must) => must_staple.then_some(true),
        Some(OcspMode::Auto) | None => must_staple.then_some(false),
    }
}

impl Ocsp {
    pub(crate) fn new(spawner: Spawner, log: Log) -> Arc<Self> {
        let ended = watch::Sender::new(false);
        let (cache, node) = (Mutex::default(), OnceLock::new());
        Arc::new(Self { spawner, log, cache, node, ended })
    }

    /// Tells events there from now on.
    pub(crate) fn attach(self: &Arc<Self>, node: &Arc<Node>) {
        let _ = self.node.set(Arc::downgrade(node));
        let this = Arc::downgrade(self);
        node.set_ocsp_facts(move || this.upgrade()?.facts());
    }

    fn cache(&self) -> MutexGuard<'_, Option<(OcspCache, Arc<Cache>)>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Becomes `true` when the server has to end.
    pub(crate) fn ended(&self) -> watch::Receiver<bool> {
        self.ended.subscribe()
    }

    /// Writes what is remembered.
    pub(crate) fn save(&self) {
        let cache = self.cache().as_ref().map(|(_, cache)| cache.clone());
        if let Some(cache) = cache {
            save(&cache, &self.log);
        }
    }

    /// What monitoring says of the cache.
    fn facts(&self) -> Option<monitor::OcspCacheFacts> {
        let cache = self.cache().as_ref().map(|(_, cache)| cache.clone())?;
        let stats = cache.stats();
        cache.is_on().then_some(monitor::OcspCacheFacts {
            kind: "local",
            hits: stats.hits,
            misses: stats.misses,
            responses: stats.responses,
            revoked: stats.revoked,
            good: stats.good,
            unknown: stats.unknown,
        })
    }

    /// Has clients' certificates checked, if that is configured.
    ///
    /// # Errors
    /// It cannot be done.
    pub(crate) fn check_peers(
        self: &Arc<Self>,
        client: ClientTls,
        tls: &TlsOptions,
        options: &Options,
    ) -> Result<ClientTls, OcspError> {
        let Some(peer) = tls.ocsp_peer.as_ref().filter(|peer| peer.verify) else {
            return Ok(client);
        };
        if !client.server().verifies_clients() {
            return Err(OcspError::NotVerified);
        }
        let cache = self.cache_of(options);
        let authorities = client.server().authorities().to_vec();
        let authorities = authorities.iter().map(AsRef::as_ref);
        let check = PeerCheck::new(peer_config(peer), authorities, cache, self.log.clone());
        let this = Arc::downgrade(self);
        Ok(client.with_peer_check(check, move |rejected| {
            if let Some(node) = this.upgrade().and_then(|ocsp| ocsp.node.get()?.upgrade()) {
                crate::ocsp_event::rejected(&node, rejected);
            }
        }))
    }

    /// The cache that `options` want, which may be the one there is.
    fn cache_of(self: &Arc<Self>, options: &Options) -> Arc<Cache> {
        let wanted = options.ocsp_cache.clone().unwrap_or_default();
        let mut cache = self.cache();
        if let Some((config, cache)) = &*cache
            && *config == wanted
        {
            return cache.clone();
        }
        let opened = Arc::new(Cache::open(CacheConfig {
            directory: wanted.local.then(|| PathBuf::from(&wanted.local_store)),
            preserve_revoked: wanted.preserve_revoked,
        }));
        let kind = if wanted.local { "local" } else { "none" };
        stdx::notice!(self.log, "OCSP peer cache online, type [{kind}]");
        if let Some((_, old)) = cache.take() {
            save(&old, &self.log);
        }
        let every = Duration::from_secs_f64(wanted.save_interval.clamp(1.0, 1e9));
        *cache = Some((wanted, opened.clone()));
        let (weak, log) = (Arc::downgrade(&opened), self.log.clone());
        self.spawner.spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(cache) = weak.upgrade() else { return };
                // A disk may take its time.
                let log = log.clone();
                let saved = tokio::task::spawn_blocking(move || save(&cache, &log)).await;
                if saved.is_err() {
                    return;
                }
            }
        });
        opened
    }

    /// What is needed to staple to the certificate of `client`, with a first answer stapled already;
    /// `None` if nothing is to be stapled. Blocks while a responder is asked.
    ///
    /// # Errors
    /// It has to be stapled, and cannot be.
    pub(crate) fn staple(
        &self,
        client: &ClientTls,
        tls: &TlsOptions,
        options: &Options,
    ) -> Result<Option<Stapling>, OcspError> {
        let chain = client.server().chain();
        let Some(certificate) = chain.first().and_then(|der| Certificate::new(der)) else {
            return Ok(None);
        };
        let file = match tls.certificates.first() {
            Some(pair) if tls.cert_file.is_empty() => pair.cert_file.clone(),
            _ => tls.cert_file.clone(),
        };
        let mode = options.ocsp.as_ref().map(|ocsp| ocsp.mode);
        let Some(ends_server) = wanted(mode, certificate.must_staple) else {
            if certificate.must_staple {
                stdx::warning!(
                    self.log,
                    "Certificate at '{file}' has MustStaple but OCSP is disabled"
                );
            }
            return Ok(None);
        };
        let issuer = match chain.get(1) {
            Some(der) => Certificate::new(der).filter(|issuer| certificate.is_signed_by(issuer)),
            None => authority_of(&certificate, tls)?,
        };
        let issuer = issuer.ok_or(OcspError::NoIssuer)?;
        if !issuer.is_authority {
            return Err(OcspError::NoAuthority(issuer.subject));
        }
        let urls = responders(options.ocsp.as_ref(), &certificate);
        let kept = kept(options, &certificate).map_err(OcspError::Directory)?;
        let failed = |cause: String| OcspError::NoStatus { file: file.clone(), cause };
        let found = kept.as_deref().and_then(|path| local(path, &certificate, &issuer));
        let (answer, raw) = match found {
            Some(found) => found,
            None => {
                let (certificate, issuer) = (certificate.clone(), issuer.clone());
                let (urls, kept) = (urls.clone(), kept.clone());
                let asked = self.spawner.wait_for(async move {
                    remote(&urls, &certificate, &issuer, kept.as_deref()).await
                });
                asked.unwrap_or_else(|| Err("the server is ending".into())).map_err(failed)?
            }
        };
        if answer.status != Status::Good && ends_server {
            return Err(OcspError::NotGood { file, status: answer.status.name() });
        }
        client.server().staple(raw);
        Ok(Some(Stapling { certificate, issuer, urls, file, kept, ends_server, answer }))
    }

    /// Keeps the staple fresh, as long as `client` is in use.
    pub(crate) fn keep(self: &Arc<Self>, client: &Arc<ClientTls>, stapling: Stapling) {
        stdx::notice!(self.log, "OCSP Stapling enabled for Client connections");
        let (this, client) = (self.clone(), Arc::downgrade(client));
        self.spawner.spawn(async move { this.renew(&client, stapling).await });
    }

    async fn renew(&self, client: &Weak<ClientTls>, mut stapling: Stapling) {
        let Stapling { file, ends_server, .. } = &stapling;
        let (file, ends_server) = (file.clone(), *ends_server);
        if stapling.answer.status == Status::Good {
            self.announce("Found OCSP status for Client certificate at", &stapling);
        }
        loop {
            tokio::time::sleep(next_run(&stapling.answer)).await;
            let Some(client) = client.upgrade() else { return };
            let Stapling { certificate, issuer, urls, kept, .. } = &stapling;
            let (answer, raw) = match remote(urls, certificate, issuer, kept.as_deref()).await {
                Ok(found) => found,
                Err(error) => {
                    let next = stdx::go_text::duration(next_run(&stapling.answer));
                    stdx::error!(
                        self.log,
                        "Bad OCSP status update for certificate '{file}': {error}, trying again \
                         in {next}"
                    );
                    continue;
                }
            };
            stapling.answer = answer;
            if answer.status != Status::Good {
                let status = answer.status.name();
                stdx::error!(
                    self.log,
                    "Received OCSP status for Client certificate '{file}': {status}"
                );
                if ends_server {
                    self.ended.send_replace(true);
                }
                return;
            }
            client.server().staple(raw);
            self.announce("Received OCSP status for Client certificate", &stapling);
        }
    }

    fn announce(&self, what: &str, stapling: &Stapling) {
        let next = stapling.answer.next_update.map_or_else(
            || "0001-01-01T00:00:00Z".to_owned(),
            |at| Timestamp(at.saturating_mul(1_000_000_000)).rfc3339(),
        );
        let again = stdx::go_text::duration(next_run(&stapling.answer));
        let file = &stapling.file;
        stdx::notice!(
            self.log,
            "{what} '{file}': good, next update {next}, checking again in {again}"
        );
    }
}

fn save(cache: &Cache, log: &Log) {
    if let Err(error) = cache.save() {
        stdx::error!(log, "Unable to save OCSP peer cache: {error}");
    }
}

fn peer_config(peer: &OcspPeer) -> PeerConfig {
    PeerConfig {
        patience: Duration::from_secs_f64(peer.ca_timeout.clamp(0.001, 1e6)),
        skew: peer.clock_skew as i64,
        unset: peer.ttl_unset_next_update as i64,
        warn_only: peer.warn_only,
        unknown_is_good: peer.unknown_is_good,
        allow_when_unreachable: peer.allow_when_ca_unreachable,
    }
}

fn responders(ocsp: Option<&OcspOptions>, certificate: &Certificate) -> Vec<String> {
    match ocsp {
        Some(ocsp) if !ocsp.override_urls.is_empty() => ocsp.override_urls.clone(),
        _ => certificate.responders.clone(),
    }
}

/// Who of the authorities signed `certificate`.
fn authority_of(
    certificate: &Certificate,
    tls: &TlsOptions,
) -> Result<Option<Certificate>, OcspError> {
    let ca_file = Some(Path::new(&tls.ca_file)).filter(|_| !tls.ca_file.is_empty());
    let authorities = net::tls::authorities(ca_file)?;
    let authorities: Vec<_> = authorities.iter().filter_map(|der| Certificate::new(der)).collect();
    Ok(issuer_of(certificate, &authorities).cloned())
}

/// Where the answer about a certificate is kept, if there is a store directory.
fn kept(options: &Options, certificate: &Certificate) -> std::io::Result<Option<PathBuf>> {
    let store = options.jetstream.store_dir.as_deref().filter(|dir| !dir.is_empty());
    let Some(store) = store else { return Ok(None) };
    let directory = Path::new(store).join("ocsp");
    std::fs::create_dir_all(&directory)?;
    let digest = Sha256::digest(&certificate.der);
    let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Some(directory.join(name)))
}

/// An answer that was kept and still counts.
fn local(
    path: &Path,
    certificate: &Certificate,
    issuer: &Certificate,
) -> Option<(Answer, Vec<u8>)> {
    let raw = std::fs::read(path).ok()?;
    let answer = Answer::verify(&raw, certificate, issuer, now()).ok()?;
    answer.is_current(now(), 0, FOREVER).then_some((answer, raw))
}

/// Asks the responders, and keeps what they say.
async fn remote(
    urls: &[String],
    certificate: &Certificate,
    issuer: &Certificate,
    kept: Option<&Path>,
) -> Result<(Answer, Vec<u8>), String> {
    let question = question(certificate, issuer);
    let mut failed = FetchError::Nobody;
    for url in urls {
        let raw = match fetch(url, &question, PATIENCE).await {
            Ok(raw) => raw,
            Err(error) => {
                failed = error;
                continue;
            }
        };
        let answer = Answer::verify(&raw, certificate, issuer, now())
            .map_err(|error| format!("failed to get remote status: {error}"))?;
        if !answer.is_current(now(), 0, FOREVER) {
            return Err("invalid ocsp NextUpdate or ThisUpdate: the response is not current".into());
        }
        if let Some(path) = kept {
            keep_answer(path, &raw).map_err(|e| format!("failed to write ocsp status: {e}"))?;
        }
        return Ok((answer, raw));
    }
    match failed {
        FetchError::Nobody => Err(failed.to_string()),
        _ => Err(format!("exhausted ocsp servers: {failed}")),
    }
}

fn keep_answer(path: &Path, raw: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, raw)?;
    std::fs::rename(new, path)
}

/// When an answer is asked for again: at half of its time.
fn next_run(answer: &Answer) -> Duration {
    let Some(next) = answer.next_update else { return UNSET };
    let rest = next.saturating_sub(now());
    u64::try_from(rest).map_or(OVERDUE, |rest| Duration::from_millis(rest.saturating_mul(500)))
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: TLS-013
    #[test]
    fn modes_say_what_is_stapled_and_what_ends_the_server() {
        for (mode, plain, must_staple) in [
            (None, None, Some(false)),
            (Some(OcspMode::Auto), None, Some(false)),
            (Some(OcspMode::Always), Some(true), Some(true)),
            (Some(OcspMode::Must), None, Some(true)),
            (Some(OcspMode::Never), None, None),
        ] {
            assert_eq!((wanted(mode, false), wanted(mode, true)), (plain, must_staple), "{mode:?}");
        }
    }

    #[test]
    fn answers_are_renewed_at_half_of_their_time() {
        let answer = |next_update| Answer { status: Status::Good, this_update: 0, next_update };
        assert_eq!(next_run(&answer(None)), UNSET);
        assert_eq!(next_run(&answer(Some(now() - 5))), OVERDUE);
        let half = next_run(&answer(Some(now() + 3600)));
        assert!(half > Duration::from_secs(1790) && half <= Duration::from_secs(1800), "{half:?}");
    }
}
