//! A mirror is a copy of snapshots in storage of our own, laid out as upstream has them.
//!
//! Of each shard a note is kept beside it: which state of the source's file it was copied from, and, once its
//! own checksums have been seen to hold, in which state of its own. Of a snapshot of several shards the plan is
//! kept: what the source had of it. When all that it names is checked, `_SUCCESS` makes the mirror's snapshot a
//! complete one, to be read like any other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio::runtime::Handle;
use wikitok_dump::{
    ByteRange, Compression, DumpError, Layout, LocationObject, RangeBytes, RangeInput, ReadAt, Snapshot,
};
use wikitok_store::{ErrorKind, Growing, Location, ObjectInfo, StoreError};
use wikitok_workflows::contract::{CheckCopyInput, MirrorShardInput, Run, Shard};

use crate::digest::Digesting;
use crate::failure::{failed, failure};
use crate::plan;
use crate::pulse::{self, Pulse};

const COMPLETE: &str = "_SUCCESS";
const PLAN: &str = "_mirror.json";
/// Bytes that are collected before they are written.
const WRITE_BYTES: usize = 64 << 10;
/// Setbacks in a row, with nothing copied between them, that are borne before Temporal is told.
const SETBACKS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// What is written whole here is notes and plans. Shards grow elsewhere.
const LONGER_THAN_ANY_WRITE: Duration = Duration::from_hours(1);

/// What is known of a copy.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Note {
    /// The state of the source's file that it was made from.
    source_version: String,
    bytes: u64,
    /// The state of the copy whose checksums hold; none before it was checked.
    #[serde(default)]
    checked_version: Option<String>,
    /// Of the compressed bytes; none before it was checked.
    #[serde(default)]
    sha256: Option<String>,
}

/// Opens the mirror of a run, which has one.
async fn open(run: &Run) -> Result<Location, ActivityError> {
    let uri =
        run.mirror.as_deref().ok_or_else(|| failed(ErrorKind::Bug, "the run has no mirror".to_owned()))?;
    Location::create(uri).await.map_err(failure)
}

fn note_key(shard: &str) -> String {
    format!("{shard}.mirror.json")
}

async fn read<T: DeserializeOwned>(mirror: &Location, key: &str) -> Result<Option<T>, ActivityError> {
    match mirror.get(key).await {
        // One that cannot be read says nothing, and is written anew.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(failure(error)),
    }
}

async fn write<T: Serialize>(mirror: &Location, key: &str, value: &T) -> Result<(), ActivityError> {
    let bytes =
        serde_json::to_vec_pretty(value).map_err(|error| failed(ErrorKind::Bug, error.to_string()))?;
    mirror.put(key, Bytes::from(bytes)).await.map_err(failure)
}

/// The directory of the run's snapshot in its mirror, with a slash at the end.
fn directory(run: &Run) -> Result<String, ActivityError> {
    let layout = if run.layout == plan::LEGACY { Layout::Legacy } else { Layout::Current };
    let (wiki, date) = run.snapshot.rsplit_once('-').unwrap_or((&run.snapshot, ""));
    if wiki.contains('/') || date.contains('/') {
        return Err(failed(ErrorKind::BadConfiguration, format!("`{}` is no snapshot", run.snapshot)));
    }
    Ok(wikitok_dump::home(layout, wiki, date, plan::index(&run.configuration)))
}

/// The plan that an earlier page was taken from. Snapshots of one shard have none, and need none.
pub(crate) async fn remembered(run: &Run) -> Result<Option<Snapshot>, ActivityError> {
    read(&open(run).await?, &(directory(run)? + PLAN)).await
}

/// Keeps what the source has, all shards of it.
pub(crate) async fn remember(run: &Run, snapshot: &Snapshot) -> Result<(), ActivityError> {
    if snapshot.layout == Layout::Legacy {
        return Ok(());
    }
    write(&open(run).await?, &(directory(run)? + PLAN), snapshot).await
}

/// Whether a snapshot of the mirror is all that the source had of it, where that is known: someone may have
/// removed a shard since.
pub(crate) async fn has_all(run: &Run, snapshot: &Snapshot) -> Result<bool, ActivityError> {
    let Some(planned) = remembered(run).await? else { return Ok(true) };
    let sizes = |snapshot: &Snapshot| -> Vec<(String, u64)> {
        snapshot.shards.iter().map(|shard| (shard.name.clone(), shard.bytes)).collect()
    };
    Ok(sizes(&planned) == sizes(snapshot))
}

/// Copies a shard, and gives it as it lies in the mirror.
pub(crate) async fn shard(
    context: &ActivityContext,
    input: &MirrorShardInput,
) -> Result<Shard, ActivityError> {
    let copied = AtomicU64::new(0);
    pulse::alive_at(context, &copied, copy(input, &copied)).await
}

async fn copy(input: &MirrorShardInput, copied: &AtomicU64) -> Result<Shard, ActivityError> {
    let (run, shard) = (&input.run, &input.shard);
    let mirror = open(run).await?;
    let file = shard.key.rsplit('/').next().unwrap_or(&shard.key);
    let key = directory(run)? + file;
    if let Some(copy) = copied_before(&mirror, &key, shard).await? {
        tracing::info!(shard = shard.name, "already copied");
        return Ok(copy);
    }
    let source = plan::open_source(run, shard).await?;
    mirror.delete(&note_key(&key)).await.map_err(failure)?;
    fetch(&source, &mirror, &key, shard, copied).await.map_err(failure)?;
    let info = mirror.head(&key).await.map_err(failure)?;
    let info = info.ok_or_else(|| failed(ErrorKind::Retryable, format!("the copy `{key}` has gone")))?;
    let note = Note {
        source_version: shard.version.clone(),
        bytes: shard.bytes,
        checked_version: None,
        sha256: None,
    };
    write(&mirror, &note_key(&key), &note).await?;
    Ok(in_mirror(shard, info))
}

fn in_mirror(shard: &Shard, info: ObjectInfo) -> Shard {
    Shard { key: info.key, name: shard.name.clone(), bytes: info.bytes, version: info.version }
}

/// The copy, if it was made from this very state of the source's file.
async fn copied_before(mirror: &Location, key: &str, shard: &Shard) -> Result<Option<Shard>, ActivityError> {
    let Some(note) = read::<Note>(mirror, &note_key(key)).await? else { return Ok(None) };
    if note.source_version != shard.version || note.bytes != shard.bytes {
        return Ok(None);
    }
    let there = mirror.head(key).await.map_err(failure)?.filter(|info| info.bytes == shard.bytes);
    Ok(there.map(|info| in_mirror(shard, info)))
}

/// Copies from where an earlier attempt ended, and goes on after setbacks for as long as there is progress.
async fn fetch(
    source: &Location,
    mirror: &Location,
    key: &str,
    shard: &Shard,
    copied: &AtomicU64,
) -> Result<(), StoreError> {
    let origin = format!("{} {}", shard.bytes, shard.version);
    let object = ObjectInfo { key: shard.key.clone(), bytes: shard.bytes, version: shard.version.clone() };
    let mut growing = mirror.grow(key, shard.bytes, &origin).await?;
    let mut setbacks = 0;
    while growing.bytes() < shard.bytes {
        let before = growing.bytes();
        let error = match follow(source, &object, &mut growing, copied).await {
            Ok(()) if growing.bytes() > before => continue,
            Ok(()) => ended_early(source, shard),
            Err(error) => error,
        };
        if matches!(error, StoreError::Changed { .. }) {
            growing.discard().await?;
            return Err(error);
        }
        growing.save().await?;
        setbacks = if growing.bytes() > before { 0 } else { setbacks + 1 };
        if error.kind() != ErrorKind::Retryable || error.retry_after().is_some() || setbacks == SETBACKS {
            return Err(error);
        }
        tracing::warn!(shard = shard.name, at = growing.bytes(), "{error}: going on");
        tokio::time::sleep(PAUSE * setbacks).await;
    }
    growing.finish().await
}

/// The error for an answer that ended well before the file did.
fn ended_early(source: &Location, shard: &Shard) -> StoreError {
    let (uri, key) = (source.uri().to_owned(), shard.key.clone());
    StoreError::Failed { action: "read", uri, key, source: "the answer ended before the file".into() }
}

/// Copies until the other side ends. What has come by then is kept to the last byte.
async fn follow(
    source: &Location,
    object: &ObjectInfo,
    growing: &mut Growing,
    copied: &AtomicU64,
) -> Result<(), StoreError> {
    let mut stream = source.stream(object, growing.bytes()).await?;
    let mut held = BytesMut::new();
    let ended = loop {
        match stream.try_next().await {
            Ok(Some(piece)) => held.extend_from_slice(&piece),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
        if growing.bytes() + held.len() as u64 > object.bytes {
            return Err(StoreError::Changed { uri: source.uri().to_owned(), key: object.key.clone() });
        }
        if held.len() >= WRITE_BYTES {
            growing.append(held.split().freeze()).await?;
            copied.store(growing.bytes(), Ordering::Relaxed);
        }
    };
    growing.append(held.freeze()).await?;
    copied.store(growing.bytes(), Ordering::Relaxed);
    ended
}

/// Shows that a copy's own checksums hold, and marks it as whole. One that is damaged is removed, so that it is
/// copied again by the next run.
pub(crate) async fn check(context: &ActivityContext, input: &CheckCopyInput) -> Result<(), ActivityError> {
    let (run, shard) = (&input.run, &input.shard);
    let mirror = open(run).await?;
    let note = read::<Note>(&mirror, &note_key(&shard.key)).await?;
    let known = note.as_ref().and_then(|note| note.checked_version.as_ref());
    if known != Some(&shard.version) {
        let copy = plan::open_unchanged(run, shard).await?;
        let object =
            LocationObject::new(copy, &plan::file_of(shard), Handle::current()).ahead_to(shard.bytes);
        let work = move |pulse: &Arc<Pulse>| judge(decompress(Arc::new(object), pulse));
        let sha256 = match pulse::blocking(context, work).await? {
            Ok(sha256) => sha256,
            Err(damage) => {
                pulse::alive(context, remove(&mirror, run, shard)).await?;
                return Err(failure(damage));
            }
        };
        let source_version = note.map_or_else(|| shard.version.clone(), |note| note.source_version);
        let checked_version = Some(shard.version.clone());
        let note = Note { source_version, bytes: shard.bytes, checked_version, sha256: Some(sha256) };
        pulse::alive(context, write(&mirror, &note_key(&shard.key), &note)).await?;
    }
    pulse::alive(context, complete(&mirror, run)).await
}

/// Decompresses all of a shard, whose checksums are seen to on the way; gives the sha256 of the file.
fn decompress(shard: Arc<dyn ReadAt>, pulse: &Pulse) -> Result<Option<String>, DumpError> {
    let bytes = shard.len();
    let whole = match wikitok_dump::sniff(&*shard)? {
        Compression::Bzip2 => RangeInput::Blocks(ByteRange { from: 0, to: bytes }),
        Compression::Gzip => RangeInput::Stream { start: None, consume_bytes: u64::MAX },
    };
    let digesting = Arc::new(Digesting::new(shard, Bytes::new(), 0));
    let mut data = RangeBytes::open(digesting.clone(), &whole)?;
    let mut chunk = Vec::new();
    let mut done = 0;
    while data.next_chunk(&mut chunk)? {
        done += chunk.len() as u64;
        pulse.beat(done);
        if pulse.stopped() {
            return Ok(None);
        }
    }
    // Bytes after the end of the compressed data, if there are any.
    digesting.read_at(bytes, 0)?;
    Ok(Some(digesting.taken().0))
}

/// Tells a copy that is damaged from a storage that failed.
fn judge(
    decompressed: Result<Option<String>, DumpError>,
) -> Result<Option<Result<String, DumpError>>, DumpError> {
    match decompressed {
        Err(error) if error.kind() == ErrorKind::BadInput => Ok(Some(Err(error))),
        Err(error) => Err(error),
        Ok(sha256) => Ok(sha256.map(Ok)),
    }
}

/// Removes a copy, having withdrawn what speaks for it.
async fn remove(mirror: &Location, run: &Run, shard: &Shard) -> Result<(), ActivityError> {
    for key in [directory(run)? + COMPLETE, note_key(&shard.key), shard.key.clone()] {
        mirror.delete(&key).await.map_err(failure)?;
    }
    Ok(())
}

/// Marks the snapshot as complete once every shard that the source had of it is checked.
async fn complete(mirror: &Location, run: &Run) -> Result<(), ActivityError> {
    // Other runs may be writing into the same mirror.
    mirror.clear_unfinished(LONGER_THAN_ANY_WRITE).await.map_err(failure)?;
    let Some(snapshot) = remembered(run).await? else { return Ok(()) };
    let directory = directory(run)?;
    if mirror.head(&format!("{directory}{COMPLETE}")).await.map_err(failure)?.is_some() {
        return Ok(());
    }
    for shard in &snapshot.shards {
        let file = shard.key.rsplit('/').next().unwrap_or(&shard.key);
        let note: Option<Note> = read(mirror, &note_key(&format!("{directory}{file}"))).await?;
        let whole = note.is_some_and(|note| {
            note.checked_version.is_some()
                && note.source_version == shard.version
                && note.bytes == shard.bytes
        });
        if !whole {
            return Ok(());
        }
    }
    mirror.put(&format!("{directory}{COMPLETE}"), Bytes::new()).await.map_err(failure)
}

#[cfg(test)]
mod tests {
    use wikitok_tests::{DumpServer, Fault};

    use super::*;

    const BYTES: usize = 400_000;

    struct Scene {
        _directory: tempfile::TempDir,
        file: std::path::PathBuf,
        web: DumpServer,
        source: Location,
        mirror: Location,
    }

    fn scene() -> Scene {
        let directory = tempfile::tempdir().unwrap();
        let (there, here) = (directory.path().join("there"), directory.path().join("here"));
        std::fs::create_dir_all(&there).unwrap();
        std::fs::create_dir_all(&here).unwrap();
        let file = there.join("shard");
        std::fs::write(&file, content(7)).unwrap();
        let web = DumpServer::start(&there);
        let source = Location::open(&web.url()).unwrap();
        Scene {
            file,
            web,
            source,
            mirror: Location::open(&here.to_string_lossy()).unwrap(),
            _directory: directory,
        }
    }

    fn content(seed: usize) -> Vec<u8> {
        (0..BYTES).map(|n| (n * seed % 251) as u8).collect()
    }

    impl Scene {
        async fn shard(&self) -> Shard {
            let info = self.source.head("shard").await.unwrap().unwrap();
            Shard { key: info.key, name: "shard".to_owned(), bytes: info.bytes, version: info.version }
        }

        async fn fetch(&self, shard: &Shard) -> Result<(), StoreError> {
            fetch(&self.source, &self.mirror, "copy", shard, &AtomicU64::new(0)).await
        }

        fn ranges(&self) -> Vec<String> {
            self.web.seen().into_iter().filter_map(|seen| seen.range).collect()
        }
    }

    #[tokio::test]
    async fn a_copy_goes_on_from_the_last_byte() {
        let scene = scene();
        let shard = scene.shard().await;
        scene.web.fail_next([
            Fault::Cut(100_001),
            Fault::Cut(100_001),
            Fault::Status(500, None),
            Fault::Cut(1),
        ]);
        scene.fetch(&shard).await.unwrap();
        assert!(scene.mirror.get("copy").await.unwrap() == content(7));
        let expected = ["bytes=0-", "bytes=100001-", "bytes=200002-", "bytes=200002-", "bytes=200003-"];
        assert_eq!(scene.ranges(), expected);
    }

    #[tokio::test]
    async fn what_was_copied_is_kept_for_the_next_attempt() {
        let scene = scene();
        let shard = scene.shard().await;
        scene.web.fail_next([Fault::Cut(123_456), Fault::Status(503, Some("3600".to_owned()))]);
        let busy = scene.fetch(&shard).await.unwrap_err();
        assert_eq!(busy.retry_after(), Some(Duration::from_hours(1)));
        assert!(scene.mirror.head("copy").await.unwrap().is_none());
        scene.fetch(&shard).await.unwrap();
        assert!(scene.mirror.get("copy").await.unwrap() == content(7));
        assert_eq!(scene.ranges().last().unwrap(), "bytes=123456-");
    }

    #[tokio::test]
    async fn a_file_that_changes_on_the_way_is_noticed_and_copied_anew() {
        let scene = scene();
        let before = scene.shard().await;
        scene.web.fail_next([Fault::Cut(123_456), Fault::Status(403, None)]);
        scene.fetch(&before).await.unwrap_err();
        std::fs::write(&scene.file, content(11)).unwrap();
        let changed = scene.fetch(&before).await.unwrap_err();
        assert!(matches!(changed, StoreError::Changed { .. }), "{changed:?}");
        assert_eq!(changed.kind(), ErrorKind::BadInput);
        assert_eq!(scene.mirror.list("").await.unwrap(), [], "nothing is left of it");
        scene.fetch(&scene.shard().await).await.unwrap();
        assert!(scene.mirror.get("copy").await.unwrap() == content(11));
        assert_eq!(scene.ranges().last().unwrap(), "bytes=0-");
    }

    #[tokio::test]
    async fn setbacks_without_progress_are_told() {
        let scene = scene();
        let shard = scene.shard().await;
        scene.web.fail_next(vec![Fault::Cut(0); 3]);
        let error = scene.fetch(&shard).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Retryable, "{error:?}");
        assert_eq!(scene.ranges().len(), 3);
    }

    #[test]
    fn a_damaged_copy_is_told_from_a_storage_that_fails() {
        let pulse = Pulse::default();
        let damaged = Bytes::from_static(b"BZh9 and then nothing of the kind");
        let judged = judge(decompress(Arc::new(damaged), &pulse)).unwrap().unwrap();
        assert_eq!(judged.unwrap_err().kind(), ErrorKind::BadInput);
        let failed = DumpError::ShortRead { offset: 0, wanted: 2, got: 1 };
        assert_eq!(judge(Err(failed)).unwrap_err().kind(), ErrorKind::Retryable);
    }
}
