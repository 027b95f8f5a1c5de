//! Lame duck mode: tell the clients, let them go one by one, then end.
//!
//! Contract: CORE-046, CORE-047.

use broker::Broker;
use broker::conn::Conn;
use node::Node;
use std::sync::Arc;
use std::time::Duration;
use wire::error::CloseReason;

/// Longest pause between two clients.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Closes all clients over the configured time. Returns when none is left.
pub(crate) async fn run(node: &Node) {
    let broker = &node.broker;
    let options = node.options();
    stdx::notice!(node.log(), "Entering lame duck mode, stop accepting new clients");
    node.system().lame_duck();
    let mut info = (*broker.info()).clone();
    info.lame_duck_mode = true;
    broker.set_info(info);
    let clients = broker.connections();
    if clients.is_empty() {
        return;
    }
    for client in &clients {
        broker.notify_info(client);
    }
    let grace = options.lame_duck_grace_period();
    tokio::time::sleep(grace).await;
    let clients = broker.connections();
    stdx::notice!(node.log(), "Closing existing clients");
    let time = options.lame_duck_duration().saturating_sub(grace);
    close_in_turn(broker, &clients, time).await;
}

async fn close_in_turn(broker: &Broker, clients: &[Arc<Conn>], time: Duration) {
    let count = u32::try_from(clients.len()).unwrap_or(u32::MAX).max(1);
    let pause = (time / count).min(MAX_PAUSE);
    for (done, client) in clients.iter().enumerate() {
        client.close(CloseReason::ServerShutdown);
        if done + 1 < clients.len() {
            // Between half and the whole pause, so that reconnecting clients do not march in step.
            let part = 0.5 + f64::from(client.id as u32 % 997) / 1994.0;
            tokio::time::sleep(pause.mul_f64(part)).await;
        }
    }
    drained(broker).await;
}

/// Waits for closed connections to have left, for a bounded time.
pub(crate) async fn drained(broker: &Broker) {
    for _ in 0..100 {
        if broker.connection_count() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
