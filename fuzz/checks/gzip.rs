//! Any bytes are inflated as zlib does it, or refused; and ranges that follow one another give the same records.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use flate2::{Compression, Decompress, FlushDecompress, Status};
use wikitok_dump::{Checkpoint, DumpError, RangeBytes, RangeInput, RangeLimits, Record, open_range};

/// The most that a stream may open to here.
const MOST_BYTES: usize = 16 << 20;

/// The first byte says what is done with the others: inflated as they are, or compressed and read in ranges.
pub(crate) fn check(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else { return };
    if how & 1 == 0 {
        inflates_like_zlib(data);
    } else {
        ranges_agree(&compress(data, u32::from(how >> 1) % 10), u64::from(how) * 3 + 1);
    }
}

fn inflates_like_zlib(stream: &[u8]) {
    let Some((reference, end)) = reference(stream) else { return };
    // A file that ends with the stream: what follows it here would be a checksum and more members.
    let (ours, error) = ours(&stream[..end.unwrap_or(stream.len())]);
    assert!(reference.starts_with(&ours) || ours.starts_with(&reference), "other bytes");
    assert_eq!(end.is_some(), error.contains("a trailer"), "{error}");
    if end.is_some() {
        assert_eq!(ours, reference);
    }
}

/// What zlib makes of it, and where it ends, if it does; nothing when that is too much.
fn reference(stream: &[u8]) -> Option<(Vec<u8>, Option<usize>)> {
    let mut inflate = Decompress::new(false);
    let mut plain = vec![0; MOST_BYTES];
    let status = inflate.decompress(stream, &mut plain, FlushDecompress::None);
    plain.truncate(inflate.total_out() as usize);
    let end = matches!(status, Ok(Status::StreamEnd)).then(|| inflate.total_in() as usize);
    (plain.len() < MOST_BYTES).then_some((plain, end))
}

/// What we make of it as a gzip file without a trailer, and the message of the error at its end.
fn ours(stream: &[u8]) -> (Vec<u8>, String) {
    let file = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], stream].concat();
    let input = RangeInput::Stream { start: None, consume_bytes: 1 };
    let mut bytes = RangeBytes::open(Arc::new(Bytes::from(file)), &input).expect("opening reads nothing");
    let (mut plain, mut chunk) = (Vec::new(), Vec::new());
    loop {
        match bytes.next_chunk(&mut chunk) {
            Ok(true) => plain.extend_from_slice(&chunk),
            Ok(false) => return (plain, String::new()),
            Err(error) => {
                // Of the last bytes before the error, some may have been decoded.
                plain.extend_from_slice(&chunk);
                return (plain, error.to_string());
            }
        }
    }
}

fn compress(data: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(data).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn ranges_agree(file: &[u8], range_bytes: u64) {
    let whole = read(file, u64::MAX).expect("it is whole");
    assert_eq!(read(file, range_bytes).expect("it is whole"), whole);
}

/// All records and the size, read in ranges; between them checkpoints are encoded and decoded.
fn read(file: &[u8], range_bytes: u64) -> Result<(Vec<Record>, u64), DumpError> {
    let (mut records, mut bytes, mut start) = (Vec::new(), 0, None);
    loop {
        let input = RangeInput::Stream { start, consume_bytes: range_bytes };
        let mut reader = open_range(Arc::new(Bytes::copy_from_slice(file)), &input, RangeLimits::default())?;
        while let Some(mut record) = reader.next()? {
            if let Record::Quarantined(bad) = &mut record {
                // It counts from the beginning of the range.
                bad.offset = 0;
            }
            records.push(record);
        }
        let outcome = reader.finish()?;
        bytes += outcome.uncompressed_bytes;
        let Some(next) = outcome.next else { return Ok((records, bytes)) };
        start = Some(Checkpoint::from_bytes(&next.to_bytes())?);
    }
}
