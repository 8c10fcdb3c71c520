//! Processes that a test has for itself: a Temporal server with its database in a file, and workers.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
pub(crate) use wikitok_tests::free_port;

use crate::harness::{home, program, wait_until};

/// A Temporal server of the test's own, with its database in a file.
pub(crate) struct Server {
    child: Child,
    port: u16,
    database: std::path::PathBuf,
}

impl Server {
    pub(crate) fn start(database: &Path, port: u16) -> Self {
        // It takes ports for its own use, too, and at times one that was just taken; then it ends at once.
        (0..5).find_map(|_| Self::try_start(database, port)).expect("the server ended five times")
    }

    fn try_start(database: &Path, port: u16) -> Option<Self> {
        let child = Command::new(home().join("bin/temporal"))
            .args(["server", "start-dev", "--headless", "--ip", "127.0.0.1", "--log-level", "never"])
            .args(["--port", &port.to_string(), "--db-filename"])
            .arg(database)
            .args(["--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { child, port, database: database.to_owned() };
        wait_until("the server answers or ends", || server.has_ended() || server.serves());
        (!server.has_ended()).then_some(server)
    }

    /// Whether all its services answer. The first opens its port before the last has found its own.
    fn serves(&self) -> bool {
        std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
            && Command::new(home().join("bin/temporal"))
                .args(["task-queue", "describe", "--task-queue", "any", "--address", &self.address()])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .unwrap()
                .success()
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Kills it without a warning and starts it again with its database.
    pub(crate) fn kill_and_restart(mut self) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let (database, port) = (self.database.clone(), self.port);
        std::mem::forget(self);
        Self::start(&database, port)
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Stops it in the middle of whatever it does.
    pub(crate) fn freeze(&self) {
        signal(&self.child, Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        signal(&self.child, Signal::CONT);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A worker process with two slots.
pub(crate) struct Worker(Child);

impl Worker {
    /// One for all queues.
    pub(crate) fn start(address: &str) -> Self {
        Self::serving(address, &["workflow", "cpu", "gpu"])
    }

    pub(crate) fn serving(address: &str, queues: &[&str]) -> Self {
        Self::with(address, queues, &[])
    }

    /// One in a changed environment.
    pub(crate) fn with(address: &str, queues: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::logging(address, queues, environment, Stdio::null())
    }

    /// The same with its log somewhere.
    pub(crate) fn logging(
        address: &str,
        queues: &[&str],
        environment: &[(&str, &str)],
        log: impl Into<Stdio>,
    ) -> Self {
        let child = Command::new(program("wikitok-worker"))
            .args(["--slots", "2"])
            .args(queues.iter().flat_map(|queue| ["--queue", queue]))
            .env("TEMPORAL_ADDRESS", address)
            .env("WIKITOK_HOME", home())
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }

    /// How Temporal knows it.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Stops it in the middle of whatever it does.
    pub(crate) fn freeze(&self) {
        signal(&self.0, Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        signal(&self.0, Signal::CONT);
    }

    /// Asks it to end, as Kubernetes does.
    pub(crate) fn ask_to_end(&self) {
        signal(&self.0, Signal::TERM);
    }

    /// How it has ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    /// The most memory that was resident so far, in MB.
    pub(crate) fn peak_megabytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    pub(crate) fn terminate(mut self) -> i32 {
        self.ask_to_end();
        let code = self.0.wait().unwrap().code().unwrap_or(-1);
        std::mem::forget(self);
        code
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id() as i32).unwrap(), signal).unwrap();
}
