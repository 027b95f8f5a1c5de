//! Scenes with directories of tokens that no seed plays: files that change behind a server's back,
//! and two servers that compare what they have.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::server::Signal;
use testkit::{Client, DEADLINE, Msg, Server, ServerBuilder, eventually};

use super::people;
use super::side::Side;
use super::step::Signature;
use super::world::World;
use crate::random::Random;

/// A world with a plain user of `A` and one of `C`.
fn peopled(seed: u64) -> (World, [usize; 2]) {
    let mut r = Random::new(seed);
    let now = super::unix_now();
    let mut world = World::new(&mut r, now);
    world.strict = false;
    let users = [1, 3].map(|at| people::plain(&mut r, &mut world, at));
    (world, users)
}

fn start(binary: &PathBuf, world: &World, accounts: &[usize], more: &str) -> Server {
    let mut config = format!(
        "server_name: house\noperator: {}\nresolver {{ type: full, dir: \"{{dir}}/jwt\"{more} }}\n\
         resolver_preload {{\n",
        world.operator_token()
    );
    for at in accounts {
        let token = world.account_token(*at, world.now - 1000);
        config.push_str(&format!("  {}: {token}\n", world.accounts[*at].id()));
    }
    ServerBuilder::of(binary).config(&(config + "}\n")).start()
}

/// Files of tokens that change and come while the server runs, and a reload: what is heard of it.
///
/// # Panics
/// The reload does not end.
pub fn rescanned(binary: &PathBuf) -> String {
    let (mut world, [a, c]) = peopled(1);
    let server = start(binary, &world, &[0, 1, 2], "");
    let mut side = Side::new(server, &world);
    side.begin();
    side.enter(&world, 0, a, Signature::Good, &json!({}));
    side.look(&world);
    let revoked = world.users[a].key.public_key();
    world.accounts[1].body["revocations"] = json!({revoked: world.now});
    for at in [1, 3] {
        let name = format!("jwt/{}.jwt", world.accounts[at].id());
        let path = side.server().dir().join(name);
        std::fs::write(path, world.account_token(at, world.now)).expect("a file of the server's");
    }
    side.server().signal(Signal::HUP);
    side.server().wait_log("Reloaded server configuration");
    let until = Instant::now() + Duration::from_secs(3);
    while side.is_live(0) && Instant::now() < until {
        side.look(&world);
        std::thread::sleep(Duration::from_millis(5));
    }
    side.ask("$SYS.REQ.CLAIMS.LIST", "", &world);
    side.enter(&world, 1, c, Signature::Good, &json!({}));
    side.enter(&world, 2, a, Signature::Good, &json!({}));
    side.look(&world);
    side.heard(&world)
}

/// A client of the system account.
fn system(server: &Server, world: &World) -> Client {
    let mut client = Client::greeted(server.addr());
    super::side::login(&mut client, world, 0, Signature::Good, &json!({}));
    client.flush();
    client
}

/// What a server says by itself of what it has.
fn said(client: &mut Client) -> Msg {
    client.sub("$SYS.REQ.CLAIMS.PACK", 1);
    let said = client.msg();
    client.send("UNSUB 1\r\n");
    client.flush();
    said
}

/// What a server answers who has `theirs`.
fn packages(client: &mut Client, theirs: &[u8]) -> Vec<String> {
    client.sub("packages", 2);
    client.send(format!("PUB $SYS.REQ.CLAIMS.PACK packages {}\r\n", theirs.len()));
    client.send(theirs);
    client.send("\r\n");
    let mut lines = Vec::new();
    loop {
        let message = client.msg();
        if message.payload.is_empty() {
            client.send("UNSUB 2\r\n");
            client.flush();
            lines.sort();
            return lines;
        }
        lines.push(message.text());
    }
}

/// Two servers with one account in common and one of their own each, the first with the newer token
/// of the former: each is handed what the other answers it, as a cluster would do. The hashes that
/// they tell before and after, and whether both have the same in the end.
///
/// # Panics
/// They do not answer, or do not become alike.
pub fn exchanged(first: &PathBuf, second: &PathBuf) -> [Vec<u8>; 3] {
    let (mut world, _) = peopled(2);
    let every = ", interval: \"1s\"";
    let (one, two) =
        (start(first, &world, &[0, 1, 2], every), start(second, &world, &[0, 1, 3], every));
    let (mut a, mut b) = (system(&one, &world), system(&two, &world));
    world.accounts[1].frame = json!({"name": "newer"});
    let token = world.account_token(1, world.now);
    a.sub("in", 9);
    a.send(format!("PUB $SYS.REQ.CLAIMS.UPDATE in {}\r\n{token}\r\n", token.len()));
    let answer = a.msg().text();
    assert!(answer.contains("jwt updated"), "{answer}");
    let before = [said(&mut a), said(&mut b)];
    assert_ne!(before[0].payload, before[1].payload);
    // Whoever has the same hears nothing but the end.
    assert_eq!(packages(&mut a, &before[0].payload), Vec::<String>::new());
    assert_eq!(packages(&mut a, &before[1].payload).len(), 3);
    let mut alike = Vec::new();
    eventually(DEADLINE, "both have the same", || {
        for turn in 0..2 {
            let (asks, answers) = if turn == 0 { (&mut a, &mut b) } else { (&mut b, &mut a) };
            let question = said(asks);
            let inbox = question.reply.expect("it wants an answer");
            for line in packages(answers, &question.payload) {
                asks.publish(&inbox, line);
            }
            asks.publish(&inbox, "");
            asks.flush();
        }
        let (a, b) = (said(&mut a).payload, said(&mut b).payload);
        alike.clone_from(&a);
        (a == b).then_some(())
    });
    // The newer token won.
    assert!(packages(&mut b, b"x").iter().any(|line| line.ends_with(&token)));
    let [one, two] = before.map(|said| said.payload);
    [one, two, alike]
}
