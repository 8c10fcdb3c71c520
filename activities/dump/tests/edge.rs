//! Every hostile file gives what its manifest promises, in whatever ranges it is read.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::{Whole, fixture, load, read, read_whole};
use wikitok_dump::{ByteRange, DumpError, RangeInput, RangeLimits, RangeReader, open_range};
use wikitok_store::ErrorKind;

const RANGE_BYTES: [u64; 4] = [u64::MAX, 1000, 100, 7];

/// The manifest: file names and how many articles each holds, where that is beyond doubt.
fn manifest() -> Vec<(String, Option<usize>)> {
    let entries: serde_json::Value =
        serde_json::from_slice(&load(&fixture("edge/MANIFEST.json"))).expect("it is JSON");
    let entry = |entry: &serde_json::Value| {
        let articles = entry["wellformed_article_docs"].as_u64().map(|count| count as usize);
        (entry["file"].as_str().unwrap().to_owned(), articles)
    };
    entries.as_array().unwrap().iter().map(entry).collect()
}

fn read_file(name: &str) -> Result<Whole, DumpError> {
    read_whole(&load(&fixture("edge").join(name)))
}

#[test]
fn every_file_gives_the_articles_of_its_manifest() {
    for (name, articles) in manifest() {
        let expected = match name.as_str() {
            // A file that is no stream must never pass for one without documents.
            "zero-bytes.json.bz2" => None,
            _ => articles,
        };
        let found = read_file(&name);
        match expected {
            Some(count) => assert_eq!(found.unwrap().articles().len(), count, "{name}"),
            None => assert_eq!(found.unwrap_err().kind(), ErrorKind::BadInput, "{name}"),
        }
    }
}

#[test]
fn every_cut_gives_the_same_records() {
    for (name, _) in manifest() {
        let data = load(&fixture("edge").join(&name));
        let Ok(whole) = read_whole(&data) else { continue };
        let expected = whole.comparable();
        for range_bytes in RANGE_BYTES {
            let found = read(&data, range_bytes, RangeLimits::default()).unwrap();
            assert_eq!(found.comparable(), expected, "{name} in ranges of {range_bytes}");
        }
    }
}

#[test]
fn damaged_files_fail_in_every_cut() {
    for name in ["truncated.json.bz2", "truncated.json.gz", "corrupt-block.json.bz2", "zero-bytes.json.bz2"] {
        let data = load(&fixture("edge").join(name));
        for range_bytes in RANGE_BYTES {
            let error = read(&data, range_bytes, RangeLimits::default()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadInput, "{name} in ranges of {range_bytes}: {error}");
        }
    }
    assert!(matches!(read_file("truncated.json.bz2"), Err(DumpError::Truncated { .. })));
    assert!(matches!(read_file("truncated.json.gz"), Err(DumpError::Truncated { .. })));
    assert!(matches!(read_file("corrupt-block.json.bz2"), Err(DumpError::Corrupt { .. })));
    assert!(matches!(read_file("zero-bytes.json.bz2"), Err(DumpError::EmptyFile)));
}

#[test]
fn what_was_found_before_the_damage_comes_before_the_error() {
    let whole =
        load(&fixture("sample/other/cirrussearch/20240408/enwiki-20240408-cirrussearch-content.json.gz"));
    let cut = whole.slice(..whole.len() / 4 * 3);
    let one = |reader: &mut RangeReader| reader.next().map(|record| record.map(|_| 1));
    let many =
        |reader: &mut RangeReader| reader.next_batch(1 << 20).map(|batch| batch.map(|batch| batch.len()));
    let before = |in_batches: bool| {
        let range = RangeInput::Stream { start: None, consume_bytes: u64::MAX };
        let mut reader = open_range(Arc::new(cut.clone()), &range, RangeLimits::default()).unwrap();
        let mut found = 0;
        loop {
            let next = if in_batches { many(&mut reader) } else { one(&mut reader) };
            match next {
                Ok(records) => found += records.expect("the file is damaged"),
                Err(error) => return (found, error.to_string()),
            }
        }
    };
    assert!(before(false).0 > 0);
    assert_eq!(before(true), before(false));
}

#[test]
fn what_is_no_article_is_counted_by_reason() {
    let namespaces = &["namespace"; 7][..];
    let expected: [(&str, &[&str], &[&str]); 17] = [
        ("ok-new.json.bz2", &[], &[]),
        ("new-redirects.json.bz2", &["redirect"], &[]),
        ("namespaces.json.bz2", namespaces, &[]),
        ("text-variants.json.bz2", &["empty_text"; 4], &["text_not_a_string"; 2]),
        ("title-variants.json.bz2", &[], &["missing_title"; 3]),
        ("blank-lines.json.bz2", &[], &[]),
        ("action-without-doc-eof.json.bz2", &[], &["action_without_document"]),
        ("action-action.json.bz2", &[], &["action_without_document"]),
        ("doc-doc.json.bz2", &[], &[]),
        ("other-actions.json.bz2", &["deletion"], &["partial_update"]),
        ("broken-json.json.bz2", &[], &["invalid_json"]),
        ("not-json.json.bz2", &[], &["invalid_json"]),
        ("invalid-utf8.json.bz2", &[], &["invalid_utf8"]),
        ("lone-surrogate.json.gz", &[], &["invalid_json"]),
        ("empty-stream.json.bz2", &[], &[]),
        ("trailing-garbage.json.bz2", &[], &["trailing_garbage"]),
        ("gzip-named-bz2.json.bz2", &[], &[]),
    ];
    for (name, filtered, quarantined) in expected {
        let whole = read_file(name).unwrap();
        assert_eq!(
            (whole.filtered(), whole.quarantined()),
            (filtered.to_vec(), quarantined.to_vec()),
            "{name}"
        );
    }
}

#[test]
fn articles_hold_what_the_files_say() {
    let id = |name: &str| read_file(name).unwrap().articles()[0].page_id;
    assert_eq!(id("id-mismatch.json.bz2"), 999, "the document's own word goes before its action's");
    assert_eq!(id("ok-legacy-page.json.gz"), 1, "the documents of 2017 do not name their page");
    let text = |name: &str, index: usize| read_file(name).unwrap().articles()[index].text.clone();
    assert_eq!(text("lone-surrogate.json.gz", 0), "good \u{1f600} end");
    assert_eq!(text("dup-keys-big-number.json.bz2", 0), "second");
    let controls = text("nul-and-controls.json.bz2", 0);
    assert!(["\0", "\u{1}", "\u{2028}", "\u{2029}", "\u{85}"].iter().all(|&c| controls.contains(c)));
    assert!(text("special-tokens.json.bz2", 0).contains("<|endoftext|>"));
    let duplicates = read_file("duplicate-ids.json.bz2").unwrap();
    let ids: BTreeSet<u64> = duplicates.articles().iter().map(|article| article.page_id).collect();
    assert_eq!((duplicates.articles().len(), ids.len()), (2, 1));
    let huge = read_file("huge-doc.json.bz2").unwrap();
    assert!(huge.articles().iter().any(|article| article.text.len() > 9_000_000));
}

#[test]
fn limits_are_kept() {
    let data = load(&fixture("edge/huge-doc.json.bz2"));
    let limits = RangeLimits { max_line_bytes: 1 << 20, ..RangeLimits::default() };
    let whole = read(&data, u64::MAX, limits).unwrap();
    assert_eq!((whole.articles().len(), whole.quarantined()), (1, vec!["record_too_long"]));
    let limits = RangeLimits { max_output_bytes: 1 << 20, ..RangeLimits::default() };
    let whole = read(&data, u64::MAX, limits).unwrap();
    assert_eq!((whole.articles().len(), whole.quarantined()), (1, vec!["output_limit"]));
}

/// The checksums of what is passed over still hold, and ranges still meet.
#[test]
fn what_lies_behind_the_limit_is_one_record() {
    let all = read_whole(&load(&fixture("edge/multistream.json.bz2"))).unwrap();
    let limits = RangeLimits { max_output_bytes: 700, ..RangeLimits::default() };
    for name in ["multistream.json.bz2", "multimember.json.gz"] {
        let whole = read(&load(&fixture("edge").join(name)), u64::MAX, limits).unwrap();
        assert!(!whole.articles().is_empty() && whole.articles().len() < all.articles().len(), "{name}");
        assert_eq!(whole.articles(), all.articles()[..whole.articles().len()], "{name}");
        assert_eq!(whole.quarantined(), ["output_limit"], "{name}");
    }
}

#[test]
fn reading_stops_when_it_is_asked_to() {
    let data = load(&fixture("edge/huge-doc.json.bz2"));
    let range = RangeInput::Blocks(ByteRange { from: 0, to: data.len() as u64 });
    let mut reader = open_range(Arc::new(data), &range, RangeLimits::default()).unwrap();
    let mut chunks = 0;
    reader.watch(move || {
        chunks += 1;
        chunks <= 3
    });
    let error = std::iter::from_fn(|| Some(reader.next())).find_map(Result::err).unwrap();
    assert!(matches!(error, DumpError::Stopped));
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    for name in ["multistream.json.bz2", "multimember.json.gz"] {
        let data = load(&fixture("edge").join(name));
        let whole_members = (0..data.len()).filter(|&end| {
            let result = read_whole(&data.slice(..end));
            result.inspect_err(|error| assert_eq!(error.kind(), ErrorKind::BadInput)).is_ok()
        });
        assert_eq!(whole_members.count(), 1, "{name}: only a cut between two streams looks whole");
    }
}

#[test]
fn a_flipped_bit_never_changes_the_records_silently() {
    for name in ["multistream.json.bz2", "multimember.json.gz"] {
        let data = load(&fixture("edge").join(name));
        let expected = read_whole(&data).unwrap();
        for bit in 0..data.len() * 8 {
            let mut damaged = data.to_vec();
            damaged[bit / 8] ^= 128 >> (bit % 8);
            match read_whole(&damaged.into()) {
                Err(error) => assert_eq!(error.kind(), ErrorKind::BadInput, "{name}, bit {bit}"),
                // A gzip member's header may become garbage, which is counted.
                Ok(found) if found.quarantined() == ["trailing_garbage"] => assert!(name.ends_with("gz")),
                Ok(found) => assert_eq!(found, expected, "{name}, bit {bit}"),
            }
        }
    }
}
