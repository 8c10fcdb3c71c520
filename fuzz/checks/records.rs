//! Any bytes are read as lines of a dump; what is an article to us is one to a strict parser, with the same words.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use wikitok_dump::{BadReason, RangeInput, RangeLimits, RangeReader, Record, open_range};

/// The bytes are the content of a shard.
pub(crate) fn check(data: &[u8]) {
    let mut records = Vec::new();
    let mut reader = open(data);
    while let Some(record) = reader.next().expect("the shard is whole") {
        records.push(record);
    }
    let outcome = reader.finish().expect("all is read");
    assert_eq!(outcome.documents, records.len() as u64);
    assert_eq!(outcome.uncompressed_bytes, data.len() as u64);
    assert_eq!(in_batches(data), records);
    if !data.contains(&b'\n')
        && let [record] = &records[..]
    {
        agrees_with_serde(data, record);
    }
}

fn open(data: &[u8]) -> RangeReader {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(data).expect("memory takes it");
    let file = Bytes::from(encoder.finish().expect("memory takes it"));
    let input = RangeInput::Stream { start: None, consume_bytes: u64::MAX };
    let limits = RangeLimits { max_line_bytes: 2000, ..RangeLimits::default() };
    open_range(Arc::new(file), &input, limits).expect("opening reads nothing")
}

fn in_batches(data: &[u8]) -> Vec<Record> {
    let (mut reader, mut records) = (open(data), Vec::new());
    while let Some(batch) = reader.next_batch(300).expect("the shard is whole") {
        records.extend(batch);
    }
    records
}

/// We are less strict than serde where nothing is lost by it, never the other way round.
fn agrees_with_serde(line: &[u8], record: &Record) {
    let Ok(Value::Object(document)) = serde_json::from_slice::<Value>(line) else { return };
    match record {
        Record::Article(article) => {
            assert_eq!(document["title"], article.title.as_str());
            assert_eq!(document["text"], article.text.as_str());
        }
        Record::Quarantined(bad) => assert_ne!(bad.reason, BadReason::InvalidJson, "{}", bad.message),
        Record::Filtered(_) => {}
    }
}
