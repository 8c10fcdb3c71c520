//! What the commands print: help that teaches, data for machines on stdout, the rest on stderr.

use crate::harness::{cli, data, ended, json, require_server, run};

fn help(arguments: &[&str]) -> String {
    let output = cli(arguments).arg("--help").env("COLUMNS", "100").output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help_teaches() {
    insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("help", help(&[]));
        for command in [
            "start", "watch", "status", "list", "pause", "resume", "scale", "errors", "events", "retry", "cancel", "verify",
            "search", "doctor", "dev",
        ] {
            let text = help(&[command]);
            assert!(text.contains("Example"), "`{command} --help` has no example");
            insta::assert_snapshot!(format!("help-{command}"), text);
        }
    });
}

#[test]
fn runs_are_listed_asked_after_and_searched() {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("out");
    let ran = run("enwiki-20260920", &data("sample"), &output, &["--limit", "10"]);
    assert_eq!(ran.code, 0, "{:#} {}", ran.json, ran.stderr);
    let id = ran.json["run_id"].as_str().unwrap();
    assert!(id.starts_with("wikitok/enwiki-20260920/"));
    assert!(ran.stderr.contains(id) && ran.stderr.contains("/namespaces/default/workflows/wikitok%2F"));

    let status = json(&mut cli(["status", id]));
    assert_eq!((status.code, &status.json), (0, &ran.json));
    let watched = json(&mut cli(["watch", id]));
    assert_eq!((watched.code, &watched.json), (0, &ran.json));
    crate::harness::wait_until("the run is listed as done", || {
        let list = json(&mut cli(["list"])).json;
        let listed = list.as_array().unwrap().iter().find(|run| run["run_id"] == id);
        listed.is_some_and(|run| run["status"] == "done")
    });

    let first = first_title(&output);
    let found = json(cli(["search"]).arg(&output).args([&first, "-k", "3"]));
    assert_eq!(found.code, 0, "{}", found.stderr);
    let titles: Vec<&str> =
        found.json.as_array().unwrap().iter().map(|hit| hit["title"].as_str().unwrap()).collect();
    assert_eq!((titles.len(), titles[0]), (3, first.as_str()), "a title finds its article");
}

/// Title of the article that the limited run reads first.
fn first_title(output: &std::path::Path) -> String {
    let script = format!(
        "import duckdb; print(duckdb.sql(\"select title from '{}/tokens/**/*.parquet'\").fetchone()[0])",
        output.display()
    );
    let python = crate::harness::home().join("venv/bin/python");
    let output = std::process::Command::new(python).args(["-c", &script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn start_without_watch_returns_at_once_and_says_how_to_follow() {
    require_server();
    let scratch = tempfile::tempdir().unwrap();
    let mut command = cli(["start", "--dump", "bgwiki-20240408", "--no-embed"]);
    command.arg("--source").arg(data("sample")).arg("--output").arg(scratch.path().join("out"));
    let started = json(&mut command);
    assert_eq!((started.code, &started.json["status"]), (0, &"started".into()), "{}", started.stderr);
    let id = started.json["run_id"].as_str().unwrap();
    let watched = json(&mut cli(["watch", id]));
    assert_eq!((watched.code, &watched.json["articles"]), (0, &1.into()));
}

#[test]
fn verify_names_what_is_wrong() {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("out");
    assert_eq!(run("bgwiki-20240408", &data("sample"), &output, &["--no-embed"]).code, 0);
    let part = walkdir::WalkDir::new(output.join("tokens")).into_iter().filter_map(Result::ok);
    let part = part.map(walkdir::DirEntry::into_path).find(|path| path.is_file()).unwrap();
    let mut bytes = std::fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    let verified = json(cli(["verify"]).arg(&output));
    assert_eq!(verified.code, 2);
    let problems = verified.json["problems"].to_string();
    assert!(problems.contains("part-00000.parquet") && problems.contains("sha256"), "{problems}");
}

#[test]
fn doctor_finds_everything_here_and_says_what_is_not() {
    require_server();
    let scratch = tempfile::tempdir().unwrap();
    let mut command = cli(["doctor", "--source"]);
    let healthy = json(command.arg(data("sample")).arg("--output").arg(scratch.path()));
    assert_eq!(healthy.code, 0, "{:#}", healthy.json);
    assert_eq!(healthy.json.as_array().unwrap().len(), 9, "{:#}", healthy.json);

    let mut command = cli(["doctor", "--source", "/nowhere"]);
    command.env("TEMPORAL_ADDRESS", "127.0.0.1:1").env("WIKITOK_MODEL", "/nowhere");
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(ended(&output).code, 2);
    for name in ["temporal", "source", "model", "inference"] {
        assert!(text.contains(&format!("✖ {name}: ")), "{text}");
    }
    assert!(text.contains("hint: "), "{text}");
}
