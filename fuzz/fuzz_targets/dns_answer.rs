//! `cargo fuzz run dns_answer`: see `rustle_fuzz::dns_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rustle_fuzz::dns_answer(data));
