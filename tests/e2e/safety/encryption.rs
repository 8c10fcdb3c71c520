//! With a key, nothing but ids can be read in Temporal.

use serde_json::Value;

use crate::control::temporal;
use crate::harness::{cli, data, ended, files, json};
use crate::scene::{Dump, Scene, start};

const KEY: &str = "5f0c5a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7";

/// Every text in a history, with what is in base64 as it is meant.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            found.extend(decoded(text));
            found.push(text.clone());
        }
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(values) => values.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

fn decoded(text: &str) -> Option<String> {
    let digit = |byte: u8| {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        alphabet.iter().position(|&known| known == byte).map(|place| place as u32)
    };
    let mut bytes = Vec::new();
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        let digits: Option<Vec<u32>> = group.iter().map(|&byte| digit(byte)).collect();
        let bits =
            digits?.iter().enumerate().fold(0, |bits, (place, digit)| bits | digit << (18 - 6 * place));
        bytes.extend(bits.to_be_bytes()[1..group.len()].iter());
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[test]
fn base64_is_read() {
    assert_eq!(decoded("anNvbi9wbGFpbg==").unwrap(), "json/plain");
    assert_eq!(decoded("YmluYXJ5L2VuY3J5cHRlZA==").unwrap(), "binary/encrypted");
}

/// All that Temporal stores of a run and its shards.
fn stored(address: &str, id: &str) -> String {
    let query = format!("WorkflowId STARTS_WITH '{id}'");
    let (_, list) = temporal(address, &["workflow", "list", "--query", &query, "-o", "json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    let mut found = Vec::new();
    texts(&list, &mut found);
    for run in list.as_array().unwrap() {
        let id = run["execution"]["workflowId"].as_str().unwrap();
        for verb in ["show", "describe"] {
            let (_, said) = temporal(address, &["workflow", verb, "-w", id, "-o", "json"]);
            texts(&serde_json::from_str(&said).unwrap(), &mut found);
        }
    }
    assert!(found.iter().any(|text| text == "binary/encrypted"), "nothing is encrypted");
    found.join("\n")
}

#[test]
fn with_a_key_nothing_but_ids_can_be_read_in_temporal() {
    let scene = Scene::new(Dump::Tokens);
    let (output, source, address) =
        (scene.path("secret-place"), scene.path("hidden-source"), scene.server.address());
    // One shard is damaged, so that there is an error to be read, too.
    for (name, bytes) in files(&data("sample")) {
        let bytes = if name.to_string_lossy().ends_with("00001.json.bz2") {
            &bytes[..bytes.len() / 2]
        } else {
            &bytes
        };
        std::fs::create_dir_all(source.join(&name).parent().unwrap()).unwrap();
        std::fs::write(source.join(&name), bytes).unwrap();
    }
    let key = scene.path("key");
    std::fs::write(&key, format!("{KEY}\n")).unwrap();
    let known = [("WIKITOK_ENCRYPTION_KEY_FILE", key.to_str().unwrap())];
    let worker = scene.worker(&known);
    let mut command = cli(["start", "--watch", "--dump", "enwiki-20260920", "--no-embed", "--source"]);
    command.arg(&source).arg("--output").arg(&output).env("TEMPORAL_ADDRESS", &address).envs(known);
    let failed = json(&mut command);
    assert_eq!(
        (failed.code, &failed.json["shards_done"]),
        (2, &2.into()),
        "{:#} {}",
        failed.json,
        failed.stderr
    );
    let reason = failed.json["failed_shards"][0]["message"].as_str().unwrap().to_owned();
    assert!(!reason.is_empty() && !reason.contains("Encoded"), "who has the key reads the reason: {reason}");

    let id = failed.json["run_id"].as_str().unwrap();
    let stored = stored(&address, id);
    for secret in ["secret-place", "hidden-source", "cl100k_base", reason.as_str(), KEY] {
        assert!(!stored.contains(secret), "`{secret}` can be read: {}", around(&stored, secret));
    }
    let errors = json(cli(["errors", id]).env("TEMPORAL_ADDRESS", &address).envs(known));
    assert_eq!(errors.json["failed_shards"][0]["message"], reason, "{:#}", errors.json);
    let blind = json(cli(["status", id]).env("TEMPORAL_ADDRESS", &address));
    assert!(!format!("{} {}", blind.json, blind.stderr).contains(&reason), "who has no key reads nothing");
    let events = cli(["events", id, "--format", "json"])
        .env("TEMPORAL_ADDRESS", &address)
        .envs(known)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(events.stdout).unwrap(),
        std::fs::read_to_string(output.join("events.jsonl")).unwrap()
    );

    // And all the same, it gives what a run without a key gives.
    let whole = scene.path("whole");
    let mut command = start(&address, scene.dump, &whole, &[]);
    let ended = ended(&command.envs(known).output().unwrap());
    scene.assert_undisturbed(&ended, &whole);
    let blind =
        json(cli(["watch", ended.json["run_id"].as_str().unwrap()]).env("TEMPORAL_ADDRESS", &address));
    assert_eq!((blind.code, &blind.json), (2, &Value::Null), "{}", blind.stderr);
    assert!(blind.stderr.contains("set WIKITOK_ENCRYPTION_KEY"), "{}", blind.stderr);
    drop(worker);
}

fn around<'a>(text: &'a str, word: &str) -> &'a str {
    text.lines().find(|line| line.contains(word)).unwrap_or_default()
}
