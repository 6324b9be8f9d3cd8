//! The items of CBOR, one after the other, in the one form in which they are written.

use minicbor::data::Type;
use minicbor::decode::{self, Decoder};

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

impl Item<'_> {
    /// Returns how many items belong to this one.
    pub(super) const fn children(&self) -> usize {
        match *self {
            Self::Array(len) => len,
            // There are no more entries than bytes left.
            Self::Map(len) => len * 2,
            _ => 0,
        }
    }

    const fn is_container(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Map(_))
    }
}

/// The bytes are not CBOR as this crate writes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Malformed;

impl From<decode::Error> for Malformed {
    fn from(_: decode::Error) -> Self {
        Self
    }
}

/// Reads items from the front.
#[derive(Clone, Debug)]
pub(super) struct Items<'a>(Decoder<'a>);

impl<'a> Items<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(Decoder::new(bytes))
    }

    pub(super) fn position(&self) -> usize {
        self.0.position()
    }

    /// Returns the bytes from one position to another.
    pub(super) fn between(&self, start: usize, end: usize) -> &'a [u8] {
        &self.0.input()[start..end]
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.remaining() == 0
    }

    fn remaining(&self) -> usize {
        self.0.input().len() - self.0.position()
    }

    /// Returns the first byte of the next item.
    fn peek(&self) -> Option<u8> {
        self.0.input().get(self.0.position()).copied()
    }

    pub(super) fn is_at_text(&self) -> bool {
        self.peek().is_some_and(|byte| byte >> 5 == 3)
    }

    /// Steps over a byte if it is the next one.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.0.set_position(self.0.position() + usize::from(is_next));
        is_next
    }

    /// Reads the next item. It has the shortest head, a definite length that fits into what is
    /// left, and is of a kind that is ever written.
    pub(super) fn next(&mut self) -> Result<Item<'a>, Malformed> {
        let start = self.position();
        let (item, argument, len) = match self.0.datatype()? {
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => {
                let number = self.0.u64()?;
                (Item::Positive(number.into()), number, 0)
            }
            Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => {
                let number = i128::from(self.0.int()?);
                let argument = u64::try_from(-1 - number).map_err(|_| Malformed)?;
                (Item::Negative(number), argument, 0)
            }
            Type::String => {
                let text = self.0.str()?;
                (Item::Text(text), text.len() as u64, text.len())
            }
            Type::Bytes => {
                let bytes = self.0.bytes()?;
                (Item::Bytes(bytes), bytes.len() as u64, bytes.len())
            }
            Type::Array => self.head(Decoder::array, Item::Array, 1)?,
            Type::Map => self.head(Decoder::map, Item::Map, 2)?,
            Type::Tag => return self.bignum(),
            Type::Bool => return Ok(Item::Bool(self.0.bool()?)),
            Type::F32 => return Ok(Item::F32(self.0.f32()?)),
            Type::F64 => return Ok(Item::F64(self.0.f64()?)),
            Type::Null => {
                self.0.null()?;
                return Ok(Item::Null);
            }
            _ => return Err(Malformed),
        };
        if self.position() - start == head_len(argument) + len { Ok(item) } else { Err(Malformed) }
    }

    /// Reads the head of an array or map, each element of which is so many items.
    fn head(
        &mut self,
        read: fn(&mut Decoder<'a>) -> Result<Option<u64>, decode::Error>,
        item: fn(usize) -> Item<'a>,
        items: usize,
    ) -> Result<(Item<'a>, u64, usize), Malformed> {
        let count = read(&mut self.0)?.ok_or(Malformed)?;
        let len = usize::try_from(count).map_err(|_| Malformed)?;
        // Each item takes at least one byte.
        let fits = len <= self.remaining() / items;
        if fits { Ok((item(len), count, 0)) } else { Err(Malformed) }
    }

    /// Reads an integer of more than 64 bits, which is the only thing that ever has a tag.
    fn bignum(&mut self) -> Result<Item<'a>, Malformed> {
        let is_negative = match self.peek() {
            Some(0xc2) => false,
            Some(0xc3) => true,
            _ => return Err(Malformed),
        };
        let mut digits = self.0.clone();
        digits.tag()?;
        // Nine to sixteen bytes, the first of which counts.
        match digits.input()[digits.position()..] {
            [0x49..=0x50, 1..=0xff, ..] if is_negative => Ok(Item::Negative(self.0.i128()?)),
            [0x49..=0x50, 1..=0xff, ..] => Ok(Item::Positive(self.0.u128()?)),
            _ => Err(Malformed),
        }
    }

    /// Steps over the next item and everything that belongs to it.
    pub(super) fn skip(&mut self) -> Result<(), Malformed> {
        let mut left = 1_usize;
        while left > 0 {
            left = left.saturating_add(self.next()?.children()) - 1;
        }
        Ok(())
    }

    /// Steps over the next item and returns its bytes.
    pub(super) fn skipped(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.position();
        self.skip()?;
        Ok(self.between(start, self.position()))
    }
}

/// Checks that bytes are exactly one item as it is ever written: of definite lengths that fit, with
/// the shortest heads, the keys of each map sorted and none twice, and nested no more than
/// [`DEPTH_MAX`] deep.
///
/// Not recursive, so no input exhausts the stack, and without any allocation.
pub(super) fn check(bytes: &[u8]) -> Result<(), Malformed> {
    let mut items = Items::new(bytes);
    let first = items.next()?;
    if first.is_container() {
        check_inside(&mut items, first)?;
    }
    if items.is_at_end() { Ok(()) } else { Err(Malformed) }
}

/// An array or map that is not at its end.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    /// How many items are still to come.
    left: usize,
    is_map: bool,
    /// Where the key that is being read starts.
    key_at: usize,
    /// Where the key before it lies.
    last_key: Option<(usize, usize)>,
}

impl Level {
    /// Reports whether the next item is a key.
    const fn is_at_key(&self) -> bool {
        self.is_map && self.left.is_multiple_of(2)
    }
}

/// Checks what is inside of an array or map whose head was read.
fn check_inside(items: &mut Items<'_>, first: Item<'_>) -> Result<(), Malformed> {
    let mut levels = [Level::default(); DEPTH_MAX];
    let mut depth = 0;
    let mut item = first;
    loop {
        if item.is_container() {
            let level = levels.get_mut(depth).ok_or(Malformed)?;
            let is_map = matches!(item, Item::Map(_));
            *level = Level { left: item.children(), is_map, key_at: 0, last_key: None };
            depth += 1;
        }
        // Leaves every level that ends with this item.
        while depth > 0 && levels[depth - 1].left == 0 {
            depth -= 1;
            if depth > 0 {
                end_item(&mut levels[depth - 1], items)?;
            }
        }
        if depth == 0 {
            return Ok(());
        }
        let level = &mut levels[depth - 1];
        if level.is_at_key() {
            level.key_at = items.position();
        }
        item = items.next()?;
        if !item.is_container() {
            end_item(level, items)?;
        }
    }
}

/// Notes that an item of a level ended here.
fn end_item(level: &mut Level, items: &Items<'_>) -> Result<(), Malformed> {
    if level.is_at_key() {
        let key = (level.key_at, items.position());
        let bytes = |(start, end)| items.between(start, end);
        if level.last_key.is_some_and(|last| bytes(last) >= bytes(key)) {
            return Err(Malformed);
        }
        level.last_key = Some(key);
    }
    level.left -= 1;
    Ok(())
}

/// Reports whether bytes begin with an array or a map.
pub(super) fn is_container(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|head| matches!(head >> 5, 4 | 5))
}

/// Returns the length of the shortest head for an argument, in bytes.
const fn head_len(argument: u64) -> usize {
    match argument {
        0..=23 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// The item null.
pub(super) const NULL: u8 = 0xf6;
/// The head of a map of one entry.
pub(super) const MAP_OF_ONE: u8 = 0xa1;
