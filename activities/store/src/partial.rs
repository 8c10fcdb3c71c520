//! A file in the making: `NAME.partial` beside where it will be, and `NAME.partial.json`, which says what of.
//!
//! Bytes are written at their place, not at the end: two that make the same file at the same time, of which
//! one is taken for dead, write the same bytes to the same places.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::backend::{Failure, Grow};
use crate::failpoints::{Point, reach};

/// A file that grows.
pub(crate) struct Partial {
    target: PathBuf,
    file: Arc<File>,
    bytes: u64,
    wanted: u64,
}

impl Partial {
    /// Goes on with what was made of the same origin, or begins anew.
    pub(crate) fn open(target: PathBuf, wanted: u64, origin: String) -> io::Result<Self> {
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory)?;
        }
        let note = beside(&target, ".partial.json");
        if fs::read_to_string(&note).ok().as_ref() != Some(&origin) {
            remove(&beside(&target, ".partial"))?;
            fs::write(&note, origin)?;
        }
        let path = beside(&target, ".partial");
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        let bytes = file.metadata()?.len().min(wanted);
        Ok(Self { target, file: Arc::new(file), bytes, wanted })
    }

    fn commit(&self) -> io::Result<()> {
        if self.bytes != self.wanted {
            return Err(io::Error::other(format!("{} of {} bytes are there", self.bytes, self.wanted)));
        }
        let name = self.target.to_string_lossy();
        reach(Point::Before, &name)?;
        self.file.set_len(self.wanted)?;
        self.file.sync_all()?;
        reach(Point::Staged, &name)?;
        match fs::rename(beside(&self.target, ".partial"), &self.target) {
            // Another one has finished the same file.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.target.exists() => {}
            other => other?,
        }
        reach(Point::After, &name)?;
        remove(&beside(&self.target, ".partial.json"))?;
        self.target.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    }

    fn remove(&self) -> io::Result<()> {
        remove(&beside(&self.target, ".partial.json"))?;
        remove(&beside(&self.target, ".partial"))
    }
}

#[async_trait]
impl Grow for Partial {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    async fn append(&mut self, bytes: Bytes) -> Result<(), Failure> {
        let (file, offset, length) = (self.file.clone(), self.bytes, bytes.len() as u64);
        blocking(move || file.write_all_at(&bytes, offset)).await?;
        self.bytes += length;
        Ok(())
    }

    async fn save(&mut self) -> Result<(), Failure> {
        let file = self.file.clone();
        blocking(move || file.sync_data()).await
    }

    async fn finish(self: Box<Self>) -> Result<(), Failure> {
        blocking(move || self.commit()).await
    }

    async fn discard(self: Box<Self>) -> Result<(), Failure> {
        blocking(move || self.remove()).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    Ok(tokio::task::spawn_blocking(work).await.map_err(io::Error::other)??)
}

fn beside(target: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(target);
    name.push(ending);
    name.into()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
