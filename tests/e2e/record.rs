//! The record of a run: `events.jsonl`, `job_summary.json`, and `wikitok-cli events`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use wikitok_tests::wait_until_within;

use crate::control::temporal;
use crate::harness::{assert_verified, cli, data, json, program, require_server, run, wait_until};
use crate::kill::committed;
use crate::processes::{Server, Worker, free_port};
use crate::scene::{Running, count, events};

const DUMP: &str = "enwiki-20260920";

fn told(arguments: &[&str]) -> String {
    let output = cli(arguments).args(["--format", "json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn summary(output: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(output.join("job_summary.json")).unwrap()).unwrap()
}

#[test]
fn a_run_leaves_a_record_that_says_what_the_histories_say() {
    require_server();
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("out");
    let ended = run(DUMP, &data("sample"), &output, &["--no-embed", "--range-bytes", "60000"]);
    assert_eq!(ended.code, 0, "{:#} {}", ended.json, ended.stderr);
    let id = ended.json["run_id"].as_str().unwrap();

    let stored = std::fs::read_to_string(output.join("events.jsonl")).unwrap();
    assert_eq!(told(&["events", id]), stored);
    assert_eq!(told(&["events", id, "--follow"]), stored, "nothing is left to wait for");
    let events = events(&output);
    let parts = walk(&output.join("manifests")) - 3;
    assert_eq!((count(&events, "part_committed"), count(&events, "part_started")), (parts, parts));
    assert_eq!((count(&events, "shard_started"), count(&events, "shard_committed")), (3, 3));
    assert_eq!(
        (&events[0]["event"], &events.last().unwrap()["event"]),
        (&"run_started".into(), &"run_completed".into())
    );
    let articles: u64 = events
        .iter()
        .filter(|event| event["event"] == "part_committed")
        .map(|event| {
            assert!(
                event["worker"].as_str().unwrap().contains('@') && event["attempt"].as_u64().unwrap() >= 1,
                "{event}"
            );
            event["articles"].as_u64().unwrap()
        })
        .sum();
    assert_eq!(articles, 53);

    let summary = summary(&output);
    assert_eq!((&summary["status"], &summary["run_id"]), (&"done".into(), &id.into()));
    assert_eq!(
        (&summary["counts"]["articles"], &summary["attempts"]["parts_committed"]),
        (&53.into(), &parts.into())
    );
    assert_verified(&output);
    the_commands_work(&summary, scratch.path());

    std::fs::write(output.join("events.jsonl"), "not an event\n").unwrap();
    assert!(cli(["events", id, "--save"]).status().unwrap().success());
    assert_eq!(std::fs::read_to_string(output.join("events.jsonl")).unwrap(), stored, "written again");
}

fn walk(directory: &Path) -> usize {
    let files = walkdir::WalkDir::new(directory).into_iter().filter_map(Result::ok);
    files.filter(|entry| entry.path().is_file()).count()
}

/// The commands of a summary can be given to a shell as they are, from anywhere.
fn the_commands_work(summary: &Value, elsewhere: &Path) {
    for (name, code) in [("resume", 0), ("verify", 0), ("errors", 0), ("events", 0), ("retry", 0)] {
        let command = summary["commands"][name].as_str().unwrap();
        let path = format!(
            "{}:{}",
            program("wikitok-cli").parent().unwrap().display(),
            std::env::var("PATH").unwrap()
        );
        let ran = Command::new("sh")
            .args(["-c", command])
            .env("PATH", path)
            .env("WIKITOK_HOME", crate::harness::home())
            .current_dir(elsewhere)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(code), "`{command}`: {said}");
        // The run was begun with `--format json`, which is part of the command.
        if name == "resume" {
            let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
            assert_eq!(report["run_id"], summary["run_id"], "`{command}`");
        }
    }
}

#[test]
fn a_run_that_is_cancelled_and_goes_on_has_one_record_of_both() {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("out");
    let server = Server::start(&scratch.path().join("temporal.db"), free_port());
    let worker = Worker::serving(&server.address(), &["workflow", "cpu"]);
    let at = |arguments: &[&str]| json(cli(arguments).env("TEMPORAL_ADDRESS", server.address()));
    let start = || {
        let mut command = cli(["start", "--dump", DUMP, "--no-embed", "--range-bytes", "10000", "--source"]);
        command.arg(data("sample")).arg("--output").arg(&output).env("TEMPORAL_ADDRESS", server.address());
        json(&mut command).json["run_id"].as_str().unwrap().to_owned()
    };
    let id = start();
    wait_until("some is committed", || committed(&output) >= 3);
    let mut follow = cli(["events", &id, "--follow", "--format", "json"]);
    follow.env("TEMPORAL_ADDRESS", server.address()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let following = std::thread::spawn(move || follow.output().unwrap());
    assert_eq!(at(&["pause", &id]).code, 0);
    assert_eq!(at(&["resume", &id]).code, 0);
    assert_eq!(at(&["cancel", &id]).code, 0);
    assert_eq!(at(&["watch", &id]).json["status"], "cancelled");
    let first = events(&output);
    for kind in ["run_paused", "run_resumed", "run_cancel_requested", "run_cancelled"] {
        assert_eq!(count(&first, kind), 1, "{kind}: {first:#?}");
    }
    let followed = String::from_utf8(following.join().unwrap().stdout).unwrap();
    let mut followed: Vec<&str> = followed.lines().collect();
    followed.sort_unstable();
    let stored = std::fs::read_to_string(output.join("events.jsonl")).unwrap();
    let mut stored: Vec<&str> = stored.lines().collect();
    stored.sort_unstable();
    assert_eq!(followed, stored, "whoever follows hears everything once");
    assert_eq!(summary(&output)["status"], "cancelled");

    assert_eq!(start(), id);
    assert_eq!(at(&["watch", &id]).code, 0);
    let both = events(&output);
    assert!(first.iter().all(|event| both.contains(event)), "what was told stays told");
    assert_eq!((count(&both, "run_started"), count(&both, "run_completed")), (2, 1));
    drop(worker);
}

/// When Temporal has forgotten a run, its record has not.
#[test]
fn a_record_outlives_the_database_of_the_server() {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("out");
    let start = |database: &str| {
        let server = Server::start(&scratch.path().join(database), free_port());
        let worker = Worker::serving(&server.address(), &["workflow", "cpu"]);
        let mut command =
            cli(["start", "--watch", "--dump", DUMP, "--no-embed", "--format", "json", "--source"]);
        command.arg(data("sample")).arg("--output").arg(&output).env("TEMPORAL_ADDRESS", server.address());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        assert_eq!(Running::of(command).end().code, 0);
        drop(worker);
        events(&output)
    };
    let first = start("first.db");
    std::fs::remove_file(output.join("_SUCCESS")).unwrap();
    let both = start("second.db");
    assert_eq!(both[..first.len()], first[..]);
    assert_eq!(count(&both, "run_completed"), 2);
}

/// Temporal keeps what has ended for so long and no longer: shards of a long run are forgotten before it ends.
#[test]
fn a_shard_that_is_forgotten_is_no_reason_to_tell_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("out");
    let server = Server::start(&scratch.path().join("temporal.db"), free_port());
    let address = server.address();
    let worker = Worker::serving(&address, &["workflow", "cpu"]);
    let mut command = cli(["start", "--watch", "--dump", DUMP, "--no-embed", "--source"]);
    command.arg(data("sample")).arg("--output").arg(&output).env("TEMPORAL_ADDRESS", &address);
    let ended = json(&mut command);
    let (id, before) = (ended.json["run_id"].as_str().unwrap(), events(&output));
    let shard = format!("{id}/enwiki_content-20260920-00001");
    let (ok, said) = temporal(&address, &["workflow", "delete", "-w", &shard, "--yes"]);
    assert!(ok, "{said}");
    // The server takes half a minute for it.
    let limit = Duration::from_mins(3);
    wait_until_within(limit, "the shard is forgotten", || {
        !temporal(&address, &["workflow", "show", "-w", &shard]).0
    });

    let told = json(cli(["events", id, "--save"]).env("TEMPORAL_ADDRESS", &address));
    assert_eq!(told.code, 0, "{}", told.stderr);
    assert_eq!(events(&output), before, "what was told of it stays told");
    std::fs::remove_file(output.join("events.jsonl")).unwrap();
    assert_eq!(json(cli(["events", id, "--save"]).env("TEMPORAL_ADDRESS", &address)).code, 0);
    let after = events(&output);
    assert_eq!((count(&after, "run_completed"), count(&after, "shard_committed")), (1, 2));
    drop(worker);
}

#[test]
fn an_output_of_another_run_gets_no_record() {
    require_server();
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("out");
    let ended = run(DUMP, &data("sample"), &output, &["--no-embed", "--shards", "0"]);
    let id = ended.json["run_id"].as_str().unwrap();
    std::fs::write(
        output.join("run.json"),
        std::fs::read_to_string(output.join("run.json")).unwrap().replace(DUMP, "frwiki-20260920"),
    )
    .unwrap();
    std::fs::remove_file(output.join("events.jsonl")).unwrap();
    let refused = cli(["events", id, "--save"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("belongs to another run"));
    assert!(!output.join("events.jsonl").exists());
}
