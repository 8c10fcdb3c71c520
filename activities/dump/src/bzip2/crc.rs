//! bzip2's checksum: CRC-32 with the bits of a byte taken from the most significant.

use crc32fast::Hasher;

/// The checksum of `bytes`.
///
/// It is the mirror image of the CRC-32 that gzip uses, for which there is a fast implementation: mirror the
/// bits of every byte before, and of the sum after.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    let mut mirrored = [0; 4096];
    for chunk in bytes.chunks(mirrored.len()) {
        for (to, from) in mirrored.iter_mut().zip(chunk) {
            *to = from.reverse_bits();
        }
        hasher.update(&mirrored[..chunk.len()]);
    }
    hasher.finalize().reverse_bits()
}

#[cfg(test)]
mod tests {
    use super::checksum;

    #[test]
    fn the_check_value_of_crc_32_bzip2() {
        // From the catalogue of parametrised CRC algorithms, entry CRC-32/BZIP2.
        assert_eq!(checksum(b"123456789"), 0xfc89_1918);
        assert_eq!(checksum(b""), 0);
    }
}
