//! Sealing sums up a shard's parts, once all are committed and fit together.

use std::collections::BTreeMap;

use wikitok_store::Location;

use crate::commit::{committed_tokens, committed_vectors, remove_texts, withdraw_unless_same};
use crate::manifests::to_bytes;
use crate::{
    Counts, FileEntry, Fingerprints, Format, PublishError, RangeIdentity, ShardInput, ShardManifest,
    TokensManifest, VectorsManifest, keys,
};

/// Writes the manifest of a shard of `parts` parts, once every part is there and they fit together.
///
/// The parts must be of one snapshot, file and configuration, and their ranges must follow one another
/// from the file's first byte to its last. With `expect_vectors`, each must have vectors made from the
/// very tokens that are there. Texts that were kept for the vectors alone are removed. Files are checked to be there with their size; [`crate::verify`] reads them.
pub async fn seal_shard(
    output: &Location,
    snapshot: &str,
    shard: &str,
    parts: u32,
    expect_vectors: bool,
) -> Result<ShardManifest, PublishError> {
    let manifest = sum_shard(output, snapshot, shard, parts, expect_vectors).await?;
    check_files(output, shard, &manifest.files).await?;
    let key = keys::shard_manifest(shard)?;
    withdraw_unless_same(output, &key, &manifest, None).await?;
    output.put(&key, to_bytes(&manifest)).await?;
    remove_texts(output, shard).await?;
    Ok(manifest)
}

/// What the manifest of a shard must be, from those of its parts.
pub(crate) async fn sum_shard(
    output: &Location,
    snapshot: &str,
    shard: &str,
    parts: u32,
    expect_vectors: bool,
) -> Result<ShardManifest, PublishError> {
    let mut sum: Option<Sum> = None;
    for part in 0..parts {
        let tokens = part_tokens(output, snapshot, shard, part).await?;
        let sum = sum.get_or_insert_with(|| Sum::start(&tokens));
        sum.add_tokens(&tokens)?;
        if expect_vectors {
            sum.add_vectors(&tokens, part_vectors(output, snapshot, shard, part).await?)?;
        }
    }
    let sum = sum.ok_or_else(|| missing(keys::tokens_manifest(shard, 0)))?;
    sum.finish(snapshot, shard, parts)
}

async fn part_tokens(
    output: &Location,
    snapshot: &str,
    shard: &str,
    part: u32,
) -> Result<TokensManifest, PublishError> {
    let manifest = committed_tokens(output, shard, part).await?;
    let manifest = manifest.ok_or_else(|| missing(keys::tokens_manifest(shard, part)))?;
    let place = (manifest.snapshot.as_str(), manifest.shard.as_str(), manifest.part);
    expect(place == (snapshot, shard, part), keys::tokens_manifest(shard, part), "is of another part")?;
    manifest.counts.check()?;
    Ok(manifest)
}

async fn part_vectors(
    output: &Location,
    snapshot: &str,
    shard: &str,
    part: u32,
) -> Result<VectorsManifest, PublishError> {
    let manifest = committed_vectors(output, shard, part).await?;
    let manifest = manifest.ok_or_else(|| missing(keys::vectors_manifest(shard, part)))?;
    let place = (manifest.snapshot.as_str(), manifest.shard.as_str(), manifest.part);
    expect(place == (snapshot, shard, part), keys::vectors_manifest(shard, part), "is of another part")?;
    Ok(manifest)
}

/// A shard's manifest in the making.
struct Sum {
    input: RangeIdentity,
    fingerprints: Fingerprints,
    versions: BTreeMap<String, String>,
    counts: Counts,
    files: Vec<FileEntry>,
    reached: u64,
    limit_reached: bool,
}

impl Sum {
    fn start(first: &TokensManifest) -> Self {
        Self {
            input: first.input.clone(),
            fingerprints: Fingerprints { tokens: first.fingerprint.clone(), vectors: None },
            versions: BTreeMap::new(),
            counts: Counts::default(),
            files: Vec::new(),
            reached: 0,
            limit_reached: false,
        }
    }

    fn add_tokens(&mut self, part: &TokensManifest) -> Result<(), PublishError> {
        let key = || keys::tokens_manifest(&part.shard, part.part);
        let (input, first) = (&part.input, &self.input);
        let same_file = input.file == first.file && input.file_bytes == first.file_bytes;
        expect(same_file, key(), "was made from another file than the parts before it")?;
        expect(input.from == self.reached, key(), "does not begin where the part before it ended")?;
        let same_fingerprint = part.fingerprint == self.fingerprints.tokens;
        expect(same_fingerprint, key(), "was made with another configuration than the parts before it")?;
        self.reached = input.to;
        self.limit_reached |= part.limit_reached;
        self.counts.add(&part.counts);
        self.versions.extend(part.versions.clone());
        self.files.extend(part.tokens.iter().chain(&part.quarantine).cloned());
        Ok(())
    }

    fn add_vectors(&mut self, tokens: &TokensManifest, part: VectorsManifest) -> Result<(), PublishError> {
        let key = || keys::vectors_manifest(&part.shard, part.part);
        let tokens_sha256 = tokens.tokens.as_ref().map(|file| &file.sha256);
        let same_tokens = part.input.tokens_sha256.as_ref() == tokens_sha256;
        expect(same_tokens, key(), "was made from other tokens than those that are there")?;
        let fingerprint = self.fingerprints.vectors.get_or_insert_with(|| part.fingerprint.clone());
        let same_fingerprint = *fingerprint == part.fingerprint;
        expect(same_fingerprint, key(), "was made with another configuration than the parts before it")?;
        self.counts.vectors += part.counts.vectors;
        self.versions.extend(part.versions);
        self.files.extend(part.vectors);
        Ok(())
    }

    fn finish(mut self, snapshot: &str, shard: &str, parts: u32) -> Result<ShardManifest, PublishError> {
        let whole = self.reached == self.input.file_bytes || self.limit_reached;
        expect(whole, keys::shard_manifest(shard), "would end before its file does")?;
        self.files.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(ShardManifest {
            format: Format::Shard,
            snapshot: snapshot.to_owned(),
            shard: shard.to_owned(),
            parts,
            fingerprints: self.fingerprints,
            versions: self.versions,
            input: ShardInput { file: self.input.file, bytes: self.input.file_bytes },
            counts: self.counts,
            files: self.files,
        })
    }
}

async fn check_files(output: &Location, shard: &str, files: &[FileEntry]) -> Result<(), PublishError> {
    let mut stored = BTreeMap::new();
    for folder in ["tokens", "vectors", "quarantine"] {
        let objects = output.list(&format!("{folder}/{shard}")).await?;
        stored.extend(objects.into_iter().map(|object| (object.key, object.bytes)));
    }
    for file in files.iter().filter(|file| stored.get(&file.key) != Some(&file.bytes)) {
        // The listing may be out of date: what it does not show is asked after by name.
        match output.head(&file.key).await? {
            None => return Err(PublishError::Missing { key: file.key.clone() }),
            Some(object) if object.bytes == file.bytes => {}
            Some(object) => return Err(wrong_size(file, object.bytes)),
        }
    }
    Ok(())
}

fn wrong_size(file: &FileEntry, bytes: u64) -> PublishError {
    let reason = format!("has {bytes} bytes instead of {}", file.bytes);
    PublishError::Inconsistent { key: file.key.clone(), reason }
}

/// `key` comes as it is made, so that callers can name it in one place; it is only used on failure.
fn expect(holds: bool, key: Result<String, PublishError>, reason: &str) -> Result<(), PublishError> {
    if holds {
        return Ok(());
    }
    Err(PublishError::Inconsistent { key: key?, reason: reason.to_owned() })
}

fn missing(key: Result<String, PublishError>) -> PublishError {
    key.map_or_else(|error| error, |key| PublishError::Missing { key })
}
