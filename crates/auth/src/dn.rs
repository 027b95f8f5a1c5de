//! Distinguished names: from certificates, from user names, and as the text forms in use.
//!
//! Not here: looking users up by them (`certificate`).
//! Laws: comparing treats a multi-valued RDN as a multiset; an empty name equals nothing.
//! Reference: internal/ldap/dn.go; auth.go getTLSAuthDCs; Go's crypto/x509/pkix Name.String.

use std::fmt::Write;

/// A distinguished name; relative names in the order of the certificate, most general first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DistinguishedName {
    rdns: Vec<Vec<Attribute>>,
}

/// One attribute of a relative name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attribute {
    /// The type: dotted object identifier if it comes from a certificate, else as written.
    kind: String,
    value: Value,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A character string.
    Text(String),
    /// Anything else, DER.
    Der(Vec<u8>),
}

const DOMAIN_COMPONENT: &str = "0.9.2342.19200300.100.1.25";
const COMMON_NAME: &str = "2.5.4.3";
const SERIAL_NUMBER: &str = "2.5.4.5";

/// Types with a short name, in the order in which Go's `Name.String` has them.
const NAMED: [(&str, &str); 9] = [
    ("2.5.4.6", "C"),
    ("2.5.4.8", "ST"),
    ("2.5.4.7", "L"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.17", "POSTALCODE"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    (COMMON_NAME, "CN"),
    (SERIAL_NUMBER, "SERIALNUMBER"),
];

/// Why a text is no distinguished name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnError {
    /// A part has no `type=`.
    #[error("incomplete type, value pair")]
    Incomplete,
    /// A `\` is not followed by a special character or two hex digits.
    #[error("got corrupted escaped character")]
    BadEscape,
    /// A value begins with `#`.
    #[error("unsupported BER encoding")]
    Ber,
}

impl Attribute {
    /// An attribute of a certificate: dotted object identifier and value.
    pub fn new(oid: impl Into<String>, value: Value) -> Self {
        Self { kind: oid.into(), value }
    }

    fn is_named(&self) -> bool {
        NAMED.iter().any(|(oid, _)| *oid == self.kind)
    }

    /// The short name of the type, if it is one that can be compared.
    fn short_name(&self) -> Option<&str> {
        if self.kind == DOMAIN_COMPONENT {
            return Some("DC");
        }
        NAMED.iter().find(|(oid, _)| *oid == self.kind).map(|(_, name)| *name)
    }

    fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Der(_) => None,
        }
    }

    /// Type in upper case by its short name, and value: what comparing looks at.
    fn key(&self) -> (String, &Value) {
        let kind = self.short_name().unwrap_or(&self.kind);
        (kind.to_ascii_uppercase(), &self.value)
    }
}

impl DistinguishedName {
    /// The name with these relative names, in the order of the certificate.
    pub fn new(rdns: Vec<Vec<Attribute>>) -> Self {
        Self { rdns: rdns.into_iter().filter(|rdn| !rdn.is_empty()).collect() }
    }

    /// Reads the text form of RFC 4514, most specific part first: `CN=x,OU=y`.
    pub fn parse(text: &str) -> Result<Self, DnError> {
        let mut rdns = parse::relative_names(text)?;
        rdns.reverse();
        Ok(Self { rdns })
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.rdns.is_empty()
    }

    /// Whether all attributes are texts of known types. Others cannot be written as user names.
    pub fn is_comparable(&self) -> bool {
        self.attributes().all(|a| a.short_name().is_some() && a.text().is_some())
    }

    /// Whether both have the same relative names in the same order.
    pub fn same(&self, other: &Self) -> bool {
        !self.is_empty() && self.keys() == other.keys()
    }

    /// Whether both have the same relative names in whatever order.
    pub fn same_in_any_order(&self, other: &Self) -> bool {
        let (mut left, mut right) = (self.keys(), other.keys());
        left.sort();
        right.sort();
        !self.is_empty() && left == right
    }

    fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.rdns.iter().flatten()
    }

    fn keys(&self) -> Vec<Vec<(String, &Value)>> {
        fn sorted(rdn: &[Attribute]) -> Vec<(String, &Value)> {
            let mut keys: Vec<_> = rdn.iter().map(Attribute::key).collect();
            keys.sort();
            keys
        }
        self.rdns.iter().map(|rdn| sorted(rdn)).collect()
    }

    /// The domain components in the order of the certificate: `DC=a,DC=b`; empty if there are none.
    pub fn domain_components(&self) -> String {
        let values = self.attributes().filter(|a| a.kind == DOMAIN_COMPONENT);
        let parts: Vec<String> =
            values.filter_map(|a| a.text().map(|text| format!("DC={text}"))).collect();
        parts.join(",")
    }

    /// The attributes with short names only, grouped by type, in Go's order: `CN=x,OU=a+OU=b`.
    pub fn to_rdn_sequence(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        for (oid, name) in NAMED.iter().rev() {
            let values = self.attributes().filter(|a| a.kind == *oid).filter_map(Attribute::text);
            let values: Vec<&str> = if matches!(*oid, COMMON_NAME | SERIAL_NUMBER) {
                // These have one value; the last one counts.
                values.last().into_iter().filter(|text| !text.is_empty()).collect()
            } else {
                values.collect()
            };
            if !values.is_empty() {
                let pairs = values.into_iter().map(|v| format!("{name}={}", escape(v)));
                parts.push(pairs.collect::<Vec<_>>().join("+"));
            }
        }
        parts.join(",")
    }

    /// As monitoring prints the subject: `to_rdn_sequence`, then the other attributes, last first,
    /// as `oid=#hex`.
    pub fn to_rfc2253(&self) -> String {
        let mut parts = vec![self.to_rdn_sequence()];
        parts.retain(|text| !text.is_empty());
        let others: Vec<&Attribute> = self.attributes().filter(|a| !a.is_named()).collect();
        for attribute in others.into_iter().rev() {
            let der = match &attribute.value {
                Value::Text(text) => der_string(text),
                Value::Der(der) => der.clone(),
            };
            parts.push(format!("{}=#{}", attribute.kind, hex(&der)));
        }
        parts.join(",")
    }
}

/// Escapes a value for `to_rdn_sequence`.
fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.len().wrapping_sub(1);
    for (at, c) in value.char_indices() {
        let special = match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => true,
            ' ' => at == 0 || at == last,
            '#' => at == 0,
            _ => false,
        };
        if special {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Encodes a text as Go does: a PrintableString if it can be one, else a UTF8String.
fn der_string(text: &str) -> Vec<u8> {
    let printable = |b: u8| b.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&b);
    let tag = if text.bytes().all(printable) { 0x13 } else { 0x0c };
    let mut der = vec![tag];
    match u8::try_from(text.len()) {
        Ok(len) if len < 0x80 => der.push(len),
        _ => {
            let len = text.len().to_be_bytes();
            let digits: Vec<u8> = len.into_iter().skip_while(|b| *b == 0).collect();
            der.push(0x80 | digits.len() as u8);
            der.extend(digits);
        }
    }
    der.extend_from_slice(text.as_bytes());
    der
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

/// The text form of RFC 4514.
mod parse {
    use super::{Attribute, DnError, Value};

    /// The relative names in the order of the text.
    pub(super) fn relative_names(text: &str) -> Result<Vec<Vec<Attribute>>, DnError> {
        let (mut rdns, mut rdn) = (Vec::new(), Vec::new());
        let mut rest = text.as_bytes();
        // What follows the last separator may be empty.
        while !rest.iter().all(|b| *b == b' ') {
            let (attribute, separator, tail) = attribute(rest)?;
            rdn.push(attribute);
            if separator != Some(b'+') {
                rdns.push(std::mem::take(&mut rdn));
            }
            rest = tail;
        }
        if rdn.is_empty() { Ok(rdns) } else { Err(DnError::Incomplete) }
    }

    /// One `type=value`, the separator after it, and what follows.
    fn attribute(text: &[u8]) -> Result<(Attribute, Option<u8>, &[u8]), DnError> {
        let equals = text.iter().position(|b| *b == b'=').ok_or(DnError::Incomplete)?;
        let (kind, value) = text.split_at_checked(equals).ok_or(DnError::Incomplete)?;
        let kind = String::from_utf8_lossy(kind.trim_ascii()).into_owned();
        if kind.is_empty() || kind.contains([',', '+', '\\']) {
            return Err(DnError::Incomplete);
        }
        let value = value.get(1..).unwrap_or_default();
        if value.first() == Some(&b'#') {
            return Err(DnError::Ber);
        }
        let (value, separator, rest) = unescape(value.trim_ascii_start())?;
        if value.is_empty() {
            return Err(DnError::Incomplete);
        }
        let value = Value::Text(String::from_utf8_lossy(&value).into_owned());
        Ok((Attribute { kind, value }, separator, rest))
    }

    /// A value, the separator after it, and what follows.
    type Unescaped<'a> = (Vec<u8>, Option<u8>, &'a [u8]);

    /// The value up to a separator, without its unescaped trailing spaces.
    fn unescape(text: &[u8]) -> Result<Unescaped<'_>, DnError> {
        let (mut out, mut keep, mut rest) = (Vec::new(), 0, text);
        while let Some((byte, tail)) = rest.split_first() {
            rest = tail;
            match byte {
                b',' | b'+' => {
                    out.truncate(keep);
                    return Ok((out, Some(*byte), rest));
                }
                b'\\' => {
                    let (escaped, tail) = escape(rest).ok_or(DnError::BadEscape)?;
                    rest = tail;
                    out.push(escaped);
                    keep = out.len();
                }
                _ => {
                    out.push(*byte);
                    if *byte != b' ' {
                        keep = out.len();
                    }
                }
            }
        }
        out.truncate(keep);
        Ok((out, None, rest))
    }

    fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
        match text {
            [
                c @ (b' ' | b'"' | b'#' | b'+' | b',' | b';' | b'<' | b'=' | b'>' | b'\\'),
                rest @ ..,
            ] => Some((*c, rest)),
            [high, low, rest @ ..] => {
                let digit = |b: &u8| char::from(*b).to_digit(16);
                let byte = digit(high)? * 16 + digit(low)?;
                Some((byte as u8, rest))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cert(attributes: &[&[(&str, &str)]]) -> DistinguishedName {
        let rdn = |pairs: &&[(&str, &str)]| {
            pairs.iter().map(|(oid, v)| Attribute::new(*oid, Value::Text((*v).into()))).collect()
        };
        DistinguishedName::new(attributes.iter().map(rdn).collect())
    }

    /// `/C=US/O=NATS/OU=a/CN=localhost/DC=foo1/DC=foo2`
    fn example() -> DistinguishedName {
        cert(&[
            &[("2.5.4.6", "US")],
            &[("2.5.4.10", "NATS")],
            &[("2.5.4.11", "a")],
            &[(COMMON_NAME, "localhost")],
            &[(DOMAIN_COMPONENT, "foo1")],
            &[(DOMAIN_COMPONENT, "foo2")],
        ])
    }

    // Contract: AUTH-009
    #[test]
    fn names_are_compared_by_their_parts() {
        // text, same order, any order
        let cases = [
            ("DC=foo2,DC=foo1,CN=localhost,OU=a,O=NATS,C=US", true, true),
            ("dc=foo2, Dc=foo1,  cn=localhost , ou=a,o=NATS,c=US", true, true),
            ("DC=foo2,DC=foo1,CN=local\\68ost,OU=a,O=NATS,C=US", true, true),
            ("CN=localhost,OU=a,O=NATS,C=US,DC=foo1,DC=foo2", false, true),
            ("DC=foo1,DC=foo2,CN=localhost,OU=a,O=NATS,C=US", false, true),
            ("DC=foo2,DC=foo2,CN=localhost,OU=a,O=NATS,C=US", false, false),
            ("CN=localhost,OU=a,O=NATS,C=US", false, false),
            ("DC=foo2+DC=foo1,CN=localhost,OU=a,O=NATS,C=US", false, false),
            ("DC=foo2,DC=foo1,CN=LOCALHOST,OU=a,O=NATS,C=US", false, false),
        ];
        for (text, exact, reordered) in cases {
            let dn = DistinguishedName::parse(text).unwrap();
            assert_eq!(dn.same(&example()), exact, "{text}");
            assert_eq!(dn.same_in_any_order(&example()), reordered, "{text}");
        }
    }

    // Contract: AUTH-009
    #[test]
    fn multi_valued_parts_are_multisets() {
        let dn =
            cert(&[&[("2.5.4.10", "users"), (DOMAIN_COMPONENT, "DEV")], &[(COMMON_NAME, "x")]]);
        for (text, want) in [
            ("CN=x,O=users+DC=DEV", true),
            ("CN=x,DC=DEV+O=users", true),
            ("CN=x,DC=DEV+DC=DEV", false),
            ("CN=x,DC=DEV+O=users+O=users", false),
            ("CN=x,DC=DEV,O=users", false),
        ] {
            assert_eq!(DistinguishedName::parse(text).unwrap().same(&dn), want, "{text}");
        }
        let doubled = cert(&[&[("2.5.4.10", "a"), ("2.5.4.10", "a"), ("2.5.4.10", "b")]]);
        let other = DistinguishedName::parse("O=a+O=b+O=b").unwrap();
        assert!(!other.same_in_any_order(&doubled));
    }

    #[test]
    fn texts_that_are_no_names_are_refused() {
        for (text, want) in [
            ("alice", DnError::Incomplete),
            ("CN=a,b", DnError::Incomplete),
            ("=a", DnError::Incomplete),
            ("CN=", DnError::Incomplete),
            ("CN=a+", DnError::Incomplete),
            ("CN=#0401", DnError::Ber),
            ("CN=a\\", DnError::BadEscape),
            ("CN=a\\4", DnError::BadEscape),
            ("CN=a\\zz", DnError::BadEscape),
        ] {
            assert_eq!(DistinguishedName::parse(text), Err(want), "{text}");
        }
        let empty = DistinguishedName::parse("  ").unwrap();
        assert!(empty.is_empty() && !empty.same(&DistinguishedName::default()));
    }

    // Contract: AUTH-009
    #[test]
    fn texts_are_written_as_go_writes_them() {
        assert_eq!(example().to_rdn_sequence(), "CN=localhost,OU=a,O=NATS,C=US");
        assert_eq!(example().domain_components(), "DC=foo1,DC=foo2");
        assert_eq!(
            example().to_rfc2253(),
            "CN=localhost,OU=a,O=NATS,C=US,0.9.2342.19200300.100.1.25=#1304666f6f32,\
             0.9.2342.19200300.100.1.25=#1304666f6f31"
        );
        let odd = cert(&[
            &[("2.5.4.11", "a"), ("2.5.4.11", " b,c ")],
            &[(COMMON_NAME, "first")],
            &[(COMMON_NAME, "#last+")],
            &[("1.2.840.113549.1.9.1", "d@e.f")],
        ]);
        assert_eq!(
            odd.to_rfc2253(),
            "CN=\\#last\\+,OU=a+OU=\\ b\\,c\\ ,1.2.840.113549.1.9.1=#0c056440652e66"
        );
        assert!(!odd.is_comparable() && example().is_comparable());
    }
}
