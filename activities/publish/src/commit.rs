//! Committing makes a part count: the data is stored, then the manifest that names it.
//!
//! A manifest that is about to become untrue is withdrawn before the data under it changes. Otherwise a
//! process that dies between the two would leave a manifest that vouches for bytes which are gone, and a
//! later run with the older configuration would believe it. So are those that stand on it: of the shard, of the run,
//! and `_SUCCESS`.

use bytes::Bytes;
use wikitok_store::{Location, StoreError};

use crate::manifests::{Manifest, from_bytes, to_bytes};
use crate::part::sha256;
use crate::{
    EncodedPart, FileEntry, PublishError, RunManifest, RunOwner, ShardManifest, TokensManifest,
    VectorsManifest, keys,
};

/// The bad records of a part: one JSON object a line.
#[derive(Clone, Debug, Default)]
pub struct QuarantinePart {
    /// The file.
    pub bytes: Bytes,
    /// Its lines.
    pub rows: u64,
}

/// All that is stored of a token part.
#[derive(Clone, Debug)]
pub struct TokenFiles {
    /// Its rows.
    pub tokens: EncodedPart,
    /// Its bad records.
    pub quarantine: QuarantinePart,
    /// The texts from which its vectors are made, when its tokens are kept without them.
    pub texts: Option<EncodedPart>,
    /// What the part after it needs, and its key.
    pub checkpoint: Option<(String, Bytes)>,
}

/// Says whose the output is about to be, before anything else is written.
///
/// Where it was another run's, that run's `_SUCCESS`, then its manifest, are withdrawn first: from here on
/// the output is no longer what they say. Its parts stay, and those that fit the new run are used again.
/// Returns the owner that was there.
pub async fn claim(output: &Location, owner: &RunOwner) -> Result<Option<RunOwner>, PublishError> {
    let before = read_owner(output).await?;
    if before.as_ref() == Some(owner) {
        return Ok(before);
    }
    withdraw_run(output).await?;
    output.put(keys::OWNER, to_bytes(owner)).await?;
    Ok(before)
}

/// Takes back that the output is whole, then what it was to consist of.
async fn withdraw_run(output: &Location) -> Result<(), PublishError> {
    output.delete(keys::SUCCESS).await?;
    Ok(output.delete(keys::RUN).await?)
}

/// Whose the output is; `None` when no run has claimed it.
pub async fn read_owner(output: &Location) -> Result<Option<RunOwner>, PublishError> {
    read(output, keys::OWNER).await
}

/// The run's manifest; `None` until it is published.
pub async fn read_run(output: &Location) -> Result<Option<RunManifest>, PublishError> {
    read(output, keys::RUN).await
}

/// Stores the files of a token part, side by side, then `manifest`, whose `tokens`, `quarantine` and `texts` are
/// filled in. No rows, no file.
///
/// Doing it again, with the same or other content, is safe at any point.
pub async fn commit_tokens(
    output: &Location,
    mut manifest: TokensManifest,
    files: &TokenFiles,
) -> Result<TokensManifest, PublishError> {
    let TokenFiles { tokens, quarantine, texts, checkpoint } = files;
    let (shard, number) = (manifest.shard.as_str(), manifest.part);
    let key = keys::tokens_manifest(shard, number)?;
    let bad = EncodedPart {
        content: quarantine.bytes.clone().into(),
        rows: quarantine.rows,
        sha256: sha256(&quarantine.bytes),
    };
    let tokens_entry = entry(tokens, keys::tokens(shard, number)?);
    let quarantine_entry = entry(&bad, keys::quarantine(shard, number)?);
    let texts_key = keys::texts(shard, number)?;
    manifest.texts = texts.as_ref().and_then(|texts| entry(texts, texts_key));
    manifest.tokens = tokens_entry;
    manifest.quarantine = quarantine_entry;
    manifest.counts.check()?;
    expect_rows(&key, "articles", manifest.counts.articles, tokens.rows)?;
    if let Some(texts) = texts {
        expect_rows(&key, "articles", manifest.counts.articles, texts.rows)?;
    }
    expect_rows(&key, "quarantined records", manifest.counts.quarantined_total(), bad.rows)?;
    withdraw_unless_same(output, &key, &manifest, Some(shard)).await?;
    tokio::try_join!(
        put_part(output, manifest.tokens.as_ref(), Some(tokens)),
        put_part(output, manifest.quarantine.as_ref(), Some(&bad)),
        put_part(output, manifest.texts.as_ref(), texts.as_ref()),
        put_checkpoint(output, checkpoint.as_ref()),
    )?;
    output.put(&key, to_bytes(&manifest)).await?;
    Ok(manifest)
}

/// Removes the texts of a shard whose vectors are made.
pub(crate) async fn remove_texts(output: &Location, shard: &str) -> Result<(), PublishError> {
    for object in output.list(&format!("texts/{shard}")).await? {
        if keys::is_ours(&object.key) {
            output.delete(&object.key).await?;
        }
    }
    Ok(())
}

/// Stores a vector part, then `manifest`, whose `vectors` is filled in.
///
/// Nothing is stored for a part without rows. Doing it again is safe at any point.
pub async fn commit_vectors(
    output: &Location,
    mut manifest: VectorsManifest,
    part: &EncodedPart,
) -> Result<VectorsManifest, PublishError> {
    let (shard, number) = (manifest.shard.as_str(), manifest.part);
    let key = keys::vectors_manifest(shard, number)?;
    let vectors_entry = entry(part, keys::vectors(shard, number)?);
    manifest.vectors = vectors_entry;
    expect_rows(&key, "vectors", manifest.counts.vectors, part.rows)?;
    withdraw_unless_same(output, &key, &manifest, Some(shard)).await?;
    put_part(output, manifest.vectors.as_ref(), Some(part)).await?;
    output.put(&key, to_bytes(&manifest)).await?;
    Ok(manifest)
}

/// The manifest of a part's tokens; `None` until they are committed.
pub async fn committed_tokens(
    output: &Location,
    shard: &str,
    part: u32,
) -> Result<Option<TokensManifest>, PublishError> {
    read(output, &keys::tokens_manifest(shard, part)?).await
}

/// The manifest of a part's vectors; `None` until they are committed.
pub async fn committed_vectors(
    output: &Location,
    shard: &str,
    part: u32,
) -> Result<Option<VectorsManifest>, PublishError> {
    read(output, &keys::vectors_manifest(shard, part)?).await
}

/// The manifest of a shard; `None` until it is sealed.
pub async fn committed_shard(output: &Location, shard: &str) -> Result<Option<ShardManifest>, PublishError> {
    read(output, &keys::shard_manifest(shard)?).await
}

/// Reads a manifest; `None` when it is not there.
pub(crate) async fn read<M: Manifest>(output: &Location, key: &str) -> Result<Option<M>, PublishError> {
    match output.get(key).await {
        Ok(bytes) => from_bytes(key, &bytes).map(Some),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Removes the manifest at `key` unless it already says what `manifest` does, and before it those that stand on it: of
/// the run, and of the shard, where it is of a part of one.
pub(crate) async fn withdraw_unless_same<M: Manifest>(
    output: &Location,
    key: &str,
    manifest: &M,
    part_of: Option<&str>,
) -> Result<(), PublishError> {
    match output.get(key).await {
        Ok(bytes) if bytes == to_bytes(manifest) => Ok(()),
        Ok(_) => {
            withdraw_run(output).await?;
            if let Some(shard) = part_of {
                output.delete(&keys::shard_manifest(shard)?).await?;
            }
            Ok(output.delete(key).await?)
        }
        Err(StoreError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn entry(part: &EncodedPart, key: String) -> Option<FileEntry> {
    (part.rows > 0).then(|| part.entry(key))
}

async fn put_part(
    output: &Location,
    entry: Option<&FileEntry>,
    part: Option<&EncodedPart>,
) -> Result<(), PublishError> {
    if let (Some(entry), Some(part)) = (entry, part) {
        output.put(&entry.key, part.content.clone()).await?;
    }
    Ok(())
}

async fn put_checkpoint(output: &Location, checkpoint: Option<&(String, Bytes)>) -> Result<(), PublishError> {
    if let Some((key, bytes)) = checkpoint {
        output.put(key, bytes.clone()).await?;
    }
    Ok(())
}

fn expect_rows(key: &str, what: &str, counted: u64, rows: u64) -> Result<(), PublishError> {
    if counted == rows {
        return Ok(());
    }
    let reason = format!("counts {counted} {what}, but the part has {rows} rows");
    Err(PublishError::Inconsistent { key: key.to_owned(), reason })
}
