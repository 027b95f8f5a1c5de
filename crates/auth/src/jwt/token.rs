//! A token as a whole: three parts, a header, claims, a signature by the issuer's nkey.
//!
//! Laws: nothing a token says is believed before its signature is verified; what it costs is
//!       bounded by [`MAX_SIZE`]; no text makes it panic. Whether the issuer is trusted is the
//!       caller's to know.
//! Reference: jwt v2 decoder.go, claims.go, header.go.

use super::error::{EncodeError, JwtError};
use super::{read, version1};
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use nkeys::{KeyPair, KeyPairType};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Digest;

/// Bytes a token may have.
pub const MAX_SIZE: usize = 1 << 20;
/// The version of tokens that are written.
pub const VERSION: i64 = 2;

const ALGORITHM_V1: &str = "ed25519";
const ALGORITHM: &str = "ed25519-nkey";

/// What a token is about; the part that differs from kind to kind.
pub trait Body: Serialize + DeserializeOwned + Default {
    /// The kind, as `type` says it.
    const KIND: &'static str;
    /// Kinds of keys that may sign it; empty for any.
    const ISSUERS: &'static [KeyPairType];
    /// The same, as errors name them.
    const ISSUER_NAMES: &'static str;
    /// The kind of key it is for, if that is checked when it is written.
    const SUBJECT: Option<KeyPairType>;

    /// Fills in the kind and the version before it is written.
    fn stamp(&mut self, kind: &str, version: i64);
}

/// A token's claims.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Claims<T> {
    /// For whom.
    #[serde(rename = "aud", skip_serializing_if = "String::is_empty")]
    pub audience: String,
    /// When it ends, in Unix seconds; 0 for never.
    #[serde(rename = "exp", skip_serializing_if = "is_zero")]
    pub expires: i64,
    /// A hash of the registered claims.
    #[serde(rename = "jti", skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// When it was issued, in Unix seconds.
    #[serde(rename = "iat", skip_serializing_if = "is_zero")]
    pub issued_at: i64,
    /// The public key that signed it.
    #[serde(rename = "iss", skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// What people call it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// When it begins, in Unix seconds; 0 for at once.
    #[serde(rename = "nbf", skip_serializing_if = "is_zero")]
    pub not_before: i64,
    /// The public key it is about.
    #[serde(rename = "sub", skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// What it says.
    pub nats: T,
}

pub(super) fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// A token whose signature is good.
struct Verified {
    claims: Value,
    kind: String,
    version: i64,
}

impl<T: Body> Claims<T> {
    /// Claims about `subject` that say nothing yet.
    pub fn about(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), ..Self::default() }
    }

    /// Reads a token and verifies that its issuer signed it.
    ///
    /// # Errors
    /// It is no token, not signed by its issuer, or of another kind.
    pub fn decode(token: &str) -> Result<Self, JwtError> {
        let Verified { mut claims, kind, version } = verify(token)?;
        if kind != T::KIND {
            return Err(JwtError::Kind(T::KIND));
        }
        match version {
            1 => version1::migrate(&kind, &mut claims),
            VERSION => {}
            other => return Err(JwtError::Version(other)),
        }
        let claims: Self =
            serde_json::from_value(claims).map_err(|error| JwtError::Json(error.to_string()))?;
        if may_sign::<T>(&claims.issuer) {
            Ok(claims)
        } else {
            Err(JwtError::Issuer(T::ISSUER_NAMES))
        }
    }

    /// Signs the claims as of `now` (Unix seconds): issuer, time and id are filled in.
    ///
    /// # Errors
    /// The key may not sign such claims, or the subject is of the wrong kind.
    pub fn encode(&mut self, key: &KeyPair, now: i64) -> Result<String, EncodeError> {
        if let Some(kind) = &T::SUBJECT
            && !is_key_of(&self.subject, std::slice::from_ref(kind))
        {
            return Err(EncodeError::Subject(T::KIND));
        }
        self.issuer = key.public_key();
        if !may_sign::<T>(&self.issuer) {
            return Err(EncodeError::Issuer(T::ISSUER_NAMES));
        }
        self.issued_at = now;
        self.id = self.hash()?;
        self.nats.stamp(T::KIND, VERSION);
        let payload = json(self)?;
        let header = format!(r#"{{"typ":"JWT","alg":"{ALGORITHM}"}}"#);
        let mut token = BASE64URL_NOPAD.encode(header.as_bytes());
        token.push('.');
        token.push_str(&BASE64URL_NOPAD.encode(payload.as_bytes()));
        let signature =
            key.sign(token.as_bytes()).map_err(|error| EncodeError::Key(error.to_string()))?;
        token.push('.');
        token.push_str(&BASE64URL_NOPAD.encode(&signature));
        Ok(token)
    }

    /// The id: a hash of the registered claims without it.
    fn hash(&self) -> Result<String, EncodeError> {
        let mut all = serde_json::to_value(self).map_err(|e| EncodeError::Json(e.to_string()))?;
        if let Some(all) = all.as_object_mut() {
            all.shift_remove("nats");
            all.shift_remove("jti");
        }
        let hash = sha2::Sha512_256::digest(json(&all)?.as_bytes());
        Ok(BASE32_NOPAD.encode(&hash))
    }

    /// Whether it has ended or not begun at `now` (Unix seconds), and what the reference says then.
    pub fn untimely(&self, now: i64) -> Option<&'static str> {
        if self.expires > 0 && now > self.expires {
            Some("claim is expired")
        } else if self.not_before > now {
            Some("claim is not yet valid")
        } else {
            None
        }
    }
}

fn json(of: &impl Serialize) -> Result<String, EncodeError> {
    let text = serde_json::to_string(of).map_err(|e| EncodeError::Json(e.to_string()))?;
    Ok(stdx::go_text::escape_json(&text))
}

fn may_sign<T: Body>(issuer: &str) -> bool {
    T::ISSUERS.is_empty() || is_key_of(issuer, T::ISSUERS)
}

/// Whether `text` is a public key of one of `kinds`, checksum included.
pub(crate) fn is_key_of(text: &str, kinds: &[KeyPairType]) -> bool {
    KeyPair::from_public_key(text).is_ok_and(|pair| kinds.contains(&pair.key_pair_type()))
}

fn part(text: &str) -> Result<Vec<u8>, JwtError> {
    let decoded = crate::base64::url(text.as_bytes());
    decoded.map_err(|error| JwtError::Base64(error.position))
}

fn parse(bytes: &[u8]) -> Result<Value, JwtError> {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| JwtError::Json(error.to_string()))?;
    Ok(read::without_nulls(value))
}

fn check_header(text: &str) -> Result<String, JwtError> {
    let header = parse(&part(text)?)?;
    let field =
        |name: &str| header.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, algorithm) = (field("typ"), field("alg"));
    if !kind.eq_ignore_ascii_case("JWT") {
        return Err(JwtError::Type(kind));
    }
    let lower = algorithm.to_ascii_lowercase();
    if lower != ALGORITHM && lower != ALGORITHM_V1 {
        return Err(JwtError::Algorithm(algorithm));
    }
    Ok(algorithm)
}

fn parts(token: &str) -> Result<[&str; 3], JwtError> {
    if token.len() > MAX_SIZE {
        return Err(JwtError::TooLarge(token.len()));
    }
    let mut parts = token.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(header), Some(claims), Some(signature), None) => Ok([header, claims, signature]),
        _ => Err(JwtError::Chunks),
    }
}

fn verify(token: &str) -> Result<Verified, JwtError> {
    let [header, payload, signature] = parts(token)?;
    check_header(header)?;
    let claims = read::in_small_letters(parse(&part(payload)?)?);
    if let Some(name) = read::misshapen(&claims) {
        return Err(JwtError::Json(format!("{name}: a list where an object is expected")));
    }
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let nats = claims.get("nats");
    let old = text(claims.get("type"));
    let (kind, version) = if old.is_empty() {
        let version = nats.and_then(|nats| nats.get("version"));
        let version = version.map_or(Some(0), Value::as_i64).unwrap_or(-1);
        (text(nats.and_then(|nats| nats.get("type"))), version)
    } else {
        (old, 1)
    };
    if version > VERSION {
        return Err(JwtError::Newer);
    }
    let signature = part(signature)?;
    let (signed, how) =
        if version <= 1 { (payload, 1) } else { (signed_part(token, header, payload), 2) };
    if !is_signed(&text(claims.get("iss")), signed, &signature) {
        return Err(JwtError::Signature(how));
    }
    Ok(Verified { claims, kind, version })
}

fn signed_part<'a>(token: &'a str, header: &str, payload: &str) -> &'a str {
    token.get(..header.len() + 1 + payload.len()).unwrap_or(token)
}

fn is_signed(issuer: &str, what: &str, signature: &[u8]) -> bool {
    KeyPair::from_public_key(issuer).is_ok_and(|key| key.verify(what.as_bytes(), signature).is_ok())
}

/// Reads a token of any kind: what it says stays as it is written.
///
/// # Errors
/// It is no token, or its issuer did not sign it.
pub fn decode_generic(token: &str) -> Result<Claims<serde_json::Map<String, Value>>, JwtError> {
    let [header, payload, signature] = parts(token)?;
    let algorithm = check_header(header)?;
    let mut claims = parse(&part(payload)?)?;
    let signature = part(signature)?;
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default().to_owned();
    let (signed, how) = if algorithm == ALGORITHM_V1 {
        (payload, 1)
    } else {
        (signed_part(token, header, payload), 2)
    };
    if !is_signed(&issuer, signed, &signature) {
        return Err(JwtError::Signature(how));
    }
    if claims.get("nats").is_some_and(|nats| !nats.is_object())
        && let Some(all) = claims.as_object_mut()
    {
        all.insert("nats".to_owned(), Value::Object(serde_json::Map::new()));
    }
    serde_json::from_value(claims).map_err(|error| JwtError::Json(error.to_string()))
}

/// The token inside a credentials or operator file: what stands between the first two lines of
/// dashes, or the text itself if there are none.
pub fn undecorated(text: &str) -> &str {
    let dashes = |line: &str| line.trim_start().starts_with("---");
    let mut lines = text.lines().skip_while(|line| !dashes(line));
    if lines.next().is_none() {
        return text.trim();
    }
    lines.map(str::trim).find(|line| !line.is_empty()).filter(|line| !dashes(line)).unwrap_or("")
}
