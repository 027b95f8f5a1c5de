//! Documents to JSON and back, with the bytes and the complaints of the reference's encoder.
//!
//! A document is a plain struct; [`document!`] names each member's codec in the order in which it
//! is written. Serde is not used here: it gives neither the reference's texts for bad input, nor
//! its treatment of several values in one body, nor keys in any case.

mod codec;
mod decoder;
mod scan;
mod writer;

pub(crate) use codec::{
    Base64, Bool, Codec, Duration, Embed, EmbedSome, Int, Int32, Int64, List, Map, Some_, Struct,
    Text, Time, Uint16, Uint64, text_enum,
};
pub(crate) use decoder::Kind;
pub use decoder::{Decoder, Key};
pub use writer::Writer;
pub(crate) use writer::append_string;

use scan::SyntaxError;

/// Why a body could not be decoded, in the reference's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct DecodeError {
    text: String,
}

impl DecodeError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

/// A struct that the reference writes as a JSON object.
pub trait Document: Default {
    /// Its Go name, which complaints quote.
    const GO: &'static str;

    /// Writes the members, without the braces.
    fn write_members(&self, out: &mut Writer);

    /// Reads the value of `key`; false if there is no such member.
    ///
    /// # Errors
    /// A value that its type refuses by itself.
    fn read_member(&mut self, key: &Key<'_>, from: &mut Decoder<'_>) -> Result<bool, DecodeError>;
}

impl<T: Document> Document for Box<T> {
    const GO: &'static str = T::GO;

    fn write_members(&self, out: &mut Writer) {
        (**self).write_members(out);
    }

    fn read_member(&mut self, key: &Key<'_>, from: &mut Decoder<'_>) -> Result<bool, DecodeError> {
        (**self).read_member(key, from)
    }
}

/// The document as the reference writes it.
pub fn to_json<T: Document>(document: &T) -> Vec<u8> {
    let mut out = Writer::default();
    write_object(document, &mut out);
    out.finish()
}

pub(crate) fn write_object<T: Document>(document: &T, out: &mut Writer) {
    out.open(b'{');
    document.write_members(out);
    out.close(b'}');
}

/// Whether members that the server does not know are refused (`jetstream { strict }`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// They are an error.
    Refused,
    /// They are passed over.
    Ignored,
}

/// Decodes the body of an API request: any number of JSON values, each laid over the one before,
/// none at all giving the default.
///
/// # Errors
/// The first complaint, in the reference's words; a syntax error names its offset.
pub fn request<T: Document>(body: &[u8], unknown: Unknown) -> Result<T, DecodeError> {
    let mut into = T::default();
    match every_value(body, &mut into) {
        // The reference forgives by decoding again over what it has.
        Err(_) if unknown == Unknown::Ignored => unmarshal_over(body, &mut into).map(|()| into),
        outcome => outcome.map(|()| into),
    }
}

fn every_value<T: Document>(body: &[u8], into: &mut T) -> Result<(), DecodeError> {
    let mut at = 0;
    loop {
        let range = match scan::value(body, at) {
            Ok(None) => return Ok(()),
            Ok(Some(range)) => range,
            Err(SyntaxError::End) => return Err(DecodeError::new("unexpected EOF")),
            Err(SyntaxError::Unexpected { text, offset }) => {
                return Err(DecodeError::new(format!("{text} at offset {offset}")));
            }
        };
        at = range.end;
        decode_one(body.get(range).unwrap_or_default(), true, into)?;
    }
}

/// Decodes exactly one JSON value, ignoring members that are not known.
///
/// # Errors
/// The first complaint, in the reference's words.
pub fn unmarshal<T: Document>(body: &[u8]) -> Result<T, DecodeError> {
    let mut into = T::default();
    unmarshal_over(body, &mut into)?;
    Ok(into)
}

fn unmarshal_over<T: Document>(body: &[u8], into: &mut T) -> Result<(), DecodeError> {
    unmarshal_value::<T, Struct>(body, into)
}

/// [`unmarshal`] for anything that has a codec.
pub(crate) fn unmarshal_value<T, C: Codec<T>>(
    body: &[u8],
    into: &mut T,
) -> Result<(), DecodeError> {
    unmarshal_as::<T, C>(only_value(body)?, into)
}

/// The one JSON value that `body` is, whatever it holds; without the space around it.
///
/// # Errors
/// What is wrong with its syntax, in the reference's words.
pub fn only_value(body: &[u8]) -> Result<&[u8], DecodeError> {
    let end = || DecodeError::new("unexpected end of JSON input");
    let range = match scan::value(body, 0) {
        Ok(Some(range)) => range,
        Ok(None) | Err(SyntaxError::End) => return Err(end()),
        Err(SyntaxError::Unexpected { text, .. }) => return Err(DecodeError::new(text)),
    };
    let rest = scan::skip_space(body, range.end);
    if rest < body.len()
        && let SyntaxError::Unexpected { text, .. } =
            scan::unexpected(body, rest, "after top-level value")
    {
        return Err(DecodeError::new(text));
    }
    Ok(body.get(range).unwrap_or_default())
}

fn decode_one<T: Document>(value: &[u8], strict: bool, into: &mut T) -> Result<(), DecodeError> {
    let mut decoder = Decoder::new(value, strict);
    decoder.document(into)?;
    decoder.finish()
}

/// Decodes one checked value.
pub(crate) fn unmarshal_as<T, C: Codec<T>>(body: &[u8], into: &mut T) -> Result<(), DecodeError> {
    let mut decoder = Decoder::new(body, false);
    C::read(into, &mut decoder)?;
    decoder.finish()
}

/// `document!(Type as "GoName" { member: Codec; member = "name": Codec, omit; })`: how a struct is
/// written and read. `omit` leaves out what Go calls empty.
macro_rules! document {
    ($type:ty as $go:literal { $($field:ident $(= $name:literal)? : $codec:ty $(, $omit:ident)? ;)* }) => {
        impl $crate::json::Document for $type {
            const GO: &'static str = $go;

            fn write_members(&self, out: &mut $crate::json::Writer) {
                $(<$codec as $crate::json::Codec<_>>::write_member(
                    &self.$field,
                    $crate::json::document!(@name $field $($name)?),
                    $crate::json::document!(@omit $($omit)?),
                    out,
                );)*
                let _ = out;
            }

            fn read_member(
                &mut self,
                key: &$crate::json::Key<'_>,
                from: &mut $crate::json::Decoder<'_>,
            ) -> Result<bool, $crate::json::DecodeError> {
                $(if <$codec as $crate::json::Codec<_>>::read_member(
                    &mut self.$field,
                    $crate::json::document!(@name $field $($name)?),
                    key,
                    from,
                )? {
                    return Ok(true);
                })*
                let _ = (key, from);
                Ok(false)
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
    (@omit) => { false };
    (@omit omit) => { true };
}
pub(crate) use document;
