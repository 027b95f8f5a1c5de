//! What operators see: the monitoring documents, from facts that a [`Source`] gives.
//!
//! Not here: sockets and HTTP parsing (`net::http`), the `$SYS` envelopes (`node`), reading of
//! CPU and memory (the host).
//! Laws: pure (`now` comes in, bytes go out); no parameter may panic or overflow; a document is
//! complete or refused, never truncated in the middle.
//! Reference: server/monitor.go, server/monitor_sort_opts.go.

#![forbid(unsafe_code)]

mod counts;
mod documents;
mod error;
pub mod event;
mod json;
mod profiling;
mod query;
mod request;
mod respond;
mod source;
mod system;

pub use counts::{Endpoint, RequestCounts};
pub use documents::account::{
    AccountFacts, AccountStat, ExportFacts, ExportKind, ImportFacts, LatencyFacts, MappingTarget,
    MsgBytes,
};
pub use documents::connz::{
    ClosedConnFacts, ConnCounts, ConnFacts, ConnKind, ConnState, ConnType, ConnzOptions, PeerCert,
    TlsFacts,
};
pub use documents::expvar::ExpvarFacts;
pub use documents::gatewayz::{
    GatewayAccount, GatewayFacts, GatewayzOptions, InterestMode, RemoteGateway,
};
pub use documents::healthz::{
    HealthError, HealthErrorKind, HealthzOptions, JetStreamHealth, ListenerFault,
};
pub use documents::jsz::{
    JetStreamAccount, JetStreamConfig, JetStreamFacts, JetStreamStream, JszOptions,
};
pub use documents::leafz::LeafFacts;
pub use documents::queuez::QueueFacts;
pub use documents::routez::{RouteFacts, SubjectPermission};
pub use documents::subsz::{SubFacts, SublistFacts, SubszOptions};
pub use documents::varz::{
    ClusterVarz, DiskWaits, GatewayVarz, KindCounts, LeafDeny, LeafRemoteVarz, LeafVarz, MqttVarz,
    OcspCacheFacts, ProcessFacts, ProxiesVarz, ProxyKey, RemoteGatewayVarz, Varz, WebsocketVarz,
};
pub use error::Error;
pub use profiling::respond_profiling;
pub use request::{RequestError, request};
pub use respond::{Asked, Response, respond, respond_to};
pub use source::Source;
pub use system::{Answer, Question, ServerIdentity, answer, envelope, is_meant};

#[cfg(test)]
mod tests;
