//! Every `-ERR` text a client can read, and every reason a connection ends with.
//!
//! Laws: texts are contract (CORE-*); they never change without a row.
//! Reference: errors.go, client.go ClosedState.

/// Why a connection ended, as `/connz?state=closed` and the disconnect event print it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CloseReason {
    ClientClosed = 1,
    AuthenticationTimeout,
    AuthenticationViolation,
    TlsHandshakeError,
    SlowConsumerPendingBytes,
    SlowConsumerWriteDeadline,
    WriteError,
    ReadError,
    ParseError,
    StaleConnection,
    ProtocolViolation,
    BadClientProtocolVersion,
    WrongPort,
    MaxConnectionsExceeded,
    MaxAccountConnectionsExceeded,
    MaxPayloadExceeded,
    MaxControlLineExceeded,
    MaxSubscriptionsExceeded,
    ServerShutdown,
    AuthenticationExpired,
    MissingAccount,
    Revocation,
    MsgHeaderViolation,
    NoRespondersRequiresHeaders,
    Kicked,
    ProxyNotTrusted,
    ProxyRequired,
}

impl CloseReason {
    /// The text operators see.
    pub fn text(self) -> &'static str {
        match self {
            Self::ClientClosed => "Client Closed",
            Self::AuthenticationTimeout => "Authentication Timeout",
            Self::AuthenticationViolation => "Authentication Failure",
            Self::TlsHandshakeError => "TLS Handshake Failure",
            Self::SlowConsumerPendingBytes => "Slow Consumer (Pending Bytes)",
            Self::SlowConsumerWriteDeadline => "Slow Consumer (Write Deadline)",
            Self::WriteError => "Write Error",
            Self::ReadError => "Read Error",
            Self::ParseError => "Parse Error",
            Self::StaleConnection => "Stale Connection",
            Self::ProtocolViolation => "Protocol Violation",
            Self::BadClientProtocolVersion => "Bad Client Protocol Version",
            Self::WrongPort => "Incorrect Port",
            Self::MaxConnectionsExceeded => "Maximum Connections Exceeded",
            Self::MaxAccountConnectionsExceeded => "Maximum Account Connections Exceeded",
            Self::MaxPayloadExceeded => "Maximum Message Payload Exceeded",
            Self::MaxControlLineExceeded => "Maximum Control Line Exceeded",
            Self::MaxSubscriptionsExceeded => "Maximum Subscriptions Exceeded",
            Self::ServerShutdown => "Server Shutdown",
            Self::AuthenticationExpired => "Authentication Expired",
            Self::MissingAccount => "Missing Account",
            Self::Revocation => "Credentials Revoked",
            Self::MsgHeaderViolation => "Message Header Violation",
            Self::NoRespondersRequiresHeaders => "No Responders Requires Headers",
            Self::Kicked => "Kicked",
            Self::ProxyNotTrusted => "Proxy Not Trusted",
            Self::ProxyRequired => "Proxy Required",
        }
    }

    /// Whether bytes still owed to the peer (an `-ERR` above all) are written before closing
    /// (CORE-043): not where the socket is broken or the peer is too slow to read them.
    pub fn flushes(self) -> bool {
        !matches!(
            self,
            Self::ReadError
                | Self::WriteError
                | Self::SlowConsumerPendingBytes
                | Self::SlowConsumerWriteDeadline
                | Self::TlsHandshakeError
        )
    }
}

/// Fixed `-ERR` texts.
pub mod text {
    pub const UNKNOWN_OPERATION: &str = "Unknown Protocol Operation";
    pub const MAX_CONTROL_LINE: &str = "maximum control line exceeded";
    pub const MAX_PAYLOAD: &str = "Maximum Payload Violation";
    pub const INVALID_PUBLISH_SUBJECT: &str = "Invalid Publish Subject";
    pub const INVALID_SUBJECT: &str = "Invalid Subject";
    pub const BAD_CLIENT_PROTOCOL: &str = "invalid client protocol";
    pub const NO_RESPONDERS_HEADERS: &str = "no responders requires headers support";
    pub const AUTHORIZATION: &str = "Authorization Violation";
    pub const AUTHENTICATION_TIMEOUT: &str = "Authentication Timeout";
    pub const USER_EXPIRED: &str = "User Authentication Expired";
    pub const ACCOUNT_EXPIRED: &str = "Account Authentication Expired";
    pub const USER_REVOKED: &str = "User Authentication Revoked";
    pub const MAX_SUBSCRIPTIONS: &str = "maximum subscriptions exceeded";
    pub const MAX_CONNECTIONS: &str = "maximum connections exceeded";
    pub const MAX_ACCOUNT_CONNECTIONS: &str = "maximum account active connections exceeded";
    pub const STALE_CONNECTION: &str = "Stale Connection";
}
