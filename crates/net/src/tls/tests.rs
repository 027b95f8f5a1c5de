//! Handshakes in memory, and tables of what configurations become.

use super::cipher;
use super::config::PairError;
use super::facts;
use super::opening::{InfoFlags, wants_tls};
use super::version::MinVersion;
use super::*;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use stdx::time::Mono;

// === certificates ===

/// A directory with an authority, and what it signs.
struct Pki {
    dir: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    ca: CertificateDer<'static>,
}

/// A certificate and key as a client holds them.
struct ClientCert {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

fn named(common_name: &str, dns_names: &[&str]) -> CertificateParams {
    let names: Vec<String> = dns_names.iter().map(|n| (*n).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

impl Pki {
    fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap();
        std::fs::write(dir.path().join("ca.pem"), ca.pem()).unwrap();
        std::fs::write(dir.path().join("ca.key"), key.serialize_pem()).unwrap();
        let ca = ca.der().clone();
        Self { dir, issuer: Issuer::new(params, key), ca }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes `name.pem` and `name.key` for these DNS names.
    fn server(&self, name: &str, dns_names: &[&str]) -> CertificateFiles {
        let key = KeyPair::generate().unwrap();
        let cert = named(name, dns_names).signed_by(&key, &self.issuer).unwrap();
        let files = CertificateFiles {
            cert_file: self.path(&format!("{name}.pem")),
            key_file: self.path(&format!("{name}.key")),
        };
        std::fs::write(&files.cert_file, cert.pem()).unwrap();
        std::fs::write(&files.key_file, key.serialize_pem()).unwrap();
        files
    }

    fn client(&self, edit: impl FnOnce(&mut CertificateParams)) -> ClientCert {
        let key = KeyPair::generate().unwrap();
        let mut params = named("client", &[]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        edit(&mut params);
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        ClientCert {
            chain: vec![cert.der().clone()],
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        }
    }

    fn config(&self) -> TlsConfig {
        TlsConfig { certificate: self.server("server", &["localhost"]), ..TlsConfig::default() }
    }

    fn verifying(&self) -> TlsConfig {
        TlsConfig { verify: true, ca_file: Some(self.path("ca.pem")), ..self.config() }
    }
}

// === handshakes ===

/// What a client wants of a handshake.
struct Client<'a> {
    trusts: &'a Pki,
    name: &'static str,
    cert: Option<ClientCert>,
    versions: &'static [&'static rustls::SupportedProtocolVersion],
}

impl<'a> Client<'a> {
    fn of(trusts: &'a Pki) -> Self {
        Self { trusts, name: "localhost", cert: None, versions: rustls::ALL_VERSIONS }
    }

    fn with(self, cert: ClientCert) -> Self {
        Self { cert: Some(cert), ..self }
    }

    fn connect(self) -> ClientConnection {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusts.ca.clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match self.cert {
            Some(cert) => builder.with_client_auth_cert(cert.chain, cert.key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        let name = ServerName::try_from(self.name).unwrap();
        ClientConnection::new(Arc::new(config), name).unwrap()
    }
}

/// Shuttles bytes until both sides are done or the server fails.
fn shake(
    tls: &ServerTls,
    client: Client<'_>,
) -> Result<(HandshakeFacts, ClientConnection), HandshakeFailure> {
    let acceptor = tls.acceptor();
    let mut server = ServerConnection::new(acceptor.config()).unwrap();
    let mut client = client.connect();
    let fail = |error: rustls::Error| {
        acceptor.failure(&std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    };
    for _ in 0..10 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut unread = bytes.as_slice();
        while !unread.is_empty() {
            server.read_tls(&mut unread).unwrap();
            server.process_new_packets().map_err(fail)?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut unread = bytes.as_slice();
        while !unread.is_empty() {
            client.read_tls(&mut unread).unwrap();
            // What the client refuses reaches the server as an alert.
            let _ = client.process_new_packets();
        }
        if !server.is_handshaking() && !client.is_handshaking() {
            return tls.finish(&server).map(|facts| (facts, client));
        }
    }
    panic!("the handshake does not end");
}

fn error_of(tls: &ServerTls, client: Client<'_>) -> String {
    shake(tls, client).unwrap_err().to_string()
}

// Contract: TLS-002, TLS-003
#[test]
fn versions_and_suites_are_named_as_by_the_reference() {
    let pki = Pki::new("ca");
    const TLS12: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
    let tls = ServerTls::new(&pki.config()).unwrap();
    let (facts, _) = shake(&tls, Client::of(&pki)).unwrap();
    assert_eq!(
        (facts.version.as_str(), facts.cipher_suite.as_str()),
        ("1.3", "TLS_AES_128_GCM_SHA256")
    );
    assert_eq!(facts.certificate, None);

    let old = || Client { versions: TLS12, ..Client::of(&pki) };
    let (facts, _) = shake(&tls, old()).unwrap();
    assert_eq!(
        (facts.version.as_str(), facts.cipher_suite.as_str()),
        ("1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
    );

    let least = TlsConfig { min_version: MinVersion::parse("1.3").unwrap(), ..pki.config() };
    let error = error_of(&ServerTls::new(&least).unwrap(), old());
    assert_eq!(error, "tls: client offered only unsupported versions");

    for (text, want) in [
        ("1.0", "unsupported TLS version: TLS 1.0"),
        ("1.1", "unsupported TLS version: TLS 1.1"),
        ("1.4", "unknown version: 1.4"),
        ("TLS1.2", "unknown version: TLS1.2"),
    ] {
        assert_eq!(MinVersion::parse(text).unwrap_err().to_string(), want);
    }
}

fn list(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

// Contract: TLS-003
#[test]
fn cipher_suites_are_chosen_by_name_or_refused_by_name() {
    const ONE: &str = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
    const TLS12: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
    let pki = Pki::new("ca");
    let config = |names: &[&str], allow| TlsConfig {
        cipher_suites: list(names),
        allow_insecure_cipher_suites: allow,
        ..pki.config()
    };
    let one = ServerTls::new(&config(&[ONE], false)).unwrap();
    let (facts, _) = shake(&one, Client { versions: TLS12, ..Client::of(&pki) }).unwrap();
    assert_eq!(facts.cipher_suite, ONE);
    let (facts, _) = shake(&one, Client::of(&pki)).unwrap();
    assert_eq!(facts.cipher_suite, "TLS_AES_128_GCM_SHA256", "the list is about TLS 1.2");

    for (names, allow, want) in [
        (&["TLS_X"][..], true, "unrecognized cipher TLS_X"),
        (&["tls_aes_128_gcm_sha256"], true, "unrecognized cipher tls_aes_128_gcm_sha256"),
        (
            &[ONE, "TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_RC4_128_SHA"],
            false,
            "insecure cipher suites configured without 'allow_insecure_cipher_suites' option set: \
             TLS_RSA_WITH_AES_128_CBC_SHA, TLS_RSA_WITH_RC4_128_SHA",
        ),
    ] {
        assert_eq!(ServerTls::new(&config(names, allow)).unwrap_err().to_string(), want);
    }
    for (names, allow) in [
        (&[ONE, "TLS_RSA_WITH_RC4_128_SHA"][..], true),
        (&[ONE, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"], false),
    ] {
        let text = ServerTls::new(&config(names, allow)).unwrap_err().to_string();
        assert!(
            text.contains(names[1]) && text.contains("remove it from 'cipher_suites'"),
            "{text}"
        );
    }
    let every = [cipher::TLS13.to_vec(), cipher::TLS12.to_vec()].concat();
    let names: Vec<String> = every.iter().map(|s| cipher::name(s.suite())).collect();
    assert_eq!(cipher::select(&names, false).unwrap(), every);
}

// Contract: TLS-004
#[test]
fn curves_are_chosen_by_name_or_refused_by_name() {
    let pki = Pki::new("ca");
    let config = |names: &[&str]| TlsConfig { curve_preferences: list(names), ..pki.config() };
    for name in ["X25519MLKEM768", "X25519", "CurveP256", "CurveP384"] {
        let tls = ServerTls::new(&config(&[name])).unwrap();
        let (_, client) = shake(&tls, Client::of(&pki)).unwrap();
        let group = client.negotiated_key_exchange_group().unwrap().name();
        let want = name.replace("CurveP", "secp");
        let got =
            format!("{group:?}").replace("secp256r1", "secp256").replace("secp384r1", "secp384");
        assert_eq!(got, want);
    }
    let unknown = ServerTls::new(&config(&["X25519", "CurveP224"])).unwrap_err();
    assert_eq!(unknown.to_string(), "unrecognized curve preference CurveP224");
    let text = ServerTls::new(&config(&["CurveP521"])).unwrap_err().to_string();
    assert!(text.contains("CurveP521 is not supported by this server; remove it"), "{text}");
}

// Contract: TLS-010
#[test]
fn the_certificate_follows_the_server_name() {
    let pki = Pki::new("ca");
    let config = TlsConfig {
        certificates: vec![
            pki.server("one", &["one.example.com", "localhost"]),
            pki.server("wild", &["*.wild.example.com"]),
        ],
        ..TlsConfig::default()
    };
    let tls = ServerTls::new(&config).unwrap();
    for (name, want) in [
        ("one.example.com", "CN=one"),
        ("localhost", "CN=one"),
        ("a.wild.example.com", "CN=wild"),
        ("A.Wild.Example.com", "CN=wild"),
    ] {
        let (_, client) = shake(&tls, Client { name, ..Client::of(&pki) }).unwrap();
        let leaf = &client.peer_certificates().unwrap()[0];
        assert_eq!(facts::certificate(leaf).unwrap().subject.to_rfc2253(), want, "{name}");
    }
    // The first one is for names that no certificate has; the client then refuses it.
    let other = error_of(&tls, Client { name: "a.b.wild.example.com", ..Client::of(&pki) });
    assert!(other.starts_with("remote error: tls: "), "{other}");
}

// Contract: TLS-019
#[test]
fn client_certificates_are_verified() {
    let (pki, stranger) = (Pki::new("ca"), Pki::new("stranger"));
    let tls = ServerTls::new(&pki.verifying()).unwrap();
    assert!(tls.verifies_clients());

    let (facts, _) = shake(&tls, Client::of(&pki).with(pki.client(|_| {}))).unwrap();
    assert_eq!(facts.certificate.unwrap().subject.to_rdn_sequence(), "CN=client");
    assert_eq!(facts.peer_certificates[0].subject, "CN=client");

    let none = error_of(&tls, Client::of(&pki));
    assert_eq!(none, "tls: client didn't provide a certificate");

    let strange = stranger.client(|_| {});
    let hash = facts::hex(&facts::certificate(&strange.chain[0]).unwrap().cert_sha256);
    assert_eq!(
        error_of(&tls, Client::of(&pki).with(strange)),
        format!(
            "tls: failed to verify certificate: x509: certificate signed by unknown authority \
             (CN=client SHA-256: {hash})"
        )
    );

    let expired = pki.client(|params| params.not_after = rcgen::date_time_ymd(2001, 1, 1));
    let text = error_of(&tls, Client::of(&pki).with(expired));
    assert!(
        text.contains("x509: certificate has expired or is not yet valid (CN=client"),
        "{text}"
    );

    let purpose = pki.client(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let text = error_of(&tls, Client::of(&pki).with(purpose));
    assert!(text.contains("x509: certificate specifies an incompatible key usage"), "{text}");
}

#[test]
fn an_authority_may_itself_be_the_client() {
    let (pki, stranger) = (Pki::new("ca"), Pki::new("ca"));
    let tls = ServerTls::new(&pki.verifying()).unwrap();
    let itself = |pki: &Pki| ClientCert {
        chain: vec![pki.ca.clone()],
        key: PrivateKeyDer::from_pem_file(pki.path("ca.key")).unwrap(),
    };
    let (facts, _) = shake(&tls, Client::of(&pki).with(itself(&pki))).unwrap();
    assert_eq!(facts.peer_certificates[0].subject, "CN=ca");
    let text = error_of(&tls, Client::of(&pki).with(itself(&stranger)));
    assert!(text.starts_with("tls: failed to verify certificate: x509: "), "{text}");
}

// Contract: AUTH-010
#[test]
fn only_pinned_keys_may_connect() {
    let pki = Pki::new("ca");
    let pinned = |hash: String| {
        ServerTls::new(&TlsConfig { pinned_certs: vec![hash], ..pki.verifying() }).unwrap()
    };
    let cert = pki.client(|_| {});
    let spki = facts::certificate(&cert.chain[0]).unwrap().spki_sha256;
    assert!(shake(&pinned(facts::hex(&spki).to_uppercase()), Client::of(&pki).with(cert)).is_ok());
    let other = Client::of(&pki).with(pki.client(|_| {}));
    assert_eq!(error_of(&pinned(facts::hex(&spki)), other), "certificate not pinned");

    let anyone = TlsConfig { pinned_certs: vec![facts::hex(&spki)], ..pki.config() };
    let error = error_of(&ServerTls::new(&anyone).unwrap(), Client::of(&pki));
    assert_eq!(error, "certificate not pinned", "a peer without a certificate has no pinned key");

    for bad in ["abc", &"g".repeat(64), &"é".repeat(32)] {
        let text = PinnedCertificates::new([bad]).unwrap_err().to_string();
        assert!(text.contains("'pinned_certs' key ") && text.contains(bad), "{text}");
    }
}

// Contract: TLS-020
#[test]
fn broken_configurations_are_refused_with_the_reference_texts() {
    let (pki, other) = (Pki::new("ca"), Pki::new("other"));
    let good = pki.server("server", &["localhost"]);
    let foreign = other.server("server", &["localhost"]).key_file;
    let rubbish = pki.path("rubbish.pem");
    std::fs::write(&rubbish, "not PEM\n").unwrap();
    let with = |cert_file: &PathBuf, key_file: &PathBuf| TlsConfig {
        certificate: CertificateFiles { cert_file: cert_file.clone(), key_file: key_file.clone() },
        ..TlsConfig::default()
    };
    let (none, absent) = (PathBuf::new(), PathBuf::from("/nowhere/x.pem"));
    let pair = "error parsing X509 certificate/key pair";
    let (cert, key) = (&good.cert_file, &good.key_file);
    let cases = [
        (with(cert, &none), "missing 'key_file' in TLS configuration".to_owned()),
        (with(&none, key), "missing 'cert_file' in TLS configuration".into()),
        (with(&absent, key), format!("{pair}: open /nowhere/x.pem: no such file or directory")),
        (with(cert, &foreign), format!("{pair}: {}", PairError::Mismatch)),
        (with(&rubbish, key), format!("{pair}: {}", PairError::NoCertificatePem)),
        (with(cert, &rubbish), format!("{pair}: {}", PairError::NoKeyPem)),
        (
            TlsConfig {
                certificates: vec![
                    good.clone(),
                    CertificateFiles { key_file: foreign.clone(), ..good.clone() },
                ],
                ..TlsConfig::default()
            },
            format!("{pair} 2/2: {}", PairError::Mismatch),
        ),
        (
            TlsConfig { certificates: vec![good.clone()], ..with(cert, key) },
            "error parsing tls config, cannot combine 'cert_file' option with 'certs' option"
                .into(),
        ),
        (
            TlsConfig { verify: true, ca_file: Some(rubbish.clone()), ..with(cert, key) },
            "failed to parse root ca certificate".into(),
        ),
        (
            TlsConfig { verify: true, ca_file: Some(absent.clone()), ..with(cert, key) },
            "open /nowhere/x.pem: no such file or directory".into(),
        ),
    ];
    for (config, want) in cases {
        assert_eq!(ServerTls::new(&config).unwrap_err().to_string(), want);
    }
    let text = ServerTls::new(&TlsConfig::default()).unwrap_err().to_string();
    assert!(text.contains("set 'cert_file' and 'key_file'"), "{text}");
}

#[test]
fn the_expiry_of_the_first_certificate_is_known() {
    let pki = Pki::new("ca");
    let key = KeyPair::generate().unwrap();
    let mut params = named("server", &["localhost"]);
    params.not_after = rcgen::date_time_ymd(2031, 2, 3);
    let files = pki.server("server", &["localhost"]);
    let cert = params.signed_by(&key, &pki.issuer).unwrap();
    std::fs::write(&files.cert_file, cert.pem()).unwrap();
    std::fs::write(&files.key_file, key.serialize_pem()).unwrap();
    let config = TlsConfig { certificate: files, ..TlsConfig::default() };
    let tls = ServerTls::new(&config).unwrap();
    assert_eq!(tls.not_after().unwrap().rfc3339(), "2031-02-03T00:00:00Z");
}

#[test]
fn monitoring_never_asks_for_client_certificates() {
    let pki = Pki::new("ca");
    let tls = ServerTls::new(&pki.verifying()).unwrap();
    let config = tls.without_client_certificates().unwrap();
    let mut server = ServerConnection::new(config).unwrap();
    let mut client = Client::of(&pki).connect();
    while server.is_handshaking() || client.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets().unwrap();
    }
    assert!(server.peer_certificates().is_none());
}

/// A certificate with every kind of name; the expected texts are what the reference's `connz`
/// showed for it.
const NAMES: &[u8] = include_bytes!("testdata/names.pem");

// Contract: AUTH-009
#[test]
fn certificates_become_facts() {
    let der = CertificateDer::from_pem_slice(NAMES).unwrap();
    let facts = facts::certificate(&der).unwrap();
    assert_eq!(facts.emails, ["a@b.c"]);
    assert_eq!(facts.dns_names, ["host.example.com", "*.x.org"]);
    assert_eq!(facts.uris, ["spiffe://td/svc"]);
    assert_eq!(
        facts.subject.to_rdn_sequence(),
        "SERIALNUMBER=77,CN=x\\, y#,OU=a+OU=b,O=NATS,POSTALCODE=123 45,STREET=Main St. 1,C=US"
    );
    assert_eq!(facts.subject.domain_components(), "DC=foo1,DC=foo2");
    let shown = PeerCertificate::from(&facts);
    assert_eq!(
        shown.subject,
        "SERIALNUMBER=77,CN=x\\, y#,OU=a+OU=b,O=NATS,POSTALCODE=123 45,STREET=Main St. 1,C=US,\
         2.5.4.12=#0c0846c3bc682f726572,0.9.2342.19200300.100.1.1=#13027531,\
         0.9.2342.19200300.100.1.25=#1304666f6f32,0.9.2342.19200300.100.1.25=#1304666f6f31,\
         1.2.840.113549.1.9.1=#0c056440652e66"
    );
    assert_eq!(
        shown.spki_sha256,
        "98700d4ddcb3a74fb1a83225ddebad10ec7e83e81d6d721c522858fcb0cc4459"
    );
    assert_eq!(
        shown.cert_sha256,
        "2329fec7fed1d77f1311425a48b81f3dd3474c3c1d06ae7f27aa199d6def69e2"
    );
    for cut in 0..der.len() {
        assert_eq!(facts::certificate(&der[..cut]), None, "{cut} bytes");
    }
}

// Contract: TLS-019
#[test]
fn probes_are_told_from_failures() {
    let pki = Pki::new("ca");
    let tls = ServerTls::new(&pki.config()).unwrap();
    let acceptor = tls.acceptor();
    let mut server = ServerConnection::new(acceptor.config()).unwrap();
    server.read_tls(&mut &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..]).unwrap();
    let error = server.process_new_packets().unwrap_err();
    let invalid = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
    let io = |kind: std::io::ErrorKind| std::io::Error::from(kind);
    let untrusted = shake(&tls, Client::of(&Pki::new("stranger"))).unwrap_err();
    assert_eq!(untrusted.to_string(), "remote error: tls: unknown certificate authority");
    for (failure, text, probe) in [
        (acceptor.failure(&invalid), "tls: first record does not look like a TLS handshake", true),
        (acceptor.failure(&io(std::io::ErrorKind::TimedOut)), "i/o timeout", true),
        (acceptor.failure(&io(std::io::ErrorKind::UnexpectedEof)), "EOF", false),
        (untrusted, "remote error: tls: unknown certificate authority", false),
    ] {
        assert_eq!((failure.to_string().as_str(), failure.is_probe()), (text, probe));
    }
}

#[test]
fn handshakes_are_limited_per_second() {
    assert!(RateLimiter::new(0).is_none() && RateLimiter::new(-1).is_none());
    let at = |millis: u64| Mono(millis * 1_000_000);
    let mut limiter = RateLimiter::new(2).unwrap();
    for (millis, want) in [
        (5_000, true),
        (5_000, true),
        (5_001, false),
        (6_000, false),
        (6_001, true),
        (7_001, true),
        (7_001, false),
        (9_500, true),
        (9_900, true),
        (10_400, false),
    ] {
        assert_eq!(limiter.allow(at(millis)), want, "at {millis}");
    }
    assert_eq!((limiter.take_blocked(), limiter.take_blocked()), (4, 0));
    assert_eq!(
        RateLimiter::CLIENT_ERROR,
        "Connection throttling is active. Please try again later."
    );
}

#[test]
fn connections_open_as_configured() {
    use AfterInfo::{Handshake, Plain, Sniff};
    let second = Duration::from_secs(1);
    let auto = HandshakeFirst::from_word("AUTO").unwrap();
    let default_delay = Duration::from_millis(50);
    let flags = |required, available| InfoFlags { required, available, verify: false };
    // tls, allow_non_tls, handshake_first, in_process; first step, after INFO, flags before and
    // after a handshake.
    let cases = [
        (
            false,
            false,
            HandshakeFirst::Off,
            false,
            FirstStep::SendInfo,
            Plain,
            flags(false, false),
            flags(false, false),
        ),
        (
            true,
            false,
            HandshakeFirst::Off,
            false,
            FirstStep::SendInfo,
            Handshake,
            flags(true, false),
            flags(true, false),
        ),
        (
            true,
            true,
            HandshakeFirst::Off,
            false,
            FirstStep::SendInfo,
            Sniff(second),
            flags(false, true),
            flags(true, true),
        ),
        (
            true,
            false,
            HandshakeFirst::On,
            false,
            FirstStep::Handshake,
            Handshake,
            flags(true, false),
            flags(true, false),
        ),
        (
            true,
            true,
            HandshakeFirst::On,
            false,
            FirstStep::Handshake,
            Sniff(second),
            flags(false, true),
            flags(true, true),
        ),
        (
            true,
            false,
            auto,
            false,
            FirstStep::Await(default_delay),
            Handshake,
            flags(true, false),
            flags(true, false),
        ),
        (
            true,
            false,
            HandshakeFirst::after(second),
            false,
            FirstStep::Await(second),
            Handshake,
            flags(true, false),
            flags(true, false),
        ),
        (
            true,
            false,
            HandshakeFirst::Off,
            true,
            FirstStep::SendInfo,
            Sniff(second),
            flags(false, true),
            flags(true, true),
        ),
        (
            true,
            false,
            HandshakeFirst::On,
            true,
            FirstStep::Await(default_delay),
            Sniff(second),
            flags(false, true),
            flags(true, true),
        ),
    ];
    for (tls, allow_non_tls, handshake_first, in_process, first, then, before, after) in cases {
        let opening = Opening {
            tls,
            allow_non_tls,
            handshake_first,
            verify: false,
            in_process,
            timeout: second,
        };
        assert_eq!(opening.first_step(), first, "{opening:?}");
        assert_eq!(opening.after_info(), then, "{opening:?}");
        assert_eq!(opening.info_flags(false), before, "{opening:?}");
        assert_eq!(opening.info_flags(true), after, "{opening:?}");
        let verifying = Opening { verify: true, ..opening };
        assert_eq!(verifying.info_flags(false).verify, tls);
        assert_eq!(opening.excludes_plain_clients(), handshake_first == HandshakeFirst::On);
    }
    for (byte, want) in
        [(Some(0x16), true), (Some(b'C'), false), (Some(0x80), false), (None, false)]
    {
        assert_eq!(wants_tls(byte), want);
    }
    for (word, want) in [
        ("true", Some(HandshakeFirst::On)),
        ("off", Some(HandshakeFirst::Off)),
        ("auto_fallback", Some(HandshakeFirst::Fallback(default_delay))),
        ("500ms", None),
    ] {
        assert_eq!(HandshakeFirst::from_word(word), want);
    }
    assert_eq!(HandshakeFirst::after(Duration::ZERO), HandshakeFirst::On);
}

// === asking others ===

// Contract: AUTH-018
#[tokio::test]
async fn documents_come_over_tls_from_who_is_trusted() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (pki, other) = (Pki::new("ours"), Pki::new("theirs"));
    let server = ServerTls::new(&TlsConfig {
        certificate: pki.server("server", &["localhost"]),
        ..TlsConfig::default()
    })
    .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(server.acceptor().config());
        while let Ok((socket, _)) = listener.accept().await {
            // Who does not trust the certificate ends the handshake.
            let Ok(mut stream) = acceptor.accept(socket).await else { continue };
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut request).await.unwrap();
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc").await.unwrap();
        }
    });
    let url = format!("https://localhost:{port}/x");
    let trusting = |ca_file: Option<PathBuf>, insecure| {
        client(&ClientTlsConfig { ca_file, insecure, ..ClientTlsConfig::default() }).unwrap()
    };
    let ask = async |tls| crate::http::get(&url, &tls, 10).await;
    assert_eq!(ask(trusting(Some(pki.path("ca.pem")), false)).await.unwrap().body, b"abc");
    assert_eq!(ask(trusting(None, true)).await.unwrap().body, b"abc");
    let refused = ask(trusting(Some(other.path("ca.pem")), false)).await.unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
}
