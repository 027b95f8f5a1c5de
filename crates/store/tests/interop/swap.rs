//! It writes, we read; we write on, it reads: with and without a valid index.

use std::collections::BTreeMap;
use std::path::Path;

use data_encoding::BASE64;
use serde_json::{Value, json};
use stdx::time::Timestamp;
use store::disk::real::RealDisk;
use store::{
    Cipher, Compression, ConsumerFile, Encryption, FileStore, Filter, NewMessage, Options, Settings,
};

use crate::peer::{Peer, binary, is_old};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    name: &'static str,
    key: Option<(Cipher, &'static str)>,
    /// The key from our turn on, if it changes.
    then: Option<(Cipher, &'static str)>,
    compressed: bool,
    /// End either side without its orderly shutdown.
    abrupt: bool,
    /// Neither side removes anything: what a server before 2.10 can read of ours.
    kept: bool,
}

impl Case {
    fn jetstream(key: Option<(Cipher, &str)>) -> String {
        match key {
            None => String::new(),
            Some((Cipher::ChaCha, key)) => format!("key: \"{key}\"\ncipher: chacha"),
            Some((Cipher::Aes, key)) => format!("key: \"{key}\"\ncipher: aes"),
        }
    }

    /// What we open with: the next key, if it changes, with the old one as previous.
    fn encryption(&self) -> Option<Encryption> {
        let (cipher, key) = self.then.or(self.key)?;
        let previous = self.then.and(self.key).map(|(_, key)| key.into());
        Some(Encryption { cipher, key: key.into(), previous, info: "$G".into() })
    }

    fn options(&self) -> Options {
        Options {
            compression: if self.compressed { Compression::S2 } else { Compression::None },
            encryption: self.encryption(),
            ..Options::default()
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            name: "S".into(),
            max_bytes: Some(MAX_BYTES),
            allow_msg_ttl: true,
            ..Settings::default()
        }
    }
}

/// Makes blocks of 4 MiB, so that the test fills several.
const MAX_BYTES: u64 = 30_000_000;

/// One message as either side tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    subject: String,
    header: Vec<u8>,
    payload: Vec<u8>,
    ts: Timestamp,
}

pub(crate) fn parse_time(text: &str) -> Timestamp {
    // RFC 3339 with nanoseconds, as the API prints it.
    let (date, rest) = text.split_once('T').unwrap();
    let rest = rest.trim_end_matches('Z');
    let (clock, fraction) = rest.split_once('.').unwrap_or((rest, "0"));
    let d: Vec<i64> = date.split('-').map(|p| p.parse().unwrap()).collect();
    let c: Vec<i64> = clock.split(':').map(|p| p.parse().unwrap()).collect();
    let (y, m) = if d[1] > 2 { (d[0], d[1] - 3) } else { (d[0] - 1, d[1] + 9) };
    let era = y.div_euclid(400);
    let (yoe, doy) = (y.rem_euclid(400), (153 * m + 2) / 5 + d[2] - 1);
    let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
    let nanos: i64 = format!("{fraction:0<9}").parse().unwrap();
    Timestamp((days * 86_400 + c[0] * 3600 + c[1] * 60 + c[2]) * 1_000_000_000 + nanos)
}

pub(crate) async fn told_by_peer(peer: &Peer) -> (Value, BTreeMap<u64, Told>) {
    let info =
        peer.ok("STREAM.INFO.S", &json!({"deleted_details": true, "subjects_filter": ">"})).await;
    let state = info["state"].clone();
    let (first, last) = (state["first_seq"].as_u64().unwrap(), state["last_seq"].as_u64().unwrap());
    let mut messages = BTreeMap::new();
    for seq in first..=last {
        let answer = peer.api("STREAM.MSG.GET.S", &json!({"seq": seq})).await;
        let Some(m) = answer.get("message") else { continue };
        let bytes = |field: &str| {
            m[field].as_str().map(|t| BASE64.decode(t.as_bytes()).unwrap()).unwrap_or_default()
        };
        let told = Told {
            subject: m["subject"].as_str().unwrap().into(),
            header: bytes("hdrs"),
            payload: bytes("data"),
            ts: parse_time(m["time"].as_str().unwrap()),
        };
        messages.insert(seq, told);
    }
    (state, messages)
}

fn told_by_store(store: &mut FileStore<RealDisk>) -> BTreeMap<u64, Told> {
    let mut out = BTreeMap::new();
    let mut from = 0;
    while let Some(m) = store.next(&Filter::All, from).unwrap() {
        from = m.seq + 1;
        let told = Told {
            subject: String::from_utf8(m.subject.to_vec()).unwrap(),
            header: m.header.to_vec(),
            payload: m.payload.to_vec(),
            ts: m.ts,
        };
        out.insert(m.seq, told);
    }
    out
}

pub(crate) fn compare(
    store: &mut FileStore<RealDisk>,
    peer_state: &Value,
    messages: &BTreeMap<u64, Told>,
    context: &str,
) {
    assert_eq!(store.lost(), &[], "nothing lost {context}");
    let state = store.state();
    for (ours, field) in [
        (state.msgs, "messages"),
        (state.bytes, "bytes"),
        (state.first_seq, "first_seq"),
        (state.last_seq, "last_seq"),
        (state.num_subjects, "num_subjects"),
    ] {
        assert_eq!(ours, peer_state[field].as_u64().unwrap_or(0), "{field} {context}");
    }
    assert_eq!(
        state.first_ts,
        Some(parse_time(peer_state["first_ts"].as_str().unwrap())),
        "{context}"
    );
    assert_eq!(
        state.last_ts,
        Some(parse_time(peer_state["last_ts"].as_str().unwrap())),
        "{context}"
    );
    assert_eq!(&told_by_store(store), messages, "messages {context}");
    let totals: BTreeMap<String, u64> = store
        .subjects_totals(&Filter::All)
        .into_iter()
        .map(|(s, n)| (String::from_utf8(s.to_vec()).unwrap(), n))
        .collect();
    let peer_totals: BTreeMap<String, u64> =
        serde_json::from_value(peer_state["subjects"].clone()).unwrap();
    assert_eq!(totals, peer_totals, "subject totals {context}");
    let deleted: Vec<u64> = peer_state["deleted"]
        .as_array()
        .map(|a| a.iter().map(|v| v.as_u64().unwrap()).collect())
        .unwrap_or_default();
    assert_eq!(store.deleted_seqs(usize::MAX), deleted, "deleted {context}");
}

pub(crate) async fn fill(peer: &Peer, case: &Case) {
    let mut config = json!({
        "name": "S", "subjects": ["s.>"], "storage": "file", "retention": "limits",
        "max_bytes": MAX_BYTES, "allow_msg_ttl": true, "allow_direct": true,
    });
    if case.compressed {
        config["compression"] = json!("s2");
    }
    peer.ok("STREAM.CREATE.S", &config).await;
    for i in 0..1500u32 {
        let subject = format!("s.{}.{}", i % 7, i % 40);
        let payload = format!("payload {i} ").repeat(i as usize % 20 * 60).into_bytes();
        let headers: &[(&str, &str)] = match i % 11 {
            0 => &[("Kind", "header"), ("Nats-Msg-Id", "")],
            1 => &[("Nats-TTL", "1h")],
            _ => &[],
        };
        let id = format!("id{i}");
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|&(n, v)| if n == "Nats-Msg-Id" { (n, id.as_str()) } else { (n, v) })
            .collect();
        peer.publish(&subject, &headers, payload).await;
    }
    if case.kept {
        return consume(peer).await;
    }
    for seq in [3u64, 17, 18, 19, 400, 777, 1499, 1500] {
        peer.ok("STREAM.MSG.DELETE.S", &json!({"seq": seq, "no_erase": seq % 2 == 0})).await;
    }
    peer.ok("STREAM.PURGE.S", &json!({"filter": "s.3.3"})).await;
    peer.ok("STREAM.PURGE.S", &json!({"filter": "s.4.*", "keep": 5})).await;
    peer.ok("STREAM.PURGE.S", &json!({"seq": 9})).await;
    // The peer writes its index after a purge: what follows is only in the blocks.
    for i in 0..30 {
        peer.publish(&format!("s.late.{}", i % 4), &[], vec![b'x'; 100]).await;
    }
    if !(is_old() && case.abrupt && case.key.is_some()) {
        // Killed before its next index write, an old peer forgets this itself unless it is erased.
        peer.ok("STREAM.MSG.DELETE.S", &json!({"seq": 1510})).await;
    }
    consume(peer).await;
}

/// A durable consumer with acknowledged, pending and redelivered messages.
async fn consume(peer: &Peer) {
    let config = json!({"stream_name": "S", "config": {
        "durable_name": "C", "ack_policy": "explicit", "ack_wait": 300_000_000_000u64, "max_deliver": 5,
    }});
    peer.ok("CONSUMER.DURABLE.CREATE.S.C", &config).await;
    let inbox = peer.client.new_inbox();
    let mut inbox_messages = peer.client.subscribe(inbox.clone()).await.unwrap();
    let next = "$JS.API.CONSUMER.MSG.NEXT.S.C";
    peer.client.publish_with_reply(next, inbox.clone(), "20".into()).await.unwrap();
    for i in 0..20u32 {
        use futures_lite::StreamExt;
        let m = inbox_messages.next().await.unwrap();
        let reply = m.reply.unwrap();
        let body: &str = match i {
            0..=4 | 7 | 9 => "+ACK",
            12 | 13 => "-NAK",
            _ => continue,
        };
        peer.client.request(reply, body.to_string().into()).await.ok();
    }
    // The refused ones come again.
    peer.client.publish_with_reply(next, inbox, "2".into()).await.unwrap();
    for _ in 0..2 {
        use futures_lite::StreamExt;
        inbox_messages.next().await.unwrap();
    }
}

async fn compare_consumer(disk: &RealDisk, case: &Case, info: &Value) {
    let (_, state) =
        ConsumerFile::open(disk.clone(), "S", "C", b"{}", case.encryption().as_ref()).unwrap();
    let state = state.unwrap();
    state.validate().unwrap();
    let pair = |field: &str, which: &str| info[field][which].as_u64().unwrap();
    assert_eq!(state.delivered.consumer, pair("delivered", "consumer_seq"));
    assert_eq!(state.delivered.stream, pair("delivered", "stream_seq"));
    assert_eq!(state.ack_floor.consumer, pair("ack_floor", "consumer_seq"));
    assert_eq!(state.ack_floor.stream, pair("ack_floor", "stream_seq"));
    assert_eq!(state.pending.len() as u64, info["num_ack_pending"].as_u64().unwrap());
    assert_eq!(state.redelivered.len() as u64, info["num_redelivered"].as_u64().unwrap());
}

fn write_on(store: &mut FileStore<RealDisk>, case: &Case) {
    let last = store.state().last_ts.unwrap().0;
    for i in 0..700u32 {
        let subject = format!("s.ours.{}", i % 13);
        let payload = format!("ours {i} ").repeat(i as usize % 30);
        let header: &[u8] = if i % 5 == 0 { b"NATS/1.0\r\nFrom: ours\r\n\r\n" } else { b"" };
        let message = NewMessage::new(subject.as_bytes(), header, payload.as_bytes());
        store.append(&message, Timestamp(last + 1 + i64::from(i))).unwrap();
    }
    if case.kept {
        return;
    }
    let end = store.state().last_seq;
    for seq in [20, 21, end - 300, end - 2, end] {
        assert!(store.remove(seq).unwrap());
    }
    assert!(store.erase(end - 10).unwrap());
    store.purge_filtered(&Filter::parse(b"s.ours.3"), 0, 0).unwrap();
    store.purge_filtered(&Filter::parse(b"s.*.7"), 0, 2).unwrap();
    store.compact(30).unwrap();
    store.maintain().unwrap();
}

async fn swap(case: Case) {
    if binary().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jetstream/$G/streams/S");
    let peer = Peer::start(dir.path(), &Case::jetstream(case.key)).await;
    fill(&peer, &case).await;
    let (state, messages) = told_by_peer(&peer).await;
    let consumer = peer.ok("CONSUMER.INFO.S.C", &json!({})).await;
    // The consumer's file is written within 100 ms of its last change.
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    if case.abrupt {
        peer.kill();
    } else {
        peer.stop();
    }

    let disk = RealDisk::new(&path);
    compare_consumer(&disk, &case, &consumer).await;
    let (mut store, recovery) = open(&path, &case);
    if case.then.is_none() {
        assert_eq!(recovery.from_index, !case.abrupt && !is_old(), "{} {recovery:?}", case.name);
    }
    assert!(recovery.blocks >= 3, "{recovery:?}");
    compare(&mut store, &state, &messages, case.name);
    store.check();

    write_on(&mut store, &case);
    let ours = told_by_store(&mut store);
    let our_state = store.state();
    if case.abrupt {
        store.flush().unwrap();
    } else {
        store.close().unwrap();
    }
    drop(store);
    if is_old() && !case.kept {
        // It takes a tombstone for a message with a huge sequence: there is no way back from here.
        let (mut store, _) = open(&path, &case);
        assert_eq!(told_by_store(&mut store), ours, "{}: what we took over stays", case.name);
        assert_eq!(store.lost(), &[]);
        return;
    }

    let peer = Peer::start(dir.path(), &Case::jetstream(case.then.or(case.key))).await;
    let (state, messages) = told_by_peer(&peer).await;
    assert_eq!(
        messages.keys().collect::<Vec<_>>(),
        ours.keys().collect::<Vec<_>>(),
        "{}",
        case.name
    );
    assert_eq!(messages, ours, "{}: the peer reads what we wrote", case.name);
    assert_eq!(state["bytes"].as_u64(), Some(our_state.bytes), "{}", case.name);
    assert_eq!(state["last_seq"].as_u64(), Some(our_state.last_seq), "{}", case.name);
    let again = peer.ok("CONSUMER.INFO.S.C", &json!({})).await;
    assert_eq!(
        again["delivered"]["consumer_seq"], consumer["delivered"]["consumer_seq"],
        "{}",
        case.name
    );
    peer.publish("s.back", &[], b"back".to_vec()).await;
    peer.stop();
    let (mut store, _) = open(&path, &case);
    assert_eq!(store.last(&Filter::parse(b"s.back")).unwrap().unwrap().seq, our_state.last_seq + 1);
    assert_eq!(store.lost(), &[]);
}

fn open(path: &Path, case: &Case) -> (FileStore<RealDisk>, store::Recovery) {
    let now = Timestamp(i64::MAX / 4);
    FileStore::open(RealDisk::new(path), case.settings(), case.options(), b"{}", now).unwrap()
}

pub(crate) const PLAIN: Case =
    Case { name: "plain", key: None, then: None, compressed: false, abrupt: false, kept: false };

// Contract: FSTORE-001, FSTORE-002, FSTORE-003, FSTORE-004, RET-013, FSTORE-017
#[tokio::test(flavor = "multi_thread")]
async fn plain_stores_swap() {
    swap(PLAIN).await;
    swap(Case { name: "plain, nothing removed", kept: true, ..PLAIN }).await;
}

// Contract: FSTORE-001, FSTORE-002, FSTORE-006
#[tokio::test(flavor = "multi_thread")]
async fn killed_stores_swap() {
    swap(Case { name: "killed", abrupt: true, ..PLAIN }).await;
    swap(Case { name: "killed, nothing removed", abrupt: true, kept: true, ..PLAIN }).await;
}

// Contract: FSTORE-013
#[tokio::test(flavor = "multi_thread")]
async fn compressed_stores_swap() {
    swap(Case { name: "compressed", compressed: true, ..PLAIN }).await;
    swap(Case { name: "compressed, killed", compressed: true, abrupt: true, ..PLAIN }).await;
}

// Contract: FSTORE-021
#[tokio::test(flavor = "multi_thread")]
async fn encrypted_stores_swap() {
    let chacha = Case { key: Some((Cipher::ChaCha, "s3cr3t")), ..PLAIN };
    swap(Case { name: "chacha", ..chacha }).await;
    swap(Case { name: "chacha, nothing removed", kept: true, ..chacha }).await;
    swap(Case { name: "aes", key: Some((Cipher::Aes, "s3cr3t")), compressed: true, ..PLAIN }).await;
    swap(Case { name: "aes, killed", key: Some((Cipher::Aes, "s3cr3t")), abrupt: true, ..PLAIN })
        .await;
}

// Contract: FSTORE-022, FSTORE-024
#[tokio::test(flavor = "multi_thread")]
async fn converted_stores_swap() {
    let (one, two) = ((Cipher::ChaCha, "first"), (Cipher::Aes, "second"));
    swap(Case { name: "rotated", key: Some(one), then: Some(two), ..PLAIN }).await;
    swap(Case { name: "newly encrypted", then: Some(one), compressed: true, ..PLAIN }).await;
}
