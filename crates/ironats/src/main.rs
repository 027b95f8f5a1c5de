//! `nats-server`: parse flags, run, exit code.

use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::io::Result<()> {
    let port: u16 = std::env::args().nth(2).and_then(|p| p.parse().ok()).unwrap_or(0);
    let workers: usize = std::env::var("W").ok().and_then(|p| p.parse().ok()).unwrap_or(2);
    let info = wire::info::Info {
        server_id: "NTEST".into(),
        server_name: "NTEST".into(),
        version: "2.14.5".into(),
        proto: 1,
        go: "go1.26".into(),
        host: "0.0.0.0".into(),
        port,
        headers: true,
        max_payload: 1 << 20,
        ..Default::default()
    };
    let broker = Arc::new(broker::Broker::new(
        broker::settings::Settings::default(),
        info,
        stdx::log::Log::discard(),
        workers,
    ));
    let w = Arc::new(net::workers::Workers::start(&broker, workers, std::time::Instant::now())?);
    let listener = net::listener::bind(([127, 0, 0, 1], port).into())?;
    eprintln!(
        "[1] 2026/11/21 08:00:00.000000 [INF] Listening for client connections on {}",
        listener.local_addr()?
    );
    eprintln!("[1] 2026/11/21 08:00:00.000000 [INF] Server is ready");
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    rt.block_on(net::listener::accept(listener, w, broker.log.clone()))
}
