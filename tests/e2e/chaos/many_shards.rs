//! Ten thousand shards through one run.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use super::bare;
use crate::harness::{assert_verified, cli, home};
use crate::processes::{Server, Worker, free_port};
use crate::scene::{Running, count, events};

/// No workflow may have more events.
const MOST_EVENTS: u64 = 10_000;
/// A worker that has done a tenth of the shards has grown to what it needs, but for what the SDK keeps of every
/// activity (0.4 kB) and the list of shards.
const MOST_GROWTH_MEGABYTES: u64 = 60;
/// At the end it holds the events of all shards, to write them down: six for each of these.
const RECORD_KILOBYTES_OF_A_SHARD: u64 = 8;

/// Children that do nothing, for the server's own rate.
const BARE_CHILDREN: u32 = 1_000;

/// A dump of so many shards of one article each.
pub(crate) fn tiny_shards(source: &Path, shards: u64) {
    let directory = source.join("cirrus_search_index/20260101/index_name=tinywiki_content");
    std::fs::create_dir_all(&directory).unwrap();
    for shard in 0..shards {
        let file = directory.join(format!("tinywiki_content-20260101-{shard:05}.json.gz"));
        let mut gzip =
            flate2::write::GzEncoder::new(std::fs::File::create(file).unwrap(), flate2::Compression::fast());
        let page = shard + 1;
        let text = format!(
            "{{\"index\":{{\"_id\":\"{page}\"}}}}\n{{\"title\":\"Page {page}\",\"page_id\":{page},\
             \"namespace\":0,\"text\":\"The text of page {page}.\"}}\n"
        );
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap();
    }
    std::fs::write(directory.join("_SUCCESS"), "").unwrap();
}

#[test]
#[ignore = "takes ten minutes: `make chaos`"]
fn ten_thousand_shards_pass_through_one_run() {
    let shards = std::env::var("WIKITOK_TEST_SHARDS").map_or(10_000, |shards| shards.parse().unwrap());
    let scratch = tempfile::tempdir().unwrap();
    let (source, output) = (scratch.path().join("dump"), scratch.path().join("out"));
    tiny_shards(&source, shards);
    let server = Server::start(&scratch.path().join("temporal.db"), free_port());
    let worker = Worker::serving(&server.address(), &["workflow", "cpu"]);
    let began = Instant::now();
    let mut command =
        cli(["start", "--watch", "--format", "json", "--dump", "tinywiki-latest", "--no-embed", "--source"]);
    command.arg(&source).arg("--output").arg(&output).args(["--shards-in-flight", "64"]);
    command.env("TEMPORAL_ADDRESS", server.address());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut running = Running::of(command);
    let (mut grown_up, mut all_sealed) = (None, None);
    while !running.has_ended() {
        std::thread::sleep(std::time::Duration::from_millis(500));
        let sealed = std::fs::read_dir(output.join("manifests")).map_or(0, Iterator::count);
        if sealed as u64 >= shards / 10 {
            grown_up.get_or_insert_with(|| worker.peak_megabytes());
        }
        // The record is written after the last shard, so the sample before that knows nothing of it.
        if (sealed as u64) < shards {
            all_sealed = Some(worker.peak_megabytes());
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let bare = bare::children_per_second(&server.address(), BARE_CHILDREN);
    let ended = running.end();
    assert_eq!(ended.code, 0, "{:#} {}", ended.json, ended.stderr);
    assert_eq!((&ended.json["articles"], &ended.json["shards_done"]), (&shards.into(), &shards.into()));

    let (early, late, end) = (grown_up.unwrap(), all_sealed.unwrap(), worker.peak_megabytes());
    let runs = executions(&server.address(), ended.json["run_id"].as_str().unwrap());
    let longest = runs.iter().max().unwrap();
    eprintln!(
        "{shards} shards in {seconds:.0} s: {:.1} shards/s, where the server by itself makes {bare:.1} children/s; {} executions of the run, at most {longest} events; \
         the worker had {early} MB after a tenth, {late} MB before the last, {end} MB with the record",
        shards as f64 / seconds,
        runs.len(),
    );
    assert!(*longest < MOST_EVENTS && (shards < 2_000 || runs.len() > 1), "{runs:?}");
    assert!(late < early + MOST_GROWTH_MEGABYTES, "{early} MB, then {late} MB");
    let record = shards * RECORD_KILOBYTES_OF_A_SHARD / 1_000;
    assert!(end < late + MOST_GROWTH_MEGABYTES / 2 + record, "{late} MB, then {end} MB");
    assert_eq!(count(&events(&output), "shard_committed") as u64, shards);
    assert_verified(&output);
}

/// How long the histories of the executions of a run are, its shards not counted.
fn executions(address: &str, id: &str) -> Vec<u64> {
    let query = format!("WorkflowId = '{id}'");
    let output = Command::new(home().join("bin/temporal"))
        .args(["workflow", "list", "--limit", "10000", "-o", "json", "--query", &query, "--address", address])
        .output()
        .unwrap();
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let events = |run: &Value| run["historyLength"].as_str().unwrap().parse().unwrap();
    list.as_array().unwrap().iter().map(events).collect()
}
