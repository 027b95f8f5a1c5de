//! Typed values with their positions.
//!
//! Laws: a map keeps one value per key, the last one written (CONF-011), and remembers the order in
//!       which keys were written; shared subtrees (variables) are shared, not copied.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::position::Position;

/// A value as written, before any key gives it a meaning.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text. Bytes, because escapes can spell any byte.
    String(Arc<[u8]>),
    /// A 64-bit integer, its unit applied.
    Integer(i64),
    /// A float.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A date and time in UTC, as written (`2026-01-02T03:04:05Z`).
    DateTime(Arc<str>),
    /// An array.
    Array(Arc<[Token]>),
    /// A map.
    Map(Arc<Map>),
}

impl Value {
    /// A text value.
    pub fn string(text: impl AsRef<[u8]>) -> Self {
        Self::String(Arc::from(text.as_ref()))
    }

    /// The reference's name of this value's type, as its conversion errors print it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::String(_) => "string",
            Self::Integer(_) => "int64",
            Self::Float(_) => "float64",
            Self::Bool(_) => "bool",
            Self::DateTime(_) => "time.Time",
            Self::Array(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
        }
    }

    /// The text of a string value.
    pub fn as_text(&self) -> Option<String> {
        match self {
            Self::String(bytes) => Some(text(bytes).into_owned()),
            Self::Integer(_)
            | Self::Float(_)
            | Self::Bool(_)
            | Self::DateTime(_)
            | Self::Array(_)
            | Self::Map(_) => None,
        }
    }

    /// How many values stand in this tree, shared ones counted each time they are reached.
    pub(crate) fn nodes(&self) -> usize {
        match self {
            Self::Array(items) => items.iter().map(|t| t.nodes).fold(1, usize::saturating_add),
            Self::Map(map) => map.nodes(),
            _ => 1,
        }
    }

    /// The value as a message shows it (Go's `%v`, as far as it is stable there).
    pub fn display(&self) -> String {
        match self {
            Self::String(bytes) => text(bytes).into_owned(),
            Self::Integer(n) => n.to_string(),
            Self::Float(n) => super::digest::float(*n),
            Self::Bool(b) => b.to_string(),
            Self::DateTime(t) => {
                format!("{} +0000 UTC", t.replace('T', " ").trim_end_matches('Z'))
            }
            Self::Array(items) if items.is_empty() => "[]".into(),
            Self::Map(map) if map.is_empty() => "map[]".into(),
            Self::Array(_) => "[...]".into(),
            Self::Map(_) => "map[...]".into(),
        }
    }
}

/// Bytes as text; every byte that is not UTF-8 becomes U+FFFD, one for one.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Cow::Owned(out)
}

/// A value and where it stands. In a map that is the place of its key.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// The value.
    pub value: Value,
    /// The place of its key, or of the value itself inside an array.
    pub position: Position,
    /// Whether a `$NAME` referred to this key (CONF-008).
    pub used: bool,
    /// Size of the tree below, see `Value::nodes`.
    nodes: usize,
}

impl Token {
    /// A value at a place.
    pub fn new(value: Value, position: Position) -> Self {
        let nodes = value.nodes();
        Self { value, position, used: false, nodes }
    }

    pub(crate) fn nodes(&self) -> usize {
        self.nodes
    }
}

/// Keys and values, each key once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    entries: BTreeMap<String, (usize, Token)>,
    written: usize,
    nodes: usize,
}

impl Map {
    /// Sets `key`, over any earlier value.
    pub fn insert(&mut self, key: String, token: Token) {
        self.written += 1;
        self.nodes = self.nodes.saturating_add(token.nodes);
        if let Some((_, old)) = self.entries.insert(key, (self.written, token)) {
            self.nodes = self.nodes.saturating_sub(old.nodes);
        }
    }

    /// The value of `key`, matched exactly.
    pub fn get(&self, key: &str) -> Option<&Token> {
        self.entries.get(key).map(|(_, token)| token)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Token> {
        self.entries.get_mut(key).map(|(_, token)| token)
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no key is set.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn nodes(&self) -> usize {
        self.nodes.saturating_add(1)
    }

    /// Keys and values sorted by key.
    pub fn sorted(&self) -> impl Iterator<Item = (&str, &Token)> {
        self.entries.iter().map(|(key, (_, token))| (key.as_str(), token))
    }

    /// Keys and values in the order they were (last) written.
    pub fn written(&self) -> Vec<(&str, &Token)> {
        let mut all: Vec<_> = self.entries.iter().collect();
        all.sort_by_key(|(_, (at, _))| *at);
        all.into_iter().map(|(key, (_, token))| (key.as_str(), token)).collect()
    }
}
