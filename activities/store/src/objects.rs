//! What every `object_store` offers, in our terms.

use std::ops::Range;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::backend::{Failure, Listing};
use crate::{Entry, ObjectInfo};

pub(crate) async fn get(store: &dyn ObjectStore, key: &Path) -> Result<Bytes, Failure> {
    Ok(store.get(key).await?.bytes().await?)
}

pub(crate) async fn get_range(
    store: &dyn ObjectStore,
    key: &Path,
    range: Range<u64>,
) -> Result<Bytes, Failure> {
    Ok(store.get_range(key, range).await?)
}

pub(crate) async fn head(store: &dyn ObjectStore, key: &Path) -> Result<ObjectInfo, Failure> {
    Ok(info(&store.head(key).await?))
}

pub(crate) async fn list(store: &dyn ObjectStore, prefix: Option<&Path>) -> Result<Vec<ObjectInfo>, Failure> {
    Ok(store.list(prefix).map(|meta| meta.map(|meta| info(&meta))).try_collect().await?)
}

pub(crate) async fn look(store: &dyn ObjectStore, prefix: Option<&Path>) -> Result<Listing, Failure> {
    let listing = store.list_with_delimiter(prefix).await?;
    let name = |path: &Path| path.filename().map(str::to_owned);
    let entry = |meta: &ObjectMeta| Some(Entry { name: name(&meta.location)?, bytes: meta.size });
    Ok(Listing {
        directories: listing.common_prefixes.iter().filter_map(name).collect(),
        entries: listing.objects.iter().filter_map(entry).collect(),
    })
}

pub(crate) async fn delete(store: &dyn ObjectStore, key: &Path) -> Result<(), Failure> {
    Ok(store.delete(key).await?)
}

fn info(meta: &ObjectMeta) -> ObjectInfo {
    let changed = || meta.last_modified.timestamp_micros().to_string();
    ObjectInfo {
        key: meta.location.to_string(),
        bytes: meta.size,
        version: meta.e_tag.clone().unwrap_or_else(changed),
    }
}
