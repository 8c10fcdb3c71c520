//! A worker that hangs, one that is slow, and two that believe they own the same part.

use std::time::Duration;

use crate::harness::{files, wait_until};
use crate::processes::Worker;
use crate::scene::{Dump, Scene, count, events};

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

/// A worker that gets a third of the time is taken for dead by nobody.
#[test]
fn a_slow_worker_is_not_taken_for_a_dead_one() {
    let scene = Scene::new(Dump::Tokens);
    let output = scene.path("slow");
    let worker = scene.worker(&[]);
    let mut running = scene.start_patiently(&output);
    while !running.has_ended() {
        worker.freeze();
        std::thread::sleep(Duration::from_millis(200));
        worker.thaw();
        std::thread::sleep(Duration::from_millis(100));
    }
    scene.assert_undisturbed(&running.end(), &output);
    let events = events(&output);
    assert_eq!(count(&events, "part_retried"), 0, "{events:#?}");
}
