//! `temporal workflow reset` of a run and of a shard, to any point: it converges to the same output, and no committed
//! part is made again. docs/reset.md shows it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::control::temporal;
use crate::harness::{cli, json, wait_until};
use crate::kill::committed;
use crate::scene::{Dump, Scene, count, events, start};

/// Which files parts are: one that is written again is another.
fn parts(output: &Path) -> BTreeMap<PathBuf, u64> {
    let files = walkdir::WalkDir::new(output).into_iter().filter_map(Result::ok);
    let files = files.filter(|entry| entry.path().is_file());
    let inode = |entry: walkdir::DirEntry| (entry.path().to_owned(), entry.metadata().unwrap().ino());
    files.map(inode).filter(|(path, _)| path.to_string_lossy().contains("/part-")).collect()
}

/// The events of a workflow at which it can be reset: where a workflow task ended.
fn points(address: &str, id: &str) -> Vec<String> {
    let (_, history) = temporal(address, &["workflow", "show", "-w", id, "-o", "json"]);
    let history: Value = serde_json::from_str(&history).unwrap();
    let ended = |event: &&Value| event["eventType"] == "EVENT_TYPE_WORKFLOW_TASK_COMPLETED";
    let id = |event: &Value| event["eventId"].as_str().unwrap().to_owned();
    history["events"].as_array().unwrap().iter().filter(ended).map(id).collect()
}

fn reset(address: &str, id: &str, event: &str) {
    let (ok, said) =
        temporal(address, &["workflow", "reset", "-w", id, "--event-id", event, "--reason", "a test"]);
    assert!(ok, "{id} to {event}: {said}");
}

/// Resets a workflow to its first point, its last and some between, `times` in all or once to each; how often that was.
/// A reset makes another history, with points of its own.
fn reset_all_over(address: &str, id: &str, times: usize, then: impl Fn()) -> usize {
    let times = times.min(points(address, id).len());
    for number in 0..times {
        let points = points(address, id);
        reset(address, id, &points[(points.len() - 1) * number / (times - 1)]);
        then();
    }
    times
}

fn reset_everywhere(times: usize) {
    let scene = Scene::new(Dump::Tokens);
    let (output, address) = (scene.path("reset"), scene.server.address());
    let worker = scene.worker(&[]);
    let ended = scene.start(&output).end();
    let (id, before) = (ended.json["run_id"].as_str().unwrap().to_owned(), parts(&output));
    let at = |arguments: &[&str]| json(cli(arguments).env("TEMPORAL_ADDRESS", &address));
    let shard = format!("{id}/enwiki_content-20260920-00001");
    let ends_well = || scene.assert_undisturbed(&at(&["watch", &id]), &output);
    let of_run = reset_all_over(&address, &id, times, ends_well);
    let of_shard = reset_all_over(&address, &shard, times, || {
        wait_until("the shard has ended again", || !describe(&address, &shard).contains("RUNNING"));
        ends_well();
    });
    assert!(of_run >= 3 && of_shard >= 3, "{of_run} {of_shard}");
    assert_eq!(parts(&output), before, "no committed part was made again");
    assert!(at(&["events", &id, "--save"]).code == 0);
    let events = events(&output);
    assert_eq!(count(&events, "run_reset") + count(&events, "shard_reset"), of_run + of_shard);
    assert_eq!(count(&events, "run_completed"), 1 + of_run, "each execution of the run tells its end");
    drop(worker);
}

fn describe(address: &str, id: &str) -> String {
    temporal(address, &["workflow", "describe", "-w", id, "-o", "json"]).1
}

#[test]
fn a_finished_run_and_its_shards_can_be_reset() {
    reset_everywhere(3);
}

#[test]
#[ignore = "takes minutes: `make chaos`"]
fn a_finished_run_and_its_shards_can_be_reset_to_any_point() {
    reset_everywhere(usize::MAX);
}

/// In the middle of a run, to its beginning: shards that are at work are begun anew.
#[test]
fn a_run_can_be_reset_while_it_goes() {
    let scene = Scene::new(Dump::Tokens);
    let (output, address) = (scene.path("reset"), scene.server.address());
    let worker = scene.worker(&[]);
    let running = scene.start(&output);
    wait_until("some is committed", || committed(&output) >= 4);
    let id =
        json(cli(["list"]).env("TEMPORAL_ADDRESS", &address)).json[0]["run_id"].as_str().unwrap().to_owned();
    let shard = format!("{id}/enwiki_content-20260920-00000");
    let first = points(&address, &shard).first().cloned().unwrap();
    reset(&address, &shard, &first);
    wait_until("more is committed", || committed(&output) >= 6);
    let before = parts(&output);
    reset(&address, &id, points(&address, &id).first().unwrap());
    drop(running);
    let ended = start(&address, scene.dump, &output, &[]).output().unwrap();
    scene.assert_undisturbed(&crate::harness::ended(&ended), &output);
    let after = parts(&output);
    let manifests = before.iter().filter(|(path, _)| path.to_string_lossy().ends_with(".tokens.json"));
    let again = manifests.filter(|(path, inode)| after[*path] != **inode).count();
    assert_eq!(again, 0, "no committed part was made again");
    drop(worker);
}
