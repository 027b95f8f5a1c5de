//! Conversations as a reader would tell them: commands, and everything that happened.
//! `UPDATE=1` rewrites the expectations.

use super::cluster::{Cluster, SECOND};
use crate::codec::append::AppendEntry;
use crate::codec::vote::VoteRequest;

/// Runs one script: blocks of commands, a line of dashes, the reaction, an empty line.
fn run(script: &str) -> String {
    let mut cluster = Cluster::new(3);
    let mut written = String::new();
    for block in script.trim_end().split("\n\n") {
        let (commands, _) = block.split_once("\n----").unwrap_or((block, ""));
        for command in commands.lines().filter(|line| !line.starts_with('#')) {
            perform(&mut cluster, command);
        }
        written += &format!("{commands}\n----\n{}\n", reaction(&mut cluster));
    }
    written
}

fn perform(cluster: &mut Cluster, command: &str) {
    let words: Vec<&str> = command.split(' ').collect();
    let number = |i: usize| words[i].parse::<usize>().unwrap();
    match words[0] {
        "campaign" => {
            cluster.input(number(1), |node, now, _| node.campaign_immediately(now));
            cluster.advance(SECOND / 10);
        }
        "propose" => cluster.propose(number(1), words[2]),
        "isolate" => cluster.isolate(number(1)),
        "heal" => cluster.cut.clear(),
        "cut" => cluster.cut.push((number(1), number(2))),
        "slow" => cluster.servers[number(1)].slow = true,
        "sync" => {
            cluster.sync(number(1));
            cluster.settle();
        }
        "advance" => cluster.advance(number(1) as u64 * SECOND),
        other => panic!("unknown command {other}"),
    }
}

fn reaction(cluster: &mut Cluster) -> String {
    let mut text = String::new();
    for (from, name, payload) in cluster.sent.drain(..) {
        if let Ok(request) = VoteRequest::decode(&payload) {
            text += &format!("{from} campaigns in term {} from {}\n", request.term, request.last);
        } else if let Some(entry) = AppendEntry::decode(&payload).ok().filter(AppendEntry::stores) {
            let kinds: Vec<_> = entry.entries.iter().map(|e| format!("{:?}", e.kind)).collect();
            let way = if name == "append" { "sends" } else { "streams" };
            text += &format!("{from} {way} {} after {}\n", kinds.join(" "), entry.prev);
        }
    }
    for (n, server) in cluster.servers.iter().enumerate() {
        let node = &server.node;
        text += &format!(
            "{n}: {:?} term {} last {} commit {} applied {:?}\n",
            node.role(),
            node.term(),
            node.last(),
            node.commit(),
            server.applied
        );
    }
    text
}

fn check(name: &str, script: &str) {
    let written = run(script);
    if std::env::var_os("UPDATE").is_some() {
        let path = format!("{}/testdata/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, written.trim_end().to_string() + "\n").unwrap();
        return;
    }
    assert_eq!(written.trim_end(), script.trim_end());
}

#[test]
fn lost_vote() {
    check("lost_vote", include_str!("../../testdata/lost_vote.txt"));
}

#[test]
fn contradicted_tail() {
    check("contradicted_tail", include_str!("../../testdata/contradicted_tail.txt"));
}

#[test]
fn slow_disks() {
    check("slow_disks", include_str!("../../testdata/slow_disks.txt"));
}
