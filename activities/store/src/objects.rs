//! What every `object_store` offers, in our terms.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{GetOptions, GetResult, GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::backend::{ByteStream, Failure, Listing};
use crate::progress::step;
use crate::{Entry, ObjectInfo};

/// Bytes of a stream that are asked for at a time.
const STRETCH_BYTES: u64 = 8 << 20;

pub(crate) async fn get(store: &dyn ObjectStore, key: &Path) -> Result<Bytes, Failure> {
    whole(store.get(key).await?).await
}

/// All that an answer brings. One over the network may be long in coming.
async fn whole(result: GetResult) -> Result<Bytes, Failure> {
    let GetResultPayload::Stream(_) = result.payload else { return Ok(result.bytes().await?) };
    let mut whole = Vec::with_capacity((result.range.end - result.range.start) as usize);
    let mut pieces = result.into_stream();
    while let Some(piece) = pieces.try_next().await? {
        whole.extend_from_slice(&piece);
        step();
    }
    Ok(whole.into())
}

pub(crate) async fn get_range(
    store: &dyn ObjectStore,
    key: &Path,
    range: Range<u64>,
) -> Result<Bytes, Failure> {
    let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
    whole(store.get_opts(key, options).await?).await
}

pub(crate) async fn head(store: &dyn ObjectStore, key: &Path) -> Result<ObjectInfo, Failure> {
    Ok(info(&store.head(key).await?))
}

pub(crate) async fn list(store: &dyn ObjectStore, prefix: Option<&Path>) -> Result<Vec<ObjectInfo>, Failure> {
    let found = store.list(prefix).inspect(|_| step());
    Ok(found.map(|meta| meta.map(|meta| info(&meta))).try_collect().await?)
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

/// Reads an object from `from` on in stretches, and sees of each that it is of the same object.
pub(crate) fn stream(store: Arc<dyn ObjectStore>, object: &ObjectInfo, from: u64) -> ByteStream {
    let object = object.clone();
    stream::try_unfold(from, move |from| {
        let (store, object) = (store.clone(), object.clone());
        async move {
            if from >= object.bytes {
                return Ok(None);
            }
            let to = (from + STRETCH_BYTES).min(object.bytes);
            Ok(Some((stretch(&*store, &object, from..to).await?, to)))
        }
    })
    .boxed()
}

async fn stretch(store: &dyn ObjectStore, object: &ObjectInfo, range: Range<u64>) -> Result<Bytes, Failure> {
    let wanted = range.end - range.start;
    let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
    let result =
        store.get_opts(&Path::parse(&object.key).map_err(object_store::Error::from)?, options).await?;
    let now = info(&result.meta);
    let same = now.bytes == object.bytes && tag(&now.version) == tag(&object.version);
    let bytes = whole(result).await?;
    if same && bytes.len() as u64 == wanted { Ok(bytes) } else { Err(Failure::Changed) }
}

/// Some servers put a tag in quotes in one answer and not in another.
pub(crate) fn tag(version: &str) -> &str {
    version.trim_matches('"')
}

fn info(meta: &ObjectMeta) -> ObjectInfo {
    let changed = || meta.last_modified.timestamp_micros().to_string();
    ObjectInfo {
        key: meta.location.to_string(),
        bytes: meta.size,
        version: meta.e_tag.clone().unwrap_or_else(changed),
    }
}
