//! `cargo fuzz run host_certificate`: see `rustle_fuzz::host_certificate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rustle_fuzz::host_certificate(data));
