//! Flags over options (CLI-003, CLI-005, CLI-006).
//!
//! Reference: opts.go ConfigureOptions (second half), overrideTLS, overrideCluster, RoutesFromStr.

use super::Flags;
use super::table::{Flag, FlagValue};
use crate::lang::{Source, SourceError};
use crate::options::url::{self, UrlError};
use crate::options::{Authorization, Options, TlsOptions, check_tls_files, split_host_port};

/// Flags that contradict each other or cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// `--tls…` without `--tlscert`.
    #[error("TLS Server certificate must be present and valid")]
    TlsCertificate,
    /// `--tls…` without `--tlskey`.
    #[error("TLS Server private key must be present and valid")]
    TlsKey,
    /// The files they name.
    #[error(transparent)]
    TlsFiles(SourceError),
    /// `--cluster` or `--routes` with something else than a URL.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// `--cluster` without a port.
    #[error("address {0}: missing port in address")]
    ClusterPort(String),
    /// `--cluster` with a user but no password.
    #[error("expected cluster password to be set")]
    ClusterPassword,
    /// `--routes` without a cluster.
    #[error("solicited routes require cluster capabilities, e.g. --cluster")]
    RoutesWithoutCluster,
}

impl Options {
    /// Lets the command line override what the configuration says, and remembers it for reloads.
    pub fn apply_flags(&mut self, flags: &Flags, source: &dyn Source) -> Result<(), FlagError> {
        for (flag, value) in &flags.values {
            match value {
                FlagValue::Bool(on) => self.apply_switch(*flag, *on),
                FlagValue::Int(n) => self.apply_number(*flag, *n),
                FlagValue::Text(text) => self.apply_text(*flag, text),
            }
        }
        self.apply_log_levels(flags);
        if let Some(listen) = flags.text(Flag::Cluster) {
            self.apply_cluster(listen)?;
        }
        if let Some(routes) = flags.text(Flag::Routes) {
            self.cluster.routes = match routes {
                "" => Vec::new(),
                list => list.split(',').map(|r| url::parse(r.trim())).collect::<Result<_, _>>()?,
            };
        }
        self.apply_tls(flags, source)?;
        let solicits = flags.text(Flag::Routes).is_some_and(|routes| !routes.is_empty());
        if solicits && !self.has_cluster() {
            return Err(FlagError::RoutesWithoutCluster);
        }
        self.command_line = flags.clone();
        Ok(())
    }

    fn has_cluster(&self) -> bool {
        let set = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
        let cluster = &self.cluster;
        set(&cluster.listen_url) || set(&cluster.listen.host) || cluster.listen.is_set()
    }

    fn apply_switch(&mut self, flag: Flag, on: bool) {
        match flag {
            Flag::Debug => self.logging.debug = Some(on),
            Flag::Trace => self.logging.trace = Some(on),
            Flag::Logtime => self.logging.logtime = Some(on),
            Flag::LogtimeUtc => self.logging.logtime_utc = Some(on),
            Flag::Syslog => self.logging.syslog = Some(on),
            Flag::NoAdvertise => self.cluster.no_advertise = Some(on),
            Flag::JetStream => self.jetstream.enabled = on,
            _ => {}
        }
    }

    fn apply_number(&mut self, flag: Flag, n: i64) {
        match flag {
            Flag::Port => self.client.listen.port = Some(n),
            Flag::HttpPort => self.monitoring.http_port = Some(n),
            Flag::HttpsPort => self.monitoring.https_port = Some(n),
            Flag::ProfilePort => self.monitoring.prof_port = Some(n),
            Flag::LogSizeLimit => self.logging.size_limit = Some(n),
            Flag::MaxTracedMsgLen => self.logging.max_traced_msg_len = Some(n),
            Flag::ConnectRetries => self.cluster.connect_retries = Some(n),
            _ => {}
        }
    }

    fn apply_text(&mut self, flag: Flag, text: &str) {
        let slot = match flag {
            Flag::Host => &mut self.client.listen.host,
            Flag::ServerName => &mut self.server_name,
            Flag::ClientAdvertise => &mut self.client.advertise,
            Flag::PidFile => &mut self.process.pid_file,
            Flag::PortsFileDir => &mut self.process.ports_file_dir,
            Flag::LogFile => &mut self.logging.file,
            Flag::RemoteSyslog => &mut self.logging.remote_syslog,
            Flag::ClusterName => &mut self.cluster.name,
            Flag::ClusterAdvertise => &mut self.cluster.advertise,
            Flag::StoreDir => &mut self.jetstream.store_dir,
            Flag::User => &mut self.authorization.get_or_insert_default().username,
            Flag::Pass => &mut self.authorization.get_or_insert_default().password,
            Flag::Auth => &mut self.authorization.get_or_insert_default().token,
            _ => return,
        };
        *slot = Some(text.into());
    }

    /// `-DV`, `-DVV`, `-VV`, in this order, each over the one before and over `-D` and `-V`.
    fn apply_log_levels(&mut self, flags: &Flags) {
        let log = &mut self.logging;
        if let Some(FlagValue::Bool(on)) = flags.get(Flag::DebugTrace) {
            (log.trace, log.debug) = (Some(*on), Some(*on));
        }
        if let Some(FlagValue::Bool(on)) = flags.get(Flag::DebugVerboseTrace) {
            (log.trace, log.debug, log.trace_verbose) = (Some(*on), Some(*on), Some(*on));
        }
        if let Some(FlagValue::Bool(on)) = flags.get(Flag::VerboseTrace) {
            (log.trace, log.trace_verbose) = (Some(*on), Some(*on));
        }
    }

    fn apply_cluster(&mut self, listen: &str) -> Result<(), FlagError> {
        self.cluster.listen_url = Some(listen.into());
        if listen.is_empty() {
            // This alone turns clustering off.
            self.cluster.listen.port = None;
            return Ok(());
        }
        // A URL cannot say -1, so the random port is put back behind the parser.
        let random = listen.strip_suffix(":-1").map(|before| format!("{before}:0"));
        let url = url::parse(random.as_deref().unwrap_or(listen))?;
        let Some((host, port)) = split_host_port(&url.host) else {
            return Err(FlagError::ClusterPort(url.host.clone()));
        };
        self.cluster.listen.host = Some(host.into());
        self.cluster.listen.port =
            if random.is_some() { Some(-1) } else { Some(port.parse().unwrap_or(0)) };
        match (url.user, url.password) {
            (Some(_), None) => return Err(FlagError::ClusterPassword),
            (Some(user), Some(password)) => {
                let auth = self.cluster.authorization.get_or_insert_default();
                (auth.username, auth.password) = (Some(user), Some(password));
            }
            (None, _) => {
                if let Some(auth) = &mut self.cluster.authorization {
                    *auth = Authorization { username: None, password: None, ..auth.clone() };
                }
            }
        }
        Ok(())
    }

    fn apply_tls(&mut self, flags: &Flags, source: &dyn Source) -> Result<(), FlagError> {
        if flags.get(Flag::Tls) == Some(&FlagValue::Bool(false)) {
            self.tls = None;
            return Ok(());
        }
        if !flags.was_given(&["tls", "tlsverify", "tlscert", "tlskey", "tlscacert"]) {
            return Ok(());
        }
        let file = |flag| flags.text(flag).unwrap_or_default().to_owned();
        let (cert_file, key_file) = (file(Flag::TlsCert), file(Flag::TlsKey));
        if cert_file.is_empty() {
            return Err(FlagError::TlsCertificate);
        }
        if key_file.is_empty() {
            return Err(FlagError::TlsKey);
        }
        // What the flags cannot say stays as configured.
        let configured = self.tls.take().unwrap_or_default();
        let tls = TlsOptions {
            cert_file,
            key_file,
            ca_file: file(Flag::TlsCaCert),
            certificates: Vec::new(),
            verify: flags.is_on(Flag::TlsVerify),
            insecure: false,
            cipher_suites: Vec::new(),
            curve_preferences: Vec::new(),
            min_version: None,
            ..configured
        };
        check_tls_files(&tls, source).map_err(|e| FlagError::TlsFiles(SourceError(e)))?;
        self.tls = Some(tls);
        Ok(())
    }
}
