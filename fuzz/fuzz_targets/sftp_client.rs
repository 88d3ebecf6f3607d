//! `cargo fuzz run sftp_client`: see `rustle_fuzz::sftp_client`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rustle_fuzz::sftp_client(data));
