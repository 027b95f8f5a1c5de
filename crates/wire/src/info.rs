//! The INFO document, in the reference's field order.
//!
//! Reference: server.go Info; wire/core.md section 2.   Contract: CORE-019, CORE-020.

use crate::json;
use serde::Serialize;

/// What the server says of itself and of this connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Info {
    pub server_id: String,
    pub server_name: String,
    pub version: String,
    pub proto: i32,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub git_commit: String,
    pub go: String,
    pub host: String,
    pub port: i64,
    pub headers: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub auth_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub tls_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub tls_verify: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub tls_available: bool,
    pub max_payload: i64,
    #[serde(skip_serializing_if = "is_false")]
    pub jetstream: bool,
    #[serde(skip_serializing_if = "is_zero")]
    pub client_id: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_ip: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nonce: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connect_urls: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ws_connect_urls: Vec<String>,
    #[serde(rename = "ldm", skip_serializing_if = "is_false")]
    pub lame_duck_mode: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub connect_info: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remote_account: String,
    #[serde(skip_serializing_if = "is_false")]
    pub acc_is_sys: bool,
    #[serde(rename = "api_lvl", skip_serializing_if = "is_zero")]
    pub api_level: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub xkey: String,
}

impl Info {
    /// The INFO line, ready to send.
    pub fn line(&self) -> Vec<u8> {
        // A struct of strings and numbers always serialises.
        let json = serde_json::to_string(self).unwrap_or_default();
        format!("INFO {} \r\n", stdx::go_text::escape_json(&json)).into_bytes()
    }
}

/// Why an INFO from a peer was refused; for the log.
#[derive(Debug, thiserror::Error)]
pub enum InfoError {
    /// Not a JSON object.
    #[error("INFO is not a JSON object: {0}")]
    Syntax(#[from] serde_json::Error),
    /// A field of the wrong type.
    #[error("INFO field \"{0}\" has the wrong type")]
    Type(&'static str),
}

const FLAGS: &str = "headers auth_required tls_required tls_verify tls_available jetstream \
    cluster_dynamic ldm connect_info acc_is_sys lnoc lnocu info_on_connect gateway_nrp gateway_iom";
const TEXTS: &str = "server_id server_name version git_commit go host ip client_ip nonce cluster \
    domain compression remote_account route_account route_acc_add_reqid gateway gateway_url \
    gateway_cmd_payload xkey";
const NUMBERS: &str = "proto port max_payload client_id api_lvl route_pool_size route_pool_idx \
    gossip_mode gateway_cmd";
const LISTS: &str = "connect_urls ws_connect_urls gateway_urls leafnode_urls";

/// Whether a value is of a kind.
type Fits = fn(&str) -> bool;

/// Whether an INFO that a client sent can be read; nothing in it matters.
pub fn check(info: &[u8]) -> Result<(), InfoError> {
    let text = String::from_utf8_lossy(info);
    json::members(&text, |name, value| {
        let kinds: [(&'static str, Fits); 4] = [
            (FLAGS, |value| matches!(value, "true" | "false")),
            (TEXTS, |value| value.starts_with('"')),
            (NUMBERS, |value| value.parse::<i64>().is_ok()),
            (LISTS, json::is_strings),
        ];
        for (names, fits) in kinds {
            let field = names.split_ascii_whitespace().find(|field| json::same_name(name, field));
            if let Some(field) = field
                && value != "null"
                && !fits(value)
            {
                return Err(InfoError::Type(field));
            }
        }
        Ok(())
    })
    .map(drop)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde asks for")]
fn is_false(b: &bool) -> bool {
    !b
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde asks for")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_info_has_to_be_readable() {
        for fine in ["{}", "null", r#"{"Proto":1,"connect_urls":["a"],"zzz":1e999,"host":null}"#] {
            assert!(check(fine.as_bytes()).is_ok(), "{fine}");
        }
        for wrong in
            ["", "xxx", "[]", r#"{"proto":"1"}"#, r#"{"ldm":1}"#, r#"{"connect_urls":[1]}"#]
        {
            assert!(check(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
