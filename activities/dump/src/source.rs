//! A source of bytes that can be read at any place: one shard, wherever it lies.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use wikitok_store::progress::Progress;
use wikitok_store::{Location, StoreError};

use crate::{DumpError, ShardFile};

/// Bytes that can be read at any offset.
pub trait ReadAt: Send + Sync {
    /// How many bytes there are.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads `length` bytes at `offset`, or as many as there are before the end.
    fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, DumpError>;
}

impl ReadAt for Bytes {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, DumpError> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(<[u8]>::len(self));
        let to = from.saturating_add(length).min(<[u8]>::len(self));
        Ok(self.slice(from..to))
    }
}

/// A shard as an object of a [`Location`].
///
/// Reads wait for the storage, so they may only be made on threads that may block. While what was read is
/// being decoded, the next stretch of the same length is on its way: over a network, half of the time would be
/// spent waiting otherwise.
#[derive(Debug)]
pub struct LocationObject {
    location: Location,
    key: String,
    bytes: u64,
    runtime: Handle,
    /// That of the task for which it was opened, whichever thread reads.
    progress: Progress,
    ahead_to: u64,
    ahead: Mutex<Option<Ahead>>,
}

/// A read that nobody has asked for yet.
#[derive(Debug)]
struct Ahead {
    range: Range<u64>,
    reading: JoinHandle<Result<Bytes, StoreError>>,
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl LocationObject {
    /// The shard `shard` of the source `location`, read by way of `runtime`.
    pub fn new(location: Location, shard: &ShardFile, runtime: Handle) -> Self {
        let (key, bytes) = (shard.key.clone(), shard.bytes);
        let (progress, ahead) = (Progress::current(), Mutex::new(None));
        Self { location, key, bytes, runtime, progress, ahead_to: 0, ahead }
    }

    /// The same, reading ahead as far as `offset`.
    #[must_use]
    pub fn ahead_to(self, offset: u64) -> Self {
        Self { ahead_to: offset.min(self.bytes), ..self }
    }

    fn read(&self, range: Range<u64>) -> Result<Bytes, DumpError> {
        let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut ahead) = ahead.filter(|ahead| ahead.range == range) {
            // A read that broke off has told nothing, so it is made anew.
            if let Ok(read) = self.runtime.block_on(&mut ahead.reading) {
                return Ok(read?);
            }
        }
        Ok(self.runtime.block_on(self.progress.of(self.location.get_range(&self.key, range)))?)
    }

    /// Begins to read what follows `range`.
    fn read_ahead(&self, range: &Range<u64>) {
        let next = range.end..(range.end + (range.end - range.start)).min(self.bytes);
        if next.start >= self.ahead_to {
            return;
        }
        let (location, key, wanted) = (self.location.clone(), self.key.clone(), next.clone());
        let progress = self.progress.clone();
        let reading = self.runtime.spawn(async move { progress.of(location.get_range(&key, wanted)).await });
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = Some(Ahead { range: next, reading });
    }
}

impl ReadAt for LocationObject {
    fn len(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, DumpError> {
        let end = offset.saturating_add(length as u64).min(self.bytes);
        if offset >= end {
            return Ok(Bytes::new());
        }
        let bytes = self.read(offset..end)?;
        self.read_ahead(&(offset..end));
        Ok(bytes)
    }
}
