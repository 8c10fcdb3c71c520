//! Cancelling a run, at the moments at which something of it could go on unseen.

use serde_json::Value;

use crate::chaos::many_shards::tiny_shards;
use crate::control::{at, temporal};
use crate::harness::{Ended, assert_verified, cli, json, wait_until};
use crate::history::one_long_file;
use crate::processes::{Server, Worker, free_port};

fn assert_cancelled(watched: &Ended) {
    assert_eq!((watched.code, &watched.json["status"]), (2, &"cancelled".into()), "{}", watched.stderr);
    // Nobody tries again what was at work, and that is no failure.
    assert_eq!(
        (&watched.json["failed_shards"], watched.json.get("error")),
        (&Value::Array(Vec::new()), None)
    );
}

/// More shards than a page of the plan has; the run is cancelled while the next page is not to be had, and nothing of
/// those in flight is forgotten.
#[test]
fn a_run_is_cancelled_while_it_waits_for_the_rest_of_its_plan() {
    const SHARDS: u64 = 70;
    let scratch = tempfile::tempdir().unwrap();
    let (source, output) = (scratch.path().join("dump"), scratch.path().join("out"));
    tiny_shards(&source, SHARDS);
    let server = Server::start(&scratch.path().join("temporal.db"), free_port());
    let address = server.address();
    let worker = Worker::serving(&address, &["workflow"]);
    let mut cpu = Worker::with(&address, &["cpu"], &[("WIKITOK_FAILPOINTS", "die before .tokens.json")]);
    let mut command =
        cli(["start", "--no-embed", "--dump", "tinywiki-latest", "--shards-in-flight", "80", "--source"]);
    command.arg(&source).arg("--output").arg(&output).args(["--heartbeat-timeout", "2"]);
    let started = json(command.env("TEMPORAL_ADDRESS", &address));
    assert_eq!(started.code, 0, "{}", started.stderr);
    let id = started.json["run_id"].as_str().unwrap();
    wait_until("the CPU worker has died", || cpu.ended().is_some());
    assert_eq!(at(&address, &["cancel", id]).code, 0);
    assert_cancelled(&at(&address, &["watch", id]));

    let successor = Worker::serving(&address, &["cpu"]);
    let retried = at(&address, &["retry", id, "--watch"]);
    assert_eq!(
        (retried.code, &retried.json["articles"], &retried.json["shards_done"]),
        (0, &SHARDS.into(), &SHARDS.into()),
        "{:#} {}",
        retried.json,
        retried.stderr
    );
    assert_verified(&output);
    drop((worker, successor));
}

/// A server refuses to cancel a child that it has not started yet, and nobody asks twice. Several runs at once keep it
/// busy, so that each is cancelled at such a moment.
#[test]
fn runs_are_cancelled_while_their_shards_are_being_started() {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("dump");
    tiny_shards(&source, 64);
    let server = Server::start(&scratch.path().join("temporal.db"), free_port());
    let address = server.address();
    let start = |run: u32| {
        let mut command = cli(["start", "--dump", "tinywiki-latest", "--shards-in-flight", "64", "--source"]);
        command.arg(&source).arg("--output").arg(scratch.path().join(run.to_string()));
        let started = json(command.env("TEMPORAL_ADDRESS", &address));
        started.json["run_id"].as_str().unwrap().to_owned()
    };
    let runs: Vec<String> = (0..6).map(start).collect();
    // Nobody makes vectors, so a shard that is left alone goes on for ever.
    let worker = Worker::serving(&address, &["workflow", "cpu"]);
    std::thread::scope(|scope| {
        for id in &runs {
            scope.spawn(|| {
                wait_until("its shards are being started", || has_children(&address, id));
                assert_eq!(at(&address, &["cancel", id]).code, 0);
                assert_cancelled(&at(&address, &["watch", id]));
            });
        }
    });
    drop(worker);
}

/// The execution that the run has started is not the one that is running any more.
#[test]
fn a_run_is_cancelled_whose_shard_has_continued_as_new() {
    let scratch = tempfile::tempdir().unwrap();
    let (source, output) = (scratch.path().join("dump"), scratch.path().join("out"));
    one_long_file(&source, "longwiki", 120);
    let server = Server::start(&scratch.path().join("temporal.db"), free_port());
    let address = server.address();
    let worker = Worker::serving(&address, &["workflow", "cpu"]);
    let mut command = cli(["start", "--no-embed", "--dump", "longwiki-latest", "--source"]);
    command.arg(&source).arg("--output").arg(&output);
    command.args(["--range-bytes", "1", "--longest-history", "100", "--heartbeat-timeout", "2"]);
    let started = json(command.env("TEMPORAL_ADDRESS", &address));
    assert_eq!(started.code, 0, "{}", started.stderr);
    let id = started.json["run_id"].as_str().unwrap();
    let shard = format!("{id}/longwiki-20240101-cirrussearch-content");
    wait_until("the shard has continued as new", || executions(&address, &shard) > 1);
    assert_eq!(at(&address, &["cancel", id]).code, 0);
    let watched = at(&address, &["watch", id]);
    assert_cancelled(&watched);
    let articles = watched.json["articles"].as_u64().unwrap();
    assert!((1..120).contains(&articles), "it was cancelled on its way: {articles} of 120 articles");

    let retried = at(&address, &["retry", id, "--watch"]);
    assert_eq!((retried.code, &retried.json["articles"]), (0, &120.into()), "{}", retried.stderr);
    assert_verified(&output);
    drop(worker);
}

/// Whether a run has asked for a shard.
fn has_children(address: &str, id: &str) -> bool {
    let (_, described) = temporal(address, &["workflow", "describe", "-w", id, "-o", "json"]);
    let described: Value = serde_json::from_str(&described).unwrap_or_default();
    described["pendingChildren"].as_array().is_some_and(|children| !children.is_empty())
}

/// How many executions a workflow has had.
fn executions(address: &str, id: &str) -> usize {
    let query = format!("WorkflowId = '{id}'");
    let (_, list) = temporal(address, &["workflow", "list", "--query", &query, "-o", "json"]);
    serde_json::from_str::<Value>(&list).unwrap().as_array().unwrap().len()
}
