//! Lines of a range's decompressed data, however it arrives in chunks.

use memchr::memchr;

use crate::DumpError;
use crate::range::Decoder;

/// Lines of up to this many bytes share one buffer.
const ORDINARY_LINE_BYTES: usize = 1 << 20;

/// A line without its end.
pub(crate) struct Line<'a> {
    /// Where it begins, in bytes from the first of the range's data.
    pub(crate) start: u64,
    /// Its bytes, or how many there are when they are too many to hold.
    pub(crate) content: Result<&'a [u8], u64>,
}

/// Cuts chunks into lines. Holds one chunk, and the beginning of a line that goes on in the next.
pub(crate) struct Lines {
    chunk: Vec<u8>,
    at: usize,
    position: u64,
    partial: Vec<u8>,
    max_line_bytes: usize,
}

/// Where the bytes of a line are.
enum Found {
    Chunk(usize, usize),
    Partial,
    TooLong(u64),
    Nothing,
}

impl Lines {
    pub(crate) fn new(max_line_bytes: usize) -> Self {
        Self { chunk: Vec::new(), at: 0, position: 0, partial: Vec::new(), max_line_bytes }
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

    /// The next line; `None` at the end of the shard.
    pub(crate) fn next_line(&mut self, decoder: &mut Decoder) -> Result<Option<Line<'_>>, DumpError> {
        let start = self.position;
        let content = match self.find_line(decoder)? {
            Found::Chunk(from, to) => Ok(&self.chunk[from..to]),
            Found::Partial => Ok(&self.partial[..]),
            Found::TooLong(bytes) => Err(bytes),
            Found::Nothing => return Ok(None),
        };
        Ok(Some(Line { start, content }))
    }

    /// Lets go of the memory of a line that was out of the ordinary, once it is read.
    pub(crate) fn let_go(&mut self) {
        if self.partial.capacity() > ORDINARY_LINE_BYTES {
            self.partial = Vec::new();
        }
    }

    fn find_line(&mut self, decoder: &mut Decoder) -> Result<Found, DumpError> {
        let (start, from) = (self.position, self.at);
        self.partial.clear();
        if let Some(length) = memchr(b'\n', &self.chunk[self.at..]) {
            self.advance(length + 1);
            let is_too_long = length > self.max_line_bytes;
            return Ok(if is_too_long {
                Found::TooLong(length as u64)
            } else {
                Found::Chunk(from, from + length)
            });
        }
        while !self.gather(start) {
            if !self.load(decoder)? {
                return Ok(if self.position == start {
                    Found::Nothing
                } else {
                    self.gathered(self.position - start)
                });
            }
        }
        Ok(self.gathered(self.position - 1 - start))
    }

    /// Moves the chunk's bytes up to the end of the line to `partial`; `false` when there is no end.
    fn gather(&mut self, start: u64) -> bool {
        let rest = &self.chunk[self.at..];
        let end = memchr(b'\n', rest);
        let bytes = &rest[..end.unwrap_or(rest.len())];
        let gathered = (self.position - start) as usize + bytes.len();
        if gathered <= self.max_line_bytes {
            self.partial.extend_from_slice(bytes);
        } else {
            self.partial = Vec::new();
        }
        self.advance(bytes.len() + usize::from(end.is_some()));
        end.is_some()
    }

    fn gathered(&self, length: u64) -> Found {
        if length > self.max_line_bytes as u64 { Found::TooLong(length) } else { Found::Partial }
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
