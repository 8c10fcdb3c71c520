//! A scene is a server of the test's own, and what an undisturbed run gives on it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Ended, assert_same, assert_verified, cli, data, ended, manifest};
use crate::processes::{Server, Worker, free_port};
use crate::sources::assert_mirrored;

/// What a run is over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dump {
    /// Three shards of many small parts, token ids alone.
    Tokens,
    /// One gzip file of one article, with its vector.
    Vectors,
    /// One gzip file of several parts, with vectors, whose texts are kept only for these.
    Chain,
    /// One shard with records that cannot be read, token ids alone.
    Damaged,
    /// The first through a mirror, which begins empty.
    Mirrored,
}

impl Dump {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Tokens | Self::Mirrored => {
                &["--dump", "enwiki-20260920", "--range-bytes", "30000", "--no-embed"]
            }
            Self::Vectors => &["--dump", "bgwiki-20240408"],
            Self::Chain => &["--dump", "enwiki-20240408", "--range-bytes", "150000", "--keep-text", "no"],
            Self::Damaged => &["--dump", "edgewiki-20260101", "--no-embed"],
        }
    }

    /// Where it is read from, for a run with that output.
    fn source(self, output: &Path) -> PathBuf {
        match self {
            Self::Damaged => output.with_file_name("damaged"),
            _ => data("sample"),
        }
    }

    /// How a run over it ends.
    fn code(self) -> i32 {
        i32::from(matches!(self, Self::Damaged))
    }

    /// The queues that it needs.
    pub(crate) fn queues(self) -> &'static [&'static str] {
        match self {
            Self::Tokens | Self::Damaged => &["workflow", "cpu"],
            Self::Vectors | Self::Chain => &["workflow", "cpu", "gpu"],
            Self::Mirrored => &["workflow", "cpu", "mirror"],
        }
    }
}

/// A server of the test's own, and what an undisturbed run gives on it.
pub(crate) struct Scene {
    pub(crate) dump: Dump,
    pub(crate) server: Server,
    pub(crate) calm: PathBuf,
    pub(crate) scratch: TempDir,
}

impl Scene {
    pub(crate) fn new(dump: Dump) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let server = Server::start(&scratch.path().join("temporal.db"), free_port());
        let worker = Worker::serving(&server.address(), dump.queues());
        let calm = scratch.path().join("calm");
        if matches!(dump, Dump::Damaged) {
            lay_out_damaged(&dump.source(&calm));
        }
        let ended = ended(&start(&server.address(), dump, &calm, &[]).output().unwrap());
        assert_eq!(ended.code, dump.code(), "{:#} {}", ended.json, ended.stderr);
        drop(worker);
        Self { dump, server, calm, scratch }
    }

    /// A directory of the test's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// A worker for all queues, in a changed environment.
    pub(crate) fn worker(&self, environment: &[(&str, &str)]) -> Worker {
        Worker::with(&self.server.address(), self.dump.queues(), environment)
    }

    /// The run, which is to be disturbed, and is watched.
    pub(crate) fn start(&self, output: &Path) -> Running {
        Running::of(start(&self.server.address(), self.dump, output, &[]))
    }

    /// The same, with workers that are taken for dead only after long silence.
    pub(crate) fn start_patiently(&self, output: &Path) -> Running {
        Running::of(start(&self.server.address(), self.dump, output, &["--heartbeat-timeout", "20"]))
    }

    /// Shows that a run ended well and gave what an undisturbed one does.
    pub(crate) fn assert_undisturbed(&self, ended: &Ended, output: &Path) {
        assert_eq!(ended.code, self.dump.code(), "{:#} {}", ended.json, ended.stderr);
        let counts = &manifest(&self.calm, "manifest.json")["counts"];
        for total in ["articles", "tokens", "vectors"] {
            assert_eq!(ended.json[total], counts[total], "{total}");
        }
        assert_same(&self.calm, output);
        assert_verified(output);
        if matches!(self.dump, Dump::Mirrored) {
            assert_mirrored(&mirror_of(output), &self.dump.source(output));
        }
    }
}

/// Where a run with that output has its mirror.
fn mirror_of(output: &Path) -> PathBuf {
    output.with_extension("mirror")
}

/// A dump of one shard that is whole but for some records.
fn lay_out_damaged(source: &Path) {
    let directory = source.join("cirrus_search_index/20260101/index_name=edgewiki_content");
    std::fs::create_dir_all(&directory).unwrap();
    let shard = directory.join("edgewiki_content-20260101-00000.json.bz2");
    std::fs::copy(data("edge/broken-json.json.bz2"), shard).unwrap();
    std::fs::write(directory.join("_SUCCESS"), "").unwrap();
}

/// A command that goes on; ended with the test.
pub(crate) struct Running(Child);

impl Running {
    /// Begins a command.
    pub(crate) fn of(mut command: Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let (stdout, stderr) = (self.0.stdout.take().unwrap(), self.0.stderr.take().unwrap());
        let reading = std::thread::spawn(move || std::io::read_to_string(stderr).unwrap());
        let json = std::io::read_to_string(stdout).unwrap();
        let code = self.0.wait().unwrap().code().unwrap_or(-1);
        let json = serde_json::from_str(&json).unwrap_or(Value::Null);
        Ended { code, json, stderr: reading.join().unwrap() }
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// Kills it without a warning.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The command of a run.
pub(crate) fn start(address: &str, dump: Dump, output: &Path, more: &[&str]) -> Command {
    let mut command = cli(["start", "--watch", "--format", "json"]);
    if !more.contains(&"--heartbeat-timeout") {
        command.args(["--heartbeat-timeout", "2"]);
    }
    command
        .arg("--source")
        .arg(dump.source(output))
        .args(dump.arguments())
        .arg("--output")
        .arg(output)
        .args(more)
        .env("TEMPORAL_ADDRESS", address)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if matches!(dump, Dump::Mirrored) {
        command.arg("--mirror").arg(mirror_of(output));
    }
    command
}

/// What the record of a run says: its events, one JSON object each.
pub(crate) fn events(output: &Path) -> Vec<Value> {
    let lines = std::fs::read_to_string(output.join("events.jsonl")).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How many events of a kind there are.
pub(crate) fn count(events: &[Value], kind: &str) -> usize {
    events.iter().filter(|event| event["event"] == kind).count()
}

/// When an event was.
pub(crate) fn time(event: &Value) -> chrono::DateTime<chrono::FixedOffset> {
    chrono::DateTime::parse_from_rfc3339(event["time"].as_str().unwrap()).unwrap()
}

/// A number that differs from run to run, so that things happen elsewhere each time. Printed, since a failure may
/// depend on it.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let seed = u64::from(now.subsec_nanos());
        eprintln!("seed {seed}");
        Self(seed)
    }

    /// Any number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
