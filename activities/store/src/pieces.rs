//! An object in the making in a bucket: a multipart upload, and `NAME.partial.json`, which remembers it.
//!
//! What a bucket has of an upload cannot be seen, so each piece that it has taken is noted. A piece that was
//! sent and not noted is sent again.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};

use crate::backend::{Failure, Grow};
use crate::objects;
use crate::progress::step;

/// Pieces are no smaller: buckets refuse less than 5 MiB.
const LEAST_BYTES: u64 = 8 << 20;
/// S3 takes 10,000.
const MOST_PIECES: u64 = 9_000;

/// What is remembered of an upload.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Note {
    origin: String,
    upload: String,
    piece_bytes: u64,
    /// What the bucket calls the pieces that it has.
    pieces: Vec<String>,
}

/// An object that grows by pieces.
pub(crate) struct Pieces {
    store: Arc<dyn ObjectStore>,
    uploads: Arc<dyn MultipartStore>,
    target: Path,
    note: Note,
    wanted: u64,
    rest: BytesMut,
}

impl Pieces {
    /// Goes on with the upload of the same origin, or begins one.
    pub(crate) async fn open(
        store: Arc<dyn ObjectStore>,
        uploads: Arc<dyn MultipartStore>,
        target: Path,
        wanted: u64,
        origin: &str,
    ) -> Result<Self, Failure> {
        let piece_bytes = LEAST_BYTES.max(wanted.div_ceil(MOST_PIECES).next_multiple_of(1 << 20));
        let before = read(&*store, &beside(&target)).await?;
        let (kept, other) = match before {
            Some(note) if note.origin == origin && note.piece_bytes == piece_bytes => (Some(note), None),
            other => (None, other),
        };
        if let Some(other) = other {
            abort(&*uploads, &target, other.upload).await?;
        }
        let note = if let Some(note) = kept {
            note
        } else {
            let upload = uploads.create_multipart(&target).await?;
            Note { origin: origin.to_owned(), upload, piece_bytes, pieces: Vec::new() }
        };
        let pieces = Self { store, uploads, target, note, wanted, rest: BytesMut::new() };
        pieces.write().await?;
        Ok(pieces)
    }

    async fn write(&self) -> Result<(), Failure> {
        let note = serde_json::to_vec(&self.note).map_err(|error| Failure::Other(error.into()))?;
        self.store.put(&beside(&self.target), note.into()).await?;
        Ok(())
    }

    async fn send(&mut self, piece: Bytes) -> Result<(), Failure> {
        let (index, upload) = (self.note.pieces.len(), &self.note.upload);
        match self.uploads.put_part(&self.target, upload, index, piece.into()).await {
            Ok(part) => self.note.pieces.push(part.content_id),
            Err(object_store::Error::NotFound { .. }) => return Err(self.lost().await),
            Err(error) => return Err(error.into()),
        }
        step();
        self.write().await
    }

    /// Whether the object is there, whole.
    async fn is_there(&self) -> Result<bool, Failure> {
        match objects::head(&*self.store, &self.target).await {
            Ok(found) => Ok(found.bytes == self.wanted),
            Err(Failure::NotFound) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// The bucket has forgotten the upload, by a rule of its own: the next attempt begins anew.
    async fn lost(&self) -> Failure {
        let forgotten = objects::delete(&*self.store, &beside(&self.target)).await;
        forgotten.err().unwrap_or_else(|| Failure::Other("the bucket has dropped the upload".into()))
    }
}

#[async_trait]
impl Grow for Pieces {
    fn bytes(&self) -> u64 {
        // The last piece may be short.
        let noted = self.note.pieces.len() as u64 * self.note.piece_bytes;
        self.wanted.min(noted + self.rest.len() as u64)
    }

    async fn append(&mut self, bytes: Bytes) -> Result<(), Failure> {
        self.rest.extend_from_slice(&bytes);
        while self.rest.len() as u64 >= self.note.piece_bytes {
            let piece = self.rest.split_to(self.note.piece_bytes as usize).freeze();
            self.send(piece).await?;
        }
        Ok(())
    }

    /// A piece that is not full cannot be kept.
    async fn save(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(), Failure> {
        if self.bytes() != self.wanted {
            let problem = format!("{} of {} bytes are there", self.bytes(), self.wanted);
            return Err(Failure::Other(problem.into()));
        }
        if !self.rest.is_empty() || self.note.pieces.is_empty() {
            let piece = self.rest.split().freeze();
            self.send(piece).await?;
        }
        let pieces = std::mem::take(&mut self.note.pieces);
        let pieces = pieces.into_iter().map(|content_id| PartId { content_id }).collect();
        match self.uploads.complete_multipart(&self.target, &self.note.upload, pieces).await {
            // An earlier attempt may have completed it, and died or lost the answer before it could forget the upload.
            Err(object_store::Error::NotFound { .. }) if !self.is_there().await? => {
                return Err(self.lost().await);
            }
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        objects::delete(&*self.store, &beside(&self.target)).await
    }

    async fn discard(self: Box<Self>) -> Result<(), Failure> {
        abort(&*self.uploads, &self.target, self.note.upload.clone()).await?;
        objects::delete(&*self.store, &beside(&self.target)).await
    }
}

async fn read(store: &dyn ObjectStore, note: &Path) -> Result<Option<Note>, Failure> {
    match objects::get(store, note).await {
        // A note that cannot be read is of no upload that we know how to go on with.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(Failure::NotFound) => Ok(None),
        Err(failure) => Err(failure),
    }
}

async fn abort(uploads: &dyn MultipartStore, target: &Path, upload: String) -> Result<(), Failure> {
    match uploads.abort_multipart(target, &upload).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn beside(target: &Path) -> Path {
    Path::from(format!("{target}.partial.json"))
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    async fn open(store: &Arc<InMemory>, wanted: u64) -> Box<Pieces> {
        let pieces = Pieces::open(store.clone(), store.clone(), Path::from("x"), wanted, "origin").await;
        Box::new(pieces.unwrap())
    }

    #[tokio::test]
    async fn an_upload_of_which_only_the_end_is_missing_is_completed() {
        let store = Arc::new(InMemory::new());
        let whole = Bytes::from(vec![7; LEAST_BYTES as usize + 5]);
        let wanted = whole.len() as u64;
        let mut pieces = open(&store, wanted).await;
        pieces.append(whole.clone()).await.unwrap();
        let short = pieces.rest.split().freeze();
        pieces.send(short).await.unwrap();
        drop(pieces);

        let pieces = open(&store, wanted).await;
        assert_eq!(pieces.bytes(), wanted);
        pieces.finish().await.unwrap();
        assert_eq!(objects::get(&*store, &Path::from("x")).await.unwrap(), whole);
    }
}
