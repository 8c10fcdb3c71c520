//! Any process may die at any moment: the result is byte for byte that of an undisturbed run.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::{assert_same, assert_verified, cli, data, ended, wait_until};
use crate::processes::{Server, Worker, free_port};

const KILLS: usize = 5;

/// The command line of the run: many small parts, so that a kill finds several in flight.
fn start(address: &str, output: &Path) -> Command {
    let mut command = cli(["start", "--watch", "--dump", "enwiki-20260920", "--format", "json"]);
    command
        .args(["--range-bytes", "60000", "--heartbeat-timeout", "2", "--source"])
        .arg(data("sample"))
        .arg("--output")
        .arg(output)
        .env("TEMPORAL_ADDRESS", address)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Manifests committed so far: a clock that ticks with the work.
pub(crate) fn committed(output: &Path) -> usize {
    let manifests = walkdir::WalkDir::new(output.join("manifests")).into_iter();
    manifests.filter_map(Result::ok).filter(|entry| entry.path().is_file()).count()
}

/// A number that differs from run to run, so that the kills fall elsewhere each time. Printed, since a failure
/// may depend on it.
fn seed() -> u64 {
    let nanoseconds =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
    eprintln!("seed {nanoseconds}");
    u64::from(nanoseconds)
}

#[test]
fn the_death_of_workers_and_of_the_server_changes_no_byte() {
    let scratch = tempfile::tempdir().unwrap();
    let (undisturbed, disturbed) = (scratch.path().join("undisturbed"), scratch.path().join("disturbed"));
    let mut server = Server::start(&scratch.path().join("temporal.db"), free_port());
    let address = server.address();

    let mut worker = Worker::start(&address);
    let calm = ended(&start(&address, &undisturbed).output().unwrap());
    assert_eq!(calm.code, 0, "{:#} {}", calm.json, calm.stderr);

    let running = start(&address, &disturbed).spawn().unwrap();
    let mut random = seed();
    for kill in 0..KILLS {
        // Somewhere within the work on the next few manifests.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let target = committed(&disturbed) + 1 + (random >> 33) as usize % 4;
        wait_until("more is committed", || committed(&disturbed) >= target);
        std::thread::sleep(Duration::from_millis((random >> 40) % 150));
        assert!(!disturbed.join("_SUCCESS").exists(), "the run ended before kill {kill}");
        drop(worker);
        worker = Worker::start(&address);
    }
    let target = committed(&disturbed) + 1;
    wait_until("more is committed", || committed(&disturbed) >= target);
    assert!(!disturbed.join("_SUCCESS").exists(), "the run ended before the server was killed");
    server = server.kill_and_restart();

    let stormy = ended(&running.wait_with_output().unwrap());
    assert_eq!(stormy.code, 0, "{:#} {}", stormy.json, stormy.stderr);
    for total in ["articles", "filtered", "quarantined", "tokens", "vectors"] {
        assert_eq!(calm.json[total], stormy.json[total], "{total}");
    }
    assert_same(&undisturbed, &disturbed);
    assert_verified(&disturbed);
    assert_eq!(worker.terminate(), 0, "SIGTERM is an ordinary end");
    drop(server);
}

#[test]
fn a_cancelled_run_keeps_what_is_committed_and_goes_on_when_started_again() {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("out");
    let server = Server::start(&scratch.path().join("temporal.db"), free_port());
    let address = server.address();
    let worker = Worker::start(&address);

    let running = start(&address, &output).spawn().unwrap();
    wait_until("some is committed", || committed(&output) >= 5);
    let list = cli(["list", "--format", "json"]).env("TEMPORAL_ADDRESS", &address).output().unwrap();
    let id = ended(&list).json[0]["run_id"].as_str().unwrap().to_owned();
    let cancelled = cli(["cancel", &id]).env("TEMPORAL_ADDRESS", &address).output().unwrap();
    assert!(cancelled.status.success());
    let report = ended(&running.wait_with_output().unwrap());
    assert_eq!((report.code, &report.json["status"]), (2, &"cancelled".into()), "{}", report.stderr);

    let kept = committed(&output);
    assert!(kept >= 5);
    let report = ended(&start(&address, &output).output().unwrap());
    assert_eq!(
        (report.code, &report.json["articles"]),
        (0, &53.into()),
        "{:#} {}",
        report.json,
        report.stderr
    );
    assert_verified(&output);
    drop(worker);
}
