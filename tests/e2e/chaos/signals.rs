//! SIGTERM, as Kubernetes sends it.

use std::time::{Duration, Instant};

use crate::harness::{files, wait_until};
use crate::processes::Worker;
use crate::scene::{Dump, Random, Scene, count, events};

#[test]
fn a_worker_that_is_asked_to_end_finishes_what_it_has_begun() {
    let scene = Scene::new(Dump::Tokens);
    let output = scene.path("drained");
    let running = scene.start_patiently(&output);
    // A part takes seconds, so that the signal is sure to find it at work.
    let first = scene.worker(&[("WIKITOK_FAILPOINTS", "wait after tokens/")]);
    let tokens = output.join("tokens");
    wait_until("a part is at work", || tokens.exists() && !files(&tokens).is_empty());
    let pid = first.pid();
    assert_eq!(first.terminate(), 0);
    let begun = files(&tokens);
    let with_manifest = |data: &std::path::PathBuf| {
        let name = data.to_string_lossy().replace(".parquet", ".tokens.json");
        output.join("manifests").join(name).exists()
    };
    assert!(begun.keys().all(with_manifest), "what was at work is committed: {:?}", begun.keys());

    let second = scene.worker(&[]);
    scene.assert_undisturbed(&running.end(), &output);
    let events = events(&output);
    let by_first = |event: &&serde_json::Value| {
        event["event"] == "part_committed"
            && event["worker"].as_str().unwrap().starts_with(&format!("{pid}@"))
    };
    assert!(
        events.iter().filter(by_first).count() >= begun.len(),
        "no attempt at a part was lost: {events:#?}"
    );
    assert_eq!(count(&events, "part_retried"), 0, "{events:#?}");
    drop(second);
}

#[test]
fn workers_that_are_replaced_lose_no_attempt() {
    replace_workers(3);
}

#[test]
#[ignore = "takes minutes: `make chaos`"]
fn workers_that_are_replaced_sixty_times_lose_no_attempt() {
    replace_workers(60);
}

/// A part that is handed to a worker while it is asked to end is done by it all the same.
fn replace_workers(times: u32) {
    let scene = Scene::new(Dump::Tokens);
    let (mut worker, mut random) = (ready_worker(&scene), Random::new());
    let (mut replaced, mut runs) = (0, 0);
    while replaced < times {
        runs += 1;
        let output = scene.path(&format!("replaced-{runs}"));
        let mut running = scene.start_patiently(&output);
        while !running.has_ended() {
            std::thread::sleep(Duration::from_millis(random.below(250)));
            assert_eq!(std::mem::replace(&mut worker, ready_worker(&scene)).terminate(), 0);
            replaced += 1;
        }
        scene.assert_undisturbed(&running.end(), &output);
        let events = events(&output);
        assert_eq!(count(&events, "part_retried"), 0, "after {replaced} replacements: {events:#?}");
    }
}

/// A worker that polls, and so hears a signal.
fn ready_worker(scene: &Scene) -> Worker {
    let log = scene.path("worker.log");
    let to = std::fs::File::create(&log).unwrap();
    let worker = Worker::logging(&scene.server.address(), scene.dump.queues(), &[], to);
    wait_until("a worker polls", || std::fs::read_to_string(&log).unwrap().contains("polling"));
    worker
}

#[test]
fn a_second_signal_ends_a_worker_at_once() {
    let scene = Scene::new(Dump::Tokens);
    let output = scene.path("hasty");
    let running = scene.start_patiently(&output);
    let mut first = scene.worker(&[("WIKITOK_FAILPOINTS", "wait after tokens/")]);
    let tokens = output.join("tokens");
    wait_until("a part is at work", || tokens.exists() && !files(&tokens).is_empty());
    first.ask_to_end();
    let asked = Instant::now();
    wait_until("it ends at the second signal", || {
        first.ask_to_end();
        std::thread::sleep(Duration::from_millis(50));
        first.ended().is_some()
    });
    assert_eq!(first.ended().and_then(|status| status.code()), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    let second = scene.worker(&[]);
    scene.assert_undisturbed(&running.end(), &output);
    drop(second);
}
