//! A running server: threads, listeners, and the handle to stop them.
//!
//! Laws: when `start` returns, clients can connect; when `shutdown` returns, the ports are free and
//!       no thread of the server is left.

use crate::control::Control;
use crate::facts::ThisProcess;
use crate::jetstream::JetStream;
use crate::lame_duck;
use crate::monitoring::{self, Documents};
use crate::ocsp::Ocsp;
use crate::ports::{self, Ports};
use crate::reload::{self, Reloader};
use crate::tls::{Fingerprint, Made, Slot, TlsError};
use auth::authenticate::callout::ServerKeys;
use config::Options;
use config::options::HandshakeFirst as First;
use net::clock::Clock;
use net::workers::Workers;
use node::callout::CalloutHost;
use node::{Host, Node};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use stdx::log::Log;
use stdx::time::Now;
use tokio::sync::watch;
use wire::error::CloseReason;

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The options contradict each other.
    #[error(transparent)]
    Invalid(#[from] config::Invalid),
    /// An option asks for something that is not built yet.
    #[error("{}", list(.0))]
    Unbuilt(Vec<config::Unbuilt>),
    /// The options do not make a server.
    #[error(transparent)]
    Start(#[from] node::start::StartError),
    /// Operators are trusted, and there is no place for the tokens of their accounts.
    #[error(transparent)]
    Resolver(#[from] crate::resolver::ResolverError),
    /// Operators are trusted, and their accounts are not to be had.
    #[error(transparent)]
    Claims(#[from] node::claims::CannotStart),
    /// JetStream cannot start.
    #[error("Can't start JetStream: {0}")]
    JetStream(#[from] jetstream::StartError),
    /// The certificates or rules of TLS do not work.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Monitoring on both ports (MON-001).
    #[error("Can't start monitoring: can't specify both HTTP ({0}) and HTTPs ({1}) ports")]
    BothMonitors(i64, i64),
    /// `https_port` without a certificate.
    #[error("Can't start monitoring: TLS cert and key required for HTTPS")]
    HttpsWithoutTls,
    /// The listener for clients cannot be opened. Remedy: another `port`, or an end to who has it.
    #[error("Error listening on port: {address}, \"{cause}\"")]
    Listen {
        /// Where.
        address: String,
        /// Why not.
        cause: Unopened,
    },
    /// A listener for monitoring cannot be opened.
    #[error("Can't start monitoring: can't listen to the monitor port: {0}")]
    Monitor(Unopened),
    /// The listener for profiles cannot be opened.
    #[error("error starting profiler: {0}")]
    Profiler(Unopened),
    /// The system refused something else.
    #[error("{0}: {1}")]
    System(&'static str, std::io::Error),
}

/// Why a listener cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Unopened {
    /// No port has that number.
    #[error("listen tcp: address {0}: invalid port")]
    Port(i64),
    /// Nobody knows the host. Remedy: an address of this machine.
    #[error("listen tcp: lookup {0}: no such host")]
    Host(String),
    /// The system refused.
    #[error("listen tcp {0}: bind: {reason}", reason = stdx::os_text::reason(.1))]
    Bind(SocketAddr, std::io::Error),
}

fn list(unbuilt: &[config::Unbuilt]) -> String {
    unbuilt.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A running server.
pub struct Server {
    node: Arc<Node>,
    workers: Arc<Workers>,
    control: Option<Control>,
    jetstream: Arc<JetStream>,
    stop: watch::Sender<bool>,
    stop_accepting: watch::Sender<bool>,
    slot: Arc<Slot>,
    ocsp: Arc<Ocsp>,
    reloader: Arc<Reloader>,
    client: Option<SocketAddr>,
    http: Option<SocketAddr>,
    https: Option<SocketAddr>,
    profiling: Option<SocketAddr>,
    /// Whether it ever served anybody.
    ready: bool,
}

impl Server {
    /// Starts a server. Lines go to `log`; nothing is read from files but what the options name.
    pub fn start(options: Options, log: Log) -> Result<Self, ServerError> {
        config::validate(&options)?;
        let unbuilt = config::unbuilt(&options);
        if !unbuilt.is_empty() {
            return Err(ServerError::Unbuilt(unbuilt));
        }
        let zero = Instant::now();
        let clock = Clock::new(zero);
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        // It may be turned on later.
        let shards = workers;
        let process = Arc::new(ThisProcess::new(workers));
        let control = Control::start()
            .map_err(|e| ServerError::System("cannot start the control thread", e))?;
        let ocsp = Ocsp::new(control.spawner(), log.clone());
        // Before they are read: what changes from here on is noticed.
        let files = Fingerprint::of(options.tls.as_ref());
        let make = |tls| crate::tls::client(tls, &options, &ocsp);
        let tls = options.tls.as_ref().map(make).transpose()?;
        let keys = ServerKeys { pair: nkeys::KeyPair::new_server(), curve: nkeys::XKey::new() };
        let host = Host {
            server_id: keys.pair.public_key(),
            xkey: keys.curve.public_key(),
            stand_in: format!("nats-{}", nkeys::KeyPair::new_user().public_key()),
            workers,
            shards,
            now: clock.now(),
            process: process.clone(),
            tls_not_after: tls.as_ref().and_then(|made| made.client.server().not_after()),
            operators: {
                let now = move || Clock::new(zero).now();
                crate::resolver::surroundings(&options, now, &control)?
            },
            callout: CalloutHost {
                keys: Arc::new(keys),
                second_of_day: crate::resolver::second_of_day,
            },
        };
        announce(&options, &host, &log);
        let node = Arc::new(Node::new(options, host, log)?);
        announce_rest(&node);
        let workers = Workers::start(&node.broker, workers, zero)
            .map_err(|e| ServerError::System("cannot start network threads", e))?;
        let (workers, slot) = (Arc::new(workers), Arc::new(Slot::default()));
        let jetstream = Arc::new(JetStream::new(node.clone(), shards, zero, control.spawner()));
        let mut server = Self {
            control: Some(control),
            stop: watch::Sender::new(false),
            stop_accepting: watch::Sender::new(false),
            reloader: Arc::new(Reloader::new(
                node.clone(),
                workers.clone(),
                slot.clone(),
                ocsp.clone(),
                jetstream.clone(),
                zero,
                files,
            )),
            jetstream,
            ocsp,
            slot,
            node,
            workers,
            client: None,
            http: None,
            https: None,
            profiling: None,
            ready: false,
        };
        server.ocsp.attach(&server.node);
        server.start_tls(tls);
        server.workers.set_proxy_protocol(server.node.options().client.proxy_protocol);
        server.keep_time(process);
        server.watch_certificates();
        let reloader = Arc::downgrade(&server.reloader);
        server.node.system().set_reload(Arc::new(move || match reloader.upgrade() {
            Some(reloader) => reloader.reload().map_err(|error| error.to_string()),
            None => Err("the server is ending".to_owned()),
        }));
        server.start_system(zero)?;
        server.start_claims()?;
        // Before streams are opened, which may take long: whoever watches sees a server that is not
        // ready, not one that is not there.
        server.open_monitoring(zero)?;
        server.jetstream.start()?;

        server.open_clients()?;
        server.node.accepting.store(true, Ordering::Release);
        server.ready = true;
        stdx::notice!(server.log(), "Server is ready");
        Ok(server)
    }

    fn log(&self) -> &Log {
        self.node.log()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(control) = &self.control {
            control.spawn(task);
        }
    }

    /// Starts what serves the system account, if there is one.
    fn start_system(&self, zero: Instant) -> Result<(), ServerError> {
        self.node
            .start_system(&clocks(zero), net::workers::entropy)
            .map_err(|e| ServerError::System("cannot start the system account's thread", e))
    }

    /// Brings in what is defined by tokens, where operators are trusted, and watches them end.
    fn start_claims(&self) -> Result<(), ServerError> {
        let Some(claims) = self.node.claims().cloned() else { return Ok(()) };
        let node = self.node.clone();
        let started = self
            .control
            .as_ref()
            .and_then(|c| c.wait_for(async move { node.start_claims().await }));
        started.transpose()?;
        self.spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_secs(1));
            let mut bootstrapping = true;
            loop {
                tick.tick().await;
                claims.tick();
                bootstrapping = bootstrapping && claims.bootstrap().await;
            }
        });
        Ok(())
    }

    /// Gives the client listener its TLS, and says once a second whom the rate limit turned away.
    fn start_tls(&self, made: Option<Made>) {
        self.reloader.put_tls(made);
        let (log, slot) = (self.log().clone(), self.slot.clone());
        self.spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_secs(1));
            loop {
                tick.tick().await;
                let blocked = slot.client().map_or(0, |tls| tls.take_blocked());
                if blocked > 0 {
                    stdx::warning!(log, "Rejected {blocked} connections due to TLS rate limiting");
                }
            }
        });
    }

    /// CPU readings, once a second.
    fn keep_time(&self, process: Arc<ThisProcess>) {
        self.spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_secs(1));
            loop {
                tick.tick().await;
                process.tick();
            }
        });
    }

    /// Looks at the files of certificates every now and then.
    fn watch_certificates(&self) {
        let reloader = Arc::downgrade(&self.reloader);
        self.spawn(async move {
            let mut tick = tokio::time::interval(reload::WATCH_EVERY);
            loop {
                tick.tick().await;
                let Some(reloader) = reloader.upgrade() else { return };
                // Files are read, so beside the timers.
                let looked = tokio::task::spawn_blocking(move || reloader.look_at_certificates());
                if looked.await.is_err() {
                    return;
                }
            }
        });
    }

    fn open_monitoring(&mut self, zero: Instant) -> Result<(), ServerError> {
        let options = self.node.options();
        let host = options.monitoring_host().to_owned();
        let asked = |port: Option<i64>| port.filter(|port| *port != 0);
        let (http, https) = (&options.monitoring.http_port, &options.monitoring.https_port);
        if let (Some(http), Some(https)) = (asked(*http), asked(*https)) {
            return Err(ServerError::BothMonitors(http, https));
        }
        if let Some(port) = options.monitoring.http_port.filter(|port| *port != 0) {
            let (listener, local) = listen(&host, port).map_err(ServerError::Monitor)?;
            stdx::notice!(self.log(), "Starting http monitor on {local}");
            self.serve(listener, Documents::Monitoring, None, zero);
            self.http = Some(local);
        }
        if let Some(port) = options.monitoring.https_port.filter(|port| *port != 0) {
            let Some(tls) = self.slot.client() else { return Err(ServerError::HttpsWithoutTls) };
            let first = tls.monitoring().map_err(TlsError::from)?;
            let (listener, local) = listen(&host, port).map_err(ServerError::Monitor)?;
            stdx::notice!(self.log(), "Starting https monitor on {local}");
            let slot = self.slot.clone();
            // What a reload brought, as long as there is any.
            let tls: Arc<net::http::Tls> = Arc::new(move || {
                let now = slot.client().map(|tls| tls.monitoring());
                now.and_then(Result::ok).unwrap_or_else(|| first.clone())
            });
            self.serve(listener, Documents::Monitoring, Some(tls), zero);
            self.https = Some(local);
        }
        if let Some(port) = options.monitoring.prof_port.filter(|port| *port != 0) {
            let (listener, local) =
                listen(options.client_host(), port).map_err(ServerError::Profiler)?;
            stdx::notice!(self.log(), "profiling port: {}", local.port());
            self.serve(listener, Documents::Profiling, None, zero);
            self.profiling = Some(local);
        }
        Ok(())
    }

    fn serve(
        &self,
        listener: TcpListener,
        documents: Documents,
        tls: Option<Arc<net::http::Tls>>,
        zero: Instant,
    ) {
        let (node, stop) = (self.node.clone(), self.stop.subscribe());
        let log = self.log().clone();
        let clock = move || -> Now { Clock::new(zero).now() };
        self.spawn(async move {
            if let Err(error) = monitoring::serve(listener, documents, tls, node, clock, stop).await
            {
                stdx::error!(log, "monitoring: {error}");
            }
        });
    }

    fn open_clients(&mut self) -> Result<(), ServerError> {
        let options = self.node.options();
        if options.client.dont_listen {
            return Ok(());
        }
        let host = options.client_host().to_owned();
        let port = options.client_port();
        let (listener, local) = listen(&host, port)
            .map_err(|cause| ServerError::Listen { address: format!("{host}:{port}"), cause })?;
        let mut info = (*self.node.broker.info()).clone();
        if info.port == 0 {
            info.port = local.port().into();
            self.node.broker.set_info(info);
        }
        self.reloader.set_client_port(local.port().into());
        let shown = SocketAddr::new(local.ip(), local.port());
        stdx::notice!(self.log(), "Listening for client connections on {shown}");
        announce_listener(&options, self.log());
        self.client = Some(local);
        let (workers, log) = (self.workers.clone(), self.log().clone());
        let mut stop = self.stop_accepting.subscribe();
        self.spawn(async move {
            tokio::select! {
                result = net::listener::accept(listener, workers, log.clone()) => {
                    if let Err(error) = result {
                        stdx::error!(log, "Client accept loop ended: {error}");
                    }
                }
                _ = stop.wait_for(|stop| *stop) => {
                    stdx::debug!(log, "Client accept loop exiting..");
                }
            }
        });
        Ok(())
    }

    /// The server's inner state.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Returns when the server has to end: a certificate that it must not be without was revoked.
    pub async fn must_end(&self) {
        // The sender lives as long as the server.
        let _ = self.ocsp.ended().wait_for(|ended| *ended).await;
    }

    /// What reads the configuration again.
    pub fn reloader(&self) -> &Arc<Reloader> {
        &self.reloader
    }

    /// Where clients connect; `None` if the server does not listen.
    pub fn client_address(&self) -> Option<SocketAddr> {
        self.client
    }

    /// Where monitoring answers over HTTP.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Opens a connection inside the process: speak the client protocol over it. It counts like
    /// any client, but needs no listener.
    pub fn connect_in_process(&self) -> tokio::io::DuplexStream {
        self.workers.connect_in_process()
    }

    /// URLs of the listeners, for the ports file.
    pub fn ports(&self) -> Ports {
        let tls = self.node.options().tls.is_some();
        let urls = |scheme, address: Option<SocketAddr>| {
            address.map_or_else(Vec::new, |address| ports::urls(scheme, address))
        };
        let mut monitoring = urls("http", self.http);
        monitoring.extend(urls("https", self.https));
        Ports {
            nats: urls(if tls { "tls" } else { "nats" }, self.client),
            monitoring,
            profile: urls("http", self.profiling),
            ..Ports::default()
        }
    }

    /// Enters lame duck mode and returns when every client is gone; then shut down.
    pub async fn lame_duck(&self) {
        self.stop_accepting.send_replace(true);
        self.node.accepting.store(false, Ordering::Release);
        lame_duck::run(&self.node).await;
    }

    /// Stops the server: clients are told and closed, threads end.
    pub fn shutdown(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(control) = self.control.take() else { return };
        // A start that failed has its own last words.
        if self.ready {
            stdx::notice!(self.log(), "Initiating Shutdown...");
        }
        self.stop_accepting.send_replace(true);
        self.stop.send_replace(true);
        self.node.system().stop();
        self.ocsp.save();
        for conn in self.node.broker.connections() {
            conn.close(CloseReason::ServerShutdown);
        }
        let broker = self.node.broker.clone();
        control.stop_after(async move { lame_duck::drained(&broker).await });
        self.workers.stop();
        self.jetstream.stop();
        if self.ready {
            stdx::notice!(self.log(), "Server Exiting..");
        }
    }
}

/// Makes clocks that all count from `zero`.
pub(crate) fn clocks(zero: Instant) -> node::system::Clock {
    Arc::new(move || {
        let clock = Clock::new(zero);
        Box::new(move || clock.now())
    })
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn announce(options: &Options, host: &Host, log: &Log) {
    stdx::notice!(log, "Starting nats-server");
    stdx::notice!(log, "  Version:  {}", node::VERSION);
    stdx::notice!(log, "  Git:      [{}]", option_env!("IRONATS_COMMIT").unwrap_or("not set"));
    stdx::debug!(log, "  Build:    ironats {}", env!("CARGO_PKG_VERSION"));
    let name = options.server_name.as_deref().unwrap_or(&host.server_id);
    stdx::notice!(log, "  Name:     {name}");
    stdx::notice!(log, "  ID:       {}", host.server_id);
    let (known, unknown) = options.described_feature_flags();
    if !options.feature_flags.is_empty() {
        stdx::notice!(log, "  Feature flags:");
        stdx::notice!(log, "    Configured:    {known}");
    }
    if !unknown.is_empty() {
        stdx::notice!(log, "    Unsupported:   {unknown}");
    }
}

/// What is said once the options are known to make a server.
fn announce_rest(node: &Node) {
    let (options, log) = (node.options(), node.log());
    if !options.config_file.is_empty() {
        let (file, digest) = (&options.config_file, &options.config_digest);
        stdx::notice!(log, "Using configuration file: {file} ({digest})");
    }
    let max_payload = options.max_payload();
    if max_payload > 8 << 20 {
        stdx::warning!(
            log,
            "Maximum payloads over 8.00 MB are generally discouraged and could lead to poor performance"
        );
    }
}

/// What is said of the listener for clients.
fn announce_listener(options: &Options, log: &Log) {
    if options.client.proxy_protocol {
        stdx::notice!(log, "PROXY protocol enabled for client connections");
    }
    let Some(tls) = &options.tls else { return };
    let first = tls.handshake_first == First::On;
    let demand = if options.client.allow_non_tls && !first { "available" } else { "required" };
    stdx::notice!(log, "TLS {demand} for client connections");
    if first {
        stdx::warning!(
            log,
            "Clients that are not using \"TLS Handshake First\" option will fail to connect"
        );
    }
}

fn listen(host: &str, port: i64) -> Result<(TcpListener, SocketAddr), Unopened> {
    // -1 asks the system for one.
    let asked = if port == -1 { 0 } else { port };
    let port = u16::try_from(asked).map_err(|_| Unopened::Port(asked))?;
    let address = resolve(host, port).ok_or_else(|| Unopened::Host(host.to_owned()))?;
    let refused = |error| Unopened::Bind(address, error);
    let listener = net::listener::bind(address).map_err(refused)?;
    let local = listener.local_addr().map_err(refused)?;
    Ok((listener, local))
}

/// The address a listener binds to.
fn resolve(host: &str, port: u16) -> Option<SocketAddr> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (host, port).to_socket_addrs().ok()?.next()
}
