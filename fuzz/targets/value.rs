//! See `sessile_fuzz::value`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sessile_fuzz::value::run(data));
