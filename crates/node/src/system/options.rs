//! Bodies of requests, checked as the reference decodes them.
//!
//! What comes out is an object with the reference's own names and types and nothing else, so who
//! reads it need not be forgiving.
//! Laws: names are found in any case, the last of equal ones counts; the first complaint is told in
//!       the reference's words; `null` is no value.
//! Reference: events.go `EventFilterOptions` and the structs it is embedded in; encoding/json.
//! Contract: SYS-010, SYS-011.

use jetstream_api::json::only_value;
use serde::Deserialize;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// What a value has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    Int,
    Uint64,
    Text,
    Texts,
    Duration,
    State,
    Sort,
}

impl Kind {
    /// As the reference calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint64 => "uint64",
            Self::Text => "string",
            Self::Texts => "[]string",
            Self::Duration => "time.Duration",
            Self::State => "server.ConnState",
            Self::Sort => "server.SortOpt",
        }
    }
}

/// Names and types of one struct.
struct Fields {
    struct_name: &'static str,
    fields: &'static [(&'static str, Kind)],
}

/// The options of one kind of request: its own, and those that pick servers.
#[derive(Clone, Copy)]
pub(super) struct Schema {
    name: &'static str,
    own: Option<&'static Fields>,
}

const FILTER: Fields = Fields {
    struct_name: "EventFilterOptions",
    fields: &[
        ("server_name", Kind::Text),
        ("cluster", Kind::Text),
        ("host", Kind::Text),
        ("exact_match", Kind::Bool),
        ("tags", Kind::Texts),
        ("domain", Kind::Text),
    ],
};

macro_rules! schemas {
    ($($name:ident = $outer:literal $(, $own:literal [$($field:literal: $kind:ident),*])?;)*) => {
        $(pub(super) const $name: Schema = Schema {
            name: $outer,
            own: schemas!(@own $($own [$($field: $kind),*])?),
        };)*
    };
    (@own) => { None };
    (@own $own:literal [$($field:literal: $kind:ident),*]) => {
        Some(&Fields { struct_name: $own, fields: &[$(($field, Kind::$kind)),*] })
    };
}

schemas! {
    FILTERS = "EventFilterOptions";
    STATSZ = "StatszEventOptions";
    VARZ = "VarzEventOptions";
    EXPVARZ = "ExpvarzEventOptions";
    INFO = "AccInfoEventOptions";
    CONNZ = "ConnzEventOptions", "ConnzOptions" [
        "sort": Sort, "auth": Bool, "subscriptions": Bool, "subscriptions_detail": Bool,
        "offset": Int, "limit": Int, "cid": Uint64, "mqtt_client": Text, "state": State,
        "user": Text, "acc": Text, "filter_subject": Text
    ];
    SUBSZ = "SubszEventOptions", "SubszOptions" [
        "offset": Int, "limit": Int, "subscriptions": Bool, "account": Text, "test": Text
    ];
    ROUTEZ = "RoutezEventOptions", "RoutezOptions" [
        "subscriptions": Bool, "subscriptions_detail": Bool
    ];
    GATEWAYZ = "GatewayzEventOptions", "GatewayzOptions" [
        "name": Text, "accounts": Bool, "account_name": Text, "subscriptions": Bool,
        "subscriptions_detail": Bool
    ];
    LEAFZ = "LeafzEventOptions", "LeafzOptions" ["subscriptions": Bool, "account": Text];
    ACCOUNTZ = "AccountzEventOptions", "AccountzOptions" ["account": Text];
    STATZ = "AccountStatzEventOptions", "AccountStatzOptions" [
        "accounts": Texts, "include_unused": Bool
    ];
    JSZ = "JszEventOptions", "JSzOptions" [
        "account": Text, "accounts": Bool, "streams": Bool, "consumer": Bool,
        "direct_consumer": Bool, "config": Bool, "leader_only": Bool, "offset": Int, "limit": Int,
        "raft": Bool, "stream_leader_only": Bool
    ];
    HEALTHZ = "HealthzEventOptions", "HealthzOptions" [
        "js-enabled": Bool, "js-enabled-only": Bool, "js-server-only": Bool, "js-meta-only": Bool,
        "account": Text, "stream": Text, "consumer": Text, "details": Bool
    ];
    PROFILEZ = "ProfilezEventOptions", "ProfilezOptions" [
        "name": Text, "debug": Int, "duration": Duration
    ];
    IPQUEUESZ = "IpqueueszEventOptions", "IpqueueszOptions" ["all": Bool, "filter": Text];
    KICK = "KickClientReq", "KickClientReq" ["cid": Uint64];
    LDM = "LDMClientReq", "LDMClientReq" ["cid": Uint64];
    CONNS = "accNumConnsReq", "accNumConnsReq" ["acc": Text];
    NSUBS = "accNumSubsReq", "accNumSubsReq" ["acc": Text, "subject": Text, "queue": Text];
    RAFTZ = "RaftzEventOptions", "RaftzOptions" ["account": Text, "group": Text];
}

/// The members of an object, in order.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Collect)
    }
}

impl Schema {
    /// The body with canonical names and fit values; empty if it asks for nothing.
    ///
    /// # Errors
    /// The first complaint, in the reference's words.
    pub(super) fn read(&self, body: &[u8]) -> Result<Vec<u8>, String> {
        if body.is_empty() {
            return Ok(Vec::new());
        }
        let text = String::from_utf8_lossy(only_value(body).map_err(|e| e.to_string())?);
        let found = describe(&text);
        if found == "null" {
            return Ok(Vec::new());
        }
        let Ok(Members(members)) = serde_json::from_str(&text) else {
            let name = self.name;
            return Err(format!(
                "json: cannot unmarshal {found} into Go value of type server.{name}"
            ));
        };
        let mut complaint = None;
        let mut kept: Vec<(&str, String)> = Vec::new();
        for (name, value) in &members {
            let Some((path, name, kind)) = self.field(name) else { continue };
            match fit(kind, value.get()) {
                Ok(None) => {}
                Ok(Some(value)) => {
                    kept.retain(|(other, _)| *other != name);
                    kept.push((name, value));
                }
                Err((found, kind)) => {
                    complaint.get_or_insert_with(|| {
                        format!(
                            "json: cannot unmarshal {found} into Go struct field {path}.{name} of \
                             type {kind}"
                        )
                    });
                }
            }
        }
        if let Some(complaint) = complaint {
            return Err(complaint);
        }
        let kept: Vec<String> = kept.iter().map(|(name, v)| format!("\"{name}\":{v}")).collect();
        Ok(format!("{{{}}}", kept.join(",")).into_bytes())
    }

    /// [`Self::read`] of a body that must not be missing, as `T`.
    pub(super) fn decode<T: DeserializeOwned + Default>(&self, body: &[u8]) -> Result<T, String> {
        only_value(body).map_err(|e| e.to_string())?;
        let body = self.read(body)?;
        if body.is_empty() {
            return Ok(T::default());
        }
        serde_json::from_slice(&body).map_err(|e| e.to_string())
    }

    /// The field that `name` means: the path to it, its own name, its type.
    fn field(&self, name: &str) -> Option<(String, &'static str, Kind)> {
        // Not every request picks servers.
        let alone = self.own.is_some_and(|own| own.struct_name == self.name);
        let all = || self.own.into_iter().chain((!alone).then_some(&FILTER));
        let found = |same: &dyn Fn(&str) -> bool| {
            all().find_map(|fields| {
                let (name, kind) = fields.fields.iter().find(|(field, _)| same(field))?;
                Some((self.path(fields), *name, *kind))
            })
        };
        found(&|field| field == name).or_else(|| found(&|field| field.eq_ignore_ascii_case(name)))
    }

    fn path(&self, fields: &Fields) -> String {
        if self.name == fields.struct_name {
            return self.name.to_owned();
        }
        format!("{}.{}", self.name, fields.struct_name)
    }
}

/// What a message of another server says, as far as `T` asks; `None` if it is no object.
pub(super) fn object<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    body.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(body).ok()).flatten()
}

/// What a value is, as complaints call it.
fn describe(value: &str) -> &'static str {
    match value.as_bytes().first() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "bool",
        Some(b'n') => "null",
        _ => "number",
    }
}

/// The value, if it is one and fits; else what it is, and what it should be.
fn fit(kind: Kind, value: &str) -> Result<Option<String>, (String, &'static str)> {
    let found = describe(value);
    let unfit = || (found.to_owned(), kind.name());
    match (kind, found) {
        (_, "null") => Ok(None),
        (Kind::Bool, "bool") | (Kind::Text | Kind::Sort, "string") => Ok(Some(value.to_owned())),
        (Kind::Int | Kind::State | Kind::Duration, "number") => match value.parse::<i64>() {
            Ok(n) => Ok(Some(n.to_string())),
            Err(_) => Err((format!("number {value}"), kind.name())),
        },
        (Kind::Uint64, "number") => match value.parse::<u64>() {
            Ok(n) => Ok(Some(n.to_string())),
            Err(_) => Err((format!("number {value}"), kind.name())),
        },
        (Kind::Texts, "array") => {
            let all: Vec<Box<RawValue>> = serde_json::from_str(value).map_err(|_| unfit())?;
            let texts = all.iter().map(|one| {
                let text = fit(Kind::Text, one.get())?;
                Ok(text.unwrap_or_else(|| "\"\"".to_owned()))
            });
            let texts: Vec<String> = texts.collect::<Result<_, _>>()?;
            Ok(Some(format!("[{}]", texts.join(","))))
        }
        _ => Err(unfit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(schema: Schema, body: &str) -> Result<String, String> {
        schema.read(body.as_bytes()).map(|read| String::from_utf8(read).unwrap_or_default())
    }

    // Contract: SYS-011
    #[test]
    fn names_count_in_any_case_and_unknown_ones_do_not() {
        for (body, expected) in [
            ("", ""),
            ("null", ""),
            (" { } ", "{}"),
            (r#"{"CID":2,"x":[{}]}"#, r#"{"cid":2}"#),
            (r#"{"cid":2,"Cid":3}"#, r#"{"cid":3}"#),
            (r#"{"cid":null,"auth":true}"#, r#"{"auth":true}"#),
            (r#"{"tags":["a",null]}"#, r#"{"tags":["a",""]}"#),
            (r#"{"sort":"cid","state":1}"#, r#"{"sort":"cid","state":1}"#),
        ] {
            assert_eq!(read(CONNZ, body).as_deref(), Ok(expected), "{body}");
        }
    }

    // Contract: SYS-010
    #[test]
    fn complaints_are_the_references() {
        for (schema, body, expected) in [
            (
                CONNZ,
                r#"{"cid":"x"}"#,
                "string into Go struct field ConnzEventOptions.ConnzOptions.cid of type uint64",
            ),
            (
                CONNZ,
                r#"{"cid":-1}"#,
                "number -1 into Go struct field ConnzEventOptions.ConnzOptions.cid of type uint64",
            ),
            (
                CONNZ,
                r#"{"limit":1e0,"cid":"x"}"#,
                "number 1e0 into Go struct field ConnzEventOptions.ConnzOptions.limit of type int",
            ),
            (
                CONNZ,
                r#"{"state":"open"}"#,
                "string into Go struct field ConnzEventOptions.ConnzOptions.state of type server.ConnState",
            ),
            (
                CONNZ,
                r#"{"tags":"x"}"#,
                "string into Go struct field ConnzEventOptions.EventFilterOptions.tags of type []string",
            ),
            (
                CONNZ,
                r#"{"tags":[1]}"#,
                "number into Go struct field ConnzEventOptions.EventFilterOptions.tags of type string",
            ),
            (
                FILTERS,
                r#"{"domain":1}"#,
                "number into Go struct field EventFilterOptions.domain of type string",
            ),
            (VARZ, "[]", "array into Go value of type server.VarzEventOptions"),
            (VARZ, "1", "number into Go value of type server.VarzEventOptions"),
        ] {
            let expected = format!("json: cannot unmarshal {expected}");
            assert_eq!(read(schema, body), Err(expected), "{body}");
        }
        for (body, expected) in [
            ("{", "unexpected end of JSON input"),
            (" ", "unexpected end of JSON input"),
            ("x", "invalid character 'x' looking for beginning of value"),
            (r#"{"a":1}x"#, "invalid character 'x' after top-level value"),
        ] {
            assert_eq!(read(VARZ, body), Err(expected.to_owned()), "{body}");
        }
    }
}
