//! Typed values: what is set is what is read, or it is refused.

mod family;
mod member;
mod sample;

use sessile_core::log::Codec;

use crate::input::Input;
use family::FAMILY;

/// Sets a value of a type, reads it back and reads it as another type; or reads any bytes as a type.
///
/// # Panics
///
/// If a value reads back as another one, or bytes make reading panic or allocate without bounds.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let member = input.pick(FAMILY);
    match input.byte() % 4 {
        0 => (member.reads)(Codec::CBOR, input.rest()),
        1 => (member.reads)(Codec::POSTCARD, input.rest()),
        _ => {
            let other = input.pick(FAMILY);
            for value in (member.sets)(&mut input) {
                (other.reads)(value.as_ref().codec(), value.as_ref().bytes());
            }
        }
    }
}
