//! Comparing a presented password or token with the configured one.
//!
//! Laws: plain secrets are compared in time that depends on their length only; a bcrypt hash never
//!       matches as plain text.
//! Reference: auth.go isBcrypt, comparePasswords.

use subtle::ConstantTimeEq;

/// A configured password or token.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// Takes the text as it stands in the configuration: plain, or a bcrypt hash.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether there is no secret at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is a bcrypt hash, so that a comparison takes milliseconds to seconds of CPU.
    pub fn is_bcrypt(&self) -> bool {
        is_bcrypt(&self.0)
    }

    /// Whether both are configured with the same text.
    pub fn is(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }

    /// Whether `presented` is the secret. An empty secret matches an empty text.
    // Compat(AUTH-003)
    pub fn matches(&self, presented: &str) -> bool {
        if self.is_bcrypt() {
            // A damaged hash matches nothing.
            bcrypt::verify(presented, &self.0).unwrap_or(false)
        } else {
            self.0.as_bytes().ct_eq(presented.as_bytes()).into()
        }
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// Whether a configured text is taken for a bcrypt hash: `$2a$`, `$2b$`, `$2x$` or `$2y$`, two
/// digits, `$`.
pub fn is_bcrypt(text: &str) -> bool {
    matches!(
        text.as_bytes(),
        [b'$', b'2', b'a' | b'b' | b'x' | b'y', b'$', b'0'..=b'9', b'0'..=b'9', b'$', ..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    // Contract: AUTH-003
    #[test]
    fn bcrypt_hashes_are_told_by_their_prefix() {
        for (text, want) in [
            ("$2a$11$abc", true),
            ("$2b$04$", true),
            ("$2x$99$x", true),
            ("$2y$10$x", true),
            ("$2c$10$x", false),
            ("$2a$1$x", false),
            ("$2a$1x$x", false),
            ("2a$10$x", false),
            ("", false),
        ] {
            assert_eq!(is_bcrypt(text), want, "{text}");
        }
    }

    // Contract: AUTH-003
    #[test]
    fn secrets_match_themselves_only() {
        // Hash of "s3cr3t" with cost 4, in each of the accepted spellings.
        let hash = bcrypt::hash("s3cr3t", 4).unwrap();
        for version in ["2a", "2b", "2x", "2y"] {
            let secret = Secret::new(format!("${version}{}", &hash[3..]));
            assert!(secret.is_bcrypt());
            assert!(secret.matches("s3cr3t"), "{version}");
            assert!(!secret.matches("S3cr3t"));
            assert!(!secret.matches(""));
            assert!(!secret.matches(&hash), "the hash is not the password");
        }
        let plain = Secret::new("s3cr3t");
        assert!(plain.matches("s3cr3t"));
        assert!(!plain.matches("s3cr3"));
        assert!(!plain.matches("s3cr3t "));
        for broken in
            ["$2a$10$", "$2a$99$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "$2a$04$é"]
        {
            assert!(!Secret::new(broken).matches(broken), "{broken}");
        }
        assert_eq!(format!("{plain:?}"), "[REDACTED]");
    }
}
