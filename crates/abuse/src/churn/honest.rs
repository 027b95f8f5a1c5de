//! Peers that keep to the protocol and count.
//!
//! Laws: every publisher numbers its messages from 0 and ends with `end`; a subscriber gets each
//!       number once and in order; the members of a queue group get each once between them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use super::Shared;
use serde_json::json;
use testkit::{Client, Frame};

/// Small messages go to these subjects, so that wildcards and literals both match.
const PUBLISHERS: usize = 3;
/// Between two turns of a publisher; each turn is a burst.
const TURN: Duration = Duration::from_millis(10);
const BURST: u64 = 5;

/// All of them.
pub(super) struct Honest {
    shared: Arc<Shared>,
    publishers: Vec<JoinHandle<u64>>,
    subscribers: Vec<JoinHandle<u64>>,
    groups: Vec<JoinHandle<u64>>,
    bulk: Vec<JoinHandle<u64>>,
    requests: JoinHandle<u64>,
}

impl Honest {
    /// Connects and subscribes all, then lets the publishers begin.
    pub(super) fn start(shared: &Arc<Shared>) -> Self {
        let subscriber = |user: &str, tls, lines: &str, publishers| {
            let client = subscribed(shared, user, tls, lines);
            std::thread::spawn(move || in_order(client, publishers))
        };
        let subscribers = vec![
            subscriber("one", false, "SUB live.> 1\r\n", PUBLISHERS),
            subscriber("one", true, "SUB live.*.small 1\r\n", PUBLISHERS),
            subscriber("two", false, "SUB one.live.> 1\r\n", PUBLISHERS),
        ];
        let groups = ["one", "one"]
            .map(|user| {
                let client = subscribed(shared, user, false, "SUB live.> honest 1\r\n");
                std::thread::spawn(move || any_order(client))
            })
            .into();
        let mut bulk = vec![subscriber("two", false, "SUB bulk.> 1\r\n", 1)];
        let publishers = (0..PUBLISHERS).map(|n| publisher(shared, "one", n, "live", 64)).collect();
        bulk.push(publisher(shared, "two", 0, "bulk", 60_000));
        let requests = requests(shared);
        Self { shared: shared.clone(), publishers, subscribers, groups, bulk, requests }
    }

    /// Ends the publishers and returns what was sent and received; panics on the first mistake.
    pub(super) fn finish(mut self) -> (u64, u64) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let join = |threads: Vec<JoinHandle<u64>>| -> Vec<u64> {
            let join =
                |t: JoinHandle<u64>| t.join().unwrap_or_else(|p| std::panic::resume_unwind(p));
            threads.into_iter().map(join).collect()
        };
        let bulk_sent = join(vec![self.bulk.pop().unwrap()])[0];
        let sent: u64 = join(self.publishers).iter().sum();
        let got = join(self.subscribers);
        assert!(got.iter().all(|n| *n == sent), "{sent} sent, received {got:?}");
        let grouped: u64 = join(self.groups).iter().sum();
        assert_eq!(grouped, sent, "a queue group gets each message once");
        let bulk_got = join(self.bulk)[0];
        assert_eq!(bulk_got, bulk_sent);
        assert!(join(vec![self.requests])[0] > 0);
        (sent + bulk_sent, got.iter().sum::<u64>() + grouped + bulk_got)
    }
}

fn connect(shared: &Shared, user: &str, tls: bool) -> Client {
    let mut client = Client::greeted(shared.addr);
    shared.connects.fetch_add(1, Ordering::Relaxed);
    if tls {
        client = client.start_tls(shared.authority.client_config(None), "localhost").unwrap();
    }
    client.connect(&json!({"user": user, "pass": "pw", "name": "honest"}));
    client.deadline = Duration::from_secs(30);
    client.flush();
    client
}

fn subscribed(shared: &Shared, user: &str, tls: bool, lines: &str) -> Client {
    let mut client = connect(shared, user, tls);
    client.send(lines);
    // Every member of a group hears of the end by itself.
    client.send("SUB over.> 99\r\n");
    client.flush();
    client
}

fn publisher(
    shared: &Arc<Shared>,
    user: &str,
    number: usize,
    space: &'static str,
    size: usize,
) -> JoinHandle<u64> {
    let mut client = connect(shared, user, number == 1);
    let shared = shared.clone();
    std::thread::spawn(move || {
        let mut sent = 0;
        let subject = format!("{space}.{number}.small");
        while !shared.stop.load(Ordering::Relaxed) {
            for _ in 0..if size > 1000 { 1 } else { BURST } {
                let mut payload = format!("{number} {sent} ").into_bytes();
                payload.resize(size, b'.');
                client.publish(&subject, payload);
                sent += 1;
            }
            // The answer shows that the server is not overrun; the pace is ours to choose.
            assert_eq!(client.ping(), Vec::<Frame>::new());
            std::thread::sleep(TURN);
        }
        client.publish(&subject, format!("{number} end "));
        client.publish(&format!("over.{space}.{number}"), format!("{number} over "));
        assert_eq!(client.flush(), Vec::<Frame>::new());
        sent
    })
}

/// One account asks a service of the other, again and again; each answer must be its own.
fn requests(shared: &Arc<Shared>) -> JoinHandle<u64> {
    let mut responder = connect(shared, "one", false);
    let mut requester = connect(shared, "two", false);
    responder.sub("svc.honest", 1);
    responder.flush();
    requester.sub("inbox.honest.*", 1);
    requester.flush();
    let mut ask = move |number: u64| {
        requester.send(format!("PUB svc.honest inbox.honest.{number} 2\r\nhi\r\n"));
        let request = responder.msg();
        responder.publish(&request.reply.expect("a reply subject"), number.to_string());
        let answer = requester.msg();
        assert_eq!(answer.subject, format!("inbox.honest.{number}"));
        assert_eq!(answer.text(), number.to_string());
    };
    // The first answer leaves the account with the place where its answers arrive.
    ask(0);
    let shared = shared.clone();
    std::thread::spawn(move || {
        let mut asked = 1;
        while !shared.stop.load(Ordering::Relaxed) {
            ask(asked);
            asked += 1;
            std::thread::sleep(TURN);
        }
        asked
    })
}

/// `<publisher> <number> ...`
fn parts(text: &str) -> (usize, &str) {
    let mut words = text.split(' ');
    let number = words.next().and_then(|w| w.parse().ok()).expect("an honest payload");
    (number, words.next().expect("an honest payload"))
}

/// Reads until every publisher has said `end`; each number exactly once, in order.
fn in_order(mut client: Client, publishers: usize) -> u64 {
    let mut next = vec![Some(0u64); publishers];
    let mut received = 0;
    while next.iter().any(Option::is_some) {
        let message = client.msg();
        let text = message.text();
        match parts(&text) {
            (_, "over") => {}
            (from, "end") => assert!(next[from].take().is_some(), "two ends of {from}"),
            (from, number) => {
                let expected = next[from].expect("nothing after the end");
                assert_eq!(number, expected.to_string(), "lost or doubled, publisher {from}");
                next[from] = Some(expected + 1);
                received += 1;
            }
        }
    }
    received
}

/// Reads until every publisher is over; each number rises, per publisher.
fn any_order(mut client: Client) -> u64 {
    let mut last = [None; PUBLISHERS];
    let (mut received, mut over) = (0, 0);
    while over < PUBLISHERS {
        let text = client.msg().text();
        match parts(&text) {
            (_, "over") => over += 1,
            (_, "end") => {}
            (from, number) => {
                let number: u64 = number.parse().unwrap();
                assert!(last[from].is_none_or(|last| last < number), "doubled, publisher {from}");
                last[from] = Some(number);
                received += 1;
            }
        }
    }
    received
}
