//! See `sessile_fuzz::session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sessile_fuzz::session::run(data));
