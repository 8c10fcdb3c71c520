//! Secrets appear in nothing that is printed.

use wikitok_tests::S3Server;

use crate::harness::{cli, data};
use crate::processes::{Server, Worker, free_port};
use crate::sources::download;

/// Variables with secrets, each told from the others.
const SECRETS: [(&str, &str); 5] = [
    ("AWS_ACCESS_KEY_ID", "secret-aws-id"),
    ("AWS_SECRET_ACCESS_KEY", "secret-aws-key"),
    ("AWS_SESSION_TOKEN", "secret-aws-token"),
    ("TEMPORAL_API_KEY", "secret-api-key"),
    ("WIKITOK_ENCRYPTION_KEY", "5ec7e7a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d"),
];

#[test]
fn secrets_are_in_no_output_of_any_command() {
    let scratch = tempfile::tempdir().unwrap();
    let (source, output) = (data("sample"), scratch.path().join("out"));
    let (source, output) = (source.to_str().unwrap(), output.to_str().unwrap());
    let commands: [&[&str]; 6] = [
        &["doctor", "--source", source, "--output", "s3://bucket/out"],
        &["start", "--dump", "enwiki-20260920", "--source", source, "--output", output],
        &["start", "--dump", "enwiki-20260920", "--source", "s3://bucket/dumps", "--output", output],
        &["status", "wikitok/none"],
        &["list"],
        &["verify", "s3://bucket/out"],
    ];
    for arguments in commands {
        for format in ["text", "json"] {
            let mut command = cli(arguments);
            command.args(["--format", format]).envs(SECRETS).env("WIKITOK_LOG", "debug,wikitok=trace");
            // Nothing answers at either, so that there are errors to tell.
            command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1").env("AWS_ALLOW_HTTP", "true");
            let ended = command.env("TEMPORAL_ADDRESS", "127.0.0.1:1").output().unwrap();
            let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
            assert_eq!(ended.status.code(), Some(2), "{arguments:?}: {said}");
            for (name, secret) in SECRETS {
                assert!(!said.contains(secret), "`{name}` in {arguments:?}: {said}");
            }
        }
    }
}

/// A whole run into a bucket, told in all that there is to tell.
#[test]
fn secrets_are_in_no_record_and_no_log_of_a_run() {
    let scratch = tempfile::tempdir().unwrap();
    let s3 = S3Server::start(&scratch.path().join("s3"));
    let database = scratch.path().join("temporal.db");
    let server = Server::start(&database, free_port());
    let secrets =
        SECRETS.into_iter().filter(|(name, _)| !name.starts_with("AWS_") && *name != "TEMPORAL_API_KEY");
    let others = [("HF_TOKEN", "secret-hub-token"), ("AZURE_STORAGE_ACCOUNT_KEY", "secret-azure-key")];
    let secrets: Vec<_> = secrets.chain(others).collect();
    let log = scratch.path().join("worker.log");
    let mut environment = s3.environment();
    environment.extend(secrets.iter().map(|&(name, secret)| (name.to_owned(), secret.to_owned())));
    environment.push(("WIKITOK_LOG".to_owned(), "trace".to_owned()));
    let worker = {
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let log = std::fs::File::create(&log).unwrap();
        Worker::logging(&server.address(), &["workflow", "cpu"], &environment, log)
    };
    let mut command = cli(["start", "--watch", "--no-embed", "--dump", "enwiki-20260920", "--source"]);
    command.arg(data("sample")).args(["--output", "s3://bucket/out"]);
    command.env("TEMPORAL_ADDRESS", server.address()).envs(environment.iter().cloned());
    let ended = command.output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(worker.terminate(), 0);
    drop(server);

    let copy = scratch.path().join("copy");
    download(&s3, "s3://bucket/out", &copy);
    let record = |name: &str| std::fs::read(copy.join(name)).unwrap();
    let history = std::fs::read(&database).unwrap();
    let told = [
        ("the command", [ended.stdout, ended.stderr].concat()),
        ("the log", std::fs::read(&log).unwrap()),
        ("events.jsonl", record("events.jsonl")),
        ("job_summary.json", record("job_summary.json")),
        ("manifest.json", record("manifest.json")),
        ("the server's database", history),
    ];
    let known = environment
        .iter()
        .filter(|(name, _)| name.contains("KEY") && !name.ends_with("ID") || name == "HF_TOKEN");
    for (name, secret) in known {
        for (place, bytes) in &told {
            assert!(!bytes.is_empty(), "{place} says nothing");
            let is_there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_there, "`{name}` is in {place}");
        }
    }
}

/// A key that is no key is refused without being repeated.
#[test]
fn a_key_that_is_none_is_not_repeated() {
    let refused = cli(["list"]).env("WIKITOK_ENCRYPTION_KEY", "my-mistyped-key").output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2));
    assert!(said.contains("WIKITOK_ENCRYPTION_KEY") && said.contains("hint: "), "{said}");
    assert!(!said.contains("mistyped"), "{said}");
}
