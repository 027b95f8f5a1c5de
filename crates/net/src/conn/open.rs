//! How a connection opens on a listener with TLS or behind a proxy: header, handshake and INFO in
//! the order agreed, within the time allowed.
//!
//! Not here: the decisions (`tls::opening`), the handshake itself (rustls).
//! Laws: a client that does not get through leaves no more than its line in the closed list.
//! Contract: TLS-005..009, CORE-055, CORE-063.

use super::gate::Gate;
use super::proxy::{self, ProxyFailure};
use super::sink::Transport;
use super::{driver, new_session};
use crate::http;
use crate::ocsp::{PeerCheck, Peers, Rejected};
use crate::tls::{
    AfterInfo, FirstStep, HandshakeFailure, HandshakeFirst, Opening, RateLimiter, ServerTls,
    TlsConfigError, opening::wants_tls,
};
use crate::workers::Context;
use broker::Session;
use broker::conn::TlsFacts;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use wire::encode;
use wire::error::{CloseReason, text};

/// The TLS side of the client listener.
pub struct ClientTls {
    server: ServerTls,
    opening: Opening,
    limiter: Option<Mutex<RateLimiter>>,
    peers: Option<Arc<Peers>>,
}

impl ClientTls {
    /// TLS with the listener's options; `rate_limit` is handshakes per second, 0 for no limit.
    pub fn new(server: ServerTls, allow_non_tls: bool, rate_limit: i64) -> Self {
        let opening = Opening {
            tls: true,
            allow_non_tls,
            handshake_first: server.handshake_first(),
            verify: server.verifies_clients(),
            in_process: false,
            timeout: server.timeout(),
        };
        let limiter = RateLimiter::new(rate_limit).map(Mutex::new);
        Self { server, opening, limiter, peers: None }
    }

    /// Has clients' certificates checked by OCSP; `rejected` is told whom that keeps out.
    #[must_use]
    pub fn with_peer_check(
        mut self,
        check: PeerCheck,
        rejected: impl Fn(&Rejected) + Send + Sync + 'static,
    ) -> Self {
        self.peers = Some(Arc::new(Peers::new(check, rejected)));
        self
    }

    /// How monitoring does its handshakes: clients show no certificate, unless clients' certificates
    /// are checked by OCSP.
    ///
    /// # Errors
    /// The library refuses it.
    // Compat(TLS-021)
    pub fn monitoring(&self) -> Result<http::Terms, TlsConfigError> {
        let config = match &self.peers {
            None => self.server.without_client_certificates()?,
            Some(_) => self.server.acceptor().config(),
        };
        Ok(http::Terms { config, peers: self.peers.clone() })
    }

    /// The certificates and rules.
    pub fn server(&self) -> &ServerTls {
        &self.server
    }

    /// Connections turned away by the rate limit since the last call.
    pub fn take_blocked(&self) -> u64 {
        let Some(limiter) = &self.limiter else { return 0 };
        limiter.lock().unwrap_or_else(PoisonError::into_inner).take_blocked()
    }
}

/// Why a connection did not get to its session.
enum Refused {
    Handshake(HandshakeFailure),
    Throttled,
    Gone,
    /// What is wrong with the proxy's header.
    Header(String),
}

impl From<ProxyFailure> for Refused {
    fn from(failure: ProxyFailure) -> Self {
        match failure {
            ProxyFailure::Gone => Self::Gone,
            ProxyFailure::Header(what) => Self::Header(what),
        }
    }
}

/// How connections of a listener begin.
pub(super) struct Door {
    pub tls: Option<Arc<ClientTls>>,
    /// They may begin with a PROXY header.
    pub proxied: bool,
}

/// Opens a connection and hands it to its driver.
pub(super) async fn open(
    mut stream: TcpStream,
    peer: Option<SocketAddr>,
    door: Door,
    context: Rc<RefCell<Context>>,
) {
    let (mut session, admitted) = new_session(peer, broker::conn::Transport::Tcp, &context);
    session.hide_ip(door.proxied);
    if !admitted {
        turn_away(&mut stream, session, text::MAX_CONNECTIONS, &context).await;
        return;
    }
    match converse(stream, &mut session, &door, &context).await {
        Ok(transport) => {
            session.conn.outbox.lock().attach(transport.sink());
            let greeted = session.is_greeted();
            {
                let Context { worker, clock, .. } = &mut *context.borrow_mut();
                worker.now = clock.now();
                session.restart_timers(worker);
                if !greeted {
                    session.greet(worker);
                }
                worker.flush_touched();
            }
            driver::Driver::new(transport, session, context).await;
        }
        Err(refused) => end(session, refused, &context),
    }
}

/// INFO and handshake, in the order the listener and the client want them.
async fn converse(
    mut stream: TcpStream,
    session: &mut Session,
    door: &Door,
    context: &Rc<RefCell<Context>>,
) -> Result<Transport, Refused> {
    let Some(tls) = &door.tls else {
        greet_now(&mut stream, session, context).await?;
        take_header(&mut stream, session, door).await?;
        return Ok(Transport::tcp(stream));
    };
    let opening = &tls.opening;
    let first = match opening.first_step() {
        FirstStep::Handshake => true,
        FirstStep::Await(delay) => first_byte(&stream, delay).await?.is_some(),
        FirstStep::SendInfo => false,
    };
    let flags = opening.info_flags(first);
    session.set_tls_flags(flags.required, flags.available, flags.verify);
    if !first {
        greet_now(&mut stream, session, context).await?;
    }
    // A proxy's header is not encrypted, whatever follows.
    take_header(&mut stream, session, door).await?;
    if first {
        return handshake(stream, session, tls, true, context).await;
    }
    let wanted = match opening.after_info() {
        AfterInfo::Handshake => true,
        AfterInfo::Sniff(wait) => wants_tls(first_byte(&stream, wait).await?),
        AfterInfo::Plain => false,
    };
    if wanted {
        handshake(stream, session, tls, false, context).await
    } else {
        Ok(Transport::tcp(stream))
    }
}

async fn greet_now(
    stream: &mut TcpStream,
    session: &mut Session,
    context: &Rc<RefCell<Context>>,
) -> Result<(), Refused> {
    let line = session.greeting(&mut context.borrow_mut().worker);
    stream.write_all(&line).await.map_err(|_| Refused::Gone)
}

/// Takes the proxy's header, where there may be one.
async fn take_header(
    stream: &mut TcpStream,
    session: &mut Session,
    door: &Door,
) -> Result<(), Refused> {
    if !door.proxied {
        return Ok(());
    }
    if let Some(address) = proxy::read(stream).await? {
        session.conn.set_proxied(address);
    }
    session.hide_ip(false);
    Ok(())
}

/// The first byte the client sends within `wait`, left where it is.
async fn first_byte(stream: &TcpStream, wait: Duration) -> Result<Option<u8>, Refused> {
    let mut byte = [0];
    match timeout(wait, stream.peek(&mut byte)).await {
        Err(_) => Ok(None),
        Ok(Ok(1)) => Ok(Some(byte[0])),
        Ok(Ok(_) | Err(_)) => Err(Refused::Gone),
    }
}

async fn handshake(
    mut stream: TcpStream,
    session: &mut Session,
    tls: &ClientTls,
    first: bool,
    context: &Rc<RefCell<Context>>,
) -> Result<Transport, Refused> {
    if let Some(limiter) = &tls.limiter {
        let now = context.borrow().clock.now().mono;
        let allowed = limiter.lock().unwrap_or_else(PoisonError::into_inner).allow(now);
        if !allowed {
            say(&mut stream, RateLimiter::CLIENT_ERROR).await;
            return Err(Refused::Throttled);
        }
    }
    let log = context.borrow().worker.broker.log.clone();
    let label = session.conn.label();
    stdx::debug!(log, "{label} - Starting TLS client connection handshake");
    let acceptor = tls.server.acceptor();
    let accept = tokio_rustls::TlsAcceptor::from(acceptor.config()).accept(Gate::new(stream));
    let stream = match timeout(tls.server.timeout(), accept).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(Refused::Handshake(acceptor.failure(&error))),
        Err(_) => return Err(Refused::Handshake(HandshakeFailure::Timeout)),
    };
    let facts = tls.server.finish(stream.get_ref().1).map_err(|failure| {
        if let HandshakeFailure::NotPinned(unpinned) = &failure {
            stdx::debug!(log, "{label} - {}", unpinned.detail());
        }
        Refused::Handshake(failure)
    })?;
    if let Some(peers) = &tls.peers {
        peers.let_in(stream.get_ref().1).await.map_err(Refused::Handshake)?;
    }
    let (version, suite) = (&facts.version, &facts.cipher_suite);
    stdx::debug!(log, "{label} - TLS handshake complete");
    stdx::debug!(log, "{label} - TLS version {version}, cipher suite {suite}");
    let certs = facts.peer_certificates;
    session.conn.facts.lock().tls = Some(Box::new(TlsFacts {
        version: facts.version,
        cipher_suite: facts.cipher_suite,
        first: first && tls.opening.handshake_first != HandshakeFirst::Off,
        chain: facts.chain,
        peer_certs: certs.into_iter().map(|c| (c.subject, c.spki_sha256, c.cert_sha256)).collect(),
    }));
    if let Some(certificate) = facts.certificate {
        session.set_certificate(Arc::new(certificate));
    }
    Ok(Transport::layered(Box::new(stream)))
}

async fn say(stream: &mut TcpStream, message: &str) {
    let _ =
        timeout(Duration::from_millis(100), stream.write_all(&encode::error_line(message))).await;
}

/// The server has as many connections as it may.
async fn turn_away(
    stream: &mut TcpStream,
    mut session: Session,
    message: &str,
    context: &Rc<RefCell<Context>>,
) {
    let line = session.greeting(&mut context.borrow_mut().worker);
    let _ = timeout(Duration::from_millis(100), stream.write_all(&line)).await;
    say(stream, message).await;
    session.conn.close(CloseReason::MaxConnectionsExceeded);
    finish(session, context);
}

fn end(session: Session, refused: Refused, context: &Rc<RefCell<Context>>) {
    let log = context.borrow().worker.broker.log.clone();
    let label = session.conn.label();
    let reason = match refused {
        Refused::Gone => CloseReason::ClientClosed,
        Refused::Header(what) => {
            let peer = session.conn.peer().map_or_else(String::new, |peer| peer.to_string());
            stdx::warning!(log, "Error reading PROXY protocol header from {peer}: {what}");
            CloseReason::ProtocolViolation
        }
        Refused::Throttled => CloseReason::MaxConnectionsExceeded,
        Refused::Handshake(failure) => {
            let line = match failure {
                HandshakeFailure::Timeout => "TLS handshake timeout".to_owned(),
                ref other => format!("TLS handshake error: {other}"),
            };
            if failure.is_probe() {
                stdx::debug!(log, "{label} - {line}");
            } else {
                stdx::error!(log, "{label} - {line}");
            }
            CloseReason::TlsHandshakeError
        }
    };
    session.conn.close(reason);
    finish(session, context);
}

fn finish(mut session: Session, context: &Rc<RefCell<Context>>) {
    let Context { worker, clock, .. } = &mut *context.borrow_mut();
    worker.now = clock.now();
    session.end(worker);
    worker.flush_touched();
}
