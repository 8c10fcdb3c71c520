//! The digest of a range's bytes, taken while they are read: over a network, reading them twice costs twice.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use wikitok_dump::{DumpError, ReadAt};

/// Bytes read at once where nobody else asked for them.
const CHUNK_BYTES: u64 = 4 << 20;

/// A source that remembers the digest of what was read of it, from one place on without a gap.
pub(crate) struct Digesting {
    source: Arc<dyn ReadAt>,
    start: Bytes,
    from: u64,
    state: Mutex<State>,
}

struct State {
    hash: Sha256,
    /// The first byte that is not in the hash.
    next: u64,
}

impl Digesting {
    /// Of the bytes from `from` on, with `start` before them.
    pub(crate) fn new(source: Arc<dyn ReadAt>, start: Bytes, from: u64) -> Self {
        let state = Mutex::new(State { hash: Sha256::new_with_prefix(&start), next: from });
        Self { source, start, from, state }
    }

    /// The digest of what was read, and where that ended.
    pub(crate) fn taken(&self) -> (String, u64) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (hex::encode(state.hash.clone().finalize()), state.next)
    }

    /// The digest of the bytes up to `to`, whatever was read. `watch` is called for each chunk; when it gives
    /// `false`, this ends with [`DumpError::Stopped`].
    pub(crate) fn up_to(&self, to: u64, watch: impl Fn() -> bool) -> Result<String, DumpError> {
        let mut state = State { hash: Sha256::new_with_prefix(&self.start), next: self.from };
        state.read_to(&*self.source, to, watch)?;
        Ok(hex::encode(state.hash.finalize()))
    }
}

impl ReadAt for Digesting {
    fn len(&self) -> u64 {
        self.source.len()
    }

    fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, DumpError> {
        let bytes = self.source.read_at(offset, length)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Readers go forward, but may look at a place beyond before they come to it.
        state.read_to(&*self.source, offset, || true)?;
        state.take(offset, &bytes);
        Ok(bytes)
    }
}

impl State {
    /// Takes what of `bytes` is not in the hash yet.
    fn take(&mut self, offset: u64, bytes: &[u8]) {
        let known = usize::try_from(self.next.saturating_sub(offset)).unwrap_or(usize::MAX);
        if let Some(fresh) = bytes.get(known..) {
            self.hash.update(fresh);
            self.next += fresh.len() as u64;
        }
    }

    fn read_to(&mut self, source: &dyn ReadAt, to: u64, watch: impl Fn() -> bool) -> Result<(), DumpError> {
        while self.next < to {
            if !watch() {
                return Err(DumpError::Stopped);
            }
            let chunk = source.read_at(self.next, CHUNK_BYTES.min(to - self.next) as usize)?;
            if chunk.is_empty() {
                break;
            }
            let next = self.next;
            self.take(next, &chunk);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits() -> Digesting {
        Digesting::new(Arc::new(Bytes::from_static(b"0123456789")), Bytes::from_static(b"start"), 2)
    }

    #[test]
    fn every_byte_counts_once_however_it_is_read() {
        let whole = hex::encode(Sha256::digest(b"start234567"));
        for reads in [&[(2, 6)][..], &[(2, 2), (4, 4)], &[(2, 3), (3, 2), (2, 6)], &[(0, 1), (6, 2)]] {
            let source = digits();
            for (offset, length) in reads {
                source.read_at(*offset, *length).unwrap();
            }
            assert_eq!(source.taken(), (whole.clone(), 8), "{reads:?}");
            assert_eq!(source.up_to(8, || true).unwrap(), whole);
        }
    }

    #[test]
    fn the_digest_ends_with_the_source() {
        let source = digits();
        source.read_at(2, 100).unwrap();
        assert_eq!(source.taken(), (source.up_to(100, || true).unwrap(), 10));
        assert_ne!(source.up_to(9, || true).unwrap(), source.up_to(10, || true).unwrap());
        assert!(matches!(source.up_to(9, || false), Err(DumpError::Stopped)));
    }
}
