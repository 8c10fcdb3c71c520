//! bzip2 is a chain of independent blocks, each found by a 48-bit magic number at any bit.
//!
//! ```text
//! file   = stream+
//! stream = "BZh" level block* end-magic combined-checksum padding-to-a-byte
//! block  = magic checksum transform-origin symbols tables coded-symbols
//! ```
//!
//! Decoders made for whole streams do not say at which bit a block ends, and without that one cannot prove
//! that two ranges of a file meet. So this one is our own. The format is described in Joe Tsai's
//! "BZIP2: Format Specification" (2016).

mod bits;
mod block;
mod blocks;
mod crc;
mod huffman;
mod run_length;
mod scan;
mod symbols;
mod transform;

pub(crate) use blocks::Blocks;

/// The name of the compression in messages.
const NAME: &str = "bzip2";
/// What a block begins with: the digits of pi.
const BLOCK_MAGIC: u64 = 0x3141_5926_5359;
/// What the end of a stream begins with: the digits of its square root.
const END_MAGIC: u64 = 0x1772_4538_5090;
/// Bits in either magic number.
const MAGIC_BITS: u32 = 48;
/// The most bytes a block holds before its run lengths are expanded, at level 9.
const MAX_BLOCK_BYTES: usize = 900_000;
