//! Bits, least significant first, read out of a slice.

/// Up to 7 bits of a byte, right-aligned: what is left of it between two reads.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in super::super) struct SpareBits {
    pub(in super::super) bits: u8,
    pub(in super::super) count: u8,
}

/// A position in a slice of bytes, from which bits are taken.
///
/// Reading beyond the end gives zeros, which [`BitReader::finish`] tells: the hot loops need no such branch.
#[derive(Clone, Copy)]
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    next: usize,
    /// The next bits, right-aligned; `count` of them are valid.
    bits: u64,
    count: u32,
}

impl<'a> BitReader<'a> {
    /// Begins with the bits that are spare, then takes those of `data`.
    pub(super) fn new(spare: SpareBits, data: &'a [u8]) -> Self {
        let bits = u64::from(spare.bits) & ((1 << spare.count) - 1);
        Self { data, next: 0, bits, count: u32::from(spare.count) }
    }

    /// How many bytes were taken, and what is left of the last; `None` when there were not as many.
    pub(super) fn finish(mut self) -> Option<(usize, SpareBits)> {
        self.unread();
        let spare = SpareBits { bits: self.bits as u8, count: self.count as u8 };
        (self.next <= self.data.len()).then_some((self.next, spare))
    }

    /// Makes at least 56 bits available to [`Self::peek`] and [`Self::consume`].
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the loop over symbols is this and little else")]
    pub(super) fn refill(&mut self) {
        if let Some(bytes) = self.data.get(self.next..).and_then(|rest| rest.first_chunk::<8>()) {
            // Bits beyond `count` may be set here already: they are the same bits as those or-ed in.
            self.bits |= u64::from_le_bytes(*bytes) << self.count;
            self.next += (63 - self.count as usize) / 8;
            self.count |= 0b11_1000;
        } else {
            self.refill_at_end();
        }
    }

    #[cold]
    fn refill_at_end(&mut self) {
        self.bits &= (1 << self.count) - 1;
        while self.count < 56 {
            let byte = self.data.get(self.next).copied().unwrap_or(0);
            self.bits |= u64::from(byte) << self.count;
            self.next += 1;
            self.count += 8;
        }
    }

    /// The next bits, of which at least 56 are valid after a refill.
    #[inline]
    pub(super) fn peek(&self) -> u64 {
        self.bits
    }

    /// Takes `count` bits, no more than are available.
    #[inline]
    pub(super) fn consume(&mut self, count: u32) {
        self.bits >>= count;
        self.count -= count;
    }

    /// Takes and gives the next `count` bits, at most 32.
    pub(super) fn read(&mut self, count: u32) -> u32 {
        self.refill();
        let value = self.bits & ((1 << count) - 1);
        self.consume(count);
        value as u32
    }

    /// Passes over the rest of a byte that has been begun.
    pub(super) fn align(&mut self) {
        self.consume(self.count % 8);
    }

    /// The next bytes, up to `most`. The position must be at a byte.
    pub(super) fn bytes(&mut self, most: usize) -> &'a [u8] {
        self.unread();
        let rest = self.data.get(self.next..).unwrap_or_default();
        let bytes = &rest[..rest.len().min(most)];
        self.next += bytes.len();
        bytes
    }

    /// Gives whole bytes back.
    fn unread(&mut self) {
        self.next -= self.count as usize / 8;
        self.count %= 8;
        self.bits &= (1 << self.count) - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_in_order_and_the_rest_is_given_back() {
        let data: Vec<u8> = (0..32_u8).map(|byte| byte.wrapping_mul(73)).collect();
        let bit = |at: u32| u32::from(data[at as usize / 8] >> (at % 8) & 1);
        let (mut at, mut offset, mut spare) = (0, 0, SpareBits::default());
        for width in (1..=20).cycle().take(24) {
            let mut bits = BitReader::new(spare, &data[offset..]);
            let expected = (0..width).fold(0, |value, index| value | bit(at + index) << index);
            assert_eq!(bits.read(width), expected, "at bit {at}");
            at += width;
            let (read, left) = bits.finish().unwrap();
            (offset, spare) = (offset + read, left);
            assert_eq!(offset * 8 - usize::from(spare.count), at as usize);
        }
    }

    #[test]
    fn bytes_follow_bits_and_the_end_is_noticed() {
        let data = [0b101, 2, 3, 4];
        let mut bits = BitReader::new(SpareBits::default(), &data);
        assert_eq!(bits.read(3), 5);
        bits.align();
        assert_eq!(bits.bytes(2), [2, 3]);
        assert_eq!(bits.bytes(9), [4]);
        assert_eq!(bits.finish(), Some((4, SpareBits::default())));
        assert_eq!(bits.read(1), 0);
        assert_eq!(bits.finish(), None);
    }
}
