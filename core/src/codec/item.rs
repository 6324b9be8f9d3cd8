//! The items of CBOR, one after the other, in the one form in which they are written.
//!
//! This is what stored bytes meet first, so it is read by hand: minicbor takes long heads, indefinite
//! lengths and keys in any order for what they mean. Nothing here is recursive or allocates.

use crate::codec::bounds::DEPTH_MAX;

/// One item; an array or map is only its head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Item<'a> {
    Null,
    Bool(bool),
    /// An integer that is not negative, a bignum included.
    Positive(u128),
    Negative(i128),
    F32(f32),
    F64(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// How many elements follow.
    Array(usize),
    /// How many entries follow, each a key and a value.
    Map(usize),
}

/// The bytes are not CBOR as this crate writes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Malformed;

/// Reads items from the front.
#[derive(Clone, Debug)]
pub(super) struct Items<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Items<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(super) const fn position(&self) -> usize {
        self.position
    }

    /// Returns the bytes from one position to another.
    pub(super) fn between(&self, start: usize, end: usize) -> &'a [u8] {
        &self.bytes[start..end]
    }

    const fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    pub(super) fn is_at_text(&self) -> bool {
        self.peek().is_some_and(|byte| byte >> 5 == TEXT)
    }

    /// Steps over a byte if it is the next one.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.position += usize::from(is_next);
        is_next
    }

    /// Reads the next item. It has the shortest head, a definite length that fits into what is left,
    /// and is of a kind that is ever written.
    pub(super) fn next(&mut self) -> Result<Item<'a>, Malformed> {
        let first = self.take(1)?[0];
        match first {
            0xf4 | 0xf5 => return Ok(Item::Bool(first == 0xf5)),
            0xf6 => return Ok(Item::Null),
            0xfa => return Ok(Item::F32(f32::from_be_bytes(self.array()?))),
            0xfb => return Ok(Item::F64(f64::from_be_bytes(self.array()?))),
            _ => {}
        }
        let argument = self.argument(first & 0x1f)?;
        match first >> 5 {
            UNSIGNED => Ok(Item::Positive(argument.into())),
            NEGATIVE => Ok(Item::Negative(-1 - i128::from(argument))),
            BYTES => Ok(Item::Bytes(self.sized(argument)?)),
            TEXT => {
                let bytes = self.sized(argument)?;
                core::str::from_utf8(bytes).map(Item::Text).map_err(|_| Malformed)
            }
            // Each item takes at least one byte.
            ARRAY => self.count(argument, 1).map(Item::Array),
            MAP => self.count(argument, 2).map(Item::Map),
            TAG => self.bignum(argument),
            _ => Err(Malformed),
        }
    }

    /// Reads what the lower bits of the first byte stand for, which may not be shorter.
    fn argument(&mut self, short: u8) -> Result<u64, Malformed> {
        let (argument, least) = match short {
            0..24 => (short.into(), 0),
            24 => (self.take(1)?[0].into(), 24),
            25 => (u16::from_be_bytes(self.array()?).into(), 0x100),
            26 => (u32::from_be_bytes(self.array()?).into(), 0x1_0000),
            27 => (u64::from_be_bytes(self.array()?), 0x1_0000_0000),
            _ => return Err(Malformed),
        };
        if argument >= least { Ok(argument) } else { Err(Malformed) }
    }

    /// Reads an integer of more than 64 bits, which is the only thing that ever has a tag.
    fn bignum(&mut self, tag: u64) -> Result<Item<'a>, Malformed> {
        let head = self.take(1)?[0];
        let len = usize::from(head & 0x1f);
        if !(0x49..=0x50).contains(&head) {
            return Err(Malformed);
        }
        let mut digits = [0; 16];
        digits[16 - len..].copy_from_slice(self.take(len)?);
        let number = u128::from_be_bytes(digits);
        match (tag, i128::try_from(number)) {
            _ if digits[16 - len] == 0 => Err(Malformed),
            (2, _) => Ok(Item::Positive(number)),
            (3, Ok(number)) => Ok(Item::Negative(-1 - number)),
            _ => Err(Malformed),
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let taken = self.bytes[self.position..].get(..len).ok_or(Malformed)?;
        self.position += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let taken = self.bytes[self.position..].first_chunk().ok_or(Malformed)?;
        self.position += N;
        Ok(*taken)
    }

    fn sized(&mut self, len: u64) -> Result<&'a [u8], Malformed> {
        self.take(usize::try_from(len).map_err(|_| Malformed)?)
    }

    /// Takes a length if there are so many bytes left for each.
    fn count(&self, len: u64, bytes: usize) -> Result<usize, Malformed> {
        let len = usize::try_from(len).map_err(|_| Malformed)?;
        if len <= self.remaining() / bytes { Ok(len) } else { Err(Malformed) }
    }

    /// Steps over the next item and everything that belongs to it.
    pub(super) fn skip(&mut self) -> Result<(), Malformed> {
        let mut left = 1_usize;
        while left > 0 {
            let children = match self.next()? {
                Item::Array(len) => len,
                Item::Map(len) => len * 2,
                _ => 0,
            };
            left = left.saturating_add(children) - 1;
        }
        Ok(())
    }

    /// Steps over the next item and returns its bytes.
    pub(super) fn skipped(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.position;
        self.skip()?;
        Ok(self.between(start, self.position))
    }
}

/// Checks that bytes are exactly one item as it is ever written: of definite lengths that fit, with
/// the shortest heads, the keys of each map sorted and none twice, and nested no more than
/// [`DEPTH_MAX`] deep.
pub(super) fn check(bytes: &[u8]) -> Result<(), Malformed> {
    if u32::try_from(bytes.len()).is_err() {
        return Err(Malformed);
    }
    let mut items = Items::new(bytes);
    match items.next()? {
        Item::Array(len) => check_inside(&mut items, Level::new(len, false))?,
        Item::Map(len) => check_inside(&mut items, Level::new(len * 2, true))?,
        _ => {}
    }
    if items.remaining() == 0 { Ok(()) } else { Err(Malformed) }
}

/// An array or map that is not at its end. Small, because there is room for all there may be.
#[derive(Clone, Copy, Debug)]
struct Level {
    /// How many items are still to come.
    left: u32,
    is_map: bool,
    /// Where the key that is being read starts.
    key_at: u32,
    /// Where the key before it lies. An empty one is none.
    last_key: (u32, u32),
}

impl Level {
    const NONE: Self = Self { left: 0, is_map: false, key_at: 0, last_key: (0, 0) };

    #[expect(clippy::cast_possible_truncation, reason = "there are no more items than bytes")]
    const fn new(items: usize, is_map: bool) -> Self {
        Self { left: items as u32, is_map, ..Self::NONE }
    }

    /// Reports whether the next item is a key.
    const fn is_at_key(&self) -> bool {
        self.is_map && self.left.is_multiple_of(2)
    }
}

/// Checks what is inside of an array or map whose head was read.
fn check_inside(items: &mut Items<'_>, first: Level) -> Result<(), Malformed> {
    let mut levels = [Level::NONE; DEPTH_MAX];
    levels[0] = first;
    let mut depth = 1;
    loop {
        // Leaves every level that is at its end.
        while levels[depth - 1].left == 0 {
            depth -= 1;
            if depth == 0 {
                return Ok(());
            }
            end_item(&mut levels[depth - 1], items)?;
        }
        let level = &mut levels[depth - 1];
        if level.is_at_key() {
            level.key_at = small(items.position);
        }
        let inner = match items.next()? {
            Item::Array(len) => Level::new(len, false),
            Item::Map(len) => Level::new(len * 2, true),
            _ => {
                end_item(level, items)?;
                continue;
            }
        };
        *levels.get_mut(depth).ok_or(Malformed)? = inner;
        depth += 1;
    }
}

/// Notes that an item of a level ended here.
fn end_item(level: &mut Level, items: &Items<'_>) -> Result<(), Malformed> {
    if level.is_at_key() {
        let key = (level.key_at, small(items.position));
        let bytes = |(start, end): (u32, u32)| items.between(start as usize, end as usize);
        // No key is empty, so the first one is larger than none.
        if bytes(level.last_key) >= bytes(key) {
            return Err(Malformed);
        }
        level.last_key = key;
    }
    level.left -= 1;
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "the length of the bytes was checked")]
const fn small(position: usize) -> u32 {
    position as u32
}

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
pub(super) const ARRAY: u8 = 4;
pub(super) const MAP: u8 = 5;
const TAG: u8 = 6;
