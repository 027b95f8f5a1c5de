//! The CONNECT document of a client.
//!
//! Laws: keys compare without case, unknown keys are ignored, the last of a repeated key wins
//!       (the reference's decoder); a value of the wrong type refuses the whole document.
//! Reference: client.go ClientOpts.   Contract: CORE-013..018.

use serde_json::Value;

/// What a client says of itself. Defaults are those in force before CONNECT (CORE-013).
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    pub echo: bool,
    pub verbose: bool,
    pub pedantic: bool,
    pub tls_required: bool,
    pub nkey: String,
    pub jwt: String,
    pub sig: String,
    pub auth_token: String,
    pub user: String,
    pub pass: String,
    pub name: String,
    pub lang: String,
    pub version: String,
    pub protocol: i64,
    pub account: String,
    pub new_account: bool,
    pub headers: bool,
    pub no_responders: bool,
    pub proxy_sig: String,
}

impl Default for Connect {
    fn default() -> Self {
        Self {
            echo: true,
            verbose: true,
            pedantic: true,
            tls_required: false,
            nkey: String::new(),
            jwt: String::new(),
            sig: String::new(),
            auth_token: String::new(),
            user: String::new(),
            pass: String::new(),
            name: String::new(),
            lang: String::new(),
            version: String::new(),
            protocol: 0,
            account: String::new(),
            new_account: false,
            headers: false,
            no_responders: false,
            proxy_sig: String::new(),
        }
    }
}

/// Secrets never reach a debug print (CORE-026).
impl std::fmt::Debug for Connect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect")
            .field("name", &self.name)
            .field("lang", &self.lang)
            .field("version", &self.version)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Why a CONNECT document was refused; for the log (the client is closed without a text).
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Not JSON.
    #[error("CONNECT is not valid JSON: {0}")]
    Syntax(String),
    /// Not a JSON object.
    #[error("CONNECT must be a JSON object")]
    NotAnObject,
    /// A field of the wrong type.
    #[error("CONNECT field \"{0}\" has the wrong type")]
    Type(&'static str),
}

impl Connect {
    /// Reads `json` over `self`: fields that are absent keep their value (a second CONNECT).
    pub fn update(&mut self, json: &[u8]) -> Result<(), ConnectError> {
        let text = String::from_utf8_lossy(json);
        let value: Value =
            serde_json::from_str(&text).map_err(|e| ConnectError::Syntax(e.to_string()))?;
        let object = match value {
            Value::Object(object) => object,
            Value::Null => return Ok(()),
            _ => return Err(ConnectError::NotAnObject),
        };
        for (key, value) in &object {
            self.set(key, value)?;
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &Value) -> Result<(), ConnectError> {
        macro_rules! fields {
            ($($name:literal => $kind:ident $field:ident),* $(,)?) => {
                $(if key.eq_ignore_ascii_case($name) {
                    return $kind(value, &mut self.$field).ok_or(ConnectError::Type($name));
                })*
            };
        }
        fields! {
            "echo" => flag echo, "verbose" => flag verbose, "pedantic" => flag pedantic,
            "tls_required" => flag tls_required, "nkey" => text nkey, "jwt" => text jwt,
            "sig" => text sig, "auth_token" => text auth_token, "user" => text user,
            "pass" => text pass, "name" => text name, "lang" => text lang,
            "version" => text version, "protocol" => integer protocol,
            "account" => text account, "new_account" => flag new_account,
            "headers" => flag headers, "no_responders" => flag no_responders,
            "proxy_sig" => text proxy_sig,
        }
        Ok(())
    }
}

fn flag(value: &Value, field: &mut bool) -> Option<()> {
    match value {
        Value::Null => {}
        Value::Bool(b) => *field = *b,
        _ => return None,
    }
    Some(())
}

fn text(value: &Value, field: &mut String) -> Option<()> {
    match value {
        Value::Null => {}
        Value::String(s) => field.clone_from(s),
        _ => return None,
    }
    Some(())
}

fn integer(value: &Value, field: &mut i64) -> Option<()> {
    match value {
        Value::Null => {}
        Value::Number(n) => *field = n.as_i64()?,
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ignore_case_and_unknown_keys_are_skipped() {
        let mut connect = Connect::default();
        connect
            .update(
                br#"{"Verbose":false,"NAME":"x","zzz":[1],"protocol":1,"user":null,"name":"y"}"#,
            )
            .unwrap();
        assert!(!connect.verbose && connect.pedantic && connect.echo);
        assert_eq!((connect.name.as_str(), connect.protocol), ("y", 1));
    }

    #[test]
    fn wrong_types_are_refused() {
        let mut connect = Connect::default();
        assert_eq!(connect.update(br#"{"verbose":"no"}"#), Err(ConnectError::Type("verbose")));
        assert_eq!(connect.update(b"[]"), Err(ConnectError::NotAnObject));
        assert!(matches!(connect.update(b"{"), Err(ConnectError::Syntax(_))));
    }
}
