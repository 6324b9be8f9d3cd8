//! What a type is given to read when its shape is looked at.
//!
//! A place that refuses a sample gets another. The lists may grow and change their order: fingerprints
//! are made of questions and not of answers.

use alloc::vec::Vec;
use core::any;

/// Where in a type something is read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Place {
    /// The name of the visitor that reads it, which tells types of one name apart.
    pub(super) of: &'static str,
    pub(super) variant: usize,
    pub(super) index: usize,
}

impl Place {
    /// The first thing a visitor reads.
    pub(super) fn of<V>() -> Self {
        Self { of: any::type_name::<V>(), ..Self::default() }
    }
}

/// Which sample each place gets.
#[derive(Default)]
pub(super) struct Samples {
    /// The places that do not get their first.
    numbers: Vec<(Place, usize)>,
    /// The places that were given a sample in this run, and how many there are for each.
    asked: Vec<(Place, usize)>,
    /// The first of those that may have been refused last.
    suspects: usize,
    /// How many samples were given in this run, and how many things read to their end.
    reach: usize,
    search: Option<Search>,
}

/// What is tried to get beyond a refusal: at one place after the other, the last first, all samples.
struct Search {
    /// How far a run came until the refusal.
    reach: usize,
    /// The places not tried yet, and the one that is.
    places: Vec<(Place, usize)>,
    /// What the last of them had before.
    before: Option<usize>,
}

impl Samples {
    /// Begins a run.
    pub(super) fn begin(&mut self) {
        self.asked.clear();
        self.suspects = 0;
        self.reach = 0;
    }

    /// Chooses a sample for a place.
    pub(super) fn answer<A: Copy>(&mut self, place: Place, samples: &[A]) -> A {
        self.suspects = self.asked.len();
        self.reach += 1;
        self.asked.push((place, samples.len()));
        let known = self.numbers.iter().find(|(known, _)| *known == place);
        samples[known.map_or(0, |(_, number)| *number).min(samples.len() - 1)]
    }

    /// Remembers where something begins.
    pub(super) const fn mark(&self) -> usize {
        self.asked.len()
    }

    /// Says that something was read from the mark on: if it is refused now, it is for what it holds.
    pub(super) const fn suspect(&mut self, mark: usize) {
        self.suspects = mark;
        self.reach += 1;
    }

    /// Says that the next run is another one.
    pub(super) fn forget(&mut self) {
        self.search = None;
    }

    /// Takes another sample for what was refused last, and reports whether there is one. The next run
    /// must be the same up to there.
    pub(super) fn try_another(&mut self) -> bool {
        let reach = self.reach;
        let search = match &mut self.search {
            Some(search) if reach <= search.reach => search,
            beyond => beyond.insert(Search::new(reach, &self.asked[self.suspects..])),
        };
        while let Some(&(place, count)) = search.places.last() {
            let known = self.numbers.iter().position(|(known, _)| *known == place);
            let known = known.unwrap_or_else(|| {
                self.numbers.push((place, 0));
                self.numbers.len() - 1
            });
            let number = &mut self.numbers[known].1;
            let before = *search.before.get_or_insert(*number);
            *number += 1;
            if *number < count {
                return true;
            }
            *number = before;
            search.before = None;
            search.places.pop();
        }
        false
    }
}

impl Search {
    fn new(reach: usize, suspects: &[(Place, usize)]) -> Self {
        let mut places = Vec::new();
        for suspect in suspects {
            if !places.contains(suspect) {
                places.push(*suspect);
            }
        }
        Self { reach, places, before: None }
    }
}

pub(super) const BOOLS: &[bool] = &[false, true];

/// Clipped to the type: too large a number is its largest, and -1 is that of a type without sign.
pub(super) const NUMBERS: &[i32] =
    &[0, 1, 2, 3, 5, 10, 16, 20, 32, 64, 100, 256, 1000, 2000, 10_000, 1_000_000, -1];

pub(super) const FLOATS: &[f32] = &[0.0, 1.0, 2.0, 0.5, 10.0, 100.0, -1.0];

pub(super) const CHARS: &[char] = &['a', 'b', 'c', 'A', 'X', '0', '1', '-', '.', '/', ' '];

pub(super) const BYTES: &[&[u8]] = &[
    &[],
    &[0],
    &[0; 16],
    &[0; 32],
    &[0; 64],
    &[0; 4],
    &[0; 8],
    &[0; 12],
    &[0; 20],
    &[0; 24],
    &[0; 28],
    &[0; 48],
    &[0; 33],
    &[0; 65],
    &[0; 96],
    &[0; 128],
    b"a",
];

/// How many elements a sequence or map has.
pub(super) const LENGTHS: &[usize] = &[1, 2, 3, 4, 8, 16, 32];

pub(super) const TEXTS: &[&str] = &[
    "",
    "1",
    "1970-01-01T00:00:00Z",
    // What is met most.
    "a",
    "user@example.com",
    "https://example.com/",
    "1970-01-01",
    "67e55044-10b1-426f-9247-bb680e5fe0c8",
    "127.0.0.1",
    "1.0.0",
    "en",
    "example",
    // Names.
    "A",
    "abc",
    "ABC",
    "Ada",
    "user_name1",
    "key-name",
    "Password-1234",
    "a b",
    "Europe/Berlin",
    "UTC",
    // The net.
    "example.com",
    "/",
    "/path",
    "::1",
    "127.0.0.1:80",
    "[::1]:80",
    "127.0.0.0/8",
    "::/0",
    "00:00:5e:00:53:01",
    "text/plain",
    "GET",
    "+12025550100",
    // Times.
    "00:00:00",
    "00:00",
    "1970-01-01T00:00:00",
    "1970-01-01 00:00:00",
    "1970-01-01T00:00:00+00:00",
    "1970-01-01T00:00:00+00:00[UTC]",
    "Thu, 01 Jan 1970 00:00:00 +0000",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "1970-01",
    "+00:00",
    "PT1S",
    "1s",
    "Monday",
    "Mon",
    "January",
    // Languages, countries and currencies.
    "en-US",
    "en_US",
    "US",
    "USD",
    "USA",
    // Numbers and versions.
    "-1",
    "0.5",
    "10",
    "100",
    "1234",
    "12345",
    "123456",
    "1.0",
    "1/2",
    "10.00 USD",
    "true",
    // Identifiers and digests: UUID, ULID, and hex and base64 of the usual lengths.
    "67e5504410b1426f9247bb680e5fe0c8",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "00",
    "0x0",
    "#000000",
    "00000000",
    "0000000000000000",
    "000000000000000000000000",
    "0000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "AAAA",
    "AAAAAAAAAAAAAAAAAAAAAA==",
    "AAAAAAAAAAAAAAAAAAAAAA",
    "urn:isbn:0451450523",
    "4111111111111111",
    "DE89370400440532013000",
    // Notations.
    "{}",
    "[]",
    "a=1",
    "a:b",
    "a, b",
    "*",
];
