//! The allocator of the static binary.
//!
//! musl's own answers each packet buffer of a bulk transfer with a pair of system calls, which makes a static
//! binary two to three times slower than one with glibc. Of the allocators written in Rust that were measured
//! (talc, rlsf, dlmalloc), all made up for that with one stream; with sixteen at once dlmalloc cost 11 % more
//! processor time than glibc, talc 20 %, since its lock spins. dlmalloc waits asleep, is what Rust's own
//! standard library uses where a system has no allocator, and keeps its peak memory, which a command that
//! ends soon can afford.

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;
