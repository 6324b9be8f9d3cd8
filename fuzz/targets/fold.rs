//! See `sessile_fuzz::fold`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sessile_fuzz::fold::run(data));
