//! Outputs open with what people have: DuckDB and pyarrow, without our code.

use std::process::Command;

use crate::harness::{data, home, root, run};

#[test]
fn duckdb_and_pyarrow_see_every_article_once() {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("out");
    let ended = run("enwiki-20260920", &data("sample"), &output, &["--range-bytes", "200000"]);
    assert_eq!(ended.code, 0, "{:#} {}", ended.json, ended.stderr);
    let python = home().join("venv/bin/python");
    let read = Command::new(python)
        .arg(root().join("tests/e2e/read_output.py"))
        .arg(&output)
        .args(["53", "395445"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&read.stdout);
    assert!(read.status.success(), "{said}{}", String::from_utf8_lossy(&read.stderr));
    assert!(said.contains("53 articles, 395445 tokens, 53 vectors"), "{said}");
}
