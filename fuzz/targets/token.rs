//! See `sessile_fuzz::token`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sessile_fuzz::token::run(data));
