//! The members of a gzip shard, decoded from a checkpoint on.

use std::sync::Arc;

use crc32fast::Hasher;

use super::checkpoint::{Checkpoint, OpenMember};
use super::header::{self, Header, MAX_HEADER_BYTES};
use super::inflate::{Inflate, InflateError, Output, SLACK, SpareBits, Stop};
use super::{NAME, WINDOW_BYTES};
use crate::window::Window;
use crate::{DumpError, ReadAt};

/// How much is decoded at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// Compressed bytes offered at a time: more than a chunk can come from, so that the decoder runs out of input
/// only where the shard ends. Between blocks it then never holds whole bytes back.
const INPUT_BYTES: usize = 2 * CHUNK_BYTES + 4096;
const TRAILER_BYTES: usize = 8;
/// Where the range may end: the first place between blocks at or after its last compressed byte.
struct Boundary {
    checkpoint: Checkpoint,
    /// Bytes produced when it was reached.
    produced: u64,
}

/// Decodes a range's bytes, and then those after it for as long as it is asked.
pub(crate) struct Members {
    window: Window,
    /// The next compressed byte.
    offset: u64,
    until: u64,
    inflate: Inflate,
    /// The last window of output, then what is being decoded, then room for the decoder to go beyond its end.
    output: Vec<u8>,
    /// Where in it the member's own bytes begin.
    history: usize,
    /// The end of the output so far.
    filled: usize,
    /// Checksum of the open member; `None` between members.
    member: Option<Hasher>,
    length: u32,
    skip: u64,
    produced: u64,
    boundary: Option<Boundary>,
    at_end: bool,
    has_garbage: bool,
}

impl Members {
    /// Begins at `start`, or at the shard's first byte, to consume about `consume_bytes` compressed bytes.
    pub(crate) fn open(source: Arc<dyn ReadAt>, start: Option<&Checkpoint>, consume_bytes: u64) -> Self {
        let beginning = Checkpoint { compressed_offset: 0, skip: 0, member: None };
        let start = start.unwrap_or(&beginning);
        let mut members = Self {
            window: Window::new(source),
            offset: start.compressed_offset,
            until: start.compressed_offset.saturating_add(consume_bytes.max(1)),
            inflate: Inflate::new(SpareBits::default()),
            output: vec![0; WINDOW_BYTES + CHUNK_BYTES + SLACK],
            history: WINDOW_BYTES,
            filled: WINDOW_BYTES,
            member: None,
            length: 0,
            skip: start.skip,
            produced: 0,
            boundary: None,
            at_end: false,
            has_garbage: false,
        };
        if let Some(member) = &start.member {
            members.restore(member);
        }
        members
    }

    /// Uncompressed bytes at the start that belong to the range before.
    pub(crate) fn skip(&self) -> u64 {
        self.skip
    }

    /// How many bytes lie before the place where the range may end, once it is reached.
    pub(crate) fn boundary(&self) -> Option<u64> {
        self.boundary.as_ref().map(|boundary| boundary.produced)
    }

    /// Whether the shard's last member is followed by bytes that begin none.
    pub(crate) fn has_garbage(&self) -> bool {
        self.has_garbage
    }

    /// The checkpoint for a range that begins after `bytes` of the decoded ones.
    pub(crate) fn into_checkpoint(self, bytes: u64) -> Option<Checkpoint> {
        let Boundary { checkpoint, produced } = self.boundary?;
        Some(Checkpoint { skip: bytes.checked_sub(produced)?, ..checkpoint })
    }

    /// Decodes the next bytes into `plain`; `false` at the end of the shard.
    pub(crate) fn next_chunk(&mut self, plain: &mut Vec<u8>) -> Result<bool, DumpError> {
        plain.clear();
        while plain.is_empty() && !self.at_end {
            match self.member {
                None => self.begin_member()?,
                Some(_) => self.inflate_some(plain)?,
            }
        }
        Ok(!plain.is_empty())
    }

    fn begin_member(&mut self) -> Result<(), DumpError> {
        let data = self.window.at(self.offset, MAX_HEADER_BYTES)?;
        if data.is_empty() && self.offset > 0 {
            self.at_end = true;
            return Ok(());
        }
        match header::parse(data) {
            Header::Member(bytes) => {
                let bytes = bytes as u64;
                self.note_boundary(None);
                self.offset += bytes;
                self.inflate.restart();
                self.history = self.filled;
                (self.member, self.length) = (Some(Hasher::new()), 0);
                Ok(())
            }
            Header::Truncated if self.window.source_bytes() - self.offset < MAX_HEADER_BYTES as u64 => {
                Err(self.truncated("a header"))
            }
            Header::None if self.offset > 0 => {
                (self.at_end, self.has_garbage) = (true, true);
                Ok(())
            }
            Header::Truncated | Header::None => Err(self.corrupt("header is not one")),
        }
    }

    fn inflate_some(&mut self, plain: &mut Vec<u8>) -> Result<(), DumpError> {
        self.make_room();
        let input = self.window.at(self.offset, INPUT_BYTES)?;
        let offered = input.len().min(INPUT_BYTES);
        let (history, filled) = (self.history, self.filled);
        let mut output = Output { bytes: &mut self.output, history, filled };
        let decoded = self.inflate.decode(&input[..offered], &mut output);
        let written = output.filled - filled;
        let (stop, read) = decoded.map_err(|error| match error {
            InflateError::Truncated => self.truncated("a member"),
            InflateError::Corrupt(problem) => self.corrupt(problem),
        })?;
        self.offset += read as u64;
        self.take_output(written, plain);
        match stop {
            Stop::Full => Ok(()),
            Stop::Boundary => {
                self.note_boundary(Some(self.inflate.spare()));
                Ok(())
            }
            Stop::End => self.end_member(),
        }
    }

    /// Moves the last window of output to the front once the rest is full.
    fn make_room(&mut self) {
        if self.filled >= WINDOW_BYTES + CHUNK_BYTES {
            let moved = self.filled - WINDOW_BYTES;
            self.output.copy_within(moved..self.filled, 0);
            self.filled = WINDOW_BYTES;
            self.history = self.history.saturating_sub(moved);
        }
    }

    fn take_output(&mut self, written: usize, plain: &mut Vec<u8>) {
        let bytes = &self.output[self.filled..self.filled + written];
        if let Some(hasher) = &mut self.member {
            hasher.update(bytes);
        }
        plain.extend_from_slice(bytes);
        self.filled += written;
        self.length = self.length.wrapping_add(written as u32);
        self.produced += written as u64;
    }

    fn end_member(&mut self) -> Result<(), DumpError> {
        let trailer = self.window.at(self.offset, TRAILER_BYTES)?;
        let fields = trailer.split_first_chunk().and_then(|(crc, rest)| Some((*crc, *rest.first_chunk()?)));
        let Some((crc, length)) = fields else { return Err(self.truncated("a trailer")) };
        let (crc, length) = (u32::from_le_bytes(crc), u32::from_le_bytes(length));
        let actual = self.member.take().map(Hasher::finalize);
        if actual != Some(crc) {
            return Err(self.corrupt("member's checksum is not that of its content"));
        }
        if self.length != length {
            return Err(self.corrupt("member's length is not that of its content"));
        }
        self.offset += TRAILER_BYTES as u64;
        Ok(())
    }

    /// Between two blocks, or with `None` between two members: the first such place after the range's bytes
    /// is where the next range can begin.
    fn note_boundary(&mut self, spare: Option<SpareBits>) {
        if self.offset < self.until || self.boundary.is_some() {
            return;
        }
        let member = spare.map(|spare| OpenMember {
            bits: spare.bits,
            bit_count: spare.count,
            crc: self.member.clone().unwrap_or_default().finalize(),
            length: self.length,
            window: self.output[self.history.max(self.filled - WINDOW_BYTES)..self.filled].to_vec(),
        });
        let checkpoint = Checkpoint { compressed_offset: self.offset, skip: 0, member };
        self.boundary = Some(Boundary { checkpoint, produced: self.produced });
    }

    fn restore(&mut self, member: &OpenMember) {
        self.inflate = Inflate::new(SpareBits { bits: member.bits, count: member.bit_count });
        self.history = WINDOW_BYTES - member.window.len();
        self.output[self.history..WINDOW_BYTES].copy_from_slice(&member.window);
        // The length only matters for joining two checksums, which is not done.
        self.member = Some(Hasher::new_with_initial_len(member.crc, u64::from(member.length)));
        self.length = member.length;
    }

    fn truncated(&self, within: &'static str) -> DumpError {
        DumpError::Truncated { compression: NAME, offset: self.window.source_bytes(), within }
    }

    fn corrupt(&self, problem: &'static str) -> DumpError {
        DumpError::Corrupt { compression: NAME, offset: self.offset, problem }
    }
}
