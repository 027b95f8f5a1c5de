//! Certificates that change while a server runs, and OCSP: what it staples, whom it keeps out. Where
//! `NATS_PEER` is set, the reference does the same.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use testkit::certs::{Authority, Identity, Leaf};
use testkit::ocsp::{Responder, Says, Shown, keeping_config};
use testkit::server::{ServerBuilder, Signal};
use testkit::{Client, DEADLINE, Server, Which, binary, eventually, http};

/// Ours, and the reference if there is one.
fn servers() -> Vec<Which> {
    let peer = binary::peer_of_version("2.14", "certificates").map(|_| Which::Peer);
    [Some(Which::Ours), peer].into_iter().flatten().collect()
}

fn write(dir: &Path, id: &Identity) {
    // One after the other, as tools do that rotate certificates.
    fs::write(dir.join("server.pem"), &id.cert_pem).unwrap();
    fs::write(dir.join("server-key.pem"), &id.key_pem).unwrap();
}

fn builder(which: Which, authority: &Authority, id: &Identity, config: &str) -> ServerBuilder {
    ServerBuilder::new(which)
        .monitoring()
        .file("ca.pem", &authority.pem())
        .file("server.pem", &id.cert_pem)
        .file("server-key.pem", &id.key_pem)
        .config(config)
}

const TLS: &str = r#"tls {
  cert_file: "{dir}/server.pem", key_file: "{dir}/server-key.pem", ca_file: "{dir}/ca.pem"
}
"#;

/// A new connection, and what the server showed.
fn look(server: &Server, authority: &Authority) -> (Client, Shown) {
    let (config, shown) = keeping_config(authority);
    let mut client = Client::open(server.addr());
    client.read_info();
    let mut client = client.start_tls(config, "localhost").unwrap();
    client.connect(&json!({"tls_required": true}));
    let shown = shown.lock().unwrap().clone();
    (client, shown)
}

/// Waits for what new connections are shown.
fn until_shown(server: &Server, authority: &Authority, what: &str, is_it: impl Fn(&Shown) -> bool) {
    // Rotated certificates are in use within five seconds.
    eventually(Duration::from_secs(5), what, || is_it(&look(server, authority).1).then_some(()));
}

/// Where monitoring over TLS listens, as the log tells.
fn https(server: &Server) -> SocketAddr {
    const LINE: &str = "Starting https monitor on ";
    server.wait_log(LINE);
    let log = server.log();
    let at = log.lines().find_map(|line| Some(line.split_once(LINE)?.1.to_owned())).unwrap();
    at.parse().unwrap()
}

// Contract: TLS-021
#[test]
fn monitoring_has_the_certificate_of_clients_and_asks_for_none() {
    let authority = Authority::new("ca");
    let identity = authority.server();
    let config = r#"
https: "127.0.0.1:-1"
tls {
  cert_file: "{dir}/server.pem", key_file: "{dir}/server-key.pem", ca_file: "{dir}/ca.pem"
  verify: true
}
"#;
    for which in servers() {
        let server = ServerBuilder::new(which)
            .file("ca.pem", &authority.pem())
            .file("server.pem", &identity.cert_pem)
            .file("server-key.pem", &identity.key_pem)
            .config(config)
            .start();
        let at = https(&server);
        let (tls, shown) = keeping_config(&authority);
        let varz = http::get_tls(at, tls, "/varz").unwrap();
        assert_eq!((varz.status, &varz.json()["tls_verify"]), (200, &json!(true)));
        assert_eq!(shown.lock().unwrap().certificate, identity.cert_der);
        // Clients do have to show one.
        let mut client = Client::open(server.addr());
        client.read_info();
        assert_eq!(client.info["tls_verify"], json!(true));
        let closed = client.start_tls(authority.client_config(None), "localhost").map(|mut c| {
            c.try_send("CONNECT {}\r\nPING\r\n").ok();
            c.try_line(DEADLINE).is_err()
        });
        assert!(closed.unwrap_or(true));
        // Who speaks no TLS there gets nothing of it.
        let plain = http::try_get(at, "/varz");
        assert!(plain.is_err() || plain.is_ok_and(|answer| answer.status == 400));
    }
}

// Contract: TLS-001, TLS-018
#[test]
fn rotated_certificates_are_noticed_without_a_signal() {
    let authority = Authority::new("ca");
    let (first, second) = (authority.server(), authority.server());
    let server = builder(Which::Ours, &authority, &first, TLS).start();
    let (mut old, shown) = look(&server, &authority);
    assert_eq!(shown.certificate, first.cert_der);
    write(server.dir(), &second);
    until_shown(&server, &authority, "the second certificate", |shown| {
        shown.certificate == second.cert_der
    });
    assert!(old.flush().is_empty(), "connections stay");
    // What cannot be used changes nothing, and is told.
    fs::write(server.dir().join("server.pem"), "nothing of the kind").unwrap();
    server.wait_log("TLS certificates changed on disk and cannot be used, the old ones stay");
    assert_eq!(look(&server, &authority).1.certificate, second.cert_der);
    write(server.dir(), &first);
    until_shown(&server, &authority, "the first certificate again", |shown| {
        shown.certificate == first.cert_der
    });
    assert!(old.flush().is_empty(), "connections stay");
}

// Contract: RELOAD-002, TLS-001
#[test]
fn a_reload_brings_rotated_certificates() {
    for which in servers() {
        let authority = Authority::new("ca");
        let (first, second) = (authority.server(), authority.server());
        let server = builder(which, &authority, &first, TLS).start();
        let (mut old, _) = look(&server, &authority);
        write(server.dir(), &second);
        server.signal(Signal::HUP);
        server.wait_log("Reloaded server configuration");
        assert_eq!(look(&server, &authority).1.certificate, second.cert_der, "{which:?}");
        assert!(old.flush().is_empty(), "connections stay");
        // A pair that does not fit refuses the reload.
        fs::write(server.dir().join("server.pem"), &first.cert_pem).unwrap();
        server.signal(Signal::HUP);
        server.wait_log("Failed to reload server configuration");
        assert_eq!(look(&server, &authority).1.certificate, second.cert_der, "{which:?}");
    }
}

fn stapled(mode: &str, responder: &Responder) -> String {
    let url = responder.url();
    format!("{TLS}ocsp {{ mode: {mode}, url: \"{url}\" }}\nstore_dir: \"{{dir}}/store\"\n")
}

// Contract: TLS-013
#[test]
fn certificates_are_stapled_as_the_mode_says() {
    for which in servers() {
        let authority = Arc::new(Authority::new("ca"));
        let responder = Responder::start(&authority);
        let plain = authority.server();
        let leaf = Leaf { common_name: "localhost", must_staple: true, ..Leaf::default() };
        let must = authority.server_with(&leaf);
        for (mode, id, staple) in [
            ("always", &plain, Some(true)),
            ("auto", &plain, None),
            ("auto", &must, Some(true)),
            ("must", &plain, None),
            ("must", &must, Some(true)),
            ("never", &must, None),
        ] {
            let config = stapled(mode, &responder);
            let server = builder(which, &authority, id, &config).start();
            let (_, shown) = look(&server, &authority);
            assert_eq!(shown.is_good(), staple, "{which:?} {mode}");
            let kept = fs::read_dir(server.dir().join("store/ocsp")).into_iter().flatten();
            let kept: Vec<_> = kept.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
            let want = if staple.is_some() { vec![shown.staple] } else { vec![] };
            assert_eq!(kept, want, "{which:?} {mode}");
        }
    }
}

// Contract: TLS-013
#[test]
fn a_server_that_must_staple_does_not_start_without_a_good_answer() {
    for which in servers() {
        let authority = Arc::new(Authority::new("ca"));
        let responder = Responder::start(&authority);
        let id = authority.server();
        for (says, valid, text) in [
            (Says::Revoked, 3600, "found existing OCSP status for certificate at"),
            (Says::Unknown, 3600, "found existing OCSP status for certificate at"),
            (Says::Forged, 3600, "bad OCSP status update for certificate at"),
            (Says::TryLater, 3600, "bad OCSP status update for certificate at"),
            (Says::Nonsense, 3600, "bad OCSP status update for certificate at"),
            (Says::Good, -1800, "bad OCSP status update for certificate at"),
        ] {
            responder.says(says, valid);
            let config = stapled("always", &responder);
            let refused = builder(which, &authority, &id, &config).try_start().err().unwrap();
            assert!(!refused.status.success());
            assert!(refused.stderr.contains(text), "{which:?} {says:?}: {}", refused.stderr);
        }
    }
}

// Contract: TLS-013
#[test]
fn a_staple_is_renewed_and_a_revocation_ends_the_server() {
    for which in servers() {
        let authority = Arc::new(Authority::new("ca"));
        let responder = Responder::start(&authority);
        responder.says(Says::Good, 4);
        let id = authority.server();
        let mut server = builder(which, &authority, &id, &stapled("always", &responder)).start();
        let first = look(&server, &authority).1.staple;
        until_shown(&server, &authority, "another staple", |shown| shown.staple != first);
        responder.says(Says::Revoked, 3600);
        server.wait_exit(DEADLINE);
        assert!(server.log().contains(": revoked"), "{which:?}: {}", server.log());
    }
}

/// A certificate of a client whose status is asked for at `responder`.
fn peer(authority: &Authority, responder: &str) -> Identity {
    authority.client(&Leaf { common_name: "peer", responder, ..Leaf::default() })
}

fn checked(options: &str) -> String {
    let tls = TLS
        .replace("ca_file", "verify: true, ca_file")
        .replace("\n}", &format!(",\n  ocsp_peer {{ verify: true {options} }}\n}}"));
    format!("{tls}ocsp_cache {{ type: local, local_store: \"{{dir}}/_rc_\", save_interval: 1 }}\n")
}

/// Whether a client with this certificate gets in.
fn gets_in(server: &Server, authority: &Authority, id: &Identity) -> bool {
    let mut client = Client::open(server.addr());
    client.read_info();
    let Ok(mut client) = client.start_tls(authority.client_config(Some(id)), "localhost") else {
        return false;
    };
    client.try_send("CONNECT {\"verbose\":false}\r\nPING\r\n").is_ok()
        && client.try_line(DEADLINE).is_ok_and(|line| line == b"PONG")
}

// Contract: TLS-014
#[test]
fn peers_are_let_in_by_what_the_responder_says() {
    let nobody = "http://127.0.0.1:1";
    for which in servers() {
        let authority = Arc::new(Authority::new("ca"));
        let responder = Responder::start(&authority);
        let asked = peer(&authority, &responder.url());
        let unreachable = peer(&authority, nobody);
        let unasked = authority.client(&Leaf { common_name: "plain", ..Leaf::default() });
        for (options, says, id, want) in [
            ("", Says::Good, &asked, true),
            ("", Says::Revoked, &asked, false),
            ("", Says::Unknown, &asked, false),
            ("", Says::Forged, &asked, false),
            ("", Says::Nonsense, &asked, false),
            ("", Says::Revoked, &unasked, true),
            ("", Says::Good, &unreachable, false),
            (", unknown_is_good: true", Says::Unknown, &asked, true),
            (", unknown_is_good: true", Says::Revoked, &asked, false),
            (", warn_only: true", Says::Revoked, &asked, true),
            (", warn_only: true", Says::Good, &unreachable, true),
            (", allow_when_ca_unreachable: true", Says::Good, &unreachable, true),
            (", allow_when_ca_unreachable: true", Says::Revoked, &asked, false),
        ] {
            responder.says(says, 3600);
            let server = builder(which, &authority, &authority.server(), &checked(options)).start();
            let found = gets_in(&server, &authority, id);
            assert_eq!(found, want, "{which:?} {options} {says:?}\n{}", server.log());
        }
    }
}

// Contract: TLS-014, TLS-021
#[test]
fn monitoring_checks_peers_where_clients_are_checked() {
    for which in servers() {
        let authority = Arc::new(Authority::new("ca"));
        let responder = Responder::start(&authority);
        let asked = peer(&authority, &responder.url());
        for (says, id, want) in [
            (Says::Good, None, false),
            (Says::Good, Some(&asked), true),
            (Says::Revoked, Some(&asked), false),
        ] {
            responder.says(says, 3600);
            let config = format!("https: \"127.0.0.1:-1\"\n{}", checked(""));
            let identity = authority.server();
            let server = ServerBuilder::new(which)
                .file("ca.pem", &authority.pem())
                .file("server.pem", &identity.cert_pem)
                .file("server-key.pem", &identity.key_pem)
                .config(&config)
                .start();
            let answer = http::get_tls(https(&server), authority.client_config(id), "/varz");
            let got = answer.is_ok_and(|answer| answer.status == 200);
            assert_eq!(got, want, "{which:?} {says:?}\n{}", server.log());
        }
    }
}

// Contract: TLS-015
#[test]
fn answers_about_peers_are_remembered_over_a_restart() {
    for which in servers() {
        let authority = Arc::new(Authority::new("ca"));
        let responder = Responder::start(&authority);
        let (id, mine) = (peer(&authority, &responder.url()), authority.server());
        let server = builder(which, &authority, &mine, &checked("")).start();
        for _ in 0..3 {
            assert!(gets_in(&server, &authority, &id));
        }
        assert_eq!(responder.asked(), 1, "{which:?}");
        let cache = &server.json("/varz")["ocsp_peer_cache"];
        let (hits, misses) = (&cache["cache_hits"], &cache["cache_misses"]);
        assert_eq!((hits, misses), (&json!(2), &json!(1)), "{which:?}: {cache}");
        assert_eq!(cache["cached_good_responses"], 1, "{cache}");
        let path = server.dir().join("_rc_/cache.json");
        let text = eventually(DEADLINE, "the cache is written", || {
            fs::read_to_string(&path).ok().filter(|text| text.contains("good"))
        });
        drop(server);
        // The file elsewhere, so that the next server finds it.
        let place = tempfile(&text);
        let config = checked("").replace("{dir}/_rc_", place.path().join("_rc_").to_str().unwrap());
        let again = builder(which, &authority, &mine, &config).start();
        assert!(gets_in(&again, &authority, &id));
        assert_eq!(responder.asked(), 1, "{which:?}");
    }
}

fn tempfile(cache: &str) -> testkit::TempDir {
    let place = testkit::tempdir().unwrap();
    fs::create_dir(place.path().join("_rc_")).unwrap();
    fs::write(place.path().join("_rc_/cache.json"), cache).unwrap();
    place
}

// Contract: TLS-016
#[test]
fn the_system_account_is_told_of_peers_that_are_kept_out() {
    for which in servers() {
        let authority = Arc::new(Authority::new("ca"));
        let responder = Responder::start(&authority);
        responder.says(Says::Revoked, 3600);
        let config = checked("") + "accounts { $SYS { users: [{user: s, password: p}] } }\n";
        let server = builder(which, &authority, &authority.server(), &config).start();
        let watcher = authority.client(&Leaf { common_name: "watcher", ..Leaf::default() });
        let mut sys = Client::open(server.addr());
        sys.read_info();
        let mut sys = sys.start_tls(authority.client_config(Some(&watcher)), "localhost").unwrap();
        sys.connect(&json!({"user": "s", "pass": "p"}));
        sys.sub("$SYS.SERVER.*.OCSP.PEER.>", 1);
        sys.flush();
        assert!(!gets_in(&server, &authority, &peer(&authority, &responder.url())));
        for (kind, reason, subject) in [
            ("ocsp_peer_link_invalid", "Invalid OCSP response status: revoked", "LINK.INVALID"),
            ("ocsp_peer_reject", "client not OCSP valid", "CONN.REJECT"),
        ] {
            let event = sys.msg();
            let body: serde_json::Value = serde_json::from_str(&event.text()).unwrap();
            assert!(event.subject.ends_with(subject), "{which:?}: {}", event.subject);
            assert_eq!(body["type"], format!("io.nats.server.advisory.v1.{kind}"), "{which:?}");
            assert_eq!(body["reason"], reason, "{which:?}");
            assert_eq!(body["peer"]["subject"], "CN=peer", "{which:?}");
            assert_eq!(body["peer"]["issuer"], "CN=ca", "{which:?}");
            for field in ["fingerprint", "raw"] {
                assert!(body["peer"][field].is_string(), "{which:?} {field}: {body}");
            }
            assert!(body["server"]["id"].is_string(), "{which:?}: {body}");
        }
    }
}
