//! Tables that say what the next bits mean: one look for most codes, two for the longest.
//!
//! An entry holds all that is needed to go on: how many bits to take, with those that follow a code and add to
//! its value, and that value. This is how libdeflate does it.

/// The longest code deflate has.
const MAX_CODE_BITS: usize = 15;
/// Length of the codes that are found by one look, for literals and lengths and for distances.
pub(super) const SYMBOL_BITS: u32 = 11;
pub(super) const DISTANCE_BITS: u32 = 9;
/// Powers of two, so that a masked index needs no check. Every prefix of a longer code has a table of its own for
/// the rest, and at least two codes: 2048 + 144 × 16 and 512 + 15 × 64 entries at most.
pub(super) const SYMBOL_ENTRIES: usize = 8192;
pub(super) const DISTANCE_ENTRIES: usize = 2048;

/// What the next bits mean.
///
/// Bits 0 to 4 say how many bits to take in all, 8 to 11 how many of them are the code, 16 to 31 are the value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Entry(u32);

const LITERAL: u32 = 1 << 12;
/// Neither a literal nor a value: what else is told by the two that follow, and nothing means no code.
const SPECIAL: u32 = 1 << 13;
const LONGER: u32 = 1 << 14;
const END: u32 = 1 << 15;

impl Entry {
    /// No code.
    const NONE: Self = Self(SPECIAL);

    const fn new(kind: u32, value: u32, extra_bits: u32) -> Self {
        Self(value << 16 | kind | extra_bits)
    }

    /// The same for a code of so many bits, or for so many of its last.
    fn with_code(self, bits: usize) -> Self {
        Self(self.0 + (bits as u32 * 0x101))
    }

    #[inline]
    pub(super) fn is_literal(self) -> bool {
        self.0 & LITERAL != 0
    }

    #[inline]
    pub(super) fn is_special(self) -> bool {
        self.0 & SPECIAL != 0
    }

    /// Whether a second look is needed.
    pub(super) fn is_longer(self) -> bool {
        self.0 & LONGER != 0
    }

    /// Whether the block ends.
    pub(super) fn is_end(self) -> bool {
        self.0 & END != 0
    }

    /// How many bits to take.
    #[inline]
    pub(super) fn bits(self) -> u32 {
        self.0 & 31
    }

    /// The literal, or where to look again.
    #[inline]
    pub(super) fn value(self) -> usize {
        (self.0 >> 16) as usize
    }

    /// The value, with what the bits after the code add to it.
    #[inline]
    pub(super) fn sum(self, bits: u64) -> usize {
        let with_extra = bits & ((1 << self.bits()) - 1);
        self.value() + (with_extra >> (self.0 >> 8 & 15)) as usize
    }
}

/// A table of `ENTRIES` entries, the first `1 << BITS` of which are looked at first.
pub(super) struct Table<const BITS: u32, const ENTRIES: usize> {
    entries: Box<[Entry; ENTRIES]>,
}

pub(super) type SymbolTable = Table<SYMBOL_BITS, SYMBOL_ENTRIES>;
pub(super) type DistanceTable = Table<DISTANCE_BITS, DISTANCE_ENTRIES>;

impl<const BITS: u32, const ENTRIES: usize> Table<BITS, ENTRIES> {
    pub(super) fn new() -> Self {
        let entries = vec![Entry::NONE; ENTRIES].into_boxed_slice().try_into();
        Self { entries: entries.unwrap_or_else(|_| unreachable!("the length is that of the array")) }
    }

    /// The entry for the next bits.
    #[inline]
    pub(super) fn first(&self, bits: u64) -> Entry {
        self.entries[(bits & ((1 << BITS) - 1)) as usize & (ENTRIES - 1)]
    }

    /// The entry for the bits after those of `longer`, which are taken.
    pub(super) fn second(&self, longer: Entry, bits: u64) -> Entry {
        let index = bits as usize & ((1 << (MAX_CODE_BITS as u32 - BITS)) - 1);
        self.entries[(longer.value() + index) & (ENTRIES - 1)]
    }

    /// Builds the table from each symbol's code length, 0 to 15, and what each means. `false` when there are more
    /// codes than fit, or fewer, but for the one code that deflate allows to stand alone.
    pub(super) fn build(&mut self, lengths: &[u8], meanings: &[Entry]) -> bool {
        let mut counts = [0_u32; MAX_CODE_BITS + 1];
        for &length in lengths {
            counts[usize::from(length)] += 1;
        }
        counts[0] = 0;
        let space =
            (1..=MAX_CODE_BITS).map(|bits| u64::from(counts[bits]) << (MAX_CODE_BITS - bits)).sum::<u64>();
        let codes = counts.iter().sum::<u32>();
        let stands_alone = codes <= 1 && codes == counts[1];
        if space != 1 << MAX_CODE_BITS && !stands_alone {
            return false;
        }
        self.entries[..1 << BITS].fill(Entry::NONE);
        let mut next = first_codes(&counts);
        let mut end = 1 << BITS;
        for (&length, &meaning) in lengths.iter().zip(meanings).filter(|&(&length, _)| length > 0) {
            let length = usize::from(length);
            let code = next[length];
            next[length] += 1;
            self.add(code.reverse_bits() >> (32 - length), length, meaning, &mut end);
        }
        true
    }

    /// Adds a code whose first bit is the lowest. Tables for a second look are put at `end`.
    fn add(&mut self, code: u32, length: usize, meaning: Entry, end: &mut usize) {
        let (first_bits, second_bits) = (BITS as usize, MAX_CODE_BITS - BITS as usize);
        if length <= first_bits {
            return self.fill(0, first_bits, code, length, meaning);
        }
        let prefix = code as usize & ((1 << first_bits) - 1);
        if !self.entries[prefix].is_longer() {
            self.entries[prefix] = Entry::new(SPECIAL | LONGER, *end as u32, 0).with_code(first_bits);
            self.entries[*end..*end + (1 << second_bits)].fill(Entry::NONE);
            *end += 1 << second_bits;
        }
        let base = self.entries[prefix].value();
        self.fill(base, second_bits, code >> first_bits, length - first_bits, meaning);
    }

    /// All places of the table at `base` whose index ends in the code.
    fn fill(&mut self, base: usize, index_bits: usize, code: u32, length: usize, meaning: Entry) {
        for index in (code as usize..1 << index_bits).step_by(1 << length) {
            self.entries[base + index] = meaning.with_code(length);
        }
    }
}

/// The first code of each length (RFC 1951, 3.2.2).
fn first_codes(counts: &[u32; MAX_CODE_BITS + 1]) -> [u32; MAX_CODE_BITS + 1] {
    let (mut firsts, mut code) = ([0; MAX_CODE_BITS + 1], 0);
    for bits in 1..=MAX_CODE_BITS {
        code = (code + counts[bits - 1]) << 1;
        firsts[bits] = code;
    }
    firsts
}

/// What literals, the end of a block, and lengths mean; the last two symbols mean nothing.
pub(super) const SYMBOLS: [Entry; 288] = {
    let mut entries = [Entry::NONE; 288];
    let mut symbol = 0;
    while symbol < 256 {
        entries[symbol] = Entry::new(LITERAL, symbol as u32, 0);
        symbol += 1;
    }
    entries[256] = Entry::new(SPECIAL | END, 0, 0);
    let (mut symbol, mut base) = (257, 3);
    while symbol < 285 {
        let extra = if symbol < 265 { 0 } else { (symbol as u32 - 261) / 4 };
        entries[symbol] = Entry::new(0, base, extra);
        base += 1 << extra;
        symbol += 1;
    }
    entries[285] = Entry::new(0, 258, 0);
    entries
};

/// What distances mean; the last two symbols mean nothing.
pub(super) const DISTANCES: [Entry; 32] = {
    let mut entries = [Entry::NONE; 32];
    let (mut symbol, mut base) = (0, 1);
    while symbol < 30 {
        let extra = if symbol < 4 { 0 } else { symbol as u32 / 2 - 1 };
        entries[symbol] = Entry::new(0, base, extra);
        base += 1 << extra;
        symbol += 1;
    }
    entries
};

/// What the codes of code lengths mean: themselves, as if they were literals.
pub(super) const LENGTHS: [Entry; 19] = {
    let mut entries = [Entry::NONE; 19];
    let mut symbol = 0;
    while symbol < 19 {
        entries[symbol] = Entry::new(LITERAL, symbol as u32, 0);
        symbol += 1;
    }
    entries
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_rfc() {
        let of = |entry: Entry| (entry.value(), entry.bits());
        assert_eq!(of(SYMBOLS[257]), (3, 0));
        assert_eq!(of(SYMBOLS[265]), (11, 1));
        assert_eq!(of(SYMBOLS[284]), (227, 5));
        assert_eq!(of(SYMBOLS[285]), (258, 0));
        assert_eq!(of(DISTANCES[3]), (4, 0));
        assert_eq!(of(DISTANCES[4]), (5, 1));
        assert_eq!(of(DISTANCES[29]), (24577, 13));
    }

    #[test]
    fn short_and_long_codes_are_found() {
        let mut table = SymbolTable::new();
        // Codes 0, 10, 110, … of 1 to 15 bits, and a second one of 15.
        let lengths: Vec<u8> = (1..=15).chain([15]).collect();
        assert!(table.build(&lengths, &SYMBOLS));
        for (symbol, &length) in lengths.iter().enumerate() {
            let ones = symbol.min(15) as u32;
            let bits = (1_u64 << ones) - 1;
            let mut entry = table.first(bits);
            let mut taken = 0;
            if entry.is_longer() {
                taken = entry.bits();
                entry = table.second(entry, bits >> taken);
            }
            assert!(entry.is_literal());
            assert_eq!((entry.value(), taken + entry.bits()), (symbol, u32::from(length)));
        }
    }

    #[test]
    fn too_many_codes_and_too_few_are_refused() {
        let mut table = DistanceTable::new();
        assert!(table.build(&[1, 1], &DISTANCES));
        assert!(table.build(&[0, 1], &DISTANCES) && table.build(&[0, 0], &DISTANCES));
        for bad in [&[1, 1, 1][..], &[2, 2, 2], &[2], &[1, 2]] {
            assert!(!table.build(bad, &DISTANCES), "{bad:?}");
        }
    }
}
