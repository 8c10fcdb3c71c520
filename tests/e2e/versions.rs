//! Worker Versioning: a run stays with the version it began on, or goes on under the next one.

use std::path::Path;

use serde_json::Value;

use crate::control::temporal;
use crate::harness::{Ended, cli, json, wait_until};
use crate::kill::committed;
use crate::processes::Worker;
use crate::scene::{Dump, Scene, events};

fn worker(scene: &Scene, build: &str, versioning: &str) -> Worker {
    scene.worker(&[
        ("TEMPORAL_DEPLOYMENT_NAME", "wikitok"),
        ("TEMPORAL_WORKER_BUILD_ID", build),
        ("WIKITOK_VERSIONING", versioning),
        // Some parts take seconds, so that a pause finds the run in its middle.
        ("WIKITOK_FAILPOINTS", "wait after tokens/ 2 3"),
    ])
}

/// Makes a version the current one, once the server has heard of it.
fn make_current(scene: &Scene, build: &str) {
    let address = scene.server.address();
    let set = [
        "worker",
        "deployment",
        "set-current-version",
        "--deployment-name",
        "wikitok",
        "--build-id",
        build,
        "--yes",
    ];
    let mut said = String::new();
    wait_until("the version is current", || {
        let (ok, text) = temporal(&address, &set);
        said = text;
        ok || said.contains("already current")
    });
}

/// Starts a run and pauses it in the middle.
fn paused(scene: &Scene, output: &Path) -> String {
    let running = scene.start_patiently(output);
    wait_until("some is committed", || committed(output) >= 2);
    let id = at(scene, &["list"]).json[0]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(at(scene, &["pause", &id]).code, 0);
    wait_until("the run is paused", || at(scene, &["status", &id]).json["status"] == "paused");
    drop(running);
    id
}

fn at(scene: &Scene, arguments: &[&str]) -> Ended {
    json(cli(arguments).env("TEMPORAL_ADDRESS", scene.server.address()))
}

/// Whether a worker made parts after the run was resumed.
fn made_parts(events: &[Value], worker: &Worker) -> bool {
    let resumed = events.iter().position(|event| event["event"] == "run_resumed").unwrap();
    let by = format!("{}@", worker.pid());
    let ours = |event: &&Value| event["worker"].as_str().is_some_and(|worker| worker.starts_with(&by));
    events[resumed..].iter().filter(ours).any(|event| event["event"] == "part_committed")
}

#[test]
fn a_pinned_run_ends_on_the_version_it_began_on_and_new_ones_go_to_the_next() {
    let scene = Scene::new(Dump::Tokens);
    let (first, second) = (scene.path("first"), scene.path("second"));
    let old = worker(&scene, "1", "pinned");
    make_current(&scene, "1");
    let id = paused(&scene, &first);

    let new = worker(&scene, "2", "pinned");
    make_current(&scene, "2");
    let after = scene.start(&second).end();
    scene.assert_undisturbed(&after, &second);
    let by_new = events(&second);
    let by = format!("{}@", new.pid());
    assert!(by_new.iter().filter_map(|event| event["worker"].as_str()).any(|worker| worker.starts_with(&by)));

    assert_eq!(at(&scene, &["resume", &id]).code, 0);
    scene.assert_undisturbed(&at(&scene, &["watch", &id]), &first);
    let events = events(&first);
    assert!(made_parts(&events, &old) && !made_parts(&events, &new), "{events:#?}");
}

/// A rolling upgrade: the old build's workers go, and the new build's replay what they had decided.
#[test]
fn a_run_goes_on_under_the_next_version() {
    let scene = Scene::new(Dump::Tokens);
    let output = scene.path("upgraded");
    let old = worker(&scene, "1", "auto-upgrade");
    make_current(&scene, "1");
    let id = paused(&scene, &output);
    let new = worker(&scene, "2", "auto-upgrade");
    make_current(&scene, "2");
    assert_eq!(old.terminate(), 0);
    assert_eq!(at(&scene, &["resume", &id]).code, 0);
    scene.assert_undisturbed(&at(&scene, &["watch", &id]), &output);
    assert!(made_parts(&events(&output), &new));
}

#[test]
fn half_a_version_is_refused() {
    let mut half = std::process::Command::new(crate::harness::program("wikitok-worker"));
    let ended = half
        .args(["--queue", "cpu", "--build-id", "1"])
        .env("TEMPORAL_ADDRESS", "127.0.0.1:1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2));
    assert!(said.contains("TEMPORAL_DEPLOYMENT_NAME"), "{said}");
}
