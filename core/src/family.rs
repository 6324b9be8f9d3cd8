//! Attributes that belong to one collection: how their names are put together.
//!
//! An entry is an ordinary attribute whose name starts with the collection's name and a separator.
//! So what several requests insert or push is several attributes, and folds together like those.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::log::stamp::CommitId;
use crate::timestamp::Timestamp;

/// What stands between the name of a map and the key of an entry: the unit separator of ASCII.
pub(crate) const MAP: char = '\u{1f}';

/// What stands between the name of a list and the place of an item: the record separator of ASCII.
pub(crate) const LIST: char = '\u{1e}';

/// The length of what follows the name of a list in the name of an item, in bytes.
pub(crate) const ITEM_LEN: usize = 1 + PLACE_LEN;

/// Returns the start of the names of all entries of a collection.
pub(crate) fn prefix(name: &str, separator: char) -> String {
    format!("{name}{separator}")
}

/// Reports whether a name is the start of those of all entries of a collection.
pub(crate) fn is_prefix(name: &str) -> bool {
    name.ends_with([MAP, LIST])
}

/// Returns the name of a collection or of an attribute that stands alone.
pub(crate) fn collection(name: &str) -> &str {
    name.split([MAP, LIST]).next().unwrap_or(name)
}

/// Reports whether a name holds a separator, so that it could be taken for that of an entry.
pub(crate) const fn holds_separator(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        if bytes[index] == MAP as u8 || bytes[index] == LIST as u8 {
            return true;
        }
        index += 1;
    }
    false
}

/// Returns the time at which an item comes behind another one of the same list, whose name is
/// given: what a request saw comes first, whatever the clocks say.
pub(crate) fn behind(name: &str, at: Timestamp) -> Timestamp {
    let place = name.bytes().rev().take(PLACE_LEN).collect::<Vec<_>>();
    let digits = place.iter().rev().take(TIME_DIGITS);
    let millis = digits.fold(0, |millis, digit| {
        let value = DIGITS.iter().position(|known| known == digit).unwrap_or_default();
        millis << 6 | value as u64
    });
    at.max(Timestamp::from_millis(millis + 1))
}

/// Returns the name of an item of a list. Names sort by the time of the commit, then by its id,
/// then by the place among the items it pushed.
pub(crate) fn item(list: &str, at: Timestamp, commit: CommitId, index: usize) -> Cow<'static, str> {
    let mut place = [0; PLACE_BYTES];
    // 48 bits of milliseconds last for 8,900 years.
    place[..6].copy_from_slice(&at.as_millis().to_be_bytes()[2..]);
    place[6..15].copy_from_slice(&commit.as_bytes()[..9]);
    place[15..].copy_from_slice(&index.to_be_bytes()[size_of::<usize>() - 3..]);
    let mut name = String::with_capacity(list.len() + ITEM_LEN);
    name.push_str(list);
    name.push(LIST);
    for bits in place.chunks_exact(3) {
        let bits = u32::from_be_bytes([0, bits[0], bits[1], bits[2]]);
        name.extend([18, 12, 6, 0].map(|shift| char::from(DIGITS[(bits >> shift) as usize & 63])));
    }
    name.into()
}

/// A time, the start of a commit id, and an index.
const PLACE_BYTES: usize = 6 + 9 + 3;
const PLACE_LEN: usize = PLACE_BYTES / 3 * 4;
const TIME_DIGITS: usize = 6 / 3 * 4;

/// 64 digits that sort as they count, which base64 has not.
const DIGITS: &[u8; 64] = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_sort_by_time_then_commit_then_index() {
        let item = |at, commit: u8, index| {
            item("l", Timestamp::from_millis(at), CommitId::from_bytes([commit; 16]), index)
        };
        let names = [
            item(0, 0, 0),
            item(0, 0, 1),
            item(0, 0, 70_000),
            item(0, 1, 0),
            item(63, 0, 0),
            item(64, 0, 0),
            item(1_800_000_000_000, 255, 5),
            item(1_800_000_000_001, 0, 0),
        ];
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        assert!(names.iter().all(|name| name.len() == 1 + ITEM_LEN));
        for (name, at) in names.iter().zip([0, 0, 0, 0, 63, 64, 1_800_000_000_000]) {
            let behind = |now| behind(name, Timestamp::from_millis(now)).as_millis();
            assert_eq!((behind(0), behind(at + 1), behind(at + 9)), (at + 1, at + 1, at + 9));
        }
    }
}
