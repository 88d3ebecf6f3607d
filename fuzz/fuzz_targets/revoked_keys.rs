//! `cargo fuzz run revoked_keys`: see `rustle_fuzz::revoked_keys`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rustle_fuzz::revoked_keys(data));
