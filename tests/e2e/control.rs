//! Steering a run: pause, resume, scale, bounds, errors, retry, and queues without a worker.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::{
    Ended, assert_same, assert_verified, cli, data, data_files, files, home, json, require_server, run,
    wait_until,
};
use crate::kill::committed;
use crate::processes::{Server, Worker, free_port};

const DUMP: &str = "enwiki-20260920";
const SHARDS: &str = "other/cirrus_search_index/20260920/index_name=enwiki_content";

/// Runs a command that prints JSON against a server.
pub(crate) fn at(address: &str, arguments: &[&str]) -> Ended {
    json(cli(arguments).env("TEMPORAL_ADDRESS", address))
}

/// Starts a run of many small parts without waiting for it, and gives its id.
fn start(address: &str, output: &Path, more: &[&str]) -> String {
    start_cut(address, output, "10000", more)
}

/// The same with parts of so many bytes.
fn start_cut(address: &str, output: &Path, range_bytes: &str, more: &[&str]) -> String {
    let mut command = cli(["start", "--dump", DUMP, "--range-bytes", range_bytes, "--source"]);
    command.arg(data("sample")).arg("--output").arg(output).args(more).env("TEMPORAL_ADDRESS", address);
    let started = json(&mut command);
    assert_eq!(started.code, 0, "{}", started.stderr);
    started.json["run_id"].as_str().unwrap().to_owned()
}

/// A plain `temporal` command about a workflow.
pub(crate) fn temporal(address: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(home().join("bin/temporal"))
        .args(arguments)
        .args(["--address", address])
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// What Temporal's Web UI shows as the current details of a workflow.
fn details(address: &str, id: &str) -> String {
    temporal(address, &["workflow", "metadata", "-w", id, "-o", "json"]).1
}

#[test]
fn a_paused_run_starts_no_part_until_it_is_resumed() {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("out");
    let server = Server::start(&scratch.path().join("temporal.db"), free_port());
    let (address, worker) = (server.address(), Worker::start(&server.address()));
    let id = start(&address, &output, &["--no-embed"]);
    wait_until("some is committed", || committed(&output) >= 3);

    assert_eq!(at(&address, &["pause", &id]).json["status"], "pausing");
    wait_until("the run is paused", || at(&address, &["status", &id]).json["status"] == "paused");
    wait_until("nothing is at work", || !at_work(&address, &id));
    let held = committed(&output);
    assert!(details(&address, &id).contains("paused"));
    assert!(!output.join("_SUCCESS").exists());
    let status = at(&address, &["status", &id]);
    assert!(status.json["waiting"].as_str().unwrap().contains("resume"), "{:#}", status.json);
    assert_eq!(committed(&output), held, "no part is started while it is paused");

    let (ok, said) = temporal(&address, &["workflow", "signal", "-w", &id, "--name", "resume"]);
    assert!(ok, "{said}");
    let watched = at(&address, &["watch", &id]);
    assert_eq!((watched.code, &watched.json["articles"]), (0, &53.into()), "{:#}", watched.json);
    assert!(committed(&output) > held);
    assert_verified(&output);
    let late = at(&address, &["pause", &id]);
    assert!(late.code == 2 && late.stderr.contains("has ended"), "{}", late.stderr);
    drop(worker);
}

#[test]
fn a_run_is_paused_before_it_is_planned() {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("out");
    let server = Server::start(&scratch.path().join("temporal.db"), free_port());
    let (address, workflow) = (server.address(), Worker::serving(&server.address(), &["workflow"]));
    let id = start(&address, &output, &["--no-embed"]);
    wait_until("the run waits for its plan", || at_work(&address, &id));
    assert_eq!(at(&address, &["pause", &id]).code, 0);
    wait_until("the run is paused", || at(&address, &["status", &id]).json["status"] == "paused");
    let cpu = Worker::serving(&address, &["cpu"]);
    wait_until("nothing is at work", || !at_work(&address, &id));
    assert_eq!(
        (committed(&output), at(&address, &["status", &id]).json["status"].as_str()),
        (0, Some("paused"))
    );
    assert_eq!(at(&address, &["resume", &id]).code, 0);
    assert_eq!(at(&address, &["watch", &id]).json["articles"], 53);
    drop((workflow, cpu));
}

/// Whether an activity of the run or of its shards is scheduled or running, beside the watch over queues.
fn at_work(address: &str, id: &str) -> bool {
    let query = format!("WorkflowId STARTS_WITH '{id}' AND ExecutionStatus = 'Running'");
    let (_, list) = temporal(address, &["workflow", "list", "--query", &query, "-o", "json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    list.as_array().unwrap().iter().any(|run| {
        let id = run["execution"]["workflowId"].as_str().unwrap();
        let (_, described) = temporal(address, &["workflow", "describe", "-w", id, "-o", "json"]);
        let described: Value = serde_json::from_str(&described).unwrap();
        let pending = described["pendingActivities"].as_array().cloned().unwrap_or_default();
        pending.iter().any(|activity| activity["activityType"]["name"] != "watch_queues")
    })
}

#[test]
fn a_run_is_scaled_while_it_goes() {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("out");
    let server = Server::start(&scratch.path().join("temporal.db"), free_port());
    let address = server.address();
    // Without a CPU worker nothing moves until the run has been spoken to.
    let id = start(&address, &output, &["--no-embed", "--shards-in-flight", "1"]);
    let worker = Worker::serving(&address, &["workflow"]);
    let scaled = at(&address, &["scale", &id, "--shards-in-flight", "3"]);
    assert_eq!((&scaled.json["before"], &scaled.json["shards_in_flight"]), (&1.into(), &3.into()));
    let refused = temporal(
        &address,
        &[
            "workflow",
            "update",
            "execute",
            "-w",
            &id,
            "--name",
            "scale",
            "--input",
            r#"{"shards_in_flight": 0}"#,
        ],
    );
    assert!(!refused.0 && refused.1.contains("not between 1 and 1000"), "{}", refused.1);
    let (ok, said) = temporal(
        &address,
        &[
            "workflow",
            "update",
            "execute",
            "-w",
            &id,
            "--name",
            "scale",
            "--input",
            r#"{"shards_in_flight": 2}"#,
        ],
    );
    assert!(ok && said.contains('3'), "{said}");
    let cpu = Worker::serving(&address, &["cpu"]);
    assert_eq!(at(&address, &["watch", &id]).code, 0);
    let (_, history) = temporal(&address, &["workflow", "show", "-w", &id, "-o", "json"]);
    assert_eq!(most_at_once(&history), 2, "two shards were in flight at most");
    drop((worker, cpu));
}

/// How many children were running at the same time, by a run's history.
fn most_at_once(history: &str) -> i32 {
    let history: Value = serde_json::from_str(history).unwrap();
    let (mut now, mut most) = (0, 0);
    for event in history["events"].as_array().unwrap() {
        match event["eventType"].as_str().unwrap() {
            "EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED" => now += 1,
            "EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED" => now -= 1,
            _ => {}
        }
        most = most.max(now);
    }
    most
}

#[test]
fn a_queue_without_a_worker_is_named_and_tokenizing_runs_ahead_of_it_so_far() {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("out");
    let server = Server::start(&scratch.path().join("temporal.db"), free_port());
    let address = server.address();
    let worker = Worker::serving(&address, &["workflow", "cpu"]);
    let id = start(&address, &output, &["--max-backlog-parts", "2"]);

    let said = || details(&address, &id);
    wait_until("the Web UI names the queue", || said().contains("wikitok-gpu"));
    let status = at(&address, &["status", &id]);
    assert!(status.json["waiting"].as_str().unwrap().contains("wikitok-gpu"), "{:#}", status.json);
    let shard = format!("{id}/enwiki_content-20260920-00000");
    wait_until("a shard says what it waits for", || {
        details(&address, &shard).contains("waiting for vectors")
    });
    assert_eq!(files(&output.join("manifests")).len(), 6, "two parts of each of three shards");

    let gpu = Worker::serving(&address, &["gpu"]);
    wait_until("the Web UI names no queue", || !said().contains("wikitok-gpu"));
    let watched = at(&address, &["watch", &id]);
    assert_eq!((watched.code, &watched.json["vectors"]), (0, &53.into()), "{}", watched.stderr);
    drop((worker, gpu));
}

/// A copy of the sample whose shard at `place` is cut in the middle; and the whole bytes of that shard.
fn damaged(scratch: &Path, place: usize) -> (PathBuf, PathBuf, Vec<u8>) {
    let source = scratch.join("dump");
    for (name, bytes) in files(&data("sample")) {
        std::fs::create_dir_all(source.join(&name).parent().unwrap()).unwrap();
        std::fs::write(source.join(name), bytes).unwrap();
    }
    let shard = source.join(SHARDS).join(format!("enwiki_content-20260920-{place:05}.json.bz2"));
    let bytes = std::fs::read(&shard).unwrap();
    std::fs::write(&shard, &bytes[..bytes.len() / 2]).unwrap();
    (source, shard, bytes)
}

#[test]
fn only_what_failed_is_run_again() {
    let scratch = tempfile::tempdir().unwrap();
    fails_and_is_retried(scratch.path(), &[]);
}

/// A mirror remembers the snapshot as it was when the run began.
#[test]
fn what_failed_by_way_of_a_mirror_is_run_again_when_its_source_is_mended() {
    let scratch = tempfile::tempdir().unwrap();
    let mirror = scratch.path().join("mirror");
    fails_and_is_retried(scratch.path(), &["--mirror", mirror.to_str().unwrap()]);
}

fn fails_and_is_retried(scratch: &Path, more: &[&str]) {
    require_server();
    let (source, shard, whole) = damaged(scratch, 1);
    let (output, calm) = (scratch.join("out"), scratch.join("calm"));
    let failed = run(DUMP, &source, &output, &[&["--no-embed"], more].concat());
    assert_eq!((failed.code, &failed.json["shards_done"]), (2, &2.into()), "{:#}", failed.json);
    let id = failed.json["run_id"].as_str().unwrap();

    let errors = json(&mut cli(["errors", id]));
    assert_eq!(errors.json["failed_shards"][0]["shard"], "enwiki_content-20260920-00001");
    assert_eq!(errors.json["failed_shards"][0]["reason"], "bad_input");
    assert_eq!(errors.json["retry"], format!("wikitok-cli retry {id}"));

    std::fs::write(&shard, whole).unwrap();
    let retried = json(&mut cli(["retry", id]));
    assert_eq!(retried.json["shards"], 1, "{:#} {}", retried.json, retried.stderr);
    let watched = json(&mut cli(["watch", id]));
    assert_eq!(run(DUMP, &data("sample"), &calm, &["--no-embed"]).code, 0);
    assert_eq!((watched.code, &watched.json["articles"]), (0, &53.into()), "{:#}", watched.json);
    assert_eq!((&watched.json["shards"], &watched.json["shards_done"]), (&3.into(), &3.into()));
    assert_same(&output, &calm);

    let errors = json(&mut cli(["errors", id]));
    assert_eq!((errors.code, errors.json.get("retry")), (0, None), "{:#}", errors.json);
    let nothing = json(&mut cli(["retry", id]));
    assert_eq!((nothing.code, &nothing.json["status"]), (0, &"done".into()));
}

/// A snapshot of three shards, of which one has a bad record.
fn with_a_bad_record(scratch: &Path) -> PathBuf {
    let directory = scratch.join("odd/cirrus_search_index/20260101/index_name=oddwiki_content");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("_SUCCESS"), "").unwrap();
    for (place, file) in ["ok-new", "broken-json", "crlf"].iter().enumerate() {
        let shard = directory.join(format!("oddwiki_content-20260101-{place:05}.json.bz2"));
        std::fs::copy(data(&format!("edge/{file}.json.bz2")), shard).unwrap();
    }
    scratch.join("odd")
}

#[test]
fn shards_with_bad_records_are_run_again_and_counted_once() {
    let scratch = tempfile::tempdir().unwrap();
    let source = with_a_bad_record(scratch.path());
    let articles = run_and_retry(&source, &scratch.path().join("all"), &[]);
    // The last shard gives what those before it leave.
    let limit = (articles - 1).to_string();
    assert_eq!(run_and_retry(&source, &scratch.path().join("few"), &["--limit", &limit]), articles - 1);
}

/// Runs over shards of which the middle one has a bad record, and tries that again in vain. Gives the articles.
fn run_and_retry(source: &Path, output: &Path, more: &[&str]) -> u64 {
    let ended = run("oddwiki-latest", source, output, &[&["--no-embed"], more].concat());
    assert_eq!((ended.code, &ended.json["quarantined"]), (1, &1.into()), "{:#}", ended.json);
    let id = ended.json["run_id"].as_str().unwrap();

    let errors = json(&mut cli(["errors", id]));
    let bad = &errors.json["quarantined"][0];
    assert_eq!((&bad["reason"], &bad["records"]), (&"invalid_json".into(), &1.into()));
    assert_eq!(bad["example"]["shard"], "oddwiki_content-20260101-00001");

    let before = data_files(output);
    let again = json(&mut cli(["retry", id, "--watch"]));
    assert_eq!((again.code, &again.json["quarantined"]), (1, &1.into()), "{:#} {}", again.json, again.stderr);
    for total in ["articles", "tokens", "shards", "shards_done", "filtered"] {
        assert_eq!(again.json[total], ended.json[total], "{total}");
    }
    assert_eq!(data_files(output), before);
    ended.json["articles"].as_u64().unwrap()
}

#[test]
fn bounds_turn_a_run_into_a_failed_one_with_the_reason_first() {
    let scratch = tempfile::tempdir().unwrap();
    let source = with_a_bad_record(scratch.path());
    for (number, bound, why) in [
        (0, "0", "1 records are in quarantine, more than --max-quarantined 0"),
        (1, "1%", "records are in quarantine, more than --max-quarantined 1%"),
    ] {
        let output = scratch.path().join(format!("quarantined-{number}"));
        let ended = run("oddwiki-latest", &source, &output, &["--no-embed", "--max-quarantined", bound]);
        assert_eq!((ended.code, &ended.json["status"]), (2, &"failed".into()), "{:#}", ended.json);
        let error = ended.json["error"].as_str().unwrap();
        assert!(error.contains(why), "{error}");
        assert!(!output.join("_SUCCESS").exists());
        let id = ended.json["run_id"].as_str().unwrap();
        let text = String::from_utf8(cli(["status", id]).output().unwrap().stdout).unwrap();
        assert!(text.lines().nth(1).unwrap().contains(why), "{text}");
        let shown = details(&std::env::var("TEMPORAL_ADDRESS").unwrap(), id);
        assert!(shown.contains(why), "{shown}");
    }
    let (source, _, _) = damaged(scratch.path(), 0);
    let output = scratch.path().join("shards");
    let arguments = ["--no-embed", "--max-failed-shards", "0", "--shards-in-flight", "1"];
    let ended = run(DUMP, &source, &output, &arguments);
    assert_eq!((ended.code, &ended.json["shards_done"]), (2, &0.into()), "{:#}", ended.json);
    let error = ended.json["error"].as_str().unwrap();
    assert!(error.starts_with("1 of 3 shards failed, more than --max-failed-shards 0"), "{error}");
}

#[test]
fn totals_count_what_unfinished_shards_have_committed() {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("out");
    let server = Server::start(&scratch.path().join("temporal.db"), free_port());
    let (address, worker) = (server.address(), Worker::serving(&server.address(), &["workflow", "cpu"]));
    // Without a GPU worker no shard ever ends.
    let id = start_cut(&address, &output, "100000", &[]);
    wait_until("articles are committed", || {
        at(&address, &["status", &id]).json["articles"].as_u64().is_some_and(|articles| articles == 53)
    });
    assert_eq!(at(&address, &["cancel", &id]).code, 0);
    let ended = at(&address, &["watch", &id]);
    assert_eq!((ended.code, &ended.json["status"]), (2, &"cancelled".into()));
    assert_eq!(
        (&ended.json["articles"], &ended.json["shards_done"]),
        (&53.into(), &0.into()),
        "{:#}",
        ended.json
    );
    drop(worker);
}
