//! Accounts that are to have more of JetStream than the server has.

use crate::token::{everywhere, now, signed};
use nkeys::KeyPair;
use serde_json::{Value, json};
use testkit::server::Signal;
use testkit::{Client, Server, ServerBuilder, Which};

const KB: i64 = 1024;
const MEMORY: &str = "insufficient memory resources available (10028)";
const STORAGE: &str = "insufficient storage resources available (10047)";

/// What an account's JetStream says of its limits, in memory and on the disk; `None` if nobody
/// answers.
fn limits(client: &mut Client) -> Option<(Value, Value)> {
    client.sub("info", 1);
    client.send("PUB $JS.API.INFO info 0\r\n\r\n");
    let answer = client.msg();
    client.send("UNSUB 1\r\n");
    if answer.header_text().contains("503") {
        return None;
    }
    let told: Value = serde_json::from_slice(&answer.payload).unwrap();
    let limits = &told["limits"];
    Some((limits["max_memory"].clone(), limits["max_storage"].clone()))
}

#[track_caller]
fn limited(client: &mut Client, memory: i64, disk: i64) {
    assert_eq!(limits(client), Some((json!(memory), json!(disk))));
}

/// How many errors in the log say this.
fn errors(server: &Server, text: &str) -> usize {
    server.log().lines().filter(|l| l.contains("[ERR]") && l.contains(text)).count()
}

#[track_caller]
fn wait_errors(server: &Server, text: &str, n: usize) {
    let what = format!("{n} errors that say {text}");
    testkit::eventually(testkit::DEADLINE, &what, || (errors(server, text) == n).then_some(()));
}

fn conf(memory: i64, accounts: &str) -> String {
    format!(
        "jetstream {{ store_dir: \"{{dir}}/js\", max_mem: {memory}, max_file: 1MB }}
         accounts {{ {accounts} SYS {{ users: [{{user: s, password: p}}] }} }}
         system_account: SYS"
    )
}

fn account(name: &str, limits: &str) -> String {
    format!("{name} {{ jetstream: {{{limits}}}, users: [{{user: {name}, password: p}}] }}\n")
}

// Contract: ACC-019
#[test]
fn a_server_does_not_start_with_accounts_that_have_more_than_it() {
    everywhere("limits at the start", |which| {
        let two = account("A", "max_mem: 600KB") + &account("B", "max_mem: 600KB");
        for (accounts, why) in [
            (account("A", "max_mem: 2MB"), MEMORY),
            (two, MEMORY),
            (account("A", "max_file: 2MB"), STORAGE),
        ] {
            let refused = ServerBuilder::new(which).config(&conf(KB * KB, &accounts)).run();
            assert_eq!(refused.status.code(), Some(1));
            let line = format!(
                "[FTL] Can't start JetStream: Error enabling jetstream on configured accounts: {why}"
            );
            assert!(refused.stderr.contains(&line), "{}", refused.stderr);
        }
        // All of it is not too much, and no limit is none.
        let accounts = account("A", "max_mem: 1MB, max_file: 1MB") + &account("B", "");
        let server = ServerBuilder::new(which).config(&conf(KB * KB, &accounts)).start();
        limited(&mut enter(&server, "A"), KB * KB, KB * KB);
        limited(&mut enter(&server, "B"), -1, -1);
    });
}

fn enter(server: &Server, user: &str) -> Client {
    server.client_with(&json!({"user": user, "pass": "p"}))
}

fn reload(server: &Server, config: &str, nth: usize) {
    let dir = server.dir().display().to_string();
    server.write_config(&format!("listen: \"127.0.0.1:-1\"\n{}", config.replace("{dir}", &dir)));
    server.signal(Signal::HUP);
    let what = format!("reload {nth}");
    testkit::eventually(testkit::DEADLINE, &what, || {
        (server.log().matches("Reloaded server configuration").count() == nth).then_some(())
    });
}

// Contract: ACC-019, RELOAD-004
#[test]
fn a_reload_gives_nobody_more_than_there_is() {
    everywhere("limits in a reload", |which| {
        let had = account("A", "max_mem: 256KB") + &account("B", "max_mem: 256KB");
        let server = ServerBuilder::new(which).config(&conf(KB * KB, &had)).start();
        let (mut a, mut b) = (enter(&server, "A"), enter(&server, "B"));
        let told = format!("Error enabling jetstream on configured accounts: {MEMORY}");
        let more = account("A", "max_mem: 2MB") + &account("B", "max_mem: 256KB");
        reload(&server, &conf(KB * KB, &more), 1);
        wait_errors(&server, &told, 1);
        limited(&mut a, 256 * KB, -1);
        limited(&mut b, 256 * KB, -1);
        // With more on the server it is given.
        reload(&server, &conf(4 * KB * KB, &more), 2);
        limited(&mut a, 2 * KB * KB, -1);
        assert_eq!(errors(&server, &told), 1);
        if which == Which::Ours {
            // Who gets less makes room, whoever comes first; the reference takes them in any order.
            for (n, [first, second]) in
                [["3MB", "1MB"], ["1MB", "3MB"], ["3MB", "1MB"]].into_iter().enumerate()
            {
                let accounts = account("A", &format!("max_mem: {first}"))
                    + &account("B", &format!("max_mem: {second}"));
                reload(&server, &conf(4 * KB * KB, &accounts), n + 3);
            }
            limited(&mut a, 3 * KB * KB, -1);
            limited(&mut b, KB * KB, -1);
            assert_eq!(errors(&server, &told), 1);
        }
    });
}

/// An operator's server with a directory of tokens.
struct House {
    server: Server,
    operator: KeyPair,
    system: Client,
}

fn user(account: &KeyPair) -> Value {
    let claims = json!({"sub": KeyPair::new_user().public_key(), "nats": {"pub": {}, "sub": {},
        "subs": -1, "data": -1, "payload": -1, "bearer_token": true, "type": "user", "version": 2}});
    json!({"jwt": signed(account, &claims)})
}

/// An operator's token for an account. `exp` among the limits: when it ends.
fn token(operator: &KeyPair, account: &KeyPair, name: &str, jetstream: &Value) -> String {
    let mut limits = json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
        "wildcards": true, "conn": -1, "leaf": -1});
    for (field, value) in jetstream.as_object().unwrap() {
        limits[field] = value.clone();
    }
    let nats = json!({"limits": limits, "type": "account", "version": 2});
    let mut claims = json!({"sub": account.public_key(), "name": name, "nats": nats});
    if let Some(end) = jetstream.get("exp") {
        claims["exp"] = end.clone();
    }
    signed(operator, &claims)
}

/// These bytes, and as many streams and consumers as it likes.
fn bytes(memory: i64, disk: i64) -> Value {
    json!({"mem_storage": memory, "disk_storage": disk, "streams": -1, "consumer": -1})
}

impl House {
    fn new(which: Which, preloaded: &[(&KeyPair, &str, Value)]) -> Self {
        let (operator, system) = (KeyPair::new_operator(), KeyPair::new_account());
        let id = system.public_key();
        let own = signed(
            &operator,
            &json!({"sub": operator.public_key(), "name": "O",
                "nats": {"system_account": id, "type": "operator", "version": 2}}),
        );
        let mut preload = format!("{id}: {}\n", token(&operator, &system, "SYS", &json!({})));
        for (key, name, limits) in preloaded {
            let token = token(&operator, key, name, limits);
            preload.push_str(&format!("{}: {token}\n", key.public_key()));
        }
        let config = format!(
            "operator: {own}\nresolver {{ type: full, dir: \"{{dir}}/jwt\" }}
             resolver_preload {{\n{preload}}}
             jetstream {{ store_dir: \"{{dir}}/js\", max_mem: 1MB, max_file: 1MB }}"
        );
        let server = ServerBuilder::new(which).config(&config).start();
        let system = server.client_with(&user(&system));
        Self { server, operator, system }
    }

    fn push(&mut self, account: &KeyPair, name: &str, jetstream: &Value) {
        let token = token(&self.operator, account, name, jetstream);
        self.system.sub("pushed", 1);
        let n = token.len();
        self.system.send(format!("PUB $SYS.REQ.CLAIMS.UPDATE pushed {n}\r\n{token}\r\n"));
        let answer: Value = serde_json::from_slice(&self.system.msg().payload).unwrap();
        self.system.send("UNSUB 1\r\n");
        assert_eq!(answer["data"]["message"], "jwt updated", "{answer}");
    }
}

/// What the log says of a refused token.
fn told(account: &KeyPair, name: &str, why: &str) -> String {
    let key = account.public_key();
    format!("Error configuring jetstream for account [{key}/{name}]: {why}")
}

// Contract: ACC-019
#[test]
fn an_operator_cannot_promise_what_the_server_does_not_have() {
    everywhere("limits of tokens", |which| {
        let mut house = House::new(which, &[]);
        let [a, b, c] = [(); 3].map(|()| KeyPair::new_account());
        house.push(&a, "A", &bytes(2 * KB * KB, -1));
        house.push(&b, "B", &bytes(512 * KB, 512 * KB));
        let mut of_a = house.server.client_with(&user(&a));
        assert_eq!(limits(&mut of_a), None, "{which:?}");
        let no_memory = told(&a, "A", MEMORY);
        house.server.wait_log(&no_memory);
        let mut of_b = house.server.client_with(&user(&b));
        limited(&mut of_b, 512 * KB, 512 * KB);
        // More than there is, all together and by tiers; what was in force stays.
        house.push(&b, "B", &bytes(512 * KB, 2 * KB * KB));
        house.server.wait_log(&told(&b, "B", STORAGE));
        limited(&mut of_b, 512 * KB, 512 * KB);
        let tier = |disk: i64| bytes(0, disk);
        house.push(
            &c,
            "C",
            &json!({"tiered_limits": {"R1": tier(300 * KB), "R3": tier(300 * KB)}}),
        );
        let mut of_c = house.server.client_with(&user(&c));
        house.server.wait_log(&told(&c, "C", STORAGE));
        assert_eq!(limits(&mut of_c), None, "{which:?}");
        // What fits is given at once.
        house.push(&a, "A", &bytes(256 * KB, -1));
        limited(&mut of_a, 256 * KB, -1);
        house.push(&b, "B", &bytes(768 * KB, 512 * KB));
        limited(&mut of_b, 768 * KB, 512 * KB);
        assert_eq!(errors(&house.server, MEMORY), 1, "{which:?}");
        // What streams of accounts without a limit reserve counts as well.
        let made = r#"{"name":"S","subjects":["s"],"storage":"file","max_bytes":700000}"#;
        of_a.sub("made", 2);
        of_a.send(format!("PUB $JS.API.STREAM.CREATE.S made {}\r\n{made}\r\n", made.len()));
        let answer: Value = serde_json::from_slice(&of_a.msg().payload).unwrap();
        assert_eq!(answer["config"]["name"], "S", "{answer}");
        house.push(&b, "B", &bytes(768 * KB, 1024 * KB));
        wait_errors(&house.server, &told(&b, "B", STORAGE), 2);
        limited(&mut of_b, 768 * KB, 512 * KB);
        house.push(&b, "B", &bytes(768 * KB, 700 * KB));
        limited(&mut of_b, 768 * KB, 700 * KB);
    });
}

// Contract: ACC-019
#[test]
fn a_token_that_was_there_at_the_start_gets_what_there_is() {
    everywhere("limits of preloaded tokens", |which| {
        let [a, b] = [(); 2].map(|()| KeyPair::new_account());
        let preloaded = [(&a, "A", bytes(2 * KB * KB, -1)), (&b, "B", bytes(512 * KB, 512 * KB))];
        let house = House::new(which, &preloaded);
        assert_eq!(limits(&mut house.server.client_with(&user(&a))), None, "{which:?}");
        house.server.wait_log(&told(&a, "A", MEMORY));
        limited(&mut house.server.client_with(&user(&b)), 512 * KB, 512 * KB);
    });
}

// Contract: ACC-019
#[test]
fn what_an_account_had_is_for_others_when_its_time_is_over() {
    everywhere("limits of an expired token", |which| {
        let mut house = House::new(which, &[]);
        let [a, b] = [(); 2].map(|()| KeyPair::new_account());
        let mut brief = bytes(600 * KB, -1);
        brief["exp"] = json!(now() + 2);
        house.push(&a, "A", &brief);
        house.push(&b, "B", &bytes(100 * KB, -1));
        let mut of_a = house.server.client_with(&user(&a));
        let mut of_b = house.server.client_with(&user(&b));
        limited(&mut of_a, 600 * KB, -1);
        limited(&mut of_b, 100 * KB, -1);
        house.push(&b, "B", &bytes(600 * KB, -1));
        house.server.wait_log(&told(&b, "B", MEMORY));
        of_a.expect_closed();
        house.push(&b, "B", &bytes(601 * KB, -1));
        limited(&mut of_b, 601 * KB, -1);
    });
}
