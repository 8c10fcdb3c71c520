//! Lines of a range's decompressed data, however it arrives in chunks.

use memchr::memchr;

use crate::DumpError;
use crate::range::Decoder;

/// A line without its end.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    /// Where it begins, in bytes from the first of the range's data.
    pub(crate) start: u64,
    /// How many bytes it has.
    pub(crate) length: u64,
    /// Whether they are too many to be held.
    pub(crate) is_too_long: bool,
}

/// Cuts chunks into lines. Holds one chunk.
pub(crate) struct Lines {
    chunk: Vec<u8>,
    at: usize,
    position: u64,
    max_line_bytes: usize,
}

impl Lines {
    pub(crate) fn new(max_line_bytes: usize) -> Self {
        Self { chunk: Vec::new(), at: 0, position: 0, max_line_bytes }
    }

    /// Where the next line begins.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Passes over `bytes` bytes and counts from there; `false` when there are not as many.
    pub(crate) fn skip(&mut self, decoder: &mut Decoder, bytes: u64) -> Result<bool, DumpError> {
        while self.position < bytes {
            let rest = (self.chunk.len() - self.at) as u64;
            let taken = rest.min(bytes - self.position) as usize;
            self.advance(taken);
            if taken == 0 && !self.load(decoder)? {
                return Ok(false);
            }
        }
        self.position = 0;
        Ok(true)
    }

    /// Passes over the end of a line that began before the range; `false` when the range holds no line's end.
    pub(crate) fn skip_line_end(&mut self, decoder: &mut Decoder) -> Result<bool, DumpError> {
        while !decoder.is_past_own(self.position) {
            if let Some(length) = memchr(b'\n', &self.chunk[self.at..]) {
                self.advance(length + 1);
                return Ok(true);
            }
            self.advance(self.chunk.len() - self.at);
            if !decoder.is_past_own(self.position) && !self.load(decoder)? {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Appends the bytes of the next line to `bytes`, unless they are too many; `None` at the end of the shard.
    pub(crate) fn next_line(
        &mut self,
        decoder: &mut Decoder,
        bytes: &mut Vec<u8>,
    ) -> Result<Option<Line>, DumpError> {
        let (start, base) = (self.position, bytes.len());
        let mut length = 0;
        loop {
            let rest = &self.chunk[self.at..];
            let end = memchr(b'\n', rest);
            let piece = &rest[..end.unwrap_or(rest.len())];
            length += piece.len() as u64;
            let is_too_long = length > self.max_line_bytes as u64;
            if is_too_long {
                bytes.truncate(base);
            } else {
                bytes.extend_from_slice(piece);
            }
            self.advance(piece.len() + usize::from(end.is_some()));
            if end.is_some() || !self.load(decoder)? {
                return Ok((self.position > start).then_some(Line { start, length, is_too_long }));
            }
        }
    }

    fn advance(&mut self, bytes: usize) {
        self.at += bytes;
        self.position += bytes as u64;
    }

    fn load(&mut self, decoder: &mut Decoder) -> Result<bool, DumpError> {
        self.at = 0;
        decoder.load(&mut self.chunk)
    }
}
