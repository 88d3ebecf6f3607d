//! `cargo fuzz run known_hosts`: see `rustle_fuzz::known_hosts`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rustle_fuzz::known_hosts(data));
