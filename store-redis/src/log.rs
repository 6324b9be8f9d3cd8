//! From the elements of a log to a record. Each entry is a body and a stamp; the first body is a
//! snapshot, the others are deltas. Nothing here knows which store they came from.

use std::sync::Arc;

use sessile_core::log::{DecodeError, Delta, Fold, Record, Stamp};
use sessile_core::store::{Compact, Position};

/// A log, folded into a record.
#[derive(Clone, Debug)]
pub(crate) struct FoldedLog {
    pub(crate) record: Arc<Record>,
    pub(crate) position: Position,
    /// The size of the deltas behind the snapshot and of their stamps, in bytes.
    pub(crate) tail_bytes: usize,
}

/// Why a log cannot be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Unreadable {
    /// The element that cannot be read, counted from 0.
    pub(crate) element: usize,
    pub(crate) source: DecodeError,
}

impl FoldedLog {
    /// Folds a whole log. Returns `None` if there are no elements.
    pub(crate) fn read(elements: Vec<Vec<u8>>) -> Result<Option<Self>, Unreadable> {
        let mut elements = elements.into_iter();
        let Some(snapshot) = elements.next() else { return Ok(None) };
        let record = Record::decode(snapshot).map_err(|source| unreadable(0, source))?;
        let stamp = elements.next().ok_or_else(|| unreadable(1, DecodeError::Truncated))?;
        let stamp = Stamp::decode(&stamp).map_err(|source| unreadable(1, source))?;
        let start =
            Self { record: Arc::new(record), position: Position::new(1, stamp), tail_bytes: 0 };
        start.followed_by(elements, 2).map(Some)
    }

    /// Folds what was appended since. The first element is the stamp of the last entry known.
    /// Returns `None` if it is another stamp: then the log is another one by now.
    pub(crate) fn read_behind(&self, elements: Vec<Vec<u8>>) -> Result<Option<Self>, Unreadable> {
        let mut elements = elements.into_iter();
        let same = elements.next().is_some_and(|stamp| stamp == self.position.stamp().encode());
        same.then(|| self.clone().followed_by(elements, self.elements())).transpose()
    }

    /// Returns what a log is known to hold after a compaction, until the next load tells what came
    /// behind it.
    pub(crate) fn compacted(compact: &Compact) -> Self {
        let position = Position::new(1, compact.position.stamp());
        Self { record: Arc::clone(&compact.record), position, tail_bytes: 0 }
    }

    /// Returns the number of elements that are folded in.
    fn elements(&self) -> usize {
        usize::try_from(self.position.entries()).unwrap_or(usize::MAX).saturating_mul(2)
    }

    fn followed_by(
        self,
        mut elements: impl Iterator<Item = Vec<u8>>,
        first: usize,
    ) -> Result<Self, Unreadable> {
        let Self { record, position, mut tail_bytes } = self;
        let (mut deltas, mut last) = (Vec::new(), position.stamp());
        while let Some(body) = elements.next() {
            let at = first.saturating_add(deltas.len() * 2);
            let delta = Delta::decode(&body).map_err(|source| unreadable(at, source))?;
            let stamp =
                elements.next().ok_or_else(|| unreadable(at + 1, DecodeError::Truncated))?;
            last = Stamp::decode(&stamp).map_err(|source| unreadable(at + 1, source))?;
            tail_bytes += body.len() + stamp.len();
            deltas.push((delta, last.attempt));
        }
        let entries = position.entries() + deltas.len() as u64;
        let record = Fold::whole(record, &deltas);
        Ok(Self { record, position: Position::new(entries, last), tail_bytes })
    }
}

const fn unreadable(element: usize, source: DecodeError) -> Unreadable {
    Unreadable { element, source }
}

#[cfg(test)]
pub(crate) mod tests {
    use sessile_core::log::{Change, CommitId};
    use sessile_core::{SessionId, Timestamp, Token, Ttl};

    use super::*;

    pub(crate) fn stamp(number: u8) -> Stamp {
        Stamp::first(CommitId::from_bytes([number; 16]))
    }

    pub(crate) fn record() -> Record {
        let verifier = Token::from_parts(SessionId::from_bytes([0; 16]), [0; 16]).verifier();
        Record::new(Timestamp::from_millis(1), Ttl::MAX, None, verifier, stamp(0).commit)
    }

    pub(crate) fn delta(number: u8) -> Delta {
        Delta::new(stamp(number).commit, 0, [("n".into(), Change::Add(i64::from(number)))])
    }

    /// Returns a log with one attribute of that many bytes.
    pub(crate) fn log_of(bytes: usize) -> FoldedLog {
        let value =
            sessile_core::log::Value::new(sessile_core::log::Codec::POSTCARD, &vec![7; bytes]);
        let delta = Delta::new(stamp(1).commit, 0, [("n".into(), Change::Set(value))]);
        let mut elements = elements(0);
        elements.push(delta.encode());
        elements.push(stamp(1).encode().to_vec());
        FoldedLog::read(elements).unwrap().unwrap()
    }

    pub(crate) fn elements(deltas: u8) -> Vec<Vec<u8>> {
        let mut elements = vec![record().snapshot().unwrap().to_vec(), stamp(0).encode().to_vec()];
        for number in 1..=deltas {
            elements.push(delta(number).encode());
            elements.push(stamp(number).encode().to_vec());
        }
        elements
    }

    #[test]
    fn a_log_is_its_snapshot_with_its_deltas_folded_in() {
        assert!(FoldedLog::read(Vec::new()).unwrap().is_none());
        let folded = FoldedLog::read(elements(3)).unwrap().unwrap();
        assert_eq!(folded.record.get("n").unwrap().counter(), Some(6));
        assert_eq!(folded.position, Position::new(4, stamp(3)));
        assert_eq!(folded.tail_bytes, (delta(1).encode().len() + Stamp::LEN) * 3);
    }

    #[test]
    fn what_was_appended_is_folded_on_top_of_a_known_record() {
        for known in 0..=3 {
            let first = FoldedLog::read(elements(known)).unwrap().unwrap();
            let behind = elements(3).split_off(usize::from(known) * 2 + 1);
            let both = first.read_behind(behind).unwrap().unwrap();
            let whole = FoldedLog::read(elements(3)).unwrap().unwrap();
            assert_eq!(both.record, whole.record);
            assert_eq!(both.position, whole.position);
            assert_eq!(both.tail_bytes, whole.tail_bytes);
        }
    }

    #[test]
    fn a_log_that_does_not_go_on_from_the_known_stamp_is_another_log() {
        let known = FoldedLog::read(elements(2)).unwrap().unwrap();
        assert!(known.read_behind(Vec::new()).unwrap().is_none());
        assert!(known.read_behind(elements(3).split_off(3)).unwrap().is_none());
        assert!(known.read_behind(elements(3).split_off(4)).unwrap().is_none());
    }

    #[test]
    fn anything_else_is_an_error_that_names_the_element() {
        let at = |elements| match FoldedLog::read(elements) {
            Err(Unreadable { element, source }) => (element, source),
            other => panic!("expected an error, found {other:?}"),
        };
        for cut in [1, 3, 5] {
            assert_eq!(at(elements(2)[..cut].to_vec()), (cut, DecodeError::Truncated));
        }
        for damaged in 0..6 {
            let mut elements = elements(2);
            elements[damaged].pop();
            assert_eq!(at(elements).0, damaged);
        }
        for newer in [0, 2, 4] {
            let mut elements = elements(2);
            elements[newer][1] += 1;
            let version = elements[newer][1];
            assert_eq!(at(elements), (newer, DecodeError::NewerFormat { version }));
        }
        let mut second_snapshot = elements(1);
        second_snapshot.extend(elements(0));
        assert_eq!(at(second_snapshot), (4, DecodeError::WrongKind));
    }

    #[test]
    fn every_changed_bit_is_found() {
        for element in [0, 2] {
            let whole = elements(1);
            for bit in 0..whole[element].len() * 8 {
                let mut elements = whole.clone();
                elements[element][bit / 8] ^= 1 << (bit % 8);
                assert!(FoldedLog::read(elements).is_err(), "bit {bit} of element {element}");
            }
        }
    }
}
