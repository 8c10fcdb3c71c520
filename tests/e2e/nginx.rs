//! The dumps on a real web server, nginx, set up as the public dump server is: with its listings, its limit of
//! connections, its rates and its dislike of strangers.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{assert_verified, cli, json, shared, wait_until};
use crate::processes::free_port;

/// nginx with its state in a directory, until it is dropped.
struct Nginx {
    state: PathBuf,
    port: u16,
}

impl Nginx {
    /// `run` of the stand-in for the public server; none where nginx is not installed.
    fn start(peer: &Path, root: &Path, state: &Path) -> Option<Self> {
        if Command::new("nginx").arg("-v").output().is_err() {
            eprintln!("nginx is not installed: the test against it is left out");
            return None;
        }
        let port = free_port();
        let status =
            Command::new(peer.join("run")).arg(root).arg(port.to_string()).arg(state).status().unwrap();
        assert!(status.success(), "{}", std::fs::read_to_string(state.join("error.log")).unwrap_or_default());
        wait_until("nginx listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(Self { state: state.to_owned(), port })
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A line for each request.
    fn log(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.state.join("access.log")).unwrap();
        log.lines().map(str::to_owned).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = std::fs::read_to_string(self.state.join("nginx.pid")).unwrap_or_default();
        if let Some(pid) = pid.trim().parse().ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

#[test]
fn a_mirror_of_both_layouts_is_made_from_nginx_within_its_limits() {
    let (Some(peer), Some(dumps)) = (shared("peers/dumps-mirror"), shared("data/dev")) else { return };
    let scratch = tempfile::tempdir().unwrap();
    let Some(nginx) = Nginx::start(&peer, &dumps, &scratch.path().join("nginx")) else { return };
    let mirror = scratch.path().join("mirror");
    for dump in ["enwiki-20260920", "enwiki-20251229"] {
        let output = scratch.path().join(dump);
        let mut command =
            cli(["start", "--local", "--no-embed", "--dump", dump, "--contact", "me@example.org"]);
        command.args(["--source", &nginx.url(), "--range-mb", "1", "--mirror"]).arg(&mirror);
        let ended = json(command.arg("--output").arg(&output));
        assert_eq!(ended.code, 0, "{:#} {}", ended.json, ended.stderr);
        assert_eq!(
            (&ended.json["articles"], &ended.json["tokens"]),
            (&2_579.into(), &2_142_271.into()),
            "{:#}",
            ended.json
        );
        assert_verified(&output);
    }
    let log = nginx.log();
    assert!(log.iter().all(|request| request.contains("(me@example.org)")), "{log:#?}");
    // A fourth connection would have been turned away.
    let turned_away = |request: &&String| request.contains("\" 503 ");
    assert_eq!(log.iter().find(turned_away), None);
    let shards = log.iter().filter(|request| request.contains("\"GET ") && request.contains("\" 206 "));
    assert_eq!(shards.count(), 5, "each shard is fetched once, by one request: {log:#?}");
}
