//! Histories stay small, whatever the shape of the dump: shown by dumps of that shape, cut into tiny ranges.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Ended, assert_verified, home, require_server, run};

/// No workflow may have more events.
const MOST_EVENTS: u64 = 10_000;
/// Ranges of 32 MB in a shard of 620 MB.
const PARTS_OF_A_SHARD: usize = 20;

fn document(page: usize) -> String {
    format!(
        "{{\"index\":{{\"_id\":\"{page}\"}}}}\n{{\"title\":\"Page {page}\",\"page_id\":{page},\"namespace\":0,\
         \"text\":\"The text of page {page}.\"}}\n"
    )
}

/// A gzip file in which decoding can resume after each document, so that each can be a part.
fn gzip(path: &Path, documents: std::ops::Range<usize>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    for page in documents {
        gzip.write_all(document(page).as_bytes()).unwrap();
        gzip.flush().unwrap();
    }
    gzip.finish().unwrap();
}

/// A legacy dump: one gzip file of so many parts.
pub(crate) fn one_long_file(source: &Path, wiki: &str, parts: usize) {
    gzip(
        &source.join(format!("cirrussearch/20240101/{wiki}-20240101-cirrussearch-content.json.gz")),
        0..parts,
    );
}

/// A current dump of so many shards of bzip2, each of which is cut into the parts of a large one.
fn many_shards(source: &Path, wiki: &str, shards: usize) -> u64 {
    let directory = source.join(format!("cirrus_search_index/20260101/index_name={wiki}_content"));
    std::fs::create_dir_all(&directory).unwrap();
    let bytes = std::fs::read(crate::harness::data("edge/ok-new.json.bz2")).unwrap();
    for shard in 0..shards {
        std::fs::write(directory.join(format!("{wiki}_content-20260101-{shard:05}.json.bz2")), &bytes)
            .unwrap();
    }
    std::fs::write(directory.join("_SUCCESS"), "").unwrap();
    (bytes.len() as u64).div_ceil(PARTS_OF_A_SHARD as u64)
}

/// Every execution of a run and of its shards: id, status and events.
fn executions(run_id: &str) -> Vec<(String, String, u64)> {
    let query = format!("WorkflowId STARTS_WITH '{run_id}'");
    let output = Command::new(home().join("bin/temporal"))
        .args(["workflow", "list", "--limit", "10000", "-o", "json", "--query", &query])
        .output()
        .unwrap();
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let one = |run: &Value| {
        let events = text(&run["historyLength"]).parse().unwrap();
        (text(&run["execution"]["workflowId"]), text(&run["status"]), events)
    };
    list.as_array().unwrap().iter().map(one).collect()
}

/// Shows that no execution of a run has too long a history, and gives the longest and how many were continued.
fn assert_small(ended: &Ended) -> (u64, usize) {
    let id = ended.json["run_id"].as_str().unwrap();
    let executions = executions(id);
    let longest = executions.iter().map(|(_, _, events)| *events).max().unwrap();
    let continued = executions.iter().filter(|(_, status, _)| status.ends_with("CONTINUED_AS_NEW")).count();
    eprintln!(
        "{id}: {} executions, {continued} continued as new, at most {longest} events",
        executions.len()
    );
    assert!((1..=MOST_EVENTS).contains(&longest), "{longest} events");
    (longest, continued)
}

fn ended_well(ended: &Ended, articles: u64, shards: u64) {
    assert_eq!(ended.code, 0, "{:#} {}", ended.json, ended.stderr);
    assert_eq!((&ended.json["articles"], &ended.json["shards_done"]), (&articles.into(), &shards.into()));
}

/// The parts of a shard of enwiki, and what they cost: so a run of any number of shards can be reckoned.
#[test]
fn a_snapshot_of_many_shards_has_small_histories() {
    let scratch = tempfile::tempdir().unwrap();
    let (source, output) = (scratch.path().join("dump"), scratch.path().join("out"));
    let range_bytes = many_shards(&source, "manywiki", 66);
    let cut = range_bytes.to_string();
    let ended = run("manywiki-latest", &source, &output, &["--no-embed", "--range-bytes", &cut]);
    let articles = ended.json["articles"].as_u64().unwrap();
    ended_well(&ended, articles, 66);
    assert_eq!(articles % 66, 0);
    let parts = crate::harness::manifest(&output, "manifest.json")["shards"][0]["parts"].as_u64().unwrap();
    assert!((19..=21).contains(&parts), "{parts} parts");
    assert_small(&ended);
}

#[test]
fn a_long_file_continues_as_new_and_counts_everything_once() {
    let scratch = tempfile::tempdir().unwrap();
    let (source, output) = (scratch.path().join("dump"), scratch.path().join("out"));
    one_long_file(&source, "longwiki", 100);
    let arguments = ["--no-embed", "--range-bytes", "1", "--longest-history", "200"];
    let ended = run("longwiki-latest", &source, &output, &arguments);
    ended_well(&ended, 100, 1);
    let (longest, continued) = assert_small(&ended);
    assert!(continued >= 2, "continued as new {continued} times");
    assert!(longest < 300, "{longest} events");
    assert_verified(&output);
}

/// A run over many shards continues as new, too, and waits for those in flight before it does.
#[test]
fn a_run_continues_as_new_between_shards() {
    let scratch = tempfile::tempdir().unwrap();
    let (source, output) = (scratch.path().join("dump"), scratch.path().join("out"));
    many_shards(&source, "wavewiki", 40);
    let ended = run("wavewiki-latest", &source, &output, &["--no-embed", "--longest-history", "100"]);
    let articles = ended.json["articles"].as_u64().unwrap();
    ended_well(&ended, articles, 40);
    assert_eq!(articles % 40, 0);
    let (_, continued) = assert_small(&ended);
    assert!(continued >= 1, "continued as new {continued} times");
    assert_verified(&output);
}

/// One gzip file of 40 GB: 1,250 parts one after the other, each with vectors, and nothing but the server's own
/// suggestion to continue as new. Some minutes: `make test-shapes`.
#[test]
#[ignore = "takes minutes: `make test-shapes`"]
fn a_file_of_forty_gigabytes_has_small_histories() {
    require_server();
    let scratch = tempfile::tempdir().unwrap();
    let (source, output) = (scratch.path().join("dump"), scratch.path().join("out"));
    one_long_file(&source, "hugewiki", 1_250);
    let ended = run("hugewiki-latest", &source, &output, &["--range-bytes", "1"]);
    ended_well(&ended, 1_250, 1);
    assert_eq!(ended.json["vectors"], 1_250);
    let (_, continued) = assert_small(&ended);
    assert!(continued >= 1, "the server suggests it");
    assert_verified(&output);
}

/// 66 shards of 620 MB with vectors. Some minutes: `make test-shapes`.
#[test]
#[ignore = "takes minutes: `make test-shapes`"]
fn a_snapshot_of_many_shards_with_vectors_has_small_histories() {
    require_server();
    let scratch = tempfile::tempdir().unwrap();
    let (source, output) = (scratch.path().join("dump"), scratch.path().join("out"));
    let cut = many_shards(&source, "vectorwiki", 66).to_string();
    let ended = run("vectorwiki-latest", &source, &output, &["--range-bytes", &cut]);
    let articles = ended.json["articles"].as_u64().unwrap();
    ended_well(&ended, articles, 66);
    assert_eq!(ended.json["vectors"], articles);
    assert_small(&ended);
}
