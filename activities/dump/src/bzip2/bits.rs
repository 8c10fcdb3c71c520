//! Bits, most significant first, read out of a slice.

/// A position in a slice of bytes, from which bits are taken.
///
/// Reading beyond the end gives zeros and moves the position beyond the end: whoever reads asks
/// [`BitReader::is_overrun`] once, afterwards, so that the hot loops need no such branch.
#[derive(Clone, Copy)]
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    next: usize,
    /// The next bits, left-aligned; `count` of them are valid.
    bits: u64,
    count: u32,
}

impl<'a> BitReader<'a> {
    /// Begins `skip` bits (fewer than 8) into `data`.
    pub(super) fn new(data: &'a [u8], skip: u32) -> Self {
        let mut reader = Self { data, next: 0, bits: 0, count: 0 };
        reader.refill();
        reader.consume(skip);
        reader
    }

    /// How many bits of the slice have been taken.
    pub(super) fn position(&self) -> u64 {
        self.next as u64 * 8 - u64::from(self.count)
    }

    /// Whether more bits were taken than there are.
    pub(super) fn is_overrun(&self) -> bool {
        self.position() > self.data.len() as u64 * 8
    }

    /// Whether bits beyond the end were looked at. A block is followed by more bits than are looked at ahead,
    /// so this tells one that is cut off from one that is damaged.
    pub(super) fn is_exhausted(&self) -> bool {
        self.next > self.data.len()
    }

    /// Makes at least 56 bits available to [`Self::peek`] and [`Self::consume`].
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the symbol loop loses a quarter of its speed to the call")]
    pub(super) fn refill(&mut self) {
        if let Some(bytes) = self.data.get(self.next..).and_then(|rest| rest.first_chunk::<8>()) {
            // Bits beyond `count` may be set here already: they are the same bits as those or-ed in.
            self.bits |= u64::from_be_bytes(*bytes) >> self.count;
            self.next += (63 - self.count as usize) / 8;
            self.count |= 0b11_1000;
        } else {
            self.refill_at_end();
        }
    }

    #[cold]
    fn refill_at_end(&mut self) {
        while self.count <= 56 {
            let byte = self.data.get(self.next).copied().unwrap_or(0);
            self.bits |= u64::from(byte) << (56 - self.count);
            self.next += 1;
            self.count += 8;
        }
    }

    /// How many bits are available without a refill.
    #[inline]
    pub(super) fn available(&self) -> u32 {
        self.count
    }

    /// The next `count` bits, 1 to 56, without taking them.
    #[inline]
    pub(super) fn peek(&self, count: u32) -> u64 {
        self.bits >> (64 - count)
    }

    /// Takes `count` bits, fewer than 64 and no more than are available.
    #[inline]
    pub(super) fn consume(&mut self, count: u32) {
        self.bits <<= count;
        self.count -= count;
    }

    /// Takes and gives the next `count` bits, 1 to 56.
    #[inline]
    pub(super) fn read(&mut self, count: u32) -> u64 {
        self.refill();
        let value = self.peek(count);
        self.consume(count);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_in_order_across_refills_and_past_the_end() {
        let data: Vec<u8> = (0..32_u8).map(|byte| byte.wrapping_mul(73)).collect();
        for skip in 0..8 {
            let mut reader = BitReader::new(&data, skip);
            let mut at = u64::from(skip);
            for width in (1..=20).cycle().take(40) {
                let expected = (at..at + width).fold(0, |value, bit| {
                    let byte = data.get((bit / 8) as usize).copied().unwrap_or(0);
                    value << 1 | u64::from(byte >> (7 - bit % 8) & 1)
                });
                assert_eq!(reader.read(width as u32), expected, "at bit {at}");
                at += width;
                assert_eq!(reader.position(), at);
                assert_eq!(reader.is_overrun(), at > 256);
            }
        }
    }
}
