//! The workspace suite.
