//! Titles and ids from a dump become neither paths nor log lines.

use std::io::Write;

use crate::harness::{assert_verified, cli, files, json};
use crate::processes::{Server, Worker, free_port};

const TITLES: [&str; 6] = [
    "../../../../tmp/wikitok-was-here",
    "/etc/passwd",
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "a\nERROR forged log line",
    "x\u{0}y",
    "{label=\"value\"}",
];

#[test]
fn hostile_titles_stay_data() {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("dump");
    let directory = source.join("cirrussearch/20240101");
    std::fs::create_dir_all(&directory).unwrap();
    let file =
        std::fs::File::create(directory.join("oddwiki-20240101-cirrussearch-content.json.gz")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    for (page, title) in TITLES.iter().enumerate() {
        let document =
            serde_json::json!({"title": title, "page_id": page + 1, "namespace": 0, "text": title});
        // One of them cannot be processed, and so has its id and its reason told.
        let broken = if page == 3 { "{" } else { "" };
        writeln!(gzip, "{{\"index\":{{\"_id\":{}}}}}\n{document}{broken}", serde_json::json!(title)).unwrap();
    }
    gzip.finish().unwrap();

    let server = Server::start(&scratch.path().join("temporal.db"), free_port());
    let log = scratch.path().join("worker.log");
    let worker = Worker::logging(
        &server.address(),
        &["workflow", "cpu"],
        &[("WIKITOK_LOG", "debug")],
        std::fs::File::create(&log).unwrap(),
    );
    let output = scratch.path().join("out");
    let mut command = cli(["start", "--watch", "--dump", "oddwiki-20240101", "--no-embed", "--source"]);
    command.arg(&source).arg("--output").arg(&output).env("TEMPORAL_ADDRESS", server.address());
    let ended = json(&mut command);
    assert!(ended.json["articles"].as_u64().unwrap() >= 3, "{:#} {}", ended.json, ended.stderr);
    assert_verified(&output);

    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
    for name in files(&output).keys() {
        let name = name.to_str().unwrap();
        assert!(name.bytes().all(allowed) && !name.contains("was-here") && !name.contains(".."), "{name}");
    }
    assert!(!std::path::Path::new("/tmp/wikitok-was-here").exists());
    let log = std::fs::read_to_string(log).unwrap();
    let odd = log.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(odd, None, "control characters in the log");
    assert!(!log.lines().any(|line| line.starts_with("ERROR")), "a forged line");
    assert!(!log.contains("was-here") && !log.contains("owned"), "titles are not logged");
    let text = cli(["errors", ended.json["run_id"].as_str().unwrap()])
        .env("TEMPORAL_ADDRESS", server.address())
        .output()
        .unwrap();
    assert!(!text.stdout.contains(&0x1b) && !text.stdout.contains(&0x7), "{text:?}");
    drop(worker);
}
