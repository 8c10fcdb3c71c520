//! Both layouts end to end, with exact counts.

use crate::harness::{
    assert_same, assert_verified, cli, data, data_files, files, json, manifest, run, shared,
};

/// `tests/data/sample/COUNTS.json`, for enwiki.
const ARTICLES: u64 = 53;
const REDIRECTS: u64 = 40;
const CHARACTERS: u64 = 1_783_958;
const CL100K_TOKENS: u64 = 395_445;
const O200K_TOKENS: u64 = 390_654;

#[test]
fn the_current_layout_gives_every_article_once_with_its_vector() {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("out");
    let ended = run("enwiki-20260920", &data("sample"), &output, &[]);
    assert_eq!(ended.code, 0, "{:#} {}", ended.json, ended.stderr);
    let report = &ended.json;
    assert_eq!(report["status"], "done");
    assert_eq!(report["articles"], ARTICLES);
    assert_eq!(report["filtered"]["redirect"], REDIRECTS);
    assert_eq!(report["quarantined"], 0);
    assert_eq!(report["tokens"], CL100K_TOKENS);
    assert_eq!(report["vectors"], ARTICLES);
    assert_eq!(report["failed_shards"].as_array().unwrap().len(), 0);
    assert!(report["seconds"].as_f64().unwrap() > 0.0);
    assert!(report["articles_per_second"].as_f64().unwrap() > 0.0);
    let counts = manifest(&output, "manifest.json")["counts"].clone();
    assert_eq!(counts["characters"], CHARACTERS);
    assert_verified(&output);

    let again = run("enwiki-2026", &data("sample"), &output, &[]);
    assert_eq!(again.json["run_id"], report["run_id"], "the same run is attached to");
    assert_eq!(again.json["seconds"], report["seconds"], "and not run again");
}

#[test]
fn the_legacy_layout_gives_the_same_articles() {
    let scratch = tempfile::tempdir().unwrap();
    let source = data("sample/other/cirrussearch");
    let output = scratch.path().join("out");
    let ended = run("enwiki-2024", &source, &output, &["--no-embed"]);
    assert_eq!(ended.code, 0, "{:#} {}", ended.json, ended.stderr);
    assert_eq!(ended.json["articles"], ARTICLES);
    assert_eq!(ended.json["tokens"], CL100K_TOKENS);
    assert_eq!(ended.json["filtered"], serde_json::json!({}));
    assert_eq!(ended.json["vectors"], 0);
    assert_verified(&output);

    let o200k = scratch.path().join("o200k");
    let ended = run("enwiki-202404", &source, &o200k, &["--no-embed", "--encoding", "o200k_base"]);
    assert_eq!(ended.json["tokens"], O200K_TOKENS);
    let other = run("enwiki-202404", &source, &output, &["--no-embed", "--encoding", "o200k_base"]);
    assert_eq!(other.code, 2, "an output keeps its configuration");
    assert!(other.stderr.contains("belongs to another run"), "{}", other.stderr);
}

#[test]
fn another_language_goes_the_same_way() {
    let scratch = tempfile::tempdir().unwrap();
    for (dump, name) in [("bgwiki-20240408", "legacy"), ("bgwiki-latest", "current")] {
        let output = scratch.path().join(name);
        let ended = run(dump, &data("sample"), &output, &["--no-embed"]);
        assert_eq!(
            (ended.code, &ended.json["articles"], &ended.json["tokens"]),
            (0, &1.into(), &5_410.into())
        );
        assert_eq!(manifest(&output, "manifest.json")["counts"]["characters"], 11_214);
    }
}

#[test]
fn ranges_change_the_parts_and_not_the_articles() {
    let scratch = tempfile::tempdir().unwrap();
    for (dump, name) in [("enwiki-20260920", "current"), ("enwiki-20240408", "legacy")] {
        let output = scratch.path().join(name);
        let ended = run(dump, &data("sample"), &output, &["--no-embed", "--range-bytes", "150000"]);
        assert_eq!(ended.code, 0, "{:#} {}", ended.json, ended.stderr);
        assert_eq!(ended.json["articles"], ARTICLES);
        assert_eq!(ended.json["tokens"], CL100K_TOKENS);
        let parts = files(&output.join("tokens")).len();
        assert!(parts > 3, "{parts} parts");
        assert_verified(&output);
    }
}

#[test]
fn vectors_can_be_added_to_tokens() {
    let scratch = tempfile::tempdir().unwrap();
    let (both, one) = (scratch.path().join("both"), scratch.path().join("one"));
    let dump = "bgwiki-20260920";
    assert_eq!(run(dump, &data("sample"), &both, &["--no-embed"]).code, 0);
    assert_eq!(run(dump, &data("sample"), &both, &[]).json["vectors"], 1);
    assert_eq!(run(dump, &data("sample"), &one, &[]).json["vectors"], 1);
    assert_same(&both, &one);
}

#[test]
fn a_limit_stops_after_so_many_articles() {
    let scratch = tempfile::tempdir().unwrap();
    for (dump, limit) in [("enwiki-20260920", 20_u64), ("enwiki-20240408", 7), ("enwiki-20260920", 1000)] {
        let output = scratch.path().join(format!("{dump}-{limit}"));
        let ended = run(dump, &data("sample"), &output, &["--no-embed", "--limit", &limit.to_string()]);
        assert_eq!(ended.code, 0, "{:#} {}", ended.json, ended.stderr);
        assert_eq!(ended.json["articles"], limit.min(ARTICLES));
        assert_verified(&output);
    }
}

/// A limit counts articles in the order of the dump, so what a shard gives decides what is asked of the next.
#[test]
fn a_limit_holds_through_a_failed_shard_and_its_repair() {
    let scratch = tempfile::tempdir().unwrap();
    let (source, broken, whole) =
        (scratch.path().join("dump"), scratch.path().join("out"), scratch.path().join("whole"));
    copy(&data("sample"), &source);
    let shard =
        "other/cirrus_search_index/20260920/index_name=enwiki_content/enwiki_content-20260920-00000.json.bz2";
    let bytes = std::fs::read(source.join(shard)).unwrap();
    std::fs::write(source.join(shard), &bytes[..bytes.len() / 2]).unwrap();
    let arguments = ["--no-embed", "--limit", "20"];
    let failed = run("enwiki-20260920", &source, &broken, &arguments);
    assert_eq!((failed.code, &failed.json["articles"]), (2, &0.into()), "{:#}", failed.json);
    std::fs::write(source.join(shard), bytes).unwrap();
    let repaired = run("enwiki-20260920", &source, &broken, &arguments);
    assert_eq!((repaired.code, &repaired.json["articles"]), (0, &20.into()), "{:#}", repaired.json);
    assert_verified(&broken);
    assert_eq!(run("enwiki-20260920", &data("sample"), &whole, &arguments).code, 0);
    assert_same(&broken, &whole);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for (name, bytes) in files(from) {
        std::fs::create_dir_all(to.join(&name).parent().unwrap()).unwrap();
        std::fs::write(to.join(name), bytes).unwrap();
    }
}

#[test]
fn a_finished_run_is_not_believed_when_its_output_or_source_is_another() {
    let scratch = tempfile::tempdir().unwrap();
    let (source, output) = (scratch.path().join("dump"), scratch.path().join("out"));
    copy(&data("sample"), &source);
    let first = run("enwiki-20260920", &source, &output, &["--no-embed"]);
    let before = data_files(&output);

    std::fs::remove_dir_all(output.join("tokens")).unwrap();
    let again = run("enwiki-20260920", &source, &output, &["--no-embed"]);
    assert_eq!((again.code, &again.json["run_id"]), (0, &first.json["run_id"]), "{:#}", again.json);
    assert!(data_files(&output) == before, "the output is what it was");

    // A part of the right size that is not the right part.
    let part = output.join(before.keys().find(|key| key.starts_with("tokens")).unwrap());
    let mut damaged = std::fs::read(&part).unwrap();
    damaged[100] ^= 1;
    std::fs::write(&part, damaged).unwrap();
    std::fs::remove_file(output.join("_SUCCESS")).unwrap();
    assert_eq!(run("enwiki-20260920", &source, &output, &["--no-embed"]).code, 0);
    assert!(data_files(&output) == before, "the output is what it was");

    let directory = source.join("other/cirrus_search_index/20260920/index_name=enwiki_content");
    let shard = |n: u32| directory.join(format!("enwiki_content-20260920-0000{n}.json.bz2"));
    std::fs::copy(shard(1), shard(0)).unwrap();
    let changed = run("enwiki-20260920", &source, &output, &["--no-embed"]);
    assert_eq!(changed.code, 0, "{:#} {}", changed.json, changed.stderr);
    assert_ne!(changed.json["articles"], first.json["articles"]);
    assert_verified(&output);
}

#[test]
fn local_needs_no_server() {
    let scratch = tempfile::tempdir().unwrap();
    let mut command = cli(["start", "--local", "--dump", "bgwiki-latest"]);
    command.arg("--source").arg(data("sample")).arg("--output").arg(scratch.path().join("out"));
    // Nothing answers there: --local must not care.
    command.env("TEMPORAL_ADDRESS", "127.0.0.1:1");
    let ended = json(&mut command);
    assert_eq!(ended.code, 0, "{:#} {}", ended.json, ended.stderr);
    assert_eq!((&ended.json["articles"], &ended.json["vectors"]), (&1.into(), &1.into()));
    assert_verified(&scratch.path().join("out"));
}

/// 2,605 articles, 26 of them without text, in 51 MB of gzip output and in four bzip2 shards.
#[test]
fn thousands_of_articles_are_equal_in_both_layouts() {
    let Some(source) = shared("data/dev") else { return };
    let scratch = tempfile::tempdir().unwrap();
    for (dump, name) in [("enwiki-20251229", "legacy"), ("enwiki-20260920", "current")] {
        let output = scratch.path().join(name);
        let ended = run(dump, &source, &output, &["--no-embed"]);
        assert_eq!(ended.code, 0, "{:#} {}", ended.json, ended.stderr);
        assert_eq!(ended.json["articles"], 2_579);
        assert_eq!(ended.json["tokens"], 2_142_271);
        assert_eq!(ended.json["filtered"]["empty_text"], 26);
        assert_verified(&output);
    }
}

#[test]
fn tiny_real_dumps_are_read() {
    let Some(source) = shared("data/tiny") else { return };
    let scratch = tempfile::tempdir().unwrap();
    for (dump, articles) in [("simplewiki-2017", 3), ("enwiki-2026", 17), ("enwiki-2024", 17)] {
        let output = scratch.path().join(dump);
        let ended = run(dump, &source, &output, &["--no-embed"]);
        assert_eq!(ended.code, 0, "{:#} {}", ended.json, ended.stderr);
        assert_eq!(ended.json["articles"], articles, "{dump}");
        // The newest snapshot of 2026 is unfinished, and was passed over.
        assert!(!ended.json["run_id"].as_str().unwrap().contains("20260927"));
    }
}

/// A checkpoint is where the next part begins: a damaged one would begin it elsewhere, and records would be lost.
#[test]
fn a_damaged_checkpoint_is_made_again() {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("output");
    let more = ["--no-embed", "--range-bytes", "60000"];
    assert_eq!(run("enwiki-20240408", &data("sample"), &output, &more).code, 0);
    let whole = data_files(&output);
    let shard = std::fs::read_dir(output.join("checkpoints")).unwrap().next().unwrap().unwrap().path();
    let checkpoint = shard.join("part-00002.bin");
    let bytes = std::fs::read(&checkpoint).unwrap();
    let mut elsewhere = bytes.clone();
    elsewhere[12] ^= 0x40;
    for damaged in [elsewhere, Vec::new(), bytes[..20].to_vec()] {
        std::fs::write(&checkpoint, damaged).unwrap();
        std::fs::remove_file(output.join("_SUCCESS")).unwrap();
        assert_eq!(run("enwiki-20240408", &data("sample"), &output, &more).code, 0);
        assert!(data_files(&output) == whole);
    }
}
