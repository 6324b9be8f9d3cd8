//! Stored bytes, read from the front. `None` is a refusal.

use super::wire::{self, TEXT_MAX, TTL_MAX};

/// How long a session lives, as bytes say it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Lifetime {
    /// 1 for an idle timeout and 2 for a deadline of its own.
    pub(crate) own: u8,
    pub(crate) idle_timeout: u64,
    pub(crate) deadline: Option<u64>,
}

impl Lifetime {
    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.push(self.own);
        wire::varint(out, self.idle_timeout);
        wire::time(out, self.deadline);
    }
}

/// Stored bytes, read from the front.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.bytes[self.at..].get(..len)?;
        self.at += len;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Reads an integer, which has one spelling: no byte too many.
    pub(super) fn varint(&mut self) -> Option<u64> {
        let start = self.at;
        let mut value = 0_u128;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            value |= u128::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                let value = u64::try_from(value).ok()?;
                let mut canonical = Vec::new();
                wire::varint(&mut canonical, value);
                return (canonical == self.bytes[start..self.at]).then_some(value);
            }
        }
        None
    }

    pub(super) fn len(&mut self, max: u64) -> Option<usize> {
        let len = self.varint()?;
        (len <= max).then(|| usize::try_from(len).ok())?
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let len = self.len(TEXT_MAX)?;
        String::from_utf8(self.take(len)?.to_vec()).ok()
    }

    /// Reads something behind a byte that says whether it is there.
    pub(super) fn time(&mut self) -> Option<Option<u64>> {
        match self.byte()? {
            0 => Some(None),
            1 => self.varint().map(Some),
            _ => None,
        }
    }

    pub(super) fn lifetime(&mut self) -> Option<Lifetime> {
        let own = self.byte().filter(|flags| *flags < 4)?;
        let idle_timeout = self.varint().filter(|ttl| (1..=TTL_MAX).contains(ttl))?;
        Some(Lifetime { own, idle_timeout, deadline: self.time()? })
    }

    /// Accepts what was read if nothing is left.
    pub(super) fn end(&self) -> Option<()> {
        (self.at == self.bytes.len()).then_some(())
    }
}
