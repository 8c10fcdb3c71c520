//! Outputs: committing, sealing, publishing, and what dying or changing one's mind in between leaves.

use crate::common;
use std::collections::BTreeMap;

use crate::common::{SHARDS, SNAPSHOT};
use bytes::Bytes;
use wikitok_publish::{
    PublishError, QuarantinePart, claim, commit_tokens, commit_vectors, committed_shard, committed_tokens,
    committed_vectors, keys, publish_run, read_owner, read_run, seal_shard, verify,
};
use wikitok_store::{ErrorKind, Location};

async fn contents(output: &Location) -> BTreeMap<String, Bytes> {
    let mut contents = BTreeMap::new();
    for object in output.list("").await.unwrap() {
        let bytes = output.get(&object.key).await.unwrap();
        contents.insert(object.key, bytes);
    }
    contents
}

#[tokio::test]
async fn a_run_leaves_what_it_should_and_nothing_else() {
    let output = common::published().await;
    let contents = contents(&output).await;
    let mut expected = vec!["_SUCCESS".to_owned(), "manifest.json".to_owned(), "run.json".to_owned()];
    for shard in SHARDS {
        for file in ["part-00000.tokens.json", "part-00000.vectors.json", "part-00001.tokens.json"] {
            expected.push(format!("manifests/{shard}/{file}"));
        }
        expected.push(format!("manifests/{shard}/part-00001.vectors.json"));
        expected.push(format!("manifests/{shard}/shard.json"));
        expected.push(format!("tokens/{shard}/part-00000.parquet"));
        expected.push(format!("vectors/{shard}/part-00000.parquet"));
        expected.push(format!("quarantine/{shard}/part-00000.jsonl"));
    }
    expected.sort();
    assert_eq!(contents.keys().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    assert!(contents["_SUCCESS"].is_empty());
    assert!(contents["manifest.json"].ends_with(b"}\n"));
}

#[tokio::test]
async fn a_run_sums_up_its_shards() {
    let output = common::published().await;
    let run = read_run(&output).await.unwrap().unwrap();
    run.counts.check().unwrap();
    assert_eq!((run.counts.documents, run.counts.articles, run.counts.tokens), (12, 6, 6));
    assert_eq!((run.counts.vectors, run.counts.characters), (8, 24));
    assert_eq!(run.counts.filtered, BTreeMap::from([("redirect".to_owned(), 4)]));
    assert_eq!(run.counts.quarantined, BTreeMap::from([("not-json".to_owned(), 2)]));
    assert_eq!(run.versions.keys().collect::<Vec<_>>(), ["model", "tokenizer"]);
    assert_eq!(run.files.len(), 6);
    assert_eq!(run.license.article_link, "https://en.wikipedia.org/?curid={page_id}");
    assert_eq!(run.shards.iter().map(|shard| shard.parts).collect::<Vec<_>>(), [2, 2]);
}

#[tokio::test]
async fn two_runs_leave_the_same_bytes() {
    let (one, other) = (common::published().await, common::published().await);
    assert_eq!(contents(&one).await, contents(&other).await);
    common::write_run(&one).await;
    assert_eq!(contents(&one).await, contents(&other).await);
}

#[tokio::test]
async fn what_is_not_there_is_none_and_what_is_damaged_says_where() {
    let output = common::empty().await;
    assert!(read_owner(&output).await.unwrap().is_none());
    assert!(committed_tokens(&output, SHARDS[0], 0).await.unwrap().is_none());
    assert!(committed_vectors(&output, SHARDS[0], 0).await.unwrap().is_none());
    assert!(committed_shard(&output, SHARDS[0]).await.unwrap().is_none());
    let key = keys::tokens_manifest(SHARDS[0], 0).unwrap();
    output.put(&key, Bytes::from_static(b"{\"format\"")).await.unwrap();
    let error = committed_tokens(&output, SHARDS[0], 0).await.unwrap_err();
    assert!(error.to_string().contains(&key), "{error}");
    assert_eq!(error.kind(), ErrorKind::BadInput);
    assert!(committed_tokens(&output, "../x", 0).await.is_err());
}

#[tokio::test]
async fn one_kind_of_manifest_is_not_taken_for_another() {
    let output = common::published().await;
    let shard = output.get(&keys::shard_manifest(SHARDS[0]).unwrap()).await.unwrap();
    output.put(keys::OWNER, shard).await.unwrap();
    assert!(read_owner(&output).await.is_err());
}

#[tokio::test]
async fn a_lost_document_cannot_be_committed() {
    let output = common::empty().await;
    let rows = common::rows(SHARDS[0]);
    let (part, none) = (common::token_part(&rows), QuarantinePart::default());
    let mut manifest = common::tokens_manifest(SHARDS[0], 0, "a", &rows, 0);
    manifest.counts.documents += 1;
    let error = commit_tokens(&output, manifest.clone(), &common::files(&part, &none)).await.unwrap_err();
    assert!(matches!(error, PublishError::Unbalanced { .. }));
    manifest.counts.articles += 1;
    let error = commit_tokens(&output, manifest, &common::files(&part, &none)).await.unwrap_err();
    assert!(matches!(error, PublishError::Inconsistent { .. }), "{error}");
    assert!(output.list("").await.unwrap().is_empty());
}

/// Were it still there while the data changes, dying in between would leave it vouching for other bytes.
#[tokio::test]
async fn the_old_manifest_goes_before_the_data_changes() {
    let output = common::published().await;
    let directory = std::path::PathBuf::from(output.uri());
    let data = directory.join(keys::tokens(SHARDS[0], 0).unwrap());
    std::fs::remove_file(&data).unwrap();
    std::fs::create_dir_all(data.join("in the way")).unwrap();
    let rows = &common::rows(SHARDS[0])[..1];
    let manifest = common::tokens_manifest(SHARDS[0], 0, "b", rows, 0);
    let failed = commit_tokens(
        &output,
        manifest,
        &common::files(&common::token_part(rows), &QuarantinePart::default()),
    )
    .await;
    assert!(failed.is_err(), "the data could not be written");
    assert!(committed_tokens(&output, SHARDS[0], 0).await.unwrap().is_none());
    assert!(committed_shard(&output, SHARDS[0]).await.unwrap().is_none());
    assert!(read_run(&output).await.unwrap().is_none());
    assert!(output.head(keys::SUCCESS).await.unwrap().is_none());
    assert!(committed_shard(&output, SHARDS[1]).await.unwrap().is_some(), "nothing of it changes");
}

#[tokio::test]
async fn a_new_owner_withdraws_the_success_of_the_old() {
    let output = common::published().await;
    assert_eq!(claim(&output, &common::owner("a")).await.unwrap(), Some(common::owner("a")));
    assert!(output.head(keys::SUCCESS).await.unwrap().is_some());
    assert_eq!(claim(&output, &common::owner("b")).await.unwrap(), Some(common::owner("a")));
    assert!(output.head(keys::SUCCESS).await.unwrap().is_none());
    assert!(read_run(&output).await.unwrap().is_none());
    assert_eq!(read_owner(&output).await.unwrap(), Some(common::owner("b")));
}

#[tokio::test]
async fn sealing_wants_every_part_whole_and_fitting() {
    let output = common::published().await;
    let (shard, other) = (SHARDS[0], SHARDS[1]);
    let seal = |parts, vectors| seal_shard(&output, SNAPSHOT, shard, parts, vectors);
    assert!(matches!(seal(3, true).await, Err(PublishError::Missing { .. })));
    assert!(matches!(seal(0, true).await, Err(PublishError::Missing { .. })));
    let error = seal(1, true).await.unwrap_err();
    assert!(error.to_string().contains("would end before its file does"), "{error}");
    let snapshot = seal_shard(&output, "enwiki-20250101", shard, 2, true).await.unwrap_err();
    assert!(snapshot.to_string().contains("is of another part"), "{snapshot}");

    let rows = &common::rows(shard)[..1];
    let manifest = common::tokens_manifest(shard, 0, "b", rows, 0);
    let none = QuarantinePart::default();
    let manifest =
        commit_tokens(&output, manifest, &common::files(&common::token_part(rows), &none)).await.unwrap();
    let error = seal(2, true).await.unwrap_err();
    assert!(error.to_string().contains("made from other tokens"), "{error}");
    commit_vectors(&output, common::vectors_manifest(&manifest), &common::vector_part(rows)).await.unwrap();
    let error = seal(2, true).await.unwrap_err();
    assert!(error.to_string().contains("another configuration"), "{error}");

    output.delete(&keys::vectors(other, 0).unwrap()).await.unwrap();
    let error = seal_shard(&output, SNAPSHOT, other, 2, true).await.unwrap_err();
    assert!(matches!(error, PublishError::Missing { .. }), "{error}");
    let truncated = Bytes::from_static(b"PAR1");
    output.put(&keys::vectors(other, 0).unwrap(), truncated).await.unwrap();
    let error = seal_shard(&output, SNAPSHOT, other, 2, true).await.unwrap_err();
    assert!(error.to_string().contains("has 4 bytes instead of"), "{error}");
}

#[tokio::test]
async fn ranges_must_follow_one_another() {
    let output = common::empty().await;
    for part in 0..2 {
        let mut manifest = common::tokens_manifest(SHARDS[0], part, "a", &[], 0);
        manifest.input.from += u64::from(part);
        let none = QuarantinePart::default();
        commit_tokens(&output, manifest, &common::files(&common::token_part(&[]), &none)).await.unwrap();
    }
    let error = seal_shard(&output, SNAPSHOT, SHARDS[0], 2, false).await.unwrap_err();
    assert!(error.to_string().contains("does not begin where the part before it ended"), "{error}");
}

#[tokio::test]
async fn publishing_wants_exactly_the_shards_of_the_run() {
    let output = common::published().await;
    let error = publish_run(&output, &common::owner("a"), &common::shards(3)).await.unwrap_err();
    assert!(matches!(error, PublishError::WrongShardCount { expected: 3, found: 2 }));
    let error = publish_run(&output, &common::owner("b"), &common::shards(2)).await.unwrap_err();
    assert!(matches!(error, PublishError::WrongShardCount { expected: 2, found: 0 }));
    let untouched = verify(&output).await.unwrap();
    assert!(untouched.is_whole(), "{:?}", untouched.problems);
}

/// An earlier run had more shards and more parts, and a user keeps notes of their own beside.
#[tokio::test]
async fn publishing_removes_what_earlier_runs_left() {
    let output = common::published().await;
    let clean = contents(&output).await;
    common::write_shard(&output, "enwiki_content-20250101-00009", "old").await;
    let leftovers = [
        keys::tokens(SHARDS[0], 1).unwrap(),
        keys::vectors(SHARDS[0], 2).unwrap(),
        keys::quarantine(SHARDS[1], 1).unwrap(),
        keys::tokens_manifest(SHARDS[1], 2).unwrap(),
    ];
    for key in &leftovers {
        output.put(key, Bytes::from_static(b"old")).await.unwrap();
    }
    let notes = "manifests/notes.txt";
    output.put(notes, Bytes::from_static(b"mine")).await.unwrap();
    publish_run(&output, &common::owner("a"), &common::shards(2)).await.unwrap();
    let mut after = contents(&output).await;
    assert_eq!(after.remove(notes).unwrap(), "mine");
    assert_eq!(after, clean);
}

/// Taking away vectors is another configuration: none of the old ones may stay.
#[tokio::test]
async fn a_run_without_vectors_leaves_none() {
    let output = common::published().await;
    let mut owner = common::owner("a");
    owner.vectors_fingerprint = None;
    claim(&output, &owner).await.unwrap();
    for shard in SHARDS {
        seal_shard(&output, SNAPSHOT, shard, 2, false).await.unwrap();
    }
    let run = publish_run(&output, &owner, &common::shards(2)).await.unwrap();
    assert_eq!((run.counts.vectors, run.counts.articles), (0, 6));
    assert!(output.list("vectors").await.unwrap().is_empty());
    let report = verify(&output).await.unwrap();
    assert!(report.is_whole(), "{:?}", report.problems);
}
