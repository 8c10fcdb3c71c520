//! A source of bytes that can be read at any place: one shard, wherever it lies.

use bytes::Bytes;
use tokio::runtime::Handle;
use wikitok_store::Location;

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
/// Reads wait for the storage, so they may only be made on threads that may block.
#[derive(Clone, Debug)]
pub struct LocationObject {
    location: Location,
    key: String,
    bytes: u64,
    runtime: Handle,
}

impl LocationObject {
    /// The shard `shard` of the source `location`, read by way of `runtime`.
    pub fn new(location: Location, shard: &ShardFile, runtime: Handle) -> Self {
        Self { location, key: shard.key.clone(), bytes: shard.bytes, runtime }
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
        Ok(self.runtime.block_on(self.location.get_range(&self.key, offset..end))?)
    }
}
