//! A backend does for one kind of storage what a [`crate::Location`] offers for all.

use std::error::Error;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::path::Path;

use crate::{Content, Entry, ObjectInfo};

/// What a backend can do. Keys are below the location's root, and have been checked to stay there.
#[async_trait]
pub(crate) trait Backend: Send + Sync {
    async fn check_writable(&self) -> Result<(), Failure>;
    async fn get(&self, key: &Path) -> Result<Bytes, Failure>;
    async fn get_range(&self, key: &Path, range: Range<u64>) -> Result<Bytes, Failure>;
    async fn head(&self, key: &Path) -> Result<ObjectInfo, Failure>;
    async fn put(&self, key: &Path, content: Content) -> Result<(), Failure>;
    /// Every object below a prefix, at any depth, in any order. Nothing where there is no such prefix.
    async fn list(&self, prefix: Option<&Path>) -> Result<Vec<ObjectInfo>, Failure>;
    /// What lies directly below a prefix, in any order. Nothing where there is no such prefix.
    async fn look(&self, prefix: Option<&Path>) -> Result<Listing, Failure>;
    async fn delete(&self, key: &Path) -> Result<(), Failure>;
    /// The bytes of `object` from `from` on, for as long as it is the object that is there.
    async fn stream(&self, object: &ObjectInfo, from: u64) -> Result<ByteStream, Failure>;
    /// Goes on with an object of `bytes` bytes that grows under `key`, if it grows from the same `origin`; else
    /// begins it.
    async fn grow(&self, key: &Path, bytes: u64, origin: &str) -> Result<Box<dyn Grow>, Failure>;
    async fn clear_unfinished(&self, untouched_for: Duration) -> Result<(), Failure>;
}

/// Pieces of an object in their order.
pub(crate) type ByteStream = BoxStream<'static, Result<Bytes, Failure>>;

/// An object in the making, which outlives who makes it.
#[async_trait]
pub(crate) trait Grow: Send + Sync {
    /// How many bytes are safe.
    fn bytes(&self) -> u64;
    async fn append(&mut self, bytes: Bytes) -> Result<(), Failure>;
    /// Makes safe what was appended, as far as this can be done with less than all.
    async fn save(&mut self) -> Result<(), Failure>;
    /// Makes the object visible, whole.
    async fn finish(self: Box<Self>) -> Result<(), Failure>;
    async fn discard(self: Box<Self>) -> Result<(), Failure>;
}

/// What lies directly below a prefix.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) directories: Vec<String>,
    pub(crate) entries: Vec<Entry>,
}

pub(crate) type Cause = Box<dyn Error + Send + Sync>;

/// Why a backend could not do what it was asked. The location adds what and where.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is no such object.
    NotFound,
    /// Who asked may not do this, or is not known.
    Denied(Cause),
    /// It is another object than it was.
    Changed,
    /// Nothing can be written to this kind of storage.
    ReadOnly,
    /// The server asks to be left alone for a while.
    Busy { retry_after: Duration, cause: Cause },
    /// The request can never succeed as it is.
    Refused(Cause),
    /// Anything else.
    Other(Cause),
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error;
        match error {
            Error::NotFound { .. } => Self::NotFound,
            Error::Precondition { .. } | Error::NotModified { .. } => Self::Changed,
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => Self::Denied(error.into()),
            Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::UnknownConfigurationKey { .. } => Self::Refused(error.into()),
            Error::Generic { .. } if is_refusal(&error.to_string()) => Self::Refused(error.into()),
            _ => Self::Other(error.into()),
        }
    }
}

/// `object_store` keeps the status of a response to itself, and says it only in words. Those of the 400s that
/// have no variant of their own come from a wrong region, endpoint or bucket name, and stay as they are.
fn is_refusal(message: &str) -> bool {
    let status = message.split_once("non-2xx status code: ").map(|(_, status)| status);
    let waits = |status: &str| status.starts_with("408") || status.starts_with("429");
    message.contains("Received redirect without LOCATION")
        || status.is_some_and(|status| status.starts_with(['3', '4']) && !waits(status))
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::NotFound {
            return Self::NotFound;
        }
        Self::Other(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_that_stay_are_told_from_those_that_pass() {
        let said = |status: &str| {
            format!("Error performing GET x - Server returned non-2xx status code: {status}: ")
        };
        for status in ["400 Bad Request", "301 Moved Permanently"] {
            assert!(is_refusal(&said(status)), "{status}");
        }
        for status in ["429 Too Many Requests", "408 Request Timeout", "503 Service Unavailable"] {
            assert!(!is_refusal(&said(status)), "{status}");
        }
        assert!(!is_refusal("error sending request"));
    }
}
