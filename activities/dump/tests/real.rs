//! Real dumps in both layouts: found, read, counted, and equal to each other.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use common::{Whole, fixture, load, read, shared};
use wikitok_dump::{
    DumpError, Layout, LocationObject, RangeLimits, ReadAt as _, ShardFile, Snapshot, resolve,
};
use wikitok_store::Location;

async fn snapshot(directory: &Path, query: &str) -> Result<(Location, Snapshot), DumpError> {
    let source = Location::open(&directory.to_string_lossy()).unwrap();
    let snapshot = resolve(&source, &query.parse()?).await?;
    Ok((source, snapshot))
}

/// Reads every shard by way of the location, as the worker does.
async fn read_snapshot(directory: &Path, query: &str, range_bytes: u64) -> Whole {
    let (source, snapshot) = snapshot(directory, query).await.unwrap();
    let mut all = Whole::default();
    for shard in snapshot.shards {
        let whole = read_shard(source.clone(), shard, range_bytes).await;
        all.records.extend(whole.records);
        all.uncompressed_bytes += whole.uncompressed_bytes;
    }
    all
}

async fn read_shard(source: Location, shard: ShardFile, range_bytes: u64) -> Whole {
    let runtime = tokio::runtime::Handle::current();
    let work = move || {
        let object = LocationObject::new(source, &shard, runtime);
        let data: Bytes = object.read_at(0, usize::MAX).unwrap();
        assert_eq!(data.len() as u64, shard.bytes);
        read(&data, range_bytes, RangeLimits::default()).unwrap()
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn characters(whole: &Whole) -> usize {
    whole.articles().iter().map(|article| article.text.chars().count()).sum()
}

fn contents(whole: &Whole) -> BTreeSet<(u64, &str, &str)> {
    whole.articles().iter().map(|article| (article.page_id, &*article.title, &*article.text)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_sample_gives_its_counts_in_both_layouts() {
    let sample = fixture("sample");
    let current = read_snapshot(&sample, "enwiki-20260920", 100_000).await;
    let legacy = read_snapshot(&sample, "enwiki-20240408", 100_000).await;
    for whole in [&current, &legacy] {
        assert_eq!((whole.articles().len(), characters(whole)), (53, 1_783_958));
        assert_eq!(whole.quarantined(), [""; 0]);
        assert!(whole.articles().iter().all(|a| a.revision_id.is_some() && a.timestamp.is_some()));
    }
    assert_eq!(current.filtered(), ["redirect"; 40]);
    assert_eq!(legacy.filtered(), [""; 0]);
    assert_eq!(contents(&current), contents(&legacy));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_development_set_gives_its_counts_in_both_layouts() {
    let Some(dev) = shared("data/dev") else { return };
    let counts: serde_json::Value = serde_json::from_slice(&load(&dev.join("COUNTS.json"))).unwrap();
    let legacy_dates = ["enwiki-20251229", "kowiki-20240408", "zhwiki-20210510", "arwiki-20170529"];
    for legacy_name in legacy_dates {
        let wiki = legacy_name.split('-').next().unwrap();
        let number = |field: &str| counts[wiki][field].as_u64().unwrap() as usize;
        let current = read_snapshot(&dev, &format!("{wiki}-2026"), 500_000).await;
        let legacy = read_snapshot(&dev, legacy_name, 500_000).await;
        for whole in [&current, &legacy] {
            assert_eq!(whole.articles().len(), number("articles") - number("empty_text"), "{wiki}");
            assert_eq!(characters(whole), number("text_chars"), "{wiki}");
            assert_eq!(whole.quarantined(), [""; 0], "{wiki}");
        }
        assert_eq!(contents(&current), contents(&legacy), "{wiki}");
        let redirects = current.filtered().iter().filter(|&&reason| reason == "redirect").count();
        assert_eq!(redirects, number("redirect_docs_new_only"), "{wiki}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn cuts_of_real_shards_give_the_same_records() {
    let Some(dev) = shared("data/dev") else { return };
    for query in ["enwiki-20260920", "kowiki-20240408"] {
        let (source, snapshot) = snapshot(&dev, query).await.unwrap();
        // Of the current shards, the second is the one of two streams.
        let shard = snapshot.shards.get(1).or(snapshot.shards.first()).unwrap();
        let expected = read_shard(source.clone(), shard.clone(), u64::MAX).await;
        let (records, expected) = (expected.records.len(), expected.comparable());
        for range_bytes in [100_000, 333_333, 1_000_000] {
            let found = read_shard(source.clone(), shard.clone(), range_bytes).await;
            assert!(found.busy_ranges > 1 && records > 100);
            assert!(found.comparable() == expected, "{query} in ranges of {range_bytes}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_real_documents_of_2017_and_2026_are_read() {
    let Some(tiny) = shared("data/tiny") else { return };
    let old = read_snapshot(&tiny, "simplewiki-2017", u64::MAX).await;
    assert_eq!(old.articles().iter().map(|article| article.page_id).collect::<Vec<_>>(), [1, 2, 4]);
    let japanese = read_snapshot(&tiny, "jawiki-latest", u64::MAX).await;
    assert_eq!(japanese.articles().iter().map(|a| a.page_id).collect::<Vec<_>>(), [4_348_353, 99]);
    let (_, newest) = snapshot(&tiny, "enwiki-latest").await.unwrap();
    assert_eq!(newest.name(), "enwiki-20260920", "20260927 is unfinished");
    let unfinished = snapshot(&tiny, "enwiki-20260927").await.unwrap_err();
    assert!(matches!(unfinished, DumpError::Unfinished { .. }), "{unfinished}");
    let (_, legacy) = snapshot(&tiny, "enwiki-2024").await.unwrap();
    assert_eq!(legacy.layout, Layout::Legacy);
}
