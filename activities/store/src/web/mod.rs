//! A directory on a web server: read-only, its listings made for people.

mod index;
mod visitor;

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::{Method, Response, StatusCode};

use crate::access::Access;
use crate::backend::{Backend, ByteStream, Failure, Grow, Listing};
use crate::progress::step;
use crate::{Content, Entry, ObjectInfo, StoreError};

use self::index::Index;
use self::visitor::{Answer, Visitor};

/// The public dump server. It allows three connections for each visitor, and asks for a contact.
const PUBLIC_HOST: &str = "dumps.wikimedia.org";
const PUBLIC_CONNECTIONS: usize = 2;
/// Connections to any other server.
const CONNECTIONS: usize = 16;
/// A listing of all wikis of a date has some hundred kilobytes.
const MAX_LISTING_BYTES: usize = 16 << 20;
/// What a path may hold unescaped (RFC 3986, unreserved).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Whether a URL is one of the public dump server.
pub(crate) fn is_public(url: &str) -> bool {
    let host = reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| host == PUBLIC_HOST)
}

/// A directory on a web server.
pub(crate) struct Web {
    url: String,
    visitor: Visitor,
}

impl Web {
    /// Opens it. Asks nothing of the network.
    pub(crate) fn open(url: &str, access: &Access) -> Result<Self, StoreError> {
        let public = is_public(url);
        if public && access.contact.is_none() {
            return Err(StoreError::ContactRequired { uri: url.to_owned() });
        }
        // An idle connection is one, too, and other processes of the run may have theirs.
        let (connections, idle) = if public { (PUBLIC_CONNECTIONS, 0) } else { (CONNECTIONS, CONNECTIONS) };
        Ok(Self { url: url.to_owned(), visitor: Visitor::new(connections, idle, access.contact.as_deref())? })
    }

    fn url(&self, key: &Path) -> String {
        let escaped = key.as_ref().split('/').map(|part| utf8_percent_encode(part, ESCAPED).to_string());
        escaped.fold(self.url.clone(), |url, part| url + "/" + &part)
    }

    async fn index(&self, prefix: Option<&Path>) -> Result<Index, Failure> {
        let url = prefix.map_or_else(|| self.url.clone(), |prefix| self.url(prefix)) + "/";
        match self.visitor.ask(Method::GET, &url, &HeaderMap::new()).await {
            Ok(answer) => {
                let html = body(answer, MAX_LISTING_BYTES).await?;
                Ok(index::parse(&String::from_utf8_lossy(&html)))
            }
            Err(Failure::NotFound) => Ok(Index::default()),
            Err(failure) => Err(failure),
        }
    }

    /// Keys of all files below a prefix.
    async fn crawl(&self, prefix: Option<&Path>) -> Result<Vec<Path>, Failure> {
        let mut files = Vec::new();
        let mut directories = vec![prefix.cloned()];
        while let Some(directory) = directories.pop() {
            let index = self.index(directory.as_ref()).await?;
            let below = directory.unwrap_or_default();
            directories.extend(index.directories.iter().map(|name| Some(below.clone().join(name.as_str()))));
            files.extend(index.files.iter().map(|(name, _)| below.clone().join(name.as_str())));
        }
        Ok(files)
    }

    /// The size that a listing gives, or else the server when it is asked.
    async fn entry(&self, below: &Path, name: String, bytes: Option<u64>) -> Result<Entry, Failure> {
        let bytes = match bytes {
            Some(bytes) => bytes,
            None => self.head(&below.clone().join(name.as_str())).await?.bytes,
        };
        Ok(Entry { name, bytes })
    }
}

#[async_trait]
impl Backend for Web {
    async fn check_writable(&self) -> Result<(), Failure> {
        Err(Failure::ReadOnly)
    }

    async fn get(&self, key: &Path) -> Result<Bytes, Failure> {
        let answer = self.visitor.ask(Method::GET, &self.url(key), &HeaderMap::new()).await?;
        body(answer, usize::MAX).await
    }

    async fn get_range(&self, key: &Path, range: Range<u64>) -> Result<Bytes, Failure> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let wanted = header(format!("bytes={}-{}", range.start, range.end - 1))?;
        let headers = HeaderMap::from_iter([(RANGE, wanted)]);
        let answer = self.visitor.ask(Method::GET, &self.url(key), &headers).await?;
        check_range(&answer.response, range.start)?;
        body(answer, (range.end - range.start) as usize).await
    }

    async fn head(&self, key: &Path) -> Result<ObjectInfo, Failure> {
        let answer = self.visitor.ask(Method::HEAD, &self.url(key), &HeaderMap::new()).await?;
        info(key, answer.response.headers())
    }

    async fn put(&self, _: &Path, _: Content) -> Result<(), Failure> {
        Err(Failure::ReadOnly)
    }

    async fn list(&self, prefix: Option<&Path>) -> Result<Vec<ObjectInfo>, Failure> {
        let keys = self.crawl(prefix).await?;
        let heads = stream::iter(keys).map(|key| async move { self.head(&key).await });
        heads.buffered(PUBLIC_CONNECTIONS).try_collect().await
    }

    async fn look(&self, prefix: Option<&Path>) -> Result<Listing, Failure> {
        let Index { directories, files } = self.index(prefix).await?;
        let below = prefix.cloned().unwrap_or_default();
        let below = &below;
        let entries =
            stream::iter(files).map(|(name, bytes)| async move { self.entry(below, name, bytes).await });
        Ok(Listing { directories, entries: entries.buffered(PUBLIC_CONNECTIONS).try_collect().await? })
    }

    async fn delete(&self, _: &Path) -> Result<(), Failure> {
        Err(Failure::ReadOnly)
    }

    /// Over one connection, which is held until the stream is dropped.
    async fn stream(&self, object: &ObjectInfo, from: u64) -> Result<ByteStream, Failure> {
        let key = Path::parse(&object.key).map_err(object_store::Error::from)?;
        let mut headers = HeaderMap::from_iter([(RANGE, header(format!("bytes={from}-"))?)]);
        if !object.version.is_empty() && !object.version.starts_with("W/") {
            headers.insert(IF_RANGE, header(object.version.clone())?);
        }
        let answer = self.visitor.ask(Method::GET, &self.url(&key), &headers).await?;
        // What `If-Range` does not hold for is sent whole, with another tag.
        let now = answer.response.headers();
        let tag = now.get(ETAG).or_else(|| now.get(LAST_MODIFIED)).and_then(|tag| tag.to_str().ok());
        if tag.unwrap_or_default() != object.version {
            return Err(Failure::Changed);
        }
        check_range(&answer.response, from)?;
        Ok(chunks(answer))
    }

    async fn grow(&self, _: &Path, _: u64, _: &str) -> Result<Box<dyn Grow>, Failure> {
        Err(Failure::ReadOnly)
    }

    async fn clear_unfinished(&self, _: Duration) -> Result<(), Failure> {
        Err(Failure::ReadOnly)
    }
}

fn header(value: String) -> Result<HeaderValue, Failure> {
    HeaderValue::try_from(value).map_err(|error| Failure::Refused(error.into()))
}

fn chunks(answer: Answer) -> ByteStream {
    stream::try_unfold(answer, |mut answer| async move {
        let chunk = answer.response.chunk().await.map_err(|error| Failure::Other(error.into()))?;
        Ok(chunk.map(|chunk| (chunk, answer)))
    })
    .boxed()
}

/// Reads an answer to its end. One that is longer than it may be is none to what was asked.
async fn body(answer: Answer, most: usize) -> Result<Bytes, Failure> {
    let Answer { mut response, .. } = answer;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Failure::Other(error.into()))? {
        body.extend_from_slice(&chunk);
        step();
        if body.len() > most {
            return Err(Failure::Refused(format!("the answer is longer than {most} bytes").into()));
        }
    }
    Ok(body.into())
}

/// Shows that an answer holds the bytes from `start` on, and not the whole object.
fn check_range(response: &Response, start: u64) -> Result<(), Failure> {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let begins = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
    if response.status() == StatusCode::PARTIAL_CONTENT && begins == Some(start) {
        return Ok(());
    }
    Err(Failure::Refused("the server does not answer Range requests".into()))
}

/// A server that says neither of what state nor of what time its file is, is believed by the file's size.
fn info(key: &Path, headers: &HeaderMap) -> Result<ObjectInfo, Failure> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let bytes = text(CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let bytes =
        bytes.ok_or_else(|| Failure::Refused("the server does not say how long the file is".into()))?;
    let version = text(ETAG).or_else(|| text(LAST_MODIFIED)).unwrap_or_default().to_owned();
    Ok(ObjectInfo { key: key.to_string(), bytes, version })
}
