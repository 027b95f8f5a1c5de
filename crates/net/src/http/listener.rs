//! Accepting HTTP and HTTPS connections.
//!
//! Laws: an accept that fails never ends the listener; stopping drops every connection.
//! Reference: server.go startMonitoring; crypto/tls listener under net/http.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use stdx::log::Log;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::ocsp::Peers;

use super::connection::{HEAD_TIMEOUT, Handler, run};

/// Pause after a failed accept, so that a full file table does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Gives what the next TLS handshake goes by, so that a reload takes effect at once.
pub type Tls = dyn Fn() -> Terms + Send + Sync;

/// What a TLS handshake goes by.
#[derive(Clone)]
pub struct Terms {
    /// Certificates and rules.
    pub config: Arc<ServerConfig>,
    /// Who looks at clients' certificates after the handshake.
    pub peers: Option<Arc<Peers>>,
}

/// Serves `listener` until `stop` becomes true or its sender is dropped.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    handler: Arc<Handler>,
    log: Log,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            // Finished connections are collected as they finish, or they would pile up.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, from)) => {
                    let _ = socket.set_nodelay(true);
                    let (tls, handler, log) = (tls.clone(), Arc::clone(&handler), log.clone());
                    connections.spawn(async move {
                        match tls {
                            None => run(socket, handler).await,
                            Some(tls) => run_tls(socket, from, &*tls, handler, &log).await,
                        }
                    });
                }
                Err(error) => {
                    stdx::error!(log, "monitoring: http: Accept error: {error}; retrying");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    connections.shutdown().await;
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that nobody is left to stop it, which is a stop too.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn run_tls(
    mut socket: TcpStream,
    from: SocketAddr,
    tls: &Tls,
    handler: Arc<Handler>,
    log: &Log,
) {
    let complain = |error: &dyn std::fmt::Display| {
        stdx::error!(log, "monitoring: http: TLS handshake error from {from}: {error}");
    };
    let handshake = async {
        if is_plain_http(&socket).await? {
            let answer = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
            socket.write_all(answer).await?;
            return Err(io::Error::other("client sent an HTTP request to an HTTPS server"));
        }
        let terms = tls();
        let stream = TlsAcceptor::from(terms.config).accept(socket).await?;
        if let Some(peers) = terms.peers {
            peers.let_in(stream.get_ref().1).await.map_err(io::Error::other)?;
        }
        Ok(stream)
    };
    match timeout(HEAD_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => run(stream, handler).await,
        Ok(Err(error)) => complain(&error),
        Err(_) => complain(&"timeout"),
    }
}

/// Whether the peer speaks HTTP where TLS is spoken.
async fn is_plain_http(socket: &TcpStream) -> io::Result<bool> {
    let mut start = [0; 5];
    let mut seen = 0;
    // Peeking shows what has arrived so far; the first byte of a TLS record settles it.
    while seen < start.len() {
        let now = socket.peek(&mut start).await?;
        if now == 0 || start.first() == Some(&0x16) {
            return Ok(false);
        }
        if now == seen {
            sleep(Duration::from_millis(10)).await;
        }
        seen = now;
    }
    Ok([b"GET /", b"HEAD ", b"POST ", b"PUT /", b"OPTIO"].contains(&&start))
}
