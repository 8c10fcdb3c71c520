//! What is committed already: believed only when it is whole, byte for byte.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use temporalio_sdk::activities::ActivityError;
#[cfg(feature = "cpu")]
use wikitok_publish::TokensManifest;
use wikitok_publish::{FileEntry, PublishError};
#[cfg(feature = "gpu")]
use wikitok_store::ErrorKind;
use wikitok_store::{Location, StoreError};
#[cfg(feature = "cpu")]
use wikitok_workflows::contract::Run;

#[cfg(feature = "gpu")]
use crate::failure::failed;
use crate::failure::failure;

/// How much of a file is held at once.
const PIECE_BYTES: u64 = 8 << 20;

/// A manifest, or none where there is none that can be read: a damaged one vouches for nothing, and what it was
/// for is made again.
pub(crate) fn readable<M>(manifest: Result<Option<M>, PublishError>) -> Result<Option<M>, ActivityError> {
    match manifest {
        Err(error @ PublishError::BadManifest { .. }) => {
            tracing::warn!("{error}: the part is made again");
            Ok(None)
        }
        other => other.map_err(failure),
    }
}

/// Whether a file is what its manifest says.
pub(crate) async fn is_intact(output: &Location, file: &FileEntry) -> Result<bool, ActivityError> {
    match digest(output, file).await {
        Ok(digest) => Ok(digest.is_some_and(|digest| digest == file.sha256)),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(failure(error)),
    }
}

/// The bytes of a file, if they are what its manifest says: what is made of others would be vouched for by a manifest
/// that names these.
#[cfg(feature = "gpu")]
pub(crate) async fn get(output: &Location, file: &FileEntry) -> Result<Bytes, ActivityError> {
    let bytes = output.get(&file.key).await.map_err(failure)?;
    let digest = hex::encode(off_the_async_threads(Sha256::new(), bytes.clone()).await.finalize());
    if digest == file.sha256 {
        return Ok(bytes);
    }
    let message =
        format!("`{}` is not what its manifest says: start the run again, and it is made anew", file.key);
    Err(failed(ErrorKind::BadInput, message))
}

/// The sha256 of a file, piece by piece: a part may be large. None when it has another size.
async fn digest(output: &Location, file: &FileEntry) -> Result<Option<String>, StoreError> {
    let found = output.head(&file.key).await?;
    if found.is_none_or(|found| found.bytes != file.bytes) {
        return Ok(None);
    }
    let mut hash = Sha256::new();
    let mut read = 0;
    while read < file.bytes {
        let piece = output.get_range(&file.key, read..file.bytes.min(read + PIECE_BYTES)).await?;
        if piece.is_empty() {
            return Ok(None);
        }
        read += piece.len() as u64;
        hash = off_the_async_threads(hash, piece).await;
    }
    Ok(Some(hex::encode(hash.finalize())))
}

async fn off_the_async_threads(hash: Sha256, piece: Bytes) -> Sha256 {
    let hashing = tokio::task::spawn_blocking(move || hash.chain_update(&piece));
    hashing.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
}

/// Whether the vectors that a run asks for are there, made of these very tokens.
#[cfg(feature = "cpu")]
pub(crate) async fn has_vectors(
    output: &Location,
    run: &Run,
    tokens: &TokensManifest,
) -> Result<bool, ActivityError> {
    let manifest = wikitok_publish::committed_vectors(output, &tokens.shard, tokens.part).await;
    let Some(manifest) = readable(manifest)? else { return Ok(false) };
    let same = Some(&manifest.fingerprint) == run.vectors_fingerprint.as_ref()
        && manifest.input.tokens_sha256 == tokens.tokens.as_ref().map(|file| file.sha256.clone());
    match &manifest.vectors {
        Some(file) if same => is_intact(output, file).await,
        _ => Ok(same),
    }
}
