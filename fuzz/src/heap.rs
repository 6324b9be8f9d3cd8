//! How much memory some work holds at most.
//!
//! Counted for one thread, so that tests may run side by side.

/// Does some work on `input` bytes and panics if it ever held more than `factor * input + constant`
/// bytes, which the input does not justify.
#[track_caller]
pub(crate) fn bounded<R>(
    input: usize,
    factor: usize,
    constant: usize,
    work: impl FnOnce() -> R,
) -> R {
    let mut result = None;
    let held = allocation_counter::measure(|| result = Some(work())).bytes_max;
    let allowed = factor * input + constant;
    assert!(held <= allowed as u64, "{held} bytes for {input}, {allowed} allowed");
    result.expect("the work was done")
}
