//! Who you are and what you may do: credentials, users, permissions.
//!
//! Pure: what a client sent, the facts of its certificate and the configuration go in, an
//! `Identity` or an `AuthError` comes out. Sockets, TLS and closing connections are elsewhere.

#![forbid(unsafe_code)]

pub mod authenticate;
mod base64;
pub mod certificate;
pub mod connection_type;
pub mod dn;
pub mod identity;
pub mod jwt;
pub mod nkey;
pub mod password;
pub mod permission;
pub mod user;

pub use authenticate::{AuthError, AuthRequest, Authenticator, Review};
pub use certificate::CertificateFacts;
pub use connection_type::{ConnectionType, ConnectionTypes};
pub use dn::DistinguishedName;
pub use identity::{Identity, TokenFacts, Who};
pub use permission::{
    Permissions, PermissionsConfig, ResponsePermission, ResponseTracker, SubjectPermission,
    SubscribeDecision,
};
pub use user::{AuthConfig, NkeyUser, User};

/// The account of everybody who belongs to no other.
pub const GLOBAL_ACCOUNT: &str = "$G";
