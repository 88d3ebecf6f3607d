//! What transfers are made of: names, windows, limits, marks and progress, each by itself and without IO.

pub(crate) mod marks;
pub(crate) mod names;
pub(crate) mod progress;
pub(crate) mod rate;
pub(crate) mod window;
