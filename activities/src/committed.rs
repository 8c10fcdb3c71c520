//! What is committed already: believed only when it is whole, byte for byte.

use sha2::{Digest, Sha256};
use temporalio_sdk::activities::ActivityError;
#[cfg(feature = "cpu")]
use wikitok_publish::TokensManifest;
use wikitok_publish::{FileEntry, PublishError, hexadecimal};
use wikitok_store::{Location, StoreError};
#[cfg(feature = "cpu")]
use wikitok_workflows::contract::Run;

use crate::failure::failure;

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
    match output.get(&file.key).await {
        Ok(bytes) if bytes.len() as u64 == file.bytes => {
            let digest = tokio::task::spawn_blocking(move || hexadecimal(&Sha256::digest(&bytes))).await;
            Ok(digest.is_ok_and(|digest| digest == file.sha256))
        }
        Ok(_) | Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(failure(error)),
    }
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
