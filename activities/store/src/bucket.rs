//! A prefix in a bucket of S3 or a server like it, of Google Cloud Storage, or of Azure Blob Storage.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig, WriteMultipart,
};

use crate::access::Access;
use crate::backend::{Backend, ByteStream, Failure, Grow, Listing};
use crate::pieces::Pieces;
use crate::progress::{Progress, step};
use crate::uri::Provider;
use crate::{Content, ObjectInfo, StoreError, objects, tls};

/// Larger objects are uploaded in pieces of this size, so that a lost connection costs little.
const PIECE_BYTES: usize = 8 << 20;
/// Pieces of one object in flight. They share the way up, and each must be there before [`READ_TIMEOUT`].
const PIECES_IN_FLIGHT: usize = 2;
/// At the root: some servers keep the folder of an object that is gone.
const PROBE: &str = "_probe";

/// Silence in one try of one request, the sending of its body included: below the default heartbeat timeout of 30 s,
/// since what takes longer is Temporal's to try again.
const READ_TIMEOUT: Duration = Duration::from_secs(25);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: 6,
        retry_timeout: Duration::from_secs(10),
    }
}

fn client() -> ClientOptions {
    ClientOptions::new()
        .with_timeout_disabled()
        .with_read_timeout(READ_TIMEOUT)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_user_agent(tls::PROGRAM)
}

/// A prefix in a bucket.
#[derive(Clone)]
pub(crate) struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// The same bucket, and whole keys of it: what knows of uploads knows of no prefix.
    whole: Whole,
    prefix: Path,
}

/// A bucket, as what reads and writes objects, and as what keeps uploads.
#[derive(Clone)]
struct Whole {
    store: Arc<dyn ObjectStore>,
    uploads: Arc<dyn MultipartStore>,
}

impl Whole {
    fn new<T: ObjectStore + MultipartStore>(bucket: T) -> Self {
        let bucket = Arc::new(bucket);
        Self { store: bucket.clone(), uploads: bucket }
    }
}

impl Bucket {
    /// Opens it, with the credentials that the environment gives. Asks nothing of the network.
    pub(crate) fn open(
        provider: Provider,
        bucket: &str,
        prefix: &str,
        access: &Access,
    ) -> Result<Self, StoreError> {
        tls::install();
        let opened = match provider {
            Provider::S3 => s3(bucket, access),
            Provider::Google => google(bucket, access),
            Provider::Azure => azure(bucket, access),
        };
        let whole = opened.map_err(|error| StoreError::NotConfigured {
            uri: format!("{}://{bucket}", provider.scheme()),
            source: error.into(),
        })?;
        Ok(Self::below(whole, prefix))
    }

    fn below(whole: Whole, prefix: &str) -> Self {
        let store: Arc<dyn ObjectStore> = match prefix {
            "" => whole.store.clone(),
            prefix => Arc::new(PrefixStore::new(whole.store.clone(), prefix)),
        };
        Self { store, whole, prefix: Path::from(prefix) }
    }

    async fn put_pieces(&self, key: &Path, content: Content) -> Result<(), Failure> {
        let upload = self.store.put_multipart(key).await?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PIECE_BYTES);
        if let Err(failure) = send_pieces(&mut writer, &content).await {
            // What could not be uploaded is the failure to tell, not that it could not be cleared away.
            let _ = writer.abort().await;
            return Err(failure);
        }
        writer.finish().await?;
        Ok(())
    }
}

/// Sends all that is to be stored, and waits until it is there.
async fn send_pieces(writer: &mut WriteMultipart, content: &Content) -> Result<(), Failure> {
    let mut sent = 0;
    while sent < content.len() {
        writer.wait_for_capacity(PIECES_IN_FLIGHT).await?;
        let piece = read(content, sent).await?;
        sent += piece.len() as u64;
        writer.put(piece);
        step();
    }
    for left in (1..=PIECES_IN_FLIGHT).rev() {
        writer.wait_for_capacity(left).await?;
        step();
    }
    Ok(())
}

/// The next piece of what is to be stored.
async fn read(content: &Content, from: u64) -> Result<Bytes, Failure> {
    let content = content.clone();
    let piece = tokio::task::spawn_blocking(move || content.read(from, PIECE_BYTES)).await;
    Ok(piece.map_err(std::io::Error::other)??)
}

fn unquoted(info: ObjectInfo) -> ObjectInfo {
    ObjectInfo { version: objects::tag(&info.version).to_owned(), ..info }
}

type Opened = Result<Whole, object_store::Error>;

fn s3(bucket: &str, access: &Access) -> Opened {
    let mut builder = AmazonS3Builder::new().with_retry(retry()).with_client_options(client());
    for (name, value) in access.variables("AWS_") {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    Ok(Whole::new(builder.with_bucket_name(bucket).build()?))
}

fn google(bucket: &str, access: &Access) -> Opened {
    let mut builder = GoogleCloudStorageBuilder::new().with_retry(retry()).with_client_options(client());
    for (name, value) in access.variables("GOOGLE_") {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    Ok(Whole::new(builder.with_bucket_name(bucket).build()?))
}

fn azure(container: &str, access: &Access) -> Opened {
    let mut builder = MicrosoftAzureBuilder::new().with_retry(retry()).with_client_options(client());
    for (name, value) in access.variables("AZURE_") {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    Ok(Whole::new(builder.with_container_name(container).build()?))
}

#[async_trait]
impl Backend for Bucket {
    async fn check_writable(&self) -> Result<(), Failure> {
        let probe = Path::from(PROBE);
        self.store.put(&probe, PutPayload::default()).await?;
        objects::delete(&self.store, &probe).await
    }

    async fn get(&self, key: &Path) -> Result<Bytes, Failure> {
        objects::get(&self.store, key).await
    }

    async fn get_range(&self, key: &Path, range: Range<u64>) -> Result<Bytes, Failure> {
        objects::get_range(&self.store, key, range).await
    }

    async fn head(&self, key: &Path) -> Result<ObjectInfo, Failure> {
        objects::head(&self.store, key).await.map(unquoted)
    }

    /// An upload that nobody waits for any more is still finished or taken back: cut off, its pieces would
    /// stay, unseen and paid for.
    async fn put(&self, key: &Path, content: Content) -> Result<(), Failure> {
        if content.len() <= PIECE_BYTES as u64 {
            let bytes = read(&content, 0).await?;
            self.store.put(key, bytes.into()).await?;
            return Ok(());
        }
        let (bucket, key) = (self.clone(), key.clone());
        let progress = Progress::current();
        let uploading = tokio::spawn(async move { progress.of(bucket.put_pieces(&key, content)).await });
        uploading.await.map_err(|panic| Failure::Other(panic.into()))?
    }

    async fn list(&self, prefix: Option<&Path>) -> Result<Vec<ObjectInfo>, Failure> {
        let found = objects::list(&self.store, prefix).await?;
        Ok(found.into_iter().map(unquoted).collect())
    }

    async fn look(&self, prefix: Option<&Path>) -> Result<Listing, Failure> {
        objects::look(&self.store, prefix).await
    }

    async fn delete(&self, key: &Path) -> Result<(), Failure> {
        match objects::delete(&self.store, key).await {
            Err(Failure::NotFound) => Ok(()),
            other => other,
        }
    }

    async fn stream(&self, object: &ObjectInfo, from: u64) -> Result<ByteStream, Failure> {
        Ok(objects::stream(self.store.clone(), object, from))
    }

    async fn grow(&self, key: &Path, bytes: u64, origin: &str) -> Result<Box<dyn Grow>, Failure> {
        let target: Path = self.prefix.parts().chain(key.parts()).collect();
        let Whole { store, uploads } = self.whole.clone();
        Ok(Box::new(Pieces::open(store, uploads, target, bytes, origin).await?))
    }

    /// Nothing of a killed upload can be seen; the pieces of one are removed by a rule of the bucket.
    async fn clear_unfinished(&self, _: Duration) -> Result<(), Failure> {
        Ok(())
    }
}

#[cfg(test)]
impl Bucket {
    /// One that lies in memory.
    pub(crate) fn in_memory() -> Self {
        Self::below(Whole::new(object_store::memory::InMemory::new()), "some/prefix")
    }
}
