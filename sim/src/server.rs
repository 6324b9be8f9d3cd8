//! The simulated Redis: lists with a ttl, and the scripts as native functions.

use std::collections::BTreeMap;
use std::sync::Arc;

use sessile_core::SessionId;
use sessile_core::log::Stamp;

use crate::command::{Bytes, Command, Reply, WrongCommand};

/// Keeps logs as lists: two elements an entry, body and stamp.
///
/// It has no clock: every command comes with the server's time, in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Server {
    lists: BTreeMap<SessionId, List>,
}

#[derive(Clone, Debug)]
struct List {
    elements: Vec<Bytes>,
    /// `None` lives for ever.
    expires_at: Option<u64>,
}

impl Server {
    /// Executes one command as a whole.
    pub fn execute(&mut self, id: SessionId, command: &Command, now: u64) -> Reply {
        self.expire(id, now);
        match command {
            Command::Range { from } => Reply::Elements(self.range(id, *from)),
            Command::Pttl => Reply::Number(self.pttl(id, now)),
            Command::Pexpire { ttl } => Reply::Number(self.pexpire(id, now + ttl)),
            Command::PushX { body, stamp } => Reply::Number(self.push_x(id, body, *stamp)),
            Command::Del => Reply::Number(i64::from(self.lists.remove(&id).is_some())),
            Command::Create { body, stamp, ttl } => {
                Reply::Number(self.create(id, body, *stamp, Some(now + ttl)))
            }
            Command::AppendAt { expected, body, stamp, ttl } => {
                let Some(list) = self.lists.get_mut(&id) else { return Reply::Number(-1) };
                if !list.has_at(list.elements.len(), *expected) {
                    return Reply::Number(0);
                }
                list.expires_at = ttl.map(|ttl| now + ttl).or(list.expires_at);
                Reply::Number(self.push_x(id, body, *stamp))
            }
            Command::AppendBehind { expected, body, stamp, ttl } => {
                let Some(list) = self.lists.get_mut(&id) else { return Reply::Number(0) };
                let is_late = !list.has_at(list.elements.len(), *expected);
                if !is_late {
                    list.expires_at = Some(now + ttl);
                }
                let length = self.push_x(id, body, *stamp);
                Reply::Number(if is_late { -length } else { length })
            }
            Command::StampBefore => {
                let elements = self.lists.get(&id).map_or(&[][..], |list| &list.elements);
                let before = elements.len().checked_sub(3).map(|at| Arc::clone(&elements[at]));
                Reply::Elements(before.into_iter().collect())
            }
            Command::TouchAt { expected, ttl } => {
                let Some(list) = self.lists.get_mut(&id) else { return Reply::Number(-1) };
                if !list.has_at(list.elements.len(), *expected) {
                    return Reply::Number(0);
                }
                list.expires_at = Some(now + ttl);
                Reply::Number(1)
            }
            Command::Compact { elements, expected, body } => {
                let Some(list) = self.lists.get_mut(&id) else { return Reply::Number(0) };
                if !list.has_at(*elements, *expected) {
                    return Reply::Number(0);
                }
                list.compact(*elements, body);
                Reply::Number(1)
            }
            Command::Wrong(wrong) => self.execute_wrong(id, wrong, now),
        }
    }

    fn execute_wrong(&mut self, id: SessionId, command: &WrongCommand, now: u64) -> Reply {
        match command {
            WrongCommand::Push { body, stamp } => {
                let expires_at = Some(now + 1_000);
                self.lists.entry(id).or_insert(List { elements: Vec::new(), expires_at });
                Reply::Number(self.push_x(id, body, *stamp))
            }
            WrongCommand::PushHalf { element, .. } => {
                let Some(list) = self.lists.get_mut(&id) else { return Reply::Number(0) };
                list.elements.push(Arc::clone(element));
                Reply::Number(length(&list.elements))
            }
            WrongCommand::CreateBare { body, stamp } => {
                Reply::Number(self.create(id, body, *stamp, None))
            }
            WrongCommand::PexpireAt { at, .. } => {
                let found = self.pexpire(id, *at);
                self.expire(id, now);
                Reply::Number(found)
            }
            WrongCommand::Rewrite { body, stamp, ttl } => {
                self.lists.remove(&id);
                self.create(id, body, *stamp, Some(now + ttl));
                Reply::Number(1)
            }
            WrongCommand::CompactLonger { elements, stamp, body } => {
                let Some(list) = self.lists.get_mut(&id) else { return Reply::Number(0) };
                if list.elements.len() < *elements {
                    return Reply::Number(0);
                }
                list.elements[*elements - 1] = stamp.encode().into();
                list.compact(*elements, body);
                Reply::Number(1)
            }
            WrongCommand::CompactAnew { elements, expected, body } => {
                let Some(list) = self.lists.get_mut(&id) else { return Reply::Number(0) };
                if !list.has_at(*elements, *expected) {
                    return Reply::Number(0);
                }
                list.compact(*elements, body);
                list.expires_at = None;
                Reply::Number(1)
            }
        }
    }

    /// Returns the logs there are, with the time each ends, if it does.
    pub fn logs(&mut self, now: u64) -> Vec<(SessionId, Option<u64>)> {
        self.lists.retain(|_, list| list.expires_at.is_none_or(|at| at > now));
        self.lists.iter().map(|(id, list)| (*id, list.expires_at)).collect()
    }

    /// Returns when a log ends, if there is one and it does.
    #[must_use]
    pub fn expires_at(&self, id: SessionId) -> Option<Option<u64>> {
        self.lists.get(&id).map(|list| list.expires_at)
    }

    /// Drops a log to make room.
    pub fn evict(&mut self, id: SessionId) -> bool {
        self.lists.remove(&id).is_some()
    }

    /// Flips one bit of one element and reports whether there was one.
    pub fn corrupt(&mut self, id: SessionId, element: u64, bit: u64) -> bool {
        let Some(list) = self.lists.get_mut(&id) else { return false };
        let nth = |number: u64, len: usize| usize::try_from(number % len as u64).unwrap_or(0);
        let element = nth(element, list.elements.len());
        let mut bytes = list.elements[element].to_vec();
        let byte = nth(bit / 8, bytes.len());
        bytes[byte] ^= 1 << (bit % 8);
        list.elements[element] = bytes.into();
        true
    }

    fn range(&self, id: SessionId, from: usize) -> Vec<Bytes> {
        let list = self.lists.get(&id);
        list.and_then(|list| list.elements.get(from..)).map(<[Bytes]>::to_vec).unwrap_or_default()
    }

    fn pttl(&self, id: SessionId, now: u64) -> i64 {
        match self.lists.get(&id) {
            None => -2,
            Some(List { expires_at: None, .. }) => -1,
            Some(List { expires_at: Some(at), .. }) => i64::try_from(at - now).unwrap_or(i64::MAX),
        }
    }

    fn pexpire(&mut self, id: SessionId, at: u64) -> i64 {
        let Some(list) = self.lists.get_mut(&id) else { return 0 };
        list.expires_at = Some(at);
        1
    }

    fn push_x(&mut self, id: SessionId, body: &Bytes, stamp: Stamp) -> i64 {
        let Some(list) = self.lists.get_mut(&id) else { return 0 };
        list.elements.extend([Arc::clone(body), stamp.encode().into()]);
        length(&list.elements)
    }

    fn create(&mut self, id: SessionId, body: &Bytes, stamp: Stamp, until: Option<u64>) -> i64 {
        if let Some(list) = self.lists.get(&id) {
            let is_same = list.elements.get(1).is_some_and(|first| {
                Stamp::decode(first).is_ok_and(|first| first.commit == stamp.commit)
            });
            return if is_same { 2 } else { 0 };
        }
        let elements = vec![Arc::clone(body), stamp.encode().into()];
        self.lists.insert(id, List { elements, expires_at: until });
        1
    }

    fn expire(&mut self, id: SessionId, now: u64) {
        if self.lists.get(&id).is_some_and(|list| list.expires_at.is_some_and(|at| at <= now)) {
            self.lists.remove(&id);
        }
    }
}

impl List {
    /// Reports whether the last of so many elements is that stamp.
    fn has_at(&self, elements: usize, stamp: Stamp) -> bool {
        let last = elements.checked_sub(1).and_then(|last| self.elements.get(last));
        last.is_some_and(|last| **last == stamp.encode())
    }

    fn compact(&mut self, elements: usize, body: &Bytes) {
        self.elements[elements - 2] = Arc::clone(body);
        self.elements.drain(..elements - 2);
    }
}

fn length(elements: &[Bytes]) -> i64 {
    i64::try_from(elements.len()).unwrap_or(i64::MAX)
}
