//! Values shown to people and tools without their type.
//!
//! Only what was checked is shown item by item, so nesting is bounded and nothing here fails but
//! the place that is written to.

use core::fmt::{self, Write as _};

use base64ct::{Base64UrlUnpadded, Encoding};

use crate::codec::format::version_of;
use crate::codec::item::{self, Item, Items, Malformed};
use crate::log::value::{Codec, ValueRef};

impl<'a> ValueRef<'a> {
    /// Returns the value in CBOR diagnostic notation (RFC 8949, section 8).
    ///
    /// A counter is a number. Of what postcard wrote, and of what cannot be read, a comment says
    /// so.
    ///
    /// # Example
    ///
    /// ```
    /// use sessile_core::log::{Codec, Value};
    ///
    /// let value = Value::new(Codec::CBOR, b"\xa2\x01\xf6\x63age\x18\x24");
    /// assert_eq!(value.as_ref().diagnostic().to_string(), r#"{1: null, "age": 36}"#);
    /// ```
    #[must_use]
    pub const fn diagnostic(&self) -> impl fmt::Display + use<'a> {
        Diagnostic(*self)
    }

    /// Returns the value as JSON, for tools.
    ///
    /// Bytes are text in base64url, a key that is no text is one in diagnostic notation, and a
    /// float that is not finite is null. Integers are exact, so a tool may have to read them as
    /// such. A counter is a number. Of what postcard wrote, and of what cannot be read, an object
    /// says so.
    ///
    /// # Example
    ///
    /// ```
    /// use sessile_core::log::{Codec, Value};
    ///
    /// let value = Value::new(Codec::CBOR, b"\xa2\x01\xf6\x63age\x18\x24");
    /// assert_eq!(value.as_ref().json().to_string(), r#"{"1":null,"age":36}"#);
    /// let value = Value::new(Codec::POSTCARD, b"\x02\x24");
    /// let shown = r#"{"codec":"postcard","version":2,"bytes":2}"#;
    /// assert_eq!(value.as_ref().json().to_string(), shown);
    /// ```
    #[must_use]
    pub const fn json(&self) -> impl fmt::Display + use<'a> {
        Json(*self)
    }
}

/// A value in CBOR diagnostic notation (RFC 8949, section 8).
pub(crate) struct Diagnostic<'a>(pub(crate) ValueRef<'a>);

/// A value as JSON.
pub(crate) struct Json<'a>(pub(crate) ValueRef<'a>);

impl fmt::Display for Diagnostic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Content::of(self.0) {
            Content::Cbor(bytes) => show(&mut Items::new(bytes), Notation::Diagnostic, f),
            Content::Counter(number) => write!(f, "{number}"),
            Content::Hidden { codec, version } => {
                write!(f, "/ {codec}")?;
                if let Some(version) = version {
                    write!(f, " version {version}")?;
                }
                write!(f, ", {} bytes /", self.0.bytes().len())
            }
        }
    }
}

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Content::of(self.0) {
            Content::Cbor(bytes) => show(&mut Items::new(bytes), Notation::Json, f),
            Content::Counter(number) => write!(f, "{number}"),
            Content::Hidden { codec, version } => {
                write!(f, "{{\"codec\":\"{codec}\",")?;
                if let Some(version) = version {
                    write!(f, "\"version\":{version},")?;
                }
                write!(f, "\"bytes\":{}}}", self.0.bytes().len())
            }
        }
    }
}

/// What can be shown of a value.
enum Content<'a> {
    /// Checked bytes.
    Cbor(&'a [u8]),
    Counter(i64),
    /// Only its codec.
    Hidden {
        codec: &'static str,
        version: Option<u32>,
    },
}

impl<'a> Content<'a> {
    fn of(value: ValueRef<'a>) -> Self {
        let hidden = |codec| Content::Hidden { codec, version: None };
        if !value.is_intact() {
            return hidden("damaged");
        }
        match value.codec() {
            Codec::CBOR if item::check(value.bytes()).is_ok() => Content::Cbor(value.bytes()),
            Codec::COUNTER => value.counter().map_or(hidden("damaged"), Content::Counter),
            Codec::POSTCARD => {
                let version = version_of(value.bytes()).map(|(version, _)| version);
                Content::Hidden { codec: "postcard", version }
            }
            Codec::CBOR => hidden("damaged"),
            Codec::UNREADABLE => hidden("unreadable"),
            _ => hidden("unknown"),
        }
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Notation {
    Diagnostic,
    Json,
}

fn show(items: &mut Items<'_>, notation: Notation, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let is_json = notation == Notation::Json;
    match items.next().map_err(unchecked)? {
        Item::Null => f.write_str("null"),
        Item::Bool(bool) => write!(f, "{bool}"),
        Item::Positive(number) => write!(f, "{number}"),
        Item::Negative(number) => write!(f, "{number}"),
        Item::F32(float) if float.is_finite() => write!(f, "{float:?}"),
        Item::F64(float) if float.is_finite() => write!(f, "{float:?}"),
        Item::F32(_) | Item::F64(_) if is_json => f.write_str("null"),
        Item::F32(float) => show_infinite(float.into(), f),
        Item::F64(float) => show_infinite(float, f),
        Item::Text(text) => quoted(f, format_args!("{text}")),
        Item::Bytes(bytes) if is_json => show_base64(bytes, f),
        Item::Bytes(bytes) => {
            f.write_str("h'")?;
            bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            f.write_str("'")
        }
        Item::Array(len) => {
            f.write_str("[")?;
            for index in 0..len {
                separate(index, notation, f)?;
                show(items, notation, f)?;
            }
            f.write_str("]")
        }
        Item::Map(len) => {
            f.write_str("{")?;
            for index in 0..len {
                separate(index, notation, f)?;
                show_key(items, notation, f)?;
                f.write_str(if is_json { ":" } else { ": " })?;
                show(items, notation, f)?;
            }
            f.write_str("}")
        }
    }
}

fn separate(index: usize, notation: Notation, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match (index, notation) {
        (0, _) => Ok(()),
        (_, Notation::Diagnostic) => f.write_str(", "),
        (_, Notation::Json) => f.write_str(","),
    }
}

/// Shows a key. In JSON it must be text, so any other is shown in diagnostic notation.
fn show_key(items: &mut Items<'_>, notation: Notation, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if notation == Notation::Diagnostic || items.is_at_text() {
        return show(items, notation, f);
    }
    let key = items.skipped().map_err(unchecked)?;
    quoted(f, format_args!("{}", Checked(key)))
}

/// Checked bytes in diagnostic notation.
struct Checked<'a>(&'a [u8]);

impl fmt::Display for Checked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(&mut Items::new(self.0), Notation::Diagnostic, f)
    }
}

fn show_infinite(float: f64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(match (float.is_nan(), float > 0.0) {
        (true, _) => "NaN",
        (false, true) => "Infinity",
        (false, false) => "-Infinity",
    })
}

/// Writes bytes as base64url, so many at once as make whole characters.
fn show_base64(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    let mut text = [0; 64];
    for chunk in bytes.chunks(48) {
        f.write_str(Base64UrlUnpadded::encode(chunk, &mut text).map_err(|_| fmt::Error)?)?;
    }
    f.write_str("\"")
}

/// Writes text in quotes, as JSON and diagnostic notation both do.
fn quoted(f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>) -> fmt::Result {
    f.write_str("\"")?;
    Escaped(f).write_fmt(text)?;
    f.write_str("\"")
}

struct Escaped<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(|char| matches!(char, '"' | '\\' | ..' ' | '\x7f')) {
            self.0.write_str(&rest[..at])?;
            match rest.as_bytes()[at] {
                b'"' => self.0.write_str("\\\"")?,
                b'\\' => self.0.write_str("\\\\")?,
                b'\n' => self.0.write_str("\\n")?,
                b'\r' => self.0.write_str("\\r")?,
                b'\t' => self.0.write_str("\\t")?,
                byte => write!(self.0, "\\u{byte:04x}")?,
            }
            rest = &rest[at + 1..];
        }
        self.0.write_str(rest)
    }
}

/// What is shown was checked, so this is never called.
fn unchecked(_: Malformed) -> fmt::Error {
    fmt::Error
}
