//! Backups exchanged: the peer's archive unpacked by us, ours restored by the peer.

use futures_lite::StreamExt;
use serde_json::{Value, json};
use stdx::time::Timestamp;
use store::disk::real::RealDisk;
use store::{ConsumerFile, FileStore, Options, Settings, restore_files};

use crate::peer::{Peer, binary, is_old};
use crate::swap::{PLAIN, compare, fill, told_by_peer};

async fn snapshot(peer: &Peer) -> Vec<u8> {
    let inbox = peer.client.new_inbox();
    let mut chunks = peer.client.subscribe(inbox.clone()).await.unwrap();
    peer.ok("STREAM.SNAPSHOT.S", &json!({"deliver_subject": inbox})).await;
    let mut archive = Vec::new();
    loop {
        let chunk = chunks.next().await.unwrap();
        if chunk.payload.is_empty() {
            return archive;
        }
        archive.extend_from_slice(&chunk.payload);
        if let Some(reply) = chunk.reply {
            peer.client.publish(reply, "".into()).await.unwrap();
        }
    }
}

async fn restore(peer: &Peer, archive: &[u8], info: &Value) -> Value {
    let request = json!({"config": info["config"], "state": info["state"]});
    let answer = peer.ok("STREAM.RESTORE.S", &request).await;
    let subject = answer["deliver_subject"].as_str().unwrap().to_owned();
    for chunk in archive.chunks(100_000) {
        let answer = peer.client.request(subject.clone(), chunk.to_vec().into()).await.unwrap();
        assert!(answer.payload.is_empty(), "{:?}", answer.payload);
    }
    let answer = peer.client.request(subject, "".into()).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

// Contract: SNAP-001, SNAP-002, SNAP-005
#[tokio::test(flavor = "multi_thread")]
async fn backups_are_exchanged() {
    if binary().is_none() {
        return;
    }
    if is_old() {
        eprintln!(
            "SKIPPED: archives of servers before 2.10 hold .idx files, which are not restored"
        );
        return;
    }
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let peer = Peer::start(dirs[0].path(), "").await;
    fill(&peer, &PLAIN).await;
    let (state, messages) = told_by_peer(&peer).await;
    let info = peer.ok("STREAM.INFO.S", &json!({})).await;
    let consumer = peer.ok("CONSUMER.INFO.S.C", &json!({})).await;
    let archive = snapshot(&peer).await;
    peer.stop();

    let disk = RealDisk::new(dirs[1].path());
    let document = restore_files(&disk, &archive, 1 << 30).unwrap();
    assert!(document.starts_with(b"{\"Created\":"));
    let settings = Settings { name: "S".into(), ..Settings::default() };
    let (mut store, recovery) =
        FileStore::open(disk.clone(), settings, Options::default(), b"{}", Timestamp(1)).unwrap();
    assert!(recovery.from_index, "the archive's index holds");
    compare(&mut store, &state, &messages, "from the peer's archive");

    let (file, progress) = ConsumerFile::open(disk, "S", "C", b"{}", None).unwrap();
    let progress = progress.unwrap().encode(Timestamp(1));
    let ours = store.snapshot(&[("C".into(), file.read_meta().unwrap(), progress)]).unwrap();
    let peer = Peer::start(dirs[2].path(), "").await;
    let created = restore(&peer, &ours, &info).await;
    assert!(created.get("error").is_none(), "{created}");
    let (state, again) = told_by_peer(&peer).await;
    assert_eq!(again, messages);
    assert_eq!(state["messages"].as_u64(), Some(store.state().msgs));
    let restored = peer.ok("CONSUMER.INFO.S.C", &json!({})).await;
    for field in ["delivered", "ack_floor", "num_ack_pending", "num_redelivered"] {
        let number = |info: &Value| match &info[field] {
            Value::Object(pair) => [pair["consumer_seq"].as_u64(), pair["stream_seq"].as_u64()],
            other => [other.as_u64(), None],
        };
        assert_eq!(number(&restored), number(&consumer), "{field}");
    }
    peer.stop();
}
