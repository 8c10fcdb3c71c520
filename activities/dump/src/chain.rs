//! The chain proves that a shard's ranges, read apart, are together the whole shard.
//!
//! Each range says at which bit its first block begins and at which bit the first block after it does. If
//! every range begins where the one before it ended, no block is missing and none is read twice. The
//! checksums of blocks are folded along, because a stream's own checksum covers blocks of several ranges.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::DumpError;

/// A run of blocks' checksums, folded into one as bzip2 does at the end of a stream.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct CrcFold {
    /// How many blocks.
    pub blocks: u64,
    /// Their folded checksum, beginning from 0.
    pub crc: u32,
}

impl CrcFold {
    /// Adds a block.
    pub(crate) fn push(&mut self, block_crc: u32) {
        self.crc = self.crc.rotate_left(1) ^ block_crc;
        self.blocks += 1;
    }

    /// This run followed by another: the fold is linear, so only the rotations must be caught up.
    fn then(self, other: Self) -> Self {
        let rotation = (other.blocks % 32) as u32;
        Self { blocks: self.blocks + other.blocks, crc: self.crc.rotate_left(rotation) ^ other.crc }
    }
}

/// What one bzip2 range contributes to the proof.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct BlockChain {
    /// Whether the range begins with the shard's first byte.
    pub starts_shard: bool,
    /// The bit where the first block of the range begins, if any does.
    pub first_block_bit: Option<u64>,
    /// The bit where the first block after the range begins; `None` at the shard's end.
    pub next_block_bit: Option<u64>,
    /// Blocks up to the first end of a stream, or all.
    pub head: CrcFold,
    /// The checksum stored at the first end of a stream.
    pub head_end: Option<u32>,
    /// Blocks after the last end of a stream. Streams in between are checked while reading.
    pub tail: CrcFold,
}

impl BlockChain {
    /// Whether the range has neither a block nor the shard's beginning, so that it proves nothing.
    fn is_empty(&self) -> bool {
        !self.starts_shard && self.first_block_bit.is_none()
    }

    pub(crate) fn push(&mut self, block_crc: u32) {
        match self.head_end {
            None => self.head.push(block_crc),
            Some(_) => self.tail.push(block_crc),
        }
    }

    /// Takes the checksum stored at the end of a stream; `false` when it is known to be wrong.
    pub(crate) fn close_stream(&mut self, stored: u32) -> bool {
        if self.head_end.is_none() {
            self.head_end = Some(stored);
            return !self.starts_shard || self.head.crc == stored;
        }
        std::mem::take(&mut self.tail).crc == stored
    }
}

/// Where the next range must begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Expected {
    /// With the shard.
    Start,
    /// At this bit.
    Block(u64),
    /// Nowhere: the shard has ended.
    Nothing,
}

impl Expected {
    fn after(range: &BlockChain) -> Self {
        range.next_block_bit.map_or(Self::Nothing, Self::Block)
    }

    fn of(range: &BlockChain) -> Self {
        if range.starts_shard {
            return Self::Start;
        }
        range.first_block_bit.map_or(Self::Nothing, Self::Block)
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => write!(f, "the shard's beginning"),
            Self::Block(bit) => write!(f, "a block at bit {bit}"),
            Self::Nothing => write!(f, "the shard's end"),
        }
    }
}

/// Checks that the ranges of one shard, in order, meet and together end the shard.
pub fn check_chain(ranges: &[BlockChain]) -> Result<(), DumpError> {
    let mut expected = Expected::Start;
    let mut stream = CrcFold::default();
    for (index, range) in ranges.iter().enumerate().filter(|(_, range)| !range.is_empty()) {
        let found = Expected::of(range);
        if found != expected {
            return Err(broken(format!("range {index} begins with {found} in place of {expected}")));
        }
        stream = check_streams(index, range, stream)?;
        expected = Expected::after(range);
    }
    if expected != Expected::Nothing || stream.blocks > 0 {
        return Err(broken(format!("the last range ends before {expected}")));
    }
    Ok(())
}

fn check_streams(index: usize, range: &BlockChain, stream: CrcFold) -> Result<CrcFold, DumpError> {
    let stream = stream.then(range.head);
    match range.head_end {
        None => Ok(stream),
        Some(stored) if stored == stream.crc => Ok(range.tail),
        Some(_) => Err(broken(format!("the stream that ends in range {index} has another checksum"))),
    }
}

fn broken(problem: String) -> DumpError {
    DumpError::BrokenChain { problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(blocks: &[u32]) -> BlockChain {
        let mut chain = BlockChain { first_block_bit: Some(32), ..BlockChain::default() };
        for &crc in blocks {
            chain.push(crc);
        }
        chain
    }

    fn stored(blocks: &[u32]) -> u32 {
        blocks.iter().fold(0, |sum: u32, crc| sum.rotate_left(1) ^ crc)
    }

    /// Three ranges with an empty one between: one stream over all of them.
    fn whole() -> Vec<BlockChain> {
        let first = BlockChain { starts_shard: true, next_block_bit: Some(900), ..chain(&[7, 8]) };
        let second = BlockChain { first_block_bit: Some(900), next_block_bit: Some(1800), ..chain(&[9; 40]) };
        let mut third = BlockChain { first_block_bit: Some(1800), ..chain(&[1]) };
        let all = [&[7, 8][..], &[9; 40], &[1]].concat();
        assert!(third.close_stream(stored(&all)));
        vec![first, BlockChain::default(), second, third]
    }

    #[test]
    fn ranges_that_meet_pass() {
        check_chain(&whole()).unwrap();
    }

    #[test]
    fn whatever_is_missing_is_noticed() {
        for missing in [0, 2, 3] {
            let mut ranges = whole();
            ranges.remove(missing);
            assert!(matches!(check_chain(&ranges), Err(DumpError::BrokenChain { .. })), "{missing}");
        }
        assert!(check_chain(&[]).is_err());
    }

    #[test]
    fn a_wrong_checksum_is_noticed() {
        let mut ranges = whole();
        ranges[2].head.crc ^= 1;
        assert!(check_chain(&ranges).unwrap_err().to_string().contains("range 3"));
        let mut alone = BlockChain { starts_shard: true, ..chain(&[5]) };
        assert!(!alone.close_stream(6));
    }
}
