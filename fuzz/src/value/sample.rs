//! Values made of bytes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::input::Input;

/// How deeply samples are nested.
pub(super) const DEPTH: u8 = 6;

/// A type values of which can be made of bytes.
pub(super) trait Sample:
    Clone + Debug + DeserializeOwned + Serialize + Send + Sync + 'static
{
    /// Every value of it can be set.
    const ALWAYS: bool = true;
    /// What is set is what CBOR reads back.
    const KEPT: bool = true;
    /// CBOR may have null for it.
    const CAN_BE_NULL: bool = false;

    /// Makes a value that is nested no more than that deep.
    fn sample(input: &mut Input<'_>, depth: u8) -> Self;

    /// Returns what values are compared by.
    fn view(&self) -> String {
        format!("{self:?}")
    }
}

macro_rules! numbers {
    ($($type:ty),* $(,)?) => {
        $(impl Sample for $type {
            fn sample(input: &mut Input<'_>, _: u8) -> Self {
                match input.byte() {
                    0 => Self::MIN,
                    1 => Self::MAX,
                    _ => Self::from_le_bytes(input.array()),
                }
            }
        })*
    };
}

numbers!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128);

macro_rules! floats {
    ($($type:ident: $bits:ident),* $(,)?) => {
        $(impl Sample for $type {
            fn sample(input: &mut Input<'_>, _: u8) -> Self {
                $type::from_bits($bits::from_le_bytes(input.array()))
            }

            /// To the last bit.
            fn view(&self) -> String {
                format!("{:x}", self.to_bits())
            }
        })*
    };
}

floats!(f32: u32, f64: u64);

impl Sample for bool {
    fn sample(input: &mut Input<'_>, _: u8) -> Self {
        input.flag()
    }
}

impl Sample for char {
    fn sample(input: &mut Input<'_>, _: u8) -> Self {
        Self::from_u32(u32::from_le_bytes(input.array())).unwrap_or('\u{10ffff}')
    }
}

impl Sample for String {
    fn sample(input: &mut Input<'_>, _: u8) -> Self {
        input.text(20)
    }
}

impl Sample for Cow<'static, str> {
    fn sample(input: &mut Input<'_>, _: u8) -> Self {
        input.text(3).into()
    }
}

impl Sample for () {
    const CAN_BE_NULL: bool = true;

    fn sample(_: &mut Input<'_>, _: u8) -> Self {}
}

impl Sample for NonZeroU32 {
    fn sample(input: &mut Input<'_>, depth: u8) -> Self {
        Self::new(u32::sample(input, depth)).unwrap_or(Self::MIN)
    }
}

impl Sample for Duration {
    fn sample(input: &mut Input<'_>, depth: u8) -> Self {
        Self::new(u64::sample(input, depth), u32::sample(input, depth) % 1_000_000_000)
    }
}

impl Sample for std::net::IpAddr {
    fn sample(input: &mut Input<'_>, _: u8) -> Self {
        if input.flag() { input.array::<4>().into() } else { input.array::<16>().into() }
    }
}

impl<T: Sample> Sample for Option<T> {
    const ALWAYS: bool = T::ALWAYS;
    // To CBOR, nothing in something is nothing.
    const KEPT: bool = T::KEPT && !T::CAN_BE_NULL;
    const CAN_BE_NULL: bool = true;

    fn sample(input: &mut Input<'_>, depth: u8) -> Self {
        (depth > 0 && input.flag()).then(|| T::sample(input, depth - 1))
    }
}

impl<T: Sample> Sample for Box<T> {
    const ALWAYS: bool = T::ALWAYS;
    const KEPT: bool = T::KEPT;

    fn sample(input: &mut Input<'_>, depth: u8) -> Self {
        Self::new(T::sample(input, depth))
    }
}

impl<T: Sample> Sample for Vec<T> {
    const ALWAYS: bool = T::ALWAYS;
    const KEPT: bool = T::KEPT;

    fn sample(input: &mut Input<'_>, depth: u8) -> Self {
        let Some(depth) = depth.checked_sub(1) else { return Self::new() };
        let count = input.below(16);
        if count == 15 && depth + 1 == DEPTH {
            let many = usize::from(u16::from_le_bytes(input.array())) % 1100;
            return vec![T::sample(input, depth); many];
        }
        (0..count).map(|_| T::sample(input, depth)).collect()
    }
}

impl<K: Sample + Ord, V: Sample> Sample for BTreeMap<K, V> {
    const ALWAYS: bool = K::ALWAYS && V::ALWAYS;
    const KEPT: bool = K::KEPT && V::KEPT;

    fn sample(input: &mut Input<'_>, depth: u8) -> Self {
        let Some(depth) = depth.checked_sub(1) else { return Self::new() };
        let count = input.below(8);
        (0..count).map(|_| (K::sample(input, depth), V::sample(input, depth))).collect()
    }
}

impl<K: Sample + Ord> Sample for BTreeSet<K> {
    const ALWAYS: bool = K::ALWAYS;
    const KEPT: bool = K::KEPT;

    fn sample(input: &mut Input<'_>, depth: u8) -> Self {
        BTreeMap::<K, ()>::sample(input, depth).into_keys().collect()
    }
}

impl<A: Sample, B: Sample> Sample for (A, B) {
    const ALWAYS: bool = A::ALWAYS && B::ALWAYS;
    const KEPT: bool = A::KEPT && B::KEPT;

    fn sample(input: &mut Input<'_>, depth: u8) -> Self {
        (A::sample(input, depth), B::sample(input, depth))
    }
}

impl<T: Sample, E: Sample> Sample for Result<T, E> {
    const ALWAYS: bool = T::ALWAYS && E::ALWAYS;
    const KEPT: bool = T::KEPT && E::KEPT;

    fn sample(input: &mut Input<'_>, depth: u8) -> Self {
        if input.flag() { Ok(T::sample(input, depth)) } else { Err(E::sample(input, depth)) }
    }
}

impl Sample for [u16; 4] {
    fn sample(input: &mut Input<'_>, depth: u8) -> Self {
        std::array::from_fn(|_| u16::sample(input, depth))
    }
}

impl Sample for serde_bytes::ByteBuf {
    fn sample(input: &mut Input<'_>, _: u8) -> Self {
        let len = input.below(40);
        Self::from(input.take(len))
    }
}

impl Sample for uuid::Uuid {
    fn sample(input: &mut Input<'_>, _: u8) -> Self {
        Self::from_bytes(input.array())
    }
}

impl Sample for time::OffsetDateTime {
    fn sample(input: &mut Input<'_>, _: u8) -> Self {
        let seconds = u64::from_le_bytes(input.array()) % 253_402_300_800;
        let nanos = i64::from(u32::from_le_bytes(input.array()) % 1_000_000_000);
        let moment = Self::UNIX_EPOCH + Duration::from_secs(seconds);
        moment + time::Duration::nanoseconds(nanos)
    }
}

impl Sample for chrono::DateTime<chrono::Utc> {
    fn sample(input: &mut Input<'_>, _: u8) -> Self {
        Self::from_timestamp_nanos(i64::from_le_bytes(input.array()))
    }
}

impl Sample for rust_decimal::Decimal {
    fn sample(input: &mut Input<'_>, _: u8) -> Self {
        let scale = u32::from(input.byte() % 29);
        Self::new(i64::from_le_bytes(input.array()), scale)
    }
}

impl Sample for url::Url {
    fn sample(input: &mut Input<'_>, _: u8) -> Self {
        let mut url = Self::parse("https://example.com/").expect("it is one");
        url.set_path(&input.text(8));
        url.set_query(input.flag().then(|| input.text(8)).as_deref());
        url
    }
}

impl Sample for serde_json::Value {
    const CAN_BE_NULL: bool = true;

    fn sample(input: &mut Input<'_>, depth: u8) -> Self {
        match input.byte() % if depth == 0 { 5 } else { 7 } {
            0 => Self::Null,
            1 => input.flag().into(),
            2 => input.number().into(),
            3 => input.text(12).into(),
            4 => f64::from_le_bytes(input.array()).into(),
            5 => Vec::<Self>::sample(input, depth).into(),
            _ => {
                let entries = 0..input.below(5);
                entries.map(|_| (input.text(3), Self::sample(input, depth - 1))).collect()
            }
        }
    }
}
