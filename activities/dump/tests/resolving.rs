//! Snapshots are found wherever upstream's tree was copied to, and errors say what is there instead.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use wikitok_dump::{DumpError, Index, Layout, ShardSelection, Snapshot, SnapshotQuery, resolve};
use wikitok_store::{ErrorKind, Location};

const CURRENT: &str = "other/cirrus_search_index";
const LEGACY: &str = "other/cirrussearch";

/// A source with both layouts, one unfinished snapshot, and files that are no shards.
fn source() -> TempDir {
    let source = tempfile::tempdir().unwrap();
    for date in ["20260913", "20260920", "20260927"] {
        let directory = format!("{CURRENT}/{date}/index_name=enwiki_content");
        for shard in [2, 0, 1] {
            write(&source, &format!("{directory}/enwiki_content-{date}-0000{shard}.json.bz2"));
        }
        write(&source, &format!("{directory}/notes.txt"));
        if date != "20260927" {
            write(&source, &format!("{directory}/_SUCCESS"));
        }
    }
    write(&source, &format!("{CURRENT}/20260920/index_name=enwiki_general/_SUCCESS"));
    for name in ["enwiki-20260920", "enwiki-20240408", "zh_yuewiki-20240408"] {
        let date = &name[name.len() - 8..];
        write(&source, &format!("{LEGACY}/{date}/{name}-cirrussearch-content.json.gz"));
        write(&source, &format!("{LEGACY}/{date}/{name}-cirrussearch-general.json.gz"));
    }
    source
}

fn write(source: &TempDir, path: &str) {
    let path = source.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, b"x").unwrap();
}

async fn find(source: &Path, query: &str) -> Result<Snapshot, DumpError> {
    let location = Location::open(&source.to_string_lossy()).unwrap();
    resolve(&location, &query.parse()?).await
}

#[tokio::test]
async fn the_newest_complete_match_is_taken() {
    let source = source();
    for (query, name, layout) in [
        ("enwiki-latest", "enwiki-20260920", Layout::Current),
        ("enwiki-2026", "enwiki-20260920", Layout::Current),
        ("enwiki-20260913", "enwiki-20260913", Layout::Current),
        ("enwiki-2024", "enwiki-20240408", Layout::Legacy),
        ("zh_yuewiki-latest", "zh_yuewiki-20240408", Layout::Legacy),
    ] {
        let snapshot = find(source.path(), query).await.unwrap();
        assert_eq!((snapshot.name(), snapshot.layout), (name.to_owned(), layout), "{query}");
    }
}

#[tokio::test]
async fn shards_come_by_name_and_nothing_else_does() {
    let source = source();
    let snapshot = find(source.path(), "enwiki-20260920").await.unwrap();
    let names: Vec<_> = snapshot.shards.iter().map(|shard| shard.name.as_str()).collect();
    let expected: Vec<_> = (0..3).map(|shard| format!("enwiki_content-20260920-0000{shard}")).collect();
    assert_eq!(names, expected);
    assert!(snapshot.shards.iter().all(|shard| shard.bytes == 1 && !shard.version.is_empty()));
    let legacy = find(source.path(), "enwiki-2024").await.unwrap();
    assert_eq!(legacy.shards.len(), 1);
    assert_eq!(legacy.shards[0].name, "enwiki-20240408-cirrussearch-content");
    assert_eq!(
        legacy.shards[0].key,
        format!("{LEGACY}/20240408/enwiki-20240408-cirrussearch-content.json.gz")
    );
}

#[tokio::test]
async fn the_source_may_begin_at_any_level() {
    let source = source();
    for (below, newest) in
        [("", "20260920"), ("other", "20260920"), (CURRENT, "20260920"), (LEGACY, "20260920")]
    {
        let snapshot = find(&source.path().join(below), "enwiki-latest").await.unwrap();
        assert_eq!(snapshot.date, newest, "`{below}`");
        let layout = if below == LEGACY { Layout::Legacy } else { Layout::Current };
        assert_eq!(snapshot.layout, layout, "`{below}`");
    }
}

#[tokio::test]
async fn errors_say_what_is_there() {
    let source = source();
    let unfinished = find(source.path(), "enwiki-20260927").await.unwrap_err();
    assert!(unfinished.to_string().contains("`enwiki-20260927`") && unfinished.hint().is_some());
    let wiki = find(source.path(), "frwiki-latest").await.unwrap_err();
    assert!(matches!(wiki, DumpError::UnknownWiki { .. }));
    assert_eq!(wiki.hint().unwrap(), "wikis there: enwiki, zh_yuewiki");
    let date = find(source.path(), "enwiki-2023").await.unwrap_err();
    let known = "complete snapshots there: enwiki-20260920, enwiki-20260913, enwiki-20240408";
    assert_eq!(date.hint().unwrap(), known);
    let empty = tempfile::tempdir().unwrap();
    let nothing = find(empty.path(), "enwiki-2026").await.unwrap_err();
    assert!(nothing.hint().unwrap().contains("`other/cirrus_search_index`"));
    for error in [unfinished, wiki, date, nothing] {
        assert_eq!(error.kind(), ErrorKind::BadConfiguration, "{error}");
    }
}

#[tokio::test]
async fn a_complete_snapshot_without_shards_is_an_error() {
    let source = tempfile::tempdir().unwrap();
    write(&source, &format!("{CURRENT}/20260920/index_name=enwiki_content/_SUCCESS"));
    let error = find(source.path(), "enwiki-latest").await.unwrap_err();
    assert!(matches!(error, DumpError::NoShards { .. }), "{error}");
}

#[tokio::test]
async fn the_general_index_lies_beside_the_content_index() {
    let source = source();
    write(
        &source,
        &format!("{CURRENT}/20260920/index_name=enwiki_general/enwiki_general-20260920-00000.json.bz2"),
    );
    for (query, shard) in [
        ("enwiki-20260920", "enwiki_general-20260920-00000"),
        ("enwiki-20240408", "enwiki-20240408-cirrussearch-general"),
    ] {
        let query: SnapshotQuery = query.parse().unwrap();
        let location = Location::open(&source.path().to_string_lossy()).unwrap();
        let snapshot = resolve(&location, &query.of_index(Index::General)).await.unwrap();
        let names: Vec<&str> = snapshot.shards.iter().map(|shard| shard.name.as_str()).collect();
        assert_eq!(names, [shard]);
    }
}

#[tokio::test]
async fn shards_are_selected_by_their_places() {
    let source = source();
    let select = async |text: &str| {
        let selection: ShardSelection = text.parse().unwrap();
        find(source.path(), "enwiki-20260920").await.unwrap().select(&selection)
    };
    let names: Vec<String> =
        select("2,0").await.unwrap().shards.into_iter().map(|shard| shard.name).collect();
    assert_eq!(names, ["enwiki_content-20260920-00000", "enwiki_content-20260920-00002"]);
    let error = select("1-3").await.unwrap_err();
    assert!(matches!(error, DumpError::NoSuchShard { asked: 3, there: 3, .. }), "{error}");
    assert!(error.hint().unwrap().contains("the last is 2"));
}
