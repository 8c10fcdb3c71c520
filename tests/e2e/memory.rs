//! A worker's memory is bounded, whatever the dump.

use std::io::Write as _;
use std::path::Path;

use bzip2::write::BzEncoder;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::harness::{assert_verified, cli, json as run_json, manifest};
use crate::processes::{Server, Worker, free_port};

/// What a worker of two slots may have resident.
const MEGABYTES: u64 = 600;
/// What a worker that embeds may have resident.
const EMBEDDER_MEGABYTES: u64 = 1500;
const GIANT_BYTES: usize = 64 << 20;
/// What a worker that embeds may have resident: the model, on two cores, among it.
const EMBEDDING_MEGABYTES: u64 = 1500;

/// An action and its document.
fn record(page_id: u64, text: &str) -> String {
    let document = json!({
        "title": format!("Page {page_id}"), "namespace": 0, "page_id": page_id, "text": text, "version": 1,
    });
    format!("{}\n{document}\n", json!({ "index": { "_id": page_id } }))
}

/// Text as it is written, in which no sentence comes twice.
fn prose(bytes: usize) -> String {
    const WORDS: [&str; 8] =
        ["history", "the", "government", "of", "university", "and", "international", "music"];
    let mut text = String::with_capacity(bytes + 32);
    let mut random = 1u64;
    while text.len() < bytes {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(WORDS[(random >> 61) as usize]);
        text.push_str(if (random >> 56).is_multiple_of(16) { ".\n" } else { " " });
    }
    text
}

fn gzip(data: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// The same text as three pages, one after the other.
fn neighbours(first: u64, text: &str) -> Vec<u8> {
    (first..first + 3).map(|page_id| gzip(&record(page_id, text))).collect::<Vec<_>>().concat()
}

fn bzip2(data: &str) -> Vec<u8> {
    let mut encoder = BzEncoder::new(Vec::new(), bzip2::Compression::best());
    encoder.write_all(data.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// 5 GB of one letter in 11 kB, between two articles.
fn bomb() -> Vec<u8> {
    let letters = bzip2(&"x".repeat(50 << 20));
    [
        bzip2(&record(6, "Before the bomb.")),
        letters.repeat(100),
        bzip2(&format!("\n{}", record(7, "Behind it."))),
    ]
    .concat()
}

/// A snapshot of shards that are each out of the ordinary.
fn hostile_snapshot(source: &Path) {
    let index = source.join("cirrus_search_index/20260920/index_name=enwiki_content");
    std::fs::create_dir_all(&index).unwrap();
    let giant = prose(GIANT_BYTES - 1024);
    let shards = [
        neighbours(11, &giant),
        neighbours(21, &giant),
        bzip2(&record(3, &"x".repeat(40 << 20))),
        bzip2(&record(4, &format!("a{}b", " ".repeat(40 << 20)))),
        bzip2(&record(5, &"漢".repeat(13 << 20))),
        bomb(),
    ];
    for (number, shard) in shards.iter().enumerate() {
        let name = format!("enwiki_content-20260920-{number:05}.json.bz2");
        std::fs::write(index.join(name), shard).unwrap();
    }
    std::fs::write(index.join("_SUCCESS"), "").unwrap();
}

/// A run over the hostile snapshot, checked. The most memory that the worker which tokenizes, and the one which
/// embeds, if one is asked for, had resident, in MB.
fn peaks_of(arguments: &[&str], embeds: bool) -> (u64, Option<u64>) {
    let scratch = tempfile::tempdir().unwrap();
    let (source, output) = (scratch.path().join("source"), scratch.path().join("output"));
    hostile_snapshot(&source);
    let server = Server::start(&scratch.path().join("temporal.db"), free_port());
    let worker = Worker::serving(&server.address(), &["workflow", "cpu"]);
    let embedder = embeds.then(|| Worker::serving(&server.address(), &["gpu"]));

    let mut start = cli(["start", "--watch", "--heartbeat-timeout", "10"]);
    start.args(["--dump", "enwiki-20260920", "--source"]).arg(&source).arg("--output").arg(&output);
    let ended = run_json(start.args(arguments).env("TEMPORAL_ADDRESS", server.address()));

    let peaks = (worker.peak_megabytes(), embedder.as_ref().map(Worker::peak_megabytes));
    eprintln!("the workers had at most {peaks:?} MB resident");
    assert_eq!(ended.code, 1, "{:#} {}", ended.json, ended.stderr);
    assert_eq!(ended.json["articles"], 9);
    assert_eq!(ended.json["vectors"], if embeds { 9 } else { 0 });
    // The first has more tokens than a row may have, the others are of the bomb.
    let reasons = &ended.json["quarantined_by_reason"];
    assert_eq!(reasons, &json!({ "cannot_be_written": 1, "output_limit": 1, "record_too_long": 1 }));
    let counts = &manifest(&output, "manifest.json")["counts"];
    assert!(counts["tokens"].as_u64().unwrap() > 6 * GIANT_BYTES as u64 / 8, "{counts}");
    assert_verified(&output);
    assert_eq!(worker.terminate(), 0);
    peaks
}

#[test]
fn a_worker_stays_within_its_memory_on_hostile_dumps() {
    let (peak, _) = peaks_of(&["--no-embed"], false);
    assert!(peak < MEGABYTES, "the worker had {peak} MB resident");
}

#[test]
fn workers_stay_within_their_memory_when_texts_are_kept_for_vectors_alone() {
    let (peak, embedder) = peaks_of(&["--keep-text", "no"], true);
    assert!(peak < MEGABYTES, "the worker had {peak} MB resident");
    assert!(embedder.unwrap() < EMBEDDER_MEGABYTES, "the embedder had {embedder:?} MB resident");
}

/// A part of a few giants among many ordinary articles, whose texts are embedded whole.
#[test]
fn a_worker_that_embeds_stays_within_its_memory() {
    const GIANTS: u64 = 6;
    let scratch = tempfile::tempdir().unwrap();
    let (source, output) = (scratch.path().join("source"), scratch.path().join("output"));
    let index = source.join("cirrus_search_index/20260920/index_name=enwiki_content");
    std::fs::create_dir_all(&index).unwrap();
    let giant = prose(30 << 20);
    let giants = (1..=GIANTS).map(|page_id| gzip(&record(page_id, &giant)));
    let small = (GIANTS + 1..=GIANTS + 200)
        .map(|page_id| record(page_id, "A page like any other."))
        .collect::<String>();
    let shard = giants.chain([gzip(&small)]).collect::<Vec<_>>().concat();
    std::fs::write(index.join("enwiki_content-20260920-00000.json.bz2"), shard).unwrap();
    std::fs::write(index.join("_SUCCESS"), "").unwrap();
    let server = Server::start(&scratch.path().join("temporal.db"), free_port());
    let _others = Worker::serving(&server.address(), &["workflow", "cpu"]);
    let worker = Worker::serving(&server.address(), &["gpu"]);

    let mut start = cli(["start", "--watch", "--heartbeat-timeout", "10", "--range-mb", "256"]);
    start.args(["--dump", "enwiki-20260920", "--source"]).arg(&source).arg("--output").arg(&output);
    let ended = run_json(start.env("TEMPORAL_ADDRESS", server.address()));

    let peak = worker.peak_megabytes();
    eprintln!("the worker had at most {peak} MB resident");
    assert_eq!(ended.code, 0, "{:#} {}", ended.json, ended.stderr);
    assert_eq!(ended.json["vectors"], GIANTS + 200);
    assert!(peak < EMBEDDING_MEGABYTES, "the worker had {peak} MB resident");
}
