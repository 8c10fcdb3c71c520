//! A worker that hangs, one that is slow, and two that believe they own the same part.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::harness::{cli, files, wait_until};
use crate::processes::Worker;
use crate::scene::{Dump, Random, Running, Scene, count, events, time};

/// The first worker stands still between the data of a part and its manifest. Its part is given to a second one; then
/// the first goes on with what it was about, as if it still owned the part.
#[test]
fn a_worker_that_hangs_loses_its_part_and_may_write_it_all_the_same() {
    let scene = Scene::new(Dump::Tokens);
    let output = scene.path("stormy");
    let running = scene.start(&output);
    // Decisions are made elsewhere: what is told here is of parts.
    let address = scene.server.address();
    let deciding = Worker::serving(&address, &["workflow"]);
    let first = Worker::with(&address, &["cpu"], &[("WIKITOK_FAILPOINTS", "wait after tokens/ 1 9")]);
    let has = |folder: &str, least: usize| {
        let folder = output.join(folder);
        folder.exists() && files(&folder).len() >= least
    };
    wait_until("data of a part is there", || has("tokens", 1));
    first.freeze();

    let second = Worker::serving(&address, &["cpu"]);
    wait_until("another worker has made its parts", || has("tokens", 4));
    first.thaw();
    scene.assert_undisturbed(&running.end(), &output);
    let events = events(&output);
    let late = events.iter().filter(|event| event["event"] == "part_retried" && event["reason"] == "timeout");
    assert!(late.count() >= 1, "{events:#?}");
    // The first one has written by now what it was about.
    assert_eq!(first.terminate(), 0);
    scene.assert_undisturbed(&scene.start(&output).end(), &output);
    drop((second, deciding));
}

/// The disk stands still for longer than a heartbeat may stay away, under a worker that lives.
#[test]
fn storage_that_hangs_under_a_live_worker_loses_it_the_part() {
    let scene = Scene::new(Dump::Tokens);
    let output = scene.path("stormy");
    let worker = scene.worker(&[("WIKITOK_FAILPOINTS", "wait staged tokens/")]);
    scene.assert_undisturbed(&scene.start(&output).end(), &output);
    let events = events(&output);
    let late = events.iter().filter(|event| event["event"] == "part_retried" && event["reason"] == "timeout");
    assert_eq!(late.count(), 1, "{events:#?}");
    drop(worker);
}

/// A part that takes several times as long as a worker may be silent, in a worker that gets a fifth of the time, is
/// taken from it by nobody.
#[test]
fn a_slow_worker_is_not_taken_for_a_dead_one() {
    let scene = Scene::new(Dump::Tokens);
    let (source, output) = (scene.path("dump"), scene.path("slow"));
    long_shard(&source);
    let worker = scene.worker(&[]);
    let mut command =
        cli(["start", "--watch", "--format", "json", "--no-embed", "--dump", "slowwiki-latest"]);
    command
        // At a fifth of the time, making the tokenizer, which tells nothing on its way, takes more than 2 s.
        .args(["--heartbeat-timeout", "4", "--range-mb", "64", "--source"])
        .arg(&source)
        .arg("--output")
        .arg(&output);
    command.env("TEMPORAL_ADDRESS", scene.server.address()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::of(command);
    while !running.has_ended() {
        worker.freeze();
        std::thread::sleep(Duration::from_millis(400));
        worker.thaw();
        std::thread::sleep(Duration::from_millis(100));
    }
    let ended = running.end();
    assert_eq!((ended.code, &ended.json["articles"]), (0, &LONG_SHARD_ARTICLES.into()), "{}", ended.stderr);
    let events = events(&output);
    assert_eq!(count(&events, "part_retried"), 0, "{events:#?}");
    let time = |kind: &str| time(events.iter().find(|event| event["event"] == kind).unwrap());
    let took = (time("part_committed") - time("part_started")).to_std().unwrap();
    assert!(took > Duration::from_secs(6), "it took {took:?}, which shows nothing");
}

const LONG_SHARD_ARTICLES: u64 = 3_000;

/// A gzip shard that is one part: long to tokenize, and short enough compressed.
fn long_shard(source: &Path) {
    let directory = source.join("cirrus_search_index/20260101/index_name=slowwiki_content");
    std::fs::create_dir_all(&directory).unwrap();
    let file = std::fs::File::create(directory.join("slowwiki_content-20260101-00000.json.gz")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    let mut random = Random::new();
    for page in 1..=LONG_SHARD_ARTICLES {
        let words: Vec<_> = (0..4_000).map(|_| format!("{:x}", random.below(1 << 20))).collect();
        let text = words.join(" ");
        writeln!(gzip, "{{\"index\":{{\"_id\":\"{page}\"}}}}").unwrap();
        writeln!(
            gzip,
            "{{\"title\":\"Page {page}\",\"page_id\":{page},\"namespace\":0,\"text\":\"{text}\"}}"
        )
        .unwrap();
    }
    gzip.finish().unwrap();
    std::fs::write(directory.join("_SUCCESS"), "").unwrap();
}
