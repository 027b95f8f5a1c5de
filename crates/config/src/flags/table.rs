//! Every flag and its spellings (CLI-002).

/// What a flag sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "named like the flags")]
pub enum Flag {
    Help,
    Version,
    HelpTls,
    Config,
    Check,
    Signal,
    Port,
    ServerName,
    Host,
    ClientAdvertise,
    Debug,
    Trace,
    VerboseTrace,
    DebugTrace,
    DebugVerboseTrace,
    Logtime,
    LogtimeUtc,
    User,
    Pass,
    Auth,
    HttpPort,
    HttpsPort,
    PidFile,
    PortsFileDir,
    LogFile,
    LogSizeLimit,
    Syslog,
    RemoteSyslog,
    ProfilePort,
    Routes,
    Cluster,
    ClusterAdvertise,
    NoAdvertise,
    ConnectRetries,
    ClusterName,
    Tls,
    TlsVerify,
    TlsCert,
    TlsKey,
    TlsCaCert,
    MaxTracedMsgLen,
    JetStream,
    StoreDir,
}

/// A flag's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlagValue {
    /// A switch.
    Bool(bool),
    /// A number.
    Int(i64),
    /// Text.
    Text(String),
}

/// What kind of value a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int,
    Text,
}

const TABLE: &[(Flag, Kind, &[&str])] = &[
    (Flag::Help, Kind::Bool, &["h", "help"]),
    (Flag::Version, Kind::Bool, &["v", "version"]),
    (Flag::HelpTls, Kind::Bool, &["help_tls"]),
    (Flag::Config, Kind::Text, &["c", "config"]),
    (Flag::Check, Kind::Bool, &["t"]),
    (Flag::Signal, Kind::Text, &["sl", "signal"]),
    (Flag::Port, Kind::Int, &["p", "port"]),
    (Flag::ServerName, Kind::Text, &["n", "name", "server_name"]),
    (Flag::Host, Kind::Text, &["a", "addr", "net"]),
    (Flag::ClientAdvertise, Kind::Text, &["client_advertise"]),
    (Flag::Debug, Kind::Bool, &["D", "debug"]),
    (Flag::Trace, Kind::Bool, &["V", "trace"]),
    (Flag::VerboseTrace, Kind::Bool, &["VV"]),
    (Flag::DebugTrace, Kind::Bool, &["DV"]),
    (Flag::DebugVerboseTrace, Kind::Bool, &["DVV"]),
    (Flag::Logtime, Kind::Bool, &["T", "logtime"]),
    (Flag::LogtimeUtc, Kind::Bool, &["logtime_utc"]),
    (Flag::User, Kind::Text, &["user"]),
    (Flag::Pass, Kind::Text, &["pass"]),
    (Flag::Auth, Kind::Text, &["auth"]),
    (Flag::HttpPort, Kind::Int, &["m", "http_port"]),
    (Flag::HttpsPort, Kind::Int, &["ms", "https_port"]),
    (Flag::PidFile, Kind::Text, &["P", "pid"]),
    (Flag::PortsFileDir, Kind::Text, &["ports_file_dir"]),
    (Flag::LogFile, Kind::Text, &["l", "log"]),
    (Flag::LogSizeLimit, Kind::Int, &["log_size_limit"]),
    (Flag::Syslog, Kind::Bool, &["s", "syslog"]),
    (Flag::RemoteSyslog, Kind::Text, &["r", "remote_syslog"]),
    (Flag::ProfilePort, Kind::Int, &["profile"]),
    (Flag::Routes, Kind::Text, &["routes"]),
    (Flag::Cluster, Kind::Text, &["cluster", "cluster_listen"]),
    (Flag::ClusterAdvertise, Kind::Text, &["cluster_advertise"]),
    (Flag::NoAdvertise, Kind::Bool, &["no_advertise"]),
    (Flag::ConnectRetries, Kind::Int, &["connect_retries"]),
    (Flag::ClusterName, Kind::Text, &["cluster_name"]),
    (Flag::Tls, Kind::Bool, &["tls"]),
    (Flag::TlsVerify, Kind::Bool, &["tlsverify"]),
    (Flag::TlsCert, Kind::Text, &["tlscert"]),
    (Flag::TlsKey, Kind::Text, &["tlskey"]),
    (Flag::TlsCaCert, Kind::Text, &["tlscacert"]),
    (Flag::MaxTracedMsgLen, Kind::Int, &["max_traced_msg_len"]),
    (Flag::JetStream, Kind::Bool, &["js", "jetstream"]),
    (Flag::StoreDir, Kind::Text, &["sd", "store_dir"]),
];

/// The flag spelled `name`, and the spelling itself.
pub(super) fn find(name: &str) -> Option<(&'static str, Flag)> {
    TABLE.iter().find_map(|(flag, _, names)| {
        names.iter().find(|known| **known == name).map(|known| (*known, *flag))
    })
}

/// The kind of value of the flag spelled `name`.
pub(super) fn kind(name: &str) -> Option<Kind> {
    TABLE.iter().find(|(_, _, names)| names.contains(&name)).map(|(_, kind, _)| *kind)
}

/// Every spelling.
pub(super) fn names() -> Vec<&'static str> {
    TABLE.iter().flat_map(|(_, _, names)| names.iter().copied()).collect()
}
