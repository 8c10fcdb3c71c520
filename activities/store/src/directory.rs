//! A directory of this machine, or one that is mounted on it.

use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path;

use crate::backend::{Backend, ByteStream, Failure, Grow, Listing};
use crate::partial::Partial;
use crate::progress::Progress;
use crate::{Content, ObjectInfo, StoreError, local, objects};

/// Reads through `object_store`; writes in our own way, see [`local`].
pub(crate) struct Directory {
    root: Arc<FilePath>,
    files: Arc<LocalFileSystem>,
}

impl Directory {
    /// Opens a directory that exists, whose path is canonical.
    pub(crate) fn open(root: &FilePath) -> Result<Self, StoreError> {
        let files = LocalFileSystem::new_with_prefix(root).map_err(|error| StoreError::NotWritable {
            uri: root.to_string_lossy().into_owned(),
            source: error.into(),
        })?;
        Ok(Self { root: root.into(), files: Arc::new(files) })
    }

    /// Runs what waits for the disk off the async threads.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&FilePath) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let (root, progress) = (self.root.clone(), Progress::current());
        let done = tokio::task::spawn_blocking(move || progress.of_blocking(|| work(&root))).await;
        Ok(done.map_err(std::io::Error::other)??)
    }
}

#[async_trait]
impl Backend for Directory {
    async fn check_writable(&self) -> Result<(), Failure> {
        self.blocking(|root| tempfile::NamedTempFile::new_in(root).map(drop)).await
    }

    async fn get(&self, key: &Path) -> Result<Bytes, Failure> {
        objects::get(&*self.files, key).await
    }

    async fn get_range(&self, key: &Path, range: Range<u64>) -> Result<Bytes, Failure> {
        objects::get_range(&*self.files, key, range).await
    }

    async fn head(&self, key: &Path) -> Result<ObjectInfo, Failure> {
        objects::head(&*self.files, key).await
    }

    async fn put(&self, key: &Path, content: Content) -> Result<(), Failure> {
        let key = key.to_string();
        self.blocking(move |root| local::put(root, &key, &content)).await
    }

    async fn list(&self, prefix: Option<&Path>) -> Result<Vec<ObjectInfo>, Failure> {
        objects::list(&*self.files, prefix).await
    }

    async fn look(&self, prefix: Option<&Path>) -> Result<Listing, Failure> {
        objects::look(&*self.files, prefix).await
    }

    async fn delete(&self, key: &Path) -> Result<(), Failure> {
        objects::delete(&*self.files, key).await
    }

    async fn stream(&self, object: &ObjectInfo, from: u64) -> Result<ByteStream, Failure> {
        Ok(objects::stream(self.files.clone(), object, from))
    }

    async fn grow(&self, key: &Path, bytes: u64, origin: &str) -> Result<Box<dyn Grow>, Failure> {
        let (target, origin) = (self.root.join(key.as_ref()), origin.to_owned());
        let partial = self.blocking(move |_| Partial::open(target, bytes, origin)).await?;
        Ok(Box::new(partial))
    }

    async fn clear_unfinished(&self, untouched_for: Duration) -> Result<(), Failure> {
        self.blocking(move |root| local::clear_staging(root, untouched_for)).await
    }
}
