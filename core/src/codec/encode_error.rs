//! Why a value was not turned into bytes.

use core::error::Error;
use core::fmt;

/// Why a value was not turned into bytes.
///
/// The text never contains the value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EncodeError {
    /// A field is left out (`skip_serializing_if`), and postcard would read back the wrong values.
    SkippedField,
    /// The type needs a self-describing format when it is read (`untagged`, `flatten`, internally
    /// tagged), and postcard cannot.
    NotSelfDescribing,
    /// What postcard would read back is another value, or none: something is skipped, or
    /// `Serialize` and `Deserialize` disagree.
    NotReadBack,
    /// A sequence does not say how long it is, and postcard has to know before.
    UnknownLength,
    /// A sequence, map or struct has more or fewer elements than it announced.
    WrongLength,
    /// A map has one key twice, or a flattened field the name of another.
    DuplicateKey,
    /// Values are nested more deeply than can be read back safely.
    TooDeep {
        /// The deepest nesting allowed.
        max: usize,
    },
    /// There are more elements without size than postcard can read back safely.
    TooManyElements,
    /// The type's own `Serialize` failed.
    Refused,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SkippedField => {
                f.write_str("a field is skipped, which postcard cannot read back")
            }
            Self::NotSelfDescribing => {
                f.write_str("the type is untagged or flattened, which postcard cannot read back")
            }
            Self::NotReadBack => f.write_str("postcard would read back another value"),
            Self::UnknownLength => f.write_str("a sequence does not say how long it is"),
            Self::WrongLength => {
                f.write_str("a sequence has more or fewer elements than it announced")
            }
            Self::DuplicateKey => f.write_str("a map has the same key twice"),
            Self::TooDeep { max } => write!(f, "values are nested more than {max} deep"),
            Self::TooManyElements => f.write_str("there are too many elements without size"),
            Self::Refused => f.write_str("the value refused to be serialized"),
        }
    }
}

impl Error for EncodeError {}
