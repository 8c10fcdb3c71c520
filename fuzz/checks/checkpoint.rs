//! Any bytes are a checkpoint or are refused, and from any checkpoint reading goes on or is refused.

use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use wikitok_dump::{Checkpoint, RangeInput, RangeLimits, open_range};

/// The bytes are a checkpoint as it lies in storage.
pub(crate) fn check(data: &[u8]) {
    let Ok(start) = Checkpoint::from_bytes(data) else { return };
    let again = Checkpoint::from_bytes(&start.to_bytes()).expect("what was decoded can be encoded");
    assert_eq!(again.compressed_offset(), start.compressed_offset());
    let input = RangeInput::Stream { start: Some(start), consume_bytes: 100 };
    let reader = open_range(Arc::new(file().clone()), &input, RangeLimits::default());
    let mut reader = reader.expect("opening reads nothing");
    while let Ok(Some(_)) = reader.next() {}
}

/// A shard of some blocks and two members.
fn file() -> &'static Bytes {
    static FILE: OnceLock<Bytes> = OnceLock::new();
    FILE.get_or_init(|| {
        let record =
            "{\"index\":{\"_id\":\"1\"}}\n{\"title\":\"T\",\"namespace\":0,\"text\":\"some text\"}\n";
        Bytes::from([member(&record.repeat(20)), member(&record.repeat(3))].concat())
    })
}

fn member(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for piece in text.as_bytes().chunks(200) {
        encoder.write_all(piece).expect("memory takes it");
        encoder.flush().expect("memory takes it");
    }
    encoder.finish().expect("memory takes it")
}
