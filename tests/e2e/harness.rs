//! What the tests share: where things are, running the programs, comparing outputs.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
pub(crate) use wikitok_tests::wait_until;

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A file or directory of the fixtures.
pub(crate) fn data(name: &str) -> PathBuf {
    root().join("tests/data").join(name)
}

/// A file or directory of the larger sets beside the checkout, where they are.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let path = root().join("../shared").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("`../shared/{name}` is not beside this checkout: the larger set is left out");
    None
}

/// One of our programs, built by `tools/test` into the directory that holds this test.
pub(crate) fn program(name: &str) -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let path = here.ancestors().nth(2).unwrap().join(name);
    assert!(path.is_file(), "`{}` is not built: run the tests with `tools/test`", path.display());
    path
}

/// `wikitok-cli`, with the suite's server.
pub(crate) fn cli<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(arguments: I) -> Command {
    let mut command = Command::new(program("wikitok-cli"));
    command.args(arguments).env("WIKITOK_HOME", home()).env("NO_COLOR", "1");
    command
}

/// What `tools/fetch` fetched.
pub(crate) fn home() -> PathBuf {
    let home = root().join(".wikitok");
    assert!(home.join("bin/temporal").is_file(), "nothing is fetched: run the tests with `tools/test`");
    home
}

/// The suite's server. Without one, no test that needs it can pass.
pub(crate) fn require_server() {
    assert!(
        std::env::var_os("TEMPORAL_ADDRESS").is_some(),
        "no Temporal server: run the tests with `tools/test`"
    );
}

/// How a command ended: its exit code, its JSON, and all it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) json: Value,
    pub(crate) stderr: String,
}

/// Runs a command that prints JSON.
pub(crate) fn json(command: &mut Command) -> Ended {
    let output = command.args(["--format", "json"]).output().unwrap();
    ended(&output)
}

pub(crate) fn ended(output: &Output) -> Ended {
    Ended {
        code: output.status.code().unwrap_or(-1),
        json: serde_json::from_slice(&output.stdout).unwrap_or(Value::Null),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Starts a run on the suite's server and waits for its end.
pub(crate) fn run(dump: &str, source: &Path, output: &Path, more: &[&str]) -> Ended {
    require_server();
    let mut command = cli(["start", "--watch", "--dump", dump]);
    command.arg("--source").arg(source).arg("--output").arg(output).args(more);
    json(&mut command)
}

/// Shows that an output is whole, as `verify` sees it.
pub(crate) fn assert_verified(output: &Path) {
    let ended = json(cli(["verify"]).arg(output));
    assert_eq!(ended.code, 0, "{:#} {}", ended.json, ended.stderr);
}

/// Every file below a directory with its bytes.
pub(crate) fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    walkdir::WalkDir::new(directory)
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.is_file())
        .map(|path| (path.strip_prefix(directory).unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect()
}

/// What tells times and attempts, and so differs between two runs that give the same.
pub(crate) const RECORD: [&str; 2] = ["events.jsonl", "job_summary.json"];

/// Every file of an output but its record.
pub(crate) fn data_files(output: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = files(output);
    files.retain(|name, _| !RECORD.iter().any(|record| name == Path::new(record)));
    files
}

/// Shows that two outputs are the same, byte for byte and file for file, but for the record of how they were made.
pub(crate) fn assert_same(left: &Path, right: &Path) {
    let (left, right) = (data_files(left), data_files(right));
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&left), names(&right));
    for (name, bytes) in &left {
        assert!(bytes == &right[name], "`{}` differs", name.display());
    }
}

/// A manifest of an output.
pub(crate) fn manifest(output: &Path, key: &str) -> Value {
    let bytes = std::fs::read(output.join(key)).unwrap_or_else(|error| panic!("`{key}`: {error}"));
    serde_json::from_slice(&bytes).unwrap()
}
