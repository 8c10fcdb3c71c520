//! What users get wrong: told within seconds, with what to do, and exit code 2.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Ended, cli, data, ended, json, require_server, shared, wait_until};
use crate::processes::{free_port, signal};

const SOON: Duration = Duration::from_secs(20);

/// Runs a command that must fail soon, with a hint.
fn refused(command: &mut Command) -> Ended {
    let began = Instant::now();
    let ended = ended(&command.output().unwrap());
    assert!(began.elapsed() < SOON, "took {:?}", began.elapsed());
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("\nhint: "), "{}", ended.stderr);
    ended
}

fn start(dump: &str) -> Command {
    let mut command = cli(["start", "--dump", dump]);
    command.arg("--source").arg(data("sample"));
    command
}

#[test]
fn an_unknown_wiki_lists_those_that_are_there() {
    let scratch = tempfile::tempdir().unwrap();
    let ended = refused(start("xxwiki-2026").arg("--output").arg(scratch.path()));
    assert!(ended.stderr.contains("xxwiki") && ended.stderr.contains("enwiki"), "{}", ended.stderr);
}

#[test]
fn an_unknown_date_lists_those_that_are_there() {
    let scratch = tempfile::tempdir().unwrap();
    let ended = refused(start("enwiki-19990101").arg("--output").arg(scratch.path()));
    assert!(ended.stderr.contains("20260920"), "{}", ended.stderr);
}

#[test]
fn an_unfinished_snapshot_says_what_is_missing() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("other/cirrus_search_index/20260927/index_name=enwiki_content");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("enwiki_content-20260927-00000.json.bz2"), "BZh9").unwrap();
    let mut command = cli(["start", "--dump", "enwiki-20260927", "--output", "/tmp/never", "--source"]);
    let ended = refused(command.arg(scratch.path()));
    assert!(ended.stderr.contains("_SUCCESS"), "{}", ended.stderr);
    if let Some(tiny) = shared("data/tiny") {
        let mut command = cli(["start", "--dump", "enwiki-20260927", "--output", "/tmp/never", "--source"]);
        assert!(refused(command.arg(tiny)).stderr.contains("_SUCCESS"));
    }
}

#[test]
fn a_source_that_is_not_there_or_not_a_source_says_so() {
    refused(&mut cli(["start", "--dump", "enwiki-2026", "--output", "/tmp/never", "--source", "/nowhere"]));
    let empty = tempfile::tempdir().unwrap();
    let mut command = cli(["start", "--dump", "enwiki-2026", "--output", "/tmp/never", "--source"]);
    let ended = refused(command.arg(empty.path()));
    assert!(ended.stderr.contains("cirrus_search_index"), "{}", ended.stderr);
}

#[test]
fn an_output_that_cannot_be_written_says_so() {
    // Not even root may make a directory there.
    let ended = refused(start("enwiki-20260920").args(["--output", "/proc/wikitok"]));
    assert!(ended.stderr.contains("--output"), "{}", ended.stderr);
}

#[test]
fn a_server_that_is_not_there_says_where_it_was_looked_for() {
    let scratch = tempfile::tempdir().unwrap();
    let mut command = start("enwiki-20260920");
    command.arg("--output").arg(scratch.path()).env("TEMPORAL_ADDRESS", "127.0.0.1:1");
    let ended = refused(&mut command);
    assert!(
        ended.stderr.contains("127.0.0.1:1") && ended.stderr.contains("wikitok-cli dev"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_missing_model_says_how_to_get_it() {
    let scratch = tempfile::tempdir().unwrap();
    let mut command = start("enwiki-20260920");
    command.args(["--local", "--output"]).arg(scratch.path()).env("WIKITOK_MODEL", "/nowhere");
    let ended = refused(&mut command);
    assert!(ended.stderr.contains("/nowhere"), "{}", ended.stderr);
}

#[test]
fn a_device_that_is_not_there_is_no_fallback() {
    let scratch = tempfile::tempdir().unwrap();
    let mut command = start("bgwiki-20260920");
    command.args(["--local", "--device", "cuda", "--output"]).arg(scratch.path());
    let ended = refused(&mut command);
    assert!(ended.stderr.contains("cuda"), "{}", ended.stderr);
}

#[test]
fn a_device_for_workers_elsewhere_is_no_device_of_theirs() {
    let scratch = tempfile::tempdir().unwrap();
    let mut command = start("bgwiki-20260920");
    command.args(["--device", "cuda", "--output"]).arg(scratch.path()).env_remove("WIKITOK_DEVICE");
    let ended = refused(&mut command);
    assert!(ended.stderr.contains("--device") && ended.stderr.contains("wikitok-worker"), "{}", ended.stderr);
}

#[test]
fn a_run_that_is_not_there_says_where_to_look() {
    require_server();
    for command in ["watch", "status", "pause", "resume", "errors", "retry", "cancel"] {
        let ended = refused(&mut cli([command, "wikitok/nowiki-20200101/0"]));
        assert!(ended.stderr.contains("wikitok-cli list"), "{}", ended.stderr);
    }
}

#[test]
fn a_key_that_is_none_is_told_before_a_server_is_waited_for() {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("out");
    let mut local = start("enwiki-20260920");
    local.args(["--local", "--no-embed", "--output"]).arg(&output).env("WIKITOK_ENCRYPTION_KEY", "abc");
    let ended = refused(&mut local);
    assert!(ended.stderr.contains("WIKITOK_ENCRYPTION_KEY"), "{}", ended.stderr);
}

#[test]
fn a_namespace_that_is_not_there_is_named() {
    require_server();
    let ended = refused(cli(["list"]).env("TEMPORAL_NAMESPACE", "nope"));
    assert!(ended.stderr.contains("no namespace `nope`"), "{}", ended.stderr);
    let doctor = json(cli(["doctor"]).env("TEMPORAL_NAMESPACE", "nope"));
    let temporal = &doctor.json[0];
    assert_eq!((doctor.code, &temporal["name"], &temporal["ok"]), (2, &"temporal".into(), &false.into()));
}

/// Ctrl-C in the first moment, when nothing has started yet.
#[test]
fn a_laptop_that_is_asked_to_end_while_it_starts_ends_at_once() {
    let scratch = tempfile::tempdir().unwrap();
    let (port, ui_port) = (free_port().to_string(), free_port().to_string());
    let mut command = cli(["dev", "--port", &port, "--ui-port", &ui_port, "--db"]);
    let mut dev = command.arg(scratch.path().join("temporal.db")).stderr(Stdio::null()).spawn().unwrap();
    // The database is locked once signals are heard, and before there is a server.
    wait_until("the laptop starts", || scratch.path().join("temporal.lock").exists());
    let began = Instant::now();
    signal(&dev, Signal::INT);
    assert_eq!(dev.wait().unwrap().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "took {:?}", began.elapsed());
}
