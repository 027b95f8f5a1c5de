//! Answers of responders, good and bad, and what is kept of them.

use super::der::{self, GENERALIZED_TIME, INTEGER, OCTET_STRING, OID, SEQUENCE, explicit};
use super::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, SerialNumber, SigningKey,
};
use sha1::{Digest, Sha1};

const NOW: i64 = 1_795_290_711;
const THIS: &[u8] = b"20261121195100Z";
const NEXT: &[u8] = b"20261121205100Z";
/// ecdsa-with-SHA256, with its head.
const ALGORITHM: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
const SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1a];

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Issuer {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Issuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn leaf(issuer: &Issuer, change: impl FnOnce(&mut CertificateParams)) -> (Certificate, KeyPair) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "leaf");
    params.serial_number = Some(SerialNumber::from(4711u64));
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    (Certificate::new(certificate.der()).unwrap(), key)
}

fn of(issuer: &Issuer) -> Certificate {
    Certificate::new(issuer.der()).unwrap()
}

/// Response data that says `status` of `certificate`.
fn data(certificate: &Certificate, issuer: &Certificate, status: &[u8]) -> Vec<u8> {
    let hash = der::write(SEQUENCE, &[&der::write(OID, &[SHA1])]);
    let name = der::write(OCTET_STRING, &[&Sha1::digest(&issuer.subject_der)]);
    let key = der::write(OCTET_STRING, &[&Sha1::digest(&issuer.key.bits)]);
    let serial = der::write(INTEGER, &[&certificate.serial]);
    let id = der::write(SEQUENCE, &[&hash, &name, &key, &serial]);
    let this = der::write(GENERALIZED_TIME, &[THIS]);
    let next = der::write(explicit(0), &[&der::write(GENERALIZED_TIME, &[NEXT])]);
    let single = der::write(SEQUENCE, &[&id, status, &this, &next]);
    let by = der::write(explicit(2), &[&der::write(OCTET_STRING, &[&[7; 20]])]);
    der::write(SEQUENCE, &[&by, &this, &der::write(SEQUENCE, &[&single])])
}

fn response(data: &[u8], key: &KeyPair, delegate: Option<&Certificate>) -> Vec<u8> {
    let signature = der::write(der::BIT_STRING, &[&[0], &key.sign(data).unwrap()]);
    let along = delegate
        .map(|certificate| der::write(explicit(0), &[&der::write(SEQUENCE, &[&certificate.der])]))
        .unwrap_or_default();
    let basic = der::write(SEQUENCE, &[data, ALGORITHM, &signature, &along]);
    let bytes =
        der::write(SEQUENCE, &[&der::write(OID, &[BASIC]), &der::write(OCTET_STRING, &[&basic])]);
    der::write(SEQUENCE, &[&[der::ENUMERATED, 1, 0], &der::write(explicit(0), &[&bytes])])
}

// Contract: TLS-013, TLS-014
#[test]
fn answers_say_what_they_say() {
    let ca = authority("ca");
    let (issuer, (leaf, _)) = (of(&ca), leaf(&ca, |_| {}));
    let revoked = der::write(0xa1, &[&der::write(GENERALIZED_TIME, &[THIS])]);
    for (written, status) in
        [(&[0x80, 0][..], Status::Good), (&[0x82, 0], Status::Unknown), (&revoked, Status::Revoked)]
    {
        let raw = response(&data(&leaf, &issuer, written), ca.key(), None);
        let answer = Answer::verify(&raw, &leaf, &issuer, NOW).unwrap();
        assert_eq!(answer.status, status);
        assert_eq!((answer.this_update, answer.next_update), (1_795_290_660, Some(1_795_294_260)));
        assert!(answer.is_current(NOW, 0, 0));
        assert!(!answer.is_current(answer.this_update - 31, 30, 0), "from the future");
        assert!(!answer.is_current(1_795_294_260 + 31, 30, 0), "there should be news");
        let endless = Answer { next_update: None, ..answer };
        assert!(endless.is_current(answer.this_update + 60, 0, 60));
        assert!(!endless.is_current(answer.this_update + 61, 0, 60));
    }
}

// Contract: TLS-014
#[test]
fn only_the_issuer_and_its_delegates_are_believed() {
    let (ca, stranger) = (authority("ca"), authority("ca"));
    let issuer = of(&ca);
    let (certificate, own_key) = leaf(&ca, |_| {});
    let good = data(&certificate, &issuer, &[0x80, 0]);
    let verify = |raw: &[u8]| Answer::verify(raw, &certificate, &issuer, NOW).map(|a| a.status);
    let may_sign = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
    };
    let (delegate, delegate_key) = leaf(&ca, may_sign);
    let (plain, plain_key) = leaf(&ca, |_| {});
    let (foreign, foreign_key) = leaf(&stranger, may_sign);
    assert_eq!(verify(&response(&good, ca.key(), None)), Ok(Status::Good));
    assert_eq!(verify(&response(&good, ca.key(), Some(&issuer))), Ok(Status::Good));
    assert_eq!(verify(&response(&good, &delegate_key, Some(&delegate))), Ok(Status::Good));
    for (key, along) in [
        (stranger.key(), None),
        (&own_key, Some(&certificate)),
        (&delegate_key, None),
        (&plain_key, Some(&plain)),
        (&foreign_key, Some(&foreign)),
        (stranger.key(), Some(&issuer)),
    ] {
        assert_eq!(verify(&response(&good, key, along)), Err(AnswerError::Signature));
    }
    // A good answer about another certificate is none about this one.
    let (other, _) = leaf(&ca, |params| params.serial_number = Some(SerialNumber::from(1u64)));
    let about_other = response(&data(&other, &issuer, &[0x80, 0]), ca.key(), None);
    assert_eq!(verify(&about_other), Err(AnswerError::Other));
    assert_eq!(verify(&[0x30, 3, 0x0a, 1, 3]), Err(AnswerError::Refused("try later")));
}

/// No byte of an answer can be changed or left out and the answer still counts as it did, unless it
/// says the same; and nothing makes the reader fail otherwise.
#[test]
fn changed_answers_do_not_count() {
    let ca = authority("ca");
    let (issuer, (leaf, _)) = (of(&ca), leaf(&ca, |_| {}));
    let raw = response(&data(&leaf, &issuer, &[0x82, 0]), ca.key(), None);
    for at in 0..raw.len() {
        assert!(Answer::verify(&raw[..at], &leaf, &issuer, NOW).is_err(), "cut at {at}");
        for bit in 0..8 {
            let mut changed = raw.clone();
            changed[at] ^= 1 << bit;
            if let Ok(answer) = Answer::verify(&changed, &leaf, &issuer, NOW) {
                assert_eq!(answer.status, Status::Unknown, "{at} {bit}");
            }
        }
    }
}

// Contract: TLS-013, TLS-014
#[test]
fn certificates_say_where_to_ask_and_whether_to_staple() {
    let ca = authority("ca");
    let url = "http://127.0.0.1:80/x";
    let (certificate, _) = leaf(&ca, |params| {
        let method = der::write(OID, &[&[0x2b, 6, 1, 5, 5, 7, 0x30, 1]]);
        let place = der::write(SEQUENCE, &[&method, &der::write(0x86, &[url.as_bytes()])]);
        let access = der::write(SEQUENCE, &[&place]);
        let oid = [1, 3, 6, 1, 5, 5, 7, 1, 1];
        params.custom_extensions.push(CustomExtension::from_oid_content(&oid, access));
        let oid = [1, 3, 6, 1, 5, 5, 7, 1, 24];
        let features = vec![0x30, 3, 2, 1, 5];
        params.custom_extensions.push(CustomExtension::from_oid_content(&oid, features));
    });
    assert_eq!(certificate.responders, [url]);
    assert!(certificate.must_staple && certificate.has_responders());
    assert!(certificate.is_signed_by(&of(&ca)) && !certificate.is_signed_by(&of(&authority("ca"))));
    assert_eq!((certificate.subject.as_str(), certificate.issuer.as_str()), ("CN=leaf", "CN=ca"));
    let (plain, _) = leaf(&ca, |_| {});
    assert!(!plain.must_staple && !plain.has_responders() && !plain.is_authority);
    assert!(of(&ca).is_authority);
}

// Contract: TLS-015
#[test]
fn the_cache_survives_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let ca = authority("ca");
    let (issuer, (leaf, _)) = (of(&ca), leaf(&ca, |_| {}));
    let raw = response(&data(&leaf, &issuer, &[0x80, 0]), ca.key(), None);
    let answer = Answer::verify(&raw, &leaf, &issuer, NOW).unwrap();
    let config =
        CacheConfig { directory: Some(directory.path().join("_rc_")), preserve_revoked: true };
    let cache = Cache::open(config.clone());
    assert_eq!(cache.get("k"), None);
    cache.put("k".into(), "CN=leaf", &answer, &raw, NOW);
    let revoked = Answer { status: Status::Revoked, ..answer };
    cache.put("r".into(), "CN=leaf", &revoked, &raw, NOW);
    cache.save().unwrap();
    let again = Cache::open(config.clone());
    assert_eq!(again.get("k"), Some(raw));
    for key in ["k", "r"] {
        again.forget(key);
    }
    // A revocation is kept, as configured.
    assert_eq!((again.stats().responses, again.stats().revoked), (1, 1));
    std::fs::write(directory.path().join("_rc_/cache.json"), "{\"k\": 1").unwrap();
    assert_eq!(Cache::open(config).stats(), CacheStats::default());
    assert_eq!(Cache::open(CacheConfig::default()).get("k"), None);
}
