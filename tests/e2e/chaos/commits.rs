//! A worker dies before, within and after the writing of every kind of object: these are all the commit points.

use crate::harness::wait_until;
use crate::scene::{Dump, Scene, count, events};

/// Where a worker dies, in the order in which a run comes by.
const OF_TOKENS: [&str; 8] = [
    "staged tokens/",
    "after tokens/",
    "after .tokens.json",
    "before shard.json",
    "after manifest.json",
    "after _SUCCESS",
    "after events.jsonl",
    "staged job_summary.json",
];
const OF_A_CHAIN: [&str; 2] = ["staged texts/", "after checkpoints/"];
const OF_QUARANTINE: [&str; 2] = ["staged quarantine/", "after quarantine/"];
const OF_A_MIRROR: [&str; 3] = ["after _mirror.json", "staged 00000.json.bz2", "after .mirror.json"];
const OF_VECTORS: [&str; 3] = ["staged vectors/", "before .vectors.json", "after .vectors.json"];

/// Runs a run in which one worker after another dies at its point.
fn dies_at(dump: Dump, points: &[String]) {
    let scene = Scene::new(dump);
    let output = scene.path("stormy");
    let running = scene.start(&output);
    for point in points {
        let mut worker = scene.worker(&[("WIKITOK_FAILPOINTS", &format!("die {point}"))]);
        wait_until(&format!("a worker has died {point}"), || worker.ended().is_some());
        assert_eq!(worker.ended().and_then(|status| status.code()), None, "{point}: by a signal");
    }
    let survivor = scene.worker(&[]);
    let ended = running.end();
    scene.assert_undisturbed(&ended, &output);
    let events = events(&output);
    if points.iter().any(|point| point.ends_with('/')) {
        assert!(count(&events, "part_retried") >= 1, "parts were begun again");
    }
    assert_eq!(count(&events, "part_failed"), 0);
    assert_eq!(survivor.terminate(), 0);
}

fn owned(points: &[&str]) -> Vec<String> {
    points.iter().map(|&point| point.to_owned()).collect()
}

#[test]
fn a_worker_that_dies_at_a_commit_point_changes_no_byte() {
    dies_at(Dump::Tokens, &owned(&OF_TOKENS));
}

#[test]
fn a_worker_that_dies_at_a_commit_point_of_vectors_changes_no_byte() {
    dies_at(Dump::Vectors, &owned(&OF_VECTORS));
}

#[test]
fn a_worker_that_dies_at_a_commit_point_of_a_chain_of_parts_changes_no_byte() {
    dies_at(Dump::Chain, &owned(&OF_A_CHAIN));
}

#[test]
fn a_worker_that_dies_at_a_commit_point_of_the_quarantine_changes_no_byte() {
    dies_at(Dump::Damaged, &owned(&OF_QUARANTINE));
}

#[test]
fn a_worker_that_dies_at_a_commit_point_of_a_mirror_changes_no_byte() {
    dies_at(Dump::Mirrored, &owned(&OF_A_MIRROR));
}

/// Every kind of object that a run writes, in the order in which it comes by, with all three points of each.
fn dies_at_any(dump: Dump, objects: &[&str]) {
    let points = |object: &&str| ["before", "staged", "after"].map(|point| format!("{point} {object}"));
    dies_at(dump, &objects.iter().flat_map(points).collect::<Vec<_>>());
}

#[test]
#[ignore = "takes minutes: `make chaos`"]
fn a_worker_that_dies_at_any_commit_point_changes_no_byte() {
    let objects = ["run.json", "tokens/", ".tokens.json", "shard.json", "manifest.json", "_SUCCESS"];
    dies_at_any(Dump::Tokens, &objects);
}

#[test]
#[ignore = "takes minutes: `make chaos`"]
fn a_worker_that_dies_at_any_commit_point_of_vectors_changes_no_byte() {
    let before = ["run.json", "tokens/", ".tokens.json", "vectors/", ".vectors.json"];
    dies_at_any(Dump::Vectors, &[&before[..], &["shard.json", "manifest.json", "_SUCCESS"]].concat());
}

#[test]
#[ignore = "takes minutes: `make chaos`"]
fn a_worker_that_dies_at_any_commit_point_of_a_chain_of_parts_changes_no_byte() {
    dies_at_any(Dump::Chain, &["texts/", "checkpoints/"]);
}

#[test]
#[ignore = "takes minutes: `make chaos`"]
fn a_worker_that_dies_at_any_commit_point_of_the_quarantine_changes_no_byte() {
    dies_at_any(Dump::Damaged, &["quarantine/"]);
}

#[test]
#[ignore = "takes minutes: `make chaos`"]
fn a_worker_that_dies_at_any_commit_point_of_a_mirror_changes_no_byte() {
    let marker = "enwiki_content/_SUCCESS";
    dies_at_any(Dump::Mirrored, &["_mirror.json", "00000.json.bz2", ".mirror.json", marker]);
}

/// A run does not wait for its record through more than five attempts.
#[test]
#[ignore = "takes minutes: `make chaos`"]
fn a_worker_that_dies_at_any_commit_point_of_the_record_changes_no_byte() {
    dies_at_any(Dump::Tokens, &["events.jsonl"]);
    dies_at_any(Dump::Tokens, &["job_summary.json"]);
}
