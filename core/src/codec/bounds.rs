//! What a value may be at most, whatever a policy allows.

/// How deeply values may be nested.
pub(crate) const DEPTH_MAX: usize = 64;

/// How many elements without size the sequences and maps of a value may have.
pub(crate) const SIZELESS_MAX: usize = 1024;
