//! Accounts from a web server: there, slow, wrong, gone.

use super::house::{Account, House, Login, Peer};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What the web server answers, by path; nothing at all for other paths.
type Pages = Arc<Mutex<HashMap<String, String>>>;

/// A web server, and how often each path was asked for.
struct Web {
    url: String,
    pages: Pages,
    asked: Arc<Mutex<HashMap<String, usize>>>,
}

impl Web {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/accounts", listener.local_addr().unwrap());
        let (pages, asked) = (Pages::default(), Arc::<Mutex<HashMap<String, usize>>>::default());
        let (answers, counts) = (pages.clone(), asked.clone());
        // On threads of its own: a server that starts waits for it.
        std::thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                let (answers, counts) = (answers.clone(), counts.clone());
                std::thread::spawn(move || answer(socket, &answers, &counts));
            }
        });
        let web = Self { url, pages, asked };
        web.serve("", 200, "ok");
        web
    }

    fn serve(&self, key: &str, status: u16, body: &str) {
        let page = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        self.pages.lock().unwrap().insert(format!("/accounts/{key}"), page);
    }

    fn asked(&self, key: &str) -> usize {
        self.asked.lock().unwrap().get(&format!("/accounts/{key}")).copied().unwrap_or(0)
    }

    /// A server that has its accounts from here.
    fn house(&self) -> House {
        let mut house = House::new();
        self.serve(&house.system.id(), 200, &house.sign(&house.system));
        let conf = format!("{}\nresolver: URL({}/)", house.operator_conf(), self.url);
        house.start(&conf);
        house
    }
}

/// Reads a request and answers it, or waits until whoever asks gives up.
fn answer(mut socket: std::net::TcpStream, pages: &Pages, asked: &Mutex<HashMap<String, usize>>) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        if socket.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        request.push(byte[0]);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    *asked.lock().unwrap().entry(path.clone()).or_default() += 1;
    let page = pages.lock().unwrap().get(&path).cloned();
    match page {
        // Who asks may have had enough.
        Some(page) => drop(socket.write_all(page.as_bytes())),
        None => drop(socket.read(&mut byte)),
    }
}

const REFUSED: &str = "-ERR 'Authorization Violation'";

// Contract: AUTH-018
#[tokio::test]
async fn accounts_come_from_a_web_server() {
    let web = Web::open();
    let house = web.house();
    let account = Account::new("A");
    web.serve(&account.id(), 404, "");
    assert_eq!(house.try_login(&Login::plain(&account)).await, REFUSED);
    web.serve(&account.id(), 200, &house.sign(&account));
    assert_eq!(house.try_login(&Login::plain(&account)).await, "PONG");
    assert_eq!(house.try_login(&Login::plain(&account)).await, "PONG");
    assert_eq!(
        (web.asked(""), web.asked(&account.id())),
        (1, 2),
        "known accounts are not asked for"
    );
}

// Contract: AUTH-018
#[tokio::test]
async fn garbage_from_a_web_server_lets_nobody_in() {
    let web = Web::open();
    let house = web.house();
    let (account, other) = (Account::new("A"), Account::new("B"));
    let foreign = account.claims.clone().encode(&nkeys::KeyPair::new_operator(), 1).unwrap();
    for body in ["", "x", "a.b.c", &"A".repeat(2 << 20), &foreign, &house.sign(&other)] {
        web.serve(&account.id(), 200, body);
        assert_eq!(house.try_login(&Login::plain(&account)).await, REFUSED);
    }
    web.serve(&account.id(), 200, &house.sign(&account));
    assert_eq!(house.try_login(&Login::plain(&account)).await, "PONG");
}

// Contract: AUTH-018
#[tokio::test]
async fn a_web_server_that_never_answers_holds_up_nobody_else() {
    let web = Web::open();
    let house = web.house();
    let (silent, account) = (Account::new("A"), Account::new("B"));
    web.serve(&account.id(), 200, &house.sign(&account));
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut peer = Peer::open(house.server()).await;
        peer.login(&Login::plain(&silent), "").await;
        waiting.push(peer);
    }
    let begun = Instant::now();
    assert_eq!(house.try_login(&Login::plain(&account)).await, "PONG");
    let mut served = Peer::enter(house.server(), &Login::plain(&account)).await;
    assert!(served.is_served().await);
    assert!(begun.elapsed() < Duration::from_millis(1500), "while the others wait");
    for mut peer in waiting {
        assert_eq!(peer.line().await, REFUSED);
    }
    assert_eq!(web.asked(&silent.id()), 1, "who waits for the same shares the answer");
}

// Contract: AUTH-018
#[tokio::test]
async fn a_server_does_not_start_when_nobody_is_there() {
    let house = House::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let conf = format!(
        "listen: 127.0.0.1:-1\n{}\nresolver: URL(http://u:secret@{free}/)",
        house.operator_conf()
    );
    let loaded = config::load_text(conf.as_bytes(), "x", &ironats::files::System).unwrap();
    let start = move || ironats::Server::start(loaded.options, ironats::Log::discard());
    let refused = tokio::task::spawn_blocking(start).await.unwrap().err().unwrap().to_string();
    assert!(
        refused.starts_with(&format!("could not fetch <\"http://u:xxxxx@{free}/\">: ")),
        "{refused}"
    );
    assert!(!refused.contains("secret"));
}
