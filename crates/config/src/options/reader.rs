//! Typed reading of values, collecting what is wrong with them.
//!
//! Laws: a value of the wrong type is reported at its key with Go's conversion text (CONF-015) and
//!       leaves the option unset; reading goes on with the next key.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::lang::unit::{self, Nanos};
use crate::lang::{Map, Source, Token, Value};
use crate::suggest;

use super::keys::KeyIndex;

/// Where values come from and where messages go.
pub(crate) struct Reader<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) found: Diagnostics,
    pub(crate) keys: KeyIndex,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(source: &'a dyn Source) -> Self {
        Self { source, found: Diagnostics::default(), keys: KeyIndex::default() }
    }

    // === messages ===

    pub(crate) fn error(&mut self, at: &Token, text: impl Into<String>) {
        self.push(Diagnostic::at(&at.position, text));
    }

    pub(crate) fn push(&mut self, error: Diagnostic) {
        self.found.errors.push(error);
    }

    pub(crate) fn warn(&mut self, at: &Token, text: impl Into<String>) {
        self.found.warnings.push(Diagnostic::at(&at.position, text));
    }

    /// A warning about how `field` is used.
    pub(crate) fn warn_use(&mut self, at: &Token, field: &str, reason: &str) {
        self.warn(at, format!("invalid use of field {}: {reason}", quote(field)));
    }

    /// Reports a key no section knows, unless it only exists to be a variable (CONF-008, CONF-014).
    pub(crate) fn unknown(&mut self, key: &str, at: &Token, known: &[&str]) {
        let text = format!("unknown field {}", quote(key));
        self.unknown_as(key, at, known, &text);
    }

    /// The same with a section's own wording.
    pub(crate) fn unknown_as(&mut self, key: &str, at: &Token, known: &[&str], text: &str) {
        if !at.used {
            self.error(at, format!("{text}{}", suggest::suffix(key, known)));
        }
    }

    /// Whether a value had the wrong type since there were `before` errors. What is then missing
    /// is not reported again.
    pub(crate) fn mismatched_since(&self, before: usize) -> bool {
        let new = self.found.errors.iter().skip(before);
        new.into_iter().any(|error| error.text.starts_with(MISMATCH))
    }

    fn mismatch(&mut self, at: &Token, wanted: &str) {
        self.push(mismatch(at, wanted));
    }

    // === values ===

    /// Reads `token` into `slot`, or reports its type.
    pub(crate) fn put<S: Slot>(&mut self, token: &Token, slot: &mut S) {
        slot.fill(self, token);
    }

    pub(crate) fn string(&mut self, token: &Token) -> Option<String> {
        self.keep(string(token))
    }

    pub(crate) fn boolean(&mut self, token: &Token) -> Option<bool> {
        match token.value {
            Value::Bool(b) => Some(b),
            _ => {
                self.mismatch(token, "bool");
                None
            }
        }
    }

    pub(crate) fn integer(&mut self, token: &Token) -> Option<i64> {
        match token.value {
            Value::Integer(n) => Some(n),
            _ => {
                self.mismatch(token, "int64");
                None
            }
        }
    }

    pub(crate) fn map<'t>(&mut self, token: &'t Token) -> Option<&'t Map> {
        match &token.value {
            Value::Map(map) => Some(map),
            _ => {
                self.mismatch(token, "map[string]interface {}");
                None
            }
        }
    }

    pub(crate) fn array<'t>(&mut self, token: &'t Token) -> Option<&'t [Token]> {
        self.keep(array(token))
    }

    /// A map, or an error made of `expected` and the type found.
    pub(crate) fn section<'t>(&mut self, token: &'t Token, expected: &str) -> Option<&'t Map> {
        match &token.value {
            Value::Map(map) => Some(map),
            other => {
                self.error(token, format!("{expected}, got {}", other.type_name()));
                None
            }
        }
    }

    /// Unwraps a result, reporting its error.
    pub(crate) fn keep<T>(&mut self, result: Result<T, Diagnostic>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// A duration; a bare number is seconds, with a warning (CONF-019).
    pub(crate) fn duration(&mut self, field: &str, token: &Token) -> Option<Nanos> {
        match &token.value {
            Value::String(_) => match unit::duration(&text(token)) {
                Ok(nanos) => Some(nanos),
                Err(e) => {
                    self.error(token, format!("error parsing {field}: {e}"));
                    None
                }
            },
            _ => {
                let reason = format!("{field} should be converted to a duration");
                self.warn_use(token, field, &reason);
                self.integer(token).map(Nanos::from_secs)
            }
        }
    }

    /// Reads a duration into `slot`.
    pub(crate) fn put_duration(&mut self, field: &str, token: &Token, slot: &mut Option<Nanos>) {
        if let Some(nanos) = self.duration(field, token) {
            *slot = Some(nanos);
        }
    }

    /// A duration that may only be spelled as text.
    pub(crate) fn strict_duration(&mut self, token: &Token) -> Option<Nanos> {
        let spelled = self.string(token)?;
        let result = unit::duration(&spelled).map_err(|e| Diagnostic::general(e.to_string()));
        self.keep(result)
    }

    /// One text or an array of texts.
    pub(crate) fn strings(&mut self, field: &str, token: &Token) -> Option<Vec<String>> {
        match &token.value {
            Value::String(_) => Some(vec![text(token)]),
            Value::Array(items) => {
                let mut all = Vec::with_capacity(items.len());
                for item in items.iter() {
                    match item.value.as_text() {
                        Some(text) => all.push(text),
                        None => self.error(
                            item,
                            format!(
                                "error parsing {field}: unsupported type in array {}",
                                item.value.type_name()
                            ),
                        ),
                    }
                }
                Some(all)
            }
            other => {
                let found = other.type_name();
                self.error(token, format!("error parsing {field}: unsupported type {found}"));
                None
            }
        }
    }
}

/// Somewhere a value can be read into.
pub(crate) trait Slot {
    fn fill(&mut self, reader: &mut Reader<'_>, token: &Token);
}

macro_rules! slots {
    ($($ty:ty => $read:ident),*) => {$(
        impl Slot for $ty {
            fn fill(&mut self, reader: &mut Reader<'_>, token: &Token) {
                if let Some(value) = reader.$read(token) {
                    *self = value;
                }
            }
        }
        impl Slot for Option<$ty> {
            fn fill(&mut self, reader: &mut Reader<'_>, token: &Token) {
                if let Some(value) = reader.$read(token) {
                    *self = Some(value);
                }
            }
        }
    )*};
}
slots!(String => string, bool => boolean, i64 => integer);

// === without a reader ===

/// The text of a token already known to be one; empty otherwise.
pub(crate) fn text(token: &Token) -> String {
    token.value.as_text().unwrap_or_default()
}

const MISMATCH: &str = "interface conversion: ";

/// A value of the wrong type, in Go's words.
pub(crate) fn mismatch(at: &Token, wanted: &str) -> Diagnostic {
    let found = at.value.type_name();
    let text = format!("{MISMATCH}interface {{}} is {found}, not {wanted}");
    Diagnostic::at(&at.position, text)
}

/// The text of a token, or Go's conversion error.
pub(crate) fn string(token: &Token) -> Result<String, Diagnostic> {
    token.value.as_text().ok_or_else(|| mismatch(token, "string"))
}

/// The items of a token, or Go's conversion error.
pub(crate) fn array(token: &Token) -> Result<&[Token], Diagnostic> {
    match &token.value {
        Value::Array(items) => Ok(items),
        _ => Err(mismatch(token, "[]interface {}")),
    }
}

/// Text between double quotes as Go's `%q` writes it.
pub(crate) fn quote(text: &str) -> String {
    stdx::go_text::quote(text.as_bytes())
}
