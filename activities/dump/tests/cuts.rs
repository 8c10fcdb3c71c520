//! However a shard is cut, its ranges together give the same records in the same order.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use common::{read, read_side_by_side, read_whole};
use proptest::prelude::*;
use wikitok_dump::{ByteRange, DumpError, RangeInput, RangeLimits, Record, open_range};

/// A line of a shard: any of what occurs, and of what should not.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let document = |id: u64, text: String| {
        serde_json::json!({ "page_id": id, "namespace": 0, "title": "T", "text": text })
            .to_string()
            .into_bytes()
    };
    prop_oneof![
        8 => (0_u64..1000).prop_map(|id| format!(r#"{{"index":{{"_id":{id}}}}}"#).into_bytes()),
        8 => (0_u64..1000, "[a-z ]{1,80}").prop_map(move |(id, text)| document(id, text)),
        1 => "[a-zA-Z0-9]{2000,9000}".prop_map(move |text| document(1, text)),
        1 => Just(br#"{"page_id":5,"namespace":0,"title":"R","text":"x","page_type":"redirect"}"#.to_vec()),
        1 => Just(br#"{"title":"no id","namespace":0,"text":"x"}"#.to_vec()),
        1 => Just(br#"{"delete":{"_id":3}}"#.to_vec()),
        1 => Just(br#"{"update":{"_id":3}}"#.to_vec()),
        1 => Just(br#"{"page_id":6,"text":"cut"#.to_vec()),
        1 => Just(b"\xff\xfe not json".to_vec()),
        3 => prop::sample::select(vec![b"".to_vec(), b"  ".to_vec(), b"\t".to_vec()]),
    ]
}

/// A shard's uncompressed bytes.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let end = prop_oneof![4 => Just(&b"\n"[..]), 1 => Just(&b"\r\n"[..])];
    (any::<bool>(), prop::collection::vec((line(), end), 0..60), any::<bool>()).prop_map(
        |(mark, lines, cut_last_end)| {
            let mut content = if mark { b"\xef\xbb\xbf".to_vec() } else { Vec::new() };
            for (line, end) in &lines {
                content.extend([line, *end].concat());
            }
            if cut_last_end {
                content.pop();
            }
            content
        },
    )
}

/// Where to divide `content` into streams: positions as parts of 1000.
fn divide<'a>(content: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place * content.len() / 1000).collect();
    places.extend([0, content.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &content[pair[0]..pair[1]]).collect()
}

fn bzip2(content: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(1));
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// One member, with a deflate block for every `flush` bytes so that there are places to resume.
fn gzip(content: &[u8], level: u32, flush: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
    for chunk in content.chunks(flush) {
        encoder.write_all(chunk).unwrap();
        encoder.flush().unwrap();
    }
    encoder.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn bzip2_streams(
        content in content(),
        streams in prop::collection::vec(0_usize..=1000, 0..12),
        cuts in prop::collection::vec(0_usize..=1000, 0..8),
        garbage in any::<bool>(),
    ) {
        let mut data = divide(&content, &streams).into_iter().flat_map(bzip2).collect::<Vec<_>>();
        if garbage {
            data.extend(b"not a stream");
        }
        let data = Bytes::from(data);
        let whole = read_whole(&data).unwrap();
        prop_assert_eq!(whole.uncompressed_bytes, content.len() as u64);
        let expected = whole.comparable();
        let mut bounds: Vec<u64> = cuts.iter().map(|cut| (cut * data.len() / 1000) as u64).collect();
        bounds.extend([0, data.len() as u64]);
        bounds.sort_unstable();
        bounds.dedup();
        let ranges = bounds.windows(2).map(|pair| ByteRange { from: pair[0], to: pair[1] }).collect();
        let found = read_side_by_side(&data, ranges, RangeLimits::default()).unwrap();
        prop_assert_eq!(found.comparable(), expected);
    }

    #[test]
    fn gzip_members(
        content in content(),
        members in prop::collection::vec(0_usize..=1000, 0..4),
        level in 0_u32..=9,
        flush in 1_usize..3000,
        range_bytes in 1_u64..3000,
        garbage in any::<bool>(),
    ) {
        let compress = |part| gzip(part, level, flush);
        let mut data = divide(&content, &members).into_iter().flat_map(compress).collect::<Vec<_>>();
        if garbage {
            data.extend(b"not a member");
        }
        let data = Bytes::from(data);
        let whole = read_whole(&data).unwrap();
        prop_assert_eq!(whole.uncompressed_bytes, content.len() as u64);
        let found = read(&data, range_bytes, RangeLimits::default()).unwrap();
        prop_assert_eq!(found.comparable(), whole.comparable());
    }

}

proptest! {
    // Opening a range takes a millisecond or two, and here there are dozens for each case.
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn long_lines_are_quarantined_in_every_cut(content in content(), range_bytes in 100_u64..500) {
        let limits = RangeLimits { max_line_bytes: 300, ..RangeLimits::default() };
        let data = Bytes::from(divide(&content, &[100, 300, 500, 700]).into_iter().flat_map(bzip2).collect::<Vec<_>>());
        let whole = read(&data, u64::MAX, limits).unwrap();
        let found = read(&data, range_bytes, limits).unwrap();
        prop_assert_eq!(found.comparable(), whole.comparable());
    }
}

/// A stream of several blocks that are not cut at bytes: the usual shape of a dump.
#[test]
fn blocks_of_one_stream_are_found_at_any_bit() {
    let mut content = Vec::new();
    for id in 0..4000_u64 {
        let text =
            format!("{:x}", u128::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).repeat(4);
        writeln!(content, r#"{{"index":{{"_id":{id}}}}}"#).unwrap();
        writeln!(content, r#"{{"page_id":{id},"namespace":0,"title":"P","text":"{text}"}}"#).unwrap();
    }
    let data = Bytes::from(bzip2(&content));
    let expected = read_whole(&data).unwrap();
    assert_eq!(expected.articles().len(), 4000);
    let expected = expected.comparable();
    for range_bytes in [1000, 4096, 5555, 30_000, 100_000] {
        let found = read(&data, range_bytes, RangeLimits::default()).unwrap();
        assert!(found.busy_ranges > 1, "there are several blocks");
        assert_eq!(found.comparable(), expected, "{range_bytes}");
    }
}

/// Bytes that happen to hold a magic number must not be taken for a block.
#[test]
fn a_false_magic_is_passed_over() {
    let page = br#"{"index":{"_id":1}}
{"namespace":0,"title":"P","text":"t"}
"#;
    let (first, second) = (bzip2(&page.repeat(300)), bzip2(&page.repeat(200)));
    let mut data = [&first[..], &second].concat();
    let from = first.len() - 40;
    // The true end of the first stream is outside of the range, so it may be written over.
    data[from + 5..from + 11].copy_from_slice(&0x3141_5926_5359_u64.to_be_bytes()[2..]);
    let range = ByteRange { from: from as u64, to: data.len() as u64 };
    let mut reader =
        open_range(Arc::new(Bytes::from(data)), &RangeInput::Blocks(range), RangeLimits::default()).unwrap();
    let mut articles = 0;
    while let Some(record) = reader.next().unwrap() {
        articles += usize::from(matches!(record, Record::Article(_)));
    }
    assert_eq!(articles, 199, "the line after the range's start belongs to the range before");
    let chain = reader.finish().unwrap().chain.unwrap();
    assert_eq!(chain.first_block_bit, Some((first.len() as u64 + 4) * 8));
}

/// Where every magic number is false, the range is damaged and must not pass for one without blocks.
#[test]
fn a_range_with_false_magics_alone_is_damaged() {
    let mut data = bzip2(b"{}\n");
    let from = data.len() as u64;
    data.extend(0x3141_5926_5359_u64.to_be_bytes());
    data.extend([0xa5; 500]);
    let range = ByteRange { from, to: data.len() as u64 };
    let opened = open_range(Arc::new(Bytes::from(data)), &RangeInput::Blocks(range), RangeLimits::default());
    assert!(matches!(opened.err(), Some(DumpError::Corrupt { .. })));
}
