//! How each Go type is written and read.
//!
//! Laws: null leaves scalars as they are and empties pointers, lists and maps.

use std::collections::BTreeMap;

use stdx::time::Timestamp;

use super::decoder::Kind;
use super::{DecodeError, Decoder, Document, Key, Writer, write_object};
use crate::metadata::Metadata;
use crate::time::{self, Nanos};

/// One Go type's JSON, for values that live in a `T`.
pub(crate) trait Codec<T> {
    /// The Go type's name in complaints.
    fn go() -> String;
    /// What `omitempty` leaves out.
    fn is_empty(value: &T) -> bool;
    fn write(value: &T, out: &mut Writer);
    fn read(into: &mut T, from: &mut Decoder<'_>) -> Result<(), DecodeError>;

    fn write_member(value: &T, name: &'static str, omit: bool, out: &mut Writer) {
        if !(omit && Self::is_empty(value)) {
            out.key(name);
            Self::write(value, out);
        }
    }

    fn read_member(
        into: &mut T,
        name: &'static str,
        key: &Key<'_>,
        from: &mut Decoder<'_>,
    ) -> Result<bool, DecodeError> {
        if !key.is(name) {
            return Ok(false);
        }
        from.within(name, |from| Self::read(into, from))?;
        Ok(true)
    }
}

/// `string`.
pub(crate) struct Text;

impl Codec<String> for Text {
    fn go() -> String {
        "string".to_owned()
    }
    fn is_empty(value: &String) -> bool {
        value.is_empty()
    }
    fn write(value: &String, out: &mut Writer) {
        out.string(value);
    }
    fn read(into: &mut String, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        if let Some(text) = from.string("string") {
            *into = text.into_owned();
        }
        Ok(())
    }
}

/// `bool`.
pub(crate) struct Bool;

impl Codec<bool> for Bool {
    fn go() -> String {
        "bool".to_owned()
    }
    fn is_empty(value: &bool) -> bool {
        !value
    }
    fn write(value: &bool, out: &mut Writer) {
        out.plain(if *value { "true" } else { "false" });
    }
    fn read(into: &mut bool, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        if let Some(value) = from.bool("bool") {
            *into = value;
        }
        Ok(())
    }
}

macro_rules! integers {
    ($($codec:ident $go:literal $rust:ty;)*) => {$(
        #[doc = concat!("`", $go, "`.")]
        pub(crate) struct $codec;

        impl Codec<$rust> for $codec {
            fn go() -> String {
                $go.to_owned()
            }
            fn is_empty(value: &$rust) -> bool {
                *value == 0
            }
            fn write(value: &$rust, out: &mut Writer) {
                out.plain(&value.to_string());
            }
            fn read(into: &mut $rust, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
                if let Some(text) = from.number($go) {
                    match text.parse() {
                        Ok(value) => *into = value,
                        Err(_) => from.complain(&format!("number {text}"), $go),
                    }
                }
                Ok(())
            }
        }
    )*};
}

integers! {
    Int "int" i64;
    Int64 "int64" i64;
    Int32 "int32" i32;
    Uint16 "uint16" u16;
    Uint64 "uint64" u64;
}

/// `time.Duration`: a whole number of nanoseconds.
pub(crate) struct Duration;

impl Codec<Nanos> for Duration {
    fn go() -> String {
        "time.Duration".to_owned()
    }
    fn is_empty(value: &Nanos) -> bool {
        value.0 == 0
    }
    fn write(value: &Nanos, out: &mut Writer) {
        out.plain(&value.0.to_string());
    }
    fn read(into: &mut Nanos, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        if let Some(text) = from.number("time.Duration") {
            match text.parse() {
                Ok(value) => *into = Nanos(value),
                Err(_) => from.complain(&format!("number {text}"), "time.Duration"),
            }
        }
        Ok(())
    }
}

/// `time.Time`; nothing is written as Go's zero time. `omitempty` never leaves it out.
pub(crate) struct Time;

impl Codec<Option<Timestamp>> for Time {
    fn go() -> String {
        "time.Time".to_owned()
    }
    fn is_empty(_: &Option<Timestamp>) -> bool {
        false
    }
    fn write(value: &Option<Timestamp>, out: &mut Writer) {
        out.string(&time::rfc3339(value.unwrap_or(time::ZERO)));
    }
    fn read(into: &mut Option<Timestamp>, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        let mut at = into.unwrap_or(time::ZERO);
        <Self as Codec<Timestamp>>::read(&mut at, from)?;
        *into = (at != time::ZERO).then_some(at);
        Ok(())
    }
}

impl Codec<Timestamp> for Time {
    fn go() -> String {
        "time.Time".to_owned()
    }
    fn is_empty(_: &Timestamp) -> bool {
        false
    }
    fn write(value: &Timestamp, out: &mut Writer) {
        out.string(&time::rfc3339(*value));
    }
    fn read(into: &mut Timestamp, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        let raw = from.raw();
        if raw != b"null" {
            *into = time::unmarshal(raw)?;
        }
        Ok(())
    }
}

/// `[]byte`: base64.
pub(crate) struct Base64;

impl Codec<Vec<u8>> for Base64 {
    fn go() -> String {
        "[]uint8".to_owned()
    }
    fn is_empty(value: &Vec<u8>) -> bool {
        value.is_empty()
    }
    fn write(value: &Vec<u8>, out: &mut Writer) {
        out.string(&data_encoding::BASE64.encode(value));
    }
    fn read(into: &mut Vec<u8>, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        let Some(text) = from.string("[]uint8") else { return Ok(()) };
        // The reference passes over line breaks inside.
        let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        match data_encoding::BASE64.decode(text.as_bytes()) {
            Ok(bytes) => *into = bytes,
            Err(e) => {
                from.remember(format!("illegal base64 data at input byte {}", e.position));
            }
        }
        Ok(())
    }
}

/// A slice; an empty one is written as `null` only where Go would have none ([`Nullable`] is not
/// needed: the reference always makes the lists that it does not omit).
pub(crate) struct List<C>(std::marker::PhantomData<C>);

impl<T: Default, C: Codec<T>> Codec<Vec<T>> for List<C> {
    fn go() -> String {
        format!("[]{}", C::go())
    }
    fn is_empty(value: &Vec<T>) -> bool {
        value.is_empty()
    }
    fn write(value: &Vec<T>, out: &mut Writer) {
        out.open(b'[');
        for element in value {
            out.next();
            C::write(element, out);
        }
        out.close(b']');
    }
    fn read(into: &mut Vec<T>, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        if from.kind() == Kind::Null {
            into.clear();
        }
        let mut elements = Vec::new();
        let read = from.array(&Self::go(), |from| {
            let mut element = T::default();
            C::read(&mut element, from)?;
            elements.push(element);
            Ok(())
        })?;
        if read {
            *into = elements;
        }
        Ok(())
    }
}

/// A map with text keys, written in their order.
pub(crate) struct Map<C>(std::marker::PhantomData<C>);

impl<T: Default, C: Codec<T>> Codec<BTreeMap<String, T>> for Map<C> {
    fn go() -> String {
        format!("map[string]{}", C::go())
    }
    fn is_empty(value: &BTreeMap<String, T>) -> bool {
        value.is_empty()
    }
    fn write(value: &BTreeMap<String, T>, out: &mut Writer) {
        out.open(b'{');
        for (key, element) in value {
            out.key(key);
            C::write(element, out);
        }
        out.close(b'}');
    }
    fn read(into: &mut BTreeMap<String, T>, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        if from.kind() == Kind::Null {
            into.clear();
        }
        from.object(&Self::go(), |from, key| {
            let mut element = T::default();
            C::read(&mut element, from)?;
            into.insert(key.into_owned(), element);
            Ok(())
        })?;
        Ok(())
    }
}

impl Codec<Metadata> for Map<Text> {
    fn go() -> String {
        format!("map[string]{}", <Text as Codec<String>>::go())
    }
    fn is_empty(value: &Metadata) -> bool {
        value.is_empty()
    }
    fn write(value: &Metadata, out: &mut Writer) {
        out.open(b'{');
        for (key, element) in value.iter() {
            out.key(key);
            out.string(element);
        }
        out.close(b'}');
    }
    fn read(into: &mut Metadata, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        if from.kind() == Kind::Null {
            into.clear();
        }
        from.object(&<Self as Codec<Metadata>>::go(), |from, key| {
            let mut element = String::new();
            Text::read(&mut element, from)?;
            into.insert(key.into_owned(), element);
            Ok(())
        })?;
        Ok(())
    }
}

/// A pointer: null for nothing.
pub(crate) struct Some_<C>(std::marker::PhantomData<C>);

impl<T: Default, C: Codec<T>> Codec<Option<T>> for Some_<C> {
    fn go() -> String {
        format!("*{}", C::go())
    }
    fn is_empty(value: &Option<T>) -> bool {
        value.is_none()
    }
    fn write(value: &Option<T>, out: &mut Writer) {
        match value {
            Some(value) => C::write(value, out),
            None => out.plain("null"),
        }
    }
    fn read(into: &mut Option<T>, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        if from.kind() == Kind::Null {
            from.raw();
            *into = None;
            return Ok(());
        }
        C::read(into.get_or_insert_default(), from)
    }
}

/// A document in its own braces.
pub(crate) struct Struct;

impl<T: Document> Codec<T> for Struct {
    fn go() -> String {
        format!("server.{}", T::GO)
    }
    fn is_empty(_: &T) -> bool {
        false
    }
    fn write(value: &T, out: &mut Writer) {
        write_object(value, out);
    }
    fn read(into: &mut T, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        from.document(into)
    }
}

/// A document whose members stand among those of the one that holds it.
pub(crate) struct Embed;

impl<T: Document> Codec<T> for Embed {
    fn go() -> String {
        format!("server.{}", T::GO)
    }
    fn is_empty(_: &T) -> bool {
        false
    }
    fn write(value: &T, out: &mut Writer) {
        write_object(value, out);
    }
    fn read(into: &mut T, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        from.document(into)
    }
    fn write_member(value: &T, _: &'static str, _: bool, out: &mut Writer) {
        value.write_members(out);
    }
    fn read_member(
        into: &mut T,
        _: &'static str,
        key: &Key<'_>,
        from: &mut Decoder<'_>,
    ) -> Result<bool, DecodeError> {
        from.within(T::GO, |from| into.read_member(key, from))
    }
}

/// [`Embed`] behind a pointer: no members at all for nothing.
pub(crate) struct EmbedSome;

impl<T: Document> Codec<Option<T>> for EmbedSome {
    fn go() -> String {
        format!("*server.{}", T::GO)
    }
    fn is_empty(value: &Option<T>) -> bool {
        value.is_none()
    }
    fn write(value: &Option<T>, out: &mut Writer) {
        <Some_<Struct> as Codec<Option<T>>>::write(value, out);
    }
    fn read(into: &mut Option<T>, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        <Some_<Struct> as Codec<Option<T>>>::read(into, from)
    }
    fn write_member(value: &Option<T>, _: &'static str, _: bool, out: &mut Writer) {
        if let Some(value) = value {
            value.write_members(out);
        }
    }
    fn read_member(
        into: &mut Option<T>,
        _: &'static str,
        key: &Key<'_>,
        from: &mut Decoder<'_>,
    ) -> Result<bool, DecodeError> {
        if let Some(into) = into {
            return from.within(T::GO, |from| into.read_member(key, from));
        }
        let mut fresh = T::default();
        let taken = from.within(T::GO, |from| fresh.read_member(key, from))?;
        if taken {
            *into = Some(fresh);
        }
        Ok(taken)
    }
}

/// A closed set of texts; the macro makes the enum's codec. The first variant is Go's zero value.
///
/// `$refuse` gives the complaint for the raw bytes of an unknown value.
macro_rules! text_enum {
    ($type:ident, $go:literal, $refuse:expr, { $($variant:ident => $text:literal $(| $alias:literal)*),* $(,)? }) => {
        impl $type {
            /// The text in JSON.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::json::Codec<$type> for $type {
            fn go() -> String {
                concat!("server.", $go).to_owned()
            }
            fn is_empty(value: &$type) -> bool {
                *value == <$type>::default()
            }
            fn write(value: &$type, out: &mut $crate::json::Writer) {
                out.string(value.as_str());
            }
            fn read(
                into: &mut $type,
                from: &mut $crate::json::Decoder<'_>,
            ) -> Result<(), $crate::json::DecodeError> {
                let raw = from.raw();
                $(if [concat!("\"", $text, "\"") $(, concat!("\"", $alias, "\""))*]
                    .iter()
                    .any(|text| text.as_bytes() == raw)
                {
                    *into = Self::$variant;
                    return Ok(());
                })*
                let refuse: fn(&[u8]) -> String = $refuse;
                Err($crate::json::DecodeError::new(refuse(raw)))
            }
        }
    };
}
pub(crate) use text_enum;
