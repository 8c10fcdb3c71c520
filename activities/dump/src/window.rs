//! A window on a shard's compressed bytes: a stretch held in memory that only moves forward.

use std::sync::Arc;

use crate::{DumpError, ReadAt};

/// How much is asked of the source at a time. Object storage answers small reads as slowly as large ones.
const READ_BYTES: usize = 4 << 20;

/// The bytes `[base, base + data.len())` of a source.
pub(crate) struct Window {
    source: Arc<dyn ReadAt>,
    source_bytes: u64,
    base: u64,
    data: Vec<u8>,
}

impl Window {
    pub(crate) fn new(source: Arc<dyn ReadAt>) -> Self {
        let source_bytes = source.len();
        Self { source, source_bytes, base: 0, data: Vec::new() }
    }

    /// Size of the whole source.
    pub(crate) fn source_bytes(&self) -> u64 {
        self.source_bytes
    }

    /// At least `length` bytes from `offset`, or all that there are before the end of the source.
    ///
    /// Bytes before `offset` are forgotten once more must be read: asking for them again reads them again.
    pub(crate) fn at(&mut self, offset: u64, length: usize) -> Result<&[u8], DumpError> {
        let wanted_end = offset.saturating_add(length as u64).min(self.source_bytes);
        if offset < self.base || wanted_end > self.end() {
            self.fill(offset, wanted_end)?;
        }
        let start = (offset - self.base).min(self.data.len() as u64) as usize;
        Ok(&self.data[start..])
    }

    fn end(&self) -> u64 {
        self.base + self.data.len() as u64
    }

    fn fill(&mut self, offset: u64, wanted_end: u64) -> Result<(), DumpError> {
        if offset < self.base || offset >= self.end() {
            self.data.clear();
        } else {
            self.data.drain(..(offset - self.base) as usize);
        }
        self.base = offset;
        while self.end() < wanted_end {
            self.read_more()?;
        }
        Ok(())
    }

    fn read_more(&mut self) -> Result<(), DumpError> {
        let offset = self.end();
        let wanted = READ_BYTES.min((self.source_bytes - offset) as usize);
        let bytes = self.source.read_at(offset, wanted)?;
        if bytes.len() != wanted {
            return Err(DumpError::ShortRead { offset, wanted, got: bytes.len() });
        }
        self.data.extend_from_slice(&bytes);
        Ok(())
    }
}
