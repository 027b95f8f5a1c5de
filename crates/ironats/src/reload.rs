//! Reading the configuration again, and following it.
//!
//! Everything that can fail is done before anything is changed: the files are read and checked, the
//! plan is made (`config::diff`), certificates are loaded, users and accounts compiled
//! (`node::reload`). Then all of it is put in force.
//!
//! Not here: what may change (`config::diff`), signals (`main`), requests (`node::system`).
//! Laws: a reload that fails has changed nothing; one reload at a time.
//! Reference: reload.go.   Contract: RELOAD-001..008, TLS-003.

use crate::jetstream::JetStream;
use crate::load::{self, Unusable};
use crate::log::LogError;
use crate::ocsp::Ocsp;
use crate::tls::{self, Fingerprint, Made, Slot, TlsError};
use config::Options;
use config::diff::{NotReloadable, Plan, Running, Step, diff};
use net::clock::Clock;
use net::workers::Workers;
use node::Node;
use node::start::StartError;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use stdx::log::Log;
use wire::error::CloseReason;

/// How often the files of certificates are looked at.
pub(crate) const WATCH_EVERY: Duration = Duration::from_secs(2);

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// There is no file to read. Remedy: start with `-c`.
    #[error("can only reload config when a file is provided using -c or --config")]
    NoFile,
    /// The file cannot be used. Remedy: `-t` says the same.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// An option cannot change while the server runs. Remedy: restart it, or undo the change.
    #[error(transparent)]
    NotReloadable(#[from] NotReloadable),
    /// The options do not make a server.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The certificates or rules of TLS do not work.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Lines cannot go where they should.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// What only the process can do: its log and its files.
pub trait Process: Send + Sync {
    /// Sends lines where `options` want them. On an error nothing changes.
    fn reconfigure_log(&self, options: &Options) -> Result<(), LogError>;
    /// Writes the pid file.
    fn write_pid(&self, options: &Options) -> std::io::Result<()>;
    /// Writes the ports file, and removes the one there was.
    fn write_ports(&self, options: &Options) -> std::io::Result<()>;
}

/// What a reload works on.
pub struct Reloader {
    node: Arc<Node>,
    workers: Arc<Workers>,
    slot: Arc<Slot>,
    ocsp: Arc<Ocsp>,
    jetstream: Arc<JetStream>,
    zero: Instant,
    /// The port that clients were given, if the system chose it.
    client_port: OnceLock<i64>,
    process: OnceLock<Arc<dyn Process>>,
    /// The files of certificates as they were loaded, or last tried.
    files: Mutex<Fingerprint>,
}

/// What is ready to be put in force.
struct Ready {
    plan: Plan,
    prepared: node::reload::Prepared,
    /// New TLS, if it changes.
    tls: Option<Option<Made>>,
    files: Fingerprint,
}

impl Reloader {
    pub(crate) fn new(
        node: Arc<Node>,
        workers: Arc<Workers>,
        slot: Arc<Slot>,
        ocsp: Arc<Ocsp>,
        jetstream: Arc<JetStream>,
        zero: Instant,
        files: Fingerprint,
    ) -> Self {
        let (client_port, process, files) = (OnceLock::new(), OnceLock::new(), Mutex::new(files));
        Self { node, workers, slot, ocsp, jetstream, zero, client_port, process, files }
    }

    /// Lets reloads reach the process's log and files. The first one stays.
    pub fn set_process(&self, process: Arc<dyn Process>) {
        let _ = self.process.set(process);
    }

    pub(crate) fn set_client_port(&self, port: i64) {
        let _ = self.client_port.set(port);
    }

    fn log(&self) -> &Log {
        self.node.log()
    }

    fn turn(&self) -> MutexGuard<'_, Fingerprint> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the configuration file again, with the command line over it, and follows it. Blocks
    /// until all is in force; not to be called on a network thread.
    ///
    /// # Errors
    /// Nothing has changed.
    pub fn reload(&self) -> Result<(), ReloadError> {
        let mut files = self.turn();
        let current = self.node.options();
        if current.config_file.is_empty() {
            return Err(ReloadError::NoFile);
        }
        let (options, warnings) = load::read(Some(&current.config_file), &current.command_line)?;
        load::check_but_system(&options)?;
        for warning in warnings {
            stdx::warning!(self.log(), "{warning}");
        }
        self.follow(&current, &options, &mut files)
    }

    /// Follows `options`, which come from elsewhere.
    ///
    /// # Errors
    /// Nothing has changed.
    pub fn reload_with(&self, options: &Options) -> Result<(), ReloadError> {
        let mut files = self.turn();
        load::check_but_system(options)?;
        self.follow(&self.node.options(), options, &mut files)
    }

    fn follow(
        &self,
        current: &Options,
        options: &Options,
        files: &mut Fingerprint,
    ) -> Result<(), ReloadError> {
        let ready = self.make_ready(current, options.clone(), *files)?;
        if ready.plan.needs(Step::Log)
            && let Some(process) = self.process.get()
        {
            process.reconfigure_log(options)?;
        }
        *files = ready.files;
        self.commit(ready, options);
        Ok(())
    }

    /// Makes everything that is needed, and changes nothing.
    fn make_ready(
        &self,
        current: &Options,
        options: Options,
        known: Fingerprint,
    ) -> Result<Ready, ReloadError> {
        let files = Fingerprint::of(options.tls.as_ref());
        let same_names = current.tls == options.tls;
        let running = Running {
            client_port: self.client_port.get().copied().unwrap_or_default(),
            jetstream: self.node.has_jetstream(),
            tls_files_changed: same_names && files != known,
        };
        let plan = diff(current, &options, running)?;
        config::check_system_account(&options).map_err(Unusable::from)?;
        let tls = if plan.needs(Step::Tls) || plan.needs(Step::Ocsp) {
            let make = |tls| tls::client(tls, &options, &self.ocsp);
            Some(options.tls.as_ref().map(make).transpose()?)
        } else {
            None
        };
        let prepared = self.node.prepare(options, &plan)?;
        Ok(Ready { plan, prepared, tls, files })
    }

    fn commit(&self, ready: Ready, options: &Options) {
        let Ready { plan, prepared, tls, .. } = ready;
        let log = self.log().clone();
        if plan.needs(Step::LogLevels) {
            let logging = &options.logging;
            log.set_levels(logging.debug.unwrap_or(false), logging.trace.unwrap_or(false));
        }
        for line in plan.lines() {
            stdx::notice!(log, "{line}");
        }
        if let Some(tls) = tls {
            self.put_tls(tls);
        }
        self.node.put_in_force(prepared, Clock::new(self.zero).now().wall);
        if plan.needs(Step::JetStream) || plan.needs(Step::Accounts) {
            let was = self.node.has_jetstream();
            if (was || options.jetstream.enabled)
                && let Err(error) = self.jetstream.follow()
            {
                stdx::warning!(log, "Can't start JetStream: {error}");
            }
            self.node.tell_jetstream();
        }
        if plan.needs(Step::MaxConnections) {
            let closed = self.node.broker.close_beyond_limit();
            if closed > 0 {
                stdx::notice!(log, "Closed {closed} connections to fall within max_connections");
            }
        }
        if plan.needs(Step::PidFile)
            && let Some(process) = self.process.get()
            && let Err(error) = process.write_pid(options)
        {
            stdx::error!(log, "Failed to write pidfile: {error}");
        }
        if plan.needs(Step::PortsFile)
            && let Some(process) = self.process.get()
            && let Err(error) = process.write_ports(options)
        {
            stdx::error!(log, "Error writing ports file {error}");
        }
        if plan.changes("TLSPinnedCerts") {
            self.drop_unpinned(options);
        }
        let digest = &options.config_digest;
        let shown = if digest.is_empty() { String::new() } else { format!("({digest})") };
        stdx::notice!(log, "Reloaded server configuration {shown}");
    }

    /// Gives connections from now on this TLS.
    pub(crate) fn put_tls(&self, made: Option<Made>) {
        let tls = made.map(|Made { client, stapling }| {
            if let Some(stapling) = stapling {
                self.ocsp.keep(&client, stapling);
            }
            client
        });
        self.node.set_tls_not_after(tls.as_ref().and_then(|tls| tls.server().not_after()));
        self.slot.set(tls.clone());
        self.workers.set_tls(tls);
    }

    /// Closes clients whose certificate is not among those that may connect any more.
    // Deliberate difference: the reference looks at the pins from before the reload.
    fn drop_unpinned(&self, options: &Options) {
        let none = BTreeSet::new();
        let pins = options.tls.as_ref().map_or(&none, |tls| &tls.pinned_certs);
        if pins.is_empty() {
            return;
        }
        let mut dropped = 0;
        for conn in self.node.broker.connections() {
            let keep = match &conn.facts.lock().tls {
                None => true,
                Some(tls) => tls.peer_certs.first().is_some_and(|(_, spki, _)| pins.contains(spki)),
            };
            if !keep && conn.close(CloseReason::TlsHandshakeError) {
                dropped += 1;
            }
        }
        if dropped > 0 {
            stdx::notice!(self.log(), "Disconnect {dropped} clients due to pinned certs reload");
        }
    }

    /// Looks whether the files of certificates changed, and has new connections get what is in them.
    /// What does not work changes nothing, and is told once. Connections stay.
    pub fn look_at_certificates(&self) {
        let mut files = self.turn();
        let options = self.node.options();
        let Some(tls) = &options.tls else { return };
        let now = Fingerprint::of(Some(tls));
        if now == *files {
            return;
        }
        *files = now;
        match tls::client(tls, &options, &self.ocsp) {
            Ok(made) => {
                self.put_tls(Some(made));
                stdx::notice!(self.log(), "Reloaded: tls certificates, which changed on disk");
            }
            Err(error) => stdx::warning!(
                self.log(),
                "TLS certificates changed on disk and cannot be used, the old ones stay: {error}"
            ),
        }
    }
}
