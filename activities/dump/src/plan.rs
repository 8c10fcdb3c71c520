//! A plan cuts a shard into ranges, the unit of retry.

use serde::{Deserialize, Serialize};

use crate::{DumpError, ReadAt};

/// How a shard is compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Deflate: sequential, resumable from a checkpoint.
    Gzip,
    /// Independent blocks: any stretch can be read by itself.
    Bzip2,
}

/// A stretch `[from, to)` of a shard, in compressed bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ByteRange {
    /// The first byte.
    pub from: u64,
    /// The byte after the last.
    pub to: u64,
}

/// How a shard is cut into ranges.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RangePlan {
    /// Ranges known from the start that may be read at the same time.
    SideBySide {
        /// The ranges in the order of their records, from byte 0 to the shard's end without a gap.
        ranges: Vec<ByteRange>,
    },
    /// Ranges of about this many compressed bytes, each beginning at the checkpoint that the one before it
    /// gave. How many there are is known at the end.
    InSequence {
        /// Compressed bytes for each range.
        range_bytes: u64,
    },
}

/// Cuts a shard of `shard_bytes` into ranges of `range_bytes` compressed bytes (at least 1).
pub fn plan_ranges(compression: Compression, shard_bytes: u64, range_bytes: u64) -> RangePlan {
    let range_bytes = range_bytes.max(1);
    match compression {
        Compression::Gzip => RangePlan::InSequence { range_bytes },
        Compression::Bzip2 => RangePlan::SideBySide { ranges: cut(shard_bytes, range_bytes) },
    }
}

fn cut(shard_bytes: u64, range_bytes: u64) -> Vec<ByteRange> {
    (0..shard_bytes.div_ceil(range_bytes))
        .map(|index| index * range_bytes)
        .map(|from| ByteRange { from, to: (from + range_bytes).min(shard_bytes) })
        .collect()
}

/// Tells a shard's compression by its first bytes. Names lie: mirrors hold gzip data named `.bz2`.
pub fn sniff(source: &dyn ReadAt) -> Result<Compression, DumpError> {
    let first = source.read_at(0, 8)?;
    match &first[..] {
        [] => Err(DumpError::EmptyFile),
        [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
        [b'B', b'Z', b'h', ..] => Ok(Compression::Bzip2),
        other => Err(DumpError::UnknownFormat { first_bytes: hex::encode(other) }),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn bzip2_ranges_cover_the_shard_without_gap_or_overlap() {
        let RangePlan::SideBySide { ranges } = plan_ranges(Compression::Bzip2, 100, 32) else {
            panic!("bzip2 ranges run side by side")
        };
        let bounds: Vec<_> = ranges.iter().map(|range| (range.from, range.to)).collect();
        assert_eq!(bounds, [(0, 32), (32, 64), (64, 96), (96, 100)]);
        assert_eq!(plan_ranges(Compression::Gzip, 100, 32), RangePlan::InSequence { range_bytes: 32 });
    }

    #[test]
    fn content_tells_the_compression() {
        assert_eq!(sniff(&Bytes::from_static(b"BZh9")).unwrap(), Compression::Bzip2);
        assert_eq!(sniff(&Bytes::from_static(b"\x1f\x8b\x08")).unwrap(), Compression::Gzip);
        assert!(matches!(sniff(&Bytes::new()), Err(DumpError::EmptyFile)));
        let error = sniff(&Bytes::from_static(b"<html>")).unwrap_err();
        assert!(error.to_string().contains("`3c68746d6c3e`"), "{error}");
    }
}
