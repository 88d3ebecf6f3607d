//! How much is run: all of it under `cargo xtask interop config`, a part of it elsewhere.

/// How many there are of what is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// What plain `cargo test` has time for.
    Part,
    /// All; nothing may be skipped.
    Whole,
}

impl Scale {
    /// By `RUSTLE_CONFIG`.
    pub(crate) fn now() -> Self {
        match std::env::var_os("RUSTLE_CONFIG").is_some_and(|value| value == "1") {
            true => Self::Whole,
            false => Self::Part,
        }
    }

    /// So many, or a hundredth of them.
    pub(crate) fn of(self, all: usize) -> usize {
        match self {
            Self::Whole => all,
            Self::Part => all.div_ceil(100),
        }
    }

    /// Says what cannot be run here; where nothing may be skipped, it fails.
    pub(crate) fn skip(self, what: &str, why: &str) {
        assert!(self == Self::Part, "{what} cannot be shown: {why}");
        println!("skipped: {what}: {why}");
    }
}
