//! Secrets appear in nothing that is printed.

use crate::harness::{cli, data};

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

/// A key that is no key is refused without being repeated.
#[test]
fn a_key_that_is_none_is_not_repeated() {
    let refused = cli(["list"]).env("WIKITOK_ENCRYPTION_KEY", "my-mistyped-key").output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2));
    assert!(said.contains("WIKITOK_ENCRYPTION_KEY") && said.contains("hint: "), "{said}");
    assert!(!said.contains("mistyped"), "{said}");
}
