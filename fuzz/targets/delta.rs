//! See `sessile_fuzz::delta`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sessile_fuzz::delta::run(data));
