//! [`Location`]: a place where objects lie, and the few operations that wikitok needs of it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Component, Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use object_store::path::Path;

use crate::access::Access;
use crate::backend::{Backend, Failure, Grow};
use crate::bucket::Bucket;
use crate::directory::Directory;
use crate::failpoints::{Point, hides, reach};
use crate::progress::{step, stepping};
use crate::uri::Place;
use crate::web::Web;
use crate::{Content, StoreError, web};

/// A directory, a prefix in a bucket, or a directory on a web server. Cheap to clone.
#[derive(Clone)]
pub struct Location {
    uri: Arc<str>,
    backend: Arc<dyn Backend>,
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

/// An object as a listing of its directory shows it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Entry {
    /// The last part of its key.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
}

impl Location {
    /// Opens a place that exists, with the credentials of the environment: a path, absolute or not, a
    /// `file://` URI, a bucket or a prefix in one (`s3://`, `gs://`, `az://`), or a directory on a web server
    /// (`https://`, `http://`), which can only be read.
    pub fn open(uri: &str) -> Result<Self, StoreError> {
        Self::open_with(uri, Access::from_environment())
    }

    /// The same for whoever `access` says.
    pub fn open_with(uri: &str, access: Access) -> Result<Self, StoreError> {
        match Place::parse(uri)? {
            Place::Directory(path) => Self::directory(uri, &path),
            place => remote(&place, access),
        }
    }

    /// Opens a place, making the directory when it is one that is not there.
    pub async fn create(uri: &str) -> Result<Self, StoreError> {
        if let Place::Directory(path) = Place::parse(uri)? {
            tokio::fs::create_dir_all(&path).await.map_err(|source| not_writable(uri, source.into()))?;
        }
        Self::open(uri)
    }

    /// The URI that a place would have once it is [created](Self::create). Touches nothing.
    pub fn uri_of(uri: &str) -> Result<String, StoreError> {
        match Place::parse(uri)? {
            Place::Directory(path) => {
                let path = canonical(&path).map_err(|source| not_writable(uri, source.into()))?;
                Ok(path.to_string_lossy().into_owned())
            }
            place => Ok(place.uri()),
        }
    }

    fn directory(uri: &str, path: &FilePath) -> Result<Self, StoreError> {
        if !path.is_dir() {
            return Err(StoreError::NoSuchDirectory { uri: uri.to_owned() });
        }
        let root = path.canonicalize().map_err(|source| not_writable(uri, source.into()))?;
        Ok(Self { uri: root.to_string_lossy().into(), backend: Arc::new(Directory::open(&root)?) })
    }

    /// The URI under which another process on another day finds the same place.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Shows that objects can be written here, by writing one and removing it.
    pub async fn check_writable(&self) -> Result<(), StoreError> {
        match self.backend.check_writable().await {
            Ok(()) => Ok(()),
            Err(Failure::ReadOnly) => Err(StoreError::ReadOnly { uri: self.uri.to_string() }),
            Err(Failure::NotFound | Failure::Changed) => {
                Err(StoreError::NoSuchBucket { uri: self.uri.to_string() })
            }
            Err(
                Failure::Denied(source)
                | Failure::Refused(source)
                | Failure::Other(source)
                | Failure::Busy { cause: source, .. },
            ) => Err(not_writable(&self.uri, source)),
        }
    }

    /// Reads a whole object.
    pub async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        let path = object_path(key)?;
        stepping(self.backend.get(&path)).await.map_err(|failure| self.failed("read", key, failure))
    }

    /// Reads bytes `range` of an object; fewer where the object ends before.
    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let path = object_path(key)?;
        stepping(self.backend.get_range(&path, range))
            .await
            .map_err(|failure| self.failed("read", key, failure))
    }

    /// What is known of an object without reading it; `None` when it is not there.
    pub async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, StoreError> {
        match stepping(self.backend.head(&object_path(key)?)).await {
            Ok(info) => Ok(Some(info)),
            Err(Failure::NotFound) => Ok(None),
            Err(failure) => Err(self.failed("read", key, failure)),
        }
    }

    /// Writes an object whole or not at all, replacing what is there.
    pub async fn put(&self, key: &str, content: impl Into<Content>) -> Result<(), StoreError> {
        let path = object_path(key)?;
        let put = async {
            reach(Point::Before, key)?;
            stepping(self.backend.put(&path, content.into())).await?;
            Ok::<(), Failure>(reach(Point::After, key)?)
        };
        put.await.map_err(|failure| self.unwritten(key, failure))
    }

    /// Every object below `prefix` (empty for all), sorted by key.
    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        let below = directory(prefix)?;
        let listing = stepping(self.backend.list(below.as_ref())).await;
        let mut found = listing.map_err(|failure| self.failed("list", prefix, failure))?;
        found.retain(|object| !hides(&object.key));
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    /// The objects directly below `prefix` (empty for the root), sorted by name. Costs one look, where
    /// [`Self::list`] may have to ask after every object.
    pub async fn entries(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let below = directory(prefix)?;
        let listing = stepping(self.backend.look(below.as_ref())).await;
        let mut entries = listing.map_err(|failure| self.failed("list", prefix, failure))?.entries;
        entries.sort();
        Ok(entries)
    }

    /// Names of the directories directly below `prefix` (empty for the root), sorted.
    pub async fn list_directories(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let below = directory(prefix)?;
        let listing = stepping(self.backend.look(below.as_ref())).await;
        let mut names = listing.map_err(|failure| self.failed("list", prefix, failure))?.directories;
        names.sort();
        Ok(names)
    }

    /// Removes an object; it is no error when it is not there.
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        match stepping(self.backend.delete(&object_path(key)?)).await {
            Ok(()) | Err(Failure::NotFound) => Ok(()),
            Err(failure) => Err(self.failed("delete", key, failure)),
        }
    }

    /// Removes what killed writers left half written and have not touched for so long: longer than any write that may be
    /// under way takes; zero when no writer is at work.
    pub async fn clear_unfinished(&self, untouched_for: Duration) -> Result<(), StoreError> {
        let cleared = stepping(self.backend.clear_unfinished(untouched_for)).await;
        cleared.map_err(|failure| self.failed("delete", "unfinished writes", failure))
    }

    /// The bytes of an object from `from` on, in pieces and in their order. Ends with [`StoreError::Changed`]
    /// when the object is another one than `object` says, at the beginning or on the way.
    pub async fn stream(
        &self,
        object: &ObjectInfo,
        from: u64,
    ) -> Result<impl Stream<Item = Result<Bytes, StoreError>> + Send + Unpin + use<>, StoreError> {
        let stream = stepping(self.backend.stream(object, from)).await;
        let stream = stream.map_err(|failure| self.failed("read", &object.key, failure))?;
        let (location, key) = (self.clone(), object.key.clone());
        Ok(stream.inspect(|_| step()).map_err(move |failure| location.failed("read", &key, failure)))
    }

    /// An object that is made bit by bit, by one process after another where one dies, and is visible once it
    /// is whole. What was made of it before is kept where `origin`, which says what it is made of, is the same.
    pub async fn grow(&self, key: &str, bytes: u64, origin: &str) -> Result<Growing, StoreError> {
        let grown = stepping(self.backend.grow(&object_path(key)?, bytes, origin)).await;
        let grown = grown.map_err(|failure| self.unwritten(key, failure))?;
        Ok(Growing { location: self.clone(), key: key.to_owned(), grown })
    }

    /// What is not there while it is written has been taken away by someone: written again, it may stay.
    fn unwritten(&self, key: &str, failure: Failure) -> StoreError {
        let failure = match failure {
            Failure::NotFound => Failure::Other("it was removed while it was written".into()),
            other => other,
        };
        self.failed("write", key, failure)
    }

    fn failed(&self, action: &'static str, key: &str, failure: Failure) -> StoreError {
        let (uri, key) = (self.uri.to_string(), key.to_owned());
        match failure {
            Failure::NotFound => StoreError::NotFound { uri, key },
            Failure::Changed => StoreError::Changed { uri, key },
            Failure::ReadOnly => StoreError::ReadOnly { uri },
            Failure::Denied(source) => StoreError::Denied { action, uri, key, source },
            Failure::Refused(source) => StoreError::Refused { action, uri, key, source },
            Failure::Busy { retry_after, cause } => {
                StoreError::Busy { action, uri, key, retry_after, source: cause }
            }
            Failure::Other(source) => StoreError::Failed { action, uri, key, source },
        }
    }
}

/// An object in the making: see [`Location::grow`].
pub struct Growing {
    location: Location,
    key: String,
    grown: Box<dyn Grow>,
}

impl Growing {
    /// How many bytes it has.
    pub fn bytes(&self) -> u64 {
        self.grown.bytes()
    }

    /// Adds bytes.
    pub async fn append(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        stepping(self.grown.append(bytes))
            .await
            .map_err(|failure| self.location.unwritten(&self.key, failure))
    }

    /// Makes safe what was added, as far as the storage can: a bucket keeps whole pieces.
    pub async fn save(&mut self) -> Result<(), StoreError> {
        stepping(self.grown.save()).await.map_err(|failure| self.location.unwritten(&self.key, failure))
    }

    /// Makes it visible. Fails unless it has all of its bytes.
    pub async fn finish(self) -> Result<(), StoreError> {
        let Self { location, key, grown } = self;
        stepping(grown.finish()).await.map_err(|failure| location.unwritten(&key, failure))
    }

    /// Throws away what was made.
    pub async fn discard(self) -> Result<(), StoreError> {
        let Self { location, key, grown } = self;
        grown.discard().await.map_err(|failure| location.failed("delete", &key, failure))
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Location").field(&self.uri).finish()
    }
}

/// Opens a place on the network, once for each process: connections and tokens are worth keeping.
fn remote(place: &Place, access: Access) -> Result<Location, StoreError> {
    static OPENED: Mutex<BTreeMap<(String, Access), Location>> = Mutex::new(BTreeMap::new());
    let uri = place.uri();
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(location) = opened.get(&(uri.clone(), access.clone())) {
        return Ok(location.clone());
    }
    let backend: Arc<dyn Backend> = match place {
        Place::Bucket { provider, bucket, prefix } => {
            Arc::new(Bucket::open(*provider, bucket, prefix, &access)?)
        }
        Place::Web(url) => Arc::new(Web::open(url, &access)?),
        Place::Directory(_) => return Err(StoreError::UnknownScheme { uri }),
    };
    let location = Location { uri: uri.as_str().into(), backend };
    opened.insert((uri, access), location.clone());
    Ok(location)
}

/// Whether a URI leads to the public dump server, which has rules of its own.
pub fn is_public_server(uri: &str) -> bool {
    matches!(Place::parse(uri), Ok(Place::Web(url)) if web::is_public(&url))
}

/// The path without links and dots, of which a part may not be there yet.
fn canonical(path: &FilePath) -> std::io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let (there, mut canonical) = path
        .ancestors()
        .find_map(|there| Some((there, there.canonicalize().ok()?)))
        .ok_or(std::io::ErrorKind::NotFound)?;
    for component in path.strip_prefix(there).unwrap_or(&path).components() {
        match component {
            Component::ParentDir => drop(canonical.pop()),
            component => canonical.push(component),
        }
    }
    Ok(canonical)
}

fn not_writable(uri: &str, source: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    StoreError::NotWritable { uri: uri.to_owned(), source }
}

pub(crate) fn object_path(key: &str) -> Result<Path, StoreError> {
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

#[cfg(test)]
impl Location {
    /// A bucket that lies in memory.
    pub(crate) fn in_memory() -> Self {
        Self { uri: "memory".into(), backend: Arc::new(Bucket::in_memory()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

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

    #[tokio::test]
    async fn a_place_has_the_uri_before_it_is_made_that_it_has_after() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = directory.path().display();
        std::os::unix::fs::symlink(directory.path(), directory.path().join("link")).unwrap();
        for uri in [format!("{root}/a/b"), format!("file://{root}/c"), format!("{root}/link/./d/../e")] {
            let before = Location::uri_of(&uri).unwrap();
            assert_eq!(Location::create(&uri).await.unwrap().uri(), before, "{uri}");
        }
        assert_eq!(Location::uri_of("s3://bucket/a/").unwrap(), "s3://bucket/a");
    }

    #[tokio::test]
    async fn large_objects_go_in_pieces_and_come_back_whole() {
        let location = Location::in_memory();
        let bytes: Bytes = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
        location.put("large", bytes.clone()).await.unwrap();
        assert!(location.get("large").await.unwrap() == bytes);
    }
}
