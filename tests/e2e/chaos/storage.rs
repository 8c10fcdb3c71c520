//! Storage that is full, out of date, away, or breaks off.

use std::path::Path;

use wikitok_tests::{Proxy, S3Server};

use crate::harness::{assert_same, wait_until};
use crate::processes::Worker;
use crate::scene::{Dump, Running, Scene, count, events, start};
use crate::sources::{download, objects};

#[test]
fn a_full_disk_is_waited_for() {
    let scene = Scene::new(Dump::Tokens);
    let output = scene.path("full");
    let rules = "full staged tokens/ 2 4; full before .tokens.json 3 4; full staged _SUCCESS";
    let worker = scene.worker(&[("WIKITOK_FAILPOINTS", rules)]);
    scene.assert_undisturbed(&scene.start(&output).end(), &output);
    let events = events(&output);
    let full =
        events.iter().filter(|event| event["message"].as_str().is_some_and(|m| m.contains("No space left")));
    assert!(full.count() >= 3, "{events:#?}");
    drop(worker);
}

/// A listing that does not show what was written a moment ago.
#[test]
fn a_listing_that_is_out_of_date_loses_nothing() {
    let scene = Scene::new(Dump::Tokens);
    let output = scene.path("stale");
    let rules = "stale list tokens/ 1 1000; stale list manifests/ 1 1000; stale list quarantine/ 1 1000";
    let worker = scene.worker(&[("WIKITOK_FAILPOINTS", rules)]);
    scene.assert_undisturbed(&scene.start(&output).end(), &output);
    let events = events(&output);
    assert_eq!(count(&events, "shard_step_retried") + count(&events, "run_step_retried"), 0, "{events:#?}");
    drop(worker);
}

/// A bucket that answers 503 or nothing, breaks uploads in the middle, and is out of reach.
#[test]
fn a_bucket_that_fails_in_every_way_loses_nothing() {
    let scene = Scene::new(Dump::Tokens);
    let s3 = S3Server::start(&scene.path("s3"));
    let proxy = Proxy::before(s3.port());
    let variables = s3.environment_by(proxy.port());
    let variables: Vec<(&str, &str)> = variables.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let worker = Worker::with(&scene.server.address(), scene.dump.queues(), &variables);
    let uri = "s3://bucket/stormy";
    let mut command = start(&scene.server.address(), scene.dump, Path::new(uri), &[]);
    let running = Running::of({
        command.envs(variables.iter().copied());
        command
    });
    let more = |least: usize| wait_until("more is in the bucket", || objects(&s3, uri) >= least);
    more(1);
    proxy.be_unavailable(4);
    more(4);
    proxy.be_silent(1);
    wait_until("a request gets no answer", || proxy.faults() >= 5);
    // Longer than a worker may be silent.
    std::thread::sleep(std::time::Duration::from_secs(3));
    proxy.tear(4, 20_000);
    wait_until("requests have failed", || proxy.faults() >= 7);
    proxy.go_away();
    std::thread::sleep(std::time::Duration::from_secs(2));
    proxy.come_back();
    let ended = running.end();
    assert_eq!(ended.code, 0, "{:#} {}", ended.json, ended.stderr);
    download(&s3, uri, &scene.path("out"));
    assert_same(&scene.calm, &scene.path("out"));
    drop(worker);
}
