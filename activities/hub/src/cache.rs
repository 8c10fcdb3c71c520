//! The cache: what was fetched of a model, laid out as `huggingface_hub` does.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tempfile::NamedTempFile;

use crate::error::HubError;
use crate::id::{ModelId, is_commit};
use crate::{WEIGHTS, is_inside};

/// A step of the pipeline, as `modules.json` names it.
#[derive(Deserialize)]
struct Step {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

/// A model's folder in the cache.
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    pub(crate) fn of(cache: &Path, id: &ModelId) -> Self {
        Self { folder: cache.join(format!("models--{}", id.name().replace('/', "--"))) }
    }

    /// Where the files of a commit lie.
    pub(crate) fn directory(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// The files of a revision, if its weights are there.
    pub(crate) fn snapshot(&self, revision: &str) -> Option<PathBuf> {
        let commit = if is_commit(revision) {
            revision.to_owned()
        } else {
            fs::read_to_string(self.reference(revision)).ok()?.trim().to_owned()
        };
        let directory = self.directory(&commit);
        let found = is_commit(&commit) && WEIGHTS.iter().any(|weights| directory.join(weights).exists());
        found.then_some(directory)
    }

    /// The same, if all is there. We put the weights there last; others fetch weights without the steps around them.
    pub(crate) fn whole_snapshot(&self, revision: &str) -> Option<PathBuf> {
        self.snapshot(revision).filter(|directory| {
            let read = fs::read(directory.join("modules.json"));
            let steps = read.ok().and_then(|read| serde_json::from_slice::<Vec<Step>>(&read).ok());
            let is_there = |step: Step| {
                let settings = directory.join(step.path).join("config.json");
                step.kind.ends_with(".Normalize") || settings.exists()
            };
            directory.join("tokenizer.json").exists()
                && steps.is_some_and(|steps| steps.into_iter().all(is_there))
        })
    }

    /// Whether a file of a commit is there.
    pub(crate) fn has(&self, commit: &str, file: &str) -> bool {
        self.directory(commit).join(file).exists()
    }

    /// Notes which commit a branch or tag stands for.
    pub(crate) fn remember(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        if is_commit(revision) {
            return Ok(());
        }
        let path = self.reference(revision);
        let write = || {
            fs::create_dir_all(self.folder.join("refs"))?;
            fs::write(&path, commit)
        };
        write().map_err(|source| HubError::Cache { path: path.clone(), source })
    }

    fn reference(&self, revision: &str) -> PathBuf {
        self.folder.join("refs").join(revision)
    }

    /// A file to write to, in the folder where it is to lie.
    pub(crate) fn partial(&self) -> Result<NamedTempFile, HubError> {
        let blobs = self.folder.join("blobs");
        let create = || {
            fs::create_dir_all(&blobs)?;
            NamedTempFile::with_suffix_in(".incomplete", &blobs)
        };
        create().map_err(|source| HubError::Cache { path: blobs.clone(), source })
    }

    /// Puts a whole file under its tag, and links to it.
    pub(crate) fn keep(
        &self,
        partial: NamedTempFile,
        etag: &str,
        commit: &str,
        file: &str,
    ) -> Result<(), HubError> {
        debug_assert!(is_inside(file) && is_inside(etag));
        let link = self.directory(commit).join(file);
        let keep = || -> io::Result<()> {
            partial.as_file().sync_all()?;
            partial.persist(self.folder.join("blobs").join(etag))?;
            fs::create_dir_all(link.parent().unwrap_or(&link))?;
            let up = "../".repeat(2 + file.matches('/').count());
            match std::os::unix::fs::symlink(format!("{up}blobs/{etag}"), &link) {
                // Another process was here first, with the same file.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                linked => linked,
            }
        };
        keep().map_err(|source| HubError::Cache { path: link.clone(), source })
    }
}
