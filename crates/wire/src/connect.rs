//! The CONNECT document of a client.
//!
//! Laws: keys compare without case, unknown keys are ignored, the last of a repeated key wins
//!       (the reference's decoder); a value of the wrong type refuses the whole document, in a key
//!       only servers use too.
//! Reference: client.go ClientOpts.   Contract: CORE-013..018.

use crate::json;

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

impl From<serde_json::Error> for ConnectError {
    fn from(error: serde_json::Error) -> Self {
        match error.classify() {
            serde_json::error::Category::Data => Self::NotAnObject,
            _ => Self::Syntax(error.to_string()),
        }
    }
}

impl Connect {
    /// Reads `json` over `self`: fields that are absent keep their value (a second CONNECT).
    pub fn update(&mut self, json: &[u8]) -> Result<(), ConnectError> {
        let text = String::from_utf8_lossy(json);
        json::members(&text, |key, value| self.set(key, value)).map(drop)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), ConnectError> {
        let (mut unused, mut links) = (String::new(), ());
        macro_rules! fields {
            ($($name:literal => $kind:ident $field:expr),* $(,)?) => {
                $(if json::same_name(key, $name) {
                    if value == "null" {
                        return Ok(());
                    }
                    return $kind(value, &mut $field).ok_or(ConnectError::Type($name));
                })*
            };
        }
        fields! {
            "echo" => flag self.echo, "verbose" => flag self.verbose,
            "pedantic" => flag self.pedantic, "tls_required" => flag self.tls_required,
            "nkey" => text self.nkey, "jwt" => text self.jwt, "sig" => text self.sig,
            "auth_token" => text self.auth_token, "user" => text self.user,
            "pass" => text self.pass, "name" => text self.name, "lang" => text self.lang,
            "version" => text self.version, "protocol" => integer self.protocol,
            "account" => text self.account, "new_account" => flag self.new_account,
            "headers" => flag self.headers, "no_responders" => flag self.no_responders,
            "proxy_sig" => text self.proxy_sig,
            // What only servers say of themselves is checked all the same.
            "remote_account" => text unused, "import" => subjects links,
            "export" => subjects links,
        }
        Ok(())
    }
}

fn flag(value: &str, field: &mut bool) -> Option<()> {
    *field = value.parse().ok()?;
    Some(())
}

fn text(value: &str, field: &mut String) -> Option<()> {
    *field = json::string(value)?;
    Some(())
}

fn integer(value: &str, field: &mut i64) -> Option<()> {
    *field = value.parse().ok()?;
    Some(())
}

/// Lists of subjects that a server lets in or out.
fn subjects(value: &str, (): &mut ()) -> Option<()> {
    let lists = json::members(value, |name, value| {
        let list = json::same_name(name, "allow") || json::same_name(name, "deny");
        if list && value != "null" && !json::is_strings(value) {
            return Err(ConnectError::Type("allow"));
        }
        Ok(())
    });
    lists.ok().map(drop)
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
        for (json, field) in [
            (r#"{"protocol":1.0}"#, "protocol"),
            (r#"{"protocol":1e999}"#, "protocol"),
            (r#"{"verbose":"x","verbose":false}"#, "verbose"),
            (r#"{"import":5}"#, "import"),
            (r#"{"export":{"allow":[5]}}"#, "export"),
            (r#"{"remote_account":5}"#, "remote_account"),
            ("{\"n\u{212a}ey\":5}", "nkey"),
        ] {
            assert_eq!(connect.update(json.as_bytes()), Err(ConnectError::Type(field)), "{json}");
        }
    }

    #[test]
    fn what_does_not_matter_may_be_anything() {
        let mut connect = Connect::default();
        let json =
            r#"{"x":1e999,"import":{"allow":["a",null],"y":1},"protocol":-0,"name":"\ud800"}"#;
        assert_eq!(connect.update(json.as_bytes()), Ok(()));
        assert_eq!((connect.name.as_str(), connect.protocol), ("\u{fffd}", 0));
        assert_eq!(connect.update(b"null"), Ok(()));
    }
}
