//! How a connection opens: TLS before INFO, after it, or not at all. Pure decisions.
//!
//! Laws: INFO is sent exactly once, before or after the handshake; a client is never asked for TLS
//!       twice.
//! Reference: server.go createClientEx.

use super::config::{DEFAULT_FALLBACK_DELAY, HandshakeFirst};
use std::time::Duration;

/// The first byte of a TLS record that holds a handshake.
pub const HANDSHAKE_RECORD: u8 = 0x16;

/// What decides how connections of one kind open.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// Whether the listener has TLS.
    pub tls: bool,
    /// Whether clients may do without (`allow_non_tls`).
    pub allow_non_tls: bool,
    /// Whether TLS may come before INFO.
    pub handshake_first: HandshakeFirst,
    /// Whether clients must have a certificate.
    pub verify: bool,
    /// Whether the connection comes from inside the process; these may always do without TLS.
    pub in_process: bool,
    /// How long a client may take to show whether it wants TLS.
    pub timeout: Duration,
}

/// What INFO says about TLS.
// Compat(TLS-005)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InfoFlags {
    /// `tls_required`
    pub required: bool,
    /// `tls_available`
    pub available: bool,
    /// `tls_verify`
    pub verify: bool,
}

/// What to do when a connection is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstStep {
    /// Begin the handshake; INFO comes after it.
    Handshake,
    /// Wait this long for a byte: if one comes, as `Handshake`, else as `SendInfo`.
    Await(Duration),
    /// Send INFO.
    SendInfo,
}

/// What to do after INFO was sent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterInfo {
    /// Begin the handshake.
    Handshake,
    /// Wait this long for the first byte and let `wants_tls` decide.
    Sniff(Duration),
    /// Go on without TLS.
    Plain,
}

impl Opening {
    /// The first step.
    // Compat(TLS-007)
    pub fn first_step(&self) -> FirstStep {
        match (self.tls, self.handshake_first) {
            (false, _) | (true, HandshakeFirst::Off) => FirstStep::SendInfo,
            (true, HandshakeFirst::Fallback(delay)) => FirstStep::Await(delay),
            (true, HandshakeFirst::On) if self.in_process => {
                FirstStep::Await(DEFAULT_FALLBACK_DELAY)
            }
            (true, HandshakeFirst::On) => FirstStep::Handshake,
        }
    }

    /// The step after INFO, if INFO went first.
    // Compat(TLS-006)
    pub fn after_info(&self) -> AfterInfo {
        if !self.tls {
            AfterInfo::Plain
        } else if self.allow_non_tls || self.in_process {
            AfterInfo::Sniff(self.timeout)
        } else {
            AfterInfo::Handshake
        }
    }

    /// What INFO says; `after_handshake` if the handshake went first.
    pub fn info_flags(&self, after_handshake: bool) -> InfoFlags {
        let optional = (self.allow_non_tls || self.in_process) && !after_handshake;
        InfoFlags {
            required: self.tls && !optional,
            available: self.tls && (self.allow_non_tls || self.in_process),
            verify: self.tls && self.verify,
        }
    }

    /// Whether plain clients can never connect, which is worth a warning at start.
    pub fn excludes_plain_clients(&self) -> bool {
        self.tls && self.handshake_first == HandshakeFirst::On
    }
}

/// Whether a client whose first byte this is (`None`: it sent nothing) begins a handshake.
pub fn wants_tls(first_byte: Option<u8>) -> bool {
    first_byte == Some(HANDSHAKE_RECORD)
}
