//! Other models, precisions and passages, as a user asks for them.

use std::path::Path;

use crate::harness::{Ended, assert_verified, cli, data, json, manifest, run};

/// A run with its own server and workers.
fn run_locally(dump: &str, output: &Path, more: &[&str]) -> Ended {
    let mut command = cli(["start", "--local", "--dump", dump]);
    command.arg("--source").arg(data("sample")).arg("--output").arg(output).args(more);
    json(&mut command)
}

fn search(output: &Path, words: &str, more: &[&str]) -> Ended {
    json(cli(["search"]).arg(output).arg(words).args(more))
}

#[test]
fn whole_articles_are_found_by_what_stands_anywhere_in_them() {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("out");
    let more = ["--limit", "10", "--passages", "all", "--passage-overlap", "16"];
    let ended = run("enwiki-20260920", &data("sample"), &output, &more);
    assert_eq!(ended.code, 0, "{:#} {}", ended.json, ended.stderr);
    assert!(ended.json["vectors"].as_u64().unwrap() > 300, "{:#}", ended.json);
    assert_verified(&output);
    for (question, title) in [
        ("rotating crops and irrigating fields", "Agriculture"),
        ("frogs and salamanders that breathe through their skin", "Amphibian"),
        ("places and people called Austin", "Austin (disambiguation)"),
        ("caesium and francium, metals that react violently with water", "Alkali metal"),
        ("a defendant hears the charges and pleads guilty or not guilty", "Arraignment"),
        ("helicopters and fighter jets of the air force of Angola", "Angolan Armed Forces"),
        ("how many protons are in the nucleus of an element", "Atomic number"),
        ("the Confederate general who was killed at Shiloh", "Albert Sidney Johnston"),
        ("mugham music and the oil fields of Baku", "Azerbaijan"),
        ("the philosopher's stone, which turns lead into gold", "Alchemy"),
    ] {
        let found = search(&output, question, &["-k", "1"]);
        let hit = &found.json[0];
        assert_eq!(hit["title"], title, "{question}: {:#} {}", found.json, found.stderr);
        let length = hit["characters"][1].as_u64().unwrap() - hit["characters"][0].as_u64().unwrap();
        assert_eq!(hit["text"].as_str().unwrap().chars().count() as u64, length);
    }
}

#[test]
fn another_model_is_used_by_all_or_by_none() {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("out");
    let model = data("models/uncased");
    let model = model.to_str().unwrap();
    let more = ["--model", model, "--passages", "all", "--passage-overlap", "4", "--vector-type", "f16"];
    let ended = run_locally("bgwiki-latest", &output, &more);
    assert_eq!(ended.code, 0, "{:#} {}", ended.json, ended.stderr);
    assert!(ended.json["vectors"].as_u64().unwrap() > 10);
    let asked = &manifest(&output, "manifest.json")["configuration"]["embedding"];
    assert_eq!((&asked["model"], &asked["passage_prefix"]), (&"uncased".into(), &"passage: ".into()));
    assert_eq!((&asked["vector_type"], &asked["passages"]["word_pieces"]), (&"f16".into(), &48.into()));
    assert_verified(&output);

    let found = search(&output, "Пловдив", &["--model", model]);
    assert!(found.json[0]["passage"].is_u64(), "{:#} {}", found.json, found.stderr);
    let other = search(&output, "Пловдив", &[]);
    assert!(other.code == 2 && other.stderr.contains("--model"), "{}", other.stderr);

    let refused = run("bgwiki-latest", &data("sample"), &scratch.path().join("other"), &["--model", model]);
    let reason = refused.json["failed_shards"][0]["message"].as_str().unwrap_or_default();
    assert!(refused.code == 2 && reason.contains("the same --model"), "{:#}", refused.json);
}

#[test]
fn passages_that_a_model_cannot_read_are_refused_at_once() {
    let scratch = tempfile::tempdir().unwrap();
    for more in [["--passage-tokens", "257"], ["--passage-tokens", "8"], ["--passage-overlap", "65"]] {
        let output = scratch.path().join("out");
        let refused = run_locally("bgwiki-latest", &output, &[&["--passages", "all"], &more[..]].concat());
        assert!(refused.code == 2 && refused.stderr.contains("16 to 256"), "{}", refused.stderr);
    }
}
