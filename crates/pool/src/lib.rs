//! Many SSH connections: which of them a channel goes over, when another is made, and when one ends.
#![allow(dead_code)]

mod policy;
