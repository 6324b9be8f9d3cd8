//! Which log of a shard was used last, and which longest ago: a list whose links are slots.
//!
//! A use moves a slot to the end in a few writes, however many there are. An ordered map would
//! answer the same, and cost every load a search.

/// Slots in the order in which they were last used. They are numbered as in a vector beside it.
#[derive(Debug, Default)]
pub(crate) struct Recency {
    /// By slot.
    links: Vec<Link>,
    oldest: Option<u32>,
    newest: Option<u32>,
}

/// When a slot was last used, counted in uses, and its neighbours.
#[derive(Clone, Copy, Debug)]
struct Link {
    used: u64,
    older: Option<u32>,
    newer: Option<u32>,
}

impl Recency {
    /// Notes the first use of a slot behind the last one.
    pub(crate) fn push(&mut self, used: u64) {
        let slot = u32::try_from(self.links.len()).expect("a shard has fewer than 2^32 slots");
        self.links.push(Link { used, older: None, newer: None });
        self.link_last(slot, used);
    }

    /// Notes another use of a slot.
    pub(crate) fn touch(&mut self, slot: u32, used: u64) {
        if self.newest == Some(slot) {
            self.links[slot as usize].used = used;
            return;
        }
        self.unlink(slot);
        self.link_last(slot, used);
    }

    /// Forgets a slot, whose number the last one takes.
    pub(crate) fn swap_remove(&mut self, slot: u32) {
        self.unlink(slot);
        self.links.swap_remove(slot as usize);
        if let Some(&Link { older, newer, .. }) = self.links.get(slot as usize) {
            self.join(older, Some(slot));
            self.join(Some(slot), newer);
        }
    }

    pub(crate) fn shrink_to(&mut self, slots: usize) {
        self.links.shrink_to(slots);
    }

    /// Returns the slot that was used longest ago, and when.
    pub(crate) fn oldest(&self) -> Option<(u32, u64)> {
        let slot = self.oldest?;
        Some((slot, self.links[slot as usize].used))
    }

    fn link_last(&mut self, slot: u32, used: u64) {
        self.links[slot as usize].used = used;
        self.join(self.newest, Some(slot));
        self.join(Some(slot), None);
    }

    fn unlink(&mut self, slot: u32) {
        let Link { older, newer, .. } = self.links[slot as usize];
        self.join(older, newer);
    }

    /// Makes two slots neighbours; no slot stands for the end of the list.
    fn join(&mut self, older: Option<u32>, newer: Option<u32>) {
        match older {
            Some(older) => self.links[older as usize].newer = newer,
            None => self.oldest = newer,
        }
        match newer {
            Some(newer) => self.links[newer as usize].older = older,
            None => self.newest = older,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Recency;

    #[test]
    fn the_list_is_in_the_order_of_the_last_uses() {
        // Every history of six steps over three slots: one more slot, a use, or a removal.
        for history in 0..7_u32.pow(6) {
            let steps = (0..6).map(|step| history / 7_u32.pow(step) % 7);
            // By slot, when it was used.
            let mut model: Vec<u64> = Vec::new();
            let mut recency = Recency::default();
            for (step, used) in steps.zip(1..) {
                let slot = step % 3;
                match (step / 3, model.get_mut(slot as usize)) {
                    (0, Some(last)) => {
                        *last = used;
                        recency.touch(slot, used);
                    }
                    (1, Some(_)) => {
                        model.swap_remove(slot as usize);
                        recency.swap_remove(slot);
                    }
                    (2, _) => {
                        model.push(used);
                        recency.push(used);
                    }
                    _ => continue,
                }
                assert_eq!(recency.oldest(), oldest(&model));
            }
            while let Some((slot, used)) = oldest(&model) {
                assert_eq!(recency.oldest(), Some((slot, used)));
                model.swap_remove(slot as usize);
                recency.swap_remove(slot);
            }
            assert_eq!(recency.oldest(), None);
        }
    }

    fn oldest(model: &[u64]) -> Option<(u32, u64)> {
        (0..).zip(model.iter().copied()).min_by_key(|(_, used)| *used)
    }
}
