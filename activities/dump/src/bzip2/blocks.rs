//! The blocks of one range: those that begin in it, and those after it that finish its last record.

use std::sync::Arc;

use super::bits::BitReader;
use super::block::{BlockDecoder, BlockError, MAX_COMPRESSED_BYTES};
use super::{BLOCK_MAGIC, END_MAGIC, MAGIC_BITS, NAME, scan};
use crate::chain::BlockChain;
use crate::plan::ByteRange;
use crate::window::Window;
use crate::{DumpError, ReadAt};

/// Size of `BZh` and the level.
const STREAM_HEADER_BYTES: u64 = 4;

/// What follows a block.
enum Link {
    /// A block whose magic number begins at this bit.
    Block(u64),
    /// The end of the shard.
    End,
    /// After a whole stream, bytes that begin no stream.
    Garbage,
}

/// Decodes a range's blocks, and then those after it for as long as it is asked.
pub(crate) struct Blocks {
    window: Window,
    decoder: BlockDecoder,
    to_bit: u64,
    /// Where the next block begins.
    next: Option<u64>,
    /// The first block's content, decoded to know that it is a block.
    first: Option<Vec<u8>>,
    chain: BlockChain,
    produced: u64,
    own_end: Option<u64>,
    has_garbage: bool,
}

impl Blocks {
    /// Finds the first block of `range`.
    pub(crate) fn open(source: Arc<dyn ReadAt>, range: ByteRange) -> Result<Self, DumpError> {
        let mut blocks = Self {
            window: Window::new(source),
            decoder: BlockDecoder::new(),
            to_bit: range.to.saturating_mul(8),
            next: None,
            first: None,
            chain: BlockChain { starts_shard: range.from == 0, ..BlockChain::default() },
            produced: 0,
            own_end: None,
            has_garbage: false,
        };
        match range.from {
            0 => blocks.start_shard()?,
            from => blocks.find_first(from.saturating_mul(8))?,
        }
        Ok(blocks)
    }

    /// Decodes the next block into `plain`; `false` at the end of the shard.
    pub(crate) fn next_block(&mut self, plain: &mut Vec<u8>) -> Result<bool, DumpError> {
        if let Some(first) = self.first.take() {
            *plain = first;
            return Ok(true);
        }
        let Some(bit) = self.next else { return Ok(false) };
        let (crc, end) = self.decode(bit, plain).map_err(|error| self.at(bit, error))?;
        self.accept(bit, crc, end, plain.len())?;
        Ok(true)
    }

    /// How many bytes the range's own blocks hold, once they are all decoded.
    pub(crate) fn own_end(&self) -> Option<u64> {
        self.own_end
    }

    /// Whether the shard's last block is the range's, and is followed by bytes that begin no stream.
    pub(crate) fn has_garbage(&self) -> bool {
        self.has_garbage
    }

    /// What the range contributes to the proof of the whole. Complete once [`Self::own_end`] is known.
    pub(crate) fn into_chain(self) -> BlockChain {
        self.chain
    }

    fn start_shard(&mut self) -> Result<(), DumpError> {
        match self.window.at(0, STREAM_HEADER_BYTES as usize)? {
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => self.follow(STREAM_HEADER_BYTES * 8),
            header if header.len() < STREAM_HEADER_BYTES as usize => Err(self.at(0, BlockError::Truncated)),
            _ => Err(self.at(0, BlockError::Corrupt("stream does not begin like one"))),
        }
    }

    /// The first place in the range where a magic number is followed by a block that decodes.
    fn find_first(&mut self, from_bit: u64) -> Result<(), DumpError> {
        let mut failure = None;
        let mut from = from_bit;
        let mut plain = Vec::new();
        while let Some(bit) = scan::find_magic(&mut self.window, from, self.to_bit)? {
            match self.decode(bit, &mut plain) {
                Ok((crc, end)) => {
                    self.accept(bit, crc, end, plain.len())?;
                    self.first = Some(plain);
                    return Ok(());
                }
                Err(Failure::Dump(error)) => return Err(error),
                Err(Failure::Block(error)) => failure = failure.or(Some((bit, error))),
            }
            from = bit + 1;
        }
        self.own_end = Some(0);
        // The range before would stumble over a damaged block too, but it may be the one that is never read.
        failure.map_or(Ok(()), |(bit, error)| Err(self.at(bit, error)))
    }

    /// Decodes the block at `bit`; gives its checksum and the bit after it.
    fn decode(&mut self, bit: u64, plain: &mut Vec<u8>) -> Result<(u32, u64), Failure> {
        let data = self.window.at(bit / 8, MAX_COMPRESSED_BYTES)?;
        let mut bits = BitReader::new(data, (bit % 8) as u32);
        let crc = self.decoder.decode(&mut bits, plain)?;
        Ok((crc, bit / 8 * 8 + bits.position()))
    }

    /// Counts a decoded block in, and finds out what follows it.
    fn accept(&mut self, bit: u64, crc: u32, end: u64, bytes: usize) -> Result<(), DumpError> {
        self.produced += bytes as u64;
        if self.own_end.is_none() {
            self.chain.first_block_bit.get_or_insert(bit);
            self.chain.push(crc);
        }
        self.follow(end)
    }

    /// Goes from `bit` to the next block, over ends and beginnings of streams.
    fn follow(&mut self, bit: u64) -> Result<(), DumpError> {
        let link = self.next_link(bit)?;
        self.next = match link {
            Link::Block(bit) => Some(bit),
            Link::End | Link::Garbage => None,
        };
        if self.own_end.is_none() && self.next.is_none_or(|bit| bit >= self.to_bit) {
            self.own_end = Some(self.produced);
            self.chain.next_block_bit = self.next;
            self.has_garbage = matches!(link, Link::Garbage);
        }
        Ok(())
    }

    fn next_link(&mut self, mut bit: u64) -> Result<Link, DumpError> {
        loop {
            match self.bits_at(bit, MAGIC_BITS)? {
                BLOCK_MAGIC => return Ok(Link::Block(bit)),
                END_MAGIC => {}
                _ => return Err(self.at(bit, BlockError::Corrupt("stream goes on with no block and no end"))),
            }
            let stored = self.bits_at(bit + u64::from(MAGIC_BITS), 32)? as u32;
            if self.own_end.is_none() && !self.chain.close_stream(stored) {
                return Err(self.at(bit, BlockError::Corrupt("stream's checksum is not that of its blocks")));
            }
            let byte = (bit + u64::from(MAGIC_BITS) + 32).div_ceil(8);
            match self.window.at(byte, STREAM_HEADER_BYTES as usize)? {
                [] => return Ok(Link::End),
                [b'B', b'Z', b'h', b'1'..=b'9', ..] => bit = (byte + STREAM_HEADER_BYTES) * 8,
                b"B" | b"BZ" | b"BZh" => return Err(self.at(byte * 8, BlockError::Truncated)),
                _ => return self.garbage(byte * 8),
            }
        }
    }

    /// Bytes that begin no stream are garbage, unless blocks lie among them: then a stream's header is damaged,
    /// and to pass over it would lose articles.
    fn garbage(&mut self, from: u64) -> Result<Link, DumpError> {
        let end = self.window.source_bytes() * 8;
        match scan::find_magic(&mut self.window, from, end)? {
            None => Ok(Link::Garbage),
            Some(_) => Err(self.at(from, BlockError::Corrupt("stream does not begin like one"))),
        }
    }

    fn bits_at(&mut self, bit: u64, count: u32) -> Result<u64, DumpError> {
        let mut bits = BitReader::new(self.window.at(bit / 8, 8)?, (bit % 8) as u32);
        let value = bits.read(count);
        if bits.is_overrun() { Err(self.at(bit, BlockError::Truncated)) } else { Ok(value) }
    }

    fn at(&self, bit: u64, failure: impl Into<Failure>) -> DumpError {
        match failure.into() {
            Failure::Dump(error) => error,
            Failure::Block(BlockError::Corrupt(problem)) => {
                DumpError::Corrupt { compression: NAME, offset: bit / 8, problem }
            }
            Failure::Block(BlockError::Truncated) => {
                let offset = self.window.source_bytes();
                DumpError::Truncated { compression: NAME, offset, within: "a stream" }
            }
        }
    }
}

/// Why a block was not decoded: it could not be read, or it is none.
enum Failure {
    Dump(DumpError),
    Block(BlockError),
}

impl From<DumpError> for Failure {
    fn from(error: DumpError) -> Self {
        Self::Dump(error)
    }
}

impl From<BlockError> for Failure {
    fn from(error: BlockError) -> Self {
        Self::Block(error)
    }
}
