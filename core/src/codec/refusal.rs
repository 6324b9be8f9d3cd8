//! Why a type refused stored bytes, without the value.

use alloc::borrow::Cow;
use alloc::string::String;
use core::error::Error;
use core::fmt::{self, Write as _};

use serde::de::{self, Expected, Unexpected};

/// Why a type did not take a stored value.
///
/// It is the source of a [`GetError`](crate::GetError). The text says what kind of value was found
/// and what the type expects, in the type's own words. It never quotes the value, and what a
/// hand-written `Deserialize` reports in its own words is left out, because that often does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal(Cow<'static, str>);

impl Refusal {
    /// The format cannot tell a type what the next value is.
    pub(super) const NOT_SELF_DESCRIBING: Self =
        Self(Cow::Borrowed("the type needs a self-describing format, which postcard is not"));
    /// The bytes are no value of the type.
    pub(super) const MALFORMED: Self = Self(Cow::Borrowed("the bytes are no value of that type"));
    pub(super) const TOO_DEEP: Self = Self(Cow::Borrowed("the value is nested too deeply"));

    /// Writes a text. If `expecting` fails the text is shorter, and nothing panics.
    fn text(text: fmt::Arguments<'_>) -> Self {
        let mut out = String::new();
        let _ = out.write_fmt(text);
        Self(out.into())
    }

    fn one_of(found: &str, expected: &'static [&'static str]) -> Self {
        let mut out = String::from(found);
        for (index, name) in expected.iter().enumerate() {
            out.push_str(if index == 0 { ", expected one of " } else { ", " });
            out.push_str(name);
        }
        Self(out.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Refusal {}

impl de::Error for Refusal {
    /// Drops the message, which may quote the value.
    fn custom<M: fmt::Display>(_: M) -> Self {
        Self(Cow::Borrowed("the type refused the value"))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::text(format_args!("found {}, expected {expected}", kind(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::text(format_args!("found {} out of range, expected {expected}", kind(found)))
    }

    fn invalid_length(len: usize, expected: &dyn Expected) -> Self {
        Self::text(format_args!("found {len} elements, expected {expected}"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::one_of("found an unknown variant", expected)
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self::one_of("found an unknown field", expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::text(format_args!("the field {field} is missing"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::text(format_args!("the field {field} is there twice"))
    }
}

/// Describes what kind of value was found. A type's own description may quote the value.
const fn kind(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
        Unexpected::Float(_) => "a float",
        Unexpected::Char(_) => "a character",
        Unexpected::Str(_) => "a text",
        Unexpected::Bytes(_) => "bytes",
        Unexpected::Unit => "null",
        Unexpected::Option => "an option",
        Unexpected::NewtypeStruct => "a wrapped value",
        Unexpected::Seq => "a sequence",
        Unexpected::Map => "a map",
        Unexpected::Enum => "an enum",
        Unexpected::UnitVariant => "a variant without a value",
        Unexpected::NewtypeVariant | Unexpected::TupleVariant | Unexpected::StructVariant => {
            "a variant with a value"
        }
        Unexpected::Other(_) => "something else",
    }
}
