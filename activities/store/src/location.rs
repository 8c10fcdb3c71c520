//! [`Location`]: a directory or bucket prefix, and the few operations that wikitok needs of it.

use std::fmt;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::{StoreError, local};

/// A directory or bucket prefix. Cheap to clone.
#[derive(Clone)]
pub struct Location {
    uri: Arc<str>,
    root: Arc<FilePath>,
    store: Arc<dyn ObjectStore>,
}

/// What a listing or a `head` says of an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ObjectInfo {
    /// The key below the location.
    pub key: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Changes whenever the object does: the storage's entity tag, or else its time of change.
    pub version: String,
}

impl Location {
    /// Opens a directory that exists: a path, absolute or not, or a `file://` URI.
    pub fn open(uri: &str) -> Result<Self, StoreError> {
        let path = local_path(uri)?;
        if !path.is_dir() {
            return Err(StoreError::NoSuchDirectory { uri: uri.to_owned() });
        }
        let root = path.canonicalize().map_err(|source| not_writable(uri, source))?;
        let store = LocalFileSystem::new_with_prefix(&root)
            .map_err(|error| not_writable(uri, std::io::Error::other(error)))?;
        Ok(Self { uri: root.to_string_lossy().into(), root: root.into(), store: Arc::new(store) })
    }

    /// Opens a directory, making it when it is not there.
    pub async fn create(uri: &str) -> Result<Self, StoreError> {
        let path = local_path(uri)?;
        tokio::fs::create_dir_all(&path).await.map_err(|source| not_writable(uri, source))?;
        Self::open(uri)
    }

    /// The URI under which another process on another day finds the same place.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Shows that objects can be written here, by writing one and removing it.
    pub async fn check_writable(&self) -> Result<(), StoreError> {
        let root = self.root.clone();
        let probe = move || tempfile::NamedTempFile::new_in(&*root).map(drop);
        blocking(probe).await.map_err(|source| not_writable(&self.uri, source))
    }

    /// Reads a whole object.
    pub async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        let path = object_path(key)?;
        let result = self.store.get(&path).await.map_err(|error| self.failed("read", key, error))?;
        result.bytes().await.map_err(|error| self.failed("read", key, error))
    }

    /// Reads bytes `range` of an object; fewer where the object ends before.
    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let path = object_path(key)?;
        self.store.get_range(&path, range).await.map_err(|error| self.failed("read", key, error))
    }

    /// What is known of an object without reading it; `None` when it is not there.
    pub async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, StoreError> {
        match self.store.head(&object_path(key)?).await {
            Ok(meta) => Ok(Some(info(&meta))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", key, error)),
        }
    }

    /// Writes an object whole or not at all, replacing what is there.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        object_path(key)?;
        let (root, name) = (self.root.clone(), key.to_owned());
        blocking(move || local::put(&root, &name, &bytes))
            .await
            .map_err(|source| self.failed("write", key, source))
    }

    /// Every object below `prefix` (empty for all), sorted by key.
    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        let below = directory(prefix)?;
        let mut found: Vec<ObjectInfo> = self
            .store
            .list(below.as_ref())
            .map(|meta| meta.map(|meta| info(&meta)))
            .try_collect()
            .await
            .map_err(|error| self.failed("list", prefix, error))?;
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    /// Names of the directories directly below `prefix` (empty for the root), sorted.
    pub async fn list_directories(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let below = directory(prefix)?;
        let listing = self
            .store
            .list_with_delimiter(below.as_ref())
            .await
            .map_err(|error| self.failed("list", prefix, error))?;
        let mut names: Vec<String> =
            listing.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect();
        names.sort();
        Ok(names)
    }

    /// Removes an object; it is no error when it is not there.
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        match self.store.delete(&object_path(key)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("delete", key, error)),
        }
    }

    /// Removes what killed writers left half written. Only when no writer is at work.
    pub async fn clear_unfinished(&self) -> Result<(), StoreError> {
        let root = self.root.clone();
        blocking(move || local::clear_staging(&root))
            .await
            .map_err(|source| self.failed("delete", local::STAGING, source))
    }

    fn failed(
        &self,
        action: &'static str,
        key: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> StoreError {
        let source = source.into();
        let missing = source
            .downcast_ref::<object_store::Error>()
            .is_some_and(|error| matches!(error, object_store::Error::NotFound { .. }));
        let (uri, key) = (self.uri.to_string(), key.to_owned());
        if missing {
            return StoreError::NotFound { uri, key };
        }
        StoreError::Failed { action, uri, key, source }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Location").field(&self.uri).finish()
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}

fn not_writable(uri: &str, source: std::io::Error) -> StoreError {
    StoreError::NotWritable { uri: uri.to_owned(), source }
}

fn local_path(uri: &str) -> Result<PathBuf, StoreError> {
    if let Some(path) = uri.strip_prefix("file://") {
        return Ok(PathBuf::from(path));
    }
    if uri.is_empty() || uri.contains("://") {
        return Err(StoreError::UnknownScheme { uri: uri.to_owned() });
    }
    Ok(PathBuf::from(uri))
}

fn object_path(key: &str) -> Result<Path, StoreError> {
    let climbs = key.split('/').any(|part| part.is_empty() || part == "." || part == "..");
    if climbs {
        return Err(StoreError::BadKey { key: key.to_owned() });
    }
    Path::parse(key).map_err(|_| StoreError::BadKey { key: key.to_owned() })
}

fn directory(prefix: &str) -> Result<Option<Path>, StoreError> {
    match prefix.trim_end_matches('/') {
        "" => Ok(None),
        prefix => object_path(prefix).map(Some),
    }
}

fn info(meta: &ObjectMeta) -> ObjectInfo {
    let changed = || meta.last_modified.timestamp_micros().to_string();
    ObjectInfo {
        key: meta.location.to_string(),
        bytes: meta.size,
        version: meta.e_tag.clone().unwrap_or_else(changed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[tokio::test]
    async fn an_object_is_whole_or_absent() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let location = Location::open(&directory.path().to_string_lossy()).expect("it exists");
        assert!(location.head("a/b.txt").await.unwrap().is_none());
        location.put("a/b.txt", Bytes::from_static(b"one")).await.unwrap();
        let first = location.head("a/b.txt").await.unwrap().unwrap();
        location.put("a/b.txt", Bytes::from_static(b"three")).await.unwrap();
        let second = location.head("a/b.txt").await.unwrap().unwrap();
        assert_ne!(first.version, second.version);
        assert_eq!(location.get("a/b.txt").await.unwrap(), "three");
        assert_eq!(location.get_range("a/b.txt", 1..3).await.unwrap(), "hr");
        location.clear_unfinished().await.unwrap();
        let keys: Vec<String> = location.list("").await.unwrap().into_iter().map(|o| o.key).collect();
        assert_eq!(keys, ["a/b.txt"]);
        assert_eq!(location.list_directories("").await.unwrap(), ["a"]);
        location.delete("a/b.txt").await.unwrap();
        location.delete("a/b.txt").await.unwrap();
        assert!(matches!(location.get("a/b.txt").await, Err(StoreError::NotFound { .. })));
    }

    #[tokio::test]
    async fn keys_stay_inside() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let location = Location::open(&directory.path().to_string_lossy()).expect("it exists");
        for key in ["../x", "/x", "a//b", "a/../../x", "", "."] {
            let result = location.put(key, Bytes::new()).await;
            assert!(matches!(result, Err(StoreError::BadKey { .. })), "{key}");
        }
    }

    #[tokio::test]
    async fn places_that_are_not_there_say_so() {
        assert!(matches!(Location::open("/nowhere/at/all"), Err(StoreError::NoSuchDirectory { .. })));
        assert!(matches!(Location::open("s4://bucket"), Err(StoreError::UnknownScheme { .. })));
        let error = Location::create("/proc/nothing").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadConfiguration);
    }
}
