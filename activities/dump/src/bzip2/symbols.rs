//! The coded symbols of a block: Huffman codes of runs and of places in a list of recently seen bytes.

use super::MAX_BLOCK_BYTES;
use super::bits::BitReader;
use super::block::BlockError;
use super::huffman::{HuffmanTable, MAX_CODE_BITS, MAX_SYMBOLS};

/// The most tables a block may have.
const MAX_TABLES: usize = 6;
/// How many symbols are coded with one table before the next selector is taken.
const GROUP_SYMBOLS: usize = 50;
/// As many selectors as a full block can need. More may be present and mean nothing.
const MAX_SELECTORS: usize = MAX_BLOCK_BYTES / GROUP_SYMBOLS + 2;

/// Decodes a block's symbols to the last column of its transform. Keeps its memory between blocks.
pub(super) struct SymbolDecoder {
    tables: Box<[HuffmanTable; MAX_TABLES]>,
    selectors: Vec<u8>,
    /// The bytes used in the block, most recently seen first.
    recent: [u8; 256],
    /// One byte for each row of the transform.
    pub(super) last_column: Vec<u8>,
    /// How often each byte occurs in `last_column`.
    pub(super) counts: [u32; 256],
}

impl SymbolDecoder {
    pub(super) fn new() -> Self {
        Self {
            tables: Box::new(std::array::from_fn(|_| HuffmanTable::new())),
            selectors: Vec::with_capacity(MAX_SELECTORS),
            recent: [0; 256],
            last_column: vec![0; MAX_BLOCK_BYTES],
            counts: [0; 256],
        }
    }

    /// Decodes from the map of used bytes to the end of the block; gives the number of rows.
    pub(super) fn decode(&mut self, bits: &mut BitReader<'_>) -> Result<usize, BlockError> {
        let used = self.read_used_bytes(bits);
        if used == 0 {
            return Err(BlockError::Corrupt("block uses no byte"));
        }
        let table_count = self.read_selectors(bits)?;
        for table in &mut self.tables[..table_count] {
            let lengths = read_code_lengths(bits, used + 2)?;
            if !table.build(&lengths[..used + 2]) {
                return Err(BlockError::Corrupt("block has a code that cannot be"));
            }
        }
        // A local copy: through the reference, the compiler would store it after every symbol.
        let mut reader = *bits;
        let result = self.read_symbols(&mut reader, used as u16 + 1);
        *bits = reader;
        result
    }

    /// Two levels of bit maps; gives how many bytes are used.
    fn read_used_bytes(&mut self, bits: &mut BitReader<'_>) -> usize {
        let ranges = bits.read(16);
        let mut used = 0;
        for high in (0..16_u8).filter(|high| ranges >> (15 - high) & 1 == 1) {
            let map = bits.read(16);
            for low in (0..16_u8).filter(|low| map >> (15 - low) & 1 == 1) {
                self.recent[used] = high << 4 | low;
                used += 1;
            }
        }
        used
    }

    /// Which table decodes each group, as places in a recency list, in unary; gives the number of tables.
    fn read_selectors(&mut self, bits: &mut BitReader<'_>) -> Result<usize, BlockError> {
        let table_count = bits.read(3) as usize;
        let selector_count = bits.read(15) as usize;
        if !(2..=MAX_TABLES).contains(&table_count) || selector_count == 0 {
            return Err(BlockError::Corrupt("block has an impossible number of tables"));
        }
        let mut recent: [u8; MAX_TABLES] = std::array::from_fn(|table| table as u8);
        self.selectors.clear();
        for index in 0..selector_count {
            bits.refill();
            let place =
                (!(bits.peek(MAX_TABLES as u32 + 1) << (64 - MAX_TABLES - 1))).leading_zeros() as usize;
            if place >= table_count {
                return Err(BlockError::Corrupt("block selects a table that is not there"));
            }
            bits.consume(place as u32 + 1);
            recent[..=place].rotate_right(1);
            if index < MAX_SELECTORS {
                self.selectors.push(recent[0]);
            }
        }
        Ok(table_count)
    }

    #[inline]
    fn read_symbols(&mut self, reader: &mut BitReader<'_>, end: u16) -> Result<usize, BlockError> {
        let mut recent = self.recent;
        let mut rows = Rows { bytes: &mut self.last_column, filled: 0 };
        self.counts = [0; 256];
        let (mut run, mut weight) = (0_usize, 1_usize);
        for &selector in &self.selectors {
            let table = &self.tables[usize::from(selector)];
            for _ in 0..GROUP_SYMBOLS {
                if reader.available() < MAX_CODE_BITS {
                    reader.refill();
                }
                let symbol =
                    table.decode(reader).ok_or(BlockError::Corrupt("block holds a code that is none"))?;
                if symbol < 2 {
                    run += weight << symbol;
                    weight <<= 1;
                    if weight > 2 * MAX_BLOCK_BYTES {
                        return Err(TOO_LONG);
                    }
                    continue;
                }
                if run > 0 {
                    rows.fill(recent[0], run)?;
                    self.counts[usize::from(recent[0])] += run as u32;
                    (run, weight) = (0, 1);
                }
                if symbol == end {
                    return Ok(rows.filled);
                }
                let byte = move_to_front(&mut recent, usize::from(symbol - 1));
                rows.push(byte)?;
                self.counts[usize::from(byte)] += 1;
            }
        }
        Err(BlockError::Corrupt("block has no end"))
    }
}

const TOO_LONG: BlockError = BlockError::Corrupt("block is longer than a block may be");

/// The rows of the transform as they are filled.
struct Rows<'a> {
    bytes: &'a mut [u8],
    filled: usize,
}

impl Rows<'_> {
    #[inline]
    fn push(&mut self, byte: u8) -> Result<(), BlockError> {
        *self.bytes.get_mut(self.filled).ok_or(TOO_LONG)? = byte;
        self.filled += 1;
        Ok(())
    }

    #[inline]
    fn fill(&mut self, byte: u8, count: usize) -> Result<(), BlockError> {
        self.bytes.get_mut(self.filled..self.filled + count).ok_or(TOO_LONG)?.fill(byte);
        self.filled += count;
        Ok(())
    }
}

/// Moves the byte at `place` to the front of the list and gives it.
#[inline]
fn move_to_front(recent: &mut [u8; 256], place: usize) -> u8 {
    let byte = recent[place];
    // Most places are near the front, where a call to move memory costs more than the moving.
    if place < 16 {
        for index in (0..place).rev() {
            recent[index + 1] = recent[index];
        }
    } else {
        recent.copy_within(0..place, 1);
    }
    recent[0] = byte;
    byte
}

/// Code lengths, each as its difference from the one before: `0` same, `10` longer, `11` shorter.
fn read_code_lengths(bits: &mut BitReader<'_>, symbols: usize) -> Result<[u8; MAX_SYMBOLS], BlockError> {
    let mut lengths = [0; MAX_SYMBOLS];
    let mut length = bits.read(5) as u32;
    for slot in &mut lengths[..symbols] {
        loop {
            if !(1..=MAX_CODE_BITS).contains(&length) {
                return Err(BlockError::Corrupt("block has a code length that cannot be"));
            }
            bits.refill();
            match bits.peek(2) {
                0 | 1 => break bits.consume(1),
                2 => length += 1,
                _ => length -= 1,
            }
            bits.consume(2);
        }
        *slot = length as u8;
    }
    Ok(lengths)
}
