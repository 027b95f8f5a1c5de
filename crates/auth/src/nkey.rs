//! Signatures of the connection's nonce by an nkey.
//!
//! Not here: which keys may log in (`authenticate`).
//! Laws: only a user key (`U...`) verifies; neither key nor signature text can make it panic.
//! Reference: auth.go processClientOrLeafAuthentication (nkey part), nkeys.FromPublicKey.

use crate::base64;
use nkeys::{KeyPair, KeyPairType};

/// The public half of a user nkey, ready to verify.
pub struct UserKey {
    text: String,
    pair: KeyPair,
}

/// Why a signature was not accepted; the text is the debug line of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// CONNECT has no `sig`.
    #[error("Signature missing")]
    Missing,
    /// `sig` is neither raw URL base64 nor standard base64.
    #[error("Signature not valid base64")]
    NotBase64,
    /// It is not the key's signature of the nonce.
    #[error("Signature not verified")]
    NotVerified,
}

impl UserKey {
    /// Reads a public user key; `None` if the text is anything else.
    pub fn new(text: &str) -> Option<Self> {
        let pair = KeyPair::from_public_key(text).ok()?;
        (pair.key_pair_type() == KeyPairType::User).then(|| Self { text: text.to_owned(), pair })
    }

    /// The key as it is written: `U` and 55 more characters.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Checks the text of a signature over the text of the nonce.
    // Compat(AUTH-006): raw URL base64 first, then standard base64 with padding.
    pub fn verify(&self, nonce: &[u8], signature: &str) -> Result<(), SignatureError> {
        if signature.is_empty() {
            return Err(SignatureError::Missing);
        }
        let text = signature.as_bytes();
        let bytes = base64::url(text)
            .or_else(|_| base64::standard(text))
            .map_err(|_| SignatureError::NotBase64)?;
        self.pair.verify(nonce, &bytes).map_err(|_| SignatureError::NotVerified)
    }
}

impl std::fmt::Debug for UserKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether `text` is a public user nkey, checksum included.
pub fn is_user_key(text: &str) -> bool {
    UserKey::new(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD};

    // Contract: AUTH-006
    #[test]
    fn the_nonce_is_verified_in_both_encodings() {
        let pair = KeyPair::new_user();
        let key = UserKey::new(&pair.public_key()).unwrap();
        let nonce = b"PXoWU7zWAMt75FY";
        let signature = pair.sign(nonce).unwrap();

        let cases = [
            (BASE64URL_NOPAD.encode(&signature), Ok(())),
            (BASE64.encode(&signature), Ok(())),
            // Padded URL base64 is neither of the two: 64 bytes always need padding.
            (BASE64URL.encode(&[0xff; 64]), Err(SignatureError::NotBase64)),
            (String::new(), Err(SignatureError::Missing)),
            ("not base64!".into(), Err(SignatureError::NotBase64)),
            (BASE64URL_NOPAD.encode(&signature[..63]), Err(SignatureError::NotVerified)),
            (BASE64URL_NOPAD.encode(&[7; 64]), Err(SignatureError::NotVerified)),
        ];
        for (text, want) in cases {
            assert_eq!(key.verify(nonce, &text), want, "{text}");
        }
        let other = BASE64URL_NOPAD.encode(&signature);
        assert_eq!(key.verify(b"another nonce 1", &other), Err(SignatureError::NotVerified));
    }

    // Contract: AUTH-004
    #[test]
    fn only_public_user_keys_are_keys() {
        let user = KeyPair::new_user();
        assert!(is_user_key(&user.public_key()));
        let mut damaged = user.public_key();
        damaged.pop();
        damaged.push('!');
        for text in [
            KeyPair::new_account().public_key(),
            KeyPair::new_server().public_key(),
            user.seed().unwrap(),
            damaged,
            "U".into(),
            String::new(),
            "U".repeat(56),
            "Ü".repeat(28),
        ] {
            assert!(!is_user_key(&text), "{text}");
        }
    }
}
