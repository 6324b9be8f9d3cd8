//! The only source of chance in a simulation.

/// A small generator (SplitMix64): one seed, one sequence, everywhere and for ever.
///
/// # Example
///
/// ```
/// use sessile_sim::Rng;
///
/// assert_eq!(Rng::new(7).draw(), Rng::new(7).draw());
/// assert_ne!(Rng::new(7).fork(1).draw(), Rng::new(7).fork(2).draw());
/// ```
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// Creates the generator of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Creates a generator of its own for something that is named by a number, so that it draws the
    /// same whatever others draw.
    #[must_use]
    pub const fn fork(&self, name: u64) -> Self {
        Self { state: mix(self.state ^ mix(name.wrapping_add(GOLDEN))) }
    }

    /// Draws 64 bits.
    pub const fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// Draws a number below `bound`; 0 if there is none.
    pub const fn below(&mut self, bound: u64) -> u64 {
        // The bias is one in 2^64 / bound, which no simulation notices.
        match self.draw().checked_rem(bound) {
            Some(number) => number,
            None => 0,
        }
    }

    /// Draws an index of something that has `len` elements.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// Draws a small number below `bound`.
    pub fn small(&mut self, bound: u32) -> u32 {
        u32::try_from(self.below(u64::from(bound))).unwrap_or(0)
    }

    /// Draws whether something with that chance in a hundred happens.
    pub const fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Draws one of several.
    ///
    /// # Panics
    ///
    /// If there is nothing to draw from.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())]
    }

    /// Fills bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.draw().to_le_bytes()[..chunk.len()]);
        }
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

const fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
