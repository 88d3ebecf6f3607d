//! Many SSH connections: which of them a channel goes over, when another is made, and when one ends.
//!
//! All of that is decided by a policy without sockets and without a clock, which docs/architecture.md describes. The
//! tasks that carry its decisions out are not here yet, so that the crate offers nothing to others so far.
#![cfg_attr(not(test), expect(dead_code, reason = "the tasks that ask the policy are not here yet"))]

mod policy;
