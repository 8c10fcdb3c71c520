//! A checkpoint is all that is needed to go on reading a gzip shard from the middle.

use std::fmt;

use super::WINDOW_BYTES;
use crate::DumpError;

/// First byte of the encoding.
const VERSION: u8 = 1;
/// Bytes before the window: version, flags, bits, and five numbers.
const FIXED_BYTES: usize = 4 + 8 + 8 + 4 + 4;

/// Where a range of a gzip shard begins: a place between two deflate blocks, and how far from there the first
/// record is.
#[derive(Clone, Eq, PartialEq)]
pub struct Checkpoint {
    /// The next compressed byte.
    pub(super) compressed_offset: u64,
    /// Uncompressed bytes between here and the range's first record: they belong to the range before.
    pub(super) skip: u64,
    /// The member that is open here; `None` where one must begin.
    pub(super) member: Option<OpenMember>,
}

/// The state of a member between two of its blocks.
#[derive(Clone, Default, Eq, PartialEq)]
pub(super) struct OpenMember {
    /// Bits of the byte before the offset that belong to the next block, right-aligned, and how many.
    pub(super) bits: u8,
    pub(super) bit_count: u8,
    /// Checksum and length of the member so far.
    pub(super) crc: u32,
    pub(super) length: u32,
    /// The last output, at most 32 KiB.
    pub(super) window: Vec<u8>,
}

impl Checkpoint {
    /// The compressed byte at which reading goes on: how far the shard is done, for progress.
    pub fn compressed_offset(&self) -> u64 {
        self.compressed_offset
    }

    /// Encodes the checkpoint in at most 33 kB.
    pub fn to_bytes(&self) -> Vec<u8> {
        let none = OpenMember::default();
        let member = self.member.as_ref().unwrap_or(&none);
        let mut bytes = Vec::with_capacity(FIXED_BYTES + member.window.len());
        bytes.extend([VERSION, u8::from(self.member.is_some()), member.bits, member.bit_count]);
        bytes.extend(self.compressed_offset.to_le_bytes());
        bytes.extend(self.skip.to_le_bytes());
        bytes.extend(member.crc.to_le_bytes());
        bytes.extend(member.length.to_le_bytes());
        bytes.extend(&member.window);
        bytes
    }

    /// Decodes what [`Self::to_bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DumpError> {
        let bad = |problem| DumpError::BadCheckpoint { problem };
        let (fixed, window) = bytes.split_at_checked(FIXED_BYTES).ok_or(bad("it is cut off"))?;
        let ([version, is_open, bits, bit_count], numbers) =
            fixed.split_first_chunk::<4>().ok_or(bad("it is cut off"))?;
        if *version != VERSION {
            return Err(bad("it is of another version"));
        }
        if *is_open > 1 || *bit_count > 7 || window.len() > WINDOW_BYTES {
            return Err(bad("it is damaged"));
        }
        let member = OpenMember {
            bits: *bits,
            bit_count: *bit_count,
            crc: number(numbers, 16, 4) as u32,
            length: number(numbers, 20, 4) as u32,
            window: window.to_vec(),
        };
        Ok(Self {
            compressed_offset: number(numbers, 0, 8),
            skip: number(numbers, 8, 8),
            member: (*is_open == 1).then_some(member),
        })
    }
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes[at..at + length].iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint")
            .field("compressed_offset", &self.compressed_offset)
            .field("skip", &self.skip)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_survives_its_encoding() {
        let open =
            OpenMember { bits: 5, bit_count: 3, crc: 0xdead_beef, length: 77, window: vec![7; 32 << 10] };
        for member in [None, Some(open)] {
            let checkpoint = Checkpoint { compressed_offset: 1 << 40, skip: 12345, member };
            let bytes = checkpoint.to_bytes();
            assert!(bytes.len() < 33_000);
            assert_eq!(Checkpoint::from_bytes(&bytes).unwrap(), checkpoint);
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        let good = Checkpoint { compressed_offset: 1, skip: 2, member: None }.to_bytes();
        let newer: Vec<u8> = [VERSION + 1].iter().chain(&good[1..]).copied().collect();
        let too_long = [good.clone(), vec![0; WINDOW_BYTES + 1]].concat();
        for bytes in [&[][..], &good[..good.len() - 1], &newer, &too_long] {
            assert!(matches!(Checkpoint::from_bytes(bytes), Err(DumpError::BadCheckpoint { .. })));
        }
    }
}
