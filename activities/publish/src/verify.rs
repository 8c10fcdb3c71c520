//! Verifying reads a whole output again and says everything that is wrong with it.

mod content;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use wikitok_store::{Location, StoreError};

use crate::commit::{committed_shard, committed_tokens, committed_vectors, read};
use crate::nearest::blocking;
use crate::part::sha256;
use crate::run::sum_run;
use crate::seal::sum_shard;
use crate::{
    Counts, FileEntry, PublishError, RunManifest, RunOwner, ShardManifest, TokensManifest, VectorsManifest,
    keys,
};

/// Something that is wrong with an output.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Problem {
    /// The object that it concerns.
    pub key: String,
    /// What is wrong.
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.key, self.problem)
    }
}

/// What was found to be in order.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Totals {
    /// Shards looked at.
    pub shards: u64,
    /// Parts looked at.
    pub parts: u64,
    /// Data files whose bytes and content agree with their manifests.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What their manifests count.
    pub counts: Counts,
}

/// What verifying an output found.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct VerifyReport {
    /// Everything that is wrong, by key; empty when the output is whole and true.
    pub problems: Vec<Problem>,
    /// What was looked at.
    pub totals: Totals,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Reads every manifest and every part again and compares them: sizes, sha256, rows, tokens, characters,
/// vectors and their order, sums, `_SUCCESS`, and files that no manifest names.
///
/// Damage is reported, all of it; only storage that fails is an error. One part is held at a time.
pub async fn verify(output: &Location) -> Result<VerifyReport, PublishError> {
    let mut check = Check { output, report: VerifyReport::default(), named: BTreeSet::new() };
    check.success().await?;
    let shards = check.shards().await?;
    check.run(&shards).await?;
    check.strays().await?;
    check.report.problems.sort();
    check.report.problems.dedup();
    Ok(check.report)
}

/// A verification under way.
struct Check<'a> {
    output: &'a Location,
    report: VerifyReport,
    /// Keys that a manifest names, or that are manifests themselves.
    named: BTreeSet<String>,
}

impl Check<'_> {
    fn problem(&mut self, key: &str, problem: impl Into<String>) {
        self.report.problems.push(Problem { key: key.to_owned(), problem: problem.into() });
    }

    /// Turns damage into a problem with `key`; lets through only storage that fails.
    fn note<T>(&mut self, key: &str, result: Result<T, PublishError>) -> Result<Option<T>, PublishError> {
        match result {
            Ok(value) => return Ok(Some(value)),
            Err(PublishError::Store(StoreError::NotFound { .. })) => self.problem(key, "is missing"),
            Err(error @ (PublishError::Store(_) | PublishError::Thread { .. })) => return Err(error),
            Err(PublishError::Inconsistent { key, reason }) => self.problem(&key, reason),
            Err(PublishError::Missing { key }) => self.problem(&key, "is missing"),
            Err(PublishError::BadManifest { key, source }) => {
                self.problem(&key, format!("is not a manifest: {source}"));
            }
            Err(error) => self.problem(key, error.to_string()),
        }
        Ok(None)
    }

    async fn success(&mut self) -> Result<(), PublishError> {
        match self.output.head(keys::SUCCESS).await? {
            None => self.problem(keys::SUCCESS, "is missing: the run has not ended"),
            Some(object) if object.bytes > 0 => self.problem(keys::SUCCESS, "is not empty"),
            Some(_) => {}
        }
        Ok(())
    }

    async fn shards(&mut self) -> Result<Vec<ShardManifest>, PublishError> {
        let mut shards = Vec::new();
        for object in self.output.list("manifests").await? {
            let Some(shard) = keys::shard_of_manifest(&object.key) else { continue };
            let manifest = committed_shard(self.output, shard).await;
            if let Some(manifest) = self.note(&object.key, manifest)?.flatten() {
                self.shard(&object.key, shard, &manifest).await?;
                shards.push(manifest);
            }
        }
        shards.sort_by(|a, b| a.shard.cmp(&b.shard));
        Ok(shards)
    }

    async fn shard(&mut self, key: &str, shard: &str, found: &ShardManifest) -> Result<(), PublishError> {
        self.report.totals.shards += 1;
        self.report.totals.counts.add(&found.counts);
        self.named.insert(key.to_owned());
        self.named.extend(found.files.iter().map(|file| file.key.clone()));
        let expect_vectors = found.fingerprints.vectors.is_some();
        let sum = sum_shard(self.output, &found.snapshot, shard, found.parts, expect_vectors).await;
        if self.note(key, sum)?.is_some_and(|sum| sum != *found) {
            self.problem(key, "does not agree with the manifests of its parts");
        }
        for part in 0..found.parts {
            self.part(shard, part, expect_vectors).await?;
        }
        Ok(())
    }

    async fn part(&mut self, shard: &str, part: u32, expect_vectors: bool) -> Result<(), PublishError> {
        self.report.totals.parts += 1;
        let tokens = self.part_tokens(shard, part).await?;
        let page_ids = match &tokens {
            Some(tokens) => self.token_files(tokens).await?,
            None => None,
        };
        if expect_vectors && let Some(vectors) = self.part_vectors(shard, part).await? {
            self.vector_file(&vectors, page_ids).await?;
        }
        Ok(())
    }

    async fn part_tokens(&mut self, shard: &str, part: u32) -> Result<Option<TokensManifest>, PublishError> {
        let key = keys::tokens_manifest(shard, part)?;
        let manifest = committed_tokens(self.output, shard, part).await;
        let manifest = self.note(&key, manifest)?;
        if matches!(manifest, Some(None)) {
            self.problem(&key, "is missing");
        }
        self.named.insert(key);
        Ok(manifest.flatten())
    }

    async fn part_vectors(
        &mut self,
        shard: &str,
        part: u32,
    ) -> Result<Option<VectorsManifest>, PublishError> {
        let key = keys::vectors_manifest(shard, part)?;
        let manifest = committed_vectors(self.output, shard, part).await;
        let manifest = self.note(&key, manifest)?;
        if matches!(manifest, Some(None)) {
            self.problem(&key, "is missing");
        }
        self.named.insert(key);
        Ok(manifest.flatten())
    }

    /// Checks a part's tokens and quarantined records; returns its page ids, where they can be read.
    async fn token_files(&mut self, manifest: &TokensManifest) -> Result<Option<Vec<u64>>, PublishError> {
        let key = keys::tokens_manifest(&manifest.shard, manifest.part)?;
        let (counts, quarantine) = (&manifest.counts, manifest.quarantine.as_ref());
        let balanced = counts.check().map_err(PublishError::from);
        self.note(&key, balanced)?;
        let rows = |file: Option<&FileEntry>| file.map_or(0, |file| file.rows);
        if rows(quarantine) != counts.quarantined_total() || rows(manifest.tokens.as_ref()) != counts.articles
        {
            self.problem(&key, "counts other articles or bad records than its files have rows");
        }
        if let Some(file) = quarantine {
            self.file(file, |bytes, rows| content::check_quarantine(&bytes, rows)).await?;
        }
        let Some(file) = &manifest.tokens else { return Ok(Some(Vec::new())) };
        let (tokens, characters) = (counts.tokens, counts.characters);
        self.file(file, move |bytes, rows| content::check_tokens(bytes, rows, tokens, characters)).await
    }

    async fn vector_file(
        &mut self,
        manifest: &VectorsManifest,
        page_ids: Option<Vec<u64>>,
    ) -> Result<(), PublishError> {
        let key = keys::vectors_manifest(&manifest.shard, manifest.part)?;
        if manifest.vectors.as_ref().map_or(0, |file| file.rows) != manifest.counts.vectors {
            self.problem(&key, "counts other vectors than its file has rows");
        }
        let Some(file) = &manifest.vectors else {
            if page_ids.is_some_and(|page_ids| !page_ids.is_empty()) {
                self.problem(&key, "has no vectors, though there are tokens");
            }
            return Ok(());
        };
        let normalized = manifest.normalized;
        let check = move |bytes, rows| content::check_vectors(bytes, rows, normalized, page_ids.as_deref());
        self.file(file, check).await.map(drop)
    }

    /// Reads a data file, compares it with its entry, and only when they agree looks into it.
    async fn file<T: Send + 'static>(
        &mut self,
        file: &FileEntry,
        content: impl FnOnce(Bytes, u64) -> Result<T, content::Wrong> + Send + 'static,
    ) -> Result<Option<T>, PublishError> {
        let bytes = self.output.get(&file.key).await.map_err(PublishError::from);
        let Some(bytes) = self.note(&file.key, bytes)? else { return Ok(None) };
        if bytes.len() as u64 != file.bytes {
            self.problem(&file.key, format!("has {} bytes instead of {}", bytes.len(), file.bytes));
            return Ok(None);
        }
        let (sha, rows) = (file.sha256.clone(), file.rows);
        let looked = blocking(move || Ok(look(bytes, rows, &sha, content))).await?;
        match looked {
            Ok(found) => {
                self.report.totals.files += 1;
                self.report.totals.bytes += file.bytes;
                Ok(Some(found))
            }
            Err(content::Wrong(problem)) => {
                self.problem(&file.key, problem);
                Ok(None)
            }
        }
    }

    async fn run(&mut self, shards: &[ShardManifest]) -> Result<(), PublishError> {
        let owner = read::<RunOwner>(self.output, keys::OWNER).await;
        let owner = self.note(keys::OWNER, owner)?;
        let run = read::<RunManifest>(self.output, keys::RUN).await;
        let run = self.note(keys::RUN, run)?;
        for (key, missing) in
            [(keys::OWNER, matches!(owner, Some(None))), (keys::RUN, matches!(run, Some(None)))]
        {
            if missing {
                self.problem(key, "is missing");
            }
        }
        let (Some(owner), Some(run)) = (owner.flatten(), run.flatten()) else { return Ok(()) };
        self.shards_of_run(&run, shards)?;
        let sum = sum_run(&owner, shards);
        if self.note(keys::RUN, sum)?.is_some_and(|sum| sum != run) {
            self.problem(keys::RUN, "does not agree with the owner and the manifests of the shards");
        }
        Ok(())
    }

    fn shards_of_run(&mut self, run: &RunManifest, shards: &[ShardManifest]) -> Result<(), PublishError> {
        let mut there: BTreeMap<&str, bool> =
            shards.iter().map(|shard| (shard.shard.as_str(), false)).collect();
        for summary in &run.shards {
            if there.insert(&summary.shard, true).is_none() {
                let key = keys::shard_manifest(&summary.shard);
                if let Some(key) = self.note(keys::RUN, key)? {
                    self.problem(&key, "is missing");
                }
            }
        }
        for (shard, _) in there.into_iter().filter(|(_, named)| !named) {
            self.problem(&keys::shard_manifest(shard)?, "is not named by the manifest of the run");
        }
        Ok(())
    }

    async fn strays(&mut self) -> Result<(), PublishError> {
        for folder in keys::FOLDERS {
            for object in self.output.list(folder).await? {
                if !self.named.contains(&object.key) {
                    self.problem(&object.key, "is named by no manifest");
                }
            }
        }
        Ok(())
    }
}

/// Damaged bytes are never decoded: what a decoder makes of them is nobody's business.
fn look<T>(
    bytes: Bytes,
    rows: u64,
    expected: &str,
    content: impl FnOnce(Bytes, u64) -> Result<T, content::Wrong>,
) -> Result<T, content::Wrong> {
    let found = sha256(&bytes);
    if found != expected {
        return Err(content::Wrong(format!("has the sha256 `{found}` instead of `{expected}`")));
    }
    content(bytes, rows)
}
