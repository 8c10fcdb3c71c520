//! Other models, precisions and passages, as a user asks for them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use wikitok_embed::{Device, EmbedError, Embedder, EmbedderOptions, Precision};

use crate::harness::{
    Ended, assert_verified, cli, data, ended, home, json, manifest, run, shared, wait_until,
};
use crate::processes::{Server, Worker, free_port};
use crate::scene::{events, time};

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
fn the_development_set_answers_ten_questions() {
    let Some(dump) = shared("data/dev") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("out");
    let ended = run("enwiki-20260920", &dump, &output, &["--limit", "150", "--passages", "all"]);
    assert_eq!(ended.code, 0, "{:#} {}", ended.json, ended.stderr);
    assert!(ended.json["vectors"].as_u64().unwrap() > 300, "{:#}", ended.json);
    for (question, title) in [
        (
            "a neighbourhood and its park with a conservatory on the west side of Chicago",
            "Garfield Park, Chicago",
        ),
        (
            "a hypothetical particle of dark energy whose mass depends on the density around it",
            "Chameleon particle",
        ),
        ("the wall is built through the divided German capital", "Berlin Crisis of 1961"),
        ("how a processor fetches and decodes instructions", "Central processing unit"),
        ("a small nuclear-powered research submarine of the American navy", "American submarine NR-1"),
        ("oil and prayers for the dying", "Anointing of the sick"),
        ("Robert De Niro as a lonely driver at night in New York", "Taxi Driver"),
        ("humans are kept in a simulated reality by machines", "The Matrix"),
        ("the football team that was lost in the Superga air disaster", "Torino F.C."),
        ("the bandleader from Cuba who was married to Lucille Ball", "Desi Arnaz"),
    ] {
        let found = search(&output, question, &["-k", "1"]);
        assert_eq!(found.json[0]["title"], title, "{question}: {:#} {}", found.json, found.stderr);
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

/// All of the sample in passages keeps two cores busy for a minute or more.
#[test]
fn a_cancelled_run_stops_embedding_at_once() {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("out");
    let server = Server::start(&scratch.path().join("temporal.db"), free_port());
    let address = server.address();
    let _worker = Worker::start(&address);
    let at_server = |arguments: &[&str]| json(cli(arguments).env("TEMPORAL_ADDRESS", &address));

    let mut start =
        cli(["start", "--watch", "--dump", "enwiki-20260920", "--passages", "all", "--format", "json"]);
    start.arg("--source").arg(data("sample")).arg("--output").arg(&output).env("TEMPORAL_ADDRESS", &address);
    let running =
        start.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    wait_until("tokens are committed, of which vectors are made", || {
        output.join("manifests").exists() && tokens(&output) > 0
    });
    let id = at_server(&["list"]).json[0]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(at_server(&["cancel", &id]).code, 0);
    let report = ended(&running.wait_with_output().unwrap());
    assert_eq!((report.code, &report.json["status"]), (2, &"cancelled".into()), "{}", report.stderr);
    // With its heartbeat, which is sent each second, an activity hears of it; then a batch is finished.
    let events = events(&output);
    let last = |kind: &str| {
        let event = events.iter().rfind(|event| event["event"] == kind);
        time(event.unwrap_or_else(|| panic!("no {kind}: {events:#?}")))
    };
    let took = (last("part_cancelled") - last("run_cancel_requested")).to_std().unwrap();
    assert!(took < Duration::from_secs(3), "took {took:?}");
}

fn tokens(output: &Path) -> usize {
    let files = walkdir::WalkDir::new(output.join("manifests")).into_iter().filter_map(Result::ok);
    files.filter(|file| file.path().to_string_lossy().ends_with("tokens.json")).count()
}

fn embedder(precision: Precision) -> Result<Embedder, EmbedError> {
    Embedder::load(&EmbedderOptions {
        model_directory: home().join("models/all-MiniLM-L6-v2"),
        runtime_library: home().join("lib/libonnxruntime.so"),
        device: Device::Cpu,
        precision,
        threads: 2,
    })
}

/// The first articles of the development set's English Wikipedia.
fn articles(dump: &Path, count: usize) -> Vec<String> {
    let shards = walkdir::WalkDir::new(dump.join("other/cirrus_search_index")).sort_by_file_name();
    let shards = shards.into_iter().map(|entry| entry.unwrap().into_path());
    let is_shard = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("enwiki_content") && name.contains(".json.bz2")
    };
    let lines = shards.filter(is_shard).flat_map(|path| {
        let file = File::open(path).unwrap();
        BufReader::new(bzip2::read::MultiBzDecoder::new(file)).lines().map(Result::unwrap)
    });
    let documents = lines.map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap());
    let texts = documents.filter_map(|document| Some(document["text"].as_str()?.to_owned()));
    texts.filter(|text| !text.is_empty()).take(count).collect()
}

/// Rows whose dot product with a row is greatest, itself left out.
fn neighbours(vectors: &[Vec<f32>], row: usize) -> BTreeSet<usize> {
    let score =
        |other: &usize| -> f32 { vectors[row].iter().zip(&vectors[*other]).map(|(a, b)| a * b).sum() };
    let mut others: Vec<usize> = (0..vectors.len()).filter(|&other| other != row).collect();
    others.sort_by(|a, b| score(b).total_cmp(&score(a)));
    others.into_iter().take(10).collect()
}

/// What int8 may cost: on real articles, a hundredth of the cosine and 3 of a hundred neighbours.
#[test]
fn int8_finds_the_same_neighbours() {
    let Some(dump) = shared("data/dev") else { return };
    let rough = match embedder(Precision::Int8) {
        Err(error @ EmbedError::PrecisionUnavailable { .. }) => {
            eprintln!("{error}: left out");
            return;
        }
        loaded => loaded.unwrap(),
    };
    let texts = articles(&dump, 300);
    let vectors = |embedder: &Embedder| -> Vec<Vec<f32>> {
        let vectors = embedder.embed(&texts, None, &|_| true).unwrap();
        vectors.rows().into_iter().map(|row| row.to_vec()).collect()
    };
    let (exact, rough) = (vectors(&embedder(Precision::Fp32).unwrap()), vectors(&rough));
    let cosine = |row: usize| exact[row].iter().zip(&rough[row]).map(|(a, b)| a * b).sum::<f32>();
    let mean = (0..texts.len()).map(cosine).sum::<f32>() / texts.len() as f32;
    let same = |row: usize| neighbours(&exact, row).intersection(&neighbours(&rough, row)).count();
    let share = (0..texts.len()).map(same).sum::<usize>() as f64 / (10 * texts.len()) as f64;
    eprintln!(
        "{} articles: mean cosine {mean:.5}, the same of ten nearest {:.2} %",
        texts.len(),
        100.0 * share
    );
    assert!(mean >= 0.99 && share >= 0.97, "mean cosine {mean}, {share} of the ten nearest");
}

/// The cache as `huggingface_hub` leaves it, without a network.
#[test]
fn a_model_of_the_hub_is_named_by_its_commit() {
    let scratch = tempfile::tempdir().unwrap();
    let commit = "8b3219a92973c328a8e22fadcfa821b5dc75636a";
    let folder = scratch.path().join("hub/models--maker--small");
    let (snapshot, model) = (folder.join("snapshots").join(commit), data("models/uncased"));
    for entry in walkdir::WalkDir::new(&model).into_iter().map(Result::unwrap) {
        let target = snapshot.join(entry.path().strip_prefix(&model).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(target).unwrap();
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
    std::fs::create_dir_all(folder.join("refs")).unwrap();
    std::fs::write(folder.join("refs/main"), commit).unwrap();
    let offline = |command: &mut std::process::Command| {
        json(command.env("HF_HUB_CACHE", scratch.path().join("hub")).env("HF_HUB_OFFLINE", "1"))
    };

    let output = scratch.path().join("out");
    let mut start = cli(["start", "--local", "--dump", "bgwiki-latest", "--model", "maker/small"]);
    let ended = offline(start.arg("--source").arg(data("sample")).arg("--output").arg(&output));
    assert_eq!(ended.code, 0, "{:#} {}", ended.json, ended.stderr);
    let asked = &manifest(&output, "manifest.json")["configuration"]["embedding"];
    assert_eq!(asked["model"], format!("maker/small@{commit}"));
    let found =
        offline(cli(["search"]).arg(&output).args(["Пловдив", "--model", &format!("maker/small@{commit}")]));
    assert!(found.json[0]["title"].is_string(), "{:#} {}", found.json, found.stderr);

    let missing = offline(cli(["search"]).arg(&output).args(["Пловдив", "--model", "maker/other"]));
    assert!(missing.code == 2 && missing.stderr.contains("`maker/other`"), "{}", missing.stderr);
    assert!(missing.stderr.contains("hint: "), "{}", missing.stderr);
}
