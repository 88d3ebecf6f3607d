//! The crate against the real `ssh-keygen` and against arbitrary input.
