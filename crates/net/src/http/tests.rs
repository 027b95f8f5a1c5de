//! Conversations with the HTTP server: over memory with a paused clock, and over loopback.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use stdx::log::Log;
use stdx::time::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use super::body::{Framing, Progress, Skip};
use super::connection::{HEAD_TIMEOUT, run};
use super::head::{self, HEAD_MAX, Refusal};
use super::reply::{self, Next};
use super::*;

fn echo(request: Request) -> Response {
    let Request { method, path, query, .. } = request;
    Response {
        status: 200,
        content_type: "application/json",
        headers: vec![("Access-Control-Allow-Origin", "*".into())],
        body: format!("{method} {path}?{query}").into_bytes(),
    }
}

fn open() -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    tokio::spawn(run(theirs, Arc::new(echo)));
    ours
}

/// Sends `bytes`, then reads to the end of the connection.
async fn talk(bytes: &[u8]) -> String {
    let mut socket = open();
    // The server may refuse and close before it has read everything.
    let _ = socket.write_all(bytes).await;
    read_to_end(&mut socket).await
}

async fn read_to_end(socket: &mut DuplexStream) -> String {
    let mut out = Vec::new();
    let _ = socket.read_to_end(&mut out).await;
    String::from_utf8(out).unwrap()
}

fn without_dates(text: &str) -> String {
    text.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect()
}

const HEADERS: &str = "Content-Type: application/json\r\nAccess-Control-Allow-Origin: *\r\n";

// Contract: MON-027
#[tokio::test]
async fn every_method_is_answered_alike_and_head_without_a_body() {
    for method in ["GET", "POST", "PUT", "DELETE", "CONNECT", "FOO", "get"] {
        let sent = format!("{method} /varz?x=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let body = format!("{method} /varz?x=1");
        let expected = format!(
            "HTTP/1.1 200 OK\r\n{HEADERS}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(without_dates(&talk(sent.as_bytes()).await), expected);
    }
    let head = talk(b"HEAD /varz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(head.contains("Content-Length: 11\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn connections_are_kept_and_pipelined_and_bodies_skipped() {
    let answer = talk(
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345\
          PUT /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n0\r\nT: 1\r\n\r\n\
          GET /c HTTP/1.1\nHost: x\nConnection: x, Close\n\n",
    )
    .await;
    let bodies: Vec<&str> =
        answer.split("\r\n\r\n").skip(1).map(|part| part.split("HTTP/").next().unwrap()).collect();
    assert_eq!(bodies, ["POST /a?", "PUT /b?", "GET /c?"]);
    assert_eq!(answer.matches("Connection: close").count(), 1);
}

#[tokio::test]
async fn http_1_0_closes_unless_asked_to_stay() {
    let once = talk(b"GET /a HTTP/1.0\r\n\r\n").await;
    assert!(once.starts_with("HTTP/1.0 200 OK\r\n") && !once.contains("Connection:"), "{once}");
    let twice =
        talk(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n").await;
    assert_eq!(twice.matches("Connection: keep-alive\r\n").count(), 1);
    assert!(twice.ends_with("GET /b?"), "{twice}");
}

#[tokio::test]
async fn the_whole_server_can_be_asked_for_options() {
    let answer = talk(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(
        without_dates(&answer).starts_with("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn absolute_targets_name_the_same_path() {
    for (target, path) in
        [("http://h/varz?a", "/varz?a"), ("http://h:1", "/?"), ("https://h?x", "")]
    {
        let sent = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = talk(sent.as_bytes()).await;
        if path.is_empty() {
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        } else {
            assert!(answer.ends_with(&format!("GET {path}")), "{target}: {answer}");
        }
    }
}

#[tokio::test]
async fn what_is_not_http_is_refused_in_the_references_words() {
    let bad = "400 Bad Request";
    for (sent, line) in [
        (&b"GARBAGE\r\n\r\n"[..], bad),
        (b"\x16\x03\x01\x00\x05hello", bad),
        (b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", bad),
        (b"GET /a\r\n\r\n", bad),
        (b"GET  /a HTTP/1.1\r\nHost: x\r\n\r\n", bad),
        (b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", bad),
        (b"GET a HTTP/1.1\r\nHost: x\r\n\r\n", bad),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", bad),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", bad),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", bad),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", bad),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", bad),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", bad),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", bad),
        (b"GET /a HTTP/1.1\r\n\r\n", "400 Bad Request: missing required Host header"),
        (b"GET /a HTTP/2.0\r\nHost: x\r\n\r\n", "505 HTTP Version Not Supported: unsupported protocol version"),
        (b"GET /a HTTP/9\r\nHost: x\r\n\r\n", bad),
    ] {
        let expected = format!(
            "HTTP/1.1 {line}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n{line}"
        );
        assert_eq!(talk(sent).await, expected, "{}", String::from_utf8_lossy(sent));
    }
    let coded = talk(b"GET /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n").await;
    assert!(
        coded.starts_with("HTTP/1.1 501 ")
            && coded.ends_with("\r\n\r\nUnsupported transfer encoding")
    );
}

// Contract: MON-001
#[tokio::test]
async fn heads_have_a_limit_of_a_mebibyte() {
    let line = |length: usize| {
        let mut sent = b"GET /".to_vec();
        sent.resize(length, b'a');
        sent.extend_from_slice(b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        sent
    };
    let long = talk(&line(1 << 20)).await;
    assert!(long.starts_with("HTTP/1.1 200 OK\r\n"), "{}", &long[..100]);
    let longer = talk(&line(HEAD_MAX + 1)).await;
    assert!(longer.starts_with("HTTP/1.1 431 "), "{}", &longer[..100]);
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "a:\r\n".repeat(100_000));
    assert!(talk(many.as_bytes()).await.starts_with("HTTP/1.1 431 "));
}

// Contract: MON-001
#[tokio::test(start_paused = true)]
async fn a_head_must_arrive_within_five_seconds() {
    for start in [&b""[..], b"GET /he", b"GET / HTTP/1.1\r\nHost"] {
        let mut socket = open();
        let began = Instant::now();
        socket.write_all(start).await.unwrap();
        assert_eq!(read_to_end(&mut socket).await, "");
        let took = began.elapsed();
        assert!(took >= HEAD_TIMEOUT && took < HEAD_TIMEOUT + Duration::from_secs(1), "{took:?}");
    }
}

// Contract: MON-001
#[tokio::test(start_paused = true)]
async fn a_dripping_head_gets_no_more_time() {
    let mut socket = open();
    let began = Instant::now();
    while socket.write_all(b"G").await.is_ok() {
        tokio::time::advance(Duration::from_millis(100)).await;
        assert!(began.elapsed() < Duration::from_secs(20), "the server never gave up");
    }
    assert!(began.elapsed() >= HEAD_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_may_wait_much_longer_than_a_head() {
    let mut socket = open();
    let request = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut answer = [0; 4096];
    for _ in 0..3 {
        socket.write_all(request).await.unwrap();
        assert!(socket.read(&mut answer).await.unwrap() > 0);
        while !answer.windows(7).any(|part| part == b"GET /a?") {
            assert!(socket.read(&mut answer).await.unwrap() > 0);
        }
        tokio::time::advance(Duration::from_secs(120)).await;
    }
    assert_eq!(read_to_end(&mut socket).await, "");
}

#[tokio::test]
async fn long_bodies_end_the_connection_and_awaited_ones_too() {
    let mut sent = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n".to_vec();
    sent.resize(500_000, b'x');
    sent.extend_from_slice(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = talk(&sent).await;
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    let awaited =
        talk(b"GET /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
            .await;
    assert!(awaited.contains("Connection: close\r\n"), "{awaited}");
}

#[tokio::test]
async fn a_handler_that_panics_costs_its_own_connection_only() {
    let handler: Arc<Handler> = Arc::new(|request: Request| {
        assert_ne!(request.path, "/bad", "on purpose");
        echo(request)
    });
    for (path, answered) in [("/bad", false), ("/good", true)] {
        let (mut ours, theirs) = tokio::io::duplex(4096);
        tokio::spawn(run(theirs, Arc::clone(&handler)));
        let sent = format!("GET {path} HTTP/1.0\r\n\r\n");
        ours.write_all(sent.as_bytes()).await.unwrap();
        assert_eq!(!read_to_end(&mut ours).await.is_empty(), answered, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_is_given_up() {
    let handler: Arc<Handler> =
        Arc::new(|_| Response { status: 200, body: vec![b'x'; 1 << 20], ..Response::default() });
    let (mut ours, theirs) = tokio::io::duplex(1024);
    let served = tokio::spawn(run(theirs, handler));
    ours.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), served).await.expect("gave up").unwrap();
    drop(ours);
}

async fn listen(
    tls: Option<Arc<Tls>>,
) -> (std::net::SocketAddr, watch::Sender<bool>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let served = tokio::spawn(serve(listener, tls, Arc::new(echo), Log::discard(), stopped));
    (address, stop, served)
}

// Contract: MON-001
#[tokio::test]
async fn a_listener_serves_until_it_is_stopped() {
    let (address, stop, served) = listen(None).await;
    let mut kept = TcpStream::connect(address).await.unwrap();
    for _ in 0..2 {
        let mut once = TcpStream::connect(address).await.unwrap();
        once.write_all(b"GET /x HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        once.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("GET /x?"), "{answer}");
    }
    stop.send(true).unwrap();
    served.await.unwrap();
    let mut rest = Vec::new();
    // Open connections end with the listener, as a close or as a reset.
    let ended = tokio::time::timeout(Duration::from_secs(5), kept.read_to_end(&mut rest)).await;
    assert!(ended.is_ok() && rest.is_empty());
    assert!(TcpStream::connect(address).await.is_err());
}

fn terms(config: Arc<rustls::ServerConfig>) -> Arc<Tls> {
    Arc::new(move || Terms { config: config.clone(), peers: None })
}

fn certificates() -> (Arc<rustls::ServerConfig>, Arc<rustls::ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let cert = made.cert.der().clone();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

// Contract: MON-001
#[tokio::test]
async fn https_is_served_without_a_client_certificate() {
    let (server, client) = certificates();
    let (address, _stop, _served) = listen(Some(terms(server))).await;
    let socket = TcpStream::connect(address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut stream = tokio_rustls::TlsConnector::from(client).connect(name, socket).await.unwrap();
    stream.write_all(b"GET /tls HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    match stream.read_to_string(&mut answer).await {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof),
    }
    assert!(answer.ends_with("GET /tls?"), "{answer}");
}

#[tokio::test]
async fn plain_http_to_the_tls_port_is_told_so() {
    let (server, _) = certificates();
    let (address, _stop, _served) = listen(Some(terms(server))).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 28];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.0 400 Bad Request\r\n\r\n");
}

#[test]
fn dates_are_those_of_mail() {
    let at = |seconds: i64| {
        let lead = reply::head(
            &Response::default(),
            false,
            Next::KeepAlive,
            Timestamp(seconds * 1_000_000_000),
        );
        let text = String::from_utf8(lead).unwrap();
        text.lines().find_map(|line| line.strip_prefix("Date: ").map(str::to_owned)).unwrap()
    };
    assert_eq!(at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(at(1_795_248_000), "Sat, 21 Nov 2026 08:00:00 GMT");
    assert_eq!(at(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(bytes: Vec<u8>) {
        let _ = head::parse(&bytes);
    }

    #[test]
    fn any_head_is_parsed_or_refused(
        line in "[A-Z ]{0,8}[ -~]{0,20}( HTTP/[0-9.]{0,4})?",
        headers in prop::collection::vec("(Host|Content-Length|Transfer-Encoding|Connection|[a-z-]{0,5}):? ?[ -~]{0,12}", 0..8),
    ) {
        let text = format!("{line}\r\n{}\r\n\r\n", headers.join("\r\n"));
        if let Ok(parsed) = head::parse(text.as_bytes()) {
            prop_assert!(parsed.request.path.starts_with('/') || parsed.request.path == "*");
            prop_assert!(!parsed.request.path.contains(['?', ' ', '\r', '\n']));
        }
    }

    /// However the bytes are cut, the same end is found.
    #[test]
    fn the_end_of_a_head_does_not_depend_on_the_cuts(
        text in "[a\r\n]{0,40}",
        cuts in prop::collection::vec(0usize..40, 0..6),
    ) {
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= bytes.len()).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let whole = head::end(bytes, 0);
        let mut found = None;
        for pair in cuts.windows(2) {
            found = found.or(head::end(&bytes[..pair[1]], pair[0]));
        }
        prop_assert_eq!(found, whole);
    }

    /// A chunked body ends at the same byte however it is cut.
    #[test]
    fn chunks_are_skipped_however_they_are_cut(
        sizes in prop::collection::vec(1usize..300, 0..5),
        cuts in prop::collection::vec(1usize..50, 1..40),
    ) {
        let mut body = Vec::new();
        for size in sizes {
            body.extend_from_slice(format!("{size:x};x=y\r\n").as_bytes());
            body.resize(body.len() + size, b'z');
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"0\r\nTrailer: 1\r\n\r\nGET");
        let mut skip = Skip::new(Framing::Chunked);
        let (mut at, mut done) = (0, None);
        for cut in cuts.into_iter().cycle() {
            let piece = &body[at..body.len().min(at + cut)];
            match skip.take(piece) {
                Progress::Done(used) => { done = Some(at + used); break }
                Progress::More => at += piece.len(),
                Progress::GiveUp => break,
            }
        }
        prop_assert_eq!(done, Some(body.len() - 3));
    }

    /// Whatever is sent, in whatever pieces: the connection ends, and says HTTP or nothing.
    #[test]
    fn any_conversation_comes_to_an_end(
        pieces in prop::collection::vec(
            prop_oneof![
                any::<Vec<u8>>(),
                "(GET|POST|HEAD) /[a-z?=]{0,9} HTTP/1.[01]\r?\n(Host: x\r?\n)?\r?\n".prop_map(String::into_bytes),
                "(Content-Length: [0-9]{1,7}|Transfer-Encoding: chunked|Expect: x)\r\n".prop_map(String::into_bytes),
                "[0-9a-f]{1,3}\r\n".prop_map(String::into_bytes),
            ],
            0..8,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let answer = runtime.block_on(async {
            let mut socket = open();
            for piece in pieces {
                // The server may have had enough.
                if socket.write_all(&piece).await.is_err() {
                    break;
                }
            }
            let mut out = Vec::new();
            let end = tokio::time::timeout(Duration::from_secs(3600), socket.read_to_end(&mut out));
            end.await.expect("the connection ends").unwrap();
            out
        });
        prop_assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{:?}", String::from_utf8_lossy(&answer));
    }

    #[test]
    fn any_chunks_end_somehow(bytes: Vec<u8>) {
        let _ = Skip::new(Framing::Chunked).take(&bytes);
    }
}

#[test]
fn chunk_sizes_cannot_overflow_or_run_on() {
    for body in ["ffffffffffffffff\r\n", "fffffffffffffffff", "g\r\n", "\r\n", ";x\r\n"] {
        assert_eq!(Skip::new(Framing::Chunked).take(body.as_bytes()), Progress::GiveUp, "{body:?}");
    }
    let extension = format!("1;{}", "x".repeat(10_000));
    assert_eq!(Skip::new(Framing::Chunked).take(extension.as_bytes()), Progress::GiveUp);
    let long = vec![b'x'; 300 << 10];
    assert_eq!(Skip::new(Framing::Length(1 << 30)).take(&long), Progress::GiveUp);
    assert_eq!(head::parse(b"GET"), Err(Refusal::BadRequest));
}
