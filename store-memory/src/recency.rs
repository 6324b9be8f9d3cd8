//! Which log of a shard was used last, and which longest ago: a list whose links are slots.
//!
//! A use moves a slot to the end in a few writes, however many there are. An ordered map would
//! answer the same, and cost every load a search.

/// Slots in the order in which they were last used.
#[derive(Debug, Default)]
pub(crate) struct Recency {
    /// By slot. What is here of a slot that is not in the list means nothing.
    links: Vec<Link>,
    oldest: Option<u32>,
    newest: Option<u32>,
}

/// When a slot was last used, counted in uses, and its neighbours.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    used: u64,
    older: Option<u32>,
    newer: Option<u32>,
}

impl Recency {
    /// Notes the first use of a slot that is not in the list.
    pub(crate) fn insert(&mut self, slot: u32, used: u64) {
        let index = slot as usize;
        if self.links.len() <= index {
            self.links.resize(index + 1, Link::default());
        }
        self.links[index] = Link { used, older: self.newest, newer: None };
        match self.newest {
            Some(older) => self.links[older as usize].newer = Some(slot),
            None => self.oldest = Some(slot),
        }
        self.newest = Some(slot);
    }

    /// Notes another use of a slot in the list.
    pub(crate) fn touch(&mut self, slot: u32, used: u64) {
        if self.newest == Some(slot) {
            self.links[slot as usize].used = used;
            return;
        }
        self.remove(slot);
        self.insert(slot, used);
    }

    /// Forgets a slot in the list.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Link { older, newer, .. } = self.links[slot as usize];
        match older {
            Some(older) => self.links[older as usize].newer = newer,
            None => self.oldest = newer,
        }
        match newer {
            Some(newer) => self.links[newer as usize].older = older,
            None => self.newest = older,
        }
    }

    /// Returns the slot that was used longest ago, and when.
    pub(crate) fn oldest(&self) -> Option<(u32, u64)> {
        let slot = self.oldest?;
        Some((slot, self.links[slot as usize].used))
    }
}

#[cfg(test)]
mod tests {
    use super::Recency;

    #[test]
    fn the_list_is_in_the_order_of_the_last_uses() {
        // Every history of four steps over three slots: a slot is inserted, used or removed.
        for history in 0..6_u32.pow(4) {
            let steps = (0..4).map(|step| history / 6_u32.pow(step) % 6);
            let mut model: Vec<(u32, u64)> = Vec::new();
            let mut recency = Recency::default();
            for (step, used) in steps.zip(1..) {
                let (slot, removes) = (step / 2, step % 2 == 1);
                let found = model.iter().position(|(known, _)| *known == slot);
                match (found, removes) {
                    (Some(_), true) => recency.remove(slot),
                    (Some(_), false) => recency.touch(slot, used),
                    (None, true) => continue,
                    (None, false) => recency.insert(slot, used),
                }
                model.retain(|(known, _)| *known != slot);
                model.extend((!removes).then_some((slot, used)));
                assert_eq!(recency.oldest(), model.first().copied());
            }
            for expected in model {
                assert_eq!(recency.oldest(), Some(expected));
                recency.remove(expected.0);
            }
            assert_eq!(recency.oldest(), None);
        }
    }
}
