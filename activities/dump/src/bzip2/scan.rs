//! Finding the first block in a stretch of a file, where nothing says at which bit it begins.

use super::{BLOCK_MAGIC, MAGIC_BITS};
use crate::DumpError;
use crate::window::Window;

/// How many bytes are looked at between reads of the window.
const STEP_BYTES: usize = 1 << 20;
const MAGIC_MASK: u64 = (1 << MAGIC_BITS) - 1;

/// The first bit in `[from, to)` where a block's magic number begins. It may be there by chance.
pub(super) fn find_magic(window: &mut Window, from: u64, to: u64) -> Result<Option<u64>, DumpError> {
    let mut seen = 0_u64;
    let mut byte = from / 8;
    loop {
        let data = window.at(byte, STEP_BYTES)?;
        let data = &data[..data.len().min(STEP_BYTES)];
        if data.is_empty() || byte * 8 >= to + 64 {
            return Ok(None);
        }
        for (index, &next) in data.iter().enumerate() {
            seen = seen << 8 | u64::from(next);
            if let Some(bits_after) = magic_in(seen) {
                let end = (byte + index as u64 + 1) * 8 - u64::from(bits_after);
                let Some(start) = end.checked_sub(u64::from(MAGIC_BITS)) else { continue };
                if start >= to {
                    return Ok(None);
                }
                if start >= from {
                    return Ok(Some(start));
                }
            }
        }
        byte += data.len() as u64;
    }
}

/// How many of the last 8 bits of `seen` lie after a magic number that ends within them.
fn magic_in(seen: u64) -> Option<u32> {
    (0..8).rev().find(|bits_after| seen >> bits_after & MAGIC_MASK == BLOCK_MAGIC)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;

    fn with_magic_at(bit: usize, bytes: usize) -> Window {
        let mut data = vec![0xa5_u8; bytes];
        for index in 0..48 {
            let (byte, mask) = ((bit + index) / 8, 128 >> ((bit + index) % 8));
            data[byte] &= !mask;
            if BLOCK_MAGIC >> (47 - index) & 1 == 1 {
                data[byte] |= mask;
            }
        }
        Window::new(Arc::new(Bytes::from(data)))
    }

    #[test]
    fn the_magic_is_found_at_every_bit_and_only_inside_the_stretch() {
        for bit in 16..33 {
            let at = bit as u64;
            for (from, to, found) in [
                (0, 400, true),
                (at, 400, true),
                (0, at + 1, true),
                (at, at + 1, true),
                (at + 1, 400, false),
                (0, at, false),
            ] {
                let result = find_magic(&mut with_magic_at(bit, 50), from, to).unwrap();
                assert_eq!(result, found.then_some(at), "{bit}: [{from}, {to})");
            }
        }
    }

    #[test]
    fn the_magic_is_found_across_steps_and_at_the_very_end() {
        let bit = STEP_BYTES * 8 - 21;
        let mut window = with_magic_at(bit, STEP_BYTES + 50);
        assert_eq!(find_magic(&mut window, 8, u64::MAX / 2).unwrap(), Some(bit as u64));
        assert_eq!(find_magic(&mut with_magic_at(352, 50), 0, 400).unwrap(), Some(352));
    }
}
