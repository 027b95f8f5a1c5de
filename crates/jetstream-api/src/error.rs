//! What a request is refused with.

use std::borrow::Cow;

use crate::json::{Codec, DecodeError, Decoder, Text, Uint16, Writer, document};

#[path = "error_table.rs"]
mod table;

pub use table::{Entry, TABLE};

/// An error as every response carries it.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{description} ({err_code})")]
pub struct ApiError {
    /// Like an HTTP status.
    pub code: u16,
    /// What identifies the error; 0 if the peer gave none.
    pub err_code: u16,
    /// The text.
    pub description: Cow<'static, str>,
}

impl ApiError {
    /// True if both are the same line of the table, whatever their placeholders hold.
    pub fn is(&self, other: &Self) -> bool {
        self.err_code == other.err_code
    }
}

document!(ApiError as "ApiError" {
    code: HttpCode;
    err_code: Uint16, omit;
    description: StaticText, omit;
});

/// `int`, of which only three digits are ever used.
struct HttpCode;

impl Codec<u16> for HttpCode {
    fn go() -> String {
        "int".to_owned()
    }
    fn is_empty(value: &u16) -> bool {
        *value == 0
    }
    fn write(value: &u16, out: &mut Writer) {
        Uint16::write(value, out);
    }
    fn read(into: &mut u16, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        if let Some(text) = from.number("int") {
            *into = text.parse().unwrap_or(500);
        }
        Ok(())
    }
}

/// `string`, borrowed where the table gives it.
struct StaticText;

impl Codec<Cow<'static, str>> for StaticText {
    fn go() -> String {
        "string".to_owned()
    }
    fn is_empty(value: &Cow<'static, str>) -> bool {
        value.is_empty()
    }
    fn write(value: &Cow<'static, str>, out: &mut Writer) {
        out.string(value);
    }
    fn read(into: &mut Cow<'static, str>, from: &mut Decoder<'_>) -> Result<(), DecodeError> {
        let mut text = String::new();
        Text::read(&mut text, from)?;
        *into = Cow::Owned(text);
        Ok(())
    }
}
