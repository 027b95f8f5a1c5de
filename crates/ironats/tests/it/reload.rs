//! Reloads from inside a program: a running server that is led from one configuration to the next is
//! in the end like one that was started with the last.

use ironats::{Log, Options, Server};
use std::fmt::Write as _;

/// A small generator, so that a seed tells the whole walk.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn maybe(&mut self, text: &str) -> String {
        if self.roll(2) == 0 { format!("{text}\n") } else { String::new() }
    }
}

/// A configuration of accounts that share things, users, limits and mappings.
fn configuration(dice: &mut Dice) -> String {
    let mut text = String::from("listen: \"127.0.0.1:-1\"\n");
    for key in ["max_payload", "max_connections", "ping_max", "max_control_line"] {
        let value = 300 + dice.roll(5);
        text += &dice.maybe(&format!("{key}: {value}"));
    }
    text += &dice.maybe("server_tags: [x, y]");
    text += &dice.maybe("debug: true");
    let accounts: Vec<u64> = (0..4).filter(|_| dice.roll(3) > 0).collect();
    if accounts.is_empty() {
        return text + &dice.maybe("authorization { users: [{user: u, password: p}] }");
    }
    text += "accounts {\n";
    for n in &accounts {
        let _ = writeln!(text, "A{n} {{ users: [{{user: u{n}, password: p{}}}]", dice.roll(2));
        text += "exports: [{stream: s.>}, {service: q.*}]\n";
        let from = accounts[dice.roll(accounts.len() as u64) as usize];
        if from != *n {
            let (to, prefix) = (dice.roll(3), dice.roll(3));
            let _ = writeln!(
                text,
                "imports: [{{stream: {{account: A{from}, subject: s.>}}, prefix: p{prefix}}},
                  {{service: {{account: A{from}, subject: q.1}}, to: ask{to}}}]"
            );
        }
        text += &dice.maybe("mappings: { old: s.new }");
        let most = 1 + dice.roll(4);
        text += &dice.maybe(&format!("limits: {{ max_connections: {most} }}"));
        text += "}\n";
    }
    text + "}\n"
}

fn options(text: &str) -> Options {
    let loaded = config::load_text(text.as_bytes(), "walk.conf", &ironats::files::System);
    loaded.unwrap_or_else(|error| panic!("{text}\n{error}")).options
}

/// Everything about a server that its configuration decides.
fn state(server: &Server) -> String {
    let broker = &server.node().broker;
    let mut all = format!("{:?}\n", broker.settings());
    let info = broker.info();
    let _ = writeln!(all, "{} {} {}", info.auth_required, info.max_payload, info.jetstream);
    for account in broker.accounts() {
        let _ = writeln!(
            all,
            "{} {:?} {:?} {:?} {:?} {}",
            account.name,
            account.export_snapshot(),
            account.import_snapshot(),
            account.mapping_snapshot(),
            account.limits.connections(),
            account.subscriptions(),
        );
    }
    all
}

// Contract: RELOAD-002
#[test]
fn a_walk_of_reloads_ends_where_a_start_does() {
    for seed in 1..=4u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let first = configuration(&mut dice);
        let walker = Server::start(options(&first), Log::discard()).unwrap();
        for step in 0..25 {
            let text = configuration(&mut dice);
            walker
                .reloader()
                .reload_with(&options(&text))
                .unwrap_or_else(|error| panic!("{seed} {step}: {error}\n{text}"));
            let fresh = Server::start(options(&text), Log::discard()).unwrap();
            assert_eq!(state(&walker), state(&fresh), "seed {seed}, step {step}:\n{text}");
        }
    }
}

// Contract: RELOAD-001, RELOAD-003
#[test]
fn a_reload_that_fails_changes_nothing() {
    let server =
        Server::start(options("listen: \"127.0.0.1:-1\"\nmax_payload: 700"), Log::discard());
    let server = server.unwrap();
    let before = state(&server);
    for (text, why) in [
        ("server_name: x\nmax_payload: 800", "config reload not supported for ServerName"),
        ("websocket { port: -1, no_tls: true }\nmax_payload: 800", "does not have WebSocket yet"),
        ("no_auth_user: x\nmax_payload: 800", "no_auth_user"),
        ("client_advertise: \"a:b:c\"\nmax_payload: 800", "invalid ClientAdvertise value"),
    ] {
        let text = format!("listen: \"127.0.0.1:-1\"\n{text}");
        let error = server.reloader().reload_with(&options(&text)).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
        assert_eq!(state(&server), before, "{text}");
    }
    let error = server.reloader().reload().unwrap_err().to_string();
    assert_eq!(error, "open walk.conf: no such file or directory");
}
