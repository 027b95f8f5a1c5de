//! Starting, asking and stopping a peer server.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub(crate) fn binary() -> Option<PathBuf> {
    let path = std::env::var_os("NATS_PEER").map(PathBuf::from);
    if path.is_none() {
        eprintln!("SKIPPED: set NATS_PEER to a nats-server binary to run the interop tests");
    }
    path
}

/// Whether the peer is from before 2.10: it keeps `.idx` files, and knows neither tombstones nor
/// `index.db`, compression of blocks, times to live, schedules.
pub(crate) fn is_old() -> bool {
    let Some(path) = binary() else { return false };
    let version = Command::new(path).arg("-v").output().unwrap().stdout;
    String::from_utf8_lossy(&version).starts_with("nats-server: v2.9.")
}

pub(crate) struct Peer {
    child: Child,
    pub(crate) client: async_nats::Client,
}

impl Peer {
    /// Starts a server on `dir` with these lines inside `jetstream { }`.
    pub(crate) async fn start(dir: &Path, jetstream: &str) -> Self {
        let binary = binary().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = dir.join("server.conf");
        let store = dir.display();
        let text = format!(
            "listen: 127.0.0.1:{port}\nserver_name: peer\njetstream {{ store_dir: \"{store}\"\n{jetstream}\n}}\n"
        );
        std::fs::write(&config, text).unwrap();
        let log = std::fs::File::create(dir.join("server.log")).unwrap();
        let child = Command::new(binary)
            .arg("-c")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        let client = loop {
            match async_nats::connect(format!("127.0.0.1:{port}")).await {
                Ok(client) => break client,
                Err(e) => assert!(Instant::now() < deadline, "peer did not start: {e}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let peer = Self { child, client };
        // JetStream answers once its streams are recovered.
        while peer.api("INFO", &json!({})).await.get("error").is_some() {
            assert!(Instant::now() < deadline, "JetStream did not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        peer
    }

    pub(crate) async fn api(&self, what: &str, request: &Value) -> Value {
        let subject = format!("$JS.API.{what}");
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match self.client.request(subject.clone(), request.to_string().into()).await {
                Ok(answer) => return serde_json::from_slice(&answer.payload).unwrap(),
                Err(e) => assert!(Instant::now() < deadline, "{subject}: {e}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// An API call that must succeed.
    pub(crate) async fn ok(&self, what: &str, request: &Value) -> Value {
        let answer = self.api(what, request).await;
        assert!(answer.get("error").is_none(), "{what} {request}: {answer}");
        answer
    }

    pub(crate) async fn publish(
        &self,
        subject: &str,
        headers: &[(&str, &str)],
        payload: Vec<u8>,
    ) -> u64 {
        let mut map = async_nats::HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        let answer = if headers.is_empty() {
            self.client.request(subject.to_string(), payload.into()).await
        } else {
            self.client.request_with_headers(subject.to_string(), map, payload.into()).await
        };
        let answer: Value = serde_json::from_slice(&answer.unwrap().payload).unwrap();
        answer["seq"].as_u64().unwrap_or_else(|| panic!("publish: {answer}"))
    }

    /// Ends the server in an orderly way.
    pub(crate) fn stop(mut self) {
        let status = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        assert!(status.unwrap().success());
        self.child.wait().unwrap();
    }

    /// Ends the server at once.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
