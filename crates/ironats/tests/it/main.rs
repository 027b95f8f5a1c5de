//! Servers inside a program: started, used through the official client and in process, stopped.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod backup;
mod consumer_rows;
mod durable_acks;
#[cfg(target_os = "linux")]
mod full_disk;
mod gate;
mod hardship;
mod jetstream;
mod jetstream_batch;
mod operator;
mod pair;
mod reload;
mod sourcing;
mod stream_rows;

use ironats::{Log, Options, Server};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

/// A server on a port of the system's choice.
fn server(conf: &str) -> Server {
    let text = format!("listen: 127.0.0.1:-1\n{conf}");
    let loaded = config::load_text(text.as_bytes(), "test.conf", &ironats::files::System).unwrap();
    Server::start(loaded.options, Log::discard()).unwrap()
}

fn url(server: &Server) -> String {
    format!("nats://{}", server.client_address().unwrap())
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("within 20 s")
}

// Contract: MISC-001
#[tokio::test]
async fn several_servers_run_in_one_process() {
    use futures_lite::StreamExt;
    let servers = [server(""), server("")];
    let mut subscribers = Vec::new();
    for server in &servers {
        let client = async_nats::connect(url(server)).await.unwrap();
        let sub = client.subscribe("greet.*").await.unwrap();
        client.flush().await.unwrap();
        subscribers.push((client, sub));
    }
    for (i, (client, _)) in subscribers.iter().enumerate() {
        client.publish(format!("greet.{i}"), format!("from {i}").into()).await.unwrap();
        client.flush().await.unwrap();
    }
    for (i, (_, sub)) in subscribers.iter_mut().enumerate() {
        let message = within(sub.next()).await.unwrap();
        // Each server has its own subjects: the other's message is not here.
        assert_eq!(message.subject.as_str(), format!("greet.{i}"));
        assert_eq!(message.payload, format!("from {i}"));
    }
    let address = servers[0].client_address().unwrap();
    let [first, second] = servers;
    first.shutdown();
    assert!(std::net::TcpStream::connect(address).is_err(), "the port is free again");
    let again = async_nats::connect(url(&second)).await.unwrap();
    assert_eq!(again.server_info().max_payload, 1 << 20);
}

// Contract: CORE-051, MISC-001, MISC-002
#[tokio::test]
async fn a_server_without_a_listener_serves_connections_inside_the_process() {
    let mut options = Options::default();
    options.client.dont_listen = true;
    let server = Server::start(options, Log::discard()).unwrap();
    assert_eq!(server.client_address(), None);
    let (read, mut write) = tokio::io::split(server.connect_in_process());
    let mut read = BufReader::new(read);
    let mut line = String::new();
    within(read.read_line(&mut line)).await.unwrap();
    assert!(line.starts_with("INFO {"), "{line}");
    let big = vec![b'x'; 300_000];
    write.write_all(b"CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPUB a 300000\r\n").await.unwrap();
    // More than the pipe holds: it must be written and read at the same time.
    let sending = tokio::spawn(async move {
        write.write_all(&big).await.unwrap();
        write.write_all(b"\r\nPING\r\n").await.unwrap();
        write
    });
    let mut message = vec![0; b"MSG a 1 300000\r\n".len() + 300_000 + b"\r\nPONG\r\n".len()];
    within(read.read_exact(&mut message)).await.unwrap();
    assert!(message.starts_with(b"MSG a 1 300000\r\nxxx"));
    assert!(message.ends_with(b"x\r\nPONG\r\n"));
    drop(sending.await.unwrap());
    server.shutdown();
}

/// A connection that was just opened is not left behind, with its socket and its thread's poller.
#[tokio::test]
async fn nothing_is_left_of_a_server_that_ends_as_connections_come_in() {
    let dir = tempfile::tempdir().unwrap();
    let conf = format!(
        "jetstream {{ store_dir: {:?} }}
         accounts {{
           A {{ users: [{{user: a, password: p}}], jetstream: enabled
                exports: [{{service: svc.>}}, {{stream: s.>}}]
                imports: [{{service: {{account: B, subject: back}}}}] }}
           B {{ users: [{{user: b, password: p}}], exports: [{{service: back}}]
                imports: [{{service: {{account: A, subject: svc.x}}, to: x}},
                          {{stream: {{account: A, subject: s.>}}}}] }}
         }}",
        dir.path()
    );
    for round in 0..40 {
        let server = server(if round % 4 == 0 { &conf } else { "" });
        let broker = Arc::downgrade(&server.node().broker);
        let accounts = ["A", "B", "$G"].map(|name| {
            server.node().broker.account(name).map_or_else(Weak::new, |a| Arc::downgrade(&a))
        });
        let address = server.client_address().unwrap();
        let pipe = server.connect_in_process();
        let socket = std::net::TcpStream::connect(address).unwrap();
        server.shutdown();
        drop((pipe, socket));
        assert!(broker.upgrade().is_none(), "round {round}: the server is held by something");
        for account in accounts {
            assert!(account.upgrade().is_none(), "round {round}: an account is held by something");
        }
    }
}

// Contract: CORE-016, SUBJ-003, ACC-006
#[tokio::test]
async fn the_official_client_requests_across_accounts_and_queues() {
    use futures_lite::StreamExt;
    let server = server(
        "accounts {
           A { users: [{user: a, password: p}], exports: [{service: svc.>}] }
           B { users: [{user: b, password: p}], imports: [{service: {account: A, subject: svc.x}, to: x}] }
         }",
    );
    let connect = |user: &'static str| {
        let options = async_nats::ConnectOptions::with_user_and_password(user.into(), "p".into());
        options.connect(url(&server))
    };
    let (responder, requester) = (connect("a").await.unwrap(), connect("b").await.unwrap());
    let mut members = Vec::new();
    for _ in 0..2 {
        let sub = responder.queue_subscribe("svc.x", "workers".into()).await.unwrap();
        members.push(sub);
    }
    // A flush of this client only empties its buffer; a message to itself comes back behind the SUBs.
    let mut ready = responder.subscribe("ready").await.unwrap();
    responder.publish("ready", "".into()).await.unwrap();
    within(ready.next()).await.unwrap();
    let mut all = futures_lite::stream::or(members.pop().unwrap(), members.pop().unwrap());
    let answering = {
        let responder = responder.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                let request = all.next().await.unwrap();
                responder.publish(request.reply.unwrap(), request.payload).await.unwrap();
            }
        })
    };
    for i in 0..20 {
        let answer = within(requester.request("x", format!("{i}").into())).await.unwrap();
        assert_eq!(answer.payload, format!("{i}"));
    }
    answering.await.unwrap();
    let refused = within(requester.request("nobody", "".into())).await.unwrap_err();
    assert_eq!(refused.kind(), async_nats::RequestErrorKind::NoResponders);
}

// Contract: CLI-015, MON-028
#[tokio::test]
async fn the_profiling_port_answers() {
    let server = server("prof_port: -1");
    let [url] = server.ports().profile.try_into().unwrap();
    let address = url.strip_prefix("http://").unwrap().to_owned();
    let get = async |path: &str| {
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within(stream.read_to_string(&mut answer)).await.unwrap();
        answer
    };
    assert!(get("/debug/pprof/cmdline").await.starts_with("HTTP/1.1 200"));
    assert!(get("/debug/pprof/profile").await.starts_with("HTTP/1.1 501"));
    assert!(get("/varz").await.starts_with("HTTP/1.1 404"));
}

/// A port that cannot be is refused, not replaced by another.
#[test]
fn an_impossible_port_is_refused() {
    for port in ["99999", "-5"] {
        let mut options = Options::default();
        options.client.listen.host = Some("127.0.0.1".into());
        options.client.listen.port = Some(port.parse().unwrap());
        let error = Server::start(options, Log::discard()).err().unwrap().to_string();
        assert!(error.contains("invalid port"), "{error}");
    }
}
