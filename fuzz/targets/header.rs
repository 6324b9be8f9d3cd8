//! See `sessile_fuzz::header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sessile_fuzz::header::run(data));
