//! The hostile files, all of them as shards of one snapshot.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::harness::{data, manifest, run};

/// Files whose compressed data is damaged or missing: nothing of them may pass for whole.
const DAMAGED: [&str; 4] =
    ["corrupt-block.json.bz2", "truncated.json.bz2", "truncated.json.gz", "zero-bytes.json.bz2"];

/// Lays the files out as the shards of a snapshot, and gives each one's shard.
fn snapshot(source: &Path) -> Vec<(Value, String)> {
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(data("edge/MANIFEST.json")).unwrap()).unwrap();
    let directory = source.join("other/cirrus_search_index/20260101/index_name=edgewiki_content");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("_SUCCESS"), "").unwrap();
    let files = manifest.as_array().unwrap().iter().enumerate().map(|(index, file)| {
        let shard = format!("edgewiki_content-20260101-{index:05}");
        let from = data("edge").join(file["file"].as_str().unwrap());
        std::fs::copy(from, directory.join(format!("{shard}.json.bz2"))).unwrap();
        (file.clone(), shard)
    });
    files.collect()
}

#[test]
fn every_hostile_file_ends_in_articles_quarantine_or_a_clear_failure() {
    let scratch = tempfile::tempdir().unwrap();
    let files = snapshot(scratch.path());
    assert_eq!(files.len(), 42);
    let output = scratch.path().join("out");
    let ended = run("edgewiki-20260101", scratch.path(), &output, &["--no-embed"]);
    assert_eq!(ended.code, 2, "{:#} {}", ended.json, ended.stderr);
    assert_eq!(ended.json["status"], "failed");

    let failed = ended.json["failed_shards"].as_array().unwrap();
    for failure in failed {
        assert_eq!(failure["reason"], "bad_input", "{failure:#}");
        assert!(!failure["message"].as_str().unwrap().is_empty());
    }
    let failed: BTreeSet<&str> = failed.iter().map(|failure| failure["shard"].as_str().unwrap()).collect();
    let expected: BTreeSet<&str> = files
        .iter()
        .filter(|(file, _)| DAMAGED.contains(&file["file"].as_str().unwrap()))
        .map(|(_, shard)| shard.as_str())
        .collect();
    assert_eq!(failed, expected, "{:#}", ended.json);
    assert!(!output.join("_SUCCESS").exists(), "a failed run is not a success");

    let mut articles = 0;
    for (file, shard) in files.iter().filter(|(_, shard)| !expected.contains(shard.as_str())) {
        articles += check_shard(&output, file, shard);
    }
    assert_eq!(ended.json["articles"], articles);
}

/// A shard that ended well: its articles are those that the manifest of the files promises, and every other
/// document is accounted for by a reason.
fn check_shard(output: &Path, file: &Value, shard: &str) -> u64 {
    let name = &file["file"];
    let counts = manifest(output, &format!("manifests/{shard}/shard.json"))["counts"].clone();
    let sum =
        |reasons: &Value| reasons.as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>();
    let articles = counts["articles"].as_u64().unwrap();
    assert_eq!(Some(articles), file["wellformed_article_docs"].as_u64(), "{name}: {counts:#}");
    let accounted = articles + sum(&counts["filtered"]) + sum(&counts["quarantined"]);
    assert_eq!(counts["documents"].as_u64().unwrap(), accounted, "{name}: {counts:#}");
    let quarantine = output.join(format!("quarantine/{shard}/part-00000.jsonl"));
    let lines = std::fs::read_to_string(&quarantine).unwrap_or_default();
    assert_eq!(lines.lines().count() as u64, sum(&counts["quarantined"]), "{name}");
    for line in lines.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["shard"], shard);
        assert!(record["offset"].is_u64() && record["reason"].is_string(), "{record}");
        assert!(record["message"].as_str().unwrap().chars().all(|c| !c.is_control()), "{record}");
    }
    articles
}

#[test]
fn a_flood_of_bad_records_fails_the_shard() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("cirrussearch/20240101");
    std::fs::create_dir_all(&directory).unwrap();
    let shard = directory.join("floodwiki-20240101-cirrussearch-content.json.gz");
    let mut gzip =
        flate2::write::GzEncoder::new(std::fs::File::create(shard).unwrap(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, "not a document\n".repeat(5000).as_bytes()).unwrap();
    gzip.finish().unwrap();
    let ended = run("floodwiki-latest", scratch.path(), &scratch.path().join("out"), &["--no-embed"]);
    assert_eq!(
        (ended.code, &ended.json["failed_shards"][0]["reason"]),
        (2, &"bad_input".into()),
        "{:#}",
        ended.json
    );
    let message = ended.json["failed_shards"][0]["message"].as_str().unwrap();
    assert!(message.contains("records are bad"), "{message}");
}

#[test]
fn quarantined_records_make_exit_code_1() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("cirrus_search_index/20260101/index_name=oddwiki_content");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("_SUCCESS"), "").unwrap();
    let shard = directory.join("oddwiki_content-20260101-00000.json.bz2");
    std::fs::copy(data("edge/broken-json.json.bz2"), shard).unwrap();
    let ended = run("oddwiki-latest", scratch.path(), &scratch.path().join("out"), &[]);
    assert_eq!(ended.code, 1, "{:#} {}", ended.json, ended.stderr);
    assert_eq!(ended.json["status"], "done_with_quarantine");
    assert_eq!((&ended.json["articles"], &ended.json["quarantined"]), (&2.into(), &1.into()));
    assert_eq!(ended.json["vectors"], 2);
}
