//! Whole-file writes into a local directory: written aside, synced, renamed.
//!
//! `object_store` stages a local write beside its target, where a killed process leaves it among the data
//! for ever. Ours is staged in one directory that the last step of a run removes, under a name of its own
//! for each attempt, so that two attempts at one object never write into one file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::Content;
use crate::failpoints::{Point, reach};
use crate::progress::step;

/// Where unfinished files lie, below the location's root.
pub(crate) const STAGING: &str = "_staging";
/// Bytes that are written in one call.
const AT_ONCE: usize = 4 << 20;

/// How often the directory may be taken away between making it and using it.
const STAGING_ATTEMPTS: u32 = 1_000;

/// Writes `content` as `root/key`, replacing what is there. Whole or not at all, also across a power cut.
pub(crate) fn put(root: &Path, key: &str, content: &Content) -> io::Result<()> {
    let target = root.join(key);
    let directory = target.parent().unwrap_or(root);
    fs::create_dir_all(directory)?;
    let staged = stage(root, content)?;
    reach(Point::Staged, key)?;
    staged.persist(&target).map_err(|error| error.error)?;
    // The last writer leaves nothing behind; while there are others, the directory is not empty.
    let _ = fs::remove_dir(root.join(STAGING));
    File::open(directory)?.sync_all()
}

fn stage(root: &Path, content: &Content) -> io::Result<NamedTempFile> {
    let mut file = staging_file(&root.join(STAGING))?;
    let mut written = 0;
    while written < content.len() {
        let bytes = content.read(written, AT_ONCE)?;
        file.write_all(&bytes)?;
        written += bytes.len() as u64;
        step();
    }
    file.as_file().sync_all()?;
    Ok(file)
}

fn staging_file(staging: &Path) -> io::Result<NamedTempFile> {
    let mut attempts = 0;
    loop {
        match fs::create_dir(staging) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => attempts += 1,
        }
        match tempfile::Builder::new().permissions(readable()).tempfile_in(staging) {
            // Another writer was done, and has taken the directory with it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && attempts < STAGING_ATTEMPTS => {}
            made => return made,
        }
    }
}

/// Outputs are for others to read: the umask decides, as for any other file.
fn readable() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    fs::Permissions::from_mode(0o666)
}

/// Removes what killed attempts left half written, and have not touched for so long.
pub(crate) fn clear_staging(root: &Path, untouched_for: Duration) -> io::Result<()> {
    let staging = root.join(STAGING);
    let files = match fs::read_dir(&staging) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        files => files?,
    };
    for file in files {
        let file = file?;
        let age = file.metadata().and_then(|file| file.modified()).map(|at| at.elapsed().unwrap_or_default());
        match age.and_then(|age| if age >= untouched_for { fs::remove_file(file.path()) } else { Ok(()) }) {
            // Another one was done with it.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    // While there are files, the directory is not empty and stays.
    let _ = fs::remove_dir(&staging);
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_killed_writers_left_is_removed_when_it_is_old_enough() {
        let root = tempfile::tempdir().unwrap();
        clear_staging(root.path(), Duration::ZERO).unwrap();
        let left = |seconds: u64| {
            let (file, path) = staging_file(&root.path().join(STAGING)).unwrap().keep().unwrap();
            file.set_modified(std::time::SystemTime::now() - Duration::from_secs(seconds)).unwrap();
            path
        };
        let (fresh, old) = (left(0), left(100));
        clear_staging(root.path(), Duration::from_secs(50)).unwrap();
        assert!(fresh.exists() && !old.exists());
        clear_staging(root.path(), Duration::ZERO).unwrap();
        assert!(!root.path().join(STAGING).exists());
    }

    #[test]
    fn writers_side_by_side_take_nothing_from_each_other_and_leave_nothing() {
        let root = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let root = root.path();
                scope.spawn(move || {
                    for object in 0..500 {
                        put(root, &format!("{writer}/{object}"), &Bytes::from_static(b"text").into())
                            .unwrap();
                    }
                });
            }
        });
        assert!(!root.path().join(STAGING).exists());
    }
}
