//! Deflate, decoded (RFC 1951), with a stop between any two blocks.
//!
//! Decoders that are made to be fast do not tell where blocks end, and one that tells is half as fast; and without
//! knowing, a stream cannot be left in the middle and taken up elsewhere. So this one is our own. It decodes into
//! a buffer in which what came before lies in front of what is decoded.

mod bits;
mod tables;

use bits::BitReader;
pub(super) use bits::SpareBits;
use tables::{DISTANCES, DistanceTable, Entry, LENGTHS, SYMBOL_BITS, SYMBOLS, SymbolTable};

/// The longest match.
const MAX_MATCH: usize = 258;
/// Matches are copied by so many bytes, and may overrun their end by that.
const STEP: usize = 16;
/// Literals decoded before the room is looked at again.
const MAX_LITERALS: usize = 3;
/// How far decoding may go beyond the end it was given.
pub(super) const SLACK: usize = MAX_LITERALS + MAX_MATCH + STEP;

/// The order in which the lengths of the code for code lengths come.
const LENGTHS_ORDER: [u8; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const MAX_SYMBOLS: usize = 286;
const MAX_DISTANCES: usize = 30;

/// Why decoding stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stop {
    /// The room is used up.
    Full,
    /// Between two blocks.
    Boundary,
    /// After the last block.
    End,
}

/// The data cannot be decoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum InflateError {
    /// It goes on after the bytes given.
    Truncated,
    /// It breaks the format.
    Corrupt(&'static str),
}

/// Room for output: `bytes[history..filled]` came before, and may be referred to.
pub(super) struct Output<'a> {
    pub(super) bytes: &'a mut [u8],
    pub(super) history: usize,
    pub(super) filled: usize,
}

/// Where in the stream decoding goes on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Place {
    #[default]
    Header,
    /// In a block that is not compressed, with so many bytes to come.
    Stored(usize),
    /// In a block of symbols.
    Symbols,
    /// After the last block.
    End,
}

/// Decodes one stream, piece by piece.
pub(super) struct Inflate {
    place: Place,
    is_last: bool,
    spare: SpareBits,
    symbols: SymbolTable,
    distances: DistanceTable,
}

impl Inflate {
    /// Begins between two blocks, with bits of the byte before.
    pub(super) fn new(spare: SpareBits) -> Self {
        let (symbols, distances) = (SymbolTable::new(), DistanceTable::new());
        Self { place: Place::Header, is_last: false, spare, symbols, distances }
    }

    /// Begins another stream.
    pub(super) fn restart(&mut self) {
        (self.place, self.is_last, self.spare) = (Place::Header, false, SpareBits::default());
    }

    /// The bits of the last byte read that are not used yet.
    pub(super) fn spare(&self) -> SpareBits {
        self.spare
    }

    /// Decodes from `input` until a block ends or [`SLACK`] bytes are left of the output, which may be fewer by
    /// then; gives how many bytes of input were read. `input` must hold all that this takes.
    pub(super) fn decode(
        &mut self,
        input: &[u8],
        output: &mut Output<'_>,
    ) -> Result<(Stop, usize), InflateError> {
        let mut bits = BitReader::new(self.spare, input);
        let stop = self.decode_some(&mut bits, output);
        // What breaks the format in the zeros that seem to follow the end is only cut off.
        let (read, spare) = bits.finish().ok_or(InflateError::Truncated)?;
        self.spare = spare;
        Ok((stop?, read))
    }

    fn decode_some(
        &mut self,
        bits: &mut BitReader<'_>,
        output: &mut Output<'_>,
    ) -> Result<Stop, InflateError> {
        if self.place == Place::Header {
            self.read_header(bits)?;
        }
        let is_full = match self.place {
            Place::Stored(left) => self.copy_stored(bits, output, left)?,
            Place::Symbols => self.decode_symbols(bits, output)?,
            Place::Header | Place::End => false,
        };
        if is_full {
            return Ok(Stop::Full);
        }
        if self.is_last {
            bits.align();
            self.place = Place::End;
            return Ok(Stop::End);
        }
        self.place = Place::Header;
        Ok(Stop::Boundary)
    }

    fn read_header(&mut self, bits: &mut BitReader<'_>) -> Result<(), InflateError> {
        self.is_last = bits.read(1) == 1;
        self.place = match bits.read(2) {
            0 => Place::Stored(read_stored_length(bits)?),
            1 => self.use_fixed_codes(),
            2 => self.read_codes(bits)?,
            _ => return Err(InflateError::Corrupt("block is of no known kind")),
        };
        Ok(())
    }

    fn use_fixed_codes(&mut self) -> Place {
        let mut lengths = [8; SYMBOLS.len()];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        let built = self.symbols.build(&lengths, &SYMBOLS) && self.distances.build(&[5; 32], &DISTANCES);
        debug_assert!(built, "the fixed codes are codes");
        Place::Symbols
    }

    fn read_codes(&mut self, bits: &mut BitReader<'_>) -> Result<Place, InflateError> {
        let symbol_count = bits.read(5) as usize + 257;
        let distance_count = bits.read(5) as usize + 1;
        if symbol_count > MAX_SYMBOLS || distance_count > MAX_DISTANCES {
            return Err(InflateError::Corrupt("block has codes for too many symbols"));
        }
        let mut lengths = [0; MAX_SYMBOLS + MAX_DISTANCES];
        let lengths = &mut lengths[..symbol_count + distance_count];
        self.read_lengths(bits, lengths)?;
        let (symbols, distances) = lengths.split_at(symbol_count);
        if symbols[256] == 0 {
            return Err(InflateError::Corrupt("block has no code for its end"));
        }
        if !self.symbols.build(symbols, &SYMBOLS) || !self.distances.build(distances, &DISTANCES) {
            return Err(InflateError::Corrupt("block has a code that cannot be"));
        }
        Ok(Place::Symbols)
    }

    /// Reads the lengths of codes, which are coded themselves.
    fn read_lengths(&mut self, bits: &mut BitReader<'_>, lengths: &mut [u8]) -> Result<(), InflateError> {
        let mut code_lengths = [0; LENGTHS.len()];
        let count = bits.read(4) as usize + 4;
        for &symbol in &LENGTHS_ORDER[..count] {
            code_lengths[usize::from(symbol)] = bits.read(3) as u8;
        }
        let is_code = self.distances.build(&code_lengths, &LENGTHS);
        if !is_code || code_lengths.iter().filter(|&&length| length > 0).count() < 2 {
            return Err(InflateError::Corrupt("block has a code that cannot be"));
        }
        let mut at = 0;
        while at < lengths.len() {
            bits.refill();
            let entry = self.distances.first(bits.peek());
            bits.consume(entry.bits());
            let before = at.checked_sub(1).map(|before| lengths[before]);
            let (length, times) = match (entry.is_literal(), entry.value(), before) {
                (true, length @ 0..=15, _) => (length as u8, 1),
                (true, 16, Some(before)) => (before, 3 + bits.read(2)),
                (true, 17, _) => (0, 3 + bits.read(3)),
                (true, 18, _) => (0, 11 + bits.read(7)),
                _ => return Err(InflateError::Corrupt("block holds a code that is none")),
            };
            let end = at + times as usize;
            let repeated = lengths.get_mut(at..end);
            repeated.ok_or(InflateError::Corrupt("block has codes for too many symbols"))?.fill(length);
            at = end;
        }
        Ok(())
    }

    /// Copies what is not compressed; whether the room was used up before its end.
    fn copy_stored(
        &mut self,
        bits: &mut BitReader<'_>,
        output: &mut Output<'_>,
        left: usize,
    ) -> Result<bool, InflateError> {
        let wanted = left.min(output.room());
        let bytes = bits.bytes(wanted);
        if bytes.len() < wanted {
            return Err(InflateError::Truncated);
        }
        output.bytes[output.filled..output.filled + wanted].copy_from_slice(bytes);
        output.filled += wanted;
        self.place = Place::Stored(left - wanted);
        Ok(wanted < left)
    }

    /// Decodes symbols; whether the room was used up before the block's end.
    fn decode_symbols(
        &self,
        bits: &mut BitReader<'_>,
        output: &mut Output<'_>,
    ) -> Result<bool, InflateError> {
        // Local copies: through references, the compiler would store them after every symbol.
        let (mut reader, mut filled) = (*bits, output.filled);
        let result = self.symbol_loop(&mut reader, output, &mut filled);
        (*bits, output.filled) = (reader, filled);
        result
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "only then are the caller's copies held in registers")]
    fn symbol_loop(
        &self,
        bits: &mut BitReader<'_>,
        output: &mut Output<'_>,
        filled: &mut usize,
    ) -> Result<bool, InflateError> {
        let limit = output.bytes.len() - SLACK;
        let out = &mut *output.bytes;
        while *filled < limit {
            bits.refill();
            let mut entry = self.symbols.first(bits.peek());
            for _ in 1..MAX_LITERALS {
                if !entry.is_literal() {
                    break;
                }
                bits.consume(entry.bits());
                out[*filled] = entry.value() as u8;
                *filled += 1;
                entry = self.symbols.first(bits.peek());
            }
            if entry.is_special() {
                if !entry.is_longer() {
                    return end_or_error(bits, entry);
                }
                bits.consume(SYMBOL_BITS);
                entry = self.symbols.second(entry, bits.peek());
                if entry.is_special() {
                    return end_or_error(bits, entry);
                }
            }
            if entry.is_literal() {
                bits.consume(entry.bits());
                out[*filled] = entry.value() as u8;
                *filled += 1;
                continue;
            }
            let length = entry.sum(bits.peek());
            bits.consume(entry.bits());
            let distance = self.read_distance(bits)?;
            if distance > *filled - output.history {
                return Err(InflateError::Corrupt("block refers to what is before the member"));
            }
            copy_match(out, *filled, distance, length);
            *filled += length;
        }
        Ok(true)
    }

    #[inline]
    fn read_distance(&self, bits: &mut BitReader<'_>) -> Result<usize, InflateError> {
        bits.refill();
        let mut entry = self.distances.first(bits.peek());
        if entry.is_special() {
            if entry.is_longer() {
                bits.consume(entry.bits());
                entry = self.distances.second(entry, bits.peek());
            }
            if entry.is_special() {
                return Err(InflateError::Corrupt("block holds a code that is none"));
            }
        }
        let distance = entry.sum(bits.peek());
        bits.consume(entry.bits());
        Ok(distance)
    }
}

#[cold]
fn end_or_error(bits: &mut BitReader<'_>, entry: Entry) -> Result<bool, InflateError> {
    if !entry.is_end() {
        return Err(InflateError::Corrupt("block holds a code that is none"));
    }
    bits.consume(entry.bits());
    Ok(false)
}

impl Output<'_> {
    fn room(&self) -> usize {
        (self.bytes.len() - SLACK).saturating_sub(self.filled)
    }
}

fn read_stored_length(bits: &mut BitReader<'_>) -> Result<usize, InflateError> {
    bits.align();
    let (length, inverse) = (bits.read(16), bits.read(16));
    if length ^ inverse != 0xffff {
        return Err(InflateError::Corrupt("block's length is damaged"));
    }
    Ok(length as usize)
}

/// Copies `length` bytes from `distance` before `at` to `at`, where what is copied may be part of what is copied.
/// Writes up to [`STEP`] bytes more than that.
#[inline]
fn copy_match(out: &mut [u8], at: usize, distance: usize, length: usize) {
    if distance >= STEP {
        let mut done = 0;
        while done < length {
            let from = at - distance + done;
            let mut step = [0; STEP];
            step.copy_from_slice(&out[from..from + STEP]);
            out[at + done..at + done + STEP].copy_from_slice(&step);
            done += STEP;
        }
    } else if distance == 1 {
        let byte = out[at - 1];
        out[at..at + length].fill(byte);
    } else {
        for index in at..at + length {
            out[index] = out[index - distance];
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;
    use proptest::prelude::*;

    use super::*;

    const WINDOW: usize = 32 << 10;

    fn compress(data: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    /// Decodes in a room of `room` bytes, taken up anew at every block.
    fn inflate(compressed: &[u8], room: usize) -> Result<Vec<u8>, InflateError> {
        let mut bytes = vec![0; WINDOW + room + SLACK];
        let (mut plain, mut at) = (Vec::new(), 0);
        let mut inflate = Inflate::new(SpareBits::default());
        loop {
            let history = WINDOW - plain.len().min(WINDOW);
            bytes[history..WINDOW].copy_from_slice(&plain[plain.len() - (WINDOW - history)..]);
            let mut output = Output { bytes: &mut bytes, history, filled: WINDOW };
            let (stop, read) = inflate.decode(&compressed[at..], &mut output)?;
            plain.extend_from_slice(&output.bytes[WINDOW..output.filled]);
            at += read;
            match stop {
                Stop::Full => {}
                Stop::Boundary => inflate = Inflate::new(inflate.spare()),
                Stop::End if at == compressed.len() => return Ok(plain),
                Stop::End => panic!("{at} of {} bytes read", compressed.len()),
            }
        }
    }

    fn data() -> impl Strategy<Value = Vec<u8>> {
        let runs = prop::collection::vec((prop::collection::vec(any::<u8>(), 1..30), 1_usize..600), 1..60);
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..70_000),
            prop::collection::vec(0_u8..3, 0..3000),
            runs.prop_map(|runs| runs.into_iter().flat_map(|(bytes, times)| bytes.repeat(times)).collect()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn what_was_compressed_comes_back(data in data(), level in 0_u32..10, room in 1_usize..100_000) {
            prop_assert_eq!(inflate(&compress(&data, level), room), Ok(data));
        }

        #[test]
        fn damage_is_an_error_or_other_bytes_and_what_is_cut_off_is_noticed(
            data in prop::collection::vec(0_u8..40, 1..3000),
            bit in any::<prop::sample::Index>(),
        ) {
            let mut compressed = compress(&data, 6);
            let bit = bit.index(compressed.len() * 8);
            prop_assert_eq!(inflate(&compressed[..bit / 8], 5000), Err(InflateError::Truncated));
            compressed[bit / 8] ^= 1 << (bit % 8);
            let decoded = std::panic::catch_unwind(|| inflate(&compressed, 5000));
            // The helper panics when the damage made the stream end early, the decoder never does.
            if let Err(panic) = decoded {
                let message = panic.downcast::<String>().unwrap();
                prop_assert!(message.contains("bytes read"), "{}", message);
            }
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut out = vec![0; 10_000 + SLACK];
            let mut output = Output { bytes: &mut out, history: 0, filled: 0 };
            let _ = Inflate::new(SpareBits::default()).decode(&bytes, &mut output);
        }
    }

    #[test]
    fn broken_blocks_are_refused() {
        let bits = |text: &str| -> Vec<u8> {
            let bits: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').map(|byte| byte - b'0').collect();
            bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |value, bit| value << 1 | bit)).collect()
        };
        for (text, problem) in [
            ("1 11 00000", "kind"),
            ("1 00 00000 0000000000000000 0000000000000000", "length"),
            ("1 10 0000001 00000", "before the member"),
            ("1 10 00110000 0000001 11110", "is none"),
            ("1 10 11000110 00000000", "is none"),
            ("1 10 00110000 0000001 00010", "before the member"),
            ("1 01 11111 00000 0000", "too many symbols"),
            ("1 01 00000 00000 0000 000 000 000 000", "cannot be"),
        ] {
            let padded = [bits(text), vec![0; 20]].concat();
            match inflate(&padded, 1000) {
                Err(InflateError::Corrupt(found)) => assert!(found.contains(problem), "{text}: {found}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
