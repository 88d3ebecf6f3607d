//! `cargo fuzz run private_key`: see `rustle_fuzz::private_key`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rustle_fuzz::private_key(data));
