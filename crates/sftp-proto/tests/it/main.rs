//! The codec as its users see it: round trips, hostile bytes, and packets written by hand from the draft.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand, as tests do")]

mod hostile;
mod interleavings;
mod opening;
mod properties;
mod requests;
mod values;
mod vectors;
