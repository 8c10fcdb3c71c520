//! Any bytes are a manifest or are refused, and what is one says the same once it is written again.

use serde::Serialize;
use serde::de::DeserializeOwned;
use wikitok_publish::{RunManifest, ShardManifest, TokensManifest, VectorsManifest};

/// The bytes are a manifest of any kind.
pub(crate) fn check(data: &[u8]) {
    survives::<TokensManifest>(data);
    survives::<VectorsManifest>(data);
    survives::<ShardManifest>(data);
    survives::<RunManifest>(data);
}

fn survives<M: Serialize + DeserializeOwned>(data: &[u8]) {
    let Ok(manifest) = serde_json::from_slice::<M>(data) else { return };
    let written = serde_json::to_vec(&manifest).expect("a manifest can be written");
    let again: M = serde_json::from_slice(&written).expect("what is written can be read");
    assert_eq!(serde_json::to_vec(&again).expect("a manifest can be written"), written);
}
