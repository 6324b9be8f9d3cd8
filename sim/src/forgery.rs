//! Deltas with other changes than the engine made: what a bug in its layers of changes would write.

use std::collections::BTreeMap;

use sessile_core::log::{Change, Delta};

use crate::bug::Bug;
use crate::model::{ENTRIES, FEED, SUM, name_of};
use crate::stored::DeltaHead;

type Changes = BTreeMap<String, Change>;

/// Returns the delta with the changes a seeded bug would make of it, given those of the write that
/// failed before; `None` if there is no difference.
///
/// A delta that changes more than attributes is left alone.
pub(crate) fn forged(bug: Bug, delta: &Delta, failed: Option<&Delta>) -> Option<Delta> {
    let head = DeltaHead::read(&delta.encode())?;
    let bare = DeltaHead { generation: head.generation, ..DeltaHead::default() };
    if head != bare {
        return None;
    }
    let now = changes_of(delta);
    let earlier = failed.map(changes_of).unwrap_or_default();
    let changes = match bug {
        Bug::PushLostByRebase => without_items(&now, &earlier),
        Bug::UpdateNotRunAgain => as_before(&now, &earlier, |name| name == SUM),
        Bug::EarlierEditLast => as_before(&now, &earlier, |name| name != SUM && name != FEED),
        Bug::EntryUnderOtherKey => under_other_key(&now),
        _ => return None,
    };
    if changes == now {
        return None;
    }
    let changes = changes.into_iter().map(|(name, change)| (name.into(), change));
    let forged = Delta::new(delta.commit(), head.generation, changes);
    Some(if delta.replaces_all() { forged.replacing() } else { forged })
}

fn changes_of(delta: &Delta) -> Changes {
    delta.changes().map(|(name, change)| (name.to_owned(), change.clone())).collect()
}

/// Leaves out the items that the write before had, under whatever names.
fn without_items(now: &Changes, earlier: &Changes) -> Changes {
    let items: Vec<_> = earlier.iter().filter(|(name, _)| name_of(name) == FEED).collect();
    let is_new = |name: &str, change: &Change| {
        name_of(name) != FEED || items.iter().all(|(_, item)| *item != change)
    };
    let kept = now.iter().filter(|(name, change)| is_new(name, change));
    kept.map(|(name, change)| (name.clone(), change.clone())).collect()
}

/// Has some names changed as the write before did.
fn as_before(now: &Changes, earlier: &Changes, is_meant: fn(&str) -> bool) -> Changes {
    let before = |name: &str| earlier.get(name).filter(|_| is_meant(name_of(name)));
    now.iter()
        .map(|(name, change)| (name.clone(), before(name).unwrap_or(change).clone()))
        .collect()
}

/// Has an entry of the map under the key of the other.
fn under_other_key(now: &Changes) -> Changes {
    let [x, y] = ENTRIES;
    let other = |name: &str| match name {
        name if name == x => y.to_owned(),
        name if name == y => x.to_owned(),
        name => name.to_owned(),
    };
    now.iter().map(|(name, change)| (other(name), change.clone())).collect()
}
