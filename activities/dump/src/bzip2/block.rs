//! One block: up to 900 kB, compressed by itself and with a checksum of its own.

use super::bits::BitReader;
use super::symbols::SymbolDecoder;
use super::transform::Transform;
use super::{BLOCK_MAGIC, MAGIC_BITS, crc, run_length};

/// More compressed bytes than any block has: every symbol with the longest code, and all tables.
pub(super) const MAX_COMPRESSED_BYTES: usize = 2_400_000;

/// Why a block did not decode. Where it lies is known to the caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BlockError {
    /// It goes on after the end of the bytes.
    Truncated,
    /// It breaks the format, or its checksum is not that of its content.
    Corrupt(&'static str),
}

/// Decodes blocks. Keeps its memory, about 15 MB when used, between blocks.
pub(super) struct BlockDecoder {
    symbols: SymbolDecoder,
    transform: Transform,
    coded: Vec<u8>,
}

impl BlockDecoder {
    pub(super) fn new() -> Self {
        Self { symbols: SymbolDecoder::new(), transform: Transform::new(), coded: Vec::new() }
    }

    /// Decodes the block whose magic number comes next in `bits`, into `plain`; gives its checksum.
    pub(super) fn decode(
        &mut self,
        bits: &mut BitReader<'_>,
        plain: &mut Vec<u8>,
    ) -> Result<u32, BlockError> {
        plain.clear();
        let result = self.decode_fields(bits, plain);
        // A block that is cut off breaks the format somewhere in the zeros that seem to follow it.
        if bits.is_overrun() || result.is_err() && bits.is_exhausted() {
            return Err(BlockError::Truncated);
        }
        result
    }

    fn decode_fields(&mut self, bits: &mut BitReader<'_>, plain: &mut Vec<u8>) -> Result<u32, BlockError> {
        if bits.read(MAGIC_BITS) != BLOCK_MAGIC {
            return Err(BlockError::Corrupt("block does not begin like one"));
        }
        let checksum = bits.read(32) as u32;
        if bits.read(1) == 1 {
            return Err(BlockError::Corrupt("block is randomised, as no bzip2 since 1997 writes it"));
        }
        let origin = bits.read(24) as usize;
        let rows = self.symbols.decode(bits)?;
        if origin >= rows {
            return Err(BlockError::Corrupt("block begins outside of itself"));
        }
        self.coded.clear();
        let last_column = &self.symbols.last_column[..rows];
        self.transform.invert(last_column, &self.symbols.counts, origin, &mut self.coded);
        run_length::expand(&self.coded, plain);
        if crc::checksum(plain) != checksum {
            return Err(BlockError::Corrupt("block's checksum is not that of its content"));
        }
        Ok(checksum)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use bzip2::Compression;
    use bzip2::write::BzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn compress(data: &[u8]) -> Vec<u8> {
        let mut encoder = BzEncoder::new(Vec::new(), Compression::new(9));
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn decode(compressed: &[u8]) -> Result<Vec<u8>, BlockError> {
        let mut plain = Vec::new();
        let mut bits = BitReader::new(&compressed[4..], 0);
        BlockDecoder::new().decode(&mut bits, &mut plain).map(|_| plain)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_block_decodes_to_what_was_compressed(
            data in prop_oneof![
                prop::collection::vec(any::<u8>(), 1..3000),
                prop::collection::vec(0_u8..3, 1..3000),
                (any::<u8>(), 1_usize..200_000).prop_map(|(byte, count)| vec![byte; count]),
                prop::collection::vec((any::<u8>(), 1_usize..600), 1..50)
                    .prop_map(|runs| runs.into_iter().flat_map(|(b, n)| vec![b; n]).collect()),
            ]
        ) {
            prop_assert_eq!(decode(&compress(&data)), Ok(data));
        }

        #[test]
        fn a_flipped_bit_never_changes_the_content_silently(bit in 0_usize..4000) {
            let text = b"Damage must be found. ".repeat(40);
            let mut compressed = compress(&text);
            let bit = 32 + bit % (compressed.len() * 8 - 32 - 88);
            compressed[bit / 8] ^= 128 >> (bit % 8);
            // A bit of a code that is never used may change nothing.
            prop_assert!(decode(&compressed).map_or(true, |plain| plain == text));
        }
    }

    #[test]
    fn a_block_cut_anywhere_is_truncated_or_corrupt() {
        let compressed = compress(&b"Cut me somewhere. ".repeat(40));
        for length in 4..compressed.len() - 11 {
            assert!(decode(&compressed[..length]).is_err(), "{length} bytes");
        }
    }
}
