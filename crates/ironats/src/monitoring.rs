//! The monitoring listeners, and the profiling one.
//!
//! Contract: MON-001, MON-002, MON-021, MON-028, CLI-015.

use net::http;
use node::Node;
use std::net::TcpListener;
use std::sync::Arc;
use stdx::time::Now;
use tokio::sync::watch;

/// What a listener serves.
#[derive(Clone, Copy)]
pub(crate) enum Documents {
    Monitoring,
    Profiling,
}

/// Serves documents of `node` until `stop` says so.
pub(crate) async fn serve(
    listener: TcpListener,
    documents: Documents,
    tls: Option<Arc<http::Tls>>,
    node: Arc<Node>,
    clock: impl Fn() -> Now + Send + Sync + 'static,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let log = node.log().clone();
    let base_path = node.options().http_base_path();
    let handler = move |request: http::Request| {
        let (path, query) = (&request.path, &request.query);
        let answer = match documents {
            Documents::Monitoring => {
                let asked = monitor::Asked { path, query, accept: &request.accept };
                monitor::respond_to(asked, &*node, &base_path, clock())
            }
            Documents::Profiling => monitor::respond_profiling(path, &*node),
        };
        http::Response {
            status: answer.status,
            content_type: answer.content_type,
            headers: answer.headers,
            body: answer.body,
        }
    };
    let listener = tokio::net::TcpListener::from_std(listener)?;
    http::serve(listener, tls, Arc::new(handler), log, stop).await;
    Ok(())
}
