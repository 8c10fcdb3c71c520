//! The whole job: a server and workers as `wikitok-cli dev` brings them, and one run after the other on them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use wikitok_tests::free_port;

use crate::clock::{self, Sample};
use crate::data::{self, Dump};

/// `wikitok-cli dev`, ended when dropped.
pub(crate) struct Server {
    child: Child,
    address: String,
    _scratch: tempfile::TempDir,
}

impl Server {
    /// Starts one on free ports; `None`, said on stderr, when the programs are not built or fetched.
    pub(crate) fn start() -> Option<Self> {
        let scratch = tempfile::tempdir_in(data::scratch()).unwrap();
        let (port, ui_port) = (free_port(), free_port());
        let mut child = cli()
            .args(["dev", "--port", &port.to_string(), "--ui-port", &ui_port.to_string(), "--db"])
            .arg(scratch.path().join("temporal.db"))
            .stderr(Stdio::piped())
            .spawn()
            .inspect_err(|error| eprintln!("no whole job: `wikitok-cli` does not start: {error}"))
            .ok()?;
        // The rest is read as well, so that the pipe never fills.
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let is_ready = lines.any(|line| line.starts_with("workers for"));
        std::thread::spawn(move || lines.for_each(drop));
        let server = Self { child, address: format!("127.0.0.1:{port}"), _scratch: scratch };
        if !is_ready {
            eprintln!("no whole job: `wikitok-cli dev` ended");
        }
        is_ready.then_some(server)
    }

    /// A run with token ids only, into an output of its own. The clock is Temporal's, from start to end of the
    /// run; the processor's time is that of the server and the workers.
    pub(crate) fn run(&self, dump: &Dump) -> Sample {
        let output = tempfile::tempdir_in(data::scratch()).unwrap();
        let before = self.cpu();
        let ended = cli()
            .env("TEMPORAL_ADDRESS", &self.address)
            .args(["start", "--watch", "--no-embed", "--format", "json", "--dump", &dump.name, "--source"])
            .arg(&dump.source)
            .arg("--output")
            .arg(output.path().join("out"))
            .stderr(Stdio::null())
            .output()
            .unwrap();
        let cpu = self.cpu() - before;
        let report: Value = serde_json::from_slice(&ended.stdout).unwrap();
        assert_eq!(report["status"], "done", "{report:#}");
        let manifest = fs::read(output.path().join("out/manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        Sample {
            wall: report["seconds"].as_f64().unwrap(),
            cpu,
            bytes: manifest["counts"]["uncompressed_bytes"].as_u64().unwrap(),
            articles: report["articles"].as_u64().unwrap(),
        }
    }

    /// The most memory that the process with the workers, and the server, have had resident.
    pub(crate) fn largest_mb(&self) -> u64 {
        let largest = |id: &u32| {
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:").map(str::to_owned));
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0)
        };
        self.processes().iter().map(largest).sum::<u64>() / 1000
    }

    fn cpu(&self) -> f64 {
        self.processes().into_iter().map(clock::process_cpu).sum()
    }

    /// `dev` and the server that it started.
    fn processes(&self) -> Vec<u32> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten().flatten();
        let children =
            |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        let children = threads.map(children).collect::<Vec<_>>().join(" ");
        let children = children.split_whitespace().filter_map(|child| child.parse().ok());
        std::iter::once(self.child.id()).chain(children).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(id) = rustix::process::Pid::from_raw(self.child.id() as i32) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

fn cli() -> Command {
    let program: PathBuf = data::root().join("target/release/wikitok-cli");
    let mut command = Command::new(program);
    command.env("WIKITOK_HOME", data::root().join(".wikitok")).env("NO_COLOR", "1");
    command
}
