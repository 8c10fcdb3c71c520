//! One Huffman table of a block: canonical codes of up to 20 bits, decoded with one lookup in most cases.

use super::bits::BitReader;

/// The longest code bzip2 has.
pub(super) const MAX_CODE_BITS: u32 = 20;
/// The most symbols: two for runs, 255 places in the recency list, the end of the block.
pub(super) const MAX_SYMBOLS: usize = 258;
/// Codes up to this length are found by one lookup. Six tables of 2 KiB leave the first-level cache room.
const LOOKUP_BITS: u32 = 10;

/// A canonical code.
pub(super) struct HuffmanTable {
    /// By the next [`LOOKUP_BITS`] bits: symbol and code length, or 0 where the code is longer or is none.
    lookup: [u16; 1 << LOOKUP_BITS],
    /// By length: the end of its codes, left-aligned to [`MAX_CODE_BITS`].
    ends: [u32; MAX_CODE_BITS as usize + 1],
    /// By length: what to add to a code to find its symbol in `symbols`.
    offsets: [i32; MAX_CODE_BITS as usize + 1],
    /// Symbols in the order of their codes.
    symbols: [u16; MAX_SYMBOLS],
}

impl HuffmanTable {
    pub(super) fn new() -> Self {
        Self {
            lookup: [0; 1 << LOOKUP_BITS],
            ends: [0; MAX_CODE_BITS as usize + 1],
            offsets: [0; MAX_CODE_BITS as usize + 1],
            symbols: [0; MAX_SYMBOLS],
        }
    }

    /// Builds the table from each symbol's code length, 1 to 20. `false` when there are more codes than fit.
    pub(super) fn build(&mut self, lengths: &[u8]) -> bool {
        self.lookup.fill(0);
        let (mut code, mut index) = (0_u32, 0_usize);
        for length in 1..=MAX_CODE_BITS {
            self.offsets[length as usize] = index as i32 - code as i32;
            for symbol in (0..lengths.len()).filter(|&s| u32::from(lengths[s]) == length) {
                if code >= 1 << length {
                    return false;
                }
                self.add(symbol as u16, index, code, length);
                code += 1;
                index += 1;
            }
            self.ends[length as usize] = code << (MAX_CODE_BITS - length);
            code <<= 1;
        }
        true
    }

    fn add(&mut self, symbol: u16, index: usize, code: u32, length: u32) {
        self.symbols[index] = symbol;
        if length <= LOOKUP_BITS {
            let shift = LOOKUP_BITS - length;
            let entries = (code << shift) as usize..((code + 1) << shift) as usize;
            self.lookup[entries].fill(symbol << 5 | length as u16);
        }
    }

    /// Takes one symbol. At least [`MAX_CODE_BITS`] bits must be available. `None` for a code that is none.
    #[inline]
    pub(super) fn decode(&self, bits: &mut BitReader<'_>) -> Option<u16> {
        let entry = self.lookup[bits.peek(LOOKUP_BITS) as usize];
        if entry == 0 {
            return self.decode_long(bits);
        }
        bits.consume(u32::from(entry & 31));
        Some(entry >> 5)
    }

    #[cold]
    fn decode_long(&self, bits: &mut BitReader<'_>) -> Option<u16> {
        let code = bits.peek(MAX_CODE_BITS) as u32;
        let length = (LOOKUP_BITS + 1..=MAX_CODE_BITS).find(|&length| code < self.ends[length as usize])?;
        bits.consume(length);
        let index = (code >> (MAX_CODE_BITS - length)) as i32 + self.offsets[length as usize];
        self.symbols.get(index as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_all(lengths: &[u8], data: &[u8], count: usize) -> Vec<Option<u16>> {
        let mut table = HuffmanTable::new();
        assert!(table.build(lengths));
        let mut bits = BitReader::new(data, 0);
        let mut next = || {
            bits.refill();
            table.decode(&mut bits)
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn short_and_long_codes_decode() {
        // Lengths 1, 2, … 19, 20, 20: the codes are 0, 10, 110, …
        let lengths: Vec<u8> = (1..=20).chain([20]).collect();
        let data = [0b0101_1011, 0b1111_1111, 0b1111_1111, 0b1111_1111, 0b1111_1111, 0b1111_1111];
        let expected = [Some(0), Some(1), Some(2), Some(20), Some(20)];
        assert_eq!(decode_all(&lengths, &data, 5), expected);
    }

    #[test]
    fn an_unused_code_is_an_error_and_so_are_too_many_codes() {
        assert_eq!(decode_all(&[2, 2], &[0b0001_1100], 3), [Some(0), Some(1), None]);
        assert!(!HuffmanTable::new().build(&[1, 1, 1]));
    }
}
