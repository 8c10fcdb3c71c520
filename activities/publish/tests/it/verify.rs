//! Verifying finds every kind of damage and says where it is.

use crate::common;
use crate::common::SHARDS;
use bytes::Bytes;
use wikitok_publish::{
    EncodedPart, PassageKey, PublishError, QuarantinePart, TokenRow, VectorPartOptions, VectorPartWriter,
    commit_tokens, commit_vectors, committed_tokens, keys, publish_run, seal_shard, verify,
};
use wikitok_store::Location;

/// The problems of an output, each as `key problem`.
async fn problems(output: &Location) -> Vec<String> {
    let report = verify(output).await.unwrap();
    report.problems.iter().map(ToString::to_string).collect()
}

fn assert_one(problems: &[String], key: &str, text: &str) {
    let named = |problem: &&String| problem.starts_with(&format!("`{key}`")) && problem.contains(text);
    assert_eq!(problems.iter().filter(named).count(), 1, "`{key}` {text}: {problems:#?}");
}

async fn edit(output: &Location, key: &str, change: impl FnOnce(String) -> String) {
    let before = String::from_utf8(output.get(key).await.unwrap().to_vec()).unwrap();
    let after = change(before.clone());
    assert_ne!(before, after, "the edit of `{key}` changes nothing");
    output.put(key, Bytes::from(after)).await.unwrap();
}

#[tokio::test]
async fn a_whole_output_has_no_problems() {
    let output = common::published().await;
    let report = verify(&output).await.unwrap();
    assert!(report.is_whole(), "{:?}", report.problems);
    let totals = report.totals;
    assert_eq!((totals.shards, totals.parts, totals.files, totals.counts.articles), (2, 4, 6, 6));
}

#[tokio::test]
async fn an_empty_place_is_no_output() {
    let found = problems(&*common::empty().await).await;
    for key in [keys::SUCCESS, keys::RUN, keys::OWNER] {
        assert_one(&found, key, "is missing");
    }
}

#[tokio::test]
async fn a_flipped_bit_is_found_in_every_data_file() {
    let output = common::published().await;
    for key in [keys::tokens(SHARDS[0], 0), keys::vectors(SHARDS[1], 0), keys::quarantine(SHARDS[0], 0)] {
        let key = key.unwrap();
        let whole = output.get(&key).await.unwrap();
        for at in [0, whole.len() / 2, whole.len() - 1] {
            let mut damaged = whole.to_vec();
            damaged[at] ^= 1;
            output.put(&key, Bytes::from(damaged)).await.unwrap();
            assert_one(&problems(&output).await, &key, "sha256");
        }
        output.put(&key, whole.slice(1..)).await.unwrap();
        assert_one(&problems(&output).await, &key, "bytes instead of");
        output.put(&key, whole).await.unwrap();
    }
    assert!(problems(&output).await.is_empty());
}

#[tokio::test]
async fn every_file_is_missed() {
    let output = common::published().await;
    for object in output.list("").await.unwrap() {
        let bytes = output.get(&object.key).await.unwrap();
        output.delete(&object.key).await.unwrap();
        assert_one(&problems(&output).await, &object.key, "is missing");
        output.put(&object.key, bytes).await.unwrap();
    }
    assert!(problems(&output).await.is_empty());
}

#[tokio::test]
async fn strays_are_found() {
    let output = common::published().await;
    for key in ["tokens/extra.parquet", "vectors/a/b.parquet", &keys::tokens(SHARDS[0], 1).unwrap()] {
        output.put(key, Bytes::from_static(b"?")).await.unwrap();
        assert_one(&problems(&output).await, key, "is named by no manifest");
        output.delete(key).await.unwrap();
    }
    common::write_shard(&output, "another-shard", "a").await;
    let key = keys::shard_manifest("another-shard").unwrap();
    assert_one(&problems(&output).await, &key, "is not named by the manifest of the run");
}

#[tokio::test]
async fn wrong_counts_are_found_at_every_level() {
    let part = keys::tokens_manifest(SHARDS[0], 0).unwrap();
    let shard = keys::shard_manifest(SHARDS[0]).unwrap();
    for (key, from, to, problem) in [
        (part.as_str(), "\"documents\": 5", "\"documents\": 6", "6 documents were read"),
        (part.as_str(), "\"articles\": 3", "\"articles\": 2", "counts other articles"),
        (shard.as_str(), "\"tokens\": 3", "\"tokens\": 4", "does not agree"),
        (keys::RUN, "\"characters\": 24", "\"characters\": 25", "does not agree"),
        (keys::RUN, "\"format\": \"wikitok.run/1\"", "\"format\": \"wikitok.run/9\"", "is not a manifest"),
        (keys::OWNER, "cl100k_base", "o200k_base", ""),
    ] {
        let output = common::published().await;
        edit(&output, key, |text| text.replacen(from, to, 1)).await;
        let key = if key == keys::OWNER { keys::RUN } else { key };
        assert_one(&problems(&output).await, key, problem);
    }
}

#[tokio::test]
async fn a_success_with_content_is_not_ours() {
    let output = common::published().await;
    output.put(keys::SUCCESS, Bytes::from_static(b"yes")).await.unwrap();
    assert_one(&problems(&output).await, keys::SUCCESS, "is not empty");
}

/// Puts other content in place of a part, with manifests that agree about its bytes.
async fn recommit(output: &Location, counted: &[TokenRow], tokens: &EncodedPart, vectors: &EncodedPart) {
    let shard = SHARDS[0];
    let manifest = common::tokens_manifest(shard, 0, "a", counted, 1);
    let manifest =
        commit_tokens(output, manifest, &common::files(tokens, &common::quarantine())).await.unwrap();
    let mut of_vectors = common::vectors_manifest(&manifest);
    of_vectors.counts.vectors = vectors.rows;
    commit_vectors(output, of_vectors, vectors).await.unwrap();
    seal_shard(output, common::SNAPSHOT, shard, 2, true).await.unwrap();
    publish_run(output, &common::owner("a"), &common::shards(2)).await.unwrap();
}

#[tokio::test]
async fn content_that_is_wrong_from_the_start_is_found() {
    let output = common::published().await;
    let rows = common::rows(SHARDS[0]);
    let (key, vectors) = (keys::tokens(SHARDS[0], 0).unwrap(), common::vector_part(&rows));

    let mut fewer = rows.clone();
    fewer[0].tokens.pop();
    recommit(&output, &rows, &common::token_part(&fewer), &vectors).await;
    assert_one(&problems(&output).await, &key, "has 2 tokens instead of 3");

    let mut shorter = rows.clone();
    shorter[0].text.pop();
    recommit(&output, &rows, &common::token_part(&shorter), &vectors).await;
    assert_one(&problems(&output).await, &key, "has 11 characters instead of 12");

    let not_parquet = EncodedPart { content: Bytes::from_static(b"?").into(), ..common::token_part(&rows) };
    let sha256 = "8a8de823d5ed3e12746a62ef169bcf372be0ca44f0a1236abc35df05d96928e1".to_owned();
    recommit(&output, &rows, &EncodedPart { sha256, ..not_parquet }, &vectors).await;
    assert_one(&problems(&output).await, &key, "is damaged");
}

fn vectors(rows: &[(u64, u32, [f32; 4])]) -> EncodedPart {
    let mut writer = VectorPartWriter::new(VectorPartOptions::new(4)).unwrap();
    for (page_id, passage, vector) in rows {
        writer.push(&PassageKey::new(*page_id, "title", *passage), vector).unwrap();
    }
    writer.finish().unwrap()
}

#[tokio::test]
async fn vectors_that_do_not_fit_their_tokens_are_found() {
    let unit = common::axis(0);
    for (content, problem) in [
        (vec![(10, 0, unit), (10, 0, unit), (11, 0, [0.5; 4])], None),
        (vec![(10, 0, unit), (10, 0, unit), (11, 0, [0.6; 4])], Some("length 1.2 instead of 1")),
        (vec![(10, 0, unit), (11, 0, unit), (10, 0, unit)], Some("pages of its tokens in their order")),
        (vec![(10, 0, unit), (10, 0, unit)], Some("pages of its tokens in their order")),
        (vec![(10, 0, unit), (10, 2, unit), (10, 0, unit), (11, 0, unit)], Some("out of order")),
        (vec![(10, 1, unit), (10, 0, unit), (11, 0, unit)], Some("out of order")),
        (vec![(10, 0, unit), (10, 0, unit), (11, 0, unit), (12, 1, unit)], Some("out of order")),
        (vec![], Some("has no vectors")),
    ] {
        let output = common::published().await;
        let rows = common::rows(SHARDS[0]);
        recommit(&output, &rows, &common::token_part(&rows), &vectors(&content)).await;
        let found = problems(&output).await;
        match problem {
            None => assert!(found.is_empty(), "{found:?}"),
            Some(problem) if content.is_empty() => {
                assert_one(&found, &keys::vectors_manifest(SHARDS[0], 0).unwrap(), problem);
            }
            Some(problem) => assert_one(&found, &keys::vectors(SHARDS[0], 0).unwrap(), problem),
        }
    }
}

#[tokio::test]
async fn quarantine_must_be_json_lines() {
    let output = common::published().await;
    let rows = common::rows(SHARDS[0]);
    for (bytes, problem) in [("no json\n", "has no JSON on line 1"), ("{}\n{}\n", "has 2 lines instead of 1")]
    {
        let mut manifest = committed_tokens(&output, SHARDS[0], 0).await.unwrap().unwrap();
        manifest.quarantine = None;
        let bad = QuarantinePart { bytes: bytes.into(), rows: 1 };
        commit_tokens(&output, manifest, &common::files(&common::token_part(&rows), &bad)).await.unwrap();
        seal_shard(&output, common::SNAPSHOT, SHARDS[0], 2, true).await.unwrap();
        publish_run(&output, &common::owner("a"), &common::shards(2)).await.unwrap();
        assert_one(&problems(&output).await, &keys::quarantine(SHARDS[0], 0).unwrap(), problem);
    }
}

/// Storage that fails says nothing about the output: it is an error, not a problem of the output.
#[tokio::test]
async fn storage_that_fails_is_an_error() {
    let output = common::published().await;
    let data = std::path::Path::new(output.uri()).join(keys::tokens(SHARDS[0], 0).unwrap());
    std::fs::remove_file(&data).unwrap();
    std::os::unix::fs::symlink(&data, &data).unwrap();
    let result = verify(&output).await;
    assert!(matches!(result, Err(PublishError::Store(_))), "{result:?}");
}
