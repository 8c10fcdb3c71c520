//! Keys are where things lie in an output: made from shard ids and part numbers alone, never from titles.
//!
//! A shard id comes from a file name at the source, which is someone else's: it is checked before it
//! becomes part of a key, so that no source can write outside its own folders.

use crate::PublishError;

/// The run's manifest.
pub const RUN: &str = "manifest.json";
/// Whose output this is.
pub const OWNER: &str = "run.json";
/// The empty object that says the output is whole.
pub const SUCCESS: &str = "_SUCCESS";
/// What happened in the run, one JSON object a line. Not part of what the manifests vouch for: it tells times.
pub const EVENTS: &str = "events.jsonl";
/// What the run was asked for and what came of it. Not part of what the manifests vouch for: it tells times.
pub const JOB_SUMMARY: &str = "job_summary.json";

/// Folders that hold one folder for each shard.
pub(crate) const FOLDERS: [&str; 5] = ["texts", "tokens", "vectors", "quarantine", "manifests"];

const LONGEST_SHARD_ID: usize = 128;

/// Checks that `shard` may be part of a key: letters, digits, `_`, `-` and `.`, not first a dot.
pub fn check_shard(shard: &str) -> Result<(), PublishError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let length_fits = (1..=LONGEST_SHARD_ID).contains(&shard.len());
    if length_fits && !shard.starts_with('.') && shard.bytes().all(allowed) {
        return Ok(());
    }
    Err(PublishError::BadShardId { shard: shard.to_owned() })
}

/// Where a part's tokens lie.
pub fn tokens(shard: &str, part: u32) -> Result<String, PublishError> {
    numbered("tokens", shard, part, "parquet")
}

/// Whether a part's tokens lie at `key`.
pub(crate) fn is_tokens(key: &str) -> bool {
    key.starts_with("tokens/")
}

/// Where a part's vectors lie.
pub fn vectors(shard: &str, part: u32) -> Result<String, PublishError> {
    numbered("vectors", shard, part, "parquet")
}

/// Where a part's texts lie until its vectors are made, when its tokens are kept without their text.
pub fn texts(shard: &str, part: u32) -> Result<String, PublishError> {
    numbered("texts", shard, part, "parquet")
}

/// Where a part's bad records lie.
pub fn quarantine(shard: &str, part: u32) -> Result<String, PublishError> {
    numbered("quarantine", shard, part, "jsonl")
}

/// Where the manifest of a part's tokens lies.
pub fn tokens_manifest(shard: &str, part: u32) -> Result<String, PublishError> {
    numbered("manifests", shard, part, "tokens.json")
}

/// Where the manifest of a part's vectors lies.
pub fn vectors_manifest(shard: &str, part: u32) -> Result<String, PublishError> {
    numbered("manifests", shard, part, "vectors.json")
}

/// Where a shard's manifest lies.
pub fn shard_manifest(shard: &str) -> Result<String, PublishError> {
    check_shard(shard)?;
    Ok(format!("manifests/{shard}/shard.json"))
}

fn numbered(folder: &str, shard: &str, part: u32, extension: &str) -> Result<String, PublishError> {
    check_shard(shard)?;
    Ok(format!("{folder}/{shard}/part-{part:05}.{extension}"))
}

/// The shard whose manifest lies at `key`, if one does.
pub(crate) fn shard_of_manifest(key: &str) -> Option<&str> {
    let shard = key.strip_prefix("manifests/")?.strip_suffix("/shard.json")?;
    check_shard(shard).ok().map(|()| shard)
}

/// The shard and the part whose vectors lie at `key`, if they do.
pub(crate) fn part_of_vectors(key: &str) -> Option<(&str, u32)> {
    let (shard, file) = key.strip_prefix("vectors/")?.split_once('/')?;
    let part = file.strip_prefix("part-")?.strip_suffix(".parquet")?.parse().ok()?;
    is_ours(key).then_some((shard, part))
}

/// Whether `key` is one that this module could have made.
pub(crate) fn is_ours(key: &str) -> bool {
    let mut steps = key.split('/');
    let (Some(folder), Some(shard), Some(file), None) =
        (steps.next(), steps.next(), steps.next(), steps.next())
    else {
        return false;
    };
    check_shard(shard).is_ok() && file_is_ours(folder, file)
}

fn file_is_ours(folder: &str, file: &str) -> bool {
    match folder {
        "texts" | "tokens" | "vectors" => is_numbered(file, ".parquet"),
        "quarantine" => is_numbered(file, ".jsonl"),
        "manifests" => {
            file == "shard.json" || is_numbered(file, ".tokens.json") || is_numbered(file, ".vectors.json")
        }
        _ => false,
    }
}

fn is_numbered(file: &str, extension: &str) -> bool {
    let digits = file.strip_prefix("part-").and_then(|rest| rest.strip_suffix(extension));
    let number = digits.and_then(|digits| digits.parse::<u32>().ok());
    number.is_some_and(|part| digits == Some(format!("{part:05}").as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_and_known_again() {
        let shard = "enwiki_content-20260920-00000";
        let keys = [
            tokens(shard, 0).unwrap(),
            vectors(shard, 7).unwrap(),
            quarantine(shard, 99_999).unwrap(),
            texts(shard, 3).unwrap(),
            tokens_manifest(shard, 100_000).unwrap(),
            vectors_manifest(shard, u32::MAX).unwrap(),
            shard_manifest(shard).unwrap(),
        ];
        assert_eq!(keys[0], "tokens/enwiki_content-20260920-00000/part-00000.parquet");
        assert!(keys.iter().all(|key| is_ours(key)));
        assert_eq!(shard_of_manifest(&keys[6]), Some(shard));
        assert_eq!(part_of_vectors(&keys[1]), Some((shard, 7)));
    }

    #[test]
    fn shard_ids_that_could_climb_are_refused() {
        for shard in ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "ä", "a\0", &"x".repeat(129)] {
            assert!(matches!(tokens(shard, 0), Err(PublishError::BadShardId { .. })), "{shard:?}");
        }
        assert!(tokens("a..b", 0).is_ok());
    }

    #[test]
    fn foreign_files_are_not_ours() {
        for key in [
            "tokens/s/part-1.parquet",
            "tokens/s/part-000001.parquet",
            "tokens/s/part-+0001.parquet",
            "tokens/s/part-00001.json",
            "tokens/part-00001.parquet",
            "tokens/s/t/part-00001.parquet",
            "manifests/s/notes.json",
            "other/s/part-00001.parquet",
            "manifest.json",
        ] {
            assert!(!is_ours(key), "{key}");
        }
    }
}
