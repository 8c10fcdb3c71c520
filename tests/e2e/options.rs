//! What a run takes in and keeps: shards, namespaces, short texts, the text itself; and the plan beforehand.

use std::io::Write;
use std::path::Path;

use serde_json::Value;

use crate::harness::{assert_same, assert_verified, cli, data, files, home, json, manifest, run};

const DUMP: &str = "enwiki-20260920";

#[test]
fn shards_are_chosen_by_their_places() {
    let scratch = tempfile::tempdir().unwrap();
    let (first, rest) = (scratch.path().join("first"), scratch.path().join("rest"));
    let one = run(DUMP, &data("sample"), &first, &["--no-embed", "--shards", "0"]);
    let two = run(DUMP, &data("sample"), &rest, &["--no-embed", "--shards", "2,1"]);
    assert_eq!((one.code, two.code), (0, 0), "{} {}", one.stderr, two.stderr);
    assert_eq!((&one.json["shards"], &two.json["shards"]), (&1.into(), &2.into()));
    let articles = |ended: &Value| ended["articles"].as_u64().unwrap();
    assert!(articles(&one.json) > 0 && articles(&one.json) + articles(&two.json) == 53);
    assert_verified(&first);
    let again = run(DUMP, &data("sample"), &rest, &["--no-embed", "--shards", "1-2"]);
    assert_eq!(again.json["run_id"], two.json["run_id"], "the same shards, said otherwise");
    assert_eq!(again.json["seconds"], two.json["seconds"], "and not run again");
    let other = run(DUMP, &data("sample"), &rest, &["--no-embed"]);
    assert!(other.code == 2 && other.stderr.contains("belongs to another run"), "{}", other.stderr);
    let beyond = run(DUMP, &data("sample"), &scratch.path().join("x"), &["--no-embed", "--shards", "1-3"]);
    assert!(beyond.code == 2 && beyond.stderr.contains("the last is 2"), "{}", beyond.stderr);
}

#[test]
fn short_texts_are_left_out_and_counted() {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("out");
    let ended = run(DUMP, &data("sample"), &output, &["--no-embed", "--min-chars", "20000"]);
    let (articles, short) =
        (ended.json["articles"].as_u64().unwrap(), ended.json["filtered"]["too_short"].as_u64().unwrap());
    assert!(articles > 0 && short > 0 && articles + short == 53, "{:#}", ended.json);
    let least = query(&format!("select min(char_count) from '{}/tokens/**/*.parquet'", output.display()));
    assert!(least.parse::<u64>().unwrap() >= 20_000, "{least}");
    assert_verified(&output);
}

/// The first value of the first row that DuckDB answers.
fn query(sql: &str) -> String {
    let script = format!("import duckdb; print(duckdb.sql(\"\"\"{sql}\"\"\").fetchone()[0])");
    let python = home().join("venv/bin/python");
    let output = std::process::Command::new(python).args(["-c", &script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

const GENERAL: [&str; 2] = [
    "cirrussearch/20240408/somewiki-20240408-cirrussearch-general.json.gz",
    // Content tells the compression: mirrors hold gzip data under this name, too.
    "cirrus_search_index/20260101/index_name=somewiki_general/somewiki_general-20260101-00000.json.bz2",
];

/// A general index in either layout, with a page of each of these namespaces.
fn general(source: &Path, namespaces: &[i64]) {
    let pages = (100..).zip(namespaces).map(|(page, namespace)| {
        format!(
            "{{\"index\":{{\"_id\":\"{page}\"}}}}\n{{\"title\":\"Page {page}\",\"page_id\":{page},\
             \"namespace\":{namespace},\"text\":\"text of {page}\"}}\n"
        )
    });
    let lines: String = pages.collect();
    for key in GENERAL {
        let path = source.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path.parent().unwrap().join("_SUCCESS"), "").unwrap();
        let file = std::fs::File::create(path).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        gzip.write_all(lines.as_bytes()).unwrap();
        gzip.finish().unwrap();
    }
}

#[test]
fn other_namespaces_come_from_the_general_index() {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("dump");
    general(&source, &[1, 1, 4, 10, 14]);
    for dump in ["somewiki-2024", "somewiki-2026"] {
        let output = scratch.path().join(dump);
        let ended = run(dump, &source, &output, &["--no-embed", "--namespace", "14,1"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!((&ended.json["articles"], &ended.json["filtered"]["namespace"]), (&3.into(), &2.into()));
        assert_eq!(
            manifest(&output, "manifest.json")["configuration"]["namespaces"],
            serde_json::json!([1, 14])
        );
        assert_verified(&output);
    }
    let articles = run("somewiki-2026", &source, &scratch.path().join("x"), &["--no-embed"]);
    assert_eq!(articles.code, 2, "there is no content index");
    let mixed =
        run("somewiki-2026", &source, &scratch.path().join("x"), &["--no-embed", "--namespace", "0,1"]);
    assert!(mixed.code == 2 && mixed.stderr.contains("two runs"), "{}", mixed.stderr);
}

#[test]
fn vectors_are_made_of_texts_that_are_not_kept() {
    let scratch = tempfile::tempdir().unwrap();
    let output = |name: &str| scratch.path().join(name);
    let (with, without, added) = (output("with"), output("without"), output("added"));
    assert_eq!(run(DUMP, &data("sample"), &with, &[]).code, 0);
    let ended = run(DUMP, &data("sample"), &without, &["--keep-text", "no"]);
    assert_eq!((ended.code, &ended.json["vectors"]), (0, &53.into()), "{}", ended.stderr);
    assert_same(&with.join("vectors"), &without.join("vectors"));
    assert_eq!(files(&without.join("texts")).len(), 0, "texts go when the vectors are there");
    let columns = |output: &Path| {
        query(&format!(
            "select string_agg(column_name, ',') from (describe select * from '{}/tokens/**/*.parquet')",
            output.display()
        ))
    };
    assert!(columns(&with).contains(",text,") && !columns(&without).contains(",text,"));
    assert_verified(&without);

    // Tokens first, vectors later: the texts are read again.
    assert_eq!(run(DUMP, &data("sample"), &added, &["--keep-text", "no", "--no-embed"]).code, 0);
    assert!(!added.join("texts").exists());
    assert_eq!(run(DUMP, &data("sample"), &added, &["--keep-text", "no"]).code, 0);
    assert_same(&without, &added);

    // A vector file that is lost is made again, though its texts are gone.
    let (lost, _) = files(&without.join("vectors")).pop_first().unwrap();
    std::fs::remove_file(without.join("vectors").join(lost)).unwrap();
    assert_eq!(run(DUMP, &data("sample"), &without, &["--keep-text", "no"]).code, 0);
    assert_same(&without, &added);
}

#[test]
fn a_dry_run_shows_the_plan_and_touches_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("not/there");
    let plan = |more: &[&str]| {
        let mut command = cli(["start", "--dry-run", "--dump", DUMP, "--source"]);
        json(command.arg(data("sample")).arg("--output").arg(&output).args(more))
    };
    let planned = plan(&["--range-bytes", "20000"]);
    assert_eq!(planned.code, 0, "{}", planned.stderr);
    let bytes: u64 = planned.json["bytes"].as_u64().unwrap();
    assert_eq!((&planned.json["snapshot"], &planned.json["shards"]), (&DUMP.into(), &3.into()));
    assert_eq!((&planned.json["compression"], &planned.json["layout"]), (&"bzip2".into(), &"current".into()));
    assert!(
        (bytes.div_ceil(20_000)..bytes.div_ceil(20_000) + 3)
            .contains(&planned.json["ranges"].as_u64().unwrap())
    );
    assert!(planned.json["free_bytes"].as_u64().unwrap() > 0);
    let estimate = &planned.json["estimate"];
    let near = |value: &Value, exact: f64| (0.3..3.0).contains(&(value.as_f64().unwrap() / exact));
    assert!(near(&estimate["articles"], 53.0) && near(&estimate["tokens"], 395_445.0), "{estimate:#}");
    assert!(estimate["rests_on"].as_str().unwrap().contains("first shard"), "{estimate:#}");
    assert!(estimate["embed_seconds"].is_number(), "{estimate:#}");
    assert_eq!(estimate["vectors"], estimate["articles"], "one for each article's beginning");
    let passages = plan(&["--passages", "all", "--vector-type", "f16"]).json["estimate"].clone();
    assert!(passages["vectors"].as_u64() > estimate["vectors"].as_u64(), "{passages:#}");
    assert!(!output.exists() && !scratch.path().join("not").exists());

    for limit in [3, 6, 12, 24] {
        let limited = plan(&["--no-embed", "--limit", &limit.to_string()]);
        assert_eq!(limited.json["estimate"]["articles"], limit, "{:#}", limited.json);
    }
    let few = plan(&["--no-embed", "--limit", "5", "--shards", "0"]);
    assert_eq!(
        (&few.json["estimate"]["articles"], &few.json["shards"]),
        (&5.into(), &1.into()),
        "{:#}",
        few.json
    );
    let started = run(DUMP, &data("sample"), &output, &["--no-embed", "--limit", "5", "--shards", "0"]);
    assert_eq!(started.json["run_id"], few.json["run_id"], "a dry run is of the run that it plans");
}
