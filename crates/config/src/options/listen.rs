//! `listen`, `host` and `port`, wherever a section has them (CONF-021).
//!
//! Reference: opts.go parseListen; net.SplitHostPort.

use super::reader::{Reader, quote};
use crate::lang::{Token, Value};

/// What the configuration says about one listener. A section without a port does not listen
/// (the client listener has a default).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listen {
    /// Host to bind to; empty counts as unset.
    pub host: Option<String>,
    /// Port; -1 asks for a random one, 0 counts as unset.
    pub port: Option<i64>,
}

impl Listen {
    /// The host to bind to, or every address.
    pub fn host_or_any(&self) -> &str {
        match self.host.as_deref() {
            None | Some("") => "0.0.0.0",
            Some(host) => host,
        }
    }

    /// The port, if one is set.
    pub fn port_if_set(&self) -> Option<i64> {
        self.port.filter(|port| *port != 0)
    }

    /// Whether the section asks for a listener.
    pub fn is_set(&self) -> bool {
        self.port_if_set().is_some()
    }

    /// Reads `listen`, `port`, `host` or `net`; false if `key` is none of these.
    pub(crate) fn read(&mut self, key: &str, token: &Token, reader: &mut Reader<'_>) -> bool {
        match key {
            "listen" => match parse(token) {
                Ok((host, port)) => {
                    self.host = Some(host);
                    self.port = Some(port);
                }
                Err(text) => reader.error(token, text),
            },
            "port" => reader.put(token, &mut self.port),
            "host" | "net" => reader.put(token, &mut self.host),
            _ => return false,
        }
        true
    }
}

/// Host and port of a `listen` value; a bare port has an empty host.
pub(crate) fn parse(token: &Token) -> Result<(String, i64), String> {
    match &token.value {
        Value::Integer(port) => Ok((String::new(), *port)),
        Value::String(_) => {
            let address = super::reader::text(token);
            let Some((host, port)) = split_host_port(&address) else {
                return Err(format!("could not parse address string {}", quote(&address)));
            };
            match port.parse() {
                Ok(number) => Ok((host.into(), number)),
                Err(_) => Err(format!("could not parse port {}", quote(port))),
            }
        }
        other => Err(format!("expected port or host:port, got {}", other.type_name())),
    }
}

/// Splits an address whose port may be missing: `host`, `host:port`, `[v6]` or `[v6]:port`. What is
/// wrong with it is said in Go's words.
pub fn host_and_port(address: &str) -> Result<(&str, Option<&str>), String> {
    let refused = |what: &str| Err(format!("address {address}: {what}"));
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            None => return refused("missing ']' in address"),
            Some((host, "")) => (host, None),
            Some((host, after)) => match after.strip_prefix(':') {
                Some(port) if port.contains(':') => {
                    return refused("too many colons in address");
                }
                Some(port) => (host, Some(port)),
                None => return refused("missing port in address"),
            },
        },
        None => match address.rsplit_once(':') {
            None => (address, None),
            Some((host, _)) if host.contains(':') => return refused("too many colons in address"),
            Some((host, port)) => (host, Some(port)),
        },
    };
    let parts = [host, port.unwrap_or_default()];
    for (bracket, what) in [('[', "unexpected '[' in address"), (']', "unexpected ']' in address")]
    {
        if parts.iter().any(|part| part.contains(bracket)) {
            return refused(what);
        }
    }
    Ok((host, port))
}

/// The same, with the port as a number; 0 if it is missing.
pub fn host_and_number(address: &str) -> Result<(&str, i64), String> {
    let (host, port) = host_and_port(address)?;
    let Some(port) = port else { return Ok((host, 0)) };
    let number = port.trim().parse::<i64>().map_err(|error| {
        use std::num::IntErrorKind::{NegOverflow, PosOverflow};
        let what = match error.kind() {
            PosOverflow | NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("strconv.Atoi: parsing {port:?}: {what}")
    })?;
    Ok((host, number))
}

/// Splits `host:port`, `[v6]:port` or `:port`.
pub(crate) fn split_host_port(address: &str) -> Option<(&str, &str)> {
    let (before, port) = address.rsplit_once(':')?;
    let host = match before.strip_prefix('[') {
        Some(bracketed) => {
            let host = bracketed.strip_suffix(']')?;
            if host.contains(']') || host.contains('[') {
                return None;
            }
            host
        }
        None if before.contains([':', '[', ']']) => return None,
        None => before,
    };
    if port.contains(['[', ']']) { None } else { Some((host, port)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split_with_or_without_a_port() {
        for (address, parts) in [
            ("a", ("a", None)),
            ("a:1", ("a", Some("1"))),
            (":1", ("", Some("1"))),
            ("a:", ("a", Some(""))),
            ("[::1]", ("::1", None)),
            ("[::1]:1", ("::1", Some("1"))),
        ] {
            assert_eq!(host_and_port(address), Ok(parts), "{address}");
        }
        for (address, what) in [
            ("x:y:z", "too many colons in address"),
            ("::1", "too many colons in address"),
            ("[::1", "missing ']' in address"),
            ("a]:1", "unexpected ']' in address"),
            ("a[:1", "unexpected '[' in address"),
        ] {
            assert_eq!(host_and_port(address), Err(format!("address {address}: {what}")));
        }
    }
}
