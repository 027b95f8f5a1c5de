//! The accept loop of client connections.
//!
//! Contract: CORE-049.

use crate::workers::Workers;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use stdx::log::Log;

/// Opens a listening socket.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Accepts until the task is dropped.
pub async fn accept(listener: TcpListener, workers: Arc<Workers>, log: Log) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut wait = Duration::from_millis(10);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                wait = Duration::from_millis(10);
                // Failing to set it costs latency only.
                let _ = stream.set_nodelay(true);
                match stream.into_std() {
                    Ok(socket) => workers.accept(socket),
                    Err(error) => stdx::error!(log, "Error accepting a connection: {error}"),
                }
            }
            Err(error) => {
                // Out of descriptors, most likely: wait for some to come back.
                stdx::error!(
                    log,
                    "Temporary Client Accept Error({error}), sleeping {}ms",
                    wait.as_millis()
                );
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(1));
            }
        }
    }
}
