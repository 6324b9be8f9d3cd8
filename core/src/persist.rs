//! When a delta is appended: the persist policies.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::error::Error;
use core::fmt;
use core::ops::BitOr;
use core::str::FromStr;

/// When a session's changes are written. Policies combine with `|`.
///
/// The names in brackets are those of tomcat-redis-session-manager, which [`Persist::from_str`]
/// reads.
///
/// # Example
///
/// ```
/// use sessile_core::Persist;
///
/// let persist: Persist = "SAVE_ON_CHANGE, always_save_after_request".parse().unwrap();
/// assert_eq!(persist, Persist::ON_CHANGE | Persist::ALWAYS);
/// assert!("SAVE_SOMETIMES".parse::<Persist>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Persist {
    on_change: bool,
    always: bool,
}

impl Persist {
    /// At the end of the request, if anything changed (`DEFAULT`).
    pub const AT_END: Self = Self { on_change: false, always: false };
    /// Also at the handler's next await after a change, one write at a time (`SAVE_ON_CHANGE`). One
    /// that fails is not tried again before something else changes or the request ends.
    pub const ON_CHANGE: Self = Self { on_change: true, always: false };
    /// At the end of the request even if nothing changed (`ALWAYS_SAVE_AFTER_REQUEST`).
    ///
    /// Unlike in the reference system, a save without changes carries none: it renews the idle
    /// timeout and overwrites nothing. With whole-session granularity it writes the whole session.
    pub const ALWAYS: Self = Self { on_change: false, always: true };

    /// Reports whether changes are written at the handler's next await.
    #[must_use]
    pub const fn on_change(self) -> bool {
        self.on_change
    }

    /// Reports whether the end of a request writes even if nothing changed.
    #[must_use]
    pub const fn always(self) -> bool {
        self.always
    }
}

impl BitOr for Persist {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self { on_change: self.on_change || other.on_change, always: self.always || other.always }
    }
}

impl fmt::Display for Persist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES[0].0)?;
        let chosen = NAMES[1..].iter().filter(|(_, policy)| *self | *policy == *self);
        chosen.into_iter().try_for_each(|(name, _)| write!(f, ",{name}"))
    }
}

impl FromStr for Persist {
    type Err = PersistError;

    /// Reads a comma-separated list of the reference names, in any case, blanks ignored.
    fn from_str(names: &str) -> Result<Self, PersistError> {
        names.split(',').map(str::trim).try_fold(Self::AT_END, |all, name| {
            let known = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            let (_, policy) = known.ok_or_else(|| PersistError { name: name.to_owned() })?;
            Ok(all | *policy)
        })
    }
}

const NAMES: [(&str, Persist); 3] = [
    ("DEFAULT", Persist::AT_END),
    ("SAVE_ON_CHANGE", Persist::ON_CHANGE),
    ("ALWAYS_SAVE_AFTER_REQUEST", Persist::ALWAYS),
];

/// A persist policy's name is not known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PersistError {
    name: String,
}

impl fmt::Display for PersistError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown persist policy {:?}, expected a list of", self.name)?;
        let mut names = NAMES.iter().map(|(name, _)| *name);
        names.try_for_each(|name| write!(f, " {name}"))
    }
}

impl Error for PersistError {}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn a_policy_is_written_as_it_is_read() {
        let both = Persist::ON_CHANGE | Persist::ALWAYS;
        for persist in [Persist::AT_END, Persist::ON_CHANGE, Persist::ALWAYS, both] {
            assert_eq!(format!("{persist}").parse(), Ok(persist));
        }
        let error = "DEFAULT,NEVER".parse::<Persist>().unwrap_err();
        assert_eq!(
            format!("{error}"),
            "unknown persist policy \"NEVER\", expected a list of DEFAULT SAVE_ON_CHANGE \
             ALWAYS_SAVE_AFTER_REQUEST"
        );
    }
}
